"""Files and folders that are there completely, or not at all: written under a temporary name, which becomes theirs in the end."""

from __future__ import annotations

import glob
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from napari_ne_denoise.core.errors import FileError
from napari_ne_denoise.core.io.failures import is_held, why
from napari_ne_denoise.core.io.names import nowhere_else, stem

PATIENCE = 5.0  # seconds until Windows must have let go of what a scanner looks at
LEFT_OVER = 3600.0  # seconds without a change after which nobody is at work on something any more, whatever clocks differ


@contextmanager
def complete_or_absent(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """A temporary name beside `path`, which becomes `path` if all goes well, and vanishes if not.

    Raises
    ------
    FileError
        If something has the name by now, and may not be replaced; what was written is under a free name then.
    """
    temporary = _beside(path, "part")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        _refuse_what_came_meanwhile(temporary, path, overwrite=overwrite)
        move(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder_complete_or_absent(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """A temporary name beside `path` for a folder, which becomes `path` if all goes well, and vanishes if not.

    Raises
    ------
    FileError
        If something has the name by now, and may not be replaced, or cannot be; the folder, which may have taken hours, stays then under a
        name that the error tells.
    """
    temporary = _beside(path, "part")
    try:
        yield temporary
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _refuse_what_came_meanwhile(temporary, path, overwrite=overwrite)
    _name_folder(temporary, path)


def put_back(path: Path) -> None:
    """Give what was about to be replaced its name again, where a process was killed before something else had it."""
    for old in _left_beside(path, "old"):
        _settle(old, path)


def clear_leftovers(path: Path, *more: str) -> None:
    """Remove what processes that were killed left of a file or folder under temporary names, and of others that match so many patterns.

    What is young stays, unless it is of a process of this machine that is dead: somebody may be at work on it.
    """
    for left in (*_left_beside(path, "part"), *(found for pattern in more for found in path.parent.glob(pattern) if _is_abandoned(found))):
        with suppress(OSError):
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink()


def move(old: Path, new: Path) -> None:
    """Give a file or a folder another name, in place of the file that has it, once other programs have let go of both."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return os.replace(old, new)
        except PermissionError as error:
            if not is_held(error) or time.monotonic() > until:
                raise
        time.sleep(0.1)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(f".{path.name}.{nowhere_else()}.{ending}")


def _left_beside(path: Path, ending: str) -> list[Path]:
    return [found for found in sorted(path.parent.glob(f".{glob.escape(path.name)}.*.{ending}")) if _is_abandoned(found)]


def _is_abandoned(path: Path) -> bool:
    """Whether whoever took a name, as `nowhere_else` gives it, is not at work any more, as far as that can be known."""
    import psutil

    mine = re.search(rf"\.{re.escape(socket.gethostname())}-(\d+)-\w+\.\w+$", path.name)
    if mine and not psutil.pid_exists(int(mine[1])):
        return True
    try:
        return time.time() - max(found.stat().st_mtime for found in (path, *path.rglob("*"))) > LEFT_OVER
    except OSError:  # somebody moves it, or files in it
        return False


def _refuse_what_came_meanwhile(finished: Path, path: Path, *, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise FileError(f"{path}: exists by now, and is not replaced; what was to get its name is {_kept(finished, path)}.")


def _name_folder(finished: Path, path: Path) -> None:
    old = _beside(path, "old")
    try:
        if path.exists():
            move(path, old)
        move(finished, path)
    except OSError as error:
        kept = _kept(finished, path)
        raise FileError(f"{path}: could not get its name ({why(error)}); it is complete, and is {kept} until you move it.") from error
    finally:
        _settle(old, path)


def _settle(old: Path, path: Path) -> None:
    """Remove what was replaced, or give it its name again."""
    if path.exists():
        shutil.rmtree(old, ignore_errors=True)
    else:
        with suppress(OSError):
            os.replace(old, path)


def _kept(finished: Path, path: Path) -> Path:
    """Where stays what cannot have its name: under a free one beside it, if it can be moved."""
    ending = path.name[len(stem(path)) :]
    free = next(name for number in count(2) if not (name := path.with_name(f"{stem(path)}_{number}{ending}")).exists())
    try:
        move(finished, free)
    except OSError:
        return finished
    return free
