"""``maps IN -o FOLDER``: what the filters of all pixels do, as images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_ne_denoise.cli.console import (
    ProgressLine,
    errors_end_the_program,
    folders_for_results,
    parsed_region,
    print_json,
    print_table,
    say,
)
from napari_ne_denoise.cli.options import (
    AsJson,
    Axes,
    BlindModel,
    ChannelAxis,
    Device,
    HotPixelsAsInDenoise,
    NoiseAsInDenoise,
    Quiet,
    Series,
    Sigma,
    StrengthAsInDenoise,
    noise_of,
)
from napari_ne_denoise.core.errors import FileError, SettingsError
from napari_ne_denoise.core.jacobian.kinds import DEFAULT_STRIPES, PROBES
from napari_ne_denoise.core.settings import DEFAULTS
from napari_ne_denoise.core.words import percent

if TYPE_CHECKING:
    import numpy as np

    from napari_ne_denoise.core.io import ImageFile
    from napari_ne_denoise.core.jacobian.kinds import MapKind
    from napari_ne_denoise.core.noise.model import NoiseModel

WANTED = "pixels_averaged,residual_noise,error,width,resolution"
SHARES = (0.05, 0.5, 0.95)  # of the pixels, that the table tells of


def maps(
    image: Annotated[Path, typer.Argument(metavar="IN", help="An image file.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="For the maps, NAME_MAP.ome.tif; made if it is not there.")],
    wanted: Annotated[str, typer.Option("--maps", help="Names of maps, with commas between, or all.")] = WANTED,
    region: Annotated[str | None, typer.Option(help="Rows and columns, such as 0:256,100:356.  [default: whole planes]")] = None,
    model: BlindModel = DEFAULTS.model_name,
    axes: Axes = DEFAULTS.axes,
    channel_axis: ChannelAxis = DEFAULTS.channel_axis,
    sigma: Sigma = DEFAULTS.sigma,
    noise: NoiseAsInDenoise = str(DEFAULTS.noise),
    noise_model: Annotated[
        Path | None,
        typer.Option(metavar="PROFILE.json", help="A microscope profile, for residual_noise and error.  [default: found in the image]"),
    ] = None,
    strength: StrengthAsInDenoise = DEFAULTS.strength,
    hot_pixels: HotPixelsAsInDenoise = DEFAULTS.hot_pixels,
    period: Annotated[float, typer.Option(help="Of the stripes of contrast, in pixels, from 2 on.")] = DEFAULT_STRIPES.period,
    direction: Annotated[
        float | None, typer.Option(help="Across these stripes, in degrees: 0 along X, 90 along Y.  [default: the mean over four]")
    ] = DEFAULT_STRIPES.direction,
    probes: Annotated[
        int, typer.Option(min=2, help="Random fields of the maps that are measured with such: error up to 1/√(2·probes).")
    ] = PROBES,
    device: Device = DEFAULTS.device,
    series: Series = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace maps that exist.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show what the filters of all pixels do: how many pixels are averaged, what noise is left, how much is blurred and where to.

    A filter is what the network is around this image: what it does to changes that are small against the noise.
    """
    with errors_end_the_program(image):
        from napari_ne_denoise.core.io import read_image
        from napari_ne_denoise.core.jacobian.kinds import MAPS

        names = list(MAPS) if wanted == "all" else list(dict.fromkeys(wanted.split(",")))
        targets = _targets(out, image, names, overwrite)
        opened = read_image(image, series)
        settings = {
            "model": model, "axes": axes or opened.axes, "channel_axis": channel_axis, "device": device, "probes": probes, "sigma": sigma,
            "noise": noise_of(noise), "noise_model": _profile(noise_model), "strength": strength, "hot_pixels": hot_pixels,
            "period": period, "direction": direction, "region": parsed_region(region),
        }  # fmt: skip
        with folders_for_results([out]):
            found = _compute(opened, names, settings, ProgressLine(image.name, quiet=quiet))
            for name, path in targets.items():
                _write(path, image, opened, name, found, settings, overwrite)
        rows = {name: _summary(found.told[name]) for name in names}
        if as_json:
            print_json(
                {
                    "input": str(image),
                    "maps": {
                        name: {"file": str(path), "shares": rows[name], "no_value": found.share_without(name)}
                        for name, path in targets.items()
                    },
                }
            )
            return
        heads = ("map", "unit", *(percent(share) for share in SHARES), "no value", "what it is")
        print_table([heads, *(_row(MAPS[name], rows[name], found.share_without(name)) for name in names)])
        if not quiet:
            say(f"note: wrote {len(targets)} map{'s' if len(targets) > 1 else ''} to {out}")


@dataclass
class _Found:
    """Maps of a file, the values that they have, how many pixels were computed, and what the record is to say."""

    values: dict[str, np.ndarray] = field(default_factory=dict)
    told: dict[str, np.ndarray] = field(default_factory=dict)
    computed: int = 0
    noises: list[NoiseModel] = field(default_factory=list)
    stabilised: bool = False

    def share_without(self, name: str) -> float:
        """Of the pixels that were computed, those that have no value."""
        return 1 - self.told[name].size / self.computed


def _compute(opened: ImageFile, names: list[str], settings: dict[str, Any], line: ProgressLine) -> _Found:
    import numpy as np

    from napari_ne_denoise.core.jacobian.maps import iter_adaptive_maps

    found = _Found()
    try:
        for step in iter_adaptive_maps(opened.pixels, names, **settings):
            found.values = found.values or {name: np.full(opened.pixels.shape, np.nan, np.float32) for name in names}
            for name, values in step.values.items():
                found.values[name][step.index] = values
            found.computed, found.stabilised = step.done, found.stabilised or step.stabilised
            found.noises += [step.noise] if step.noise is not None and step.noise not in found.noises else []
            line.show(step.done, step.total)
    finally:
        line.clear()
    found.told = {name: values[np.isfinite(values)] for name, values in found.values.items()}
    return found


def _profile(path: Path | None) -> NoiseModel | None:
    if path is None:
        return None
    from napari_ne_denoise.core.noise.model import NoiseModel
    from napari_ne_denoise.core.noise.profile import read_profile

    noise = read_profile(path).noise
    if not isinstance(noise, NoiseModel):
        raise SettingsError(f"--noise-model {path}: holds a transform that was learned, which tells no noise of photons; give one without.")
    return noise


def _targets(folder: Path, source: Path, names: list[str], overwrite: bool) -> dict[str, Path]:
    """Which file each map becomes; what exists is refused before anything is computed, which takes long."""
    from napari_ne_denoise.core.io import label

    targets = {name: folder / f"{label(source)}_{name}.ome.tif" for name in names}
    for path in targets.values():
        if path.exists() and not overwrite:
            raise FileError(f"{path}: exists already; say --overwrite to replace it, or give -o another folder.")
    return targets


def _write(path: Path, source: Path, opened: ImageFile, name: str, found: _Found, settings: dict[str, Any], overwrite: bool) -> None:
    from dataclasses import replace

    from napari_ne_denoise.core.io import write_image
    from napari_ne_denoise.core.jacobian.kinds import Stripes
    from napari_ne_denoise.core.jacobian.map_records import map_record

    record = map_record(
        name,
        model=settings["model"],
        strength=settings["strength"],
        noises=found.noises,
        stabilised=found.stabilised,
        stripes=Stripes(settings["period"], settings["direction"]),
        probes=settings["probes"],
    )
    earlier = {"provenance": opened.provenance} if opened.provenance else {}
    record |= {"input": {"file": source.name, "shape": list(opened.pixels.shape)} | earlier}
    write_image(path, replace(opened, pixels=found.values[name], name=f"{opened.name} {name}", provenance=record), overwrite=overwrite)


def _summary(finite: np.ndarray) -> list[float]:
    import numpy as np

    return [float(found) for found in np.quantile(finite, SHARES)] if finite.size else []


def _row(kind: MapKind, shares: list[float], without: float) -> tuple[str, ...]:
    unit = {"image": "image units", "px": "pixels"}.get(kind.unit, kind.unit)
    figures = [f"{share:.3g}" for share in shares] or ["–"] * len(SHARES)
    return kind.name, unit, *figures, percent(without, 1) if without else "", kind.meaning
