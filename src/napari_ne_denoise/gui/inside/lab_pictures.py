"""What two networks made of an image in some range, as small pictures beside each other."""

from typing import TYPE_CHECKING

import numpy as np

from napari_ne_denoise.gui.inside.lab_layers import limits_of
from napari_ne_denoise.gui.inside.lab_table import in_image_units
from napari_ne_denoise.gui.inside.lab_work import Tried
from napari_ne_denoise.gui.inside.thumbnails import Row, Thumbnail, grey
from napari_ne_denoise.gui.inside.weight_colours import to_rgba

if TYPE_CHECKING:
    from napari_ne_denoise.core.normalisation_study import NormalisationStudy

COLOURS_TO = 3.0  # standard deviations of the noise


def rows_of(study: "NormalisationStudy", tried: Tried) -> list[Row]:
    """Results of both networks, and below them how far they are from those in [0, 1]."""
    limits, unit = limits_of(study), COLOURS_TO * (study.noise or float(study.image.std()) or 1.0)
    results, moves, said = [], [], []
    for network, result in zip(study.networks, tried.results, strict=True):
        away = result - network.reference
        farthest = f"{network.name} {in_image_units(float(np.abs(away).max()))}"
        results.append(Thumbnail(grey(result, limits), f"{network.name} in {tried.line.describe()}"))
        moves.append(Thumbnail(to_rgba(np.clip(away / unit, -1, 1), 1.0), f"{farthest}; orange is brighter than in [0, 1], blue darker"))
        said.append(farthest)
    names = " | ".join(network.name for network in study.networks)
    return [Row(f"results: {names}", results), Row(f"moved by up to: {' | '.join(said)}", moves)]
