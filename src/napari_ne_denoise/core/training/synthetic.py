"""Clean images made by our own code: occluding discs with natural statistics, filaments, puncta and blobs.

They have no grain at all, cost no licence, and make rare structures common.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.draw import disk, line, polygon

SIDE = 320


def synthetic_image(rng: np.random.Generator) -> np.ndarray:
    """One random clean image, (320, 320) float32 between 0 and 1."""
    kind = rng.choice(["dead leaves", "filaments", "puncta", "cells"], p=[0.5, 0.2, 0.15, 0.15])
    maker = {"dead leaves": dead_leaves, "filaments": filaments, "puncta": puncta, "cells": cells}[str(kind)]
    image = ndimage.gaussian_filter(maker(rng), rng.uniform(0.4, 1.4))
    image -= image.min()
    return np.asarray(image / max(float(image.max()), 1e-9), np.float32)


def dead_leaves(rng: np.random.Generator) -> np.ndarray:
    """Occluding discs and bars with radii of density r⁻³, each with its own grey level, gradient and sometimes texture."""
    image = np.full((SIDE, SIDE), rng.random())
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    for _ in range(int(rng.integers(150, 600))):
        radius = 2.5 / np.sqrt(rng.uniform((2.5 / 90) ** 2, 1))
        centre = rng.uniform(-20, SIDE + 20, 2)
        inside = _bar(centre, radius, rng) if rng.random() < 0.3 else disk(centre, radius, shape=image.shape)
        slope = rng.normal(0, 0.5, 2) * (rng.random() < 0.5)
        grey = rng.random() + slope[0] * rows[inside] + slope[1] * columns[inside]
        if rng.random() < 0.25:
            frequency = rng.uniform(20, 250, 2) * rng.choice([-1, 1], 2)
            grey = grey + rng.uniform(0.05, 0.3) * np.sin(frequency[0] * rows[inside] + frequency[1] * columns[inside])
        image[inside] = grey
    return image


def _bar(centre: np.ndarray, radius: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    angle, half = rng.uniform(0, np.pi), np.array([radius * rng.uniform(1, 5), radius * rng.uniform(0.3, 1)])
    corners = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) * half
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    outline = corners @ turn.T + centre
    inside: tuple[np.ndarray, np.ndarray] = polygon(outline[:, 0], outline[:, 1], (SIDE, SIDE))
    return inside


def filaments(rng: np.random.Generator) -> np.ndarray:
    """Persistent random walks, thin and crossing, over a smooth background: actin and microtubules."""
    image = np.zeros((SIDE, SIDE))
    persistence = rng.uniform(0.01, 0.15)
    for _ in range(int(rng.integers(15, 90))):
        steps = int(rng.integers(20, 120))
        angles = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, persistence, steps))
        path = np.cumsum(np.stack((np.sin(angles), np.cos(angles)), 1) * 4, 0) + rng.uniform(0, SIDE, 2)
        brightness = rng.uniform(0.3, 1)
        for start, stop in zip(path[:-1].astype(int), path[1:].astype(int), strict=True):
            r, c = line(*start, *stop)
            seen = (r >= 0) & (r < SIDE) & (c >= 0) & (c < SIDE)
            image[r[seen], c[seen]] += brightness
    if rng.random() < 0.5:
        image = ndimage.gaussian_filter(image, rng.uniform(0.5, 1.2))
    return image + rng.uniform(0, 0.3) * _haze(rng)


def puncta(rng: np.random.Generator) -> np.ndarray:
    """Vesicles: spots of random size and brightness over a smooth background."""
    image = np.zeros((SIDE, SIDE))
    count = int(rng.integers(40, 900))
    places = rng.integers(0, SIDE, (count, 2))
    image[places[:, 0], places[:, 1]] = rng.gamma(1.5, 1.0, count)
    sharp = ndimage.gaussian_filter(image, rng.uniform(0.6, 1.5))
    broad = ndimage.gaussian_filter(np.roll(image, SIDE // 2), rng.uniform(1.5, 4))
    return np.asarray(sharp / sharp.max() + rng.uniform(0, 1) * broad / broad.max() + rng.uniform(0, 0.5) * _haze(rng))


def cells(rng: np.random.Generator) -> np.ndarray:
    """Nuclei and bodies: textured ellipses, some with a bright membrane."""
    image = rng.uniform(0, 0.2) * _haze(rng)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for _ in range(int(rng.integers(4, 40))):
        (y, x), angle = rng.uniform(0, SIDE, 2), rng.uniform(0, np.pi)
        long = rng.uniform(8, 40)
        short = long * rng.uniform(0.5, 1)
        along = ((rows - y) * np.cos(angle) + (columns - x) * np.sin(angle)) / long
        across = ((columns - x) * np.cos(angle) - (rows - y) * np.sin(angle)) / short
        distance = along**2 + across**2
        texture = 1 + rng.uniform(0, 0.6) * _haze(rng, rng.uniform(1.5, 5))
        image = np.where(distance < 1, rng.uniform(0.2, 1) * texture, image)
        if rng.random() < 0.4:
            image = image + rng.uniform(0.2, 1) * np.exp(-(((np.sqrt(distance) - 1) * short / 1.2) ** 2))
    return image


def _haze(rng: np.random.Generator, scale: float | None = None) -> np.ndarray:
    smooth = ndimage.gaussian_filter(rng.standard_normal((SIDE, SIDE)), scale or rng.uniform(8, 60))
    return np.asarray((smooth - smooth.min()) / np.ptp(smooth))
