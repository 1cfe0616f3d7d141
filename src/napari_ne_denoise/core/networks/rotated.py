"""Networks in rotated coordinates (see `kernels`): the same function, cheaper to train and to run.

A network is published, and stored, with sorting between its convolutions and with the paper's kernels.  It is trained in the
form of this module, which costs hardly more than an ordinary network, and run in a frozen copy of it (`folding`).
"""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from napari_ne_denoise.core.networks import kernels
from napari_ne_denoise.core.networks.inplace import frame, mix, sort_rotated
from napari_ne_denoise.core.networks.layers import AffineConv2d, AffineResidual, PaddedConv2d, SortedChain, without_frame

ModuleT = TypeVar("ModuleT", bound=nn.Module)


class CentredConv2d(PaddedConv2d):
    """A normalization-equivariant convolution, in rotated coordinates where wanted.

    The stored weight is free; what is applied is the nearest kernel that keeps the law.  Gradients are those of the kernel, without
    what would leave the law, so that every step of training is spent on what may change.

    Parameters
    ----------
    source
        The convolution whose function this one takes over.
    takes_levels, gives_levels
        Whether inputs and outputs are (s…, d…) instead of pairs to be sorted.
    """

    def __init__(self, source: AffineConv2d, *, takes_levels: bool = False, gives_levels: bool = False) -> None:
        super().__init__(
            source.in_channels,
            source.out_channels,
            source.kernel_size[0],
            stride=source.stride[0],
            padding_mode="reflect",
        )
        self.takes_levels, self.gives_levels, self.free_channels = takes_levels, gives_levels, source.free_channels
        kernel = source.kernel(torch.float64)
        kernel = kernels.give_levels(kernel) if gives_levels else kernel
        kernel = kernels.take_levels(kernel) if takes_levels else kernel
        self.weight = nn.Parameter(kernel.detach().to(source.weight))

    @property
    def constrained_inputs(self) -> int:
        """How many of the first input channels carry a level."""
        intensities = self.in_channels - self.free_channels
        return intensities // 2 if self.takes_levels else intensities

    @property
    def summing_to_one(self) -> int:
        """How many of the first output channels are levels; the kernels of the others sum to zero."""
        return self.out_channels // 2 if self.gives_levels else self.out_channels

    def kernel(self, dtype: torch.dtype | None = None) -> Tensor:
        """The kernel that is applied, (out, in, kH, kW)."""
        centred: Tensor = _Centre.apply(super().kernel(dtype), self.constrained_inputs, self.summing_to_one)
        return centred

    def give_back(self, source: AffineConv2d) -> None:
        """Set the weights of the convolution in the published form so that it computes this function."""
        kernel = self.kernel(torch.float64)
        kernel = kernels.take_pairs(kernel) if self.takes_levels else kernel
        kernel = kernels.give_pairs(kernel) if self.gives_levels else kernel
        source.weight.copy_(kernels.stored_weight(kernel, self.free_channels))


class _Centre(torch.autograd.Function):
    """Shift the first input channels of a kernel so that the first rows sum to one and the others to zero."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, constrained: int, summing_to_one: int) -> Tensor:
        ctx.constrained = constrained
        kernel = weight.clone()
        part = kernel[:, :constrained]
        excess = part.sum((1, 2, 3), keepdim=True)
        excess[:summing_to_one] -= 1
        part -= excess / part[0].numel()
        return kernel

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        gradient = gradients[0].clone()
        part = gradient[:, : ctx.constrained]
        part -= part.mean((1, 2, 3), keepdim=True)
        return gradient, None, None


class AbsHalf(nn.Module):
    """What is left of `SortPool` between the rotated kernels of a chain."""

    def forward(self, x: Tensor) -> Tensor:
        """Change a canvas (N, C, H + 2, W + 2) in place, its frame the mirror image of its inside, and return it."""
        return sort_rotated(x, mirrored=True)


class TrainedResidual(AffineResidual):
    """The same, cheaper to train."""

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Mix two tensors of one shape."""
        return mix(x, residual, self.alpha)


class RotatedChain(nn.Sequential):
    """Convolution → `AbsHalf` → convolution…: a `SortedChain` in rotated coordinates.

    The image is padded once, and each layer only mirrors the frame anew: between layers the inside needs no copy.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) through all convolutions."""
        x = frame(x)  # N, C, H + 2, W + 2
        for part in self:
            x = part.convolve(x) if isinstance(part, PaddedConv2d) else part(x)
        return without_frame(x)


def rotated_form(network: ModuleT) -> ModuleT:
    """A trainable copy of `network` in rotated coordinates: the same function, with modules of the same names."""
    copied = copy.deepcopy(network)
    _rotate_children(copied)
    return copied


def _rotate_children(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, SortedChain):
            setattr(module, name, _rotate_chain(child))
        elif isinstance(child, AffineConv2d):
            setattr(module, name, CentredConv2d(child))
        elif isinstance(child, AffineResidual):
            trained = TrainedResidual()
            trained.alpha = child.alpha
            setattr(module, name, trained)
        else:
            _rotate_children(child)


def _rotate_chain(chain: SortedChain) -> RotatedChain:
    last = len(chain) - 1
    return RotatedChain(
        *(
            CentredConv2d(part, takes_levels=index > 0, gives_levels=index < last) if isinstance(part, AffineConv2d) else AbsHalf()
            for index, part in enumerate(chain)
        )
    )


@torch.no_grad()
def give_back(form: nn.Module, network: nn.Module) -> None:
    """Set the weights of `network` so that it computes what its rotated form computes."""
    for name, part in form.named_modules():
        source = network.get_submodule(name)
        if isinstance(part, CentredConv2d) and isinstance(source, AffineConv2d):
            part.give_back(source)
            continue
        for key, value in part.named_parameters(recurse=False):
            source.get_parameter(key).copy_(value)
