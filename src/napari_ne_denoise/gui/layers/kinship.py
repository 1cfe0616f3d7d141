"""Which layer was made from which, and which part of it: the one place that answers."""

from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from napari.layers import Image

from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.layers.layer_data import HELPER_KEY, SOURCE_KEY, Source, finest, read_layer
from napari_ne_denoise.gui.layers.records import name_of_source, settings_in

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer

Window = tuple[slice, ...]


def is_result(layer: "Layer") -> bool:
    """Whether a layer was made by denoising."""
    return SOURCE_KEY in layer.metadata or KEY in layer.metadata


def is_helper(layer: "Layer") -> bool:
    """Whether a layer only helps to look at others, as a filter, a preview or a curtain does."""
    return HELPER_KEY in layer.metadata


def image_layers(viewer: "Viewer") -> list[Any]:
    """Image layers that can be denoised, the lowest first."""
    return [layer for layer in viewer.layers if isinstance(layer, Image) and not is_helper(layer)]


def source_of(layer: "Layer | None") -> Source | None:
    """What a result of this session remembers of the image it was made from."""
    source: Source | None = None if layer is None else layer.metadata.get(SOURCE_KEY)
    return source


def image_of(viewer: "Viewer", result: "Image", record: dict[str, Any] | None = None) -> Any:
    """The layer that a result was made from, if it is there: the very array in this session, else what the record names; or None.

    Parameters
    ----------
    record
        Of the result, as its file tells it.  None: that in its metadata.
    """
    source, record = source_of(result), record or _record(result)
    for layer in image_layers(viewer):
        is_meant = _is_named(layer, record) if source is None else finest(layer) is source.data
        if is_meant and layer != result and window_in(layer, result) is not None:
            return layer
    return None


def noisy_of(viewer: "Viewer", result: "Image") -> Source | None:
    """The image that a result was made from, as it was, or as far as its record tells; None if it is not there."""
    source, image = source_of(result), None
    if source is None:
        image = image_of(viewer, result)
    if image is None:
        return source
    settings = settings_in(_record(result))
    wishes = {name: settings[name] for name in ("hot_pixels",) if name in settings}
    found, axes = read_layer(image, settings.get("model"), wishes=wishes), settings.get("axes")
    if isinstance(axes, str) and len(axes) == len(found.data.shape):  # as they were then, whatever one would guess now
        found = replace(found, axes=axes, channel_axis=settings.get("channel_axis"))
    return replace(found, part=_part(result))


def made_from(viewer: "Viewer", image: "Image") -> list[Any]:
    """The layers that were made from a layer, the lowest first, also those that are not finished."""
    return [other for other in image_layers(viewer) if is_result(other) and image_of(viewer, other) == image]


def results_of(viewer: "Viewer", image: "Image | None") -> list[Any]:
    """The finished results of a layer, the newest last."""
    found = [] if image is None else [other for other in made_from(viewer, image) if KEY in other.metadata]
    return sorted(found, key=lambda other: str(_record(other).get("made", "")))


def result_at_hand(viewer: "Viewer", image: "Image | None") -> Any:
    """The finished result of a layer that is active, else its newest one; None if there is none."""
    results = results_of(viewer, image)
    active = viewer.layers.selection.active
    return active if active in results else next(reversed(results), None)


def partners_of(viewer: "Viewer", after: "Image | None") -> list[Any]:
    """Layers that one can be compared with pixel by pixel, the uppermost first."""
    if after is None:
        return []
    return [layer for layer in reversed(image_layers(viewer)) if layer != after and window_in(layer, after) is not None]


def newest_result(viewer: "Viewer") -> Any:
    """The uppermost layer that was made by denoising; without any, the uppermost that has a partner; None without these."""
    layers = list(reversed(image_layers(viewer)))
    results = [layer for layer in layers if is_result(layer)]
    paired = (layer for layer in layers if partners_of(viewer, layer))
    return results[0] if results else next(paired, None)


def window_in(image: "Image", result: "Image") -> Window | None:
    """Where in the array of an image that of another layer lies, which was made from it or has its shape; None if nowhere."""
    shape, small = tuple(finest(image).shape), tuple(finest(result).shape)
    if image.rgb != result.rgb:
        return None
    if shape == small:
        return tuple(slice(0, length) for length in shape)
    source, part = source_of(result), _part(result)
    if part is None or (source is not None and finest(image) is not source.data):
        return None
    fits = len(part) == len(shape) and all(window.stop <= length for window, length in zip(part, shape, strict=True))
    return part if fits and small == tuple(window.stop - window.start for window in part) else None


def _part(result: "Image") -> Window | None:
    """Which part of the image was denoised; None: all of it, or a record that does not tell."""
    source = source_of(result)
    if source is not None:
        return source.part
    part = _record(result).get("part")
    if not isinstance(part, list) or not all(_is_span(ends) for ends in part):
        return None
    return tuple(slice(start, stop) for start, stop in part)


def _is_named(layer: "Layer", record: dict[str, Any]) -> bool:
    """Whether a record names a layer, or the file that it was opened from."""
    name, path = name_of_source(record), layer.source.path
    return layer.name == record.get("source_layer") or bool(name and path and _ends_with(path, name))


def _ends_with(path: str, name: str) -> bool:
    """Whether a path leads to a file, or an image within an OME-Zarr, of that name."""
    parts = PurePosixPath(name).parts
    return Path(path).parts[-len(parts) :] == parts


def _is_span(ends: Any) -> bool:
    return isinstance(ends, list | tuple) and len(ends) == 2 and all(isinstance(end, int) for end in ends)


def _record(layer: "Layer") -> dict[str, Any]:
    record = layer.metadata.get(KEY)
    return record if isinstance(record, dict) else {}
