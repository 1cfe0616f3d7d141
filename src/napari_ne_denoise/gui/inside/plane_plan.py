"""Which plane of which noisy image is meant, where a layer shows one."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_ne_denoise.core.axes import PlaneLayout
from napari_ne_denoise.core.errors import ImageError
from napari_ne_denoise.core.settings import DEFAULTS
from napari_ne_denoise.core.tiling import Window
from napari_ne_denoise.gui.inside.filtering import GREEN, any_source_of, noisy_source_of, seen_by_network, strength_of
from napari_ne_denoise.gui.inside.mapping import axes_without_colours, layout_of
from napari_ne_denoise.gui.layers.kinship import is_result
from napari_ne_denoise.gui.layers.layer_data import Source, shown_position
from napari_ne_denoise.gui.layers.view import shows_planes, visible_window

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer


@dataclass(frozen=True, eq=False)
class PlanePlan:
    """A plane of the noisy image behind a layer; everything in it stays as it was when it was made.

    Attributes
    ----------
    layer
        A result, or the noisy image itself.
    source
        The noisy image.
    position
        Of a pixel of the plane in its array, colours left out.
    strength
        Of the result.
    """

    layer: Any
    source: Source
    position: tuple[int, ...]
    strength: float

    @property
    def layout(self) -> PlaneLayout:
        """Of the array without colours."""
        return layout_of(self.source)

    @property
    def settings(self) -> dict[str, Any]:
        """Model, axes and position, as core takes them."""
        return {"model": self.source.model, "axes": axes_without_colours(self.source), "position": self.position}

    @property
    def model(self) -> str:
        """Name of the model."""
        return str(self.source.model or DEFAULTS.model)

    def image(self) -> Any:
        """The array that the network sees, of colours the green one; in a thread."""
        image = seen_by_network(self.source)
        return image[(*[slice(None)] * (len(image.shape) - 1), GREEN)] if self.source.rgb else image

    def in_layer(self, row: float, column: float) -> tuple[float, ...]:
        """A place of the plane in the layer's array."""
        origin = self.source.origin if is_result(self.layer) else (0,) * len(self.position)
        places = {self.layout.rows: row, self.layout.columns: column}
        return tuple(places.get(axis, at - first) for axis, (at, first) in enumerate(zip(self.position, origin, strict=False)))


def plan_plane(viewer: "Viewer", layer: "Image", treated_too: bool = False) -> PlanePlan:
    """The plane of a layer that the viewer shows.

    Parameters
    ----------
    viewer, layer
        Any image layer.
    treated_too
        Whether a result will do whose noise was treated before the network: then its filters are none of the image itself.

    Raises
    ------
    ImageError
        If the layer's noisy image is not there, or its pixels have no filters.
    """
    source = (any_source_of if treated_too else noisy_source_of)(viewer, layer)
    shown = shown_position(viewer, layer)[: layer.ndim]
    origin = source.origin if is_result(layer) else (0,) * layer.ndim
    position = tuple(place + first for place, first in zip(shown, origin, strict=False))
    return PlanePlan(layer, source, position, strength_of(layer) if is_result(layer) else DEFAULTS.strength)


def seen_window(viewer: "Viewer", plan: PlanePlan) -> Window:
    """Rows and columns of a plane that the viewer shows.

    Raises
    ------
    ImageError
        If it shows none of them.
    """
    if not shows_planes(viewer, plan.layer, plan.layout):
        raise ImageError("This needs the 2D view of the rows and columns that are denoised.")
    return visible_window(viewer, plan.layer, plan.layout)
