"""The noise of an image, found in the image itself.

What is left of an image after its smooth part is taken away (the Laplacian over the four neighbours) is noise where there is no
structure.  Blocks of 8×8 pixels are sorted by brightness; of those of about one brightness, those whose quarters are alike hold no
structure.  The quarters' means know next to nothing of the Laplacian, so that blocks chosen by the one are not chosen by the other, and
the mean of the other is the variance of the noise: at a tenth of a photon a pixel as at thousands.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

import numpy as np

from napari_ne_denoise.core.axes import plan_planes
from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.noise.blocks import FEWEST, Blocks, blocks_of
from napari_ne_denoise.core.noise.correlation import Sharing, laplacian_gain, sharing_of
from napari_ne_denoise.core.noise.curve import Line, line_through, noise_alone, noise_curve, with_dark
from napari_ne_denoise.core.noise.detector import isolated_share, levels_of, lopsidedness
from napari_ne_denoise.core.noise.model import CurvePoint, NoiseModel
from napari_ne_denoise.core.noise.sampling import channel_axes_of, frame_axis_of, windows_of
from napari_ne_denoise.core.pixels import PlaneReader, as_image
from napari_ne_denoise.core.settings import Nonfinite, check_choice, checked_whole

UNIT_QUANTILE = 0.999  # of the distances from the median: a hot pixel must not cost the others their digits
FARTHEST = 1e6  # in that unit; squares of what is beyond would leave the range of float32
CLIPPED = 0.1  # a block with more of its pixels than that at the lowest or highest level was cut off there
ENOUGH = 0.2  # share of blocks that are not, above which the others are left out
SPREAD_OF_NOISE = 0.25  # of the variances of blocks of noise alone, relative; more is structure that was not told apart
# blocks whose quarters are alike have less of correlated noise: of its standard deviation, for a correlation of one (tests/test_noise.py)
CHOSEN_AWAY = 0.35


def estimate_noise(
    image: Any, axes: str | None = None, *, channel_axis: int | None = None, channel: int | None = None, nonfinite: Nonfinite = "error"
) -> NoiseModel:
    """Find the noise of an image, or of one of its channels.

    The result is equivariant: of ``λ·image + μ`` with λ > 0 it is ``estimate_noise(image).mapped(λ, μ)``, whatever the dtype.

    Parameters
    ----------
    image : array, 2 to 6 axes, any real dtype
        At most 4 megapixels of it are read.
    axes
        One letter an axis, such as "TYX".  With T or Z of at least two frames, noise is looked for in the differences of frames.  None:
        the last two axes that hold no channels are Y and X.
    channel_axis
        Number of the axis that holds channels.  None: there is none, or `axes` says which.
    channel
        Which channel; each has noise of its own.  None, if there is only one.
    nonfinite
        "error", or "keep" to leave out NaN and infinities.

    Returns
    -------
    NoiseModel
        In image units.  Of a constant image: no noise.  Of an image with fewer than eight blocks of 8×8 pixels, each with a pixel around
        it: none either, with an `uncertainty` of None.

    Raises
    ------
    ImageError, SettingsError
        As `denoise`.
    """
    check_choice("nonfinite", nonfinite, get_args(Nonfinite))
    array = as_image(image)
    layout = plan_planes(tuple(array.shape), axes, channel_axis)
    reader = PlaneReader(array, layout, nonfinite)
    fixed = place_of_channel(axes, channel_axis, layout.shape, channel)
    reader.check()
    return find_noise(reader, frame_axis_of(axes, layout.shape), fixed)


def place_of_channel(letters: str | None, channel_axis: int | None, shape: tuple[int, ...], channel: int | None) -> dict[int, int]:
    """The place of a channel, by number of axis, along the axes that hold channels.

    Raises
    ------
    SettingsError
        If there is no such channel, or there are several and none was named.
    """
    axes = channel_axes_of(letters, channel_axis, shape)
    counts = [shape[axis] for axis in axes]
    total = int(np.prod(counts))
    if channel is None and total > 1:
        raise SettingsError(
            f"channel=None: the image has {total} channels, each with noise of its own; give a number from 0 to {total - 1}."
        )
    channel = None if channel is None else checked_whole("channel", channel, "the number of a channel, or None if there is only one")
    if channel is not None and not 0 <= channel < total:
        raise SettingsError(f"channel={channel}: the image has {total}, numbered from 0.")
    return dict(zip(axes, map(int, np.unravel_index(channel or 0, counts)), strict=True)) if axes else {}


def find_noise(reader: PlaneReader, frame_axis: int | None, fixed: Mapping[int, int] | None = None) -> NoiseModel:
    """The noise of those planes of an image that lie at given places along some axes, such as those of one channel.

    Parameters
    ----------
    reader
        Where pixels come from.
    frame_axis
        Along which the same is imaged again and again.  None: there is none, and noise is looked for in single planes.
    fixed
        Places by number of axis.  None: all planes.
    """
    fixed = fixed or {}
    if frame_axis in fixed:
        frame_axis = None
    found = _estimate(list(windows_of(reader, frame_axis, fixed)))
    if frame_axis is None:
        return found
    # frames may be copies of one another
    return replace(found, source="frame differences") if found.kind != "none" else find_noise(reader, None, fixed)


def _estimate(windows: list[np.ndarray]) -> NoiseModel:
    """The noise in windows (frames, Y, X) of float64."""
    windows = [window for window in windows if np.isfinite(window).any()]
    sample = np.concatenate([np.zeros(0), *(window[:, ::4, ::4].ravel() for window in windows)])
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return NoiseModel(gain=0.0, offset=0.0, read_noise=0.0, uncertainty=None)
    middle = float(np.median(sample))
    unit = float(np.quantile(np.abs(sample - middle), UNIT_QUANTILE)) or max(
        float(np.nanmax(np.abs(window - middle))) for window in windows
    )
    if not unit:
        return NoiseModel(gain=0.0, offset=middle, read_noise=0.0)
    # float32 from here on: offsets and units must not cost digits
    small = [np.clip((window - middle) / unit, -FARTHEST, FARTHEST).astype(np.float32) for window in windows]
    return _estimate_small(small).mapped(unit, middle)


def _estimate_small(windows: list[np.ndarray]) -> NoiseModel:
    lowest, highest = min(float(np.nanmin(window)) for window in windows), max(float(np.nanmax(window)) for window in windows)
    blocks = blocks_of(windows, lowest, highest)
    if blocks is None or len(blocks) < FEWEST:
        return NoiseModel(gain=0.0, offset=lowest, read_noise=0.0, uncertainty=None)
    points, sharing, spread = _curve_and_sharing(blocks)
    found = _model(line_through(points), float(np.quantile(blocks.brightness, 0.005)))
    doubts = max(0.0, spread - SPREAD_OF_NOISE) / 2, sharing.texture / 2
    uncertainty = found.uncertainty and math.hypot(found.uncertainty, *doubts)
    found = replace(found, correlation=sharing.correlation, curve=tuple(points), uncertainty=uncertainty, **levels_of(windows))
    found = replace(found, lopsidedness=lopsidedness(blocks, found))
    return replace(found, isolated_share=isolated_share(windows, found))


def _curve_and_sharing(blocks: Blocks) -> tuple[list[CurvePoint], Sharing, float]:
    """The curve, what neighbours share, and how widely blocks of one brightness differ."""
    whole = blocks.enough(blocks.high == 0)
    cut_off = whole.low > CLIPPED
    light = whole.enough(~cut_off, ENOUGH)
    sharing = sharing_of(noise_alone(light))
    points, spread = noise_curve(light)
    if len(light) < len(whole) and cut_off.sum() >= FEWEST:
        points = with_dark(points, noise_curve(whole.only(cut_off))[0])
    seen = _seen_variance(sharing)
    return [CurvePoint(p.level, p.variance / seen, p.standard_error / seen) for p in points], sharing, spread


def _seen_variance(sharing: Sharing) -> float:
    """What is seen of a variance of the noise of one: less, where it is shared, and more, where there is texture."""
    y, x = (along[0] for along in sharing.correlation)
    return laplacian_gain(sharing.correlation) * (1 - CHOSEN_AWAY * max(0.0, (y + x) / 2) ** 3) ** 2 + sharing.texture


def _model(line: Line, darkest: float) -> NoiseModel:
    if not line.slope:
        return NoiseModel(
            gain=0.0, offset=darkest, read_noise=float(np.sqrt(max(line.intercept, 0.0))), uncertainty=line.uncertainty or 0.0
        )
    offset = max(darkest, -line.intercept / line.slope)
    at_offset = max(0.0, line.slope * offset + line.intercept)
    return NoiseModel(
        gain=line.slope,
        offset=offset,
        read_noise=float(np.sqrt(at_offset)),
        uncertainty=line.uncertainty,
        gain_uncertainty=line.slope_uncertainty,
    )
