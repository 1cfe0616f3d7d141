"""``denoise IN… -o OUT``."""

from __future__ import annotations

import time
import traceback
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from napari_ne_denoise.cli.console import (
    FAILED,
    UNUSABLE,
    ProgressLine,
    collect,
    drain,
    errors_end_the_program,
    make_folder,
    print_json,
    say,
)
from napari_ne_denoise.core.errors import FileError, NEDenoiseError, SettingsError
from napari_ne_denoise.core.settings import DEFAULTS, DenoiseSettings, Noise, Nonfinite, OutputDtype, Precision

if TYPE_CHECKING:
    from napari_ne_denoise.cli.jobs import Job
    from napari_ne_denoise.core.inference import Denoiser, DenoisingRun
    from napari_ne_denoise.core.io import ImageFile


def _choices(literal: Any) -> str:
    return ", ".join(get_args(literal))


def denoise(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="IN...", help="TIFF, OME-TIFF, ImageJ TIFF, PNG or NPY files, or OME-Zarr.", show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="OUT", help="A file (.ome.tif, .tif, .npy, .png, .ome.zarr) for one input, else a folder."),
    ],
    model: Annotated[str, typer.Option(help="Name of a model (see: models list) or path of a weight file.")] = DEFAULTS.model_name,
    axes: Annotated[str | None, typer.Option(help="A letter for each axis, such as TCZYX.  [default: as the file says]")] = DEFAULTS.axes,
    channel_axis: Annotated[int | None, typer.Option(help="Number of the axis that holds channels.")] = DEFAULTS.channel_axis,
    sigma: Annotated[float | None, typer.Option(help="The noise's standard deviation, for models that need it.")] = DEFAULTS.sigma,
    noise: Annotated[
        str, typer.Option(help=f"What is done about noise before the network: {_choices(Noise)}, or a microscope profile (.json).")
    ] = str(DEFAULTS.noise),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = DEFAULTS.device,
    precision: Annotated[str, typer.Option(help=f"Of the arithmetic: {_choices(Precision)}.")] = DEFAULTS.precision,
    tile_size: Annotated[int | None, typer.Option(help="Side of a tile in pixels.  [default: by free memory]")] = DEFAULTS.tile_size,
    output_dtype: Annotated[str, typer.Option(help=f"Of the result: {_choices(OutputDtype)}.")] = DEFAULTS.output_dtype,
    nonfinite: Annotated[str, typer.Option(help=f"NaN and infinities: {_choices(Nonfinite)}.")] = DEFAULTS.nonfinite,
    strength: Annotated[
        float, typer.Option(help="How much of what denoising changes is changed: 0.7 for 70 %, where 1 is too smooth.")
    ] = DEFAULTS.strength,
    series: Annotated[int, typer.Option(help="Which image, of a TIFF file or an OME-Zarr that holds several.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")] = False,
    skip_existing: Annotated[bool, typer.Option("--skip-existing", help="Leave outputs that exist, to go on with a broken batch.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each input.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes; errors only.")] = False,
) -> None:
    """Denoise images; results are in the images' own units.

    Prints the name of each file it wrote.  One input that fails does not stop the others.
    """
    settings_given = {
        "model": model, "axes": axes, "channel_axis": channel_axis, "sigma": sigma, "noise": noise, "device": device,
        "precision": precision, "tile_size": tile_size, "output_dtype": output_dtype, "nonfinite": nonfinite,
        "strength": strength,
    }  # fmt: skip
    with errors_end_the_program():
        settings = DEFAULTS.changed(**settings_given)
        jobs = _planned(inputs, out, overwrite, skip_existing)
        for folder in {job.target.parent for job in jobs}:
            make_folder(folder)
        denoiser = _open(settings, quiet=quiet)
        codes = []
        for number, job in enumerate(jobs, 1):
            label = f"[{number}/{len(jobs)}] {job.source.name}" if len(jobs) > 1 else job.source.name
            record, code = _report(job, series, settings, denoiser, ProgressLine(label, quiet=quiet), quiet=quiet)
            codes.append(code)
            if as_json:
                print_json(record)
            elif record["status"] == "done":
                print(job.target, flush=True)
    if any(codes):
        raise typer.Exit(UNUSABLE if set(codes) == {UNUSABLE} else FAILED)


def _planned(inputs: list[Path], out: Path, overwrite: bool, skip_existing: bool) -> list[Job]:
    from napari_ne_denoise.cli.jobs import plan_jobs

    try:
        return plan_jobs(inputs, out, overwrite=overwrite, skip_existing=skip_existing)
    except FileError as error:  # nothing was tried yet
        say(f"error: {error}")
        raise typer.Exit(UNUSABLE) from None


def _open(settings: DenoiseSettings, *, quiet: bool) -> Denoiser:
    """Open the model and find the device once, before any image is read."""
    from napari_ne_denoise.core.device import choose_device, list_devices
    from napari_ne_denoise.core.inference import load_denoiser

    chosen = choose_device(settings.device)
    if settings.device == "auto" and not quiet:
        for report in list_devices():
            if report.problem is not None:
                say(f"note: {report.label} is not used, {chosen} is: {report.problem}")
    return load_denoiser(settings.model_name)


def _report(
    job: Job, series: int, settings: DenoiseSettings, denoiser: Denoiser, line: ProgressLine, *, quiet: bool
) -> tuple[dict[str, Any], int]:
    """Denoise one file; what is to be said of it, and its exit code."""
    record: dict[str, Any] = {"input": str(job.source), "output": str(job.target)}
    if job.skipped:
        if not quiet:
            say(f"note: {job.source}: skipped, since {job.target} exists")
        return record | {"status": "skipped"}, 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            record |= {"status": "done"} | _denoise_file(job, series, settings, denoiser, line)
            code = 0
        except NEDenoiseError as error:
            record |= {"status": "failed", "error": str(error), "error_type": type(error).__name__}
            code = UNUSABLE if isinstance(error, SettingsError) else FAILED
        except Exception as error:  # a mistake of ours in one image must not cost the rest of a night's batch
            record |= {"status": "failed", "error": f"unexpected: {error!r}", "error_type": type(error).__name__}
            code = FAILED
            say(traceback.format_exc())
    record["warnings"] = [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]
    _tell(record, quiet=quiet)
    return record, code


def _tell(record: dict[str, Any], *, quiet: bool) -> None:
    source = record["input"]
    if not quiet:
        for kind, texts in (("note", record.get("notes", [])), ("warning", record["warnings"])):
            for text in texts:
                say(f"{kind}: {source}: {text}")
    if "error" in record:
        # errors about files begin with the file's name
        say(
            f"error: {record['error']}" if record["error"].startswith((source, record["output"])) else f"error: {source}: {record['error']}"
        )


def _denoise_file(job: Job, series: int, settings: DenoiseSettings, denoiser: Denoiser, line: ProgressLine) -> dict[str, Any]:
    from napari_ne_denoise.core.inference import prepare_denoising
    from napari_ne_denoise.core.io import check_target, is_zarr, letters_for, read_image

    started = time.perf_counter()
    image = read_image(job.source, series)
    axes = _axes(image, settings)
    run = prepare_denoising(image.pixels, settings, model=denoiser, axes=axes)
    written = (axes or letters_for(image.pixels.ndim, run.layout.rows, run.layout.columns, settings.channel_axis)).upper()
    check_target(job.target, run.dtype, written)
    named = replace(image, axes=written)
    provenance = (_stream if is_zarr(job.target) else _write)(run, named, job, line)
    seconds = time.perf_counter() - started
    return {"seconds": round(seconds, 3), "axes": written, "notes": [*image.notes, *_unnamed(written)], "provenance": provenance}


def _write(run: DenoisingRun, image: ImageFile, job: Job, line: ProgressLine) -> dict[str, Any]:
    """Denoise in memory, then write; the record of it."""
    from napari_ne_denoise.core.io import write_image

    result = collect(run, line)
    provenance = _with_source(run.provenance, job.source, image)
    write_image(job.target, replace(image, pixels=result, provenance=provenance), overwrite=job.overwrite)
    return provenance


def _stream(run: DenoisingRun, image: ImageFile, job: Job, line: ProgressLine) -> dict[str, Any]:
    """Denoise into an OME-Zarr, so that neither the image nor its result need fit into memory; the record of it."""
    from napari_ne_denoise.core.io import writing_parts

    with writing_parts(job.target, image, run.dtype, overwrite=job.overwrite) as parts:
        drain(run, line, parts.put)
        provenance = _with_source(run.provenance, job.source, image)
        parts.image = replace(image, provenance=provenance)
    return provenance


def _axes(image: ImageFile, settings: DenoiseSettings) -> str | None:
    """What the user says of the axes, else what the file says; None if neither does, or they contradict each other."""
    from napari_ne_denoise.core.io import with_channels

    if settings.axes is not None or image.axes is None or settings.channel_axis is None:
        return settings.axes or image.axes
    return with_channels(image.axes, settings.channel_axis)


def _unnamed(axes: str) -> list[str]:
    """What to say of axes whose meaning neither the file nor the user told."""
    unknown = [number for number, letter in enumerate(axes) if letter not in "TZCYXS"]
    if not unknown:
        return []
    better = "".join("Z" if number in unknown else letter for number, letter in enumerate(axes))
    example = better if len(unknown) == 1 else "TZYX"
    return [f"the file does not say what its axis {', '.join(map(str, unknown))} is; tell with --axes, such as {example}"]


def _with_source(provenance: dict[str, Any], source: Path, image: ImageFile) -> dict[str, Any]:
    """The record of this run, and in it those of the runs that made its input."""
    earlier = {"provenance": image.provenance} if image.provenance else {}
    return provenance | {"input": provenance["input"] | {"file": source.name} | earlier}
