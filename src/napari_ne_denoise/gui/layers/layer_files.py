"""From a layer to what a file holds, and back."""

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ne_denoise.core.io import ImageFile, find_description, letters_for
from napari_ne_denoise.core.io.image_file import unit_in_words, usual_unit
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.layers.layer_data import MAP_KEY, SOURCE_KEY, Source, finest
from napari_ne_denoise.gui.layers.readings import letters_of

if TYPE_CHECKING:
    from napari.layers import Image

PIXEL = "pixel"  # napari's unit of layers that have none
# in the order in which a layer is given them
PLACE_TOLD = ("axis_labels", "units", "scale", "translate")


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
    notes = meta.get("metadata", {})
    record = notes.get(KEY) or notes.get(MAP_KEY)
    image = ImageFile(
        pixels,
        axes,
        sizes,
        name=str(meta.get("name", "")),
        provenance=record if isinstance(record, dict) else None,
        origin={axis: float(place) for axis, place in places if place},
        **_noted(notes.get(SOURCE_KEY), axes, pixels.shape),
    )
    return image, _lost(pixels, meta, count)


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


def place_told(image: ImageFile, layer: "Image") -> dict[str, Any] | None:
    """Attributes of a layer, of scale, units, place and axis labels, as the file tells that it was opened from.

    None if the file tells no sizes, holds another array than the layer, or tells nothing that the layer does not know; nor of a layer that
    is mirrored, as an OME-Zarr may be, of which no file of ours tells.

    Parameters
    ----------
    image
        What `find_description` found in the file.
    layer
        Opened by a reader that takes nothing but pixels, as that of napari does.
    """
    if not image.pixel_size or tuple(image.pixels.shape) != tuple(finest(layer).shape) or np.any(np.asarray(layer.scale) < 0):
        return None
    _, meta, _ = file_as_layer(image)
    told = {name: meta[name] for name in PLACE_TOLD}
    if len(told["axis_labels"]) != layer.ndim:
        return None
    numbers = all(np.allclose(told[name], getattr(layer, name)) for name in ("scale", "translate"))
    words = tuple(map(str, layer.units)) == tuple(told["units"]) and tuple(layer.axis_labels) == told["axis_labels"]
    return None if numbers and words else told


def take_place(layer: "Image", told: dict[str, Any]) -> None:
    """Give a layer the place that its file tells."""
    for name in PLACE_TOLD:
        setattr(layer, name, told[name])


def describe_place(told: dict[str, Any]) -> str:
    """Sizes of pixels, as "z 2, y 0.5, x 0.5 micrometer"."""
    sizes = [(label, f"{size:.4g}", unit) for label, size, unit in zip(told["axis_labels"], told["scale"], told["units"], strict=True)]
    texts = []
    for number, (label, size, unit) in enumerate(sizes):
        is_last = number + 1 == len(sizes) or sizes[number + 1][2] != unit
        texts.append(f"{label} {size} {unit}" if is_last else f"{label} {size}")
    return ", ".join(texts)


def _noted(source: Any, axes: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """What a layer has from the file of the image that it was made from, and napari's reader leaves there: names of channels, and so on."""
    told = find_description(source.path) if isinstance(source, Source) and source.path else None
    if told is None or tuple(told.pixels.shape) != tuple(source.data.shape):
        return {}
    noted = {"acquisition": told.acquisition if source.part is None else told.acquisition.of_part(source.part)}
    count = shape[axes.index("C")] if "C" in axes else 1
    channels = {"channel_names": told.channel_names, "channel_colours": told.channel_colours}
    return noted | {name: each for name, each in channels.items() if len(each) == count}


def _lost(pixels: Any, meta: dict[str, Any], count: int) -> list[str]:
    """What a layer has that our files have no place for."""
    neutral = {"rotation": ("rotate", np.eye(count)), "shear": ("shear", 0.0), "affine transformation": ("affine", np.eye(count + 1))}
    lost = [name for name, (key, nothing) in neutral.items() if not _is_nothing(meta.get(key), nothing)]
    others = {"mirroring (a negative scale)": np.any(np.asarray(meta.get("scale", 1)) < 0), "mask": np.ma.is_masked(pixels)}
    return lost + [name for name, there in others.items() if there]


def _is_nothing(value: Any, nothing: Any) -> bool:
    return value is None or bool(np.allclose(np.asarray(value, float), nothing))
