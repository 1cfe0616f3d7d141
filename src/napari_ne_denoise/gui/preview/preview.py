"""Live preview: what the viewer shows of a layer, denoised while the user looks around."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, Container
from qtpy.QtCore import QTimer

from napari_ne_denoise.core.axes import plan_planes
from napari_ne_denoise.core.errors import NEDenoiseError
from napari_ne_denoise.gui.base.docks import Message
from napari_ne_denoise.gui.base.long_task import LongTask
from napari_ne_denoise.gui.base.remedies import in_window
from napari_ne_denoise.gui.layers.layer_data import Source
from napari_ne_denoise.gui.preview.preview_layer import PLACE, PreviewLayer
from napari_ne_denoise.gui.preview.preview_painting import Desk, NotPainted, Painted, Subject, Wish, paint_previews
from napari_ne_denoise.gui.preview.preview_view import IN_3D, seen_part

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer

# milliseconds that the view must rest before it is denoised: shorter than it takes to see, longer than between two steps of a drag
REST = 60
# until the window has surely been drawn again: napari 0.9.2 can crash where a layer is removed that was not drawn since another one was
UNTIL_DRAWN = 250

TOOLTIP = "Show what you see of the layer denoised, while you move, zoom and change settings.\nIt is what Denoise will give there."
PREPARING = "Preparing the preview…"
ONLY_MIDDLE = "Preview of the middle of the view: zoom in to see all of it."


@dataclass(frozen=True, eq=False)
class Chosen:
    """What the dock is set to.

    Attributes
    ----------
    layer, source
        The image.
    strength
        0 to 1.
    """

    layer: "Image"
    source: Source
    strength: float = 1.0


class Preview(Container):
    """A check box, a line of text, and what they do: a preview layer over the chosen layer as long as the box is checked.

    Parameters
    ----------
    viewer
        Where.
    choose
        Gives what the dock is set to; None while there is no image.
    """

    def __init__(self, viewer: "Viewer", choose: Callable[[], Chosen | None]) -> None:
        self.box = CheckBox(text="Preview", value=False, tooltip=TOOLTIP)
        self.note = Message()
        super().__init__(widgets=[self.box, self.note], labels=False)
        self.native.layout().setContentsMargins(0, 0, 0, 0)
        self._viewer, self._choose = viewer, choose
        self._desk = Desk()
        self._task: LongTask | None = None  # as long as it is switched on
        self._has_thread = False
        self._chosen: Chosen | None = None
        self._subject: Subject | None = None
        self._layer: PreviewLayer | None = None
        self._wish: Wish | None = None
        self._is_done = False
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(REST)
        self._timer.timeout.connect(self._ask)
        self.box.changed.connect(self._switch)
        self._say("")

    @property
    def layer(self) -> Any:
        """The layer that shows the preview; None if there is none."""
        return None if self._layer is None else self._layer.layer

    @property
    def is_complete(self) -> bool:
        """Whether all that is seen is shown denoised."""
        return self.layer is not None and not self._timer.isActive() and self._is_done

    def update_choice(self, *_: object) -> None:
        """The dock is set to something else, perhaps: another layer, model, strength or setting."""
        if self._task is None:
            return
        before, chosen = self._chosen, self._choose()
        if chosen is None or before is None or chosen.layer is not before.layer:
            self._hide(at_once=False)
            self._unfollow()
            self._subject = None
            if chosen is not None:
                self._follow_layer(chosen.layer)
        self._chosen = chosen
        if chosen is None:
            self._say("")
            return
        try:
            subject = _subject(chosen)
        except NEDenoiseError as error:
            self._subject = None
            self._fail(in_window(error))
            return
        if subject.is_like(self._subject):
            self._ask()  # a strength needs no rest: nothing is computed for it
        else:
            self._subject = subject
            self._look()

    def stop(self) -> None:
        """Uncheck the box: the preview goes."""
        self.box.value = False

    def let_go(self) -> None:
        """End the thread and leave everything outside, because the dock goes; the layer stays where its window goes too."""
        if self._task is not None:
            self._end()

    def _switch(self, on: bool) -> None:
        if on == (self._task is not None):
            return
        if on:
            self._begin()
        else:
            self._hide()
            self._end()
            self._say("")

    def _begin(self) -> None:
        self._start_thread()
        for group in self._sources_of_events():
            group.connect(self._look)
        self._viewer.layers.events.removed.connect(self._notice_removal)
        self._say(PREPARING)
        self.update_choice()

    def _start_thread(self) -> None:
        self._desk = Desk()
        self._task = LongTask("denoising a preview", paint_previews, self._desk, found=self._show, failed=self._fail_for_good)
        self._task.start()
        self._has_thread = True

    def _end(self) -> None:
        self._timer.stop()
        for group in self._sources_of_events():
            group.disconnect(self._look)
        self._viewer.layers.events.removed.disconnect(self._notice_removal)
        assert self._task is not None
        self._task.stop()
        self._desk.close()
        self._unfollow()
        self._task = self._chosen = self._subject = self._layer = self._wish = None

    def _sources_of_events(self) -> Iterator[Any]:
        """Whatever changes what is seen."""
        viewer = self._viewer
        yield from (viewer.scene.camera.events, viewer.dims.events, viewer.canvas.events.size, viewer.canvas.grid.events)
        yield from (viewer.layers.events.inserted, viewer.layers.events.removed)

    def _follow_layer(self, layer: "Image") -> None:
        layer.events.data.connect(self.update_choice)
        for name in PLACE:
            getattr(layer.events, name).connect(self._look)

    def _unfollow(self) -> None:
        if self._chosen is not None:
            layer = self._chosen.layer
            layer.events.data.disconnect(self.update_choice)
            for name in PLACE:
                getattr(layer.events, name).disconnect(self._look)
        if self._layer is not None:
            self._layer.let_go()

    def _look(self, *_: object) -> None:
        """The view may have changed; what counts is what it is when it rests."""
        if self._viewer.dims.ndisplay == 3 and self._layer is not None:
            # before anything is drawn: a layer that goes later, when it was drawn in 3D, can crash a software OpenGL
            self._pause(IN_3D)
        self._timer.start()

    def _ask(self) -> None:
        if self._chosen is None or self._subject is None:
            return
        try:
            seen = seen_part(self._viewer, self._chosen.layer, self._subject.layout)
        except NEDenoiseError as error:
            self._pause(in_window(error))
            return
        if seen is None:
            self._pause(f"Preview pauses: {self._chosen.layer.name} is out of view.")
            return
        wish = Wish(self._subject, seen, self._chosen.strength)
        if not wish.is_like(self._wish):
            self._wish, self._is_done = wish, False
            if not self._has_thread:
                self._start_thread()
            self._desk.ask(wish)

    def _pause(self, reason: str) -> None:
        """Show nothing for now."""
        self._hide()
        self._say(reason)

    def _show(self, finding: Painted | NotPainted) -> None:
        wish = self._wish
        # one of another strength is shown, so that something happens while a slider is moved
        if wish is None or not finding.wish.looks_at_what(wish):
            return
        if isinstance(finding, NotPainted):
            self._fail(finding.reason)
            return
        if self._layer is None:
            assert self._chosen is not None
            self._layer = PreviewLayer(self._viewer, self._chosen.layer)
        self._layer.show(finding)
        self._is_done = finding.is_done and finding.wish is wish
        self._say("" if wish.seen.is_all else ONLY_MIDDLE)

    def _fail(self, reason: str) -> None:
        self._hide()
        self._say(reason)
        self.note.complain(reason)

    def _fail_for_good(self, reason: str) -> None:
        """Nobody foresaw it, or memory ran out, and the thread has ended: another one begins where one looks next."""
        self._has_thread = False
        self._fail(reason)

    def _notice_removal(self, *_: object) -> None:
        if self._chosen is not None and self._chosen.layer not in self._viewer.layers:
            self._hide(at_once=False)
            self._unfollow()
            self._chosen = self._subject = None  # until the dock has chosen another one
        elif self._layer is not None and self._layer.was_removed:
            self.stop()

    def _hide(self, at_once: bool = True) -> None:
        """Take the layer away; or only hide it for now, while another layer is being removed."""
        self._desk.drop()
        layer, self._layer, self._wish, self._is_done = self._layer, None, None, False
        if layer is None:
            return
        if at_once:
            layer.remove()
        else:
            layer.hide()
            QTimer.singleShot(UNTIL_DRAWN, lambda: layer.remove())  # a function: of a method PyQt would not keep the object

    def _say(self, text: str) -> None:
        self.note.say(text)
        self.note.visible = bool(text)


def _subject(chosen: Chosen) -> Subject:
    source = chosen.source
    layout = plan_planes(tuple(source.data.shape), source.axes, source.channel_axis)
    return Subject(source, layout, dict(source.settings))
