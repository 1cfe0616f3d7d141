"""The form of the Denoise dock: which layer, what its axes are, what of it, by which model, how strongly, and what is advanced."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

import numpy as np
from magicgui.widgets import ComboBox
from qtpy.QtCore import Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_ne_denoise.core.settings import DEFAULTS
from napari_ne_denoise.gui.base.boxes import choice_box, offer
from napari_ne_denoise.gui.base.choices import explain_models, model_box, offer_models
from napari_ne_denoise.gui.base.docks import Fold, Rows
from napari_ne_denoise.gui.denoise.advanced import ADVANCED, ADVANCED_TOOLTIP, Advanced
from napari_ne_denoise.gui.denoise.scope import DISK, LAZY, PLANE, SELECTED, scopes_of, selected_images, stores_of
from napari_ne_denoise.gui.denoise.strength_field import TOOLTIP as STRENGTH_TOOLTIP
from napari_ne_denoise.gui.denoise.strength_field import StrengthField
from napari_ne_denoise.gui.layers.layer_data import Source, finest, read_layer
from napari_ne_denoise.gui.layers.readings import Reading, reading_of, readings_of

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer

AXES_TOOLTIP = (
    "What the axes of the layer are. Planes (Y, X) are denoised one by one;\n"
    "the other axes matter where noise is looked for, and stand in the record."
)
STORE_TOOLTIP = "Whether the result is computed now, into memory or a file, or plane by plane when it is looked at."
SCOPE_TOOLTIP = "What is denoised: all planes or the shown one, or several layers one after another."


class DenoiseForm(QWidget):
    """Fields and what they choose.

    Parameters
    ----------
    viewer
        Whose layers can be chosen.
    layer
        The box of layers.
    """

    changed = Signal()  # by the user
    strength_moved = Signal()  # by the user
    axes_chosen = Signal()  # by the user

    def __init__(self, viewer: "Viewer", layer: ComboBox) -> None:
        super().__init__()
        self._viewer, self.layer = viewer, layer
        self._read_as: WeakKeyDictionary[Any, Reading] = WeakKeyDictionary()
        self._is_showing = False
        self.axes = choice_box("axes", "Axes", AXES_TOOLTIP)
        self.scope = choice_box("scope", "Apply to", SCOPE_TOOLTIP)
        self.store = choice_box("store", "Result", STORE_TOOLTIP)
        self._stored_for: Callable[[], Any] = lambda: None  # the layer for which it was chosen
        self.model, self.strength, self.advanced = model_box(), StrengthField(), Advanced()
        self.rows = Rows()
        for box in (self.layer, self.axes, self.scope, self.store, self.model):
            self.rows.add(box.label, box.native, str(box.tooltip))
        self.rows.add("Strength", self.strength, STRENGTH_TOOLTIP)
        self.fold = Fold(ADVANCED, self.advanced, ADVANCED_TOOLTIP)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.rows)
        column.addWidget(self.fold)
        self._listen()
        self.offer()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Now that the theme's font is known, let all fields begin below each other."""
        super().showEvent(event)
        self.rows.align_with(self.advanced)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of `denoise` that are chosen here, strength and axes left out."""
        return {"model": self.model.value, **self.advanced.values}

    def show_settings(self, settings: Mapping[str, Any]) -> None:
        """Show settings of `denoise`; what is not among them becomes the default."""
        with self._showing():
            model = settings.get("model")
            self.model.value = model if model in self.model.choices else DEFAULTS.model
            self.advanced.show_values(settings)
            self.strength.show_share(settings.get("strength", DEFAULTS.strength))
        self._describe_advanced()

    def show_reading(self, axes: str | None) -> None:
        """Show what the axes of the chosen layer were taken for."""
        layer = self.layer.value
        shape = finest(layer).shape
        if isinstance(axes, str) and len(axes) == len(shape):
            known = next((reading for reading in self._readings(layer) if reading.axes == axes), None)
            self._read_as[layer] = known or reading_of(axes, shape, "As in the record of the layer.")
        self.offer()

    @property
    def is_for_disk(self) -> bool:
        """Whether the result is to be a file."""
        return bool(self.store.value == DISK) and self.scope.value != PLANE

    def is_lazy(self, layer: "Image") -> bool:
        """Whether the result of a layer is to be computed when it is shown."""
        if self.scope.value == PLANE:
            return False
        if layer is self.layer.value:
            return bool(self.store.value == LAZY)
        return stores_of(layer, self._reading(layer))[0][1] == LAZY

    def sources(self) -> "list[tuple[Image, Source]]":
        """The layers to denoise, and what is known of each."""
        layers = selected_images(self._viewer) if self.scope.value == SELECTED else [self.layer.value]
        return [(layer, self.source_of(layer)) for layer in layers]

    def source_of(self, layer: "Image") -> Source:
        """What is known of a layer, and how to denoise it."""
        wishes = {name: value for name, value in self.settings.items() if name != "model"}
        return read_layer(layer, self.model.value, self._reading(layer), wishes)

    def offer(self) -> None:
        """Offer what there is to choose for the chosen layer and the selected ones."""
        layer = self.layer.value
        with self._showing():
            self._offer_readings(layer)
            self._offer_scopes(layer)
            self._offer_stores(layer)
            offer_models(self.model)
            self.advanced.offer_output(None if layer is None else np.dtype(finest(layer).dtype), layer is not None and layer.rgb)
            self.layer.tooltip = _explain_layer(layer)

    def follow_selection(self, *_: object) -> None:
        """Who selects several layers means all of them."""
        with self._showing():
            self._offer_scopes(self.layer.value)
            if SELECTED in self.scope.choices:
                self.scope.value = SELECTED

    def _offer_readings(self, layer: "Image | None") -> None:
        readings = [] if layer is None else self._readings(layer)
        offer(self.axes, [(reading.text, reading, reading.why) for reading in readings])
        if readings:
            self.axes.value = self._reading(layer)
        self.rows.show_row(self.axes.native, layer is not None and layer.ndim > 2)

    def _offer_scopes(self, layer: "Image | None") -> None:
        scopes = scopes_of(self._viewer, layer, None if layer is None else self._reading(layer))
        offer(self.scope, scopes)
        self.rows.show_row(self.scope.native, len(scopes) > 1)

    def _offer_stores(self, layer: "Image | None") -> None:
        stores = stores_of(layer, None if layer is None else self._reading(layer))
        if self.scope.value == SELECTED:  # each file would have to be given a name
            stores = [store for store in stores if store[1] != DISK]
        offer(self.store, stores)
        if layer is not self._stored_for():
            self.store.value = stores[0][1]
            self._stored_for = (lambda: None) if layer is None else ref(layer)
        # a single plane is always computed at once
        self.rows.show_row(self.store.native, len(stores) > 1 and self.scope.value != PLANE)

    def _readings(self, layer: "Image") -> list[Reading]:
        found = readings_of(layer, finest(layer).shape)
        chosen = self._read_as.get(layer)
        if chosen is None:
            return found
        others = [reading for reading in found if reading.axes != chosen.axes]
        return [chosen, *others] if len(others) == len(found) else [chosen if reading not in others else reading for reading in found]

    def _reading(self, layer: Any) -> Reading:
        return self._read_as.get(layer) or readings_of(layer, finest(layer).shape)[0]

    def _listen(self) -> None:
        self.axes.changed.connect(self._take_reading)
        self.scope.changed.connect(lambda *_: self._take_scope())
        self.model.changed.connect(lambda *_: explain_models(self.model))
        for signal in (self.model.changed, self.advanced.changed):
            signal.connect(lambda *_: self._tell())
        self.strength.moved.connect(self._tell_strength)

    def _take_reading(self, reading: Reading | None) -> None:
        if not self._is_showing and reading is not None and self.layer.value is not None:
            self._read_as[self.layer.value] = reading
            with self._showing():
                self._offer_scopes(self.layer.value)
                self._offer_stores(self.layer.value)
            self.axes_chosen.emit()

    def _take_scope(self) -> None:
        with self._showing():
            self._offer_stores(self.layer.value)

    def _tell(self) -> None:
        self._describe_advanced()
        if not self._is_showing:
            self.changed.emit()

    def _tell_strength(self) -> None:
        if not self._is_showing:
            self.strength_moved.emit()

    def _describe_advanced(self) -> None:
        self.fold.rename(self.advanced.title)

    @contextmanager
    def _showing(self) -> Iterator[None]:
        """Changes that a program makes are not the user's."""
        before, self._is_showing = self._is_showing, True
        try:
            yield
        finally:
            self._is_showing = before


def _explain_layer(layer: "Image | None") -> str:
    explanation = "The image to denoise. It stays as it is: the result is a new layer, in the same units."
    return explanation if layer is None else f"{layer.name}\n{explanation}"
