"""What the normalisation lab found, as layers in place, and as files."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.colormaps import ensure_colormap
from qtpy.QtCore import QRect, Qt
from qtpy.QtGui import QColor, QImage, QPainter

from napari_ne_denoise.core.errors import FileError
from napari_ne_denoise.core.io import complete_or_absent
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.base.painting import painting, qt_image
from napari_ne_denoise.gui.base.saving import TABLE_ENCODING
from napari_ne_denoise.gui.inside.map_layer import SIZE_OF_BAR
from napari_ne_denoise.gui.inside.plane_plan import PlanePlan
from napari_ne_denoise.gui.inside.thumbnails import grey
from napari_ne_denoise.gui.layers.layer_data import HELPER_KEY
from napari_ne_denoise.gui.layers.places import place_at

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_ne_denoise.core.normalisation_study import NormalisationStudy
    from napari_ne_denoise.gui.inside.lab_work import Tried

LAB_KEY = f"{KEY} normalisation"
SPREAD = "inferno"
BRIGHTEST = 99.5  # per cent of the pixels of the ordinary network's spread, up to which colours go
TILE, MARGIN, TEXT = 256, 8, 20  # pixels of the picture


def add_spreads(viewer: "Viewer", plan: PlanePlan, study: "NormalisationStudy") -> list[Any]:
    """Add how far the results of each network differ, with one contrast for both: ours, which is black in it, is hidden below."""
    limit = float(np.percentile(study.ordinary.spread, BRIGHTEST)) or 1.0
    look = {"colormap": SPREAD, "contrast_limits": (0.0, limit)}
    layers = _add_both(viewer, plan, study, [(f"spread of {network.name}", network.spread) for network in study.networks], look)
    for layer in layers:
        layer.colorbar.size, layer.colorbar.visible = SIZE_OF_BAR, True
    return layers


def add_results(viewer: "Viewer", plan: PlanePlan, study: "NormalisationStudy", tried: "Tried") -> list[Any]:
    """Add what both networks made of the image in a range, with one contrast for both: ours is hidden below."""
    look = {"colormap": "gray", "contrast_limits": limits_of(study)}
    return _add_both(viewer, plan, study, _named(study, tried), look)


def show_results(layers: Sequence[Any], plan: PlanePlan, study: "NormalisationStudy", tried: "Tried") -> None:
    """Show in the layers that `add_results` gave what came of another range."""
    for layer, (what, result) in zip(layers, reversed(_named(study, tried)), strict=True):
        layer.data = _on_axes(plan, result)
        layer.name = _title(plan, what)


def _named(study: "NormalisationStudy", tried: "Tried") -> list[tuple[str, np.ndarray]]:
    pairs = zip(study.networks, tried.results, strict=True)
    return [(f"{network.name} in {tried.line.describe()}", result) for network, result in pairs]


def limits_of(study: "NormalisationStudy") -> tuple[float, float]:
    """Darkest and brightest of what the network that keeps the law makes of the part."""
    return float(study.ours.reference.min()), float(study.ours.reference.max())


def _add_both(
    viewer: "Viewer", plan: PlanePlan, study: "NormalisationStudy", named: list[tuple[str, np.ndarray]], look: dict[str, Any]
) -> list[Any]:
    ordinary, ours = named
    return [_add(viewer, plan, study, *ours, look | {"visible": False}), _add(viewer, plan, study, *ordinary, look)]


def _add(viewer: "Viewer", plan: PlanePlan, study: "NormalisationStudy", what: str, values: np.ndarray, look: dict[str, Any]) -> Any:
    """A layer over the part; one of the same name, which an earlier run left, is taken away."""
    name, active = _title(plan, what), viewer.layers.selection.active
    for other in [other for other in viewer.layers if other.name == name and LAB_KEY in other.metadata]:
        viewer.layers.remove(other)
    corner = tuple(int(at) for at in plan.in_layer(study.window[0].start, study.window[1].start))
    notes = {LAB_KEY: {"shows": what, "of_layer": plan.layer.name}, HELPER_KEY: True}
    look = look | {"name": name, "metadata": notes, "blending": "translucent_no_depth", "rgb": False, **place_at(plan.layer, corner)}
    layer = viewer.add_image(_on_axes(plan, values), **look)
    # napari makes a new layer the active one: the user is still looking at the image
    viewer.layers.selection.active = active
    return layer


def _title(plan: PlanePlan, what: str) -> str:
    return f"{plan.layer.name} {what}"


def _on_axes(plan: PlanePlan, values: np.ndarray) -> np.ndarray:
    """Values (Y, X) with all axes of the layer, float32."""
    lengths = [1] * plan.layer.ndim
    lengths[plan.layout.rows], lengths[plan.layout.columns] = values.shape
    return plan.layout.to_image(values.astype(np.float32)).reshape(lengths)


def write_table(path: Path, study: "NormalisationStudy") -> None:
    """Write the table as CSV.

    Raises
    ------
    FileError
        If it cannot be written.
    """

    def write(target: Path) -> None:
        with target.open("w", newline="", encoding=TABLE_ENCODING) as file:
            csv.writer(file).writerows(study.table())

    _put(path, write)


def write_picture(path: Path, study: "NormalisationStudy") -> None:
    """Draw all results beside each other, a row for each network, and their spread; as PNG.

    Raises
    ------
    FileError
        If it cannot be written.
    """
    picture = picture_of(study)

    def write(target: Path) -> None:
        if not picture.save(str(target), "PNG"):
            raise OSError("the picture could not be saved")

    _put(path, write)


def picture_of(study: "NormalisationStudy") -> QImage:
    """That picture."""
    limits, names = limits_of(study), list(study.ours.results)
    zoom = min(1.0, TILE / max(study.image.shape))
    height, width = (max(1, round(zoom * length)) for length in study.image.shape)
    width = max(width, TILE)
    picture = QImage((width + MARGIN) * (len(names) + 1) + MARGIN, (height + TEXT + MARGIN) * 2 + MARGIN, QImage.Format.Format_RGB32)
    picture.fill(QColor("black"))
    with painting(picture) as painter:
        painter.setPen(QColor("white"))
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        brightest = float(np.percentile(study.ordinary.spread, BRIGHTEST)) or 1.0
        for row, network in enumerate(study.networks):
            tiles = [(name, grey(result, limits)) for name, result in network.results.items()]
            tiles.append((f"spread, to {brightest:.3g}", _coloured(network.spread / brightest)))
            for column, (name, pixels) in enumerate(tiles):
                left, top = MARGIN + column * (width + MARGIN), MARGIN + row * (height + TEXT + MARGIN)
                text = QRect(left, top, width, TEXT)
                painter.drawText(text, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, f"{network.name}: {name}")
                shown = round(zoom * study.image.shape[1])
                painter.drawImage(QRect(left, top + TEXT, shown, height), qt_image(pixels))
    return picture


def _coloured(values: np.ndarray) -> np.ndarray:
    rgba = ensure_colormap(SPREAD).map(np.clip(values, 0, 1).ravel()).reshape(*values.shape, 4)
    return np.ascontiguousarray(np.rint(255 * rgba).astype(np.uint8))


def _put(path: Path, write: Callable[[Path], None]) -> None:
    """Write under a temporary name, and move it into place."""
    try:
        with complete_or_absent(path) as temporary:
            write(temporary)
    except OSError as error:
        raise FileError(f"{path}: cannot be written ({error}); choose another place.") from error
