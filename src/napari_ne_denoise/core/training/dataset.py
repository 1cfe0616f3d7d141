"""Clean training images: read once, sorted into training and validation, cropped at random."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage import io
from tifffile import TiffFile, TiffPage, TiffWriter

from napari_ne_denoise.core.errors import FileError
from napari_ne_denoise.core.training.synthetic import synthetic_image

# a photograph's "noise" is its texture: leaving out by noise_frac would leave out the lawns
TRUSTED_SETS = frozenset({"photos"})
BRIGHTEST = 1.5  # what a few hot pixels may reach, where 1 is the brightest of the others
LEVELS = 4095  # what pixels are rounded to: 12 bits


@dataclass(frozen=True)
class CleanImage:
    """A training target: pixels (Y, X) float32 from 0 to 1, the set it belongs to, and the grain it still has."""

    pixels: np.ndarray
    origin: str
    grain: float


def read_clean_images(folder: Path, *, largest_grain: float, smallest_side: int) -> tuple[list[CleanImage], list[CleanImage]]:
    """Read every file listed in `folder`/files.csv under train/permissive, or what a pack (`write_pack`) kept of them.

    Noisy files are binned 2×2 until their grain is below `largest_grain` (a fraction of the range), and left out if a side
    falls below `smallest_side` pixels first.  Pixels have 12 bits, so that a folder and a pack of it give the same arrays.

    Returns
    -------
    training, validation
        About one file in twelve is kept for validation, chosen by its hash.

    Raises
    ------
    FileError
        If there is no such list, or a pack was made with other demands.
    """
    demands = {"largest_grain": largest_grain, "smallest_side": smallest_side}
    if folder.is_file():
        return _read_pack(folder, demands)
    table = folder / "files.csv"
    if not table.is_file():
        raise FileError(f"{table}: no such file; the training data must be a folder with files.csv and the files it names, or a pack.")
    training: list[CleanImage] = []
    validation: list[CleanImage] = []
    with table.open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["path"].startswith("train/permissive/")]
    for row in rows:
        trusted = row["set"] in TRUSTED_SETS
        grain = 0.0 if trusted else float(row["noise_frac"] or 0)
        target = validation if int(row["sha256"][:8], 16) % 12 == 0 else training
        for plane in _planes(np.squeeze(io.imread(folder / row["path"]))):
            image = _clean_image(plane, row["set"], grain, largest_grain, smallest_side)
            if image is not None:
                target.append(image)
    return training, validation


def write_pack(path: Path, training: list[CleanImage], validation: list[CleanImage], *, largest_grain: float, smallest_side: int) -> None:
    """Write what `read_clean_images` gave, and what it was asked for, into one TIFF file that stands for the folder."""
    demands = {"largest_grain": largest_grain, "smallest_side": smallest_side}
    temporary = path.with_suffix(".part")
    with TiffWriter(temporary) as pack:
        for purpose, images in (("training", training), ("validation", validation)):
            for image in images:
                told = json.dumps({"for": purpose, "origin": image.origin, "grain": image.grain, "demands": demands})
                pack.write(_to_levels(image.pixels), compression="lzma", description=told, metadata=None)
    os.replace(temporary, path)


def _read_pack(path: Path, demands: dict[str, float]) -> tuple[list[CleanImage], list[CleanImage]]:
    images: dict[str, list[CleanImage]] = {"training": [], "validation": []}
    with TiffFile(path) as pack:
        for page in (page for page in pack.pages if isinstance(page, TiffPage)):
            told = json.loads(page.tags["ImageDescription"].value)
            # the first packs do not say what was asked of their images
            if told.get("demands", demands) != demands:
                raise FileError(
                    f"{path}: was packed with {told['demands']}, but images with {demands} are wanted; "
                    f"pack them for this recipe, with python -m training.pack FILE --recipe NAME, or give the folder."
                )
            images[told["for"]].append(CleanImage(_from_levels(page.asarray()), told["origin"], told["grain"]))
    return images["training"], images["validation"]


def _to_levels(pixels: np.ndarray) -> np.ndarray:
    levels: np.ndarray = np.round(pixels / BRIGHTEST * LEVELS).astype(np.uint16)
    return levels


def _from_levels(levels: np.ndarray) -> np.ndarray:
    return levels.astype(np.float32) * np.float32(BRIGHTEST / LEVELS)


def synthetic_images(count: int, seed: int) -> list[CleanImage]:
    """`count` images from our own generator, always the same for one seed."""
    return [CleanImage(synthetic_image(np.random.default_rng((seed, index))), "synthetic", 0.0) for index in range(count)]


def _planes(pixels: np.ndarray) -> Iterator[np.ndarray]:
    if pixels.ndim == 2:
        yield pixels
    elif pixels.shape[-1] in (3, 4):
        yield pixels[..., :3] @ np.array([0.299, 0.587, 0.114])  # luma
    elif pixels.ndim == 3:
        # neighbouring planes of a stack are nearly the same: eight of them say what there is
        yield from pixels[np.unique(np.linspace(0, len(pixels) - 1, 8).astype(int))]
    else:
        yield from _planes(pixels.reshape(-1, *pixels.shape[-2:]))


def _clean_image(plane: np.ndarray, origin: str, grain: float, largest_grain: float, smallest_side: int) -> CleanImage | None:
    pixels = plane.astype(np.float32)
    while grain > largest_grain:
        height, width = (side - side % 2 for side in pixels.shape)
        pixels = pixels[:height, :width].reshape(height // 2, 2, width // 2, 2).mean((1, 3))
        grain /= 2
    low, high = np.percentile(pixels, (0.01, 99.99))
    if min(pixels.shape) < smallest_side or high <= low:
        return None
    stretched = np.clip((pixels - low) / (high - low), 0, BRIGHTEST)
    return CleanImage(_from_levels(_to_levels(stretched)), origin, grain)


class CropSampler:
    """Random clean crops, sets weighted, rescaled, flipped, turned and sometimes inverted or bent in contrast.

    Parameters
    ----------
    images
        What to crop from.
    weights
        Share of samples from each set; a set that is not named gets none.
    side
        Of a crop, in pixels.
    largest_shrink
        Crops are taken up to this many times larger and averaged down, which also makes them cleaner.
    bent_share
        Share of crops raised to a power between 1/2 and 3: the same scene for a detector of another characteristic.
    """

    def __init__(
        self, images: list[CleanImage], weights: Mapping[str, float], side: int, largest_shrink: float = 2.5, bent_share: float = 0.0
    ) -> None:
        self.side, self.largest_shrink, self.bent_share = side, largest_shrink, bent_share
        self._groups = {name: [image for image in images if image.origin == name] for name in weights}
        self._names = [name for name, group in self._groups.items() if group]
        shares = np.array([weights[name] for name in self._names])
        self._shares = shares / shares.sum()
        # a crop of a large image is as likely as one of the same size elsewhere in its set
        areas = {name: np.sqrt([image.pixels.size for image in self._groups[name]]) for name in self._names}
        self._odds = {name: area / area.sum() for name, area in areas.items()}

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        """One crop (side, side) float32 and its grain."""
        name = str(rng.choice(self._names, p=self._shares))
        image = self._groups[name][int(rng.choice(len(self._groups[name]), p=self._odds[name]))]
        room = min(image.pixels.shape) / self.side
        shrink = min(room, np.exp(rng.uniform(0, np.log(self.largest_shrink)))) if rng.random() < 0.5 else 1.0
        crop, grain = self._crop(image, max(shrink, 1.0), rng)
        crop = np.rot90(crop, int(rng.integers(4)))
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        if rng.random() < 0.2:
            crop = 1 - crop
        if self.bent_share and rng.random() < self.bent_share:
            crop, steepest = _bent(crop, float(np.exp(rng.uniform(np.log(1 / 2), np.log(3)))))
            grain *= steepest
        return np.ascontiguousarray(crop, np.float32), grain

    def _crop(self, image: CleanImage, shrink: float, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        taken = min(round(self.side * shrink), *image.pixels.shape)
        top, left = (int(rng.integers(0, length - taken + 1)) for length in image.pixels.shape)
        crop = image.pixels[top : top + taken, left : left + taken]
        if taken == self.side:
            return crop, image.grain
        ratio = taken / self.side
        smooth = ndimage.gaussian_filter(crop, 0.4 * ratio) if ratio > 1.05 else crop
        return ndimage.zoom(smooth, 1 / ratio, order=1, grid_mode=True, mode="nearest")[: self.side, : self.side], image.grain / ratio


def _bent(crop: np.ndarray, power: float) -> tuple[np.ndarray, float]:
    """(x + p)^power − p^power, and its steepest slope, by which grain grows; the pedestal p keeps the slope finite in the dark."""
    pedestal = 0.1 if power < 1 else 0.0
    raised = np.clip(crop, 0, None) + pedestal
    steepest = power * float(raised.min() if power < 1 else raised.max()) ** (power - 1)
    return raised**power - pedestal**power, steepest
