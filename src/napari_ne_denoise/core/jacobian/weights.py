"""The filter of one pixel, and how it is cut and weakened."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from napari_ne_denoise.core.tiling import Window, inside, square_around

Domain = Literal["image", "stabilised"]


@dataclass(frozen=True)
class Filter:
    """What made one output pixel: ``weighted_sum + from_sigma + from_spread + constant == value``.

    A blind norm-equiv or scale-equiv network gives its pixel as weights times image, and no more.

    Attributes
    ----------
    weights : (Y, X) float64
        Weight of each input pixel.
    origin : (row, column)
        Place of ``weights[0, 0]`` in the plane.
    mean_weight
        Weight of the plane's mean, by which a `DRUNet` continues a plane whose sides do not fit, and which a wrapper (WNE) takes from the
        plane; otherwise zero.
    total
        Sum of all weights, those outside `weights` and `mean_weight` included: 1 for a norm-equiv model.
    output
        The denoised pixel, in image units.
    weighted_sum
        Σ w·y + mean_weight · mean over all that the network reached, in units of the domain.
    position
        Of the pixel in the array.
    domain
        "image": weights are of the image as it is.  "stabilised": they are of the image after its noise was made the same at every
        brightness, at full strength; no filter of the image itself makes the pixel.
    value
        The pixel in units of the domain: that of the stabilised image, else `output`.
    from_sigma
        What the noise level adds that a model was told: σ·∂f/∂σ, in units of the domain.
    from_spread
        What the standard deviation of the plane adds, which a wrapper (WNE) divides by.
    constant
        What an ordinary network adds, whatever the image is.
    slope
        By how much `output` changes where `value` changes a little.
    """

    weights: np.ndarray
    origin: tuple[int, int]
    mean_weight: float
    total: float
    output: float
    weighted_sum: float
    position: tuple[int, ...] = ()
    domain: Domain = "image"
    value: float = 0.0
    from_sigma: float = 0.0
    from_spread: float = 0.0
    constant: float = 0.0
    slope: float = 1.0

    @property
    def window(self) -> Window:
        """Rows and columns of the plane that `weights` lie on."""
        (top, left), (rows, columns) = self.origin, self.weights.shape
        return slice(top, top + rows), slice(left, left + columns)

    @property
    def pixels_averaged(self) -> float:
        """1 / Σ w²: so many equal weights would reduce noise as much; NaN where all weights are zero."""
        power = float(np.square(self.weights).sum())
        return 1 / power if power else float("nan")

    def around(self, point: tuple[int, int], side: int) -> Filter:
        """The same with the weights of a square around a pixel (row, column) alone, cut off where the filter ends."""
        square = square_around(point, side, self.window)
        return replace(self, weights=self.weights[inside(square, self.window)], origin=(square[0].start, square[1].start))


def centred(found: Filter, point: tuple[int, int], side: int) -> np.ndarray:
    """Weights (side, side) with a pixel (row, column) in the middle; zero where the filter or the image has ended."""
    cut = found.around(point, side)
    whole = np.zeros((side, side))
    top, left = (first - (at - side // 2) for first, at in zip(cut.origin, point, strict=True))
    whole[top : top + cut.weights.shape[0], left : left + cut.weights.shape[1]] = cut.weights
    return whole


def change_of(one: np.ndarray, other: np.ndarray) -> float:
    """How far two filters of one shape are apart: √Σ(w − w′)² over √Σw²."""
    size = float(np.sqrt(np.square(one).sum()))
    return float(np.sqrt(np.square(other - one).sum())) / size if size else float("nan")
