"""The variance of noise over brightness, from blocks without structure, and the line through it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from napari_ne_denoise.core.noise.blocks import FEWEST, Blocks
from napari_ne_denoise.core.noise.correlation import without_polynomial
from napari_ne_denoise.core.noise.model import CurvePoint

FLAT = 0.4  # share of the blocks of one brightness that count as without structure
# bins of brightness, as shares of all blocks: the brightest blocks are few and tell most
EDGES = (*np.linspace(0, 0.9, 10), 0.94, 0.97, 0.985, 1.0)
TRIM, STRICT_TRIM = 3.0, 1.5  # blocks this many spreads above the median still hold structure: for variance, and for correlation
# what the trimmed mean of such blocks makes of white noise of variance one (tests/test_noise.py)
OF_WHITE_NOISE = 0.975
AGREES = 0.7  # of the expected variance; noise that is cut off at its mean keeps a third
LEAST_SPREAD = 0.2  # of the variances of blocks, relative; a few blocks may happen to be alike
ROUNDS = 30
FAR = 1.5  # an error of this many times the usual one counts half, see `_fit`
LEAST = 0.05  # of the mean variance: smaller ones are not known better, for rounding
SIGNIFICANT = 3.0  # standard errors of a slope that is one
# standard errors come from blocks of a few bins of one image, and repeated images scatter more
UNDERRATED = 1.6


@dataclass(frozen=True)
class Line:
    """variance = slope · x + intercept.

    Attributes
    ----------
    slope, intercept
        A slope of 0 where the variance does not rise.
    uncertainty
        Relative standard error of the standard deviation at the middle of the curve; None where there is no variance.
    slope_uncertainty
        Relative standard error of the slope; 0 where that is 0.
    """

    slope: float
    intercept: float
    uncertainty: float | None
    slope_uncertainty: float = 0.0


def noise_curve(blocks: Blocks) -> tuple[list[CurvePoint], float]:
    """The variance of the noise at several brightnesses, and how widely blocks of one brightness differ, relatively."""
    points, spreads = [], []
    for members in _bins(blocks):
        chosen = _least(members, blocks.coarse)
        variances = blocks.fine[_without_structure(chosen, blocks.fine, TRIM)]
        error = float(max(variances.std(), LEAST_SPREAD * variances.mean()) / np.sqrt(len(variances)))
        points.append(CurvePoint(float(blocks.brightness[chosen].mean()), float(variances.mean()) / OF_WHITE_NOISE, error))
        middle, high = np.quantile(blocks.fine[chosen], (0.5, 0.84))
        spreads.append(float(high / middle - 1) if middle else 0.0)
    return points, float(np.median(spreads))


def noise_alone(blocks: Blocks) -> np.ndarray:
    """Blocks (N, 8, 8) of noise and little else, of each brightness some, all scaled to one variance."""
    power = np.square(without_polynomial(blocks.pixels)).mean(1)
    groups = []
    for members in _bins(blocks):
        chosen = _without_structure(_least(members, blocks.coarse), power, STRICT_TRIM)
        mean = float(power[chosen].mean())
        if mean:
            groups.append(blocks.pixels[chosen] / np.float32(np.sqrt(mean)))
    return np.concatenate(groups) if groups else blocks.pixels[:1] * 0


def with_dark(points: list[CurvePoint], dark: list[CurvePoint]) -> list[CurvePoint]:
    """The curve with its dark end, where many pixels are at the lowest level, unless a detector cut off noise there.

    No photon is the lowest level too, and nothing is cut off then: the variance is what it is said to be by the rest of the curve, or more.
    """
    line = line_through(points)
    expected = sum(max(line.slope * point.level + line.intercept, 0.0) for point in dark)
    return [*dark, *points] if sum(point.variance for point in dark) >= AGREES * expected else points


def line_through(points: list[CurvePoint]) -> Line:
    """A line through the curve if it rises, else a level one."""
    levels, variances, errors = np.array([(point.level, point.variance, point.standard_error) for point in points]).T
    middle = float(np.median(levels))
    # where brightness varies by no more than noise makes it vary, it tells nothing of how noise depends on it
    if len(points) > 2 and np.ptp(levels) > np.sqrt(variances.mean()):
        (slope, intercept), covariance = _fit(np.stack([levels, np.ones_like(levels)], 1), variances, errors)
        slope_error = UNDERRATED * np.sqrt(covariance[0, 0])
        if slope > SIGNIFICANT * slope_error:
            at = np.array([middle, 1.0])
            uncertainty = _relative(float(at @ (slope, intercept)), float(at @ covariance @ at))
            return Line(float(slope), float(intercept), uncertainty, float(slope_error / slope))
    (level,), covariance = _fit(np.ones((len(points), 1)), variances, errors)
    return Line(0.0, float(level), _relative(float(level), float(covariance[0, 0])))


def _bins(blocks: Blocks) -> Iterator[np.ndarray]:
    """Numbers of blocks of about one brightness."""
    order = np.argsort(blocks.brightness, kind="stable")
    edges = np.unique((np.array(EDGES) * len(blocks)).astype(int))
    while len(edges) > 2 and np.diff(edges).min() < FEWEST:  # too few blocks for so many bins
        thin = int(np.argmin(np.diff(edges)))
        edges = np.delete(edges, thin if thin else 1)
    yield from (order[start:stop] for start, stop in pairwise(edges))


def _least(members: np.ndarray, measure: np.ndarray) -> np.ndarray:
    """Those of a group that have least of something."""
    count = min(len(members), max(FEWEST, int(FLAT * len(members))))
    return members[np.argsort(measure[members], kind="stable")[:count]]


def _without_structure(members: np.ndarray, power: np.ndarray, trim: float) -> np.ndarray:
    """Those blocks of a group whose power is not far above that of the others: structure only adds."""
    for _ in range(6):
        low, middle = np.quantile(power[members], (0.16, 0.5))
        kept = members[power[members] <= middle + trim * (middle - low)]
        if len(kept) == len(members) or not len(kept):
            break
        members = kept
    return members


def _relative(variance: float, squared_error: float) -> float | None:
    """The relative standard error of a standard deviation."""
    return float(UNDERRATED * np.sqrt(squared_error) / (2 * variance)) if variance > 0 else None


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
