"""How far the noise of a pixel is shared with its neighbours, from small blocks in which little but noise is left.

Texture shares everything with its neighbours, and feigns shared noise where it is about as weak as noise.  Two things tell it apart.
White noise under a texture is alike at all small distances but zero, while noise that is shared soon falls off.  And cameras, scanners and
blurs act along Y and along X, so that the correlation with a diagonal neighbour is the product of two, while texture has no such axes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from napari_ne_denoise.core.noise.model import LAGS, Lags

ORDER = 3  # of the polynomial that is taken away from each block: what is left of structure after that is little
WEAKEST, STRONGEST = -0.5, 0.8  # of resampled camera images it is 0.65; what seems more is structure
# correlation(h) = r ** (h ** p): p = 1 is a detector slower than its scan, 2 a blur, 3 is gone after one pixel, as by resampling
SLOWEST_FALL, FASTEST_FALL = 1.0, 3.0
STIFF = 0.1  # what it costs to be off that form two and three pixels farther, where to be off what was measured costs 1
ROUGHNESS = 1.5  # the squared difference of two pixels of a texture grows with this power of their distance
MOST_TEXTURE = 0.95  # of the power
# texture is not quite what it is taken for: a correlation is off by about so much, times the power of texture over that of noise
DOUBT = 0.15
USUAL = 0.2  # correlations are about that large; what is known worse is shrunk towards none
# what is fitted: correlation along Y and X, how it falls off, the share of texture, and how far off that form two lags are, along each
START = [0.1, 0.1, 2.0, 2.0, 0.05, *[0.0] * 4]
LOW = [WEAKEST, WEAKEST, SLOWEST_FALL, SLOWEST_FALL, 0.0, *[-1.0] * 4]
HIGH = [STRONGEST, STRONGEST, FASTEST_FALL, FASTEST_FALL, MOST_TEXTURE, *[1.0] * 4]


@dataclass(frozen=True)
class Sharing:
    """What neighbouring pixels of blocks share.

    Attributes
    ----------
    correlation
        Of noise with itself one to three pixels farther, along Y and along X; shrunk towards none where texture hides it.
    texture
        Variance that texture adds to that of noise, relative to the latter, both as the Laplacian sees them, as far as it is believed.
    """

    correlation: tuple[Lags, Lags] = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    texture: float = 0.0


def sharing_of(blocks: np.ndarray) -> Sharing:
    """Tell shared noise from texture.

    Parameters
    ----------
    blocks
        (N, S, S), of noise of about one variance, something smooth, and little else.  Without any noise, nothing is shared.
    """
    from scipy.optimize import least_squares  # takes a third of a second, which most runs do not need

    side = blocks.shape[-1]
    rest = without_polynomial(blocks)
    covariance = rest.T.astype(np.float64) @ rest
    if not np.trace(covariance):
        return Sharing()
    measured = _lag_sums(covariance / np.trace(covariance))
    weights = 1 / np.sqrt(_pairs(side) / side**2)
    of_texture = _expected(_texture(side))

    def misfit(found: np.ndarray) -> np.ndarray:
        share = found[4]
        of_noise = _expected(np.outer(*_along(found, side)))
        expected = (1 - share) * of_noise / of_noise[0] + share * of_texture / of_texture[0]
        return np.concatenate([weights * (expected - measured), STIFF * found[5:]])

    # where little is shared, how it falls is not known, and does not matter
    return _sharing(least_squares(misfit, START, bounds=(LOW, HIGH)).x, side)


def without_polynomial(blocks: np.ndarray) -> np.ndarray:
    """Blocks (N, S, S) without their smooth part, each in one row of S² values."""
    rows = blocks.reshape(len(blocks), -1)
    basis = _polynomials(blocks.shape[-1]).astype(rows.dtype)
    return np.asarray(rows - (rows @ basis) @ basis.T)


def laplacian_gain(correlation: tuple[Lags, Lags]) -> float:
    """What is left of the variance of correlated noise in a Laplacian that keeps that of white noise."""
    along_y, along_x = correlation
    return _of_laplacian(np.outer((1.0, *along_y), (1.0, *along_x)))


def _sharing(found: np.ndarray, side: int) -> Sharing:
    along_y, along_x = _along(found, side)
    share = float(found[4])
    believed = 1 / (1 + (DOUBT / USUAL * share / (1 - share)) ** 2)
    same_power = float(_expected(np.outer(along_y, along_x))[0] / _expected(_texture(side))[0])
    # the more texture there is, the less is it alike at all brightnesses, and the less of it may be taken away everywhere
    texture = share * same_power * _of_laplacian(_texture(side))
    return Sharing((_lags(believed * along_y), _lags(believed * along_x)), texture)


def _of_laplacian(covariance: np.ndarray) -> float:
    """The variance that a Laplacian has of what covaries like this with pixels some rows and columns farther."""
    beside, beyond = covariance[1, 0] + covariance[0, 1], covariance[2, 0] + covariance[0, 2]
    return float(20 * covariance[0, 0] - 16 * beside + 2 * beyond + 8 * covariance[1, 1]) / 20


def _along(found: np.ndarray, side: int) -> list[np.ndarray]:
    """(S,) correlations along Y and along X."""
    lags = np.arange(1, side)
    lines = []
    for share, fall, more in zip(found[:2], found[2:4], found[5:].reshape(2, -1), strict=True):
        line = np.concatenate([[1.0], share * np.abs(share) ** (lags**fall - 1)])
        line[2 : LAGS + 1] += more
        lines.append(line)
    return lines


def _lags(line: np.ndarray) -> Lags:
    one, two, three = map(float, line[1 : LAGS + 1])
    return one, two, three


def _texture(side: int) -> np.ndarray:
    """(S, S): how texture covaries, but for a constant, which is smooth, and taken away."""
    rows, columns = np.mgrid[:side, :side]
    return np.asarray(-(np.hypot(rows, columns) ** ROUGHNESS))


@lru_cache(maxsize=4)
def _polynomials(side: int) -> np.ndarray:
    """An orthonormal basis (S², terms) of the polynomials on a block."""
    at = np.linspace(-1, 1, side)
    rows, columns = np.meshgrid(at, at, indexing="ij")
    terms = [(rows**i * columns**j).ravel() for i in range(ORDER + 1) for j in range(ORDER + 1 - i)]
    return np.asarray(np.linalg.qr(np.stack(terms, axis=1))[0])


def _expected(covariance: np.ndarray) -> np.ndarray:
    """The lag sums of what covaries like this (S, S) with pixels some rows and columns farther, after a polynomial was taken away."""
    return np.asarray(np.einsum("kab,ab->k", _of_separate_lags(len(covariance)), covariance))


@lru_cache(maxsize=4)
def _of_separate_lags(side: int) -> np.ndarray:
    """(16, S, S): lag sums of noise that is correlated with itself a rows and b columns farther, and nowhere else.

    Those of any other noise are sums of these, with its correlations as weights.
    """
    projection = np.eye(side**2) - _polynomials(side) @ _polynomials(side).T
    apart = np.abs(np.subtract.outer(np.arange(side), np.arange(side)))
    found = np.empty(((LAGS + 1) ** 2, side, side))
    for a in range(side):
        for b in range(side):
            found[:, a, b] = _lag_sums(projection @ np.kron(apart == a, apart == b) @ projection)
    return found


def _lag_sums(covariance: np.ndarray) -> np.ndarray:
    """Of a covariance (S², S²) of blocks: its sums over all pairs of pixels zero to three rows and columns apart."""
    side = math.isqrt(len(covariance))
    pairs = covariance.reshape(side, side, side, side)
    sums = [
        np.einsum("ijij", pairs[: side - a, : side - b, a:, b:]) + np.einsum("ijij", pairs[: side - a, b:, a:, : side - b])
        for a in range(LAGS + 1)
        for b in range(LAGS + 1)
    ]
    return np.array(sums) / 2


def _pairs(side: int) -> np.ndarray:
    """How many pairs of pixels there are in each of the lag sums."""
    lengths = side - np.arange(LAGS + 1)
    return np.outer(lengths, lengths).ravel()
