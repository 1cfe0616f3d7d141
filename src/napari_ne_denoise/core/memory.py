"""How much memory this process may still take."""

from __future__ import annotations

import ctypes
import math
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from napari_ne_denoise.core.errors import ImageError

# of glibc's mallopt, and the largest block that it would come to keep by itself
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_KEPT = 32 * 2**20


def room_for(shape: tuple[int, ...], dtype: np.dtype[Any], what: str, remedy: str) -> np.ndarray:
    """An array to be filled, if the free memory holds it: asked for before anything is computed, not when the system ends the process.

    Parameters
    ----------
    shape, dtype
        Of the array.
    what, remedy
        What it is for, and what to do instead, in words.

    Raises
    ------
    ImageError
        With what it needs and what is free.
    """
    size, free = math.prod(shape) * dtype.itemsize, free_memory_of_machine()
    if size > free:
        raise ImageError(f"shape {shape}: {what} needs {in_words(size)} of memory, and {in_words(free)} are free; {remedy}.")
    return np.empty(shape, dtype)


def in_words(size: float) -> str:
    """Bytes as people say them, such as "8.6 GB"."""
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} PB"


def free_memory_of_machine() -> int:
    """Free memory in bytes, as far as the system tells."""
    try:
        with open("/proc/meminfo") as lines:
            free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):  # Windows and macOS tell in ways of their own
        import psutil

        free = int(psutil.virtual_memory().available)
    return min(free, _left_in_container(), _left_to_process())


def keep_freed_blocks() -> None:
    """Let this process keep memory that it has freed, for what it needs next, as glibc does by itself.

    dask starts workers with ``MALLOC_TRIM_THRESHOLD_=65536``, which takes that from them: each tensor is then given back to the system,
    fetched again, and emptied by it.  Nothing happens on other systems.
    """
    with suppress(OSError, AttributeError, TypeError):
        set_option = ctypes.CDLL(None).mallopt
        for option, size in ((_TRIM_THRESHOLD, 2 * _LARGEST_KEPT), (_MMAP_THRESHOLD, _LARGEST_KEPT)):
            set_option(option, size)


def _left_in_container() -> int:
    """What a container or a batch system lets this process still take, in bytes; going beyond would end it."""
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        # what was read from files and is not in use any more is given up when somebody needs the room
        statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return max(0, limit - used + int(statistics.get("inactive_file", 0)))
    except (OSError, ValueError):  # there is no limit
        return sys.maxsize


def _left_to_process() -> int:
    """What a limit of the process itself (``ulimit -v``, which batch systems set) lets it still take, in bytes."""
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError, ValueError):
        return sys.maxsize
    return sys.maxsize if limit == resource.RLIM_INFINITY else max(0, limit - pages * resource.getpagesize())
