"""Changes to the view that are taken back."""

from typing import TYPE_CHECKING, Any

from napari.layers import Image

if TYPE_CHECKING:
    from napari.viewer import Viewer

# blendings by which an image covers what is below it
COVERING = ("opaque", "translucent", "translucent_no_depth")


class KeptView:
    """Sets attributes of layers and of the viewer, and gives each back what it had, unless somebody has changed it since."""

    def __init__(self) -> None:
        self._changes: list[tuple[Any, str, Any, Any]] = []

    def set(self, owner: Any, name: str, value: Any) -> None:
        """Set an attribute."""
        was = getattr(owner, name)
        if was != value:
            setattr(owner, name, value)
            self._changes.append((owner, name, was, getattr(owner, name)))

    def forget(self, owner: Any, name: str) -> None:
        """Leave an attribute as it is."""
        self._changes = [change for change in self._changes if change[:2] != (owner, name)]

    def restore(self) -> None:
        """Take everything back, the latest first."""
        while self._changes:
            owner, name, was, given = self._changes.pop()
            if getattr(owner, name) == given:
                setattr(owner, name, was)


def covering(viewer: "Viewer", layer: Any) -> list[Any]:
    """Visible image layers that lie above a layer and hide it."""
    layers = list(viewer.layers)
    return [other for other in layers[layers.index(layer) + 1 :] if isinstance(other, Image) and other.visible and covers(other)]


def covers(layer: Any) -> bool:
    """Whether an image layer hides what is below it."""
    return layer.blending in COVERING
