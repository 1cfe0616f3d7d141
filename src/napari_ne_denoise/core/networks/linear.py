"""A network as the linear map that it is around one image: every choice between smaller and larger is made once, by that image."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from napari_ne_denoise.core.networks.inplace import mirror
from napari_ne_denoise.core.networks.rotated import AbsHalf

ModuleT = TypeVar("ModuleT", bound=nn.Module)


class FirstSorts(nn.Module):
    """What `AbsHalf` does to the first image of a batch, done to all of them: a linear map of the others."""

    def forward(self, x: Tensor) -> Tensor:
        """Change a canvas (N, C, H + 2, W + 2) in place, and return it."""
        mirror(x)
        contrasts = x[:, x.shape[1] // 2 :]
        contrasts.mul_(torch.where(contrasts[:1] < 0, -1.0, 1.0).to(x.dtype))
        return x


class FirstPasses(nn.Module):
    """What a ReLU lets pass of the first image of a batch, let pass of all of them."""

    def forward(self, x: Tensor) -> Tensor:
        """Change `x` (N, C, H, W) in place, and return it."""
        return x.mul_((x[:1] > 0).to(x.dtype))


def linear_form(inference_form: ModuleT) -> ModuleT:
    """Let a network in its inference form take all choices from the first image of a batch; the same module, changed.

    What it makes of the first image y is f(y), and of any other v it is the Jacobian of f at y times v: without a gradient, and as fast.
    There must be no additive constants in it, since those are no part of a Jacobian.
    """
    for name, child in inference_form.named_children():
        if isinstance(child, AbsHalf):
            setattr(inference_form, name, FirstSorts())
        elif isinstance(child, nn.ReLU):
            setattr(inference_form, name, FirstPasses())
        else:
            linear_form(child)
    return inference_form
