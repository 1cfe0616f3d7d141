"""What the forms offer: image layers, models, devices."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from magicgui.widgets import ComboBox
from qtpy.QtCore import Qt
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import QComboBox

from napari_ne_denoise.core.models.fetch import choose_cache_folder, is_here
from napari_ne_denoise.core.models.registry import ModelRow, list_models
from napari_ne_denoise.core.settings import DEFAULTS
from napari_ne_denoise.gui.base.boxes import tame_box
from napari_ne_denoise.gui.base.preferences import remembered
from napari_ne_denoise.gui.layers.kinship import image_layers, image_of, is_result

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_ne_denoise.core.device import DeviceReport


def layer_box(viewer: "Viewer", tooltip: str) -> ComboBox:
    """A box of the viewer's image layers, helper layers left out."""
    box = ComboBox(name="layer", label="Layer", choices=lambda _: image_layers(viewer), nullable=False, tooltip=tooltip)
    tame_box(box.native, Qt.TextElideMode.ElideMiddle)  # names of images differ at their ends
    return box


def offer_layers(box: ComboBox) -> None:
    """Offer the layers there are now, and keep the chosen one, also if it was renamed."""
    chosen = box.value
    box.reset_choices()
    if chosen is not None and chosen in box.choices:
        box.value = chosen


def choose_active(box: ComboBox, viewer: "Viewer", results_too: bool) -> None:
    """Let a box of layers follow the active layer, or to what that was made from where results are not wanted."""
    active = viewer.layers.selection.active
    if active is not None and not results_too and is_result(active):
        active = image_of(viewer, active)
    if active is not None and active in box.choices:
        box.value = active


def model_box() -> ComboBox:
    """A box of the blind models that are on this machine, each with how good and how fast it is."""
    box = ComboBox(
        name="model", label="Model", choices=lambda _: [(_choice(row), row.name) for row in usable_models()], value=DEFAULTS.model
    )
    tame_box(box.native)
    explain_models(box)
    return box


def offer_models(box: ComboBox) -> None:
    """Offer the models there are now, and keep the chosen one; the default where that has gone."""
    box.reset_choices()
    explain_models(box)


def explain_models(box: ComboBox) -> None:
    """Show as tooltips what models are for, and what the chosen one costs."""
    explanations = {row.name: _explanation(row) for row in usable_models()}
    for number, name in enumerate(box.choices):
        box.native.setItemData(number, explanations.get(str(name), ""), Qt.ItemDataRole.ToolTipRole)
    measured = "Seconds per megapixel (MPix) are those of two processor cores in float32."
    menu = "napari" if sys.platform == "darwin" else "File"  # macOS moves preferences into the menu of the program
    published = f"Published models appear here once they are in the models folder, chosen in {menu} ▸ Preferences ▸ NE Denoise."
    box.tooltip = f"{explanations.get(str(box.value), '')}\n{measured}\n{published}"


def _choice(row: ModelRow) -> str:
    return f"{row.name}: {row.character}" if row.character else row.name


def _explanation(row: ModelRow) -> str:
    known = (row.summary, row.quality and f"Results: {row.quality}.", row.speed and f"Speed: {row.speed}.")
    return "\n".join(filter(None, known))


def usable_models() -> list[ModelRow]:
    """Packaged models and published ones that were fetched: the default first, those that are only for comparison last.

    Models that need a noise level are left out: there is no field for it yet, and the blind ones do without.
    """
    choose_cache_folder(remembered().get("models_folder"))
    there = [row for row in list_models() if row.blind and is_here(row)]
    # a box falls back on its first choice, and nobody is to get a slower model than the default without choosing it
    return sorted(there, key=lambda row: (row.name != DEFAULTS.model, row.comparison_only, not row.packaged))


def device_box() -> ComboBox:
    """A box with "auto" alone, until `offer_devices` fills it."""
    box = ComboBox(
        name="device", label="Device", choices=[("auto", DEFAULTS.device)], tooltip="Where to compute. Auto: the fastest that works."
    )
    tame_box(box.native)
    return box


def find_devices() -> Iterator[tuple["DeviceReport", ...]]:
    """The work of a thread: importing torch and testing devices takes seconds."""
    from napari_ne_denoise.core.device import list_devices

    yield list_devices()


def offer_devices(box: ComboBox, reports: tuple["DeviceReport", ...]) -> None:
    """Fill a box; devices that don't work are shown, but cannot be chosen, and say why."""
    fastest = next(report for report in reports if report.problem is None)
    choices = [(f"auto: {fastest.label}", DEFAULTS.device), *((_title(report), report.name) for report in reports)]
    box.choices = lambda _: choices  # a list would be forgotten when magicgui resets the box
    native: QComboBox = box.native
    items = native.model()
    assert isinstance(items, QStandardItemModel)
    for number, report in enumerate(reports, start=1):
        native.setItemData(number, report.problem or f"{report.label}, called {report.name}", Qt.ItemDataRole.ToolTipRole)
        item = items.item(number)
        assert item is not None
        item.setEnabled(report.problem is None)


def _title(report: "DeviceReport") -> str:
    return report.label if report.problem is None else f"{report.label}: not usable"
