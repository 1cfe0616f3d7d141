"""Maps of what the filters of all pixels do, without ever making one: products of the Jacobian with chosen fields.

A blind norm-equiv network is f(y) = J y around an image y, J1 = 1, and a row of J is the filter of a pixel.  All that the maps tell of
a filter w is a sum over it: J times white noise has the variance Σ w², J times the coordinates is where the filter lies, and J times a
wave is the contrast that it keeps.  Each costs one pass of the network, with the choices that the image made (`networks.linear`).

They are of small signals: what a filter is when the image changes too little to change the choices.  Residual noise alone is told by
results of simulated images, for which the network chooses anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_ne_denoise.core import device as devices
from napari_ne_denoise.core.axes import Index, PlaneLayout
from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.inference import prepare_denoising
from napari_ne_denoise.core.jacobian.error import MARGIN, MARGIN_OF_NOISE
from napari_ne_denoise.core.jacobian.filters import open_up
from napari_ne_denoise.core.jacobian.kinds import DEFAULT_STRIPES, MAPS, OF_NOISE, OF_WAVES, PROBES, Stripes
from napari_ne_denoise.core.jacobian.measures import Asked, TileMeasures, shapes
from napari_ne_denoise.core.jacobian.products import JacobianProducts, Surroundings
from napari_ne_denoise.core.memory import room_for
from napari_ne_denoise.core.noise.model import NoiseModel, checked_noise_model
from napari_ne_denoise.core.pixels import as_image
from napari_ne_denoise.core.run import DenoisingRun, OpenPlane
from napari_ne_denoise.core.settings import DEFAULTS, HotPixels, KnownNoise, NamedModel, Noise, checked_whole
from napari_ne_denoise.core.tiling import (
    Grid,
    Tile,
    Window,
    checked_region,
    inside,
    nearest_first,
    overlap,
    read_window,
    tile_window,
    widened,
)

# of tiles, in pixels: all of them read as far around them as the network looks, so that large ones cost less; but who waits for the first
# one, and looks at it, is not to wait long.  Coordinates lose digits in float32 farther than that from the centre of a tile
SIDE, SIDE_WATCHED = 512, 256
MARGINS = {"residual_noise": MARGIN_OF_NOISE, "error": MARGIN}


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
        That was given or found, for "residual_noise" and "error"; None where none of these is asked for.
    stabilised
        Whether the filters are of an image whose noise was made the same at every brightness.
    """

    done: int
    total: int
    index: Index
    values: Mapping[str, np.ndarray]
    noise: NoiseModel | None = None
    stabilised: bool = False


def adaptive_maps(image: Any, names: Sequence[str] = ("pixels_averaged",), **settings: Any) -> dict[str, np.ndarray]:
    """Maps of what the filters of all pixels do; see `MAPS` for what there is and `iter_adaptive_maps` for the settings.

    Returns
    -------
    dict of ndarray
        By name, of the image's shape, float32; NaN where a map has no value.
    """
    return _collect(iter_adaptive_maps(image, names, **settings), names, tuple(as_image(image).shape))


def iter_adaptive_maps(
    image: Any,
    names: Sequence[str] = ("pixels_averaged",),
    *,
    model: str | os.PathLike[str] | NamedModel | None = None,
    axes: str | None = None,
    channel_axis: int | None = None,
    noise_model: NoiseModel | None = None,
    noise: Noise | KnownNoise | Mapping[str, Any] | os.PathLike[str] | str = DEFAULTS.noise,
    sigma: float | None = None,
    region: Window | None = None,
    position: tuple[int, ...] | None = None,
    start_at: tuple[int, ...] | None = None,
    strength: float = DEFAULTS.strength,
    hot_pixels: HotPixels = DEFAULTS.hot_pixels,
    period: float = DEFAULT_STRIPES.period,
    direction: float | None = DEFAULT_STRIPES.direction,
    probes: int = PROBES,
    seed: int = 0,
    device: str = DEFAULTS.device,
) -> Iterator[MapStep]:
    """The same, tile by tile.

    Parameters
    ----------
    image, axes, channel_axis, hot_pixels
        As in `denoise`.
    names
        Of maps, keys of `MAPS`.
    model
        A norm-equiv or scale-equiv model; None for the default one.
    noise_model
        The noise of the image, for "residual_noise" and "error".  None: that of `noise`, if it is a `NoiseModel`, else it is found in the
        image, for each channel.
    noise, sigma
        As in `denoise`.  Where noise is made the same at every brightness first, the filters are of the stabilised image; "residual_noise"
        and "error" are in image units still.  Where it is made white, they are of the image, there and back included.
    region
        Rows and columns to compute.  None: whole planes.
    position
        Of any pixel of the one plane to compute.  None: all planes.
    start_at
        The pixel whose plane and tile come first; the values do not depend on it.  None: the first one.
    strength
        As in `adaptive_filter`: maps of the filters (1 − t)·δ + t·w, δ being the pixel itself.
    period, direction
        Of the stripes of "contrast": in pixels, and in degrees across them, 0 along X and 90 along Y, or None for the mean over all.
    probes, seed
        How many random fields are used where some are, at least two, and what they are drawn from.
    device
        As in `denoise`.

    Raises
    ------
    SettingsError
        If there is no such map, the model has no filters, or the image is too small to find its noise in.
    ImageError
        As `denoise`.
    """
    _check_names(names)
    probes = checked_whole("probes", probes, f"a whole number of at least 2; leave it out for {PROBES}", least=2)
    seed = checked_whole("seed", seed, "a whole number that is not negative", least=0)
    run = prepare_denoising(
        image,
        model=DEFAULTS.model if model is None else model,
        axes=axes,
        channel_axis=channel_axis,
        sigma=sigma,
        noise=noise,
        device=device,
        nonfinite="keep",
        strength=strength,
        hot_pixels=hot_pixels,
    )
    first = None if start_at is None else run.layout.checked_position(start_at)
    one = None if position is None else run.layout.checked_position(position)
    where = Where(checked_region(region, run.layout.plane_shape), one, first)
    return maps_of(run, names, where, noise_model, Stripes(period, direction), probes, seed)


@dataclass(frozen=True)
class Where:
    """Which part of an image: rows and columns, the plane of a pixel or None for all planes, and the pixel that comes first."""

    region: Window
    position: tuple[int, ...] | None = None
    start_at: tuple[int, ...] | None = None


def error_steps(run: DenoisingRun, noise: NoiseModel | None = None, where: Where | None = None) -> Iterator[MapStep]:
    """Error bars of the result of a run, tile by tile: the map "error", with everything as it was decided for the run.

    Parameters
    ----------
    run
        As `prepare_denoising` gives it.
    noise
        Of the image.  None: what the run knows, else what is found.
    where
        None: all of it.

    Raises
    ------
    NEDenoiseError
        As `iter_adaptive_maps`; at once if the model has no Jacobian.
    """
    return maps_of(run, ["error"], where or Where(checked_region(None, run.layout.plane_shape)), noise)


def check_bars_wanted(noise_model: NoiseModel | None, *, return_std: bool) -> None:
    """See that the noise of an image is given only where error bars are wanted, which alone need it.

    Raises
    ------
    SettingsError
        If not: who gives it and gets a single array would take it for used.
    """
    if noise_model is not None and not return_std:
        raise SettingsError("noise_model: is for error bars; give return_std=True too, or leave it out.")


def in_memory(bars: Iterator[MapStep], shape: tuple[int, ...]) -> np.ndarray:
    """Error bars as one array, float32; NaN where there are none."""
    return _collect(bars, ["error"], shape)["error"]


def maps_of(
    run: DenoisingRun,
    names: Sequence[str],
    where: Where,
    noise: NoiseModel | None = None,
    stripes: Stripes = DEFAULT_STRIPES,
    probes: int = PROBES,
    seed: int = 0,
) -> Iterator[MapStep]:
    """Maps of a denoising with everything decided, tile by tile; see `iter_adaptive_maps`."""
    maker = MapMaker(run, names, noise, stripes, probes, seed)
    return _all_of(maker, where)


def _all_of(maker: MapMaker, where: Where) -> Iterator[MapStep]:
    try:
        yield from maker.steps(_planes(maker.layout, where), where.region, where.start_at)
    finally:
        maker.close()


def _collect(steps: Iterator[MapStep], names: Sequence[str], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    room = room_for((len(names), *shape), np.dtype(np.float32), "what is asked for", "ask for a region, or for fewer maps at once")
    room.fill(np.nan)
    found = dict(zip(names, room, strict=True))
    for step in steps:
        for name, values in step.values.items():
            found[name][step.index] = values
    return found


def _noise_of(run: DenoisingRun, plane: Index, given: NoiseModel | None) -> NoiseModel:
    noise = given or run.treatments.noise_of(plane)
    if noise.uncertainty is None:
        raise SettingsError("noise: the image is too small to find its noise in; give a NoiseModel, or the profile of a microscope.")
    return noise


class MapMaker:
    """Makes maps of planes, or of windows of them one after another: the plane that was looked at last stays open.

    Parameters
    ----------
    run, names, noise, stripes, probes, seed
        As in `maps_of`.

    Raises
    ------
    SettingsError
        If the model has no Jacobian, or `noise` is none.
    """

    def __init__(
        self,
        run: DenoisingRun,
        names: Sequence[str],
        noise: NoiseModel | None = None,
        stripes: Stripes = DEFAULT_STRIPES,
        probes: int = PROBES,
        seed: int = 0,
    ) -> None:
        if run.denoiser.is_wrapped:
            open_up(run.denoiser)  # refuses it, and says why
        self._run, self._names, self._noise = run, tuple(names), checked_noise_model(noise)
        self._stripes, self._probes, self._seed = stripes, probes, seed
        self._products = JacobianProducts(run.denoiser, run.device)
        self._last: tuple[int, OpenPlane, Asked] | None = None

    @property
    def layout(self) -> PlaneLayout:
        """How the image is cut into planes."""
        return self._run.layout

    def steps(self, planes: Sequence[tuple[int, Index]], region: Window, start_at: tuple[int, ...] | None = None) -> Iterator[MapStep]:
        """Compute, tile by tile.

        Parameters
        ----------
        planes
            With their numbers, from which their random fields are drawn.
        region
            Rows and columns of each.
        start_at
            The pixel whose tile comes first, of tiles that are smaller.  None: the first one.
        """
        layout, done = self.layout, 0
        near = None if start_at is None else (start_at[layout.rows], start_at[layout.columns])
        tiles = _tiles(layout.plane_shape, region, near, self._run.denoiser.grid)
        total = len(planes) * sum(tile.pixels for tile in tiles)
        for number, plane in planes:
            opened, asked = self._open(number, plane)
            for tile in tiles:
                values = _maps(_TileMaker(self._products, opened, self._run.grid, layout.plane_shape, tile, asked), self._names)
                if opened.kept is not None:
                    gaps = ~np.isfinite(opened.kept[tile.keep])
                    values = {name: np.where(gaps, np.nan, found) for name, found in values.items()}
                done += tile.pixels
                shaped = {name: layout.to_image(found.astype(np.float32)) for name, found in values.items()}
                stabilised = opened.treatment.stabilizer is not None
                yield MapStep(done, total, layout.window(plane, *tile.keep), shaped, asked.noise, stabilised)

    def close(self) -> None:
        """Forget the plane, and give memory of the device back."""
        self._last = None
        devices.release_memory(self._run.device)

    def _open(self, number: int, plane: Index) -> tuple[OpenPlane, Asked]:
        if self._last is None or self._last[0] != number:
            self._last = None  # two planes may not fit into memory
            (opened,) = self._run.open_planes([plane])
            noise = _noise_of(self._run, plane, self._noise) if set(OF_NOISE) & set(self._names) else None
            self._last = number, opened, Asked(self._probes, (self._seed, number), self._run.settings.strength, noise, self._stripes)
        return self._last[1:]


def _planes(layout: PlaneLayout, where: Where) -> list[tuple[int, Index]]:
    """Planes and their numbers, in the order in which they are computed."""
    planes = list(enumerate(layout.planes()))
    if where.position is not None:
        planes = [numbered for numbered in planes if numbered[1] == layout.plane_at(where.position)]
    if where.start_at is not None:
        first = layout.plane_at(where.start_at)
        planes.sort(key=lambda numbered: numbered[1] != first)
    return planes


def _tiles(shape: tuple[int, int], region: Window, near: tuple[int, int] | None, grid: Grid) -> list[Tile]:
    """What is kept of each tile: as few as the region needs, cut off at its edges."""
    tiles = tile_window(shape, region, SIDE if near is None else SIDE_WATCHED, grid)
    if near is not None:
        tiles = nearest_first(tiles, near)
    cut = (overlap(tile.keep, region) for tile in tiles)
    return [Tile(read_window(shape, keep, grid), keep) for keep in cut if all(part.start < part.stop for part in keep)]


@dataclass(frozen=True)
class _TileMaker:
    """What maps of one tile are made of; some of them are means over the surroundings, for which more is computed than is kept."""

    products: JacobianProducts
    opened: OpenPlane
    grid: Grid
    shape: tuple[int, int]
    tile: Tile
    asked: Asked

    def widened(self, pixels: int) -> TileMeasures:
        """Measures of the tile with so many pixels more on each side."""
        keep = widened(self.tile.keep, pixels, self.shape)
        tile = Tile(read_window(self.shape, keep, self.grid), keep)
        return TileMeasures(Surroundings(self.products, self.opened, tile, self.shape), self.asked)

    def cut(self, values: np.ndarray, pixels: int) -> np.ndarray:
        """What the tile keeps of what such measures gave."""
        return values[inside(self.tile.keep, widened(self.tile.keep, pixels, self.shape))]


def _maps(maker: _TileMaker, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The maps that were asked for; what several share is computed once."""
    found: dict[str, np.ndarray] = {}
    if of_noise := [name for name in OF_NOISE if name in names]:
        margin = max(MARGINS[name] for name in of_noise)
        wide = maker.widened(margin)
        found |= {name: maker.cut(getattr(wide, name)(), margin) for name in of_noise}
    of_tile = maker.widened(0)
    for name in ("pixels_averaged", "self_weight", "contrast", "noise_level_part"):
        if name in names:
            found[name] = getattr(of_tile, name)()
    if "displacement" in names:
        found["displacement"] = np.hypot(*of_tile.shifts())
    if set(OF_WAVES) & set(names):
        found |= shapes(of_tile.periods())
    return {name: found[name] for name in names}


def _check_names(names: Sequence[str]) -> None:
    unknown = [repr(names)] if isinstance(names, str) or not names else [repr(name) for name in names if name not in MAPS]
    if unknown:
        raise SettingsError(
            f"maps {', '.join(unknown)}: must be some of {', '.join(MAPS)}.", mend="names", python="give their names in a list"
        )
