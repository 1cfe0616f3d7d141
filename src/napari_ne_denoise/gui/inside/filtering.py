"""From a clicked pixel to the filter that made it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ne_denoise.core.axes import PlaneLayout, plan_planes
from napari_ne_denoise.core.errors import ImageError
from napari_ne_denoise.core.noise.repaired import RepairedImage
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.core.settings import DEFAULTS
from napari_ne_denoise.core.words import percent
from napari_ne_denoise.gui.inside.filter_layer import Piece
from napari_ne_denoise.gui.layers.kinship import is_result, noisy_of
from napari_ne_denoise.gui.layers.layer_data import BLEND_KEY, Source, finest, read_layer
from napari_ne_denoise.gui.layers.records import settings_in

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer

    from napari_ne_denoise.core.jacobian.filters import Filter

# what may have been made of noise before the network saw it
TREATMENTS = {"stabilised": "the same at every brightness", "whitened": "white"}
# of a pixel of three colours, the filter of this one is shown
GREEN = 1
NO_WIDTH = "none"
WHY_NO_WIDTH = f"{NO_WIDTH}: no Gaussian filter blurs as this one does, as on thin fibres"


@dataclass(frozen=True, eq=False)
class Pixel:
    """A clicked pixel, and the noisy image behind it.

    Attributes
    ----------
    layer
        That was clicked.
    source
        The noisy image.
    position
        In the array of both.
    value
        What a denoised layer shows there; None for a noisy one.
    strength
        Of the denoised layer, 0 to 1.
    is_live
        Whether the mouse is passing over it, and speed counts more than digits.
    is_kept
        Whether it is to become a pin.
    """

    layer: Any
    source: Source
    position: tuple[int, ...]
    value: float | None
    strength: float = DEFAULTS.strength
    is_live: bool = False
    is_kept: bool = False

    @property
    def layer_position(self) -> tuple[int, ...]:
        """In the layer, which may show only a part of the array, and whose axes leave out colours."""
        origin = self.source.origin if is_result(self.layer) else (0,) * len(self.position)
        return tuple(at - first for at, first in zip(self.position, origin, strict=True))[: self.layer.ndim]

    def is_at(self, other: "Pixel | None") -> bool:
        """Whether another one is the same pixel of the same layer, as that looks now."""
        return other is not None and (self.layer, self.position, self.strength) == (other.layer, other.position, other.strength)


def pixel_at(viewer: "Viewer", layer: "Image", world: tuple[float, ...]) -> Pixel:
    """The pixel of a layer at a place in the world.

    Raises
    ------
    ImageError
        If it is outside the layer, or the layer's noisy image is not there.
    """
    shown = tuple(int(at) for at in np.rint(layer.world_to_data(world)))
    source = any_source_of(viewer, layer)
    if any(not 0 <= at < length for at, length in zip(shown, finest(layer).shape, strict=False)):
        raise ImageError("This is outside the image.")
    if source.rgb:
        shown = (*shown, GREEN)
    if not is_result(layer):
        return Pixel(layer, source, shown, None)
    position = tuple(at + first for at, first in zip(shown, source.origin, strict=True))
    return Pixel(layer, source, position, float(np.asarray(finest(layer)[shown])), strength_of(layer))


def at_present(pixel: Pixel) -> Pixel:
    """The same pixel of a layer whose strength may have been changed."""
    shown = pixel.layer_position + pixel.position[pixel.layer.ndim :]
    return replace(
        pixel, value=float(np.asarray(finest(pixel.layer)[shown])), strength=strength_of(pixel.layer), is_live=False, is_kept=False
    )


def strength_of(layer: "Image") -> float:
    """At which strength a result is shown."""
    if BLEND_KEY in layer.metadata and layer.metadata[BLEND_KEY].belongs_to(layer):
        return float(layer.metadata[BLEND_KEY].strength)
    return float(settings_in(layer.metadata.get(KEY)).get("strength", DEFAULTS.strength))


def noisy_source_of(viewer: "Viewer", layer: "Image") -> Source:
    """What a layer was made from, or the layer itself if it was not made by denoising; for what needs filters of the image itself.

    Raises
    ------
    ImageError
        If it is not there, or if what was made of it first leaves its pixels without such filters.
    """
    if is_result(layer):
        _refuse_if_treated(layer.metadata.get(KEY, {}))
    return any_source_of(viewer, layer)


def any_source_of(viewer: "Viewer", layer: "Image") -> Source:
    """What a layer was made from, or the layer itself if it was not made by denoising.

    Raises
    ------
    ImageError
        If it is not there.
    """
    if not is_result(layer):
        return read_layer(layer)
    source = noisy_of(viewer, layer)
    if source is not None:
        return source
    name = layer.metadata[KEY].get("source_layer")
    raise ImageError(f"The filter is computed from the noisy image: open it, name its layer {name!r}, and click again.")


def _refuse_if_treated(record: Any) -> None:
    decided = record.get("decided") if isinstance(record, Mapping) else None
    noise = decided.get("noise") if isinstance(decided, Mapping) else None
    treated = [each for each in noise if isinstance(each, Mapping)] if isinstance(noise, list) else []
    done = [words for key, words in TREATMENTS.items() if any(each.get(key) for each in treated)]
    if done:
        raise ImageError(
            f"Its noise was made {' and '.join(done)} before the network saw it, so no filter of the image itself made its pixels. "
            'Denoise again with "Noise" at "none", under Advanced, and take that result.'
        )


def seen_by_network(source: Source) -> Any:
    """The noisy image, with its hot pixels repaired if that was wished; in a thread."""
    from napari_ne_denoise.core.inference import prepare_denoising

    if source.wishes.get("hot_pixels", DEFAULTS.hot_pixels) != "repair":
        return source.data
    run = prepare_denoising(source.data, **source.settings)
    return RepairedImage(run.repairs, run.layout, source.data.dtype)


def layout_of(pixel: Pixel) -> PlaneLayout:
    """How the array of its image is cut into planes."""
    return plan_planes(pixel.source.data.shape, pixel.source.axes, pixel.source.channel_axis)


def point_of(pixel: Pixel) -> tuple[int, int]:
    """Its row and column in its plane."""
    layout = layout_of(pixel)
    return pixel.position[layout.rows], pixel.position[layout.columns]


def cut_out(pixel: Pixel, found: "Filter", side: int) -> tuple[np.ndarray, tuple[int, int]]:
    """The weights (Y, X) in a square around the pixel, and the pixel's place in it."""
    point = point_of(pixel)
    cut = found.around(point, side)
    return cut.weights, (point[0] - cut.origin[0], point[1] - cut.origin[1])


def piece_of(pixel: Pixel, found: "Filter", side: int, seen: Callable[[np.ndarray], np.ndarray] = np.asarray) -> Piece:
    """The weights in a square around the pixel, with all axes of its layer, as they are to be seen."""
    weights, centre = cut_out(pixel, found, side)
    layout = layout_of(pixel)
    lengths, origin = [1] * len(layout.shape), list(pixel.layer_position)
    for axis, length, at in zip((layout.rows, layout.columns), weights.shape, centre, strict=True):
        lengths[axis] = length
        origin[axis] -= at
    return Piece(layout.to_image(seen(weights)).reshape(lengths[: pixel.layer.ndim]), tuple(origin))


def describe(pixel: Pixel, found: "Filter", numbers: Mapping[str, float]) -> dict[str, str]:
    """What there is to say of a filter: a value for each name; numbers are empty while the mouse passes."""
    mean, stabilised = found.mean_weight, found.domain == "stabilised"
    share = f"{percent(found.total - mean, 1)} pixels, {percent(mean, 1)} image mean" if abs(mean) > 5e-4 else ""
    unit = " (stabilised)" if stabilised else ""
    return {
        "Pixel": _where(pixel),
        "World": _where_in_world(pixel),
        "Sum of weights": f"{found.total:.3f}",
        "of these": share,
        "Output value": number(found.output if pixel.value is None else pixel.value),
        "Network gave": f"{number(found.value)}{unit}" if stabilised else "",
        "Σ w·y": f"{number(found.weighted_sum)}{unit}",
        "Besides": besides(found),
        "Pixels averaged": f"{found.pixels_averaged:.1f}" if np.isfinite(found.pixels_averaged) else "–",
        "Width": _width(pixel, numbers),
        "Residual noise": number(numbers["residual noise"]) if numbers else "",
    }


def besides(found: "Filter") -> str:
    """What the pixel has besides weights times image: each with its share of the value; empty if nothing."""
    parts = (("from σ", found.from_sigma), ("from the image's spread", found.from_spread), ("from constants", found.constant))
    said = [f"{value:+.4g} {name} ({100 * value / found.value:.3g} %)" for name, value in parts if value and found.value]
    return ", ".join(said)


def _width(pixel: Pixel, numbers: Mapping[str, float]) -> str:
    if not numbers:
        return ""
    width, turned = numbers["width (px)"], numbers["orientation (°)"]
    if not np.isfinite(width):
        return NO_WIDTH
    size, unit = pixel_size(pixel)
    in_unit = f" = {width * size:.3g} {unit}" if unit else ""
    return f"{width:.3g} px{in_unit}, longest at {turned:.0f}°"


def pixel_size(pixel: Pixel) -> tuple[float, str]:
    """Side of a pixel and its unit, where rows and columns share both; else no unit."""
    layout = layout_of(pixel)
    scales, units = ([values[axis] for axis in (layout.rows, layout.columns)] for values in (pixel.layer.scale, pixel.layer.units))
    name = f"{units[0]:~P}"
    if not np.isclose(*scales) or units[0] != units[1] or name in ("", "px", "pixel"):
        return 1.0, ""
    return float(scales[0]), name


def number(value: float) -> str:
    """A pixel value as people read it: five digits, and never fewer than two behind the point of a large one."""
    return f"{value:.5g}" if abs(value) < 1e4 else f"{value:.2f}"


def _where(pixel: Pixel) -> str:
    position = pixel.position[: pixel.layer.ndim]
    axes = pixel.source.axes or "?" * (len(position) - 2) + "YX"
    named = [f"{letter.lower()} {at}" if letter in "TZCYX" else str(at) for letter, at in zip(axes, position, strict=False)]
    return ", ".join(named) + (" (green)" if pixel.source.rgb else "")


def _where_in_world(pixel: Pixel) -> str:
    places = [f"{at:.4g}" for at in pixel.layer.data_to_world(pixel.layer_position)]
    units = [f"{unit:~P}" for unit in pixel.layer.units]
    if len(set(units)) == 1:
        return f"{', '.join(places)} {units[0]}"
    return ", ".join(f"{place} {unit}" for place, unit in zip(places, units, strict=True))
