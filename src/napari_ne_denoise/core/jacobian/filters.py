"""The adaptive filter of a pixel: a row of the Jacobian.

A blind norm-equiv network is f(y) = A_y y with rows that sum to one, so that the filter is literally what made the pixel.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from napari_ne_denoise.core.axes import PlaneLayout
from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.inference import as_denoiser, prepare_denoising
from napari_ne_denoise.core.jacobian.rows import PixelFilters
from napari_ne_denoise.core.jacobian.weights import Filter
from napari_ne_denoise.core.models.opened import OpenModel
from napari_ne_denoise.core.settings import DEFAULTS, KnownNoise, NamedModel, Noise, checked_whole
from napari_ne_denoise.core.tiling import Window

__all__ = ["Filter", "adaptive_filter", "adaptive_filters", "grid_positions", "iter_adaptive_filters", "open_up", "prepare_filters"]

PRECISIONS = {"float64": torch.float64, "float32": torch.float32}


def adaptive_filter(
    image: Any,
    position: tuple[int, ...],
    *,
    model: str | os.PathLike[str] | NamedModel | None = None,
    support: int | None = None,
    axes: str | None = None,
    channel_axis: int | None = None,
    sigma: float | None = None,
    noise: Noise | KnownNoise | Mapping[str, Any] | os.PathLike[str] | str = DEFAULTS.noise,
    strength: float = DEFAULTS.strength,
    hot_pixels: str = DEFAULTS.hot_pixels,
    precision: str = "float64",
) -> Filter:
    """The filter of one output pixel of ``denoise``, computed on the CPU.

    Parameters
    ----------
    image
        As in `denoise`.
    position
        Index of the output pixel, one whole number for each axis of the image.
    model
        Any model; None for the default one.  Of one that is told the noise level, that wraps another (WNE) or that is ordinary, weights
        times image are not all of the pixel: `Filter` has the rest.
    support
        Side in pixels of the square of weights to return, centred on the pixel and cut off at the image's border.  None returns
        all that the network reaches.
    axes, channel_axis, sigma, noise, hot_pixels
        As in `denoise`.  Where noise is made the same at every brightness first, weights are of the stabilised image; where it is made
        white, they are of the image, there and back included.
    strength
        As in `denoise`: the weights of y + t · (f(y) − y) are (1 − t) on the pixel itself, and t times those of f.  Their sum stays.
    precision
        "float64", or "float32": in a fifth of the time, to five digits of the largest weight.

    Raises
    ------
    SettingsError
        If the position is outside the image, or a setting is not accepted.
    """
    settings = {"axes": axes, "channel_axis": channel_axis, "sigma": sigma, "noise": noise, "strength": strength, "hot_pixels": hot_pixels}
    (found,) = adaptive_filters(image, [position], model=model, support=support, precision=precision, **settings)
    return found


def adaptive_filters(image: Any, positions: Sequence[tuple[int, ...]], **settings: Any) -> list[Filter]:
    """The filters of several output pixels, each exactly as `adaptive_filter` gives it, but sooner: several are computed together.

    Parameters
    ----------
    image, **settings
        As in `adaptive_filter`.
    positions
        Of the output pixels; `grid_positions` gives a lattice of them.
    """
    return list(iter_adaptive_filters(image, positions, **settings))


def iter_adaptive_filters(
    image: Any,
    positions: Sequence[tuple[int, ...]],
    *,
    model: str | os.PathLike[str] | NamedModel | None = None,
    support: int | None = None,
    precision: str = "float64",
    **settings: Any,
) -> Iterator[Filter]:
    """The same, one by one in the order of the positions; whoever asks may stop between any two."""
    accepted = "a positive number of pixels, or None for all that the network reaches"
    side, dtype = None if support is None else checked_whole("support", support, accepted, least=1), checked_precision(precision)
    filters = prepare_filters(image, model=DEFAULTS.model if model is None else model, **settings)
    checked = [filters.layout.checked_position(position) for position in positions]
    found = filters.of(checked, dtype)
    return found if side is None else (each.around(filters.point(each.position), side) for each in found)


def prepare_filters(image: Any, **settings: Any) -> PixelFilters:
    """Decide everything for filters of an image, to ask for any number of them; settings as in `denoise`."""
    # pixels that are no numbers are filled, and results come from the CPU in the precision that is asked for
    fixed = {"nonfinite": "keep", "device": "cpu", "precision": "float32", "tile_size": 256}
    return PixelFilters(prepare_denoising(image, **{**settings, **fixed}))


def grid_positions(layout: PlaneLayout, position: tuple[int, ...], count: int, window: Window | None = None) -> list[tuple[int, ...]]:
    """Positions spread evenly over a window of the plane that holds a position, row by row.

    Parameters
    ----------
    layout
        How the image is cut into planes.
    position
        Of any pixel of the plane.
    count
        How many along the longer side; as many as their distance allows along the other.
    window
        Rows and columns.  None: the whole plane.

    Raises
    ------
    SettingsError
        If the count is no positive whole number.
    """
    count = checked_whole("grid", count, "a positive whole number of pixels along the longer side", least=1)
    rows, columns = window or (slice(0, layout.plane_shape[0]), slice(0, layout.plane_shape[1]))
    spacing = max(rows.stop - rows.start, columns.stop - columns.start) / count
    plane = layout.plane_at(layout.checked_position(position))
    return [layout.position(plane, row, column) for row in _spread(rows, spacing) for column in _spread(columns, spacing)]


def _spread(part: slice, spacing: float) -> list[int]:
    """Places in the middle of equal pieces of a part, about so far apart."""
    length = part.stop - part.start
    count = max(1, min(length, round(length / max(spacing, 1))))
    return [part.start + int((2 * number + 1) * length / (2 * count)) for number in range(count)]


def open_up(model: str | os.PathLike[str] | NamedModel) -> OpenModel:
    """A model whose output is a filter times the image, and nothing else.

    Raises
    ------
    SettingsError
        If the model is another.
    """
    denoiser = as_denoiser(model)
    if not denoiser.blind:
        raise SettingsError(
            f"model={denoiser.name!r}: needs a noise level, so that its output is not filter times image.",
            mend="own_filters",
            python="choose a blind model",
        )
    if denoiser.is_wrapped:
        raise SettingsError(
            f"model={denoiser.name!r}: divides by the standard deviation of the whole image, so that no pixel has a filter of its own.",
            mend="own_filters",
            python="choose a model that is norm-equiv by itself",
        )
    return denoiser


def checked_precision(precision: str) -> torch.dtype:
    """The precision of a name.

    Raises
    ------
    SettingsError
        If there is none.
    """
    if precision not in PRECISIONS:
        raise SettingsError(f"precision={precision!r}: must be one of {', '.join(PRECISIONS)}.")
    return PRECISIONS[precision]
