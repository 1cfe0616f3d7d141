"""The record of how a result was made; it travels in layer metadata and in files."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from napari_ne_denoise.core.errors import one_line
from napari_ne_denoise.core.settings import DenoiseSettings

# the key under which layers and files carry the record
KEY = "napari-ne-denoise"


def record(
    settings: DenoiseSettings, *, shape: tuple[int, ...], dtype: str, decided: dict[str, Any], model: dict[str, Any]
) -> dict[str, Any]:
    """Plain values that JSON can hold and that repeat the run.

    Parameters
    ----------
    settings
        What was asked for.
    shape, dtype
        Of the input.
    decided
        What "auto" became: device, precision, tile size, output dtype.
    model
        What identifies the model: name, SHA-256, equivariance.
    """
    return {
        "program": KEY,
        "version": package_version(KEY),
        "torch": package_version("torch"),
        "python": platform.python_version(),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "input": {"shape": list(shape), "dtype": dtype},
        "settings": settings.as_record(),
        "decided": decided,
        "model": model,
    }


@cache
def package_version(name: str) -> str:
    """The installed version of a package, or "unknown"."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def said_of_result(found: object) -> str | None:
    """What a record tells of the result that carries it, such as "fast, 2026-11-25"; None if it is none of a result.

    It may be from anybody's file, and hold anything.
    """
    if not (isinstance(found, Mapping) and found.get("program") == KEY and isinstance(found.get("settings"), Mapping)):
        return None
    model = found.get("model")
    told = (model.get("name") if isinstance(model, Mapping) else None, found.get("made"))
    return ", ".join(one_line(text)[:length] for text, length in zip(told, (60, 10), strict=True) if isinstance(text, str)) or "of no name"


def said_of_measurement(found: object) -> str | None:
    """What the file holds that carries a record, such as "the map error", where it is no image; None if it may be one."""
    if not (isinstance(found, Mapping) and found.get("program") == KEY):
        return None
    if isinstance(name := found.get("map"), str):
        return f"the map {one_line(name)[:60]}"
    return "filters of pixels" if "filters" in found else None
