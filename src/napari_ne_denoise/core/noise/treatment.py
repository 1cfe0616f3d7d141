"""What is done about the noise of an image before a network sees it, and why."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias, get_args

import numpy as np

from napari_ne_denoise.core.axes import Index
from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.noise.anscombe import VarianceStabilizer
from napari_ne_denoise.core.noise.estimation import find_noise
from napari_ne_denoise.core.noise.learned import LearnedNoise
from napari_ne_denoise.core.noise.model import NoiseModel
from napari_ne_denoise.core.noise.profile import Profile, noise_from_record, read_profile
from napari_ne_denoise.core.noise.sampling import channel_axes_of, frame_axis_of
from napari_ne_denoise.core.noise.whitening import MARGIN, Whitener, whitener_for
from napari_ne_denoise.core.pixels import PlaneReader
from napari_ne_denoise.core.settings import DenoiseSettings, Noise
from napari_ne_denoise.core.statistics import Read

# along which a slope is taken, in standard deviations of stabilised noise; the way back is a table of straight pieces
SLOPE_STEP = 0.1

Calibrate: TypeAlias = "Callable[[Mapping[int, int]], LearnedNoise | None]"


@dataclass(frozen=True)
class Treatment:
    """What is done about the noise of a plane.

    Attributes
    ----------
    reason
        Why this, in one sentence.
    noise
        What is known of the noise.  None: nobody looked.
    stabilizer
        Makes the noise the same everywhere before the network, and undoes that after.  None: the network gets the image as it is.
    sigma
        For networks that are told: the standard deviation of what they are given, before their own numerics.  None: they are not told.
    whitener
        Makes noise white that neighbours share, after the network's own numerics, and undoes that after.  None: the noise stays as it is.
    """

    reason: str
    noise: NoiseModel | LearnedNoise | None = None
    stabilizer: VarianceStabilizer | LearnedNoise | None = None
    sigma: float | None = None
    whitener: Whitener | None = None

    def reading(self, read: Read) -> Read:
        """The same pixels, as the network is to see them."""
        return read if self.stabilizer is None else lambda rows, columns: self.forward(read(rows, columns))

    def forward(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels of the image, as the network is to see them."""
        return pixels if self.stabilizer is None else self.stabilizer.forward(pixels)

    def back(self, values: np.ndarray) -> np.ndarray:
        """What the network made of them, in image units."""
        return values if self.stabilizer is None else self.stabilizer.back(values)

    def slope_back(self, values: np.ndarray) -> np.ndarray:
        """By how much `back` changes with its values, in image units."""
        if self.stabilizer is None:
            return np.ones_like(values)
        return np.asarray((self.stabilizer.back(values + SLOPE_STEP) - self.stabilizer.back(values - SLOPE_STEP)) / (2 * SLOPE_STEP))

    def as_record(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        noise = None if self.noise is None else self.noise.as_record()
        done = {"stabilised": self.stabilizer is not None, "whitened": self.whitener is not None}
        return {**done, "reason": self.reason, "sigma": self.sigma, "found": noise}


UNTREATED = Treatment("")


@dataclass(frozen=True)
class NeedsOfModel:
    """What a model must be given.

    Attributes
    ----------
    name
        Of the model.
    blind
        Whether it finds the noise level itself.
    gaussian_only
        Whether it was trained with noise that is the same at every brightness, and with no other.
    norm_equiv
        Whether its law allows any offset and unit, as a transform that is known up to these needs.
    """

    name: str
    blind: bool
    gaussian_only: bool
    norm_equiv: bool


class Treatments:
    """Decides for each channel once, when its first plane is asked for.

    Parameters
    ----------
    settings
        Their `noise`, `sigma` and axes count.
    reader
        Where pixels come from.
    model
        What denoises them.
    calibrate
        Learns a transform from a channel, given its place by number of axis; gives None where that gains nothing.

    Raises
    ------
    SettingsError, FileError
        If noise or sigma do not suit the model, or are not what they should be.
    """

    def __init__(self, settings: DenoiseSettings, reader: PlaneReader, model: NeedsOfModel, calibrate: Calibrate) -> None:
        self._reader, self._model, self._calibrate = reader, model, calibrate
        self._sigma, self._noise = settings.sigma, _known(settings.noise)
        _check(self._sigma, self._noise, model)
        shape = reader.layout.shape
        self._channels = channel_axes_of(settings.axes, settings.channel_axis, shape)
        self._frames = frame_axis_of(settings.axes, shape)
        self._decided: dict[tuple[int, ...], Treatment] = {}
        self._found: dict[tuple[int, ...], NoiseModel] = {}
        self._deciding = Lock()

    def of(self, plane: Index) -> Treatment:
        """That of the channel of a plane."""
        fixed, channel = self._fixed(plane), self.channel_of(plane)
        with self._deciding:
            if channel not in self._decided:
                self._decided[channel] = self._decide(fixed)
            return self._decided[channel]

    @property
    def margin(self) -> int:
        """Pixels that must be read around what the network reads, for all channels that were decided on so far."""
        with self._deciding:
            return MARGIN if any(treatment.whitener is not None for treatment in self._decided.values()) else 0

    def noise_of(self, plane: Index) -> NoiseModel:
        """What is known of the noise of the channel of a plane; it is looked for if nobody did."""
        treatment = self.of(plane)
        if isinstance(treatment.noise, NoiseModel):
            return treatment.noise
        if self._sigma is not None:
            return NoiseModel(gain=0.0, offset=0.0, read_noise=self._sigma)
        fixed, channel = self._fixed(plane), self.channel_of(plane)
        with self._deciding:
            if channel not in self._found:
                self._found[channel] = find_noise(self._reader, self._frames, fixed)
            return self._found[channel]

    def channel_of(self, plane: Index) -> tuple[int, ...]:
        """The place of its channel along the axes of channels; empty where there are none."""
        return tuple(self._fixed(plane).values())

    def as_record(self) -> list[dict[str, Any]]:
        """Of all channels that were decided on so far, in their order."""
        with self._deciding:
            found = sorted(self._decided.items())
        return [treatment.as_record() | ({"channel": list(channel)} if channel else {}) for channel, treatment in found]

    def _fixed(self, plane: Index) -> dict[int, int]:
        """The place of its channel, by number of axis."""
        return {axis: at for axis in self._channels if isinstance(at := plane[axis], int)}

    def _decide(self, fixed: Mapping[int, int]) -> Treatment:
        """Noise is looked for only where the decision depends on it."""

        def find() -> NoiseModel:
            return find_noise(self._reader, self._frames, fixed)

        if self._sigma is not None:
            return Treatment("sigma was given", sigma=self._sigma)
        if isinstance(self._noise, NoiseModel):
            return self._stabilised(self._noise, "the noise was given")
        if isinstance(self._noise, LearnedNoise):
            return self._learned(self._noise, "the transform was given")
        if self._noise == "self-calibrated":
            return self._learned(self._calibrate(fixed), "self-calibration was asked for")
        if self._noise == "none":
            return Treatment("nothing was to be done about noise")
        if self._noise == "poisson-gaussian":
            return self._stabilised(find(), "stabilising was asked for")
        if self._model.gaussian_only:
            return self._stabilised(find(), f"{self._model.name} was trained with noise that is the same at every brightness")
        if self._model.blind:
            return Treatment(f"{self._model.name} takes images as they are")
        return self._stabilised(find(), f"{self._model.name} must be told the noise")

    def _learned(self, noise: LearnedNoise | None, why: str) -> Treatment:
        if noise is None:
            return Treatment(f"{why}, and found no transform that is better than the image as it is")
        return Treatment(why, noise, noise, None if self._model.blind else 1.0)

    def _stabilised(self, noise: NoiseModel, why: str) -> Treatment:
        whitener, shared = self._whitened(noise)
        gain = 1.0 if whitener is None else whitener.gain
        if noise.kind == "poisson-gaussian":
            why = f"{why}, and noise grows with brightness{shared}"
            return Treatment(why, noise, VarianceStabilizer(noise), None if self._model.blind else gain, whitener)
        if noise.uncertainty is None and not self._model.blind:
            raise SettingsError(f"noise: the image is too small to find it in, and model {self._model.name!r} needs its level; give sigma.")
        why = f"{why}; there is no noise that grows with brightness{shared}"
        return Treatment(why, noise, sigma=None if self._model.blind else gain * noise.read_noise, whitener=whitener)

    def _whitened(self, noise: NoiseModel) -> tuple[Whitener | None, str]:
        """What makes noise white that neighbours share, where the model has not seen such noise, and what to say of it."""
        shared = f"; neighbours share noise (r = {max(along[0] for along in noise.correlation):.2f})"
        if not self._model.gaussian_only:
            return None, f"{shared}, and {self._model.name} was trained with such noise too" if noise.is_correlated else ""
        whitener = whitener_for(noise.correlation)
        return whitener, "" if whitener is None else f"{shared}, which is made white, since {self._model.name} has seen no other"


def _known(given: Any) -> NoiseModel | LearnedNoise | str:
    """Noise that was given as it is, as its record, or as a microscope profile; else what was wished."""
    if isinstance(given, NoiseModel | LearnedNoise):
        return given
    if isinstance(given, Profile):
        return given.noise
    if isinstance(given, Mapping):
        try:
            return noise_from_record(given)
        except (KeyError, TypeError, ValueError) as error:
            raise SettingsError(f"noise: is no record of noise ({error!r}); give what estimate_noise gives.") from error
    if isinstance(given, str) and given in get_args(Noise):
        return given
    if isinstance(given, str | os.PathLike):
        return read_profile(Path(given)).noise
    raise SettingsError(f"noise={given!r}: is no noise; give what estimate_noise gives.")


def _check(sigma: float | None, noise: NoiseModel | LearnedNoise | str, model: NeedsOfModel) -> None:
    if model.blind and sigma is not None:
        raise SettingsError(f"sigma={sigma}: model {model.name!r} is blind and finds the noise level itself; leave sigma out.")
    if noise == "self-calibrated" and not (model.norm_equiv and model.blind):
        raise SettingsError(f"noise='self-calibrated': needs a blind norm-equiv model; {model.name!r} is another.")
    if sigma is not None and noise not in ("auto", "none"):
        raise SettingsError(
            f"sigma={sigma}: says that the noise is the same everywhere, and noise= says what it is; leave one of them out."
        )
    if not model.blind and sigma is None and noise == "none":
        raise SettingsError(
            f"model={model.name!r}: needs the noise level.",
            mend="noise_level",
            python="give sigma, the standard deviation of the noise in image units, noise='auto' to have it found, or a blind model",
        )
