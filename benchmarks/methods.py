"""What is compared on the test images: our models, plainly called, and denoisers of others."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import napari_ne_denoise
from benchmarks import classical, noise_curve, stabilise
from benchmarks.images import Sample
from benchmarks.scores import Method
from benchmarks.stabilise import through_anscombe
from napari_ne_denoise import Denoiser, denoise, load_denoiser

CORE = Path(napari_ne_denoise.__file__).parent / "core"
NOISY = Method("noisy", "noisy", lambda sample: sample.noisy)
TRUTH = Method("truth", "truth", lambda sample: sample.truth)
NLM, TV, BM3D = "NLM", "TV", "BM3D"
GAT = "GAT+"
PACKAGES = {NLM: ("scikit-image",), TV: ("scikit-image",), BM3D: ("bm3d", "bm4d")}  # bm3d is a face of bm4d


def our_models(names: Sequence[str]) -> list[Method]:
    """Models by registered name or path, with nothing but the plain call; targets are for those that are norm-equiv."""
    stems = Counter(Path(name).stem for name in names)
    return [_ours(Path(name).stem if stems[Path(name).stem] == 1 else name, load_denoiser(name)) for name in dict.fromkeys(names)]


def peers_for_white_noise() -> list[Method]:
    """BM3D is told σ; the others estimate it."""
    return list(_installed({BM3D: _told_the_noise, TV: _plain(classical.total_variation), NLM: _plain(classical.non_local_means)}))


def peers_for_photons() -> list[Method]:
    """Given nothing but the image: behind a stabilising transform whose noise curve is estimated, and TV without it."""
    behind = {
        BM3D: _stabilised(_block_matching_at_one),
        TV: _stabilised(partial(classical.total_variation, sigma=1.0)),
        NLM: _stabilised(partial(classical.non_local_means, sigma=1.0)),
    }
    return list(_installed({**{GAT + name: call for name, call in behind.items()}, TV: _plain(classical.total_variation)}))


def peers_for_known_spectra() -> list[Method]:
    """Told the power spectrum of the noise."""
    return list(_installed({BM3D: _told_the_noise}))


def _installed(wanted: dict[str, Callable[[Sample], np.ndarray]]) -> Iterator[Method]:
    for name, call in wanted.items():
        kind = name.removeprefix(GAT)
        if kind != BM3D or find_spec("bm3d"):
            # the versions of what it computes with, and the source of how we call it
            versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES[kind])
            yield Method(name, f"{name}; {versions}; {_CALLED_BY}", call)


def _ours(name: str, model: Denoiser) -> Method:
    # `denoise` is ours to change: a new version of it is measured again
    identity = f"model {_weights_hash(model)}; {model.card.half_errors}; {_COMPUTED_BY}"
    return Method(name, identity, lambda sample: denoise(sample.noisy, model=model), aims=model.equivariance == "norm-equiv")


def _weights_hash(model: Denoiser) -> str:
    """Of the weights alone: a card may gain scores."""
    weights = sorted(model.network.state_dict().items())
    return hashlib.sha256(b"".join(key.encode() + value.numpy().tobytes() for key, value in weights)).hexdigest()


def _plain(call: Callable[[np.ndarray], np.ndarray]) -> Callable[[Sample], np.ndarray]:
    return lambda sample: call(sample.noisy.astype(np.float64))


def _stabilised(call: Callable[[np.ndarray], np.ndarray]) -> Callable[[Sample], np.ndarray]:
    return lambda sample: through_anscombe(sample.noisy, call)


def _told_the_noise(sample: Sample) -> np.ndarray:
    noise = sample.sigma if sample.spectrum is None else sample.spectrum
    return classical.block_matching(sample.noisy.astype(np.float64), noise, sample.peak)


def _block_matching_at_one(stable: np.ndarray) -> np.ndarray:
    # BM3D is made for a range of about one; that of the image is what Mäkitalo and Foi take
    return classical.block_matching(stable, 1.0, float(np.ptp(stable)) or 1.0)


def source_hash(paths: Sequence[Path]) -> str:
    """Of what stands in these files."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(paths))).hexdigest()[:12]


_CALLED_BY = source_hash([Path(str(module.__file__)) for module in (classical, noise_curve, stabilise)])
_COMPUTED_BY = source_hash([path for path in CORE.rglob("*.py") if path.relative_to(CORE).parts[0] not in ("training", "jacobian", "io")])
