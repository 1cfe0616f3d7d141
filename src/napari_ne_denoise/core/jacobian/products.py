"""The Jacobian of a network, around what a plane holds, times fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, tee

import numpy as np
import torch

from napari_ne_denoise.core import device as devices
from napari_ne_denoise.core.errors import ComputationError
from napari_ne_denoise.core.interruption import check_if_wanted
from napari_ne_denoise.core.models.opened import OpenModel
from napari_ne_denoise.core.networks import DenoisingNetwork
from napari_ne_denoise.core.noise.whitening import RADIUS, Whitener
from napari_ne_denoise.core.run import OpenPlane
from napari_ne_denoise.core.tiling import Tile, Window, inside, widened

PIXELS_AT_ONCE = 1.6e6  # that go through the network together, of all fields


class JacobianProducts:
    """The Jacobian at what a window of a plane holds, times fields."""

    def __init__(self, model: OpenModel, device: torch.device) -> None:
        self._device = device
        self._model = model
        self._at_once = devices.pixels_at_once(device, model.network.floats_per_pixel, PIXELS_AT_ONCE)
        with devices.computing_on(device):
            self._network = model.network.for_products().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def of(self, pixels: np.ndarray, sigma: float | None, fields: Iterable[np.ndarray], kept: Window) -> Iterator[np.ndarray]:
        """J times each field (Y, X), as large as the pixels, in a window of them; float64.

        `sigma` is the noise level that the network is told, as it sees it; None where it is not told.
        """
        for batch in _in_batches(fields, self._at_once, beside=1):
            levels = None if sigma is None else [sigma, *(0.0 for _ in batch)]
            yield from self._run(self._network, [pixels, *batch], levels, kept)[1:]

    def by_level(self, pixels: np.ndarray, sigma: float, kept: Window) -> np.ndarray:
        """σ · ∂f/∂σ in a window: what of the output is no filter times the image."""
        return np.asarray(self._run(self._network, [pixels, np.zeros_like(pixels)], [sigma, sigma], kept)[1])

    def denoised(self, images: Iterable[np.ndarray], sigma: float | None, kept: Window) -> Iterator[np.ndarray]:
        """What the network makes of each image, in a window; float64."""
        network = self._model.on(self._device, torch.float32)
        for batch in _in_batches(images, self._at_once):
            yield from self._run(network, batch, None if sigma is None else [sigma for _ in batch], kept)

    def _run(self, network: DenoisingNetwork, batch: list[np.ndarray], levels: list[float] | None, kept: Window) -> np.ndarray:
        try:
            x = torch.from_numpy(np.stack(batch).astype(np.float32))[:, None]
            sigma = None if levels is None else torch.tensor(levels)
            with torch.inference_mode(), devices.computing_on(self._device):
                x = x.to(self._device)
                found: np.ndarray = network(x, sigma, None, kept)[:, 0].cpu().double().numpy()  # float64 is unknown to an Apple GPU
        except RuntimeError as error:  # which a worker thread would lose
            said = f"maps: failed on {self._device}: {error}."
            raise ComputationError(said, mend="failing_device_inside", python="try device='cpu'") from error
        return found


def _in_batches(fields: Iterable[np.ndarray], pixels: float, beside: int = 0) -> Iterator[list[np.ndarray]]:
    """As many at once as have so many pixels, with so many others."""
    waiting = iter(fields)
    for first in waiting:
        check_if_wanted()
        yield [first, *islice(waiting, max(0, int(pixels / first.size) - beside - 1))]


@dataclass(frozen=True)
class Surroundings:
    """What a denoising is around what one window of a plane holds: a linear map of small changes.

    Where noise is made the same everywhere before the network, these are changes of what the network sees, and of what it makes of that.

    Attributes
    ----------
    products
        Of the network.
    plane
        With what is done about its noise.
    tile
        What is read, and what is wanted of it.
    shape
        Of the plane.
    """

    products: JacobianProducts
    plane: OpenPlane
    tile: Tile
    shape: tuple[int, int]

    @cached_property
    def noisy(self) -> np.ndarray:
        """All that is read, in image units."""
        return np.asarray(self.plane.raw(*self.tile.read), np.float64)

    @cached_property
    def denoised(self) -> np.ndarray:
        """The same at full strength; right where the tile keeps it, and about so elsewhere."""
        return self.plane.treatment.back(self._made)

    @cached_property
    def slope(self) -> np.ndarray:
        """By how much the result changes with what the network makes, where the tile keeps it."""
        return self.plane.treatment.slope_back(self.cut(self._made))

    @property
    def is_stabilised(self) -> bool:
        """Whether the network sees noise that was made the same at every brightness."""
        return self.plane.treatment.stabilizer is not None

    def cut(self, field: np.ndarray) -> np.ndarray:
        """A field that is as large as what is read, where the tile keeps it."""
        return field[self.tile.inner]

    def times(self, fields: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """J times each field, as large as what is read, where the tile keeps it; float64."""
        return self._through(lambda each, kept: self.products.of(self._white, self._sigma, each, kept), fields)

    def repeated(self, fields: Iterable[np.ndarray], share: float) -> Iterator[np.ndarray]:
        """Results of other images, in image units where the tile keeps them; float64.

        Each image is the denoised one, a share of what denoising took, and a field of noise like that of what the network sees.
        """
        numerics, treatment = self.plane.numerics, self.plane.treatment
        centre = self._made + share * (treatment.forward(self.noisy) - self._made)
        images = (numerics.forward(centre + field) for field in fields)
        made = self._through(lambda each, kept: self.products.denoised(each, self._sigma, kept), images)
        return (treatment.back(numerics.back(each)) for each in made)

    def _through(
        self, network: Callable[[Iterable[np.ndarray], Window], Iterator[np.ndarray]], fields: Iterable[np.ndarray]
    ) -> Iterator[np.ndarray]:
        """What becomes of images, or of changes, of what is read, where the tile keeps it; the network sees their noise as white."""
        if self._whitener is None:
            yield from network(fields, self.tile.inner)
            return
        keep = self.tile.keep
        wide = Tile(self.tile.read, widened(keep, RADIUS, self.shape))
        fields, again = tee(fields)  # no longer than one batch apart
        white, seen = tee(map(self._whitener.forward, fields))
        for field, before, made in zip(again, seen, network(white, wide.inner), strict=False):
            yield self.cut(field) - self._whitener.back(before[wide.inner] - made)[inside(keep, wide.keep)]

    def by_level(self) -> np.ndarray:
        """What the network adds because of the noise level that it was told, in image units; zero where it is told none."""
        if self._sigma is None:
            return np.zeros([part.stop - part.start for part in self.tile.keep])
        return np.asarray(self.slope * self.plane.numerics.scale * self.products.by_level(self._white, self._sigma, self.tile.inner))

    @property
    def _whitener(self) -> Whitener | None:
        return self.plane.treatment.whitener

    @property
    def _sigma(self) -> float | None:
        return None if self.plane.numerics.sigma is None else float(self.plane.numerics.sigma)

    @cached_property
    def _seen(self) -> np.ndarray:
        return self.plane.numerics.forward(self.plane.treatment.forward(self.noisy))

    @cached_property
    def _white(self) -> np.ndarray:
        return self._seen if self._whitener is None else np.asarray(self._whitener.forward(self._seen))

    @cached_property
    def _made(self) -> np.ndarray:
        """What the network makes of all that is read, after its own numerics."""
        everything = (slice(0, self._white.shape[0]), slice(0, self._white.shape[1]))
        (made,) = self.products.denoised([self._white], self._sigma, everything)
        if self._whitener is not None:
            made = self._seen - self._whitener.back(self._white - made)
        return self.plane.numerics.back(made)
