"""Clean images made by our own code: what photographs are made of, what cells are made of, seen through a microscope.

They have no grain at all, cost no licence, and make rare structures common.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage, signal
from scipy.spatial import cKDTree
from skimage.draw import disk, line, polygon

SIDE = 320

Maker = Callable[[np.random.Generator], np.ndarray]


def synthetic_image(rng: np.random.Generator) -> np.ndarray:
    """One random clean image, (320, 320) float32 between 0 and 1."""
    image = _made(rng)
    if rng.random() < 0.25:
        image = _together(image, _made(rng), rng)
    if rng.random() < 0.4:
        # light spans more decades than reflected light: most of a fluorescent field is dim
        image = image ** rng.uniform(1.0, 3.0)
    if rng.random() < 0.1:
        image = np.minimum(image, np.quantile(image, rng.uniform(0.95, 0.999)))  # a saturated detector
    return _stretched(image).astype(np.float32)


def _made(rng: np.random.Generator) -> np.ndarray:
    makers, shares = zip(*KINDS, strict=True)
    return _stretched(seen_through_a_microscope(makers[int(rng.choice(len(makers), p=shares))](rng), rng))


def _together(first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Two structures in one field: light adds up, or one lies before the other."""
    if rng.random() < 0.5:
        return first + rng.uniform(0.1, 1) * second
    return np.where(_haze(rng) > 0.5, first, rng.uniform(0.3, 1) * second)


def _stretched(image: np.ndarray) -> np.ndarray:
    return np.asarray((image - image.min()) / max(float(np.ptp(image)), 1e-9))


def seen_through_a_microscope(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blurred by a plausible point spread function: a Gaussian, or a pupil with defocus; sometimes with a veil of stray light."""
    if rng.random() < 0.6:
        blurred = ndimage.gaussian_filter(image, np.exp(rng.uniform(np.log(0.35), np.log(2.0))))
    else:
        spread = pupil_spread(cutoff=rng.uniform(0.12, 0.5), defocus=rng.exponential(2.0))
        wide = np.pad(image, len(spread) // 2, mode="reflect")
        blurred = signal.fftconvolve(wide, spread, mode="valid")
    if rng.random() < 0.3:
        blurred = blurred + rng.uniform(0.1, 1) * ndimage.gaussian_filter(image, rng.uniform(4, 15))
    return np.asarray(blurred)


def pupil_spread(cutoff: float, defocus: float, side: int = 33) -> np.ndarray:
    """The incoherent point spread function of a round pupil, (side, side), with unit sum.

    Parameters
    ----------
    cutoff
        Highest frequency that is transmitted, in cycles per pixel, up to 0.5.
    defocus
        Phase at the pupil's rim, in radians.
    side
        Of the result, in pixels; odd.
    """
    frequencies = np.fft.fftfreq(4 * side)
    radius = np.hypot(*np.meshgrid(frequencies, frequencies)) / (cutoff / 2)  # of the amplitude: half of that of intensity
    pupil = (radius <= 1) * np.exp(1j * defocus * radius**2)
    intensity = np.fft.fftshift(np.abs(np.fft.ifft2(pupil)) ** 2)
    middle, half = 2 * side, side // 2
    spread = intensity[middle - half : middle + half + 1, middle - half : middle + half + 1]
    return np.asarray(spread / spread.sum())


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


def textures(rng: np.random.Generator) -> np.ndarray:
    """What fills surfaces: clouds, fur, labyrinths and stripes; two of them side by side."""
    first, second = (_texture(rng) for _ in range(2))
    return np.where(_haze(rng) > rng.uniform(0.3, 0.7), first, rng.uniform(0.3, 1) * second)


def _texture(rng: np.random.Generator) -> np.ndarray:
    kind = rng.integers(3)
    if kind == 0:  # a power law, as clouds, tissue and chromatin have it
        return _stretched(_power_law(rng, rng.uniform(1.2, 2.6)))
    if kind == 1:  # fur, fibres in a bundle, and labyrinths where it is cut off
        along, across = rng.uniform(2, 12), rng.uniform(0.6, 2)
        smooth = ndimage.gaussian_filter(rng.standard_normal((2 * SIDE, 2 * SIDE)), (across, along))
        turned = ndimage.rotate(smooth, rng.uniform(0, 180), reshape=False, order=1)
        field = turned[SIDE // 2 : -SIDE // 2, SIDE // 2 : -SIDE // 2]
        return _stretched(np.tanh(field / field.std() * np.exp(rng.uniform(-1, 2))))
    rows, columns = _warped_grid(rng)  # stripes: muscle, gratings, finger prints
    angle, period = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(3), np.log(20)))
    wave = np.sin((rows * np.sin(angle) + columns * np.cos(angle)) * 2 * np.pi / period)
    return _stretched(np.tanh(wave * rng.uniform(0.3, 4)))


def _power_law(rng: np.random.Generator, exponent: float) -> np.ndarray:
    frequencies = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None])
    frequencies[0, 0] = 1 / SIDE
    return np.asarray(np.fft.irfft2(np.fft.rfft2(rng.standard_normal((SIDE, SIDE))) * frequencies**-exponent, s=(SIDE, SIDE)))


def _warped_grid(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(float)
    strength = rng.uniform(0, 60)
    return rows + strength * _haze(rng), columns + strength * _haze(rng)


def filaments(rng: np.random.Generator) -> np.ndarray:
    """Persistent random walks, thin and crossing, over a smooth background: actin and microtubules."""
    image = np.zeros((SIDE, SIDE))
    persistence = rng.uniform(0.01, 0.15)
    bundle = rng.uniform(0, 2 * np.pi) if rng.random() < 0.4 else None  # stress fibres run one way
    for _ in range(int(rng.integers(15, 120))):
        steps = int(rng.integers(20, 120))
        start = rng.uniform(0, 2 * np.pi) if bundle is None else bundle + rng.normal(0, 0.15)
        angles = start + np.cumsum(rng.normal(0, persistence, steps))
        path = np.cumsum(np.stack((np.sin(angles), np.cos(angles)), 1) * 4, 0) + rng.uniform(-SIDE / 4, SIDE * 5 / 4, 2)
        brightness = rng.uniform(0.2, 1)
        for begin, end in zip(path[:-1].astype(int), path[1:].astype(int), strict=True):
            r, c = line(*begin, *end)
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


def membranes(rng: np.random.Generator) -> np.ndarray:
    """A sheet of cells: curved borders, bright or dark, around bodies of various grey, some with vesicles."""
    rows, columns = _warped_grid(rng)
    seeds = rng.uniform(-20, SIDE + 80, (int(rng.integers(12, 250)), 2))
    distances, nearest = cKDTree(seeds).query(np.stack((rows, columns), -1), k=2)
    thickness = rng.uniform(0.8, 4)
    border = np.exp(-(((distances[..., 1] - distances[..., 0]) / thickness) ** 2))
    bodies = rng.uniform(0, rng.uniform(0, 1), len(seeds))[nearest[..., 0]]
    image = bodies + border * rng.uniform(0.3, 1) * rng.choice([-1, 1], p=[0.3, 0.7])
    if rng.random() < 0.5:
        image = image + rng.uniform(0.05, 0.3) * _texture(rng)
    if rng.random() < 0.3:
        image = image + rng.uniform(0.2, 1) * puncta(rng)
    return np.asarray(image)


def _haze(rng: np.random.Generator, scale: float | None = None) -> np.ndarray:
    return _stretched(ndimage.gaussian_filter(rng.standard_normal((SIDE, SIDE)), scale or rng.uniform(8, 60)))


KINDS: tuple[tuple[Maker, float], ...] = (
    (dead_leaves, 0.35),
    (textures, 0.15),
    (filaments, 0.16),
    (puncta, 0.10),
    (cells, 0.12),
    (membranes, 0.12),
)
