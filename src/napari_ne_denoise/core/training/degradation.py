"""Noise as microscopes make it, drawn at random for training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_ne_denoise.core.training.correlation import correlate


@dataclass(frozen=True)
class Degradation:
    """What noise is drawn; levels are fractions of the clean image's range (0 to 1), or photons.

    Attributes
    ----------
    sigma : (low, high)
        Standard deviation of Gaussian noise, drawn log-uniformly.
    photons : (low, high)
        Expected photons at the brightest pixel for Poisson noise, drawn log-uniformly.
    poisson_share : float
        Share of samples with Poisson-Gaussian noise; the others get Gaussian noise.
    background_photons : (low, high)
        Constant background, as a share of the photons at the brightest pixel, drawn log-uniformly, or
        uniformly from 0.  A low one makes noise that is far
        weaker in the dark than in the light, as point-scanning microscopes have it.
    read_noise : float
        Largest read noise, in photons (standard deviation); half of the Poisson samples have some.
    grain_factor : float
        Noise is at least this many times the grain that the clean image itself still has.
    correlated_share : float
        Share of samples whose noise is spatially correlated (`correlation`).
    clipped_share : float
        Share of samples that are cut off at the clean image's darkest value or up to two standard deviations of the noise below it, as by
        a detector without offset.
    rounded_share : float
        Share of samples that are rounded to steps of up to the noise's standard deviation, as 8-bit files of weak noise are.
    """

    sigma: tuple[float, float] = (0.01, 0.5)
    photons: tuple[float, float] = (2.0, 1000.0)
    poisson_share: float = 0.5
    background_photons: tuple[float, float] = (1e-4, 0.2)
    read_noise: float = 2.0
    grain_factor: float = 3.0
    correlated_share: float = 0.0
    clipped_share: float = 0.0
    rounded_share: float = 0.0

    def draw(self, clean: np.ndarray, grain: float, rng: np.random.Generator) -> np.ndarray:
        """Add noise to one image.

        Parameters
        ----------
        clean
            (Y, X) float32, 0 to 1.
        grain
            Standard deviation of the noise that `clean` still has.
        rng
            Source of randomness.

        Returns
        -------
        ndarray
            (Y, X) float32, not clipped.
        """
        if rng.random() < self.poisson_share:
            noisy = self._poisson_gaussian(clean, rng)
        else:
            noisy = clean + log_uniform(self.sigma, rng) * rng.standard_normal(clean.shape)
        shortfall = (self.grain_factor * grain) ** 2 - float(np.mean((noisy - clean) ** 2))
        if shortfall > 0:
            noisy = noisy + np.sqrt(shortfall) * rng.standard_normal(clean.shape)
        return self._record(clean, noisy, rng).astype(np.float32)

    def _record(self, clean: np.ndarray, noisy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """What a detector and a file make of noisy values: correlated, cut off, rounded.

        Nothing is drawn for a share of zero, so that recipes without it go on as they were.
        """
        if self.correlated_share and rng.random() < self.correlated_share:
            noisy = clean + correlate(noisy - clean, rng)
        spread = float(np.std(noisy - clean))
        if self.clipped_share and rng.random() < self.clipped_share:
            noisy = np.maximum(noisy, float(clean.min()) - rng.uniform(0, 2) * spread)
        if self.rounded_share and rng.random() < self.rounded_share and spread > 0:
            step = log_uniform((0.02, 1.0), rng) * spread
            noisy = np.round(noisy / step) * step
        return noisy

    def _poisson_gaussian(self, clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        photons = log_uniform(self.photons, rng)
        draw = log_uniform if self.background_photons[0] else uniform
        background = draw(self.background_photons, rng) * photons
        counts = rng.poisson(np.clip(clean, 0, None) * photons + background).astype(np.float64)
        if rng.random() < 0.5:
            counts += rng.uniform(0, self.read_noise) * rng.standard_normal(clean.shape)
        return np.asarray((counts - background) / photons)


def log_uniform(limits: tuple[float, float], rng: np.random.Generator) -> float:
    """A number between two positive limits, uniform in its logarithm."""
    return float(np.exp(rng.uniform(*np.log(limits))))


def uniform(limits: tuple[float, float], rng: np.random.Generator) -> float:
    """A number between two limits."""
    return float(rng.uniform(*limits))
