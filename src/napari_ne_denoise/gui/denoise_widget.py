"""The dock that denoises a layer."""

from time import perf_counter
from typing import TYPE_CHECKING

from magicgui.widgets import ProgressBar, PushButton

from napari_ne_denoise.gui.choices import (
    device_box,
    explain_models,
    find_devices,
    layer_box,
    model_box,
    offer_devices,
    offer_models,
)
from napari_ne_denoise.gui.denoising import Advanced, Begun, Finished, Pace, denoise_source, duration, megapixels
from napari_ne_denoise.gui.docks import NO_IMAGE, Message, form
from napari_ne_denoise.gui.layer_data import Source, read_layer, shown_position
from napari_ne_denoise.gui.layer_dock import LayerDock
from napari_ne_denoise.gui.result_layer import ResultLayer
from napari_ne_denoise.gui.workers import Task

if TYPE_CHECKING:
    import napari

DENOISE, CANCEL = "Denoise", "Cancel"


class DenoiseWidget(LayerDock):
    """Denoise an image layer into a new layer, in the image's own units.

    Parameters
    ----------
    viewer
        napari hands it over.
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        self._result: ResultLayer | None = None
        self._pace = Pace(0, 0.0)
        layer = layer_box(viewer, "The image to denoise. It stays as it is: the result is a new layer, in the same units.")
        self.model, self.device = model_box(), device_box()
        self.button = PushButton(
            text=DENOISE, tooltip="Denoise the layer, what you see of it first.\nCancel removes the unfinished result."
        )
        self.bar = ProgressBar(min=0, max=100, tooltip="Share done, megapixels a second, time left", visible=False)
        self.message = Message()
        super().__init__(viewer, layer, [self.button, self.bar, self.message], results_too=False)
        self._form = form(self.layer, self.model, self.device)
        self.native.layout().insertWidget(0, self._form)
        self._listen()
        self._device_search = Task(
            "finding devices", find_devices, found=lambda reports: offer_devices(self.device, reports), failed=self.message.complain
        )
        self._device_search.start()

    def denoise(self) -> None:
        """Start denoising the chosen layer."""
        layer = self.layer.value
        source = read_layer(layer, self.model.value)
        work = (denoise_source, source, self.device.value, shown_position(self._viewer, layer))
        self._task = Task(f"denoising {source.name}", *work, found=lambda finding: self._show(finding, source), failed=self._fail)
        self.message.say("Preparing…")
        # not Qt's own sign of being busy: drawing it takes a processor core from the network
        self._show_share(0, "")
        self._show_state()
        self._task.start()

    def cancel(self) -> None:
        """Stop at once; the unfinished result goes."""
        self._stop("Cancelled. The unfinished result was removed.")

    def _listen(self) -> None:
        self.button.changed.connect(self._press)
        self.model.changed.connect(lambda: explain_models(self.model))
        self._viewer.layers.events.removed.connect(self._notice_removal)
        self._show_state()

    def _layers_changed(self) -> None:
        offer_models(self.model)
        self._show_state()

    def _press(self) -> None:
        if self._task is None:
            self.denoise()
        else:
            self.cancel()

    def _notice_removal(self, *_: object) -> None:
        if self._result is not None and self._result.was_removed:
            self._stop("Stopped, because its result layer was removed.")

    def _show(self, finding: Begun | Advanced | Finished, source: Source) -> None:
        if isinstance(finding, Begun):
            self._result = ResultLayer(self._viewer, source, finding.result)
            self._pace = Pace(finding.total, perf_counter())
            self._show_share(0, "first tile…")
            self.message.say(f"Denoising {source.name}…")
        elif isinstance(finding, Advanced):
            self._show_progress(finding.done)
        else:
            self._finish(finding)

    def _show_progress(self, done: int) -> None:
        assert self._result is not None
        self._result.show_progress()
        self._show_share(100 * done // self._pace.total, self._pace.describe(done, perf_counter()))

    def _show_share(self, percent: int, text: str) -> None:
        self.bar.native.setValue(percent)
        self.bar.native.setFormat(text)

    def _finish(self, finding: Finished) -> None:
        assert self._result is not None
        self._result.finish(finding.record)
        self._result = self._task = None
        kept = f" {finding.kept} pixels that are NaN or infinite were kept." if finding.kept else ""
        self.message.say(f"{megapixels(self._pace.total)} in {duration(finding.seconds)} on {finding.device}.{kept}")
        self._show_state()

    def _fail(self, reason: str) -> None:
        self._stop("")
        self.message.complain(reason)

    def _stop(self, reason: str) -> None:
        task, result = self._task, self._result
        self._task = self._result = None
        if task is not None:
            task.stop()
        if result is not None:
            result.discard()
        self.message.say(reason)
        self._show_state()

    def _show_state(self) -> None:
        busy, empty = self._task is not None, self.layer.value is None
        self.button.text = CANCEL if busy else DENOISE
        self.button.enabled = busy or not empty
        self._form.setEnabled(not busy)
        self.bar.visible = busy
        if empty and not busy:
            self.message.say(NO_IMAGE)
        elif self.message.value == NO_IMAGE:
            self.message.say("")

    def _give_up(self) -> None:
        self._stop("")

    def _disconnect(self) -> None:
        self._device_search.stop()
        self._viewer.layers.events.removed.disconnect(self._notice_removal)
