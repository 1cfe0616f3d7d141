"""What is said of a denoised image whose truth nobody knows."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from napari_ne_denoise.core.noise.model import Lags, NoiseModel
from napari_ne_denoise.core.words import percent

Interval = tuple[float, float]
Place = tuple[int, ...]

EVEN = 1.5  # an interval whose longer half is at most so many times the shorter one is told as ±
KNOWN_WITHIN = 6.0  # dB; a wider half of an interval says that only one bound is known


@dataclass(frozen=True, kw_only=True)
class Quality:
    """How good a result is, in image units.

    Attributes
    ----------
    noise_before, noise_after
        Standard deviation of the noise in the image and in the result, root mean square over what was looked at.  The second is that of
        J·n, of the noise n through the Jacobian J: what of the result would change if the noise were another.  None: not known.
    error, error_interval
        Root-mean-square error of the result, which holds what was lost beside the noise that is left, and its 95 % interval.  None: it
        cannot be told.
    peak
        What counts as full signal for `psnr`: as was asked for, else the range of the result between its 0.1 % and 99.9 % quantiles.
    psnr, psnr_interval
        Estimated peak signal-to-noise ratio in dB, and its 95 % interval; the upper end may be infinite.  None: it cannot be told.
    residual_std
        Of what was removed, in standard deviations of the noise: 1 where noise is all that was removed, and all of it; less where some
        was left, and more where structure was removed or there is more noise than was found.  None: there is no noise.
    residual_correlation
        Of what was removed with itself one, two and three pixels farther, along Y and along X; that of noise alone is `noise.correlation`.
    structured
        Whether what was removed holds more than noise explains.  None: it cannot be told.
    structured_share
        Share of the blocks of 16×16 pixels that hold such structure.
    places
        Positions in the array of the middles of such blocks, the clearest first, sixteen at most.
    noise
        The noise that all of this counts on.
    integers
        Whether image units are grey levels.
    pixels
        How many pixels were looked at.
    reason
        Why something could not be told; "" where everything could.
    """

    noise_before: float = 0.0
    noise_after: float | None = None
    error: float | None = None
    error_interval: Interval | None = None
    peak: float
    psnr: float | None = None
    psnr_interval: Interval | None = None
    residual_std: float | None = None
    residual_correlation: tuple[Lags, Lags] = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    structured: bool | None = None
    structured_share: float = 0.0
    places: tuple[Place, ...] = ()
    noise: NoiseModel
    integers: bool
    pixels: int
    reason: str = ""

    @property
    def unit(self) -> str:
        """What numbers are counted in."""
        return "grey levels" if self.integers else "image units"

    def describe(self) -> str:
        """In one sentence."""
        parts = [self._of_noise(), self._of_psnr(), self._of_structure(), self.reason]
        return "; ".join(part for part in parts if part)

    def as_record(self) -> dict[str, Any]:
        """Plain values that JSON can hold: an infinite end of an interval is None."""
        record = asdict(self)
        for name in ("error_interval", "psnr_interval"):
            if record[name] is not None:
                record[name] = [value if math.isfinite(value) else None for value in record[name]]
        return {**record, "unit": self.unit, "noise": self.noise.as_record(), "description": self.describe()}

    def _of_noise(self) -> str:
        if not self.noise_before:
            return ""
        after = "" if self.noise_after is None else f" → {_figure(self.noise_after)}"
        return f"noise {_figure(self.noise_before)} {self.unit}{after}"

    def _of_psnr(self) -> str:
        if self.psnr is None or self.psnr_interval is None:
            return ""
        low, high = self.psnr_interval
        of = f"of a range of {_figure(self.peak)} {self.unit}"
        if high - self.psnr > KNOWN_WITHIN:
            return f"estimated PSNR at least {low:.0f} dB {of}"
        below, above = self.psnr - low, high - self.psnr
        if max(below, above) <= EVEN * min(below, above) or max(below, above) < 1:
            return f"estimated PSNR {self.psnr:.0f} ± {_whole(max(below, above))} dB {of}"
        return f"estimated PSNR {self.psnr:.0f} dB ({low:.0f} to {high:.0f}) {of}"

    def _of_structure(self) -> str:
        if self.structured is None:
            return ""
        if not self.structured:
            return "nothing structured was removed"
        first = ", ".join(map(str, self.places[0]))
        return f"structure was removed in {_percent(self.structured_share)} of the image, most clearly at ({first})"


def _whole(decibels: float) -> str:
    return f"{decibels:.0f}" if decibels >= 1 else f"{decibels:.1f}"


def _figure(value: float) -> str:
    """Two digits or more, never with an exponent unless the value is tiny or huge."""
    return f"{value:.0f}" if 10 <= abs(value) < 1e6 else f"{value:.2g}"


def _percent(share: float) -> str:
    return percent(share) if share >= 0.01 else percent(share, 1)
