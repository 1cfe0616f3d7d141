"""What the process keeps of the memory that it has used."""

import builtins
import os
import platform
import subprocess
import sys

import psutil
import pytest
import torch

from napari_ne_denoise import load_denoiser
from napari_ne_denoise.core import device as devices
from napari_ne_denoise.core import memory

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


def test_features_of_a_tile_are_no_larger_than_what_the_system_lets_a_process_keep(monkeypatch):
    monkeypatch.setattr(devices, "free_memory", lambda _: 2**40)
    denoiser, cpu, largest = load_denoiser("fast"), torch.device("cpu"), 0
    network = denoiser.on(cpu, torch.bfloat16)
    read = devices.choose_tile_size(cpu, denoiser.network.floats_per_pixel, denoiser.grid.halo) + 2 * denoiser.grid.halo

    def look(_module, _given, made):
        nonlocal largest
        largest = max(largest, made.nbytes if isinstance(made, torch.Tensor) else 0)

    hooks = [module.register_forward_hook(look) for module in network.modules()]
    with torch.inference_mode():
        network(torch.zeros(1, 1, read, read, dtype=torch.bfloat16), None, torch.zeros(1))
    for hook in hooks:
        hook.remove()
    assert 30 * 2**20 < largest < 32 * 2**20


def test_free_memory_is_known_where_there_is_no_proc(monkeypatch):
    def open_elsewhere(name, *how, **more):
        if str(name).startswith("/proc"):
            raise FileNotFoundError(name)
        return builtins_open(name, *how, **more)

    builtins_open = builtins.open
    with monkeypatch.context() as patch:
        patch.setattr(psutil, "virtual_memory", lambda: type("Found", (), {"available": 123 * 10**6}))
        patch.setattr(builtins, "open", open_elsewhere)
        free = memory.free_memory_of_machine()
    assert free == 123 * 10**6
