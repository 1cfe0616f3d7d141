"""What there is to say of a filter: numbers by name, with their units."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from napari_ne_denoise.core.jacobian.measures import shape_of
from napari_ne_denoise.core.jacobian.weights import Filter
from napari_ne_denoise.core.noise.learned import LearnedNoise
from napari_ne_denoise.core.noise.model import NoiseModel

# what the numbers mean; those without a unit in their name are plain numbers, or in image units
MEANINGS: Mapping[str, str] = {
    "sum of weights": "1 where the model keeps offsets: then the pixel is a weighted mean",
    "output": "the denoised pixel, in image units",
    "Σ w·y": "weights times pixels, summed, in units of what the weights are of",
    "pixels averaged": "1 / Σw²: so many equal weights would reduce noise as much",
    "width (px)": "full width at half maximum of the Gaussian filter that blurs alike",
    "orientation (°)": "of its longer axis: 0 along X, 90 along Y",
    "residual noise": "standard deviation of the noise that is left, in image units",
}
# named only where they are not zero
RESTS: Mapping[str, str] = {
    "from the mean": "weight of the plane's mean, which the sum of weights holds",
    "from sigma": "what the noise level adds that the model was told",
    "from the spread": "what the standard deviation of the plane adds",
    "constant": "what the model adds, whatever the image is",
    "value": "the pixel in units of the stabilised image",
}


def numbers_of(found: Filter, noise: NoiseModel | LearnedNoise) -> dict[str, float]:
    """A value for each name of `MEANINGS`, and of `RESTS` where there is something to say.

    Parameters
    ----------
    found
        With all its weights.
    noise
        Of the image.
    """
    shape = shape_of(found.weights)
    numbers = {
        "sum of weights": found.total,
        "output": found.output,
        "Σ w·y": found.weighted_sum,
        "pixels averaged": found.pixels_averaged,
        "width (px)": shape["width"],
        "orientation (°)": shape["orientation"],
        "residual noise": residual_noise(found, noise),
    }
    rests = {
        "from the mean": found.mean_weight,
        "from sigma": found.from_sigma,
        "from the spread": found.from_spread,
        "constant": found.constant,
        "value": found.value if found.domain == "stabilised" else 0.0,
    }
    return numbers | {name: value for name, value in rests.items() if value}


def residual_noise(found: Filter, noise: NoiseModel | LearnedNoise) -> float:
    """√(wᵀ C w), C being the covariance of the noise at the brightness of the output, in image units.

    Neighbours share as much of it as was found.  In a stabilised image the noise is 1 everywhere, and the way back is taken as straight.
    """
    correlation = noise.believed_correlation if isinstance(noise, NoiseModel) else ()
    shared = found.weights
    for axis, lags in enumerate(correlation):
        shared = ndimage.correlate1d(shared, (*lags[::-1], 1.0, *lags), axis, mode="constant")
    spread = math.sqrt(max(float((found.weights * shared).sum()), 0.0))
    if found.domain == "stabilised":
        return abs(found.slope) * spread
    return float(noise.std(np.float64(found.output))) * spread if isinstance(noise, NoiseModel) else math.nan
