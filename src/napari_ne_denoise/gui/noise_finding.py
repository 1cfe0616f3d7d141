"""What the thread of the noise dock does, and how its finding is told."""

from collections.abc import Iterator

from napari_ne_denoise.core.noise.estimation import estimate_noise
from napari_ne_denoise.core.noise.model import NoiseModel
from napari_ne_denoise.core.noise.sampling import channel_axes_of
from napari_ne_denoise.gui.layer_data import Source

ROWS = {
    "Noise": "Whether it is the same at every brightness, or grows with it as that of photons does",
    "Gain": "Image units a photon",
    "Offset": "Brightness without light, in image units",
    "Read noise": "Standard deviation without light, in image units",
    "Correlation": "Of the noise with that of the next pixel, along Y and along X; 0: every pixel has noise of its own",
    "Saturated": "Share of pixels at the highest level of the detector",
    "Hot or dead": "Share of pixels that stand out from all their neighbours",
    "Rounded to": "Smallest step between values, in image units",
    "Found in": "One image, or the differences of frames that follow each other; and how sure it is",
}
_KINDS = {"none": "none", "gaussian": "the same everywhere", "poisson-gaussian": "grows with brightness"}


def channel_of(source: Source, position: tuple[int, ...]) -> int | None:
    """The number of the channel at a position of the array; None where there are no channels."""
    axes = channel_axes_of(source.axes, source.channel_axis, source.data.shape)
    number = 0
    for axis in axes:
        number = number * source.data.shape[axis] + position[axis]
    return number if axes else None


def find_noise_of(source: Source, channel: int | None) -> Iterator[NoiseModel]:
    """The work of a thread."""
    yield estimate_noise(source.data, source.axes, channel_axis=source.channel_axis, channel=channel, nonfinite="keep")


def describe(noise: NoiseModel) -> dict[str, str]:
    """A value for each row; empty where there is nothing to say."""
    if noise.uncertainty is None:
        return dict.fromkeys(ROWS, "") | {"Noise": "the image is too small to tell"}
    (down, *_), (across, *_) = noise.correlation
    shared = ": neighbours share noise" if noise.is_correlated else ""
    return {
        "Noise": _KINDS[noise.kind],
        "Gain": f"{noise.gain:.3g} a photon" if noise.gain else "",
        "Offset": f"{noise.offset:.4g}" if noise.gain else "",
        "Read noise": f"{noise.read_noise:.3g}",
        "Correlation": f"{down:.2f} (Y), {across:.2f} (X){shared}",
        "Saturated": "" if noise.saturation is None else f"{noise.saturated_share:.2%} at {noise.saturation:.4g}",
        "Hot or dead": f"{noise.isolated_share:.2%}" if noise.isolated_share >= 5e-5 else "",
        "Rounded to": f"{noise.step:.3g}" if noise.step else "",
        "Found in": f"{noise.source}, confidence {noise.confidence}",
    }
