"""Threads, whenever they are late: what they share with the whole process, and what they find when it ends."""

import gc
import importlib
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Iterator
from textwrap import dedent

import pytest
from qtpy.QtCore import QThreadPool

from napari_ne_denoise.gui.base.long_task import LongTask
from napari_ne_denoise.gui.base.workers import Task, guarded

TEXT = "there are few digits left"


class Held:
    """The work of a thread that warns, if there is a text, and then waits until it may go on."""

    def __init__(self, text: str = TEXT) -> None:
        self.text, self.has_begun, self.may_end, self.has_ended = text, threading.Event(), threading.Event(), False
        self.task = Task("held", self.work, found=self._take, failed=pytest.fail)

    def work(self) -> Iterator[None]:
        """Of the thread."""
        for category in (UserWarning, DeprecationWarning) if self.text else ():
            warnings.warn(self.text, category, stacklevel=1)
        self.has_begun.set()
        assert self.may_end.wait(60)
        yield None

    def _take(self, _: None) -> None:
        self.has_ended = True


def test_a_torch_that_cannot_be_loaded_is_told_in_words(broken_torch):
    def work():
        yield importlib.import_module("torch")

    broken_torch('error = OSError(22, "initialization failed. Error loading c10.dll"); error.winerror = 1114; raise error')
    (failed,) = guarded(work, threading.Event())
    assert "Error loading c10.dll" in failed.message
    assert "https://aka.ms/vc14/vc_redist.x64.exe" in failed.message


@pytest.mark.parametrize("last", [0, 1])
def test_threads_that_overlap_leave_the_warnings_of_the_process_alone(until, no_thread_left, two_threads, told, last):
    elsewhere: list[str] = []
    works = [Held(), Held()]
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = lambda message, *_, **__: elsewhere.append(str(message))
        before = warnings.showwarning, list(warnings.filters)
        for work in works:
            work.task.start()
            until(work.has_begun.is_set)
        warnings.warn("of this thread", UserWarning, stacklevel=1)
        for work in (works[1 - last], works[last]):
            work.may_end.set()
            until(lambda work=work: work.has_ended)
        no_thread_left()
        assert (warnings.showwarning, list(warnings.filters)) == before
    assert told == [TEXT, TEXT]
    assert elsewhere == ["of this thread"]


def test_work_begins_however_many_are_at_work(until, no_thread_left):
    """Qt has as many threads as there are cores: a batch and a result could hold them all."""
    works = [Held(text="") for _ in range(QThreadPool.globalInstance().maxThreadCount() + 2)]
    try:
        for work in works:
            work.task.start()
        until(lambda: all(work.has_begun.is_set() for work in works))
    finally:
        for work in works:
            work.may_end.set()
        no_thread_left()
    until(lambda: all(work.has_ended for work in works))
    assert QThreadPool.globalInstance().activeThreadCount() == 0


@pytest.mark.parametrize("kind", [Task, LongTask])
def test_who_hears_of_a_thread_is_there_until_it_has_ended(until, no_thread_left, kind):
    """Nobody else may hold it, as when a dock takes its results and forgets it; PySide calls it all the same, and ends the program."""
    may_end, found = threading.Event(), []

    def work() -> Iterator[str]:
        yield "begun"
        assert may_end.wait(60)
        yield "ended"

    task = kind("held", work, found=found.append, failed=pytest.fail)
    task.start()
    of_task = weakref.ref(task)
    del task
    until(lambda: found == ["begun"])
    gc.collect()
    may_end.set()
    until(lambda: of_task() is None)
    assert found == ["begun", "ended"]
    no_thread_left()


def test_a_thread_that_napari_ends_cleans_up_itself(until, no_thread_left):
    """As it does when its window is closed: nobody may be there who would collect what is left, a half-written file for instance."""
    begun, may_go_on, cleaned = threading.Event(), threading.Event(), []

    def work() -> Iterator[None]:
        try:
            begun.set()
            assert may_go_on.wait(60)
            yield None
            raise AssertionError("it was to end")
        finally:
            cleaned.append(threading.current_thread())

    task = Task("held", work, found=print, failed=pytest.fail)
    task.start()
    until(begun.is_set)
    task._worker.quit()
    may_go_on.set()
    assert QThreadPool.globalInstance().waitForDone(60_000)
    assert len(cleaned) == 1
    assert cleaned[0] is not threading.main_thread()


def test_threads_that_outlive_what_qt_had_end_quietly():
    """One is at work when Qt's objects go, another one begins only then, the third has a thread of its own."""
    program = """
        import sys, threading, time
        from qtpy.compat import isalive
        from qtpy.QtCore import QThreadPool
        from qtpy.QtWidgets import QApplication
        from napari_ne_denoise.gui.base.long_task import LongTask
        from napari_ne_denoise.gui.base.workers import Task
        application = QApplication(["", "-platform", "offscreen"])
        QThreadPool.globalInstance().setMaxThreadCount(1)
        tasks, begun = [], [threading.Event() for _ in range(3)]
        def work(number):
            what = tasks[number]._post if number == 2 else tasks[number]._worker.signals
            begun[number].set()
            while isalive(what):
                time.sleep(0.01)
            yield None
        tasks += [kind("late", work, number, found=print, failed=print) for number, kind in enumerate((Task, Task, LongTask))]
        for task in tasks:
            task.start()
        for number in (0, 2):
            begun[number].wait()
        sys.exit(7)
    """
    ended = subprocess.run([sys.executable, "-c", dedent(program)], capture_output=True, text=True, timeout=300)
    assert ended.stderr == ""
    assert ended.returncode == 7
