"""What every test stands on: settings and models of its own, one Qt binding, and no worker that outlives its test."""

import atexit
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch  # imported here, not by the first worker: that would hold it up past the end of its test

# napari and qtpy read these when they are first imported, pytest-qt when it is configured.
os.environ.setdefault("QT_API", "pyqt6")
os.environ.setdefault("PYTEST_QT_API", os.environ["QT_API"])
_home = tempfile.TemporaryDirectory()
atexit.register(_home.cleanup)
if "PYTEST_XDIST_WORKER" in os.environ:  # one of several processes: each has settings of its own
    os.environ["NAPARI_CONFIG"] = str(Path(_home.name) / "settings.yaml")
    # and, if scripts/with-display.sh made two screens, every other one the second of them: else they would share a mouse and a clipboard
    if "OTHER_SCREEN" in os.environ and int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw")) % 2:
        os.environ["DISPLAY"], os.environ["XAUTHORITY"] = os.environ["OTHER_SCREEN"].split()
os.environ.setdefault("NAPARI_CONFIG", str(Path(_home.name) / "settings.yaml"))
# The user's fetched models are neither used nor touched.
os.environ["NAPARI_NE_DENOISE_MODELS"] = str(Path(_home.name) / "models")

WORKER_TIMEOUT = 120_000  # ms


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of the small files that tests read."""
    return Path(__file__).parent / "data"


@pytest.fixture
def broken_torch(tmp_path, monkeypatch) -> Callable[[str], None]:
    """Lets the next `import torch` meet a file of this Python instead."""

    def break_it(python: str) -> None:
        (tmp_path / "torch").mkdir()
        (tmp_path / "torch" / "__init__.py").write_text(python)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "torch")

    return break_it


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="repeat what is repeated as often as docs/reliability.md says; takes an hour")
    parser.addoption("--late", type=int, metavar="SEED", help="make threads late, as on a busy machine; see tests/late.py")


def pytest_configure(config: pytest.Config) -> None:
    if (seed := config.getoption("--late")) is not None:
        from tests.late import Late

        config.pluginmanager.register(Late(seed))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("no CUDA device")


# Inside pytest-qt's wrapper, so that an exception in a late slot fails this test; and before any fixture is torn down, so
# that the slot still meets its widgets.
@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call() -> Iterator[None]:
    try:
        return (yield)
    finally:
        _await_workers()


def _await_workers() -> None:
    if "superqt.utils" not in sys.modules:
        return
    from qtpy.QtWidgets import QApplication
    from superqt.utils import WorkerBase

    WorkerBase.await_workers(WORKER_TIMEOUT)
    if QApplication.instance() is not None:
        QApplication.processEvents()


@pytest.fixture(scope="session", autouse=True)
def _trace_workers() -> Iterator[None]:
    """Let coverage see worker threads: Qt starts them, so `threading` does not hand them its trace function."""
    trace = threading.gettrace()
    if trace is None:
        yield
        return
    from napari_ne_denoise.gui.base.workers import _Worker

    run = _Worker.run

    def traced_run(self: _Worker) -> None:
        sys.settrace(trace)
        run(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Worker, "run", traced_run)
        yield
