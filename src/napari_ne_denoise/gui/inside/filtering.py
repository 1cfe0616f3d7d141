"""From a clicked pixel to the filter that made it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ne_denoise.core.axes import plan_planes
from napari_ne_denoise.core.errors import ImageError
from napari_ne_denoise.core.noise.repaired import RepairedImage
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.core.settings import DEFAULTS
from napari_ne_denoise.gui.inside.filter_layer import crop
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
    source = noisy_source_of(viewer, layer)
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
    """What a layer was made from, or the layer itself if it was not made by denoising.

    Raises
    ------
    ImageError
        If it is not there, or if what was made of it first leaves its pixels without filters.
    """
    if not is_result(layer):
        return read_layer(layer)
    _refuse_if_treated(layer.metadata.get(KEY, {}))
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


def compute_filter(pixel: Pixel) -> Iterator["Filter"]:
    """The work of a thread: all weights that the network gave.

    Where the mouse is passing they come from a pass in float32, which takes a twentieth of the time; where it rests or clicks, in float64.
    """
    from napari_ne_denoise.core.jacobian.filters import adaptive_filter  # brings torch

    source = pixel.source
    model, axes, channel_axis = source.model or DEFAULTS.model, source.axes, source.channel_axis
    image = seen_by_network(source)
    settings: dict[str, Any] = {"model": model, "axes": axes, "channel_axis": channel_axis, "strength": pixel.strength}
    yield adaptive_filter(image, pixel.position, **settings, precision="float32" if pixel.is_live else "float64")


def seen_by_network(source: Source) -> Any:
    """The noisy image, with its hot pixels repaired if that was wished; in a thread."""
    from napari_ne_denoise.core.inference import prepare_denoising

    if source.wishes.get("hot_pixels", DEFAULTS.hot_pixels) != "repair":
        return source.data
    run = prepare_denoising(source.data, **source.settings)
    return RepairedImage(run.repairs, run.layout, source.data.dtype)


def cut_out(pixel: Pixel, found: "Filter", side: int) -> tuple[np.ndarray, tuple[int, int]]:
    """The weights (Y, X) in a square around the pixel, and the pixel's place in it."""
    layout = plan_planes(pixel.source.data.shape, pixel.source.axes, pixel.source.channel_axis)
    point = pixel.position[layout.rows], pixel.position[layout.columns]
    weights, origin = crop(found.weights, found.origin, point, side)
    return weights, (point[0] - origin[0], point[1] - origin[1])


def on_layer_axes(pixel: Pixel, weights: np.ndarray, centre: tuple[int, int]) -> tuple[np.ndarray, tuple[int, ...]]:
    """The same weights with all axes of the layer, and the place of the first one in it.

    Parameters
    ----------
    pixel
        That they belong to.
    weights, centre
        From `cut_out`.
    """
    layout = plan_planes(pixel.source.data.shape, pixel.source.axes, pixel.source.channel_axis)
    lengths, origin = [1] * len(layout.shape), list(pixel.layer_position)
    for axis, length, at in zip((layout.rows, layout.columns), weights.shape, centre, strict=True):
        lengths[axis] = length
        origin[axis] -= at
    return layout.to_image(weights).reshape(lengths[: pixel.layer.ndim]), tuple(origin)


def describe(pixel: Pixel, found: "Filter") -> dict[str, str]:
    """What there is to say of a filter: a value for each name."""
    mean, energy = found.mean_weight, float((found.weights**2).sum())
    share = f"{100 * (found.total - mean):.1f} % pixels, {100 * mean:.1f} % image mean" if abs(mean) > 5e-4 else ""
    return {
        "Pixel": _where(pixel),
        "World": _where_in_world(pixel),
        "Sum of weights": f"{found.total:.3f}",
        "of these": share,
        "Output value": number(found.output if pixel.value is None else pixel.value),
        "Σ w·y": number(found.weighted_sum),
        "Pixels averaged": f"{1 / energy:.1f}" if energy else "–",
    }


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
