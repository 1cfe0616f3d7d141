"""Everything a user can choose about one denoising, checked once; the API, the command line and the form are views of it."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Protocol, Self, get_args

from napari_ne_denoise.core.errors import SettingsError

DEFAULT_MODEL = "fast"
PROFILE_SUFFIX = ".json"  # of a microscope profile

Noise = Literal["auto", "none", "poisson-gaussian", "self-calibrated"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
OutputDtype = Literal["auto", "float32", "float64", "input"]
Nonfinite = Literal["error", "keep"]
HotPixels = Literal["keep", "repair"]


class NamedModel(Protocol):
    """A model that is already open."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def origin(self) -> str:
        """What opens it again: its registered name, or the path of its file."""
        ...


class KnownNoise(Protocol):
    """Noise that is known already."""

    def as_record(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        ...


@dataclass(frozen=True, kw_only=True)
class DenoiseSettings:
    """How to denoise one image.

    Attributes
    ----------
    model
        Name of a registered model, path of a weight file, or an open `Denoiser`.
    axes
        One letter for each axis of the image, such as "TCZYX"; it must have Y and X.  None: planes are the last two axes.
    channel_axis
        Number of the axis that holds channels (negative counts from the end).  None: there is none, or `axes` says which.
        Channels are denoised independently.
    sigma
        Standard deviation of the noise in image units; for noise-map models, which need it, and only for those.
    noise
        What is done about it before the network.  "none": nothing, the network gets the image as it is.  "poisson-gaussian": it is found in
        the image, and made the same at every brightness.  "self-calibrated": made so by a transform that is learned from the image through
        the model, which takes seconds.  "auto": one of the first two, as suits the model.  Or a `NoiseModel` or `LearnedNoise`, or its
        record, or the path of a microscope profile (``.json``): it is known.
    device
        "auto", "cpu", "cuda", "cuda:1", "mps"…; auto takes the fastest one that passes a smoke test.
    precision
        Of the network's arithmetic: "float32", "bfloat16", "float16", or "auto": half where it is faster and costs less than a
        hundredth of the noise, else float32.
    tile_size
        Side in pixels of the square that is kept of each piece the network computes; what it reads around it comes on top.
        Rounded up to the network's stride.  None chooses it from the free memory.
    output_dtype
        "auto" is ``numpy.result_type(input, float32)``; "input" rounds and clips to the input's dtype; "float32"; "float64".
    nonfinite
        "error" refuses NaN and infinities; "keep" fills them for the computation and gives them back as they were.
    strength
        How much of what denoising changes is changed, 0 to 1: the result is y + strength · (f(y) − y).  0 gives the image back.
    hot_pixels
        "keep" leaves hot and dead pixels of the detector to the network, which keeps them too; "repair" puts the median of their neighbours
        in their place first.  Over T and Z, if `axes` names these, they are those that stand out in most frames; else those of each plane.
        `strength` counts from the repaired image.

    Raises
    ------
    SettingsError
        If a value is not accepted; the message says what is.
    """

    model: str | os.PathLike[str] | NamedModel = DEFAULT_MODEL
    axes: str | None = None
    channel_axis: int | None = None
    sigma: float | None = None
    noise: Noise | KnownNoise | Mapping[str, Any] | os.PathLike[str] | str = "auto"
    device: str = "auto"
    precision: Precision = "auto"
    tile_size: int | None = None
    output_dtype: OutputDtype = "auto"
    nonfinite: Nonfinite = "error"
    strength: float = 1.0
    hot_pixels: HotPixels = "keep"

    def __post_init__(self) -> None:
        _check_noise(self.noise)
        check_choice("precision", self.precision, get_args(Precision))
        check_choice("output_dtype", self.output_dtype, get_args(OutputDtype))
        check_choice("nonfinite", self.nonfinite, get_args(Nonfinite))
        check_choice("hot_pixels", self.hot_pixels, get_args(HotPixels))
        # plain numbers: the record of a run is written as JSON
        if self.tile_size is not None:
            accepted = "a positive number of pixels, or None to choose it from the free memory"
            object.__setattr__(self, "tile_size", checked_whole("tile_size", self.tile_size, accepted, least=1))
        if self.channel_axis is not None:
            accepted = "the number of an axis, or None if there are no channels"
            object.__setattr__(self, "channel_axis", checked_whole("channel_axis", self.channel_axis, accepted))
        if self.sigma is not None:
            accepted = "a positive number, the noise's standard deviation in image units, or None"
            object.__setattr__(self, "sigma", checked_positive("sigma", self.sigma, accepted))
        object.__setattr__(self, "strength", checked_strength(self.strength))
        if not isinstance(self.device, str):
            raise SettingsError(f"device={self.device!r}: must be a name such as 'auto', 'cpu', 'cuda' or 'mps'.")

    @property
    def model_name(self) -> str:
        """The model as one writes it: its registered name or its path."""
        if isinstance(self.model, str | os.PathLike):
            return str(os.fspath(self.model))
        return str(getattr(self.model, "origin", repr(self.model)))

    def changed(self, **changes: Any) -> Self:
        """A copy with some settings replaced.

        Raises
        ------
        SettingsError
            If there is no such setting, or its value is not accepted.
        """
        known = [field.name for field in fields(self)]
        for name in changes:
            if name not in known:
                raise SettingsError(f"{name}={changes[name]!r}: there is no such setting; there are {', '.join(known)}.")
        return replace(self, **changes)

    def as_record(self) -> dict[str, Any]:
        """The settings as plain values that JSON can hold."""
        return {**asdict(replace(self, model=DEFAULT_MODEL, noise="none")), "model": self.model_name, "noise": _noise_record(self.noise)}


def check_choice(name: str, value: object, accepted: tuple[str, ...]) -> None:
    """See that a setting is one of some words.

    Raises
    ------
    SettingsError
        If not.
    """
    if not isinstance(value, str) or value not in accepted:
        raise SettingsError(f"{name}={value!r}: must be one of {', '.join(map(repr, accepted))}.")


def _noise_record(noise: Any) -> Any:
    if hasattr(noise, "as_record"):
        return noise.as_record()
    return dict(noise) if isinstance(noise, Mapping) else str(noise)


def _check_noise(noise: object) -> None:
    is_profile = isinstance(noise, str | os.PathLike) and str(os.fspath(noise)).lower().endswith(PROFILE_SUFFIX)
    is_known = hasattr(noise, "as_record") or isinstance(noise, Mapping)
    if not (is_profile or is_known or (isinstance(noise, str) and noise in get_args(Noise))):
        choices = ", ".join(map(repr, get_args(Noise)))
        raise SettingsError(
            f"noise={noise!r}: must be one of {choices}, the path of a microscope profile ({PROFILE_SUFFIX}), or what estimate_noise gives."
        )


def checked_whole(name: str, value: Any, accepted: str, least: int | None = None) -> int:
    """A setting as a plain whole number, of at least so much; `accepted` says what it must be.

    Raises
    ------
    SettingsError
        If it is none.
    """
    if not isinstance(value, bool):
        try:
            number = operator.index(value)
        except TypeError:
            number = None
        if number is not None and (least is None or number >= least):
            return number
    raise SettingsError(f"{name}={value!r}: must be {accepted}.")


def checked_positive(name: str, value: Any, accepted: str) -> float:
    """A setting as a plain finite number above 0; `accepted` says what it must be.

    Raises
    ------
    SettingsError
        If it is none.
    """
    number = number_of(value)
    if not (math.isfinite(number) and number > 0):
        raise SettingsError(f"{name}={value!r}: must be {accepted}.")
    return number


def number_of(value: Any) -> float:
    """A plain number, of Python's or NumPy's; NaN if it is none."""
    try:
        return math.nan if isinstance(value, str) else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def checked_strength(value: Any) -> float:
    """A share as a plain number from 0 to 1.

    Raises
    ------
    SettingsError
        If it is none.
    """
    share = number_of(value)
    if not 0 <= share <= 1:
        raise SettingsError(f"strength={value!r}: must be a number from 0, the image as it is, to 1, all that denoising changes.")
    return share


DEFAULTS = DenoiseSettings()
