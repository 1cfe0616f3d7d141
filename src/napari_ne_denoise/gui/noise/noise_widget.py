"""The dock that finds the noise of a layer."""

from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from magicgui.widgets import PushButton
from napari.layers import Image
from qtpy.QtWidgets import QFileDialog

from napari_ne_denoise.core.errors import NEDenoiseError
from napari_ne_denoise.core.noise.profile import write_profile
from napari_ne_denoise.core.settings import PROFILE_SUFFIX
from napari_ne_denoise.gui.base.choices import layer_box
from napari_ne_denoise.gui.base.docks import NO_IMAGE, Message, form
from napari_ne_denoise.gui.base.layer_dock import LayerDock
from napari_ne_denoise.gui.base.pace import share_done
from napari_ne_denoise.gui.base.readout import Readout
from napari_ne_denoise.gui.base.remedies import in_window
from napari_ne_denoise.gui.base.saving import as_file_name, with_ending
from napari_ne_denoise.gui.base.workers import Task
from napari_ne_denoise.gui.layers.kinship import image_of, is_result, result_at_hand
from napari_ne_denoise.gui.layers.layer_data import channel_of, read_layer, shown_position
from napari_ne_denoise.gui.layers.records import record_of
from napari_ne_denoise.gui.noise.assessing import assess_result, judged_of, shown_channel
from napari_ne_denoise.gui.noise.noise_finding import HOT, ROWS, Found, describe, find_noise_of, learn_noise_of
from napari_ne_denoise.gui.noise.noise_view import NoiseView

if TYPE_CHECKING:
    import napari
    from napari.layers import Layer
    from napari.viewer import Viewer

    from napari_ne_denoise.core.quality.assessment import QualityProgress

INSTRUCTION = "The noise is found in the image itself."
FOUND = "Found the noise of {}."
LEFT = (
    "{} is denoised already: this is what denoising left, not the noise of the microscope. "
    "Nothing to repair and no profile are offered; open the image it was made from."
)
NOTHING_TO_LEARN = "{} is denoised already, and tells nothing of the noise of the microscope: open the image it was made from."
FIND, LEARN, JUDGE, CANCEL = "Find noise", "Self-calibrate", "How good is this result?", "Cancel"


class NoiseWidget(LayerDock):
    """Find the noise of an image layer in the layer itself: how it grows with brightness, and what else the detector did.

    Parameters
    ----------
    viewer
        napari hands it over.
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        self.current: tuple[str, Found] | None = None
        self._of_result = False  # whether what was found last is of a result
        self._judged_name, self._began = "", 0.0
        layer = layer_box(viewer, "The image whose noise to find; of several channels the one that is shown.")
        self.button = PushButton(text=FIND, tooltip="Look for the noise in at most 4 megapixels of the layer.")
        self.learn = PushButton(
            text=LEARN,
            tooltip="Learn through the default model how the noise depends on brightness, in about ten seconds:\n"
            "for noise that is not that of photons, and that neighbours do not share.\n"
            "The profile then keeps what was learned. At very few photons it is more than the noise.",
        )
        self.judge = PushButton(
            text=JUDGE,
            tooltip="Estimate without the truth, in a few seconds: the noise before and after, the error with its range,\n"
            "and whether more was removed than noise. For layers that Denoise made.",
        )
        self.save = PushButton(
            text="Save as microscope profile…",
            tooltip="Keep it for all images of this microscope at these settings:\n"
            "Advanced ▸ Noise ▸ microscope profile…, in the Denoise dock, takes it.",
            enabled=False,
        )
        self._works = {self.button: (FIND, self.find), self.learn: (LEARN, self.calibrate), self.judge: (JUDGE, self.assess)}
        self._pressed = self.button  # that began what is at work
        self.message = Message(INSTRUCTION)
        self.view, self.readout = NoiseView(), Readout(ROWS)
        super().__init__(viewer, layer, [self.button, self.message], results_too=True)
        self.column.insertWidget(0, form(self.layer))
        for part in (self.judge.native, self.view, self.readout, self.learn.native, self.save.native):
            self.column.addWidget(part)
        self.column.addStretch(1)
        self._listen()

    def find(self) -> None:
        """Start looking for the noise of the chosen layer."""
        self._begin(find_noise_of)

    def calibrate(self) -> None:
        """Start learning the noise of the chosen layer."""
        if _is_denoised(self.layer.value):
            self.message.complain(NOTHING_TO_LEARN.format(self.layer.value.name))
        else:
            self._begin(learn_noise_of)

    def assess(self) -> None:
        """Start telling how good a result is: the chosen layer, or what was made from it."""
        layer = self._to_judge()
        judged = judged_of(self._viewer, layer)
        if judged is None:
            self.message.complain(
                f"{layer.name} is not finished, or the image that it was made from is not open; open that, or denoise again."
            )
            return
        channel = shown_channel(self._viewer, layer, judged.source)
        title, self._judged_name = f"judging {layer.name}", layer.name
        self._start(Task(title, assess_result, judged, channel, found=self._show_quality, failed=self._fail), layer.name)

    def cancel(self) -> None:
        """Stop at once; what was found stays."""
        if self._task is not None:
            self._task.stop()
            self._task = None
        self.message.say("Cancelled.")
        self._show_state()

    def _begin(self, work: Callable[..., Iterator[Found]]) -> None:
        layer = self.layer.value
        of_result = _is_denoised(layer)
        source = read_layer(layer)
        channel = channel_of(source, shown_position(self._viewer, layer))
        name = source.name if channel is None else f"{source.name}, channel {channel}"
        title = f"finding the noise of {name}"
        task = Task(title, work, source, channel, found=lambda found: self._show(name, found, of_result), failed=self._fail)
        self._start(task, source.name)

    def _start(self, task: Task, name: str) -> None:
        self._task, self._began = task, perf_counter()
        self.message.say(f"Looking at {name}…")
        self._show_state()
        task.start()

    def keep(self, path: Path) -> None:
        """Write what was found as a microscope profile."""
        assert self.current is not None
        name, found = self.current
        try:
            path = with_ending(path, PROFILE_SUFFIX)
            write_profile(path, name, found.learned or found.noise)
        except NEDenoiseError as error:
            self.message.complain(in_window(error))
        else:
            self.message.say(f"Saved {path.name}.")

    def _listen(self) -> None:
        for button in self._works:
            button.changed.connect(lambda _, button=button: self._press(button))
        self.layer.changed.connect(self._layers_changed)
        self.save.changed.connect(self._ask_where)
        self._show_state()
        self.readout.show_values(dict.fromkeys(ROWS, ""))

    def _follow_active(self, *_: object) -> None:
        """To the image of a result, where that is open: the result tells nothing of the noise."""
        image = _image_behind(self._viewer, self._viewer.layers.selection.active)
        if image is None:
            super()._follow_active()
        else:
            self.layer.value = image
        self._show_state()

    def _to_judge(self) -> Any:
        layer = self.layer.value
        return layer if layer is not None and is_result(layer) else result_at_hand(self._viewer, layer)

    def _layers_changed(self) -> None:
        self._show_state()

    def _press(self, button: PushButton) -> None:
        """Begin the work of a button; pressed again it stops that, and the others wait meanwhile."""
        if self._task is None:
            self._pressed = button
            self._works[button][1]()
        else:
            self.cancel()

    def _show(self, name: str, found: Found, of_result: bool) -> None:
        self.current, self._of_result = (name, found), of_result
        self.view.show_noise(found.noise, found.learned)
        self.readout.show_values(describe(found) | ({HOT: ""} if self._of_result else {}))
        if found.share is not None and not found.finished:
            self._tell(f"Self-calibrating {name}", found.share)
        else:
            self._task = None
            self.message.say((LEFT if self._of_result else FOUND).format(name))
        self._show_state()

    def _show_quality(self, progress: "QualityProgress") -> None:
        if progress.quality is None:
            self._tell(f"Judging {self._judged_name}", progress.done / progress.total)
            return
        self._task = None
        self.message.say(f"{self._judged_name}: {progress.quality.describe()}.")
        self._show_state()

    def _tell(self, what: str, share: float) -> None:
        done = round(100 * share)
        self.message.say(f"{what}: {share_done(done, 100, perf_counter() - self._began)}" if done else f"{what}…")

    def _fail(self, reason: str) -> None:
        self._task = None
        self.message.complain(reason)
        self._show_state()

    def _ask_where(self) -> None:
        assert self.current is not None
        suggested = f"{as_file_name(self.current[0])} noise{PROFILE_SUFFIX}"
        kinds = f"Microscope profile (*{PROFILE_SUFFIX})"
        path, _ = QFileDialog.getSaveFileName(self.native, "Save as microscope profile", suggested, kinds)
        if path:
            self.keep(Path(path))

    def _show_state(self) -> None:
        busy, empty = self._task is not None, self.layer.value is None
        for button, (text, _) in self._works.items():
            is_at_work = busy and button is self._pressed
            button.text = CANCEL if is_at_work else text
            button.enabled = is_at_work or not (busy or empty)
        self.judge.native.setVisible(self.judge.text == CANCEL or self._to_judge() is not None)
        self.save.enabled = not busy and not self._of_result and self.current is not None and self.current[1].noise.is_measured
        if empty and not busy:
            self.message.say(NO_IMAGE)
        elif self.message.value == NO_IMAGE:
            self.message.say(INSTRUCTION)


def _is_denoised(layer: "Image") -> bool:
    """Whether a layer was denoised, here or, as its file tells, in an earlier session."""
    return is_result(layer) or record_of(layer) is not None


def _image_behind(viewer: "Viewer", layer: "Layer | None") -> "Image | None":
    """The open image that a layer was made from; None if it is no result, or its image is not open."""
    if not isinstance(layer, Image):
        return None
    record = record_of(layer)
    return image_of(viewer, layer, record) if record is not None or is_result(layer) else None
