"""DRUNet: a U-Net of residual blocks (K. Zhang et al., TPAMI 2021), in the paper's three modes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from napari_ne_denoise.core.networks.blocks import UBackbone, backbone_reach, pad_to_multiple
from napari_ne_denoise.core.networks.layers import layers_for
from napari_ne_denoise.core.networks.network import DenoisingNetwork, with_noise_map
from napari_ne_denoise.core.tiling import Window


class DRUNet(UBackbone, DenoisingNetwork):
    """The paper's DRUNet.

    Images whose sides are no multiples of the stride, or shorter than 16, are continued below and on the right with their own
    mean: per image and differentiable, unlike the reference, so that one image of a batch does not change another and
    border filters sum to one.

    Parameters
    ----------
    mode
        "ordinary", "scale-equiv" or "norm-equiv".
    blind
        False adds the noise level as a constant second input channel.
    channels
        Width of each level, finest first; even.
    blocks
        Residual blocks a level.

    Raises
    ------
    SettingsError
        If there is no such network.

    Source: Herbreteau et al., NeurIPS 2023.
    """

    def __init__(
        self, mode: str = "norm-equiv", blind: bool = True, channels: Sequence[int] = (64, 128, 256, 512), blocks: int = 4
    ) -> None:
        layers = layers_for(mode)
        free = 0 if blind else 1
        super().__init__(layers, 1 + free, 1, channels, blocks, free_channels=free)
        self.config = {"mode": mode, "blind": blind, "channels": tuple(channels), "blocks": blocks}
        self.equivariance, self.blind = layers.equivariance, blind
        self.reach, self.stride = backbone_reach(len(channels), blocks), 2 ** (len(channels) - 1)
        self.floats_per_pixel = 6.5 * channels[0]

    def _denoise(self, x: Tensor, sigma: Tensor | None, mean: Tensor, window: Window | None) -> Tensor:
        height, width = x.shape[-2:]
        padded = pad_to_multiple(x, self.stride, 16, mean)
        return UBackbone.forward(self, with_noise_map(padded, sigma), window or (slice(0, height), slice(0, width)))

    forward = DenoisingNetwork.forward  # type: ignore[assignment]  # what a user calls; the backbone is called by name
