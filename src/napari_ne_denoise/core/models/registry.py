"""The models that can be asked for by name."""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from napari_ne_denoise.core.errors import ModelError, one_line
from napari_ne_denoise.core.settings import DEFAULTS

PACKAGE_FOLDER = Path(str(files("napari_ne_denoise.core.models")))
ORDINARY_TWIN = "ordinary-twin"  # trained on the same data in the same way, but keeps no law: to compare with


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
    half_errors, gaussian_only
        As in `ModelCard`, where the file's own card says nothing.
    quality
        How good its results are, in a few words; empty where there is nothing to say.
    seconds_per_megapixel
        In float32 on two processor cores, as measured; None where it was not.
    relative_cost
        Time over that of the default model, turn by turn on one machine; None where it was not measured.
    comparison_only
        Whether it is there to show what another law or training does, and not for results.
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
    gaussian_only: bool = False
    quality: str = ""
    seconds_per_megapixel: float | None = None
    relative_cost: float | None = None
    comparison_only: bool = False

    @property
    def speed(self) -> str:
        """How long it takes, in a few letters that fit a form's box; empty where that was not measured."""
        if self.relative_cost is not None:
            digits = 0 if self.relative_cost >= 2 else 1
            return f"{self.relative_cost:.{digits}f}× the time of {DEFAULTS.model}"
        if self.seconds_per_megapixel is not None:
            return f"{self.seconds_per_megapixel:.1g} s/MPix"
        return ""

    @property
    def character(self) -> str:
        """What to choose it by, in one line: quality and speed as far as they are known, or that it is for comparison."""
        return "only to compare with" if self.comparison_only else ", ".join(filter(None, (self.quality, self.speed)))

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
    return read_registry(PACKAGE_FOLDER / "models.toml")


def read_registry(path: Path) -> tuple[ModelRow, ...]:
    """The rows of a table of models.

    Raises
    ------
    ModelError
        If it is none, or a row is not as `ModelRow` says.
    """
    try:
        rows = tuple(ModelRow(**row) for row in tomllib.loads(path.read_text(encoding="utf8"))["model"])
        for row in rows:
            _check_row(row)
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: is no table of models ({one_line(str(error))}); reinstall napari-ne-denoise.") from error
    return rows


def _check_row(row: ModelRow) -> None:
    texts = (row.name, row.summary, row.licence, row.architecture, row.equivariance, row.quality, row.file or "", row.url or "")
    numbers = (*row.half_errors.values(), row.seconds_per_megapixel or 0.0, row.relative_cost or 0.0)
    if not all(isinstance(text, str) for text in texts) or not all(isinstance(number, int | float) for number in numbers):
        raise TypeError(f"{row.name!r} has a value of another kind than it must be")
    if not all(0 <= number < math.inf for number in numbers):
        raise ValueError(f"{row.name!r} has a number below zero, or none")
    if not row.name or bool(row.file) == bool(row.url):
        raise ValueError(f"{row.name!r} must have a file or a url, and not both")
    if row.file and Path(row.file).name != row.file:
        raise ValueError(f"{row.name!r} has the file {row.file!r}, which is outside the package")
    if row.url and not (row.url.startswith("https://") and PurePosixPath(urlsplit(row.url).path).name):
        raise ValueError(f"{row.name!r} has the url {row.url!r}, and only https:// is fetched from")
    if row.sha256 is not None and not (isinstance(row.sha256, str) and re.fullmatch("[0-9a-f]{64}", row.sha256)):
        raise ValueError(f"{row.name!r} has the SHA-256 {row.sha256!r}")


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
