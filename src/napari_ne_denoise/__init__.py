"""Denoise microscopy images in their own units, with normalization-equivariant networks.

Everything named here is loaded when it is first used: importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_ne_denoise.core.denoising import denoise
    from napari_ne_denoise.core.equivariance import measure_equivariance
    from napari_ne_denoise.core.errors import NEDenoiseError
    from napari_ne_denoise.core.inference import Denoiser, Step, calibrate_noise, iter_denoise, load_denoiser
    from napari_ne_denoise.core.jacobian.filters import Filter, adaptive_filter, adaptive_filters
    from napari_ne_denoise.core.jacobian.maps import adaptive_maps, iter_adaptive_maps
    from napari_ne_denoise.core.jacobian.spectrum import PatchSpectrum, iter_patch_spectrum, patch_spectrum
    from napari_ne_denoise.core.lazy import denoise_lazy
    from napari_ne_denoise.core.noise.estimation import estimate_noise
    from napari_ne_denoise.core.noise.model import NoiseModel
    from napari_ne_denoise.core.normalisation_study import NormalisationStudy, iter_normalisation_study, normalisation_study
    from napari_ne_denoise.core.quality.assessment import iter_quality, quality_without_truth
    from napari_ne_denoise.core.quality.result import Quality

_HOMES = {
    "Denoiser": "core.inference",
    "Filter": "core.jacobian.filters",
    "NEDenoiseError": "core.errors",
    "NoiseModel": "core.noise.model",
    "NormalisationStudy": "core.normalisation_study",
    "PatchSpectrum": "core.jacobian.spectrum",
    "Quality": "core.quality.result",
    "Step": "core.inference",
    "adaptive_filter": "core.jacobian.filters",
    "adaptive_filters": "core.jacobian.filters",
    "adaptive_maps": "core.jacobian.maps",
    "calibrate_noise": "core.inference",
    "denoise": "core.denoising",
    "denoise_lazy": "core.lazy",
    "estimate_noise": "core.noise.estimation",
    "iter_adaptive_maps": "core.jacobian.maps",
    "iter_denoise": "core.inference",
    "iter_normalisation_study": "core.normalisation_study",
    "iter_patch_spectrum": "core.jacobian.spectrum",
    "iter_quality": "core.quality.assessment",
    "load_denoiser": "core.inference",
    "measure_equivariance": "core.equivariance",
    "normalisation_study": "core.normalisation_study",
    "patch_spectrum": "core.jacobian.spectrum",
    "quality_without_truth": "core.quality.assessment",
}

__all__ = [
    "Denoiser",
    "Filter",
    "NEDenoiseError",
    "NoiseModel",
    "NormalisationStudy",
    "PatchSpectrum",
    "Quality",
    "Step",
    "adaptive_filter",
    "adaptive_filters",
    "adaptive_maps",
    "calibrate_noise",
    "denoise",
    "denoise_lazy",
    "estimate_noise",
    "iter_adaptive_maps",
    "iter_denoise",
    "iter_normalisation_study",
    "iter_patch_spectrum",
    "iter_quality",
    "load_denoiser",
    "measure_equivariance",
    "normalisation_study",
    "patch_spectrum",
    "quality_without_truth",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
