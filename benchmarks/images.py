"""Images to measure on: noisy ones of any size, and the test sets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from skimage import io

NOISE, SIGNAL, PEDESTAL = 100.0, 300.0, 2000.0  # grey levels; SIGNAL is an amplitude
BAND = 256  # rows made at once, so that making a large image takes no memory of its own


@dataclass(frozen=True)
class Sample:
    """A noisy image and its truth, in grey levels up to 255.

    Attributes
    ----------
    name
        Of the image, or of the field that was imaged.
    noisy, truth
        (Y, X).
    sigma
        Standard deviation of the noise.  None where it was not simulated.
    """

    name: str
    noisy: np.ndarray
    truth: np.ndarray
    sigma: float | None = None

    def restored(self, image: np.ndarray) -> np.ndarray:
        """What a denoiser made of it, clipped to the range of 8 bits where the noise is a real camera's."""
        return image if self.sigma is not None else np.clip(image, 0, 255)


def noisy_plane(shape: tuple[int, int], dtype: str = "float32", seed: int = 0) -> np.ndarray:
    """A grating with white noise, (Y, X)."""
    rng = np.random.default_rng(seed)
    rows, columns = (np.sin(np.arange(length, dtype=np.float32) / period) for length, period in zip(shape, (11, 17), strict=True))
    image = np.empty(shape, dtype)
    for start in range(0, shape[0], BAND):
        clean = PEDESTAL + SIGNAL * rows[start : start + BAND, None] * columns
        # far from both ends of uint16: nothing is clipped
        image[start : start + BAND] = clean + NOISE * rng.standard_normal(clean.shape, dtype=np.float32)
    return image


def gaussian_samples(folder: Path, sigma: float, names: tuple[str, ...] = ()) -> Iterator[Sample]:
    """Images of a folder with simulated noise; all, or those with the given stems.

    y = x + σ·default_rng(index).standard_normal, index in sorted order of the whole folder, neither clipped nor rounded.
    """
    for index, path in enumerate(sorted(folder.glob("*.png"))):
        if not names or path.stem in names:
            truth = io.imread(path).astype(np.float64)
            yield Sample(path.stem, truth + sigma * np.random.default_rng(index).standard_normal(truth.shape), truth, sigma)


def fluorescence_samples(folder: Path, one_per_field: bool = False) -> Iterator[Sample]:
    """Real noisy images with their truth; all, or the first of each field."""
    for path in sorted(folder.glob("noisy__*_1.png" if one_per_field else "noisy__*.png")):
        field = path.stem.removeprefix("noisy__").rsplit("_", 1)[0]
        yield Sample(field, io.imread(path), io.imread(folder / f"gt__{field}.png").astype(np.float64))
