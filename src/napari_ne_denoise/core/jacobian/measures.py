"""What maps are made of, for one tile: sums over the filters of its pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import tee

import numpy as np

from napari_ne_denoise.core.jacobian.error import NoiseKept, nearest_mean
from napari_ne_denoise.core.jacobian.kinds import DIRECTIONS, FREQUENCIES, Stripes
from napari_ne_denoise.core.jacobian.probes import coordinates, noise_like, signs, white_noise
from napari_ne_denoise.core.jacobian.products import Surroundings
from napari_ne_denoise.core.noise.model import NoiseModel

HALF = 0.5  # of the contrast, which is what a resolution is told by
STEP = 0.5  # standard deviations of the noise, along which it is followed through the network
LEAST = 1e-6  # contrast, for its logarithm
# a Gaussian filter of this full width at half maximum, in periods of the waves of which it keeps half the contrast
FWHM_IN_PERIODS = 2 * math.log(2) / math.pi


@dataclass(frozen=True)
class Asked:
    """What is measured with, whichever map it is for.

    Attributes
    ----------
    probes
        How many random fields.
    seed
        What they are drawn from.
    strength
        Of the result.
    noise
        Of the image; None where no map asks for it.
    stripes
        Whose contrast is asked for.
    """

    probes: int
    seed: tuple[int, ...]
    strength: float
    noise: NoiseModel | None
    stripes: Stripes


class TileMeasures:
    """All that maps are made of, for one tile.

    Parameters
    ----------
    around
        What the denoising is around what the tile reads.
    asked
        What is measured with.
    """

    def __init__(self, around: Surroundings, asked: Asked) -> None:
        self._around, self._asked = around, asked

    def _times(self, fields: Iterator[np.ndarray]) -> list[np.ndarray]:
        """Each field times the Jacobian of y + t · (f(y) − y), as far as the tile keeps it."""
        fields, again = tee(fields)  # no longer than one batch apart
        made, share = self._around.times(fields), self._asked.strength
        return [share * each + (1 - share) * self._around.cut(field) for each, field in zip(made, again, strict=False)]

    def pixels_averaged(self) -> np.ndarray:
        """1 / Σ w² of each pixel's filter w."""
        fields = (white_noise(self._around.tile.read, *self._asked.seed, 0, probe) for probe in range(self._asked.probes))
        return np.asarray(1 / np.mean([np.square(each) for each in self._times(fields)], 0))

    def residual_noise(self) -> np.ndarray:
        """√(Σ w² v) with v the variance of the noise at the denoised brightness, in image units.

        The filters are means over the way along which noise changes them: `STEP` of its standard deviation.  Those at the noisy image alone
        overstate how far results differ, by a tenth in places (the inequality of Poincaré; Chernoff 1981).
        """
        around, share = self._around, self._asked.strength
        units, std, seen = self._noise_fields()
        made = around.along(STEP * seen * unit for unit in units)
        kept = (share * around.slope * each / STEP + (1 - share) * around.cut(std * unit) for unit, each in zip(units, made, strict=True))
        squares = [np.square(each) for each in kept]
        return np.asarray(np.sqrt(nearest_mean(np.mean(squares, 0))))

    def error(self) -> np.ndarray:
        """Standard deviation of the error of the result, in image units."""
        around, asked = self._around, self._asked
        assert asked.noise is not None
        units, std, seen = self._noise_fields()
        kept = NoiseKept(around.cut(around.noisy), around.cut(around.denoised), around.cut(std) ** 2, asked.noise.believed_correlation)
        for unit, made in zip(units, around.times(seen * unit for unit in units), strict=True):
            kept.add(around.cut(std * unit), around.slope * made, asked.strength)
        return np.asarray(np.sqrt(kept.left + kept.lost(asked.strength)))

    def _noise_fields(self) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """Fields of noise like the image's with a standard deviation of 1, what it has in the image, and in what the network sees."""
        around, asked = self._around, self._asked
        assert asked.noise is not None
        correlation, std = asked.noise.believed_correlation, asked.noise.std(around.denoised)
        units = [noise_like(around.tile.read, correlation, *asked.seed, 2, probe) for probe in range(asked.probes)]
        return units, std, np.ones_like(std) if around.is_stabilised else std

    def self_weight(self) -> np.ndarray:
        """The diagonal of the Jacobian."""
        around = self._around
        fields = [signs(around.tile.read, *self._asked.seed, 1, probe) for probe in range(self._asked.probes)]
        products = self._times(iter(fields))
        return np.asarray(np.mean([around.cut(field) * each for field, each in zip(fields, products, strict=True)], 0))

    def noise_level_part(self) -> np.ndarray:
        """σ · ∂f/∂σ, in image units."""
        return self._asked.strength * self._around.by_level()

    def shifts(self) -> tuple[np.ndarray, np.ndarray]:
        """Σ w·(r − r₀) along Y and along X, r₀ being the pixel itself: by how much a slope comes out displaced, in pixels."""
        rows, columns = self._around.tile.keep
        y, x = coordinates(self._around.tile.read, ((rows.start + rows.stop) / 2, (columns.start + columns.stop) / 2))
        along_y, along_x = self._times(iter((y, x)))
        return along_y - self._around.cut(y), along_x - self._around.cut(x)

    def contrast(self) -> np.ndarray:
        """That stripes of the chosen period keep, in the chosen direction or on average."""
        stripes = self._asked.stripes
        return np.asarray(np.mean(self._contrasts([1 / stripes.period], stripes.directions), 0)[0])

    def periods(self) -> np.ndarray:
        """(directions, Y, X): in pixels, of the finest waves that keep half of their contrast."""
        return half_contrast(self._contrasts(FREQUENCIES, DIRECTIONS).swapaxes(0, 1))

    def _contrasts(self, frequencies: Sequence[float], directions: Sequence[float]) -> np.ndarray:
        """(directions, frequencies, Y, X): shares of the contrast of waves that are kept."""
        y, x = coordinates(self._around.tile.read, (0.0, 0.0))
        phases = (2 * np.pi * frequency * (np.cos(at) * x + np.sin(at) * y) for at in np.radians(directions) for frequency in frequencies)
        products = self._times(wave(phase) for phase in phases for wave in (np.cos, np.sin))
        contrasts = np.hypot(products[::2], products[1::2])
        return contrasts.reshape(len(directions), len(frequencies), *contrasts.shape[1:])


def half_contrast(contrasts: np.ndarray) -> np.ndarray:
    """Period in pixels at which contrast falls to half.

    Parameters
    ----------
    contrasts
        (frequencies, …), of `FREQUENCIES`.

    Returns
    -------
    ndarray
        (…).  Between two frequencies the contrast is taken to fall as that of a Gaussian filter does, whose logarithm falls with the square
        of the frequency.  Where all are kept, or all are lost, it is the period of the finest or of the coarsest: finer or coarser ones are
        not told apart.
    """
    logarithms, squares = np.log(np.maximum(contrasts, LEAST)), np.square(FREQUENCIES)
    found = np.full(contrasts.shape[1:], squares[-1])
    # from fine to coarse: the coarsest fall counts
    for k in range(len(squares) - 2, -1, -1):
        falls = (contrasts[k] >= HALF) & (contrasts[k + 1] < HALF)
        share = (logarithms[k] - math.log(HALF)) / np.where(falls, logarithms[k] - logarithms[k + 1], 1.0)
        found = np.where(falls, squares[k] + share * (squares[k + 1] - squares[k]), found)
    return np.asarray(1 / np.sqrt(np.where(contrasts[0] < HALF, squares[0], found)))


def shape_of(weights: np.ndarray) -> dict[str, float]:
    """The same as `shapes`, of one filter (Y, X), from its weights."""
    y, x = (np.arange(length, dtype=np.float64) for length in weights.shape)
    turns = [[frequency * (np.cos(at) * x + np.sin(at) * y[:, None]) for at in np.radians(DIRECTIONS)] for frequency in FREQUENCIES]
    contrasts = np.array([[abs((weights * np.exp(2j * np.pi * turn)).sum()) for turn in row] for row in turns])
    return {name: float(value) for name, value in shapes(half_contrast(contrasts)).items()}


def shapes(periods: np.ndarray) -> dict[str, np.ndarray]:
    """What the directions say together: width, elongation and orientation of the Gaussian filter that keeps the same contrasts.

    Sums of weights over squared distances would say it too, but weights of alternating sign far away spoil them: two fifths of the filters
    of a real image then have no width at all.

    Parameters
    ----------
    periods
        (4, …), of `DIRECTIONS`, in pixels.

    Returns
    -------
    dict of ndarray
        By name of the map.  Width and elongation are NaN where there is no such Gaussian, such as on thin fibres.
    """
    xx, diagonal, yy, other = np.square(periods)
    middle, mixed = (xx + yy + diagonal + other) / 4, (diagonal - other) / 2
    apart = np.hypot((xx - yy) / 2, mixed)
    # weights of both signs may keep contrasts that no Gaussian keeps: the square of its shorter axis would be negative
    fits = middle > apart
    longer = np.sqrt(np.where(fits, middle + apart, np.nan))
    shorter = np.sqrt(np.where(fits, np.maximum(middle - apart, 1 / FREQUENCIES[-1] ** 2), np.nan))
    return {
        "resolution": np.sqrt(middle),
        "width": FWHM_IN_PERIODS * (longer + shorter) / 2,
        "elongation": np.maximum(longer / shorter, 1.0),
        "orientation": np.degrees(np.arctan2(2 * mixed, xx - yy) / 2) % 180,
    }
