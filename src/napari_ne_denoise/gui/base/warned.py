"""Warnings of a thread, for whoever waits for it."""

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

# every time, not only the first time that one is given
_ALWAYS: Any = ("always", None, UserWarning, None, 0)

_changing = threading.Lock()
_hearing: dict[int, Callable[[str], None]] = {}
_elsewhere: Callable[..., None] = warnings.showwarning
_filter_is_ours = False


@contextmanager
def warnings_of_this_thread(hear: Callable[[str], None]) -> Iterator[None]:
    """Hand the warnings of this thread that are for users to somebody, and those of other threads to whom they went before.

    Python has one place for the warnings of all threads, and `warnings.catch_warnings` puts back what was there when it began: of two that
    overlap, the one that ends last puts the other one's back, for good.  Here the first one takes the place, and the last one leaves it.

    Parameters
    ----------
    hear
        Called in this thread, with the text.
    """
    with _changing:
        if not _hearing:
            _take_place()
        _hearing[threading.get_ident()] = hear
    try:
        yield
    finally:
        with _changing:
            del _hearing[threading.get_ident()]
            if not _hearing:
                _leave_place()


def _take_place() -> None:
    global _elsewhere, _filter_is_ours
    if warnings.showwarning is not _tell:  # somebody may have put it back after it was left
        _elsewhere, warnings.showwarning = warnings.showwarning, _tell
    _filter_is_ours = _ALWAYS not in warnings.filters
    if _filter_is_ours:
        warnings.simplefilter("always", UserWarning)


def _leave_place() -> None:
    if warnings.showwarning is _tell:
        warnings.showwarning = _elsewhere
    if _filter_is_ours:
        with suppress(ValueError):  # somebody has put others in their place
            warnings.filters.remove(_ALWAYS)  # type: ignore[attr-defined]  # of a list, whatever is said of it


def _tell(message: Warning | str, category: type[Warning], *where: Any, **how: Any) -> None:
    hear = _hearing.get(threading.get_ident())
    if hear is None:
        _elsewhere(message, category, *where, **how)
    elif category is UserWarning:  # others are for programmers
        hear(str(message))
