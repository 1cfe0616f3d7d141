"""What libraries only log while they read a file, although it may be damage."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_changing = threading.Lock()


@dataclass(frozen=True, eq=False)
class _Reading:
    """The reading of one file: in which thread, and what was said of it."""

    thread: int = field(default_factory=threading.get_ident)
    messages: list[str] = field(default_factory=list)


class _Listener(logging.Handler):
    """Hands what a library says to whoever reads in the thread that says it: loggers are of the whole process, and so are their messages.

    What the main thread says while it reads nothing for us, napari hears, which opens files there.  The threads in which a library unpacks
    pixels belong to nobody: what they say, all hear that read.
    """

    def __init__(self, name: str) -> None:
        super().__init__(logging.WARNING)
        self._logger = logging.getLogger(name)
        self._readings: list[_Reading] = []
        self._propagates = True

    def begin(self, reading: _Reading) -> None:
        """Hear what is said of a file too; nobody else hears it."""
        with _changing:
            if not self._readings:
                self._propagates, self._logger.propagate = self._logger.propagate, False
                self._logger.addHandler(self)
            self._readings = [*self._readings, reading]

    def end(self, reading: _Reading) -> None:
        """It was read; after the last one all is as it was."""
        with _changing:
            self._readings = [other for other in self._readings if other is not reading]
            if not self._readings:
                self._logger.removeHandler(self)
                self._logger.propagate = self._propagates

    def emit(self, record: logging.LogRecord) -> None:
        readings = self._readings
        here = [reading for reading in readings if reading.thread == record.thread]
        if not here and record.thread == threading.main_thread().ident:
            logging.getLogger().handle(record)  # where it would have gone
            return
        for reading in here or readings:
            reading.messages.append(record.getMessage())


_listeners: dict[str, _Listener] = {}


@contextmanager
def logged_by(*names: str) -> Iterator[list[str]]:
    """What some libraries say in this thread, which then appears nowhere else."""
    reading, listeners = _Reading(), [_listeners.setdefault(name, _Listener(name)) for name in names]
    for listener in listeners:
        listener.begin(reading)
    try:
        yield reading.messages
    finally:
        for listener in listeners:
            listener.end(reading)
