"""What the thread does when Denoise is pressed, and how its pace is told."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from napari_ne_denoise.core.axes import Index
from napari_ne_denoise.core.memory import free_memory_of_machine
from napari_ne_denoise.core.noise.repaired import RepairedImage
from napari_ne_denoise.core.pixels import count_nonfinite
from napari_ne_denoise.core.settings import DEFAULTS
from napari_ne_denoise.gui.denoise.blend import Blend
from napari_ne_denoise.gui.denoise.lazy_array import LazyArray
from napari_ne_denoise.gui.layers.layer_data import Source

# a result of at most this many pixels starts as a copy of the noisy image, which its tiles replace
MOST_PREFILLED = 2**28
# of the free memory, that computed planes of a result that is computed when it is shown may take
SHARE_KEPT = 1 / 8


@dataclass(frozen=True)
class Begun:
    """Everything is decided; `blend` fills as tiles are finished.

    Attributes
    ----------
    blend
        Holds what is shown.
    total
        Pixels to do.
    record
        Gives the record of the run as far as it is known.
    """

    blend: Blend
    total: int
    record: Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class Advanced:
    """So many pixels are finished, the last of them at `index`."""

    done: int
    index: Index


@dataclass(frozen=True)
class Finished:
    """The result is complete: its record, the seconds it took, on what, and how many pixels were no numbers."""

    record: dict[str, Any]
    seconds: float
    device: str
    kept: int


@dataclass(frozen=True)
class Prepared:
    """A result that is computed when it is shown: its array, and its record."""

    array: LazyArray
    record: dict[str, Any]


def prepare_source(source: Source, strength: float, start_at: tuple[int, ...]) -> Iterator[Prepared]:
    """Prepare a result that is computed when it is shown, and compute the part that is shown first."""
    from napari_ne_denoise.core.lazy import KEPT, LazyResult  # brings torch, which takes seconds

    result = LazyResult(source.data, DEFAULTS.changed(**source.settings, strength=strength))
    result.most_kept = max(KEPT, int(SHARE_KEPT * free_memory_of_machine()))
    (first,) = result.parts_in([slice(at, at + 1) for at in start_at])
    result.part(first)  # whatever no part of it can have is told now
    yield Prepared(LazyArray(result), {**result.run.provenance, "source_layer": source.name, "computed": "when shown"})


def denoise_source(source: Source, strength: float, start_at: tuple[int, ...]) -> Iterator[Begun | Advanced | Finished]:
    """Denoise, tile by tile, into an array that whoever listens may show meanwhile.

    Parameters
    ----------
    source
        The image, and how to denoise it.
    strength
        Of the result, 0 to 1; the network's output is kept too, so that it can be changed.
    start_at
        The pixel whose tile comes first.
    """
    from napari_ne_denoise.core.inference import prepare_denoising  # brings torch, which takes seconds

    run = prepare_denoising(source.data, **source.settings)
    noisy = source.data if source.part is None else source.data[source.part]
    shown = _start_of_result(noisy, source.shape, run.dtype)
    if run.repairs.wanted:
        noisy = RepairedImage(run.repairs, run.layout, source.data.dtype, source.part)
    blend = Blend(noisy, shown, strength)
    total = blend.shown.size

    def record() -> dict[str, Any]:
        return {**at_strength(run.provenance, strength), "source_layer": source.name, **source.part_record}

    yield Begun(blend, total, record)
    begin, done, kept = perf_counter(), 0, 0
    for step in run.steps(start_at):
        index = source.in_result(step.index)
        if index is None:  # of another plane: small ones are computed together
            continue
        blend.put(index, step.values)
        kept += count_nonfinite(step.values)
        done += step.values.size
        yield Advanced(done, index)
        if done == total:
            break
    seconds = perf_counter() - begin
    yield Finished({**record(), "seconds": round(seconds, 3)}, seconds, label_of(str(run.device)), kept)


def at_strength(record: dict[str, Any], strength: float) -> dict[str, Any]:
    """The same record, of the result at a strength."""
    return {**record, "settings": {**record["settings"], "strength": strength}}


def fill_unfinished(blend: Blend, finished: list[Index]) -> Iterator[None]:
    """The work of a thread: show the noisy image wherever nothing was denoised."""
    missing = np.ones(blend.shown.shape, bool)
    for index in finished:
        missing[index] = False
    for index in blend.parts():
        blend.show_noisy(index, missing[index])
    yield None


def _start_of_result(data: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    if isinstance(data, np.ndarray) and data.size <= MOST_PREFILLED:
        return np.array(data, dtype)
    return np.zeros(shape, dtype)


def label_of(device: str) -> str:
    """What a device is called by people."""
    from napari_ne_denoise.core.device import list_devices

    return next((report.label for report in list_devices() if report.name == device), device)
