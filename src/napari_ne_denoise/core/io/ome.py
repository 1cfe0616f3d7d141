"""OME-XML: what it says of axes, sizes and channels, and where our own record stands in it.

OME knows the axes T, Z and C in any order before Y and X, with the samples S last.  What it has no words for (an axis of unknown
meaning, axes after X, axes of length one, other units) is written in an annotation of our own, so that an image comes back as it was.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any
from xml.etree import ElementTree

import numpy as np

from napari_ne_denoise.core.io import layout as layouts
from napari_ne_denoise.core.io.acquisition import Acquisition, acquisition_in
from napari_ne_denoise.core.io.image_file import LENGTH_UNITS, TIME_UNITS, ImageFile, PixelSize, usual_unit
from napari_ne_denoise.core.provenance import KEY

LAYOUT_KEY = KEY + "/layout"
# attribute of an axis, its default unit, and the units it can have
_SIZES = {
    "X": ("PhysicalSizeX", "µm", LENGTH_UNITS),
    "Y": ("PhysicalSizeY", "µm", LENGTH_UNITS),
    "Z": ("PhysicalSizeZ", "µm", LENGTH_UNITS),
    "T": ("TimeIncrement", "s", TIME_UNITS),
}
# lengths of a last axis of samples that TIFF stores as colours
COLOURS = (3, 4)
_PLANES = "TZC"
# planes of which each gets a place in words of OME, of a hundred characters
MOST_POSITIONS = 10_000


@dataclass(frozen=True)
class Described:
    """What the OME-XML of a file says of one image; empty where it says nothing."""

    pixel_size: PixelSize
    channel_names: tuple[str, ...]
    name: str
    provenance: dict[str, Any] | None
    axes: str | None
    shape: tuple[int, ...]
    origin: Mapping[str, float] = field(default_factory=dict)
    channel_colours: tuple[str, ...] = ()
    acquisition: Acquisition = field(default_factory=Acquisition)


def describe(xml: str, file: str = "", page: int | None = None, order: str | None = None) -> Described:
    """Read the OME-XML of a file.

    Parameters
    ----------
    xml
        May speak of images in other files too, and of some without pixels.
    file, page
        The file's name, and the number of a page in it that belongs to the image that is meant.  None: the first image.
    order
        As in `acquisition_in`.

    Raises
    ------
    ParseError, ValueError
        If it is no OME-XML.
    """
    root = ElementTree.fromstring(xml)
    images = root.findall("{*}Image")
    if not images:
        raise ValueError("it describes no image")
    image = next((image for image in images if page is not None and _holds(image, page, file, root.get("UUID"))), images[0])
    pixels = image.find("{*}Pixels")
    attributes = {} if pixels is None else pixels.attrib
    channels = [] if pixels is None else pixels.findall("{*}Channel")
    names, colours = [channel.get("Name", "") for channel in channels], [_colour(channel.get("Color")) for channel in channels]
    layout = _annotation(root, LAYOUT_KEY) or {}
    shape, origin = layouts.shape_in(layout), layouts.origin_in(layout)
    known = {axis: size for axis in _SIZES if (size := _size(attributes, axis)) is not None}
    return Described(
        pixel_size={**layouts.sizes_in(layout), **known},
        channel_names=tuple(names) if all(names) else layouts.channel_names_in(layout),
        name=image.get("Name", ""),
        provenance=_annotation(root, KEY),
        axes=layouts.axes_in(layout, len(shape)),
        shape=shape,
        origin=origin,
        channel_colours=layouts.colours(colours) or layouts.channel_colours_in(layout),
        acquisition=acquisition_in(image, origin, order),
    )


def ome_metadata(image: ImageFile, axes: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """What `tifffile.imwrite` is to say of an image whose pixels `to_ome` gave these axes and this shape."""
    layout = {
        "axes": image.axes,
        "shape": image.pixels.shape,
        "pixel_size": {axis: list(size) for axis, size in image.pixel_size.items()},
        "channel_names": [_xml_text(name) for name in image.channel_names],
        "channel_colours": list(image.channel_colours),
        "origin": dict(image.origin),
    }
    records = {KEY: image.provenance, LAYOUT_KEY: layout}
    annotations = [{"Namespace": key, "Value": _as_json(record)} for key, record in records.items() if record]
    metadata: dict[str, Any] = {"axes": axes, "Name": _xml_text(image.name) or "image", "MapAnnotation": annotations}
    for axis, (value, unit) in image.pixel_size.items():
        attribute, _, units = _SIZES.get(axis, ("", "", frozenset()))
        if usual_unit(unit) in units:
            metadata |= {attribute: float(value), attribute + "Unit": usual_unit(unit)}
    for element, told in (("AcquisitionDate", image.acquisition.date), ("Description", image.acquisition.description)):
        metadata |= {element: _xml_text(told)} if told else {}
    if any(planes := _planes(image, math.prod(length for letter, length in zip(axes, shape, strict=True) if letter in _PLANES))):
        metadata["Plane"] = planes
    if any(channels := _channels(image, shape[axes.index("C")] if "C" in axes else 1)):
        metadata["Channel"] = channels
    return metadata


def to_ome(pixels: np.ndarray, axes: str) -> tuple[np.ndarray, str]:
    """Pixels in an order that OME can hold, and OME's letters for it.

    Rows and columns go last, colours after them; the other axes keep their order.  An axis that is not T, Z or C takes the first of
    these letters that is free; where none is, it is joined with its neighbour.
    """
    order, shape, letters = _arrange(axes, pixels.shape)
    return pixels.transpose([axes.index(letter) for letter in order]).reshape(shape), letters


def from_ome(pixels: np.ndarray, described: Described) -> tuple[np.ndarray, str] | None:
    """Undo `to_ome`; None if the file says nothing of it, or its pixels were changed since."""
    axes, shape = described.axes, described.shape
    if axes is None or len(axes) != len(shape):
        return None
    order, arranged, _ = _arrange(axes, shape)
    # readers drop axes of length one
    if [length for length in pixels.shape if length != 1] != [length for length in arranged if length != 1]:
        return None
    lengths = [shape[axes.index(letter)] for letter in order]
    return pixels.reshape(lengths).transpose([order.index(letter) for letter in axes]), axes


def _arrange(axes: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...], str]:
    """The axes in the order in which OME can hold them, the shape it then sees, and its letters for that."""
    samples = "S" if has_colours(axes, shape) else ""
    planes = [letter for letter in axes if letter not in "YX" + samples]
    lengths = {letter: shape[axes.index(letter)] for letter in axes}
    named = groupby(zip(plane_letters(planes), planes, strict=True), key=lambda pair: pair[0])
    joined = {letter: math.prod(lengths[original] for _, original in group) for letter, group in named}
    fixed = "YX" + samples
    return "".join(planes) + fixed, (*joined.values(), *(lengths[letter] for letter in fixed)), "".join(joined) + fixed


def has_colours(axes: str, shape: tuple[int, ...]) -> bool:
    """Whether the image has three or four samples for each pixel, which TIFF stores together."""
    return "S" in axes and shape[axes.index("S")] in COLOURS


def plane_letters(axes: list[str]) -> list[str]:
    """T, Z or C for each axis but rows and columns: the one it is called, else the first that is free, else its neighbour's."""
    free = [letter for letter in _PLANES if letter not in axes]
    first = next((letter for letter in axes if letter in _PLANES), "T")
    letters: list[str] = []
    for letter in axes:
        if letter not in _PLANES:
            neighbour = letters[-1] if letters else first
            letter = "C" if letter == "S" and "C" in free else (free or [neighbour])[0]
            free = [other for other in free if other != letter]
        letters.append(letter)
    return letters


def _holds(image: ElementTree.Element, page: int, file: str, uuid: str | None) -> bool:
    """Whether a page of a file, which has this UUID, belongs to an image."""
    for data in image.findall("{*}Pixels/{*}TiffData"):
        other = data.find("{*}UUID")
        if other is not None and other.get("FileName", "").lower() != file.lower() and (uuid is None or other.text != uuid):
            continue
        first = int(data.get("IFD", 0))
        count = int(data.get("PlaneCount", data.get("NumPlanes", 1 if "IFD" in data.attrib else 0)))
        if first <= page and (count == 0 or page < first + count):
            return True
    return False


def _size(attributes: dict[str, str], axis: str) -> tuple[float, str] | None:
    attribute, unit, _ = _SIZES[axis]
    size = layouts.number(attributes.get(attribute))
    return (size, usual_unit(attributes.get(attribute + "Unit", unit))) if size > 0 else None


def _colour(number: str | None) -> str | None:
    """Six hexadecimal digits, for a number of 32 bit whose bytes are red, green, blue and opacity; None if it is none."""
    try:
        return None if number is None else f"{int(number) >> 8 & 0xFFFFFF:06X}"
    except ValueError:
        return None


def _colour_number(colour: str) -> int:
    number = int(colour, 16) << 8 | 0xFF
    return number - 2**32 if number >= 2**31 else number


def _annotation(root: ElementTree.Element, namespace: str) -> dict[str, Any] | None:
    found = root.find(f".//{{*}}MapAnnotation[@Namespace='{namespace}']/{{*}}Value")
    try:
        return None if found is None else {str(pair.get("K")): json.loads(pair.text or "null") for pair in found}
    except (ValueError, RecursionError):  # somebody else's, under our name
        return None


def _planes(image: ImageFile, count: int) -> list[Mapping[str, Any]]:
    """What is said of each plane: what the microscope noted, else where the image lies, which OME wants told once for each plane."""
    assert image.axes is not None
    place: dict[str, Any] = {}
    for axis in "XYZ":
        unit = usual_unit(image.pixel_size.get(axis, (1.0, "pixel"))[1])
        if image.origin.get(axis) and unit in LENGTH_UNITS and count <= MOST_POSITIONS:
            place |= {f"Position{axis}": float(image.origin[axis]), f"Position{axis}Unit": unit}
    noted = image.acquisition.planes_of(image.axes, image.pixels.shape, "S" if has_colours(image.axes, image.pixels.shape) else "")
    if noted is None:
        return [place] * count if place else []
    order, _, _ = _arrange(image.axes, image.pixels.shape)
    return [_placed(words, place) for words in noted.transpose([image.axes.index(letter) for letter in order]).ravel()]


def _placed(words: Mapping[str, Any], place: Mapping[str, Any]) -> Mapping[str, Any]:
    """The words of a plane, and its place along axes of which they tell none."""
    missing = {key: value for key, value in place.items() if key.removesuffix("Unit") not in words}
    return {**words, **missing} if missing else words


def _channels(image: ImageFile, count: int) -> list[dict[str, Any]]:
    """What is said of each channel; nothing where what is known is not of so many."""
    channels: list[dict[str, Any]] = [{} for _ in range(count)]
    told: tuple[Sequence[Mapping[str, Any]], ...] = (
        [{"Name": _xml_text(name)} for name in image.channel_names],
        [{"Color": _colour_number(colour)} for colour in image.channel_colours],
        image.acquisition.channels,
    )
    for each in told:
        if len(each) == count:
            channels = [{**channel, **words} for channel, words in zip(channels, each, strict=True)]
    return channels


def _as_json(record: dict[str, Any]) -> dict[str, str]:
    return {key: json.dumps(value) for key, value in record.items()}


def _xml_text(text: str) -> str:
    """Without the control characters that XML cannot hold."""
    return "".join(character for character in text if character.isprintable())
