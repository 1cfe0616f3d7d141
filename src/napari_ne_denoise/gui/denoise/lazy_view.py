"""What a layer shows of a lazy result, as far as it is computed."""

import math
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ne_denoise.core.memory import room_for

if TYPE_CHECKING:
    from napari_ne_denoise.core.lazy import LazyResult, Part

# bytes that the main thread puts together from parts that are there; beyond, it is work for the thread
MOST_AT_ONCE = 2**26
REMEDY = "look at single planes, or close other programs"

Window = tuple[slice, ...]


class LazyView:
    """A window of a lazy result: exact pixels where they are computed, and nothing to be seen where they are not.

    A thread fills it that has its turn, from `begin` to `give_up` or the next `begin`: one that ends late changes nothing any more.

    What is not computed is NaN, which napari leaves transparent, so that the layers below are seen there; as long as there is nothing, the
    picture is one such pixel.  Integers and colours, which have no NaN, are shown when they are complete.

    Parameters
    ----------
    result
        Of what.
    window
        A slice for each axis.
    is_single
        For each axis, whether a number was asked for, so that the picture has no such axis.
    rgb
        Whether the last axis holds colours.
    near
        The pixel whose part is computed first, and what is near it next.

    Attributes
    ----------
    parts, missing
        All that it consists of, and what of these is to be computed.
    reason
        Why it could not be computed; nothing if it can, or was not tried.
    is_seen
        Whether somebody has taken a picture with something in it.
    is_obsolete
        Whether the thread shall end after the part that it computes.
    """

    def __init__(self, result: "LazyResult", window: Window, is_single: tuple[bool, ...], rgb: bool, near: Sequence[float]) -> None:
        self.result, self.window, self.is_single, self._rgb = result, window, is_single, rgb
        self.parts = sorted(result.parts_in(window), key=lambda part: _distance(part, near))
        self.missing = set(self.parts)
        self.reason, self.is_seen, self.is_obsolete = "", False, False
        self._shape = tuple(along.stop - along.start for along in window)
        self._whole: np.ndarray | None = None
        self._turn, self._filling = 0, Lock()
        self._take_kept()

    @property
    def is_complete(self) -> bool:
        """Whether all of it is there."""
        return not self.missing

    @property
    def is_wanted(self) -> bool:
        """Whether something is to be computed, and was not tried in vain."""
        return not self.is_complete and not self.reason

    @property
    def is_begun(self) -> bool:
        """Whether something of it can be seen."""
        return self.is_complete or (self._can_be_partial and len(self.missing) < len(self.parts))

    @property
    def share(self) -> float:
        """How much of it is there, 0 to 1."""
        return 1 - len(self.missing) / len(self.parts)

    @property
    def is_plane(self) -> bool:
        """Whether it is one whole plane, of a colour image with all its colours."""
        layout = self.result.run.layout
        inside = {layout.rows, layout.columns} | ({len(self._shape) - 1} if self._rgb else set())
        lengths = layout.shape[: len(self._shape)]
        return all(got == (whole if axis in inside else 1) for axis, (got, whole) in enumerate(zip(self._shape, lengths, strict=True)))

    def take_picture(self) -> np.ndarray:
        """What is to be seen of it now."""
        if not self.is_begun:
            return self._nothing()
        assert self._whole is not None
        self.is_seen = True
        return self._whole[tuple(0 if single else slice(None) for single in self.is_single)]

    def is_of(self, result: "LazyResult", window: Window, is_single: tuple[bool, ...]) -> bool:
        """Whether it is this window of this result."""
        return self.result is result and self.window == window and self.is_single == is_single

    def begin(self) -> int:
        """Give a turn, with which a thread may `compute`."""
        self.is_obsolete = False
        return self.give_up()

    def give_up(self) -> int:
        """Let no thread that had a turn change anything from now on."""
        with self._filling:
            self._turn += 1
        return self._turn

    def compute(self, turn: int) -> Iterator[bool]:
        """The work of a thread: compute what is missing, part by part, and tell each time whether that was all there is to do.

        Parameters
        ----------
        turn
            As `begin` gave it.

        Raises
        ------
        NEDenoiseError
            If a part cannot be computed, or memory does not hold all of them.
        """
        if len(self.parts) > 1 and self._whole is None:
            whole = self._blank(room_for(self._shape, self.result.dtype, "what the viewer shows", REMEDY))
            with self._filling:
                if turn == self._turn:
                    self._whole = whole
        for part in [part for part in self.parts if part in self.missing]:
            values = self.result.part(part)
            with self._filling:
                if turn != self._turn:
                    return
                self._take(part, values)
            if self.is_obsolete or self.is_complete:
                break
            yield False
        yield True

    def _take_kept(self) -> None:
        """Take what is there already, if that is done in no time."""
        there = [(part, values) for part in self.parts if (values := self.result.kept(part)) is not None]
        size = math.prod(self._shape) * self.result.dtype.itemsize
        if not there or (len(self.parts) > 1 and size > MOST_AT_ONCE):
            return
        if len(self.parts) > 1:
            self._whole = self._blank(np.empty(self._shape, self.result.dtype))
        for part, values in there:
            self._take(part, values)

    def _take(self, part: "Part", values: np.ndarray) -> None:
        overlap = [(max(start, to.start), min(stop, to.stop)) for (start, stop), to in zip(part, self.window, strict=True)]
        inside = tuple(slice(start - first, stop - first) for (start, stop), (first, _) in zip(overlap, part, strict=True))
        if self._whole is None:
            self._whole = values[inside]  # the only part, as it is kept: nothing is copied
        else:
            here = tuple(slice(start - to.start, stop - to.start) for (start, stop), to in zip(overlap, self.window, strict=True))
            self._whole[here] = values[inside]
        self.missing.remove(part)  # last: the main thread looks at this

    def _blank(self, whole: np.ndarray) -> np.ndarray:
        if self._can_be_partial:
            whole.fill(np.nan)
        return whole

    @property
    def _can_be_partial(self) -> bool:
        return not self._rgb and self.result.dtype.kind == "f"

    def _nothing(self) -> np.ndarray:
        """One pixel that nobody sees."""
        axes = self.is_single.count(False)
        if self._rgb:  # with a fourth colour: how opaque it is
            return np.zeros((*(1,) * (axes - 1), 4), self.result.dtype)
        return np.full((1,) * axes, np.nan, np.float32)


def _distance(part: "Part", near: Sequence[float]) -> float:
    """Squared, from the middle of a part to a pixel."""
    return sum(((start + stop - 1) / 2 - at) ** 2 for (start, stop), at in zip(part, near, strict=False))


def window_of(index: Any, shape: tuple[int, ...]) -> tuple[Window, tuple[bool, ...]] | None:
    """The part of an array that an index of numbers and slices asks for, and which axes are to vanish; None for any other index.

    Parameters
    ----------
    index
        As napari slices layers.
    shape
        Of the array.
    """
    given = index if isinstance(index, tuple) else (index,)
    if len(given) > len(shape):
        return None
    window, is_single = [], []
    for at, length in zip((*given, *(slice(None),) * (len(shape) - len(given))), shape, strict=True):
        if isinstance(at, slice):
            start, stop, step = at.indices(length)
            if step != 1 or start >= stop:
                return None
            window.append(slice(start, stop))
        elif isinstance(at, int | np.integer) and 0 <= at < length:
            window.append(slice(int(at), int(at) + 1))
        else:
            return None
        is_single.append(not isinstance(at, slice))
    return tuple(window), tuple(is_single)
