"""What a measurement found: tables and targets, kept as JSON and shown as Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.machine import Machine

RESULTS = Path(__file__).parent / "results"
# reports stand in git, so that a part can be measured again on another machine without the others being lost; single scores do not
KEPT_BY_GIT = "*\n!.gitignore\n!*.json\n"


@dataclass(frozen=True)
class Table:
    """Rows of text below a line of column names; `caption` stands above."""

    columns: list[str]
    rows: list[list[str]]
    caption: str = ""

    def lines(self) -> Iterator[str]:
        """As Markdown."""
        if self.caption:
            yield from (self.caption, "")
        yield from markdown_table(self.columns, self.rows)


@dataclass(frozen=True)
class Target:
    """What was aimed for, beside what was measured.

    Attributes
    ----------
    what
        What was measured.
    measured, limit
        In `unit`.
    at_most
        Whether `limit` is the largest value that meets the target; otherwise the smallest.
    """

    what: str
    measured: float
    limit: float
    unit: str = ""
    at_most: bool = True

    @property
    def met(self) -> bool:
        """Whether the target was met."""
        return self.measured <= self.limit if self.at_most else self.measured >= self.limit

    @property
    def row(self) -> list[str]:
        """What, limit, measured, met: as text."""
        sign = "≤" if self.at_most else "≥"
        return [
            self.what,
            _with_unit(f"{sign} {self.limit:g}", self.unit),
            _with_unit(_figure(self.measured, self.unit), self.unit),
            _yes(self.met),
        ]


@dataclass(frozen=True)
class Point:
    """A denoiser in the plot: what it costs in s/MPix and what it reaches in dB."""

    name: str
    seconds: float
    decibel: float
    ours: bool = False


@dataclass(frozen=True)
class Report:
    """What one part of the suite found.

    Attributes
    ----------
    title
        Heading of its section.
    tables, targets, notes
        What was measured, what was aimed for, and how it was measured or what came in the way.
    points
        For the plot, by panel.
    command, machine
        What made it, and where; filled in by `parts.measure`.
    weights
        Hash of the weights of each of our models that was measured, by name, where that matters.
    """

    title: str
    tables: list[Table] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    points: dict[str, list[Point]] = field(default_factory=dict)
    command: str = ""
    machine: Machine | None = None
    weights: dict[str, str] = field(default_factory=dict)

    def lines(self, name_machine: bool = False) -> Iterator[str]:
        """The section as Markdown, without its targets; with the machine, where a page has figures of several."""
        yield from (f"## {self.title}", "")
        if self.command:
            yield from (f"`{self.command}`{self.machine.conditions if self.machine else ''}", "")
        if name_machine and self.machine:
            yield from (f"On {self.machine.name}.", "")
        for note in self.notes:
            yield from (note, "")
        for table in self.tables:
            yield from table.lines()
            yield ""


def save(part: str, report: Report, folder: Path | None = None) -> None:
    """Keep a report as JSON; the page is written from these."""
    path = results_folder(folder) / f"{part}.json"
    path.write_text(json.dumps(asdict(report), ensure_ascii=False, indent=1), encoding="utf8")


def results_folder(folder: Path | None = None) -> Path:
    """Where what was measured is kept, made if it is not there."""
    folder = folder or RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text(KEPT_BY_GIT, encoding="utf8")
    return folder


def load(part: str, folder: Path | None = None) -> Report | None:
    """The report that was kept of a part; None if there is none."""
    path = (folder or RESULTS) / f"{part}.json"
    return _from_plain(json.loads(path.read_text(encoding="utf8"))) if path.exists() else None


def target_lines(targets: Sequence[Target]) -> Iterator[str]:
    """Targets as a Markdown table; nothing if there are none."""
    if targets:
        yield from markdown_table(["target", "limit", "measured", "met"], [target.row for target in targets])


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of Markdown."""
    yield "| " + " | ".join(columns) + " |"
    yield "|---" * len(columns) + "|"
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def number(value: float) -> str:
    """Three digits, never with an exponent unless the value is tiny."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _from_plain(plain: dict[str, Any]) -> Report:
    return Report(
        **{
            **plain,
            "tables": [Table(**table) for table in plain["tables"]],
            "targets": [Target(**target) for target in plain["targets"]],
            "points": {panel: [Point(**point) for point in points] for panel, points in plain["points"].items()},
            "machine": None if plain["machine"] is None else Machine(**plain["machine"]),
        }
    )


def _figure(value: float, unit: str) -> str:
    # 28.96 must not look like 29
    return f"{value:.2f}" if unit == "dB" and abs(value) >= 10 else number(value)


def _with_unit(text: str, unit: str) -> str:
    return f"{text} {unit}".strip()


def _yes(met: bool) -> str:
    return "yes" if met else "**no**"
