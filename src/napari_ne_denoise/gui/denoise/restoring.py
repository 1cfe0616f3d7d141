"""The settings that a layer was made with, or that its newest result was made with."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from napari_ne_denoise.core.io import find_provenance
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


def read_settings(path: str) -> Iterator[dict[str, Any]]:
    """The work of a thread: the settings in the record of a file; empty if it has none."""
    yield settings_in(find_provenance(path))
