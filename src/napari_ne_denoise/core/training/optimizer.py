"""What changes the weights: Adam, or Muon for the kernels between layers and Adam for the rest."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from napari_ne_denoise.core.errors import SettingsError

# A kernel with no more channels than that on one side reads or writes the image itself, pixel by pixel or in blocks of 2×2.  Head and tail
# of a network on larger blocks have more, and go with the kernels between features.
IMAGE_CHANNELS = 4


class WeightOptimizer:
    """One optimizer for all weights of a network.

    Parameters
    ----------
    network
        On its device and in its memory format already.
    name
        "adam", or "muon": kernels from features to features are changed along orthogonal directions, all as far as Adam would go on
        average; everything else by Adam.  `python -m training.explore` compares the two.

    Raises
    ------
    SettingsError
        If there is no such optimizer, or torch is too old for it.
    """

    def __init__(self, network: nn.Module, name: str) -> None:
        if name not in ("adam", "muon"):
            raise SettingsError(f'optimizer={name!r}: there is no such optimizer; choose "adam" or "muon".')
        if name == "muon" and not hasattr(torch.optim, "Muon"):
            raise SettingsError(f'optimizer="muon": torch {torch.__version__} has no Muon; install torch 2.9 or newer, or choose "adam".')
        weights = list(network.parameters())
        kernels = [weight for weight in weights if name == "muon" and _between_features(weight)]
        chosen = set(map(id, kernels))
        others = [weight for weight in weights if id(weight) not in chosen]
        # Muon wants matrices: the same memory, seen as one row for each output channel
        self._matrices = [(nn.Parameter(_as_matrix(weight.detach(), weight)), weight) for weight in kernels]
        self._parts: list[torch.optim.Optimizer] = []
        if others:
            self._parts.append(torch.optim.Adam(others))
        if kernels:
            matrices = [matrix for matrix, _ in self._matrices]
            self._parts.append(torch.optim.Muon(matrices, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"))

    def step(self, rate: float) -> None:
        """Change the weights by their gradients, which are then forgotten."""
        for matrix, weight in self._matrices:
            matrix.grad = None if weight.grad is None else _as_matrix(weight.grad, weight)
            weight.grad = None
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = rate
            part.step()
            part.zero_grad()

    def state_dict(self) -> list[dict[str, Any]]:
        """What `load_state_dict` needs to go on."""
        return [part.state_dict() for part in self._parts]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        """Go on as the optimizer that gave `state` would have."""
        for part, kept in zip(self._parts, state, strict=True):
            part.load_state_dict(kept)


def _between_features(weight: Tensor) -> bool:
    return weight.ndim == 4 and min(weight.shape[:2]) > IMAGE_CHANNELS


def _as_matrix(tensor: Tensor, kernel: Tensor) -> Tensor:
    """(out, in, kH, kW) as (out, in·kH·kW), in the order in which `kernel` lies in memory: of the kernel itself no copy is made."""
    if not kernel.is_contiguous():
        tensor = tensor.permute(0, 2, 3, 1)  # channels last
    return tensor.reshape(kernel.shape[0], -1)
