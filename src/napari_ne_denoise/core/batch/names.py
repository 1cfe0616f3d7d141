"""What lies beside a result, and how it is called."""

from __future__ import annotations

from pathlib import Path

from napari_ne_denoise.core.io import stem

STD = "_std"  # behind the name of a result: its error bars


def std_target(result: Path) -> Path:
    """Where the error bars of a result go."""
    return result.with_name(stem(result) + STD + result.name[len(stem(result)) :])
