"""The measurement of what the window costs, with a small image: it takes turns, and takes its results away."""

from contextlib import contextmanager

from benchmarks.options import Options
from benchmarks.speed import worker
from benchmarks.speed.window import LAYER


def test_the_dock_is_measured_against_the_bare_call(monkeypatch, viewer, dock, noisy):
    @contextmanager
    def window(side):
        viewer.add_image(noisy((side, side)), name=LAYER)
        yield viewer, dock

    monkeypatch.setattr(worker, "window", window)
    report = worker.worker(Options(runs=2), side=96)
    ((bare, tiles, docked),) = (table.rows for table in report.tables)
    assert bare[0] == worker.BARE
    assert bare[2] == "1"
    assert all(float(row[1]) > 0 for row in (bare, tiles, docked))
    (target,) = report.targets
    assert target.limit == 0.1
    assert target.measured > -1
    assert [layer.name for layer in viewer.layers] == [LAYER]
