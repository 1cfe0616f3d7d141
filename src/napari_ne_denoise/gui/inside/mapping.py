"""Which maps of which part of a layer, what they will cost, and what the thread does that computes them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil, prod
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ne_denoise.core.axes import Index, PlaneLayout, plan_planes
from napari_ne_denoise.core.errors import ImageError
from napari_ne_denoise.core.io.letters import letters_for
from napari_ne_denoise.core.jacobian.kinds import DEFAULT_STRIPES, Stripes, passes
from napari_ne_denoise.core.memory import free_memory_of_machine
from napari_ne_denoise.core.noise.model import NoiseModel
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.core.settings import DEFAULTS
from napari_ne_denoise.core.tiling import Window
from napari_ne_denoise.gui.base.pace import duration
from napari_ne_denoise.gui.denoise.scope import plane_count
from napari_ne_denoise.gui.inside.filtering import GREEN, any_source_of, seen_by_network, strength_of
from napari_ne_denoise.gui.layers.kinship import is_result
from napari_ne_denoise.gui.layers.layer_data import Source, finest, shown_position
from napari_ne_denoise.gui.layers.readings import readings_of
from napari_ne_denoise.gui.layers.records import learned_noise, told_of_noise
from napari_ne_denoise.gui.layers.view import visible_window

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer

VISIBLE, PLANE, WHOLE = "visible", "plane", "whole"
# below this elongation a filter is round, and its direction is one of chance
ROUND = 1.1
# about how many seconds a megapixel and pass take two processor cores; the first run tells better
USUAL_RATES = {"fast": 0.8, "quality": 3.0}
OTHER_RATE = 2.0
# about what tiles of the maps keep, and how far the packaged models look around that; for the estimate alone
TILE, REACH = 256, 91


@dataclass(frozen=True, eq=False)
class MapPlan:
    """What is to be computed; everything in it stays as it was when it was made.

    Attributes
    ----------
    layer
        The result whose filters are meant, or the noisy image itself.
    source
        The noisy image.
    names
        Of maps.
    window
        Of the noisy array, colours left out: a slice for each axis.
    start_at
        The pixel whose tile comes first.
    strength
        Of the result.
    noise
        What was said or done about it, as settings of `denoise`.
    stripes
        Whose contrast is asked for.
    """

    layer: Any
    source: Source
    names: tuple[str, ...]
    window: tuple[slice, ...]
    start_at: tuple[int, ...]
    strength: float
    noise: Mapping[str, Any] = field(default_factory=dict)
    stripes: Stripes = DEFAULT_STRIPES

    @property
    def axes(self) -> str | None:
        """Of the array without colours, as in `denoise`."""
        return axes_without_colours(self.source)

    @property
    def layout(self) -> PlaneLayout:
        """Of the array without colours."""
        return layout_of(self.source)

    @property
    def region(self) -> Window:
        """Rows and columns."""
        return self.window[self.layout.rows], self.window[self.layout.columns]

    @property
    def is_one_plane(self) -> bool:
        """Whether it is a part of a single plane."""
        return all(
            part.stop - part.start == 1 for axis, part in enumerate(self.window) if axis not in (self.layout.rows, self.layout.columns)
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the maps."""
        return tuple(part.stop - part.start for part in self.window)

    @property
    def place(self) -> tuple[int, ...]:
        """Where in the layer's array the maps begin."""
        origin = self.source.origin if is_result(self.layer) else (0,) * len(self.window)
        return tuple(part.start - first for part, first in zip(self.window, origin, strict=False))

    @property
    def model(self) -> str:
        """Name of the model."""
        return str(self.source.model or DEFAULTS.model)

    def within(self, index: Index) -> Index:
        """Where in the maps a place of the array is."""
        return tuple(
            at - part.start if isinstance(at, int) else slice(at.start - part.start, at.stop - part.start)
            for at, part in zip(index, self.window, strict=True)
        )

    @property
    def megapixel_passes(self) -> float:
        """Megapixels that the network will see, over and over: tiles read more than they keep."""
        layout, read = self.layout, 1.0
        for part, length in zip(self.region, layout.plane_shape, strict=True):
            kept = part.stop - part.start
            tiles = ceil(kept / TILE)
            read *= tiles * min(kept / tiles + 2 * REACH, length)
        planes = prod(self.shape) // prod(part.stop - part.start for part in self.region)
        return read * planes * passes(self.names, stripes=self.stripes) / 1e6


def plan_maps(viewer: "Viewer", layer: "Image", names: tuple[str, ...], where: str, stripes: Stripes = DEFAULT_STRIPES) -> MapPlan:
    """What is to be computed, of what the viewer shows now.

    Parameters
    ----------
    viewer, layer
        A layer, denoised or noisy.
    names
        Of maps.
    where
        `VISIBLE`, `PLANE` or `WHOLE`.
    stripes
        Whose contrast is asked for.

    Raises
    ------
    ImageError
        If the layer's noisy image is not there, nothing of it is visible, or memory is too small.
    """
    source = any_source_of(viewer, layer)
    layout = layout_of(source)
    shown = shown_position(viewer, layer)[: layer.ndim]
    origin = source.origin if is_result(layer) else (0,) * layer.ndim
    at = tuple(place + first for place, first in zip(shown, origin, strict=False))
    window = tuple(slice(place, place + 1) for place in at)
    rows, columns = (slice(0, length) for length in layout.plane_shape)
    if where == VISIBLE:
        rows, columns = visible_window(viewer, layer, layout)
    if where == WHOLE:
        window = source.window[: layer.ndim]
    else:
        window = tuple(rows if axis == layout.rows else columns if axis == layout.columns else part for axis, part in enumerate(window))
    plan = MapPlan(layer, source, names, window, at, *_made_with(layer, source), stripes)
    _check_memory(plan)
    return plan


def _made_with(layer: "Image", source: Source) -> tuple[float, dict[str, Any]]:
    """Strength of a result, and what was said or done about noise before the network saw it."""
    if not is_result(layer):
        return DEFAULTS.strength, {}
    record = layer.metadata.get(KEY)
    said = ({"noise": source.wishes["noise"]} if "noise" in source.wishes else {}) | told_of_noise(record)
    return strength_of(layer), said | learned_noise(record, said)


def places_of(layer: "Image | None") -> list[tuple[str, str, str]]:
    """Texts, values and explanations of where maps can be computed."""
    visible = ("what is visible", VISIBLE, "The part of the shown plane that the canvas shows now.")
    planes = 1 if layer is None else plane_count(layer, readings_of(layer, finest(layer).shape)[0])
    if planes == 1:
        return [visible, ("this layer", PLANE, "All of the layer.")]
    return [
        visible,
        ("this plane", PLANE, "All of the plane that is shown now."),
        ("the whole stack", WHOLE, f"All {planes} planes of the layer, the one that is shown first."),
    ]


def describe_cost(plan: MapPlan, rates: dict[str, float]) -> str:
    """What a plan will cost, in words.

    Parameters
    ----------
    plan
        With at least one map.
    rates
        Seconds a megapixel and pass, of the models that have run.
    """
    rate = rates.get(plan.model, USUAL_RATES.get(plan.model, OTHER_RATE))
    on_what = "" if plan.model in rates else " on two processor cores"
    rows, columns = (part.stop - part.start for part in plan.region)
    planes = prod(plan.shape) // (rows * columns)
    what = f"{rows}×{columns} pixels" if planes == 1 else f"{planes} planes of {rows}×{columns} pixels"
    return f"{what}: about {duration(max(rate * plan.megapixel_passes, 0.1))}{on_what}."


@dataclass(frozen=True)
class MapTile:
    """A finished tile: pixels done and in all, where it belongs, values by map, the noise of its channel, and whether it was stabilised."""

    done: int
    total: int
    index: Index
    values: dict[str, np.ndarray]
    noise: NoiseModel | None
    stabilised: bool


@dataclass(frozen=True)
class MapsDone:
    """All is finished; the seconds it took."""

    seconds: float


def compute_maps(plan: MapPlan) -> Iterator[MapTile | MapsDone]:
    """The work of a thread."""
    from napari_ne_denoise.core.jacobian.maps import iter_adaptive_maps  # brings torch

    image = seen_by_network(plan.source)
    if plan.source.rgb:
        image = image[(*[slice(None)] * (len(image.shape) - 1), GREEN)]
    # the direction of a round filter is one of chance: it has none
    names = tuple(dict.fromkeys((*plan.names, *(("elongation",) if "orientation" in plan.names else ()))))
    one = plan.start_at if plan.is_one_plane else None
    settings: dict[str, Any] = {"model": plan.source.model, "axes": plan.axes, "strength": plan.strength, "start_at": plan.start_at}
    settings |= {**plan.noise, "period": plan.stripes.period, "direction": plan.stripes.direction}
    begin = perf_counter()
    for step in iter_adaptive_maps(image, names, region=plan.region, position=one, **settings):
        values = dict(step.values)
        if "orientation" in values:
            values["orientation"] = np.where(values["elongation"] < ROUND, np.float32(np.nan), values["orientation"])
        wanted = {name: values[name] for name in plan.names}
        yield MapTile(step.done, step.total, plan.within(step.index), wanted, step.noise, step.stabilised)
    yield MapsDone(perf_counter() - begin)


def axes_without_colours(source: Source) -> str | None:
    """Axes of an image's array without colours, as in `denoise`."""
    if not source.rgb:
        return source.axes
    return source.axes[:-1] if source.axes else letters_for(len(source.data.shape) - 1)


def layout_of(source: Source) -> PlaneLayout:
    """Planes of an image's array without colours."""
    shape = tuple(source.data.shape)
    return plan_planes(shape[:-1] if source.rgb else shape, axes_without_colours(source), None)


def _check_memory(plan: MapPlan) -> None:
    needed, free = 4 * prod(plan.shape) * len(plan.names), free_memory_of_machine()
    if needed > free:
        raise ImageError(
            f"The maps would take {needed / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB of memory are free: "
            "choose this plane, or fewer maps."
        )
