"""What the law costs: norm-equiv networks against ordinary ones, and against the style in which they are published."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
from torch import Tensor, nn

from benchmarks.options import Options
from benchmarks.report import Report, Table, Target, number
from benchmarks.speed.processes import Contender
from benchmarks.speed.reference import reference_of
from benchmarks.speed.timing import interleaved, median_ratio, seconds
from napari_ne_denoise.core.networks import DenoisingNetwork, DRUNet, FDnCNN, ShuffleUNet
from napari_ne_denoise.core.training.trainer import relative_error

HALVES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
# a half precision that the processor has no instructions for is emulated, and may take a hundred times as long
HOPELESS = 3.0

TAX, TRAINING_TAX, FARTHEST = 1.10, 1.25, 1e-5


@dataclass(frozen=True)
class Architecture:
    """A network and the sizes it is measured at.

    Attributes
    ----------
    name
        As people write it.
    build
        Of the mode.
    side
        Of the image it denoises, in pixels.
    batch, crop
        Images of a training step, and their side in pixels.
    speedup, half_speedup
        Targets: over the reference style, in float32 and in the faster half precision.  None: there is no reference style.
    """

    name: str
    build: Callable[[str], DenoisingNetwork]
    side: int
    batch: int
    crop: int
    speedup: float | None = None
    half_speedup: float | None = None

    def network(self, mode: str) -> DenoisingNetwork:
        """With random weights, the same ones every time."""
        torch.manual_seed(0)
        return self.build(mode)


ARCHITECTURES = (
    Architecture("FDnCNN 64×20", FDnCNN, 512, 16, 64, 2.0, 4.0),
    Architecture("DRUNet", DRUNet, 384, 4, 128, 1.25, 2.5),
    Architecture("ShuffleUNet 32-64-128", ShuffleUNet, 1024, 16, 96),
)


def tax(options: Options, architectures: Sequence[Architecture] = ARCHITECTURES) -> Report:
    """Inference of the norm-equiv network over the ordinary one of the same architecture and precision."""
    report = Report(
        "Tax of the law, inference",
        [Table(["network", "image", "precision", "ordinary, s", "norm-equiv, s", "norm-equiv / ordinary"], [])],
        notes=[
            "Inference forms (`for_inference()`, channels_last), random weights, one image; three sizes, because the convolutions of a CPU "
            "are by up to a fifth slower for some sizes than for others, which need not be the same for both networks."
        ],
    )
    for architecture in architectures:
        modes = ("ordinary", "norm-equiv")
        networks = {mode: architecture.network(mode) for mode in modes}
        image = noisy_batch(1, architecture.side)
        for precision, dtype in _worthwhile(networks["norm-equiv"], image, report.notes, architecture.name).items():
            ratios = []
            for side in (architecture.side * 3 // 4, architecture.side, architecture.side * 5 // 4):
                piece = noisy_batch(1, side)
                times = interleaved({mode: _inference(networks[mode], piece, dtype) for mode in modes}, options.runs)
                ratios.append(median_ratio(times, "norm-equiv", "ordinary"))
                spent = [number(median(times[mode])) for mode in modes]
                report.tables[0].rows.append([architecture.name, _square(side), precision, *spent, f"{ratios[-1]:.3f}"])
            report.targets.append(Target(f"norm-equiv over ordinary, {architecture.name}, {precision}, median", median(ratios), TAX))
    return report


def training(options: Options, architectures: Sequence[Architecture] = ARCHITECTURES) -> Report:
    """A training step of the norm-equiv network over that of the ordinary one."""
    report = Report(
        "Tax of the law, training step",
        [Table(["network", "batch", "precision", "ordinary, s", "norm-equiv, s", "norm-equiv / ordinary"], [])],
        notes=["Forward, backward, clipped gradients and Adam, as the trainer does; bfloat16 by autocast."],
    )
    for architecture in architectures:
        batch = f"{architecture.batch}×{architecture.crop}×{architecture.crop}"
        for precision, half in (("float32", False), ("bfloat16", True)):
            modes = ("ordinary", "norm-equiv")
            times = interleaved({mode: _training_step(architecture, mode, half) for mode in modes}, options.runs)
            ratio = median_ratio(times, "norm-equiv", "ordinary")
            spent = [number(median(times[mode])) for mode in modes]
            report.tables[0].rows.append([architecture.name, batch, precision, *spent, f"{ratio:.3f}"])
            report.targets.append(Target(f"training step over the ordinary one's, {architecture.name}, {precision}", ratio, TRAINING_TAX))
    return report


def reference(options: Options, architectures: Sequence[Architecture] = ARCHITECTURES) -> Report:
    """The reference style over ours, with the same weights."""
    report = Report(
        "Against the reference style",
        [Table(["network", "image", "form", "precision", "s", "reference / this"], [])],
        notes=[
            "Reference style: affine kernels computed in every forward pass, sorting by a ReLU, a reflect pad before every 3×3 "
            "convolution, contiguous float32 (`benchmarks/speed/reference.py`), in a process with torch's own memory settings. Random "
            "weights, shared by both forms."
        ],
    )
    for architecture in architectures:
        if architecture.speedup is not None:
            _against_reference(architecture, options.runs, report)
    return report


def _against_reference(architecture: Architecture, runs: int, report: Report) -> None:
    network, image = architecture.network("norm-equiv"), noisy_batch(1, architecture.side)
    precisions = list(_worthwhile(network, image, report.notes, architecture.name))
    with ExitStack() as processes:
        contenders = {"reference": processes.enter_context(contender(architecture, "reference", "float32"))}
        for precision in precisions:
            contenders[precision] = processes.enter_context(contender(architecture, "ours", precision))
        times = interleaved(contenders, runs)
    ratios = {precision: median_ratio(times, "reference", precision) for precision in precisions}
    size = [architecture.name, _square(architecture.side)]
    report.tables[0].rows.append([*size, "reference", "float32", number(median(times["reference"])), "1"])
    for precision, ratio in ratios.items():
        report.tables[0].rows.append([*size, "ours", precision, number(median(times[precision])), f"{ratio:.2f}"])
    report.targets.extend(_reference_targets(architecture, ratios, float32_difference(network, reference_of(network), image)))


def contender(architecture: Architecture, style: str, precision: str) -> Contender:
    """A network in a process of its own: ours asks for large pages of memory, the reference gets what torch does by itself."""
    plain = {"THP_MEM_ALLOC_ENABLE": "0"} if style == "reference" else None
    return Contender(architecture.name, style, precision, environment=plain)


def _reference_targets(architecture: Architecture, ratios: dict[str, float], difference: float) -> Iterator[Target]:
    yield Target(f"{architecture.name}: float32 from the reference in float64, largest, in std of the output", difference, FARTHEST)
    assert architecture.speedup is not None
    yield Target(f"{architecture.name}: faster than the reference, float32", ratios["float32"], architecture.speedup, "×", at_most=False)
    halves = {precision: ratio for precision, ratio in ratios.items() if precision in HALVES}
    if halves and architecture.half_speedup is not None:
        best = max(halves, key=halves.__getitem__)
        yield Target(f"{architecture.name}: faster than the reference, {best}", halves[best], architecture.half_speedup, "×", at_most=False)


def float32_difference(network: DenoisingNetwork, published: nn.Module, image: Tensor) -> float:
    """How far float32 output of a network is from what another computes in float64; largest difference, over the output's std."""
    found, exact = _inference(network, image, torch.float32)(), _run(copy.deepcopy(published).double(), image.double())
    return float((found - exact).abs().max() / exact.std())


def inference_call(architecture: Architecture, style: str, dtype: torch.dtype) -> Callable[[], Tensor]:
    """Denoising one image with a norm-equiv network: in "reference" style, or "ours"."""
    network, image = architecture.network("norm-equiv"), noisy_batch(1, architecture.side)
    return partial(_run, reference_of(network), image) if style == "reference" else _inference(network, image, dtype)


def noisy_batch(count: int, side: int) -> Tensor:
    """(count, 1, side, side) of zero mean and about unit std: a grating with white noise."""
    wave = torch.sin(torch.arange(side) / 7.0)
    noise = torch.randn((count, 1, side, side), generator=torch.Generator().manual_seed(0))
    return wave[:, None] * wave + 0.5 * noise


def _inference(network: DenoisingNetwork, image: Tensor, dtype: torch.dtype) -> Callable[[], Tensor]:
    ready = network.eval().for_inference().to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return partial(_run, ready, image.to(dtype))


@torch.inference_mode()
def _run(network: nn.Module, image: Tensor) -> Tensor:
    output: Tensor = network(image)
    return output


def _worthwhile(network: DenoisingNetwork, image: Tensor, notes: list[str], name: str) -> dict[str, torch.dtype]:
    """float32, and the half precisions that this machine does not merely emulate; what is left out is noted."""
    piece = image[..., : max(image.shape[-2] // 4, 16), : max(image.shape[-1] // 4, 16)]
    single = _best(network, piece, torch.float32)
    worthwhile = {"float32": torch.float32}
    for precision, dtype in HALVES.items():
        ratio = _best(network, piece, dtype) / single
        if ratio <= HOPELESS:
            worthwhile[precision] = dtype
        else:
            notes.append(f"{name} in {precision} takes {ratio:.0f} times as long as in float32 on this machine: left out.")
    return worthwhile


def _best(network: DenoisingNetwork, image: Tensor, dtype: torch.dtype) -> float:
    call = _inference(network, image, dtype)
    call()
    return min(seconds(call) for _ in range(3))


def _training_step(architecture: Architecture, mode: str, half: bool) -> Callable[[], None]:
    network = architecture.network(mode).for_training().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    noisy = noisy_batch(architecture.batch, architecture.crop)
    clean = noisy.mean((2, 3), keepdim=True).expand_as(noisy)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            denoised = network(noisy)
        optimizer.zero_grad()
        relative_error(denoised.float(), noisy, clean).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()

    return step


def _square(side: int) -> str:
    return f"{side}×{side}"
