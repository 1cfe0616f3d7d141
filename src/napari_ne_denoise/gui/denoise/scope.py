"""What Denoise is applied to: the plane that is shown, the whole layer, or all layers that are selected."""

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ne_denoise.core.memory import free_memory_of_machine
from napari_ne_denoise.gui.layers.kinship import image_layers, is_result
from napari_ne_denoise.gui.layers.layer_data import finest

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer

    from napari_ne_denoise.gui.layers.readings import Reading

PLANE, WHOLE, SELECTED = "plane", "whole", "selected"
MEMORY, LAZY, DISK = "memory", "lazy", "disk"

# a result that takes more of the free memory than this is better computed as it is looked at
LARGEST_SHARE = 0.25
# bytes of a plane, beyond which the viewer, which shows whole planes, would be slow with what is there of it
LARGEST_LAZY_PLANE = 2**28


def scopes_of(viewer: "Viewer", layer: "Image | None", reading: "Reading | None") -> list[tuple[str, str, str]]:
    """Texts, values and explanations of what there is to choose; one where there is no choice."""
    planes = 1 if layer is None or reading is None else plane_count(layer, reading)
    whole = ("the whole stack", WHOLE, f"All {planes} planes of the layer, the one that is shown first.")
    plane = ("this plane", PLANE, "The plane that is shown now; the result lies where that plane lies, and nowhere else.")
    choices = [whole, plane] if planes > 1 else [("this layer", WHOLE, "The layer in the first box.")]
    selected = selected_images(viewer)
    if len(selected) > 1:
        explanation = "One after another: " + ", ".join(layer.name for layer in selected)
        choices.append((f"all {len(selected)} selected layers", SELECTED, explanation))
    return choices


def stores_of(layer: "Image | None", reading: "Reading | None") -> list[tuple[str, str, str]]:
    """Texts, values and explanations of where the result may be, the best first; one where there is no choice."""
    in_memory = ("in memory", MEMORY, "All of it is computed now.")
    if layer is None or reading is None:
        return [in_memory]
    data, planes = finest(layer), plane_count(layer, reading)
    size = prod(data.shape) * max(data.dtype.itemsize, np.dtype(np.float32).itemsize)
    is_large = size > LARGEST_SHARE * free_memory_of_machine()
    is_elsewhere = isinstance(data, np.memmap) or not isinstance(data, np.ndarray)
    if not (is_large or is_elsewhere):
        return [in_memory]
    takes = f"The result takes {_bytes(size)}."
    lazily = (
        "computed when shown",
        LAZY,
        f"Nothing is stored: a plane is computed when the viewer shows it, or when the layer is saved.\n{takes} "
        "Strength is that of the slider now.",
    )
    on_disk = (
        "OME-Zarr on disk…",
        DISK,
        f"All of it is computed now, into a folder that you name, and needs not fit into memory; the file is then shown.\n{takes} "
        "Strength is that of the slider now.",
    )
    lazy = [] if planes == 1 or size // planes > LARGEST_LAZY_PLANE else [lazily]
    disk = [] if layer.rgb else [on_disk]
    return [*lazy, in_memory, *disk] if is_large else [in_memory, *lazy, *disk]


def _bytes(size: int) -> str:
    return f"{size / 2**30:.2g} GiB" if size >= 2**29 else f"{size / 2**20:.2g} MiB"


def selected_images(viewer: "Viewer") -> "list[Image]":
    """The image layers that are selected, in the order of the layer list; results only if nothing else is."""
    selected: list[Any] = [layer for layer in image_layers(viewer) if layer in viewer.layers.selection]
    return [layer for layer in selected if not is_result(layer)] or selected


def plane_count(layer: "Image", reading: "Reading") -> int:
    """How many planes there are, with all colours in one."""
    shape = finest(layer).shape
    lengths = shape[: layer.ndim]
    axes = reading.axes
    rows, columns = (axes.index("Y"), axes.index("X")) if axes else (len(lengths) - 2, len(lengths) - 1)
    count = 1
    for axis, length in enumerate(lengths):
        if axis not in (rows, columns):
            count *= length
    return count
