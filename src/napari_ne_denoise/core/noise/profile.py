"""Microscope profiles: what is known of the noise of a microscope, kept in a small file, for all images that it takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from napari_ne_denoise.core.errors import FileError, one_line
from napari_ne_denoise.core.io import complete_or_absent
from napari_ne_denoise.core.noise.learned import LearnedNoise
from napari_ne_denoise.core.noise.model import NoiseModel
from napari_ne_denoise.core.provenance import KEY

FORM = 1  # of the file
LARGEST = 2**24  # bytes; a profile has some thousand


@dataclass(frozen=True)
class Profile:
    """What is known of the noise of a microscope.

    Attributes
    ----------
    name
        Of the microscope and how it was set.
    made
        When, as ISO 8601.
    noise
        In the units of its images.
    """

    name: str
    made: str
    noise: NoiseModel | LearnedNoise

    def as_record(self) -> dict[str, Any]:
        """Of the noise alone, which repeats a run."""
        return self.noise.as_record()


def noise_from_record(record: Mapping[str, Any]) -> NoiseModel | LearnedNoise:
    """What `as_record` of either gave.

    Raises
    ------
    TypeError, ValueError, KeyError
        If the record is of something else.
    """
    try:
        return LearnedNoise.from_record(record) if "levels" in record else NoiseModel.from_record(record)
    except (AttributeError, OverflowError) as error:  # of lists instead of tables, and of numbers that no float can hold
        raise ValueError(one_line(str(error))) from error


def write_profile(path: Path, name: str, noise: NoiseModel | LearnedNoise) -> Profile:
    """Keep the noise of a microscope as a file of JSON, written under a temporary name that is then moved.

    Raises
    ------
    FileError
        If it cannot be written.
    """
    profile = Profile(name, datetime.now(UTC).isoformat(timespec="seconds"), noise)
    record = {"program": KEY, "form": FORM, "name": profile.name, "made": profile.made, "noise": noise.as_record()}
    try:
        with complete_or_absent(path) as temporary:
            temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf8")
    except OSError as error:
        raise FileError(f"{path}: cannot be written ({error.strerror or error}); give another folder.") from error
    return profile


def read_profile(path: Path) -> Profile:
    """The noise that `write_profile` kept.

    Raises
    ------
    FileError
        If there is no such file, or it is of something else.
    """
    try:
        if not path.is_file() and path.exists():  # a pipe would be waited for
            raise FileError(f"{path}: is no file; give a microscope profile, a file of JSON.")
        if path.stat().st_size > LARGEST:
            raise FileError(f"{path}: has more than {LARGEST} bytes; give a microscope profile, a small file of JSON.")
        record = json.loads(path.read_text(encoding="utf8"))
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror or error}); give a microscope profile, a file of JSON.") from error
    except FileError:
        raise
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path}: is no JSON ({one_line(str(error))}); give a microscope profile.") from error
    if not isinstance(record, dict) or record.get("program") != KEY or record.get("form") != FORM:
        raise FileError(f"{path}: is no microscope profile of this version of {KEY}; make one with napari-ne-denoise noise --profile.")
    try:
        return Profile(str(record["name"]), str(record["made"]), noise_from_record(record["noise"]))
    except (KeyError, TypeError, ValueError) as error:
        raise FileError(f"{path}: is a damaged microscope profile ({one_line(repr(error))}); make it again.") from error
