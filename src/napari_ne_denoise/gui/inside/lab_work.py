"""What the threads of the normalisation lab do."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_ne_denoise.core.models.registry import ORDINARY_TWIN
from napari_ne_denoise.core.normalisations import NORMALISATIONS, through
from napari_ne_denoise.core.settings import DEFAULTS
from napari_ne_denoise.core.tiling import Window
from napari_ne_denoise.gui.inside.plane_plan import PlanePlan

if TYPE_CHECKING:
    from napari_ne_denoise.core.normalisation_study import NormalisationStudy, StudyStep


@dataclass(frozen=True)
class Line:
    """The map that comes behind min–max to [0, 1]: y ↦ scale · y + shift."""

    scale: float = 1.0
    shift: float = 0.0

    def describe(self) -> str:
        """The range that the image comes to."""
        return f"[{self.shift:.3g}, {self.scale + self.shift:.3g}]".replace("-", "−")


@dataclass(frozen=True, eq=False)
class Tried:
    """Results of both networks behind a line, in image units: the ordinary one's first."""

    line: Line
    results: tuple[np.ndarray, np.ndarray]


def study_part(plan: PlanePlan, window: Window) -> "Iterator[StudyStep]":
    """The work of a thread."""
    from napari_ne_denoise.core.normalisation_study import iter_normalisation_study  # brings torch

    settings = plan.settings | {"model": asked_about(plan)}
    yield from iter_normalisation_study(plan.image(), region=window, ordinary=ORDINARY_TWIN, **settings)


def try_line(study: "NormalisationStudy", model: str, line: Line) -> Iterator[Tried]:
    """The work of another thread: what both networks make of the part that was studied, behind a line."""
    from napari_ne_denoise.core.normalisation_study import bare

    slope, offset = NORMALISATIONS[0].line(study.image)
    slope, offset = line.scale * slope, line.scale * offset + line.shift
    ordinary, ours = (through(bare(name).on(study.image, study.noise), study.image, slope, offset) for name in (ORDINARY_TWIN, model))
    yield Tried(line, (ordinary, ours))


def asked_about(plan: PlanePlan) -> str:
    """The model that is compared with the ordinary one: that of a result, else the default."""
    return DEFAULTS.model_name if plan.model == ORDINARY_TWIN else plan.model
