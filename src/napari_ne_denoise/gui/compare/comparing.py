"""Which two layers are compared: a result and what it was made from, or any two of equal shape."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.base.choices import image_layers
from napari_ne_denoise.gui.layers.layer_data import SOURCE_KEY, Source, finest, is_result, read_layer

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer


@dataclass(frozen=True, eq=False)
class Pair:
    """Two layers, and the arrays to compare.

    Attributes
    ----------
    before, after
        The layers; their pixels lie in the same places.
    noisy, denoised
        Their arrays, of one shape.
    source
        The image that `noisy` is, or is a part of, for looking at its noise.
    origin
        Where in it that part begins.
    """

    before: Any
    after: Any
    noisy: Any
    denoised: Any
    source: Source
    origin: tuple[int, ...]

    @property
    def layers(self) -> tuple[Any, Any]:
        """Both."""
        return self.before, self.after

    @property
    def rgb(self) -> bool:
        """Whether the last axis of the arrays holds colours."""
        return bool(self.after.rgb)

    def is_of(self, before: Any, after: Any) -> bool:
        """Whether these are the two, with the arrays that they had."""
        same = self.before == before and self.after == after
        return same and finest(before) is self.source.data and finest(after) is self.denoised


def pair_of(before: "Image | None", after: "Image | None") -> Pair | None:
    """Two layers as they are now; None if there are no two that can be compared."""
    if before is None or after is None or not _fit(before, after):
        return None
    source = source_of(after)
    if source is None or finest(before) is not source.data:
        source = read_layer(before)
    if source.part is None or _same_shape(before, after):
        return Pair(before, after, source.data, finest(after), source, (0,) * len(source.data.shape))
    return Pair(before, after, source.data[source.window], finest(after), source, source.origin)


def partners_of(viewer: "Viewer", after: "Image | None") -> list[Any]:
    """Layers that one can be compared with, the uppermost first."""
    if after is None:
        return []
    return [layer for layer in reversed(image_layers(viewer)) if layer != after and _fit(layer, after)]


def made_from(viewer: "Viewer", after: "Image") -> Any:
    """The layer that a result was made from; None if it is not there."""
    partners = partners_of(viewer, after)
    source = source_of(after)
    if source is not None:
        return next((layer for layer in partners if finest(layer) is source.data), None)
    name = after.metadata.get(KEY, {}).get("source_layer")
    return next((layer for layer in partners if layer.name == name), None)


def source_of(after: "Image | None") -> Source | None:
    """What a result remembers of the image it was made from."""
    source: Source | None = None if after is None else after.metadata.get(SOURCE_KEY)
    return source


def newest_result(viewer: "Viewer") -> Any:
    """The uppermost layer that was made by denoising; without any, the uppermost that has a partner; None without these."""
    layers = list(reversed(image_layers(viewer)))
    results = [layer for layer in layers if is_result(layer)]
    paired = (layer for layer in layers if partners_of(viewer, layer))
    return results[0] if results else next(paired, None)


def open_again(viewer: "Viewer", after: "Image") -> Any:
    """Bring the image that a result was made from back, below it."""
    source = source_of(after)
    assert source is not None
    layer = viewer.add_image(source.data, **source.look, name=source.name, metadata=dict(source.metadata))
    viewer.layers.move(viewer.layers.index(layer), viewer.layers.index(after))
    viewer.layers.selection.active = after
    return layer


def _fit(before: "Image", after: "Image") -> bool:
    """Whether pixel by pixel can be compared: of two of one shape, or of a result and the image that a part of was denoised."""
    source = source_of(after)
    is_source = source is not None and finest(before) is source.data and source.shape == tuple(finest(after).shape)
    return is_source or _same_shape(before, after)


def _same_shape(one: "Image", other: "Image") -> bool:
    return one.rgb == other.rgb and tuple(finest(one).shape) == tuple(finest(other).shape)
