"""Fields over a plane that a network is probed with: each is the same wherever it is looked at, so that tiles fit together.

How much noise a filter w lets through is told by mean squares of what random fields become.  Of independent fields these hold chance: each
pair of pixels adds a product of their weights, with a sign that only many fields average away.  Here it is zero for pixels near each other,
and these have most of the weights: fields are orthogonal over them.

Source: Hartley 1942 and Bracewell 1983 for the matrix; probing with orthogonal fields, Tang, Saad, Numer. Linear Algebra Appl. 2012.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np

from napari_ne_denoise.core.noise.model import Lags
from napari_ne_denoise.core.tiling import Window

BLOCK = 64  # side in pixels of the squares that random fields are made of
RADIUS = 8  # of the filters that let neighbours share noise, in pixels
LENGTH = 64  # of the spectra that they are made from


def random_fields(window: Window, number: int, *seed: int) -> Iterator[np.ndarray]:
    """White fields (Y, X) of a window of an endless plane, float64, at least two.

    At every pixel their sum is zero and their mean square is one.  Pixels nearer than about √number are orthogonal over them: the mean
    product of what two such pixels hold is zero.  So each pixel has a random sign times one of number − 1 rows of Hartley's matrix, and
    pixels with the same row lie on a lattice as wide as there is.
    """
    rows, columns = (np.arange(part.start, part.stop) for part in window)
    which = (_lattice(number - 1) * rows[:, None] + columns) % (number - 1) + 1
    drawn = signs(window, *seed)
    for field in range(number):
        turns = 2 * np.pi / number * (np.arange(number) * field % number)
        yield drawn * (np.cos(turns) + np.sin(turns))[which]


def noise_fields(window: Window, correlation: tuple[Lags, Lags], number: int, *seed: int) -> Iterator[np.ndarray]:
    """The same with a correlation (`NoiseModel.correlation`)."""
    if not any(any(along) for along in correlation):
        yield from random_fields(window, number, *seed)
        return
    rows, columns = (slice(part.start + LENGTH - RADIUS, part.stop + LENGTH + RADIUS) for part in window)  # no place below zero
    for wide in random_fields((rows, columns), number, *seed):
        yield shared(wide, correlation)


def shared(white: np.ndarray, correlation: tuple[Lags, Lags]) -> np.ndarray:
    """White noise (Y, X) as neighbours share it, of the same variance and `RADIUS` pixels smaller on each side."""
    from scipy import ndimage

    for axis, along in enumerate(correlation):
        white = ndimage.correlate1d(white, _sharing(along), axis)
    return np.asarray(white[RADIUS:-RADIUS, RADIUS:-RADIUS])


def signs(window: Window, *seed: int) -> np.ndarray:
    """Plus or minus one (Y, X), each as likely, of a window of an endless plane; float64."""
    return _random(window, seed, lambda rng: rng.integers(0, 2, (BLOCK, BLOCK)) * 2.0 - 1.0)


def coordinates(window: Window, centre: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns (Y, X) of a window, counted from a place; float64."""
    rows, columns = (np.arange(part.start, part.stop, dtype=np.float64) - at for part, at in zip(window, centre, strict=True))
    return np.broadcast_to(rows[:, None], (rows.size, columns.size)), np.broadcast_to(columns, (rows.size, columns.size))


@lru_cache(maxsize=16)
def _lattice(rows: int) -> int:
    """By how much the number of a row grows with each line of pixels, so that pixels with the same one are as far apart as can be."""
    lines = np.arange(1, rows + 1)

    def nearest(step: int) -> int:
        aside = (step * lines + rows // 2) % rows - rows // 2
        return min(rows**2, int((lines**2 + aside**2).min()))

    return max(range(1, rows + 1), key=nearest)


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
