"""Measure, print tables, and keep what was measured for ``docs/benchmarks.md`` and ``docs/study.md``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from benchmarks.document import write_document
from benchmarks.machine import BusyMachineError, describe, quiet_load
from benchmarks.noise.curves import draw_curves
from benchmarks.options import SECTIONS, Options, positive
from benchmarks.parts import ABOUT_NOISE, PARTS, SPEED, measure
from benchmarks.report import load, target_lines
from benchmarks.speed.trials import SUBJECTS
from benchmarks.speed.trials import run as run_trials
from benchmarks.study.command import RUNS
from benchmarks.study.command import run as run_study
from benchmarks.study.networks import StudyError

DEFAULTS = Options()
FAILED, BUSY = 1, 2  # exit codes
WHOLES = ("all", "missing", "none")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, measure and print; the exit code."""
    given = parser().parse_args(arguments)
    try:
        given.run(given)
    except BusyMachineError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return BUSY
    except StudyError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return FAILED
    return 0


def _measure(given: argparse.Namespace) -> None:
    measure_and_print(given.parts, options_of(given), given.allow_load)


def _write(given: argparse.Namespace) -> None:
    _measure(given)
    kept = {name: report for name in PARTS if (report := load(name)) is not None}
    _say_written(write_document(kept))


def _study(given: argparse.Namespace) -> None:
    _say_written(run_study(given.checkpoints, given.data, given.out, given.limit, given.only_figures))


def _curves(given: argparse.Namespace) -> None:
    _say_written([draw_curves(given.data, given.out)])


def _trials(given: argparse.Namespace) -> None:
    for line in run_trials(given.subjects or list(SUBJECTS), given.runs, given.allow_load):
        print(line, flush=True)


def _say_written(paths: Sequence[Path]) -> None:
    print("\n".join(f"wrote {path}" for path in paths))


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
    """The command line: a command for each subject, and `write` for those whose figures stand in docs/benchmarks.md."""
    whole = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = whole.add_subparsers(dest="command", required=True)

    speed = commands.add_parser("speed", help="times, against ordinary networks, the reference style and other denoisers")
    speed.add_argument("--parts", type=_speed_parts, default=list(SPEED), help=f"some of {','.join(SPEED)}")
    noise = commands.add_parser("noise", help="noise, quality and error bars that are told without the truth, against what is known")
    noise.add_argument("--parts", type=_noise_parts, default=list(ABOUT_NOISE), help=f"some of {','.join(ABOUT_NOISE)}")
    noise.add_argument("--limit", type=positive, help="images of each set, for a glance, which is not kept")
    noise.set_defaults(allow_load=True)
    memory = commands.add_parser("memory", help="what a large image takes beyond itself and its result")
    memory.add_argument("--drunet", dest="parts", action="store_const", const=["memory-drunet"], help="DRUNet with random weights")
    memory.add_argument("--streaming", dest="parts", type=_streaming_parts, metavar="KIND", help="OME-Zarr to OME-Zarr: plane or stack")
    precision = commands.add_parser("precision", help="what half precision changes")
    precision.add_argument("models", metavar="MODEL", nargs=1, help="a registered name or a weight file")
    quality = commands.add_parser("quality", help="PSNR of models on the test images")
    quality.add_argument("models", metavar="MODEL", nargs="*", default=DEFAULTS.models, help="registered names or weight files")
    quality.add_argument("--sets", type=_sections, default=SECTIONS, help=f"some of {','.join(SECTIONS)}")
    quality.add_argument("--no-peers", dest="peers", action="store_false", help="our models only")
    quality.add_argument("--limit", type=positive, help="images of each set, for a glance, which is not kept")
    quality.add_argument("--worst", type=Path, metavar="FOLDER", help="draw the five worst images of each set there")
    write = commands.add_parser("write", help="measure, then write docs/benchmarks.md and its plot from all that was ever measured")
    write.add_argument("--parts", type=_any_parts, default=list(PARTS), help=f"{', '.join(WHOLES)}, or some of {','.join(PARTS)}")

    # what takes no times can be measured on a busy machine
    for untimed, part in ((memory, "memory"), (precision, "precision"), (quality, "quality")):
        untimed.set_defaults(parts=[part], allow_load=True)
    for scored in (quality, write):
        scored.add_argument("--fresh", action="store_true", help="quality: measure again what is kept from earlier runs")
    for measuring in (speed, noise, memory, precision, quality):
        measuring.set_defaults(run=_measure)
    write.set_defaults(run=_write)
    for timed in (speed, write):
        timed.add_argument("--runs", type=positive, default=DEFAULTS.runs, help="timed calls of each contender")
        timed.add_argument("--large", action="store_true", help="scaling: up to 100 megapixels, not only 64")
        timed.add_argument("--allow-load", action="store_true", help="measure on a busy machine too; the tables will say so")
    for large in (memory, write):
        large.add_argument("--megapixels", type=float, default=DEFAULTS.megapixels, help="of the image of memory")
        large.add_argument("--streamed", type=float, default=DEFAULTS.streamed, help="megapixels of the images of streaming")
    for pictured in (speed, noise, precision, quality, write):
        pictured.add_argument("--data", type=Path, default=DEFAULTS.data, help="folder with the test images, under test/")
    curves = commands.add_parser("curves", help="draw noise curves that were found beside true ones; writes docs/images/noise-curves.png")
    curves.add_argument("--data", type=Path, default=DEFAULTS.data, help="folder with test/fmd and test/gigadb")
    curves.add_argument("--out", type=Path, help="folder for the figure; otherwise docs/images")
    curves.set_defaults(run=_curves)
    _add_study(commands)
    _add_trials(commands)
    return whole


def _add_study(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    study = commands.add_parser("study", help="the paper's own study, repeated; writes docs/study.md and its figures")
    study.add_argument("--runs", dest="checkpoints", metavar="FOLDER", type=Path, default=RUNS, help="where the checkpoints are")
    study.add_argument("--data", type=Path, default=DEFAULTS.data, help="folder with test/set12 and test/bsd68")
    study.add_argument("--limit", type=positive, help="a quick look at so many images of each set; docs/ is left as it is")
    study.add_argument("--only-figures", action="store_true", help="draw the figures from kept scores, and leave the page as it is")
    study.add_argument("--out", type=Path, help="where study.md and images/ go; otherwise docs/, or results/study-quick with --limit")
    study.set_defaults(run=_study)


def _add_trials(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    trials = commands.add_parser("trials", help="what might make `fast` faster on a CPU, each against what is shipped")
    trials.add_argument("subjects", metavar="SUBJECT", nargs="*", choices=[[], *SUBJECTS], help=f"some of {', '.join(SUBJECTS)}; none: all")
    trials.add_argument("--runs", type=positive, default=15, help="turns of each contender")
    trials.add_argument("--allow-load", action="store_true", help="measure on a busy machine too; the first line will say so")
    trials.set_defaults(run=_trials)


def _any_parts(text: str) -> list[str]:
    if text in WHOLES:
        return {"all": list(PARTS), "missing": [name for name in PARTS if load(name) is None], "none": []}[text]
    return _some_of(tuple(PARTS), text)


def _sections(text: str) -> list[str]:
    return _some_of(SECTIONS, text)


def _speed_parts(text: str) -> list[str]:
    return _some_of(SPEED, text)


def _streaming_parts(text: str) -> list[str]:
    return [f"streaming-{kind}" for kind in _some_of(("plane", "stack"), text)]


def _noise_parts(text: str) -> list[str]:
    return _some_of(ABOUT_NOISE, text)


def _some_of(known: tuple[str, ...], text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: there are {', '.join(known)}")
    return names


if __name__ == "__main__":
    raise SystemExit(main())
