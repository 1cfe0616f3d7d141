"""The parts of normalization-equivariant networks, as the paper has them.

A function f is normalization-equivariant when f(λy + μ) = λf(y) + μ for every λ > 0 and μ.  Three parts keep that law:
convolutions whose kernels sum to one, sorting instead of an element-wise activation, and residuals whose two weights sum
to one.  `layers_for` gives the parts of each of the paper's three kinds of network, so that no other place asks for the mode.

Source: Herbreteau, Moebel, Kervrann, NeurIPS 2023.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.networks.kernels import affine_kernel

Mode = Literal["ordinary", "scale-equiv", "norm-equiv"]
MODES: tuple[str, ...] = get_args(Mode)


def reflect_pad(x: Tensor, width: int = 1) -> Tensor:
    """Mirror `x` (N, C, H, W) by `width` pixels on every side; a side of one pixel has no mirror and is repeated."""
    if min(x.shape[-2:]) > width:
        return F.pad(x, (width,) * 4, mode="reflect")
    x = F.pad(x, (width, width, 0, 0), mode="reflect" if x.shape[-1] > width else "replicate")
    return F.pad(x, (0, 0, width, width), mode="reflect" if x.shape[-2] > width else "replicate")


def without_frame(canvas: Tensor) -> Tensor:
    """A canvas (N, C, H + 2, W + 2) without its outermost pixels.

    A convolution that pads by a pixel, and is cut off, gives the same numbers as one that does not pad; but in half precision torch
    computes the latter by ways that depend on H and W, and tiles would not be exact to the bit.
    """
    return canvas[..., 1:-1, 1:-1]


def packed(x: Tensor) -> Tensor:
    """Features as they are; but without gaps between rows on an Apple GPU, which torch before 2.13 convolves as if there were none."""
    if x.device.type in ("cpu", "cuda") or x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last):
        return x
    return x.contiguous(memory_format=torch.channels_last)


class PaddedConv2d(nn.Conv2d):
    """A convolution that keeps H and W by padding with `padding_mode` ("zeros" or "reflect"), sides of one pixel included.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride
        As in `torch.nn.Conv2d`.  Only 3×3 kernels are padded; 1×1 and strided 2×2 ones need none.
    padding_mode
        "zeros" or "reflect".
    bias
        Whether there is an additive constant for each output channel.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        stride: int = 1,
        padding_mode: Literal["zeros", "reflect"] = "zeros",
        bias: bool = False,
    ) -> None:
        margin = kernel_size // 2 if stride == 1 else 0
        super().__init__(in_channels, out_channels, kernel_size, stride=stride, padding=margin, bias=bias)
        self.padding_mode = padding_mode
        self.margin = margin

    def kernel(self, dtype: torch.dtype | None = None) -> Tensor:
        """The kernel that is applied, (out, in, kH, kW), computed in `dtype` (None: that of the weight)."""
        return self.weight.to(dtype or self.weight.dtype)

    def convolve(self, x: Tensor) -> Tensor:
        """Convolve `x` (N, in, H, W), padded with zeros whatever the padding mode, to (N, out, H/stride, W/stride)."""
        return F.conv2d(packed(x), self.kernel(), self.bias, self.stride, self.margin)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve `x` (N, in, H, W) to (N, out, H/stride, W/stride)."""
        if self.padding_mode == "reflect" and self.margin:
            return without_frame(self.convolve(reflect_pad(x, self.margin)))
        return self.convolve(x)


class AffineConv2d(PaddedConv2d):
    """A convolution without bias whose kernels sum to one over input channels and taps together.

    That is what makes a linear layer shift-equivariant.  The stored weight is free, and `kernels.affine_kernel` makes the
    kernel of it (the published files hold such weights).

    Parameters
    ----------
    free_channels
        How many of the last input channels are left out of the constraint.  A noise-level map is one: it is not an
        intensity, so adding μ to the image adds nothing to it.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        stride: int = 1,
        free_channels: int = 0,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride=stride, padding_mode="reflect")
        self.free_channels = free_channels

    def kernel(self, dtype: torch.dtype | None = None) -> Tensor:
        """The affine kernel, (out, in, kH, kW); each output channel's sums to one over the constrained inputs."""
        return affine_kernel(super().kernel(dtype), self.free_channels)


class AffineConvTranspose2d(nn.Module):
    """Upsampling by two that keeps constants.

    The paper has a 1×1 affine convolution to 4·C channels and a pixel shuffle.  That is a transposed convolution with the same
    numbers, which writes its output once and in order: four to six times faster.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1x1 = AffineConv2d(in_channels, 4 * out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Upsample `x` (N, in, H, W) to (N, out, 2H, 2W)."""
        kernel = self.conv1x1.kernel()  # out·2·2, in, 1, 1
        kernel = kernel.view(-1, 2, 2, kernel.shape[1]).permute(3, 0, 1, 2)  # in, out, 2, 2
        return F.conv_transpose2d(packed(x), kernel, stride=2)


class SortPool(nn.Module):
    """Sort each pair of channels: (x₂ₖ, x₂ₖ₊₁) ↦ (min, max).  The only non-linearity of a normalization-equivariant network."""

    def forward(self, x: Tensor) -> Tensor:
        """Sort `x` (N, C, H, W), C even, to the same shape."""
        first, second = x[:, 0::2], x[:, 1::2]
        return torch.stack((torch.minimum(first, second), torch.maximum(first, second)), 2).flatten(1, 2)


class SortedChain(nn.Sequential):
    """Convolutions with a `SortPool` between any two; `rotated` has a cheaper form of the same function."""


class AffineResidual(nn.Module):
    """α·x + (1 − α)·r with one learned α: a residual that keeps constants."""

    def __init__(self) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.full((1,), 0.5))

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Mix two tensors of one shape."""
        return torch.lerp(residual, x, self.alpha.to(x.dtype))


class Sum(nn.Module):
    """x + r: the residual of ordinary and scale-equivariant networks."""

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Add two tensors of one shape."""
        return x + residual


@dataclass(frozen=True)
class LayerSet:
    """The parts from which one kind of network is built.

    Attributes
    ----------
    convolution : (in_channels, out_channels, kernel_size=3, *, stride=1, free_channels=0) -> nn.Module
    upsampling : (in_channels, out_channels) -> nn.Module, doubles H and W
    chain : (*convolutions) -> nn.Sequential, with an activation between any two
    residual : () -> nn.Module of two tensors
    equivariance : the law that every network of these parts obeys
    """

    convolution: Callable[..., PaddedConv2d]
    upsampling: Callable[[int, int], nn.Module]
    chain: Callable[..., nn.Sequential]
    residual: Callable[[], nn.Module]
    equivariance: Mode


def sorted_chain(*convolutions: nn.Module) -> nn.Sequential:
    """Convolutions with a `SortPool` between any two."""
    return SortedChain(*_interleave(convolutions, SortPool))


def rectified_chain(*convolutions: nn.Module) -> nn.Sequential:
    """Convolutions with a ReLU between any two."""
    return nn.Sequential(*_interleave(convolutions, lambda: nn.ReLU(inplace=True)))


def _interleave(convolutions: Sequence[nn.Module], activation: Callable[[], nn.Module]) -> list[nn.Module]:
    parts = [convolutions[0]]
    for convolution in convolutions[1:]:
        parts += [activation(), convolution]
    return parts


def _plain_layers(mode: Mode) -> LayerSet:
    bias = mode == "ordinary"

    def convolution(in_channels: int, out_channels: int, kernel_size: int = 3, *, stride: int = 1, free_channels: int = 0) -> PaddedConv2d:
        return PaddedConv2d(in_channels, out_channels, kernel_size, stride=stride, bias=bias)

    def upsampling(in_channels: int, out_channels: int) -> nn.Module:
        return nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2, bias=bias)

    return LayerSet(convolution, upsampling, rectified_chain, Sum, mode)


def layers_for(mode: str) -> LayerSet:
    """The parts of one kind of network.

    Parameters
    ----------
    mode
        "ordinary", "scale-equiv" or "norm-equiv".  Convolutions of the last continue the image by its mirror image, those of the
        others by zeros.

    Raises
    ------
    SettingsError
        If there is no such mode.
    """
    if mode == "norm-equiv":

        def convolution(
            in_channels: int, out_channels: int, kernel_size: int = 3, *, stride: int = 1, free_channels: int = 0
        ) -> PaddedConv2d:
            return AffineConv2d(in_channels, out_channels, kernel_size, stride=stride, free_channels=free_channels)

        return LayerSet(convolution, AffineConvTranspose2d, sorted_chain, AffineResidual, "norm-equiv")
    if mode == "ordinary":
        return _plain_layers("ordinary")
    if mode == "scale-equiv":
        return _plain_layers("scale-equiv")
    raise SettingsError(f"mode={mode!r}: must be one of {', '.join(map(repr, MODES))}.")
