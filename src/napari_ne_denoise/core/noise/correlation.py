"""How far the noise of a pixel is shared with its neighbours, from small blocks in which nothing but noise is left."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from napari_ne_denoise.core.noise.model import LAGS, Lags

ORDER = 3  # of the polynomial that is taken away from each block: what is left of structure after that is little
STRONGEST = 0.8  # of resampled camera images it is 0.65; what seems more is structure
# correlation(h) = r ** (h ** p): p = 1 is a detector slower than its scan, 2 a blur, 3 is gone after one pixel, as by resampling
SLOWEST_FALL, FASTEST_FALL = 1.0, 3.0


def correlation_of(blocks: np.ndarray) -> tuple[Lags, Lags]:
    """Correlation of noise with itself one to three pixels farther, along Y and along X.

    Parameters
    ----------
    blocks
        (N, S, S), of nothing but noise of about one variance, and something smooth.

    Returns
    -------
    along_y, along_x
        All 0 if no block has any noise.
    """
    from scipy.optimize import least_squares  # takes a third of a second, which most runs do not need

    side = blocks.shape[-1]
    rest = without_polynomial(blocks)
    covariance = rest.T.astype(np.float64) @ rest
    if not np.trace(covariance):
        return (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)
    measured = _lag_sums(covariance / np.trace(covariance), side)

    def misfit(found: np.ndarray) -> np.ndarray:
        y, x, fall_y, fall_x = found
        return np.asarray(_expected(y, x, fall_y, fall_x, side) - measured)

    # where little is shared, how it falls is not known, and does not matter
    fitted = least_squares(
        misfit, [0.1, 0.1, 2.0, 2.0], bounds=([0, 0, SLOWEST_FALL, SLOWEST_FALL], [STRONGEST, STRONGEST, FASTEST_FALL, FASTEST_FALL])
    ).x
    return _lags(fitted[0], fitted[2]), _lags(fitted[1], fitted[3])


def without_polynomial(blocks: np.ndarray) -> np.ndarray:
    """Blocks (N, S, S) without their smooth part, each in one row of S² values."""
    rows = blocks.reshape(len(blocks), -1)
    basis = _polynomials(blocks.shape[-1]).astype(rows.dtype)
    return np.asarray(rows - (rows @ basis) @ basis.T)


def laplacian_gain(correlation: tuple[Lags, Lags]) -> float:
    """What is left of the variance of correlated noise in a Laplacian that keeps that of white noise."""
    (y1, y2, _), (x1, x2, _) = correlation
    return (20 - 16 * (y1 + x1) + 2 * (y2 + x2) + 8 * y1 * x1) / 20


def _lags(share: float, fall: float) -> Lags:
    one, two, three = (float(share ** (lag**fall)) for lag in range(1, LAGS + 1))
    return one, two, three


@lru_cache(maxsize=4)
def _polynomials(side: int) -> np.ndarray:
    """An orthonormal basis (S², terms) of the polynomials on a block."""
    at = np.linspace(-1, 1, side)
    rows, columns = np.meshgrid(at, at, indexing="ij")
    terms = [(rows**i * columns**j).ravel() for i in range(ORDER + 1) for j in range(ORDER + 1 - i)]
    return np.asarray(np.linalg.qr(np.stack(terms, axis=1))[0])


def _expected(y: float, x: float, fall_y: float, fall_x: float, side: int) -> np.ndarray:
    """The lag sums of noise with this correlation, after a polynomial was taken away; its power is 1."""
    lags = np.arange(side, dtype=np.float64)
    sums = np.einsum("kab,a,b->k", _of_separate_lags(side), y ** (lags**fall_y), x ** (lags**fall_x))
    return np.asarray(sums[1:] / sums[0])


@lru_cache(maxsize=4)
def _of_separate_lags(side: int) -> np.ndarray:
    """(7, S, S): power and lag sums of noise that is correlated with itself a rows and b columns farther, and nowhere else.

    Those of any other noise are sums of these, with its correlations as weights.
    """
    projection = np.eye(side**2) - _polynomials(side) @ _polynomials(side).T
    apart = np.abs(np.subtract.outer(np.arange(side), np.arange(side)))
    found = np.empty((1 + 2 * LAGS, side, side))
    for a in range(side):
        for b in range(side):
            rest = projection @ np.kron(apart == a, apart == b) @ projection
            found[:, a, b] = (np.trace(rest), *_lag_sums(rest, side))
    return found


def _lag_sums(covariance: np.ndarray, side: int) -> np.ndarray:
    """Of a covariance (S², S²) of blocks: its sums over all pairs of pixels one, two and three apart, along Y, then along X."""
    pairs = covariance.reshape(side, side, side, side)
    along_y = [np.einsum("ijij", pairs[:-lag, :, lag:, :]) for lag in range(1, LAGS + 1)]
    along_x = [np.einsum("ijij", pairs[:, :-lag, :, lag:]) for lag in range(1, LAGS + 1)]
    return np.array([*along_y, *along_x])
