"""What a user of the suite can choose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
    models: tuple[str, ...] = ("fast",)
    sets: tuple[str, ...] = SECTIONS
    peers: bool = True
    limit: int | None = None
    fresh: bool = False
    worst: Path | None = None

    @property
    def is_glance(self) -> bool:
        """Whether something was left out of `quality`, so that its report must not stand for the whole."""
        return self.limit is not None or not self.peers or set(self.sets) != set(SECTIONS)
