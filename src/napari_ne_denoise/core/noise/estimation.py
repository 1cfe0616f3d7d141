"""The noise of an image, found in the image itself.

What is left of an image after its smooth part is taken away (the Laplacian over the four neighbours) is noise where there is no
structure.  Blocks of 8×8 pixels are sorted by brightness; of those of about one brightness, those whose quarters are alike hold no
structure.  The quarters' means know next to nothing of the Laplacian, so that blocks chosen by the one are not chosen by the other, and
the mean of the other is the variance of the noise: at a tenth of a photon a pixel as at thousands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from napari_ne_denoise.core.axes import Index, PlaneLayout, plan_planes
from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.noise.correlation import correlation_of, laplacian_gain, without_polynomial
from napari_ne_denoise.core.noise.model import CurvePoint, Lags, NoiseModel
from napari_ne_denoise.core.pixels import PlaneReader, as_image
from napari_ne_denoise.core.settings import Nonfinite
from napari_ne_denoise.core.statistics import lattice

MOST_PLANES = 4  # of at most 64 windows of 128×128 pixels each: 4 megapixels
FRAME_AXES = "TZ"  # along which an image is taken again and again, the better one first
CHANNEL_AXES = "CS"
BLOCK = 8  # pixels
FEWEST_BLOCKS = 8  # of a bin, and of an image that anything can be said of
FLAT = 0.4  # share of the blocks of one brightness that count as without structure
# bins of brightness, as shares of all blocks: the brightest blocks are few and tell most
EDGES = (*np.linspace(0, 0.9, 10), 0.94, 0.97, 0.985, 1.0)
CLIPPED = 0.1  # a block with more of its pixels than that at the lowest or highest level was cut off there
ENOUGH = 0.2  # share of blocks that are not, above which the others are left out
TRUSTED = (0.1, 0.15)  # correlations between which they come to be believed
AGREES = 0.7  # of the expected variance; noise that is cut off at its mean keeps a third
LONELY = 6.0  # how many standard deviations an isolated pixel is away from all its neighbours
TRIM, STRICT_TRIM = 3.0, 1.5  # blocks this many spreads above the median still hold structure: for variance, and for correlation
# what the trimmed mean of such blocks makes of white noise of variance one (tests/test_noise.py)
OF_WHITE_NOISE = 0.975
ROUNDS = 30
FAR = 1.5  # an error of this many times the usual one counts half, see `_fit`
LEAST = 0.05  # of the mean variance: smaller ones are not known better, for rounding
SIGNIFICANT = 2.0  # standard errors of a slope that is one
LEAST_SPREAD, SPREAD_OF_NOISE = 0.2, 0.25  # of the variances of blocks of noise alone, relative; more is structure that was not told apart


@dataclass(frozen=True)
class _Blocks:
    """Blocks of pixels, in units of the image's standard deviation and from its mean.

    Attributes
    ----------
    brightness, fine, coarse
        (N,): mean; mean square of the Laplacian, which is the variance of white noise; the same from the means of the four quarters.
    pixels, laplacian
        (N, 8, 8): that in which noise is looked for, and its Laplacian.
    low, high
        (N,): shares of the pixels at the lowest and at the highest level of the image.
    """

    brightness: np.ndarray
    fine: np.ndarray
    coarse: np.ndarray
    pixels: np.ndarray
    laplacian: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def __len__(self) -> int:
        return len(self.brightness)

    def only(self, chosen: np.ndarray) -> _Blocks:
        """Some of them."""
        return _Blocks(**{name: values[chosen] for name, values in vars(self).items()})


@dataclass(frozen=True)
class _Line:
    """variance = slope · x + intercept, and the relative standard error of its root at the middle of the curve."""

    slope: float
    intercept: float
    uncertainty: float


def estimate_noise(image: Any, axes: str | None = None, *, nonfinite: Nonfinite = "error") -> NoiseModel:
    """Find the noise of an image.

    The result is equivariant: of ``λ·image + μ`` with λ > 0 it is ``estimate_noise(image).mapped(λ, μ)``, whatever the dtype.

    Parameters
    ----------
    image : array, 2 to 6 axes, any real dtype
        At most 4 megapixels of it are read.
    axes
        One letter an axis, such as "TYX".  With T or Z of at least two frames, noise is looked for in the differences of frames.  With C
        of more than one channel there is an error, since channels have noise of their own.  None: the last two axes are Y and X.
    nonfinite
        "error", or "keep" to leave out NaN and infinities.

    Returns
    -------
    NoiseModel
        In image units.  Of a constant image: no noise.  Of one with fewer than eight blocks of 8×8 pixels: none either, with an
        `uncertainty` of None.

    Raises
    ------
    ImageError, SettingsError
        As `denoise`.
    """
    array = as_image(image)
    layout = plan_planes(tuple(array.shape), axes)
    _refuse_channels(axes, layout.shape)
    reader = PlaneReader(array, layout, nonfinite)
    reader.check()
    return find_noise(reader, frame_axis_of(axes, layout.shape))


def find_noise(reader: PlaneReader, frame_axis: int | None, fixed: Mapping[int, int] | None = None) -> NoiseModel:
    """The noise of those planes of an image that lie at given places along some axes, such as those of one channel.

    Parameters
    ----------
    reader
        Where pixels come from.
    frame_axis
        Along which the same is imaged again and again.  None: there is none, and noise is looked for in single planes.
    fixed
        Places by number of axis.  None: all planes.
    """
    parts = [_windows(reader, planes) for planes in _planes(reader.layout, frame_axis, fixed or {})]
    return _estimate([window for part in parts for window in part], "one image" if frame_axis is None else "frame differences")


def frame_axis_of(axes: str | None, shape: Sequence[int]) -> int | None:
    """The number of the axis along which the same is imaged again and again, by the letters of all axes; None if there is none."""
    letters = "" if axes is None else axes.upper()
    found = [letters.index(letter) for letter in FRAME_AXES if letter in letters]
    return next((axis for axis in found if shape[axis] > 1), None)


def channel_axis_of(axes: str | None) -> int | None:
    """The number of the axis that holds channels, by the letters of all axes; None if there is none."""
    letters = "" if axes is None else axes.upper()
    return next((letters.index(letter) for letter in CHANNEL_AXES if letter in letters), None)


def _refuse_channels(axes: str | None, shape: Sequence[int]) -> None:
    axis = channel_axis_of(axes)
    if axis is not None and shape[axis] > 1:
        raise SettingsError(f"axes={axes!r}: the image has {shape[axis]} channels, each with noise of its own; estimate them one by one.")


def _planes(layout: PlaneLayout, frame_axis: int | None, fixed: Mapping[int, int]) -> Iterator[tuple[Index, ...]]:
    """Planes spread evenly over the image: each alone, or two that follow each other along an axis of frames."""
    counts = [1 if axis in (layout.rows, layout.columns, *fixed) else length for axis, length in enumerate(layout.shape)]
    if frame_axis is not None:
        counts[frame_axis] -= 1
    wanted = MOST_PLANES if frame_axis is None else MOST_PLANES // 2
    total = int(np.prod(counts))
    for number in np.unique(np.linspace(0, total - 1, min(wanted, total)).round().astype(int)):
        position = [fixed.get(axis, int(at)) for axis, at in enumerate(np.unravel_index(number, counts))]
        first = layout.plane_at(tuple(position))
        if frame_axis is None:
            yield (first,)
        else:
            position[frame_axis] += 1
            yield first, layout.plane_at(tuple(position))


def _windows(reader: PlaneReader, planes: Sequence[Index]) -> Iterator[np.ndarray]:
    """Windows (frames, Y, X) of one or two planes, float64."""
    readers = [reader.open_plane(plane)[0] for plane in planes]
    for window in lattice(reader.layout.plane_shape):
        yield np.stack([np.asarray(read(*window), np.float64) for read in readers])


def _estimate(windows: list[np.ndarray], source: Literal["one image", "frame differences"]) -> NoiseModel:
    """The noise in windows (frames, Y, X)."""
    first = float(windows[0].flat[0])
    windows = [window - first for window in windows]
    largest = max(float(np.abs(window).max()) for window in windows)
    if not largest:
        return NoiseModel(gain=0.0, offset=first, read_noise=0.0, source=source)
    # float32 from here on: offsets and units must not cost digits
    small = [(window / largest).astype(np.float32) for window in windows]
    return replace(_estimate_small(small), source=source).mapped(largest, first)


def _estimate_small(windows: list[np.ndarray]) -> NoiseModel:
    lowest, highest = min(float(window.min()) for window in windows), max(float(window.max()) for window in windows)
    blocks = _join([_blocks(window, lowest, highest) for window in windows if min(window.shape[1:]) >= BLOCK + 2])
    if blocks is None or len(blocks) < FEWEST_BLOCKS:
        return NoiseModel(gain=0.0, offset=lowest, read_noise=0.0, uncertainty=None)
    levels = _levels(windows)
    whole = _enough(blocks, blocks.high == 0)
    cut_off = whole.low > CLIPPED
    light = _enough(whole, ~cut_off)
    correlation = correlation_of(_noise_alone(light))
    points, spread = _curve(light)
    if len(light) < len(whole) and cut_off.sum() >= FEWEST_BLOCKS:
        points = _with_dark(points, _curve(whole.only(cut_off))[0])
    gain = _left_by_laplacian(correlation)
    points = [CurvePoint(p.level, p.variance / gain, p.standard_error / gain) for p in points]
    line = _line(points)
    darkest = float(np.quantile(blocks.brightness, 0.005))
    found = _model(line, darkest)
    excess = max(0.0, spread - SPREAD_OF_NOISE) / 2
    found = replace(found, correlation=correlation, curve=tuple(points), uncertainty=float(np.hypot(line.uncertainty, excess)), **levels)
    return replace(found, isolated_share=_isolated_share(blocks, found))


def _join(parts: list[_Blocks]) -> _Blocks | None:
    return _Blocks(**{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])}) if parts else None


def _blocks(window: np.ndarray, lowest: float, highest: float) -> _Blocks:
    """The blocks of a window of one frame, or of the difference of two."""
    mean = window.mean(0)
    pixels = window[0] if len(window) == 1 else (window[0] - window[1]) / np.float32(np.sqrt(2))
    residual = 4 * pixels[1:-1, 1:-1] - pixels[:-2, 1:-1] - pixels[2:, 1:-1] - pixels[1:-1, :-2] - pixels[1:-1, 2:]
    residual = _cut(residual / np.float32(np.sqrt(20)))
    inside = _cut(pixels[1:-1, 1:-1])
    quarters = inside.reshape(-1, 2, BLOCK // 2, 2, BLOCK // 2).mean((2, 4)).reshape(-1, 4)
    shades = [_cut(frame[1:-1, 1:-1]) for frame in window]
    return _Blocks(
        brightness=_cut(mean[1:-1, 1:-1]).mean((1, 2), dtype=np.float64),
        fine=np.square(residual).mean((1, 2), dtype=np.float64),
        coarse=quarters.var(1, dtype=np.float64),
        pixels=inside,
        laplacian=residual,
        low=np.max([(shade == lowest).mean((1, 2)) for shade in shades], 0),
        high=np.max([(shade == highest).mean((1, 2)) for shade in shades], 0),
    )


def _cut(image: np.ndarray) -> np.ndarray:
    """(N, 8, 8); what is left over at the right and at the bottom is dropped."""
    rows, columns = (length // BLOCK for length in image.shape)
    whole = image[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    return whole.swapaxes(1, 2).reshape(rows * columns, BLOCK, BLOCK)


def _left_by_laplacian(correlation: tuple[Lags, Lags]) -> float:
    """The share of the variance that the Laplacian keeps; all, as of white noise, where correlation is no more than texture may feign."""
    low, high = TRUSTED
    trust = min(1.0, max(0.0, (max(along[0] for along in correlation) - low) / (high - low)))
    return 1 + trust * (laplacian_gain(correlation) - 1)


def _enough(blocks: _Blocks, good: np.ndarray) -> _Blocks:
    """The good blocks, or all where there are too few of these."""
    return blocks.only(good) if good.sum() >= max(FEWEST_BLOCKS, ENOUGH * len(blocks)) else blocks


def _with_dark(points: list[CurvePoint], dark: list[CurvePoint]) -> list[CurvePoint]:
    """The curve with its dark end, where many pixels are at the lowest level, unless a detector cut off noise there.

    No photon is the lowest level too, and nothing is cut off then: the variance is what it is said to be by the rest of the curve, or more.
    """
    line = _line(points)
    expected = sum(max(line.slope * point.level + line.intercept, 0.0) for point in dark)
    return [*dark, *points] if sum(point.variance for point in dark) >= AGREES * expected else points


def _bins(blocks: _Blocks) -> Iterator[np.ndarray]:
    """Numbers of blocks of about one brightness."""
    order = np.argsort(blocks.brightness, kind="stable")
    edges = np.unique((np.array(EDGES) * len(blocks)).astype(int))
    while len(edges) > 2 and np.diff(edges).min() < FEWEST_BLOCKS:  # too few blocks for so many bins
        thin = int(np.argmin(np.diff(edges)))
        edges = np.delete(edges, thin if thin else 1)
    yield from (order[start:stop] for start, stop in pairwise(edges))


def _noise_alone(blocks: _Blocks) -> np.ndarray:
    """Blocks (N, 8, 8) of noise and little else, of each brightness some, all scaled to one variance."""
    power = np.square(without_polynomial(blocks.pixels)).mean(1)
    groups = []
    for members in _bins(blocks):
        members = _without_structure(_least(members, blocks.coarse, FLAT), power, STRICT_TRIM)
        mean = float(power[members].mean())
        if mean:
            groups.append(blocks.pixels[members] / np.float32(np.sqrt(mean)))
    return np.concatenate(groups) if groups else blocks.pixels[:1] * 0


def _least(members: np.ndarray, measure: np.ndarray, share: float) -> np.ndarray:
    count = min(len(members), max(FEWEST_BLOCKS, int(share * len(members))))
    return members[np.argsort(measure[members], kind="stable")[:count]]


def _curve(blocks: _Blocks) -> tuple[list[CurvePoint], float]:
    """The variance of the noise at several brightnesses, and how widely blocks of one brightness differ, relatively."""
    points, spreads = [], []
    for members in _bins(blocks):
        chosen = _least(members, blocks.coarse, FLAT)
        variances = blocks.fine[_without_structure(chosen, blocks.fine, TRIM)]
        mean = float(variances.mean()) / OF_WHITE_NOISE
        # a few blocks may happen to be alike
        error = float(max(variances.std(), LEAST_SPREAD * variances.mean()) / np.sqrt(len(variances)))
        points.append(CurvePoint(float(blocks.brightness[chosen].mean()), mean, error))
        middle, high = np.quantile(blocks.fine[chosen], (0.5, 0.84))
        spreads.append(float(high / middle - 1) if middle else 0.0)
    return points, float(np.median(spreads))


def _without_structure(members: np.ndarray, power: np.ndarray, trim: float) -> np.ndarray:
    """Those blocks of a group whose power is not far above that of the others: structure only adds."""
    for _ in range(6):
        low, middle = np.quantile(power[members], (0.16, 0.5))
        kept = members[power[members] <= middle + trim * (middle - low)]
        if len(kept) == len(members) or not len(kept):
            break
        members = kept
    return members


def _line(points: list[CurvePoint]) -> _Line:
    """A line through the curve if it rises, else a level one."""
    levels, variances, errors = np.array([(point.level, point.variance, point.standard_error) for point in points]).T
    middle = float(np.median(levels))
    if len(points) > 2 and np.ptp(levels) > 0 and variances.max() > 0:
        (slope, intercept), covariance = _fit(np.stack([levels, np.ones_like(levels)], 1), variances, errors)
        if slope > SIGNIFICANT * np.sqrt(covariance[0, 0]):
            at = np.array([middle, 1.0])
            return _Line(float(slope), float(intercept), _relative(float(at @ (slope, intercept)), float(at @ covariance @ at)))
    (level,), covariance = _fit(np.ones((len(points), 1)), variances, errors)
    return _Line(0.0, float(level), _relative(float(level), float(covariance[0, 0])))


def _relative(variance: float, squared_error: float) -> float:
    """The relative standard error of a standard deviation."""
    return float(np.sqrt(squared_error) / (2 * variance)) if variance > 0 else 0.0


def _fit(terms: np.ndarray, variances: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted least squares, with little weight for points far above the line, which structure lifted; coefficients and covariance."""
    least = LEAST * float(variances.mean()) or 1.0
    counts = 1 / np.maximum(errors / np.maximum(variances, least), 1e-3) ** 2  # how many blocks it is worth
    predicted, trust = np.maximum(variances, least), np.ones_like(variances)
    for _ in range(ROUNDS):
        weights = counts * trust / predicted**2
        normal = terms.T @ (weights[:, None] * terms)
        found = np.linalg.pinv(normal, hermitian=True) @ (terms.T @ (weights * variances))
        predicted = np.maximum(terms @ found, least)
        off = (variances - terms @ found) / predicted
        usual = max(float(np.median(np.abs(off))), 0.03)
        trust = np.where(off > 0, 1 / (1 + (off / (FAR * usual)) ** 2), 1.0)
    freedom = max(len(variances) - terms.shape[1], 1)
    scatter = max(1.0, float(np.sum(weights * (variances - terms @ found) ** 2)) / freedom)
    return found, np.linalg.pinv(normal, hermitian=True) * scatter


def _model(line: _Line, darkest: float) -> NoiseModel:
    if not line.slope:
        return NoiseModel(gain=0.0, offset=darkest, read_noise=float(np.sqrt(max(line.intercept, 0.0))))
    offset = max(darkest, -line.intercept / line.slope)
    at_offset = max(0.0, line.slope * offset + line.intercept)
    return NoiseModel(gain=line.slope, offset=offset, read_noise=float(np.sqrt(at_offset)))


def _levels(windows: list[np.ndarray]) -> dict[str, Any]:
    """What the detector and the file made of the values: where they were cut off, and to which steps they were rounded."""
    values, counts = np.unique(np.concatenate([window.ravel() for window in windows[:: max(1, len(windows) // 16)]]), return_counts=True)
    found: dict[str, Any] = {}
    total = counts.sum()
    if len(values) > 2:
        gaps = np.diff(values.astype(np.float64))
        step = float(gaps.min())
        # float32 has 24 bits; values are within ±1
        steps = np.rint(gaps / step)
        if step > 1e-5 and np.abs(gaps / step - steps).max() < 0.02:
            found["step"] = float(gaps.sum() / steps.sum())  # a mean, without the roundings of one
        if counts[-1] >= 8 and counts[-1] > 3 * counts[-2]:
            found |= {"saturation": float(values[-1]), "saturated_share": float(counts[-1] / total)}
        if counts[0] >= 8 and counts[0] > 3 * counts[1]:
            found |= {"floor": float(values[0]), "floor_share": float(counts[0] / total)}
    return found


def _isolated_share(blocks: _Blocks, noise: NoiseModel) -> float:
    """Share of pixels that stand out from all eight neighbours."""
    limit = LONELY * noise.std(blocks.brightness)
    suspicious = (np.abs(blocks.laplacian).max((1, 2)) > limit) & (limit > 0)
    pixels, limit = blocks.pixels[suspicious], limit[suspicious, None, None]
    if not len(pixels):
        return 0.0
    inner = pixels[:, 1:-1, 1:-1]
    around = np.stack([pixels[:, 1 + dy : BLOCK - 1 + dy, 1 + dx : BLOCK - 1 + dx] for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx])
    lonely = (inner - around.max(0) > limit) | (around.min(0) - inner > limit)
    return float(lonely.sum() / (len(blocks) * (BLOCK - 2) ** 2))
