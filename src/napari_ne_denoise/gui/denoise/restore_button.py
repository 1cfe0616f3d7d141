"""A button that gives a layer the scale, the units and the axes of its file, which napari's own reader leaves there."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from magicgui.widgets import PushButton

from napari_ne_denoise.core.io import ImageFile
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.layers.layer_files import describe_place, place_told, take_place

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer

RESTORE = "Restore scale, units and axes"


class RestoreButton(PushButton):
    """Shown where the file of a layer tells more of its place than the layer knows.

    Parameters
    ----------
    viewer
        Whose layers they are.
    say, complain
        Show a message, or an error.
    """

    def __init__(self, viewer: "Viewer", say: Callable[[str], None], complain: Callable[[str], None]) -> None:
        self._viewer, self._say, self._complain = viewer, say, complain
        self._layer: Image | None = None
        self._told: dict[str, Any] = {}
        self._record: dict[str, Any] | None = None
        super().__init__(text=RESTORE, visible=False)
        self.changed.connect(self._restore)

    def offer(self, layer: "Image | None", image: ImageFile | None) -> None:
        """Show the button, or hide it.

        Parameters
        ----------
        layer
            The chosen one.
        image
            What its file tells.
        """
        told = None if layer is None or image is None else place_told(image, layer)
        self._layer = None if told is None else layer
        self._told, self._record = told or {}, None if image is None else image.provenance
        if told is not None:
            self.tooltip = f"napari opened only the pixels of the file. It also tells their size:\n{describe_place(told)}"
        self.visible = told is not None

    def _restore(self) -> None:
        layer, told = self._layer, self._told
        if layer is None:
            return
        steps, alone = self._viewer.dims.current_step, len(self._viewer.layers) == 1
        try:
            take_place(layer, told)
        except (AttributeError, ValueError) as error:  # a unit that napari does not know
            self._complain(f"napari cannot show what the file tells ({describe_place(told)}): {error}")
            return
        if self._record is not None and KEY not in layer.metadata:
            layer.metadata = {**layer.metadata, KEY: self._record}
        if alone:  # the same plane is shown, which now lies elsewhere
            self._viewer.dims.current_step = steps
        self._viewer.reset_view()
        self.visible = False
        self._say(f"{layer.name}: {describe_place(told)}, as its file tells.")
