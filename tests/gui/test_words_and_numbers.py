"""What needs no viewer."""

import copy
import gc
from types import SimpleNamespace
from weakref import ref

import numpy as np
import pytest

from napari_ne_denoise import denoise
from napari_ne_denoise.core.errors import ComputationError, NEDenoiseError
from napari_ne_denoise.core.jacobian.weights import Filter
from napari_ne_denoise.gui.base.pace import Pace, duration, megapixels
from napari_ne_denoise.gui.base.remedies import in_window
from napari_ne_denoise.gui.inside.filter_making import FilterMaking
from napari_ne_denoise.gui.inside.filtering import Pixel
from napari_ne_denoise.gui.inside.weight_colours import COLOURMAP, limit_of, to_rgba
from napari_ne_denoise.gui.layers.layer_data import Source
from napari_ne_denoise.gui.layers.readings import letters_of


def test_filters_that_are_kept_keep_the_array_they_were_found_by():
    """By its id, which another array may have once it is gone: of a masked array the pixels live on without it."""
    making, image = FilterMaking(), np.ma.masked_less(np.random.default_rng(0).normal(100, 9, (24, 24)), 0)
    gone = ref(image)
    making.source(Pixel(SimpleNamespace(metadata={}), Source("cells", image, None, None, rgb=False), (5, 5), None))
    del image
    gc.collect()
    assert gone() is not None


@pytest.mark.parametrize(
    ("labels", "letters"),
    [
        (("-2", "-1"), None),
        (("y", "x"), "YX"),
        (("time", "Channel", "z", "Y", "X"), "TCZYX"),
        (("frames", "row", "column"), "TYX"),
        (("x", "y", "z"), "XYZ"),
        (("position", "y", "x"), "QYX"),
        (("theta", "zoom", "y", "x"), "IQYX"),
        (("y", "y"), None),
        (("", "y", "x"), "QYX"),
        (("z", "y"), None),
    ],
)
def test_labels_that_say_what_an_axis_is(labels, letters):
    assert letters_of(labels) == letters


def test_colours_are_an_axis_more():
    assert letters_of(("y", "x"), rgb=True) == "YXS"


def test_pace():
    pace = Pace(total=4_000_000, now=100.0)
    assert pace.describe(1_000_000, 102.0) == "25 % · 0.5 MPix/s · 6.0 s left"
    assert pace.describe(4_000_000, 102.0).startswith("100 % · ")
    assert pace.describe(1, 100.0)  # the clock may stand still


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.042, "0.04 s"),
        (0.43, "0.4 s"),
        (6, "6.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (99.4, "99 s"),
        (100, "2 min"),
        (3_599, "1 h 00 min"),
        (7_500, "2 h 05 min"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("pixels", "text"), [(1, "1 pixel"), (15, "15 pixels"), (512**2, "0.26 MPix"), (2.5e6, "2.5 MPix"), (1.34e8, "134 MPix")]
)
def test_megapixels(pixels, text):
    assert megapixels(pixels) == text


@pytest.mark.parametrize(
    ("point", "side", "shape", "first"), [((10, 12), 5, (5, 5), (8, 10)), ((4, 5), 7, (6, 7), (2, 2)), ((10, 12), 99, (20, 30), (2, 1))]
)
def test_crop_keeps_each_weight_in_its_place(point, side, shape, first):
    weights = np.arange(600.0).reshape(20, 30)
    cut = Filter(weights, (2, 1), mean_weight=0.0, total=1.0, output=0.0, weighted_sum=0.0).around(point, side)
    assert cut.weights.shape == shape
    assert cut.origin == first
    assert cut.weights[0, 0] == weights[first[0] - 2, first[1] - 1]


@pytest.mark.parametrize(
    ("shape", "settings", "said"),
    [
        (
            (48, 40),
            {"axes": "ZYX"},
            'Axes ZYX: must be 2 different letters for an image of shape (48, 40), such as "YX"; choose what fits at "Axes".',
        ),
        ((48, 40, 3), {}, 'shape (48, 40, 3): is the last axis colour or columns?; choose what it is at "Axes".'),
        ((48, 40), {"noise": "loud"}, 'choose something else at "Noise", under "Advanced".'),
        ((48, 40), {"device": "abacus"}, "Device abacus: "),
        ((48, 40), {"sigma": 3.0, "strength": 2}, "Strength 2: must be a number from 0"),
        (
            (48, np.nan),
            {},
            "1920 pixels are NaN or infinite, the first at (0, 0); repair them; where an image is in memory they come back as they are.",
        ),
    ],
)
def test_errors_name_fields_and_say_what_can_be_done_in_the_window(shape, settings, said):
    image = np.full((48, 40), np.nan) if np.nan in shape else np.zeros(shape)
    with pytest.raises(NEDenoiseError) as raised:
        denoise(image, **settings)
    assert said in in_window(raised.value)
    assert "=" not in in_window(raised.value)


def test_a_device_that_fails_is_chosen_where_one_can_choose():
    failed = ComputationError("fast failed on cuda:0: no kernel.", mend="failing_device", python="try device='cpu'")
    assert str(failed) == "fast failed on cuda:0: no kernel; try device='cpu'."
    assert in_window(failed) == 'fast failed on cuda:0: no kernel; choose the CPU at "Device", under "Advanced".'


def test_no_weight_is_no_colour_and_signs_differ():
    rgba = to_rgba(np.array([[-2.0, 0.0, 2.0]]), limit_of(np.array([[-2.0, 0.0, 1.0]])))[0]
    assert rgba[1, 3] == 0
    assert rgba[0, 2] > rgba[0, 0]  # blue below
    assert rgba[2, 0] > rgba[2, 2]  # orange above


def test_the_dock_and_the_layer_have_the_same_colours():
    at = np.linspace(0, 1, 9)
    np.testing.assert_allclose(to_rgba(2 * at[None] - 1, 1.0)[0] / 255, COLOURMAP.map(at), atol=0.01)


def test_the_limits_of_nothing():
    assert limit_of(np.zeros((2, 2))) == 1.0


def test_a_duplicated_layer_shares_its_source():
    source = Source("cells", np.zeros((2, 2)), None, None, False)
    assert copy.deepcopy({"source": source})["source"] is source
