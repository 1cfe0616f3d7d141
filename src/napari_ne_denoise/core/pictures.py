"""Pictures for looking at: grey planes, signed planes, and several beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from napari_ne_denoise.core.io import ImageFile, write_image

_BLUE, _WHITE, _RED = (np.array(colour, float) for colour in ((33, 80, 170), (255, 255, 255), (180, 20, 40)))
_GAP = 8  # pixels


def grey(plane: np.ndarray, low: float, high: float) -> np.ndarray:
    """A plane (Y, X) as uint8, black at `low` and white at `high`."""
    share = (np.asarray(plane, float) - low) / ((high - low) or 1.0)
    return np.asarray(np.rint(255 * np.clip(share, 0, 1)), np.uint8)


def signed(plane: np.ndarray, limit: float) -> np.ndarray:
    """A plane (Y, X) as colours (Y, X, 3), white at zero, blue at −`limit`, red at `limit`."""
    share = np.clip(np.asarray(plane, float) / (limit or 1.0), -1, 1)[..., None]
    colours = np.where(share < 0, _WHITE + (_WHITE - _BLUE) * share, _WHITE + (_RED - _WHITE) * share)
    return np.asarray(np.rint(colours), np.uint8)


def enlarged(picture: np.ndarray, factor: int) -> np.ndarray:
    """Each pixel as a square of `factor` pixels."""
    return picture.repeat(factor, 0).repeat(factor, 1)


def side_by_side(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures of one height in a row, with white between them."""
    coloured = [picture if picture.ndim == 3 else np.stack([picture] * 3, -1) for picture in pictures]
    gap = np.full((coloured[0].shape[0], _GAP, 3), 255, np.uint8)
    return np.concatenate([part for picture in coloured for part in (gap, picture)][1:], 1)


def padded(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """A picture with white below it and on its right, as colours (height, width, 3)."""
    coloured = picture if picture.ndim == 3 else np.stack([picture] * 3, -1)
    missing = ((0, height - coloured.shape[0]), (0, width - coloured.shape[1]), (0, 0))
    return np.pad(coloured, missing, constant_values=255)


def shrunk(plane: np.ndarray, longest: int) -> tuple[np.ndarray, int]:
    """Means of squares of a plane (Y, X), so large that no side is longer than so many pixels, and the side of the squares."""
    side = max(1, -(-max(plane.shape) // longest))
    rows, columns = (max(1, length // side) for length in plane.shape)
    blocks = plane[: rows * side, : columns * side]
    if side == 1 or min(plane.shape) < side:
        return plane[::side, ::side], side
    return np.asarray(blocks.reshape(rows, side, columns, side).mean((1, 3))), side


def draw_frame(picture: np.ndarray, rows: slice, columns: slice, colour: tuple[int, int, int]) -> None:
    """Draw the frame of a rectangle into a picture (Y, X, 3), around what it encloses."""
    top, bottom = max(rows.start - 1, 0), min(rows.stop, picture.shape[0] - 1)
    left, right = max(columns.start - 1, 0), min(columns.stop, picture.shape[1] - 1)
    across, down = slice(left, right + 1), slice(top, bottom + 1)
    for line in ((top, across), (bottom, across), (down, left), (down, right)):
        picture[line] = colour


def written(picture: np.ndarray, words: list[tuple[int, int, str]], size: int, colour: tuple[int, int, int] = (40, 40, 40)) -> np.ndarray:
    """A copy of a picture (Y, X, 3) with words, each beginning at a row and a column, `size` pixels high."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(picture)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    for row, column, text in words:
        draw.text((column, row), text, fill=colour, font=font)
    return np.array(image)


def save(path: Path, picture: np.ndarray) -> None:
    """Write a picture as PNG, completely or not at all."""
    write_image(path, ImageFile(picture, "YX" if picture.ndim == 2 else "YXS", name=path.stem), overwrite=True)
