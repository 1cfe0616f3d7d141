"""``noise IN``: the noise of an image, found in the image itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_ne_denoise.cli.console import errors_end_the_program, print_json, print_table, say
from napari_ne_denoise.core.errors import FileError, SettingsError
from napari_ne_denoise.core.settings import DEFAULTS

if TYPE_CHECKING:
    from napari_ne_denoise.core.noise.model import NoiseModel


def noise(
    image: Annotated[Path, typer.Argument(metavar="IN", help="An image file.", show_default=False)],
    axes: Annotated[
        str | None, typer.Option(help="A letter for each axis; T or Z: frames are compared.  [default: as the file says]")
    ] = DEFAULTS.axes,
    channel: Annotated[int | None, typer.Option(help="Which channel, of an image that has several.  [default: all]")] = None,
    profile: Annotated[
        Path | None, typer.Option(metavar="OUT.json", help="Keep it as a microscope profile, for denoise --noise OUT.json.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the microscope, for the profile.  [default: the image's file name]")] = None,
    figure: Annotated[Path | None, typer.Option(metavar="OUT.png", help="Draw the noise over the brightness (needs matplotlib).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find the noise of an image in the image: gain, offset, read noise, correlation, saturation, hot pixels.

    The noise-free brightness x has noise of the variance gain · (x − offset) + read_noise².
    """
    with errors_end_the_program():
        found = _find(image, axes, channel)
        if len(found) > 1 and (profile is not None or figure is not None):
            raise SettingsError(f"{image}: has {len(found)} channels, each with noise of its own; say --channel for a profile or a figure.")
        one = next(iter(found.values()))
        if as_json:
            print_json({"input": str(image), "channels": [{"channel": number, **each.as_record()} for number, each in found.items()]})
        else:
            for number, each in found.items():
                print(str(image) if number is None else f"{image}, channel {number}")
                print_table(list(_rows(each)))
        if profile is not None:
            _keep(profile, name or image.name, one)
        if figure is not None:
            _draw(figure, one, image.name)


def _find(path: Path, axes: str | None, channel: int | None) -> dict[int | None, NoiseModel]:
    """The noise of each channel, or of the one that was asked for; its number is None where there are no channels."""
    from napari_ne_denoise.core.axes import plan_planes
    from napari_ne_denoise.core.io import read_image
    from napari_ne_denoise.core.noise.estimation import channel_axis_of, find_noise, frame_axis_of
    from napari_ne_denoise.core.pixels import PlaneReader, as_image

    image = read_image(path)
    pixels, letters = as_image(image.pixels), axes or image.axes
    layout = plan_planes(tuple(pixels.shape), letters)
    reader = PlaneReader(pixels, layout, "keep")
    channels, frames = channel_axis_of(letters), frame_axis_of(letters, layout.shape)
    if channels is None:
        if channel is not None:
            raise SettingsError(f"--channel {channel}: {path} has no channels; leave it out.")
        return {None: find_noise(reader, frames)}
    count = layout.shape[channels]
    if channel is not None and not 0 <= channel < count:
        raise SettingsError(f"--channel {channel}: {path} has {count}, numbered from 0.")
    wanted = range(count) if channel is None else [channel]
    return {number: find_noise(reader, frames, {channels: number}) for number in wanted}


def _rows(noise: NoiseModel) -> Iterator[tuple[str, str]]:
    """What was found, a line each, with its unit."""
    kinds = {"none": "none", "gaussian": "the same at every brightness", "poisson-gaussian": "grows with brightness, as photons' does"}
    yield "noise", f"{kinds[noise.kind]} (from {noise.source}; confidence: {noise.confidence})"
    if noise.uncertainty is None:
        yield "", "the image is too small to tell"
        return
    if noise.gain:
        yield "gain", f"{noise.gain:.4g} image units a photon"
        yield "offset", f"{noise.offset:.4g} image units, the brightness without light"
    yield "read noise", f"{noise.read_noise:.4g} image units, standard deviation{' at the offset' if noise.gain else ''}"
    if noise.gain and noise.curve:
        for label, point in (("in the dark", noise.curve[0]), ("in the light", noise.curve[-1])):
            yield f"noise {label}", f"{float(noise.std(point.level)):.4g} image units, standard deviation at {point.level:.4g}"
    (down, *_), (across, *_) = noise.correlation
    verdict = "neighbouring pixels share noise" if noise.is_correlated else "neighbouring pixels share next to none"
    yield "correlation", f"{down:.2f} along Y, {across:.2f} along X, one pixel apart: {verdict}"
    if noise.step:
        yield "rounded to", f"steps of {noise.step:.4g} image units"
    if noise.saturation is not None:
        yield "saturated", f"{noise.saturated_share:.2%} of the pixels, at {noise.saturation:.4g}"
    if noise.isolated_share:
        yield "hot or dead", f"{noise.isolated_share:.2g} of the pixels stand out from all neighbours"


def _keep(path: Path, name: str, noise: NoiseModel) -> None:
    from napari_ne_denoise.core.noise.profile import write_profile

    if path.suffix.lower() != ".json":
        raise SettingsError(f"--profile {path}: must end in .json.")
    if path.exists():
        raise FileError(f"{path}: exists; remove it, or give another name.")
    write_profile(path, name, noise)
    say(f"note: wrote {path}; use it with: napari-ne-denoise denoise IN -o OUT --noise {path}")


def _draw(path: Path, noise: NoiseModel, title: str) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise SettingsError("--figure: needs matplotlib, which is not installed; pip install matplotlib, or leave --figure out.") from None
    import numpy as np

    figure = Figure(figsize=(6, 4), dpi=150, layout="constrained")
    axes: Any = figure.subplots()
    levels = np.array([point.level for point in noise.curve])
    stds = np.sqrt([point.variance for point in noise.curve])
    errors = np.array([point.standard_error for point in noise.curve]) / np.maximum(2 * stds, 1e-300)
    axes.errorbar(levels, stds, errors, fmt="o", markersize=4, color="#555555", label="measured, with its standard error")
    at = np.linspace(min(levels.min(), noise.offset), levels.max(), 300)
    line, share = noise.std(at), noise.uncertainty or 0.0
    axes.plot(at, line, color="#c0392b", label=f"gain {noise.gain:.3g}, offset {noise.offset:.3g}, read noise {noise.read_noise:.3g}")
    axes.fill_between(at, line * (1 - share), line * (1 + share), color="#c0392b", alpha=0.15, linewidth=0)
    axes.set(xlabel="brightness, image units", ylabel="noise, standard deviation, image units", title=title)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)
    say(f"note: wrote {path}")
