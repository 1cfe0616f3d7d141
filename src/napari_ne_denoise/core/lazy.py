"""The result of `denoise` as a dask array, whose parts are computed when somebody asks for them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import product
from threading import Lock
from typing import Any, Literal, overload
from uuid import uuid4

import dask.array as da
import numpy as np
from dask import delayed

from napari_ne_denoise.core.device import settle_in_worker
from napari_ne_denoise.core.errors import ImageError
from napari_ne_denoise.core.inference import prepare_denoising
from napari_ne_denoise.core.jacobian.maps import Where, check_bars_wanted, error_steps
from napari_ne_denoise.core.noise.model import NoiseModel
from napari_ne_denoise.core.pixels import UNHEARD, as_pixels
from napari_ne_denoise.core.regions import Regions
from napari_ne_denoise.core.run import Decided, DenoisingRun
from napari_ne_denoise.core.settings import DEFAULTS, DenoiseSettings

# pixels along a side of the largest part; a multiple of every stride.  Planes below half more are not cut.
SIDE = 2048
# bytes of parts that are kept once they were computed: who scrolls back, or reads a pixel, does not wait again
KEPT = 2**28
# results of other processes that stay open in this one, each with its network
MOST_OPEN_HERE = 2

# a part: where it starts and stops along each axis
Part = tuple[tuple[int, int], ...]


@overload
def denoise_lazy(image: Any, settings: DenoiseSettings = DEFAULTS, *, return_std: Literal[False] = False, **changes: Any) -> da.Array: ...
@overload
def denoise_lazy(
    image: Any, settings: DenoiseSettings = DEFAULTS, *, return_std: Literal[True], noise_model: NoiseModel | None = None, **changes: Any
) -> tuple[da.Array, da.Array]: ...
def denoise_lazy(
    image: Any, settings: DenoiseSettings = DEFAULTS, *, return_std: bool = False, noise_model: NoiseModel | None = None, **changes: Any
) -> da.Array | tuple[da.Array, da.Array]:
    """Denoise an image plane by plane, and large planes part by part, when they are asked for.

    Parameters
    ----------
    image, **changes
        As in `denoise`; the array may be larger than memory.
    settings
        What `changes` changes.
    return_std, noise_model
        As in `denoise`.  Error bars cost sixteen denoisings when they are asked for.

    Returns
    -------
    dask array
        Of the image's shape.  Equal to what `denoise` gives, but for what half precision costs, in planes of more than nine megapixels.
        With `return_std` two: the result, and its error bars, of float32.
        Parts are computed one at a time in each process: each takes all cores, or all threads of a worker of dask.distributed.  Workers
        open the model once each, and compute in the precision that was decided here, if their device is of the same kind.

    Raises
    ------
    NEDenoiseError
        At once, if the image or a setting is not accepted; when a part is computed, if it cannot be read or memory does not hold it.
    """
    check_bars_wanted(noise_model, return_std=return_std)
    result = LazyResult(image, settings.changed(**changes))
    return (result.array, LazyErrorBars(image, result.run.settings, noise_model).array) if return_std else result.array


class LazyResult:
    """What the parts of a lazy result are computed by.

    Parameters
    ----------
    image
        As in `denoise`.
    settings
        All of them.
    decided
        What another process decided for the same result, so that both compute alike.  None: it is decided here.

    Attributes
    ----------
    run
        With everything decided.
    array
        The result, for dask.
    most_kept
        Bytes of parts that are kept once they were computed.
    """

    def __init__(self, image: Any, settings: DenoiseSettings, decided: Decided | None = None) -> None:
        self._image, self._settings, self.most_kept = image, settings, KEPT
        self.run: DenoisingRun = prepare_denoising(image, settings)
        self._travelled = decided is not None
        if decided is not None:
            self.run = decided.applied_to(self.run)
        self.dtype = self._prepare()
        # two locks: who asks what is there must not wait for what is being computed
        self._computing, self._looking = Lock(), Lock()
        self._kept: OrderedDict[Part, np.ndarray] = OrderedDict()
        self._name = f"{type(self).__name__}-{uuid4().hex}"
        ndim = len(self.run.shape)
        self.array: da.Array = da.map_blocks(
            _part,
            # one task that all others need: it travels to each process once, not with every part
            of=delayed(self, name=f"opened-{self._name}", traverse=False),
            name=self._name,
            chunks=self._chunks(),
            dtype=self.dtype,
            meta=np.empty((0,) * ndim, self.dtype),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process prepares its own, once: neither networks nor locks travel."""
        return _opened_here, (self._name, type(self), self._image, self._how(), Decided.of(self.run))

    def _how(self) -> tuple[Any, ...]:
        """What was given beside the image."""
        return (self._settings,)

    def _prepare(self) -> np.dtype[Any]:
        """Get ready to compute parts; the dtype that they will have."""
        self._regions = Regions(self.run)
        return self.run.dtype

    def _chunks(self) -> tuple[tuple[int, ...], ...]:
        layout = self.run.layout
        inside = (layout.rows, layout.columns)
        return tuple(_cut(length) if axis in inside else (1,) * length for axis, length in enumerate(layout.shape))

    def part(self, where: Part) -> np.ndarray:
        """The result from start to stop along each axis, one of the parts that it is cut into; not to be written to."""
        values = self.kept(where)
        if values is None:
            with self._computing:
                values = self.kept(where)  # somebody else may have computed it meanwhile
                if values is None:
                    values = self._part(where)
                    self._keep(where, values)
        return values

    def kept(self, where: Part) -> np.ndarray | None:
        """A part if it is there; None, at once, if it would have to be computed."""
        with self._looking:
            if where in self._kept:
                self._kept.move_to_end(where)
            return self._kept.get(where)

    def parts_in(self, window: Sequence[slice]) -> list[Part]:
        """All parts that a window of the array touches, in its order."""
        return list(product(*(_touched(lengths, along) for lengths, along in zip(self.array.chunks, window, strict=True))))

    def _part(self, where: Part) -> np.ndarray:
        layout = self.run.layout
        window = slice(*where[layout.rows]), slice(*where[layout.columns])
        region = self._regions.compute(layout.plane_at(tuple(start for start, _ in where)), window)
        values = layout.to_image(region.at(self.run.settings.strength))
        return values.reshape([stop - start for start, stop in where])

    def _keep(self, where: Part, values: np.ndarray) -> None:
        values.flags.writeable = False  # it is handed out again
        most = 0 if self._travelled else self.most_kept  # workers hand over what they made, and dask keeps it
        with self._looking:
            self._kept[where] = values
            while len(self._kept) > 1 and sum(kept.nbytes for kept in self._kept.values()) > most:
                self._kept.popitem(last=False)


class LazyErrorBars(LazyResult):
    """The same of the error bars of a result.

    Parameters
    ----------
    image, settings, decided
        As of `LazyResult`.
    noise
        Of the image.  None: it is found.
    """

    def __init__(self, image: Any, settings: DenoiseSettings, noise: NoiseModel | None, decided: Decided | None = None) -> None:
        self._noise = noise
        super().__init__(image, settings, decided)

    def _how(self) -> tuple[Any, ...]:
        return self._settings, self._noise

    def _prepare(self) -> np.dtype[Any]:
        error_steps(self.run, self._noise)  # refuses at once what has none
        return np.dtype(np.float32)

    def _part(self, where: Part) -> np.ndarray:
        layout = self.run.layout
        window = slice(*where[layout.rows]), slice(*where[layout.columns])
        found = np.empty([stop - start for start, stop in where], np.float32)
        for step in error_steps(self.run, self._noise, Where(window, tuple(start for start, _ in where))):
            index = (slice(at, at + 1) if isinstance(at, int) else at for at in step.index)
            shifted = tuple(slice(at.start - first, at.stop - first) for at, (first, _) in zip(index, where, strict=True))
            found[shifted] = step.values["error"].reshape(found[shifted].shape)
        return found


def _part(of: LazyResult, block_info: Any = None) -> np.ndarray:
    return of.part(tuple((int(start), int(stop)) for start, stop in block_info[None]["array-location"]))


# results that came from other processes, by name
_here: OrderedDict[str, LazyResult] = OrderedDict()
_opening = Lock()


def _opened_here(name: str, kind: Callable[..., LazyResult], image: Any, how: tuple[Any, ...], decided: Decided) -> LazyResult:
    """A result that came from another process, prepared once, however often it comes."""
    with _opening:
        if name not in _here:
            settle_in_worker()
            _here[name] = kind(ReadHere(image) if isinstance(image, da.Array) else image, *how, decided)
        while len(_here) > MOST_OPEN_HERE:
            _here.popitem(last=False)
        return _here[name]


class ReadHere:
    """A dask array whose windows are read in the thread that asks for them.

    A task that waits for other tasks would wait for ever where all threads are taken by such tasks.
    """

    def __init__(self, array: da.Array) -> None:
        self.array, self.shape, self.dtype, self.ndim = array, array.shape, array.dtype, array.ndim

    def __getitem__(self, index: Any) -> np.ndarray:
        """A window.

        Raises
        ------
        ImageError
            If the array is kept in the memory of workers.
        """
        if any(type(value).__name__ == "Future" for value in self.array.__dask_graph__().values()):
            raise ImageError(
                "image: a dask array that was persisted lies in the memory of other processes; give it as it was before persist(), "
                "or write it as OME-Zarr first."
            )
        return as_pixels(self.array[index].compute(scheduler="synchronous", **UNHEARD))


def _touched(lengths: tuple[int, ...], window: slice) -> list[tuple[int, int]]:
    """Start and stop of the parts along an axis that a window touches."""
    stops = np.cumsum(lengths).tolist()
    spans = zip([0, *stops], stops, strict=False)
    return [(start, stop) for start, stop in spans if start < window.stop and window.start < stop]


def _cut(length: int) -> tuple[int, ...]:
    if length <= SIDE * 3 // 2:
        return (length,)
    return tuple(min(SIDE, length - start) for start in range(0, length, SIDE))
