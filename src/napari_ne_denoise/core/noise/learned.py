"""A transform of brightness that was learned from an image: behind it noise is the same everywhere, and before it a noise curve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from napari_ne_denoise.core.errors import SettingsError

# of the normal distribution that noise is summed over, in standard deviations
TAIL, NORMAL_STEP = 4.0, 0.1
MOST_LEVELS = 4096  # of a record; what is learned has fewer than a hundred
BETWEEN = 8  # points of the way back between two of the transform


@dataclass(frozen=True)
class LearnedNoise:
    """A rising function of brightness, straight between points and beyond the last ones.

    Attributes
    ----------
    levels
        Brightness of the points, rising, in image units.
    values
        Its values there, rising; noise has a standard deviation of one in their unit.
    """

    levels: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        both = (np.asarray(self.levels, np.float64), np.asarray(self.values, np.float64))
        if (
            both[0].shape != both[1].shape
            or both[0].size < 2
            or not all(np.isfinite(each).all() and (np.diff(each) > 0).all() for each in both)
        ):
            raise SettingsError("noise: levels and values of a learned transform must be as many, at least two, finite and rising.")

    def forward(self, image: Any) -> np.ndarray:
        """Image units to stabilised ones; float64."""
        return _straight(np.asarray(image, np.float64), np.asarray(self.levels), np.asarray(self.values))

    def back(self, stable: Any) -> np.ndarray:
        """The brightness whose noisy values have these means once stabilised; float64."""
        return _straight(np.asarray(stable, np.float64), *self._way_back)

    def std(self, brightness: Any) -> np.ndarray:
        """Of the noise at a noise-free brightness, in image units: one over the slope."""
        levels, values = np.asarray(self.levels), np.asarray(self.values)
        slopes = np.diff(values) / np.diff(levels)
        middles = (levels[1:] + levels[:-1]) / 2
        return np.asarray(1 / np.interp(np.asarray(brightness, np.float64), middles, slopes))

    def mapped(self, scale: float, shift: float) -> Self:
        """That of ``scale · image + shift``, for a scale above 0."""
        return replace(self, levels=tuple(scale * level + shift for level in self.levels))

    def as_record(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return {"levels": list(self.levels), "values": list(self.values)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Undo `as_record`.

        Raises
        ------
        TypeError, ValueError, KeyError
            If the record is of something else.
        """
        if len(record["levels"]) > MOST_LEVELS:
            raise ValueError(f"{len(record['levels'])} levels, and {MOST_LEVELS} are the most")
        return cls(tuple(map(float, record["levels"])), tuple(map(float, record["values"])))

    @cached_property
    def _way_back(self) -> tuple[np.ndarray, np.ndarray]:
        """Means of stabilised noisy values, rising, and the brightnesses that have them: not the inverse, which is off where it bends."""
        levels = np.asarray(self.levels)
        fine = np.interp(np.arange((len(levels) - 1) * BETWEEN + 1) / BETWEEN, np.arange(len(levels)), levels)
        normal = np.arange(-TAIL, TAIL + NORMAL_STEP / 2, NORMAL_STEP)
        share = np.exp(-np.square(normal) / 2)
        means = self.forward(fine[:, None] + self.std(fine)[:, None] * normal) @ (share / share.sum())
        rising = np.concatenate([[True], np.diff(np.maximum.accumulate(means)) > 0])
        return means[rising], fine[rising]


def _straight(at: np.ndarray, points: np.ndarray, values: np.ndarray) -> np.ndarray:
    """`numpy.interp` that goes on beyond the ends as it ended."""
    first, last = ((values[end + 1] - values[end]) / (points[end + 1] - points[end]) for end in (0, len(points) - 2))
    found = np.interp(at, points, values)
    found = np.where(at < points[0], values[0] + (at - points[0]) * first, found)
    return np.asarray(np.where(at > points[-1], values[-1] + (at - points[-1]) * last, found))
