"""A batch denoises one file after another, says what becomes of each, and leaves nothing half-written."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_ne_denoise import denoise, load_denoiser
from napari_ne_denoise.core.batch.events import JobAdvanced, JobBegun, JobEnded
from napari_ne_denoise.core.batch.file import told_of
from napari_ne_denoise.core.batch.jobs import plan_jobs, plan_targets
from napari_ne_denoise.core.batch.products import with_source
from napari_ne_denoise.core.batch.run import run_jobs
from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.io import ImageFile, read_image
from napari_ne_denoise.core.provenance import KEY, said_of_measurement, said_of_result
from napari_ne_denoise.core.run import DenoisingRun
from napari_ne_denoise.core.settings import DenoiseSettings


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        tifffile.imwrite(tmp_path / f"{name}.tif", rng.poisson(50, (70, 60)).astype(np.uint16))
    (tmp_path / "b.tif").write_bytes(b"no image at all")
    return tmp_path


def ended(events):
    return [event for event in events if isinstance(event, JobEnded)]


def test_one_file_that_fails_does_not_stop_the_others(folder):
    jobs = plan_jobs(sorted(folder.glob("*.tif")), folder / "out")
    (folder / "out").mkdir()
    events = list(run_jobs(jobs, DenoiseSettings(tile_size=32), load_denoiser("fast")))
    assert [event.record["status"] for event in ended(events)] == ["done", "failed", "done"]
    assert "b.tif" in ended(events)[1].record["error"]
    assert [event.number for event in events if isinstance(event, JobBegun)] == [0, 1, 2]
    reached = [event.done for event in events if isinstance(event, JobAdvanced) and event.number == 2]
    assert reached == sorted(reached)
    assert reached[-1] == 70 * 60
    result = read_image(folder / "out" / "c_denoised.ome.tif")
    np.testing.assert_array_equal(result.pixels, denoise(tifffile.imread(folder / "c.tif"), tile_size=32))
    assert result.provenance["settings"]["tile_size"] == 32


def test_what_is_there_already_is_skipped_and_stays(folder):
    done = folder / "a_denoised.ome.tif"
    done.write_bytes(b"of yesterday")
    jobs = plan_jobs([folder / "a.tif"], folder, skip_existing=True)
    (only,) = run_jobs(jobs, DenoiseSettings(), load_denoiser("fast"))
    assert only.record["status"] == "skipped"
    assert done.read_bytes() == b"of yesterday"


@pytest.mark.parametrize("name", ["out.ome.tif", "out.ome.zarr"])
def test_a_batch_that_is_stopped_leaves_nothing(folder, name):
    before = sorted(folder.iterdir())
    events = run_jobs(plan_jobs([folder / "a.tif"], folder / name), DenoiseSettings(tile_size=32), load_denoiser("fast"))
    while not isinstance(next(events), JobAdvanced):
        pass
    events.close()
    assert sorted(folder.iterdir()) == before


def test_a_mistake_of_ours_in_one_file_does_not_cost_the_others(folder, monkeypatch):
    monkeypatch.setattr(DenoisingRun, "steps", lambda *_, **__: 1 / 0)
    (folder / "b.tif").unlink()
    events = ended(run_jobs(plan_jobs(sorted(folder.glob("*.tif")), folder), DenoiseSettings(), load_denoiser("fast")))
    assert [type(event.error) for event in events] == [ZeroDivisionError, ZeroDivisionError]
    assert events[0].record["error"].startswith("unexpected")


def test_results_lie_beside_their_images(folder):
    (folder / "deep").mkdir()
    other = folder / "deep" / "d.tif"
    other.write_bytes((folder / "a.tif").read_bytes())
    jobs = plan_jobs([folder / "a.tif", other], None)
    assert [job.target for job in jobs] == [folder / "a_denoised.ome.tif", folder / "deep" / "d_denoised.ome.tif"]


@pytest.mark.parametrize(
    ("inputs", "names"),
    [
        (("day1/a.tif", "day2/b.tif"), ("a", "b")),
        (("day1/a.tif", "day2/a.tif", "day2/b.tif"), ("day1_a", "day2_a", "b")),
        (("a.tif", "a.png"), ("a_tif", "a_png")),
        (("a.tif", "a.ome.tif"), ("a_tif", "a_ome_tif")),
        (("day1/a.tif", "day1/a.png", "day2/a.tif"), ("day1_a_tif", "day1_a_png", "day2_a_tif")),
        (("x/1/a.tif", "y/1/a.tif"), ("x_1_a", "y_1_a")),
        (("/x/1/a.tif", "1/a.tif", "b/a.tif"), ("x_1_a", "1_a", "b_a")),
    ],
)
def test_files_of_one_name_get_results_of_different_names(inputs, names):
    inputs = [Path(path) for path in inputs]
    targets = plan_targets(inputs, Path("results"))
    assert targets == [Path("results", f"{name}_denoised.ome.tif") for name in names]
    assert plan_targets(inputs[::-1], Path("results")) == targets[::-1]  # whatever the order, so that a batch can go on


@pytest.fixture
def plates(tmp_path):
    """Two plates of two rows and two columns, of groups of zarr format 2 and 3."""
    for plate, group in (("screen.zarr", ".zgroup"), ("second.ome.zarr", "zarr.json")):
        for place in (".", "A", "A/1", "A/1/0", "A/2", "A/2/0", "B", "B/1", "B/1/0", "B/1/1"):
            (tmp_path / plate / place).mkdir(exist_ok=True)
            (tmp_path / plate / place / group).write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        (["screen.zarr/A/1/0"], ["screen_A_1_0"]),
        (["screen.zarr/A/1/0", "screen.zarr/A/2/0"], ["screen_A_1_0", "screen_A_2_0"]),
        (["screen.zarr/A/1/0", "screen.zarr/B/1/0", "second.ome.zarr/A/1/0"], ["screen_A_1_0", "screen_B_1_0", "second_A_1_0"]),
        (["screen.zarr"], ["screen"]),
    ],
)
def test_results_of_fields_of_a_plate_are_called_after_plate_row_column_and_field(plates, monkeypatch, fields, names):
    targets = [f"{name}_denoised.ome.zarr" for name in names]
    for root in (plates, Path()):
        monkeypatch.chdir(plates)
        assert [target.name for target in plan_targets([root / field for field in fields], plates / "out")] == targets
        beside = plan_targets([root / field for field in fields], None)  # and not among the fields
        assert [target.absolute() for target in beside] == [plates / target for target in targets]
    monkeypatch.chdir(plates / "screen.zarr/B")
    assert plan_targets([Path("1/0")], plates) == [plates / "screen_B_1_0_denoised.ome.zarr"]


def test_a_record_says_which_field_of_a_plate_it_is_of(plates):
    assert with_source({"input": {}}, plates / "screen.zarr/B/1/0", ImageFile(np.zeros((2, 2))))["input"] == {"file": "screen.zarr/B/1/0"}
    (plates / "x").mkdir()
    (plates / "x/screen.zarr").symlink_to(plates / "screen.zarr")
    same = plan_targets([plates / "screen.zarr/B/1/0", plates / "x/screen.zarr/B/1/0"], plates)
    assert [target.name.removesuffix("_denoised.ome.zarr").rpartition("screen_")[0] for target in same] == [f"{plates.name}_", "x_"]


@pytest.mark.parametrize(("axes", "example"), [("QYX", "ZYX"), ("QZYX", "TZYX"), ("TZQYX", "TZCYX"), ("QIYX", "TZYX")])
def test_an_axis_that_is_not_named_may_be_one_that_the_image_has_not(axes, example):
    told = told_of(ImageFile(np.zeros((2,) * len(axes)), axes), {"decided": {}})
    assert told["unnamed_axes"]["example"] == example


def test_files_beside_each_other_of_one_name_keep_their_folder():
    assert plan_targets([Path("x/a.tif"), Path("x/a.npy")], None) == [Path("x/a_tif_denoised.ome.tif"), Path("x/a_npy_denoised.ome.tif")]
    assert plan_targets([Path("x/a.tif"), Path("y/a.tif")], None) == [Path("x/a_denoised.ome.tif"), Path("y/a_denoised.ome.tif")]


def test_an_error_is_mended_in_the_words_of_who_shows_it(folder):
    (folder / "a_denoised.ome.tif").touch()
    with pytest.raises(SettingsError, match=r"exists already\.$") as raised:
        plan_jobs([folder / "a.tif"], folder)
    assert str(raised.value.with_remedy({"existing": "press Replace"})).endswith("exists already; press Replace.")
    assert pickle.loads(pickle.dumps(raised.value)).mend == "existing"
    refused = SettingsError("axes='YX': must be 4 letters.")
    assert refused.with_remedy({"axes": "choose others"}) == "axes='YX': must be 4 letters; choose others."
    of_python = pickle.loads(pickle.dumps(SettingsError("which plane?", mend="plane", python="give position=")))
    assert str(of_python) == of_python.with_remedy({"axes": "choose others"}) == "which plane?; give position=."
    assert of_python.with_remedy({"plane": "drag the slider"}) == "which plane?; drag the slider."


@pytest.mark.parametrize(
    "record", [None, "ours", {}, {"program": KEY}, {"program": KEY, "settings": 3, "map": 3}, {"settings": {}, "map": "error"}]
)
def test_what_no_run_of_ours_made_is_an_image_like_others(record):
    assert said_of_result(record) is said_of_measurement(record) is None


def test_records_of_strangers_are_told_shortly():
    told = said_of_result({"program": KEY, "settings": {}, "model": {"name": "x\n" * 1000}, "made": [1]})
    assert len(told) <= 60
    assert told.isprintable()
    assert said_of_result({"program": KEY, "settings": {}, "model": 7}) == "of no name"
