"""Image files: read with their axes, pixel sizes and notes on what happened; written completely or not at all."""

from __future__ import annotations

from napari_ne_denoise.core.io.complete import complete_or_absent
from napari_ne_denoise.core.io.files import (
    find_description,
    find_provenance,
    images_in,
    read_image,
    read_provenance,
    write_image,
    writing_parts,
)
from napari_ne_denoise.core.io.image_file import ImageFile, PixelSize
from napari_ne_denoise.core.io.letters import distinct_letters, letters_for, with_channels
from napari_ne_denoise.core.io.names import home, label, place_in_home, stem
from napari_ne_denoise.core.io.targets import READABLE, WHAT_IS_READ, WRITABLE, check_target, is_zarr

__all__ = [
    "READABLE",
    "WHAT_IS_READ",
    "WRITABLE",
    "ImageFile",
    "PixelSize",
    "check_target",
    "complete_or_absent",
    "distinct_letters",
    "find_description",
    "find_provenance",
    "home",
    "images_in",
    "is_zarr",
    "label",
    "letters_for",
    "place_in_home",
    "read_image",
    "read_provenance",
    "stem",
    "with_channels",
    "write_image",
    "writing_parts",
]
