"""PSNR of models on the test images, beside that of the noisy images and of other denoisers in the same run.

Protocol: models get nothing but the plain call.  Simulated noise is y = x + σ·default_rng(index).standard_normal, index in sorted order,
neither clipped nor rounded.  The peak is 255 for 8-bit images, and the range of the truth for others.  Figures are means over images, of
whole images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from benchmarks.images import Sample, fluorescence_samples, gaussian_samples, paired_samples, photon_samples
from benchmarks.options import SECTIONS, Options
from benchmarks.ours import models_to_compare
from benchmarks.quality.classical import BM3D, TV, protocol_of
from benchmarks.quality.correlated import correlated
from benchmarks.quality.methods import NOISY, WHITE_NOISE_PEERS, our_models, peers_for_photons, peers_for_white_noise
from benchmarks.quality.scores import Comparison, Method, Scoreboard
from benchmarks.quality.stabilise import GAT
from benchmarks.quality.strange import strange
from benchmarks.quality.worst import write_worst
from benchmarks.report import Report, Table, Target

SIGMAS = (5, 10, 15, 25, 50)
PICTURED_SIGMA = 25
PHOTOGRAPHS = {"set12": "Set12", "bsd68": "BSD68"}

# dB wanted of `quality`, and how much less of `fast`
WANTED = {("Set12", 10): 34.4, ("Set12", 25): 30.3, ("Set12", 50): 27.1, ("BSD68", 10): 33.5, ("BSD68", 25): 29.0, ("BSD68", 50): 26.1}
ALLOWANCES = {"quality": 0.0, "fast": 0.5}
# dB wanted above BM3D behind a stabilising transform
GAINS = {"FMD": 0.5, "W2S": 0.5, "GigaDB": 0.5, "Photon counting": 0.5, "Two-photon, float": 0.0}


def _colour(name: str) -> str:
    return f"colour {name.rsplit('_', 1)[1]}"


MICROGRAPHS: Mapping[str, tuple[str, Callable[[Path], Iterator[Sample]]]] = {
    "fmd": ("FMD", fluorescence_samples),
    "w2s": ("W2S", partial(paired_samples, scaled_apart=True, group=_colour)),
    "gigadb": ("GigaDB", partial(paired_samples, scaled_apart=True)),
    "photon_counting": ("Photon counting", photon_samples),
    "twophoton_float": ("Two-photon, float", paired_samples),
}

PROTOCOL_OF_MICROGRAPHS = (
    "Real noise. FMD: results clipped to [0, 255]. W2S and GigaDB: results, and the noisy images, fitted to the truth by gain and offset. "
    "Photon counting: a frame against the mean of the other fifteen, whose own variance is subtracted from the error. Two-photon: the "
    "truth is a mean of five frames. GAT: the generalised Anscombe transform, with a noise curve estimated in the noisy image alone, and "
    "its unbiased inverse; TV without it estimates σ."
)


def quality(options: Options) -> Report:
    """All that was asked for, as one report."""
    board, models = Scoreboard(fresh=options.fresh), our_models(options.models)
    sections = {"gaussian": gaussian, "real": real, "correlated": correlated, "strange": strange}
    found = [sections[name](options, board, models) for name in options.sets]
    glance = [] if options.limit is None else [f"**At most {options.limit} images of each set.**"]
    notes = ["Mean PSNR over whole images, blind, plain call.", *glance, board.note]
    tables, targets = ([part for report in found for part in getattr(report, kind)] for kind in ("tables", "targets"))
    return Report("Quality", tables, targets, notes, weights={model.name: model.weights for model in models})


def is_glance(options: Options) -> bool:
    """Whether something is left out, so that the report must not stand for the whole."""
    fewer = set(SECTIONS) - set(options.sets) or set(models_to_compare()) - set(options.models)
    return options.limit is not None or not options.peers or bool(fewer)


def folders(options: Options) -> tuple[str, ...]:
    """The test sets that are needed."""
    needed = {"gaussian": tuple(PHOTOGRAPHS), "real": tuple(MICROGRAPHS), "correlated": ("clean_micro",), "strange": ("clean_micro",)}
    return tuple(dict.fromkeys(folder for name in options.sets for folder in needed[name]))


def gaussian(options: Options, board: Scoreboard, models: Sequence[Method]) -> Report:
    """Simulated white noise on photographs."""
    methods = [NOISY, *models, *(peers_for_white_noise() if options.peers else [])]
    found = {}
    for folder, name in PHOTOGRAPHS.items():
        for sigma in SIGMAS:
            samples = list(islice(gaussian_samples(options.data / "test" / folder, sigma), options.limit))
            found[name, sigma] = board.compare(f"{name}, σ = {sigma}", samples, methods)
            if sigma == PICTURED_SIGMA:
                _picture(found[name, sigma], samples, models, BM3D.name, options)
    caption = f"Gaussian noise on photographs. {protocol_of(WHITE_NOISE_PEERS) if options.peers else ''}".strip()
    targets = [*_enough(found, models), *_never_worse(list(found.values()), models, "photographs")]
    return Report("Gaussian", [_table(found.values(), methods, caption)], targets)


def real(options: Options, board: Scoreboard, models: Sequence[Method]) -> Report:
    """Noise of microscopes."""
    methods = [NOISY, *models, *(peers_for_photons() if options.peers else [])]
    found = []
    for folder, (name, samples_of) in MICROGRAPHS.items():
        samples = list(islice(samples_of(options.data / "test" / folder), options.limit))
        found.append(board.compare(name, samples, methods))
        _picture(found[-1], samples, models, GAT + BM3D.name, options)
    targets = [*_better(found, models), *_never_worse(found, models, "micrographs")]
    return Report("Real", [_table(found, methods, PROTOCOL_OF_MICROGRAPHS)], targets)


def _table(found: Iterable[Comparison], methods: Sequence[Method], caption: str) -> Table:
    return Table(["PSNR, dB", *(method.name for method in methods)], [row for comparison in found for row in comparison.rows()], caption)


def _picture(comparison: Comparison, samples: Sequence[Sample], models: Sequence[Method], baseline: str, options: Options) -> None:
    if options.worst is not None:
        for model in models:
            write_worst(options.worst, comparison, samples, model, baseline)


def _enough(found: Mapping[tuple[str, int], Comparison], models: Sequence[Method]) -> Iterator[Target]:
    for model in models:
        for (name, sigma), wanted in WANTED.items() if model.name in ALLOWANCES else ():
            limit = round(wanted - ALLOWANCES[model.name], 2)
            yield Target(f"{model.name}: {name}, σ = {sigma}", found[name, sigma].mean(model.name), limit, "dB", at_most=False)


def _better(found: Iterable[Comparison], models: Sequence[Method]) -> Iterator[Target]:
    for comparison in found:
        for model in models:
            if model.aims and GAT + BM3D.name in comparison.found:
                gain = comparison.mean(model.name) - comparison.mean(GAT + BM3D.name)
                yield Target(f"{model.name}: above {GAT}{BM3D.name}, {comparison.name}", gain, GAINS[comparison.name], "dB", at_most=False)


def _never_worse(found: Sequence[Comparison], models: Sequence[Method], kind: str) -> Iterator[Target]:
    """Not below the noisy images, nor below TV in the better of its forms, on any set."""
    for model in models if found else ():
        for name, rivals in (("the noisy images", [NOISY.name]), (TV.name, [TV.name, GAT + TV.name])):
            present = [rival for rival in rivals if rival in found[0].found]
            if model.aims and present:
                gains = {each.name: each.mean(model.name) - max(map(each.mean, present)) for each in found}
                least = min(gains, key=lambda each: gains[each])
                yield Target(f"{model.name}: least gain over {name}, {kind}: {least}", gains[least], 0, "dB", at_most=False)
