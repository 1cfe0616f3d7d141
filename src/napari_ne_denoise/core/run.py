"""One denoising: the walk from pixels to pixels, plane by plane and tile by tile."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_ne_denoise.core import device as devices
from napari_ne_denoise.core import provenance
from napari_ne_denoise.core.axes import Index, PlaneLayout
from napari_ne_denoise.core.errors import ComputationError, DeviceError, NEDenoiseError
from napari_ne_denoise.core.models.opened import OpenModel
from napari_ne_denoise.core.numerics import Numerics, choose_numerics, declared_range
from napari_ne_denoise.core.pixels import PlaneReader, planes_from, result_dtype, to_dtype
from napari_ne_denoise.core.settings import DenoiseSettings
from napari_ne_denoise.core.statistics import PlaneStatistics, Read, plane_statistics
from napari_ne_denoise.core.tiling import Tile, halve, nearest_first, tile_plane

# below this many pixels torch takes another convolution for a single image than for two: see _compute
SMALL_BATCH_PIXELS = 256**2


@dataclass(frozen=True)
class Step:
    """One finished tile.

    Attributes
    ----------
    done, total
        Pixels finished so far, this tile included, and in all.
    index
        Where the tile belongs: ``result[step.index] = step.values``.
    values
        Denoised pixels in image units, in the dtype of the result.
    """

    done: int
    total: int
    index: Index
    values: np.ndarray


@dataclass
class DenoisingRun:
    """A denoising with everything decided; `steps` computes it.

    Attributes
    ----------
    settings
        What was asked for.
    reader
        Where pixels come from.
    denoiser, device, precision, tile_size
        What computes them; `tile_size` shrinks when memory runs out.
    """

    settings: DenoiseSettings
    reader: PlaneReader
    denoiser: OpenModel
    device: torch.device
    precision: torch.dtype
    tile_size: int
    _warned: bool = field(default=False, repr=False)

    @property
    def layout(self) -> PlaneLayout:
        """How the image is cut into planes."""
        return self.reader.layout

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the result."""
        return self.layout.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the result."""
        return result_dtype(self.reader.image.dtype, self.settings.output_dtype)

    @property
    def provenance(self) -> dict[str, Any]:
        """The record of this run, as plain values."""
        decided: dict[str, Any] = {
            "device": str(self.device),
            "precision": str(self.precision).removeprefix("torch."),
            "tile_size": self.tile_size,
            "output_dtype": self.dtype.name,
        }
        if self.denoiser.equivariance == "ordinary":
            decided["input_range"] = declared_range(self.reader.image.dtype) or "minimum and maximum of each plane"
        model = {"name": self.denoiser.name, "sha256": self.denoiser.sha256, "equivariance": self.denoiser.equivariance}
        return provenance.record(
            self.settings, shape=self.shape, dtype=np.dtype(self.reader.image.dtype).name, decided=decided, model=model
        )

    def steps(self, start_at: tuple[int, ...] | None = None) -> Iterator[Step]:
        """Compute tile by tile, the plane and tile of an array position first; can be stopped between any two."""
        total, done = int(np.prod(self.shape, dtype=np.int64)), 0
        for plane in planes_from(self.layout, start_at):
            for tile, values in self._denoise_plane(plane, self._point(start_at)):
                done += tile.pixels
                yield Step(done, total, self.layout.window(plane, *tile.keep), self.layout.to_image(values))

    def _point(self, start_at: tuple[int, ...] | None) -> tuple[int, int]:
        return (0, 0) if start_at is None else (start_at[self.layout.rows], start_at[self.layout.columns])

    def _denoise_plane(self, plane: Index, point: tuple[int, int]) -> Iterator[tuple[Tile, np.ndarray]]:
        read, kept = self.reader.open_plane(plane)
        shape = self.layout.plane_shape
        statistics = plane_statistics(read, shape)
        self._warn_if_too_coarse(statistics)
        numerics = choose_numerics(self.denoiser.equivariance, statistics, self.reader.image.dtype, read)
        unchanged = self.denoiser.is_wrapped and statistics.constant and _is_constant(read)
        waiting = nearest_first(tile_plane(shape, self.tile_size, self.denoiser.grid), point)
        while waiting:
            tile = waiting[0]
            try:
                pixels = numerics.forward(read(*tile.read))
                output = pixels if unchanged else self._compute(pixels, numerics)
            except NEDenoiseError:
                raise
            except Exception as error:
                waiting = self._smaller_tiles(waiting, error)
                continue
            del waiting[0]
            values = numerics.back(output[tile.inner])
            if kept is not None:
                original = kept[tile.keep]
                values = np.where(np.isfinite(original), values, original)
            yield tile, to_dtype(values, self.dtype)

    def _compute(self, pixels: np.ndarray, numerics: Numerics) -> np.ndarray:
        """Run the network on one window (Y, X) of normalised pixels."""
        network = self.denoiser.on(self.device, self.precision)
        sigma = None if self.settings.sigma is None else self.settings.sigma / numerics.scale
        x = torch.from_numpy(pixels.astype(np.float32))[None, None].to(self.device, self.precision)  # 1, 1, Y, X
        if x.numel() < SMALL_BATCH_PIXELS and self.device.type == "cpu":
            # torch's CPU convolution of a single small image sums in another order than that of a large one; that of two does
            # not.  A tile must give the bits of the whole image.
            x = x.expand(2, -1, -1, -1)
        with torch.inference_mode(), devices.exact_float32(self.device):
            output: np.ndarray = network(x, sigma, numerics.mean)[0, 0].float().cpu().numpy()
        return output

    def _smaller_tiles(self, waiting: list[Tile], error: Exception) -> list[Tile]:
        if not devices.is_out_of_memory(error):
            if isinstance(error, RuntimeError):
                raise ComputationError(f"{self.denoiser.name} failed on {self.device}: {error}. Try device='cpu'.") from error
            raise error
        devices.release_memory(self.device)
        largest = max(waiting[0].keep[0].stop - waiting[0].keep[0].start, waiting[0].keep[1].stop - waiting[0].keep[1].start)
        smaller = [piece for tile in waiting for piece in halve(tile, self.layout.plane_shape, self.denoiser.grid) or [tile]]
        if len(smaller) == len(waiting):
            raise DeviceError(
                f"{self.device}: out of memory even for the smallest tile of {largest} pixels; "
                "close other programs that use it, or use device='cpu'."
            ) from error
        self.tile_size = min(self.tile_size, -(-largest // 2))
        return smaller

    def _warn_if_too_coarse(self, statistics: PlaneStatistics) -> None:
        """Floats far from zero have few digits left for the noise; 64-bit integers have those of the float64 they are computed in."""
        dtype = np.dtype(self.reader.image.dtype)
        if self._warned or statistics.constant:
            return
        digits = dtype if dtype.kind == "f" else np.dtype(np.float64)
        spacing = float(np.spacing(np.abs(np.asarray(statistics.mean, digits))))
        noise = statistics.noise or statistics.std
        if spacing > noise / 10:
            self._warned = True
            warnings.warn(
                f"image: near {statistics.mean:.3g}, {dtype} can tell only steps of {spacing:.3g}, and the noise is about {noise:.3g}; "
                "digits were lost before denoising. Subtract the offset where the image is made, or keep it as float64.",
                stacklevel=_outside_core(),
            )


def _is_constant(read: Read) -> bool:
    pixels = read(slice(None), slice(None))
    return bool((pixels == pixels.flat[0]).all())


def _outside_core() -> int:
    """The `stacklevel` at which a warning points at the caller of this package's core."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and Path(frame.f_code.co_filename).is_relative_to(Path(__file__).parent):
        level, frame = level + 1, frame.f_back
    return level
