"""What a report about a fault needs: versions, devices, memory, models, folders, and whether denoising works at all.

No secrets are in it: of a proxy only that there is one, and the home folder is written ~.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_ne_denoise.core.device import choose_device, list_devices
from napari_ne_denoise.core.equivariance import measure_equivariance
from napari_ne_denoise.core.errors import NEDenoiseError
from napari_ne_denoise.core.inference import Denoiser, load_denoiser
from napari_ne_denoise.core.io import read_image
from napari_ne_denoise.core.memory import free_memory_of_machine, in_words
from napari_ne_denoise.core.models.fetch import CACHE_VARIABLE, cache_folder, is_here, verify
from napari_ne_denoise.core.models.registry import PACKAGE_FOLDER, list_models
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.core.settings import DEFAULT_MODEL

PACKAGES = (
    KEY, "napari", "npe2", "magicgui", "qtpy", "superqt", "pyqtgraph", "torch", "numpy", "scipy", "scikit-image", "dask", "tifffile",
    "imagecodecs", "safetensors", "pydantic", "typer", "requests",
)  # fmt: skip
QT_BINDINGS = ("PyQt6", "PySide6", "PyQt5", "PySide2")
# what each extra of ours installs, as far as a user needs it
EXTRAS = {"zarr": ("zarr", "yaozarrs"), "cluster": ("distributed",), "bench": ("matplotlib", "PyWavelets")}
PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")

SAMPLE, PART = "actin_noisy.tif", slice(192, 320)  # rows and columns of the sample that are denoised
# standard deviation of the result of that part by the default model, and its pixels 16 apart on the diagonal, as `doctor --json` tells them
EXPECTED_STD = 36.7203
EXPECTED_PIXELS = (132.498, 77.296, 91.381, 123.561, 112.491, 86.378, 91.108, 73.479)
TOLERANCE = 0.01  # of that standard deviation; other processors round differently
LAW_KEPT = 1e-6  # an error below this is one of arithmetic


def examine() -> dict[str, Any]:
    """Look at everything, in seconds; plain values that JSON can hold.

    Returns
    -------
    dict
        "versions", "machine", "devices", "folders", "models", "extras", "network" and "checks"; and "problems", a sentence for each thing
        that keeps this program from doing its work.
    """
    report: dict[str, Any] = {
        "versions": _versions(),
        "machine": _machine(),
        "devices": [{"name": each.name, "label": each.label, "problem": each.problem} for each in list_devices()],
        "folders": {"models": _folder(cache_folder()), "package": _folder(PACKAGE_FOLDER)},
        "models": [_model(row.name) for row in list_models() if is_here(row) or row.packaged],
        "extras": {name: _missing(name, packages) for name, packages in EXTRAS.items()},
        "network": {name: "set" for name in (*PROXIES, CACHE_VARIABLE) if os.environ.get(name) or os.environ.get(name.lower())},
        "checks": _checks(),
    }
    report["problems"] = list(_problems(report))
    return {heading: _without_home(found) for heading, found in report.items()}


def as_text(report: Mapping[str, Any]) -> str:
    """The report as lines of two columns, to be read and to be pasted."""
    rows = [row for heading in _WORDS for row in ((heading, ""), *((f"  {name}", text) for name, text in _WORDS[heading](report[heading])))]
    rows.append(("problems", "; ".join(report["problems"]) or "none"))
    width = max(len(name) for name, _ in rows)
    return "".join(f"{name.ljust(width)}  {text}".rstrip() + "\n" for name, text in rows)


def _plain_words(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from ((name, str(value)) for name, value in found.items())


def _words_of_devices(found: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    yield from ((each["name"], f"{each['label']}: {each['problem'] or 'works'}") for each in found)


def _words_of_folders(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, each in found.items():
        state, free = "there" if each["exists"] else "not there yet", each["free"] or "nobody knows how much"
        yield name, f"{each['path']}, {state}, {'writable' if each['writable'] else 'read-only'}, {free} free"


def _words_of_models(found: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for each in found:
        yield each["name"], each["state"] if each["sha256"] is None else f"{each['state']}, SHA-256 {each['sha256']}…"


def _words_of_checks(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, each in found.items():
        where = f" on {each['device']}" if "device" in each else ""
        error = each["error"] if isinstance(each["error"], str) else f"error {each['error']:.1e}"
        yield name, f"{'as it should be' if each['kept'] else 'WRONG'}{where}, {error}"


_WORDS: dict[str, Callable[[Any], Iterator[tuple[str, str]]]] = {
    "versions": _plain_words,
    "machine": _plain_words,
    "devices": _words_of_devices,
    "folders": _words_of_folders,
    "models": _words_of_models,
    "extras": _plain_words,
    "network": _plain_words,
    "checks": _words_of_checks,
}


def _versions() -> dict[str, str]:
    bindings = [f"{name} {found}" for name in QT_BINDINGS if (found := _version(name)) is not None]
    others = {name: _version(name) or "missing" for name in PACKAGES}
    return {
        "python": platform.python_version(),
        "system": f"{platform.platform()}, {platform.machine()}",
        **others,
        "qt binding": ", ".join(bindings) or "missing",
        "extras": ", ".join(f"{name} {_version(name)}" for names in EXTRAS.values() for name in names if _version(name)) or "none",
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _machine() -> dict[str, Any]:
    return {
        "processors": os.cpu_count(),
        "threads of torch": torch.get_num_threads(),
        "torch is built for": _built_for(),
        **{name: os.environ[name] for name in THREADS if os.environ.get(name)},
        "free memory": in_words(free_memory_of_machine()),
        "executable": sys.executable,
    }


def _built_for() -> str:
    if torch.version.cuda:
        return f"CUDA {torch.version.cuda}"
    return f"ROCm {torch.version.hip}" if torch.version.hip else "CPU"


def _folder(folder: Path) -> dict[str, Any]:
    # of a drive that is missing, or a share that is away, nothing is there
    there = next((parent for parent in (folder, *folder.parents) if os.path.exists(parent)), None)
    try:
        free = None if there is None else in_words(shutil.disk_usage(there).free)
    except OSError:
        free = None
    writable = there is not None and os.access(there, os.W_OK)
    return {"path": str(folder), "exists": os.path.isdir(folder), "writable": writable, "free": free}


def _model(name: str) -> dict[str, Any]:
    row = next(row for row in list_models() if row.name == name)
    try:
        return {"name": name, "sha256": verify(row)[:16], "state": "as known" if row.sha256 else "as first seen"}
    except NEDenoiseError as error:
        return {"name": name, "sha256": None, "state": str(error)}


def _missing(extra: str, packages: tuple[str, ...]) -> str:
    missing = [name for name in packages if _version(name) is None]
    return f'{", ".join(missing)} missing; pip install "{KEY}[{extra}]"' if missing else "installed"


def _checks() -> dict[str, Any]:
    """Whether the default model keeps its law, and denoises the sample that comes with the package as it should."""
    try:
        denoiser, sample = load_denoiser(DEFAULT_MODEL), _sample()
        law = measure_equivariance(denoiser.without_numerics, sample[:64, :64], scales=(1e3,), shifts=(-100.0,)).both
        return {
            "law": {"error": law, "kept": bool(law < LAW_KEPT)},
            "sample": {"device": str(choose_device()), **_denoised(denoiser, sample)},
        }
    except (NEDenoiseError, OSError) as error:
        return {"failed": {"error": str(error), "kept": False}}


def _sample() -> np.ndarray:
    with as_file(files("napari_ne_denoise") / "sample_data" / SAMPLE) as path:
        return np.asarray(read_image(path).pixels[PART, PART])


def _denoised(denoiser: Denoiser, sample: np.ndarray) -> dict[str, Any]:
    result = denoiser(sample, precision="float32")
    pixels = np.diagonal(result)[::16].astype(float)
    off = max(abs(float(result.std()) - EXPECTED_STD), *np.abs(pixels - EXPECTED_PIXELS)) / EXPECTED_STD
    return {"error": float(off), "kept": bool(off < TOLERANCE), "std": float(result.std()), "pixels": pixels.tolist()}


def _problems(report: Mapping[str, Any]) -> Iterator[str]:
    for model in report["models"]:
        if model["sha256"] is None:
            yield model["state"]
    checks = report["checks"]
    if "failed" in checks:
        yield f"denoising does not work: {checks['failed']['error']}"
        return
    if not checks["law"]["kept"]:
        yield f"{DEFAULT_MODEL} does not keep its law: its error is {checks['law']['error']:.1e}; reinstall {KEY}, or torch"
    if not checks["sample"]["kept"]:
        yield f"the sample is not denoised as it should be on {checks['sample']['device']}: off by {checks['sample']['error']:.1e}; try cpu"
    if report["versions"]["qt binding"].count(",") > 0:
        yield f"there are several Qt bindings, which may break the window: {report['versions']['qt binding']}; keep one"
    if not report["folders"]["models"]["writable"]:
        yield f"{report['folders']['models']['path']} cannot be written to: models can be read from there, and not fetched"


def _without_home(value: Any) -> Any:
    """The same with ~ for the user's folder, whose name is nobody's business."""
    if isinstance(value, dict):
        return {key: _without_home(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_home(each) for each in value]
    home = str(Path.home())
    return value.replace(home, "~") if isinstance(value, str) and len(home) > 1 else value
