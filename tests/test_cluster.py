"""A cluster of processes computes what one process does, to the bit, whoever dies."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from napari_ne_denoise import denoise, load_denoiser
from napari_ne_denoise.cli import app
from napari_ne_denoise.core.batch.cluster import run_jobs_on
from napari_ne_denoise.core.batch.events import JobAdvanced
from napari_ne_denoise.core.batch.jobs import plan_jobs
from napari_ne_denoise.core.batch.on_workers import Work
from napari_ne_denoise.core.batch.run import run_jobs
from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.io import ImageFile, read_image, write_image
from napari_ne_denoise.core.lazy import denoise_lazy
from napari_ne_denoise.core.models.card import ModelCard
from napari_ne_denoise.core.models.files import write_model
from napari_ne_denoise.core.networks import FDnCNN
from napari_ne_denoise.core.settings import DenoiseSettings
from napari_ne_denoise.core.threads import GIVEN, PACKING

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.timeout(600)  # processes that import torch, on a machine that may be busy
SETTINGS = DenoiseSettings(model="fast")


@pytest.fixture(scope="module")
def cluster():
    """Two processes of one thread each; one that was killed may take long to begin again, and dask would give it up after 15 s."""
    patient = dask.config.set({"distributed.deploy.lost-worker-timeout": "20 minutes"})
    with patient, distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as found:
        yield found


@pytest.fixture
def client(cluster):
    with distributed.Client(cluster, set_as_default=False) as found:
        yield found


@pytest.fixture(autouse=True)
def one_thread():
    """As many as each worker has: what is summed in another order differs in the last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def noisy(*shape, seed=0):
    return np.random.default_rng(seed).poisson(50, shape).astype(np.uint16)


@pytest.fixture
def large(tmp_path) -> Path:
    """Twelve planes, each of which is a part, and large enough for smaller sizes."""
    write_image(tmp_path / "in.ome.zarr", ImageFile(noisy(12, 64, 600), "ZYX"))
    return tmp_path / "in.ome.zarr"


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def content_of(path: Path) -> tuple:
    image = read_image(path)
    record = dict(image.provenance)
    del record["made"]
    return np.asarray(image.pixels[...]), record


def assert_alike(one: Path, other: Path) -> None:
    (pixels, record), (pixels_2, record_2) = content_of(one), content_of(other)
    np.testing.assert_array_equal(pixels, pixels_2)
    assert record == record_2
    if one.suffix == ".zarr":
        np.testing.assert_array_equal(da.from_zarr(one / "1").compute(), da.from_zarr(other / "1").compute())


def alone(source: Path, target: Path, *, with_std: bool = False) -> Path:
    """The result of one process."""
    events = list(run_jobs(plan_jobs([source], target), SETTINGS, load_denoiser("fast"), with_std=with_std))
    assert events[-1].record["status"] == "done", events[-1].record
    return target


def models_opened() -> int:
    from napari_ne_denoise.core import inference

    return inference._open_registered.cache_info().misses


def threads_of_torch() -> int:
    return torch.get_num_threads()


def threads_that_pack() -> int:
    """Of zarr: its own, and those of the loop that it runs."""
    from zarr.core.sync import loop

    of_loop = getattr(loop[0], "_default_executor", None)
    return 0 if of_loop is None else of_loop._max_workers


COMMAND_LINE = """
from napari_ne_denoise import cli

cli.app = lambda **_: None
cli.main()
import tifffile
import zarr

print(zarr.config.get("threading.max_workers"), tifffile.TIFF.MAXWORKERS)
"""


def test_a_job_packs_with_the_threads_that_it_was_given():
    own = {name: value for name, value in os.environ.items() if name not in PACKING}  # tests before may have told this process
    told = own | {GIVEN: "3"}
    done = subprocess.run([sys.executable, "-c", COMMAND_LINE], env=told, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3", "3"]
    told["ZARR_THREADING__MAX_WORKERS"] = "5"  # whoever says it himself
    done = subprocess.run([sys.executable, "-c", COMMAND_LINE], env=told, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["5", "3"]


def test_lazy_results_are_those_of_one_process_and_each_opens_the_model_once(client):
    image = noisy(8, 60, 70)
    expected = denoise(image)
    with client.as_current():
        np.testing.assert_array_equal(denoise_lazy(image).compute(), expected)
        np.testing.assert_array_equal(denoise_lazy(da.from_array(image, chunks=(3, 17, 40))).compute(), expected)
        persisted = client.persist(da.from_array(image, chunks=(3, 17, 40)))
        with pytest.raises(ValueError, match="before persist"):
            denoise_lazy(persisted).compute()
    assert set(client.run(models_opened).values()) == {1}
    assert set(client.run(threads_of_torch).values()) == {1}


def test_workers_write_an_ome_zarr_as_one_process_does(client, large, tmp_path):
    job = plan_jobs([large], tmp_path / "out.ome.zarr")
    events = list(run_jobs_on(client, job, SETTINGS, load_denoiser("fast")))
    assert events[-1].record["status"] == "done", events[-1].record
    reached = [event.done for event in events if isinstance(event, JobAdvanced)]
    assert (len(reached), reached[-1]) == (12, 12 * 64 * 600)
    assert reached == sorted(reached)
    assert names_in(tmp_path) == ["in.ome.zarr", "out.ome.zarr"]
    assert_alike(tmp_path / "out.ome.zarr", alone(large, tmp_path / "alone.ome.zarr"))
    assert max(client.run(models_opened).values()) == 1
    assert set(client.run(threads_that_pack).values()) == {1}


def test_a_worker_that_is_killed_loses_nothing(client, large, tmp_path):
    events = run_jobs_on(client, plan_jobs([large], tmp_path / "out.ome.zarr"), SETTINGS, load_denoiser("fast"))
    while not isinstance(next(events), JobAdvanced):
        pass
    killed = next(iter(client.run(os.getpid).values()))
    os.kill(killed, signal.SIGKILL)
    last = list(events)[-1]
    assert last.record["status"] == "done", last.record
    assert_alike(tmp_path / "out.ome.zarr", alone(large, tmp_path / "alone.ome.zarr"))
    client.wait_for_workers(2, timeout=240)
    assert killed not in client.run(os.getpid).values()


def test_workers_share_error_bars_too_and_one_that_is_killed_loses_nothing(client, tmp_path):
    source, out = tmp_path / "in.ome.zarr", tmp_path / "out.ome.zarr"
    write_image(source, ImageFile(noisy(4, 32, 520), "ZYX"))
    events, seen = run_jobs_on(client, plan_jobs([source], out), SETTINGS, load_denoiser("fast"), with_std=True), []
    while [event.done > 0 for event in seen if isinstance(event, JobAdvanced) and event.phase].count(True) < 1:
        seen.append(next(events))
    os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
    seen += events
    assert (seen[-1].record["status"], seen[-1].record["std"]) == ("done", str(tmp_path / "out_std.ome.zarr")), seen[-1].record
    reached = [(event.phase, event.done) for event in seen if isinstance(event, JobAdvanced)]
    assert reached == [*(("", part * 32 * 520) for part in range(1, 5)), *(("error bars", part * 32 * 520) for part in range(5))]
    assert names_in(tmp_path) == ["in.ome.zarr", "out.ome.zarr", "out_std.ome.zarr"]
    alone(source, tmp_path / "alone.ome.zarr", with_std=True)
    for ending in ("", "_std"):
        assert_alike(tmp_path / f"out{ending}.ome.zarr", tmp_path / f"alone{ending}.ome.zarr")
    client.wait_for_workers(2, timeout=240)


def test_it_goes_on_where_it_was_cancelled(client, large, tmp_path):
    job = plan_jobs([large], tmp_path / "out.ome.zarr")
    events = run_jobs_on(client, job, SETTINGS, load_denoiser("fast"))
    advanced = 0
    while advanced < 4:
        advanced += isinstance(next(events), JobAdvanced)
    events.close()
    assert not (tmp_path / "out.ome.zarr").exists()
    again = list(run_jobs_on(client, job, SETTINGS, load_denoiser("fast")))
    assert sum(isinstance(event, JobAdvanced) for event in again) == 12 - 4
    assert "went on where it was broken off: 4 of 12 parts were finished" in again[-1].record["notes"]
    assert_alike(tmp_path / "out.ome.zarr", alone(large, tmp_path / "alone.ome.zarr"))


def test_one_process_goes_on_with_what_a_cluster_began(client, large, tmp_path):
    job = plan_jobs([large], tmp_path / "out.ome.zarr")
    events = run_jobs_on(client, job, SETTINGS, load_denoiser("fast"))
    while not isinstance(next(events), JobAdvanced):
        pass
    events.close()
    (*_, last) = run_jobs(job, SETTINGS, load_denoiser("fast"))
    assert (last.record["status"], last.record["notes"][-1][:40]) == ("done", "went on where it was broken off: 1 of 12")
    assert_alike(tmp_path / "out.ome.zarr", alone(large, tmp_path / "alone.ome.zarr"))


def test_the_command_line_hands_files_to_workers(cluster, large, tmp_path):
    (tmp_path / "images").mkdir()
    sources = [tmp_path / "images" / f"{number}.npy" for number in range(4)]
    for number, source in enumerate(sources):
        np.save(source, noisy(50, 60 + number, seed=number))
    sources[2].write_bytes(b"no image")
    arguments = ["denoise", *map(str, [*sources, large]), "-o", str(tmp_path / "out"), "--scheduler", cluster.scheduler_address]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1, result.output
    assert len(result.stdout.splitlines()) == 4
    assert "note: workers: 2, threads: 2" in result.stderr
    assert "2.npy" in result.stderr
    for source in (*sources[:2], sources[3]):
        assert_alike(tmp_path / "out" / f"{source.stem}_denoised.ome.tif", alone(source, tmp_path / f"{source.stem}.ome.tif"))
    assert_alike(tmp_path / "out" / "in_denoised.ome.zarr", alone(large, tmp_path / "alone.ome.zarr"))
    np.save(sources[2], noisy(50, 62, seed=2))
    again = CliRunner().invoke(app, arguments)
    assert (again.exit_code, len(again.stdout.splitlines())) == (0, 1), again.output
    assert names_in(tmp_path / "out") == [*(f"{number}_denoised.ome.tif" for number in range(4)), "in_denoised.ome.zarr"]


def test_who_does_not_answer_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_ne_denoise.core.batch.cluster.PATIENCE", 1)
    np.save(tmp_path / "a.npy", noisy(20, 20))
    result = CliRunner().invoke(
        app, ["denoise", str(tmp_path / "a.npy"), "-o", str(tmp_path / "b.ome.tif"), "--scheduler", "tcp://127.0.0.1:9"]
    )
    assert (result.exit_code, "scheduler tcp://127.0.0.1:9: does not answer" in result.stderr) == (2, True), result.output


def test_workers_of_other_weights_are_refused(large, tmp_path):
    """Those of a cluster that stands for weeks opened a file that was replaced since."""
    model = tmp_path / "mine.safetensors"
    (job,) = plan_jobs([large], tmp_path / "out.ome.zarr")
    for seed in range(2):
        torch.manual_seed(seed)
        write_model(FDnCNN("norm-equiv", channels=4, depth=3), ModelCard("mine"), model)
        denoiser = load_denoiser(model)
        work = Work(job, DenoiseSettings(model=str(model)), 0, sha256=denoiser.sha256)
        assert work.open().run.denoiser.sha256 == denoiser.sha256
    with pytest.raises(SettingsError, match="a worker finds other weights there than you have"):
        Work(job, DenoiseSettings(model=str(model)), 0, sha256="0" * 64).open()


def test_workers_of_other_versions_are_refused(large, tmp_path):
    (job,) = plan_jobs([large], tmp_path / "out.ome.zarr")
    with pytest.raises(SettingsError, match="install the same everywhere"):
        Work(job, SETTINGS, 0, versions={"napari-ne-denoise": "0.0", "torch": "0.0"}).open()
