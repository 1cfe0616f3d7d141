"""``spectrum IN``: how many numbers denoising keeps of a patch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_ne_denoise.cli.console import ProgressLine, errors_end_the_program, parsed_region, print_json, print_table
from napari_ne_denoise.cli.options import Axes, BlindModel, Device, StrengthAsInDenoise
from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.settings import DEFAULTS

if TYPE_CHECKING:
    from napari_ne_denoise.core.jacobian.spectrum import PatchSpectrum


def spectrum(
    image: Annotated[Path, typer.Argument(metavar="IN", help="An image file.", show_default=False)],
    region: Annotated[str, typer.Option(help="Rows and columns of the patch, such as 198:230,259:291; at most 64 of each.")],
    position: Annotated[str | None, typer.Option(help="Of any pixel of the plane, such as 3,0,0.  [default: there is one plane]")] = None,
    model: BlindModel = DEFAULTS.model_name,
    axes: Axes = DEFAULTS.axes,
    strength: StrengthAsInDenoise = DEFAULTS.strength,
    device: Device = DEFAULTS.device,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with all singular values.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Tell how many numbers denoising keeps of a patch: the singular values of its Jacobian."""
    with errors_end_the_program(image):
        from napari_ne_denoise.core.io import read_image

        opened = read_image(image)
        settings = {"model": model, "axes": axes or opened.axes, "strength": strength, "device": device}
        found = _compute(
            opened.pixels, region, settings | {"position": _position(position)}, ProgressLine(image.name, "columns", 1, quiet=quiet)
        )
        numbers = _numbers(found)
        if as_json:
            print_json({"input": str(image), "region": region, **numbers, "singular_values": found.values.tolist()})
        else:
            print_table([(name.replace("_", " "), f"{value:.4g}") for name, value in numbers.items()])


def _compute(pixels: Any, region: str, settings: dict[str, Any], line: ProgressLine) -> PatchSpectrum:
    from napari_ne_denoise.core.jacobian.spectrum import iter_patch_spectrum

    window = parsed_region(region)
    assert window is not None
    try:
        for step in iter_patch_spectrum(pixels, window, **settings):
            line.show(step.done, step.total)
    finally:
        line.clear()
    assert step.spectrum is not None
    return step.spectrum


def _numbers(found: PatchSpectrum) -> dict[str, float]:
    return {
        "pixels": found.pixels,
        "numbers_kept": found.numbers_kept,
        "participation": found.participation,
        "trace_per_pixel": found.trace / found.pixels,
        "own_share": found.own_share,
        "asymmetry": found.asymmetry,
        "largest_singular_value": float(found.values[0]),
        "share_of_denoised": found.share_in_made(found.denoised),
        "share_of_removed": found.share_in_seen(found.noisy - found.denoised),
    }


def _position(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise SettingsError(f"--position {text}: must be a whole number for each axis, such as 3,0,0.") from None
