"""The words of OME-Zarr 0.4 and 0.5 about an image: axes, sizes, places, names, and our own record beside them.

OME-Zarr has the axes T, C and Z, in this order, before Y and X.  What it has no words for is written under keys of our own, those of our
OME-TIFF files, so that an image comes back as it was.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_ne_denoise.core.errors import FileError
from napari_ne_denoise.core.io import layout as layouts
from napari_ne_denoise.core.io.image_file import LENGTH_UNITS, TIME_UNITS, ImageFile, PixelSize, unit_in_words, usual_unit
from napari_ne_denoise.core.io.letters import WORDS, distinct_letters
from napari_ne_denoise.core.io.ome import LAYOUT_KEY, plane_letters
from napari_ne_denoise.core.io.targets import is_folder_of_zarr
from napari_ne_denoise.core.provenance import KEY

VERSION = "0.5"
ORDER = "TCZYX"
# bytes of a group's metadata, beyond which it is none that a person or a microscope wrote
LARGEST_METADATA = 2**24
_TYPES = {"T": "time", "C": "channel"}  # the others are of space
_WHITE, _RED_GREEN_BLUE = "FFFFFF", ("FF0000", "00FF00", "0000FF")


@dataclass(frozen=True)
class Described:
    """What the metadata of a group say of one of its images.

    Attributes
    ----------
    path
        Of the array of the full size, within the group.
    levels
        How many sizes there are.
    axes, pixel_size, origin, channel_names, name, channel_colours, notes
        As in `ImageFile`.
    mirrored
        Letters of the axes with a negative scale, of which `pixel_size` has the absolute value.
    """

    path: str
    levels: int
    axes: str
    pixel_size: PixelSize
    origin: Mapping[str, float]
    channel_names: tuple[str, ...] = ()
    name: str = ""
    channel_colours: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    mirrored: str = ""


@dataclass(frozen=True)
class StoredAxes:
    """How the axes of an image lie in OME-Zarr.

    Attributes
    ----------
    letters
        As they are stored, such as "CYX" for an image "YXS".
    order
        For each of them the number of the image's axis.
    """

    letters: str
    order: tuple[int, ...] = field(default=())


def stored_axes(axes: str) -> StoredAxes:
    """The axes in the order and with the letters that OME-Zarr asks for.

    Raises
    ------
    ValueError
        If there are more than T, C and Z can stand for.
    """
    planes = [letter for letter in axes if letter not in "YX"]
    named = dict(zip(plane_letters(planes), planes, strict=True)) | {"Y": "Y", "X": "X"}
    if len(named) < len(axes):
        raise ValueError(f"OME-Zarr holds T, C and Z beside rows and columns, and this image has the axes {axes}")
    letters = "".join(letter for letter in ORDER if letter in named)
    return StoredAxes(letters, tuple(axes.index(named[letter]) for letter in letters))


def read_attributes(folder: Path) -> dict[str, Any]:
    """The attributes of a group or an array of zarr format 2 or 3; empty if there are none.  Needs no zarr.

    Raises
    ------
    OSError, ValueError
        If they are too large, cannot be read, or are no JSON.
    """
    for name, inside in (("zarr.json", "attributes"), (".zattrs", None)):
        path = folder / name
        if not path.is_file():
            continue
        if path.stat().st_size > LARGEST_METADATA:
            raise ValueError(f"{name} has more than {LARGEST_METADATA} bytes")
        record = json.loads(path.read_text(encoding="utf8"))
        found = record.get(inside, {}) if inside and isinstance(record, dict) else record
        return found if isinstance(found, dict) else {}
    return {}


def record_in(attributes: Mapping[str, Any]) -> dict[str, Any] | None:
    """How the image was made, if this program made it."""
    record = attributes.get(KEY)
    return record if isinstance(record, dict) else None


def multiscales_in(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The images that a group describes, of version 0.4 or 0.5."""
    found = ome_in(attributes).get("multiscales")
    return [image for image in found if isinstance(image, dict)] if isinstance(found, list) else []


def ome_in(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where the words of OME stand: since version 0.5 in a place of their own."""
    ome = attributes.get("ome", attributes)
    return ome if isinstance(ome, dict) else {}


def describe(attributes: Mapping[str, Any], number: int) -> Described:
    """What a group says of one of its images.

    Raises
    ------
    KeyError, TypeError, ValueError
        If it is not what OME-Zarr demands.
    """
    image = multiscales_in(attributes)[number]
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in image["axes"]]
    letters, notes = _letters(axes)
    finest = image["datasets"][0]
    scale, translation = _placed(finest, image, len(axes))
    sizes = {letter: (abs(size), _unit(axis)) for letter, axis, size in zip(letters, axes, scale, strict=True) if letter != "C"}
    known = {letter: size for letter, size in sizes.items() if size != (1.0, "pixel") and size[0] > 0}
    return Described(
        path=str(finest["path"]),
        levels=len(image["datasets"]),
        axes=letters,
        pixel_size=known,
        origin={letter: place for letter, place in zip(letters, translation, strict=True) if place},
        channel_names=_channel_names(attributes),
        name=str(image.get("name") or ""),
        channel_colours=_channel_colours(attributes),
        notes=notes,
        mirrored="".join(letter for letter, size in zip(letters, scale, strict=True) if size < 0 and letter != "C"),
    )


def restored_axes(attributes: Mapping[str, Any], described: Described) -> str | None:
    """The image's own axis letters, if this program wrote them and they fit what is stored; None: take those that are stored."""
    layout = attributes.get(LAYOUT_KEY)
    axes = layout.get("axes") if isinstance(layout, dict) else None
    if not isinstance(axes, str):
        return None
    try:
        return axes if len(axes) == len(described.axes) and stored_axes(axes).letters == described.axes else None
    except ValueError:
        return None


def restored_sizes(attributes: Mapping[str, Any], axes: str) -> tuple[PixelSize, Mapping[str, float]]:
    """Pixel sizes and origin as this program wrote them, with units that OME-Zarr does not know."""
    layout = attributes[LAYOUT_KEY]
    sizes = {axis: size for axis, size in layouts.sizes_in(layout).items() if axis in axes}
    return sizes, {axis: place for axis, place in layouts.origin_in(layout).items() if axis in axes}


def channels_shown(image: ImageFile) -> int | None:
    """The number of the stored axis of which each place is shown with a range of its own; None: all are shown with one."""
    assert image.axes is not None
    stored = stored_axes(image.axes)
    return stored.letters.index("C") if "C" in stored.letters and not _is_colour(image.axes, stored) else None


def _is_colour(axes: str, stored: StoredAxes) -> bool:
    return axes[stored.order[stored.letters.index("C")]] == "S"


def attributes_of(image: ImageFile, shapes: Sequence[tuple[int, ...]], windows: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """All that is said of an image.

    Parameters
    ----------
    image
        Its pixels do not count.
    shapes
        Of the arrays "0", "1", …, as they are stored.
    windows
        Smallest and largest value, for whoever shows the image: of each channel (see `channels_shown`), or of all.
    """
    assert image.axes is not None
    stored = stored_axes(image.axes)
    own = [image.axes[number] for number in stored.order]
    multiscale = {
        "name": image.name or "image",
        "axes": [_axis(letter, image.pixel_size.get(letters)) for letter, letters in zip(stored.letters, own, strict=True)],
        "datasets": [_dataset(level, own, image, shape, shapes[0]) for level, shape in enumerate(shapes)],
        "type": "mean of 2×2 pixels",
    }
    ome: dict[str, Any] = {"version": VERSION, "multiscales": [multiscale]}
    count = shapes[0][stored.letters.index("C")] if "C" in stored.letters else 1
    names = image.channel_names if len(image.channel_names) == count else [f"channel {number}" for number in range(count)]
    colours: Sequence[str] = image.channel_colours if len(image.channel_colours) == count else [_WHITE] * count
    if count == len(_RED_GREEN_BLUE) and _is_colour(image.axes, stored):
        colours = _RED_GREEN_BLUE
    each = windows if len(windows) == count else [windows[0]] * count
    channels = [_channel(*told) for told in zip(names, colours, each, strict=True)]
    ome["omero"] = {"name": image.name or "image", "channels": channels}
    layout = {
        "axes": image.axes,
        "pixel_size": {axis: list(size) for axis, size in image.pixel_size.items()},
        "origin": dict(image.origin),
        "channel_names": list(image.channel_names),
        "channel_colours": list(image.channel_colours),
    }
    return {"ome": ome, LAYOUT_KEY: layout} | ({KEY: image.provenance} if image.provenance else {})


def _letters(axes: Sequence[Mapping[str, Any]]) -> tuple[str, tuple[str, ...]]:
    """A letter for each axis, and what is to be said of that: OME-Zarr wants the axes of space last, of which the last two are the plane.

    Raises
    ------
    ValueError
        If there are no two that can be rows and columns.
    """
    letters = [_letter(axis) for axis in axes]
    if letters.count("Y") == letters.count("X") == 1:
        return distinct_letters("".join(letters)), ()
    space = [number for number, axis in enumerate(axes) if axis.get("type") == "space"]
    plane = space if len(space) > 1 else [number for number, letter in enumerate(letters) if letter not in _TYPES]
    if len(plane) < 2:
        raise ValueError(f"of its axes {_names(axes)} no two are of space")
    letters = ["?" if letter in "ZYX" else letter for letter in letters]
    for number, letter in zip(reversed(plane), "XYZ" if space else "XY", strict=False):
        letters[number] = letter
    found = distinct_letters("".join(letters))
    return found, (f"its axes are called {_names(axes)}, and were taken for {found}",)


def _letter(axis: Mapping[str, Any]) -> str:
    """T, Z, C, Y or X, the first letter of another name, or "?" where that would be taken for what it is not."""
    kind, name = str(axis.get("type")), str(axis["name"]).lower()
    known = {kind: letter for letter, kind in _TYPES.items()}.get(kind) or WORDS.get(name)
    letter = name[:1].upper() or "?"
    return known or ("?" if letter == "S" or (kind == "space" and letter in _TYPES and len(name) > 1) else letter)


def _names(axes: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(str(axis["name"]) for axis in axes)


def _unit(axis: Mapping[str, Any]) -> str:
    return usual_unit(str(axis.get("unit") or "pixel"))


def _placed(dataset: Mapping[str, Any], image: Mapping[str, Any], count: int) -> tuple[list[float], list[float]]:
    """Size and place of the first pixel along each axis: the array's own transformations, then those of all sizes."""
    scale, translation = [1.0] * count, [0.0] * count
    for step in [*_steps(dataset), *_steps(image)]:
        given = step.get(str(step.get("type")))
        numbers = [layouts.number(number) for number in given] if isinstance(given, list) else []
        if len(numbers) != count or not all(map(math.isfinite, numbers)):
            continue  # such as "identity", or numbers that are kept in a file of their own
        if step["type"] == "scale":
            scale, translation = [a * b for a, b in zip(scale, numbers, strict=True)], _times(translation, numbers)
        elif step["type"] == "translation":
            translation = [a + b for a, b in zip(translation, numbers, strict=True)]
    return scale, translation


def _steps(of: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = of.get("coordinateTransformations")
    return [step for step in found if isinstance(step, dict)] if isinstance(found, list) else []


def _times(values: list[float], factors: list[float]) -> list[float]:
    return [value * factor for value, factor in zip(values, factors, strict=True)]


def _channel_names(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    layout = attributes.get(LAYOUT_KEY)
    if isinstance(layout, dict) and isinstance(layout.get("channel_names"), list):
        return layouts.channel_names_in(layout)
    labels = _of_channels(attributes, "label")
    return tuple(map(str, labels)) if all(labels) else ()


def _channel_colours(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    layout = attributes.get(LAYOUT_KEY)
    if isinstance(layout, dict) and "channel_colours" in layout:
        return layouts.channel_colours_in(layout)
    return layouts.colours(_of_channels(attributes, "color"))


def _of_channels(attributes: Mapping[str, Any], key: str) -> list[Any]:
    omero = ome_in(attributes).get("omero", attributes.get("omero"))
    channels = omero.get("channels") if isinstance(omero, dict) else None
    return [channel.get(key) for channel in channels if isinstance(channel, dict)] if isinstance(channels, list) else []


def _axis(letter: str, size: tuple[float, str] | None) -> dict[str, str]:
    axis = {"name": letter.lower(), "type": _TYPES.get(letter, "space")}
    units = TIME_UNITS if letter == "T" else frozenset() if letter == "C" else LENGTH_UNITS - {"pixel"}
    unit = None if size is None else usual_unit(size[1])
    return axis | ({"unit": unit_in_words(unit)} if unit in units and unit is not None else {})


def _dataset(level: int, axes: Sequence[str], image: ImageFile, shape: tuple[int, ...], full: tuple[int, ...]) -> dict[str, Any]:
    scale, place = [], []
    for axis, length, whole in zip(axes, shape, full, strict=True):
        factor = 2**level if axis in "YX" else 1
        size = image.pixel_size.get(axis, (1.0, ""))[0]
        scale.append(float(size * factor))
        # the middle of the first pixel, which is that of all those it is the mean of
        inside = (factor - 1) / 2 if length < whole else 0.0
        place.append(float(image.origin.get(axis, 0.0) + size * inside))
    steps = [{"type": "scale", "scale": scale}, *([{"type": "translation", "translation": place}] if any(place) else [])]
    return {"path": str(level), "coordinateTransformations": steps}


def _channel(name: str, colour: str, window: tuple[float, float]) -> dict[str, Any]:
    low, high = window
    return {"label": name, "color": colour, "active": True, "window": {"min": low, "max": high, "start": low, "end": high}}


def refuse_other_kinds(path: Path, attributes: Mapping[str, Any]) -> None:
    """Say what to give instead of a group that holds images in groups of its own.

    Raises
    ------
    FileError
        If it is a plate or a well, or no image at all.
    """
    ome = ome_in(attributes)
    if "plate" in ome or "well" in ome:
        field = _first_field(path, ome)
        every = path / ("*/*/[0-9]*" if "plate" in ome else "[0-9]*")
        raise FileError(f"{path}: is a plate or a well; give one of its images, such as {field}, or {every} for all.")
    raise FileError(f"{path}: is zarr, but describes no image as OME-Zarr 0.4 or 0.5 does; give the path of an array or an image in it.")


def refuse_labels(path: Path, attributes: Mapping[str, Any]) -> None:
    """Let nobody denoise the numbers of objects.

    Raises
    ------
    FileError
        If it is an image of labels.
    """
    if "image-label" in ome_in(attributes):
        raise FileError(f"{path}: holds labels, numbers of objects, which have no noise; give the image that they are of.")


def fields_of(path: Path) -> list[Path]:
    """The images of a plate or a well that are there, well by well; none if it is neither.

    Raises
    ------
    OSError, ValueError
        As `read_attributes`.
    """
    ome = ome_in(read_attributes(path))
    wells = [path / well for well in _paths(ome["plate"], "wells")] if "plate" in ome else [path]
    fields = [well / name for well in wells for name in _paths(ome_in(read_attributes(well)).get("well"), "images")]
    return [field for field in fields if is_folder_of_zarr(field)]


def _paths(of: Any, key: str) -> list[str]:
    """Those that lead nowhere else."""
    found = of.get(key) if isinstance(of, dict) else None
    paths = [str(each.get("path", "")) for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    return [path for path in paths if path and not Path(path).is_absolute() and ".." not in Path(path).parts]


def _first_field(path: Path, ome: Mapping[str, Any]) -> Path:
    """Where the first image of a plate or a well lies, as far as they tell."""
    if "plate" in ome:
        path = path / _first_path(ome["plate"], "wells", "A/1")
        ome = ome_in(read_attributes(path))
    return path / _first_path(ome.get("well"), "images", "0")


def _first_path(of: Any, key: str, otherwise: str) -> str:
    found = of.get(key) if isinstance(of, dict) else None
    first = found[0] if isinstance(found, list) and found else None
    return str(first.get("path", otherwise)) if isinstance(first, dict) else otherwise
