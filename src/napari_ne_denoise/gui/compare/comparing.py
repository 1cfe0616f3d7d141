"""Which two layers are compared: a result and what it was made from, or any two of equal shape."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_ne_denoise.gui.layers.kinship import source_of, window_in
from napari_ne_denoise.gui.layers.layer_data import Source, finest, read_layer

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
    window = None if before is None or after is None else window_in(before, after)
    if before is None or after is None or window is None:
        return None
    source = source_of(after)
    if source is None or finest(before) is not source.data:
        source = read_layer(before)
    whole, denoised = finest(before), finest(after)
    noisy = whole if tuple(whole.shape) == tuple(denoised.shape) else whole[window]
    return Pair(before, after, noisy, denoised, source, tuple(part.start for part in window))


def open_again(viewer: "Viewer", after: "Image") -> Any:
    """Bring the image that a result was made from back, below it."""
    source = source_of(after)
    assert source is not None
    layer = viewer.add_image(source.data, **source.look, name=source.name, metadata=dict(source.metadata))
    viewer.layers.move(viewer.layers.index(layer), viewer.layers.index(after))
    viewer.layers.selection.active = after
    return layer
