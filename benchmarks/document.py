"""The page ``docs/benchmarks.md`` and its plot, from kept results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.pictures import save
from benchmarks.report import Point, Report, target_lines
from benchmarks.speed.peers import IN_FLOAT32

DOCS = Path(__file__).parents[1] / "docs"
INTRODUCTION = (
    "Written by `make bench`; not to be edited by hand. Above each table stands the command that made it. Contenders are called in turns "
    "after a warm-up: times are medians, and ratios are taken turn by turn before their median. Every figure was measured on:"
)
OURS_COLOUR, PEER_COLOUR = "#c0392b", "#555555"


def write_document(reports: Mapping[str, Report], docs: Path | None = None) -> list[Path]:
    """Write the page, and the plot where there is something to plot; the files written."""
    docs = docs or DOCS
    written = [docs / "benchmarks.md"]
    points = {panel: points for report in reports.values() for panel, points in report.points.items()}
    if points:
        written.append(docs / "images" / "speed.png")
        written[1].parent.mkdir(parents=True, exist_ok=True)
        plot(points, written[1])
    written[0].write_text("\n".join(page(reports)).rstrip() + "\n", encoding="utf8")
    return written


def page(reports: Mapping[str, Report]) -> Iterator[str]:
    """Lines of Markdown: the hardware, all targets, then a section for each part."""
    yield from ("# Benchmarks", "")
    yield from (INTRODUCTION, "")
    machines = dict.fromkeys(report.machine.name for report in reports.values() if report.machine)
    yield from (f"* {name}" for name in machines)
    yield ""
    yield from ("## Targets", "")
    yield from target_lines([target for report in reports.values() for target in report.targets])
    yield ""
    for report in reports.values():
        yield from report.lines(name_machine=len(machines) > 1)
        if report.points:
            yield from ("![PSNR over seconds per megapixel](images/speed.png)", "")


def plot(points: Mapping[str, Sequence[Point]], path: Path) -> None:
    """PSNR over time, one panel for each set of images."""
    from matplotlib.figure import Figure  # of the `bench` extra

    figure = Figure(figsize=(4.6 * len(points), 3.8), dpi=150, layout="constrained")
    panels = figure.subplots(1, len(points), squeeze=False, sharex=True)[0]
    for axes, (name, found) in zip(panels, points.items(), strict=True):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("seconds per megapixel")
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.2, y=0.12)
        best = max((point.decibel for point in found if point.ours), default=0.0)
        for point in found:
            _draw(axes, point, above=not point.ours or point.decibel == best)
    panels[0].set_ylabel("PSNR, dB")
    save(figure, path)


def _draw(axes: Any, point: Point, above: bool) -> None:
    colour = OURS_COLOUR if point.ours else PEER_COLOUR
    axes.plot(point.seconds, point.decibel, "o", color=colour, markersize=6)
    # ours by default lies close to ours in float32, and our models to each other: names stand on other sides
    left = point.ours and not point.name.endswith(IN_FLOAT32)
    side = {"xytext": (-6 if left else 6, 4 if above else -11), "ha": "right" if left else "left"}
    axes.annotate(point.name, (point.seconds, point.decibel), textcoords="offset points", fontsize=9, color=colour, **side)
