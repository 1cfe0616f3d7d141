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
from napari_ne_denoise.gui.denoise.scope import PLANE
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


def _write_with_planes(path, pixels):
    """As a microscope writes it: each plane was somewhere at some time."""
    count = pixels.shape[0] * pixels.shape[1]
    planes = {"PositionX": [10.0 + at for at in range(count)], "PositionXUnit": ["µm"] * count, "DeltaT": [0.5 * at for at in range(count)]}
    channels = {"Name": ["DAPI", "GFP"], "Color": [65535, 16711935]}
    about = {"axes": "ZCYX", "Plane": planes, "Channel": channels, "AcquisitionDate": "2024-03-05T11:22:33"}
    tifffile.imwrite(path, pixels, photometric="minisblack", metadata=about)


def _noted_in(path):
    with tifffile.TiffFile(path) as file:
        image = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]
    planes = image["Pixels"]["Plane"]
    places = [(plane["PositionX"], plane["DeltaT"]) for plane in (planes if isinstance(planes, list) else [planes])]
    return image["AcquisitionDate"], places, image["Pixels"]["Channel"]


@pytest.mark.parametrize("restored", [False, True])
def test_a_saved_result_has_the_places_and_times_of_the_planes_of_its_file(
    viewer, dock, run, noisy, open_as_napari_does, tmp_path, restored, no_thread_left
):
    _write_with_planes(tmp_path / "in.ome.tif", noisy((3, 2, 40, 48)))
    image = open_as_napari_does(tmp_path / "in.ome.tif")
    if restored:
        image.axis_labels = ("z", "c", "y", "x")
    run()
    dock.form.layer.value = image
    dock.form.scope.value = PLANE
    viewer.dims.current_step = (2, 1, 20, 24)
    run()
    whole, plane = viewer.layers["in.ome denoised"], next(layer for layer in viewer.layers if layer.data.shape[0] == 1)
    for layer, path in ((whole, tmp_path / "whole.ome.tif"), (plane, tmp_path / "plane.ome.tif")):
        assert layer.save(str(path), plugin="napari-ne-denoise")
    date, places, channels = _noted_in(tmp_path / "whole.ome.tif")
    assert (date, places) == ("2024-03-05T11:22:33", [(10.0 + at, 0.5 * at) for at in range(6)])
    if restored:
        assert [(channel["Name"], channel["Color"]) for channel in channels] == [("DAPI", 65535), ("GFP", 16711935)]
    assert _noted_in(tmp_path / "plane.ome.tif")[1] == [(15.0, 2.5)]
    _write_with_planes(tmp_path / "in.ome.tif", noisy((4, 2, 40, 48)))  # another image by now
    whole.save(str(tmp_path / "again.ome.tif"), plugin="napari-ne-denoise")
    with tifffile.TiffFile(tmp_path / "again.ome.tif") as file:
        assert "DeltaT" not in file.ome_metadata
    no_thread_left()
