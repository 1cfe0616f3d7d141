"""Colours of filter weights: blue below zero, nothing at zero, orange above."""

import numpy as np
from napari.utils.colormaps import Colormap

# position between the symmetric limits, red, green, blue, alpha; small weights are faint, so that the image shows through
_STOPS = np.array(
    [
        (0.00, 0.10, 0.35, 1.00, 1.00),
        (0.25, 0.20, 0.50, 1.00, 0.90),
        (0.45, 0.45, 0.70, 1.00, 0.60),
        (0.50, 0.75, 0.75, 0.75, 0.00),
        (0.55, 1.00, 0.75, 0.40, 0.60),
        (0.75, 1.00, 0.55, 0.10, 0.90),
        (1.00, 1.00, 0.30, 0.05, 1.00),
    ]
)

COLOURMAP = Colormap(_STOPS[:, 1:], controls=_STOPS[:, 0], name="filter weights", display_name="filter weights")


def limit_of(weights: np.ndarray) -> float:
    """The largest weight, negative ones counted too: colours go from minus it to plus it."""
    return float(np.abs(weights).max()) or 1.0


def to_rgba(weights: np.ndarray, limit: float) -> np.ndarray:
    """Weights (Y, X) as bytes (Y, X, RGBA)."""
    at = (weights / limit + 1) / 2
    channels = [np.interp(at, _STOPS[:, 0], _STOPS[:, channel]) for channel in range(1, 5)]
    return np.ascontiguousarray(np.rint(255 * np.stack(channels, axis=-1)).astype(np.uint8))
