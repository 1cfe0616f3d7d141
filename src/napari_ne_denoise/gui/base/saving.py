"""Names of files that are asked for in a dialog: the one that is suggested, and what becomes of the one that was chosen."""

import os
import re
from pathlib import Path

from napari_ne_denoise.core.errors import FileError

# of tables: Excel takes UTF-8 for the letters of its system, µm for Âµm, unless the file says what it is
TABLE_ENCODING = "utf-8-sig"
# what a dialog of Windows refuses; layers have such names, as "a.czi :: scene 1"
_IN_NO_NAME = re.compile(r'[<>:"/\\|?*\x00-\x1f]+')


def as_file_name(title: str) -> str:
    """A title, such as that of a layer, as a name that every system takes."""
    return _IN_NO_NAME.sub("_", title)


def with_ending(path: Path, ending: str) -> Path:
    """A path that was chosen in a dialog, with an ending.

    Raises
    ------
    FileError
        If the ending was missing and there is such a file: whether that may be replaced, nobody has asked.
    """
    if path.suffix.lower() == ending:
        return path
    target = path.with_name(path.name + ending)
    if os.path.exists(target):
        raise FileError(
            f"{target}: exists already, and the dialog asked about {path.name} alone; "
            f"save under another name, or as {target.name} to replace it."
        )
    return target
