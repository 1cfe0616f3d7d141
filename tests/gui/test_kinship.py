"""One answer to which layer was made from which, for results of this session and for those of an earlier one."""

import numpy as np
import pytest
import tifffile

from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.layers.kinship import image_of, made_from, newest_result, noisy_of, results_of, window_in
from napari_ne_denoise.gui.layers.layer_data import SOURCE_KEY, finest

SCOPES = ["the whole stack", "this plane"]


@pytest.fixture(params=SCOPES)
def made(request, viewer, dock, run, noisy):
    """A stack between others, and its result."""
    viewer.add_image(noisy((3, 32, 40), 1), name="another")
    stack = viewer.add_image(noisy((3, 32, 40), 2), name="stack")
    viewer.add_image(noisy((3, 32, 40), 3), name="one more")
    dock.layer.value = stack
    viewer.dims.set_current_step(0, 2)
    dock.form.axes.native.setCurrentText("ZYX: 3 slices")
    dock.form.scope.native.setCurrentText(request.param)
    run()
    return stack, next(layer for layer in viewer.layers if KEY in layer.metadata)


@pytest.mark.parametrize("earlier", [False, True])
def test_an_image_and_its_result_know_each_other(viewer, made, earlier):
    stack, result = made
    if earlier:  # as a file tells it, which holds no arrays
        result.metadata = {KEY: result.metadata[KEY]}
    assert image_of(viewer, result) == stack
    assert made_from(viewer, stack) == results_of(viewer, stack) == [result]
    assert newest_result(viewer) == result
    source = noisy_of(viewer, result)
    assert source.data is stack.data
    assert source.shape == result.data.shape
    assert source.axes == "ZYX"
    assert source.data[window_in(stack, result)].shape == result.data.shape
    assert window_in(stack, result) == source.window
    for other in viewer.layers:
        assert other in (stack, result) or not made_from(viewer, other)


def test_of_an_image_that_is_gone_only_this_session_knows(viewer, made):
    stack, result = made
    data = finest(stack)
    viewer.layers.remove(stack)
    assert image_of(viewer, result) is None
    assert noisy_of(viewer, result).data is data
    result.metadata = {KEY: result.metadata[KEY]}
    assert noisy_of(viewer, result) is None


@pytest.mark.parametrize("part", [[[0, 1], [0, 9]], [[0, 1]] * 3, "all", [["a", "b"]] * 3, [[2, 3], [0, 32], [0, 40]]])
def test_a_record_may_hold_anything(viewer, noisy, part):
    stack = viewer.add_image(noisy((2, 32, 40)), name="stack")
    for record in ({"source_layer": "stack", "part": part}, "none"):
        result = viewer.add_image(np.zeros((1, 32, 40)), metadata={KEY: record})
        assert image_of(viewer, result) is None
        assert not made_from(viewer, stack)


def test_a_file_that_the_record_names_is_found_whatever_its_layer_is_called(viewer, noisy, tmp_path):
    tifffile.imwrite(tmp_path / "cells.tif", noisy((32, 40)))
    result = viewer.add_image(np.zeros((32, 40)), metadata={KEY: {"input": {"file": "cells.tif"}}})
    viewer.add_image(noisy((32, 40)), name="cells.tif")  # whose file nobody knows
    assert image_of(viewer, result) is None
    (image,) = viewer.open(str(tmp_path / "cells.tif"), plugin="napari")
    image.name = "renamed"
    assert image_of(viewer, result) == image


def test_an_unfinished_result_is_made_from_its_image_but_no_result_yet(viewer, made):
    stack, result = made
    result.metadata = {SOURCE_KEY: result.metadata[SOURCE_KEY]}
    assert made_from(viewer, stack) == [result]
    assert not results_of(viewer, stack)
