"""What maps are made of, for one tile: sums over the filters of its pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import tee
from typing import Any

import numpy as np

from napari_ne_denoise.core.jacobian.kinds import DIRECTIONS, FREQUENCIES
from napari_ne_denoise.core.jacobian.probes import coordinates, signs, white_noise
from napari_ne_denoise.core.jacobian.products import JacobianProducts
from napari_ne_denoise.core.noise.model import NoiseModel
from napari_ne_denoise.core.numerics import Numerics, blend
from napari_ne_denoise.core.statistics import Read
from napari_ne_denoise.core.tiling import Tile

HALF = 0.5  # of the contrast, which is what a resolution is told by
LEAST = 1e-6  # contrast, for its logarithm
# a Gaussian filter of this full width at half maximum, in periods of the waves of which it keeps half the contrast
FWHM_IN_PERIODS = 2 * math.log(2) / math.pi


class TileMeasures:
    """All that maps are made of, for one tile."""

    def __init__(
        self,
        products: JacobianProducts,
        read: Read,
        numerics: Numerics,
        tile: Tile,
        seed: tuple[int, ...],
        probes: int,
        noise: NoiseModel | None,
        strength: float = 1.0,
    ) -> None:
        self._products, self._numerics, self._tile, self._seed, self._probes, self._noise = products, numerics, tile, seed, probes, noise
        self._strength = strength
        self._pixels = numerics.forward(np.asarray(read(*tile.read), np.float64))

    def _times(self, fields: Iterator[np.ndarray]) -> list[np.ndarray]:
        """Each field times the Jacobian of y + t · (f(y) − y)."""
        fields, again = tee(fields)  # no longer than one batch apart
        products = self._products.of(self._pixels, fields, self._tile)
        return [self._strength * made + (1 - self._strength) * self._cut(field) for made, field in zip(products, again, strict=False)]

    def _cut(self, field: np.ndarray) -> np.ndarray:
        return field[self._tile.inner]

    def pixels_averaged(self) -> np.ndarray:
        """1 / Σ w² of each pixel's filter w."""
        power = np.mean([np.square(each) for each in self._times(self._noise_fields(1.0))], 0)
        return np.asarray(1 / power)

    def residual_noise(self) -> np.ndarray:
        """√(Σ w² v) with v the variance of the noise at the denoised brightness, in image units."""
        assert self._noise is not None
        brightness = self._numerics.back(blend(self._pixels, self._products.denoised(self._pixels), self._strength))
        fields = self._noise_fields(self._noise.std(brightness))
        return np.asarray(np.sqrt(np.mean([np.square(each) for each in self._times(fields)], 0)))

    def _noise_fields(self, std: Any) -> Iterator[np.ndarray]:
        return (std * white_noise(self._tile.read, *self._seed, 0, probe) for probe in range(self._probes))

    def self_weight(self) -> np.ndarray:
        """The diagonal of the Jacobian."""
        fields = [signs(self._tile.read, *self._seed, 1, probe) for probe in range(self._probes)]
        products = self._times(iter(fields))
        return np.asarray(np.mean([self._cut(field) * each for field, each in zip(fields, products, strict=True)], 0))

    def shifts(self) -> tuple[np.ndarray, np.ndarray]:
        """Σ w·(r − r₀) along Y and along X, r₀ being the pixel itself: by how much a slope comes out displaced, in pixels."""
        y, x = self._coordinates()
        along_y, along_x = self._times(iter((y, x)))
        return along_y - self._cut(y), along_x - self._cut(x)

    def _coordinates(self) -> tuple[np.ndarray, np.ndarray]:
        rows, columns = self._tile.keep
        return coordinates(self._tile.read, ((rows.start + rows.stop) / 2, (columns.start + columns.stop) / 2))

    def periods(self) -> np.ndarray:
        """(directions, Y, X): in pixels, of the finest waves that keep half of their contrast."""
        y, x = coordinates(self._tile.read, (0.0, 0.0))
        angles = np.radians(DIRECTIONS)
        phases = (2 * np.pi * frequency * (np.cos(at) * x + np.sin(at) * y) for at in angles for frequency in FREQUENCIES)
        products = self._times(wave(phase) for phase in phases for wave in (np.cos, np.sin))
        contrasts = np.hypot(products[::2], products[1::2])
        return half_contrast(contrasts.reshape(len(DIRECTIONS), len(FREQUENCIES), *contrasts.shape[1:]).swapaxes(0, 1))


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
    """
    xx, diagonal, yy, other = np.square(periods)
    middle, mixed = (xx + yy + diagonal + other) / 4, (diagonal - other) / 2
    apart = np.hypot((xx - yy) / 2, mixed)
    longer, shorter = np.sqrt(middle + apart), np.sqrt(np.maximum(middle - apart, 1 / FREQUENCIES[-1] ** 2))
    return {
        "resolution": np.sqrt(middle),
        "width": FWHM_IN_PERIODS * (longer + shorter) / 2,
        "elongation": np.maximum(longer / shorter, 1.0),
        "orientation": np.degrees(np.arctan2(2 * mixed, xx - yy) / 2) % 180,
    }
