"""Rows of the Jacobian of a whole denoising: of the network, and of what is done about noise before and after it.

One pass forward and one backward give the row of a pixel, and those of a batch the rows of several: images of a batch do not influence
each other, so that each row is as exact as if it were alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np
import torch
from torch import Tensor

from napari_ne_denoise.core.axes import Index, PlaneLayout
from napari_ne_denoise.core.errors import ComputationError
from napari_ne_denoise.core.interruption import check_if_wanted
from napari_ne_denoise.core.jacobian.weights import Filter
from napari_ne_denoise.core.networks.network import DenoisingNetwork
from napari_ne_denoise.core.noise.model import NoiseModel
from napari_ne_denoise.core.noise.whitening import RADIUS
from napari_ne_denoise.core.numerics import Numerics, blend
from napari_ne_denoise.core.run import DenoisingRun, OpenPlane
from napari_ne_denoise.core.tiling import Window, inside, read_window, round_up, widened

# pixels of a batch: more take more memory, and are hardly faster
PIXELS_AT_ONCE = 2**18
# planes that stay open: those of a colour image
MOST_OPEN = 4
STEP = 1e-3  # of stabilised noise, to measure a slope with


class PixelFilters:
    """Computes the filters of single pixels, on the CPU.

    What was found of a plane is kept until four others were asked for: a further pixel of it costs what the network costs.

    Parameters
    ----------
    run
        With everything decided.
    scale, shift
        The network is given scale · x + shift of what it would be given, and its output is taken back: without effect where its law holds.
    """

    def __init__(self, run: DenoisingRun, scale: float = 1.0, shift: float = 0.0) -> None:
        self.run, self._scale, self._shift = run, scale, shift
        self._opened: dict[tuple[int, ...], OpenPlane] = {}
        self._opening = Lock()

    @property
    def layout(self) -> PlaneLayout:
        """How the image is cut into planes."""
        return self.run.layout

    def point(self, position: Sequence[int]) -> tuple[int, int]:
        """Row and column of a position in the array."""
        return position[self.layout.rows], position[self.layout.columns]

    def noise_of(self, position: Sequence[int]) -> NoiseModel:
        """What is known of the noise of the channel of a position; it is looked for if nobody did."""
        return self.run.treatments.noise_of(self.layout.plane_at(tuple(position)))

    def read(self, position: Sequence[int], window: Window) -> np.ndarray:
        """Pixels (Y, X) of the plane of a position, hot ones repaired and those that are no numbers filled."""
        return np.asarray(self._open(self.layout.plane_at(tuple(position))).raw(*window))

    def at(self, position: tuple[int, ...], precision: torch.dtype = torch.float64, strength: float | None = None) -> Filter:
        """The filter of one pixel; settings as in `of`."""
        (found,) = self.of([position], precision, strength)
        return found

    def of(
        self, positions: Sequence[tuple[int, ...]], precision: torch.dtype = torch.float64, strength: float | None = None
    ) -> Iterator[Filter]:
        """The filters of several pixels, in their order; can be ended between two layers of the network (`interruption`).

        Parameters
        ----------
        positions
            In the array.
        precision
            Of the network.
        strength
            As in `adaptive_filter`.  None: that of the run.
        """
        share = self.run.settings.strength if strength is None else strength
        for batch in _alike(self._question(position) for position in positions):
            check_if_wanted()
            yield from self._answers(batch, precision, share)

    def rescaled(self, scale: float, shift: float) -> PixelFilters:
        """The same where the network is given another unit and offset."""
        return PixelFilters(self.run, scale, shift)

    def _open(self, plane: Index) -> OpenPlane:
        place = tuple(at for at in plane if isinstance(at, int))
        with self._opening:
            if place not in self._opened:
                while len(self._opened) >= MOST_OPEN:
                    del self._opened[next(iter(self._opened))]
                (opened,) = self.run.open_planes([plane])
                self._opened[place] = replace(opened, numerics=_mapped(opened.numerics, self._scale, self._shift))
            return self._opened[place]

    def _question(self, position: tuple[int, ...]) -> _Question:
        plane, shape = self._open(self.layout.plane_at(position)), self.layout.plane_shape
        pixel = _pixel(self.point(position))
        whitener = plane.treatment.whitener
        wanted = pixel if whitener is None else widened(pixel, RADIUS, shape)
        window = read_window(shape, pixel, self.run.grid)
        block = _on_grid(wanted, shape, self.run.grid.stride)
        asked = _one_at(inside(pixel, wanted), wanted)
        counts = asked if whitener is None else whitener.back_transposed(asked)
        seed = np.zeros(_shape(block))
        seed[inside(wanted, block)] = counts
        return _Question(position, plane, pixel, window, block, seed, plane.raw(*window))

    def _answers(self, batch: Sequence[_Question], precision: torch.dtype, strength: float) -> Iterator[Filter]:
        if batch[0].plane.precision is None:  # of one value, and given back as it is
            return (question.untouched() for question in batch)
        denoiser, sigmas = self.run.denoiser, [question.plane.numerics.sigma for question in batch]
        rows = _rows(
            denoiser.differentiable(precision),
            np.stack([question.white for question in batch]),
            np.array([question.plane.numerics.mean for question in batch]),
            None if sigmas[0] is None else np.array(sigmas),
            inside(batch[0].block, batch[0].window),
            np.stack([question.seed for question in batch]),
        )
        wrapped, law = denoiser.is_wrapped, denoiser.equivariance
        return (_weakened(question, _accounted(question, row, wrapped, law), strength) for question, row in zip(batch, rows, strict=True))


@dataclass(frozen=True, eq=False)
class _Question:
    """A pixel whose filter is wanted.

    Attributes
    ----------
    position
        In the array.
    plane
        That it is in.
    pixel, window, block
        In the plane: itself, what is read, and of which part of it the network's output is needed.
    seed : (Y, X) of the block
        How much each pixel of that output counts.
    raw : (Y, X) of the window
        As read.
    """

    position: tuple[int, ...]
    plane: OpenPlane
    pixel: Window
    window: Window
    block: Window
    seed: np.ndarray
    raw: np.ndarray

    @property
    def kind(self) -> tuple[object, ...]:
        """Questions of one kind can be answered together."""
        block = inside(self.block, self.window)
        return self.raw.shape, *((part.start, part.stop) for part in block), self.plane.precision is None

    @property
    def own(self) -> tuple[int, int]:
        """Place of the pixel in the window."""
        rows, columns = inside(self.pixel, self.window)
        return rows.start, columns.start

    @property
    def seen(self) -> np.ndarray:
        """The window in units of the domain, float64."""
        return np.asarray(self.plane.treatment.forward(self.raw), np.float64)

    @property
    def white(self) -> np.ndarray:
        """What the network is given."""
        pixels, whitener = self.plane.numerics.forward(self.seen), self.plane.treatment.whitener
        return pixels if whitener is None else whitener.forward(pixels)

    def untouched(self) -> Filter:
        """The filter of a pixel that comes back as it is."""
        value, (rows, columns) = float(self.raw[self.own]), self.pixel
        return Filter(np.ones((1, 1)), (rows.start, columns.start), 0.0, 1.0, value, value, self.position, value=value)


def _alike(questions: Iterator[_Question]) -> Iterator[list[_Question]]:
    """Neighbours that can be answered together, as many as pays."""
    batch: list[_Question] = []
    for question in questions:
        if batch and (question.kind != batch[0].kind or (len(batch) + 1) * question.raw.size > PIXELS_AT_ONCE):
            yield batch
            batch = []
        batch.append(question)
    if batch:
        yield batch


@dataclass(frozen=True, eq=False)
class _Row:
    """What a backward pass found, in units of the network: weights of what it was given, of its mean and of its sigma, and the output."""

    weights: np.ndarray
    by_mean: float
    by_sigma: float
    output: float


def _rows(
    network: DenoisingNetwork, pixels: np.ndarray, means: np.ndarray, sigmas: np.ndarray | None, block: Window, seeds: np.ndarray
) -> Iterator[_Row]:
    """Of windows (N, Y, X) and what counts of each one's output, by one forward and one backward pass."""
    dtype = next(network.parameters()).dtype
    # whatever mode the caller is in, here gradients are wanted
    with torch.inference_mode(False), torch.enable_grad():
        x, mean, counts = (torch.from_numpy(values).to(dtype) for values in (pixels[:, None], means, seeds[:, None]))
        sigma = None if sigmas is None else torch.from_numpy(sigmas).to(dtype)
        inputs = [each.requires_grad_() for each in (x, mean, sigma) if each is not None]
        try:
            outputs = (network(x, sigma, mean, block) * counts).sum((1, 2, 3))
            gradients = torch.autograd.grad(outputs.sum(), inputs, allow_unused=True)
        except RuntimeError as error:  # which a worker thread would lose
            said = f"filter: failed on the CPU: {error}."
            remedy = "close other programs, or give precision='float32'"
            raise ComputationError(said, mend="precision_of_filters", python=remedy) from error
    weights, by_mean, by_sigma = (_as_array(gradient, len(pixels)) for gradient in (*gradients, None)[:3])
    for row in zip(weights, by_mean, by_sigma, outputs.detach().double().numpy(), strict=True):
        yield _Row(row[0][0], *(float(value) for value in row[1:]))


def _as_array(gradient: Tensor | None, count: int) -> np.ndarray:
    return np.zeros(count) if gradient is None else np.asarray(gradient.double().numpy())


def _accounted(question: _Question, row: _Row, wrapped: bool, law: str) -> Filter:
    """The filter at full strength: everything that adds up to the pixel."""
    numerics, treatment, seen = question.plane.numerics, question.plane.treatment, question.seen
    weights, output = _of_the_image(question, row)
    value = float(numerics.back(np.asarray(output)))
    # a wrapper divides by the standard deviation, and gives the plane's mean whatever weight the pixels have not
    mean_weight = 1 - float(weights.sum()) if wrapped else row.by_mean
    weighted = float((weights * seen).sum()) + mean_weight * float(numerics.back(np.asarray(numerics.mean)))
    from_sigma = 0.0 if numerics.sigma is None else row.by_sigma * float(numerics.sigma) * float(numerics.scale)
    rest = value - weighted - from_sigma
    back = treatment.back(np.array([value, value - STEP, value + STEP]))
    return Filter(
        weights,
        (question.window[0].start, question.window[1].start),
        mean_weight,
        total=float(weights.sum()) + mean_weight,
        output=float(back[0]),
        weighted_sum=weighted,
        position=question.position,
        domain="image" if treatment.stabilizer is None else "stabilised",
        value=value,
        from_sigma=from_sigma,
        from_spread=rest if wrapped else 0.0,
        constant=rest if law == "ordinary" or (law == "scale-equiv" and numerics.shift) else 0.0,
        slope=1.0 if treatment.stabilizer is None else float(back[2] - back[1]) / (2 * STEP),
    )


def _of_the_image(question: _Question, row: _Row) -> tuple[np.ndarray, float]:
    """Weights of what the network's numerics gave, and the output: around a network that sees noise made white, there and back."""
    whitener = question.plane.treatment.whitener
    if whitener is None:
        return row.weights, row.output
    # the result is y − B(Wy − f(Wy)), W being the way there and B the way back
    taken = -row.weights
    taken[inside(question.block, question.window)] += question.seed
    removed = float((question.seed * question.white[inside(question.block, question.window)]).sum()) - row.output
    weights = -whitener.forward_transposed(taken)
    weights[question.own] += 1
    return weights, float(question.plane.numerics.forward(question.seen[question.own])) - removed


def _weakened(question: _Question, found: Filter, strength: float) -> Filter:
    """That of y + t · (f(y) − y): (1 − t)·δ + t·w, with δ the pixel itself."""
    own = question.raw[question.own]
    output = float(blend(own, np.asarray(found.output), strength))
    if found.domain == "stabilised" or strength == 1:
        return replace(found, output=output)
    weights = strength * found.weights
    weights[question.own] += 1 - strength
    return replace(
        found,
        weights=weights,
        mean_weight=strength * found.mean_weight,
        total=strength * found.total + 1 - strength,
        output=output,
        value=output,
        weighted_sum=float(blend(own, np.asarray(found.weighted_sum), strength)),
        from_sigma=strength * found.from_sigma,
        from_spread=strength * found.from_spread,
        constant=strength * found.constant,
    )


def _mapped(numerics: Numerics, scale: float, shift: float) -> Numerics:
    """What gives the network scale · x + shift."""
    if (scale, shift) == (1.0, 0.0):
        return numerics
    unit = numerics.scale / scale
    sigma = None if numerics.sigma is None else scale * numerics.sigma
    return Numerics(numerics.shift - shift * unit, unit, scale * numerics.mean + shift, sigma)


def _pixel(point: tuple[int, int]) -> Window:
    rows, columns = (slice(at, at + 1) for at in point)
    return rows, columns


def _on_grid(window: Window, shape: tuple[int, int], stride: int) -> Window:
    """The window that covers another one and lies on the grid of a network, so that different pixels share one."""
    rows, columns = (
        slice(part.start // stride * stride, min(round_up(part.stop, stride), length)) for part, length in zip(window, shape, strict=True)
    )
    return rows, columns


def _shape(window: Window) -> tuple[int, int]:
    rows, columns = (part.stop - part.start for part in window)
    return rows, columns


def _one_at(place: Window, window: Window) -> np.ndarray:
    values = np.zeros(_shape(window))
    values[place] = 1
    return values
