"""One denoising: the walk from pixels to pixels, plane by plane and tile by tile."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_ne_denoise.core import device as devices
from napari_ne_denoise.core import provenance
from napari_ne_denoise.core.axes import Index, PlaneLayout
from napari_ne_denoise.core.errors import ComputationError, DeviceError, NEDenoiseError
from napari_ne_denoise.core.interruption import check_if_wanted
from napari_ne_denoise.core.models.opened import OpenModel, local_network
from napari_ne_denoise.core.noise.repair import Repairs
from napari_ne_denoise.core.noise.treatment import UNTREATED, Treatment, Treatments
from napari_ne_denoise.core.noise.whitening import RADIUS, Whitener
from napari_ne_denoise.core.numerics import Numerics, blend, choose_numerics, declared_range, stack_numerics
from napari_ne_denoise.core.pixels import PlaneReader, planes_from, result_dtype, to_dtype
from napari_ne_denoise.core.precision import Precisions, headroom, measured_errors
from napari_ne_denoise.core.settings import DenoiseSettings
from napari_ne_denoise.core.statistics import PlaneStatistics, Read, stack_statistics
from napari_ne_denoise.core.tiling import Grid, Tile, halve, inside, nearest_first, small_first, tile_plane, widened

# below this many pixels torch takes another convolution for a single image than for two: see _run_network
SMALL_BATCH_PIXELS = 256**2
# small planes are computed together up to this many pixels
PIXELS_AT_ONCE = 512**2
# of the first piece: a fraction of a second on two cores
FIRST_SIDE = 512


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


@dataclass(frozen=True)
class Decided:
    """What "auto" became where it could become something else in another process: a trial of speed, and the memory that is free.

    Attributes
    ----------
    device
        Its kind: "cpu", "cuda", "mps".
    halves
        Half precisions that "auto" may take, by name, the best first.
    tile_size
        Side in pixels of the square that a tile keeps.
    """

    device: str
    halves: tuple[str, ...]
    tile_size: int

    @classmethod
    def of(cls, run: DenoisingRun) -> Decided:
        """What was decided for a run."""
        halves = tuple(str(half).removeprefix("torch.") for half in run.precisions.halves)
        return cls(run.device.type, halves, run.tile_size)

    def applied_to(self, run: DenoisingRun) -> DenoisingRun:
        """A run that computes as that one did; as it was, if its device is of another kind."""
        if run.device.type != self.device:
            return run
        errors = measured_errors(run.precisions.wanted, run.denoiser.half_errors)
        halves = {half: error for half, error in errors.items() if str(half).removeprefix("torch.") in self.halves}
        return replace(run, precisions=Precisions(run.precisions.wanted, halves), tile_size=self.tile_size)


class _TooManyPlanes(Exception):
    """Memory does not hold so many planes at once."""


@dataclass(frozen=True)
class OpenPlane:
    """A plane that can be read, and how it is computed; a precision of None means not at all, for it comes back as it is."""

    index: Index
    raw: Read
    kept: np.ndarray | None
    treatment: Treatment
    numerics: Numerics
    precision: torch.dtype | None

    def finished(self, values: np.ndarray, raw: np.ndarray, tile: Tile, strength: float) -> np.ndarray:
        """What the network made of a tile, after its own numerics, as the image is to have it; `raw` is how the image had it."""
        return self._give_back_nonfinite(blend(raw, self.treatment.back(values), strength), tile)

    def _give_back_nonfinite(self, values: np.ndarray, tile: Tile) -> np.ndarray:
        """Put NaN and infinities back where they were in a tile."""
        if self.kept is None:
            return values
        original = self.kept[tile.keep]
        return np.where(np.isfinite(original), values, original)


@dataclass
class DenoisingRun:
    """A denoising with everything decided; `steps` computes it.

    Attributes
    ----------
    settings
        What was asked for.
    reader
        Where pixels come from.
    repairs
        What is done about hot pixels before anything else.
    treatments
        What is done about the noise of each channel.
    denoiser, device, precisions, tile_size
        What computes them; `tile_size` shrinks when memory runs out.
    """

    settings: DenoiseSettings
    reader: PlaneReader
    repairs: Repairs
    treatments: Treatments
    denoiser: OpenModel
    device: torch.device
    precisions: Precisions
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
        treated = self.treatments.as_record()
        decided: dict[str, Any] = {
            "device": str(self.device),
            "precision": self.precisions.name,
            "tile_size": self.tile_size,
            "output_dtype": self.dtype.name,
            "noise": treated,
        }
        if self.repairs.wanted:
            decided["hot_pixels"] = self.repairs.as_record()
        if self.denoiser.equivariance == "ordinary":
            stabilised = any(each["stabilised"] for each in treated)
            declared = None if stabilised else declared_range(self.reader.image.dtype)
            decided["input_range"] = declared or "minimum and maximum of each plane"
        model = {"name": self.denoiser.name, "sha256": self.denoiser.sha256, "equivariance": self.denoiser.equivariance}
        return provenance.record(
            self.settings, shape=self.shape, dtype=np.dtype(self.reader.image.dtype).name, decided=decided, model=model
        )

    def steps(self, start_at: tuple[int, ...] | None = None, first_side: int | None = FIRST_SIDE) -> Iterator[Step]:
        """Compute piece by piece; can be stopped between any two, and between two layers of the network (`interruption`).

        Parameters
        ----------
        start_at
            Array position whose plane and tile come first.  None: the first one.
        first_side
            Side in pixels of the first piece, which is there at once.  None: all pieces are as large as pays.
        """
        total, done = math.prod(self.shape), 0
        point = (0, 0) if start_at is None else (start_at[self.layout.rows], start_at[self.layout.columns])
        try:
            for planes in in_groups(planes_from(self.layout, start_at), self.planes_at_once):
                for plane, tile, values in self.denoise_opened(self.open_planes(planes), partial(self._tiles, point, first_side)):
                    done += tile.pixels
                    yield Step(done, total, self.layout.window(plane, *tile.keep), self.layout.to_image(values))
                first_side = None
        finally:
            devices.release_memory(self.device)

    @property
    def grid(self) -> Grid:
        """What tiles of planes that are open must read: what the network looks at, and what is done about noise before and after it."""
        return Grid(self.denoiser.grid.reach + self.treatments.margin, self.denoiser.grid.stride)

    @property
    def planes_at_once(self) -> int:
        """Small planes are computed together: one by one, they would cost more time in calling torch than in computing."""
        rows, columns = self.layout.plane_shape
        return max(1, PIXELS_AT_ONCE // (rows * columns)) if max(rows, columns) <= self.tile_size else 1

    def denoise_opened(self, opened: Sequence[OpenPlane], tiles_now: Callable[[], list[Tile]]) -> Iterator[tuple[Index, Tile, np.ndarray]]:
        """Denoise planes that are open; of each tile of each plane (Y, X) what it keeps, in the dtype of the result.

        Parameters
        ----------
        opened
            At most `planes_at_once`.
        tiles_now
            The tiles, for the size that memory allows by now.
        """
        for precision in dict.fromkeys(plane.precision for plane in opened):
            alike = [plane for plane in opened if plane.precision == precision]
            yield from self._denoise_alike(alike, precision, tiles_now)

    def _denoise_alike(
        self, planes: Sequence[OpenPlane], precision: torch.dtype | None, tiles_now: Callable[[], list[Tile]]
    ) -> Iterator[tuple[Index, Tile, np.ndarray]]:
        """Denoise planes of one precision together, or in halves where memory does not hold them all."""
        tiles = tiles_now()
        try:
            if len(planes) > 1 and len(tiles) > 1:  # tiles have become smaller than a plane
                raise _TooManyPlanes
            for tile, raws, values in self.denoise_tiles(planes, precision, tiles):
                for plane, raw, found in zip(planes, raws, values, strict=True):
                    yield plane.index, tile, to_dtype(plane.finished(found, raw, tile, self.settings.strength), self.dtype)
            return
        except _TooManyPlanes:  # several have only one tile, so nothing was yielded
            pass  # what it holds is gone before less is tried
        devices.release_memory(self.device)
        middle = len(planes) // 2
        for part in (planes[:middle], planes[middle:]):
            yield from self._denoise_alike(part, precision, tiles_now)

    def open_planes(self, planes: Sequence[Index]) -> list[OpenPlane]:
        """Take the statistics of planes, and decide by them how each is computed."""
        treatments = [self.treatments.of(plane) for plane in planes]
        found = [self.repairs.open_plane(plane) for plane in planes]
        reads = [treatment.reading(read) for treatment, (read, _) in zip(treatments, found, strict=True)]
        all_statistics = stack_statistics(reads, self.layout.plane_shape)
        opened = []
        for plane, treatment, read, (raw, kept), statistics in zip(planes, treatments, reads, found, all_statistics, strict=True):
            stabilised = treatment.stabilizer is not None
            self._warn_if_too_coarse(stack_statistics([raw], self.layout.plane_shape)[0] if stabilised else statistics)
            if self.denoiser.is_wrapped and statistics.constant and _is_constant(raw):
                opened.append(OpenPlane(plane, raw, kept, UNTREATED, Numerics(0.0, 1.0, 0.0, treatment.sigma), None))
                continue
            dtype = np.dtype(np.float64) if stabilised else self.reader.image.dtype
            numerics = choose_numerics(self.denoiser.equivariance, statistics, dtype, read, treatment.sigma)
            opened.append(OpenPlane(plane, raw, kept, treatment, numerics, self.precisions.of(statistics)))
        return opened

    def _tiles(self, point: tuple[int, int], first_side: int | None) -> list[Tile]:
        shape, grid = self.layout.plane_shape, self.grid
        tiles = tile_plane(shape, self.tile_size, grid)
        return nearest_first(tiles, point) if first_side is None else small_first(tiles, point, first_side, shape, grid)

    def denoise_tiles(
        self, planes: Sequence[OpenPlane], precision: torch.dtype | None, waiting: list[Tile]
    ) -> Iterator[tuple[Tile, np.ndarray, np.ndarray]]:
        """Denoise planes together, tile by tile: (N, Y, X) as read, and as the network made it after its own numerics, float64."""
        numerics = stack_numerics([plane.numerics for plane in planes])
        while waiting:
            check_if_wanted()
            tile = waiting[0]
            try:
                raw = [plane.raw(*tile.read) for plane in planes]
                pixels = numerics.forward(np.stack([plane.treatment.forward(window) for plane, window in zip(planes, raw, strict=True)]))
                whiteners = [plane.treatment.whitener for plane in planes]
                output = pixels[:, *tile.inner] if precision is None else self._compute(pixels, whiteners, tile, numerics, precision)
            except NEDenoiseError:
                raise
            except Exception as error:
                if len(planes) > 1 and devices.is_out_of_memory(error):
                    raise _TooManyPlanes from error
                waiting = self._smaller_tiles(waiting, error)
                continue
            del waiting[0]
            yield tile, np.stack([window[tile.inner] for window in raw]), numerics.back(output)

    def _compute(
        self, pixels: np.ndarray, whiteners: Sequence[Whitener | None], tile: Tile, numerics: Numerics, precision: torch.dtype
    ) -> np.ndarray:
        """What a tile keeps, from what it reads of several planes (N, Y, X), normalised; the network sees their noise as white."""
        if not any(whiteners):
            return self._compute_white(pixels, tile, numerics, precision)
        white = np.stack(
            [plane if whitener is None else whitener.forward(plane) for whitener, plane in zip(whiteners, pixels, strict=True)]
        )
        wide = Tile(tile.read, widened(tile.keep, RADIUS, self.layout.plane_shape))
        output = self._compute_white(white, wide, numerics, precision)
        inner = inside(tile.keep, wide.keep)

        def as_it_was(whitener: Whitener | None, plane: np.ndarray, seen: np.ndarray, made: np.ndarray) -> np.ndarray:
            return made[inner] if whitener is None else plane[tile.inner] - whitener.back(seen[wide.inner] - made)[inner]

        return np.stack([as_it_was(*plane) for plane in zip(whiteners, pixels, white, output, strict=True)])

    def _compute_white(self, pixels: np.ndarray, tile: Tile, numerics: Numerics, precision: torch.dtype) -> np.ndarray:
        """What a tile keeps, from what it reads of several planes (N, Y, X), normalised; in float32 where half precision was not enough."""
        output = self._run_network(pixels, tile, numerics, precision)
        inner = pixels[:, *tile.inner]
        wrong = [not self.precisions.is_right(*plane, precision) for plane in zip(pixels, inner, output, strict=True)]
        if any(wrong):
            output[wrong] = self._run_network(pixels[wrong], tile, numerics.only(wrong), torch.float32)
        self.precisions.used[precision] += (len(wrong) - sum(wrong)) * tile.pixels
        self.precisions.used[torch.float32] += sum(wrong) * tile.pixels
        return output

    def _run_network(self, pixels: np.ndarray, tile: Tile, numerics: Numerics, precision: torch.dtype) -> np.ndarray:
        network = self.denoiser.on(self.device, precision)
        room = headroom(precision, local_network(self.denoiser.network).equivariance)
        x = torch.from_numpy(pixels.astype(np.float32)).div_(room)[:, None].to(precision)  # N, 1, Y, X
        sigma = None if numerics.sigma is None else torch.from_numpy(np.asarray(numerics.sigma) / room)
        mean = torch.from_numpy(numerics.mean / room)
        if tile.pixels < SMALL_BATCH_PIXELS and len(x) == 1 and self.device.type == "cpu":
            # torch's CPU convolution of a single small image sums in another order than that of a large one; that of two does
            # not.  A tile must give the bits of the whole image.
            x = x.expand(2, -1, -1, -1)
        with torch.inference_mode(), devices.computing_on(self.device):
            output: np.ndarray = (network(x.to(self.device), sigma, mean, tile.inner)[: len(pixels), 0].float() * room).cpu().numpy()
        return output

    def _smaller_tiles(self, waiting: list[Tile], error: Exception) -> list[Tile]:
        on_cpu = self.device.type == "cpu"
        if not devices.is_out_of_memory(error):
            if isinstance(error, RuntimeError):
                said = f"{self.denoiser.name} failed on {self.device}: {error}."
                mend, remedy = ("failing_cpu", "try another model") if on_cpu else ("failing_device", "try device='cpu'")
                raise ComputationError(said, mend=mend, python=remedy) from error
            raise error
        devices.release_memory(self.device)
        largest = max(waiting[0].keep[0].stop - waiting[0].keep[0].start, waiting[0].keep[1].stop - waiting[0].keep[1].start)
        smaller = [piece for tile in waiting for piece in halve(tile, self.layout.plane_shape, self.grid) or [tile]]
        if len(smaller) == len(waiting):
            raise DeviceError(
                f"{self.device}: out of memory even for the smallest tile of {largest} pixels.",
                mend="memory" if on_cpu else "full_device",
                python="close other programs" if on_cpu else "close other programs that use it, or use device='cpu'",
            ) from error
        self.tile_size = min(self.tile_size, -(-largest // 2))
        return smaller

    def _warn_if_too_coarse(self, statistics: PlaneStatistics) -> None:
        """Floats far from zero have few digits left for the noise; 64-bit integers have those of the float64 they are computed in."""
        dtype = np.dtype(self.reader.image.dtype)
        if self._warned or statistics.constant or (dtype.kind in "iu" and dtype.itemsize < 8):
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


def in_groups(planes: Iterator[Index], size: int) -> Iterator[list[Index]]:
    """So many planes at once; the last group may have fewer."""
    while group := list(islice(planes, size)):
        yield group


def _is_constant(read: Read) -> bool:
    pixels = read(slice(None), slice(None))
    return bool((pixels == pixels.flat[0]).all())


def _outside_core() -> int:
    """The `stacklevel` at which a warning points at the caller of this package's core."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and Path(frame.f_code.co_filename).is_relative_to(Path(__file__).parent):
        level, frame = level + 1, frame.f_back
    return level
