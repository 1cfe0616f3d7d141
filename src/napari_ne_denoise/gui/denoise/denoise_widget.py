"""The dock that denoises a layer."""

from typing import TYPE_CHECKING, Any

from magicgui.widgets import ProgressBar, PushButton

from napari_ne_denoise.core.errors import NEDenoiseError
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.base.choices import find_devices, layer_box
from napari_ne_denoise.gui.base.docks import NO_IMAGE, Message, show_progress, side_by_side
from napari_ne_denoise.gui.base.layer_dock import LayerDock
from napari_ne_denoise.gui.base.opening import open_dock
from napari_ne_denoise.gui.base.per_viewer import one_of
from napari_ne_denoise.gui.base.remedies import in_window
from napari_ne_denoise.gui.base.workers import Task
from napari_ne_denoise.gui.compare.flip import BeforeAfter, ToFlip
from napari_ne_denoise.gui.denoise.copying import CopyButtons
from napari_ne_denoise.gui.denoise.denoise_form import DenoiseForm
from napari_ne_denoise.gui.denoise.denoise_queue import DenoiseQueue, Job
from napari_ne_denoise.gui.denoise.live_strength import LiveStrength, blend_of
from napari_ne_denoise.gui.denoise.quality_button import QualityButton
from napari_ne_denoise.gui.denoise.restore_button import RestoreButton
from napari_ne_denoise.gui.denoise.scope import PLANE
from napari_ne_denoise.gui.denoise.settings_keeper import SettingsKeeper
from napari_ne_denoise.gui.denoise.storing import ask_for_target
from napari_ne_denoise.gui.layers.kinship import image_of, result_at_hand
from napari_ne_denoise.gui.layers.layer_data import shown_position
from napari_ne_denoise.gui.preview.preview import Chosen, Preview

if TYPE_CHECKING:
    import napari

DENOISE, AGAIN, CANCEL = "Denoise", "Denoise again", "Cancel"
TOOLTIP = "Denoise, what you see first. Cancel stops at once."
AGAIN_TOOLTIP = (
    "This layer is denoised already: once more takes away structure rather than noise. Take the noisy image where you have it.\n"
)
SAMPLE = "actin"  # of File ▸ Open Sample
MAPS_DOCK = "Filter maps"  # as napari.yaml calls it
BARS_TOOLTIP = "Open the Filter maps dock, which computes an error bar for every pixel of the result."


class DenoiseWidget(LayerDock):
    """Denoise an image layer into a new layer, in the image's own units.

    Parameters
    ----------
    viewer
        napari hands it over.
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        layer = layer_box(viewer, "The image to denoise.")
        self.form, self.queue, self.message = DenoiseForm(viewer, layer), DenoiseQueue(viewer), Message()
        self.live = LiveStrength(viewer, self.message.complain)
        self.button = PushButton(text=DENOISE)
        self.bar = ProgressBar(min=0, max=100, tooltip="Share done, megapixels (MPix) a second, time left", visible=False)
        self.keep = PushButton(tooltip="Bring the unfinished result back, with the noisy image where nothing was denoised.", visible=False)
        self.sample = PushButton(text="Open the sample", tooltip="Actin in cultured cells at a short exposure, 512×512 pixels of 8 bit.")
        self.preview = Preview(viewer, self._chosen)
        self._passing = ""  # what was said of something that is over
        super().__init__(viewer, layer, [self.preview, self.button, self.bar, self.message, self.keep, self.sample], results_too=False)
        self.restore = RestoreButton(viewer, self._say_restored, self.message.complain)
        self.settings = SettingsKeeper(viewer, self.form, self._notice_settings, self._show_state)
        self.before_after = one_of(BeforeAfter, viewer)
        self._flipping = self.before_after.join(self.native, self._to_flip)
        self.copying = CopyButtons(viewer, self._copyable, self.message.say, self.message.complain)
        self.quality = QualityButton(viewer, self._result_at_hand, self.message.say, self.message.complain)
        self.bars = PushButton(text="Error bars", tooltip=BARS_TOOLTIP)
        self._asking = side_by_side(self.quality.native, self.bars.native)
        self.column.insertWidget(0, self.form)
        self.column.addWidget(self.restore.native)
        self.column.addWidget(self._asking)
        self.column.addWidget(self.copying.native)
        self.column.addStretch(1)
        self._listen()
        self._device_search = Task("finding devices", find_devices, found=self.form.advanced.offer_devices, failed=self.message.complain)
        self._device_search.start()

    @property
    def model(self) -> Any:
        """The box of models."""
        return self.form.model

    @property
    def device(self) -> Any:
        """The box of devices."""
        return self.form.advanced.device

    def denoise(self) -> None:
        """Start denoising what is chosen."""
        self.preview.stop()
        self.quality.cancel()
        only_plane = self.form.scope.value == PLANE
        jobs, target = [], None
        try:
            if self.form.is_for_disk:
                target = ask_for_target(self.native, self.layer.value)
                if target is None:
                    return
            for layer, source in self.form.sources():
                position = shown_position(self._viewer, layer)
                part = source.only_plane_at(position) if only_plane else source
                jobs.append(Job(layer, part, self.form.strength.share, position, self.form.is_lazy(layer), target))
        except NEDenoiseError as error:  # planes of more axes than there can be, or a name that is taken
            self.message.complain(in_window(error))
            return
        self.queue.start(jobs)

    def cancel(self) -> None:
        """Stop at once; the unfinished result goes, and can be brought back."""
        self.queue.cancel()

    def _listen(self) -> None:
        self.button.changed.connect(self._press)
        self.keep.changed.connect(self.queue.keep)
        self.sample.changed.connect(self._open_sample)
        self.bars.changed.connect(self._ask_for_bars)
        self.queue.changed.connect(self._show_state)
        self.queue.progressed.connect(self._show_progress)
        self.queue.said.connect(self.message.say)
        self.queue.passed.connect(self._say_passing)
        self.queue.complained.connect(self.message.complain)
        self.form.strength_moved.connect(self._change_strength)
        for moved in (self.form.changed, self.form.strength_moved, self.form.axes_chosen):
            moved.connect(self.preview.update_choice)
            moved.connect(self._forget_passing)
        for acted in (self.preview.box.changed, self.form.scope.changed, self._viewer.layers.events.inserted):
            acted.connect(self._forget_passing)
        self.layer.changed.connect(self._layers_changed)
        self._viewer.layers.selection.events.changed.connect(self.form.follow_selection)
        self._layers_changed()

    def _say_passing(self, text: str) -> None:
        self._passing = text
        self.message.say(text)

    def _forget_passing(self, *_: object) -> None:
        """Something else is done: what only told of the last action has had its time."""
        if self._passing and self.message.value == self._passing:
            self.message.say("")
        self._passing = ""

    def _press(self) -> None:
        if self.queue.is_busy:
            self.cancel()
        else:
            self.denoise()

    def _notice_settings(self, where_from: str) -> None:
        """Another layer was chosen, or its file was read; what was said of the one before is out of date."""
        self.preview.update_choice()
        if not self.queue.is_busy:
            self.message.say(where_from)
            self._show_state()

    def _say_restored(self, text: str) -> None:
        self.message.say(text)
        self.form.offer()  # the axes have names now

    def _chosen(self) -> Chosen | None:
        """What a preview is of."""
        layer = self.layer.value
        return None if layer is None else Chosen(layer, self.form.source_of(layer), self.form.strength.share)

    def _open_sample(self) -> None:
        self._viewer.open_sample(KEY, SAMPLE)

    def _ask_for_bars(self) -> None:
        open_dock(self._viewer, MAPS_DOCK, tabify=True).offer(self._result_at_hand(), "error")

    def _layers_changed(self, *_: object) -> None:
        self.form.offer()
        self.settings.follow(self.layer.value)
        self.preview.update_choice()
        self._show_state()

    def _follow_active(self, *_: object) -> None:
        super()._follow_active()
        blend = blend_of(self._viewer.layers.selection.active)
        if blend is not None:
            self.form.strength.show_share(blend.strength)
            self.preview.update_choice()

    def _result_at_hand(self) -> Any:
        """The result of the chosen layer that is active, else its newest one; None if there is none."""
        return result_at_hand(self._viewer, self.layer.value)

    def _to_flip(self) -> ToFlip | None:
        """The chosen layer and what lies over it: the preview while there is one, else the result at hand; None if neither."""
        if self.preview.layer is not None:
            return self.layer.value, self.preview.layer
        result = self._result_at_hand()
        return None if result is None else (image_of(self._viewer, result), result)

    def _copyable(self) -> Any:
        """The layer whose making can be copied: the result at hand, or the chosen layer if a record came with it; None if neither."""
        layer = self.layer.value
        return self._result_at_hand() or (layer if layer is not None and self.settings.record_of(layer) is not None else None)

    def _change_strength(self) -> None:
        result = self._result_at_hand()
        if blend_of(result) is None:
            return
        self.quality.notice_change(self.message.value)
        try:
            self.live.change(result, self.form.strength.share)
        except MemoryError:
            self.message.complain(
                "There is not enough memory to change the strength: it takes as much again as the result. Close other programs."
            )

    def _show_progress(self, percent: int, text: str) -> None:
        show_progress(self.bar.native, percent, text)

    def _show_state(self) -> None:
        layer = self.layer.value
        busy, empty = self.queue.is_busy, layer is None
        again = layer is not None and self.settings.record_of(layer) is not None
        self.button.text = CANCEL if busy else AGAIN if again else DENOISE
        self.button.tooltip = f"{AGAIN_TOOLTIP if again else ''}{TOOLTIP}\n{self.before_after.tooltip}"
        self.button.enabled = busy or not empty
        self.form.setEnabled(not busy)
        self.preview.enabled = not busy
        self.bar.visible = busy
        self.sample.visible = empty and not busy
        self.keep.visible = self.queue.percent_to_keep is not None
        self.keep.text = f"Keep the finished {self.queue.percent_to_keep} %"
        self.copying.visible = not busy and self._copyable() is not None
        self.copying.show_state()
        self.restore.offer(None if busy or layer is None else layer, None if layer is None else self.settings.image_told_of(layer))
        self.quality.visible = self.bars.visible = can_be_asked = not busy and self.quality.can_be_asked
        self._asking.setVisible(can_be_asked)
        if empty and not busy:
            self.message.say(NO_IMAGE)
        elif self.message.value == NO_IMAGE:
            self.message.say("")

    def _give_up(self) -> None:
        self.before_after.leave()
        self.preview.stop()
        self.queue.give_up()

    def _disconnect(self) -> None:
        self._device_search.stop()
        self.quality.stop()
        self.before_after.part(self._flipping)
        for part in (self.preview, self.queue, self.live, self.settings):
            part.let_go()
        self._viewer.layers.selection.events.changed.disconnect(self.form.follow_selection)
        self._viewer.layers.events.inserted.disconnect(self._forget_passing)
