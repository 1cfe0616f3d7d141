"""What a microscope noted in OME-XML of an image beside its sizes: when it was taken, of which channels, and where and when each plane.

It is kept word for word.  Of OME's many words those that tifffile can write.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from xml.etree import ElementTree

import numpy as np

from napari_ne_denoise.core.io import layout

# planes of which words are kept; more have no place in memory as text
MOST_NOTED = 10**6
_OF_PLANE = ("DeltaT", "ExposureTime", "PositionX", "PositionY", "PositionZ")
_OF_CHANNEL = (
    "AcquisitionMode", "ContrastMethod", "EmissionWavelength", "EmissionWavelengthUnit", "ExcitationWavelength", "ExcitationWavelengthUnit",
    "Fluor", "IlluminationType", "NDFilter", "PinholeSize", "PinholeSizeUnit", "PockelCellSetting",
)  # fmt: skip
_UNCHANGED: Mapping[str, str] = {}


@dataclass(frozen=True, eq=False)
class Acquisition:
    """Words of OME about an image.

    Attributes
    ----------
    date, description
        Of the image; empty if there is none.
    channels
        Attributes of each channel, but for its name and colour, such as {"EmissionWavelength": "461.0"}.
    planes
        Attributes of each plane, such as {"PositionX": "10.5", "PositionXUnit": "µm"}: an array of objects that has the axes of the
        image, but length one along rows, columns and samples.  None: there are none.
    """

    date: str = ""
    description: str = ""
    channels: tuple[Mapping[str, str], ...] = ()
    planes: np.ndarray | None = field(default=None, repr=False)

    def __bool__(self) -> bool:
        return bool(self.date or self.description or any(self.channels) or self.planes is not None)

    def of_array(self, axes: str, shape: Sequence[int]) -> Acquisition:
        """The same, with the planes of an array in which they lie in the order in which they are here; without, if it has others."""
        if self.planes is None:
            return self
        for alone in ("YX", "YXS"):
            lengths = _lengths(axes, shape, alone)
            if math.prod(lengths) == self.planes.size:
                return replace(self, planes=self.planes.reshape(lengths))
        return replace(self, planes=None)

    def of_part(self, part: Sequence[slice]) -> Acquisition:
        """The same, of the planes in a part of the array, which has whole rows and columns."""
        if self.planes is None or self.planes.ndim != len(part):
            return replace(self, planes=None)
        window = tuple(slice(None) if length == 1 else chosen for length, chosen in zip(self.planes.shape, part, strict=True))
        return replace(self, planes=self.planes[window])

    def planes_of(self, axes: str, shape: Sequence[int], samples: str = "") -> np.ndarray | None:
        """The planes of an image whose axes may be called otherwise than where they were read; None if it has others.

        Parameters
        ----------
        axes, shape
            Of the image.
        samples
            Letter of the axis of which all places are in one plane; empty if there is none.
        """
        lengths = _lengths(axes, shape, "YX" + samples)
        if self.planes is None or self.planes.ndim != len(lengths):
            return None
        fits = [
            found == length or (found == 1 and letter == "S")
            for found, length, letter in zip(self.planes.shape, lengths, axes, strict=True)
        ]
        return np.broadcast_to(self.planes, lengths) if all(fits) else None


def acquisition_in(image: ElementTree.Element, origin: Mapping[str, float], order: str | None = None) -> Acquisition:
    """What an ``Image`` of OME-XML says; planes in one row.

    Parameters
    ----------
    image
        Anybody's; what makes no sense is left out.
    origin
        Where our own record says that the image lies: positions that tell just that are not the microscope's.
    order
        Letters T, Z and C in which planes follow each other, the slowest first.  None: as the image says.
    """
    pixels = image.find("{*}Pixels")
    channels = [] if pixels is None else pixels.findall("{*}Channel")
    return Acquisition(
        _date(image.findtext("{*}AcquisitionDate") or ""),
        (image.findtext("{*}Description") or "").strip(),
        tuple({key: channel.attrib[key] for key in _OF_CHANNEL if key in channel.attrib} for channel in channels),
        None if pixels is None else _planes(pixels, channels, origin, order),
    )


def _lengths(axes: str, shape: Sequence[int], alone: str) -> tuple[int, ...]:
    return tuple(1 if letter in alone else length for letter, length in zip(axes, shape, strict=True))


def _planes(
    pixels: ElementTree.Element, channels: Sequence[ElementTree.Element], origin: Mapping[str, float], order: str | None
) -> np.ndarray | None:
    noted = [(plane, words) for plane in pixels.iterfind("{*}Plane") if (words := _words(plane.attrib, origin))]
    if not noted:
        return None
    samples = _whole(channels[0].get("SamplesPerPixel", 1)) if channels else 1
    letters = order or pixels.get("DimensionOrder", "XYCZT")[:1:-1]
    sizes = {letter: _whole(pixels.get(f"Size{letter}", 1)) // (samples if letter == "C" else 1) for letter in letters}
    if sorted(sizes) != sorted("TZC") or min(sizes.values()) < 1 or math.prod(sizes.values()) > MOST_NOTED:
        return None
    planes = np.full(tuple(sizes.values()), _UNCHANGED, object)
    for plane, words in noted:
        place = tuple(_whole(plane.get(f"The{letter}", 0)) for letter in letters)
        if all(0 <= at < length for at, length in zip(place, planes.shape, strict=True)):
            planes[place] = words
    return planes.ravel()


def _words(attributes: Mapping[str, Any], origin: Mapping[str, float]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key in _OF_PLANE:
        value = layout.number(attributes.get(key))
        if math.isfinite(value) and not (key[:-1] == "Position" and value == origin.get(key[-1])):
            found |= {name: attributes[name] for name in (key, key + "Unit") if name in attributes}
    return found


def _date(text: str) -> str:
    """The same, if it is a date as OME writes them."""
    try:
        datetime.fromisoformat(text.strip())
    except ValueError:
        return ""
    return text.strip()


def _whole(text: Any) -> int:
    """A whole number; -1 for what is none."""
    try:
        return int(text)
    except ValueError:
        return -1
