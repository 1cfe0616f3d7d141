"""The Jacobian of a network, around what a plane holds, times fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from napari_ne_denoise.core import device as devices
from napari_ne_denoise.core.errors import ComputationError
from napari_ne_denoise.core.interruption import check_if_wanted
from napari_ne_denoise.core.models.opened import OpenModel
from napari_ne_denoise.core.numerics import Numerics, choose_numerics
from napari_ne_denoise.core.statistics import Read, plane_statistics
from napari_ne_denoise.core.tiling import Tile, Window

AT_ONCE = 7  # fields that go through the network together


class JacobianProducts:
    """The Jacobian at what a window of a plane holds, times fields."""

    def __init__(self, model: OpenModel, device: torch.device) -> None:
        self.grid, self._equivariance, self._device = model.grid, model.equivariance, device
        self._network = model.network.for_products().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def numerics(self, read: Read, shape: tuple[int, int], dtype: np.dtype[Any]) -> Numerics:
        """Shift and scale of a plane (Y, X), as its denoising has them."""
        return choose_numerics(self._equivariance, plane_statistics(read, shape), dtype, read)

    def of(self, pixels: np.ndarray, fields: Iterator[np.ndarray], tile: Tile) -> Iterator[np.ndarray]:
        """J times each field (Y, X) of the read window, where the tile keeps it; float64."""
        fields = iter(fields)
        while batch := [field for _, field in zip(range(AT_ONCE), fields, strict=False)]:
            check_if_wanted()
            yield from self._run(np.stack([pixels, *batch]), tile.inner)[1:]

    def denoised(self, pixels: np.ndarray) -> np.ndarray:
        """F of a whole read window, in the units of the network."""
        return np.asarray(self._run(pixels[None], (slice(0, pixels.shape[0]), slice(0, pixels.shape[1])))[0])

    def _run(self, batch: np.ndarray, kept: Window) -> np.ndarray:
        try:
            x = torch.from_numpy(batch.astype(np.float32))[:, None].to(self._device)
            with torch.inference_mode(), devices.exact_float32(self._device):
                found: np.ndarray = self._network(x, None, None, kept)[:, 0].double().cpu().numpy()
        except RuntimeError as error:  # which a worker thread would lose
            raise ComputationError(f"maps: failed on {self._device}: {error}. Try device='cpu'.") from error
        return found
