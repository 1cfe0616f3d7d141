"""Our own network: a small U-Net on blocks of pixels, made for speed."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from napari_ne_denoise.core.networks.blocks import UBackbone, backbone_reach, coarser, cut, finer, pad_to_multiple
from napari_ne_denoise.core.networks.layers import layers_for
from napari_ne_denoise.core.networks.network import DenoisingNetwork
from napari_ne_denoise.core.tiling import Window, inside


class ShuffleUNet(DenoisingNetwork):
    """A blind U-Net that works at half resolution on 2×2 pixel blocks (pixel unshuffle), or on larger ones.

    In the norm-equiv mode the image's mean is subtracted first and added last.  Zero padding of centred features is
    padding of the uncentred ones by the mean, so the convolutions' own zero padding keeps the network exactly
    normalization-equivariant, at borders too, without the copies that reflect padding costs.  The mean is therefore part of
    the function within one reach of the border, and only there.

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
    """

    def __init__(self, mode: str = "norm-equiv", channels: Sequence[int] = (32, 64, 128), blocks: int = 2, scale: int = 2) -> None:
        super().__init__()
        layers = layers_for(mode, padding_mode="zeros")
        self.config = {"mode": mode, "channels": tuple(channels), "blocks": blocks, "scale": scale}
        self.equivariance, self.blind = layers.equivariance, True
        self.scale = scale
        self.reach, self.stride = backbone_reach(len(channels), blocks, scale), scale * 2 ** (len(channels) - 1)
        self.floats_per_pixel = 6 * channels[0] / scale**2
        self.backbone = UBackbone(layers, scale**2, scale**2, channels, blocks)

    def _denoise(self, x: Tensor, sigma: Tensor | None, mean: Tensor, window: Window | None) -> Tensor:
        if self.equivariance != "norm-equiv":
            return self._denoise_centred(x, window)
        return self._denoise_centred(x - mean, window) + mean

    def _denoise_centred(self, x: Tensor, window: Window | None) -> Tensor:
        window = window or (slice(0, x.shape[-2]), slice(0, x.shape[-1]))
        blocks = F.pixel_unshuffle(pad_to_multiple(x, self.stride, self.stride), self.scale)  # N, scale², H/scale, W/scale
        covering = coarser(window, self.scale)
        output = F.pixel_shuffle(self.backbone(blocks, covering), self.scale)
        return cut(output, inside(window, finer(covering, self.scale)))
