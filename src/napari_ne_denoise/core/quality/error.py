"""The mean square error of a result, without its truth: Stein's unbiased estimate, band of frequencies by band.

For noise n of covariance Σ in y = x + n, and a result f(y) with the Jacobian J, the mean over n of |f − y|² − tr Σ + 2 tr(JΣ) is that
of |f − x|².  It holds in every band of frequencies, and tells two parts apart: the noise that is left, |J n|², which probes of noise tell
exactly, and what was lost beside it.  In the high bands, where nothing of the noise is left, the estimate is the difference of two large
numbers; so the loss there is taken from what the bands below make likely, as far as the estimate does not say otherwise.  Those bands
also say whether the noise is as strong, and as white, as it was thought to be.  All unknowns are taken to be Gaussian, so that the best
estimate is linear, and its error is known.

Sources: Stein 1981; Ramani, Blu, Unser, Monte-Carlo SURE, IEEE TIP 2008.  The bands and what is expected of them are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_ne_denoise.core.noise.model import NoiseModel
from napari_ne_denoise.core.quality.blocks import SIDE, Looked, bands, frequencies, transform

# what is expected to be lost in a band, chosen on clean training-side images: this share of the noise left there, give or take as much as
# that noise, and what the band below lost by coefficient, falling with the square of the frequency, give or take a half
LOST, LOST_SPREAD, FALL, CHAIN_SPREAD = 0.2, 1.0, 2.0, 0.5
STANDS_OUT = 2.0  # standard errors that a band must be away from what was expected of it to be believed for itself
ROUNDS = 12  # of the two lines above, which depend on each other
# of the standard deviation of noise that was found in an image: its fit does not know what texture added to it; and how many times wider
# intervals are for the same reason.  Chosen on 16 images that training saw, with 10 kinds of noise: 83 % of the intervals then hold the
# truth instead of 74 %
LEAST_UNCERTAINTY, WIDER = 0.05, 2.0
CORRELATION_ERROR = 0.03  # of measured noise: what correlation with the next pixel may have been overlooked
LEAST_ERROR = 1e-6  # of the noise in a band, for rounding
# the least that the error can be, as a share of the noise left: a small error cannot be told from none by a difference
LEAST_OF_NOISE_LEFT = 0.5


@dataclass(frozen=True)
class ErrorEstimate:
    """Mean squares, in squared image units.

    Attributes
    ----------
    noise_left
        Of the noise in the result.
    error, standard_error
        Of the result, and how well that is known.
    """

    noise_left: float
    error: float
    standard_error: float

    @property
    def interval(self) -> tuple[float, float]:
        """Where the error is with 95 % certainty."""
        low, high = (self.error + side * self.standard_error for side in (-2.0, 2.0))
        return max(low, LEAST_OF_NOISE_LEFT * self.noise_left), high


@dataclass(frozen=True)
class _Bands:
    """Mean squares a pixel, (B,), and how they follow from an error of the noise.

    Attributes
    ----------
    lost, error
        Stein's estimate less the noise left, and its standard error.
    left, left_by_tilt
        The noise left, and its change with a correlation with the next pixel.
    removed, removed_by_tilt
        The same of what noise alone is removed.
    """

    lost: np.ndarray
    error: np.ndarray
    left: np.ndarray
    left_by_tilt: np.ndarray
    removed: np.ndarray
    removed_by_tilt: np.ndarray


def estimate_error(looked: Looked, noise: NoiseModel) -> ErrorEstimate:
    """The error of a result whose function is known.

    Parameters
    ----------
    looked
        With at least one probe.
    noise
        Its `uncertainty` counts, if it was measured; noise that was given with none is taken to be exact.
    """
    found = _measure(looked, noise)
    mean, covariance = _solve(found, *_doubts(looked, noise))
    weights = np.concatenate([[found.left.sum(), found.left_by_tilt.sum()], np.ones_like(found.lost)])
    left = float(found.left.sum())
    error = max(left + float(weights @ mean), LEAST_OF_NOISE_LEFT * left)
    wider = WIDER if noise.is_measured else 1.0
    return ErrorEstimate(left, error, wider * float(np.sqrt(max(weights @ covariance @ weights, 0.0))))


def _doubts(looked: Looked, noise: NoiseModel) -> tuple[float, float]:
    """Relative standard error of the variance, and standard error of the correlation with the next pixel."""
    if not noise.is_measured:
        return 2 * (noise.uncertainty or 0.0), 0.0
    strength = 2 * max(noise.uncertainty or 0.0, LEAST_UNCERTAINTY)
    levels = [point.level for point in noise.curve]
    middle, typical = float(np.median(levels)), float(looked.denoised.mean())
    variance = float(noise.variance(looked.denoised).mean())
    # the line is known best at the middle of the curve
    turned = noise.gain_uncertainty * noise.gain * abs(typical - middle) / variance if variance else 0.0
    return float(np.hypot(strength, turned)), CORRELATION_ERROR


def _measure(looked: Looked, noise: NoiseModel) -> _Bands:
    removed = np.square(transform(looked.removed))
    expected = looked.expected(noise)
    answers, probes = transform(looked.answers), transform(looked.probes)
    left = np.square(answers).mean(0)
    shared = (answers * probes).mean(0)
    alone = expected - 2 * shared + left
    lost = removed - expected + 2 * shared - left
    tilt = 2 * np.add.outer(*[np.cos(np.pi * np.arange(SIDE) / SIDE)] * 2)
    error = np.array([(lost + left)[:, band].sum(1).std() / SIDE**2 / np.sqrt(len(lost)) for band in bands()])
    return _Bands(
        lost=_of_bands(lost),
        error=np.maximum(error, LEAST_ERROR * float(_of_bands(expected).sum()) or 1e-300),
        left=_of_bands(left),
        left_by_tilt=_of_bands(left * tilt),
        removed=_of_bands(alone),
        removed_by_tilt=_of_bands(alone * tilt),
    )


def _of_bands(coefficients: np.ndarray) -> np.ndarray:
    """The sum of each band, a pixel."""
    mean = coefficients.mean(0)
    return np.array([mean[band].sum() for band in bands()]) / SIDE**2


def _solve(found: _Bands, strength: float, correlation: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the unknowns: relative error of the variance, error of the correlation, and the loss in each band."""
    chain = _chain()
    lost, own = LOST * found.left, np.zeros_like(found.lost)
    design = np.column_stack([found.removed, found.removed_by_tilt, np.eye(len(lost))])
    for _ in range(ROUNDS):
        below = np.concatenate([[0.0], np.maximum(lost[:-1], 0.0)]) * chain
        spread = np.square(LOST_SPREAD * found.left) + np.square(CHAIN_SPREAD * below) + own
        expected, covariance = _expected(found.left, spread, chain)
        prior = np.zeros((len(lost) + 2, len(lost) + 2))
        prior[0, 0], prior[1, 1], prior[2:, 2:] = strength**2, correlation**2, covariance
        start = np.concatenate([[0.0, 0.0], expected])
        gain = prior @ design.T @ np.linalg.pinv(design @ prior @ design.T + np.diag(found.error**2), hermitian=True)
        mean = start + gain @ (found.lost - design @ start)
        lost = mean[2:]
        noise_like = mean[0] * found.removed + mean[1] * found.removed_by_tilt
        below = np.concatenate([[0.0], np.maximum(lost[:-1], 0.0)]) * chain
        off = found.lost - noise_like - LOST * found.left - below
        own = np.maximum(off**2 - (STANDS_OUT * found.error) ** 2, 0.0)
    return mean, prior - gain @ design @ prior


def _chain() -> np.ndarray:
    """What a band is expected to lose, of what the band below lost: by the numbers of their coefficients and their frequencies."""
    counts = np.array([band.sum() for band in bands()])
    middles = np.array([frequencies()[band].mean() for band in bands()])
    return np.concatenate([[0.0], counts[1:] / counts[:-1] * (middles[:-1] / middles[1:]) ** FALL])


def _expected(left: np.ndarray, spread: np.ndarray, chain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the loss, when each band adds its own to what the band below hands on."""
    handed = np.eye(len(left))
    for band in range(1, len(left)):
        handed[band] += chain[band] * handed[band - 1]
    return handed @ (LOST * left), handed @ np.diag(spread) @ handed.T
