"""One file: read, denoised, written."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_ne_denoise.core.batch.error_bars import error_bars_of
from napari_ne_denoise.core.batch.jobs import Job
from napari_ne_denoise.core.inference import Denoiser, DenoisingRun, Step, prepare_denoising
from napari_ne_denoise.core.io import ImageFile, check_target, is_zarr, letters_for, read_image, with_channels, write_image, writing_parts
from napari_ne_denoise.core.settings import DenoiseSettings


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
    with_std
        Whether error bars are written too, in a file beside the result.
    """

    job: Job
    settings: DenoiseSettings
    denoiser: Denoiser
    series: int = 0
    with_std: bool = False
    record: dict[str, Any] = field(default_factory=dict)

    def steps(self) -> Iterator[Step]:
        """Read, denoise piece by piece, write; the file is there once the last step was taken, and not at all if there is none.

        Raises
        ------
        NEDenoiseError
            If the file cannot be read, denoised or written.
        """
        started = time.perf_counter()
        image = read_image(self.job.source, self.series)
        axes = _axes(image, self.settings)
        run = prepare_denoising(image.pixels, self.settings, model=self.denoiser, axes=axes)
        written = (axes or letters_for(image.pixels.ndim, run.layout.rows, run.layout.columns, self.settings.channel_axis)).upper()
        check_target(self.job.target, run.dtype, written)
        write = self._stream if is_zarr(self.job.target) else self._write
        bars = error_bars_of(run, self.job) if self.with_std else None  # refuses at once what has none
        provenance = yield from write(run, replace(image, axes=written))
        if bars is not None:
            yield from bars.steps(replace(image, axes=written))
        self.record = {
            **({} if bars is None else {"std": str(bars.target)}),
            "seconds": round(time.perf_counter() - started, 3),
            "axes": written,
            "notes": [*image.notes, *_unnamed(written), *_repaired(provenance)],
            "provenance": provenance,
        }

    def _write(self, run: DenoisingRun, image: ImageFile) -> Generator[Step, None, dict[str, Any]]:
        """Denoise in memory, then write; gives the record of it."""
        result = np.empty(run.shape, run.dtype)
        for step in run.steps(first_side=None):
            result[step.index] = step.values
            yield step
        provenance = _with_source(run.provenance, self.job.source, image)
        write_image(self.job.target, replace(image, pixels=result, provenance=provenance), overwrite=self.job.overwrite)
        return provenance

    def _stream(self, run: DenoisingRun, image: ImageFile) -> Generator[Step, None, dict[str, Any]]:
        """Denoise into an OME-Zarr, so that neither the image nor its result need fit into memory; gives the record of it."""
        with writing_parts(self.job.target, image, run.dtype, overwrite=self.job.overwrite) as parts:
            for step in run.steps(first_side=None):
                parts.put(step.index, step.values)
                yield step
            provenance = _with_source(run.provenance, self.job.source, image)
            parts.image = replace(image, provenance=provenance)
        return provenance


def _axes(image: ImageFile, settings: DenoiseSettings) -> str | None:
    """What the user says of the axes, else what the file says; None if neither does, or they contradict each other."""
    if settings.axes is not None or image.axes is None or settings.channel_axis is None:
        return settings.axes or image.axes
    return with_channels(image.axes, settings.channel_axis)


def _unnamed(axes: str) -> list[str]:
    """What to say of axes whose meaning neither the file nor the user told."""
    unknown = [number for number, letter in enumerate(axes) if letter not in "TZCYXS"]
    if not unknown:
        return []
    better = "".join("Z" if number in unknown else letter for number, letter in enumerate(axes))
    example = better if len(unknown) == 1 else "TZYX"
    return [f"the file does not say what its axis {', '.join(map(str, unknown))} is; tell with --axes, such as {example}"]


def _repaired(provenance: dict[str, Any]) -> list[str]:
    """How many hot pixels were repaired, channel by channel."""
    notes = []
    for found in provenance["decided"].get("hot_pixels", []):
        of = f" of channel {', '.join(map(str, found['channel']))}" if "channel" in found else ""
        notes.append(f"repaired {found['repaired']} hot or dead pixels{of} ({found['per_megapixel']:.3g} per megapixel; {found['where']})")
    return notes


def _with_source(provenance: dict[str, Any], source: Path, image: ImageFile) -> dict[str, Any]:
    """The record of this run, and in it those of the runs that made its input."""
    earlier = {"provenance": image.provenance} if image.provenance else {}
    return provenance | {"input": provenance["input"] | {"file": source.name} | earlier}
