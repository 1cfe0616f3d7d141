"""From a layer to an array with axes, and from a result back to a layer in the same place."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.transforms import Affine

from napari_ne_denoise.core.axes import Index, plan_planes
from napari_ne_denoise.core.errors import NEDenoiseError
from napari_ne_denoise.core.noise.sampling import channel_axes_of
from napari_ne_denoise.core.pixels import LARGEST_PLANE_READ_FOR_WINDOW
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.core.settings import DEFAULTS
from napari_ne_denoise.gui.layers.readings import Reading, readings_of

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer

# Where a result remembers what it was made from. It holds arrays, so unlike the record under KEY it is not for files.
SOURCE_KEY = f"{KEY} source"
# Where it keeps what its strength can be changed by; not for files either.
BLEND_KEY = f"{KEY} blend"
# Marks layers that only help to look at others: no dock offers to work on them.
HELPER_KEY = f"{KEY} helper"
# Where a map of filters keeps how it was made.
MAP_KEY = f"{KEY} map"

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
    wishes
        What else was chosen of the settings of `denoise`.
    part
        Of the array, that is to be denoised: a slice for each axis.  None: all of it.
    path
        Of the file that the layer was opened from, if it was.
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
    wishes: Mapping[str, Any] = field(default_factory=dict)
    part: tuple[slice, ...] | None = None
    path: str | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "Source":
        """Itself: duplicating a layer in napari must not copy the image that it was made from."""
        return self

    @property
    def settings(self) -> dict[str, Any]:
        """What the layer and the user decide of the settings of `denoise`."""
        chosen: dict[str, Any] = {"model": self.model or DEFAULTS.model, "axes": self.axes, "channel_axis": self.channel_axis}
        chosen.update(self.wishes)
        if self.rgb:
            # napari shows colours of floats in 0–1 and of integers in their full range: keep what it was
            chosen["output_dtype"] = "input"
        if self._is_read_whole:
            chosen["nonfinite"] = "keep"
        return chosen

    @property
    def _is_read_whole(self) -> bool:
        """Whether whole planes are there, or are read anyway, so that gaps in them can be filled at no cost."""
        if isinstance(self.data, np.ndarray):
            return True
        try:
            rows, columns = plan_planes(self.data.shape, self.axes, self.channel_axis).plane_shape
        except NEDenoiseError:  # which is told when the work begins
            return False
        return rows * columns * np.dtype(self.data.dtype).itemsize <= LARGEST_PLANE_READ_FOR_WINDOW

    @property
    def window(self) -> tuple[slice, ...]:
        """The part of the array that is denoised, as numbers of pixels; all of it where no part was chosen."""
        return self.part or tuple(slice(0, length) for length in self.data.shape)

    @property
    def origin(self) -> tuple[int, ...]:
        """Where in the array the result begins."""
        return tuple(window.start for window in self.window)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the result."""
        return tuple(window.stop - window.start for window in self.window)

    @property
    def part_record(self) -> dict[str, Any]:
        """Which part of the array was denoised, for the record; nothing for all of it."""
        return {} if self.part is None else {"part": [[window.start, window.stop] for window in self.part]}

    def in_result(self, index: Index) -> Index | None:
        """Where in the result a place of the array is; None if it is outside."""
        if self.part is None:
            return index
        if any(isinstance(at, int) and not window.start <= at < window.stop for at, window in zip(index, self.part, strict=True)):
            return None
        # the part has whole rows and columns, so that only numbers of planes change
        return tuple(at - window.start if isinstance(at, int) else at for at, window in zip(index, self.part, strict=True))

    def only_plane_at(self, position: tuple[int, ...]) -> "Source":
        """The same, but only the plane that holds a position of the array is to be denoised; of colours all of it."""
        layout = plan_planes(self.data.shape, self.axes, self.channel_axis)
        whole = {layout.rows, layout.columns} | ({len(layout.shape) - 1} if self.rgb else set())
        single = [slice(at, at + 1) for at in position]
        part = tuple(slice(0, length) if axis in whole else single[axis] for axis, length in enumerate(layout.shape))
        return replace(self, part=part)

    def result_look(self) -> dict[str, Any]:
        """Arguments of ``add_image`` for a result: the same place, the same look, the notes of the source."""
        look = {**self.look, "name": f"{self.name} denoised", "multiscale": False, "metadata": dict(self.metadata)}
        if self.part is not None:
            look["name"] += f" ({self.place})"
            look["translate"] = translate_at(look["scale"], look["rotate"], look["shear"], look["translate"], self.origin)
        return look

    @property
    def place(self) -> str:
        """Which plane the part is, as in "z 3"."""
        axes = self.axes or "?" * self.data.ndim
        single = [
            (letter, window.start)
            for letter, window, length in zip(axes, self.window, self.data.shape, strict=True)
            if window.stop - window.start < length or (length == 1 and letter not in "YXS?")
        ]
        return ", ".join(f"{letter.lower()} {at}" if letter in "TZC" else f"plane {at}" for letter, at in single) or "plane 0"


def translate_at(scale: Any, rotate: Any, shear: Any, translate: Any, origin: tuple[float, ...]) -> np.ndarray:
    """The ``translate`` of what begins at a place of a layer's array, from the attributes of that layer."""
    ndim = len(scale)
    to_physical = Affine(scale=scale, rotate=rotate, shear=shear, translate=translate, ndim=ndim)
    return np.asarray(to_physical(origin[:ndim]))


def read_layer(layer: "Image", model: str | None = None, reading: Reading | None = None, wishes: Mapping[str, Any] | None = None) -> Source:
    """Take what is needed of an image layer, to work on with a model; on the main thread.

    Parameters
    ----------
    layer
        Any image layer.
    model
        None for the default one.
    reading
        What its axes are.  None: what they are likeliest to be.
    wishes
        What else was chosen of the settings of `denoise`.
    """
    data = finest(layer)
    look = {key: value for key, value in layer.as_layer_data_tuple()[1].items() if key not in _NOT_CARRIED}
    reading = reading or readings_of(layer, data.shape)[0]
    metadata = {key: value for key, value in layer.metadata.items() if key not in (SOURCE_KEY, BLEND_KEY)}
    contrast_range = None if layer.rgb else tuple(layer.contrast_limits_range)
    path = layer.source.path
    return Source(
        layer.name,
        data,
        reading.axes,
        reading.channel_axis,
        bool(layer.rgb),
        look,
        contrast_range,
        metadata,
        model,
        dict(wishes or {}),
        path=path if isinstance(path, str) and path else None,
    )


def finest(layer: "Image") -> Any:
    """The array of a layer, of a multiscale one the finest level."""
    return layer.data[0] if layer.multiscale else layer.data


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


def channel_of(source: Source, position: tuple[int, ...]) -> int | None:
    """The number of the channel at a position of the array; None where there are no channels."""
    axes = channel_axes_of(source.axes, source.channel_axis, source.data.shape)
    number = 0
    for axis in axes:
        number = number * source.data.shape[axis] + position[axis]
    return number if axes else None
