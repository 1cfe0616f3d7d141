"""Our own network: a small U-Net on blocks of pixels, made for speed."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from napari_ne_denoise.core.networks.blocks import (
    UBackbone,
    backbone_reach,
    check_at_least,
    coarser,
    cut,
    finer,
    mirror_to_multiple,
    pad_to_multiple,
)
from napari_ne_denoise.core.networks.layers import layers_for
from napari_ne_denoise.core.networks.network import DenoisingNetwork
from napari_ne_denoise.core.tiling import Window, inside


class ShuffleUNet(DenoisingNetwork):
    """A blind U-Net that works at half resolution on 2×2 pixel blocks (pixel unshuffle), or on larger ones.

    In the norm-equiv mode each convolution continues the image by its mirror image, so that a filter has weight on nothing but the
    image, at borders too, and a dim part of an image does not depend on a bright one beyond the network's reach.

    Parameters
    ----------
    mode
        "ordinary", "scale-equiv" or "norm-equiv".
    channels
        Width of each level, finest first; even.
    blocks
        Residual blocks a level.
    scale
        Side of the pixel blocks.

    Raises
    ------
    SettingsError
        If there is no such network.
    """

    def __init__(self, mode: str = "norm-equiv", channels: Sequence[int] = (32, 64, 128), blocks: int = 2, scale: int = 2) -> None:
        super().__init__()
        check_at_least(1, scale=scale)
        layers = layers_for(mode)
        self.backbone = UBackbone(layers, scale**2, scale**2, channels, blocks)
        self.config = {"mode": mode, "channels": tuple(channels), "blocks": blocks, "scale": scale}
        self.equivariance, self.blind = layers.equivariance, True
        self.scale = scale
        self.reach, self.stride = backbone_reach(len(channels), blocks, scale), scale * 2 ** (len(channels) - 1)
        self.floats_per_pixel = 6 * channels[0] / scale**2

    def _denoise(self, x: Tensor, sigma: Tensor | None, mean: Tensor, window: Window | None) -> Tensor:
        window = window or (slice(0, x.shape[-2]), slice(0, x.shape[-1]))
        mirrored = self.equivariance == "norm-equiv"
        padded = mirror_to_multiple(x, self.stride) if mirrored else pad_to_multiple(x, self.stride, self.stride)
        blocks = F.pixel_unshuffle(padded, self.scale)  # N, scale², H/scale, W/scale
        covering = coarser(window, self.scale)
        output = F.pixel_shuffle(self.backbone(blocks, covering), self.scale)
        return cut(output, inside(window, finer(covering, self.scale)))
