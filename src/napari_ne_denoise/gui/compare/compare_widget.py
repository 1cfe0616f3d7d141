"""The dock that puts a denoised image beside what it was made from."""

from typing import TYPE_CHECKING

from magicgui.widgets import CheckBox, PushButton
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QSlider

from napari_ne_denoise.core.errors import NEDenoiseError
from napari_ne_denoise.core.words import percent
from napari_ne_denoise.gui.base.boxes import ignore_wheel
from napari_ne_denoise.gui.base.choices import layer_box, offer_layers
from napari_ne_denoise.gui.base.docks import NO_IMAGE, Message, form
from napari_ne_denoise.gui.base.layer_dock import LayerDock
from napari_ne_denoise.gui.base.per_viewer import one_of
from napari_ne_denoise.gui.base.remedies import in_window
from napari_ne_denoise.gui.base.view_bar import ViewBar
from napari_ne_denoise.gui.base.workers import Task
from napari_ne_denoise.gui.compare.comparing import Pair, open_again, pair_of
from napari_ne_denoise.gui.compare.curtain import Curtain
from napari_ne_denoise.gui.compare.flip import BeforeAfter, Press, ToFlip
from napari_ne_denoise.gui.compare.profile_part import ProfilePart
from napari_ne_denoise.gui.compare.residual_layer import Residual, compute_residual, describe, show_residual
from napari_ne_denoise.gui.compare.views import CURTAIN, FLIP, SIDES, VIEWS, View, hint_of, name_of, open_view
from napari_ne_denoise.gui.layers.kinship import image_of, is_result, newest_result, partners_of, source_of
from napari_ne_denoise.gui.layers.layer_data import Source
from napari_ne_denoise.gui.layers.records import name_of_source, record_of

if TYPE_CHECKING:
    import napari

INSTRUCTION = "Choose how to look at the two."
CHANGED = "The result has changed since its residual was computed: press Residual layer again."
RESIDUAL, CANCEL = "Residual layer", "Cancel"
STEPS = 1000  # of the slider


class CompareWidget(LayerDock):
    """Compare a denoised layer with the one it was made from, or any two of one shape.

    Parameters
    ----------
    viewer
        napari hands it over.
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        self.pair: Pair | None = None
        self._view: View | None = None
        self._press: Press | None = None
        after = layer_box(viewer, "A denoised image, or any other.")
        after.label = "After"
        self.before = layer_box(viewer, "What it was made from: found by itself for a result, else any image of the same shape.")
        self.before.label = "Before"
        self.before.choices = lambda _: partners_of(viewer, after.value)
        self.open = PushButton(text="Open it again", tooltip="Bring the image back that the result was made from.", visible=False)
        self.bar, self.slider = ViewBar(VIEWS), _slider()
        self.residual = PushButton(
            text=RESIDUAL,
            tooltip="A layer of (before − after) / standard deviation of the noise, from −4 (blue) to 4 (orange).\n"
            "The noise is found in the image from before. Structure in it is what denoising took from the image.",
        )
        self.finding = Message()
        self.draw_profile = CheckBox(text="Line profile", tooltip="Both images along a line. Shift-drag on the image draws another line.")
        self.profile = ProfilePart(viewer, self._complain)
        self.message = Message(INSTRUCTION)
        super().__init__(viewer, after, [self.open, self.message], results_too=True)
        self._lay_out()
        self.before_after = one_of(BeforeAfter, viewer)
        self._flipping = self.before_after.join(self.native, self._to_flip)
        self._listen()
        self._choose_pair()

    def flip(self) -> None:
        """Show the other one of the two, or again what was shown before."""
        self.before_after.toggle(self._flipping)

    def look(self, view: str) -> None:
        """Look at the two in another way; "" for none."""
        self.leave_view()
        if self.pair is None or not view:
            return
        if view == FLIP:
            self.before_after.show(*self.pair.layers)
            return
        try:
            self._view = open_view(view, self._viewer, self.pair, self.slider.value() / STEPS, self._show_share)
        except NEDenoiseError as error:
            self._complain(in_window(error))
        else:
            self.message.say(hint_of(self._view))
        self._show_state()

    def leave_view(self) -> None:
        """Show what was shown before one of the ways was chosen."""
        self.before_after.leave()
        self._leave_own_view()

    def _leave_own_view(self) -> None:
        view, self._view = self._view, None
        if view is not None:
            view.leave()
            self.message.say(INSTRUCTION)
        self._show_state()

    def _to_flip(self) -> ToFlip | None:
        return None if self.pair is None else self.pair.layers

    def _notice_flip(self) -> None:
        """It may be flipped by the key, and by another dock too."""
        flipped = self.before_after.flipped
        self.message.say(INSTRUCTION if flipped is None else hint_of(flipped))
        self._show_state()

    def compute_residual(self) -> None:
        """Start computing the residual layer of the two."""
        assert self.pair is not None
        pair = self.pair
        self._task = Task(
            f"residual of {pair.after.name}", compute_residual, pair, found=lambda found: self._take(pair, found), failed=self._fail
        )
        self.finding.say("Looking for the noise…")
        self._show_state()
        self._task.start()

    def cancel(self) -> None:
        """Stop computing the residual."""
        if self._task is not None:
            self._task.stop()
            self._task = None
            self.finding.say("")
        self._show_state()

    def _lay_out(self) -> None:
        self.column.insertWidget(0, form(self.before, self.layer))
        for number, part in enumerate((self.bar, self.slider, self.message.native)):
            self.column.insertWidget(2 + number, part)
        for part in (self.residual.native, self.finding.native, self.draw_profile.native, self.profile):
            self.column.addWidget(part)
        self.column.addStretch(1)

    def _listen(self) -> None:
        self.bar.chosen.connect(self.look)
        self.bar.pressed.connect(self._press_flip)
        self.bar.released.connect(self._release_flip)
        self.before_after.begins.connect(self._leave_own_view)
        self.before_after.changed.connect(self._notice_flip)
        self.slider.valueChanged.connect(self._move_curtain)
        self.residual.changed.connect(lambda: self.compute_residual() if self._task is None else self.cancel())
        self.draw_profile.changed.connect(self._show_profile)
        self.open.changed.connect(self._open_source)
        self.layer.changed.connect(self._after_chosen)
        self.before.changed.connect(self._pair_changed)
        self._viewer.layers.events.removed.connect(self._notice_removal)
        self._viewer.canvas.grid.events.enabled.connect(self._notice_removal)

    def _follow_active(self, *_: object) -> None:
        """Only to results: a click on the image from before is no wish to compare it with another."""
        active = self._viewer.layers.selection.active
        if active is not None and active in self.layer.choices and is_result(active):
            self.layer.value = active

    def _choose_pair(self) -> None:
        """What a new dock shows."""
        active = self._viewer.layers.selection.active
        after = active if active in self.layer.choices and is_result(active) else newest_result(self._viewer)
        if after is not None:
            self.layer.value = after
        self._after_chosen()

    def _after_chosen(self, *_: object) -> None:
        self._offer_before()
        after = self.layer.value
        source = None if after is None else image_of(self._viewer, after)
        if source is not None:
            with self.before.changed.blocked():
                self.before.value = source
        self._pair_changed()

    def _offer_before(self) -> None:
        with self.before.changed.blocked():
            offer_layers(self.before)

    def _layers_changed(self) -> None:
        after = self.layer.value
        if after is None or (self.pair is None and not is_result(after)):
            newest = newest_result(self._viewer)
            if newest is not None:
                with self.layer.changed.blocked():
                    self.layer.value = newest
        self._offer_before()
        if self.pair is None or self.pair.layers != (self.before.value, self.layer.value):
            self._after_chosen()
        self._pair_changed()

    def _pair_changed(self, *_: object) -> None:
        before, after = self.before.value, self.layer.value
        if self.pair is not None and self.pair.is_of(before, after):
            return
        view = name_of(self._view)
        self.leave_view()
        if view in (SIDES, CURTAIN):
            # layers may be coming or going just now: no time to add one
            QTimer.singleShot(0, lambda: self._look_again(view))
        self.cancel()
        self.finding.say("")
        self._watch(False)
        self.pair = pair_of(before, after)
        self._watch(True)
        self.profile.show_pair(self.pair if self.draw_profile.value else None)
        self._explain()
        self._show_state()

    def _look_again(self, view: str) -> None:
        """Look at another pair as at the last one."""
        if self._view is None and not self._closed:
            self.look(view)

    def _watch(self, watching: bool) -> None:
        """Notice, or not, that a layer of the pair gets other data."""
        if self.pair is None:
            return
        watched = [(layer.events.data, self._pair_changed) for layer in self.pair.layers]
        # where the strength of a result is changed, its array stays the same one, and its record changes
        watched.append((self.pair.after.events.metadata, self._notice_change))
        for event, slot in watched:
            (event.connect if watching else event.disconnect)(slot)

    def _notice_change(self, *_: object) -> None:
        if self.finding.value:
            self.cancel()
            self.finding.say(CHANGED)
            self._show_state()

    def _explain(self) -> None:
        after = self.layer.value
        source = self._lost_source()
        if after is None:
            self.message.say(NO_IMAGE)
        elif source is not None:
            self.message.say(f"{source.name}, which {after.name} was made from, is not open any more.")
        elif self.pair is not None:
            self.message.say(INSTRUCTION)
        elif (record := record_of(after)) is not None:
            name = name_of_source(record)
            called = f", {name}" if name else ""
            self.message.say(f"{after.name} is already denoised: open the noisy image it was made from{called}.")
        else:
            self.message.say(f"There is no other image of the shape of {after.name}. Denoise it first: Layers ▸ Filter ▸ Denoise.")

    def _lost_source(self) -> Source | None:
        """What a result was made from, if that is not among the layers."""
        after = self.layer.value
        return source_of(after) if after is not None and image_of(self._viewer, after) is None else None

    def _open_source(self) -> None:
        open_again(self._viewer, self.layer.value)

    def _press_flip(self) -> None:
        self._press = Press(self.flip)

    def _release_flip(self) -> None:
        press, self._press = self._press, None
        if press is not None:
            press.end()
        self._show_state()

    def _move_curtain(self, step: int) -> None:
        if isinstance(self._view, Curtain):
            self._view.move_to(step / STEPS)

    def _show_share(self, share: float) -> None:
        self.slider.blockSignals(True)
        self.slider.setValue(round(STEPS * share))
        self.slider.blockSignals(False)

    def _take(self, pair: Pair, found: float | Residual) -> None:
        if isinstance(found, Residual):
            self._task = None
            self.leave_view()  # it would be hidden, or beside the two
            show_residual(self._viewer, pair, found)
            self.finding.say(describe(found))
        else:
            self.finding.say(f"Residual: {percent(found)}")
        self._show_state()

    def _fail(self, reason: str) -> None:
        self._task = None
        self.finding.complain(reason)
        self._show_state()

    def _show_profile(self, wanted: bool) -> None:
        self.profile.show_pair(self.pair if wanted else None)
        if wanted and not self.profile.is_shown:
            self.draw_profile.value = False
        if name_of(self._view) == SIDES:
            self.look(SIDES)  # a layer more or less, in a grid

    def _notice_removal(self, *_: object) -> None:
        """A helper layer that the user deletes, or a grid that he turns off, ends what it is for."""
        if self._view is not None and not self._view.is_alive(self._viewer):
            self.leave_view()
        if self.draw_profile.value and self.profile.was_removed:
            self.draw_profile.value = False

    def _complain(self, reason: str) -> None:
        self.message.complain(reason)

    def _show_state(self) -> None:
        paired, busy = self.pair is not None, self._task is not None
        self.bar.setEnabled(paired)
        self.bar.show_chosen(name_of(self.before_after.flipped or self._view))
        self.slider.setVisible(isinstance(self._view, Curtain))
        self.residual.enabled = paired
        self.residual.text = CANCEL if busy else RESIDUAL
        self.finding.visible = bool(self.finding.value)
        self.draw_profile.enabled = paired
        self.open.visible = self._lost_source() is not None

    def _give_up(self) -> None:
        self.leave_view()
        self.profile.show_pair(None)

    def _disconnect(self) -> None:
        self.before_after.begins.disconnect(self._leave_own_view)
        self.before_after.changed.disconnect(self._notice_flip)
        self.before_after.part(self._flipping)
        self._watch(False)
        self.profile.stop()
        self._viewer.layers.events.removed.disconnect(self._notice_removal)
        self._viewer.canvas.grid.events.enabled.disconnect(self._notice_removal)


def _slider() -> QSlider:
    slider = QSlider(Qt.Orientation.Horizontal)
    slider.setRange(0, STEPS)
    slider.setValue(STEPS // 2)
    slider.setToolTip("Where the line is.")
    ignore_wheel(slider)
    return slider
