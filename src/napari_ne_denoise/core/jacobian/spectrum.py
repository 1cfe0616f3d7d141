"""How many numbers denoising really keeps of a patch: the singular values of its Jacobian.

A network is a linear map around what it sees (`networks.linear`).  That of a patch, a matrix A with a row and a column for each of its n
pixels, is taken apart as A = Σ s u vᵀ: a pattern v that is looked for in the noisy patch, the pattern u that is put into the result, and
the share s of it that gets through.  White noise of the patch is left with Σ s² of its n parts.  Were A a projection, which keeps some
patterns and removes all others, Σ s² would be the number of those that it keeps.

Source: Mohan, Kadkhodaie, Simoncelli, Fernandez-Granda, ICLR 2020.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy.linalg import svd

from napari_ne_denoise.core import device as devices
from napari_ne_denoise.core.axes import Index, PlaneLayout, plan_planes
from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.interruption import check_if_wanted
from napari_ne_denoise.core.jacobian.filters import open_up
from napari_ne_denoise.core.jacobian.patch import PatchJacobian, window_to_read
from napari_ne_denoise.core.jacobian.patch_sizes import LARGEST_SIDE
from napari_ne_denoise.core.models.opened import OpenModel
from napari_ne_denoise.core.numerics import Numerics, blend, choose_numerics
from napari_ne_denoise.core.pixels import PlaneReader, as_image
from napari_ne_denoise.core.settings import DEFAULTS, NamedModel, checked_strength
from napari_ne_denoise.core.statistics import plane_statistics
from napari_ne_denoise.core.tiling import Window, checked_region, inside


@dataclass(frozen=True, eq=False)
class PatchSpectrum:
    """What is kept of a patch of n pixels, and what is removed.

    Attributes
    ----------
    window
        Rows and columns of the patch.
    values : (n,) float64
        The singular values s, the largest first.
    seen : (n, Y, X) float32
        The patterns v that are looked for in the noisy patch, in the order of `values`; each has a length of one.
    made : (n, Y, X) float32
        The patterns u that the result gets for them.  A network's filters are not symmetric, so that these are others.
    noisy, denoised : (Y, X) float64
        The patch before and after, in image units.
    trace
        The weights that pixels have in their own results, summed: Σ ∂fᵢ/∂yᵢ, the divergence in Stein's estimate of the error.
    own_share
        The share of the weights of a pixel's filter that lies inside the patch; mean over its pixels.  1 for a patch that is the whole
        image; what is missing is what the surroundings give.
    asymmetry
        ‖A − Aᵀ‖ / ‖A + Aᵀ‖: 0 for a symmetric matrix, whose two kinds of patterns are the same.
    """

    window: Window
    values: np.ndarray
    seen: np.ndarray = field(repr=False)
    made: np.ndarray = field(repr=False)
    noisy: np.ndarray = field(repr=False)
    denoised: np.ndarray = field(repr=False)
    trace: float
    own_share: float
    asymmetry: float

    @property
    def pixels(self) -> int:
        """How many there are in the patch, n."""
        return int(self.noisy.size)

    @property
    def numbers_kept(self) -> float:
        """Effective dimensionality, Σ s²: of n parts of white noise so many are left."""
        return float(np.square(self.values).sum())

    @property
    def participation(self) -> float:
        """(Σ s²)² / Σ s⁴: how many patterns share what is kept, if they shared alike."""
        fourth = float((self.values**4).sum())
        return self.numbers_kept**2 / fourth if fourth else 0.0

    @property
    def leading(self) -> int:
        """`numbers_kept` as a number of patterns, at least one."""
        return min(max(round(self.numbers_kept), 1), self.pixels)

    def share_in_made(self, patch: np.ndarray, count: int | None = None) -> float:
        """The share of a patch's contrast, its squared distance from its mean, that the first patterns of results can show.

        Parameters
        ----------
        patch
            (Y, X), such as the denoised patch, or the clean one where it is known.
        count
            Of patterns; None for `leading`.
        """
        return _share(self.made, patch, self.leading if count is None else count)

    def share_in_seen(self, patch: np.ndarray, count: int | None = None) -> float:
        """The same, for the patterns that are looked for in a noisy patch, such as in what was removed."""
        return _share(self.seen, patch, self.leading if count is None else count)


@dataclass(frozen=True)
class SpectrumStep:
    """How far it is.

    Attributes
    ----------
    done, total
        Columns of the Jacobian.
    spectrum
        Once all are there; None before.
    """

    done: int
    total: int
    spectrum: PatchSpectrum | None = None


def patch_spectrum(image: Any, region: Window, **settings: Any) -> PatchSpectrum:
    """How many numbers denoising really keeps of a patch; see `iter_patch_spectrum` for the settings."""
    *_, last = iter_patch_spectrum(image, region, **settings)
    assert last.spectrum is not None
    return last.spectrum


def iter_patch_spectrum(
    image: Any,
    region: Window,
    *,
    position: tuple[int, ...] | None = None,
    model: str | os.PathLike[str] | NamedModel | None = None,
    axes: str | None = None,
    channel_axis: int | None = None,
    strength: float = DEFAULTS.strength,
    device: str = DEFAULTS.device,
) -> Iterator[SpectrumStep]:
    """The same, step by step.

    It is that of ``denoise(image, noise="none")``, exact to float32, and does not change when the image is scaled or shifted.  The
    surroundings of the patch are seen by the network, but only the patch itself is taken for what may change.

    Parameters
    ----------
    image, axes, channel_axis
        As in `denoise`.
    region
        Rows and columns of the patch, at most 64 of each.
    position
        Of any pixel of the plane.  None: the image has only one.
    model
        A blind norm-equiv or scale-equiv model; None for the default one.
    strength
        As in `denoise`: the matrix is then (1 − t)·1 + t·A.
    device
        As in `denoise`.

    Yields
    ------
    SpectrumStep
        The last one holds the spectrum.

    Raises
    ------
    SettingsError
        If the patch is outside the plane or too large, or the model has no filters.
    ImageError
        As `denoise`.
    """
    array = as_image(image)
    layout = plan_planes(tuple(array.shape), axes, channel_axis)
    plane = _plane_of(layout, position)
    patch = checked_region(region, layout.plane_shape, LARGEST_SIDE)
    opened = open_up(DEFAULTS.model if model is None else model)
    share, where = checked_strength(strength), devices.choose_device(device)
    read, _ = PlaneReader(array, layout, "keep").open_plane(plane)
    numerics = choose_numerics(opened.equivariance, plane_statistics(read, layout.plane_shape), array.dtype, read)
    window = window_to_read(patch, opened, layout.plane_shape)
    pixels = np.array(read(*window), np.float64)  # its own: what is found must not follow what becomes of the image
    return _steps(opened, where, numerics, pixels, window, patch, share)


def _steps(
    opened: OpenModel, where: torch.device, numerics: Numerics, pixels: np.ndarray, window: Window, patch: Window, strength: float
) -> Iterator[SpectrumStep]:
    jacobian = PatchJacobian(opened, where, numerics.forward(pixels), float(numerics.mean), window, patch)
    count = jacobian.shape[0] * jacobian.shape[1]
    matrix, done = np.empty((count, count)), 0  # made pixels, seen pixels
    for columns in jacobian.in_parts(_units(count, jacobian.shape)):
        matrix[:, done : done + len(columns)] = columns.reshape(len(columns), count).T
        done += len(columns)
        yield SpectrumStep(done, count)
    matrix *= strength
    matrix[np.diag_indices(count)] += 1 - strength
    check_if_wanted()
    noisy = pixels[inside(patch, window)]
    yield SpectrumStep(count, count, spectrum_of(matrix, patch, noisy, blend(noisy, numerics.back(jacobian.output), strength)))


def spectrum_of(matrix: np.ndarray, window: Window, noisy: np.ndarray, denoised: np.ndarray) -> PatchSpectrum:
    """That of a matrix (n, n) with a row for each pixel that is made and a column for each that is seen."""
    made, values, seen = svd(matrix, check_finite=False)
    made = made.T
    # which of the two signs a pair of patterns has is one of chance: its mean is never negative
    signs = np.where(made.sum(1) < 0, -1.0, 1.0)[:, None]
    shape = (-1, *noisy.shape)
    return PatchSpectrum(
        window,
        values,
        (signs * seen).astype(np.float32).reshape(shape),
        (signs * made).astype(np.float32).reshape(shape),
        noisy,
        denoised,
        trace=float(np.trace(matrix)),
        own_share=float(matrix.sum(1).mean()),
        asymmetry=float(np.linalg.norm(matrix - matrix.T) / np.linalg.norm(matrix + matrix.T)),
    )


def _units(count: int, shape: tuple[int, int]) -> np.ndarray:
    """A field for each pixel of a patch, one there and zero elsewhere."""
    return np.eye(count, dtype=np.float32).reshape(count, *shape)


def _share(patterns: np.ndarray, patch: np.ndarray, count: int) -> float:
    contrast = (patch - patch.mean()).ravel()
    whole = float(contrast @ contrast)
    found = patterns[:count].reshape(min(count, len(patterns)), -1) @ contrast
    return float(found @ found) / whole if whole else 1.0


def _plane_of(layout: PlaneLayout, position: tuple[int, ...] | None) -> Index:
    planes = list(layout.planes())
    if position is not None:
        return layout.plane_at(layout.checked_position(position))
    if len(planes) > 1:
        raise SettingsError(
            f"which plane? The image has {len(planes)}.",
            mend="plane",
            python="give the position of any pixel of one, such as position=(3, 0, 0)",
        )
    return planes[0]
