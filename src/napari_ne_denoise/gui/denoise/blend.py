"""A result at a strength: y + t·(f(y) − y), which can be changed without denoising again."""

from collections.abc import Iterator
from threading import Lock
from typing import Any

import numpy as np

from napari_ne_denoise.core.interruption import check_if_wanted
from napari_ne_denoise.core.numerics import blend
from napari_ne_denoise.core.pixels import to_dtype

# what is blended at once: so many pixels take a few hundredths of a second
PIXELS_AT_ONCE = 2**20


class Blend:
    """What is shown of a result, and what it is blended from; a thread may fill it while another one shows it.

    Parameters
    ----------
    noisy
        The part of the image that is denoised; numpy, dask, zarr.
    shown
        What a layer shows: an array of the same shape, which this changes in place.
    strength
        t: 0 gives the noisy image, 1 the network's output.
    """

    def __init__(self, noisy: Any, shown: np.ndarray, strength: float = 1.0) -> None:
        self.noisy, self.shown, self.strength = noisy, shown, strength
        # as long as nothing is blended, what is shown is what the network gave
        self._full = shown if strength == 1 else np.array(shown)
        self._read_last: tuple[Any, np.ndarray] | None = None
        self._writing = Lock()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Blend":
        """Itself: a copy of the layer is no longer what it changes, and `belongs_to` says so."""
        return self

    @property
    def is_read(self) -> bool:
        """Whether the noisy image has to be read, or computed: nothing for a thread that must not wait."""
        return not isinstance(self.noisy, np.ndarray) or isinstance(self.noisy, np.memmap)

    def belongs_to(self, layer: Any) -> bool:
        """Whether a layer shows it."""
        return layer.data is self.shown

    def put(self, index: tuple[Any, ...], values: np.ndarray) -> None:
        """Take what the network gave for a part; nothing any more, once the thread that gives it is not wanted.

        After that, what was finished may be kept, and is to stay as it was told then.
        """
        with self._writing:
            check_if_wanted()
            self._full[index] = values
        if self._full is not self.shown:
            self.update(index)

    def set_strength(self, strength: float) -> None:
        """Choose another strength; `update` then applies it, part by part."""
        if self._full is self.shown and strength != self.strength:
            self._full = self.shown.copy()
        self.strength = strength

    def update(self, index: tuple[Any, ...]) -> None:
        """Show a part at the strength there is now."""
        if self._full is self.shown:
            return
        noisy = self._read(index)
        with self._writing:  # of two strengths the later one is to win
            self.shown[index] = blended(noisy, self._full[index], self.strength)

    def _read(self, index: tuple[Any, ...]) -> np.ndarray:
        """A part of the noisy image; what was read last is kept, since a slider asks for one part again and again."""
        if not self.is_read:
            return np.asarray(self.noisy[index])
        if (last := self._read_last) is None or last[0] != index:
            last = self._read_last = index, np.asarray(self.noisy[index])
        return last[1]

    def show_noisy(self, index: tuple[Any, ...], where: np.ndarray) -> None:
        """Take the noisy image at some pixels of a part, at any strength."""
        noisy = np.asarray(self.noisy[index])[where].astype(self.shown.dtype)
        with self._writing:
            for array in (self._full, self.shown):
                array[index][where] = noisy

    def parts(self) -> Iterator[tuple[Any, ...]]:
        """Indices of parts that are small enough to be blended one by one, and make the whole."""
        shape = self.shown.shape
        rows = max(1, PIXELS_AT_ONCE // max(1, int(np.prod(shape[-1:]))))
        for lead in np.ndindex(*shape[:-2]):
            for start in range(0, shape[-2], rows):
                yield (*lead, slice(start, start + rows), slice(None))


def blended(noisy: np.ndarray, denoised: np.ndarray, strength: float) -> np.ndarray:
    """Noisy + strength · (denoised − noisy), in the dtype of the latter; what is no number there stays as it is."""
    with np.errstate(invalid="ignore"):  # infinities that were kept
        mixed = blend(noisy, denoised.astype(np.float64), strength)
    return to_dtype(np.where(np.isfinite(denoised), mixed, denoised), denoised.dtype)
