"""Single operations of a network, each in the ways that were tried: what `trials` times against each other.

Every function returns calls by name; what is shipped comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_ne_denoise.core.networks import ShuffleUNet
from napari_ne_denoise.core.networks.inplace import frame, sort_rotated
from napari_ne_denoise.core.networks.layers import AffineConv2d, PaddedConv2d, SortPool
from napari_ne_denoise.core.networks.rotated import CentredConv2d
from napari_ne_denoise.core.training.trainer import relative_error

CHANNELS = 64  # as FDnCNN and DRUNet have at the finest level
BATCH, CROP = 16, 96  # of a training step

Calls = dict[str, Callable[[], object]]


def sorting(dtype: torch.dtype, side: int, channels: int) -> Calls:
    """Sorting of pairs, and what takes its place; a ReLU to compare with."""
    x = features(side, dtype, channels)
    contrasts = x[:, channels // 2 :]
    slopes = torch.ones(channels, dtype=dtype)
    slopes[channels // 2 :] = -1
    return {
        "shipped: signs cleared, as 64-bit integers where floats have 16 bits": partial(sort_rotated, x),
        "torch's abs, in place, of half of the channels": contrasts.abs_,
        "torch's abs, out of place": lambda: torch.cat((x[:, : channels // 2], contrasts.abs()), 1),
        "PReLU with slopes of 1 and −1, of all channels": partial(F.prelu, x, slopes),
        "minimum and maximum of pairs": partial(SortPool(), x),
        "ReLU in place, of all channels": x.relu_,
    }


def upsampling(dtype: torch.dtype, side: int, channels: int) -> Calls:
    """Upsampling by two, to half as many channels."""
    x = features(side, dtype, channels)
    kernel = torch.randn((2 * channels, channels, 1, 1), generator=_generator()).to(dtype)
    transposed = kernel.view(channels // 2, 2, 2, channels).permute(3, 0, 1, 2)  # in, out, 2, 2
    return {
        "shipped: transposed convolution": partial(F.conv_transpose2d, x, transposed, stride=2),
        "1×1 convolution, then pixel shuffle": lambda: F.pixel_shuffle(F.conv2d(x, kernel), 2),
    }


def residual(dtype: torch.dtype, side: int, channels: int) -> Calls:
    """The residual, and a plain sum."""
    x, r = features(side, dtype, channels), features(side, dtype, channels)
    return {"shipped: lerp in place": partial(r.lerp_, x, 0.5), "sum in place": partial(r.add_, x)}


def border(dtype: torch.dtype, side: int, channels: int) -> Calls:
    """A convolution that pads by reflection, with the sorting after it."""
    x, kernel = features(side, dtype, channels), _kernel(dtype, channels)
    canvas = frame(x)
    return {
        "shipped: a canvas whose frame is mirrored": lambda: sort_rotated(F.conv2d(canvas, kernel, padding=1), mirrored=True),
        "zeros around, then the four borders again": lambda: sort_rotated(convolve_strips(x, kernel)),
        "zeros around, as an ordinary network has it": lambda: sort_rotated(F.conv2d(x, kernel, padding=1)),
        "a padded copy": lambda: sort_rotated(F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), kernel)),
    }


def convolve_strips(x: Tensor, kernel: Tensor) -> Tensor:
    """Convolve `x` (N, C, H, W), H and W ≥ 2, padded by reflection: as if by zeros, and then its four borders once more."""
    y = F.conv2d(x, kernel, padding=1)
    for edge, inner in ((0, 1), (-1, -2)):
        y[..., edge : edge + 1 or None, :] = row_strip(x, kernel, edge, inner)
        columns = F.pad(x[..., [inner, edge, inner]], (0, 0, 1, 1), mode="reflect")
        y[..., edge : edge + 1 or None] = F.conv2d(columns, kernel)
    return y


def row_strip(x: Tensor, kernel: Tensor, edge: int, inner: int) -> Tensor:
    """The row `edge` of a convolution padded by reflection; `inner` is the row beside it."""
    rows = F.pad(x[..., [inner, edge, inner], :], (1, 1, 0, 0), mode="reflect")
    return F.conv2d(rows, kernel)


def other_bits(dtype: torch.dtype, side: int, lengths: Sequence[int]) -> list[int]:
    """The lengths at which a strip of an image has other bits than the same pixels in the strip of the whole."""
    x, kernel = features(side, dtype), _kernel(dtype)
    whole = row_strip(x, kernel, 0, 1)

    def same(length: int) -> bool:
        inside = slice(0, length - 1)  # the last column has another neighbour
        return torch.equal(whole[..., inside], row_strip(x[..., :length], kernel, 0, 1)[..., inside])

    return [length for length in lengths if not same(length)]


def widths(dtype: torch.dtype, sides: Sequence[int]) -> Calls:
    """One convolution of 64 channels, for images of different sides."""
    kernel = _kernel(dtype)
    return {str(side): partial(F.conv2d, features(side, dtype), kernel, padding=1) for side in sides}


def kernels() -> Calls:
    """Making all kernels of `fast`'s architecture from their stored weights, with the gradient; beside one step of training."""
    network = ShuffleUNet()
    trained = network.for_training().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    noisy = torch.randn((BATCH, 1, CROP, CROP), generator=_generator())
    step = f"a step of {BATCH}×{CROP}×{CROP}, bfloat16, without the optimizer"
    return {
        "shipped: kernels of rotated coordinates": partial(_make_kernels, list(_parts(trained, CentredConv2d))),
        "kernels as published": partial(_make_kernels, list(_parts(network, AffineConv2d))),
        step: partial(_step, trained, noisy),
        f"{step}, in the published form": partial(_step, network.to(memory_format=torch.channels_last), noisy),  # type: ignore[call-overload]
    }


def _parts(network: nn.Module, kind: type[PaddedConv2d]) -> Iterator[PaddedConv2d]:
    return (part for part in network.modules() if isinstance(part, kind))


def _make_kernels(convolutions: list[PaddedConv2d]) -> None:
    for convolution in convolutions:
        kernel = convolution.kernel()
        torch.autograd.grad(kernel, convolution.weight, kernel.detach())


def _step(network: nn.Module, noisy: Tensor) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        denoised = network(noisy)
    network.zero_grad()
    relative_error(denoised.float(), noisy, torch.zeros_like(noisy)).backward()  # type: ignore[no-untyped-call]


def gigaflops(side: int, order: int) -> dict[str, tuple[Callable[[], object], float]]:
    """float32 work, and how many 10⁹ operations each call does: a convolution, and the product of two matrices as the most there is."""
    x, kernel = features(side, torch.float32), _kernel(torch.float32)
    matrix = torch.randn((order, order), generator=_generator())
    return {
        "3×3 convolution of 64 channels": (partial(F.conv2d, x, kernel, padding=1), 2e-9 * side**2 * kernel.numel()),
        "product of two matrices": (partial(torch.matmul, matrix, matrix), 2e-9 * order**3),
    }


def features(side: int, dtype: torch.dtype, channels: int = CHANNELS) -> Tensor:
    """(1, channels, side, side) of random numbers, channels last."""
    x = torch.randn((1, channels, side, side), generator=_generator()).to(dtype)
    return x.contiguous(memory_format=torch.channels_last)


def _kernel(dtype: torch.dtype, channels: int = CHANNELS) -> Tensor:
    kernel = torch.randn((channels, channels, 3, 3), generator=_generator()) / (3 * channels**0.5)
    return kernel.to(dtype).contiguous(memory_format=torch.channels_last)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
