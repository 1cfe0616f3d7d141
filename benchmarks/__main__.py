"""Measure, print tables, and keep what was measured for ``docs/benchmarks.md``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from benchmarks.document import write_document
from benchmarks.machine import BusyMachineError, describe, quiet_load
from benchmarks.options import SECTIONS, Options
from benchmarks.ours import packaged_models
from benchmarks.parts import PARTS, SPEED, measure
from benchmarks.report import load, target_lines

DEFAULTS = Options()
BUSY = 2  # exit code
WHOLES = ("all", "missing", "none")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, measure and print; the exit code."""
    given = parser().parse_args(arguments)
    try:
        measure_and_print(given.parts, options_of(given), given.allow_load)
    except BusyMachineError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return BUSY
    if given.command == "write":
        kept = {name: report for name in PARTS if (report := load(name)) is not None}
        print("\n".join(f"wrote {path}" for path in write_document(kept)))
    return 0


def measure_and_print(parts: Sequence[str], options: Options, allow_load: bool) -> None:
    """Measure part by part; each is kept before the next begins.

    Raises
    ------
    BusyMachineError
        Before anything is measured.
    """
    machine = describe(quiet_load(allow_load or not any(PARTS[name].timed for name in parts)))
    for name in parts:
        if missing := PARTS[name].lacks(options):
            print(f"benchmarks: {name} is left out, for want of {', '.join(missing)}", file=sys.stderr)
            continue
        print(f"benchmarks: measuring {name}", file=sys.stderr, flush=True)
        report = measure(name, options, machine)
        print("\n".join([*report.lines(), *target_lines(report.targets), ""]), flush=True)


def options_of(given: argparse.Namespace) -> Options:
    """What was chosen, and the defaults of what a command does not ask for."""
    chosen = {field.name: getattr(given, field.name) for field in fields(Options) if hasattr(given, field.name)}
    several = {name: tuple(chosen.get(name, getattr(DEFAULTS, name))) for name in ("models", "sets")}
    return Options(**{**chosen, **several})


def parser() -> argparse.ArgumentParser:
    """The command line: a command for each subject, and `write` for all of them."""
    whole = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = whole.add_subparsers(dest="command", required=True)

    speed = commands.add_parser("speed", help="times, against ordinary networks, the reference style and other denoisers")
    speed.add_argument("--parts", type=_speed_parts, default=list(SPEED), help=f"some of {','.join(SPEED)}")
    memory = commands.add_parser("memory", help="what a large image takes beyond itself and its result")
    memory.add_argument("--drunet", dest="parts", action="store_const", const=["memory-drunet"], help="DRUNet with random weights")
    precision = commands.add_parser("precision", help="what half precision changes")
    precision.add_argument("models", metavar="MODEL", nargs=1, help="a registered name or a weight file")
    quality = commands.add_parser("quality", help="PSNR of models on the test images")
    quality.add_argument("models", metavar="MODEL", nargs="*", default=DEFAULTS.models, help="registered names or weight files")
    quality.add_argument("--sets", type=_sections, default=SECTIONS, help=f"some of {','.join(SECTIONS)}")
    quality.add_argument("--no-peers", dest="peers", action="store_false", help="our models only")
    quality.add_argument("--limit", type=_positive, help="images of each set, for a glance, which is not kept")
    quality.add_argument("--worst", type=Path, metavar="FOLDER", help="draw the five worst images of each set there")
    write = commands.add_parser("write", help="measure, then write docs/benchmarks.md and its plot from all that was ever measured")
    write.add_argument("--parts", type=_any_parts, default=list(PARTS), help=f"{', '.join(WHOLES)}, or some of {','.join(PARTS)}")

    # what takes no times can be measured on a busy machine
    for untimed, part in ((memory, "memory"), (precision, "precision"), (quality, "quality")):
        untimed.set_defaults(parts=[part], allow_load=True)
    for scored in (quality, write):
        scored.add_argument("--fresh", action="store_true", help="quality: measure again what is kept from earlier runs")
    write.set_defaults(models=(*packaged_models(), "ordinary-twin"))
    for timed in (speed, write):
        timed.add_argument("--runs", type=_positive, default=DEFAULTS.runs, help="timed calls of each contender")
        timed.add_argument("--large", action="store_true", help="scaling: up to 100 megapixels, not only 64")
        timed.add_argument("--allow-load", action="store_true", help="measure on a busy machine too; the tables will say so")
    for large in (memory, write):
        large.add_argument("--megapixels", type=float, default=DEFAULTS.megapixels, help="of the image of memory")
    for pictured in (speed, precision, quality, write):
        pictured.add_argument("--data", type=Path, default=DEFAULTS.data, help="folder with the test images, under test/")
    return whole


def _any_parts(text: str) -> list[str]:
    if text in WHOLES:
        return {"all": list(PARTS), "missing": [name for name in PARTS if load(name) is None], "none": []}[text]
    return _some_of(tuple(PARTS), text)


def _sections(text: str) -> list[str]:
    return _some_of(SECTIONS, text)


def _speed_parts(text: str) -> list[str]:
    return _some_of(SPEED, text)


def _some_of(known: tuple[str, ...], text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: there are {', '.join(known)}")
    return names


def _positive(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be at least 1")
    return int(text)


if __name__ == "__main__":
    raise SystemExit(main())
