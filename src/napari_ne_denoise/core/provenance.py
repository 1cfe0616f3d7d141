"""The record of how a result was made; it travels in layer metadata and in files."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

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


def package_version(name: str) -> str:
    """The installed version of a package, or "unknown"."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
