"""Denoisers of others, for white noise of a given or of an estimated strength: each takes an image (Y, X) in float64 and any units.

Below each stands what it is compared as: its name, and how it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, cast

import numpy as np
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, denoise_wavelet, estimate_sigma

from benchmarks.images import Sample


@dataclass(frozen=True)
class Peer:
    """A denoiser of others, as the tables and their captions name it.

    Attributes
    ----------
    name
        Column of the tables.
    protocol
        How it is called, as one sentence.
    packages
        That it computes with, as distributions.
    optional
        The module without which it is left out.  None: it is always there.
    """

    name: str
    protocol: str
    packages: tuple[str, ...]
    optional: str | None = None

    @property
    def installed(self) -> bool:
        """Whether it can be measured here."""
        return self.optional is None or find_spec(self.optional) is not None

    @property
    def versions(self) -> str:
        """Of what it computes with."""
        return _versions(self.packages)


def non_local_means(noisy: np.ndarray, sigma: float | None = None) -> np.ndarray:
    """Fast mode, with the strength that scikit-image's own example takes."""
    sigma = _known(noisy, sigma)
    denoised: np.ndarray = denoise_nl_means(noisy, patch_size=5, patch_distance=6, h=0.8 * sigma, sigma=sigma, fast_mode=True)
    return denoised


NLM = Peer("NLM", "NLM: fast mode, patches of 5, distance 6, h = 0.8 σ.", ("scikit-image",))


def total_variation(noisy: np.ndarray, sigma: float | None = None) -> np.ndarray:
    """With σ as weight: the one rule without a number in it that scales with the image."""
    denoised: np.ndarray = denoise_tv_chambolle(noisy, weight=_known(noisy, sigma))
    return denoised


TV = Peer("TV", "TV: Chambolle, weight σ.", ("scikit-image",))


def wavelets(noisy: np.ndarray) -> np.ndarray:
    """BayesShrink, which estimates the noise itself."""
    denoised: np.ndarray = denoise_wavelet(noisy, method="BayesShrink", mode="soft", rescale_sigma=True)
    return denoised


WAVELETS = Peer("wavelets", "Wavelets: BayesShrink, soft.", ("scikit-image", "PyWavelets"))


def block_matching(noisy: np.ndarray, noise: float | np.ndarray | None, peak: float) -> np.ndarray:
    """BM3D, where it is installed.

    Parameters
    ----------
    noisy
        (Y, X).
    noise
        Standard deviation of white noise, or the expected squared magnitude of the noise's `numpy.fft.fft2`, (Y, X).  None: a
        standard deviation that is estimated.
    peak
        What BM3D gets as 1.
    """
    from bm3d import bm3d  # type: ignore[import-untyped]  # non-commercial: used only where its user has installed it

    scaled = noise / peak**2 if isinstance(noise, np.ndarray) else _known(noisy, noise) / peak
    with _former_numpy():
        denoised: np.ndarray = bm3d(noisy / peak, scaled) * peak
    return denoised


def block_matching_at_one(stable: np.ndarray) -> np.ndarray:
    """BM3D for white noise with a standard deviation of one."""
    # it is made for a range of about one; that of the image is what Mäkitalo and Foi take
    return block_matching(stable, 1.0, float(np.ptp(stable)) or 1.0)


def told_the_noise(sample: Sample) -> np.ndarray:
    """BM3D with all that is known of the noise: its spectrum, or σ, or neither."""
    noise = sample.sigma if sample.spectrum is None else sample.spectrum
    return block_matching(sample.noisy.astype(np.float64), noise, sample.peak)


BM3D = Peer("BM3D", "BM3D: its normal profile, told σ where the noise is simulated.", ("bm3d", "bm4d"), "bm3d")  # bm3d is a face of bm4d


def plain(call: Callable[[np.ndarray], np.ndarray]) -> Callable[[Sample], np.ndarray]:
    """Given nothing but the noisy image."""
    return lambda sample: call(sample.noisy.astype(np.float64))


def protocol_of(peers: Iterable[Peer]) -> str:
    """How these are called, for a caption; those that are not installed are left out."""
    present = [peer for peer in peers if peer.installed]
    packages = dict.fromkeys(package for peer in present for package in peer.packages)
    return " ".join(
        [f"{_versions(packages)}.", *(peer.protocol for peer in present), "Where σ is not told it is that of `estimate_sigma`."]
    )


def _versions(packages: Iterable[str]) -> str:
    return ", ".join(f"{package} {version(package)}" for package in packages)


@contextmanager
def _former_numpy() -> Iterator[None]:
    """With the name that NumPy's `trapezoid` had before 2.0, which bm4d 4.2 still calls for coloured noise."""
    module = cast(Any, np)
    missing = not hasattr(np, "trapz")
    if missing:
        module.trapz = module.trapezoid
    try:
        yield
    finally:
        if missing:
            del module.trapz


def _known(noisy: np.ndarray, sigma: float | None) -> float:
    return float(estimate_sigma(noisy)) if sigma is None else sigma
