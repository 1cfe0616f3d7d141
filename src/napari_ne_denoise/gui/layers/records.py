"""How a layer was made: by what stands in its metadata, or in the file that it was opened from."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from napari_ne_denoise.core.io import find_provenance
from napari_ne_denoise.core.provenance import KEY

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer


# what belongs to an image; device and tile size belong to the machine
RESTORED = ("model", "axes", "channel_axis", "noise", "hot_pixels", "output_dtype", "strength")


def record_of(layer: "Layer") -> dict[str, Any] | None:
    """The record of the run that made a layer, here or in an earlier session; None if this program did not make it.

    Of a layer from a file, only the file's metadata are read, within milliseconds.  It may be anybody's file: nothing is raised.
    """
    record = layer.metadata.get(KEY)
    if isinstance(record, dict):
        return record
    return find_provenance(layer.source.path) if layer.source.path else None


def source_path(viewer: "Viewer", record: dict[str, Any]) -> str | None:
    """The file of the layer that a result was made from, as far as that layer is still there and was opened from one."""
    name = record.get("source_layer")
    return viewer.layers[name].source.path if isinstance(name, str) and name in viewer.layers else None


def name_of_source(record: Mapping[str, Any]) -> str | None:
    """What a result was made from, as its record tells: a file, else a layer; None if it tells neither."""
    told = record.get("input")
    names = (told.get("file") if isinstance(told, Mapping) else None, record.get("source_layer"))
    return next((name for name in names if isinstance(name, str) and name), None)


def told_of_noise(record: Any) -> dict[str, Any]:
    """What a record says that the run was told of the noise, as settings of `denoise`; whoever uses them checks them."""
    settings = record.get("settings") if isinstance(record, Mapping) else None
    return {name: settings[name] for name in ("noise", "sigma") if name in settings} if isinstance(settings, Mapping) else {}


def learned_noise(record: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """A transform that was learned for the result, which would else be learned again."""
    if settings.get("noise") != "self-calibrated" or not isinstance(record, Mapping):
        return {}
    decided = record.get("decided")
    noise = decided.get("noise") if isinstance(decided, Mapping) else None
    found = noise[0].get("found") if isinstance(noise, list) and len(noise) == 1 and isinstance(noise[0], Mapping) else None
    return {"noise": found} if isinstance(found, Mapping) else {}


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
