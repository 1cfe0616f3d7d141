"""``demo``: denoise the real noisy image that comes with the package, and look inside."""

from __future__ import annotations

import time
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_ne_denoise.cli.console import ProgressLine, collect, errors_end_the_program, make_folder, say
from napari_ne_denoise.cli.options import BlindModel, Device, Quiet
from napari_ne_denoise.core.settings import DEFAULTS

if TYPE_CHECKING:
    import numpy as np

    from napari_ne_denoise.core.inference import Denoiser
    from napari_ne_denoise.core.io import ImageFile
    from napari_ne_denoise.core.run import DenoisingRun

FOLDER = Path("napari-ne-denoise-demo")
ON_A_FILAMENT = (204, 246)  # row, column
SUPPORT = 41  # pixels of the filter's picture, each drawn as a square of ENLARGED
ENLARGED = 10


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where the pictures go.")] = FOLDER,
    model: BlindModel = DEFAULTS.model_name,
    device: Device = DEFAULTS.device,
    quiet: Quiet = False,
) -> None:
    """Denoise a real fluorescence image of actin, and draw what was removed and how one pixel was made."""
    with errors_end_the_program():
        from napari_ne_denoise.core.inference import load_denoiser, prepare_denoising

        noisy, clean = _sample("actin_noisy.tif"), _sample("actin_clean.tif")
        denoiser = load_denoiser(model)
        run = prepare_denoising(noisy.pixels, model=denoiser, device=device)
        if not quiet:
            say(f"note: denoising {noisy.name} with {denoiser.name} on {run.device}")
        started = time.perf_counter()
        result = collect(run, ProgressLine(noisy.name, quiet=quiet))
        seconds = time.perf_counter() - started
        if not quiet:
            say("note: measuring the law, and the filter of one pixel")
        error = _law_error(denoiser, noisy.pixels)
        make_folder(out)
        pictures = _draw(out, noisy.pixels, result, clean.pixels)
        filter_picture = _draw_filter(out, noisy.pixels, result, denoiser)
        image = _write_result(out, noisy, result, run)
    print(f"{run.shape[0]} × {run.shape[1]} pixels in {seconds:.2f} s, {result.size / 1e6 / seconds:.2g} MPix/s on {run.device}")
    print(f"f(λy + μ) = λf(y) + μ holds to {error:.0e} of the result's standard deviation ({denoiser.equivariance})")
    before, after = _psnr(noisy.pixels, clean.pixels), _psnr(result, clean.pixels)
    print(f"PSNR against the long exposure, gain and offset fitted: {before:.2f} dB before, {after:.2f} dB after")
    print(f"filter.png shows how the pixel in row {ON_A_FILAMENT[0]}, column {ON_A_FILAMENT[1]} was made: red was added, blue subtracted")
    print("side_by_side.png shows noisy, denoised, what was removed, and the long exposure")
    for path in (*pictures, filter_picture, image):
        print(path.resolve())


def _sample(name: str) -> ImageFile:
    from napari_ne_denoise.core.io import read_image

    with as_file(files("napari_ne_denoise") / "sample_data" / name) as path:
        return read_image(path)


def _law_error(denoiser: Denoiser, image: np.ndarray) -> float:
    from napari_ne_denoise.core.equivariance import measure_equivariance

    middle = tuple(slice(length // 2 - 128, length // 2 + 128) for length in image.shape)
    return measure_equivariance(denoiser.without_numerics, image[middle], scales=(1e3,), shifts=(-100.0,)).both


def _draw(out: Path, noisy: np.ndarray, result: np.ndarray, clean: np.ndarray) -> list[Path]:
    """All with the contrast of the noisy image, but for the long exposure, which was scaled on its own."""
    import numpy as np

    from napari_ne_denoise.core.metrics import fit_gain_and_offset
    from napari_ne_denoise.core.pictures import grey, save, side_by_side, signed

    low, high = (float(value) for value in np.percentile(noisy, (0.1, 99.9)))
    removed = noisy - result
    pictures = {
        "noisy": grey(noisy, low, high),
        "denoised": grey(result, low, high),
        "removed": signed(removed, float(np.percentile(np.abs(removed), 99.5))),
        "long_exposure": grey(fit_gain_and_offset(clean, result), low, high),
    }
    pictures["side_by_side"] = side_by_side(list(pictures.values()))
    paths = [out / f"{name}.png" for name in pictures]
    for path, picture in zip(paths, pictures.values(), strict=True):
        save(path, picture)
    return paths


def _draw_filter(out: Path, noisy: np.ndarray, result: np.ndarray, denoiser: Denoiser) -> Path:
    """The surroundings of a pixel, and beside them the filter that made it."""
    import numpy as np

    from napari_ne_denoise.core.jacobian.filters import adaptive_filter
    from napari_ne_denoise.core.jacobian.weights import centred
    from napari_ne_denoise.core.pictures import enlarged, grey, save, side_by_side, signed

    found = adaptive_filter(noisy, ON_A_FILAMENT, model=denoiser, support=SUPPORT)
    window = tuple(slice(at - SUPPORT // 2, at - SUPPORT // 2 + SUPPORT) for at in ON_A_FILAMENT)
    around, weights = result[window], centred(found, ON_A_FILAMENT, SUPPORT)
    drawn = grey(around, float(around.min()), float(around.max())), signed(weights, float(np.abs(weights).max()))
    path = out / "filter.png"
    save(path, side_by_side([enlarged(picture, ENLARGED) for picture in drawn]))
    return path


def _write_result(out: Path, noisy: ImageFile, result: np.ndarray, run: DenoisingRun) -> Path:
    from dataclasses import replace

    from napari_ne_denoise.core.io import write_image

    path = out / "actin_denoised.ome.tif"
    write_image(path, replace(noisy, pixels=result, provenance=run.provenance), overwrite=True)
    return path


def _psnr(image: np.ndarray, clean: np.ndarray) -> float:
    from napari_ne_denoise.core.metrics import fit_gain_and_offset, psnr

    return psnr(fit_gain_and_offset(image, clean), clean, float(clean.max()) - float(clean.min()))
