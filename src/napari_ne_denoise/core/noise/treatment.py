"""What is done about the noise of an image before a network sees it, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from napari_ne_denoise.core.axes import Index
from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.noise.anscombe import VarianceStabilizer
from napari_ne_denoise.core.noise.estimation import channel_axis_of, find_noise, frame_axis_of
from napari_ne_denoise.core.noise.model import NoiseModel
from napari_ne_denoise.core.noise.profile import read_profile
from napari_ne_denoise.core.pixels import PlaneReader
from napari_ne_denoise.core.settings import DenoiseSettings
from napari_ne_denoise.core.statistics import Read


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
    """

    reason: str
    noise: NoiseModel | None = None
    stabilizer: VarianceStabilizer | None = None
    sigma: float | None = None

    def reading(self, read: Read) -> Read:
        """The same pixels, as the network is to see them."""
        stabilizer = self.stabilizer
        return read if stabilizer is None else lambda rows, columns: stabilizer.forward(read(rows, columns))

    def back(self, values: np.ndarray) -> np.ndarray:
        """What the network made of them, in image units."""
        return values if self.stabilizer is None else self.stabilizer.back(values)

    def as_record(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        noise = None if self.noise is None else self.noise.as_record()
        return {"stabilised": self.stabilizer is not None, "reason": self.reason, "sigma": self.sigma, "found": noise}


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
    """

    name: str
    blind: bool
    gaussian_only: bool


@dataclass
class Treatments:
    """Decides for each channel once, when its first plane is asked for.

    Attributes
    ----------
    settings, reader, model
        What was asked for, where pixels come from, and what denoises them.
    """

    settings: DenoiseSettings
    reader: PlaneReader
    model: NeedsOfModel
    _decided: dict[int | None, Treatment] = field(default_factory=dict, repr=False)
    _deciding: Lock = field(default_factory=Lock, repr=False)

    def __post_init__(self) -> None:
        if not self.model.blind and self.settings.sigma is None and self.settings.noise == "none":
            raise SettingsError(
                f"sigma=None: model {self.model.name!r} needs the noise level; give sigma, the standard deviation of the noise in image "
                'units, or noise="auto" to have it found, or choose a blind model.'
            )
        if self.model.blind and self.settings.sigma is not None:
            raise SettingsError(
                f"sigma={self.settings.sigma}: model {self.model.name!r} is blind and finds the noise level itself; leave sigma out."
            )

    def of(self, plane: Index) -> Treatment:
        """That of the channel of a plane."""
        axis = self._channel_axis
        channel = None if axis is None else plane[axis]
        assert not isinstance(channel, slice)
        with self._deciding:
            if channel not in self._decided:
                fixed = {} if axis is None or channel is None else {axis: channel}
                frames = frame_axis_of(self.settings.axes, self.reader.layout.shape)
                self._decided[channel] = choose_treatment(self.settings, self.model, lambda: find_noise(self.reader, frames, fixed))
        return self._decided[channel]

    @property
    def _channel_axis(self) -> int | None:
        given = self.settings.channel_axis
        return channel_axis_of(self.settings.axes) if given is None else given % len(self.reader.layout.shape)

    def as_record(self) -> list[dict[str, Any]]:
        """Of all channels that were decided on so far, in their order."""
        found = sorted(self._decided.items(), key=lambda item: -1 if item[0] is None else item[0])
        return [treatment.as_record() if channel is None else {"channel": channel, **treatment.as_record()} for channel, treatment in found]


def choose_treatment(settings: DenoiseSettings, model: NeedsOfModel, find: Callable[[], NoiseModel]) -> Treatment:
    """Decide; noise is looked for only where the decision depends on it.

    Parameters
    ----------
    settings
        Their `noise` and `sigma` count.
    model
        What is to be given the image.
    find
        Finds the noise of the image.
    """
    wanted = settings.noise
    if settings.sigma is not None:
        return Treatment("sigma was given", sigma=settings.sigma)
    if wanted == "none":
        return Treatment("nothing was to be assumed of the noise")
    if wanted == "auto" and model.blind and not model.gaussian_only:
        return Treatment(f"{model.name} takes images as they are")
    if wanted == "poisson-gaussian":
        return _stabilised(find(), model, "stabilising was asked for")
    if wanted != "auto":
        return _stabilised(_known(wanted), model, "the noise was given")
    return _stabilised(find(), model, f"{model.name} was trained with noise that is the same at every brightness")


def _known(given: Any) -> NoiseModel:
    """Noise that was given as it is, as its record, or as a microscope profile."""
    if isinstance(given, NoiseModel):
        return given
    if isinstance(given, Mapping):
        try:
            return NoiseModel.from_record(given)
        except (KeyError, TypeError, ValueError) as error:
            raise SettingsError(f"noise: is no record of noise ({error!r}); give what estimate_noise gives.") from error
    return read_profile(Path(given)).noise


def _stabilised(noise: NoiseModel, model: NeedsOfModel, why: str) -> Treatment:
    if noise.kind == "poisson-gaussian":
        return Treatment(f"{why}, and noise grows with brightness", noise, VarianceStabilizer(noise), None if model.blind else 1.0)
    told = None if model.blind else _told(noise, model)
    return Treatment(f"{why}; there is no noise that grows with brightness", noise, sigma=told)


def _told(noise: NoiseModel, model: NeedsOfModel) -> float:
    if not noise.read_noise:
        raise SettingsError(
            f"noise: none was found in the image, and model {model.name!r} needs its level; give sigma, or choose a blind model."
        )
    return noise.read_noise
