"""FDnCNN: a plain chain of 3×3 convolutions (KAIR's DnCNN that predicts the image itself)."""

from __future__ import annotations

from torch import Tensor

from napari_ne_denoise.core.networks.blocks import check_at_least, check_widths, cut
from napari_ne_denoise.core.networks.layers import layers_for
from napari_ne_denoise.core.networks.network import DenoisingNetwork, with_noise_map
from napari_ne_denoise.core.tiling import Window


class FDnCNN(DenoisingNetwork):
    """The paper's FDnCNN.

    Parameters
    ----------
    mode
        "ordinary", "scale-equiv" or "norm-equiv".
    blind
        False adds the noise level as a constant second input channel.
    channels
        Width of the hidden layers; even.
    depth
        Number of convolutions; at least two.

    Raises
    ------
    SettingsError
        If there is no such network.

    Source: Herbreteau et al., NeurIPS 2023; K. Zhang et al., TIP 2017.
    """

    def __init__(self, mode: str = "norm-equiv", blind: bool = True, channels: int = 64, depth: int = 20) -> None:
        super().__init__()
        check_widths([channels])
        check_at_least(2, depth=depth)
        layers = layers_for(mode)
        self.config = {"mode": mode, "blind": blind, "channels": channels, "depth": depth}
        self.equivariance, self.blind, self.reach, self.stride = layers.equivariance, blind, depth, 1
        self.floats_per_pixel = 2.25 * channels
        free = 0 if blind else 1
        first = layers.convolution(1 + free, channels, free_channels=free)
        hidden = [layers.convolution(channels, channels) for _ in range(depth - 2)]
        last = layers.convolution(channels, 1)
        last.bias = None  # the published networks have none here
        self.fdncnn = layers.chain(first, *hidden, last)

    def _denoise(self, x: Tensor, sigma: Tensor | None, mean: Tensor, window: Window | None) -> Tensor:
        denoised: Tensor = self.fdncnn(with_noise_map(x, sigma))
        return denoised if window is None else cut(denoised, window)
