"""What can be told of a batch while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from napari_ne_denoise.core.batch.jobs import Job

DONE, SKIPPED, FAILED, PARTLY = "done", "skipped", "failed", "partly"
ERROR_BARS = "error bars"  # a phase


@dataclass(frozen=True)
class JobBegun:
    """A file is being read.

    Attributes
    ----------
    number
        Of the job, from 0.
    job
        Which file becomes which.
    """

    number: int
    job: Job


@dataclass(frozen=True)
class JobAdvanced:
    """So many pixels of so many are finished.

    Attributes
    ----------
    number
        Of the job, from 0.
    done, total
        Pixels.
    phase
        Of what, where that is not the result: "error bars", which come after it and count from 0.
    """

    number: int
    done: int
    total: int
    phase: str = ""


@dataclass(frozen=True)
class JobEnded:
    """What became of a file.

    Attributes
    ----------
    number
        Of the job, from 0.
    record
        "input", "output", "status" ("done", "skipped", "failed", or "partly" where other jobs make the rest); of a finished one "seconds",
        "axes", "notes", "provenance" and, where nobody told what some axes are, "unnamed_axes"; of a failed one "error" and "error_type".
        Plain values that JSON can hold.
    error
        Why it failed.  None: it did not.
    """

    number: int
    record: dict[str, Any] = field(repr=False)
    error: Exception | None = None


def say_unnamed(record: dict[str, Any], remedy: str) -> list[str]:
    """What to say of axes that the record of a finished file does not name; `remedy` tells where to name them."""
    if (found := record.get("unnamed_axes")) is None:
        return []
    numbers = ", ".join(map(str, found["numbers"]))
    return [f"the file does not say what its axis {numbers} is; {remedy}, such as {found['example']}"]
