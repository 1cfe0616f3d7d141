"""``check IN``: what normalising the image does to the result of a network that keeps the law, and of one that does not."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_ne_denoise.cli.console import errors_end_the_program, print_json, print_table, say
from napari_ne_denoise.cli.options import AsJson, Axes, BlindModel
from napari_ne_denoise.core.errors import ImageError, ModelError, SettingsError
from napari_ne_denoise.core.models.registry import ORDINARY_TWIN
from napari_ne_denoise.core.settings import DEFAULTS

if TYPE_CHECKING:
    import numpy as np

    from napari_ne_denoise.core.equivariance import EquivarianceErrors, RangeDifference
    from napari_ne_denoise.core.inference import Denoiser
    from napari_ne_denoise.core.normalisations import NormalisationDifference

# one network trained at one level of noise, once for each of the paper's laws (docs/study.md)
STUDY = ("sigma25-ordinary", "sigma25-scale-equiv", "sigma25-norm-equiv")
SIDE = 256  # pixels of the part of the image that is looked at
# fewer than in the tests of the law: here a person waits
SCALES, SHIFTS = (1e-3, 1e3), (-100.0, 1e3)
KEPT = 1e-6  # an error below this is one of arithmetic


@dataclass(frozen=True)
class Finding:
    """What was measured of one model.

    Attributes
    ----------
    model, law
        Its name, and what it claims: "norm-equiv", "scale-equiv" or "ordinary".
    errors
        Of f(λy + μ) = λf(y) + μ, as fractions of the result's standard deviation.
    ranges
        How far the result moves with the range that the image is normalised to.
    others
        The same for other ways to normalise: percentiles, mean and standard deviation, none.
    """

    model: str
    law: str
    errors: EquivarianceErrors
    ranges: tuple[RangeDifference, ...]
    others: tuple[NormalisationDifference, ...]

    @property
    def changes(self) -> list[RangeDifference | NormalisationDifference]:
        """Both."""
        return [*self.ranges, *self.others]


def check(
    image: Annotated[Path, typer.Argument(metavar="IN", help="An image file.", show_default=False)],
    model: BlindModel = DEFAULTS.model_name,
    axes: Axes = DEFAULTS.axes,
    study: Annotated[
        bool,
        typer.Option("--study", help="Measure one network trained under each of the paper's laws: ordinary, scale-equiv, norm-equiv."),
    ] = False,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No notes.")] = False,
) -> None:
    """Measure on an image that f(λy + μ) = λf(y) + μ holds for a model, and what the choice of a normalisation does to it.

    The same is measured for an ordinary network, smaller but trained on the same images.  The networks are taken bare, in float64, on
    the middle of the image.
    """
    with errors_end_the_program(image):
        names = _study(model) if study else [model] if model == ORDINARY_TWIN else [model, *_ordinary(quiet)]
        part, where, noise = _middle(image, axes)
        findings = []
        for name in names:
            if not quiet:
                say(f"note: measuring {name} on {where}")
            findings.append(_measure(name, part))
        if as_json:
            print_json({"input": str(image), "part": where, "noise": noise, "models": [asdict(finding) for finding in findings]})
        else:
            _print(findings, image, where, noise)


def measure(denoiser: Denoiser, part: np.ndarray) -> Finding:
    """Measure the law and the effect of normalisation ranges for one model on one plane."""
    from napari_ne_denoise.core.equivariance import compare_normalisations, measure_equivariance
    from napari_ne_denoise.core.normalisations import NORMALISATIONS, differences

    function = denoiser.without_numerics
    errors = measure_equivariance(function, part, scales=SCALES, shifts=SHIFTS)
    first, *others = NORMALISATIONS
    other_than_ranges = [other for other in others if other.levels != first.levels]
    found = differences(function, part, [first, *other_than_ranges])
    return Finding(denoiser.name, denoiser.equivariance, errors, compare_normalisations(function, part), found)


def _measure(name: str, part: np.ndarray) -> Finding:
    from napari_ne_denoise.core.inference import load_denoiser

    denoiser = load_denoiser(name)
    if not denoiser.blind:
        raise SettingsError(f"model={name!r}: needs a noise level, which would have to follow the image; choose a blind model.")
    return measure(denoiser, part)


def _ordinary(quiet: bool) -> list[str]:
    """The network to compare with, if it is there."""
    from napari_ne_denoise.core.models.fetch import is_here
    from napari_ne_denoise.core.models.registry import find_model

    if is_here(find_model(ORDINARY_TWIN)):
        return [ORDINARY_TWIN]
    if not quiet:
        say(f"note: {ORDINARY_TWIN} is missing from this installation; there is nothing to compare with")
    return []


def _study(model: str) -> list[str]:
    """The networks of the study, if all are there."""
    from napari_ne_denoise.core.models.fetch import is_here
    from napari_ne_denoise.core.models.registry import list_models

    if model != DEFAULTS.model_name:
        raise SettingsError(f"--study measures {', '.join(STUDY)} and no other: leave out --model {model}, or --study.")
    here = {row.name for row in list_models() if is_here(row)}
    if missing := [name for name in STUDY if name not in here]:
        raise ModelError(
            f"--study: {', '.join(missing)} not in this installation (see napari-ne-denoise models list). "
            f"Install a version with the networks of the study, or leave --study out to compare {DEFAULTS.model_name} with {ORDINARY_TWIN}."
        )
    return list(STUDY)


def _middle(path: Path, axes: str | None) -> tuple[np.ndarray, str, float]:
    """The middle of the middle plane, where it is, and how noisy."""
    import numpy as np

    from napari_ne_denoise.core.axes import plan_planes
    from napari_ne_denoise.core.io import read_image
    from napari_ne_denoise.core.pixels import PlaneReader, as_image
    from napari_ne_denoise.core.statistics import plane_statistics

    image = read_image(path)
    pixels = as_image(image.pixels)
    layout = plan_planes(tuple(pixels.shape), axes or image.axes)
    plane = layout.plane_at(tuple(length // 2 for length in layout.shape))
    read, _ = PlaneReader(pixels, layout, "error").open_plane(plane)
    rows, columns = (_middle_of(length) for length in layout.plane_shape)
    part = np.asarray(read(rows, columns), np.float64)
    if not np.isfinite(part).all():
        raise ImageError(f"{path}: the middle of the image holds NaN or infinities; repair them first.")
    number = ", ".join(str(at) for at in plane if isinstance(at, int))
    where = f"rows {rows.start} to {rows.stop - 1}, columns {columns.start} to {columns.stop - 1}" + (number and f" of plane {number}")
    return part, where, plane_statistics(lambda r, c: part[r, c], (part.shape[0], part.shape[1])).noise


def _middle_of(length: int) -> slice:
    start = max(0, length - SIDE) // 2
    return slice(start, min(length, start + SIDE))


def _print(findings: list[Finding], image: Path, where: str, noise: float) -> None:
    print(f"{image}: {where}; its noise is about {noise:.3g}")
    print()
    print("Largest (and rms) change of the result, in the image's units, when the image is normalised otherwise than to [0, 1]:")
    print_table([("", *(_title(finding) for finding in findings)), *_range_rows(findings)])
    print()
    print("Largest error of f(λy + μ) = λf(y) + μ, as a fraction of the result's standard deviation:")
    errors = [("only λ", "scale"), ("only μ", "shift"), ("both", "both")]
    print_table([(label, *(f"{getattr(finding.errors, key):.1e}" for finding in findings)) for label, key in errors])
    print()
    for finding in findings:
        print(_meaning(finding, noise))


def _title(finding: Finding) -> str:
    return f"{finding.model} ({finding.law})"


def _range_rows(findings: list[Finding]) -> list[tuple[str, ...]]:
    columns = [[f"{change.largest:.3g} ({change.rms:.3g})" for change in finding.changes] for finding in findings]
    labels = [*(f"[{change.low:g}, {change.high:g}]" for change in findings[0].ranges), *(other.name for other in findings[0].others)]
    return [(label, *cells) for label, *cells in zip(labels, *columns, strict=True)]


def _meaning(finding: Finding, noise: float) -> str:
    if finding.errors.both < KEPT:
        return f"{finding.model}: the result is the same whatever the image is normalised to; there is nothing to choose."
    worst = max(change.largest for change in finding.changes)
    compared = f", {worst / noise:.2g} times the noise" if noise else ""
    depends = (
        "the result is the same in any unit, but depends on where zero is"
        if finding.errors.scale < KEPT
        else "the result depends on how the image is normalised"
    )
    return f"{finding.model}: {depends}, by up to {worst:.3g}{compared}; somebody has to choose."
