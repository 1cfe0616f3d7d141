"""What becomes of an image: the result, and its error bars; each is made part by part, and described by what its parts tell."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_ne_denoise.core.batch.error_bars import ErrorBarMaker, described
from napari_ne_denoise.core.batch.events import ERROR_BARS
from napari_ne_denoise.core.batch.jobs import Job
from napari_ne_denoise.core.batch.names import std_target
from napari_ne_denoise.core.batch.parts import PartMaker, ResultMaker
from napari_ne_denoise.core.io import ImageFile, place_in_home
from napari_ne_denoise.core.io.zarr_files import ZarrParts
from napari_ne_denoise.core.run import DenoisingRun

Lines = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Product(ABC):
    """Something that a run makes of an image.

    Attributes
    ----------
    run
        With everything decided.
    """

    run: DenoisingRun
    phase = ""  # what the making is called while it goes on, if it is not that of the result
    is_std = False

    @staticmethod
    def job(job: Job) -> Job:
        """What becomes what, for a job of the result."""
        return job

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """Of its pixels."""

    @abstractmethod
    def maker(self, target: ZarrParts) -> PartMaker:
        """What makes its parts.

        Raises
        ------
        SettingsError
            If the model does not suit.
        """

    @abstractmethod
    def described(self, image: ImageFile, lines: Lines, source: Path) -> ImageFile:
        """What is said of it, in place of what is said of the image, by the lines that tell of its parts."""


class Result(Product):
    """The denoised image."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its pixels."""
        return self.run.dtype

    def maker(self, target: ZarrParts) -> PartMaker:
        """What makes its parts."""
        return ResultMaker(self.run, target)

    def described(self, image: ImageFile, lines: Lines, source: Path) -> ImageFile:
        """The image with the record of all runs that made parts, as if it had been one."""
        used: Counter[torch.dtype] = Counter()
        kept = 0
        for line in {line["part"]: line for line in lines}.values():  # a part that was made twice counts once
            used.update({getattr(torch, name): count for name, count in line["used"].items()})
            kept += line.get("kept", 0)
        run = replace(self.run, precisions=replace(self.run.precisions, used=used))
        record = run.provenance
        record["decided"]["noise"] = in_order_of_channels(line.get("noise", []) for line in lines)
        if run.repairs.wanted:
            record["decided"]["hot_pixels"] = run.repairs.record_of(square for line in lines for square in line.get("hot_pixels", []))
        return replace(image, provenance=with_source(with_kept(record, kept), source, image))


class ErrorBars(Product):
    """How far each pixel of the result is from the truth, in a file beside it."""

    phase = ERROR_BARS
    is_std = True

    @staticmethod
    def job(job: Job) -> Job:
        """The same image, which becomes another file."""
        return replace(job, target=std_target(job.target))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its pixels."""
        return np.dtype(np.float32)

    def maker(self, target: ZarrParts) -> PartMaker:
        """What makes its parts."""
        return ErrorBarMaker(self.run, target)

    def described(self, image: ImageFile, lines: Lines, source: Path) -> ImageFile:
        """The image with the record of the map."""
        noises = in_order_of_channels(line.get("noise", []) for line in lines)
        return described(image, self.run, [found.get("found") for found in noises], source)


def in_order_of_channels(told: Iterable[Sequence[Mapping[str, Any]]]) -> list[Any]:
    """What several lines tell of channels, of each channel once."""
    by_channel = {tuple(found.get("channel", ())): found for line in told for found in line}
    return [found for _, found in sorted(by_channel.items())]


def with_kept(provenance: dict[str, Any], count: int) -> dict[str, Any]:
    """The record of a run that gave so many pixels back as they were, since they are NaN or infinite."""
    return provenance | {"decided": provenance["decided"] | {"nonfinite_kept": count}} if count else provenance


def with_source(provenance: dict[str, Any], source: Path, image: ImageFile) -> dict[str, Any]:
    """The record of a run, and in it those of the runs that made its input."""
    earlier = {"provenance": image.provenance} if image.provenance else {}
    which = {"series": image.series} if image.series else {}
    return provenance | {"input": provenance["input"] | {"file": place_in_home(source)} | which | earlier}
