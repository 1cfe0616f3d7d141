"""Work in threads, whose findings reach the main thread until it is stopped."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import Any

from napari.qt.threading import GeneratorWorker, create_worker
from napari.utils.notifications import notification_manager, show_warning
from qtpy.QtCore import QThreadPool

from napari_ne_denoise.core.errors import ComputationError, NEDenoiseError, torch_failure
from napari_ne_denoise.core.interruption import Interrupted, interruptibly
from napari_ne_denoise.gui.base.remedies import REMEDIES, in_window
from napari_ne_denoise.gui.base.warned import warnings_of_this_thread

# Those whose thread has not ended. Nobody else may hold them, and a Qt object must not be collected in a thread; nor may who hears of a
# thread go while something is on its way to it: PySide would call it all the same.
_at_work: set["Hearing"] = set()


@dataclass(frozen=True)
class Failed:
    """The work ended early, for a reason that the user can mend."""

    message: str


class Hearing:
    """What the main thread hears of work in a thread, until that is stopped.

    Parameters
    ----------
    found, failed
        As in `Task`.
    """

    def __init__(self, found: Callable[[Any], None], failed: Callable[[str], None]) -> None:
        self._found, self._failed = found, failed
        self._stopped, self._unwanted = False, Event()

    def _begin(self) -> None:
        _at_work.add(self)

    def _end(self) -> None:
        _at_work.discard(self)

    def _receive(self, finding: Any) -> None:
        if self._stopped:
            return
        if isinstance(finding, Failed):
            self._stopped = True
            self._failed(finding.message)
        else:
            self._found(finding)

    def _receive_error(self, error: Exception) -> None:
        if not self._stopped:
            self._stopped = True
            self._failed(f"{type(error).__name__}: {error}")
            # nobody foresaw it: napari offers the traceback for a report
            notification_manager.receive_error(type(error), error, error.__traceback__)


class Task(Hearing):
    """A generator at work in a thread.

    Parameters
    ----------
    title
        What napari calls the work when its window is closed meanwhile.
    work
        A generator function; it runs in the thread and must touch no layer and no widget.
    *arguments
        Of `work`.
    found
        Called on the main thread with everything that `work` yields.
    failed
        Called on the main thread with a message, instead of anything further.
    """

    def __init__(
        self, title: str, work: Callable[..., Iterator[Any]], *arguments: Any, found: Callable[[Any], None], failed: Callable[[str], None]
    ) -> None:
        super().__init__(found, failed)
        self._has_ended = False
        self._before: Task | None = None  # who ends before this begins
        self._next: Task | None = None
        connections = {"yielded": self._receive, "errored": self._receive_error, "warned": self._receive_warning, "finished": self._end}
        titled = _Titled(title, work, self._unwanted, *arguments)
        self._worker = create_worker(titled, _start_thread=False, _connect=connections, _worker_class=_Worker)

    def start(self, after: "Task | None" = None) -> None:
        """Begin, or do so as soon as the thread of another one has ended, which was stopped."""
        if after is None or after._has_ended:
            self._begin()
            self._worker.start()
        else:
            self._before, after._next = after, self

    def stop(self) -> None:
        """Hear nothing more of it; the thread itself ends within a layer of the network.

        superqt's way to stop a generator leaves it as it is, with what it has open, until it is collected; ours is told, and cleans up.
        """
        self._stopped = True
        self._unwanted.set()

    def _end(self) -> None:
        super()._end()
        self._has_ended = True
        if self._next is not None:
            self._next._before = None
            self._next.start()

    def _receive_warning(self, warning: tuple[str]) -> None:
        if not self._stopped:
            show_warning(*warning)


class _Worker(GeneratorWorker[Any, Any, Any]):
    """napari's, but for what concerns the whole process: warnings, of which superqt takes those of all threads, and its end."""

    def work(self) -> Any:
        """Drain the generator; one that napari ends, as it closes its window, cleans up here and now."""
        try:
            return super().work()
        finally:
            self._gen.close()

    def run(self) -> None:
        """What superqt does, in its order."""
        # of work, a RuntimeError has become another one: this is of Qt's objects, which are gone before the last threads of a program
        with suppress(RuntimeError), _beside_others():
            self.started.emit()
            self._running = True
            try:
                with warnings_of_this_thread(lambda text: self.warned.emit((text,))):
                    result = self.work()
                if isinstance(result, RuntimeError):
                    return
                if not self.abort_requested:
                    self.returned.emit(result)
            except Exception as error:
                self.errored.emit(error)
            self._running = False
            self.finished.emit()
            self._finished.emit(self)


@contextmanager
def _beside_others() -> Iterator[None]:
    """Let Qt begin another thread meanwhile: it has as many as there are cores, and a filter would wait for a night's batch."""
    pool = QThreadPool.globalInstance()
    assert pool is not None
    pool.releaseThread()
    try:
        yield
    finally:
        pool.reserveThread()


class _Titled(partial[Iterator[Any]]):
    """A guarded generator function that napari, which prints it, shows by a title."""

    title: str

    def __new__(cls, title: str, work: Callable[..., Iterator[Any]], unwanted: Event, *arguments: Any) -> "_Titled":
        self = super().__new__(cls, guarded, work, unwanted, *arguments)
        self.title = title
        return self

    def __str__(self) -> str:
        return self.title


def guarded(work: Callable[..., Iterator[Any]], unwanted: Event, *arguments: Any, remedies: Mapping[str, str] = REMEDIES) -> Iterator[Any]:
    """What some work yields, until it is unwanted; errors that the user can mend come as `Failed`, with what to do."""
    try:
        yield from interruptibly(unwanted, work(*arguments))
    except Interrupted:
        return
    except NEDenoiseError as error:
        yield Failed(in_window(error, remedies))
    except MemoryError:
        yield Failed(f"There is not enough memory for this; {remedies['memory']}.")
    except Exception as error:
        if torch_fails := torch_failure(error):
            yield Failed(in_window(torch_fails, remedies))
        elif isinstance(error, RuntimeError):
            # superqt takes a RuntimeError in a generator for a deleted worker and drops it
            raise ComputationError(str(error)) from error
        else:
            raise
