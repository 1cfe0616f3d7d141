"""The parts of the suite: what each measures, what it needs, and the command that repeats it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmarks.machine import Machine, OthersWatch
from benchmarks.noise.assessment import assessment
from benchmarks.noise.calibration import calibration
from benchmarks.noise.choices import choices
from benchmarks.noise.coverage import coverage
from benchmarks.noise.map_truth import map_cost, maps
from benchmarks.noise.suite import noise
from benchmarks.noise.white import white
from benchmarks.options import SECTIONS, Options
from benchmarks.quality.suite import MICROGRAPHS, folders, is_glance, quality
from benchmarks.report import Report, save
from benchmarks.speed.architectures import reference, tax, training
from benchmarks.speed.cluster import cluster
from benchmarks.speed.filters import filters
from benchmarks.speed.memory import memory, memory_drunet
from benchmarks.speed.peers import peers
from benchmarks.speed.precision import precision
from benchmarks.speed.preview import preview
from benchmarks.speed.sizes import cancel, latency, scaling, stacks
from benchmarks.speed.streaming import streaming_plane, streaming_stack
from benchmarks.speed.window import has_display
from benchmarks.speed.worker import worker


@dataclass(frozen=True)
class Part:
    """One measurement.

    Attributes
    ----------
    run
        Measures.
    command
        What to write after ``python -m benchmarks`` to repeat it; {} of an option is filled in.
    timed
        Whether it takes times, and so needs a machine that has nothing else to do.
    sets
        The test images it needs; a function where that depends on the options.
    is_glance
        Whether something is left out with these options, so that what is found must not stand for the whole.
    needs_display
        Whether it opens a window; ``scripts/with-display.sh`` gives it a screen where there is none.
    """

    run: Callable[[Options], Report]
    command: str
    timed: bool = True
    sets: tuple[str, ...] | Callable[[Options], tuple[str, ...]] = ()
    is_glance: Callable[[Options], bool] = lambda _: False
    needs_display: bool = False

    def lacks(self, options: Options) -> list[str]:
        """What it needs that is not there: image folders, or a screen."""
        screen = ["a screen (run it under scripts/with-display.sh)"] if self.needs_display and not has_display() else []
        sets = self.sets(options) if callable(self.sets) else self.sets
        return screen + [str(folder) for name in sets if not (folder := options.data / "test" / name).is_dir()]


def _is_limited(options: Options) -> bool:
    return options.limit is not None


REAL_PAIRS = ("clean_micro", "fmd", "photon_counting", "w2s", "gigadb")
PARTS = {
    "tax": Part(tax, "speed --parts tax --runs {runs}"),
    "training": Part(training, "speed --parts training --runs {runs}"),
    "reference": Part(reference, "speed --parts reference --runs {runs}"),
    "peers": Part(peers, "speed --parts peers --runs {runs}", sets=("set12", "fmd")),
    "latency": Part(latency, "speed --parts latency --runs {runs}"),
    "cancel": Part(cancel, "speed --parts cancel --runs {runs}"),
    "scaling": Part(scaling, "speed --parts scaling --runs {runs}{large}"),
    "stacks": Part(stacks, "speed --parts stacks --runs {runs}"),
    "cluster": Part(cluster, "speed --parts cluster --runs {runs}"),
    "preview": Part(preview, "speed --parts preview --runs {runs}", needs_display=True),
    "worker": Part(worker, "speed --parts worker --runs {runs}", needs_display=True),
    "filters": Part(filters, "speed --parts filters --runs {runs}", needs_display=True),
    "noise": Part(noise, "speed --parts noise --runs {runs}", sets=("fmd", "clean_micro")),
    "calibration": Part(calibration, "speed --parts calibration"),
    "white": Part(white, "write --parts white", timed=False),
    "choices": Part(choices, "write --parts choices", timed=False, sets=tuple(MICROGRAPHS), is_glance=_is_limited),
    "assessment": Part(assessment, "write --parts assessment", timed=False, sets=("fmd",), is_glance=_is_limited),
    "coverage": Part(coverage, "noise --parts coverage", timed=False, sets=REAL_PAIRS, is_glance=_is_limited),
    "maps": Part(maps, "noise --parts maps", timed=False, sets=("clean_micro", "photon_counting"), is_glance=_is_limited),
    "map-cost": Part(map_cost, "speed --parts map-cost --runs {runs}"),
    "memory": Part(memory, "memory --megapixels {megapixels:g}", timed=False),
    "memory-drunet": Part(memory_drunet, "memory --drunet --megapixels {megapixels:g}", timed=False),
    "streaming-plane": Part(streaming_plane, "memory --streaming plane --streamed {streamed:g}", timed=False),
    "streaming-stack": Part(streaming_stack, "memory --streaming stack --streamed {streamed:g}", timed=False),
    "precision": Part(precision, "precision {model}", timed=False, sets=("set12", "fmd")),
    "quality": Part(quality, "quality {models}{glance}", timed=False, sets=folders, is_glance=is_glance),
}
ABOUT_NOISE = ("white", "choices", "assessment", "coverage", "maps")  # and take no times
SPEED = tuple(name for name, part in PARTS.items() if part.timed)


def measure(name: str, options: Options, machine: Machine) -> Report:
    """Run a part, and keep what it found, unless it was only a glance."""
    part, watch = PARTS[name], OthersWatch()
    report = part.run(options)
    where = replace(machine, others=watch.cores()) if part.timed else replace(machine, load=None)
    report = replace(report, command=command_of(part, options), machine=where)
    if not part.is_glance(options):
        save(name, report)
    return report


def command_of(part: Part, options: Options) -> str:
    """The command line that repeats a part with these options."""
    large = " --large" if options.large else ""
    filled = part.command.format(
        runs=options.runs,
        large=large,
        megapixels=options.megapixels,
        streamed=options.streamed,
        model=options.models[0],
        models=" ".join(options.models),
        glance=_glance(options),
    )
    return f"python -m benchmarks {filled}"


def _glance(options: Options) -> str:
    sets = f" --sets {','.join(options.sets)}" if options.sets != SECTIONS else ""
    peers = "" if options.peers else " --no-peers"
    return sets + peers + ("" if options.limit is None else f" --limit {options.limit}")
