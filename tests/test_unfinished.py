"""Large results in parts, and batches that were broken off: what goes on, what is refused, who completes it."""

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from napari_ne_denoise import load_denoiser
from napari_ne_denoise.cli import app
from napari_ne_denoise.core.axes import plan_planes
from napari_ne_denoise.core.batch import file as batch_file
from napari_ne_denoise.core.batch import journal, unfinished
from napari_ne_denoise.core.batch.events import JobAdvanced, JobEnded
from napari_ne_denoise.core.batch.jobs import Share, plan_jobs
from napari_ne_denoise.core.batch.parts import Parts
from napari_ne_denoise.core.batch.resume import BatchJournal
from napari_ne_denoise.core.batch.run import run_jobs
from napari_ne_denoise.core.batch.unfinished import Unfinished
from napari_ne_denoise.core.batch.work_folder import work_folder
from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.io import ImageFile, read_image, write_image, zarr_files
from napari_ne_denoise.core.jacobian.maps import MapMaker
from napari_ne_denoise.core.models.card import ModelCard
from napari_ne_denoise.core.models.files import write_model
from napari_ne_denoise.core.networks import FDnCNN
from napari_ne_denoise.core.regions import Regions
from napari_ne_denoise.core.run import DenoisingRun
from napari_ne_denoise.core.settings import DenoiseSettings

NOBODY = 65534
NO_PROCESS = 2**31 - 2  # more than any system counts


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    write_model(FDnCNN("norm-equiv", channels=4, depth=3), ModelCard("tiny"), path)
    return path


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(zarr_files, "CHUNK", 16)
    monkeypatch.setattr(zarr_files, "SHARD", 32)


@pytest.fixture
def large(tmp_path) -> Path:
    """An image of two planes, in twelve parts each where shards are small."""
    image = np.random.default_rng(0).poisson(50, (2, 90, 120)).astype(np.uint16)
    write_image(tmp_path / "in.ome.zarr", ImageFile(image, "ZYX"))
    return tmp_path / "in.ome.zarr"


def run(*arguments):
    return CliRunner().invoke(app, ["denoise", *map(str, arguments)])


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def pixels_of(path: Path) -> np.ndarray:
    return np.asarray(read_image(path).pixels[...])


def stop_after(monkeypatch, count: int, error: BaseException) -> None:
    """Let so many parts be made, and raise then."""
    add, added = Unfinished.add, []

    def add_some(self, line):
        add(self, line)
        added.append(line)
        if len(added) == count:
            raise error

    monkeypatch.setattr(Unfinished, "add", add_some)


@pytest.mark.parametrize("shape", [(90, 120), (5, 7), (3, 33, 32), (200, 6, 5), (2, 3, 65, 10)])
def test_parts_hold_each_pixel_once_and_no_shard_twice(shape):
    parts = Parts(plan_planes(shape, channel_axis=None), 32)
    count = np.zeros((np.prod(shape[:-2], dtype=int), *shape[-2:]), int)
    shards = []
    for number in range(len(parts)):
        part = parts[number]
        assert part.number == number
        count[part.planes.start : part.planes.stop, *part.window] += 1
        shards += [(plane, *(along.start // 32 for along in part.window)) for plane in part.planes]
        assert part.pixels == len(part.planes) * np.zeros(shape[-2:])[part.window].size
    assert (count == 1).all()
    assert len(set(shards)) == len(shards)


@pytest.mark.parametrize("name", ["out.ome.zarr", "out.ome.tif"])
def test_pixels_that_are_kept_are_counted(large, model, tmp_path, small_shards, name):
    image = pixels_of(large).astype(np.float32)
    image[1, 40:42, 100] = np.nan
    image[0, 89, 0] = np.inf
    write_image(tmp_path / "gaps.ome.tif", ImageFile(image, "ZYX"))
    done = run(tmp_path / "gaps.ome.tif", "-o", tmp_path / name, "--model", model, "--nonfinite", "keep")
    assert "3 pixels that are NaN or infinite were kept" in done.stderr
    assert read_image(tmp_path / name).provenance["decided"]["nonfinite_kept"] == 3
    again = run(large, "-o", tmp_path / f"whole-{name}", "--model", model, "--nonfinite", "keep")
    assert "kept" not in again.stderr


@pytest.mark.parametrize("options", [(), ("--hot-pixels", "repair"), ("--noise", "poisson-gaussian"), ("--strength", "0.5")])
def test_a_result_in_parts_is_the_result(large, model, tmp_path, small_shards, options):
    assert run(large, "-o", tmp_path / "parts.ome.zarr", "--model", model, "--precision", "float32", *options).exit_code == 0
    assert run(large, "-o", tmp_path / "whole.ome.tif", "--model", model, "--precision", "float32", *options).exit_code == 0
    parts, whole = (read_image(tmp_path / name) for name in ("parts.ome.zarr", "whole.ome.tif"))
    np.testing.assert_array_equal(np.asarray(parts.pixels[...]), whole.pixels)
    for record in (parts.provenance, whole.provenance):
        del record["made"]
    assert parts.provenance == whole.provenance


def test_it_goes_on_with_what_is_finished(large, model, tmp_path, small_shards, monkeypatch):
    arguments = (large, "-o", tmp_path / "out.ome.zarr", "--model", model)
    with monkeypatch.context() as patch:
        stop_after(patch, 7, KeyboardInterrupt())
        broken = run(*arguments)
    assert (broken.exit_code, "the same command goes on" in broken.stderr) == (130, True)
    assert not (tmp_path / "out.ome.zarr").exists()
    made, steps = [], Regions.steps
    monkeypatch.setattr(Regions, "steps", lambda self, planes, window: made.append(window) or steps(self, planes, window))
    result = run(*arguments)
    assert (result.exit_code, len(made)) == (0, 24 - 7)
    assert "7 of 24 parts were finished" in result.stderr
    assert names_in(tmp_path) == ["in.ome.zarr", "out.ome.zarr"]
    monkeypatch.undo()
    assert run(large, "-o", tmp_path / "again.ome.zarr", "--model", model).exit_code == 0
    np.testing.assert_array_equal(pixels_of(tmp_path / "out.ome.zarr"), pixels_of(tmp_path / "again.ome.zarr"))


def test_another_way_or_another_image_is_not_mixed_in(large, model, tmp_path, small_shards, monkeypatch):
    arguments = (large, "-o", tmp_path / "out.ome.zarr", "--model", model)
    with monkeypatch.context() as patch:
        stop_after(patch, 7, KeyboardInterrupt())
        run(*arguments)
    other = run(*arguments, "--strength", "0.5")
    assert other.exit_code == 2
    assert "strength was 1.0, now 0.5" in other.stderr
    assert str(work_folder(tmp_path / "out.ome.zarr")) in other.stderr
    with monkeypatch.context() as patch:
        patch.setattr("napari_ne_denoise.core.batch.identity.package_version", lambda name: "0.0")
        assert "version of torch was" in run(*arguments).stderr
    zarr_json = large / "0" / "zarr.json"
    zarr_json.write_text(zarr_json.read_text() + " ")
    changed = run(*arguments)
    assert (changed.exit_code, "the image has changed (in.ome.zarr, " in changed.stderr) == (2, True)
    assert run(*arguments, "--overwrite").exit_code == 0  # begins anew
    assert names_in(tmp_path) == ["in.ome.zarr", "out.ome.zarr"]


def test_what_a_further_try_cannot_use_is_not_kept(large, model, tmp_path, small_shards):
    image = np.ones((2, 90, 120), np.float32)
    image[1, 80, 100] = np.nan
    write_image(tmp_path / "nan.ome.zarr", ImageFile(image, "ZYX"))
    result = run(tmp_path / "nan.ome.zarr", "-o", tmp_path / "out.ome.zarr", "--model", model)
    assert (result.exit_code, "NaN" in result.stderr) == (1, True)
    assert names_in(tmp_path) == ["in.ome.zarr", "nan.ome.zarr"]


def test_jobs_share_a_large_result_and_the_last_one_completes_it(large, model, tmp_path, small_shards):
    out = tmp_path / "out.ome.zarr"
    arguments = (large, "-o", out, "--model", model, "--json")
    for number in (3, 1):
        result = run(*arguments, "--shard", f"{number}/3")
        assert (result.exit_code, json.loads(result.stdout)["status"]) == (0, "partly")
        assert not out.exists()
    assert "8 of 24 parts are still to be made by other jobs" in json.loads(result.stdout)["notes"][-1]
    again = json.loads(run(*arguments, "--shard", "1/3").stdout)  # as Slurm does with jobs whose node failed
    assert again["status"] == "partly"
    assert json.loads(run(*arguments, "--shard", "2/3").stdout)["status"] == "done"
    assert names_in(tmp_path) == ["in.ome.zarr", "out.ome.zarr"]
    assert run(large, "-o", tmp_path / "alone.ome.zarr", "--model", model).exit_code == 0
    np.testing.assert_array_equal(pixels_of(out), pixels_of(tmp_path / "alone.ome.zarr"))
    records = [read_image(path).provenance for path in (out, tmp_path / "alone.ome.zarr")]
    for record in records:
        del record["made"]
    assert records[0] == records[1]


def assert_same_error_bars(one: Path, other: Path) -> None:
    bars = [read_image(path.with_name(path.name.replace(".ome.", "_std.ome."))) for path in (one, other)]
    np.testing.assert_array_equal(*(np.asarray(image.pixels[...]) for image in bars))
    records = [dict(image.provenance) for image in bars]
    for record in records:
        del record["made"]
    assert records[0] == records[1]
    assert (bars[0].name, records[0]["map"]) == (bars[1].name, "error")


@pytest.mark.parametrize("axes", ["ZYX", "CYX"])
def test_error_bars_go_on_with_what_is_finished(large, model, tmp_path, small_shards, monkeypatch, axes):
    arguments = (large, "--model", model, "--std", "--axes", axes)
    out = tmp_path / "out.ome.zarr"
    with monkeypatch.context() as patch:
        stop_after(patch, 24 + 7, KeyboardInterrupt())
        broken = run(*arguments, "-o", out)
    assert (broken.exit_code, "the same command goes on" in broken.stderr) == (130, True)
    made = (out / "zarr.json").stat().st_mtime_ns
    lines, add = [], Unfinished.add
    monkeypatch.setattr(Unfinished, "add", lambda self, line: lines.append(line) or add(self, line))
    result = run(*arguments, "-o", out)
    assert (result.exit_code, result.stdout) == (0, f"{out}\n{tmp_path / 'out_std.ome.zarr'}\n"), result.output
    assert sorted(line["part"] for line in lines) == list(range(7, 24))
    assert (out / "zarr.json").stat().st_mtime_ns == made
    assert "finished it, but for its error bars" in result.stderr
    assert "error bars: went on where it was broken off: 7 of 24 parts were finished" in result.stderr
    assert names_in(tmp_path) == ["in.ome.zarr", "out.ome.zarr", "out_std.ome.zarr"]
    assert run(*arguments, "-o", tmp_path / "again.ome.zarr").exit_code == 0
    assert_same_error_bars(out, tmp_path / "again.ome.zarr")
    assert run(*arguments, "-o", tmp_path / "whole.ome.tif").exit_code == 0
    in_parts, whole = (read_image(tmp_path / name) for name in ("out_std.ome.zarr", "whole_std.ome.tif"))
    # other tiles: each sees as far around itself as counts
    np.testing.assert_allclose(np.asarray(in_parts.pixels[...]), whole.pixels, rtol=5e-3)
    assert in_parts.provenance["noise"] == whole.provenance["noise"]
    assert len(whole.provenance["noise"]) == (2 if axes == "CYX" else 1)


@pytest.mark.parametrize("ending", [".ome.zarr", ".ome.tif"])
def test_error_bars_never_replace_an_input(large, model, tmp_path, ending):
    source = tmp_path / f"x_std{ending}"
    write_image(source, read_image(large))
    result = run(source, "-o", tmp_path / f"x{ending}", "--model", model, "--std", "--overwrite")
    assert (result.exit_code, "is an input, and inputs are never overwritten" in result.stderr) == (2, True), result.output
    np.testing.assert_array_equal(pixels_of(source), pixels_of(large))
    assert names_in(tmp_path) == ["in.ome.zarr", source.name]


def test_error_bars_that_are_broken_off_again_and_again_go_on(large, model, tmp_path, small_shards, monkeypatch):
    arguments = (large, "-o", tmp_path / "out.ome.zarr", "--model", model, "--std")
    for count in (24 + 7, 3, 5):
        with monkeypatch.context() as patch:
            patch.setattr(BatchJournal, "kept_while_incomplete", nullcontext)  # as if it was killed
            stop_after(patch, count, KeyboardInterrupt())
            assert run(*arguments).exit_code == 130
    result = run(*arguments)
    assert (result.exit_code, "15 of 24 parts were finished" in result.stderr) == (0, True), result.output
    assert names_in(tmp_path) == ["in.ome.zarr", "out.ome.zarr", "out_std.ome.zarr"]


@pytest.mark.parametrize("ending", [".ome.zarr", ".ome.tif"])
@pytest.mark.parametrize("options", [(), ("--overwrite",)])
def test_error_bars_that_nobody_noted_any_more_are_kept(large, model, tmp_path, small_shards, monkeypatch, ending, options):
    """The process is killed when the error bars have their name, before the journal says that the job is done."""
    arguments = (large, "-o", tmp_path / f"out{ending}", "--model", model, "--std")
    if options:  # older ones are there
        assert run(*arguments).exit_code == 0
    with monkeypatch.context() as patch:
        patch.setattr(BatchJournal, "finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        patch.setattr(BatchJournal, "kept_while_incomplete", nullcontext)
        assert run(*arguments, "--strength", "0.5", *options).exit_code == 130
    made = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob(f"out*{ending}")}
    assert len(made) == 2
    result = run(*arguments, "--strength", "0.5")
    assert (result.exit_code, "an earlier run, which left other work over, finished it" in result.stderr) == (0, True), result.output
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in made} == made
    assert names_in(tmp_path) == sorted(["in.ome.zarr", *made])


@pytest.mark.parametrize("first", ["plan.json", "all.lock"])
@pytest.mark.parametrize("bars", [False, True])
def test_what_was_not_cleared_away_is(large, model, tmp_path, small_shards, monkeypatch, first, bars):
    """The process is killed between two files of the folder in which a result, or its error bars, were made."""
    out = tmp_path / "out.ome.zarr"
    arguments = (large, "-o", out, "--model", model, *(["--std"] if bars else []))
    rmtree = shutil.rmtree

    def remove_one(folder, **how):
        if Path(folder).name == work_folder(tmp_path / f"out{'_std' * bars}.ome.zarr").name:
            (Path(folder) / first).unlink()
            raise KeyboardInterrupt
        rmtree(folder, **how)

    def broken_off(*options):
        with monkeypatch.context() as patch:
            patch.setattr(BatchJournal, "kept_while_incomplete", nullcontext)
            patch.setattr(unfinished.shutil, "rmtree", remove_one)
            assert run(*arguments, *options).exit_code == 130

    complete = ["in.ome.zarr", "out.ome.zarr", *(["out_std.ome.zarr"] if bars else [])]
    broken_off()
    kept = run(*arguments)
    assert (kept.exit_code, "an earlier run, which left other work over, finished it" in kept.stderr) == (0, True), kept.output
    assert names_in(tmp_path) == complete
    broken_off("--overwrite")
    for path in tmp_path.glob("*.jsonl"):
        path.unlink()  # of which nobody knows any more
    again = run(*arguments, "--overwrite")
    assert again.exit_code == 0, again.output
    assert names_in(tmp_path) == complete


@pytest.mark.parametrize("count", [5, 24 + 5, 99])
def test_memory_is_given_back_when_parts_are_made_or_not_wanted_any_more(large, model, tmp_path, small_shards, monkeypatch, count):
    closed: list[str] = []
    for of in (Regions, MapMaker):
        close = of.close
        monkeypatch.setattr(of, "close", lambda self, of=of, close=close: closed.append(of.__name__) or close(self))
    stop_after(monkeypatch, count, KeyboardInterrupt())
    run(large, "-o", tmp_path / "out.ome.zarr", "--model", model, "--std")
    assert closed == ["Regions", "MapMaker"][: 1 if count < 24 else 2]


def test_error_bars_that_are_wanted_in_another_way_are_made_with_their_result(large, model, tmp_path, small_shards, monkeypatch):
    arguments = (large, "-o", tmp_path / "out.ome.zarr", "--model", model, "--std")
    with monkeypatch.context() as patch:
        stop_after(patch, 24 + 7, KeyboardInterrupt())
        run(*arguments)
    other = run(*arguments, "--strength", "0.5")
    assert other.exit_code == 0, other.output
    records = [read_image(tmp_path / name).provenance for name in ("out.ome.zarr", "out_std.ome.zarr")]
    assert (records[0]["settings"]["strength"], records[1]["strength"]) == (0.5, 0.5)
    assert names_in(tmp_path) == ["in.ome.zarr", "out.ome.zarr", "out_std.ome.zarr"]


def test_jobs_share_error_bars_too(large, model, tmp_path, small_shards, monkeypatch):
    out = tmp_path / "out.ome.zarr"
    arguments = (large, "-o", out, "--model", model, "--std", "--json")
    for number in (3, 1):
        result = run(*arguments, "--shard", f"{number}/3")
        assert (result.exit_code, json.loads(result.stdout)["status"]) == (0, "partly"), result.output
    with monkeypatch.context() as patch:
        stop_after(patch, 8 + 2, KeyboardInterrupt())  # its node goes, after it has completed the result
        assert run(*arguments, "--shard", "2/3").exit_code == 130
    assert out.exists()
    again = json.loads(run(*arguments, "--shard", "1/3").stdout)
    assert again["status"] == "partly"
    assert "6 of 24 parts are still to be made by other jobs" in again["notes"][-1]
    last = json.loads(run(*arguments, "--shard", "2/3").stdout)
    assert (last["status"], last["std"]) == ("done", str(tmp_path / "out_std.ome.zarr"))
    assert names_in(tmp_path) == ["in.ome.zarr", "out.ome.zarr", "out_std.ome.zarr"]
    assert run(large, "-o", tmp_path / "alone.ome.zarr", "--model", model, "--std").exit_code == 0
    np.testing.assert_array_equal(pixels_of(out), pixels_of(tmp_path / "alone.ome.zarr"))
    assert_same_error_bars(out, tmp_path / "alone.ome.zarr")


def test_two_that_make_the_last_part_at_once_complete_it_once(large, model, tmp_path, small_shards):
    """Each has its own lock on its share, and one of them completes."""
    job = plan_jobs([large], tmp_path / "out.ome.zarr")
    denoiser, ended = load_denoiser(model), []
    together = threading.Barrier(4)

    def work(number):
        for event in run_jobs(job, DenoiseSettings(device="cpu"), denoiser, share=Share(number, 4)):
            if isinstance(event, JobAdvanced) and event.done == event.total:
                together.wait(60)
            if isinstance(event, JobEnded):
                ended.append(event.record["status"])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) == ["done", "partly", "partly", "partly"]
    assert names_in(tmp_path) == ["in.ome.zarr", "out.ome.zarr"]
    assert run(large, "-o", tmp_path / "alone.ome.zarr", "--model", model).exit_code == 0
    np.testing.assert_array_equal(pixels_of(tmp_path / "out.ome.zarr"), pixels_of(tmp_path / "alone.ome.zarr"))


def test_one_that_begins_leaves_alone_what_another_is_about_to_begin(large, model, tmp_path, small_shards):
    """Jobs of an array start at once: each makes the folder under a name of its own, and the first one's becomes that of all."""
    young, old = (tmp_path / f".out.ome.zarr.napari-ne-denoise.{name}.new" for name in ("node1-1-a", "node2-2-b"))
    for folder in (young, old):
        folder.mkdir()
    os.utime(old, (time.time() - 7200,) * 2)
    (job,) = plan_jobs([large], tmp_path / "out.ome.zarr")
    BatchJournal([job.target]).begin(job, {})  # as another job does, which is at work
    assert run(large, "-o", job.target, "--model", model, "--shard", "1/2").exit_code == 0
    assert (young.exists(), old.exists()) == (True, False)


@pytest.mark.parametrize("late", ["begins anew", "begins", "asks what is left", "completes"])
def test_one_that_comes_late_to_what_another_completed_says_so(large, model, tmp_path, small_shards, monkeypatch, late):
    """All parts were made when it was given again: another job completes it while this one begins, asks what is left, or completes it."""
    arguments = (large, "-o", tmp_path / "out.ome.zarr", "--model", model, "--json")
    assert run(*arguments, "--shard", "1/2").exit_code == 0
    with monkeypatch.context() as patch:
        stop_after(patch, 12, KeyboardInterrupt())
        assert run(*arguments, "--shard", "2/2").exit_code == 130
    begin_parts, told_of_parts, others, finish = batch_file.begin_parts, batch_file.told_of_parts, [], Unfinished.finish

    def complete(result, source):
        if not others:
            others.append(finish(result, source, overwrite=False))

    def begin_early(job, *what, **how):
        result = begin_parts(job, *what, **how)
        complete(result, job.source)
        return result

    def tell_late(result, opened, job, earlier):
        complete(result, job.source)
        return told_of_parts(result, opened, job, earlier)

    def finish_late(self, source, **how):
        complete(self, source)
        return finish(self, source, **how)

    def begin_anew(job, *what, **how):
        if not others:  # and its folder is cleared away
            others.append(run(*arguments, "--shard", "1/2"))
        return begin_parts(job, *what, **how)

    if late == "begins anew":
        monkeypatch.setattr(batch_file, "begin_parts", begin_anew)
    elif late == "begins":
        monkeypatch.setattr(batch_file, "begin_parts", begin_early)
    elif late == "asks what is left":
        monkeypatch.setattr(batch_file, "told_of_parts", tell_late)
    else:
        monkeypatch.setattr(Unfinished, "finish", finish_late)
    last = json.loads(run(*arguments, "--shard", "2/2").stdout)
    assert (last["status"], last["notes"][-1]) == ("partly", "all parts are made, and another job completes it")
    assert names_in(tmp_path) == ["in.ome.zarr", "out.ome.zarr"]


def begun_to(jobs, model, share=None, **settings):
    """Events of jobs that have begun to compute."""
    events = run_jobs(jobs, DenoiseSettings(device="cpu", **settings), load_denoiser(model), share=share)
    while not isinstance(next(events), JobAdvanced):
        pass
    return events


def records_of(events):
    return [event.record for event in events if isinstance(event, JobEnded)]


def test_what_is_at_work_already_is_said(large, model, tmp_path, small_shards):
    job = plan_jobs([large], tmp_path / "out.ome.zarr")
    events = begun_to(job, model)
    second = run(large, "-o", tmp_path / "out.ome.zarr", "--model", model, "--device", "cpu")
    assert (second.exit_code, "another process is at work on it" in second.stderr) == (1, True)
    assert [record["status"] for record in records_of(events)] == ["done"]


def test_what_another_is_at_work_on_is_not_thrown_away(large, model, tmp_path, small_shards):
    job = plan_jobs([large], tmp_path / "out.ome.zarr", overwrite=True)
    first = begun_to(job, model)
    (second,) = records_of(run_jobs(job, DenoiseSettings(device="cpu", strength=0.5), load_denoiser(model)))
    assert (second["status"], "another process is at work on it" in second["error"]) == ("failed", True)
    assert [record["status"] for record in records_of(first)] == ["done"]
    assert read_image(job[0].target).provenance["settings"]["strength"] == 1.0


def test_one_that_does_all_meets_one_that_does_a_share(large, model, tmp_path, small_shards):
    """The one who comes later is told so, and what is cancelled with nothing made leaves the folder to the share."""
    job = plan_jobs([large], tmp_path / "out.ome.zarr")
    whole = begun_to(job, model)
    share = begun_to(job, model, Share(1, 2))
    whole.close()
    (other,) = records_of(run_jobs(job, DenoiseSettings(device="cpu"), load_denoiser(model)))
    assert (other["status"], "another process is at work on it" in other["error"]) == ("failed", True)
    assert [record["status"] for record in records_of(share)] == ["partly"]
    last = run_jobs(job, DenoiseSettings(device="cpu"), load_denoiser(model), share=Share(2, 2))
    assert [record["status"] for record in records_of(last)] == ["done"]
    assert names_in(tmp_path) == ["in.ome.zarr", "out.ome.zarr"]


def test_a_share_whose_folder_was_taken_away_says_so(large, model, tmp_path, small_shards):
    job = plan_jobs([large], tmp_path / "out.ome.zarr")
    share = begun_to(job, model, Share(1, 2))
    shutil.rmtree(work_folder(job[0].target))
    (record,) = records_of(share)
    assert (record["status"], "taken away meanwhile; run this again" in record["error"]) == ("failed", True)


def test_what_was_about_to_be_replaced_comes_back_before_it_is_begun_anew(large, model, tmp_path, small_shards, monkeypatch):
    """The process is killed between the two moves that give a result its name; the next one wants another way, and is broken off."""
    out = tmp_path / "out.ome.zarr"
    arguments = (large, "-o", out, "--model", model, "--overwrite")
    assert run(*arguments).exit_code == 0
    with monkeypatch.context() as patch:
        stop_after(patch, 7, KeyboardInterrupt())
        run(*arguments)
    os.replace(out, work_folder(out) / "replaced.ome.zarr")
    stop_after(monkeypatch, 7, KeyboardInterrupt())
    assert run(*arguments, "--strength", "0.5").exit_code == 130
    assert read_image(out).provenance["settings"]["strength"] == 1.0


def test_one_whose_folder_is_completed_and_cleared_away_just_when_it_begins_begins_again(large, model, tmp_path, monkeypatch):
    make, made = unfinished._make_folder, []

    def make_and_lose(folder, *what):
        make(folder, *what)
        made.append(folder)
        if len(made) == 1:
            shutil.rmtree(folder)

    monkeypatch.setattr(unfinished, "_make_folder", make_and_lose)
    result = run(large, "-o", tmp_path / "out.ome.zarr", "--model", model)
    assert (result.exit_code, len(made)) == (0, 2), result.output


def test_a_folder_that_cannot_be_removed_is_named(large, model, tmp_path, monkeypatch):
    """On Windows, what is open in another program stays, and nothing takes its name."""
    folder = work_folder(tmp_path / "out.ome.zarr")
    folder.mkdir()
    (folder / "part").touch()
    rmtree, rename = shutil.rmtree, os.rename

    def refuse(old, new):
        if Path(new) == folder:
            raise FileExistsError(new)
        rename(old, new)

    monkeypatch.setattr(unfinished.shutil, "rmtree", lambda path, **how: None if Path(path) == folder else rmtree(path, **how))
    monkeypatch.setattr(unfinished.os, "rename", refuse)
    result = run(large, "-o", tmp_path / "out.ome.zarr", "--model", model)
    assert (result.exit_code, f"{folder}: is in the way, and cannot be removed; close what" in result.stderr) == (1, True), result.output


@pytest.mark.skipif(sys.platform == "win32", reason="has locks everywhere")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_does(large, model, tmp_path, monkeypatch, number):
    """An NFS without its daemon for locks, or a Lustre that is mounted without them; one that was killed there stands in nobody's way."""
    import fcntl

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    job = plan_jobs([large], tmp_path / "out.ome.zarr")
    killed = begun_to(job, model)
    (record,) = records_of(run_jobs(job, DenoiseSettings(device="cpu"), load_denoiser(model)))
    assert record["status"] == "done", record
    killed.close()
    assert names_in(tmp_path) == ["in.ome.zarr", "out.ome.zarr"]


def test_one_that_is_late_takes_nothing_away_where_there_are_no_locks(large, model, tmp_path, monkeypatch):
    """Another one completes it while this one writes the smaller sizes."""
    job = plan_jobs([large], tmp_path / "out.ome.zarr", overwrite=True)
    finish = zarr_files.ZarrParts.finish

    def finish_late(self, *how):
        finish(self, *how)
        os.replace(work_folder(job[0].target) / "image.ome.zarr", job[0].target)

    monkeypatch.setattr(zarr_files.ZarrParts, "finish", finish_late)
    (record,) = records_of(run_jobs(job, DenoiseSettings(device="cpu"), load_denoiser(model)))
    assert (record["status"], record["notes"]) == ("partly", ["all parts are made, and another job completes it"]), record
    assert pixels_of(job[0].target).shape == (2, 90, 120)


def test_a_share_of_files_is_fixed_by_their_names(model, tmp_path):
    inputs = [tmp_path / f"{number}.npy" for number in range(5)]
    for path in inputs:
        np.save(path, np.random.default_rng(0).poisson(50, (20, 20)))
    arguments = ("-o", tmp_path / "out", "--model", model)
    assert run(*inputs[::-1], *arguments, "--shard", "2/2").exit_code == 0
    assert names_in(tmp_path / "out") == ["1_denoised.ome.tif", "3_denoised.ome.tif"]
    assert run(*inputs, *arguments, "--shard", "1/2").exit_code == 0  # those of the other share are there, and do not matter
    assert names_in(tmp_path / "out") == [f"{number}_denoised.ome.tif" for number in range(5)]
    assert run(*inputs, *arguments, "--shard", "7/9").exit_code == 0  # none


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/2/3", "-1/3", "1/0", ""])
def test_what_is_no_share_is_refused(model, tmp_path, text):
    with pytest.raises(SettingsError, match="I/N, such as 2/8"):
        Share.parse(text)


def test_a_tiff_cannot_be_shared(large, model, tmp_path):
    result = run(large, "-o", tmp_path / "out.ome.tif", "--model", model, "--shard", "1/2")
    assert (result.exit_code, "end OUT in .ome.zarr" in result.stderr) == (2, True)


@pytest.fixture
def files(tmp_path) -> list[Path]:
    paths = [tmp_path / f"{number}.npy" for number in range(4)]
    for number, path in enumerate(paths):
        np.save(path, np.random.default_rng(number).poisson(50, (40, 30 + 200 * (number == 1))))
    return paths


def broken_off(files, out, model, monkeypatch, count=2):
    """A batch that was killed, for all that is left of it, after so many files."""
    steps, begun = DenoisingRun.steps, []

    def some(self, **how):
        begun.append(self)
        if len(begun) > count:
            raise KeyboardInterrupt
        return steps(self, **how)

    with monkeypatch.context() as patch:
        patch.setattr(DenoisingRun, "steps", some)
        assert run(*files, "-o", out, "--model", model).exit_code == 130


def test_a_batch_goes_on_without_being_told_to(files, model, tmp_path, monkeypatch):
    out = tmp_path / "out"
    broken_off(files, out, model, monkeypatch)
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.tif")}
    assert len(before) == 2
    half, alive, old = (
        out / f".2_denoised.ome.tif.{who}-a1b2c3.part"
        for who in (f"{socket.gethostname()}-{NO_PROCESS}", f"{socket.gethostname()}-{os.getpid()}", "node2-1")
    )
    half.write_bytes(b"half")
    alive.write_bytes(b"of another run, which is at work")
    old.mkdir()
    for path in (old / "zarr.json", old):
        path.touch()
        os.utime(path, (time.time() - 7200,) * 2)
    result = run(*files, "-o", out, "--model", model)
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 2)
    assert result.stderr.count("an earlier run, which left other work over, finished it") == 2
    alive.unlink()
    assert names_in(out) == [f"{number}_denoised.ome.tif" for number in range(4)]
    assert {name: (out / name).stat().st_mtime_ns for name in before} == before
    assert run(*files, "-o", out, "--model", model).exit_code == 2  # it is complete, and exists


def test_a_batch_that_is_killed_among_its_journals_is_still_known(files, model, tmp_path, monkeypatch):
    """All is done but to remove the journals of three runs: whichever is left holds what the others held."""
    out = tmp_path / "out"
    for count in (2, 1):
        broken_off(files, out, model, monkeypatch, count)
    unlink, removed = Path.unlink, []

    def unlink_one(self, **how):
        if self.suffix == ".jsonl":
            if removed:
                raise KeyboardInterrupt
            removed.append(self)
        unlink(self, **how)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink_one)
        assert run(*files, "-o", out, "--model", model).exit_code == 130
    assert len(list(out.glob("*.jsonl"))) == 2
    result = run(*files, "-o", out, "--model", model)
    assert (result.exit_code, result.stdout) == (0, "")
    assert names_in(out) == [f"{number}_denoised.ome.tif" for number in range(4)]


@pytest.mark.parametrize("finished", [0, 1])
def test_a_result_without_its_error_bars_is_made_again_with_them(files, model, tmp_path, monkeypatch, finished):
    """It was broken off between the two: the result is ours, and may be replaced."""
    out = tmp_path / "out"
    arguments = (*files, "-o", out, "--model", model, "--std")
    complete = [out / f"{number}_denoised{ending}.ome.tif" for number in range(finished) for ending in ("", "_std")]

    steps, begun = batch_file.whole_error_bars, []

    def some(*arguments):
        begun.append(arguments)
        if len(begun) > finished:
            raise KeyboardInterrupt
        return steps(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(batch_file, "whole_error_bars", some)
        assert run(*arguments).exit_code == 130
    assert set(out.glob("*.tif")) == {*complete, out / f"{finished}_denoised.ome.tif"}
    kept = [path.stat().st_mtime_ns for path in complete]
    result = run(*arguments)
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 2 * (4 - finished)), result.output
    assert len(names_in(out)) == 8
    assert [path.stat().st_mtime_ns for path in complete] == kept


def test_a_batch_does_not_mix_ways(files, model, tmp_path, monkeypatch):
    out = tmp_path / "out"
    broken_off(files, out, model, monkeypatch)
    for options in ((), ("--skip-existing",)):
        result = run(*files, "-o", out, "--model", model, "--strength", "0.5", *options)
        assert (result.exit_code, "strength was 1.0, now 0.5" in result.stderr) == (2, True)
        assert len(list(out.glob("*.tif"))) == 2
    np.save(files[0], np.zeros((30, 30)))
    changed = run(*files, "-o", out, "--model", model)
    assert (changed.exit_code, "the image has changed (0.npy, " in changed.stderr) == (2, True)
    replaced = run(*files, "-o", out, "--model", model, "--strength", "0.5", "--overwrite")
    assert (replaced.exit_code, len(replaced.stdout.splitlines())) == (0, 4)
    assert {read_image(path).provenance["settings"]["strength"] for path in out.iterdir()} == {0.5}


def test_a_result_that_somebody_replaced_is_not_taken_for_ours(files, model, tmp_path, monkeypatch):
    out = tmp_path / "out"
    broken_off(files, out, model, monkeypatch)
    (out / "0_denoised.ome.tif").write_text("a thesis")
    result = run(*files, "-o", out, "--model", model)
    assert (result.exit_code, "0_denoised.ome.tif: exists already" in result.stderr) == (2, True)


@pytest.mark.parametrize("options", [(), ("--std",)])
def test_what_somebody_put_in_place_of_a_half_done_result_is_not_taken_for_ours(files, model, tmp_path, monkeypatch, options):
    out, foreign = tmp_path / "out", tmp_path / "out" / "1_denoised.ome.tif"
    arguments = (*files, "-o", out, "--model", model, *options)

    def stop(path, *_, **__):
        if path == foreign:
            raise KeyboardInterrupt
        return write_image(path, *_, **__)

    with monkeypatch.context() as patch:
        patch.setattr(batch_file, "write_image", stop)
        assert run(*arguments).exit_code == 130
    foreign.write_text("a thesis")
    result = run(*arguments)
    assert (result.exit_code, "1_denoised.ome.tif: exists already" in result.stderr) == (2, True)
    assert foreign.read_text() == "a thesis"


def test_a_file_that_vanishes_costs_itself_only(files, model, tmp_path):
    jobs, denoiser = plan_jobs(files, tmp_path), load_denoiser(model)
    ended = []
    for event in run_jobs(jobs, DenoiseSettings(), denoiser):
        if isinstance(event, JobEnded):
            ended.append(event.record)
            files[2].unlink(missing_ok=True)
    assert [record["status"] for record in ended] == ["done", "done", "failed", "done"]
    assert "there is no such file" in ended[2]["error"]
    np.save(files[2], np.ones((20, 20)))  # it is back
    again = [event for event in run_jobs(plan_jobs(files, tmp_path), DenoiseSettings(), denoiser) if isinstance(event, JobEnded)]
    assert [event.record["status"] for event in again] == ["skipped", "skipped", "done", "skipped"]
    assert not list(tmp_path.glob("*.jsonl"))


@pytest.mark.skipif(sys.platform == "win32", reason="names may be longer there")
def test_a_name_that_is_too_long_costs_itself_only(files, model, tmp_path):
    long = tmp_path / f"{'n' * 245}.npy"
    np.save(long, np.ones((20, 20)))
    result = run(long, files[0], "-o", tmp_path, "--model", model)
    assert (result.exit_code, "the name is too long for this disk" in result.stderr) == (1, True)
    assert (tmp_path / "0_denoised.ome.tif").exists()
    for name in (f"{'n' * 300}.ome.tif", f"{'n' * 240}.ome.zarr"):
        result = run(files[0], "-o", tmp_path / name, "--model", model)
        assert result.exit_code in (1, 2)
        assert "too long" in result.stderr
        assert "remove the folder" not in result.stderr


@pytest.fixture
def mounted(tmp_path):
    """Mounts a file system in memory, with options; skips where that is not allowed."""
    places = []

    def mount(name: str, options: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False).returncode:
            pytest.skip("only root may mount")
        places.append(folder)
        return folder

    yield mount
    for place in places:
        subprocess.run(["umount", place], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="mounts as Linux does")
def test_a_full_disk_costs_what_does_not_fit(files, model, tmp_path, mounted):
    out = mounted("small", "size=48k")
    result = run(*files, "-o", out, "--model", model, "--json")
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    assert [record["status"] for record in records].count("done") >= 1
    assert records[1]["status"] == "failed"
    assert "the disk is full" in records[1]["error"]
    for record in records:
        assert Path(record["output"]).exists() == (record["status"] == "done")
        if record["status"] == "done":
            assert read_image(record["output"]).pixels.shape == (40, 30)
    assert not list(out.glob(".*"))
    subprocess.run(["mount", "-o", "remount,size=4m", out], check=True)  # somebody made room
    again = run(*files, "-o", out, "--model", model)
    assert again.exit_code == 0, again.stderr
    assert names_in(out) == [f"{number}_denoised.ome.tif" for number in range(4)]


@pytest.mark.skipif(sys.platform != "linux", reason="mounts as Linux does")
def test_a_large_result_goes_on_once_there_is_room(large, model, tmp_path, mounted, small_shards):
    out = mounted("small", "size=160k") / "out.ome.zarr"
    arguments = (large, "-o", out, "--model", model)
    full = run(*arguments)
    assert (full.exit_code, "the disk is full" in full.stderr, out.exists()) == (1, True, False)
    subprocess.run(["mount", "-o", "remount,size=40m", out.parent], check=True)
    again = run(*arguments)
    assert again.exit_code == 0, again.stderr
    assert "of 24 parts were finished" in again.stderr
    assert run(large, "-o", tmp_path / "other.ome.zarr", "--model", model).exit_code == 0
    np.testing.assert_array_equal(pixels_of(out), pixels_of(tmp_path / "other.ome.zarr"))
    assert names_in(out.parent) == ["out.ome.zarr"]


@pytest.mark.skipif(sys.platform != "linux", reason="mounts as Linux does")
def test_a_folder_that_cannot_be_written_costs_its_own_results(files, large, model, mounted):
    denoiser, readonly = load_denoiser(model), mounted("readonly", "size=1m,ro")
    jobs = [*plan_jobs(files[:1], readonly), *plan_jobs([large], readonly), *plan_jobs(files[3:], None)]
    ended = [event.record for event in run_jobs(jobs, DenoiseSettings(), denoiser) if isinstance(event, JobEnded)]
    assert [record["status"] for record in ended] == ["failed", "failed", "done"]
    assert all("Read-only file system" in record["error"] for record in ended[:2])


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root can be somebody else for a while")
def test_what_may_not_be_read_or_written_costs_itself_only(model):
    denoiser = load_denoiser(model)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        folder.chmod(0o777)
        for name in ("secret", "open"):
            np.save(folder / f"{name}.npy", np.random.default_rng(0).poisson(50, (20, 20)))
        (folder / "secret.npy").chmod(0)
        for name, mode in (("closed", 0o555), ("results", 0o777)):
            (folder / name).mkdir()
            (folder / name).chmod(mode)
        targets = (("secret", "results"), ("open", "closed"), ("open", "results"))
        jobs = [plan_jobs([folder / f"{source}.npy"], folder / target)[0] for source, target in targets]
        os.seteuid(NOBODY)
        try:
            ended = [event.record for event in run_jobs(jobs, DenoiseSettings(), denoiser) if isinstance(event, JobEnded)]
        finally:
            os.seteuid(0)
    assert [record["status"] for record in ended] == ["failed", "failed", "done"]
    assert "secret.npy: " in ended[0]["error"]
    assert all("permission denied; ask for the right to it" in record["error"] for record in ended[:2])


def test_a_journal_of_another_that_only_begins_is_left_alone(files, model, tmp_path):
    young = tmp_path / f"{journal.BEGINNING}.batch.elsewhere-1-a1b2c3.jsonl"
    young.touch()
    assert run(files[0], "-o", tmp_path / "out.ome.tif", "--model", model).exit_code == 0
    assert young.exists()


def test_a_look_into_a_folder_changes_nothing(large, model, tmp_path, small_shards, monkeypatch):
    """The Finder and the Explorer leave files where they were."""
    arguments = (large, "-o", tmp_path / "out.ome.zarr", "--model", model)
    with monkeypatch.context() as patch:
        stop_after(patch, 7, KeyboardInterrupt())
        run(*arguments)
    for name in (".DS_Store", "Thumbs.db", "Desktop.ini", "._zarr.json"):
        (large / "0" / name).touch()
    result = run(*arguments)
    assert (result.exit_code, "7 of 24 parts were finished" in result.stderr) == (0, True), result.output


@pytest.mark.parametrize("out", [".", "A/1/result.ome.zarr", "A/../../plate.zarr"])
def test_nothing_is_written_around_an_input_or_into_one(tmp_path, out):
    plate = tmp_path / "plate.zarr"
    (plate / "A" / "1" / "0").mkdir(parents=True)
    for folder in (plate, plate / "A" / "1", plate / "A" / "1" / "0"):
        (folder / "zarr.json").write_text("{}")
    inputs = [plate / "A" / "1" / "0"] if out != "A/1/result.ome.zarr" else [plate]
    with pytest.raises(SettingsError, match=r"(holds|lies in) an input, and inputs are never"):
        plan_jobs(inputs, plate / out, overwrite=True)


def test_an_input_of_another_spelling_is_one(tmp_path):
    """A hard link is to a disk what another case of its name is where case does not count."""
    (tmp_path / "Cells.tif").touch()
    os.link(tmp_path / "Cells.tif", tmp_path / "cells.tif")
    with pytest.raises(SettingsError, match="is an input, and inputs are never overwritten"):
        plan_jobs([tmp_path / "Cells.tif"], tmp_path / "cells.tif", overwrite=True)


def test_results_never_meet_on_a_disk_that_ignores_case(tmp_path):
    inputs = [
        tmp_path / folder / name for folder, name in (("a", "Cells.tif"), ("b", "cells.tif"), ("c", "e\u0301.tif"), ("d", "\u00c9.tif"))
    ]
    names = [job.target.name for job in plan_jobs(inputs, tmp_path / "out")]
    assert names[:2] == ["a_Cells_denoised.ome.tif", "b_cells_denoised.ome.tif"]
    assert [name[:2] for name in names[2:]] == ["c_", "d_"]
    with pytest.raises(SettingsError, match="are one file where a disk ignores case; rename one"):
        plan_jobs([tmp_path / "Cells.tif", tmp_path / "cells.tif"], tmp_path / "out")


def test_lines_that_were_broken_off_are_left_out(tmp_path):
    written = journal.Journal(tmp_path, "batch")
    written.add({"output": "a"})
    with open(written.path, "ab") as file:
        file.write(b'{"output": "b')
    written.add({"output": "c"})
    (tmp_path / f"{journal.BEGINNING}.batch.elsewhere-1.jsonl").write_bytes(b"\x00\x00\n[1]\n")
    assert [line["output"] for line in journal.read_journals(journal.journals_in(tmp_path, "batch"))] == ["a", "c"]
    assert list(journal.read_journals([tmp_path / "none"])) == []
