"""Filters as files: numbers as TIFF or NPY with all that is known of them, or a figure as PNG."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_ne_denoise.core.errors import FileError, SettingsError
from napari_ne_denoise.core.io import ImageFile, write_image
from napari_ne_denoise.core.jacobian.montage import montage, overview_window
from napari_ne_denoise.core.jacobian.rows import PixelFilters
from napari_ne_denoise.core.jacobian.telling import numbers_of
from napari_ne_denoise.core.jacobian.weights import Filter, centred
from napari_ne_denoise.core.provenance import KEY, package_version

ENDINGS = (".tif", ".tiff", ".npy", ".png")
CONTRAST = (0.3, 99.7)  # per cent of the pixels that are darker than black, and than white


def check_filter_target(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Find out whether filters can be written to a path, before any is computed.

    Raises
    ------
    SettingsError
        If the name does not say as what, there is no such folder, or such a file is there and must not be replaced.
    """
    target = Path(path)
    if target.suffix.lower() not in ENDINGS:
        raise SettingsError(f"{target}: must end in .tif or .npy, for numbers, or in .png, for a figure.")
    if not target.parent.is_dir():
        raise SettingsError(f"{target}: there is no folder {target.parent}; create it first.")
    if target.exists() and not overwrite:
        raise SettingsError(f"{target}: exists already; choose another name, or allow it to be overwritten.")
    return target


def write_filters(
    path: str | os.PathLike[str], source: PixelFilters, found: Sequence[Filter], side: int, *, name: str = "", overwrite: bool = False
) -> None:
    """Write filters completely, or not at all.

    Parameters
    ----------
    path
        Ends in .tif (float64, the record inside), .npy (the record in a .json beside it) or .png (`montage`, of the plane of the first).
    source
        What computed them.
    found
        With all their weights.
    side
        Of the squares of weights that are written, each with its pixel in the middle, (N, side, side); zero where a filter ends.
    name
        Of the image.
    overwrite
        Whether a file of that name may be replaced.

    Raises
    ------
    SettingsError, FileError
        If it cannot be written, or there are no filters.
    """
    target = check_filter_target(path, overwrite=overwrite)
    if not found:
        raise FileError(f"{target}: there are no filters to write.")
    if target.suffix.lower() == ".png":
        return write_image(target, ImageFile(figure_of(source, found, side), "YXS", name=f"{name} filters"), overwrite=overwrite)
    weights = np.stack([centred(each, source.point(each.position), side) for each in found])
    image = ImageFile(weights, "QYX", name=f"{name} filters", provenance=filters_record(source, found, side))
    return write_image(target, image, overwrite=overwrite)


def filters_record(source: PixelFilters, found: Sequence[Filter], side: int) -> dict[str, Any]:
    """What is known of filters, as plain values that JSON can hold."""
    return {
        "program": KEY,
        "version": package_version(KEY),
        "what": f"filters of single pixels, each a square of {side} pixels with its pixel in the middle",
        "weights_of": "the stabilised image" if found[0].domain == "stabilised" else "the image",
        "filters": [{"position": list(each.position), **numbers_of(each, source.noise_of(each.position))} for each in found],
        "of": source.run.provenance,
    }


def figure_of(source: PixelFilters, found: Sequence[Filter], side: int) -> np.ndarray:
    """The figure of filters in the plane of the first of them, (Y, X, 3) uint8."""
    plane = source.layout.plane_at(found[0].position)
    here = [each for each in found if source.layout.plane_at(each.position) == plane]
    points = [source.point(each.position) for each in here]
    window = overview_window(source.layout.plane_shape, points, side)
    pixels = source.read(found[0].position, window).astype(np.float64)
    low, high = (float(value) for value in np.percentile(pixels[::3, ::3], CONTRAST))
    shown = [(each, point) for each, point in zip(here, points, strict=True) if _is_inside(point, window)]
    return montage(pixels, window, [each for each, _ in shown], [point for _, point in shown], side, (low, high))


def _is_inside(point: tuple[int, int], window: tuple[slice, slice]) -> bool:
    return all(part.start <= at < part.stop for at, part in zip(point, window, strict=True))
