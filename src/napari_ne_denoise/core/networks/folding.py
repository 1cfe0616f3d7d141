"""From the form a network is trained in to a faster form of the same function.

Two identities do it.  An affine kernel is a constant once training is over.  And sorting between two
convolutions is an ``abs`` on half of the channels once their kernels are rotated (`SortedChain`).
"""

from __future__ import annotations

import copy
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_ne_denoise.core.networks.layers import AffineResidual, PaddedConv2d, SortedChain

FEWEST_CHANNELS = 4

ModuleT = TypeVar("ModuleT", bound=nn.Module)


class AbsHalf(nn.Module):
    """|d| in place of the second half of the channels (s…, d…): what is left of sorting between rotated kernels."""

    def forward(self, x: Tensor) -> Tensor:
        """Change `x` (N, C, H, W) in place and return it."""
        x[:, x.shape[1] // 2 :].abs_()
        return x


class WidenedConv2d(PaddedConv2d):
    """A convolution of one or two channels, widened with zeros to four.

    Such narrow convolutions get another algorithm for every shape of image, each with its own rounding; the widened ones
    give the same bits for a tile as for the whole image.
    """

    used_outputs: int = FEWEST_CHANNELS

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) with the C channels that there were before widening."""
        widened = F.pad(x, (0, 0, 0, 0, 0, self.in_channels - x.shape[1])).contiguous(memory_format=torch.channels_last)
        return super().forward(widened)[:, : self.used_outputs]


class FixedResidual(nn.Module):
    """α·x + (1 − α)·r with α a plain number."""

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Mix two tensors of one shape."""
        return torch.lerp(residual, x, self.alpha)


def inference_form(network: ModuleT) -> ModuleT:
    """A frozen copy of `network` with kernels folded and sorting turned into ``abs``; exactly the same function.

    Memory format is channels_last, which the convolutions of CPUs and GPUs prefer.
    """
    copied = copy.deepcopy(network).eval().requires_grad_(False)
    _fold_children(copied)
    return cast(ModuleT, copied.to(memory_format=torch.channels_last))  # type: ignore[call-overload]


def _fold_children(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, SortedChain):
            setattr(module, name, _fold_chain(child))
        elif isinstance(child, PaddedConv2d):
            setattr(module, name, _plain(child, child.kernel(torch.float64)))
        elif isinstance(child, AffineResidual):
            setattr(module, name, FixedResidual(float(child.alpha.item())))
        else:
            _fold_children(child)


def _fold_chain(chain: SortedChain) -> nn.Sequential:
    convolutions = [part for part in chain if isinstance(part, PaddedConv2d)]
    plain = [_plain(convolution, kernel) for convolution, kernel in zip(convolutions, chain.rotated_kernels(torch.float64), strict=True)]
    folded: list[nn.Module] = [plain[0]]
    for convolution in plain[1:]:
        folded += [AbsHalf(), convolution]
    return nn.Sequential(*folded)


def _plain(convolution: PaddedConv2d, kernel: Tensor) -> PaddedConv2d:
    """A convolution with a fixed kernel, of the same dtype, device, stride and padding."""
    outputs, inputs = kernel.shape[:2]
    widened = tuple(max(count, FEWEST_CHANNELS) for count in (inputs, outputs))
    plain = (PaddedConv2d if widened == (inputs, outputs) else WidenedConv2d)(
        widened[0],
        widened[1],
        convolution.kernel_size[0],
        stride=convolution.stride[0],
        padding_mode=convolution.padding_mode,  # type: ignore[arg-type]
        bias=convolution.bias is not None,
    )
    plain = plain.to(convolution.weight).requires_grad_(False)
    plain.weight.zero_()
    plain.weight[:outputs, :inputs] = kernel
    if convolution.bias is not None and plain.bias is not None:
        plain.bias.zero_()
        plain.bias[:outputs] = convolution.bias
    if isinstance(plain, WidenedConv2d):
        plain.used_outputs = outputs
    return plain
