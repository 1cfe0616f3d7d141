"""The benchmarks measure what their protocols say, refuse busy machines, and write what they found."""

import json
import sys
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest
import torch
from skimage import io

from benchmarks import document, machine, ours, parts, report
from benchmarks.__main__ import main, options_of, parser
from benchmarks.images import Sample, fluorescence_samples, gaussian_samples, noisy_plane
from benchmarks.options import Options
from benchmarks.quality import classical
from benchmarks.report import Point, Report, Table, Target
from benchmarks.speed import architectures, cluster, filters, fresh, memory, peers, precision, processes, sizes, streaming
from benchmarks.speed.architectures import Architecture, float32_difference, noisy_batch
from benchmarks.speed.reference import reference_of
from benchmarks.speed.timing import interleaved, median_ratio
from napari_ne_denoise import load_denoiser
from napari_ne_denoise.core.networks import DRUNet, FDnCNN

SMALL = (
    Architecture("FDnCNN", partial(FDnCNN, channels=8, depth=3), 32, 2, 16, 2.0, 4.0),
    Architecture("DRUNet", partial(DRUNet, channels=(4, 8), blocks=1), 32, 2, 16, 1.25, 2.5),
)


@pytest.fixture
def images(tmp_path):
    """A folder of tiny test images, laid out like the real one."""
    rng = np.random.default_rng(0)
    for name in ("set12/01", "set12/08", "set12/12", "fmd/gt__One", "fmd/noisy__One_1", "fmd/noisy__One_2"):
        path = tmp_path / "test" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        io.imsave(path, rng.integers(0, 255, (48, 56), np.uint8), check_contrast=False)
    return tmp_path


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Results and documentation go to a folder of the test."""
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(document, "DOCS", tmp_path / "docs")
    (tmp_path / "docs").mkdir()
    return tmp_path


@pytest.fixture
def quick(monkeypatch):
    """Each image is denoised once in a timing, and nobody waits for a quiet machine."""
    monkeypatch.setattr(sizes, "AT_LEAST", 1)
    monkeypatch.setattr(machine, "PATIENCE", 0)


def _under_load(monkeypatch, load):
    monkeypatch.setattr(machine.os, "getloadavg", lambda: (load, 0.0, 0.0))


def test_a_picked_image_has_the_noise_it_has_among_all(images):
    everything = {sample.name: sample for sample in gaussian_samples(images / "test" / "set12", 25)}
    (picked,) = gaussian_samples(images / "test" / "set12", 25, ("08",))
    np.testing.assert_array_equal(picked.noisy, everything["08"].noisy)
    assert len(list(fluorescence_samples(images / "test" / "fmd"))) == 2
    assert len(list(fluorescence_samples(images / "test" / "fmd", one_per_field=True))) == 1


def test_made_images_do_not_depend_on_how_they_are_made(monkeypatch):
    whole = noisy_plane((70, 40), "uint16")
    monkeypatch.setattr("benchmarks.images.BAND", 16)
    np.testing.assert_array_equal(noisy_plane((70, 40), "uint16"), whole)
    assert whole.dtype == np.uint16
    assert 80 < (whole[:, 1:] - whole[:, :-1].astype(float)).std() / np.sqrt(2) < 120


@pytest.mark.parametrize("network", [FDnCNN(channels=16, depth=6), DRUNet(channels=(8, 16, 24), blocks=2)], ids=["FDnCNN", "DRUNet"])
def test_reference_networks_compute_what_ours_do(network):
    assert float32_difference(network, reference_of(network), noisy_batch(2, 40)) <= 1e-5


def test_contenders_take_turns_after_a_warm_up():
    calls = []
    times = interleaved({name: partial(calls.append, name) for name in "ab"}, runs=2)
    assert calls == list("ababab")
    assert [len(spent) for spent in times.values()] == [2, 2]
    interleaved({"c": partial(calls.append, "c")}, 1, warm_up=False)
    assert calls.count("c") == 1


def test_a_ratio_is_the_median_of_those_of_the_turns():
    # the machine was ten times slower in the second turn: for both
    assert median_ratio({"a": [2.0, 30.0, 2.2], "b": [1.0, 10.0, 1.0]}, "a", "b") == pytest.approx(2.2)


def test_a_target_says_whether_it_was_met():
    assert Target("time", 1.1, 1.1).met
    assert not Target("time", 1.11, 1.1).met
    assert Target("speed", 50, 50, at_most=False).met
    assert Target("speed", 49.9, 50, "×", at_most=False).row == ["speed", "≥ 50 ×", "49.9 ×", "**no**"]


def test_a_busy_machine_is_refused(monkeypatch, quick, kept, capsys):
    _under_load(monkeypatch, 3.0)
    assert main(["speed", "--parts", "tax"]) == 2
    assert "load average 3.00" in capsys.readouterr().err
    assert not (kept / "results").exists()


def test_a_machine_may_become_quiet(monkeypatch, capsys):
    loads = iter([(3.0, 0, 0), (0.7, 0, 0), (0.4, 0, 0)])
    monkeypatch.setattr(machine.os, "getloadavg", lambda: next(loads))
    monkeypatch.setattr(machine.time, "sleep", lambda _: None)
    assert machine.quiet_load() == 0.4
    assert capsys.readouterr().err.count("waiting") == 1


def test_a_busy_machine_stands_in_the_tables_if_it_was_allowed(monkeypatch, quick, kept, capsys):
    _under_load(monkeypatch, 3.0)
    monkeypatch.setitem(parts.PARTS, "tax", parts.Part(partial(architectures.tax, architectures=SMALL[:1]), "speed --parts tax"))
    assert main(["speed", "--parts", "tax", "--runs", "1", "--allow-load"]) == 0
    assert "load 3.00 at the start" in capsys.readouterr().out
    assert "**The machine was busy" in "\n".join(report.load("tax").lines())


def test_others_are_watched():
    cores = machine.OthersWatch().cores()
    assert cores is None or cores >= 0


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("speed", list(parts.SPEED)),
        ("speed --parts tax,peers --allow-load", ["tax", "peers"]),
        ("memory --megapixels 4", ["memory"]),
        ("memory --drunet", ["memory-drunet"]),
        ("memory --streaming stack", ["streaming-stack"]),
        ("precision fast", ["precision"]),
        ("quality fast ordinary-twin", ["quality"]),
        ("quality fast --sets real,strange --no-peers --limit 2 --fresh --worst reports", ["quality"]),
        ("write", list(parts.PARTS)),
        ("write --parts none", []),
        ("write --parts missing", list(parts.PARTS)),
    ],
)
def test_commands_say_what_to_measure(line, wanted, kept):
    given = parser().parse_args(line.split())
    assert given.parts == wanted
    assert given.allow_load in (True, False)
    options_of(given)


@pytest.mark.parametrize(
    "line", ["", "speed --parts colour", "speed --runs 0", "write --parts tax,nothing", "precision", "quality --sets unreal"]
)
def test_a_wrong_command_is_refused(line, capsys):
    with pytest.raises(SystemExit):
        parser().parse_args(line.split())
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize("name", parts.PARTS)
def test_the_command_of_a_part_asks_for_that_part(name):
    options = Options(runs=3, large=True, megapixels=9, models=("fast", "ordinary-twin"))
    given = parser().parse_args(parts.command_of(parts.PARTS[name], options).split()[3:])
    assert given.parts == [name]
    assert options_of(given).runs in (3, Options().runs)


def _findings():
    here = machine.Machine("A processor", 2, 2, "2.0", 0.1, 0.02)
    points = {"Set12": [Point("fast", 0.2, 29.1, ours=True), Point("BM3D", 15.0, 29.0)], "FMD": [Point("fast", 0.2, 36.0, ours=True)]}
    tables = [Table(["denoiser", "s/MPix"], [["fast", "0.2"]], "Set12: three images.")]
    return Report("Peers", tables, [Target("fast", 0.2, 0.25, "s/MPix")], ["A note."], points, "python -m benchmarks speed", here)


def test_reports_are_kept(tmp_path):
    report.save("peers", _findings(), tmp_path)
    assert report.load("peers", tmp_path) == _findings()
    assert report.load("tax", tmp_path) is None
    assert "!*.json" in (tmp_path / ".gitignore").read_text()


def test_the_page_of_the_repository_is_what_was_kept():
    reports = {name: found for name in parts.PARTS if (found := report.load(name)) is not None}
    assert "\n".join(document.page(reports)).rstrip() + "\n" == (document.DOCS / "benchmarks.md").read_text(encoding="utf8")


def test_figures_of_several_machines_say_which():
    there = machine.Machine("Another processor", 8, 8, "2.0")
    one, other = Report("One", machine=_findings().machine), Report("Other", machine=there)
    assert "On Another processor, 8 logical cores, torch 2.0 with 8 threads." in list(document.page({"one": one, "other": other}))
    assert not [line for line in document.page({"one": one}) if line.startswith("On ")]


def test_the_page_is_written_from_what_was_kept(kept, capsys):
    pytest.importorskip("matplotlib")
    report.save("peers", _findings())
    assert main(["write", "--parts", "none"]) == 0
    text = (kept / "docs" / "benchmarks.md").read_text(encoding="utf8")
    for piece in ("* A processor, 2 logical cores", "| fast | ≤ 0.25 s/MPix | 0.2 s/MPix | yes |", "| fast | 0.2 |", "images/speed.png"):
        assert piece in text
    assert "`python -m benchmarks speed`; load 0.10 at the start, others used 0.02 cores meanwhile" in text
    assert io.imread(kept / "docs" / "images" / "speed.png").ndim == 3


def test_a_page_without_peers_has_no_plot(tmp_path):
    written = document.write_document({"tax": Report("Tax", [Table(["a"], [["1"]])])}, tmp_path)
    assert written == [tmp_path / "benchmarks.md"]
    assert "png" not in written[0].read_text(encoding="utf8")


def test_a_part_without_its_images_is_left_out(kept, quick, monkeypatch, capsys):
    _under_load(monkeypatch, 0.0)
    assert main(["write", "--parts", "quality,precision", "--data", str(kept / "nowhere")]) == 0
    assert capsys.readouterr().err.count("is left out") == 2


def test_architectures_are_compared_mode_by_mode(monkeypatch):
    def here(architecture, style, precision):
        return nullcontext(architectures.inference_call(architecture, style, getattr(torch, precision)))

    monkeypatch.setattr(architectures, "contender", here)
    options = Options(runs=1)
    taxed, trained = architectures.tax(options, SMALL), architectures.training(options, SMALL)
    against = architectures.reference(options, SMALL)
    assert {row[0] for row in taxed.tables[0].rows} == {"FDnCNN", "DRUNet"}
    assert len(trained.targets) == 4
    assert [target.met for target in against.targets if "float64" in target.what] == [True, True]
    assert [row[2] for row in against.tables[0].rows].count("reference") == 2


def test_peers_get_the_same_images(images, monkeypatch):
    pytest.importorskip("pywt")
    monkeypatch.setattr(classical, "find_spec", lambda name: None)
    found = peers.peers(Options(runs=1, data=images))
    assert [len(table.rows) for table in found.tables] == [3 + 2 * len(ours.packaged_models())] * 2
    assert {point.name for point in found.points["FMD"] if point.ours} == {
        f"{name}{how}" for name in ours.packaged_models() for how in ("", ", float32")
    }
    assert list(found.points) == ["Set12, σ = 25", "FMD"]
    assert "BM3D" not in {point.name for point in found.points["FMD"]}


def test_sizes_are_measured_by_pixel(quick):
    options = Options(runs=1)
    scaled = sizes.scaling(options, (32, 48), 64)
    assert len(scaled.tables[0].rows) == 2
    assert scaled.targets[-1].measured == 0  # one tile reads nothing that it does not keep
    stacked = sizes.stacks(options, 3, 16, 32)
    assert [target.limit for target in stacked.targets] == [1.3, 1.3]


def test_two_workers_are_measured_against_one():
    found = cluster.cluster(Options(runs=1), 2, 24)
    assert [row[0] for row in found.tables[0].rows] == ["one worker", "two workers"]
    assert (found.targets[0].limit, found.targets[0].at_most) == (1.7, False)


def test_the_halo_is_what_tiles_read_beyond_what_they_keep():
    fast = load_denoiser("fast")
    image = noisy_plane((64, 72))
    result, windows = ours.drain(image, fast)
    np.testing.assert_array_equal(result, ours.denoised(image, fast))
    assert sum(map(ours.pixels_in, windows)) == image.size
    assert ours.halo_overhead(image, fast) == 0


def test_waiting_is_measured_in_fresh_processes(monkeypatch):
    asked = []
    monkeypatch.setattr(sizes, "in_fresh_process", lambda *what: asked.append(what) or {"load": 0.1, "first": 0.2})
    found = sizes.latency(Options(runs=1), 48, 3)
    assert asked == [("benchmarks.speed.fresh", 48)] * 3
    assert [target.measured for target in found.targets[:2]] == [0.1, 0.2]


def test_a_fresh_process_says_what_it_waited_for(capsys):
    fresh.main(48)
    assert set(json.loads(capsys.readouterr().out)) == {"load", "first"}


def test_a_failed_process_says_why():
    with pytest.raises(RuntimeError, match="No module named"):
        processes.in_fresh_process("benchmarks.nothing")


def test_streaming_is_measured_on_the_command_line_itself(monkeypatch):
    if not sys.platform.startswith("linux"):
        pytest.skip("peak memory is read from /proc")
    monkeypatch.setattr(streaming, "STACK_PLANE", 128)
    found = streaming.streaming_stack(Options(streamed=0.13))
    peak, growth = found.targets
    assert [row[0] for row in found.tables[0].rows] == ["2×128×128", "4×128×128"]
    assert 0.1 < peak.measured < 10
    assert growth.measured == pytest.approx(1, abs=0.5)


def test_memory_is_what_an_image_takes_beyond_itself(monkeypatch, capsys):
    if not machine.Path("/proc/self/status").exists():
        pytest.skip("peak memory is read from /proc")
    memory.main("fast", 48)
    found = json.loads(capsys.readouterr().out)
    assert found["arrays"] == 2 * 48 * 48 * 4
    assert (found["full_tiles"], found["largest"]) == (1, "48×48")
    assert found["peak"] >= found["before"]
    monkeypatch.setattr(memory, "in_fresh_process", lambda *_: {**found, "peak": found["arrays"] + 1_400_000_000})
    assert memory.memory(Options()).targets[0].measured == pytest.approx(1.4)
    assert "Fewer than 4 tiles" in "".join(memory.memory_drunet(Options()).notes)


def test_half_precision_is_judged_where_it_matters(images):
    kinds = {case.kind for case in precision.cases_of(images / "test")}
    assert len(kinds) == len(precision.SIGMAS) + 4
    sample = Sample("dim", np.array([[0.0, 2.0, 50.0, 90.0]]), np.array([[1.0, 1.0, 60.0, 80.0]]), 25.0)
    single, half = np.array([[0.5, 1.5, 60.0, 80.0]]), np.array([[0.6, 1.4, 0.0, 0.0]])
    found = precision.change(precision.Case("dim", sample, 2), single, half, chosen=True)
    assert found.error == pytest.approx(0.1 / sample.noisy.std())
    assert found.share == pytest.approx(0.2)
    assert found.loss == pytest.approx(20 * np.log10(0.4 / 0.5))


def test_precisions_are_compared_on_every_kind_of_image(images):
    found = precision.precision(Options(data=images))
    assert [table.caption for table in found.tables] == ["bfloat16", "float16"]
    assert {len(table.rows) for table in found.tables} == {len(precision.SIGMAS) + 5}


def test_waiting_for_cancel_is_measured(monkeypatch):
    monkeypatch.setattr(sizes, "random_drunet", lambda: load_denoiser("fast"))
    found = sizes.cancel(Options(runs=1), 700, 0.01)
    assert [0 <= target.measured < 60 for target in found.targets] == [True, True]
    with pytest.raises(RuntimeError, match="larger image"):
        sizes.cancel(Options(runs=1), 16, 20)


def test_what_opens_a_window_is_left_out_where_there_is_no_screen(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("preview", "filters"):
        (missing,) = parts.PARTS[name].lacks(Options())
        assert "with-display.sh" in missing
    monkeypatch.setenv("DISPLAY", ":1")
    assert parts.PARTS["preview"].lacks(Options()) == parts.PARTS["filters"].lacks(Options()) == []


def test_filters_without_a_window_are_measured():
    found = filters._alone(noisy_plane((300, 300), "uint16"), 1)
    assert len(found) == 4
    assert all(0 < value < 60 for value in found.values())
