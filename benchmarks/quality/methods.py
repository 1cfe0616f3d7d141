"""What is compared on the test images: our models, plainly called, and denoisers of others.

The transform that makes noise the same everywhere for the others, and the noise curve it needs, are on purpose not those of `core.noise`: a
peer must not change with what it is compared to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.images import Sample
from benchmarks.ours import computed_by, denoised, is_compared_only, source_hash, weights_hash
from benchmarks.quality import classical, noise_curve, stabilise
from benchmarks.quality.classical import BM3D, NLM, TV, Peer, block_matching_at_one, non_local_means, plain, told_the_noise, total_variation
from benchmarks.quality.scores import Method
from benchmarks.quality.stabilise import GAT, behind_anscombe
from napari_ne_denoise import Denoiser, load_denoiser

NOISY = Method("noisy", "noisy", lambda sample: sample.noisy)
TRUTH = Method("truth", "truth", lambda sample: sample.truth)
WHITE_NOISE_PEERS = (BM3D, TV, NLM)

# the source of how we call the denoisers of others; nothing in the present file changes what they are given
_CALLED_BY = source_hash([Path(str(module.__file__)) for module in (classical, noise_curve, stabilise)])


def our_models(names: Sequence[str]) -> list[Method]:
    """Models by registered name or path, with nothing but the plain call.

    Targets are for those that are norm-equiv, unless they are registered only to compare with.
    """
    stems = Counter(Path(name).stem for name in names)
    return [_ours(name, Path(name).stem if stems[Path(name).stem] == 1 else name) for name in dict.fromkeys(names)]


def peers_for_white_noise() -> list[Method]:
    """BM3D is told σ; the others estimate it."""
    return list(_installed({BM3D: told_the_noise, TV: plain(total_variation), NLM: plain(non_local_means)}))


def peers_for_photons() -> list[Method]:
    """Given nothing but the image: behind a stabilising transform whose noise curve is estimated, and TV without it."""
    behind = {
        BM3D: behind_anscombe(block_matching_at_one),
        TV: behind_anscombe(partial(total_variation, sigma=1.0)),
        NLM: behind_anscombe(partial(non_local_means, sigma=1.0)),
    }
    return [*_installed(behind, GAT), *_installed({TV: plain(total_variation)})]


def peers_for_known_spectra() -> list[Method]:
    """Told the power spectrum of the noise."""
    return list(_installed({BM3D: told_the_noise}))


def _installed(wanted: Mapping[Peer, Callable[[Sample], np.ndarray]], before: str = "") -> Iterator[Method]:
    for peer, call in wanted.items():
        if peer.installed:
            name = before + peer.name
            yield Method(name, f"{name}; {peer.versions}; {_CALLED_BY}", call)


def _ours(asked: str, name: str) -> Method:
    model: Denoiser = load_denoiser(asked)
    weights = weights_hash(model.network)
    # `denoise` is ours to change: a new version of it is measured again
    identity = f"model {weights}; {model.card.half_errors}; {computed_by()}"
    aims = model.equivariance == "norm-equiv" and not is_compared_only(asked)
    return Method(name, identity, lambda sample: denoised(sample.noisy, model), aims, weights)
