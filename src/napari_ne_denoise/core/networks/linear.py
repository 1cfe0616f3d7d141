"""A network as the linear map that it is around one image: every choice between smaller and larger is made once, by that image."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from napari_ne_denoise.core.networks.inplace import mirror
from napari_ne_denoise.core.networks.rotated import AbsHalf
from napari_ne_denoise.core.tiling import Window

ModuleT = TypeVar("ModuleT", bound=nn.Module)


class Choice(nn.Module):
    """A choice that the first image of a batch makes for all of them, or that was kept from another batch.

    Attributes
    ----------
    kept
        Factors (1, C, H, W) that were chosen; None before any are kept.
    is_keeping
        Whether those of the next batch are kept.
    window, of_shape
        Where in the image that chose, and in an image of which shape, the next batch lies.  None: the next batch chooses itself.
    """

    kept: Tensor | None = None
    is_keeping = False
    window: Window | None = None
    of_shape: tuple[int, int] = (0, 0)

    def factors(self, first: Tensor) -> Tensor:
        """Factors (1, C, H, W) for features of which those of the first image are given."""
        if self.window is not None:
            assert self.kept is not None
            return self._part(self.kept, first.shape[-2], first.shape[-1])
        chosen = self.choose(first)
        if self.is_keeping:
            self.kept = chosen
        return chosen

    def choose(self, first: Tensor) -> Tensor:
        """The factors that an image's features (1, C, H, W) choose."""
        raise NotImplementedError

    def _part(self, kept: Tensor, height: int, width: int) -> Tensor:
        if kept.shape[-2:] == (height, width):  # on the way up only what a window of the output depends on is there, the same for both
            return kept
        assert self.window is not None
        frame = 2 * self.framed
        top, left = (
            part.start * (there - frame) // length for part, there, length in zip(self.window, kept.shape[-2:], self.of_shape, strict=True)
        )
        return kept[..., top : top + height, left : left + width]

    framed = False  # whether features have a frame one pixel wide


class FirstSorts(Choice):
    """What `AbsHalf` does to the first image of a batch, done to all of them: a linear map of the others."""

    framed = True

    def forward(self, x: Tensor) -> Tensor:
        """Change a canvas (N, C, H + 2, W + 2) in place, and return it."""
        mirror(x)
        contrasts = x[:, x.shape[1] // 2 :]
        contrasts.mul_(self.factors(contrasts[:1]))
        return x

    def choose(self, first: Tensor) -> Tensor:
        """Signs."""
        return torch.where(first < 0, -1.0, 1.0).to(first.dtype)


class FirstPasses(Choice):
    """What a ReLU lets pass of the first image of a batch, let pass of all of them."""

    def forward(self, x: Tensor) -> Tensor:
        """Change `x` (N, C, H, W) in place, and return it."""
        return x.mul_(self.factors(x[:1]))

    def choose(self, first: Tensor) -> Tensor:
        """One where it passes, else zero."""
        return (first > 0).to(first.dtype)


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


def keep_choices(network: nn.Module, kept: bool) -> None:
    """Let a linear form keep what the next batches choose, or no longer."""
    for choice in _choices(network):
        choice.is_keeping = kept


def use_choices(network: nn.Module, window: Window, of_shape: tuple[int, int]) -> None:
    """Let a linear form use what it kept, for batches that are a window of the image that chose.

    Parameters
    ----------
    network
        That has kept its choices, for a window of the output.
    window
        Of that image; it starts at multiples of the network's stride, and ends there or with the image.  What the output there depends on
        on the way up must be inside it.
    of_shape
        Of that image, rounded up to the stride.
    """
    for choice in _choices(network):
        choice.window, choice.of_shape = window, of_shape


def _choices(network: nn.Module) -> list[Choice]:
    return [module for module in network.modules() if isinstance(module, Choice)]
