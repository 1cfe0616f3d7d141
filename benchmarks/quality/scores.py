"""Scores of denoisers on images, kept one by one: what was measured once is not measured again, and an interrupted run goes on."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.images import Sample
from benchmarks.report import results_folder

SCORING = 1  # to be raised when a score comes to mean something else: then all are measured again


@dataclass(frozen=True)
class Method:
    """A denoiser, as it is compared.

    Attributes
    ----------
    name
        Column of the tables.
    identity
        Of all that its results depend on, but for the image: weights, versions, source.
    denoise
        From a sample to an image (Y, X); what it may look at in the sample is its own affair.
    aims
        Whether it is one of ours that targets are for.
    weights
        Hash of the weights of one of ours.
    """

    name: str
    identity: str
    denoise: Callable[[Sample], np.ndarray]
    aims: bool = False
    weights: str = ""


@dataclass(frozen=True)
class Score:
    """What a method made of one image.

    Attributes
    ----------
    psnr
        In dB.
    lag
        Correlation of what was taken away with itself one pixel farther, the mean of both directions; 0 where nothing was.
    std
        Standard deviation of the result.
    """

    psnr: float
    lag: float
    std: float


@dataclass(frozen=True)
class Comparison:
    """What every method reached on the images of a set.

    Attributes
    ----------
    name
        Of the set.
    groups
        Of each image.
    found
        By method, for each image.
    """

    name: str
    groups: list[str]
    found: dict[str, list[Score]]

    def mean(self, method: str, group: str | None = None) -> float:
        """Mean PSNR in dB, of all images or of a group."""
        return float(np.mean([psnr for psnr, where in zip(self.psnrs(method), self.groups, strict=True) if group in (None, where)]))

    def lag(self, method: str) -> float:
        """Mean over images of the correlation of what was taken away."""
        return float(np.mean([found.lag for found in self.found[method]]))

    def psnrs(self, method: str) -> list[float]:
        """Of each image, in dB."""
        return [found.psnr for found in self.found[method]]

    def rows(self) -> Iterator[list[str]]:
        """Mean PSNR: a row for each group, where there are several, and one for all."""
        groups = list(dict.fromkeys(self.groups))
        for group in groups if len(groups) > 1 else []:
            yield [f"{self.name}, {group}", *(f"{self.mean(method, group):.2f}" for method in self.found)]
        yield [f"{self.name}, all" if len(groups) > 1 else self.name, *(f"{self.mean(method):.2f}" for method in self.found)]


class Scoreboard:
    """Measures, and keeps each score in a file as soon as it is known.

    Parameters
    ----------
    path
        Lines of JSON; None: ``scores.jsonl`` among the results.
    fresh
        Whether to measure again what is kept.
    """

    def __init__(self, path: Path | None = None, fresh: bool = False) -> None:
        self._path = path or results_folder() / "scores.jsonl"
        self._kept = {} if fresh else _read(self._path)
        self._taken, self._asked = Counter[str](), Counter[str]()

    def compare(self, name: str, samples: Iterable[Sample], methods: Sequence[Method]) -> Comparison:
        """Scores of all methods on a set of images."""
        images = list(samples)
        found = {method.name: self.scores(name, images, method) for method in methods}
        return Comparison(name, [sample.group for sample in images], found)

    def scores(self, name: str, samples: Sequence[Sample], method: Method) -> list[Score]:
        """Scores of a method on a set of images, kept ones where there are; the name is for the progress line."""
        keys = [_key(sample, method) for sample in samples]
        known = sum(key in self._kept for key in keys)
        self._asked[method.name] += len(keys)
        self._taken[method.name] += known
        if known < len(keys):
            print(f"benchmarks: {name}: {method.name}, {len(keys) - known} of {len(keys)} images", file=sys.stderr, flush=True)
        return [self._score(key, sample, method) for key, sample in zip(keys, samples, strict=True)]

    @property
    def note(self) -> str:
        """How many scores were not measured in this run."""
        taken = [f"{name} {self._taken[name]} of {asked}" for name, asked in self._asked.items() if self._taken[name]]
        return f"Scores that were kept from earlier runs: {', '.join(taken)}." if taken else "All scores were measured in this run."

    def _score(self, key: str, sample: Sample, method: Method) -> Score:
        if key not in self._kept:
            self._kept[key] = measure(sample, method)
            line = {"method": method.name, "image": sample.name, "key": key, **asdict(self._kept[key])}
            with self._path.open("a", encoding="utf8") as file:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
        return self._kept[key]


def measure(sample: Sample, method: Method) -> Score:
    """Denoise one image and judge the result."""
    result = method.denoise(sample)
    residual = sample.noisy.astype(np.float64) - result
    return Score(sample.psnr(result), lag_one(residual), float(np.std(result, dtype=np.float64)))


def lag_one(image: np.ndarray) -> float:
    """Correlation of an image (Y, X) with itself one pixel farther, the mean of both directions; 0 for a constant one."""
    centred = image - image.mean()
    variance = float(np.mean(centred**2))
    down, across = np.mean(centred[1:] * centred[:-1]), np.mean(centred[:, 1:] * centred[:, :-1])
    return float(down + across) / (2 * variance) if variance else 0.0


def _key(sample: Sample, method: Method) -> str:
    return hashlib.sha256(f"{SCORING} {method.identity} {sample.fingerprint}".encode()).hexdigest()


def _read(path: Path) -> dict[str, Score]:
    lines = path.read_text(encoding="utf8").splitlines() if path.exists() else []
    return dict(filter(None, map(_parsed, lines)))


def _parsed(line: str) -> tuple[str, Score] | None:
    try:
        plain = json.loads(line)
        return plain["key"], Score(plain["psnr"], plain["lag"], plain["std"])
    except (ValueError, KeyError):  # the run was ended while it wrote this line, or another version of the suite wrote it
        return None
