"""The settings that a layer was made with, or that its newest result was made with."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from napari_ne_denoise.core.io import find_provenance
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.layers.layer_data import layers_made_from

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer

# what belongs to an image; device and tile size belong to the machine
RESTORED = ("model", "axes", "channel_axis", "noise", "hot_pixels", "output_dtype", "strength")


def settings_known_of(viewer: "Viewer", layer: "Image") -> dict[str, Any]:
    """What the record of a layer says, or that of its newest result in the viewer; empty if there is none."""
    own = settings_in(layer.metadata.get(KEY))
    if own:
        return own
    records = [other.metadata[KEY] for other in layers_made_from(viewer, layer) if KEY in other.metadata]
    return settings_in(max(records, key=lambda record: str(record.get("made", "")), default=None))


def settings_in(record: Any) -> dict[str, Any]:
    """The settings in a record, as far as they can be shown; a record from a file may hold anything."""
    settings = record.get("settings") if isinstance(record, Mapping) else None
    if not isinstance(settings, Mapping):
        return {}
    found = {name: settings[name] for name in RESTORED if name in settings}
    strength = found.get("strength", 1.0)
    if isinstance(strength, bool) or not isinstance(strength, int | float) or not 0 <= strength <= 1:
        del found["strength"]
    return found


def path_of(layer: "Image") -> str | None:
    """The file that a layer was opened from; None if from none."""
    path = layer.source.path
    return path if isinstance(path, str) and path else None


def read_settings(path: str) -> Iterator[dict[str, Any]]:
    """The work of a thread: the settings in the record of a file; empty if it has none."""
    yield settings_in(find_provenance(path))
