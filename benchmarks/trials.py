"""``python -m benchmarks.trials``: what might make `fast` faster on a CPU, each against what is shipped, turn by turn.

What paid is in the package; what did not is written down in docs/performance.md, with the numbers that this command printed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.timing import interleaved, median_ratio
from napari_ne_denoise import load_denoiser
from napari_ne_denoise.core.networks.folding import FixedResidual
from napari_ne_denoise.core.networks.rotated import AbsHalf

SIDE = 1024


class PlainAbs(nn.Module):
    """|d| by torch's own abs, out of place."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W)."""
        levels, contrasts = x.chunk(2, 1)
        return torch.cat((levels, contrasts.abs()), 1)


class MinMax(nn.Module):
    """Sorting of two contiguous halves by minimum and maximum; the same work as for kernels that are not rotated."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W)."""
        first, second = x.chunk(2, 1)
        return torch.cat((torch.minimum(first, second), torch.maximum(first, second)), 1)


class PerChannelPrelu(nn.Module):
    """|d| as a PReLU with slopes of 1 and −1, on all channels."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W)."""
        slopes = torch.ones(x.shape[1], dtype=x.dtype)
        slopes[x.shape[1] // 2 :] = -1
        return F.prelu(x, slopes)


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
        "abs out of place": lambda: replaced(fresh(), AbsHalf, lambda _: PlainAbs()),
        "minimum and maximum of halves (for the time only)": lambda: replaced(fresh(), AbsHalf, lambda _: MinMax()),
        "PReLU with slopes ±1": lambda: replaced(fresh(), AbsHalf, lambda _: PerChannelPrelu()),
        "residual out of place": lambda: replaced(fresh(), FixedResidual, lambda part: LerpCopy(float(part.alpha))),  # type: ignore[arg-type]
        "contiguous instead of channels_last": lambda: fresh().to(memory_format=torch.contiguous_format),  # type: ignore[call-overload]
        "torch.jit.trace, frozen": lambda: traced(fresh(), dtype),
        "torch.compile": lambda: torch.compile(fresh(), dynamic=False),
    }


def traced(network: nn.Module, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """The network as TorchScript with its weights as constants."""
    with torch.no_grad():
        script = torch.jit.trace(network, torch.zeros(1, 1, SIDE, SIDE, dtype=dtype), check_trace=False)
        frozen: Callable[[Tensor], Tensor] = torch.jit.freeze(script)
    return frozen


@torch.inference_mode()
def _run(network: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    return network(image)


def main() -> None:
    """Print a table for each precision."""
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        image = torch.randn((1, 1, SIDE, SIDE), generator=torch.Generator().manual_seed(0)).to(dtype)
        working = {}
        for name, build in trials(dtype).items():
            try:
                call = partial(_run, build(), image)
                call()
                working[name] = call
            except Exception as error:  # that something cannot be done is a finding too
                print(f"{name}, {dtype}: {type(error).__name__}: {str(error).splitlines()[0][:100]}")
        times = interleaved(working, 15)
        print(f"\n| {str(dtype).removeprefix('torch.')} | s/MPix | over shipped |\n|---|---|---|")
        for name in working:
            print(f"| {name} | {median(times[name]) * 1e6 / SIDE**2:.3f} | {median_ratio(times, name, 'shipped'):.2f} |", flush=True)


if __name__ == "__main__":
    main()
