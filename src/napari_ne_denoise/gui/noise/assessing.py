"""What the thread of a dock does to tell how good a result is."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.layers.kinship import noisy_of
from napari_ne_denoise.gui.layers.layer_data import Source, channel_of, finest, shown_position

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer

    from napari_ne_denoise.core.quality.assessment import QualityProgress


@dataclass(frozen=True, eq=False)
class Judged:
    """A result, what it was made from, and the record of how.

    Attributes
    ----------
    source
        The noisy layer as it was, and which part of it was denoised.
    values
        The result.
    record
        Of the run.
    """

    source: Source
    values: Any
    record: dict[str, Any]


def judged_of(viewer: "Viewer", layer: "Image | None") -> Judged | None:
    """What can be judged of a layer, on the main thread; None of one that is no finished result of an image that is known."""
    source = None if layer is None or KEY not in layer.metadata else noisy_of(viewer, layer)
    if layer is None or source is None or tuple(finest(layer).shape) != source.shape:
        return None
    return Judged(source, finest(layer), layer.metadata[KEY])


def shown_channel(viewer: "Viewer", layer: "Image", source: Source) -> int | None:
    """The channel of the image that the viewer shows of a result; None where there are no channels."""
    return channel_of(source, tuple(at + first for at, first in zip(shown_position(viewer, layer), source.origin, strict=True)))


def assess_result(judged: Judged, channel: int | None) -> "Iterator[QualityProgress]":
    """The work of a thread; the last that it yields holds what was found."""
    from napari_ne_denoise.core.quality.assessment import iter_quality, settings_of  # brings torch along

    source = judged.source
    yield from iter_quality(source.data, judged.values, channel=channel, part=source.part, **settings_of(judged.record))
