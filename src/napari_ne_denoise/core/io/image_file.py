"""What a file holds: pixels, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from napari_ne_denoise.core.io.acquisition import Acquisition

# axis letter → (distance between two pixels, unit), such as {"X": (0.1, "µm"), "T": (2.0, "s")}
PixelSize: TypeAlias = Mapping[str, tuple[float, str]]


@dataclass(frozen=True, eq=False)
class ImageFile:
    """An image as it lies, or shall lie, in a file.

    Attributes
    ----------
    pixels
        In the units of the file; may be memory-mapped, read-only.  Of an OME-Zarr an array that reads the windows it is asked for.
    axes
        A different letter for each axis, as in "TCZYX"; S holds the samples (colours) of a pixel, letters such as Q and I an axis of
        which the file does not say what it is.  None: the file says nothing of its axes.
    pixel_size
        By axis letter, as far as the file tells.
    channel_names
        One for each channel, or none.
    name
        Of the image; the file's name if it has no other.
    provenance
        How the image was made, if this program made it.
    notes
        What the user should know of how the file was read, in sentences.
    origin
        By axis letter, where the first pixel lies, in the unit of the axis's `pixel_size`; 0 along all others.
    channel_colours
        In which the file wants each channel shown, such as "00FF00" for green; one for each channel, or none.
    series
        Which of the images of its file it was, where that holds several.
    acquisition
        What the microscope noted of it.
    """

    pixels: np.ndarray
    axes: str | None = None
    pixel_size: PixelSize = field(default_factory=dict)
    channel_names: tuple[str, ...] = ()
    name: str = ""
    provenance: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    origin: Mapping[str, float] = field(default_factory=dict)
    channel_colours: tuple[str, ...] = ()
    series: int = 0
    acquisition: Acquisition = field(default_factory=Acquisition)


# how units are written by ImageJ, pint, Bio-Formats and people, and how OME wants them
_UNITS = {
    "m": ("meter", "metre"),
    "cm": ("centimeter", "centimetre"),
    "mm": ("millimeter", "millimetre"),
    "µm": ("μm", "um", "micron", "microns", "micrometer", "micrometre"),
    "nm": ("nanometer", "nanometre"),
    "pm": ("picometer", "picometre"),
    "Å": ("angstrom", "ångström", "Å"),
    "in": ("inch", "inches"),
    "s": ("sec", "second", "seconds"),
    "ms": ("msec", "millisecond", "milliseconds"),
    "µs": ("μs", "us", "microsecond", "microseconds"),
    "ns": ("nanosecond", "nanoseconds"),
    "min": ("minute", "minutes"),
    "h": ("hr", "hour", "hours"),
    "d": ("day", "days"),
    "pixel": ("pixels", "px"),
}
_SPELLINGS = {spelling: unit for unit, spellings in _UNITS.items() for spelling in (unit, *spellings)}

_WORDS = {
    "m": "meter", "cm": "centimeter", "mm": "millimeter", "µm": "micrometer", "nm": "nanometer", "pm": "picometer", "Å": "angstrom",
    "in": "inch", "s": "second", "ms": "millisecond", "µs": "microsecond", "ns": "nanosecond", "min": "minute", "h": "hour", "d": "day",
}  # fmt: skip

TO_MICROMETRES = {"m": 1e6, "cm": 1e4, "mm": 1e3, "µm": 1.0, "nm": 1e-3, "pm": 1e-6, "Å": 1e-4, "in": 25400.0}
LENGTH_UNITS = frozenset({*TO_MICROMETRES, "pixel"})
TIME_UNITS = frozenset({"s", "ms", "µs", "ns", "min", "h", "d"})


def usual_unit(unit: str) -> str:
    """A unit as OME writes it, where it is known; unchanged where not."""
    plain = unit.strip().replace("\\u00B5", "µ")  # ImageJ escapes the µ
    return _SPELLINGS.get(plain, _SPELLINGS.get(plain.lower(), plain))


def unit_in_words(unit: str) -> str:
    """A unit as OME-Zarr and UDUNITS write it, such as "micrometer"; unchanged where there is no such word."""
    return _WORDS.get(usual_unit(unit), unit)
