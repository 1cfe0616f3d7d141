"""What might make `fast` faster on a CPU, each against what is shipped, turn by turn.

``python -m benchmarks trials [SUBJECT ...]`` prints it.  What paid is in the package; what did not is written down in
docs/performance.md.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from statistics import median

import torch
from torch import Tensor, nn

from benchmarks.images import noisy_plane
from benchmarks.machine import describe, quiet_load
from benchmarks.report import Table
from benchmarks.speed import operations
from benchmarks.speed.packing import packing
from benchmarks.speed.processes import in_fresh_process
from benchmarks.speed.timing import interleaved, median_ratio, seconds
from napari_ne_denoise import load_denoiser
from napari_ne_denoise.core.networks.folding import FixedResidual
from napari_ne_denoise.core.precision import HALVES, is_faster

SIDE = 1024  # of the image for whole networks
# sides and channels of the features for single operations: the finest levels of `fast` and of the paper's networks
FINEST = ((512, 32), (512, 64))
COARSER = ((256, 64), (256, 128))
BORDERS = ((384, 64), (512, 64))
WIDTHS = tuple(base + more for base in (256, 512) for more in (0, 2, 4, 6, 8, 16, 32))
LARGE = 2048  # of an image whose features are too large for torch to keep
TILES = (1024, 512, 2048)
PROCESSES = 3  # with either size of pages
ORDER = 2048  # of the matrices that tell how fast the processor is


class LerpCopy(nn.Module):
    """The residual in new memory."""

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Of one shape."""
        return torch.lerp(residual, x, self.alpha)


def replaced(network: nn.Module, kind: type[nn.Module], build: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """The network with all modules of a kind replaced, in place."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, kind):
                setattr(parent, name, build(child))
    return network


def trials(dtype: torch.dtype) -> dict[str, Callable[[], Callable[[Tensor], Tensor]]]:
    """What makes each network, by name; the first is what is shipped."""

    def fresh() -> nn.Module:
        ready: nn.Module = load_denoiser("fast").network.for_inference().to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return ready

    return {
        "shipped": fresh,
        "residual out of place": lambda: replaced(fresh(), FixedResidual, lambda part: LerpCopy(float(part.alpha))),  # type: ignore[arg-type]
        "contiguous instead of channels_last": lambda: fresh().to(memory_format=torch.contiguous_format),  # type: ignore[call-overload]
        "torch.jit.trace, frozen": lambda: traced(fresh(), dtype),
        "torch.compile": lambda: torch.compile(fresh(), dynamic=False),
    }


def traced(network: nn.Module, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """The network as TorchScript with its weights as constants."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # the image has one size here
        warnings.simplefilter("ignore", DeprecationWarning)  # torch recommends `torch.compile`, which is tried too
        script = torch.jit.trace(network, torch.zeros(1, 1, SIDE, SIDE, dtype=dtype), check_trace=False)
        frozen: Callable[[Tensor], Tensor] = torch.jit.freeze(script)
    return frozen


@torch.inference_mode()
def _run(network: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    return network(image)


def dtypes() -> Iterator[torch.dtype]:
    """float32, and the half precisions that this machine does not merely emulate."""
    yield from (half for half in HALVES if is_faster(half, torch.device("cpu")))
    yield torch.float32


def whole_network(runs: int) -> Iterator[Table]:
    """`fast`, changed in one point each."""
    for dtype in dtypes():
        image = torch.randn((1, 1, SIDE, SIDE), generator=torch.Generator().manual_seed(0)).to(dtype)
        working, first = {}, {}
        for name, build in trials(dtype).items():
            try:
                call = partial(_run, build(), image)
                first[name] = seconds(call)
                working[name] = call
            except Exception as error:  # that something cannot be done is a finding too
                print(f"{name}, {dtype}: {type(error).__name__}: {str(error).splitlines()[0][:100]}")
        times = interleaved(working, runs)
        rows = [
            [name, f"{median(times[name]) * 1e6 / SIDE**2:.3f}", f"{median_ratio(times, name, 'shipped'):.2f}", f"{first[name]:.2f}"]
            for name in working
        ]
        yield Table([_name(dtype), "s/MPix", "over shipped", "first call, s"], rows)


def single_operation(
    build: Callable[[torch.dtype, int, int], operations.Calls], sizes: Sequence[tuple[int, int]], runs: int
) -> Iterator[Table]:
    """One operation in several ways, in every precision, for features of some sides and channels."""
    for dtype in dtypes():
        for side, channels in sizes:
            yield _compared(build(dtype, side, channels), runs, f"{_name(dtype)}, {channels} × {side}×{side}")


def borders(runs: int) -> Iterator[Table]:
    """Padding by reflection, and whether strips could be exact."""
    yield from single_operation(operations.border, BORDERS, runs)
    longest, *lengths = sorted(WIDTHS, reverse=True)
    rows = [[_name(dtype), ", ".join(map(str, operations.other_bits(dtype, longest, lengths))) or "none"] for dtype in dtypes()]
    yield Table(["precision", f"lengths at which a strip has other bits than at {longest}"], rows)


def widths(runs: int) -> Iterator[Table]:
    """One convolution for images of different sides: nanoseconds a pixel."""
    for dtype in dtypes():
        times = _timed(operations.widths(dtype, WIDTHS), runs)
        rows = [[side, f"{1e3 * median(spent):.2f}", f"{1e9 * median(spent) / int(side) ** 2:.2f}"] for side, spent in times.items()]
        yield Table([f"side, {_name(dtype)}", "ms", "ns a pixel"], rows)


def kernels(runs: int) -> Iterator[Table]:
    """What it costs to make kernels anew in every step of training."""
    yield _compared(operations.kernels(), runs, "float32", gradients=True)


def pages(runs: int) -> Iterator[Table]:
    """Large pages of memory against small ones, in fresh processes that take turns."""
    for dtype in dtypes():
        spent: dict[str, list[float]] = {"1": [], "0": []}
        for _ in range(PROCESSES):
            for large, times in spent.items():
                found = in_fresh_process(
                    "benchmarks.speed.pages", LARGE, _name(dtype), -(-runs // PROCESSES), environment={"THP_MEM_ALLOC_ENABLE": large}
                )
                times.extend(found["seconds"])
        rows = [[large, f"{median(times) * 1e6 / LARGE**2:.3f}"] for large, times in spent.items()]
        yield Table([f"THP_MEM_ALLOC_ENABLE, {_name(dtype)}, {LARGE}×{LARGE}", "s/MPix"], rows)


def tiles(runs: int) -> Iterator[Table]:
    """`denoise` of a large image in tiles of several sides."""
    image, fast = noisy_plane((LARGE, LARGE)), load_denoiser("fast")
    for dtype in dtypes():
        calls = {str(side): partial(fast, image, tile_size=side, precision=_name(dtype)) for side in TILES}
        yield _compared(calls, runs, f"tile, {_name(dtype)}, {LARGE}×{LARGE}")


def arithmetic(runs: int) -> Iterator[Table]:
    """How near a convolution in float32 comes to what the processor can do."""
    work = operations.gigaflops(FINEST[0][0], ORDER)
    times = _timed({name: call for name, (call, _) in work.items()}, runs)
    yield Table(["float32", "GFLOP/s"], [[name, f"{amount / median(times[name]):.0f}"] for name, (_, amount) in work.items()])


def _compared(calls: operations.Calls, runs: int, title: str, gradients: bool = False) -> Table:
    """Each over the first."""
    times = _timed(calls, runs, gradients)
    shipped = next(iter(calls))
    rows = [[name, f"{1e3 * median(spent):.2f}", f"{median_ratio(times, name, shipped):.2f}"] for name, spent in times.items()]
    return Table([title, "ms", "over shipped"], rows)


def _timed(calls: Mapping[str, Callable[[], object]], runs: int, gradients: bool = False) -> dict[str, list[float]]:
    with torch.inference_mode(not gradients):
        return interleaved(calls, runs)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


SUBJECTS: dict[str, Callable[[int], Iterator[Table]]] = {
    "network": whole_network,
    "pages": pages,
    "kernels": kernels,
    "sorting": partial(single_operation, operations.sorting, FINEST),
    "upsampling": partial(single_operation, operations.upsampling, COARSER),
    "residual": partial(single_operation, operations.residual, FINEST),
    "border": borders,
    "widths": widths,
    "tiles": tiles,
    "arithmetic": arithmetic,
    "packing": packing,
}


def run(subjects: Sequence[str], runs: int, allow_load: bool) -> Iterator[str]:
    """Lines of the tables of some subjects, each as soon as it is measured.

    Raises
    ------
    BusyMachineError
        Before anything is measured.
    """
    machine = describe(quiet_load(allow_load))
    yield f"{machine.name}{machine.conditions}; medians of {runs} turns"
    for subject in subjects:
        yield from ("", f"## {subject}")
        for table in SUBJECTS[subject](runs):
            yield from ("", *table.lines())
