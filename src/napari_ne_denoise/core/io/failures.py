"""What goes wrong with files, in one form."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_ne_denoise.core.errors import FileError, reason_of

TOO_LARGE = "is too large for the memory of this machine; cut it into parts."
_HELD = (5, 32)  # how Windows says that access is denied, and that another process uses it
NOT_WRITTEN = "could not be written", "nothing was left of it"


@contextmanager
def failures_named(path: Path, what: str, remedy: str) -> Iterator[None]:
    """Turn whatever a reader or writer of a format raises into an error that names the file."""
    try:
        yield
    except FileError:
        raise
    except MemoryError as error:
        raise FileError(f"{path}: {TOO_LARGE}") from error
    except PermissionError as error:
        raise FileError(f"{path}: {what}: {_who_denies(error)}.") from error
    except Exception as error:  # readers raise many kinds for damaged files; the user needs one
        raise FileError(f"{path}: {_said(error, what, remedy)}") from error


def is_held(error: OSError) -> bool:
    """Whether Windows refuses something since another program has it open, as far as it tells that from a right that lacks."""
    return getattr(error, "winerror", None) in _HELD


def why(error: OSError) -> str:
    """What kept a file or a folder from its name."""
    return "it, or what has its name, is open in another program" if is_held(error) else reason_of(error)


def _who_denies(error: PermissionError) -> str:
    if is_held(error):
        return "it is open in another program; close it there, or choose another folder"
    return "permission denied; ask for the right to it, or choose another folder"


def _said(error: Exception, what: str, remedy: str) -> str:
    return TOO_LARGE if getattr(error, "errno", None) == errno.ENOMEM else f"{what} ({reason_of(error)}); {remedy}."
