"""Self-calibration: the transform behind which a frozen network denoises an image best, learned from the image itself.

A pixel is hidden by the mean of its neighbours, and what the network says of it is compared with what it was: noise cannot be
foretold, so that the error is least where the denoised brightness is right.  The transform rises, and is needed only up to an affine
map, since the network is normalization-equivariant.  It begins with the errors themselves, by brightness, which are the noise and a
little more, of whatever kind it is.  The way back is learned too: an inverse is biased where it bends, and the error would tell of
that more than of the transform.

Source: Herbreteau and Unser, Self-Calibrated Variance-Stabilizing Transformations (Noise2VST), ICCV 2025.  Different from there: points
at quantiles, a start that is nearly right, errors weighted by what they are in the image as it is, an end when nothing is gained.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.interruption import check_between_layers, check_if_wanted
from napari_ne_denoise.core.models.opened import OpenModel
from napari_ne_denoise.core.noise.learned import LearnedNoise
from napari_ne_denoise.core.noise.model import NoiseModel

POINTS = 16  # of the transform
STIFFNESS = 0.02  # of the logarithm of its slope, against bending away from where it began
SIDE, CROPS = 64, 4  # of the pieces that are looked at in one step
GRID = 4  # one pixel of so many along each axis is hidden
RATE, RATE_OF_WAY_BACK, MOST_STEPS = 0.03, 0.006, 200  # the second in standard deviations of the noise
EVERY, PATIENCE = 20, 3  # steps between two looks at how good it is, and looks without a gain after which it ends
LOOKS = 16  # batches of crops for that, always the same
WORTHWHILE = 1e-4  # of the error: a smaller gain is none
BINS = (*np.linspace(0, 0.9, 11), 0.94, 0.97, 0.985, 1.0)  # of brightness, as shares of pixels: the brightest are few and tell most
UNIT_QUANTILE, FARTHEST = 0.999, 100.0  # what is the unit of distances from the median, and where pixels are cut off
OUTLIER = 8.0  # standard deviations of the noise that a pixel is away from those around it
LEAST_ERROR = 0.02  # of the usual squared error, for the weights


@dataclass(frozen=True)
class CalibrationProgress:
    """How far it is.

    Attributes
    ----------
    step, total
        Steps done, and at most to do.
    error
        Mean square of what the network is wrong by at hidden pixels, over what it is wrong by at pixels of that brightness in the image as
        it is.
    error_before
        The same of the image as it is: about 1.
    found
        The noise that was found in the image before.
    noise
        The best transform so far; None while the image as it is does best.
    """

    step: int
    total: int
    error: float
    error_before: float
    found: NoiseModel
    noise: LearnedNoise | None


class _Transform(torch.nn.Module):
    """A rising function with learned logarithms of its slopes, and a way back that is learned too.

    Parameters
    ----------
    levels
        (P,): brightness of its points.
    stds
        (P − 1,): standard deviation of the noise between them, where learning begins.
    """

    levels: Tensor
    first_slopes: Tensor

    def __init__(self, levels: np.ndarray, stds: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("levels", torch.from_numpy(levels.astype(np.float32)))
        self.register_buffer("first_slopes", torch.from_numpy(-np.log(stds).astype(np.float32)))
        self.slopes = torch.nn.Parameter(self.first_slopes.clone())
        unbiased = self.noise().back(self.values().detach().double().numpy())
        self.ends = torch.nn.Parameter(torch.from_numpy(unbiased).float())

    def noise(self) -> LearnedNoise:
        return LearnedNoise(tuple(self.levels.double().tolist()), tuple(self.values().detach().double().tolist()))

    def values(self) -> Tensor:
        steps = self.slopes.exp() * self.levels.diff()
        return torch.cat([steps.new_zeros(1), steps.cumsum(0)])

    def bending(self) -> Tensor:
        """How far its slope has turned from where it began."""
        return (self.slopes - self.first_slopes).diff().square().sum()

    def forward(self, image: Tensor) -> Tensor:
        return _straight(image, self.levels, self.values())

    def back(self, stable: Tensor) -> Tensor:
        return _straight(stable, self.values(), self.ends)


def _straight(at: Tensor, points: Tensor, values: Tensor) -> Tensor:
    below = (torch.searchsorted(points.detach(), at.detach().contiguous()) - 1).clamp(0, len(points) - 2)
    left, right, low, high = points[below], points[below + 1], values[below], values[below + 1]
    return low + (at - left) * (high - low) / (right - left)


def calibrate(image: np.ndarray, model: OpenModel, noise: NoiseModel, *, seed: int = 0) -> Iterator[CalibrationProgress]:
    """Learn the transform for an image.

    Parameters
    ----------
    image
        (Y, X), finite, at least 64×64; in the units of `noise`.
    model
        A blind norm-equiv one.
    noise
        What was found of it: its mean strength is the unit of what is learned.
    seed
        Of the places that are looked at.

    Yields
    ------
    CalibrationProgress
        The last one holds the result: nothing, where there is no noise, or where neighbours share it and betray what is hidden.

    Raises
    ------
    SettingsError
        If the image is too small, or the model is another.
    """
    if model.equivariance != "norm-equiv" or not model.blind:
        raise SettingsError(f"model={model.name!r}: self-calibration needs a blind norm-equiv model.")
    centre = float(np.median(image))
    unit = float(np.quantile(np.abs(image - centre), UNIT_QUANTILE)) or float(np.abs(image - centre).max())
    if noise.kind == "none" or noise.is_correlated or not unit:
        yield CalibrationProgress(0, MOST_STEPS, 1.0, 1.0, noise, None)
        return
    if min(image.shape) < SIDE:
        raise SettingsError(f"image: of shape {image.shape}; self-calibration needs at least {SIDE}×{SIDE} pixels.")
    scaled = noise.mapped(1 / unit, -centre / unit)
    pixels = _without_outliers(np.clip((image - centre) / unit, -FARTHEST, FARTHEST), scaled).astype(np.float32)
    with torch.inference_mode(False):
        learning = _Learning(pixels, model, float(np.sqrt(scaled.variance(pixels).mean())), seed)
    for step, error, error_before, learned in learning.run():
        yield CalibrationProgress(step, MOST_STEPS, error, error_before, noise, learned and learned.mapped(unit, centre))


def _without_outliers(image: np.ndarray, noise: NoiseModel) -> np.ndarray:
    """Hot and dead pixels replaced by the median around them: they would spoil what the network says of all their surroundings."""
    from scipy import ndimage

    around = ndimage.median_filter(image, 3)
    return np.where(np.abs(image - around) > OUTLIER * noise.std(np.maximum(image, around)), around, image)


class _Learning:
    """Of one image, in units of its spread and from its median."""

    def __init__(self, pixels: np.ndarray, model: OpenModel, std: float, seed: int) -> None:
        self._pixels, self._seed, self._std = pixels, seed, std
        network = model.network.for_training().eval().requires_grad_(False)
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        check_between_layers(self._network)
        self._looks = [self._batch(np.random.default_rng((seed, 1, number)), number) for number in range(LOOKS)]
        levels = np.unique(np.quantile(pixels, np.linspace(0, 1, POINTS)))
        middles = (levels[1:] + levels[:-1]) / 2
        self._plain = _Transform(levels, np.full(len(middles), std))
        self._brightness, self._usual_errors = self._errors_by_brightness()
        self._transform = _Transform(levels, np.sqrt(self._usual_error(middles)))

    def run(self) -> Iterator[tuple[int, float, float, LearnedNoise | None]]:
        """Now and then: steps done, least error so far, that of the image as it is, and the transform with the least."""
        before = self._look(self._plain)
        best, found, waited = before, None, 0
        ways = [(self._transform.slopes, RATE), (self._transform.ends, RATE_OF_WAY_BACK * self._std)]
        optimizer = _Adam(ways)
        rng = np.random.default_rng((self._seed, 0))
        for step in range(MOST_STEPS + 1):
            if step % EVERY == 0:
                error = self._look(self._transform)
                better = error < best * (1 - WORTHWHILE)
                waited = 0 if better else waited + 1
                if better:
                    best, found = error, self._transform.noise()
                yield step, best, before, found
                if waited >= PATIENCE:
                    return
            check_if_wanted()
            self._learn(optimizer, rng)

    def _learn(self, optimizer: _Adam, rng: np.random.Generator) -> None:
        # whatever the caller turned off around it
        with torch.inference_mode(False), torch.enable_grad():
            loss = self._error(self._transform, *self._batch(rng, int(rng.integers(GRID**2)))) + STIFFNESS * self._transform.bending()
            slopes = torch.autograd.grad(loss, optimizer.parts)
        optimizer.step(slopes)

    def _batch(self, rng: np.random.Generator, place: int) -> tuple[Tensor, Tensor]:
        """Crops (N, 1, 64, 64), and which of their pixels are hidden."""
        rows, columns = (rng.integers(0, length - SIDE + 1, CROPS) for length in self._pixels.shape)
        crops = np.stack([self._pixels[row : row + SIDE, column : column + SIDE] for row, column in zip(rows, columns, strict=True)])
        hidden = torch.zeros(CROPS, 1, SIDE, SIDE, dtype=torch.bool)
        hidden[..., place // GRID % GRID :: GRID, place % GRID :: GRID] = True
        for edge in (0, -1):  # a pixel there lacks a neighbour
            hidden[..., edge, :] = hidden[..., edge] = False
        return torch.from_numpy(crops)[:, None], hidden

    @torch.no_grad()
    def _errors_by_brightness(self) -> tuple[np.ndarray, np.ndarray]:
        """Squared errors in the image as it is, whatever kind of noise that has: a bright pixel's must not drown a dark one's."""
        predicted, errors = [], []
        for crops, hidden in self._looks:
            denoised, _ = self._foretell(self._plain, crops, hidden)
            predicted.append(denoised.double().numpy())
            errors.append((denoised - crops[hidden]).square().double().numpy())
        brightness, squared = np.concatenate(predicted), np.concatenate(errors)
        ends = (np.array(BINS[1:-1]) * brightness.size).astype(int)
        bins = np.split(np.argsort(brightness, kind="stable"), ends)
        # nothing is cut off here: where light is scarce, the rare photon is what tells
        means = np.array([squared[members].mean() for members in bins])
        return np.array([brightness[members].mean() for members in bins]), np.maximum(means, LEAST_ERROR * np.median(means))

    @torch.no_grad()
    def _look(self, transform: _Transform) -> float:
        return float(np.mean([self._error(transform, *look).item() for look in self._looks]))

    def _foretell(self, transform: _Transform, crops: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Of the hidden pixels: what the network says, and the mean of the neighbours."""
        stable = transform(crops)
        around = torch.stack([torch.roll(stable, shift, axis) for shift in (-1, 1) for axis in (2, 3)]).mean(0)
        return transform.back(self._network(torch.where(hidden, around, stable))[hidden]), transform.back(around[hidden])

    def _error(self, transform: _Transform, crops: Tensor, hidden: Tensor) -> Tensor:
        denoised, around = self._foretell(transform, crops, hidden)
        # weights may look at the neighbours, not at the hidden pixel
        usual = self._usual_error(around.detach().double().numpy())
        return ((denoised - crops[hidden]).square() / torch.from_numpy(usual).float()).mean()

    def _usual_error(self, brightness: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(np.interp(brightness, self._brightness, np.log(self._usual_errors))))


class _Adam:
    """Kingma and Ba's, as in torch; but torch's imports its compiler, whose library ends a program that has Mesa's OpenGL, as napari may.

    Parameters
    ----------
    ways
        What is changed, and how fast.
    """

    def __init__(self, ways: Sequence[tuple[torch.Tensor, float]]) -> None:
        self.parts, self._rates = zip(*ways, strict=True)
        self._means = [(torch.zeros_like(part), torch.zeros_like(part)) for part in self.parts]
        self._steps = 0

    @torch.no_grad()
    def step(self, slopes: Sequence[torch.Tensor]) -> None:
        """Go down these slopes."""
        self._steps += 1
        left, left_of_squares = (1 - decay**self._steps for decay in (0.9, 0.999))
        for part, rate, (mean, square), slope in zip(self.parts, self._rates, self._means, slopes, strict=True):
            mean.lerp_(slope, 1 - 0.9)
            square.lerp_(slope**2, 1 - 0.999)
            part -= rate / left * mean / ((square / left_of_squares).sqrt() + 1e-8)
