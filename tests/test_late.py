"""That threads are late with ``--late``."""

import threading

from napari_ne_denoise.core.tiling import Grid, tile_plane
from tests import late


def test_a_seed_tells_where_a_thread_is_late(monkeypatch):
    slept, traced = [], threading.gettrace()
    monkeypatch.setattr(late.time, "sleep", slept.append)

    def sleep_with(seed):
        plugin = late.Late(seed)
        plugin.pytest_runtest_logstart("one")
        threading.settrace(plugin.trace)
        try:
            thread = threading.Thread(target=tile_plane, args=((512, 512), 32, Grid(1, 8)))
            thread.start()
            thread.join()
        finally:
            threading.settrace(traced)
        return [slept.pop() for _ in range(len(slept))]

    once = sleep_with(0)
    assert once
    assert sleep_with(0) == once != sleep_with(3)
