"""What the thread of a dock does to tell how good a result is."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.layers.layer_data import SOURCE_KEY, Source, finest

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_ne_denoise.core.quality.assessment import QualityProgress


@dataclass(frozen=True, eq=False)
class Judged:
    """A result, what it was made from, and the record of how.

    Attributes
    ----------
    source
        The noisy layer as it was.
    values
        The result.
    record
        Of the run.
    """

    source: Source
    values: Any
    record: dict[str, Any]


def judged_of(layer: "Image | None") -> Judged | None:
    """What can be judged of a layer, on the main thread; None of one that is no finished result of an image that is still there."""
    if layer is None or SOURCE_KEY not in layer.metadata or KEY not in layer.metadata:
        return None
    values, source = finest(layer), layer.metadata[SOURCE_KEY]
    return Judged(source, values, layer.metadata[KEY]) if values.shape == source.data.shape else None


def assess_result(judged: Judged, channel: int | None) -> "Iterator[QualityProgress]":
    """The work of a thread; the last that it yields holds what was found."""
    from napari_ne_denoise.core.quality.assessment import iter_quality, settings_of  # brings torch along

    yield from iter_quality(judged.source.data, judged.values, channel=channel, **settings_of(judged.record))
