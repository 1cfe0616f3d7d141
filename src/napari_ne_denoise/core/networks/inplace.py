"""Operations on features that nobody else needs, made for speed, with gradients: as cheap as those of an ordinary network.

What they return must go into one convolution and nowhere else.  Its gradient is then nobody else's either, and is overwritten in turn.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# by size of a float in bytes: the signs of as many as fit into a 64-bit integer
_SIGNS = {2: -0x7FFF_7FFF_7FFF_8000, 4: -0x7FFF_FFFF_8000_0000, 8: -0x8000_0000_0000_0000}


def sort_rotated(x: Tensor, mirrored: bool = False) -> Tensor:
    """|d| in place of the second half of the channels of `x` (N, C, H, W): what is left of sorting between rotated kernels.

    Parameters
    ----------
    x
        Overwritten, and returned.
    mirrored
        Whether the outermost rows and columns, H and W ≥ 3, are filled with the mirror image of what they enclose: the same as cutting
        them off and padding by reflection, without the copy.  A side of one pixel between them has no mirror and is repeated.
    """
    if x.requires_grad:
        sorted_: Tensor = _SortRotated.apply(x, mirrored)
        return sorted_
    if mirrored:
        mirror(x)
    contrasts = x[:, x.shape[1] // 2 :]
    if x.dtype.itemsize == 2 and (words := _as_words(contrasts)) is not None:
        # a fifth of the time of torch's abs of 16-bit floats that do not all lie side by side
        words.bitwise_and_(~_SIGNS[2])
    else:
        contrasts.abs_()
    return x


def _as_words(x: Tensor) -> Tensor | None:
    """Channels-last features (N, C, H, W) of a CPU as 64-bit integers (N, H, W, words); None if they do not lie so."""
    last = x.permute(0, 2, 3, 1)
    floats = 8 // x.dtype.itemsize
    starts_and_strides = (last.storage_offset(), last.shape[-1], *last.stride()[:-1])
    fits = last.stride(-1) == 1 and all(number % floats == 0 for number in starts_and_strides)
    return last.view(torch.int64) if x.device.type == "cpu" and fits else None


class _SortRotated(torch.autograd.Function):
    """Keeps the signs of half of the channels."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mirrored: bool) -> Tensor:
        ctx.mirrored = mirrored
        ctx.mark_dirty(x)
        if mirrored:
            mirror(x)
        contrasts = x[:, x.shape[1] // 2 :]
        words = _as_words(contrasts)
        signs = torch.sgn(contrasts) if words is None else words & _SIGNS[x.dtype.itemsize]
        ctx.save_for_backward(signs)
        if words is None:
            contrasts.abs_()
        else:
            words.bitwise_and_(~_SIGNS[x.dtype.itemsize])
        return x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (signs,) = ctx.saved_tensors
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        contrasts = gradient[:, gradient.shape[1] // 2 :]
        if signs.dtype == torch.int64:
            words = _as_words(contrasts)
            assert words is not None  # it lies as the features did
            words.bitwise_xor_(signs)
        else:
            contrasts.mul_(signs)
        if ctx.mirrored:
            _unmirror(gradient)
        return gradient, None


def frame(x: Tensor) -> Tensor:
    """A copy of `x` (N, C, H, W) with its mirror image one pixel wide on every side, channels last."""
    if x.requires_grad:
        framed: Tensor = _Frame.apply(x)
        return framed
    return _framed(x)


class _Frame(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _framed(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        _unmirror(gradient)
        return gradient[..., 1:-1, 1:-1].contiguous(memory_format=torch.channels_last)


def _framed(x: Tensor) -> Tensor:
    count, channels, height, width = x.shape
    canvas = torch.empty((count, channels, height + 2, width + 2), dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    canvas[..., 1:-1, 1:-1].copy_(x)
    mirror(canvas)
    return canvas


def mirror(x: Tensor) -> None:
    """Fill the outermost rows and columns of `x` (N, C, H, W) with the mirror image of what they enclose."""
    for dimension in (2, 3):
        for edge, source in _edges(x.shape[dimension]):
            x.select(dimension, edge).copy_(x.select(dimension, source))


def _unmirror(gradient: Tensor) -> None:
    """The gradient of `mirror`, in place."""
    for dimension in (3, 2):
        for edge, source in _edges(gradient.shape[dimension]):
            gradient.select(dimension, source).add_(gradient.select(dimension, edge))
            gradient.select(dimension, edge).zero_()


def _edges(length: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Both edges, and the place that each mirrors."""
    step = min(2, length - 2)
    return (0, step), (length - 1, length - 1 - step)


def mix(x: Tensor, residual: Tensor, alpha: Tensor) -> Tensor:
    """α·x + (1 − α)·r, with gradients in half the time that torch's lerp takes for them."""
    mixed: Tensor = _Mix.apply(x, residual, alpha)
    return mixed


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, residual: Tensor, alpha: Tensor) -> Tensor:
        ctx.save_for_backward(x, residual, alpha)
        return torch.lerp(residual, x, float(alpha))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (gradient,) = gradients
        x, residual, alpha = ctx.saved_tensors
        of_x = gradient * float(alpha)
        of_alpha = (x - residual).mul_(gradient).sum()  # torch adds up half precision in float32
        return of_x, gradient - of_x, of_alpha.to(alpha.dtype).reshape(alpha.shape)
