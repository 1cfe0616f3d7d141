"""What `python -m benchmarks trials` times against each other does the same work."""

from functools import partial

import pytest
import torch
from torch.nn import functional as F

from benchmarks import machine
from benchmarks.__main__ import BUSY, main
from benchmarks.speed import operations, trials
from napari_ne_denoise.core.networks.layers import reflect_pad

SIDE, CHANNELS = 24, 8


@pytest.fixture
def small(monkeypatch):
    """Tiny images, in float32 alone."""
    for name, value in {
        "SIDE": 32,
        "FINEST": ((16, 8),),
        "COARSER": ((8, 16),),
        "BORDERS": ((16, 8),),
        "WIDTHS": (16, 18),
        "LARGE": 40,
        "TILES": (16, 40),
        "PROCESSES": 1,
        "ORDER": 16,
    }.items():
        monkeypatch.setattr(trials, name, value)
    for name, sizes in (("sorting", trials.FINEST), ("upsampling", trials.COARSER), ("residual", trials.FINEST)):
        monkeypatch.setitem(trials.SUBJECTS, name, partial(trials.single_operation, getattr(operations, name), sizes))
    monkeypatch.setattr(trials, "dtypes", lambda: iter([torch.float32]))
    monkeypatch.setattr(operations, "BATCH", 1)
    monkeypatch.setattr(operations, "CROP", 16)


def test_ways_to_upsample_agree():
    shipped, shuffled = (call() for call in operations.upsampling(torch.float32, SIDE, CHANNELS).values())
    assert shipped.shape == (1, CHANNELS // 2, 2 * SIDE, 2 * SIDE)
    torch.testing.assert_close(shipped, shuffled)


def test_ways_to_pad_by_reflection_agree():
    calls = operations.border(torch.float32, SIDE, CHANNELS)
    canvas, strips, zeros, copied = (call() for call in calls.values())
    torch.testing.assert_close(canvas[..., 1:-1, 1:-1], copied)
    torch.testing.assert_close(strips, copied)
    assert not torch.allclose(zeros, copied)


@pytest.mark.parametrize("shape", [(2, 2), (3, 9), (10, 4)])
def test_strips_are_padding_by_reflection(shape):
    x, kernel = torch.randn(2, 4, *shape), torch.randn(4, 4, 3, 3)
    torch.testing.assert_close(operations.convolve_strips(x, kernel), F.conv2d(reflect_pad(x), kernel))


def test_strips_of_other_bits_are_told(monkeypatch):
    assert operations.other_bits(torch.float32, SIDE, [SIDE]) == []
    strip = operations.row_strip
    monkeypatch.setattr(operations, "row_strip", lambda x, *how: strip(x, *how) + (x.shape[-1] == 9))
    assert operations.other_bits(torch.float32, SIDE, [9, SIDE]) == [9]


def _sorted(way):
    """What one of the ways of `operations.sorting` makes of the same features; some overwrite them."""
    return operations.sorting(torch.float32, SIDE, CHANNELS)[way]()


def test_ways_to_take_signs_away_agree():
    shipped, in_place, out_of_place, prelu, pairs, relu = operations.sorting(torch.float32, SIDE, CHANNELS)
    levels, contrasts = operations.features(SIDE, torch.float32, CHANNELS).chunk(2, 1)
    expected = torch.cat((levels, contrasts.abs()), 1)
    torch.testing.assert_close(_sorted(in_place), contrasts.abs())
    for way in (shipped, out_of_place, prelu):
        torch.testing.assert_close(_sorted(way), expected)
    for other_function in (pairs, relu):
        assert not torch.allclose(_sorted(other_function), expected)


class Nothing(torch.nn.Module):
    """In place of any module: its result is zero."""

    def forward(self, x, *_):
        return torch.zeros_like(x)


def _output(network):
    return trials._run(network, torch.randn((1, 1, 32, 32), generator=torch.Generator().manual_seed(0)))


def test_what_a_trial_replaces_takes_part_in_the_result(small, monkeypatch):
    built, replaced = [], trials.replaced
    shipped = _output(trials.trials(torch.float32)["shipped"]())

    def emptied(network, kind, _):
        built.append(replaced(network, kind, lambda _: Nothing()))
        return built[-1]

    monkeypatch.setattr(trials, "replaced", emptied)
    monkeypatch.setattr(trials, "traced", lambda network, _: network)
    monkeypatch.setattr(torch, "compile", lambda network, **_: network)  # takes a minute
    for build in trials.trials(torch.float32).values():
        build()
    assert built
    for network in built:
        assert not torch.allclose(_output(network), shipped)


@pytest.mark.parametrize("name", ["residual out of place", "contiguous instead of channels_last"])
def test_a_changed_network_is_the_same_function(small, name):
    shipped, changed = (trials.trials(torch.float32)[which]() for which in ("shipped", name))
    torch.testing.assert_close(_output(changed), _output(shipped), atol=1e-4, rtol=1e-4)


def test_kernels_are_made_with_their_gradients(monkeypatch):
    made = []
    gradients = torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", lambda kernel, weight, given: made.append(gradients(kernel, weight, given)[0].shape))
    rotated, published, *_ = operations.kernels().values()
    rotated()
    count = len(made)
    published()
    assert made[:count] == made[count:]
    assert count > 20


def test_every_subject_prints_a_table(small, capsys):
    subjects = [name for name in trials.SUBJECTS if name not in ("network", "pages")]  # which compile, and start processes
    assert main(["trials", *subjects, "--runs", "1", "--allow-load"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("## ")] == [f"## {name}" for name in subjects]
    assert sum(line.startswith("|---") for line in lines) == len(subjects) + 2  # a second one of borders, and of packing
    assert any(line.startswith("| 18 |") for line in lines)


def test_what_cannot_be_done_is_printed_and_left_out(small, capsys, monkeypatch):
    def refused():
        raise RuntimeError("no compiler\nin long words")

    built = {"shipped": lambda: torch.neg, "other": lambda: torch.abs, "third": refused}
    monkeypatch.setattr(trials, "trials", lambda _: built)
    (table,) = trials.whole_network(2)
    assert [row[0] for row in table.rows] == ["shipped", "other"]
    assert "third, torch.float32: RuntimeError: no compiler" in capsys.readouterr().out


def test_pages_are_compared_between_processes(small, monkeypatch):
    asked = []

    def process(module, *arguments, environment):
        asked.append((module, *arguments, environment["THP_MEM_ALLOC_ENABLE"]))
        return {"seconds": [0.001, 0.002]}

    monkeypatch.setattr(trials, "in_fresh_process", process)
    (table,) = trials.pages(2)
    assert asked == [("benchmarks.speed.pages", 40, "float32", 2, "1"), ("benchmarks.speed.pages", 40, "float32", 2, "0")]
    assert [row[0] for row in table.rows] == ["1", "0"]


def test_a_busy_machine_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(machine, "PATIENCE", 0)
    monkeypatch.setattr(machine.os, "getloadavg", lambda: (3.0, 0.0, 0.0))
    assert main(["trials", "kernels"]) == BUSY
    assert "3.00" in capsys.readouterr().err
