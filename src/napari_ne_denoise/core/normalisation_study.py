"""What an ordinary network makes of an image under each usual normalisation, beside what a normalization-equivariant one makes of it.

The networks are taken bare: nothing is subtracted or divided before them but what the normalisation does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from napari_ne_denoise.core.axes import plan_planes
from napari_ne_denoise.core.equivariance import Denoise, EquivarianceErrors, measure_equivariance
from napari_ne_denoise.core.errors import ImageError, SettingsError
from napari_ne_denoise.core.inference import Denoiser, as_denoiser
from napari_ne_denoise.core.interruption import check_if_wanted
from napari_ne_denoise.core.models.registry import ORDINARY_TWIN
from napari_ne_denoise.core.normalisations import NORMALISATIONS, Normalisation, NormalisationDifference, difference, through
from napari_ne_denoise.core.pixels import PlaneReader, as_image
from napari_ne_denoise.core.settings import DEFAULTS, NamedModel
from napari_ne_denoise.core.statistics import plane_statistics
from napari_ne_denoise.core.tiling import Window, checked_region, square_around

SIDE = 512  # pixels, at most, of what is looked at
LAW_SIDE = 96  # of its middle, where the law itself is measured in float64
# fewer than in the tests of the law: here a person waits
SCALES, SHIFTS = (1e-3, 1e3), (-100.0, 1e3)
FAR = 300  # values so many times the noise leave float32 too few digits for `NO_DIFFERENCE`
LAWS = {"f(λy) − λf(y)": "scale", "f(y + μ) − f(y) − μ": "shift", "f(λy + μ) − λf(y) − μ": "both"}
NO_DIFFERENCE = 1e-3  # of the noise: one of arithmetic


@dataclass(frozen=True, eq=False)
class NetworkUnderStudy:
    """What the normalisations do to the results of one network.

    Attributes
    ----------
    name, law
        Of the model, and what it claims: "norm-equiv", "scale-equiv" or "ordinary".
    results
        (Y, X) float64 in image units, by name of the normalisation.
    errors
        Of f(λy + μ) = λf(y) + μ, largest, in image units: measured in float64 on the middle of the part.
    """

    name: str
    law: str
    results: dict[str, np.ndarray] = field(repr=False)
    errors: EquivarianceErrors

    @property
    def reference(self) -> np.ndarray:
        """The result with the first normalisation."""
        return next(iter(self.results.values()))

    @property
    def differences(self) -> tuple[NormalisationDifference, ...]:
        """Of every normalisation, the first included, from the first."""
        return tuple(difference(name, result, self.reference) for name, result in self.results.items())

    @property
    def spread(self) -> np.ndarray:
        """(Y, X): the largest result minus the smallest, over the normalisations; in image units."""
        return np.asarray(np.ptp(np.stack(list(self.results.values())), axis=0))


@dataclass(frozen=True, eq=False)
class NormalisationStudy:
    """The same for two networks.

    Attributes
    ----------
    image
        (Y, X) float64, the part that was looked at.
    window
        Rows and columns of it, in the plane.
    noise
        Standard deviation of its noise, in image units; 0 where there is none.
    ordinary, ours
        The network that keeps no law, and the one that is asked about.
    """

    image: np.ndarray = field(repr=False)
    window: Window
    noise: float
    ordinary: NetworkUnderStudy
    ours: NetworkUnderStudy

    @property
    def networks(self) -> tuple[NetworkUnderStudy, NetworkUnderStudy]:
        """Both."""
        return self.ordinary, self.ours

    def conclude(self) -> str:
        """In a sentence or two."""
        return " ".join(_conclusion(network, self.noise) for network in self.networks)

    def table(self) -> list[tuple[str, ...]]:
        """Rows of text with a head: normalisation, and for each network the difference in image units and in units of the noise.

        The last three rows hold the largest errors of the law, in image units.
        """
        head = ["normalisation"]
        for network in self.networks:
            head += [f"{network.name}: {what}" for what in ("rms", "largest", "rms / noise", "largest / noise")]
        columns = [[_numbers(found, self.noise) for found in network.differences] for network in self.networks]
        rows = [(found.name, *one, *other) for found, one, other in zip(self.ours.differences, *columns, strict=True)]
        laws = [(said, *(_law_cells(network.errors, law) for network in self.networks)) for said, law in LAWS.items()]
        return [tuple(head), *rows, *((said, *one, *other) for said, one, other in laws)]


@dataclass(frozen=True)
class StudyStep:
    """How far it is.

    Attributes
    ----------
    done, total
        Passes of a network.
    study
        Once all are there; None before.
    """

    done: int
    total: int
    study: NormalisationStudy | None = None


def normalisation_study(image: Any, **settings: Any) -> NormalisationStudy:
    """What an ordinary network makes of an image under each usual normalisation; see `iter_normalisation_study` for the settings."""
    *_, last = iter_normalisation_study(image, **settings)
    assert last.study is not None
    return last.study


def iter_normalisation_study(
    image: Any,
    *,
    model: str | os.PathLike[str] | NamedModel | None = None,
    ordinary: str | os.PathLike[str] | NamedModel = ORDINARY_TWIN,
    region: Window | None = None,
    position: tuple[int, ...] | None = None,
    axes: str | None = None,
    channel_axis: int | None = None,
    normalisations: Sequence[Normalisation] = NORMALISATIONS,
) -> Iterator[StudyStep]:
    """The same, step by step.

    Parameters
    ----------
    image, axes, channel_axis
        As in `denoise`.
    model
        The network that is asked about, a blind one; None for the default one.
    ordinary
        The network to compare with: by default one that was trained on the same images, with the first normalisation.
    region
        Rows and columns to look at, of which at most 512 in the middle are.  None: the plane.
    position
        Of any pixel of the plane.  None: the one in the middle.
    normalisations
        To try; the first is compared with.

    Yields
    ------
    StudyStep
        The last one holds the study.

    Raises
    ------
    SettingsError
        If a model needs a noise level, which would have to follow the image; or the region is no part of the plane.
    ImageError
        As `denoise`; and where the part holds NaN or infinities.
    """
    part, window = part_to_study(image, region, position, axes, channel_axis)
    networks = [bare(DEFAULTS.model if model is None else model), bare(ordinary)]
    return _steps(part, window, networks, tuple(normalisations))


def part_to_study(
    image: Any,
    region: Window | None = None,
    position: tuple[int, ...] | None = None,
    axes: str | None = None,
    channel_axis: int | None = None,
) -> tuple[np.ndarray, Window]:
    """The pixels (Y, X) that are looked at, float64, and where they are; parameters as in `iter_normalisation_study`."""
    array = as_image(image)
    layout = plan_planes(tuple(array.shape), axes, channel_axis)
    at = tuple(length // 2 for length in layout.shape) if position is None else layout.checked_position(position)
    within = checked_region(region, layout.plane_shape)
    read, _ = PlaneReader(array, layout, "error").open_plane(layout.plane_at(at))
    middle = (within[0].start + within[0].stop) // 2, (within[1].start + within[1].stop) // 2
    window = square_around(middle, SIDE, within)
    part = np.array(read(*window), np.float64)  # its own: what is found must not follow what becomes of the image
    if not np.isfinite(part).all():
        raise ImageError("This part of the image holds NaN or infinities, of which no difference can be measured; choose another one.")
    return part, window


@dataclass(frozen=True)
class Bare:
    """A network without the numerics that would hide what a normalisation does."""

    denoiser: Denoiser

    def on(self, part: np.ndarray, noise: float) -> Denoise:
        """The function of images like a part: in float32, or in float64 where that part's values are far from zero beside its noise."""
        is_far = not noise or float(np.abs(part).max()) > FAR * noise
        return partial(self.denoiser.without_numerics, precision="float64" if is_far else "float32")


def bare(model: str | os.PathLike[str] | NamedModel) -> Bare:
    """A blind model, to be looked at without numerics.

    Raises
    ------
    SettingsError
        If it needs a noise level.
    """
    denoiser = as_denoiser(model)
    if not denoiser.blind:
        said = f"model={denoiser.name!r}: needs a noise level, which would have to follow the image."
        raise SettingsError(said, mend="own_filters", python="choose a blind model")
    return Bare(denoiser)


def noise_of(part: np.ndarray) -> float:
    """Standard deviation of the noise of a part (Y, X), in its units."""
    return plane_statistics(lambda rows, columns: part[rows, columns], (part.shape[0], part.shape[1])).noise


def _steps(part: np.ndarray, window: Window, networks: Sequence[Bare], normalisations: tuple[Normalisation, ...]) -> Iterator[StudyStep]:
    noise = noise_of(part)
    total, done, found = len(networks) * (len(normalisations) + 1), 0, []
    for network in networks:
        function, results = network.on(part, noise), {}
        for normalisation in normalisations:
            check_if_wanted()
            results[normalisation.name] = through(function, part, *normalisation.line(part))
            done += 1
            yield StudyStep(done, total)
        errors = law_errors(network.denoiser.without_numerics, part)
        done += 1
        yield StudyStep(done, total)
        found.append(NetworkUnderStudy(network.denoiser.name, network.denoiser.equivariance, results, errors))
    ours, ordinary = found
    yield StudyStep(total, total, NormalisationStudy(part, window, noise, ordinary, ours))


def law_errors(function: Callable[[np.ndarray], np.ndarray], part: np.ndarray) -> EquivarianceErrors:
    """Largest errors of f(λy + μ) = λf(y) + μ in the units of a part (Y, X), measured on its middle."""
    rows, columns = square_around((part.shape[0] // 2, part.shape[1] // 2), LAW_SIDE, (slice(0, part.shape[0]), slice(0, part.shape[1])))
    middle = part[rows, columns]

    def wanted(image: np.ndarray) -> np.ndarray:
        check_if_wanted()
        return function(image)

    found = measure_equivariance(wanted, middle, scales=SCALES, shifts=SHIFTS)
    return found.in_units_of(function(middle))


def _law_cells(errors: EquivarianceErrors, law: str) -> tuple[str, ...]:
    return "", f"{getattr(errors, law):.3g}", "", ""


def _numbers(found: NormalisationDifference, noise: float) -> tuple[str, ...]:
    in_noise = [f"{value / noise:.3g}" if noise else "" for value in (found.rms, found.largest)]
    return f"{found.rms:.3g}", f"{found.largest:.3g}", *in_noise


def _conclusion(network: NetworkUnderStudy, noise: float) -> str:
    worst = max(network.differences, key=lambda found: found.largest)
    unit = noise or float(network.reference.std()) or 1.0
    if worst.largest < NO_DIFFERENCE * unit:
        return f"{network.name} gives the same result whatever the image is normalised to: there is nothing to choose."
    compared = f", {worst.largest / noise:.2g} times the noise" if noise else ""
    moves = f"The result of {network.name} moves by up to {worst.largest:.3g} image units{compared}"
    return f"{moves}: somebody has to choose, and the choice is in every number."
