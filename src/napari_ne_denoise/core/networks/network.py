"""What every denoising network offers, whatever it is built of."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Self

import torch
from torch import Tensor, nn

from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.networks.folding import inference_form
from napari_ne_denoise.core.networks.layers import Mode
from napari_ne_denoise.core.networks.linear import linear_form
from napari_ne_denoise.core.networks.rotated import give_back, rotated_form
from napari_ne_denoise.core.tiling import Window


class DenoisingNetwork(nn.Module):
    """A network that maps noisy images (N, 1, H, W) to denoised ones of the same shape, H and W ≥ 1.

    Attributes
    ----------
    equivariance : "ordinary", "scale-equiv" or "norm-equiv"
        The law that holds exactly for f(y, σ): none, f(λy, λσ) = λf, or f(λy + μ, λσ) = λf + μ.
    blind : bool
        Whether the network finds the noise level itself; otherwise `sigma` is required.
    reach : int
        No input pixel farther than this (in rows or columns) changes an output pixel.  Of a `DRUNet` whose stride the image's sides
        do not fit, the image's mean does too, within this of the border on the right and below.
    stride : int
        Windows that start at multiples of this see the same grid as the whole image.
    floats_per_pixel : float
        About how many numbers it holds at once for each input pixel, to choose a tile that fits into memory.
    config : dict
        The arguments that build this network again.
    """

    equivariance: Mode
    blind: bool
    reach: int
    stride: int
    floats_per_pixel: float
    config: dict[str, Any]

    def forward(
        self, x: Tensor, sigma: float | Tensor | None = None, mean: float | Tensor | None = None, window: Window | None = None
    ) -> Tensor:
        """Denoise a batch.

        Parameters
        ----------
        x
            (N, 1, H, W), any H and W ≥ 1, floating point.
        sigma
            Standard deviation of the noise in image units, a float or a tensor (N,).  None for a blind network.
        mean
            With what a `DRUNet` continues images whose sides do not fit, a float or a tensor (N,); others ignore it.  None takes the
            mean of each image of the batch, differentiably; a tile must be given its whole image's.
        window
            Rows and columns to return, from 0 to H and W.  None: all.  What only others need is not computed.

        Returns
        -------
        Tensor
            (N, 1, H, W), or the window of it.

        Raises
        ------
        SettingsError
            If `sigma` is missing or not wanted.
        """
        if self.blind and sigma is not None:
            raise SettingsError(f"sigma={sigma!r}: this network is blind and finds the noise level itself; leave sigma out.")
        if not self.blind and sigma is None:
            raise SettingsError(
                "sigma=None: this network needs the noise level; give sigma, the standard deviation of the noise in image units."
            )
        level = x.mean((1, 2, 3)) if mean is None else mean
        noise = None if sigma is None else _per_image(sigma, x)
        return self._denoise(x, noise, _per_image(level, x), window)

    @abstractmethod
    def _denoise(self, x: Tensor, sigma: Tensor | None, mean: Tensor, window: Window | None) -> Tensor:
        """As `forward`, with sigma and mean as tensors that broadcast against x."""

    def for_training(self) -> Self:
        """The same function as a new module that is cheaper to train; `adopt` brings back what it has learned."""
        return rotated_form(self).train()

    def adopt(self, trained: DenoisingNetwork) -> None:
        """Take over the weights of a module that `for_training` gave."""
        give_back(trained, self)

    def for_inference(self) -> Self:
        """The same function as a new module that computes it faster: kernels made once, sorting as an ``abs``.

        `self` is left as it is.  The new module's weights are frozen and cannot be trained.
        """
        return inference_form(self)

    def for_products(self) -> Self:
        """A new module that maps a batch (y, v₁, v₂, …) to (f(y), Jv₁, Jv₂, …), J being the Jacobian of this network at y.

        A network that needs a noise level is linear in both: levels (σ, τ₁, …) beside them add τ · ∂f/∂σ; those of fields are 0.

        Raises
        ------
        SettingsError
            If the network is ordinary: then it is no linear map of the image, even with all choices made.
        """
        if self.equivariance == "ordinary":
            raise SettingsError("this network adds constants to the image; choose a norm-equiv or scale-equiv one.")
        return linear_form(inference_form(self))


def _per_image(value: float | Tensor, x: Tensor) -> Tensor:
    tensor = torch.as_tensor(value, dtype=x.dtype, device=x.device).reshape(-1, 1, 1, 1)
    return tensor.expand(x.shape[0], 1, 1, 1)


def with_noise_map(x: Tensor, sigma: Tensor | None) -> Tensor:
    """Append σ (N, 1, 1, 1) to the image (N, 1, H, W) as a constant last channel; nothing for a blind network."""
    return x if sigma is None else torch.cat((x, sigma.expand_as(x)), 1)
