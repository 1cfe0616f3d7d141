"""Work that waits most of its life, in a thread of its own."""

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from qtpy.QtCore import QObject, Qt, Signal

from napari_ne_denoise.gui.base.remedies import REMEDIES
from napari_ne_denoise.gui.base.workers import Hearing, guarded

# how far a thread stands back behind the window where both want a processor core (Linux; 19 is farthest)
NICENESS = 10


class _Post(QObject):
    """Carries what a thread found to the main thread."""

    found = Signal(object)
    broken = Signal(object)
    ended = Signal()


class LongTask(Hearing):
    """A generator at work in a thread that it has for itself, as long as it takes.

    A `Task` would keep one of Qt's few threads from everybody else, and superqt, which runs it, gathers the warnings of the whole process
    meanwhile.

    Parameters
    ----------
    title
        Name of the thread.
    work
        A generator function; it runs in the thread and must touch no layer and no widget.
    *arguments
        Of `work`.
    found
        Called on the main thread with everything that `work` yields.
    failed
        Called on the main thread with a message, instead of anything further.
    remedies
        What to do about errors, by what mends them, where that is not what any dock would say.
    """

    def __init__(
        self,
        title: str,
        work: Callable[..., Iterator[Any]],
        *arguments: Any,
        found: Callable[[Any], None],
        failed: Callable[[str], None],
        remedies: Mapping[str, str] = REMEDIES,
    ) -> None:
        super().__init__(found, failed)
        self._post = _Post()
        for signal, slot in ((self._post.found, self._receive), (self._post.broken, self._receive_error), (self._post.ended, self._end)):
            signal.connect(slot, Qt.ConnectionType.QueuedConnection)
        # a daemon: a program that ends does not wait for a file that is being read
        work_guarded = partial(guarded, work, self._unwanted, *arguments, remedies=remedies)
        self._thread = threading.Thread(target=_run, args=(self._post, work_guarded), name=title, daemon=True)

    @property
    def is_alive(self) -> bool:
        """Whether the thread has not ended."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        self._begin()
        self._thread.start()

    def stop(self) -> None:
        """Hear nothing more of it; the thread itself ends within a layer of the network, or when it stops waiting."""
        self._stopped = True
        self._unwanted.set()


def give_way() -> None:
    """Let the window have a processor core first: this thread, and those that torch starts for it, come second, for good."""
    if sys.platform == "linux":  # elsewhere a thread has no niceness of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def giving_way(work: Callable[..., Iterator[Any]], *arguments: Any) -> Iterator[Any]:
    """Some work in a thread of its own that gives way to the window."""
    give_way()
    yield from work(*arguments)


def _run(post: _Post, work: Callable[[], Iterator[Any]]) -> None:
    # work raises other ones: this is of Qt's objects, which are gone before the last threads of a program
    with suppress(RuntimeError):
        try:
            for finding in work():
                post.found.emit(finding)
        except Exception as error:
            post.broken.emit(error)
        finally:
            post.ended.emit()
