"""A volume over time, made by our own code: vesicles that move along filaments, with the truth and as a camera sees it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

SHAPE = (6, 9, 128, 160)  # T, Z, Y, X
BLUR = (1.2, 1.4, 1.4)  # pixels along Z, Y and X: standard deviation of the point spread function
PHOTONS, BACKGROUND = 25.0, 2.0  # of a bright filament, and everywhere
OFFSET, GAIN, READ_NOISE = 100.0, 2.2, 3.0  # of a scientific camera: grey levels, grey levels a photon, grey levels
FILAMENTS, VESICLES, POINTS = 40, 60, 400
_SPEED = 9.0  # points of a filament a frame, at most


def moving_vesicles(rng: np.random.Generator, shape: tuple[int, int, int, int] = SHAPE) -> tuple[np.ndarray, np.ndarray]:
    """The truth in grey levels (T, Z, Y, X) float32, and what a camera makes of it, uint16.

    The noise is that of photons and of the camera: variance GAIN · (truth − OFFSET) + READ_NOISE², in squared grey levels.
    """
    filaments = [_filament(rng, shape[1:]) for _ in range(FILAMENTS)]
    still = np.zeros(shape[1:])
    for path in filaments:
        _add(still, path, np.full(len(path), rng.uniform(0.3, 1.0)))
    riders = [(filaments[int(rng.integers(FILAMENTS))], rng.uniform(0, POINTS), rng.normal(0, _SPEED / 2)) for _ in range(VESICLES)]
    brightness = rng.gamma(3.0, 5.0, VESICLES)
    frames = []
    for time in range(shape[0]):
        volume = still.copy()
        places = np.array([path[int(start + speed * time) % POINTS] for path, start, speed in riders])
        _add(volume, places, brightness)
        frames.append(ndimage.gaussian_filter(volume, BLUR))
    light = np.stack(frames)
    photons = BACKGROUND + PHOTONS * light / np.quantile(light, 0.99)
    truth = OFFSET + GAIN * photons
    seen = OFFSET + GAIN * rng.poisson(photons) + rng.normal(0, READ_NOISE, shape)
    return truth.astype(np.float32), np.clip(np.rint(seen), 0, np.iinfo(np.uint16).max).astype(np.uint16)


def _filament(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """A smooth curve through the volume, (points, 3)."""
    angles = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.02, POINTS))
    slope = ndimage.gaussian_filter1d(rng.normal(0, 0.6, POINTS), 15, mode="nearest")
    steps = np.stack([slope, np.sin(angles), np.cos(angles)], axis=1) * 0.5
    return np.asarray(rng.uniform(0, shape) + np.cumsum(steps, axis=0))


def _add(volume: np.ndarray, places: np.ndarray, brightness: np.ndarray) -> None:
    """Add points of light, shared among the voxels around each; those outside are not seen."""
    base = np.floor(places).astype(int)
    part = places - base
    for corner in np.ndindex(2, 2, 2):
        at = base + corner
        share = np.prod(np.where(corner, part, 1 - part), axis=1)
        inside = ((at >= 0) & (at < volume.shape)).all(axis=1)
        np.add.at(volume, tuple(at[inside].T), (brightness * share)[inside])
