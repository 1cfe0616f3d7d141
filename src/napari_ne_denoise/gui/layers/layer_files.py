"""From a layer to what a file holds, and back."""

from typing import Any

import numpy as np

from napari_ne_denoise.core.io import ImageFile, letters_for
from napari_ne_denoise.core.io.image_file import unit_in_words, usual_unit
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.layers.readings import letters_of

PIXEL = "pixel"  # napari's unit of layers that have none


def layer_as_file(data: Any, meta: dict[str, Any]) -> tuple[ImageFile, list[str]]:
    """What a file shall hold of an image layer, and what of it no file of ours can hold.

    Parameters
    ----------
    data
        The layer's array, or of a multiscale layer its arrays, of which the finest counts.
    meta
        As napari hands it to writers.
    """
    pixels = data[0] if meta.get("multiscale") else data
    rgb = bool(meta.get("rgb"))
    count = pixels.ndim - rgb
    labels = tuple(str(label) for label in meta.get("axis_labels") or ())
    axes = letters_of(labels, rgb) or letters_for(count) + "S" * rgb
    scale = np.abs(np.asarray(meta.get("scale", [1.0] * count), float))
    units = [usual_unit(str(unit)) for unit in meta.get("units") or [PIXEL] * count]
    sizes = {axis: (float(size), unit) for axis, size, unit in zip(axes, scale, units, strict=False) if (size, unit) != (1.0, PIXEL)}
    places = zip(axes, np.asarray(meta.get("translate", [0.0] * count), float), strict=False)
    record = meta.get("metadata", {}).get(KEY)
    image = ImageFile(
        pixels,
        axes,
        sizes,
        name=str(meta.get("name", "")),
        provenance=record if isinstance(record, dict) else None,
        origin={axis: float(place) for axis, place in places if place},
    )
    return image, _lost(meta, count)


def file_as_layer(image: ImageFile) -> tuple[Any, dict[str, Any], str]:
    """A layer, as napari takes it from readers and samples: in the place and the units that the file tells."""
    axes = image.axes or letters_for(image.pixels.ndim)
    rgb = axes.endswith("S") and image.pixels.shape[-1] in (3, 4)
    letters = axes[:-1] if rgb else axes
    sizes = [image.pixel_size.get(letter, (1.0, PIXEL)) for letter in letters]
    meta = {
        "name": image.name,
        "rgb": rgb,
        "axis_labels": tuple(letters.lower()),
        "scale": [size for size, _ in sizes],
        "units": [unit_in_words(unit) for _, unit in sizes],
        "translate": [image.origin.get(letter, 0.0) for letter in letters],
        "metadata": {KEY: image.provenance} if image.provenance else {},
    }
    return image.pixels, meta, "image"


def _lost(meta: dict[str, Any], count: int) -> list[str]:
    """What a layer has that our files have no place for."""
    neutral = {"rotation": ("rotate", np.eye(count)), "shear": ("shear", 0.0), "affine transformation": ("affine", np.eye(count + 1))}
    lost = [name for name, (key, nothing) in neutral.items() if not _is_nothing(meta.get(key), nothing)]
    return lost + (["mirroring (a negative scale)"] if np.any(np.asarray(meta.get("scale", 1)) < 0) else [])


def _is_nothing(value: Any, nothing: Any) -> bool:
    return value is None or bool(np.allclose(np.asarray(value, float), nothing))
