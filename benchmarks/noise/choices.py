"""What each choice of ``noise=`` reaches on real noise, beside denoisers of others: whether "auto" is the right one.

The rule of "auto" was fixed on clean training-side images (`suite`), before any of this was measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from statistics import mean

import numpy as np

from benchmarks.images import Sample
from benchmarks.options import Options
from benchmarks.ours import computed_by, denoised, weights_hash
from benchmarks.quality.methods import NOISY, peers_for_photons
from benchmarks.quality.scores import Comparison, Method, Scoreboard
from benchmarks.quality.suite import MICROGRAPHS, PROTOCOL_OF_MICROGRAPHS
from benchmarks.report import Report, Table, Target
from napari_ne_denoise import Denoiser, load_denoiser

MODEL = "fast"
AUTO, NONE = "auto", "none"
CHOICES = (AUTO, NONE, "poisson-gaussian", "self-calibrated")
BELOW_BEST, BELOW_NONE = 0.1, 0.3  # dB


def choices(options: Options) -> Report:
    """Mean PSNR of every choice and of others on every set of micrographs, and how far "auto" is below the best fixed choice."""
    board = Scoreboard(fresh=options.fresh)
    methods = [NOISY, *our_choices(), *(peers_for_photons() if options.peers else [])]
    found = [_compare(board, options, folder, methods) for folder in MICROGRAPHS]
    rows = [row for comparison in found for row in comparison.rows()]
    caption = f"`{MODEL}` with every choice of `noise=`; mean PSNR in dB over whole images. {PROTOCOL_OF_MICROGRAPHS}"
    table = Table(["PSNR, dB", *(method.name for method in methods)], rows, caption)
    return Report("Choices of noise", [table], list(_targets(found)), [board.note])


def our_choices() -> list[Method]:
    """The default model with every choice of ``noise=``."""
    model = load_denoiser(MODEL)
    identity = f"model {weights_hash(model.network)}; {model.card.half_errors}; {computed_by()}"
    return [Method(choice, f"{identity}; noise {choice}", partial(_chosen, model, choice)) for choice in CHOICES]


def _chosen(model: Denoiser, choice: str, sample: Sample) -> np.ndarray:
    return denoised(sample.noisy, model, noise=choice)


def _compare(board: Scoreboard, options: Options, folder: str, methods: Sequence[Method]) -> Comparison:
    name, samples_of = MICROGRAPHS[folder]
    return board.compare(name, islice(samples_of(options.data / "test" / folder), options.limit), methods)


def _targets(found: Sequence[Comparison]) -> Iterator[Target]:
    overall = {choice: mean(comparison.mean(choice) for comparison in found) for choice in CHOICES}
    yield Target("auto below the best fixed choice, mean over sets", max(overall.values()) - overall[AUTO], BELOW_BEST, "dB")
    behind = [none - auto for each in found for none, auto in zip(each.psnrs(NONE), each.psnrs(AUTO), strict=True)]
    yield Target("auto below none, worst image", max(behind), BELOW_NONE, "dB")
