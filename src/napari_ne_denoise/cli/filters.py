"""``filters IN --at Y,X``: which pixels made a denoised one, and with which weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_ne_denoise.cli.console import ProgressLine, errors_end_the_program, print_json, print_table, say
from napari_ne_denoise.cli.options import (
    AsJson,
    Axes,
    ChannelAxis,
    HotPixelsAsInDenoise,
    Model,
    NoiseAsInDenoise,
    Quiet,
    Series,
    Sigma,
    StrengthAsInDenoise,
    noise_of,
)
from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.settings import DEFAULTS

if TYPE_CHECKING:
    from napari_ne_denoise.core.axes import PlaneLayout
    from napari_ne_denoise.core.jacobian.rows import PixelFilters
    from napari_ne_denoise.core.jacobian.weights import Filter

SIDE = 41
WIDTH = "width (px)"


def filters(
    image: Annotated[Path, typer.Argument(metavar="IN", help="An image file.", show_default=False)],
    at: Annotated[list[str] | None, typer.Option("--at", metavar="Y,X", help="Row and column of a pixel, from 0; may be repeated.")] = None,
    grid: Annotated[int | None, typer.Option(help="So many pixels along the longer side, spread evenly, instead of --at.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="OUT", help="OUT.tif or OUT.npy for weights, OUT.png for a figure.  [default: only the table]"),
    ] = None,
    plane: Annotated[
        str | None, typer.Option(help="Place along all other axes, such as 3,0.  [default: the middle]", show_default=False)
    ] = None,
    side: Annotated[int, typer.Option(min=3, help="Of the squares of weights that are written, in pixels.")] = SIDE,
    model: Model = DEFAULTS.model_name,
    axes: Axes = DEFAULTS.axes,
    channel_axis: ChannelAxis = DEFAULTS.channel_axis,
    sigma: Sigma = DEFAULTS.sigma,
    noise: NoiseAsInDenoise = str(DEFAULTS.noise),
    strength: StrengthAsInDenoise = DEFAULTS.strength,
    hot_pixels: HotPixelsAsInDenoise = DEFAULTS.hot_pixels,
    precision: Annotated[str, typer.Option(help="float64, or float32: sooner, and five digits of the largest weight.")] = "float64",
    series: Series = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show the filters of pixels: the weights of the noisy pixels that made each, and what they do.

    A filter is what the network is around this image: what it does to changes that are small against the noise.
    """
    with errors_end_the_program(image):
        from napari_ne_denoise.core.io import read_image
        from napari_ne_denoise.core.jacobian.filter_files import check_filter_target, filters_record, write_filters
        from napari_ne_denoise.core.jacobian.filters import checked_precision, prepare_filters

        if out is not None:
            check_filter_target(out, overwrite=overwrite)
        dtype = checked_precision(precision)
        opened = read_image(image, series)
        settings = {"model": model, "axes": axes or opened.axes, "channel_axis": channel_axis, "sigma": sigma, "noise": noise_of(noise)}
        source = prepare_filters(opened.pixels, **settings, strength=strength, hot_pixels=hot_pixels)
        found = _compute(
            source, _positions(source.layout, at or [], grid, plane), dtype, ProgressLine(image.name, "filters", 1, quiet=quiet)
        )
        record = filters_record(source, found, side)
        if out is not None:
            write_filters(out, source, found, side, name=opened.name, overwrite=overwrite)
        if as_json:
            print_json({"input": str(image), "output": None if out is None else str(out), **record})
            return
        print_table(_table(record["filters"]))
        if not quiet:
            _say_notes(found, out)
            _say_what_has_no_width(record["filters"])


def _compute(source: PixelFilters, positions: Sequence[tuple[int, ...]], precision: Any, line: ProgressLine) -> list[Filter]:
    found = []
    try:
        for each in source.of(positions, precision):
            found.append(each)
            line.show(len(found), len(positions))
    finally:
        line.clear()
    return found


def _positions(layout: PlaneLayout, at: Sequence[str], grid: int | None, plane: str | None) -> list[tuple[int, ...]]:
    from napari_ne_denoise.core.jacobian.filters import grid_positions

    if bool(at) == (grid is not None):
        raise SettingsError("which pixels? Give --at Y,X, once for each, or --grid N for N along the longer side, and not both.")
    others = _place_of_plane(layout, plane)
    if grid is not None:
        return grid_positions(layout, layout.position(others, 0, 0), grid)
    points = [_numbers("--at", text, 2, "row and column, such as 120,340") for text in at]
    return [layout.checked_position(layout.position(others, row, column)) for row, column in points]


def _place_of_plane(layout: PlaneLayout, plane: str | None) -> tuple[int | slice, ...]:
    others = [axis for axis in range(len(layout.shape)) if axis not in (layout.rows, layout.columns)]
    if plane is None:
        place = [layout.shape[axis] // 2 for axis in others]
    else:
        place = _numbers("--plane", plane, len(others), f"a number for each of the {len(others)} axes beside rows and columns")
    position = [0] * len(layout.shape)
    for axis, number in zip(others, place, strict=True):
        position[axis] = number
    return layout.plane_at(layout.checked_position(position))


def _numbers(option: str, text: str, count: int, accepted: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise SettingsError(f"{option} {text}: must be {accepted}.")
    return numbers


def _table(numbers: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    names = list(dict.fromkeys(name for each in numbers for name in each if name != "position"))
    rows = [(", ".join(map(str, each["position"])), *(_figure(name, each.get(name, 0.0)) for name in names)) for each in numbers]
    return [("position", *names), *rows]


def _figure(name: str, value: float) -> str:
    if name == "sum of weights":
        return f"{value:.6f}"
    if name == WIDTH and math.isnan(value):
        return "none"
    return f"{value:.0f}" if name == "orientation (°)" else f"{value:.5g}"


def _say_notes(found: Sequence[Filter], out: Path | None) -> None:
    if found[0].domain == "stabilised":
        say("note: its noise was made the same at every brightness first: weights, Σ w·y and value are of that image, where noise is 1")
    if out is not None:
        say(f"note: wrote {len(found)} filter(s) to {out}")


def _say_what_has_no_width(numbers: Sequence[dict[str, Any]]) -> None:
    count = sum(math.isnan(each[WIDTH]) for each in numbers)
    if count:
        say(f"note: no Gaussian blurs as {count} of {len(numbers)} filter(s) do, as on thin fibres: these have no width")
