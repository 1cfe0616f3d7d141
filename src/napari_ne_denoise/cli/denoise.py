"""``denoise IN… -o OUT``."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from napari_ne_denoise.cli.console import (
    FAILED,
    UNUSABLE,
    errors_end_the_program,
    folders_for_results,
    print_json,
    said_in_options,
    say,
    with_files,
)
from napari_ne_denoise.cli.options import Axes, ChannelAxis, Device, Series, noise_of
from napari_ne_denoise.cli.progress import LineOfAll, Lines
from napari_ne_denoise.core.errors import FileError, NEDenoiseError, SettingsError
from napari_ne_denoise.core.settings import DEFAULTS, DenoiseSettings, HotPixels, Noise, Nonfinite, OutputDtype, Precision

if TYPE_CHECKING:
    from napari_ne_denoise.core.batch.events import JobAdvanced, JobBegun, JobEnded
    from napari_ne_denoise.core.batch.jobs import Job, Share
    from napari_ne_denoise.core.inference import Denoiser


def _choices(literal: Any) -> str:
    return ", ".join(get_args(literal))


def denoise(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="IN...", help="TIFF, OME-TIFF, ImageJ TIFF, PNG, JPEG or NPY files, OME-Zarr, or plates of it.", show_default=False
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="OUT", help="A file (.ome.tif, .tif, .npy, .png, .ome.zarr) for one input, else a folder."),
    ],
    model: Annotated[str, typer.Option(help="Name of a model (see: models list) or path of a weight file.")] = DEFAULTS.model_name,
    axes: Axes = DEFAULTS.axes,
    channel_axis: ChannelAxis = DEFAULTS.channel_axis,
    sigma: Annotated[float | None, typer.Option(help="The noise's standard deviation, for models that need it.")] = DEFAULTS.sigma,
    noise: Annotated[
        str,
        typer.Option(
            help=f"What is done about noise before the network: {_choices(Noise)}, or a microscope profile (.json), or the JSON of noise."
        ),
    ] = str(DEFAULTS.noise),
    device: Device = DEFAULTS.device,
    precision: Annotated[str, typer.Option(help=f"Of the arithmetic: {_choices(Precision)}.")] = DEFAULTS.precision,
    tile_size: Annotated[int | None, typer.Option(help="Side of a tile in pixels.  [default: by free memory]")] = DEFAULTS.tile_size,
    output_dtype: Annotated[str, typer.Option(help=f"Of the result: {_choices(OutputDtype)}.")] = DEFAULTS.output_dtype,
    nonfinite: Annotated[str, typer.Option(help=f"NaN and infinities: {_choices(Nonfinite)}.")] = DEFAULTS.nonfinite,
    strength: Annotated[
        float, typer.Option(help="How much of what denoising changes is changed: 0.7 for 70 %, where 1 is too smooth.")
    ] = DEFAULTS.strength,
    hot_pixels: Annotated[
        str, typer.Option(help=f"Pixels of the detector that are stuck, and stay bright dots if kept: {_choices(HotPixels)}.")
    ] = DEFAULTS.hot_pixels,
    std: Annotated[
        bool, typer.Option("--std", help="Write error bars too, in OUT_std: the standard deviation of each pixel's error, in image units.")
    ] = False,
    series: Series = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")] = False,
    skip_existing: Annotated[bool, typer.Option("--skip-existing", help="Leave outputs that exist, to go on with a broken batch.")] = False,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N", help="Do the I-th of N shares: of the files, in the order of their names, or of the parts of one OME-Zarr."
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Compute on the workers of a dask scheduler: tcp://HOST:PORT, or its file (.json)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each input.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes; errors only.")] = False,
) -> None:
    """Denoise images; results are in the images' own units.

    Prints the name of each file it wrote.  One input that fails does not stop the others.  After it was broken off, however abruptly, the
    same command goes on.
    """
    from napari_ne_denoise.core.batch.jobs import Share
    from napari_ne_denoise.core.io import images_in

    inputs = [image for path in inputs for image in images_in(path)]
    settings_given = {
        "model": model, "axes": axes, "channel_axis": channel_axis, "sigma": sigma, "noise": noise, "device": device,
        "precision": precision, "tile_size": tile_size, "output_dtype": output_dtype, "nonfinite": nonfinite,
        "strength": strength, "hot_pixels": hot_pixels,
    }  # fmt: skip
    with errors_end_the_program():
        settings = DEFAULTS.changed(**settings_given | {"noise": noise_of(noise)})
        share = None if shard is None else Share.parse(shard)
        of_files, of_parts = (share, None) if len(inputs) > 1 else (None, share)
        jobs = _planned(inputs, out, overwrite, skip_existing, of_files, with_std=std)
        _check_shared(jobs, of_parts, scheduler)
        denoiser = _open(settings, quiet=quiet or scheduler is not None)
        codes = []
        with folders_for_results({job.target.parent for job in jobs}, shared=share is not None):
            for record, code in _outcomes(jobs, series, settings, denoiser, of_parts, scheduler, with_std=std, quiet=quiet):
                codes.append(code)
                if as_json:
                    print_json(record)
                elif record["status"] == "done":
                    print(record["output"], *([record["std"]] if std else []), sep="\n", flush=True)
    if any(codes):
        if len(jobs) > 1 and not quiet:
            say(f"{sum(map(bool, codes))} of {len(jobs)} failed")
        raise typer.Exit(UNUSABLE if set(codes) == {UNUSABLE} else FAILED)


def _planned(inputs: list[Path], out: Path, overwrite: bool, skip_existing: bool, share: Share | None, *, with_std: bool) -> list[Job]:
    from napari_ne_denoise.core.batch.jobs import plan_jobs

    try:
        return plan_jobs(inputs, out, overwrite=overwrite, skip_existing=skip_existing, share=share, with_std=with_std)
    except FileError as error:  # nothing was tried yet
        say(f"error: {said_in_options(error)}")
        raise typer.Exit(UNUSABLE) from None


def _check_shared(jobs: list[Job], share: Share | None, scheduler: str | None) -> None:
    from napari_ne_denoise.core.io import is_zarr

    if share is not None and scheduler is not None:
        raise SettingsError(f"--scheduler with --shard {share}: the workers share one image already; leave one of them out.")
    if share is not None and not is_zarr(jobs[0].target):
        raise SettingsError(
            f"--shard {share}: a single file is shared by several jobs only if its result is an OME-Zarr, into which all can write; "
            "end OUT in .ome.zarr, or give several files."
        )


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


def _outcomes(
    jobs: Sequence[Job],
    series: int,
    settings: DenoiseSettings,
    denoiser: Denoiser,
    share: Share | None,
    scheduler: str | None,
    *,
    with_std: bool,
    quiet: bool,
) -> Iterator[tuple[dict[str, Any], int]]:
    """Denoise all files; of each what is to be said of it, and its exit code."""
    from napari_ne_denoise.core.batch.events import JobEnded
    from napari_ne_denoise.core.batch.run import run_jobs

    if scheduler is None:
        lines, events = Lines(jobs, quiet=quiet), run_jobs(jobs, settings, denoiser, series, share, with_std=with_std)
    else:
        lines, events = (
            LineOfAll(jobs, quiet=quiet, with_std=with_std),
            _on_cluster(scheduler, jobs, settings, denoiser, series, with_std=with_std, quiet=quiet),
        )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for event in events:
            lines.show(event)
            if isinstance(event, JobEnded):
                record = _in_words(event.record, event.error) | {
                    "warnings": [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]
                }
                caught.clear()
                _tell(record, event.error, quiet=quiet)
                yield record, _exit_code(event.error)


def _on_cluster(
    scheduler: str, jobs: Sequence[Job], settings: DenoiseSettings, denoiser: Denoiser, series: int, *, with_std: bool, quiet: bool
) -> Iterator[JobBegun | JobAdvanced | JobEnded]:
    from napari_ne_denoise.core.batch.cluster import connected, run_jobs_on

    with connected(scheduler) as client:
        if not quiet:
            threads = client.nthreads()
            waiting = "" if threads else "; waiting for one"
            say(f"note: workers: {len(threads)}, threads: {sum(threads.values())}{waiting}")
        yield from run_jobs_on(client, jobs, settings, denoiser, series, with_std=with_std)


def _in_words(record: dict[str, Any], error: Exception | None) -> dict[str, Any]:
    """A record with what the command line can do about it."""
    from napari_ne_denoise.core.batch.events import say_unnamed

    if isinstance(error, NEDenoiseError):
        return record | {"error": said_in_options(error)}
    unnamed = say_unnamed(record, "tell with --axes")
    return record | {"notes": [*record["notes"], *unnamed]} if unnamed else record


def _exit_code(error: Exception | None) -> int:
    if error is None:
        return 0
    return UNUSABLE if isinstance(error, SettingsError) else FAILED


def _tell(record: dict[str, Any], error: Exception | None, *, quiet: bool) -> None:
    source = record["input"]
    if error is not None and not isinstance(error, NEDenoiseError):
        say("".join(traceback.format_exception(error)))
    if not quiet:
        if record["status"] == "skipped" and not record.get("notes"):
            say(f"note: {source}: skipped, since {record['output']} exists")
        for kind, texts in (("note", record.get("notes", [])), ("warning", record["warnings"])):
            for text in texts:
                say(f"{kind}: {source}: {text}")
    if "error" in record:
        # errors about files begin with the file's name
        said = with_files(record["error"], image=source)
        say(f"error: {said}" if said.startswith((source, record["output"])) else f"error: {source}: {said}")
