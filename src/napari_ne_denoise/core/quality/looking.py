"""Denoise windows of an image, and again with more noise like its own, to see what is left of that."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_ne_denoise.core.axes import Index
from napari_ne_denoise.core.errors import ImageError
from napari_ne_denoise.core.inference import prepare_denoising
from napari_ne_denoise.core.noise.model import NoiseModel
from napari_ne_denoise.core.pixels import PlaneReader
from napari_ne_denoise.core.quality.blocks import SIDE, Looked, cut, draw_noise
from napari_ne_denoise.core.quality.result import Place
from napari_ne_denoise.core.run import DenoisingRun
from napari_ne_denoise.core.settings import DenoiseSettings
from napari_ne_denoise.core.tiling import Window

# of noise: as many as these pixels allow, all windows together, so that a small image, whose error is known worse, gets more
PROBED_PIXELS, FEWEST_PROBES, MOST_PROBES = 2e6, 2, 4
# of a probe, in standard deviations of the noise: small, for the network is straight only in pieces, and large beside the digits of float32
STEP = 0.03
# in standard deviations of the noise: a result of which half of all pixels are farther from what the model makes, it did not make
ANOTHER = 0.015
CUT_OFF = 0.1  # a block with more saturated pixels than that has less noise than is expected

# done and total, in pixels
Progress = tuple[int, int]


@dataclass(frozen=True)
class Part:
    """A window of a plane.

    Attributes
    ----------
    plane, window
        Where it is.
    pixels
        (Y, X) float64; what is no number is filled.
    finite
        (Y, X): where it is one.
    """

    plane: Index
    window: Window
    pixels: np.ndarray
    finite: np.ndarray

    def place(self, run: DenoisingRun, number: int) -> Place:
        """Of the middle of one of its blocks in the array."""
        rows, columns = self.window
        row, column = divmod(number, self.pixels.shape[1] // SIDE)
        return run.layout.position(self.plane, rows.start + SIDE * row + SIDE // 2, columns.start + SIDE * column + SIDE // 2)


@dataclass(frozen=True)
class Seen:
    """What is to be judged.

    Attributes
    ----------
    looked
        The blocks.
    places
        Of each, in the array.
    values
        Of the result, where the image has numbers.
    by_model
        Whether the model made the result, so that there are probes.
    """

    looked: Looked
    places: list[Place]
    values: np.ndarray
    by_model: bool


class Looking:
    """At windows of one channel.

    Parameters
    ----------
    run
        How the image is denoised.
    given
        The result that is judged; None for what the run would give.
    noise
        Of the image.
    """

    def __init__(self, run: DenoisingRun, given: PlaneReader | None, noise: NoiseModel) -> None:
        self._run, self._given, self._noise = run, given, noise
        self._integers = np.dtype(run.reader.image.dtype).kind in "iu"
        self._rng = np.random.default_rng(0)
        self._done = self._total = 0

    def at(self, windows: Sequence[tuple[Index, Window]]) -> Generator[Progress, None, Seen]:
        """Look; yields how far it is, and returns what was seen."""
        parts = [self._read(plane, window) for plane, window in windows]
        pixels = sum(part.pixels.size for part in parts)
        probes = int(np.clip(PROBED_PIXELS // pixels, FEWEST_PROBES, MOST_PROBES)) if self._noise.kind != "none" else 0
        self._total = pixels * (1 + probes)
        made = []
        for part in parts:
            made.append((yield from self._denoise(part.pixels, part)))
        results = made if self._given is None else [self._read_given(part, self._given) for part in parts]
        by_model = self._given is None or self._are_alike(parts, made, results)
        looked, places = [], []
        for part, ours, result in zip(parts, made, results, strict=True):
            drawn, answers = (yield from self._probe(part, ours, probes)) if by_model else ([], [])
            chosen = self._usable(part)
            looked.append(_in_blocks(part.pixels - result, result, drawn, answers, chosen))
            places += [part.place(self._run, int(number)) for number in np.flatnonzero(chosen)]
        values = np.concatenate([result[part.finite] for part, result in zip(parts, results, strict=True)])
        return Seen(_joined(looked), places, values, by_model)

    def _read(self, plane: Index, window: Window) -> Part:
        read, kept = self._run.repairs.open_plane(plane)  # hot pixels are no noise
        pixels = np.asarray(read(*window), np.float64)
        return Part(plane, window, pixels, np.isfinite(pixels if kept is None else kept[window]))

    def _read_given(self, part: Part, given: PlaneReader) -> np.ndarray:
        read, kept = given.open_plane(part.plane)
        if kept is not None and not np.isfinite(kept[part.window])[part.finite].all():
            raise ImageError("denoised: has NaN or infinities where the image has none; give a result of this image.")
        return np.asarray(read(*part.window), np.float64)

    def _are_alike(self, parts: Sequence[Part], made: Sequence[np.ndarray], results: Sequence[np.ndarray]) -> bool:
        """Whether results are what the model makes, but for the rounding to integers and half precision."""
        assert self._given is not None
        rounding = 0.5 if np.dtype(self._given.image.dtype).kind in "iu" else 0.0
        apart = [np.abs(ours - result)[part.finite] for part, ours, result in zip(parts, made, results, strict=True)]
        noise = np.sqrt(np.mean([self._noise.variance(ours).mean() for ours in made]))
        together = np.concatenate(apart)
        return not together.size or float(np.median(together)) - rounding <= ANOTHER * noise

    def _denoise(self, pixels: np.ndarray, part: Part) -> Generator[Progress, None, np.ndarray]:
        """What the model makes of a window, in float32; what is done about noise was decided on the whole image."""
        image = _Pixels(pixels, np.dtype(self._run.reader.image.dtype) if self._integers else np.dtype(np.float64))
        found, settings = self._run.treatments.of(part.plane).noise, self._run.settings
        settings = DenoiseSettings(
            model=self._run.denoiser,
            sigma=settings.sigma,
            noise="none" if found is None else found,
            device=str(self._run.device),
            precision="float32",
            tile_size=settings.tile_size,
            output_dtype="float64",
            strength=settings.strength,
        )
        result = np.empty(pixels.shape)
        for step in prepare_denoising(image, settings).steps(first_side=None):
            result[step.index] = step.values
            self._done += step.values.size
            yield self._done, self._total
        return result

    def _probe(self, part: Part, made: np.ndarray, count: int) -> Generator[Progress, None, tuple[list[np.ndarray], list[np.ndarray]]]:
        """Noise like the image's, and how the result follows it."""
        variance, correlation = self._noise.variance(made), self._noise.believed_correlation
        drawn, answers = [], []
        for _ in range(count):
            probe = draw_noise(variance, correlation, self._rng)
            disturbed = yield from self._denoise(part.pixels + STEP * probe, part)
            drawn.append(probe)
            answers.append((disturbed - made) / STEP)
        return drawn, answers

    def _usable(self, part: Part) -> np.ndarray:
        """Which blocks are whole, hold more than one value, and are not saturated."""
        blocks = cut(part.pixels)
        usable = cut(part.finite).all((1, 2)) & (np.ptp(blocks, axis=(1, 2)) > 0)
        if self._noise.saturation is not None:
            usable &= (blocks >= self._noise.saturation).mean((1, 2)) <= CUT_OFF
        return np.asarray(usable)


@dataclass(frozen=True)
class _Pixels:
    """Pixels between those that a dtype can hold, of an image that has this dtype: some networks look at its range."""

    values: np.ndarray
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def __getitem__(self, index: Index) -> np.ndarray:
        return np.asarray(self.values[index])


def _in_blocks(
    removed: np.ndarray, denoised: np.ndarray, probes: list[np.ndarray], answers: list[np.ndarray], chosen: np.ndarray
) -> Looked:
    none = np.zeros((0, int(chosen.sum()), SIDE, SIDE))
    stacks = [np.stack([cut(each)[chosen] for each in group]) if group else none for group in (probes, answers)]
    return Looked(cut(removed)[chosen], cut(denoised)[chosen], *stacks)


def _joined(parts: Sequence[Looked]) -> Looked:
    removed, denoised = (np.concatenate([getattr(part, name) for part in parts]) for name in ("removed", "denoised"))
    probes, answers = (np.concatenate([getattr(part, name) for part in parts], 1) for name in ("probes", "answers"))
    return Looked(removed, denoised, probes, answers)
