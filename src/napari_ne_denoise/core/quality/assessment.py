"""Look at a few windows of an image and its result, disturb the image by noise like its own, and say how good the result is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_ne_denoise.core.axes import Index, PlaneLayout
from napari_ne_denoise.core.errors import ImageError, SettingsError
from napari_ne_denoise.core.inference import prepare_denoising
from napari_ne_denoise.core.noise.estimation import find_noise, place_of_channel
from napari_ne_denoise.core.noise.model import NoiseModel, checked_noise_model
from napari_ne_denoise.core.noise.sampling import frame_axis_of
from napari_ne_denoise.core.pixels import ArrayLike, PlaneReader, as_image
from napari_ne_denoise.core.quality.judging import judge
from napari_ne_denoise.core.quality.looking import Looking
from napari_ne_denoise.core.quality.result import Quality
from napari_ne_denoise.core.quality.windows import windows_to_look_at
from napari_ne_denoise.core.run import DenoisingRun
from napari_ne_denoise.core.settings import DEFAULTS, HotPixels, KnownNoise, NamedModel, Noise, Nonfinite, checked_positive

SETTINGS = ("model", "axes", "channel_axis", "sigma", "noise", "device", "nonfinite", "strength", "hot_pixels")


@dataclass(frozen=True)
class QualityProgress:
    """How far it is: pixels computed so far and in all, and at the end what was found."""

    done: int
    total: int
    quality: Quality | None = None


def quality_without_truth(
    image: Any,
    denoised: Any = None,
    *,
    noise_model: NoiseModel | None = None,
    channel: int | None = None,
    peak: float | None = None,
    model: str | os.PathLike[str] | NamedModel = DEFAULTS.model,
    axes: str | None = DEFAULTS.axes,
    channel_axis: int | None = DEFAULTS.channel_axis,
    sigma: float | None = DEFAULTS.sigma,
    noise: Noise | KnownNoise | Mapping[str, Any] | os.PathLike[str] | str = DEFAULTS.noise,
    device: str = DEFAULTS.device,
    nonfinite: Nonfinite = DEFAULTS.nonfinite,
    strength: float = DEFAULTS.strength,
    hot_pixels: HotPixels = DEFAULTS.hot_pixels,
) -> Quality:
    """Tell how good a denoised image is, without knowing the truth.

    It looks at one to four windows, one megapixel at most, and denoises them three to five times, three megapixels at most.  All numbers
    are in image units and follow them: of ``λ·image + μ`` with λ > 0, errors and noise are λ times as large, and PSNR and decisions are the
    same.

    Parameters
    ----------
    image
        The noisy one, as in `denoise`.
    denoised
        What was made of it, of the same shape, in its units.  None: it is denoised here, as far as it is looked at.
    noise_model
        The noise of the image.  None: that of `noise`, if it is a `NoiseModel`, else it is found.  One whose `uncertainty` is 0 and that
        has no curve is taken to be exact.
    channel
        Which channel; None, if there is only one.
    peak
        What counts as full signal for PSNR, in image units.  None: the range of the result, between its 0.1 % and 99.9 % quantiles.
    model, axes, channel_axis, sigma, noise, device, nonfinite, strength, hot_pixels
        As in `denoise`: those that `denoised` was made with, else its error cannot be told.  Where hot pixels are repaired, the result is
        compared with the repaired image.

    Returns
    -------
    Quality
        With None for what cannot be told: of an image without noise or with too few pixels, or of a result that the model did not make.

    Raises
    ------
    NEDenoiseError
        As `denoise`; or if `denoised` has another shape, or there are several channels and none was named.
    """
    steps = iter_quality(
        image,
        denoised,
        noise_model=noise_model,
        channel=channel,
        peak=peak,
        model=model,
        axes=axes,
        channel_axis=channel_axis,
        sigma=sigma,
        noise=noise,
        device=device,
        nonfinite=nonfinite,
        strength=strength,
        hot_pixels=hot_pixels,
    )
    (*_, last) = steps
    assert last.quality is not None
    return last.quality


def iter_quality(
    image: Any,
    denoised: Any = None,
    *,
    noise_model: NoiseModel | None = None,
    channel: int | None = None,
    peak: float | None = None,
    part: tuple[slice, ...] | None = None,
    **settings: Any,
) -> Iterator[QualityProgress]:
    """The same, denoising by denoising.

    Parameters
    ----------
    image, denoised, noise_model, channel, peak, **settings
        As in `quality_without_truth`.
    part
        Which part of the image `denoised` is: a slice for each axis, of whole planes with one place along every other axis.  Only that
        is looked at; what is done about noise is still decided on the whole image, as it was for the result.  None: all of it.

    Yields
    ------
    QualityProgress
        The last one holds what was found.

    Raises
    ------
    NEDenoiseError
        As `quality_without_truth`; at once, if the image, a setting or `denoised` is not accepted.
    """
    if unknown := [name for name in settings if name not in SETTINGS]:
        raise SettingsError(f"{', '.join(unknown)}: no setting of this; there are {', '.join(SETTINGS)}.")
    if peak is not None:
        peak = checked_positive("peak", peak, "a positive number of image units, or None for the range of the result")
    run = prepare_denoising(image, DEFAULTS, **settings)
    layout = run.layout
    fixed = place_of_channel(run.settings.axes, run.settings.channel_axis, layout.shape, channel)
    given = None if denoised is None else _result(denoised, layout, part)
    fixed = {**_single_places(part, layout), **fixed}
    return _steps(run, given, checked_noise_model(noise_model), fixed, peak)


def settings_of(provenance: Mapping[str, Any] | None) -> dict[str, Any]:
    """What `quality_without_truth` is to be told of a result, from the record of how it was made; {} if there is none.

    The device is left out: the record may be another machine's.
    """
    settings = provenance.get("settings") if isinstance(provenance, Mapping) else None
    if not isinstance(settings, Mapping):
        return {}
    found = {name: settings[name] for name in SETTINGS if name in settings and name != "device"}
    if str(found.get("model", "")).startswith(("//", "\\\\")):  # of another machine, which a stranger's file must not make us ask
        del found["model"]
    return found


def _result(denoised: Any, layout: PlaneLayout, part: tuple[slice, ...] | None) -> PlaneReader:
    array = as_image(denoised)
    shape = layout.shape if part is None else tuple(window.stop - window.start for window in part)
    if tuple(array.shape) != shape:
        raise ImageError(f"denoised: has shape {tuple(array.shape)}, and the image {shape}; give a result of this image.")
    return PlaneReader(array if part is None else _InPlace(array, layout.shape, part), layout, "keep")


@dataclass(frozen=True)
class _InPlace:
    """A part of an array, which is read by the places of the whole."""

    values: ArrayLike
    shape: tuple[int, ...]
    part: tuple[slice, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.values.dtype)

    def __getitem__(self, index: Index) -> Any:
        # whole rows and columns: only numbers of planes change
        return self.values[tuple(at - window.start if isinstance(at, int) else at for at, window in zip(index, self.part, strict=True))]


def _single_places(part: tuple[slice, ...] | None, layout: PlaneLayout) -> dict[int, int]:
    """Where a part lies along the axes of which it holds one place."""
    if part is None:
        return {}
    return {
        axis: window.start
        for axis, window in enumerate(part)
        if window.stop - window.start == 1 and axis not in (layout.rows, layout.columns)
    }


def _steps(
    run: DenoisingRun, given: PlaneReader | None, known: NoiseModel | None, fixed: Mapping[int, int], peak: float | None
) -> Iterator[QualityProgress]:
    noise = known or _noise_of(run, fixed)
    looking = Looking(run, given, noise).at(windows_to_look_at(run.layout, fixed))
    done = total = 0
    while True:
        try:
            done, total = next(looking)
        except StopIteration as end:
            integers = np.dtype(run.reader.image.dtype).kind in "iu"
            yield QualityProgress(total, total, judge(end.value, noise, peak=peak, integers=integers))
            return
        yield QualityProgress(done, total)


def _noise_of(run: DenoisingRun, fixed: Mapping[int, int]) -> NoiseModel:
    """What the run knows of it, if it is a noise model, else what is found in the image."""
    place = tuple(fixed.get(axis, 0) for axis in range(len(run.layout.shape)))
    known = run.treatments.of(run.layout.plane_at(place)).noise
    if isinstance(known, NoiseModel):
        return known
    return find_noise(run.reader, frame_axis_of(run.settings.axes, run.layout.shape), fixed)
