"""Kernels of normalization-equivariant convolutions, as they are stored and as they are applied.

Sorting a pair (a, b) gives (s − |d|, s + |d|) with the level s = (a + b)/2 and the contrast d = (b − a)/2.  Both maps are linear, so they
can be moved into the kernels on either side, and sorting becomes an ``abs`` on half of the channels.  In these rotated coordinates
channels come as (s…, d…), and what makes a layer shift-equivariant is that the weights on its input levels sum to one for an
output level and to zero for an output contrast; weights on input contrasts are free.

All kernels are (out, in, kH, kW).
"""

from __future__ import annotations

import torch
from torch import Tensor


def affine_kernel(stored: Tensor, free_channels: int = 0) -> Tensor:
    """The kernel of a stored weight w: ``roll(w, 1) − w + 1/numel(w)`` for each output channel, which sums to one.

    The last `free_channels` inputs are left as they are.
    """
    constrained = stored.shape[1] - free_channels
    weight = stored[:, :constrained].flatten(1)  # out, in·kH·kW
    weight = weight.roll(1, 1) - weight + 1 / weight.shape[1]
    affine = weight.view(stored.shape[0], constrained, *stored.shape[2:])
    return torch.cat((affine, stored[:, constrained:]), 1) if free_channels else affine


def stored_weight(kernel: Tensor, free_channels: int = 0) -> Tensor:
    """A weight whose `affine_kernel` is a given kernel; its constrained part has zero mean, which the kernel does not tell."""
    constrained = kernel.shape[1] - free_channels
    flat = kernel[:, :constrained].flatten(1).double()
    weight = (1 / flat.shape[1] - flat).cumsum(1)
    weight = (weight - weight.mean(1, keepdim=True)).to(kernel.dtype).view(kernel.shape[0], constrained, *kernel.shape[2:])
    return torch.cat((weight, kernel[:, constrained:]), 1)


def give_levels(kernel: Tensor) -> Tensor:
    """Rotate the outputs (a, b), (a, b)… of a kernel to (s…, d…)."""
    first, second = kernel[0::2], kernel[1::2]
    return torch.cat(((first + second) / 2, (second - first) / 2), 0)


def give_pairs(kernel: Tensor) -> Tensor:
    """Undo `give_levels`."""
    levels, contrasts = kernel.chunk(2, 0)
    return torch.stack((levels - contrasts, levels + contrasts), 1).flatten(0, 1)


def take_levels(kernel: Tensor) -> Tensor:
    """Make a kernel for inputs (min, max), (min, max)… accept (s…, |d|…)."""
    first, second = kernel[:, 0::2], kernel[:, 1::2]
    return torch.cat((first + second, second - first), 1)


def take_pairs(kernel: Tensor) -> Tensor:
    """Undo `take_levels`."""
    levels, contrasts = kernel.chunk(2, 1)
    return torch.stack((levels - contrasts, levels + contrasts), 2).flatten(1, 2) / 2
