"""What a user of the suite can choose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
    """

    runs: int = 5
    data: Path = DATA
    large: bool = False
    megapixels: float = 400
    models: tuple[str, ...] = ("fast",)
