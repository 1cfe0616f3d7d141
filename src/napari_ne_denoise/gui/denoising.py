"""What the thread does when Denoise is pressed, and how its pace is told."""

from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from napari_ne_denoise.gui.layer_data import Source

# a result of at most this many pixels starts as a copy of the noisy image, which its tiles replace
MOST_PREFILLED = 2**28


@dataclass(frozen=True)
class Begun:
    """Everything is decided; `result` fills as tiles are finished."""

    result: np.ndarray
    total: int


@dataclass(frozen=True)
class Advanced:
    """So many pixels are finished."""

    done: int


@dataclass(frozen=True)
class Finished:
    """The result is complete: its record, the seconds it took, on what, and how many pixels were no numbers."""

    record: dict[str, Any]
    seconds: float
    device: str
    kept: int


def denoise_source(source: Source, device: str, start_at: tuple[int, ...]) -> Iterator[Begun | Advanced | Finished]:
    """Denoise, tile by tile, into an array that whoever listens may show meanwhile.

    Parameters
    ----------
    source
        The image, and the model to use.
    device
        As in `denoise`.
    start_at
        The pixel whose tile comes first.
    """
    from napari_ne_denoise.core.inference import prepare_denoising  # brings torch, which takes seconds

    run = prepare_denoising(source.data, device=device, **source.settings)
    result = _start_of_result(source.data, run.shape, run.dtype)
    yield Begun(result, result.size)
    begin, kept = perf_counter(), 0
    for step in run.steps(start_at):
        result[step.index] = step.values
        kept += int(np.count_nonzero(~np.isfinite(step.values)))
        yield Advanced(step.done)
    seconds = perf_counter() - begin
    record = {**run.provenance, "seconds": round(seconds, 3), "source_layer": source.name}
    yield Finished(record, seconds, _label_of(str(run.device)), kept)


def _start_of_result(data: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    if isinstance(data, np.ndarray) and data.size <= MOST_PREFILLED:
        return np.array(data, dtype)
    return np.zeros(shape, dtype)


def _label_of(device: str) -> str:
    from napari_ne_denoise.core.device import list_devices

    return next((report.label for report in list_devices() if report.name == device), device)


class Pace:
    """How fast it goes, and how long it will take.

    Parameters
    ----------
    total
        Pixels to do.
    now
        Time at the start, in seconds.
    """

    def __init__(self, total: int, now: float) -> None:
        self.total, self._begin = total, now

    def describe(self, done: int, now: float) -> str:
        """Share done, megapixels a second and time left, for a progress bar."""
        rate = done / max(now - self._begin, 1e-3)
        left = (self.total - done) / rate
        return f"{100 * done // self.total} % · {megapixels(rate)}/s · {duration(left)} left"


def megapixels(pixels: float) -> str:
    """A number of pixels as people read it, such as "0.26 MPix" or "134 MPix"."""
    millions = pixels / 1e6
    return f"{millions:.0f} MPix" if millions >= 10 else f"{millions:.2g} MPix"


def duration(seconds: float) -> str:
    """A time as people read it: "0.4 s", "12 s", "3 min", "1 h 05 min"."""
    if seconds < 0.95:
        return f"{seconds:.1g} s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
