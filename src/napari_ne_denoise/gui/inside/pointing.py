"""What the mouse says over the canvas: where it passes, where it clicks, where it drags what was pinned."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from napari_ne_denoise.gui.base.dragging import Drags, Move

if TYPE_CHECKING:
    from napari.viewer import Viewer

# a hand trembles: a press and a release this close, in screen pixels, are a click
LARGEST_TREMOR = 4

World = tuple[float, ...]


class Pointing:
    """Listens to the mouse until it is stopped.

    Parameters
    ----------
    viewer
        On whose canvas.
    is_listening
        Whether clicks and moves count just now.
    passed, clicked
        Called with places in the world.
    holds
        Whether there is something at a place in the world that a drag takes with it, as `passed` is told then; elsewhere it moves the view.
    """

    def __init__(
        self,
        viewer: "Viewer",
        is_listening: Callable[[], bool],
        passed: Callable[[World, bool], None],
        clicked: Callable[[World], None],
        holds: Callable[[World], bool],
    ) -> None:
        self._viewer, self._is_listening, self._passed, self._clicked, self._holds = viewer, is_listening, passed, clicked, holds
        self._drags = Drags(viewer, self._grab)
        viewer.mouse_drag_callbacks.append(self._on_press)
        viewer.mouse_move_callbacks.append(self._on_move)

    def stop(self) -> None:
        """Hear nothing more."""
        self._drags.stop()
        self._viewer.mouse_move_callbacks.remove(self._on_move)
        self._viewer.mouse_drag_callbacks.remove(self._on_press)

    def _on_move(self, viewer: object, event: Any) -> None:
        if self._viewer.dims.ndisplay == 2 and self._is_listening():
            self._passed(event.position, False)

    def _on_press(self, viewer: object, event: Any) -> Iterator[None]:
        if event.button != 1 or event.modifiers or not self._is_listening():
            return
        pressed = event.pos
        yield
        while event.type == "mouse_move":
            yield
        if max(abs(now - then) for now, then in zip(event.pos, pressed, strict=True)) <= LARGEST_TREMOR:
            self._clicked(event.position)

    def _grab(self, event: Any) -> Move | None:
        if event.modifiers or not self._is_listening() or not self._holds(event.position):
            return None
        return lambda world: self._passed(world, True)
