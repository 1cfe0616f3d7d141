"""The U-shaped backbone that DRUNet and our own network share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from napari_ne_denoise.core.networks.layers import LayerSet


class ResBlock(nn.Module):
    """x mixed with convolution → activation → convolution of x."""

    def __init__(self, layers: LayerSet, channels: int) -> None:
        super().__init__()
        self.m_res = layers.chain(layers.convolution(channels, channels), layers.convolution(channels, channels))
        self.sum = layers.residual()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        mixed: Tensor = self.sum(x, self.m_res(x))
        return mixed


class UBackbone(nn.Module):
    """Head, descending levels, body, ascending levels, tail; parameter names are those of the published DRUNet files.

    Parameters
    ----------
    layers
        The parts to build from.
    in_channels, out_channels
        Of the head's input and the tail's output.
    channels
        Width of each level, finest first.
    blocks
        Residual blocks a level.
    free_channels
        How many of the last input channels are no intensities (a noise-level map).
    """

    def __init__(
        self, layers: LayerSet, in_channels: int, out_channels: int, channels: Sequence[int], blocks: int, free_channels: int = 0
    ) -> None:
        super().__init__()
        steps = list(pairwise(channels))
        self.m_head = layers.convolution(in_channels, channels[0], free_channels=free_channels)
        self.m_down = nn.ModuleList(
            nn.Sequential(*(ResBlock(layers, fine) for _ in range(blocks)), layers.convolution(fine, coarse, 2, stride=2))
            for fine, coarse in steps
        )
        self.m_body = nn.Sequential(*(ResBlock(layers, channels[-1]) for _ in range(blocks)))
        self.m_up = nn.ModuleList(
            nn.Sequential(layers.upsampling(coarse, fine), *(ResBlock(layers, fine) for _ in range(blocks)))
            for fine, coarse in reversed(steps)
        )
        self.m_tail = layers.convolution(channels[0], out_channels)
        self.res = nn.ModuleList(layers.residual() for _ in channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H, W); H and W divisible by 2^(levels − 1)."""
        skips = [self.m_head(x)]  # N, channels[0], H, W
        for down in self.m_down:
            skips.append(down(skips[-1]))  # N, channels[k], H/2^k, W/2^k
        x = self.m_body(skips[-1])
        for mix, up, skip in zip(self.res, self.m_up, reversed(skips), strict=False):
            x = up(mix(x, skip))
        tail: Tensor = self.m_tail(self.res[-1](x, skips[0]))
        return tail


def backbone_reach(levels: int, blocks: int, scale: int = 1) -> int:
    """How far a U backbone looks, in pixels, when its finest level has pixels of side `scale`.

    Each 3×3 convolution adds one pixel of its level; reading and writing whole blocks of the coarsest pixel adds the rest.
    """
    coarsest = scale * 2 ** (levels - 1)
    head_and_tail = 2 * scale
    sides = sum(4 * blocks * scale * 2**level for level in range(levels - 1))
    return int(head_and_tail + sides + 2 * blocks * coarsest + coarsest - 1)


def pad_to_multiple(x: Tensor, multiple: int, at_least: int, value: Tensor | None = None) -> Tensor:
    """Extend `x` (N, 1, H, W) below and on the right to sides divisible by `multiple`, with zeros or a value (N, 1, 1, 1)."""
    height, width = x.shape[-2:]
    below = max(at_least, -(-height // multiple) * multiple) - height
    right = max(at_least, -(-width // multiple) * multiple) - width
    if not below and not right:
        return x
    padded = F.pad(x, (0, right, 0, below))
    if value is not None:
        padded[..., height:, :] = value
        padded[..., width:] = value
    return padded
