"""Denoise an image: the function that users call."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal, overload

import numpy as np

from napari_ne_denoise.core.inference import collect, prepare_denoising
from napari_ne_denoise.core.jacobian.maps import check_bars_wanted, error_steps, in_memory
from napari_ne_denoise.core.noise.model import NoiseModel
from napari_ne_denoise.core.settings import DEFAULTS, HotPixels, KnownNoise, NamedModel, Noise, Nonfinite, OutputDtype, Precision


@overload
def denoise(image: Any, *, return_std: Literal[False] = False, **settings: Any) -> np.ndarray: ...
@overload
def denoise(image: Any, *, return_std: Literal[True], **settings: Any) -> tuple[np.ndarray, np.ndarray]: ...
def denoise(  # type: ignore[misc]  # all settings are named here, and not once more above
    image: Any,
    *,
    model: str | os.PathLike[str] | NamedModel = DEFAULTS.model,
    axes: str | None = DEFAULTS.axes,
    channel_axis: int | None = DEFAULTS.channel_axis,
    sigma: float | None = DEFAULTS.sigma,
    noise: Noise | KnownNoise | Mapping[str, Any] | os.PathLike[str] | str = DEFAULTS.noise,
    device: str = DEFAULTS.device,
    precision: Precision = DEFAULTS.precision,
    tile_size: int | None = DEFAULTS.tile_size,
    output_dtype: OutputDtype = DEFAULTS.output_dtype,
    nonfinite: Nonfinite = DEFAULTS.nonfinite,
    strength: float = DEFAULTS.strength,
    hot_pixels: HotPixels = DEFAULTS.hot_pixels,
    return_std: bool = False,
    noise_model: NoiseModel | None = None,
) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
    """Denoise an image; the result is in the image's own units.

    With a norm-equiv model, ``denoise(λ·y + μ) = λ·denoise(y) + μ`` for every λ > 0 and μ, and any `strength`.  Every plane is denoised on
    its own.

    Parameters
    ----------
    image : array, 2 to 6 axes, any real dtype
        Planes are the last two axes, unless `axes` or `channel_axis` say otherwise.  Never modified.
    model
        Name of a registered model, path of a weight file, or a `Denoiser`.
    axes
        One letter an axis, such as "TCZYX", with Y and X.  None: the last two axes that hold no channels are Y and X.
    channel_axis
        Number of the axis that holds channels.  None: there is none, or `axes` says which.
    sigma
        Standard deviation of the noise in image units, for models that need it.  None for blind models, and to have it found.
    noise
        What is done about noise before the network: "none"; "poisson-gaussian", which finds it in the image and makes it the same at every
        brightness; "self-calibrated", which learns from the image how to, in seconds; "auto", one of the first two, as suits the model; a
        `NoiseModel` or `LearnedNoise`, or the record of one; the path of a microscope profile.
    device
        "auto", "cpu", "cuda", "cuda:1", "mps".
    precision
        "auto" takes half precision where it is faster and costs less than a hundredth of the noise, else float32.  Or "float32",
        "bfloat16", "float16".
    tile_size
        Side in pixels of the square kept of each piece, at least 1, rounded up to the model's stride.  None: by free memory.
        It does not change the result, but for which parts "auto" computes in half precision.
    output_dtype
        "auto": ``numpy.result_type(image, float32)``.  "input": rounded and clipped to the image's dtype.  Or "float32", "float64".
    nonfinite
        "error", or "keep" to denoise around NaN and infinities and give them back as they were.
    strength
        0 to 1, where denoising smooths too much: the result is y + strength · (f(y) − y), computed in float64.  0 gives the image back.
    hot_pixels
        "keep", or "repair" to put the median of the neighbours in place of pixels that stand out from all of them by more than six standard
        deviations of the noise: over T and Z, if `axes` names these, those that do so in most frames; else those of each plane.
        `strength` counts from the repaired image.
    return_std
        Whether to give error bars too: the standard deviation of each pixel's error.  It holds the noise that is left in the pixel, and
        what was lost beside it, which no single pixel can tell, and so is told by the 32 pixels around it (`docs/error-bars.md`).
    noise_model
        The noise of the image, for error bars.  None: that of `noise`, if it is a `NoiseModel`, else it is found.

    Returns
    -------
    ndarray
        Of the image's shape, in its units.  With `return_std` two: the second is float32.

    Raises
    ------
    ImageError, SettingsError, ModelError, DeviceError, ComputationError
        All are `NEDenoiseError` and `ValueError`, and say what came, what is accepted and what to do.  Error bars are there for
        norm-equiv and scale-equiv models, and images in which noise can be found.

    Source: Herbreteau, Moebel, Kervrann, NeurIPS 2023.
    """
    check_bars_wanted(noise_model, return_std=return_std)
    run = prepare_denoising(
        image,
        model=model,
        axes=axes,
        channel_axis=channel_axis,
        sigma=sigma,
        noise=noise,
        device=device,
        precision=precision,
        tile_size=tile_size,
        output_dtype=output_dtype,
        nonfinite=nonfinite,
        strength=strength,
        hot_pixels=hot_pixels,
    )
    if not return_std:
        return collect(run)
    bars = error_steps(run, noise_model)  # refuses at once what has none
    return collect(run), in_memory(bars, run.shape)
