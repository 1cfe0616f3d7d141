"""Denoise images tile by tile: what the API, the command line and the window call."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch

from napari_ne_denoise.core import device as devices
from napari_ne_denoise.core.axes import plan_planes
from napari_ne_denoise.core.calibration import CalibrationProgress, calibrate
from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.memory import room_for
from napari_ne_denoise.core.models.fetch import local_path, verify
from napari_ne_denoise.core.models.files import read_model, registered
from napari_ne_denoise.core.models.opened import OpenModel
from napari_ne_denoise.core.models.registry import find_model, list_models
from napari_ne_denoise.core.networks.normalized import UNKNOWN_REACH
from napari_ne_denoise.core.noise.estimation import find_noise, place_of_channel
from napari_ne_denoise.core.noise.learned import LearnedNoise
from napari_ne_denoise.core.noise.repair import Repairs
from napari_ne_denoise.core.noise.sampling import frame_axis_of, middle_of
from napari_ne_denoise.core.noise.treatment import NeedsOfModel, Treatments
from napari_ne_denoise.core.pixels import PlaneReader, as_image
from napari_ne_denoise.core.precision import choose_precisions
from napari_ne_denoise.core.run import DenoisingRun, Step
from napari_ne_denoise.core.settings import (
    DEFAULTS,
    DenoiseSettings,
    NamedModel,
)

__all__ = [
    "CalibrationProgress",
    "Denoiser",
    "DenoisingRun",
    "Step",
    "calibrate_noise",
    "collect",
    "iter_denoise",
    "load_denoiser",
    "prepare_denoising",
]

# two threads that ask for one model open, or fetch, it once
_opening = Lock()


class Denoiser(OpenModel):
    """An open model, callable like `denoise`."""

    def __call__(self, image: Any, **settings: Any) -> np.ndarray:
        """Denoise an image with this model; settings as in `denoise`, but for `model` and those of error bars."""
        if "model" in settings:
            raise SettingsError(f"model={settings['model']!r}: {self.name!r} is called itself; leave model out.")
        return collect(prepare_denoising(image, model=self, **settings))

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process opens a registered model itself, once; of others the weights travel."""
        if self.origin in {row.name for row in list_models()}:
            return load_denoiser, (self.origin,)
        return type(self), (self.network, self.card, self.sha256, self.origin)


def load_denoiser(model: str | os.PathLike[str], *, mode: str | None = None) -> Denoiser:
    """Open a model.

    Parameters
    ----------
    model
        Name of a registered model (published ones are here once ``napari-ne-denoise models fetch NAME`` fetched them) or path of a weight
        file: ``.safetensors`` of this package or a published ``.pth``.
    mode
        "scale-equiv" or "norm-equiv", for a published FDnCNN file whose name does not say which it is.

    Raises
    ------
    ModelError
        If there is no such model, or the file is not what it claims to be.
    DownloadError
        If a published file is not on this machine, or changed since it was first seen.
    """
    if not isinstance(model, str | os.PathLike) or not os.fspath(model):
        raise SettingsError(
            f"model={model!r}: must be the name of a registered model, the path of a weight file, or what load_denoiser gives."
        )
    if isinstance(model, str) and model in {row.name for row in list_models()}:
        with _opening:
            return _open_registered(model)
    path = Path(model)
    if not path.suffix and not path.exists():
        find_model(str(model))  # raises, and names the models there are
    opened = read_model(path, mode)
    return Denoiser(opened.network, opened.card, opened.sha256, str(path))


@lru_cache(maxsize=4)
def _open_registered(name: str) -> Denoiser:
    row = find_model(name)
    verify(row)  # and no fetching: the network is asked only by those who say so
    opened = registered(read_model(local_path(row), row.mode), row)
    return Denoiser(opened.network, opened.card, opened.sha256)


def iter_denoise(image: Any, *, start_at: tuple[int, ...] | None = None, **settings: Any) -> Iterator[Step]:
    """Denoise an image tile by tile.

    Parameters
    ----------
    image, **settings
        As in `denoise`, but for those of error bars, which `iter_adaptive_maps` gives.
    start_at
        Position in the array whose plane and tile come first, for instance what a viewer shows.

    Yields
    ------
    Step
        A finished tile; the caller may stop between any two.

    Raises
    ------
    NEDenoiseError
        At once, if the image, a setting or `start_at` is not accepted.
    """
    run = prepare_denoising(image, **settings)
    return run.steps(None if start_at is None else run.layout.checked_position(start_at))


def collect(run: DenoisingRun) -> np.ndarray:
    """The whole result of a run, in memory."""
    result = room_for(run.shape, run.dtype, "the result", "use denoise_lazy or iter_denoise, which give it piece by piece")
    for step in run.steps(first_side=None):
        result[step.index] = step.values
    return result


def prepare_denoising(image: Any, settings: DenoiseSettings = DEFAULTS, **changes: Any) -> DenoisingRun:
    """Check everything and decide everything, but compute nothing yet.

    Parameters
    ----------
    image
        As in `denoise`.
    settings, **changes
        The settings, and what differs from them.

    Raises
    ------
    NEDenoiseError
        If the image or a setting is not accepted.
    """
    settings = settings.changed(**changes)
    array = as_image(image)
    layout = plan_planes(tuple(array.shape), settings.axes, settings.channel_axis)
    reader = PlaneReader(array, layout, settings.nonfinite)
    reader.check()
    denoiser = as_denoiser(settings.model)
    needs = NeedsOfModel(denoiser.name, denoiser.blind, denoiser.card.gaussian_only, denoiser.equivariance == "norm-equiv")
    treatments = Treatments(settings, reader, needs, lambda fixed: _calibrated(reader, denoiser, settings.axes, fixed))
    repairs = Repairs(settings, reader, treatments.noise_of)
    device = devices.choose_device(settings.device)
    precisions = choose_precisions(settings.precision, device, denoiser.half_errors)
    tile_size = settings.tile_size or _choose_tile_size(denoiser, device, layout.plane_shape)
    return DenoisingRun(settings, reader, repairs, treatments, denoiser, device, precisions, tile_size)


def calibrate_noise(
    image: Any,
    *,
    model: str | os.PathLike[str] | NamedModel = DEFAULTS.model,
    axes: str | None = None,
    channel_axis: int | None = None,
    channel: int | None = None,
) -> Iterator[CalibrationProgress]:
    """Learn from an image the transform behind which a model denoises it best: self-calibration, which takes seconds.

    Parameters
    ----------
    image, axes, channel_axis
        As in `denoise`; it looks at one plane in the middle.
    model
        A blind norm-equiv one.
    channel
        Which channel; None, if there is only one.

    Yields
    ------
    CalibrationProgress
        The ``noise`` of the last one can be given to `denoise`, for this image and others of the same microscope; None if the image as it
        is does best.

    Raises
    ------
    NEDenoiseError
        If the image or the model is not accepted.

    Source: Herbreteau and Unser, ICCV 2025.
    """
    array = as_image(image)
    layout = plan_planes(tuple(array.shape), axes, channel_axis)
    reader = PlaneReader(array, layout, "keep")
    yield from _calibrate(reader, as_denoiser(model), axes, place_of_channel(axes, channel_axis, layout.shape, channel))


def _calibrate(reader: PlaneReader, denoiser: Denoiser, axes: str | None, fixed: Mapping[int, int]) -> Iterator[CalibrationProgress]:
    noise = find_noise(reader, frame_axis_of(axes, reader.layout.shape), fixed)
    return calibrate(middle_of(reader, fixed), denoiser, noise)


def _calibrated(reader: PlaneReader, denoiser: Denoiser, axes: str | None, fixed: Mapping[int, int]) -> LearnedNoise | None:
    (*_, last) = _calibrate(reader, denoiser, axes, fixed)
    return last.noise


def _choose_tile_size(denoiser: Denoiser, device: torch.device, plane: tuple[int, int]) -> int:
    if denoiser.reach >= UNKNOWN_REACH:  # every tile would read the whole plane
        return max(plane)
    return devices.choose_tile_size(device, denoiser.network.floats_per_pixel, denoiser.grid.halo)


def as_denoiser(model: str | os.PathLike[str] | NamedModel) -> Denoiser:
    """An open model itself, or the one of a name or path.

    Raises
    ------
    NEDenoiseError
        As `load_denoiser`.
    """
    return model if isinstance(model, Denoiser) else load_denoiser(model)  # type: ignore[arg-type]  # which refuses what is neither
