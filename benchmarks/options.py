"""What a user of the suite can choose."""

from __future__ import annotations

from argparse import ArgumentTypeError
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.ours import models_to_compare

SECTIONS = ("gaussian", "real", "correlated", "strange")  # of `quality`
DATA = Path(__file__).parents[2] / "shared" / "data"


@dataclass(frozen=True)
class Options:
    """How to measure.

    Attributes
    ----------
    runs
        Timed calls of each contender; the median counts.
    data
        Folder with the images under ``test/``.
    large
        Whether the largest image of `scaling` has 100 megapixels instead of 64.
    megapixels
        Of the image of `memory`.
    streamed
        Megapixels of the image of `streaming-plane`, 40,000×40,000; the stack of `streaming-stack` has half as many, 190 planes.
    models
        Registered names or weight files: for `quality` all of them, for `precision` the first.
    sets
        What `quality` measures, some of `SECTIONS`.
    peers
        Whether `quality` measures denoisers of others too.
    limit
        Images of each set of `quality`; None: all.
    fresh
        Whether `quality` measures again what is kept from earlier runs.
    worst
        Folder to which `quality` writes pictures of the images that came out worst; None: nowhere.
    """

    runs: int = 5
    data: Path = DATA
    large: bool = False
    megapixels: float = 400
    streamed: float = 1600
    models: tuple[str, ...] = field(default_factory=models_to_compare)
    sets: tuple[str, ...] = SECTIONS
    peers: bool = True
    limit: int | None = None
    fresh: bool = False
    worst: Path | None = None


def positive(text: str) -> int:
    """A number of at least one, from the command line."""
    if int(text) < 1:
        raise ArgumentTypeError(f"{text}: must be at least 1")
    return int(text)
