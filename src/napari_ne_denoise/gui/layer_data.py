"""From a layer to an array with axes, and from a result back to a layer in the same place."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ne_denoise.core.io.letters import distinct_letters, letters_for
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.core.settings import DEFAULTS

if TYPE_CHECKING:
    from napari.layers import Image, Layer
    from napari.viewer import Viewer

# Where a result remembers what it was made from. It holds arrays, so unlike the record under KEY it is not for files.
SOURCE_KEY = f"{KEY} source"
# Marks layers that only help to look at others: no dock offers to work on them.
HELPER_KEY = f"{KEY} helper"

_LETTERS = {"frame": "T", "frames": "T", "slice": "Z", "plane": "Z", "depth": "Z", "row": "Y", "rows": "Y", "column": "X", "columns": "X"}
_PLAIN_NAMES = {"t": "time", "z": "z", "c": "channels", "y": "y", "x": "x"}
_COLOUR_LENGTHS = (3, 4)

# What a result must not take over: what it is called and noted, and how its pixels are stored.
_NOT_CARRIED = ("name", "metadata", "visible", "multiscale", "locked_data_level", "auto_contrast")


@dataclass(frozen=True, eq=False)
class Source:
    """An image layer as it was when the work began; the layer itself may be gone when it ends.

    Attributes
    ----------
    name
        Of the layer.
    data
        Its array, of a multiscale layer the finest level; never modified.
    axes, channel_axis
        As in `denoise`.
    rgb
        Whether the last axis holds colours.
    look
        Place, units, axis labels, colours and contrast, as arguments of ``add_image``.
    contrast_range
        How far the contrast can be set.
    metadata
        Of the layer.
    model
        To work on it with; None for the default one.
    """

    name: str
    data: Any
    axes: str | None
    channel_axis: int | None
    rgb: bool
    look: dict[str, Any] = field(default_factory=dict, repr=False)
    contrast_range: tuple[float, ...] | None = None
    metadata: dict[str, Any] = field(default_factory=dict, repr=False)
    model: str | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "Source":
        """Itself: duplicating a layer in napari must not copy the image that it was made from."""
        return self

    @property
    def settings(self) -> dict[str, Any]:
        """What the layer and the model decide of the settings of `denoise`."""
        chosen: dict[str, Any] = {"model": self.model or DEFAULTS.model, "axes": self.axes, "channel_axis": self.channel_axis}
        # filters are those of images as they are, and are to be those that made the result
        chosen["noise"] = "none"
        if self.rgb:
            # napari shows colours of floats in 0–1 and of integers in their full range: keep what it was
            chosen["output_dtype"] = "input"
        if isinstance(self.data, np.ndarray):
            # of arrays that are not in memory, whole planes would have to be read for this
            chosen["nonfinite"] = "keep"
        return chosen

    def result_look(self) -> dict[str, Any]:
        """Arguments of ``add_image`` for a result: the same place, the same look, the notes of the source."""
        return {**self.look, "name": f"{self.name} denoised", "multiscale": False, "metadata": dict(self.metadata)}


def read_layer(layer: "Image", model: str | None = None) -> Source:
    """Take what is needed of an image layer, to work on with a model; on the main thread."""
    data = finest(layer)
    look = {key: value for key, value in layer.as_layer_data_tuple()[1].items() if key not in _NOT_CARRIED}
    axes = letters_of(tuple(layer.axis_labels), layer.rgb)
    if axes is None and not layer.rgb and data.shape[-1] in _COLOUR_LENGTHS:
        axes = letters_for(data.ndim)  # core would ask whether this is colour; the layer says that it is not
    channel_axis = -1 if layer.rgb and axes is None else None
    metadata = {key: value for key, value in layer.metadata.items() if key != SOURCE_KEY}
    contrast_range = None if layer.rgb else tuple(layer.contrast_limits_range)
    return Source(layer.name, data, axes, channel_axis, bool(layer.rgb), look, contrast_range, metadata, model)


def finest(layer: "Image") -> Any:
    """The array of a layer, of a multiscale one the finest level."""
    return layer.data[0] if layer.multiscale else layer.data


def letters_of(labels: tuple[str, ...], rgb: bool = False) -> str | None:
    """One letter for each axis; None if the labels don't say where Y and X are, as napari's own "-2" and "-1" don't."""
    letters = "".join(_letter(label) for label in labels)
    if letters.count("Y") != 1 or letters.count("X") != 1:
        return None
    return distinct_letters(letters + "S" if rgb else letters)


def _letter(label: str) -> str:
    name = label.strip().lower()
    if name in _LETTERS:
        return _LETTERS[name]
    return name[0].upper() if name and _PLAIN_NAMES.get(name[0], "").startswith(name) else "?"


def shown_position(viewer: "Viewer", layer: "Image") -> tuple[int, ...]:
    """The pixel of a layer's array in the middle of what the viewer shows of it."""
    lengths = np.array(finest(layer).shape[: layer.ndim])
    point = np.array(layer.world_to_data(viewer.dims.point), float)
    missing = viewer.dims.ndim - layer.ndim
    shown = [axis - missing for axis in viewer.dims.displayed if axis >= missing]
    point[shown] = _middle_of_view(layer, lengths)[shown]
    position = [int(at) for at in np.clip(np.rint(point), 0, lengths - 1)]
    return (*position, 0) if layer.rgb else tuple(position)


def _middle_of_view(layer: "Image", lengths: np.ndarray) -> np.ndarray:
    corners = np.asarray(layer.corner_pixels, float)
    if not corners.any():  # never drawn yet
        return lengths / 2
    factors = np.asarray(layer.downsample_factors[layer.data_level])[: layer.ndim] if layer.multiscale else 1
    return np.asarray(corners.mean(axis=0) * factors)


def is_result(layer: "Image") -> bool:
    """Whether a layer was made by denoising."""
    return SOURCE_KEY in layer.metadata or KEY in layer.metadata


def is_helper(layer: "Layer") -> bool:
    """Whether a layer only helps to look at others, as a filter, a preview or a curtain does."""
    return HELPER_KEY in layer.metadata
