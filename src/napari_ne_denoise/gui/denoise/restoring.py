"""What is known of how a layer was made: from its metadata, from its newest result, or from the file that it was opened from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_ne_denoise.core.io import ImageFile, find_description, find_provenance
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.layers.kinship import results_of
from napari_ne_denoise.gui.layers.records import settings_in

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer


def settings_known_of(viewer: "Viewer", layer: "Image") -> dict[str, Any]:
    """What the record of a layer says, or that of its newest result in the viewer; empty if there is none."""
    own = settings_in(layer.metadata.get(KEY))
    if own:
        return own
    newest = next(reversed(results_of(viewer, layer)), None)
    return {} if newest is None else settings_in(newest.metadata[KEY])


def path_of(layer: "Image") -> str | None:
    """The file that a layer was opened from; None if from none."""
    path = layer.source.path
    return path if isinstance(path, str) and path else None


@dataclass(frozen=True, eq=False)
class Notes:
    """What a file tells of the layer that was opened from it.

    Attributes
    ----------
    record
        Of the run that made it; None if this program did not make it.
    image
        Axes, sizes and place; None if it tells none.
    """

    record: dict[str, Any] | None
    image: ImageFile | None


def read_notes(path: str) -> Iterator[Notes]:
    """The work of a thread: what a file tells, without its pixels."""
    yield Notes(find_provenance(path), find_description(path))


def made_by(record: Mapping[str, Any]) -> str:
    """How and when a layer was denoised, as "fast, 2026-11-25"."""
    model, made = settings_in(record).get("model"), str(record.get("made", ""))[: len("2026-11-25")]
    return ", ".join(part for part in (str(model or ""), made) if part)
