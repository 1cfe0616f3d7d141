"""Error bars of the result of one file, in a file beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ne_denoise.core.batch.jobs import STD, Job
from napari_ne_denoise.core.errors import FileError
from napari_ne_denoise.core.io import ImageFile, is_zarr, stem, write_image, writing_parts
from napari_ne_denoise.core.jacobian.map_records import map_record

if TYPE_CHECKING:
    from napari_ne_denoise.core.jacobian.maps import MapStep
    from napari_ne_denoise.core.run import DenoisingRun, Step


@dataclass(frozen=True)
class FileErrorBars:
    """Error bars that wait until the result is written; `steps` computes and writes them.

    Attributes
    ----------
    run
        That makes the result.
    job
        Which file becomes which.
    target
        Of the error bars.
    bars
        Tile by tile.
    """

    run: DenoisingRun
    job: Job
    target: Path
    bars: Iterator[MapStep]

    def steps(self, image: ImageFile) -> Iterator[Step]:
        """Compute piece by piece, and write; `image` is what the file says of the noisy one."""
        noises: list[Any] = []
        if is_zarr(self.target):
            with writing_parts(self.target, replace(image, provenance=None), np.dtype(np.float32), overwrite=self.job.overwrite) as parts:
                for step in self._each(noises):
                    parts.put(step.index, step.values)
                    yield step
                parts.image = self._described(parts.image, noises)
            return
        values = np.empty(self.run.shape, np.float32)
        for step in self._each(noises):
            values[step.index] = step.values
            yield step
        write_image(self.target, self._described(replace(image, pixels=values), noises), overwrite=self.job.overwrite)

    def _each(self, noises: list[Any]) -> Iterator[Step]:
        from napari_ne_denoise.core.run import Step

        for step in self.bars:
            noises += [step.noise] if step.noise not in noises else []
            yield Step(step.done, step.total, step.index, step.values["error"])

    def _described(self, image: ImageFile, noises: list[Any]) -> ImageFile:
        record = map_record("error", model=self.run.settings.model_name, strength=self.run.settings.strength, noises=noises)
        return replace(image, name=f"{image.name} error", provenance=record | {"input": {"file": self.job.source.name}})


def error_bars_of(run: DenoisingRun, job: Job) -> FileErrorBars:
    """The error bars of a run whose result becomes a file.

    Raises
    ------
    SettingsError
        If the model has none.
    FileError
        If their file is there already, and must not be replaced.
    """
    from napari_ne_denoise.core.jacobian.maps import error_steps  # brings torch, which a dock that only offers this does not need

    result = job.target
    target = result.with_name(stem(result) + STD + result.name[len(stem(result)) :])
    if target.exists() and not job.overwrite:
        raise FileError(f"{target}: exists already.", mend="existing")
    return FileErrorBars(run, job, target, error_steps(run))
