"""What the process keeps of the memory that it has used."""

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from napari_ne_denoise.core.memory import keep_freed_blocks

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(2**18)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

as_it_was = faults()
keep_freed_blocks()
for _ in range(3):
    faults()
print(as_it_was, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc that dask's workers are told to give memory back by")
def test_freed_memory_is_kept_where_dask_has_it_given_back():
    workers = os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"}
    done = subprocess.run([sys.executable, "-c", FAULTS], env=workers, capture_output=True, text=True, check=True)
    as_it_was, kept = map(int, done.stdout.split())
    assert as_it_was > 20 * 256  # each array of 2 MiB is fetched anew, page by page
    assert kept < as_it_was / 2, done.stdout
