"""The form a network is run in: rotated coordinates, with all that is constant computed once."""

from __future__ import annotations

from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_ne_denoise.core.networks.layers import AffineConvTranspose2d, AffineResidual, PaddedConv2d
from napari_ne_denoise.core.networks.rotated import rotated_form

FEWEST_CHANNELS = 4

ModuleT = TypeVar("ModuleT", bound=nn.Module)


class WidenedConv2d(PaddedConv2d):
    """A convolution of one or two channels, widened with zeros to four.

    Such narrow convolutions get another algorithm for every shape of image, each with its own rounding; the widened ones
    give the same bits for a tile as for the whole image.
    """

    used_outputs: int = FEWEST_CHANNELS

    def convolve(self, x: Tensor) -> Tensor:
        """(N, C, H, W) with the C channels that there were before widening."""
        widened = F.pad(x, (0, 0, 0, 0, 0, self.in_channels - x.shape[1])).contiguous(memory_format=torch.channels_last)
        return super().convolve(widened)[:, : self.used_outputs]


class BlockConv2d(PaddedConv2d):
    """A 2×2 convolution with stride 2: each 2×2 block of pixels becomes one pixel.

    In half precision the strided convolution of a CPU rounds differently for every shape of image; gathering the blocks first, for a
    convolution of 1×1, does not, and takes no longer.
    """

    def convolve(self, x: Tensor) -> Tensor:
        """(N, out, H/2, W/2)."""
        if x.dtype.itemsize > 2 or x.device.type != "cpu":
            return super().convolve(x)
        kernel = self.weight.permute(0, 2, 3, 1).flatten(1)[..., None, None]  # out, 2·2·in, 1, 1
        return F.conv2d(_gather_blocks(x), kernel, self.bias)


def _gather_blocks(x: Tensor) -> Tensor:
    """(N, C, H, W) to (N, 2·2·C, H/2, W/2), channels last; an odd last row or column is dropped, as a strided convolution does."""
    count, channels, height, width = x.shape
    blocks = x[..., : height // 2 * 2, : width // 2 * 2].permute(0, 2, 3, 1)
    blocks = blocks.reshape(count, height // 2, 2, width // 2, 2, channels).transpose(2, 3)
    return blocks.reshape(count, height // 2, width // 2, 4 * channels).permute(0, 3, 1, 2)


class FixedResidual(nn.Module):
    """α·x + (1 − α)·r with α a plain number, in place of r, which nobody needs afterwards."""

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Mix two tensors of one shape; `residual` is overwritten."""
        return residual.lerp_(x, self.alpha)


def inference_form(network: ModuleT) -> ModuleT:
    """A frozen copy of `network` that computes exactly the same function faster.

    Memory format is channels_last, which the convolutions of CPUs and GPUs prefer.
    """
    frozen = rotated_form(network).eval().requires_grad_(False)
    _freeze_children(frozen)
    return cast(ModuleT, frozen.to(memory_format=torch.channels_last))  # type: ignore[call-overload]


def _freeze_children(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, PaddedConv2d):
            # of an upsampling's convolution only the kernel is used, for another operation
            setattr(module, name, _plain(child, child.kernel(torch.float64), widen=not isinstance(module, AffineConvTranspose2d)))
        elif isinstance(child, AffineResidual):
            setattr(module, name, FixedResidual(float(child.alpha.item())))
        else:
            _freeze_children(child)


def _plain(convolution: PaddedConv2d, kernel: Tensor, widen: bool) -> PaddedConv2d:
    """A convolution with a fixed kernel, of the same dtype, device, stride and padding."""
    outputs, inputs = kernel.shape[:2]
    widened = tuple(max(count, FEWEST_CHANNELS if widen else 0) for count in (inputs, outputs))
    build = (
        WidenedConv2d
        if widened != (inputs, outputs)
        else BlockConv2d
        if convolution.stride == convolution.kernel_size == (2, 2)
        else PaddedConv2d
    )
    plain = build(
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
