"""What maps are made of, for one tile: sums over the filters of its pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import tee

import numpy as np

from napari_ne_denoise.core.jacobian.error import Loss, NoiseKept
from napari_ne_denoise.core.jacobian.kinds import DIRECTIONS, FREQUENCIES, Stripes
from napari_ne_denoise.core.jacobian.probes import coordinates, noise_fields, random_fields
from napari_ne_denoise.core.jacobian.products import Surroundings
from napari_ne_denoise.core.noise.model import NoiseModel

HALF = 0.5  # of the contrast, which is what a resolution is told by
OWN = OTHER = math.sqrt(0.5)  # of the noise of a simulated image: what is the noisy image's own, and what is drawn; their squares add to 1
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
        return np.asarray(1 / np.mean([np.square(made) for _, made in self._probed], 0))

    def self_weight(self) -> np.ndarray:
        """The diagonal of the Jacobian."""
        return np.asarray(np.mean([field * made for field, made in self._probed], 0))

    @cached_property
    def _probed(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Random fields, and what they become."""
        fields = list(random_fields(self._around.tile.read, self._asked.probes, *self._asked.seed, 0))
        return [(self._around.cut(field), made) for field, made in zip(fields, self._times(iter(fields)), strict=True)]

    def residual_noise(self) -> np.ndarray:
        """Standard deviation of the noise that is left, in image units: √(Σ w² v) where the filters w are the same for any noise.

        It is told by the results of simulated images, which differ in `OTHER` of their noise.  The filters at the noisy image alone are
        chosen by its noise: they overstate how far results differ (the inequality of Poincaré; Chernoff 1981), and where they do is chance.
        Simulated images that have nothing of the noisy one lack what denoising took of the object; hence `OWN`.
        """
        units, std, seen = self._noise_fields()
        results = np.stack(list(self._around.repeated((OTHER * seen * unit for unit in units), OWN)))
        kept = NoiseKept(self._cut([std * unit for unit in units]), (results - results.mean(0)) / OTHER)
        return np.asarray(np.sqrt(kept.left(self._asked.strength)))

    def error(self) -> np.ndarray:
        """Standard deviation of the error of the result, in image units.

        It is the error of this one result, so that the noise that is left is that of the filters at the noisy image.
        """
        around, asked = self._around, self._asked
        assert asked.noise is not None
        units, std, seen = self._noise_fields()
        made = np.stack(list(around.times(seen * unit for unit in units)))
        kept = NoiseKept(self._cut([std * unit for unit in units]), around.slope * made)
        noisy, denoised, variance = self._cut([around.noisy, around.denoised, std**2])
        loss = Loss(noisy, denoised, variance, asked.noise.believed_correlation, kept)
        return np.asarray(np.sqrt(kept.left(asked.strength) + loss.lost(asked.strength)))

    def _cut(self, fields: Sequence[np.ndarray]) -> np.ndarray:
        """(fields, Y, X): where the tile keeps them."""
        return np.stack([self._around.cut(field) for field in fields])

    def _noise_fields(self) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """Fields of noise like the image's with a standard deviation of 1, what it has in the image, and in what the network sees."""
        around, asked = self._around, self._asked
        assert asked.noise is not None
        correlation, std = asked.noise.believed_correlation, asked.noise.std(around.denoised)
        units = list(noise_fields(around.tile.read, correlation, asked.probes, *asked.seed, 2))
        return units, std, np.ones_like(std) if around.is_stabilised else std

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
