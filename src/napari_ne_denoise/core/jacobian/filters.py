"""The adaptive filter of one pixel: a row of the network's Jacobian.

A blind norm-equiv network is f(y) = A_y y with rows that sum to one, so that the filter is literally what made the pixel.
"""

from __future__ import annotations

import operator
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from napari_ne_denoise.core.axes import plan_planes
from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.inference import as_denoiser
from napari_ne_denoise.core.models.opened import OpenModel
from napari_ne_denoise.core.networks.network import DenoisingNetwork
from napari_ne_denoise.core.numerics import Numerics, blend, choose_numerics
from napari_ne_denoise.core.pixels import PlaneReader, as_image
from napari_ne_denoise.core.settings import DEFAULTS, NamedModel, checked_strength
from napari_ne_denoise.core.statistics import plane_statistics
from napari_ne_denoise.core.tiling import Grid, Window, inside, read_window, square_around

PRECISIONS = {"float64": torch.float64, "float32": torch.float32}


@dataclass(frozen=True)
class Filter:
    """What made one output pixel.

    Attributes
    ----------
    weights : (Y, X) float64
        Weight of each input pixel.
    origin : (row, column)
        Place of ``weights[0, 0]`` in the plane.
    mean_weight
        Weight of the plane's mean, by which a `DRUNet` continues a plane whose sides do not fit; otherwise zero.
    total
        Sum of all weights, those outside `weights` and `mean_weight` included: 1 for a norm-equiv model.
    output
        The denoised pixel, in image units.
    weighted_sum
        Σ w·y + mean_weight · mean over all that the network reached, in image units: equal to `output` for a norm-equiv model.
    """

    weights: np.ndarray
    origin: tuple[int, int]
    mean_weight: float
    total: float
    output: float
    weighted_sum: float


def adaptive_filter(
    image: Any,
    position: tuple[int, ...],
    *,
    model: str | os.PathLike[str] | NamedModel | None = None,
    support: int | None = None,
    axes: str | None = None,
    channel_axis: int | None = None,
    strength: float = DEFAULTS.strength,
    precision: str = "float64",
) -> Filter:
    """The filter of one output pixel, computed on the CPU.

    It is that of ``denoise(image, noise="none")``.  Where noise was made the same everywhere first, no filter of the image itself makes the
    pixel.

    Parameters
    ----------
    image
        As in `denoise`.
    position
        Index of the output pixel, one whole number for each axis of the image.
    model
        A blind model; None for the default one.
    support
        Side in pixels of the square of weights to return, centred on the pixel and cut off at the image's border.  None returns
        all that the network reaches.
    axes, channel_axis
        As in `denoise`.
    strength
        As in `denoise`: the weights of y + t · (f(y) − y) are (1 − t) on the pixel itself, and t times those of f.  Their sum stays.
    precision
        "float64", or "float32": in a twentieth of the time, to five digits of the largest weight.

    Raises
    ------
    SettingsError
        If the position is outside the image, or the model needs a noise level: its output is not its filter times the image.
    """
    array = as_image(image)
    layout = plan_planes(tuple(array.shape), axes, channel_axis)
    at = layout.checked_position(position)
    denoiser = open_up(DEFAULTS.model if model is None else model)
    side = None if support is None else _checked_support(support)
    share, dtype = checked_strength(strength), _checked_precision(precision)
    # pixels that are no numbers are filled as nonfinite="keep" does
    read, _ = PlaneReader(array, layout, "keep").open_plane(layout.plane_at(at))
    statistics = plane_statistics(read, layout.plane_shape)
    numerics = choose_numerics(denoiser.equivariance, statistics, array.dtype, read)
    point = (at[layout.rows], at[layout.columns])
    window = _window_around(point, layout.plane_shape, denoiser.grid)
    pixels = np.asarray(read(*window), np.float64)
    weights, mean_weight, value = _row_of_jacobian(denoiser.differentiable(dtype), numerics, pixels, window, point)
    own = point[0] - window[0].start, point[1] - window[1].start
    weights, mean_weight = _weakened(weights, own, share), share * mean_weight
    shown, origin = _crop(weights, window, point, side)
    return Filter(
        shown,
        origin,
        mean_weight,
        total=float(weights.sum()) + mean_weight,
        output=float(blend(pixels[own], numerics.back(np.asarray(value)), share)),
        weighted_sum=float((weights * pixels).sum()) + mean_weight * statistics.mean,
    )


def open_up(model: str | os.PathLike[str] | NamedModel) -> OpenModel:
    """A model whose output is a filter times the image.

    Raises
    ------
    SettingsError
        If the model is another.
    """
    denoiser = as_denoiser(model)
    if not denoiser.blind:
        raise SettingsError(
            f"model={denoiser.name!r}: needs a noise level, so that its output is not filter times image; choose a blind model."
        )
    if denoiser.is_wrapped:
        raise SettingsError(
            f"model={denoiser.name!r}: divides by the standard deviation of the whole image, so that no pixel has a filter of its own; "
            "choose a model that is norm-equiv by itself."
        )
    return denoiser


def _window_around(point: tuple[int, int], shape: tuple[int, int], grid: Grid) -> Window:
    rows, columns = (slice(coordinate, coordinate + 1) for coordinate in point)
    return read_window(shape, (rows, columns), grid)


def _row_of_jacobian(
    network: DenoisingNetwork, numerics: Numerics, pixels: np.ndarray, window: Window, point: tuple[int, int]
) -> tuple[np.ndarray, float, float]:
    """Weights of the window's pixels, weight of the mean, and the network's output, by one backward pass."""
    dtype = next(network.parameters()).dtype
    row, column = (coordinate - part.start for coordinate, part in zip(point, window, strict=True))
    # whatever mode the caller is in, here gradients are wanted
    with torch.inference_mode(False), torch.enable_grad():
        x = torch.from_numpy(numerics.forward(pixels))[None, None].to(dtype).requires_grad_()  # 1, 1, Y, X
        mean = torch.tensor([numerics.mean], dtype=dtype, requires_grad=True)
        output = network(x, None, mean, (slice(row, row + 1), slice(column, column + 1)))[0, 0, 0, 0]
        by_pixel, by_mean = torch.autograd.grad(output, (x, mean), allow_unused=True)
    assert by_pixel is not None
    return by_pixel[0, 0].double().numpy(), 0.0 if by_mean is None else float(by_mean), float(output.detach())


def _weakened(weights: np.ndarray, own: tuple[int, int], strength: float) -> np.ndarray:
    """(1 − t)·δ + t·w, with δ the pixel itself."""
    weakened = strength * weights
    weakened[own] += 1 - strength
    return weakened


def _checked_precision(precision: str) -> torch.dtype:
    if precision not in PRECISIONS:
        raise SettingsError(f"precision={precision!r}: must be one of {', '.join(PRECISIONS)}.")
    return PRECISIONS[precision]


def _checked_support(support: int) -> int:
    try:
        side = operator.index(support)
    except TypeError:
        side = 0
    if side < 1:
        raise SettingsError(f"support={support!r}: must be a positive number of pixels, or None for all that the network reaches.")
    return side


def _crop(weights: np.ndarray, window: Window, point: tuple[int, int], support: int | None) -> tuple[np.ndarray, tuple[int, int]]:
    if support is None:
        return weights, (window[0].start, window[1].start)
    square = square_around(point, support, window)
    return weights[inside(square, window)], (square[0].start, square[1].start)
