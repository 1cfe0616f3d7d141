"""What goes wrong with files, in one form."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_ne_denoise.core.errors import FileError

NOT_WRITTEN = "could not be written", "nothing was left of it"


@contextmanager
def failures_named(path: Path, what: str, remedy: str) -> Iterator[None]:
    """Turn whatever a reader or writer of a format raises into an error that names the file."""
    try:
        yield
    except FileError:
        raise
    except MemoryError as error:
        raise FileError(f"{path}: is too large for the memory of this machine; cut it into parts.") from error
    except PermissionError as error:
        raise FileError(f"{path}: {what}: permission denied; ask for the right to it, or choose another folder.") from error
    except Exception as error:  # readers raise many kinds for damaged files; the user needs one
        reason = "the disk is full" if getattr(error, "errno", None) == errno.ENOSPC else f"{error}" or type(error).__name__
        raise FileError(f"{path}: {what} ({reason}); {remedy}.") from error
