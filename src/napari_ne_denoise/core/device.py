"""Where to compute, and how much at once: device and tile size are decided here and nowhere else."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock

import torch
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

_cudnn_switch = Lock()


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


@lru_cache(maxsize=1)
def list_devices() -> tuple[DeviceReport, ...]:
    """Every device there is, the fastest first; those that fail a smoke test say why.  Found out once a process."""
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
    """Free memory in bytes, as far as the system tells; 4 GiB where it does not."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return free_memory_of_machine()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that a smaller tile might succeed."""
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in text for words in _OUT_OF_MEMORY)


@contextmanager
def exact_float32(device: torch.device) -> Iterator[None]:
    """Let a CUDA device compute float32 as float32, not as TF32, whose results differ from those of a CPU.

    torch has only a switch for the whole process: it is held for one computation at a time and set back.
    """
    if device.type != "cuda":
        yield
        return
    cudnn = torch.backends.cudnn
    with _cudnn_switch, cudnn.flags(cudnn.enabled, cudnn.benchmark, deterministic=cudnn.deterministic, allow_tf32=False):
        yield


def release_memory(device: torch.device) -> None:
    """Give cached device memory back to the system."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
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
    """Convolve a small image on a device and on the CPU; what went wrong, or None if they agree."""
    image = torch.linspace(-1, 1, 32 * 32).reshape(1, 1, 32, 32)
    kernel = torch.linspace(-1, 1, 9).reshape(1, 1, 3, 3)
    expected = F.conv2d(image, kernel, padding=1)
    try:
        found = F.conv2d(image.to(device), kernel.to(device), padding=1).cpu()
    except Exception as error:  # whatever a broken driver raises, it is a reason to refuse the device
        return f"a test computation on it failed ({error}); update its driver or torch, or use 'cpu'."
    if not torch.allclose(found, expected, atol=1e-3):
        return "a test computation on it gave a wrong result; update its driver or torch, or use 'cpu'."
    return None


def _cuda_devices() -> Iterator[DeviceReport]:
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            yield DeviceReport(f"cuda:{number}", torch.cuda.get_device_name(number), smoke_test(f"cuda:{number}"))
    elif shutil.which("nvidia-smi"):
        built = torch.version.cuda
        found = f"an NVIDIA card was found, but torch {torch.__version__}"
        problem = (
            f"{found} cannot use it: its driver is older than CUDA {built} needs; update the driver."
            if built
            else f"{found} is a CPU-only build; install a CUDA build as pytorch.org/get-started says."
        )
        yield DeviceReport("cuda:0", "NVIDIA card", problem)


def _mps_devices() -> Iterator[DeviceReport]:
    if torch.backends.mps.is_available():
        yield DeviceReport("mps", "Apple GPU", smoke_test("mps"))
