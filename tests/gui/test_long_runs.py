"""A day at the window: many runs, and what goes wrong in them.  A few of each here; ``pytest --long`` makes it a thousand and a hundred."""

import gc
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_ne_denoise import denoise
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.core.run import DenoisingRun

MEBIBYTE = 2**20
WARM = 0.2  # of the runs, after which nothing is to grow
ALLOWED_GROWTH = 32 * MEBIBYTE
LOST = "CUDA error: device-side assert triggered"

pytestmark = pytest.mark.timeout(3600)


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


@pytest.fixture
def runs(request) -> Callable[[int, int], int]:
    """How often: the first number in every suite, the second with ``--long``."""
    return lambda few, many: many if request.config.getoption("--long") else few


def test_memory_and_threads_stay_as_they_are(viewer, dock, run, runs, noisy, no_thread_left, capsys):
    image = noisy((256, 256))
    viewer.add_image(image, name="cells")
    expected, total = denoise(image), runs(6, 1000)
    warm, found = round(WARM * total), []
    for number in range(total):
        run()
        assert np.array_equal(viewer.layers["cells denoised"].data, expected)
        viewer.layers.remove("cells denoised")
        if number in (warm, total - 1):
            no_thread_left()
            gc.collect()
            found.append((_resident(), threading.active_count()))
    grown, started = (after - before for before, after in zip(*found, strict=True))
    with capsys.disabled():
        print(f" {total} runs: {grown / MEBIBYTE:+.1f} MiB, {started:+d} threads since run {warm}", end="")
    assert grown < ALLOWED_GROWTH
    assert started <= 0


class Accidents:
    """What happens in one run, once a given number of computations of the network has begun."""

    def __init__(self) -> None:
        self.after, self.happens = 0, lambda: None

    def plan(self, after: int, happens: Callable[[], None]) -> None:
        """Let something happen after so many computations."""
        self.after, self.happens = after, happens

    def pass_one(self) -> None:
        """A computation begins."""
        self.after -= 1
        if self.after == 0:
            self.happens()


@pytest.fixture
def accidents(monkeypatch, small_tiles) -> Accidents:
    """In tiles of 32 pixels, of which each is one computation."""
    planned, compute = Accidents(), DenoisingRun._run_network

    def watched(self: DenoisingRun, *arguments: Any) -> np.ndarray:
        planned.pass_one()
        return compute(self, *arguments)

    monkeypatch.setattr(DenoisingRun, "_run_network", watched)
    return planned


def _fail(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def _edit(layer: Any, rng: random.Random) -> None:
    """One of the things that people do to a layer while they wait."""
    choices: list[Callable[[], object]] = [
        lambda: setattr(layer, "contrast_limits", (rng.uniform(0, 300), rng.uniform(400, 900))),
        lambda: setattr(layer, "scale", (rng.uniform(0.1, 2),) * 2),
        lambda: setattr(layer, "visible", not layer.visible),
        lambda: setattr(layer, "colormap", rng.choice(["gray", "magenta", "viridis"])),
        lambda: setattr(layer, "opacity", rng.uniform(0.2, 1)),
        lambda: setattr(layer, "gamma", rng.uniform(0.5, 2)),
    ]
    rng.choice(choices)()


def test_after_an_accident_all_is_as_it_was(viewer, dock, accidents, runs, noisy, until, no_thread_left, qtbot):
    rng, images = random.Random(0), {name: noisy((96, 96), seed) for seed, name in enumerate(("first", "second"))}
    layers = [viewer.add_image(image, name=name) for name, image in images.items()]
    expected = {name: denoise(image) for name, image in images.items()}
    kinds = ["cancel", "lost", "out of memory", "edits", "nothing"]
    for number in range(runs(5, 100)):
        kind = kinds[number % len(kinds)]
        source = rng.choice(layers)
        dock.layer.value = source
        accidents.plan(
            rng.randint(1, 9), {"lost": _fail(RuntimeError(LOST)), "out of memory": _fail(MemoryError())}.get(kind, lambda: None)
        )
        there = set(viewer.layers)
        dock.button.native.click()
        if kind == "cancel":
            qtbot.wait(rng.randint(0, 60))
            if dock.queue.is_busy:
                dock.button.native.click()
        while dock.queue.is_busy:
            if kind == "edits":
                _edit(rng.choice(layers), rng)
            qtbot.wait(5)
        no_thread_left()
        until(lambda: dock.button.text == "Denoise")
        assert dock.button.enabled
        new = set(viewer.layers) - there
        if kind == "lost":
            assert dock.message.is_error
            assert LOST in dock.message.value
            assert not new
        elif kind != "cancel":
            assert len(new) == 1, (kind, dock.message.value)
            assert not dock.message.is_error
        for result in new:
            assert np.array_equal(result.data, expected[result.metadata[KEY]["source_layer"]]), kind
        for name, image in images.items():
            assert viewer.layers[name].data is image
        for result in new:
            viewer.layers.remove(result)
    assert np.array_equal(images["first"], noisy((96, 96), 0))
