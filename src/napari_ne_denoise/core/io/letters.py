"""Axis letters: one for each axis, all different, also where a file does not say what an axis is."""

from __future__ import annotations

# for axes of unknown meaning: "other" and "sequence" as tifffile has them, then letters that mean nothing to anybody
UNKNOWN = "QIUVWNDFGJK"
# what axes are called that are not called by their letters
WORDS = {
    "time": "T", "frame": "T", "frames": "T", "channel": "C", "channels": "C",
    "depth": "Z", "plane": "Z", "slice": "Z", "slices": "Z",
    "height": "Y", "row": "Y", "rows": "Y", "width": "X", "col": "X", "column": "X", "columns": "X",
}  # fmt: skip


def distinct_letters(axes: str) -> str:
    """The same letters where they differ, from the right; repeated ones, as in "QQYX", become other letters of unknown meaning."""
    result = ""
    for position in reversed(range(len(axes))):
        letter = axes[position].upper()
        if not letter.isalpha() or letter in result:
            letter = _unused(axes[:position].upper() + result)
        result = letter + result
    return result


def letters_for(ndim: int, rows: int = -2, columns: int = -1, channels: int | None = None) -> str:
    """Letters of an image of which only rows, columns and perhaps channels are known.

    Parameters
    ----------
    ndim
        Number of axes.
    rows, columns, channels
        Numbers of these axes, negative ones counted from the end; None: no channels.
    """
    letters = ["?"] * ndim
    if channels is not None:
        letters[channels] = "C"
    letters[rows], letters[columns] = "Y", "X"
    return distinct_letters("".join(letters))


def with_channels(axes: str, channel_axis: int) -> str | None:
    """The same letters, but for C where the channels are; None if that axis is not there, or is rows or columns."""
    if not -len(axes) <= channel_axis < len(axes) or axes[channel_axis] in "YX":
        return None
    letters = [letter if letter != "C" else "?" for letter in axes]
    letters[channel_axis] = "C"
    return distinct_letters("".join(letters))


def _unused(taken: str) -> str:
    return next(letter for letter in UNKNOWN if letter not in taken)
