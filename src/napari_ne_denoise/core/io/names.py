"""What files are called, and images that lie within others, as the fields of a plate do."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from uuid import uuid4

from napari_ne_denoise.core.io.targets import FILES, is_folder_of_zarr, is_zarr


def stem(path: Path) -> str:
    """The name without .tif, .ome.tif and the like."""
    name = path.name[: -len(path.suffix)] if path.suffix else path.name
    return name[:-4] if name.lower().endswith(".ome") else name


def nowhere_else() -> str:
    """A part of a name that nobody else takes, on whatever machine, and that tells who took it."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:6]}"


def home(path: Path) -> Path:
    """The file; of an image within an OME-Zarr, as a field of a plate is, the whole OME-Zarr."""
    # names tell it without a look at the disk, which may be far away and hold thousands of images
    if path.suffix.lower() in FILES or not os.path.isdir(path):
        return path
    around = Path(os.path.abspath(path)).parents
    holding = [folder for folder in around if is_zarr(folder)] or [folder for folder in around if is_folder_of_zarr(folder)]
    return holding[-1] if holding else path


def place_in_home(path: Path) -> str:
    """The name; of an image within an OME-Zarr also the way to it, such as "plate.zarr/B/3/0" for row B, column 3, field 0."""
    whole = home(path)
    return path.name if whole is path else Path(os.path.abspath(path)).relative_to(whole.parent).as_posix()


def label(path: Path) -> str:
    """What the results of a file are called after: its name without ending, and within an OME-Zarr the way, such as "plate_B_3_0"."""
    first, *way = Path(place_in_home(path)).parts or ("",)
    return "_".join([stem(Path(first)), *way])
