"""What each choice of ``noise=`` reaches on real noise: whether "auto" is the right one.

The rule of "auto" was fixed on clean training-side images (`suite`), before any of this was measured.
"""

from __future__ import annotations

from itertools import islice
from statistics import mean

from benchmarks.images import Sample
from benchmarks.options import Options
from benchmarks.ours import denoised
from benchmarks.quality.suite import MICROGRAPHS
from benchmarks.report import Report, Table, Target
from napari_ne_denoise import load_denoiser

MODEL = "fast"
AUTO, NONE = "auto", "none"
CHOICES = (AUTO, NONE, "poisson-gaussian", "self-calibrated")
BELOW_BEST, BELOW_NONE = 0.1, 0.3  # dB


def choices(options: Options) -> Report:
    """Mean PSNR of every choice on every set of micrographs, and how far "auto" is below the best fixed one."""
    model = load_denoiser(MODEL)
    report, found = Report("Choices of noise"), {}

    def scores(sample: Sample) -> dict[str, float]:
        return {choice: sample.psnr(denoised(sample.noisy, model, noise=choice)) for choice in CHOICES}

    for folder, (name, samples_of) in MICROGRAPHS.items():
        found[name] = [scores(sample) for sample in islice(samples_of(options.data / "test" / folder), options.limit)]
    means = {name: {choice: mean(each[choice] for each in images) for choice in CHOICES} for name, images in found.items()}
    rows = [[name, *(f"{of_set[choice]:.2f}" for choice in CHOICES)] for name, of_set in means.items()]
    caption = f"`{MODEL}` on real noise, mean PSNR in dB over whole images; the sets and their protocols are those of `quality`."
    report.tables.append(Table(["PSNR, dB", *CHOICES], rows, caption))
    overall = {choice: mean(of_set[choice] for of_set in means.values()) for choice in CHOICES}
    behind = max(each[NONE] - each[AUTO] for images in found.values() for each in images)
    report.targets.append(
        Target("auto below the best fixed choice, mean over sets", max(overall.values()) - overall[AUTO], BELOW_BEST, "dB")
    )
    report.targets.append(Target("auto below none, worst image", behind, BELOW_NONE, "dB"))
    return report
