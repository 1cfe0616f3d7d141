"""What denoising took away, as a layer, in standard deviations of the noise."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.colormaps import Colormap

from napari_ne_denoise.core.axes import plan_planes
from napari_ne_denoise.core.noise.estimation import estimate_noise
from napari_ne_denoise.core.noise.model import NoiseModel
from napari_ne_denoise.core.noise.residual import ResidualSummary, ResidualTally, standardized_residual
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.compare.comparing import Pair
from napari_ne_denoise.gui.layers.layer_data import HELPER_KEY, channel_of
from napari_ne_denoise.gui.layers.places import place_at

if TYPE_CHECKING:
    from napari.viewer import Viewer

RESIDUAL_KEY = f"{KEY} residual"
LIMIT = 4.0  # standard deviations; one of 16,000 pixels of white noise is beyond
COLOURS = 3  # what follows them is transparency

# blue below zero, light grey at it, orange above, as for the weights of filters
_STOPS = ((0.02, 0.13, 0.42), (0.17, 0.45, 0.80), (0.92, 0.92, 0.92), (0.93, 0.49, 0.10), (0.45, 0.13, 0.02))
COLOURMAP = Colormap([(*colour, 1.0) for colour in _STOPS], name="residual", display_name="residual")


@dataclass(frozen=True, eq=False)
class Residual:
    """The residual of a pair of layers.

    Attributes
    ----------
    values
        In standard deviations, with the axes of the layers.  Of colours the mean of the three, times √3: with noise of its own in
        each, that has a standard deviation of 1 too.
    noises
        Of each channel.
    summary
        In numbers.
    """

    values: np.ndarray
    noises: tuple[NoiseModel, ...]
    summary: ResidualSummary


def compute_residual(pair: Pair) -> Iterator[float | Residual]:
    """The work of a thread: the share that is done, again and again, and then the residual."""
    source, noisy = pair.source, pair.noisy
    layout = plan_planes(tuple(noisy.shape), source.axes, source.channel_axis)
    found: dict[int | None, NoiseModel] = {}
    values = np.zeros(noisy.shape[:-1] if pair.rgb else noisy.shape, np.float32)
    for number, plane in enumerate(layout.planes()):
        position = layout.position(plane, 0, 0)
        if pair.rgb and position[-1] >= COLOURS:
            continue
        channel = channel_of(source, tuple(np.add(position, pair.origin)))
        if channel not in found:
            found[channel] = _noise(pair, channel)
        rest = standardized_residual(np.asarray(noisy[plane]), np.asarray(pair.denoised[plane]), found[channel])
        if pair.rgb:
            values[plane[:-1]] += rest / np.float32(np.sqrt(COLOURS))
        else:
            values[plane] = rest
        yield (number + 1) / layout.plane_count
    yield Residual(values, tuple(found.values()), _summary(pair, values))


def _noise(pair: Pair, channel: int | None) -> NoiseModel:
    source = pair.source
    return estimate_noise(source.data, source.axes, channel_axis=source.channel_axis, channel=channel, nonfinite="keep")


def _summary(pair: Pair, values: np.ndarray) -> ResidualSummary:
    tally = ResidualTally()
    axes = None if pair.source.axes is None else pair.source.axes[: values.ndim]
    layout = plan_planes(values.shape, axes or "QTZCYX"[-values.ndim :], None)
    for plane in layout.planes():
        tally.add(layout.to_image(values[plane]))
    return tally.summary()


def show_residual(viewer: "Viewer", pair: Pair, residual: Residual) -> Any:
    """Show a residual above both layers: in the layer that there is for them, or in a new one."""
    name = f"{pair.after.name} residual (σ)"
    record = {
        "before": pair.before.name,
        "after": pair.after.name,
        "noise": [noise.as_record() for noise in residual.noises],
        **asdict(residual.summary),
    }
    notes = {RESIDUAL_KEY: record, HELPER_KEY: True}
    active = viewer.layers.selection.active
    for other in [other for other in viewer.layers if RESIDUAL_KEY in other.metadata and other.name == name]:
        viewer.layers.remove(other)
    look = {"colormap": COLOURMAP, "contrast_limits": (-LIMIT, LIMIT), "blending": "translucent_no_depth", "metadata": notes, "rgb": False}
    layer = viewer.add_image(residual.values, name=name, **look, **place_at(pair.after, (0,) * pair.after.ndim))
    above = max(viewer.layers.index(other) for other in pair.layers) + 1
    viewer.layers.move(viewer.layers.index(layer), above)
    viewer.layers.selection.active = active  # the boxes go on showing the pair
    return layer


def describe(residual: Residual) -> str:
    """What the numbers of a residual say, in a sentence or two."""
    summary = residual.summary
    correlated = [noise for noise in residual.noises if noise.is_correlated]
    own = ""
    if correlated:
        (down, *_), (across, *_) = correlated[0].correlation
        own = f", the noise itself has {down:.2f} and {across:.2f}"
    return (
        f"Residual: std {summary.std:.2f} σ (1: all noise went, and nothing else). Correlation with the next pixel "
        f"{_signed(summary.along_rows)} in Y, {_signed(summary.along_columns)} in X ({'0: no structure went' if not own else own[2:]})."
    )


def _signed(value: float) -> str:
    """Two digits, with the sign of mathematics, and zero without one."""
    text = f"{value:.2f}".replace("-", "−")
    return "0.00" if text == "−0.00" else text
