"""``noise IN``: the noise of an image, found in the image itself."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_ne_denoise.cli.console import ProgressLine, errors_end_the_program, print_json, print_table, say
from napari_ne_denoise.cli.options import AsJson, ChannelAxis, Series
from napari_ne_denoise.core.errors import FileError, ImageError, SettingsError
from napari_ne_denoise.core.settings import DEFAULTS, PROFILE_SUFFIX
from napari_ne_denoise.core.words import percent

if TYPE_CHECKING:
    from napari_ne_denoise.core.noise.learned import LearnedNoise
    from napari_ne_denoise.core.noise.model import NoiseModel


def noise(
    image: Annotated[Path, typer.Argument(metavar="IN", help="An image file.", show_default=False)],
    axes: Annotated[
        str | None, typer.Option(help="A letter for each axis; T or Z: frames are compared.  [default: as the file says]")
    ] = DEFAULTS.axes,
    channel_axis: ChannelAxis = DEFAULTS.channel_axis,
    channel: Annotated[int | None, typer.Option(help="Which channel, of an image that has several.  [default: all]")] = None,
    profile: Annotated[
        Path | None, typer.Option(metavar="OUT.json", help="Keep it as a microscope profile, for denoise --noise OUT.json.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the microscope, for the profile.  [default: the image's file name]")] = None,
    figure: Annotated[Path | None, typer.Option(metavar="OUT.png", help="Draw the noise over the brightness (needs matplotlib).")] = None,
    self_calibrate: Annotated[
        bool,
        typer.Option("--self-calibrate", help="Learn it through the default model too, in seconds; a profile then keeps what was learned."),
    ] = False,
    series: Series = 0,
    as_json: AsJson = False,
) -> None:
    """Find the noise of an image in the image: gain, offset, read noise, correlation, saturation, hot pixels.

    The noise-free brightness x has noise of the variance gain · (x − offset) + read_noise².
    """
    with errors_end_the_program(image):
        _check_target("--profile", profile, PROFILE_SUFFIX)
        _check_target("--figure", figure, ".png")
        opened, letters, channels = open_for_noise(image, axes, channel_axis, channel, series)
        if len(channels) > 1 and (profile is not None or figure is not None or self_calibrate):
            raise SettingsError(f"{image}: has {len(channels)} channels, each with noise of its own; say --channel for this.")
        if self_calibrate:
            one, learned = _learn(opened, letters, channel_axis, channels[0])
            found = {channels[0]: one}
        else:
            found, learned = _find(opened, letters, channel_axis, channels), None
        if as_json:
            records = [{"channel": number, **each.as_record()} for number, each in found.items()]
            print_json({"input": str(image), "channels": records, "learned": learned and learned.as_record()})
        else:
            for number, each in found.items():
                print(str(image) if number is None else f"{image}, channel {number}")
                print_table([*_rows(each), *(_learned_rows(learned, each) if self_calibrate else [])])
        for number, each in found.items():
            _offer_repair(image, number, each)
        (one, *_) = found.values()
        if profile is not None:
            _keep(profile, name or image.name, one, learned)
        if figure is not None:
            _draw(figure, one, image.name)


def _check_target(option: str, path: Path | None, suffix: str) -> None:
    if path is None:
        return
    if path.suffix.lower() != suffix:
        raise SettingsError(f"{option} {path}: must end in {suffix}.")
    if path.exists():
        raise FileError(f"{path}: exists; remove it, or give another name.")
    if not path.parent.is_dir():
        raise FileError(f"{path.parent}: no such folder; make it, or give {option} another.")


def open_for_noise(
    path: Path, axes: str | None, channel_axis: int | None, channel: int | None, series: int
) -> tuple[Any, str | None, list[int | None]]:
    """Pixels, a letter for each axis, and the numbers of the channels to look at; the number is None where there are no channels."""
    from napari_ne_denoise.core.axes import plan_planes
    from napari_ne_denoise.core.io import read_image
    from napari_ne_denoise.core.noise.sampling import channel_axes_of

    image = read_image(path, series)
    letters = axes or image.axes
    for note in image.notes:
        say(f"note: {path}: {note}")
    shape = tuple(image.pixels.shape)
    plan_planes(shape, letters, channel_axis)
    count = math.prod(shape[axis] for axis in channel_axes_of(letters, channel_axis, shape))
    return image.pixels, letters, [channel] if channel is not None or count == 1 else list(range(count))


def _find(pixels: Any, axes: str | None, channel_axis: int | None, channels: list[int | None]) -> dict[int | None, NoiseModel]:
    from napari_ne_denoise.core.noise.estimation import estimate_noise

    return {number: estimate_noise(pixels, axes, channel_axis=channel_axis, channel=number, nonfinite="keep") for number in channels}


def _learn(pixels: Any, axes: str | None, channel_axis: int | None, channel: int | None) -> tuple[NoiseModel, LearnedNoise | None]:
    """The noise that was found, and what self-calibration learned; None where that is no better than the image as it is."""
    from napari_ne_denoise.core.inference import calibrate_noise

    line = ProgressLine("self-calibration", "steps", 1)
    for progress in calibrate_noise(pixels, axes=axes, channel_axis=channel_axis, channel=channel):
        line.show(progress.step, progress.total)
    line.clear()
    return progress.found, progress.noise


def _learned_rows(learned: LearnedNoise | None, noise: NoiseModel) -> Iterator[tuple[str, str]]:
    if learned is None:
        yield "learned", "nothing that is better than the image as it is"
        return
    for point in (noise.curve[0], noise.curve[len(noise.curve) // 2], noise.curve[-1]):
        yield "learned", f"{float(learned.std(point.level)):.4g} image units, standard deviation at {point.level:.4g}"


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
        yield "saturated", f"{percent(noise.saturated_share, 2)} of the pixels, at {noise.saturation:.4g}"
    if noise.isolated_share:
        yield "hot or dead", f"{noise.hot_per_megapixel:.3g} pixels per megapixel stand out from all neighbours"


def _offer_repair(path: Path, channel: int | None, noise: NoiseModel) -> None:
    if noise.has_hot_pixels:
        where = path if channel is None else f"{path}, channel {channel}"
        say(
            f"note: {where}: about {noise.hot_per_megapixel:.0f} hot or dead pixels per megapixel, which denoising keeps as bright or "
            f"dark dots; replace them first with: napari-ne-denoise denoise {path} -o OUT --hot-pixels repair"
        )


def _keep(path: Path, name: str, noise: NoiseModel, learned: LearnedNoise | None) -> None:
    from napari_ne_denoise.core.noise.profile import write_profile

    _refuse_unknown("--profile", noise)
    write_profile(path, name, learned or noise)
    say(f"note: wrote {path}; use it with: napari-ne-denoise denoise IN -o OUT --noise {path}")


def _refuse_unknown(option: str, noise: NoiseModel) -> None:
    if not noise.is_measured:
        raise ImageError(f"{option}: nothing was found of the noise of this image; take a larger one with something in it.")


def _draw(path: Path, noise: NoiseModel, title: str) -> None:
    _refuse_unknown("--figure", noise)
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
