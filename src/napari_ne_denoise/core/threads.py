"""How many threads this process was given, for libraries that would take as many as there are processors to pack and unpack pixels."""

from __future__ import annotations

import os
import sys

# what tells a process how many threads it was given: OpenMP's, which torch obeys
GIVEN = "OMP_NUM_THREADS"
# what zarr (when it is imported) and tifffile (when it first packs or unpacks) ask
PACKING = ("ZARR_THREADING__MAX_WORKERS", "TIFFFILE_NUM_THREADS")


def keep_to(threads: int) -> None:
    """Let files be packed and unpacked by so many threads, where nobody has said how many.

    It holds for the whole process: for a worker of a cluster and the command line, and not for a viewer, where others read files too.
    """
    for name in PACKING:
        os.environ.setdefault(name, str(threads))
    if "zarr" in sys.modules:  # it has asked already
        from zarr import config

        if config.get("threading.max_workers") is None:
            config.set({"threading.max_workers": threads})


def keep_to_those_given() -> None:
    """Keep to ``OMP_NUM_THREADS``, if it is set: a job that was given one processor is to use one."""
    threads = os.environ.get(GIVEN, "")
    if threads.isdecimal() and int(threads) > 0:
        keep_to(int(threads))
