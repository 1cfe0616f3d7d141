"""Images to measure on: noisy ones of any size, and the test sets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from skimage import io

from napari_ne_denoise.core.metrics import fit_gain_and_offset, psnr

NOISE, SIGNAL, PEDESTAL = 100.0, 300.0, 2000.0  # grey levels; SIGNAL is an amplitude
MICROGRAPH_SIDE = 512  # at most, so that it does not take too long
MICROGRAPH_SIGMA = 0.1  # of the range, where the strength of noise is not the question
BAND = 256  # rows made at once, so that making a large image takes no memory of its own


@dataclass(frozen=True)
class Sample:
    """A noisy image, its truth, and how results are compared with it.

    Attributes
    ----------
    name
        Of the image.
    noisy
        (Y, X), as a denoiser gets it.
    truth
        (Y, X) float64.  A smaller one is that of the first rows and columns, which alone are judged.
    sigma
        Standard deviation of the noise.  None where it was not simulated.
    group
        What the image shows: scores are averaged by it.
    peak
        The value that counts as full signal.
    limits
        What results are clipped to.  None: nothing.
    scaled_apart
        Whether the noisy image and the truth have units of their own: then results are fitted to the truth by gain and offset.
    truth_variance
        Of the noise that the truth itself still has.
    spectrum
        Expected squared magnitude of the noise's `numpy.fft.fft2`, (Y, X), the same everywhere for white noise.  None where nothing but
        `sigma` is known, or is needed because the noise is white.
    """

    name: str
    noisy: np.ndarray
    truth: np.ndarray
    sigma: float | None = None
    group: str = ""
    peak: float = 255.0
    limits: tuple[float, float] | None = None
    scaled_apart: bool = False
    truth_variance: float = 0.0
    spectrum: np.ndarray | None = None

    def restored(self, image: np.ndarray) -> np.ndarray:
        """What a denoiser made of it, where it is judged, in the units of the truth."""
        judged = image[: self.truth.shape[0], : self.truth.shape[1]]
        fitted = fit_gain_and_offset(judged, self.truth) if self.scaled_apart else judged
        return fitted if self.limits is None else np.clip(fitted, *self.limits)

    def psnr(self, image: np.ndarray) -> float:
        """PSNR in dB of what a denoiser made of it."""
        if not self.truth_variance:
            return psnr(self.restored(image), self.truth, self.peak)
        error = float(np.mean((self.restored(image) - self.truth) ** 2)) - self.truth_variance
        # that of an image which is off by so much everywhere
        return psnr(np.sqrt(np.maximum(error, 0)), np.zeros(()), self.peak)

    @cached_property
    def fingerprint(self) -> str:
        """Of all that a score depends on, but for the denoiser."""
        judging = (self.sigma, self.peak, self.limits, self.scaled_apart, self.truth_variance)
        found = hashlib.sha256(repr(judging).encode())
        for array in (self.noisy, self.truth, self.spectrum):
            if array is not None:
                found.update(f"{array.dtype} {array.shape}".encode())
                found.update(np.ascontiguousarray(array).data)
        return found.hexdigest()


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
    """FMD: raw 8-bit frames and the mean of fifty; all, or the first of each field."""
    for path in sorted(folder.glob("noisy__*_1.png" if one_per_field else "noisy__*.png")):
        name = path.stem.removeprefix("noisy__")
        field = name.rsplit("_", 1)[0]
        truth = io.imread(folder / f"gt__{field}.png").astype(np.float64)
        yield Sample(name, io.imread(path), truth, group=field.replace("_", " "), limits=(0.0, 255.0))


def paired_samples(folder: Path, *, scaled_apart: bool = False, group: Callable[[str], str] = str) -> Iterator[Sample]:
    """Every ``noisy__NAME`` with its ``gt__NAME``; the group is a function of the name."""
    for path in image_files(folder, "noisy__*"):
        name = path.stem.removeprefix("noisy__")
        truth = io.imread(path.with_name(path.name.replace("noisy__", "gt__", 1)))
        yield Sample(name, io.imread(path), truth.astype(np.float64), group=group(name), peak=peak_of(truth), scaled_apart=scaled_apart)


def photon_samples(folder: Path) -> Iterator[Sample]:
    """Frames of photon counts, each with the mean of all others, which are independent of it."""
    for path in image_files(folder, "frames*__*"):
        frames = io.imread(path)
        for index, frame in enumerate(frames):
            truth = (frames.sum(axis=0, dtype=np.float64) - frame) / (len(frames) - 1)
            # photons have the variance of their mean
            variance = float(truth.mean()) / (len(frames) - 1)
            yield Sample(f"{path.stem}_{index:02d}", frame, truth, peak=peak_of(truth), truth_variance=variance)


def clean_images(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Name and float64 image (Y, X) of every clean micrograph, in sorted order."""
    for path in image_files(folder):
        yield path.stem, io.imread(path).astype(np.float64)


def micrographs(folder: Path, sigma: float = MICROGRAPH_SIGMA) -> Iterator[Sample]:
    """The middle of every clean micrograph, from 0 to 1, with white noise; the seed is its index in sorted order."""
    for index, (name, image) in enumerate(clean_images(folder)):
        truth = from_zero_to_one(middle(image, MICROGRAPH_SIDE))
        noise = np.random.default_rng(index).standard_normal(truth.shape)
        yield Sample(name, truth + sigma * noise, truth, sigma, peak=1.0)


def image_files(folder: Path, pattern: str = "*") -> list[Path]:
    """PNG and TIFF files, in sorted order."""
    return sorted(path for path in folder.glob(pattern) if path.suffix in (".png", ".tif"))


def peak_of(truth: np.ndarray) -> float:
    """255 for 8-bit images, and the range of the truth for all others."""
    return 255.0 if truth.dtype == np.uint8 else float(np.ptp(truth))


def middle(image: np.ndarray, side: int) -> np.ndarray:
    """At most (side, side) pixels from the middle of an image (Y, X)."""
    rows, columns = (slice(max(0, (length - side) // 2), max(0, (length - side) // 2) + side) for length in image.shape)
    return image[rows, columns]


def from_zero_to_one(image: np.ndarray) -> np.ndarray:
    """The image with its range stretched to 0…1."""
    return np.asarray((image - image.min()) / np.ptp(image))


def binned(image: np.ndarray, factor: int) -> np.ndarray:
    """Means of factor × factor pixels; what is left over at the right and at the bottom is dropped."""
    rows, columns = (length // factor for length in image.shape)
    whole = image[: rows * factor, : columns * factor]
    return np.asarray(whole.reshape(rows, factor, columns, factor).mean(axis=(1, 3)))
