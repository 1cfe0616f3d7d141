"""Pixels whose filters are kept, as points with what there is to say of each."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ne_denoise.core.noise.estimation import estimate_noise
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.inside.filtering import Pixel
from napari_ne_denoise.gui.layers.layer_data import HELPER_KEY, channel_of
from napari_ne_denoise.gui.layers.places import place_at

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_ne_denoise.core.jacobian.filters import Filter

PINS_KEY = f"{KEY} pins"
NAME = "filter pins"
SIZE = 3  # pixels of the image
BORDER = 0.2  # of the size
COLOUR = "#ff5a1f"


def describe_pin(pixel: Pixel, found: "Filter") -> Iterator[dict[str, float]]:
    """The work of a thread: a value for each feature.

    Width is in pixels and orientation in degrees, as in the maps; the noise that is left is that at the brightness of the output.
    """
    from napari_ne_denoise.core.jacobian.measures import shape_of  # brings torch

    source, energy = pixel.source, float((found.weights**2).sum())
    channel = channel_of(source, pixel.position)
    noise = estimate_noise(source.data, source.axes, channel_axis=source.channel_axis, channel=channel, nonfinite="keep")
    shape = shape_of(found.weights)
    yield {
        "sum": found.total,
        "output": found.output,
        "Σw·y": found.weighted_sum,
        "pixels averaged": 1 / energy if energy else np.nan,
        "width": shape["width"],
        "orientation": shape["orientation"],
        "residual noise": float(noise.std(np.float64(found.output))) * energy**0.5,
    }


def add_pin(viewer: "Viewer", pixel: Pixel, features: dict[str, float]) -> Any:
    """Add a point at a pixel, with its features, to the pins of its noisy image, whichever result of that was clicked.

    Returns
    -------
    Points
        The layer of the pins.
    """
    world, name = pixel.layer.data_to_world(pixel.layer_position), pixel.source.name
    kept = (layer for layer in viewer.layers if layer.metadata.get(PINS_KEY) == name and layer.ndim == pixel.layer.ndim)
    pins = next(kept, None)
    if pins is None:
        active = viewer.layers.selection.active
        look = {"size": SIZE, "face_color": "transparent", "border_color": COLOUR, "border_width": BORDER, "symbol": "square"}
        look |= {"name": NAME, "metadata": {PINS_KEY: name, HELPER_KEY: True}, **place_at(pixel.layer, (0,) * pixel.layer.ndim)}
        table = {key: [value] for key, value in features.items()}
        pins = viewer.add_points([pixel.layer_position], features=table, **look)
        viewer.layers.selection.active = active
        return pins
    pins.feature_defaults = features
    pins.add([pins.world_to_data(world)])
    pins.selected_data = set()
    return pins
