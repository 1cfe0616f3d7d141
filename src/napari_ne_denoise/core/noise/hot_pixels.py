"""Which pixels stand out from all their neighbours, as hot and dead ones of a detector do, and nothing seen through a lens does.

A pixel is one of them if it is more than six standard deviations of the noise away from the median of its eight neighbours; if each of
those is much nearer to their median than to the pixel; and if they are, on the whole, what the sixteen pixels around them are.  The last
tells it from a point source: even one of 0.8 pixels' standard deviation lights up its neighbours by a third of its own height.

Everything is compared in units in which noise is the same at every brightness: at one photon a pixel, bright ones are natural.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_ne_denoise.core.noise.anscombe import VarianceStabilizer
from napari_ne_denoise.core.noise.model import NoiseModel

LONELY = 6.0  # standard deviations of the noise, from the median of the eight neighbours
NEAR = 0.4  # of that distance: as far as any neighbour may be from their median
SPREAD = 0.1  # of its height above what surrounds the neighbours: as much as they may have of it on average
MARGIN = 2  # pixels around one that it is judged by
# photons are lopsided: p of them stand out of m by 2 √p - 2 √m > 6, which is p - m > 6 √m + 9
LOPSIDED = (LONELY / 2) ** 2
ROUNDING = 1 / np.sqrt(12)  # standard deviation of rounding to steps of one

_SQUARE = [(y, x) for y in range(-MARGIN, MARGIN + 1) for x in range(-MARGIN, MARGIN + 1)]
_NEIGHBOURS = [at for at in _SQUARE if max(map(abs, at)) == 1]
_RING = [at for at in _SQUARE if max(map(abs, at)) == MARGIN]


class LonelyPixels:
    """Finds them, given the noise.

    The choice is equivariant: the same pixels are found in ``λ·image + μ`` with ``noise.mapped(λ, μ)``.

    Parameters
    ----------
    noise
        Of the image.  Where there is none, nothing stands out from it, and nothing is found.

    Attributes
    ----------
    knows_noise
        Whether there is any.
    """

    def __init__(self, noise: NoiseModel) -> None:
        self.knows_noise = noise.kind != "none"
        # the noise of an image of few levels may seem to be less than what rounding alone makes
        noise = replace(noise, read_noise=float(np.hypot(noise.read_noise, ROUNDING * noise.step)))
        self._noise, self._even = noise, VarianceStabilizer(noise).forward
        self._bright = LONELY + LOPSIDED * noise.lopsidedness
        # the transform is nowhere steeper than in the dark
        self._least = float((1 - NEAR) * LONELY * np.hypot(noise.read_noise, np.sqrt(3 / 8) * noise.gain))

    def find(self, pixels: np.ndarray) -> np.ndarray:
        """Places (N, 2) of hot and dead pixels in an image (Y, X) of floats, but for its two outermost rows and columns.

        Pixels near NaN are not found.
        """
        nothing = np.zeros((0, 2), np.intp)
        if not self.knows_noise or min(pixels.shape) <= 2 * MARGIN:
            return nothing
        middle, inside = pixels[MARGIN:-MARGIN, MARGIN:-MARGIN], slice(MARGIN - 1, 1 - MARGIN)
        brightest, darkest = (_extreme(pixels, which)[inside, inside] for which in (np.maximum, np.minimum))
        places = np.argwhere((middle - brightest > self._least) | (darkest - middle > self._least))
        if not len(places):
            return nothing
        at = tuple(places.T)
        value, most, least = (self._even(each[at]) for each in (middle, brightest, darkest))
        places = places[np.maximum(value - most, least - value) > (1 - NEAR) * LONELY] + MARGIN
        return places[self._stand_out(pixels, places)] if len(places) else nothing

    def _stand_out(self, pixels: np.ndarray, places: np.ndarray) -> np.ndarray:
        raw = pixels[tuple(places.T)]
        raw_near, raw_ring = (np.stack([pixels[tuple((places + at).T)] for at in around]) for around in (_NEIGHBOURS, _RING))
        value, near, ring = (self._even(each) for each in (raw, raw_near, raw_ring))
        middle, background = np.median(near, 0), np.median(ring, 0)
        sign = np.sign(value - middle)
        height = sign * (value - middle)
        # no photon is less rare than the transform makes believe: dark ones are measured by the noise of their neighbours
        raw_middle = np.median(raw_near, 0)
        far = np.where(sign > 0, height > self._bright, raw_middle - raw > LONELY * self._noise.std(raw_middle))
        alone = (sign * (near - middle)).max(0) < NEAR * height
        return np.asarray(far & alone & (sign * (near.mean(0) - background) < SPREAD * sign * (value - background)))


def _extreme(pixels: np.ndarray, which: np.ufunc) -> np.ndarray:
    """The brightest, or the darkest, of the eight neighbours; a pixel less on each side."""
    rows = which(which(pixels[:, :-2], pixels[:, 1:-1]), pixels[:, 2:])
    beside = which(pixels[1:-1, :-2], pixels[1:-1, 2:])
    return np.asarray(which(which(rows[:-2], rows[2:]), beside))
