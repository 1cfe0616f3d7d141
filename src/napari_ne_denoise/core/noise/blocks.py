"""Small blocks of an image, with what tells noise from structure in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from napari_ne_denoise.core.statistics import laplacian

SIDE = 8  # pixels
FEWEST = 8  # blocks that anything can be said of
# pixels are in units of the image's own range: what is this close is the same, whatever rounding made of it
DIGITS = 5


@dataclass(frozen=True)
class Blocks:
    """Blocks of 8×8 pixels.

    Attributes
    ----------
    brightness, fine, coarse
        (N,): mean; mean square of the Laplacian, which is the variance of white noise; variance of the means of the four quarters.
    pixels
        (N, 8, 8): that in which noise is looked for.
    shades
        (N, 8, 8): the image itself.
    low, high
        (N,): shares of the pixels at the lowest and at the highest level of the image.
    """

    brightness: np.ndarray
    fine: np.ndarray
    coarse: np.ndarray
    pixels: np.ndarray
    shades: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def __len__(self) -> int:
        return len(self.brightness)

    def only(self, chosen: np.ndarray) -> Self:
        """Some of them."""
        return type(self)(**{name: values[chosen] for name, values in vars(self).items()})

    def enough(self, good: np.ndarray, share: float = 0.0) -> Self:
        """The good ones; all, where these are fewer than eight or than a share."""
        return self.only(good) if good.sum() >= max(FEWEST, share * len(self)) else self


def blocks_of(windows: Sequence[np.ndarray], lowest: float, highest: float) -> Blocks | None:
    """The blocks of windows (frames, Y, X) in which all pixels are numbers and not all are one; None if there are none.

    Noise is looked for in the single frame, or in the difference of two.  Blocks of one value, such as the padding of registered images,
    have no noise to tell of, and are kept only where there are no others.
    """
    parts = [_blocks(window, lowest, highest) for window in windows if min(window.shape[1:]) >= SIDE + 2]
    if not parts:
        return None
    blocks = Blocks(**{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])})
    blocks = blocks.only(np.isfinite(blocks.fine) & np.isfinite(blocks.brightness))
    return blocks.enough(np.ptp(blocks.pixels, axis=(1, 2)) > 0) if len(blocks) else None


def _blocks(window: np.ndarray, lowest: float, highest: float) -> Blocks:
    mean = window.mean(0)
    pixels = window[0] if len(window) == 1 else (window[0] - window[1]) / np.float32(np.sqrt(2))
    residual, inside, shades = (_cut(each) for each in (laplacian(pixels), pixels[1:-1, 1:-1], mean[1:-1, 1:-1]))
    quarters = inside.reshape(-1, 2, SIDE // 2, 2, SIDE // 2).mean((2, 4)).reshape(-1, 4)
    frames = [_cut(frame[1:-1, 1:-1]) for frame in window]
    return Blocks(
        brightness=np.round(shades.mean((1, 2), dtype=np.float64), DIGITS),
        fine=np.square(residual).mean((1, 2), dtype=np.float64),
        coarse=np.round(quarters.std(1, dtype=np.float64), DIGITS) ** 2,
        pixels=inside,
        shades=shades,
        low=np.max([(frame == lowest).mean((1, 2)) for frame in frames], 0),
        high=np.max([(frame == highest).mean((1, 2)) for frame in frames], 0),
    )


def _cut(image: np.ndarray) -> np.ndarray:
    """(N, 8, 8); what is left over at the right and at the bottom is dropped."""
    rows, columns = (length // SIDE for length in image.shape)
    whole = image[: rows * SIDE, : columns * SIDE].reshape(rows, SIDE, columns, SIDE)
    return whole.swapaxes(1, 2).reshape(rows * columns, SIDE, SIDE)
