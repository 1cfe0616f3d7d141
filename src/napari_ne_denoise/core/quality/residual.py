"""What was removed from an image: whether it is noise and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_ne_denoise.core.noise.model import LAGS, Lags, NoiseModel
from napari_ne_denoise.core.quality.blocks import SIDE, Looked, frequencies, transform

# half periods a block: coarse structure, and fine structure; what is finer still is noise's before all
COARSE, FINE = (0.0, 6.0), (6.0, 11.0)
# chance that an image is said to have lost structure of which noise alone was removed, and all of it; where some was left, it is smaller.
# Rates on simulated noise: `python -m benchmarks write --parts assessment`
FALSE_ALARM = 1e-3
COUNTED = 1e-3  # chance of a block that is counted to hold structure, once the image is said to
PHOTONS_MORE = 4.0  # in a block, for what is not known of its brightness
LEAST_VARIANCE = 1e-3  # of the mean one: darker blocks are judged as if they had that


@dataclass(frozen=True)
class Structure:
    """Which blocks (N,) hold structure, the clearest first in `order`; none is where the whole image holds none."""

    held: np.ndarray
    order: np.ndarray


def find_structure(looked: Looked, noise: NoiseModel) -> Structure:
    """Find where more was removed than noise explains.

    Noise that is left is not removed, so that the residual of noise alone has at most the noise's power in any group of frequencies of any
    block.  What has more, beyond what chance allows and the noise model leaves open, is structure.

    Parameters
    ----------
    looked
        Of an image with noise.
    noise
        In its units.
    """
    from scipy.stats import chi2  # takes a third of a second, which most runs do not need

    removed, expected = np.square(transform(looked.removed)), looked.expected(noise)
    variance = noise.variance(looked.denoised).mean((1, 2))
    # of photons, the fourth moment is not a Gaussian's: their squares scatter more where they are few
    in_doubt = PHOTONS_MORE * noise.gain**2 / SIDE**2
    variance = np.maximum(variance + in_doubt, LEAST_VARIANCE * variance.mean())
    scatter = noise.gain**2 / (SIDE**2 * variance)
    chances = []
    for low, high in (COARSE, FINE):
        group = (frequencies() >= low) & (frequencies() < high)
        power = expected[:, group].sum(1) + in_doubt * group.sum()
        power = np.maximum(power, LEAST_VARIANCE * power.mean())
        freedom = 2 / (2 / group.sum() + scatter)
        ratio = removed[:, group].sum(1) / power / _doubt(noise)
        chances.append(chi2.logsf(ratio * freedom, freedom))
    chance = np.min(chances, 0) + np.log(len(chances))
    found = bool(chance.min() + np.log(len(chance)) < np.log(FALSE_ALARM))
    return Structure((chance < np.log(COUNTED)) & found, np.argsort(chance, kind="stable"))


def _doubt(noise: NoiseModel) -> float:
    """By what factor the variance may be larger than it was found."""
    return (1 + 2 * (noise.uncertainty or 0.0)) ** 2


def whiteness(looked: Looked, noise: NoiseModel) -> tuple[float, tuple[Lags, Lags]]:
    """Standard deviation of what was removed, in that of the noise, and its correlation one to three pixels farther along Y and X."""
    variance = noise.variance(looked.denoised)
    scaled = looked.removed / np.sqrt(np.maximum(variance, LEAST_VARIANCE * variance.mean()))
    std = float(np.sqrt(np.square(scaled).mean()))
    scaled = scaled - scaled.mean()
    power = float(np.square(scaled).mean())
    if not power:
        return std, ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    along_y = [float((scaled[:, lag:] * scaled[:, :-lag]).mean()) / power for lag in range(1, LAGS + 1)]
    along_x = [float((scaled[..., lag:] * scaled[..., :-lag]).mean()) / power for lag in range(1, LAGS + 1)]
    return std, ((along_y[0], along_y[1], along_y[2]), (along_x[0], along_x[1], along_x[2]))
