"""Things on the canvas that can be dragged; everywhere else a drag moves the view as ever."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari.viewer import Viewer

REACH = 8  # screen pixels from a thing at which it can be grabbed
STYLE = "pointing"  # of the mouse there

World = tuple[float, ...]
Move = Callable[[World], None]


class Drags:
    """Lets something be dragged while it exists.

    Parameters
    ----------
    viewer
        On whose canvas.
    grab
        Given a mouse event: what to call with each place in the world that the mouse then goes to; None if there is nothing to grab.
    """

    def __init__(self, viewer: "Viewer", grab: Callable[[Any], Move | None]) -> None:
        self._viewer, self._grab = viewer, grab
        viewer.mouse_drag_callbacks.append(self._on_press)
        viewer.mouse_move_callbacks.append(self._on_move)

    def stop(self) -> None:
        """Let nothing be dragged any more."""
        self._viewer.mouse_drag_callbacks.remove(self._on_press)
        self._viewer.mouse_move_callbacks.remove(self._on_move)
        self._point(False)

    def _on_press(self, viewer: object, event: Any) -> Iterator[None]:
        move = self._graspable(event) if event.button == 1 else None
        if move is None:
            return
        event.handled = True  # else the view would move too
        yield
        while event.type == "mouse_move":
            event.handled = True
            move(event.position)
            yield
            if event.type != "mouse_move":
                move(event.position)  # moves that follow each other fast are left out, the last one perhaps too

    def _on_move(self, viewer: object, event: Any) -> None:
        self._point(self._graspable(event) is not None)

    def _graspable(self, event: Any) -> Move | None:
        active = self._viewer.layers.selection.active
        at_rest = active is None or active.mode == "pan_zoom"  # else the mouse draws, or moves a layer
        if event.handled or not at_rest or self._viewer.dims.ndisplay != 2:
            return None
        return self._grab(event)

    def _point(self, pointing: bool) -> None:
        cursor = self._viewer.cursor
        if pointing or cursor.style == STYLE:
            cursor.style = STYLE if pointing else "standard"


def pixels_apart(viewer: "Viewer", one: Any, other: Any) -> float:
    """Distance in screen pixels between two places in the world."""
    shown = list(viewer.dims.displayed)
    step = np.asarray(one, float)[shown] - np.asarray(other, float)[shown]
    return float(np.linalg.norm(step) * viewer.scene.camera.zoom)
