"""Where to compute, and how much at once: device and tile size are decided here and nowhere else."""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from threading import RLock

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_ne_denoise.core.errors import DeviceError
from napari_ne_denoise.core.memory import free_memory_of_machine, keep_freed_blocks
from napari_ne_denoise.core.threads import keep_to

# share of the free memory that one tile may take: the rest is for copies, the viewer and others
MEMORY_SHARE = 0.25
# what one tile may take on a CPU however much is free, except where the halo is most of a tile: features of `fast` in half precision then
# have less than 32 MiB, up to which glibc keeps blocks for the next layer; larger ones come from the system anew, emptied by one thread
CPU_WORKSPACE, LARGEST_CPU_WORKSPACE = 380 * 2**20, 3 * 2**30
WIDE_HALO = 0.1  # of a tile's side
LARGEST_TILE = 4096
SMALLEST_TILE = 64

# how torch words it, by system: CUDA and ROCm; Linux; Windows; MPS; libraries of NVIDIA
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "invalid buffer size", "status_alloc_failed")

FULL = "its memory is full; close other programs that use it, or use 'cpu'."

_gpu_in_use = RLock()


@dataclass(frozen=True)
class DeviceReport:
    """What was found about one device.

    Attributes
    ----------
    name
        As torch writes it: "cpu", "cuda:0", "mps".
    label
        As people write it, such as "NVIDIA RTX 4090".
    problem
        Why it cannot be used and what to do about it; None if it can.
    """

    name: str
    label: str
    problem: str | None = None


def list_devices() -> tuple[DeviceReport, ...]:
    """Every device there is, the fastest first; those that fail a smoke test say why.  Found out once a process, unless one was full."""
    reports = _found_devices()
    if any(report.problem == FULL for report in reports):
        _found_devices.cache_clear()
    return reports


@lru_cache(maxsize=1)
def _found_devices() -> tuple[DeviceReport, ...]:
    threads = torch.get_num_threads()
    return (*_cuda_devices(), *_mps_devices(), DeviceReport("cpu", f"CPU ({threads} thread{'s' if threads > 1 else ''})"))


def choose_device(wanted: str = "auto") -> torch.device:
    """The device to compute on.

    Parameters
    ----------
    wanted
        "auto" for the fastest that works, or a name; "cuda" is the first CUDA device.

    Raises
    ------
    DeviceError
        If the named device is missing or fails; the message says why and what there is.
    """
    if wanted == "cpu":  # whatever is wrong with others
        return torch.device("cpu")
    reports = list_devices()
    usable = [report for report in reports if report.problem is None]
    if wanted == "auto":
        return torch.device(usable[0].name)
    name = "cuda:0" if wanted == "cuda" else wanted
    for report in reports:
        if report.name == name or report.name.split(":")[0] == name:
            if report.problem is not None:
                raise DeviceError(f"device={wanted!r}: {report.problem}")
            return torch.device(report.name)
    there = ", ".join(repr(report.name) for report in usable)
    raise DeviceError(f"device={wanted!r}: this machine has no such device; choose from {there}, or 'auto'.")


def choose_tile_size(device: torch.device, floats_per_pixel: float, halo: int) -> int:
    """Side of the kept square that fits into the free memory.

    Parameters
    ----------
    device
        Where the tile is computed.
    floats_per_pixel
        How many numbers the network holds at once for each pixel that is read.
    halo
        Pixels read around the kept square.
    """

    def side(memory: float) -> float:
        return math.sqrt(memory / (4 * floats_per_pixel)) - 2 * halo

    memory = MEMORY_SHARE * free_memory(device)
    affordable = side(memory)
    if device.type == "cpu":
        comfortable = max(side(CPU_WORKSPACE), halo / WIDE_HALO)
        affordable = min(affordable, comfortable, side(LARGEST_CPU_WORKSPACE))
    return int(min(max(affordable, SMALLEST_TILE), LARGEST_TILE))


def free_memory(device: torch.device) -> int:
    """Free memory in bytes, as far as the system tells."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return free_memory_of_machine()


def pixels_at_once(device: torch.device, floats_per_pixel: float, most: float) -> float:
    """How many pixels, of several images, may go through a network together: at most so many, and what fits into the memory of a GPU."""
    return most if device.type == "cpu" else min(most, MEMORY_SHARE * free_memory(device) / (4 * floats_per_pixel))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that a smaller tile might succeed."""
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in text for words in _OUT_OF_MEMORY)


@contextmanager
def computing_on(device: torch.device) -> Iterator[None]:
    """Let one thread at a time compute on a GPU, and a CUDA device compute float32 as float32.

    Metal ends the process where two threads compute; CUDA would take TF32, whose results differ from those of a CPU.
    """
    if device.type == "cpu":
        yield
        return
    with _gpu_in_use, _exact_cudnn() if device.type == "cuda" else nullcontext():
        yield


@contextmanager
def _exact_cudnn() -> Iterator[None]:
    """Let cuDNN compute float32 as float32, and the same each time, whatever others have chosen; its switches are the whole process's."""
    cudnn = torch.backends.cudnn
    if not hasattr(cudnn, "conv"):  # torch before 2.9
        with cudnn.flags(cudnn.enabled, False, deterministic=True, allow_tf32=False):
            yield
        return
    before = cudnn.conv.fp32_precision, cudnn.benchmark, cudnn.deterministic
    cudnn.conv.fp32_precision, cudnn.benchmark, cudnn.deterministic = "ieee", False, True
    try:
        yield
    finally:
        cudnn.conv.fp32_precision, cudnn.benchmark, cudnn.deterministic = before


def release_memory(device: torch.device) -> None:
    """Give cached device memory back to the system."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        with computing_on(device):
            torch.mps.empty_cache()


def settle_in_worker() -> None:
    """In a worker of dask.distributed, let computing and packing take all threads that it was given and no more, and memory it had before.

    Its nanny sets OMP_NUM_THREADS to 1, since it expects as many pieces as threads, while one is computed at a time here; and it has freed
    memory given back at once (`keep_freed_blocks`).  Elsewhere nothing happens.
    """
    if "distributed" not in sys.modules:
        return
    from distributed import get_worker

    try:
        threads = int(get_worker().state.nthreads)
    except ValueError:  # no worker
        return
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    keep_to(threads)
    keep_freed_blocks()


def smoke_test(device: str) -> str | None:
    """Convolve small features on a device and on the CPU; what went wrong, or None if they agree."""
    image = torch.linspace(-1, 1, 2 * 8 * 34 * 36).reshape(2, 8, 34, 36)
    kernel = torch.linspace(-1, 1, 8 * 8 * 4).reshape(8, 8, 2, 2)
    expected = _down_and_up(image, kernel)
    try:
        with computing_on(torch.device(device)):
            found = _down_and_up(image.to(device), kernel.to(device)).cpu()
    except Exception as error:  # whatever a broken driver raises, it is a reason to refuse the device
        return FULL if is_out_of_memory(error) else f"a test computation on it failed ({error}); {_better_than(error)}, or use 'cpu'."
    if not torch.allclose(found, expected, atol=1e-3 * float(expected.abs().max())):
        return "a test computation on it gave a wrong result; update its driver or torch, or use 'cpu'."
    return None


def _down_and_up(x: Tensor, kernel: Tensor) -> Tensor:
    """What our networks do with features: channels last, changed in place in a window, convolved in steps of two."""
    x = x.contiguous(memory_format=torch.channels_last).clone()
    window = x[..., 1:-1, 1:-1]
    window.lerp_(window[:, [1, 0, 3, 2, 5, 4, 7, 6]], 0.3)
    smaller = F.conv2d(window.contiguous(memory_format=torch.channels_last), kernel, stride=2)
    return F.conv_transpose2d(smaller, kernel, stride=2)


def _better_than(error: Exception) -> str:
    """What may help against what a driver says."""
    if any(words in str(error) for words in ("no kernel image", "unable to find an engine")):
        return "this build of torch has no code for it, and one for an older CUDA may have, such as 12.6: pytorch.org/get-started"
    return "update its driver or torch"


def _cuda_devices() -> Iterator[DeviceReport]:
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            try:
                label = torch.cuda.get_device_name(number)
            except Exception as error:  # CUDA does not start: a card that went away, a driver that was replaced
                problem = f"CUDA does not start on it ({error}); restart the computer, or update its driver, or use 'cpu'."
                yield DeviceReport(f"cuda:{number}", "CUDA device", problem)
                continue
            yield DeviceReport(f"cuda:{number}", label, smoke_test(f"cuda:{number}"))
    elif shutil.which("nvidia-smi"):
        yield DeviceReport("cuda:0", "NVIDIA card", f"an NVIDIA card was found, but torch {torch.__version__} {_why_no_cuda()}")


def _why_no_cuda() -> str:
    """Why torch does not see the card that a machine has."""
    if not torch.version.cuda:
        built = "a build for AMD cards" if torch.version.hip else "a CPU-only build"
        return f"is {built}; install a CUDA build as pytorch.org/get-started says."
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in ("", "-1"):
        return "may not use it: the variable CUDA_VISIBLE_DEVICES hides it; remove it, and start again."
    try:
        torch.cuda.init()
        said = f"built for CUDA {torch.version.cuda}"
    except Exception as error:  # in whose words the reason is
        said = str(error).strip().rstrip(".")
    return f"cannot use it ({said}); update its driver, and restart the computer."


def _mps_devices() -> Iterator[DeviceReport]:
    if torch.backends.mps.is_available():
        yield DeviceReport("mps", "Apple GPU", smoke_test("mps"))
