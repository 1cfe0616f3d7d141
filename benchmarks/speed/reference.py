"""FDnCNN and DRUNet, norm-equiv, in the plain style in which such networks are published: what ours are timed against.

Every forward pass computes the affine kernels again, sorts with a ReLU, pads by reflection in a copy before every 3×3 convolution,
and works on contiguous float32 tensors.  Written from the description of the layers; parameter names are those of our networks, so
that weights are shared.

Source: Herbreteau, Moebel, Kervrann, NeurIPS 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_ne_denoise.core.networks import DenoisingNetwork, DRUNet


class AffineConv(nn.Conv2d):
    """A convolution whose kernels sum to one: ``roll(w, 1) − w + 1/numel(w)`` for each output channel."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H/stride, W/stride)."""
        stored = self.weight.flatten(1)  # out, in·kH·kW
        kernel = (stored.roll(1, 1) - stored + 1 / stored.shape[1]).view_as(self.weight)
        padded = F.pad(x, (1, 1, 1, 1), mode="reflect") if self.kernel_size == (3, 3) else x
        return F.conv2d(padded, kernel, stride=self.stride)


class ReluSort(nn.Module):
    """(min, max) of each pair of channels, as a − relu(a − b) and b + relu(a − b)."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W), C even, to the same shape."""
        first, second = x[:, 0::2], x[:, 1::2]
        excess = F.relu(first - second)
        return torch.stack((first - excess, second + excess), 2).flatten(1, 2)


class AffineMix(nn.Module):
    """α·x + (1 − α)·r with one learned α."""

    def __init__(self) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.full((1,), 0.5))

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Mix two tensors of one shape."""
        return self.alpha * x + (1 - self.alpha) * residual


class AffineUp(nn.Module):
    """(N, in, H, W) to (N, out, 2H, 2W): a 1×1 affine convolution, then a pixel shuffle."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1x1 = AffineConv(in_channels, 4 * out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Upsample by two."""
        return F.pixel_shuffle(self.conv1x1(x), 2)


class ResBlock(nn.Module):
    """x mixed with convolution → sort → convolution of x."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.m_res = nn.Sequential(AffineConv(channels, channels), ReluSort(), AffineConv(channels, channels))
        self.sum = AffineMix()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        mixed: Tensor = self.sum(x, self.m_res(x))
        return mixed


class ReferenceFDnCNN(nn.Module):
    """Convolutions with a sort between any two."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        parts: list[nn.Module] = [AffineConv(1, channels)]
        for _ in range(depth - 2):
            parts += [ReluSort(), AffineConv(channels, channels)]
        self.fdncnn = nn.Sequential(*parts, ReluSort(), AffineConv(channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, H, W) to the same shape."""
        denoised: Tensor = self.fdncnn(x)
        return denoised


class ReferenceDRUNet(nn.Module):
    """A U of residual blocks; H and W must be multiples of 2^(levels − 1)."""

    def __init__(self, channels: Sequence[int], blocks: int) -> None:
        super().__init__()
        steps = list(pairwise(channels))
        self.m_head = AffineConv(1, channels[0])
        self.m_down = nn.ModuleList(nn.Sequential(*_blocks(fine, blocks), AffineConv(fine, coarse, 2, 2)) for fine, coarse in steps)
        self.m_body = nn.Sequential(*_blocks(channels[-1], blocks))
        self.m_up = nn.ModuleList(nn.Sequential(AffineUp(coarse, fine), *_blocks(fine, blocks)) for fine, coarse in reversed(steps))
        self.m_tail = AffineConv(channels[0], 1)
        self.res = nn.ModuleList(AffineMix() for _ in channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, H, W) to the same shape."""
        skips = [self.m_head(x)]  # N, channels[0], H, W
        for down in self.m_down:
            skips.append(down(skips[-1]))  # N, channels[k], H/2^k, W/2^k
        x = self.m_body(skips[-1])
        for mix, up, skip in zip(self.res, self.m_up, reversed(skips), strict=False):
            x = up(mix(x, skip))
        denoised: Tensor = self.m_tail(self.res[-1](x, skips[0]))
        return denoised


def _blocks(channels: int, count: int) -> list[ResBlock]:
    return [ResBlock(channels) for _ in range(count)]


def reference_of(network: DenoisingNetwork) -> nn.Module:
    """The reference form of one of our blind norm-equiv FDnCNN or DRUNet networks, with its weights."""
    config = network.config
    reference: nn.Module
    if isinstance(network, DRUNet):
        reference = ReferenceDRUNet(config["channels"], config["blocks"])
    else:
        reference = ReferenceFDnCNN(config["channels"], config["depth"])
    reference.load_state_dict(network.state_dict())
    return reference.eval().requires_grad_(False)
