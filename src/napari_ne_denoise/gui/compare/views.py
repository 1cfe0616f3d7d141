"""The ways of looking at two layers, and what their buttons say."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from napari_ne_denoise.gui.compare.comparing import Pair
from napari_ne_denoise.gui.compare.curtain import Curtain
from napari_ne_denoise.gui.compare.flip import FLIP_KEY, Flipped
from napari_ne_denoise.gui.compare.side_by_side import SideBySide

if TYPE_CHECKING:
    from napari.viewer import Viewer

FLIP, SIDES, CURTAIN = f"Flip ({FLIP_KEY})", "Side by side", "Curtain"
# the tooltip of each button
VIEWS = {
    FLIP: f"Before and after in turn, in the same place. Key {FLIP_KEY} on the image does the same:\n"
    "a tap flips, the next one flips back; a longer press flips while it lasts.",
    SIDES: "Both beside each other, before on the left; they move and zoom together.",
    CURTAIN: "Before left of a line, after right of it: drag the line on the image.",
}
_HINTS = {SIDES: "Before on the left, after on the right.", CURTAIN: "Drag the line on the image."}


class View(Protocol):
    """A way of looking at two layers, until it is left."""

    def leave(self) -> None:
        """Show what was shown before."""
        ...

    def is_alive(self, viewer: "Viewer") -> bool:
        """Whether its layers are still there, and shown as it wants them."""
        ...


def open_view(name: str, viewer: "Viewer", pair: Pair, share: float, moved: Callable[[float], None]) -> View:
    """Begin to look at a pair in one of the ways.

    Parameters
    ----------
    name
        One of `VIEWS` but `FLIP`, which `BeforeAfter` begins.
    viewer, pair
        Where, and at what.
    share, moved
        Of `Curtain`: the share of the width left of the line, and what to call when that was dragged.
    """
    return SideBySide(viewer, pair) if name == SIDES else Curtain(viewer, pair, share, moved)


def hint_of(view: View) -> str:
    """What to say while it lasts."""
    return f"Shown: {view.shown.name}" if isinstance(view, Flipped) else _HINTS[name_of(view)]


def name_of(view: View | None) -> str:
    """Which of `VIEWS` it is; "" for None."""
    names: dict[type[Any], str] = {Flipped: FLIP, SideBySide: SIDES, Curtain: CURTAIN}
    return names.get(type(view), "")
