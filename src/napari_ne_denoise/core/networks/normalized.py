"""Any network made globally normalization-equivariant by a wrapper (WNE)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_ne_denoise.core.networks.blocks import cut
from napari_ne_denoise.core.networks.network import DenoisingNetwork
from napari_ne_denoise.core.tiling import Window

# of a module that does not tell: its tiles read the whole plane
UNKNOWN_REACH = 2**20


class NormalizedDenoiser(DenoisingNetwork):
    """f(y) = s·g((y − m)/s, σ/s) + m with m and s the mean and population standard deviation of the whole image.

    The law f(λy + μ) = λf(y) + μ holds for the image as a whole, not locally: one bright cell moves the statistics of a dim
    one.  Statistics are taken in float64 without an epsilon, which would break the law for images in small units.  A
    constant image comes back as it is.

    Parameters
    ----------
    net
        Any denoising network, of any mode; or any other module that maps (N, C, H, W) to the same shape, taken to be blind.

    Source: Saied & Fleuret, ICML 2026.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        # other modules have attributes of these names that mean something else, such as the stride of a convolution
        known = net if isinstance(net, DenoisingNetwork) else None
        self.config = {"net": known.config if known else repr(net)}
        self.equivariance, self.blind = "norm-equiv", known.blind if known else True
        self.reach, self.stride = (known.reach, known.stride) if known else (UNKNOWN_REACH, 1)
        self.floats_per_pixel = known.floats_per_pixel if known else 256

    def _denoise(self, x: Tensor, sigma: Tensor | None, mean: Tensor, window: Window | None) -> Tensor:
        level, spread = global_statistics(x)
        flat = spread == 0
        safe = torch.where(flat, torch.ones_like(spread), spread)
        normalised = ((x.double() - level) / safe).to(x.dtype)
        noise = () if sigma is None else ((sigma.double() / safe).to(x.dtype).flatten(),)
        denoised = self.net(normalised, *noise).double() * safe + level
        output = torch.where(flat, x.double(), denoised).to(x.dtype)
        return output if window is None else cut(output, window)


def global_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and population standard deviation of each image of `x` (N, C, H, W), as float64 (N, 1, 1, 1).

    Taken relative to the first pixel, so that a constant image has a spread of exactly zero.
    """
    first = x[:, :1, :1, :1].double()
    relative = x.double() - first
    level = relative.mean((1, 2, 3), keepdim=True)
    # correction=0 through an explicit sum: torch.std has no gradient at zero
    variance = (relative - level).square().mean((1, 2, 3), keepdim=True)
    positive = variance > 0
    spread = torch.where(positive, torch.where(positive, variance, torch.ones_like(variance)).sqrt(), torch.zeros_like(variance))
    return level + first, spread
