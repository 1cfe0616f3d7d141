"""The U-shaped backbone that DRUNet and our own network share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.networks.layers import LayerSet
from napari_ne_denoise.core.tiling import Window, inside


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

    Raises
    ------
    SettingsError
        If there is no such network.
    """

    def __init__(
        self, layers: LayerSet, in_channels: int, out_channels: int, channels: Sequence[int], blocks: int, free_channels: int = 0
    ) -> None:
        super().__init__()
        check_widths(channels)
        check_at_least(0, blocks=blocks)
        self.blocks = blocks
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

    def forward(self, x: Tensor, window: Window | None = None) -> Tensor:
        """(N, in, H, W) to (N, out, H, W), or to the rows and columns of a window; H and W divisible by 2^(levels − 1).

        On the way up, less and less of the surroundings of a window is still of use, and what is not is cut off.
        """
        skips = [self.m_head(x)]  # N, channels[0], H, W
        for down in self.m_down:
            skips.append(down(skips[-1]))  # N, channels[k], H/2^k, W/2^k
        x = self.m_body(skips[-1])
        levels = [_all_of(skip) for skip in skips]
        finest, *others = self._of_use(window or levels[0], levels)
        covered = _all_of(x)
        for mix, up, skip, part in zip(self.res, self.m_up, reversed(skips), reversed(others), strict=False):
            x = up(mix(cut(x, inside(part, covered)), cut(skip, part)))
            covered = finer(part)
        x = self.res[-1](cut(x, inside(finest, covered)), cut(skips[0], finest))
        tail: Tensor = self.m_tail(x)
        return tail if window is None else cut(tail, inside(window, finest))

    def _of_use(self, window: Window, levels: Sequence[Window]) -> Iterator[Window]:
        """What of each level, finest first, a window of the output depends on beyond that level's skip."""
        part = _within(_grown(window, 1), levels[0])  # by the tail
        yield part
        for level in levels[1:]:
            part = _within(coarser(_grown(part, 2 * self.blocks)), level)
            yield part


def check_widths(channels: Sequence[int]) -> None:
    """Refuse widths that no network of ours has: channels come in pairs."""
    if not channels or not all(isinstance(width, int) and width > 0 and width % 2 == 0 for width in channels):
        raise SettingsError(f"channels={channels!r}: must be positive even numbers.")


def check_at_least(least: int, **counts: int) -> None:
    """Refuse numbers of parts, given by the names of their settings, that no network has."""
    for name, count in counts.items():
        if not isinstance(count, int) or count < least:
            raise SettingsError(f"{name}={count!r}: must be a whole number, {least} or larger.")


def cut(x: Tensor, window: Window) -> Tensor:
    """A window of `x` (N, C, H, W)."""
    return x[..., window[0], window[1]]


def _all_of(x: Tensor) -> Window:
    height, width = x.shape[-2:]
    return slice(0, height), slice(0, width)


def _grown(window: Window, margin: int) -> Window:
    rows, columns = (slice(part.start - margin, part.stop + margin) for part in window)
    return rows, columns


def coarser(window: Window, times: int = 2) -> Window:
    """The window of pixels so many times larger that covers a window."""
    rows, columns = (slice(part.start // times, -(-part.stop // times)) for part in window)
    return rows, columns


def finer(window: Window, times: int = 2) -> Window:
    """A window in pixels so many times smaller."""
    rows, columns = (slice(times * part.start, times * part.stop) for part in window)
    return rows, columns


def _within(window: Window, limits: Window) -> Window:
    rows, columns = (slice(max(part.start, limit.start), min(part.stop, limit.stop)) for part, limit in zip(window, limits, strict=True))
    return rows, columns


def backbone_reach(levels: int, blocks: int, scale: int = 1) -> int:
    """How far a U backbone looks, in pixels, when its finest level has pixels of side `scale`.

    Each 3×3 convolution adds one pixel of its level; reading and writing whole blocks of the coarsest pixel adds the rest.
    """
    coarsest = scale * 2 ** (levels - 1)
    head_and_tail = 2 * scale
    sides = sum(4 * blocks * scale * 2**level for level in range(levels - 1))
    return int(head_and_tail + sides + 2 * blocks * coarsest + coarsest - 1)


def mirror_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Extend `x` (N, 1, H, W) below and on the right to sides divisible by `multiple`, by its mirror image; to and fro if it is small."""
    for dimension in (2, 3):
        length = x.shape[dimension]
        if missing := -length % multiple:
            there_and_back = max(2 * (length - 1), 1)
            places = torch.arange(length, length + missing) % there_and_back
            mirrored = torch.minimum(places, there_and_back - places).to(x.device)
            x = torch.cat((x, x.index_select(dimension, mirrored)), dimension)
    return x


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
