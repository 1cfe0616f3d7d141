"""Figures as small files: a repository keeps every one of them for ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

COLOURS = 256


def save(figure: Any, path: Path) -> None:
    """Write a figure of matplotlib as a PNG of a palette."""
    figure.savefig(path)
    shrink(path)


def shrink(path: Path) -> None:
    """Give a PNG a palette of 256 colours, under a temporary name that is then moved."""
    temporary = path.with_suffix(".part")
    with Image.open(path) as image:
        few = image.convert("RGB").quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    few.save(temporary, format="png", optimize=True)
    temporary.replace(path)
