"""What the thread of the noise dock does, and how its finding is told."""

from collections.abc import Iterator
from dataclasses import dataclass

from napari_ne_denoise.core.noise.estimation import estimate_noise
from napari_ne_denoise.core.noise.learned import LearnedNoise
from napari_ne_denoise.core.noise.model import NoiseModel
from napari_ne_denoise.core.words import percent
from napari_ne_denoise.gui.layers.layer_data import Source

HOT = "Hot or dead"
UNITS = "image units"
ROWS = {
    "Noise": "Whether it is the same at every brightness, or grows with it as that of photons does",
    "Gain": "How much brighter a pixel is for each photon that it got",
    "Offset": "Brightness without light",
    "Read noise": "Standard deviation without light",
    "Correlation": "Of the noise with that of the next pixel, along Y and along X; 0: every pixel has noise of its own",
    "Saturated": "Share of pixels at the highest level of the detector",
    HOT: "Pixels that stand out from all their neighbours by more than six standard deviations of the noise.\n"
    "Denoising keeps them as bright or dark dots. From ten per megapixel on, let them be replaced by what is around them first:\n"
    "Advanced ▸ Hot pixels ▸ repair, in the Denoise dock.",
    "Rounded to": "Smallest step between values",
    "Learned": "Standard deviation that self-calibration learned, at the darkest and at the brightest: the dashed line",
    "Found in": "One image, or the differences of frames that follow each other; and how sure it is",
}
_KINDS = {"none": "none", "gaussian": "the same everywhere", "poisson-gaussian": "grows with brightness"}


@dataclass(frozen=True)
class Found:
    """What is known so far.

    Attributes
    ----------
    noise
        Found in the image.
    learned
        By self-calibration.  None: nothing, or nothing that is better than the image as it is.
    share
        Of self-calibration that is done, 0 to 1; None where nobody asked for it.
    """

    noise: NoiseModel
    learned: LearnedNoise | None = None
    share: float | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing more will come."""
        return self.share in (None, 1)


def find_noise_of(source: Source, channel: int | None) -> Iterator[Found]:
    """The work of a thread."""
    yield Found(estimate_noise(source.data, source.axes, channel_axis=source.channel_axis, channel=channel, nonfinite="keep"))


def learn_noise_of(source: Source, channel: int | None) -> Iterator[Found]:
    """The work of a thread that self-calibrates too."""
    from napari_ne_denoise.core.inference import calibrate_noise  # brings torch along

    for progress in calibrate_noise(source.data, axes=source.axes, channel_axis=source.channel_axis, channel=channel):
        yield Found(progress.found, progress.noise, 0.99 * progress.step / progress.total)
    yield Found(progress.found, progress.noise, 1)


def describe(found: Found) -> dict[str, str]:
    """A value for each row; empty where there is nothing to say."""
    noise = found.noise
    if noise.uncertainty is None:
        return dict.fromkeys(ROWS, "") | {"Noise": "the image is too small to tell"}
    (down, *_), (across, *_) = noise.correlation
    shared = ": neighbours share noise" if noise.is_correlated else ""
    return {
        "Noise": _KINDS[noise.kind],
        "Gain": f"{noise.gain:.3g} {UNITS} a photon" if noise.gain else "",
        "Offset": f"{noise.offset:.4g} {UNITS}" if noise.gain else "",
        "Read noise": f"{noise.read_noise:.3g} {UNITS}",
        "Correlation": f"{down:.2f} (Y), {across:.2f} (X){shared}",
        "Saturated": "" if noise.saturation is None else f"{percent(noise.saturated_share, 2)} at {noise.saturation:.4g}",
        HOT: _describe_hot(noise),
        "Rounded to": f"steps of {noise.step:.3g} {UNITS}" if noise.step else "",
        "Learned": _describe_learned(found),
        "Found in": f"{noise.source}, confidence {noise.confidence}",
    }


def _describe_hot(noise: NoiseModel) -> str:
    if not noise.isolated_share:
        return ""
    offer = ": repair offered, see tooltip" if noise.has_hot_pixels else ""
    return f"{noise.hot_per_megapixel:.3g} pixels per megapixel{offer}"


def _describe_learned(found: Found) -> str:
    if found.learned is None:
        return "nothing that is better than the image as it is" if found.share == 1 else ""
    low, high = (float(found.learned.std(found.noise.curve[end].level)) for end in (0, -1))
    return f"{low:.3g} to {high:.3g} {UNITS}"
