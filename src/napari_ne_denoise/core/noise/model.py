"""What is known of the noise of an image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Self, get_args

import numpy as np

from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.settings import number_of

# a correlation with the next pixel from here on is called one: between what is to be flagged (0.26, found as 0.24 to 0.25) and what is not
# (0.17, found as 0.16; `python -m benchmarks speed --parts noise`)
CORRELATED = 0.2
# correlations with the next pixel between which they come to be believed: smaller ones may be an image's texture
TRUSTED = (0.1, 0.15)
LAGS = 3
MANY_HOT = 10.0  # a megapixel: from here on, repairing hot pixels is offered

Lags = tuple[float, float, float]
Kind = Literal["none", "gaussian", "poisson-gaussian"]
Confidence = Literal["high", "medium", "low"]
Source = Literal["one image", "frame differences"]


@dataclass(frozen=True)
class CurvePoint:
    """Noise at one brightness, before any line was fitted: brightness, variance and its standard error, in (squared) image units."""

    level: float
    variance: float
    standard_error: float


@dataclass(frozen=True, kw_only=True)
class NoiseModel:
    """The noise of an image: variance(x) = gain · (x − offset) + read_noise².

    Attributes
    ----------
    gain
        Image units a photon; 0 where the noise is the same at every brightness.
    offset
        Brightness without light: where the variance would be zero, or the darkest that was seen, whichever is brighter.
    read_noise
        Standard deviation at `offset`, in image units.  Of an image without any dark place it holds the photons' noise there, too.
    correlation
        Of the noise with itself one, two and three pixels farther, along Y and along X; below zero in sharpened images.  Where texture
        hides it, it is shrunk towards none.
    saturation, saturated_share
        The level at which the detector was full, and the share of pixels there.  None: at none.
    floor, floor_share
        The lowest level, where many more pixels are than just above it, and their share.  None: there is none.
    isolated_share
        Share of pixels far brighter or darker than all their neighbours, of frames that were compared in both: hot and dead ones.
    lopsidedness
        The most that the skewness of noise can be whose gain is not known: that of photons, if the darkest pixels got no light.
    step
        To which values are rounded, in image units; 0 if none was seen.
    uncertainty
        Relative standard error of the standard deviation at the middle of the curve.  None: the image was too small to measure anything.
    gain_uncertainty
        Relative standard error of the gain.
    curve
        What the line was fitted to.
    source
        "one image", or "frame differences".
    """

    gain: float
    offset: float
    read_noise: float
    correlation: tuple[Lags, Lags] = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    saturation: float | None = None
    saturated_share: float = 0.0
    floor: float | None = None
    floor_share: float = 0.0
    isolated_share: float = 0.0
    lopsidedness: float = 0.0
    step: float = 0.0
    uncertainty: float | None = 0.0
    gain_uncertainty: float = 0.0
    curve: tuple[CurvePoint, ...] = ()
    source: Source = "one image"

    def __post_init__(self) -> None:
        for name, least in (("gain", 0.0), ("offset", -math.inf), ("read_noise", 0.0)):
            value = number_of(getattr(self, name))
            if not (math.isfinite(value) and value >= least):
                raise SettingsError(f"{name}={getattr(self, name)!r}: must be a finite number{'' if least else ' that is not negative'}.")
        # plain numbers: it becomes a record, which is written as JSON
        for name in _NUMBERS:
            if getattr(self, name) is not None:
                object.__setattr__(self, name, number_of(getattr(self, name)))

    @property
    def variance_at_zero(self) -> float:
        """The b of variance(x) = a x + b, a being the gain; of either sign."""
        return self.read_noise**2 - self.gain * self.offset

    @property
    def kind(self) -> Kind:
        """In one word."""
        if self.gain:
            return "poisson-gaussian"
        return "gaussian" if self.read_noise else "none"

    @property
    def is_measured(self) -> bool:
        """Whether it was found in an image that had something to tell."""
        return bool(self.curve)

    @property
    def is_correlated(self) -> bool:
        """Whether neighbouring pixels share noise, along Y or X."""
        return max(along[0] for along in self.correlation) >= CORRELATED

    @property
    def believed_correlation(self) -> tuple[Lags, Lags]:
        """The correlation as far as it is more than texture may feign."""
        low, high = TRUSTED
        trust = min(1.0, max(0.0, (max(along[0] for along in self.correlation) - low) / (high - low)))
        along_y, along_x = ((trust * one, trust * two, trust * three) for one, two, three in self.correlation)
        return along_y, along_x

    @property
    def hot_per_megapixel(self) -> float:
        """How many hot and dead pixels there are among a million."""
        return 1e6 * self.isolated_share

    @property
    def has_hot_pixels(self) -> bool:
        """Whether there are enough hot and dead pixels to offer their repair."""
        return self.hot_per_megapixel > MANY_HOT

    @property
    def confidence(self) -> Confidence:
        """In one word, by the uncertainties."""
        if self.uncertainty is None or self.uncertainty > 0.15:
            return "low"
        return "high" if self.uncertainty <= 0.05 and self.gain_uncertainty <= 0.15 else "medium"

    def variance(self, brightness: Any) -> np.ndarray:
        """Of the noise at a noise-free brightness, in squared image units; never negative."""
        return np.asarray(np.maximum(self.gain * (np.asarray(brightness, np.float64) - self.offset) + self.read_noise**2, 0.0))

    def std(self, brightness: Any) -> np.ndarray:
        """Of the noise at a noise-free brightness, in image units."""
        return np.asarray(np.sqrt(self.variance(brightness)))

    def mapped(self, scale: float, shift: float) -> Self:
        """The noise of ``scale · image + shift``, for a scale above 0."""

        def level(value: float | None) -> float | None:
            return None if value is None else scale * value + shift

        return replace(
            self,
            gain=scale * self.gain,
            offset=scale * self.offset + shift,
            read_noise=scale * self.read_noise,
            saturation=level(self.saturation),
            floor=level(self.floor),
            step=scale * self.step,
            curve=tuple(
                CurvePoint(scale * point.level + shift, scale * (scale * point.variance), scale * (scale * point.standard_error))
                for point in self.curve
            ),
        )

    def as_record(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Undo `as_record`.

        Raises
        ------
        TypeError, ValueError, KeyError
            If the record is of something else.
        """
        y, x = ((float(one), float(two), float(three)) for one, two, three in record["correlation"])
        curve = tuple(CurvePoint(**{name: _number(value) for name, value in point.items()}) for point in record["curve"])
        numbers = {name: _number(value) for name, value in record.items() if name in _NUMBERS and not (value is None and name in _OR_NONE)}
        found = cls(**{**record, **numbers, "correlation": (y, x), "curve": curve})
        if not all(map(math.isfinite, (*y, *x))) or found.source not in get_args(Source):
            raise ValueError(f"correlation {(y, x)}, source {found.source!r}")
        return found


def checked_noise_model(given: Any) -> NoiseModel | None:
    """What was given as `noise_model`: the noise of an image, or None to have it found.

    Raises
    ------
    SettingsError
        If it is something else, such as a transform that was learned, which does not tell the noise.
    """
    if given is None or isinstance(given, NoiseModel):
        return given
    raise SettingsError(f"noise_model={given!r}: must be a NoiseModel, which estimate_noise gives, or None to have the noise found.")


def _number(value: Any) -> float:
    """A finite number of a record, as it is there.

    Raises
    ------
    TypeError, ValueError, OverflowError
        If it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    if not math.isfinite(value):
        raise ValueError(f"{value!r} is no finite number")
    return value


_OR_NONE = frozenset({"saturation", "floor", "uncertainty"})
_NUMBERS = frozenset(field.name for field in fields(NoiseModel)) - {"correlation", "curve", "source"}
