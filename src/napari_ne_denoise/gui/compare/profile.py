"""A line profile: the pixels that a line passes, in both images."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from napari_ne_denoise.core.noise.residual import noise_std
from napari_ne_denoise.gui.compare.comparing import Pair
from napari_ne_denoise.gui.layers.layer_data import MAP_KEY

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_ne_denoise.core.noise.model import NoiseModel
    from napari_ne_denoise.gui.layers.places import ShownPlane

# of a pixel of three colours, this one is drawn
GREEN = 1
# what is drawn around the line: the standard deviation of a pixel's noise before denoising, or of its error after it
NOISE, ERROR_BAR = "noise", "error bar"
# ± what, for denoised values (N,) and their places (N, axes) in the array; in image units
ErrorOf: TypeAlias = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Profile:
    """Values along a line.

    Attributes
    ----------
    places
        (N, axes of the layer): the pixels, in the array.
    distance
        (N,), from the first one, in `unit`.
    noisy, denoised
        (N,), in image units.
    error
        (N,), ± around `denoised`.  None: not known (yet).
    unit
        Such as "µm"; "pixel" where the layer has none.
    error_name
        What `error` is.
    """

    places: np.ndarray
    distance: np.ndarray
    noisy: np.ndarray
    denoised: np.ndarray
    error: np.ndarray | None
    unit: str
    error_name: str = NOISE

    def as_table(self, separator: str = ",") -> str:
        """Lines of numbers under a line of names, to be pasted or saved."""
        axes = [f"axis {axis}" for axis in range(self.places.shape[1])]
        names = [f"distance ({self.unit})", *axes, "before", "after", *([self.error_name] if self.error is not None else [])]
        errors = [] if self.error is None else [self.error]
        columns = [self.distance, *self.places.T, self.noisy, self.denoised, *errors]
        rows = (separator.join(f"{value:.9g}" for value in row) for row in zip(*columns, strict=True))
        return "\n".join([separator.join(names), *rows]) + "\n"


def profile_along(pair: Pair, shown: "ShownPlane", planes: tuple[Any, Any], ends: Any, error_of: ErrorOf | None) -> Profile | None:
    """The profile of the pixels that a line passes; None if it passes none.

    Parameters
    ----------
    pair, shown
        Of what, and in which plane.
    planes
        That plane of both arrays, as (rows, columns), colours behind.
    ends
        ((row, column), (row, column)).
    error_of
        Gives what is drawn around the denoised line.  None: nothing.
    """
    pixels = _passed(np.asarray(ends, float), planes[0].shape[:2])
    if not len(pixels):
        return None
    noisy, denoised = (_values(plane, pixels) for plane in planes)
    places = np.tile(np.array(shown.position), (len(pixels), 1))
    places[:, [shown.rows, shown.columns]] = pixels
    steps = np.array([pair.after.data_to_world(shown.at(*step)) for step in ((0, 0), (1, 0), (0, 1))])
    distance = np.linalg.norm((pixels - pixels[0]) @ (steps[1:] - steps[0]), axis=1)
    error = None if error_of is None else error_of(denoised, places)
    return Profile(places, distance, noisy, denoised, error, unit_of(pair.after, shown))


def noise_band(noise: "NoiseModel") -> ErrorOf:
    """± one standard deviation of the noise of the image at the denoised brightness."""
    return lambda denoised, places: noise_std(denoised, noise)


def error_map_of(viewer: "Viewer", layer: Any) -> Any:
    """The finished map of error bars of a result; None if there is none."""
    for other in reversed(viewer.layers):
        record = other.metadata.get(MAP_KEY, {})
        if record.get("map") == "error" and record.get("of_layer") == layer.name and other.ndim == layer.ndim:
            return other
    return None


def error_bars(bars: Any, layer: Any) -> ErrorOf:
    """± one error bar, read from a map; NaN where it was not computed."""

    def read(_: np.ndarray, places: np.ndarray) -> np.ndarray:
        there = np.rint([bars.world_to_data(layer.data_to_world(place)) for place in places[:, : layer.ndim]]).astype(int)
        inside = ((there >= 0) & (there < bars.data.shape)).all(1)
        found = np.full(len(there), np.nan)
        found[inside] = bars.data[tuple(there[inside].T)]
        return found

    return read


def unit_of(layer: Any, shown: "ShownPlane") -> str:
    """The unit of a layer's axes that are shown."""
    units = {f"{layer.units[axis]:~P}" for axis in (shown.rows, shown.columns)}
    unit = units.pop()
    return "pixel" if units or unit in ("px", "pixel", "") else unit


def _passed(ends: np.ndarray, lengths: tuple[int, ...]) -> np.ndarray:
    """One pixel (row, column) a step along the axis on which the line is longer; those inside."""
    steps = int(np.rint(np.abs(ends[1] - ends[0]).max()))
    at = np.linspace(0, 1, steps + 1)[:, None]
    pixels = np.rint(ends[0] + at * (ends[1] - ends[0])).astype(int)
    return np.asarray(pixels[((pixels >= 0) & (pixels < lengths)).all(axis=1)])


def _values(plane: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    values = plane[pixels[:, 0], pixels[:, 1]]
    return np.asarray(values if values.ndim == 1 else values[:, GREEN], np.float64)
