"""The models that can be asked for by name."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from napari_ne_denoise.core.errors import ModelError

PACKAGE_FOLDER = Path(str(files("napari_ne_denoise.core.models")))


@dataclass(frozen=True)
class ModelRow:
    """One row of models.toml.

    Attributes
    ----------
    name, summary, licence, architecture
        What it is called, what it is for, under which licence, and which network it is.
    equivariance
        "ordinary", "scale-equiv" or "norm-equiv".
    blind
        Whether it works without a noise level.
    file
        Name of the packaged weight file, or None if the model is fetched.
    url
        Where it is fetched from, or None if it is packaged.
    sha256
        Of the file; None if nobody published one.
    half_errors
        As in `ModelCard`, where the file's own card has none.
    """

    name: str
    summary: str
    licence: str
    architecture: str
    equivariance: str
    blind: bool
    file: str | None = None
    url: str | None = None
    sha256: str | None = None
    half_errors: dict[str, float] = field(default_factory=dict)

    @property
    def packaged(self) -> bool:
        """Whether the weights are inside the package."""
        return self.file is not None

    @property
    def mode(self) -> str | None:
        """What `read_model` must be told, since some published files do not say it themselves."""
        return None if self.equivariance == "ordinary" else self.equivariance


@lru_cache(maxsize=1)
def list_models() -> tuple[ModelRow, ...]:
    """All registered models, packaged ones first."""
    rows = tomllib.loads((PACKAGE_FOLDER / "models.toml").read_text(encoding="utf8"))["model"]
    return tuple(ModelRow(**row) for row in rows)


def find_model(name: str) -> ModelRow:
    """The row of one model.

    Raises
    ------
    ModelError
        If there is none of that name; the message names those there are.
    """
    for row in list_models():
        if row.name == name:
            return row
    names = ", ".join(row.name for row in list_models())
    raise ModelError(f"model={name!r}: no such model or file; there are {names}, or give the path of a weight file.")
