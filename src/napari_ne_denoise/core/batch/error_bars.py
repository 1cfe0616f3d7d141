"""Error bars of the result of one file, for a file beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_ne_denoise.core.axes import Index
from napari_ne_denoise.core.batch.jobs import Job
from napari_ne_denoise.core.batch.names import std_target
from napari_ne_denoise.core.batch.parts import PartMaker
from napari_ne_denoise.core.errors import FileError
from napari_ne_denoise.core.io import ImageFile, place_in_home, write_image
from napari_ne_denoise.core.io.zarr_files import ZarrParts
from napari_ne_denoise.core.jacobian.map_records import map_record
from napari_ne_denoise.core.jacobian.maps import MapMaker, MapStep, error_steps
from napari_ne_denoise.core.memory import room_for
from napari_ne_denoise.core.run import DenoisingRun, Step
from napari_ne_denoise.core.tiling import Window

MAP = "error"


class ErrorBarMaker(PartMaker):
    """Computes and writes parts of error bars.

    Parameters
    ----------
    run, target
        As in `PartMaker`.

    Raises
    ------
    SettingsError
        If the model has none.
    """

    def __init__(self, run: DenoisingRun, target: ZarrParts) -> None:
        super().__init__(run, target)
        self._maps = MapMaker(run, [MAP])
        self._told: set[tuple[int, ...]] = set()

    def close(self) -> None:
        """Forget the plane that is open, and give memory of the device back."""
        self._maps.close()

    def _compute(self, planes: Mapping[int, Index], window: Window, told: dict[str, Any]) -> Iterator[Step]:
        noises: list[dict[str, Any]] = []
        for step in self._maps.steps(list(planes.items()), window):
            channel = self._run.treatments.channel_of(step.index)
            if channel not in self._told and step.noise is not None:
                self._told.add(channel)
                noises.append({"found": step.noise.as_record()} | ({"channel": list(channel)} if channel else {}))
            yield _step(step)
        told |= {"noise": noises} if noises else {}


def whole_error_bars(run: DenoisingRun, job: Job, image: ImageFile) -> Iterator[Step]:
    """Compute the error bars of a result in memory, and write them beside it, once the first step is asked for.

    Parameters
    ----------
    run, job
        What made the result, and which file became which.
    image
        What the file says of the noisy image.
    """
    values = room_for(run.shape, np.dtype(np.float32), "the error bars", "write the result as .ome.zarr, whose are made piece by piece")
    noises: list[Any] = []
    for step in error_steps(run):
        values[step.index] = step.values[MAP]
        noises += [step.noise] if step.noise not in noises else []
        yield _step(step)
    bars = described(replace(image, pixels=values), run, [noise.as_record() for noise in noises], job.source)
    write_image(std_target(job.target), bars, overwrite=job.overwrite)


def check_error_bars(run: DenoisingRun, job: Job) -> None:
    """See that a result can have error bars, before it is made.

    Raises
    ------
    SettingsError
        If the model has none.
    FileError
        If their file is there already, and must not be replaced.
    """
    MapMaker(run, [MAP])
    if (target := std_target(job.target)).exists() and not job.overwrite:
        raise FileError(f"{target}: exists already.", mend="existing")


def described(image: ImageFile, run: DenoisingRun, noises: Sequence[Any], source: Path) -> ImageFile:
    """What is said of error bars, in place of what is said of the image; `noises` are records of the noise of the channels."""
    record = map_record(MAP, model=run.settings.model_name, strength=run.settings.strength) | {"noise": list(noises)}
    return replace(image, name=f"{image.name} {MAP}", provenance=record | {"input": {"file": place_in_home(source)}})


def _step(step: MapStep) -> Step:
    return Step(step.done, step.total, step.index, step.values[MAP])
