"""How finely to compute: half precision where it is faster and harmless, float32 everywhere else.

The error of half precision is a constant share of an image's spread, whatever the noise: harmless where the noise is strong, ruinous
for a dim field beside a very bright one.  Each model's card says how large the share is, as measured.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from torch.nn import functional as F

from napari_ne_denoise.core.device import computing_on, is_out_of_memory
from napari_ne_denoise.core.statistics import PlaneStatistics
from napari_ne_denoise.core.words import percent

# what half precision may cost, as a share of the noise.  Denoising that gains 17 dB, as it does in smooth images, then loses 0.02 dB;
# with a twentieth of the noise it would lose half a dB
HARMLESS = 0.01
# how many times faster than float32 half precision must be
WORTHWHILE = 1.25
# the more exact one first
HALVES = (torch.float16, torch.bfloat16)
# by which what float16 computes with is made smaller, a power of two: features of `quality` grow to 160,000 standard deviations of the
# image, and float16 ends at 65,504.  At its other end, steps of 6e-8 are then 4e-6 standard deviations
HEADROOM = 64.0


@dataclass
class Precisions:
    """Which precision each plane is computed in.

    Attributes
    ----------
    wanted
        "auto", or the one that was asked for.
    halves
        Half precisions that "auto" may take, the best first, each with its error as a share of a plane's standard deviation.
    used
        How many pixels were computed in each.
    """

    wanted: str
    halves: Mapping[torch.dtype, float]
    used: Counter[torch.dtype] = field(default_factory=Counter)

    def of(self, plane: PlaneStatistics) -> torch.dtype:
        """The precision for one plane; depends on nothing that a change of unit or offset changes."""
        if self.wanted != "auto":
            dtype: torch.dtype = getattr(torch, self.wanted)
            return dtype
        return next((half for half, error in self.halves.items() if error * plane.std <= HARMLESS * plane.weakest_noise), torch.float32)

    def is_right(self, window: np.ndarray, pixels: np.ndarray, output: np.ndarray, precision: torch.dtype) -> bool:
        """Whether what the network made of one window can be kept.

        Statistics are taken from a few blocks, so that a bright object between them is found only now; and so is how much was
        removed: less than the noise, perhaps, where the network took it for texture.  float16 may also have overflowed.

        Parameters
        ----------
        window
            What the network was given, normalised to the plane's standard deviation.
        pixels, output
            The part of it that is kept, before and after.
        precision
            In which it was computed.
        """
        if precision not in HALVES:
            return True
        if not np.isfinite(output).all():
            return False
        if self.wanted != "auto":
            return True
        removed = float(np.sqrt(np.mean(np.square(pixels - output))))
        return self.halves[precision] * max(1.0, float(window.std())) <= HARMLESS * removed

    @property
    def name(self) -> str:
        """What was used so far, or what was asked for; for the record of a run."""
        used = +self.used  # those with any pixels
        if not used:
            return self.wanted if self.wanted != "auto" or self.halves else "float32"
        shares = {_name(dtype): count / used.total() for dtype, count in used.most_common()}
        return ", ".join(f"{name} ({percent(share, 2)})" for name, share in shares.items()) if len(shares) > 1 else next(iter(shares))


def headroom(precision: torch.dtype, equivariance: str) -> float:
    """By how much to divide what a network is given, where its law allows for that, so that nothing overflows."""
    return HEADROOM if precision == torch.float16 and equivariance != "ordinary" else 1.0


def choose_precisions(wanted: str, device: torch.device, half_errors: Mapping[str, float]) -> Precisions:
    """What a run may compute in.

    Parameters
    ----------
    wanted
        "auto", "float32", "bfloat16" or "float16".
    device
        Where it computes.
    half_errors
        Of the model: by dtype, the root-mean-square error of half precision as a share of a plane's standard deviation.  A
        half precision that is not there was not measured, and is never chosen.
    """
    errors = measured_errors(wanted, half_errors)
    return Precisions(wanted, {half: error for half, error in errors.items() if is_faster(half, device)})


def measured_errors(wanted: str, half_errors: Mapping[str, float]) -> dict[torch.dtype, float]:
    """Of the half precisions that "auto" could take on some device; none if another was asked for."""
    return {half: half_errors[_name(half)] for half in HALVES if _name(half) in half_errors} if wanted == "auto" else {}


def is_faster(half: torch.dtype, device: torch.device) -> bool:
    """Whether a device convolves in half precision faster than in float32, and no worse than it can, by a trial of a few milliseconds.

    Found out once a process, unless the device was full.
    """
    try:
        return _found_faster(half, device)
    except Exception:  # of a device that is full; another moment may tell
        return False


@lru_cache(maxsize=8)
def _found_faster(half: torch.dtype, device: torch.device) -> bool:
    try:
        seconds = [_trial(dtype, device) for dtype in (torch.float32, half)]
        return seconds[0] >= WORTHWHILE * seconds[1] and _is_right(half, device)
    except Exception as error:  # whatever a device says that cannot do it
        if is_out_of_memory(error):
            raise
        return False


def _trial(dtype: torch.dtype, device: torch.device) -> float:
    # what takes a CPU half a millisecond is over on a GPU before the next call has begun
    channels, side, times = (32, 96, 1) if device.type == "cpu" else (64, 512, 8)
    x = torch.zeros(1, channels, side, side, dtype=dtype, device=device).contiguous(memory_format=torch.channels_last)
    kernel = torch.zeros(channels, channels, 3, 3, dtype=dtype, device=device).contiguous(memory_format=torch.channels_last)
    seconds = []
    with torch.inference_mode(), computing_on(device):
        for _ in range(7):
            begin, y = time.perf_counter(), x
            for _ in range(times):
                y = F.conv2d(y, kernel, padding=1)
            y[0, 0, 0, 0].item()  # waits until a GPU is done
            seconds.append(time.perf_counter() - begin)
    return min(seconds)  # what else the machine does only adds to it, and two processes shall find the same


def _is_right(half: torch.dtype, device: torch.device) -> bool:
    """Whether a device rounds its results alone: sums taken in half precision, too, are worse than what was measured of the models."""
    drawn = torch.Generator().manual_seed(0)
    x, kernel = (torch.randn(shape, generator=drawn).to(half) for shape in ((1, 64, 24, 24), (64, 64, 3, 3)))
    exact = F.conv2d(x.float(), kernel.float(), padding=1)
    with torch.inference_mode(), computing_on(device):
        found = F.conv2d(x.to(device), kernel.to(device), padding=1).cpu().float()
    return bool((found - exact).square().mean() <= torch.finfo(half).eps ** 2 * exact.square().mean())


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
