"""What the axes of a layer may be: what its labels say, else a guess, and what a user may know better."""

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from napari_ne_denoise.core.axes import COLOUR_LENGTHS, SHORTEST_IMAGE_SIDE
from napari_ne_denoise.core.io.letters import WORDS, distinct_letters, letters_for

if TYPE_CHECKING:
    from napari.layers import Image

MOST_CHANNELS_LAST = 4

_PLAIN_NAMES = {"t": "time", "z": "z", "c": "channels", "y": "y", "x": "x"}
# what axes other than rows and columns count
_COUNTED = {"T": "time point", "Z": "slice", "C": "channel"}
# what images of three, four and five axes are, the most frequent first; channels that come last are offered only where they may be
_USUAL = {3: ("TYX", "ZYX", "CYX"), 4: ("TZYX", "TCYX", "CZYX", "ZCYX"), 5: ("TCZYX", "TZCYX", "CTZYX")}
_CHANNELS_LAST = {3: ("YXC",), 4: ("TYXC", "ZYXC"), 5: ("TZYXC",)}


@dataclass(frozen=True)
class Reading:
    """What the axes of a layer are taken for.

    Attributes
    ----------
    axes, channel_axis
        As in `denoise`.
    text
        For a box of choices.
    why
        Where it comes from.
    """

    axes: str | None
    channel_axis: int | None
    text: str
    why: str


def usual_axes() -> list[str]:
    """What images with more than two axes usually are, those with fewer axes first."""
    return [letters for count in _USUAL for letters in _USUAL[count] + _CHANNELS_LAST.get(count, ())]


def readings_of(layer: "Image", shape: tuple[int, ...]) -> list[Reading]:
    """What the axes of a layer may be, the likeliest first.

    Parameters
    ----------
    layer
        Its labels and colours count.
    shape
        Of its array.
    """
    rgb = bool(layer.rgb)
    first = _likeliest(tuple(layer.axis_labels), shape, rgb)
    lengths = shape[:-1] if rgb else shape
    usual = _USUAL.get(len(lengths), ())
    if len(lengths) > 2 and lengths[-1] < min(lengths[-3:-1]) and not rgb:
        usual += _CHANNELS_LAST.get(len(lengths), ())
    others = [reading_of(letters + "S" * rgb, shape, "What you say.") for letters in usual]
    plain = _unlabelled(shape, rgb)
    return [first, *(other for other in (plain, *others) if other.axes != first.axes)]


def reading_of(axes: str, shape: tuple[int, ...], why: str) -> Reading:
    """That of an image of which a letter for each axis is known."""
    counts = [f"{length} {_COUNTED[letter]}{'s' * (length != 1)}" for letter, length in zip(axes, shape, strict=True) if letter in _COUNTED]
    others = prod(length for letter, length in zip(axes, shape, strict=True) if letter not in (*_COUNTED, "Y", "X", "S"))
    if others > 1:
        counts.append(f"{others} planes")
    letters = axes.removesuffix("S")
    return Reading(axes, None, f"{letters}: {', '.join(counts)}" if counts else letters, why)


def letters_of(labels: tuple[str, ...], rgb: bool = False) -> str | None:
    """One letter for each axis; None if the labels don't say where Y and X are, as napari's own "-2" and "-1" don't."""
    letters = "".join(_letter(label) for label in labels)
    if letters.count("Y") != 1 or letters.count("X") != 1:
        return None
    return distinct_letters(letters + "S" if rgb else letters)


def _likeliest(labels: tuple[str, ...], shape: tuple[int, ...], rgb: bool) -> Reading:
    letters = letters_of(labels, rgb)
    if letters is not None:
        return reading_of(letters, shape, "What the layer's axis labels say.")
    return _channels_last(shape) if _looks_channels_last(shape, rgb) else _unlabelled(shape, rgb)


def _looks_channels_last(shape: tuple[int, ...], rgb: bool) -> bool:
    """Whether the last axis is far too short to be columns of an image whose other axes are so long."""
    return not rgb and len(shape) > 2 and 1 < shape[-1] <= MOST_CHANNELS_LAST and min(shape[-3:-1]) > SHORTEST_IMAGE_SIDE


def _channels_last(shape: tuple[int, ...]) -> Reading:
    axes = distinct_letters("?" * (len(shape) - 3) + "YXC")
    why = "A guess: the layer has no axis labels, and its last axis is too short to be columns of an image. Choose what it really is."
    text = reading_of("YXC", shape[-3:], "").text
    return Reading(axes, None, text if len(shape) == 3 else f"{prod(shape[:-3])} planes, {shape[-1]} channels last", why)


def _unlabelled(shape: tuple[int, ...], rgb: bool) -> Reading:
    planes = prod(shape[:-3] if rgb else shape[:-2])
    text = f"{planes} planes (Y, X last)"
    why = "A guess: the layer has no axis labels. Each plane is denoised on its own, whatever the other axes are."
    if rgb:
        return Reading(None, -1, text, why)
    # core would ask whether a short last axis is colour; the layer says that it is not
    return Reading(letters_for(len(shape)) if shape[-1] in COLOUR_LENGTHS else None, None, text, why)


def _letter(label: str) -> str:
    name = label.strip().lower()
    if name in WORDS:
        return WORDS[name]
    return name[0].upper() if name and _PLAIN_NAMES.get(name[0], "").startswith(name) else "?"
