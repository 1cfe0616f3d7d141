"""Fields over a plane that a Jacobian is multiplied with: each is the same wherever it is looked at, so that tiles fit together."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from napari_ne_denoise.core.noise.model import Lags
from napari_ne_denoise.core.tiling import Window

BLOCK = 64  # side in pixels of the squares that random fields are made of
RADIUS = 8  # of the filters that let neighbours share noise, in pixels
LENGTH = 64  # of the spectra that they are made from


def white_noise(window: Window, *seed: int) -> np.ndarray:
    """Standard normal noise (Y, X) of a window of an endless plane; float64."""
    return _random(window, seed, lambda rng: rng.standard_normal((BLOCK, BLOCK)))


def noise_like(window: Window, correlation: tuple[Lags, Lags], *seed: int) -> np.ndarray:
    """Normal noise of standard deviation 1 and a correlation (`NoiseModel.correlation`), of a window of an endless plane; float64."""
    if not any(any(along) for along in correlation):
        return white_noise(window, *seed)
    from scipy import ndimage

    rows, columns = (slice(part.start + LENGTH - RADIUS, part.stop + LENGTH + RADIUS) for part in window)  # no place below zero
    wide = white_noise((rows, columns), *seed)
    for axis, along in enumerate(correlation):
        wide = ndimage.correlate1d(wide, _sharing(along), axis)
    return np.asarray(wide[RADIUS:-RADIUS, RADIUS:-RADIUS])


def signs(window: Window, *seed: int) -> np.ndarray:
    """Plus or minus one (Y, X), each as likely, of a window of an endless plane; float64."""
    return _random(window, seed, lambda rng: rng.integers(0, 2, (BLOCK, BLOCK)) * 2.0 - 1.0)


def coordinates(window: Window, centre: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns (Y, X) of a window, counted from a place; float64."""
    rows, columns = (np.arange(part.start, part.stop, dtype=np.float64) - at for part, at in zip(window, centre, strict=True))
    return np.broadcast_to(rows[:, None], (rows.size, columns.size)), np.broadcast_to(columns, (rows.size, columns.size))


@lru_cache(maxsize=16)
def _sharing(lags: Lags) -> np.ndarray:
    """The symmetric filter that gives white noise of variance 1 a correlation, and leaves its variance."""
    at = np.arange(LENGTH)
    power = 1 + 2 * sum(share * np.cos(2 * np.pi * at * lag / LENGTH) for lag, share in enumerate(lags, 1))
    impulse = np.fft.ifft(np.sqrt(np.maximum(power, 0.0))).real
    kernel = np.concatenate([impulse[-RADIUS:], impulse[: RADIUS + 1]])
    return np.asarray(kernel / np.sqrt(np.square(kernel).sum()))


def _random(window: Window, seed: tuple[int, ...], make: Callable[[np.random.Generator], np.ndarray]) -> np.ndarray:
    rows, columns = window
    first_row, first_column = rows.start // BLOCK, columns.start // BLOCK
    blocks = [
        [make(np.random.default_rng((*seed, row, column))) for column in range(first_column, -(-columns.stop // BLOCK))]
        for row in range(first_row, -(-rows.stop // BLOCK))
    ]
    top, left = rows.start - first_row * BLOCK, columns.start - first_column * BLOCK
    whole = np.block(blocks)
    return np.asarray(whole[top : top + rows.stop - rows.start, left : left + columns.stop - columns.start])
