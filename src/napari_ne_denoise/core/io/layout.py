"""What our own records say of an image beside its pixels; taken from anybody's file, so that only what makes sense is taken."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_ne_denoise.core.io.image_file import PixelSize

_COLOUR = re.compile("[0-9a-fA-F]{6}")


def axes_in(record: Mapping[str, Any], count: int) -> str | None:
    """Axis letters, one for each of so many axes; None if the record has none that can be."""
    axes = record.get("axes")
    if not isinstance(axes, str) or len(axes) != count or len(set(axes)) != count or not all(map(_is_letter, axes)):
        return None
    return axes


def shape_in(record: Mapping[str, Any]) -> tuple[int, ...]:
    """Lengths of the axes; () if the record has none that can be."""
    lengths = record.get("shape")
    if not isinstance(lengths, list) or not all(isinstance(length, int) and length > 0 for length in lengths):
        return ()
    return tuple(lengths)


def sizes_in(record: Mapping[str, Any]) -> PixelSize:
    """Pixel sizes by axis, those that are positive numbers with a unit."""
    found = {}
    for axis, size in _table(record, "pixel_size").items():
        if isinstance(size, list) and len(size) == 2 and isinstance(size[1], str) and (value := number(size[0])) > 0:
            found[axis] = (value, size[1])
    return found


def origin_in(record: Mapping[str, Any]) -> dict[str, float]:
    """The place of the first pixel by axis, where it is a number."""
    return {axis: value for axis, place in _table(record, "origin").items() if math.isfinite(value := number(place))}


def channel_names_in(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of channels; () if the record has none, or some that are no text."""
    names = record.get("channel_names")
    return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else ()


def channel_colours_in(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The colours of channels; () if the record has none, or some that are no colours."""
    return colours(record.get("channel_colours"))


def colours(found: Any) -> tuple[str, ...]:
    """Six hexadecimal digits each, in capitals; () if any of them is something else."""
    if not isinstance(found, list) or not all(isinstance(colour, str) and _COLOUR.fullmatch(colour) for colour in found):
        return ()
    return tuple(colour.upper() for colour in found)


def number(value: Any) -> float:
    """A plain finite number; NaN if it is none."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return found if math.isfinite(found) else math.nan


def _table(record: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = record.get(key)
    return {axis: value for axis, value in found.items() if _is_letter(axis)} if isinstance(found, dict) else {}


def _is_letter(axis: Any) -> bool:
    return isinstance(axis, str) and len(axis) == 1 and axis.isascii() and axis.isupper()
