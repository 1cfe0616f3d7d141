"""One file: read, denoised, written."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from napari_ne_denoise.core.batch.error_bars import check_error_bars, whole_error_bars
from napari_ne_denoise.core.batch.events import ERROR_BARS, PARTLY
from napari_ne_denoise.core.batch.identity import way_of
from napari_ne_denoise.core.batch.jobs import Job, Share
from napari_ne_denoise.core.batch.names import std_target
from napari_ne_denoise.core.batch.products import ErrorBars, Product, Result, with_kept, with_source
from napari_ne_denoise.core.batch.unfinished import Unfinished
from napari_ne_denoise.core.batch.work_folder import clear_finished
from napari_ne_denoise.core.errors import FileError, ImageError
from napari_ne_denoise.core.inference import Denoiser, DenoisingRun, Step, prepare_denoising
from napari_ne_denoise.core.io import ImageFile, check_target, find_provenance, is_zarr, letters_for, read_image, with_channels, write_image
from napari_ne_denoise.core.io.pyramid import DoAll, one_by_one
from napari_ne_denoise.core.memory import room_for
from napari_ne_denoise.core.pixels import count_nonfinite
from napari_ne_denoise.core.provenance import said_of_measurement, said_of_result
from napari_ne_denoise.core.run import Decided
from napari_ne_denoise.core.settings import DenoiseSettings


@dataclass(frozen=True)
class OpenedFile:
    """A file with all that was decided about denoising it.

    Attributes
    ----------
    image
        What the file holds, with a letter for each axis.
    run
        What denoises it.
    """

    image: ImageFile
    run: DenoisingRun

    @classmethod
    def of(cls, job: Job, settings: DenoiseSettings, denoiser: Denoiser, series: int) -> OpenedFile:
        """Open what a job denoises, and see that its result can be written.

        Raises
        ------
        NEDenoiseError
            If it cannot be read, denoised with these settings, or written.
        """
        image = read_image(job.source, series)
        if (held := said_of_measurement(image.provenance)) is not None:
            raise ImageError(f"{job.source}: holds {held}, made by this program, and no image; give the image that it was made of.")
        axes = _axes(image, settings)
        run = prepare_denoising(image.pixels, settings, model=denoiser, axes=axes)
        written = (axes or letters_for(image.pixels.ndim, run.layout.rows, run.layout.columns, settings.channel_axis)).upper()
        check_target(job.target, run.dtype, written)
        return cls(replace(image, axes=written), run)


@dataclass
class FileDenoising:
    """The denoising of one file; `steps` does it, and `record` is what can be said of it then.

    Attributes
    ----------
    job
        Which file becomes which.
    settings, denoiser
        How.
    series
        Which image of a file that holds several.
    share
        Which parts of an OME-Zarr are made here, where several jobs share it.  None: all.
    with_std
        Whether error bars are written too, in a file beside the result.
    phase
        What is being made now, if not the result.
    """

    job: Job
    settings: DenoiseSettings
    denoiser: Denoiser
    series: int = 0
    share: Share | None = None
    with_std: bool = False
    record: dict[str, Any] = field(default_factory=dict)
    phase: str = ""

    def steps(self) -> Iterator[Step]:
        """Read, denoise piece by piece, write; the file is there once the last step was taken, and not at all if there is none.

        Raises
        ------
        NEDenoiseError
            If the file cannot be read, denoised or written.
        """
        started = time.perf_counter()
        opened = OpenedFile.of(self.job, self.settings, self.denoiser, self.series)
        if self.with_std:
            check_error_bars(opened.run, self.job)
        told = yield from (self._all_in_parts(opened) if is_zarr(self.job.target) else self._all_whole(opened))
        self.record = {"seconds": round(time.perf_counter() - started, 3)} | told

    def _all_whole(self, opened: OpenedFile) -> Generator[Step, None, dict[str, Any]]:
        """The result, and its error bars; gives what can be said of them."""
        told = yield from self._whole(opened)
        if not self.with_std:
            return told
        yield self._begin_error_bars(opened)
        yield from whole_error_bars(opened.run, self.job, opened.image)
        return with_std_told(told, self.job)

    def _all_in_parts(self, opened: OpenedFile) -> Generator[Step, None, dict[str, Any]]:
        """The same."""
        told = told_of_kept(self.job, opened) if self.with_std else None
        if told is None:
            told = yield from self._in_parts(opened, Result(opened.run))
        if not self.with_std:
            return told
        yield self._begin_error_bars(opened)
        bars = yield from self._in_parts(opened, ErrorBars(opened.run))
        return told_of_both(told, bars, self.job, opened)

    def _begin_error_bars(self, opened: OpenedFile) -> Step:
        """Say that they begin: their first piece may take a while."""
        self.phase = ERROR_BARS
        return Step(0, math.prod(opened.run.shape), (), np.empty(0))

    def _whole(self, opened: OpenedFile) -> Generator[Step, None, dict[str, Any]]:
        """Denoise in memory, then write; gives what can be said of it."""
        image, run = opened.image, opened.run
        result = room_for(run.shape, run.dtype, "the result", "write it as .ome.zarr, which is made piece by piece")
        kept = 0
        for step in run.steps(first_side=None):
            result[step.index] = step.values
            kept += count_nonfinite(step.values)
            yield step
        provenance = with_source(with_kept(run.provenance, kept), self.job.source, image)
        write_image(self.job.target, replace(image, pixels=result, provenance=provenance), overwrite=self.job.overwrite)
        return told_of(image, provenance)

    def _in_parts(self, opened: OpenedFile, product: Product) -> Generator[Step, None, dict[str, Any]]:
        """Make an OME-Zarr, so that neither the image nor what becomes of it need fit into memory, and what is finished is not lost."""
        job = product.job(self.job)
        result = begin_parts(self.job, opened, product, self.settings, self.denoiser, self.series, alone=self.share is None)
        numbers = range(len(result.parts))
        mine = numbers if self.share is None else self.share.of(numbers)
        try:
            with result.alone(self.share):
                if self.share is not None and not job.overwrite:
                    result.drop_if_completed()
                earlier = result.done()
                if result.has_image:  # else another job has completed it meanwhile
                    yield from _made(result, left(mine, earlier))
                told = told_of_parts(result, opened, job, earlier)
        except BaseException as error:
            if self.share is None:
                result.leave(error)
            raise
        clear_finished(job.target)
        return told


def begin_parts(
    job: Job,
    opened: OpenedFile,
    product: Product,
    settings: DenoiseSettings,
    denoiser: Denoiser,
    series: int,
    *,
    alone: bool,
    decided: Decided | None = None,
) -> Unfinished:
    """Begin a large result or its error bars, or go on with them.

    Parameters
    ----------
    job, opened, product, settings, denoiser, series
        What is made from what.
    alone
        Whether no other process may be at work on it.
    decided
        What "auto" became.  None: as it did here.
    """
    way = way_of(job.source, settings, denoiser, series, with_std=product.is_std)
    target = product.job(job).target
    return Unfinished.begun(target, opened.image, product, way, decided=decided, afresh=alone and job.overwrite)


def _made(result: Unfinished, numbers: Sequence[int]) -> Iterator[Step]:
    """Make parts, one after another; steps tell how far all of them are."""
    done, total = 0, sum(result.parts[number].pixels for number in numbers)
    with closing(result.maker()) as maker:
        for number in numbers:
            part = result.parts[number]
            making, line = maker.steps(part), {}
            while True:
                try:
                    step = next(making)
                except StopIteration as end:
                    line = end.value
                    break
                yield replace(step, done=done + step.done, total=total)
            result.add(line)
            done += part.pixels


def left(numbers: Sequence[int], done: Collection[int]) -> list[int]:
    """Those parts that are not done."""
    return [number for number in numbers if number not in done]


def told_of_parts(result: Unfinished, opened: OpenedFile, job: Job, earlier: Collection[int], do_all: DoAll = one_by_one) -> dict[str, Any]:
    """Finish a large result, if all of its parts are there; what can be said of it.

    Parameters
    ----------
    result
        That was worked on.
    opened, job
        What was denoised.
    earlier
        Numbers of the parts that were there before.
    do_all
        Does all pieces of one smaller size.

    Raises
    ------
    FileError
        If it cannot be finished, or was taken away.
    """
    count = len(result.parts)
    notes = [f"went on where it was broken off: {len(earlier)} of {count} parts were finished"] if earlier else []
    missing = left(range(count), result.done())
    if missing and result.has_image:
        note = f"{len(missing)} of {count} parts are still to be made by other jobs; the one that makes the last will complete it"
        return {"status": PARTLY, "axes": opened.image.axes, "notes": [*notes, note]}
    provenance = result.finish(job.source, overwrite=job.overwrite, do_all=do_all)
    if provenance is None:
        if not (result.has_image or result.target.exists()):  # asked in the order in which it goes from the one to the other
            raise FileError(f"{result.target}: what was made of it was taken away meanwhile; run this again.")
        return {"status": PARTLY, "axes": opened.image.axes, "notes": [*notes, "all parts are made, and another job completes it"]}
    if result.product.is_std:
        return {"axes": opened.image.axes, "notes": notes}
    return told_of(opened.image, provenance, notes)


def told_of_kept(job: Job, opened: OpenedFile) -> dict[str, Any] | None:
    """What can be said of a result that an earlier run finished, but for its error bars; None if it is to be made."""
    if not job.lacks_std or (told := _told_of_made(job, opened)) is None:
        return None
    clear_finished(job.target)
    return {**told, "notes": [*told["notes"], "kept: an earlier run, which left other work over, finished it, but for its error bars"]}


def told_of_both(told: dict[str, Any], bars: dict[str, Any], job: Job, opened: OpenedFile) -> dict[str, Any]:
    """What can be said of a result and of its error bars, which other jobs may still be making."""
    partly = bars.get("status") == PARTLY
    if told.get("status") == PARTLY and not partly:
        # all jobs make their parts of the error bars after those of the result: whoever completes the ones finds the other complete
        told = _told_of_made(job, opened) or told
    both = {**told, "notes": [*told["notes"], *(f"{ERROR_BARS}: {note}" for note in bars["notes"])]}
    return both | {"status": PARTLY} if partly else with_std_told(both, job)


def _told_of_made(job: Job, opened: OpenedFile) -> dict[str, Any] | None:
    """What can be said of a result that is there; None if it is none of ours."""
    made = find_provenance(job.target)
    if made is None or said_of_result(made) is None or not isinstance(made.get("decided"), dict):
        return None
    return told_of(opened.image, made)


def with_std_told(told: dict[str, Any], job: Job) -> dict[str, Any]:
    """What can be said of a result, and where its error bars are."""
    return {"std": str(std_target(job.target))} | told


def told_of(image: ImageFile, provenance: dict[str, Any], notes: Sequence[str] = ()) -> dict[str, Any]:
    """What can be said of a result."""
    assert image.axes is not None
    said = [*image.notes, *_again(image), *_repaired(provenance), *_kept(provenance), *notes]
    return {"axes": image.axes, "notes": said, **_unnamed(image.axes), "provenance": provenance}


def _axes(image: ImageFile, settings: DenoiseSettings) -> str | None:
    """What the user says of the axes, else what the file says; None if neither does, or they contradict each other."""
    if settings.axes is not None or image.axes is None or settings.channel_axis is None:
        return settings.axes or image.axes
    return with_channels(image.axes, settings.channel_axis)


def _unnamed(axes: str) -> dict[str, Any]:
    """Axes whose meaning neither the file nor the user told, and what they might be."""
    unknown = [number for number, letter in enumerate(axes) if letter not in "TZCYXS"]
    if not unknown:
        return {}
    free = next((letter for letter in "ZTC" if letter not in axes), "Z")
    better = "".join(free if number in unknown else letter for number, letter in enumerate(axes))
    example = better if len(unknown) == 1 else "TZYX"
    return {"unnamed_axes": {"numbers": unknown, "example": example}}


def _again(image: ImageFile) -> list[str]:
    made = said_of_result(image.provenance)
    return [] if made is None else [f"is a result already ({made}): denoised once more"]


def _repaired(provenance: dict[str, Any]) -> list[str]:
    """How many hot pixels were repaired, channel by channel."""
    notes = []
    for found in provenance["decided"].get("hot_pixels", []):
        of = f" of channel {', '.join(map(str, found['channel']))}" if "channel" in found else ""
        notes.append(f"repaired {found['repaired']} hot or dead pixels{of} ({found['per_megapixel']:.3g} per megapixel; {found['where']})")
    return notes


def _kept(provenance: dict[str, Any]) -> list[str]:
    count = provenance["decided"].get("nonfinite_kept", 0)
    return (
        [f"{count} pixel{'s that are' if count > 1 else ' that is'} NaN or infinite {'were' if count > 1 else 'was'} kept"] if count else []
    )
