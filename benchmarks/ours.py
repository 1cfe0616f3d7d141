"""How the suite calls the package: the one place to change when its inside does."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

import napari_ne_denoise
from napari_ne_denoise import Denoiser, Step, denoise, iter_denoise
from napari_ne_denoise.core.inference import prepare_denoising
from napari_ne_denoise.core.models.registry import list_models
from napari_ne_denoise.core.networks import DenoisingNetwork
from napari_ne_denoise.core.tiling import Window, read_window

# the peers know no other device
DEVICE = "cpu"
PRECISIONS = ("auto", "float32")
CORE = Path(napari_ne_denoise.__file__).parent / "core"
TWIN = "ordinary-twin"


def packaged_models() -> list[str]:
    """Names of the norm-equiv models inside the package that need no noise level, but for those that are there only to compare with."""
    return [
        row.name for row in list_models() if row.packaged and row.blind and row.equivariance == "norm-equiv" and not row.comparison_only
    ]


def models_to_compare() -> tuple[str, ...]:
    """What a whole run of `quality` measures: the models of the package, and beside them one that lacks the law."""
    return (*packaged_models(), TWIN)


def is_compared_only(model: str) -> bool:
    """Whether a model, by name or path, is registered only to compare with."""
    return any(row.comparison_only for row in list_models() if row.name == model)


@cache
def computed_by() -> str:
    """Of all that a result of ours depends on, but for image and weights: device, torch, and the source of the package."""
    left_out = ("training", "jacobian", "io")
    sources = [path for path in CORE.rglob("*.py") if path.relative_to(CORE).parts[0] not in left_out]
    return f"{DEVICE}; torch {torch.__version__}; {source_hash(sources)}"


def source_hash(paths: Sequence[Path]) -> str:
    """Of what stands in these files."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(paths))).hexdigest()[:12]


def weights_hash(network: DenoisingNetwork) -> str:
    """Of the weights alone: a card may gain scores."""
    weights = sorted(network.state_dict().items())
    return hashlib.sha256(b"".join(key.encode() + value.numpy().tobytes() for key, value in weights)).hexdigest()


def denoised(image: np.ndarray, model: Denoiser, **settings: Any) -> np.ndarray:
    """The package's plain call."""
    return denoise(image, model=model, device=DEVICE, **settings)


def steps_of(image: np.ndarray, model: Denoiser) -> Iterator[Step]:
    """The same, tile by tile."""
    return iter_denoise(image, model=model, device=DEVICE)


def chosen_precision(image: np.ndarray, model: Denoiser, precision: str = "auto") -> str:
    """What a precision becomes for an image, or for the first of its planes; it is known once the noise is."""
    run = prepare_denoising(image, model=model, precision=precision, device=DEVICE)
    next(run.steps(first_side=64))
    return str(run.provenance["decided"]["precision"])


def drain(image: np.ndarray, model: Denoiser) -> tuple[np.ndarray, list[Window]]:
    """Denoise a plane (Y, X) as `denoise` does; the result, and the window that each tile kept."""
    result = np.empty(image.shape, np.result_type(image, np.float32))
    return result, list(_fill(result, prepare_denoising(image, model=model, device=DEVICE).steps(first_side=None)))


def _fill(result: np.ndarray, steps: Iterator[Step]) -> Iterator[Window]:
    for step in steps:
        result[step.index] = step.values
        rows, columns = step.index
        assert isinstance(rows, slice)
        assert isinstance(columns, slice)
        yield rows, columns


def halo_overhead(image: np.ndarray, model: Denoiser) -> float:
    """Pixels that tiles read over pixels that they keep, less one."""
    _, kept = drain(image, model)
    read = [read_window((image.shape[0], image.shape[1]), window, model.grid) for window in kept]
    return sum(map(pixels_in, read)) / sum(map(pixels_in, kept)) - 1


def pixels_in(window: Window) -> int:
    """How many pixels a window has."""
    rows, columns = window
    return int((rows.stop - rows.start) * (columns.stop - columns.start))
