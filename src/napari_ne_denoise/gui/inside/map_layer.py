"""Maps as layers: filled tile by tile, each in its place, with its unit, its colours and a colour bar."""

from collections.abc import Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer

from napari_ne_denoise.core.jacobian.kinds import MAPS
from napari_ne_denoise.core.jacobian.map_records import map_record
from napari_ne_denoise.core.noise.model import NoiseModel
from napari_ne_denoise.gui.base.redrawing import pause_after
from napari_ne_denoise.gui.inside.mapping import MapPlan, MapTile
from napari_ne_denoise.gui.layers.layer_data import HELPER_KEY, MAP_KEY, finest
from napari_ne_denoise.gui.layers.layer_files import PIXEL
from napari_ne_denoise.gui.layers.places import place_at
from napari_ne_denoise.gui.layers.readings import readings_of

if TYPE_CHECKING:
    from napari.layers import Image, Layer
    from napari.viewer import Viewer

# perceptual ones; a direction has no end
COLOURS = {
    "pixels_averaged": "magma",
    "residual_noise": "inferno",
    "error": "inferno",
    "self_weight": "plasma",
    "elongation": "plasma",
    "orientation": "twilight",
}
COLOUR_OF_LENGTHS = "viridis"
LENGTHS = ("displacement", "resolution", "width")
CYCLIC = {"orientation": (0.0, 180.0)}
# of maps in which few pixels have many times what most have
GAMMAS = {"pixels_averaged": 0.5}
SHARES = (1, 99)  # per cent of the pixels, between which colours go
TOLD = (5, 50, 95)  # per cent of the pixels, that the dock tells of
MOST_LOOKED_AT = 2**20  # pixels, for such shares
SIZE_OF_BAR = (16, 150)  # pixels
EQUAL = 1e-3  # relative difference of two pixel sizes that are called equal


def is_map(layer: "Layer") -> bool:
    """Whether a layer is a map."""
    return MAP_KEY in layer.metadata


def maps_in(viewer: "Viewer") -> "list[Image]":
    """The maps there are, the uppermost first."""
    return [layer for layer in reversed(viewer.layers) if is_map(layer)]


def words(name: str) -> str:
    """Name of a map, as people write it."""
    return name.replace("_", " ")


def length_unit(layer: "Image", rows: int, columns: int) -> tuple[float, str]:
    """How long a pixel of a layer is, and in what: 1 px where its sides differ, or have no unit."""
    (down, across), units = (abs(float(layer.scale[axis])) for axis in (rows, columns)), [layer.units[axis] for axis in (rows, columns)]
    # an affine transformation, or a shear, may stretch it
    plain = np.allclose(layer.affine.linear_matrix, np.eye(layer.ndim)) and np.allclose(layer.shear, 0)
    if not plain or units[0] != units[1] or str(units[0]) == PIXEL or abs(down - across) > EQUAL * across:
        return 1.0, "px"
    return across, f"{units[0]:~P}"


def pixel_of(layer: "Image | None") -> tuple[float, str]:
    """The same of a layer whose rows and columns are what they are likeliest to be; 1 px of none."""
    return (1.0, "px") if layer is None else length_unit(layer, *rows_and_columns(layer))


def rows_and_columns(layer: "Image") -> tuple[int, int]:
    """Numbers of the axes along which a layer was denoised."""
    letters = (readings_of(layer, finest(layer).shape)[0].axes or "").upper()
    return (letters.index("Y"), letters.index("X")) if {"Y", "X"} <= set(letters) else (layer.ndim - 2, layer.ndim - 1)


def unit_of(name: str, length: str) -> str:
    """What the values of a map are in, for its name; empty for plain numbers and for those in the unit of the image."""
    return length if name in LENGTHS else {"degrees": "°"}.get(MAPS[name].unit, "")


def unit_to_tell(record: Mapping[str, Any]) -> str:
    """The unit of a map's values, from its record, where it is one that a number needs."""
    unit = str(record.get("unit", ""))
    if record.get("map") == "pixels_averaged":
        return ""
    return "image units" if unit == "image" else unit


def show_only(viewer: "Viewer", layer: "Image") -> None:
    """Show one map, and hide the others of the same layer, which would be below or above it."""
    for other in maps_in(viewer):
        if other.metadata[MAP_KEY]["of_layer"] == layer.metadata[MAP_KEY]["of_layer"]:
            other.visible = other == layer


def share_without(layer: "Image") -> float:
    """Share of the pixels of a finished map that have no value."""
    values = np.asarray(layer.data).reshape(-1)[:: max(1, layer.data.size // MOST_LOOKED_AT)]
    return float(np.mean(~np.isfinite(values))) if values.size else 0.0


def shares_of(layer: "Image") -> tuple[float, ...] | None:
    """The values below which 5, 50 and 95 % of a map's pixels are; None if it has none yet."""
    values = _finite(layer.data)
    return tuple(float(at) for at in np.percentile(values, TOLD)) if values.size else None


class MapLayers:
    """The layers of one run, which a thread computes; everything here runs on the main thread.

    Parameters
    ----------
    viewer
        Where they appear.
    plan
        What is computed.
    """

    def __init__(self, viewer: "Viewer", plan: MapPlan) -> None:
        self._viewer, self._plan = viewer, plan
        self._length, self._length_unit = length_unit(plan.layer, plan.layout.rows, plan.layout.columns)
        self._values = {name: np.full(plan.shape, np.nan, np.float32) for name in plan.names}
        self._limits: dict[str, tuple[float, float]] = {}
        self._noises: list[NoiseModel] = []
        self._stabilised = False
        self.layers: dict[str, Any] = {}
        self._pause = pause_after(0)
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._redraw)

    @property
    def were_removed(self) -> bool:
        """Whether the user has taken all of them away."""
        return bool(self.layers) and not any(layer in self._viewer.layers for layer in self.layers.values())

    def take(self, tile: MapTile) -> None:
        """Show a tile, now or soon."""
        for name, values in tile.values.items():
            self._values[name][tile.index] = values * np.float32(self._length if name in LENGTHS else 1)
        self._stabilised = self._stabilised or tile.stabilised
        if tile.noise is not None and tile.noise not in self._noises:
            self._noises.append(tile.noise)
        if not self.layers:
            self._add()
        elif not self._timer.isActive():
            self._timer.start(int(1000 * self._pause))

    def finish(self, share: int = 100) -> None:
        """Show everything, and note how it was made; less than 100 per cent of it if it was cancelled."""
        self._timer.stop()
        self._redraw()
        for name, layer in self._there():
            record = self._record(name) | ({"finished_share": share / 100} if share < 100 else {})
            layer.metadata = {**layer.metadata, MAP_KEY: record}
            if share < 100:
                layer.name += f" ({share} % done)"

    def discard(self) -> None:
        """Take the layers away."""
        self._timer.stop()
        for _, layer in self._there():
            self._viewer.layers.remove(layer)

    def stop(self) -> None:
        """Redraw no more; the window may be gone."""
        self._timer.stop()

    def _there(self) -> list[tuple[str, Any]]:
        return [(name, layer) for name, layer in self.layers.items() if layer in self._viewer.layers]

    def _add(self) -> None:
        layers, base, active = self._viewer.layers, self._plan.layer, self._viewer.layers.selection.active
        place = {**place_at(base, self._plan.place), "blending": "translucent_no_depth", "rgb": False}
        for name in reversed(self._plan.names):  # the first one comes to lie on top
            record = self._record(name)
            self._replace(record)
            limits = self._limits[name] = self._limits_of(name)
            notes = {MAP_KEY: record, HELPER_KEY: True}
            look = {
                "name": self._title(name),
                "colormap": COLOURS.get(name, COLOUR_OF_LENGTHS),
                "contrast_limits": limits,
                "metadata": notes,
            }
            layer = self.layers[name] = self._viewer.add_image(self._values[name], visible=name == self._plan.names[0], **look, **place)
            layer.gamma = GAMMAS.get(name, 1.0)
            layer.colorbar.size, layer.colorbar.visible = SIZE_OF_BAR, True
            if base in layers:
                above = max(layers.index(other) for other in (base, *self.layers.values()) if other in layers)
                layers.move(layers.index(layer), above + (layers.index(layer) < above))
        show_only(self._viewer, self.layers[self._plan.names[0]])
        # napari makes a new layer the active one: the user is still looking at the image
        layers.selection.active = active

    def _replace(self, record: dict[str, Any]) -> None:
        """Take the same map of the same place away, which an earlier run left."""
        keys = ("map", "of_layer", "window", "period", "direction")
        for other in maps_in(self._viewer):
            if all(other.metadata[MAP_KEY].get(key) == record.get(key) for key in keys):
                self._viewer.layers.remove(other)

    def _title(self, name: str) -> str:
        unit = unit_of(name, self._length_unit)
        of_what = f" at {self._stripes()}" if name == "contrast" else ""
        return f"{self._plan.layer.name} {words(name)}{of_what}" + (f" ({unit})" if unit else "")

    def _stripes(self) -> str:
        """Period and direction of the stripes whose contrast is told."""
        stripes = self._plan.stripes
        direction = "" if stripes.direction is None else f", {stripes.direction:.0f}°"
        return f"{stripes.period * self._length:.3g} {self._length_unit}{direction}"

    def _record(self, name: str) -> dict[str, Any]:
        plan = self._plan
        made = map_record(
            name, model=plan.model, strength=plan.strength, noises=self._noises, stabilised=self._stabilised, stripes=plan.stripes
        )
        return {
            **made,
            "unit": unit_of(name, self._length_unit) or MAPS[name].unit,
            **({"stripes": self._stripes()} if name == "contrast" else {}),
            "of_layer": plan.layer.name,
            "source_layer": plan.source.name,
            "window": [[part.start, part.stop] for part in plan.window],
        }

    def _redraw(self) -> None:
        begin = perf_counter()
        for name, layer in self._there():
            limits = self._limits_of(name)
            # who set the contrast by hand keeps it
            if tuple(layer.contrast_limits) == self._limits[name]:
                low, high = layer.contrast_limits_range
                layer.contrast_limits_range = min(low, limits[0]), max(high, limits[1])
                layer.contrast_limits = limits
                self._limits[name] = tuple(layer.contrast_limits)
            layer.refresh()
        self._pause = pause_after(perf_counter() - begin)

    def _limits_of(self, name: str) -> tuple[float, float]:
        """Between which colours go: most of what is there, and not a few extremes."""
        if name in CYCLIC:
            return CYCLIC[name]
        values = _finite(self._values[name])
        if not values.size:
            return 0.0, 1.0
        low, high = (float(at) for at in np.percentile(values, SHARES))
        return low, high if high > low else low + (abs(low) or 1.0) * EQUAL


def _finite(values: np.ndarray) -> np.ndarray:
    """The values that are numbers; of many, some."""
    flat = values.reshape(-1)
    flat = flat[:: max(1, flat.size // MOST_LOOKED_AT)]
    return flat[np.isfinite(flat)]
