"""Maps of what the filters of all pixels do, without ever making one: products of the Jacobian with chosen fields.

A blind norm-equiv network is f(y) = J y around an image y, J1 = 1, and a row of J is the filter of a pixel.  All that the maps tell of
a filter w is a sum over it: J times white noise has the variance Σ w², J times the coordinates is where the filter lies, and J times a
wave is the contrast that it keeps.  Each costs one pass of the network, with the choices that the image made (`networks.linear`).

They are of small signals: what a filter is when the image changes too little to change the choices.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_ne_denoise.core import device as devices
from napari_ne_denoise.core.axes import Index, plan_planes
from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.jacobian.filters import open_up
from napari_ne_denoise.core.jacobian.kinds import MAPS, OF_WAVES, PROBES
from napari_ne_denoise.core.jacobian.measures import TileMeasures, shapes
from napari_ne_denoise.core.jacobian.products import JacobianProducts
from napari_ne_denoise.core.noise.estimation import find_noise
from napari_ne_denoise.core.noise.model import NoiseModel
from napari_ne_denoise.core.noise.sampling import channel_axes_of, frame_axis_of
from napari_ne_denoise.core.pixels import PlaneReader, as_image
from napari_ne_denoise.core.settings import DEFAULTS, NamedModel, checked_strength
from napari_ne_denoise.core.tiling import Grid, Tile, Window, nearest_first, read_window, tile_window

# coordinates lose digits in float32 far from the centre of a tile
SIDE = 256


@dataclass(frozen=True)
class MapStep:
    """One finished tile of all maps.

    Attributes
    ----------
    done, total
        Pixels finished so far, this tile included, and in all.
    index
        Where it belongs: ``maps[name][step.index] = step.values[name]``.
    values
        By name of the map, float32; NaN where a map has no value.
    noise
        That was given or found, for "residual_noise"; None where that is not asked for.
    """

    done: int
    total: int
    index: Index
    values: Mapping[str, np.ndarray]
    noise: NoiseModel | None = None


def adaptive_maps(image: Any, names: Sequence[str] = ("pixels_averaged",), **settings: Any) -> dict[str, np.ndarray]:
    """Maps of what the filters of all pixels do; see `MAPS` for what there is and `iter_adaptive_maps` for the settings.

    Returns
    -------
    dict of ndarray
        By name, of the image's shape, float32; NaN where a map has no value.
    """
    steps = iter_adaptive_maps(image, names, **settings)
    found = {name: np.full(tuple(as_image(image).shape), np.nan, np.float32) for name in names}
    for step in steps:
        for name, values in step.values.items():
            found[name][step.index] = values
    return found


def iter_adaptive_maps(
    image: Any,
    names: Sequence[str] = ("pixels_averaged",),
    *,
    model: str | os.PathLike[str] | NamedModel | None = None,
    axes: str | None = None,
    channel_axis: int | None = None,
    noise: NoiseModel | None = None,
    region: Window | None = None,
    position: tuple[int, ...] | None = None,
    start_at: tuple[int, ...] | None = None,
    strength: float = DEFAULTS.strength,
    probes: int = PROBES,
    seed: int = 0,
    device: str = DEFAULTS.device,
) -> Iterator[MapStep]:
    """The same, tile by tile.

    Parameters
    ----------
    image, axes, channel_axis
        As in `denoise`.
    names
        Of maps, keys of `MAPS`.
    model
        A blind norm-equiv or scale-equiv model; None for the default one.
    noise
        Of the image, for "residual_noise".  None: found in it, for each channel.
    region
        Rows and columns to compute.  None: whole planes.
    position
        Of any pixel of the one plane to compute.  None: all planes.
    start_at
        The pixel whose plane and tile come first; the values do not depend on it.  None: the first one.
    strength
        As in `adaptive_filter`: maps of the filters (1 − t)·δ + t·w, δ being the pixel itself.
    probes, seed
        How many random fields are used where some are, and what they are drawn from.
    device
        As in `denoise`.

    Raises
    ------
    SettingsError
        If there is no such map, or the model has no filters.
    ImageError
        As `denoise`.
    """
    _check_names(names)
    array = as_image(image)
    layout = plan_planes(tuple(array.shape), axes, channel_axis)
    reader = PlaneReader(array, layout, "keep")
    planes = list(enumerate(layout.planes() if position is None else [layout.plane_at(layout.checked_position(position))]))
    first = None if start_at is None else layout.checked_position(start_at)
    if first is not None:
        planes.sort(key=lambda numbered: numbered[1] != layout.plane_at(first))
    window = _checked_region(region, layout.plane_shape)
    found_noise = _Noises(reader, axes, channel_axis, noise) if "residual_noise" in names else None
    products = JacobianProducts(open_up(DEFAULTS.model if model is None else model), devices.choose_device(device))
    wanted = _Wanted(tuple(names), probes, seed, found_noise, checked_strength(strength), first)
    return _steps(reader, planes, window, products, wanted)


@dataclass(frozen=True)
class _Wanted:
    names: tuple[str, ...]
    probes: int
    seed: int
    noises: _Noises | None
    strength: float
    start_at: tuple[int, ...] | None


class _Noises:
    """The noise of each channel, found when it is first asked for."""

    def __init__(self, reader: PlaneReader, axes: str | None, channel_axis: int | None, given: NoiseModel | None) -> None:
        shape = reader.layout.shape
        self._reader, self._given = reader, given
        self._channels, self._frames = channel_axes_of(axes, channel_axis, shape), frame_axis_of(axes, shape)
        self._found: dict[tuple[tuple[int, int], ...], NoiseModel] = {}

    def of(self, plane: Index) -> NoiseModel:
        if self._given is not None:
            return self._given
        fixed = {axis: at for axis in self._channels if isinstance(at := plane[axis], int)}
        key = tuple(fixed.items())
        if key not in self._found:
            self._found[key] = find_noise(self._reader, self._frames, fixed)
        return self._found[key]


def _steps(
    reader: PlaneReader, planes: Sequence[tuple[int, Index]], window: Window, products: JacobianProducts, wanted: _Wanted
) -> Iterator[MapStep]:
    """Of planes and their numbers, from which their random fields are drawn."""
    layout, done = reader.layout, 0
    tiles = list(_tiles(layout.plane_shape, window, products.grid))
    if wanted.start_at is not None:
        tiles = nearest_first(tiles, (wanted.start_at[layout.rows], wanted.start_at[layout.columns]))
    total = len(planes) * sum(tile.pixels for tile in tiles)
    for number, plane in planes:
        read, kept = reader.open_plane(plane)
        numerics = products.numerics(read, layout.plane_shape, np.dtype(reader.image.dtype))
        noise = None if wanted.noises is None else wanted.noises.of(plane)
        for tile in tiles:
            of_tile = TileMeasures(products, read, numerics, tile, (wanted.seed, number), wanted.probes, noise, wanted.strength)
            values = _maps(of_tile, wanted.names)
            if kept is not None:
                gaps = ~np.isfinite(kept[tile.keep])
                values = {name: np.where(gaps, np.nan, found) for name, found in values.items()}
            done += tile.pixels
            shaped = {name: layout.to_image(found.astype(np.float32)) for name, found in values.items()}
            yield MapStep(done, total, layout.window(plane, *tile.keep), shaped, noise)


def _tiles(shape: tuple[int, int], window: Window, grid: Grid) -> Iterator[Tile]:
    """Tiles of a window, as few as it needs, cut off at its edges."""
    for tile in tile_window(shape, window, SIDE, grid):
        rows, columns = (
            slice(max(keep.start, part.start), min(keep.stop, part.stop)) for keep, part in zip(tile.keep, window, strict=True)
        )
        if rows.start < rows.stop and columns.start < columns.stop:
            yield Tile(read_window(shape, (rows, columns), grid), (rows, columns))


def _maps(of_tile: TileMeasures, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The maps that were asked for; what several share is computed once."""
    found: dict[str, np.ndarray] = {}
    for name in ("pixels_averaged", "residual_noise", "self_weight"):
        if name in names:
            found[name] = getattr(of_tile, name)()
    if "displacement" in names:
        found["displacement"] = np.hypot(*of_tile.shifts())
    if set(OF_WAVES) & set(names):
        found |= shapes(of_tile.periods())
    return {name: found[name] for name in names}


def _check_names(names: Sequence[str]) -> None:
    if isinstance(names, str) or not names or any(name not in MAPS for name in names):
        raise SettingsError(f"names={names!r}: must be some of {', '.join(MAPS)}.")


def _checked_region(region: Window | None, shape: tuple[int, int]) -> Window:
    if region is None:
        return slice(0, shape[0]), slice(0, shape[1])
    try:
        (first, last), (left, right) = ((part.start, part.stop) for part in region)
        whole = all(part.step in (None, 1) for part in region)
        fits = whole and 0 <= first < last <= shape[0] and 0 <= left < right <= shape[1]
    except (AttributeError, TypeError, ValueError):
        fits = False
    if not fits:
        raise SettingsError(
            f"region={region!r}: must be two slices inside the plane of shape {shape}, such as (slice(0, 64), slice(0, 64))."
        )
    return slice(first, last), slice(left, right)
