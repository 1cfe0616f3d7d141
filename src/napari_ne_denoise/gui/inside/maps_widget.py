"""The dock that computes maps of what the filters of all pixels do."""

from time import perf_counter
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, ComboBox, PushButton
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QGridLayout, QWidget

from napari_ne_denoise.core.errors import NEDenoiseError
from napari_ne_denoise.core.jacobian.kinds import MAPS, PROBES
from napari_ne_denoise.core.words import percent
from napari_ne_denoise.gui.base.boxes import choice_box, offer, tame_box
from napari_ne_denoise.gui.base.choices import layer_box, offer_layers
from napari_ne_denoise.gui.base.computing_dock import ComputingDock
from napari_ne_denoise.gui.base.docks import Message, form
from napari_ne_denoise.gui.base.pace import Pace, duration
from napari_ne_denoise.gui.base.readout import NO_VALUE, Readout
from napari_ne_denoise.gui.base.remedies import in_window
from napari_ne_denoise.gui.inside.arrows import show_lines
from napari_ne_denoise.gui.inside.map_layer import (
    CYCLIC,
    TOLD,
    MapLayers,
    maps_in,
    pixel_of,
    rows_and_columns,
    share_without,
    shares_of,
    show_only,
    unit_to_tell,
    words,
)
from napari_ne_denoise.gui.inside.mapping import MapPlan, MapsDone, MapTile, compute_maps, describe_cost, places_of, plan_maps
from napari_ne_denoise.gui.inside.stripes_field import StripesField
from napari_ne_denoise.gui.layers.layer_data import MAP_KEY

if TYPE_CHECKING:
    import napari
    from napari.layers import Image
    from napari.viewer import Viewer

VIEW_AT_REST = 150  # ms without a movement
NO_MAP = "Choose at least one map."
OFFERED = tuple(name for name in MAPS if name != "noise_level_part")  # which our models do not have
USUAL = ("error", "residual_noise", "width", "resolution")
UNITS = {"px": "pixels, or that of the layer", "image": "that of the image", "degrees": "degrees", "": "none"}
NOTES = {"pixels_averaged": "none, a number of pixels", "orientation": "degrees; no value where the filter is round"}
LINES = "Draw as lines"
WITHOUT = "No value"
ROWS = {f"{share} %" if share != 50 else "Median": f"{share} % of the pixels have less" for share in TOLD} | {
    WITHOUT: "Pixels that are no numbers; of widths, where no Gaussian filter is alike; of directions, where the filter is round"
}


class MapsWidget(ComputingDock):
    """Compute maps of what the filters of all pixels do: how many pixels they average, what noise is left, how far they blur.

    Parameters
    ----------
    viewer
        napari hands it over.
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        self._plan: MapPlan | None = None
        self._made: MapLayers | None = None
        self._pace: Pace | None = None
        self._percent = 0
        self._rates: dict[str, float] = {}
        self._rest = QTimer()  # tells when the view has come to rest
        self._rest.setSingleShot(True)
        self._rest.setInterval(VIEW_AT_REST)
        layer = layer_box(viewer, "A denoised image, or a noisy one: then the maps are those of the default model.")
        self.where = choice_box("where", "Where", "What is not computed has no value.")
        self.boxes = {name: _check_box(name) for name in OFFERED}
        self.stripes = StripesField()
        self.cost, self.meaning = Message(), Message()
        self.map = _map_box(viewer)
        self.readout = Readout(ROWS)
        self.lines = PushButton(text=LINES, tooltip="Draw the directions over the map, in a layer of vectors.")
        tooltip = "Compute the maps, what you see first; what is finished stays."
        progress = "Share done, megapixels (MPix) a second, time left"
        super().__init__(viewer, layer, text="Compute", tooltip=tooltip, progress=progress, above=[self.cost])
        self._lay_out()
        self._listen()
        self._layers_changed()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the maps that are ticked."""
        return tuple(name for name, box in self.boxes.items() if box.value)

    def offer(self, layer: "Image", name: str) -> None:
        """Choose a layer, and tick one map alone, as other docks ask for it; a computation is not disturbed."""
        if self._task is None:
            self.layer.value = layer
            for each, box in self.boxes.items():
                box.value = each == name

    def compute(self) -> None:
        """Start computing the maps that are ticked."""
        try:
            plan = plan_maps(self._viewer, self.layer.value, self.names, self.where.value, self.stripes.stripes)
        except NEDenoiseError as error:
            self.message.complain(in_window(error))
            return
        self._plan, self._made, self._pace, self._percent = plan, MapLayers(self._viewer, plan), None, 0
        name = plan.layer.name
        self._start(f"maps of {name}", compute_maps, plan, said=f"Computing maps of {name}…", first="first tile…")

    def cancel(self) -> None:
        """Stop at once; what is finished stays."""
        made = self._stop()
        if made is not None and made.layers:
            made.finish(self._percent)
            self.message.say(f"Cancelled. {self._percent} % is computed, the rest has no value.")
            self._tell()
        else:
            self.message.say("Cancelled.")

    def _stop(self) -> MapLayers | None:
        made, self._made = self._made, None
        self._stop_work()
        self._show_state()
        return made

    def _lay_out(self) -> None:
        checks = QWidget()
        grid = QGridLayout(checks)
        grid.setContentsMargins(0, 0, 0, 0)
        for number, box in enumerate(self.boxes.values()):
            grid.addWidget(box.native, number // 2, number % 2)
        upper, self._lower = form(self.layer, self.where), form(self.map)
        self._lower.align_with(upper)
        self.stripes.rows.align_with(upper)
        for number, part in enumerate((upper, checks, self.stripes.rows)):
            self.column.insertWidget(number, part)
        for part in (self._lower, self.meaning.native, self.readout, self.lines.native):
            self.column.addWidget(part)
        self.column.addStretch(1)

    def _listen(self) -> None:
        self.lines.changed.connect(self._draw_lines)
        for box in (self.layer, self.where, *self.boxes.values(), self.stripes.period, self.stripes.direction):
            box.changed.connect(self._show_state)
        self.layer.changed.connect(self._offer_places)
        self.map.changed.connect(self._show_map)
        self._viewer.scene.camera.events.connect(self._view_moved)
        self._rest.timeout.connect(self._say_cost)
        self._viewer.layers.events.removed.connect(self._notice_removal)

    def _take(self, found: MapTile | MapsDone) -> None:
        assert self._plan is not None
        assert self._made is not None
        if isinstance(found, MapTile):
            now = perf_counter()
            self._pace = self._pace or Pace(found.total, self._began)
            self._percent = 100 * found.done // found.total
            self._made.take(found)
            self._show_progress(self._percent, self._pace.describe(found.done, now))
            self._tell()
            return
        made, self._task = self._made, None
        self._rates[self._plan.model] = found.seconds / self._plan.megapixel_passes
        made.finish()
        self._made = None
        count = len(made.layers)
        self.message.say(f"{count} map{'s' * (count != 1)} in {duration(found.seconds)}.")
        self._tell()
        self._show_state()

    def _fail(self, reason: str) -> None:
        made = self._stop()
        if made is not None:
            made.discard()
        self.message.complain(reason)

    def _notice_removal(self, *_: object) -> None:
        if self._made is not None and self._made.were_removed:
            self._stop()
            self.message.say("Stopped, because its layers were removed.")

    def _layers_changed(self) -> None:
        self._offer_places()
        with self.map.changed.blocked():
            offer_layers(self.map)
        self._tell()
        self._show_state()

    def _offer_places(self, *_: object) -> None:
        offer(self.where, places_of(self.layer.value))
        self.stripes.show_unit(*pixel_of(self.layer.value))

    def _follow_active(self, *_: object) -> None:
        super()._follow_active()
        active = self._viewer.layers.selection.active
        if active is not None and active in self.map.choices:
            with self.map.changed.blocked():
                self.map.value = active
            self._tell()

    def _show_map(self, *_: object) -> None:
        """Show the chosen map, with its colours under the sliders of napari."""
        if self.map.value is not None:
            show_only(self._viewer, self.map.value)
            self._viewer.layers.selection.active = self.map.value
        self._tell()

    def _tell(self) -> None:
        """What the shown map means, and how large its values are."""
        layer = self.map.value
        record: dict[str, Any] = {} if layer is None else layer.metadata[MAP_KEY]
        shares = None if layer is None or record["map"] in CYCLIC else shares_of(layer)
        error = f" Measured with {record['probes']} random fields, to 18 %." if "probes" in record else ""
        of_what = f" Here: {record['stripes']}." if "stripes" in record else ""
        self.meaning.say(record.get("meaning", "") + of_what + error)
        unit = unit_to_tell(record)
        directions = layer is not None and record["map"] in CYCLIC
        nothing = "" if directions else NO_VALUE  # directions have no order
        texts = [nothing] * len(TOLD) if shares is None else [f"{_three_digits(share)} {unit}".strip() for share in shares]
        without = 0.0 if layer is None or self._made is not None else share_without(layer)
        self.readout.show_values(dict(zip(ROWS, [*texts, f"{percent(without, 1)} of the pixels" if without else ""], strict=True)))
        for part in (self._lower, self.meaning.native, self.readout):
            part.setVisible(layer is not None)
        self.lines.visible = directions and self._made is None

    def _draw_lines(self, *_: object) -> None:
        show_lines(self._viewer, self.map.value, *rows_and_columns(self.map.value))

    def _view_moved(self, *_: object) -> None:
        self._rest.start()

    def _say_cost(self) -> None:
        if self._task is not None or self.layer.value is None or self.where.value is None:
            self.cost.say("")
        elif not self.names:
            self.cost.say(NO_MAP)
        else:
            try:
                plan = plan_maps(self._viewer, self.layer.value, self.names, self.where.value, self.stripes.stripes)
            except NEDenoiseError as error:
                self.cost.say(in_window(error))
            else:
                self.cost.say(describe_cost(plan, self._rates))

    def _show_state(self, *_: object) -> None:
        super()._show_state()
        busy = self._task is not None
        self.button.enabled = busy or (self.layer.value is not None and bool(self.names))
        for box in (self.layer, self.where, *self.boxes.values(), self.stripes.period, self.stripes.direction):
            box.enabled = not busy
        self.stripes.rows.setVisible(bool(self.boxes["contrast"].value))
        self._say_cost()
        self.cost.visible = bool(self.cost.value)

    def _give_up(self) -> None:
        made = self._stop()
        if made is not None:
            made.discard()

    def _disconnect(self) -> None:
        self._rest.stop()
        if self._made is not None:
            self._made.stop()
        self._viewer.scene.camera.events.disconnect(self._view_moved)
        self._viewer.layers.events.removed.disconnect(self._notice_removal)


def _three_digits(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1e3 else f"{value:.0f}"


def _check_box(name: str) -> CheckBox:
    kind = MAPS[name]
    how = "" if kind.exact else f"\nMeasured with {PROBES} random fields."
    return CheckBox(
        name=name, text=words(name), value=name in USUAL, tooltip=f"{kind.meaning}\nUnit: {NOTES.get(name, UNITS[kind.unit])}.{how}"
    )


def _map_box(viewer: "Viewer") -> ComboBox:
    """A box of the maps there are."""
    tooltip = "Which of the maps to look at: it is shown, and the others of its layer are hidden."
    box = ComboBox(name="map", label="Map", choices=lambda _: maps_in(viewer), nullable=False, tooltip=tooltip)
    tame_box(box.native, Qt.TextElideMode.ElideLeft)  # names of maps differ at their ends
    return box
