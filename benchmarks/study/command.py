"""``python -m benchmarks study``: the paper's own study, repeated with networks of ours; writes docs/study.md and its figures.

Four networks that differ in their law only are trained with noise of 25 grey levels and tested with weaker and stronger noise.  They come
from ``python -m training sigma25-ordinary`` and its three siblings.  Scores are kept under the hash of their checkpoint, so that an
interrupted run goes on, and weights that were trained anew are measured anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.document import DOCS
from benchmarks.quality.scores import Scoreboard
from benchmarks.report import Table, number, results_folder
from benchmarks.study.figures import SETS, draw_poster, draw_ranges, draw_scores, noisy_psnr
from benchmarks.study.measurements import PEAK, SIGMAS, TRAINED_AT, LawFindings, RangeScores, SetScores, all_ranges, all_scores, law
from benchmarks.study.networks import TITLES, Variant, open_variants

RUNS = Path(__file__).parents[2] / "training" / "runs"

# FDnCNN trained at σ = 25, retrained by the authors of the wrapper (Saied & Fleuret, ICML 2026)
PUBLISHED: dict[str, SetScores] = {
    "set12": {
        "ordinary": {5: 30.3, 11: 30.4, 25: 30.51, 53: 16.1, 100: 11.1},
        "scale-equiv": {5: 33.3, 11: 32.9, 25: 30.42, 53: 26.8, 100: 23.9},
        "norm-equiv": {5: 36.1, 11: 33.9, 25: 30.42, 53: 26.7, 100: 23.7},
        "wne": {5: 35.8, 11: 33.8, 25: 30.38, 53: 26.8, 100: 23.7},
    },
    "bsd68": {"ordinary": {25: 29.21}, "scale-equiv": {25: 29.12}, "norm-equiv": {25: 29.13}, "wne": {25: 29.11}},
}

LAWS = {
    "ordinary": "no law",
    "scale-equiv": "f(λy) = λf(y) for every λ > 0, by convolutions without bias",
    "norm-equiv": "f(λy + μ) = λf(y) + μ, in every layer",
    "wne": "f(λy + μ) = λf(y) + μ for the image as a whole, by a wrapper: the ordinary network, trained and run between normalising by the "
    "image's mean and standard deviation, and its undoing",
}


@dataclass(frozen=True)
class Study:
    """All that the page shows.

    Attributes
    ----------
    variants
        The networks.
    scores, ranges, laws
        What was measured of them: by set, variant and noise; by variant and range; by variant.
    limit
        How many images of each set were taken.  None: all.
    """

    variants: Sequence[Variant]
    scores: Mapping[str, SetScores]
    ranges: RangeScores
    laws: Mapping[str, LawFindings]
    limit: int | None = None


def page(study: Study) -> Iterator[str]:
    """Lines of Markdown."""
    yield from ("# The paper's study, repeated", "", "Written by `python -m benchmarks study`; not to be edited by hand.", "")
    if study.limit is not None:
        yield from (f"**A quick look, at {study.limit} of the images of each set.**", "")
    yield from _introduction(study.variants)
    yield from _section_on_noise(study.scores)
    yield from _section_on_ranges(study.ranges, study.laws)
    yield from _section_on_filters()


def _introduction(variants: Sequence[Variant]) -> Iterator[str]:
    how = variants[0].training
    size = how["network"]
    channels = "-".join(map(str, size["channels"]))
    yield (
        f"Four networks of one architecture ({size['architecture']}, blind, channels {channels}, {size['blocks']} residual blocks a level) "
        "differ in the law that they keep:"
    )
    yield ""
    for variant in variants:
        parameters = sum(parameter.numel() for parameter in variant.network.parameters())
        yield f"* **{TITLES[variant.name]}**: {LAWS[variant.name]} ({parameters:,} parameters, checkpoint {variant.sha256[:12]})"
    yield ""
    yield (
        f"All were trained alike: {how['steps']} steps of {how['batch']} crops of {how['side']}×{how['side']} pixels, {how['optimizer']} "
        f"with a learning rate of {how['learning_rate']:g}, seed {how['seed']}, the same crops with the same noise in every step: white, "
        f"Gaussian, σ = {TRAINED_AT} grey levels of 255 and no other. Images, loss and averaging are those of the shipped models "
        "(`training/README.md`); the recipes are `training/sigma25*.toml`."
    )
    yield ""
    yield (
        "Published figures are those of FDnCNN networks (0.67 million parameters) that were trained at σ = 25 only, too (Saied & Fleuret, "
        "ICML 2026). Their architecture, images, loss and length of training are others: what can be compared is how PSNR falls away from "
        "the noise of training, not tenths of a decibel."
    )
    yield ""


def _section_on_noise(scores: Mapping[str, SetScores]) -> Iterator[str]:
    yield from ("## Noise that was not trained on", "")
    yield (
        "Mean PSNR in dB over whole images. Noise: y = x + σ·default_rng(index).standard_normal, neither clipped nor rounded; networks are "
        "given y / 255 as it is. –: not published."
    )
    yield ""
    for name, of_set in scores.items():
        yield from _score_table(name, of_set).lines()
        yield ""
    yield from ("![PSNR over the noise of the test](images/study-psnr.png)", "")


def _score_table(name: str, scores: SetScores) -> Table:
    sigmas = SIGMAS[name]
    rows = [["noisy image", *(f"{noisy_psnr(sigma):.2f}" for sigma in sigmas)]]
    rows += [[TITLES[variant], *(f"{found[sigma]:.2f}" for sigma in sigmas)] for variant, found in scores.items()]
    for variant, found in PUBLISHED[name].items():
        rows.append([f"*{TITLES[variant]}, published*", *(f"{found[sigma]:g}" if sigma in found else "–" for sigma in sigmas)])
    return Table([f"{SETS[name]}, σ =", *map(str, sigmas)], rows)


def _section_on_ranges(ranges: RangeScores, laws: Mapping[str, LawFindings]) -> Iterator[str]:
    yield from ("## The range that an image is normalised to", "")
    yield (
        "Networks are usually applied as T⁻¹ ∘ f ∘ T, where T maps the darkest and the brightest pixel of the noisy image to a and b. "
        f"Mean PSNR in dB on Set12 at σ = {TRAINED_AT}, the noise of training, for several [a, b]:"
    )
    yield ""
    limits = list(next(iter(ranges.values())))
    rows = [[TITLES[name], *(f"{found[each]:.2f}" for each in limits)] for name, found in ranges.items()]
    yield from Table(["PSNR, dB", *(f"[{low:g}, {high:g}]" for low, high in limits)], rows).lines()
    yield from ("", "![PSNR over the range of normalisation](images/study-ranges.png)", "")
    yield (
        f"The laws themselves, as `check` measures them: in float64, on the picture below with σ = {TRAINED_AT}. Largest errors of "
        "f(λy + μ) = λf(y) + μ, as fractions of the result's standard deviation; then the largest (and rms) change of the result, in grey "
        "levels, when the image is mapped to another range than [0, 1]."
    )
    yield ""
    yield from _law_table(laws).lines()
    yield ""


def _law_table(laws: Mapping[str, LawFindings]) -> Table:
    ranges = [f"[{change.low:g}, {change.high:g}]" for change in next(iter(laws.values())).ranges]
    rows = []
    for name, found in laws.items():
        errors = [f"{error:.1e}" for error in (found.errors.scale, found.errors.shift, found.errors.both)]
        changes = [f"{_grey(PEAK * change.largest)} ({_grey(PEAK * change.rms)})" for change in found.ranges]
        rows.append([TITLES[name], *errors, *changes])
    return Table(["", "error, only λ", "only μ", "both", *(f"change, {limits}" for limits in ranges)], rows)


def _grey(levels: float) -> str:
    return number(levels) if levels >= 0.01 else f"{levels:.0e}"


def _section_on_filters() -> Iterator[str]:
    yield from ("## What made one pixel", "", "![Denoised crops and filters of one pixel](images/study-filters.png)", "")
    yield (
        "Actin in a cultured cell (GigaDB 100888, CC0) with simulated noise. Beside each denoised crop: the row of the Jacobian that "
        "belongs to the pixel in its middle, for the square that is framed in the noisy crop. Red adds, blue subtracts, white is nothing; "
        "each filter has a scale of its own. Below crops stands their PSNR; below filters the sum of all weights, and the rest: output "
        "minus weights times image, in grey levels of 255."
    )
    yield ""
    yield (
        "* **norm-equiv** and **the wrapper**: f(y) = J(y)·y, and rows sum to one, so that the filter is what made the pixel. That of the "
        "wrapper has a faint part all over the image, too, by way of mean and standard deviation."
    )
    yield "* **scale-equiv**: f(y) = J(y)·y, but rows need not sum to one: the filter does not keep grey levels."
    yield (
        "* **ordinary**: the row says how the pixel answers to a small change of the image, and does not explain its value: the rest is "
        "what biases added."
    )


def run(runs: Path, data: Path, out: Path | None = None, limit: int | None = None, only_figures: bool = False) -> list[Path]:
    """Measure what is not yet kept, and write; the files written.

    Parameters
    ----------
    runs
        Folder with the checkpoints.
    data
        Folder with ``test/set12`` and ``test/bsd68``.
    out
        Where study.md and images/ go.  None: docs/, or results/study-quick where there is a limit.
    limit
        How many images of each set to take.  None: all.
    only_figures
        Whether the page is left as it is.

    Raises
    ------
    StudyError
        If the networks cannot be compared, or there are no images.
    """
    variants = open_variants(runs)
    test, board = data / "test", Scoreboard(results_folder() / "study.jsonl")
    scores, ranges = all_scores(test, limit, variants, board), all_ranges(test, limit, variants, board)
    out = out or (DOCS if limit is None else results_folder() / "study-quick")
    written = [out / "images" / f"study-{figure}.png" for figure in ("psnr", "ranges", "filters")]
    written[0].parent.mkdir(parents=True, exist_ok=True)
    draw_scores(scores, PUBLISHED, written[0])
    draw_ranges(ranges, written[1])
    draw_poster(variants, written[2])
    if not only_figures:
        study = Study(variants, scores, ranges, {variant.name: law(variant) for variant in variants}, limit)
        written.append(out / "study.md")
        written[-1].write_text("\n".join(page(study)).rstrip() + "\n", encoding="utf8")
    return written
