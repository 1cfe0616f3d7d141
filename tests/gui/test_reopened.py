"""A saved result that napari's own reader opens: without scale and units, which its file still tells."""

import threading

import numpy as np
import pytest
import tifffile

from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.compare.compare_widget import CompareWidget
from napari_ne_denoise.gui.denoise import settings_keeper
from napari_ne_denoise.gui.denoise.denoise_widget import AGAIN, DENOISE
from napari_ne_denoise.gui.denoise.restoring import read_notes
from napari_ne_denoise.gui.layers.kinship import image_of

PLACE = {"scale": (2.0, 0.5, 0.25), "translate": (10.0, -3.0, 0.5), "units": ("micrometer",) * 3, "axis_labels": ("z", "y", "x")}


def _place(layer):
    return layer.scale.tolist(), layer.translate.tolist(), tuple(map(str, layer.units)), layer.axis_labels


@pytest.fixture
def open_as_napari_does(viewer, dock, until):
    """Open a file, and wait until the dock has read what it tells."""

    def open_(path):
        (layer,) = viewer.open(str(path), plugin="napari")
        until(lambda: dock.settings.image_told_of(layer) is not None or dock.settings._search is None)
        return layer

    return open_


@pytest.mark.parametrize("ending", [".ome.tif", ".ome.zarr"])
@pytest.mark.parametrize("axes", ["ZYX", "YX"])
def test_a_saved_result_says_that_it_is_denoised_and_takes_its_place_back(
    viewer, dock, run, noisy, open_as_napari_does, tmp_path, ending, axes, no_thread_left
):
    count = len(axes)
    place = {name: value[-count:] for name, value in PLACE.items()}
    image = viewer.add_image(noisy((3, 40, 48)[-count:]), name="cells", **place)
    assert dock.button.text == DENOISE
    run()
    result = viewer.layers["cells denoised"]
    path = tmp_path / f"result{ending}"
    assert result.save(str(path), plugin="napari-ne-denoise")
    record, values, where = result.metadata[KEY], result.data, _place(result)
    viewer.layers.remove(result)
    again = open_as_napari_does(path)
    assert _place(again) != where  # else the button is no longer needed
    np.testing.assert_array_equal(np.asarray(again.data), values)
    assert dock.layer.value == again
    assert dock.message.value == f"result.ome is already denoised (fast, {record['made'][:10]}); the settings are those of its record."
    assert dock.button.text == AGAIN
    assert "once more" in dock.button.tooltip
    assert "x 0.25 micrometer" in dock.restore.tooltip
    dock.restore.native.click()
    assert _place(again) == where == _place(image)
    assert dock.restore.native.isHidden()
    assert again.metadata[KEY] == record
    assert image_of(viewer, again) == image  # so that it can be compared and judged
    assert not dock.quality.native.isHidden() or dock.layer.value == again
    dock.layer.value = image
    assert dock.button.text == DENOISE
    no_thread_left()


def test_a_file_that_is_read_slowly_tells_where_it_lies_also_of_who_has_chosen_meanwhile(
    viewer, dock, run, noisy, until, tmp_path, monkeypatch
):
    image = viewer.add_image(noisy((3, 40, 48)), name="cells", **PLACE)
    run()
    result, path, where = viewer.layers["cells denoised"], tmp_path / "result.ome.tif", _place(image)
    assert result.save(str(path), plugin="napari-ne-denoise")
    viewer.layers.clear()
    held = threading.Event()

    def late(path):
        assert held.wait(60)
        yield from read_notes(path)

    monkeypatch.setattr(settings_keeper, "read_notes", late)
    (again,) = viewer.open(str(path), plugin="napari")
    dock.model.value = "quality"
    held.set()
    until(lambda: not dock.restore.native.isHidden())
    assert dock.button.text == AGAIN
    assert dock.model.value == "quality"
    dock.restore.native.click()
    assert _place(again) == where


@pytest.mark.parametrize("ending", [".ome.tif", ".ome.zarr"])
@pytest.mark.parametrize(
    ("record", "called"), [({"source_layer": "cells"}, ", cells"), ({"input": {"file": "cells.tif"}}, ", cells.tif"), ({"input": 3}, "")]
)
def test_the_compare_dock_asks_for_the_image_of_a_result_that_is_alone(viewer, noisy, tmp_path, ending, record, called):
    path = tmp_path / f"r{ending}"
    made = viewer.add_image(noisy((40, 48)), metadata={KEY: {"program": KEY, "settings": {"model": "fast"}, **record}})
    assert made.save(str(path), plugin=KEY)
    viewer.layers.remove(made)
    compare = CompareWidget(viewer)
    viewer.window.add_dock_widget(compare, name="compare")
    (again,) = viewer.open(str(path), plugin="napari")
    assert compare.layer.value == again
    assert compare.message.value == f"{again.name} is already denoised: open the noisy image it was made from{called}."
    image = viewer.add_image(noisy((40, 48)), name="cells")
    assert {compare.pair.before, compare.pair.after} == {image, again}
    viewer.layers.remove(again)
    assert "Denoise it first" in compare.message.value


def test_a_noisy_file_of_others_gives_its_scale_too(viewer, dock, noisy, open_as_napari_does, tmp_path):
    path = tmp_path / "cells.ome.tif"
    size = {"axes": "ZYX", "PhysicalSizeX": 0.1, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.1, "PhysicalSizeYUnit": "µm"}
    tifffile.imwrite(path, noisy((3, 40, 48)), metadata=size)
    layer = open_as_napari_does(path)
    assert dock.button.text == DENOISE
    assert not dock.message.value
    viewer.dims.set_current_step(0, 2)
    zoom = viewer.scene.camera.zoom
    dock.restore.native.click()
    assert viewer.dims.current_step[0] == 2
    assert viewer.scene.camera.zoom == pytest.approx(10 * zoom)  # as large on the screen as before
    assert layer.scale.tolist() == [1, 0.1, 0.1]
    assert layer.axis_labels == ("z", "y", "x")
    assert dock.form.axes.native.currentText() == "ZYX: 3 slices"
    assert dock.message.value == "cells.ome: z 1 pixel, y 0.1, x 0.1 micrometer, as its file tells."
    assert KEY not in layer.metadata


def test_files_that_tell_nothing_ask_nothing(viewer, dock, noisy, open_as_napari_does, tmp_path):
    plain, odd = tmp_path / "plain.tif", tmp_path / "odd.tif"
    tifffile.imwrite(plain, noisy((40, 48)))
    odd.write_bytes(plain.read_bytes())
    for path in (plain, odd):
        open_as_napari_does(path)
        assert dock.restore.native.isHidden()
        assert not dock.message.value
