"""Saving layers, by name and in napari's dialog: all of a layer that a file can hold comes back, and nothing is left half-written."""

import os
import sys

import dask.array
import numpy as np
import pytest
import tifffile
import yaozarrs
from napari.components import ViewerModel
from napari.layers import Image, Labels
from napari.plugins import _initialize_plugins, _npe2
from qtpy.QtWidgets import QFileDialog

from napari_ne_denoise.core.io import ImageFile, files, read_image
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.layers.layer_files import file_as_layer, layer_as_file, place_told

PLUGIN = "napari-ne-denoise"
RECORD = {"program": PLUGIN, "settings": {"sigma": None}, "note": 'µ < "λ"'}
PLACE = {
    "scale": (2.0, 0.5, 0.25, 0.25),
    "units": ("s", "um", "um", "um"),
    "axis_labels": ("t", "z", "y", "x"),
    "translate": (0, 1.5, -3, 4),
}


@pytest.fixture(autouse=True)
def _plugins():
    if PLUGIN not in {manifest.name for manifest in _npe2.pm.iter_manifests()}:  # no viewer was there before
        _initialize_plugins()


def numbers(*shape, dtype="float32"):
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


def reopened(path):
    data, meta, _ = file_as_layer(read_image(path))
    return Image(np.asarray(data[...]), **meta)


@pytest.fixture(params=["a µ name.ome.tif", "a µ name.ome.tiff", "a µ name.ome.zarr", "a µ name.zarr"])
def name(request):
    return request.param


def test_all_that_is_known_of_a_layer_comes_back(tmp_path, name):
    layer = Image(numbers(2, 3, 20, 30), name="cells <1> µ", metadata={KEY: RECORD, "others": object()}, **PLACE)
    assert layer.save(str(tmp_path / name), plugin=PLUGIN) == [str(tmp_path / name)]
    assert os.listdir(tmp_path) == [name]
    again = reopened(tmp_path / name)
    np.testing.assert_array_equal(again.data, layer.data)
    assert (again.name, again.units, again.axis_labels, again.metadata) == (layer.name, layer.units, layer.axis_labels, {KEY: RECORD})
    np.testing.assert_array_equal(again.scale, layer.scale)
    np.testing.assert_array_equal(again.translate, layer.translate)


def test_others_can_read_it(tmp_path):
    layer = Image(numbers(2, 3, 20, 30), **PLACE)
    layer.save(str(tmp_path / "a.ome.tif"), plugin=PLUGIN)
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        assert file.series[0].axes == "TZYX"
        assert 'PhysicalSizeX="0.25" PhysicalSizeXUnit="µm"' in file.ome_metadata
    layer.save(str(tmp_path / "a.ome.zarr"), plugin=PLUGIN)
    yaozarrs.validate_zarr_store(tmp_path / "a.ome.zarr")


@pytest.mark.parametrize("make", [lambda a: a, dask.array.from_array, lambda a: a.astype(">f4")])
@pytest.mark.parametrize("ending", [".ome.tif", ".ome.zarr"])
def test_every_kind_of_array(tmp_path, make, ending):
    pixels = numbers(3, 20, 30)
    Image(make(pixels)).save(str(tmp_path / f"a{ending}"), plugin=PLUGIN)
    np.testing.assert_array_equal(reopened(tmp_path / f"a{ending}").data, pixels)


@pytest.mark.parametrize("ending", [".ome.tif", ".ome.zarr"])
def test_colours_stay_colours(tmp_path, ending):
    layer = Image(numbers(20, 30, 3, dtype="uint8"), rgb=True, scale=(0.5, 0.25), units=("um", "um"))
    layer.save(str(tmp_path / f"a{ending}"), plugin=PLUGIN)
    again = reopened(tmp_path / f"a{ending}")
    assert again.rgb
    np.testing.assert_array_equal(again.data, layer.data)
    np.testing.assert_array_equal(again.scale, layer.scale)


@pytest.mark.parametrize("ending", [".ome.tif", ".ome.zarr"])
def test_of_a_pyramid_the_full_size_is_saved(tmp_path, ending):
    full = numbers(64, 64)
    Image([full, full[::2, ::2]], multiscale=True, scale=(0.5, 0.5)).save(str(tmp_path / f"a{ending}"), plugin=PLUGIN)
    again = reopened(tmp_path / f"a{ending}")
    np.testing.assert_array_equal(again.data, full)
    np.testing.assert_array_equal(again.scale, (0.5, 0.5))


def test_what_a_format_cannot_hold_is_said_with_what_can(tmp_path):
    layer = Image(numbers(20, 30, dtype="int64"))
    with pytest.raises(OSError, match=r"OME-TIFF cannot hold int64.*\.ome\.zarr"):
        layer.save(str(tmp_path / "a.ome.tif"), plugin=PLUGIN)
    assert os.listdir(tmp_path) == []
    layer.save(str(tmp_path / "a.ome.zarr"), plugin=PLUGIN)
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "a.ome.zarr").pixels[...]), layer.data)


@pytest.mark.parametrize("layers", [[Labels(np.ones((20, 30), int))], [Image(numbers(20, 30)), Image(numbers(20, 30))]])
def test_labels_and_several_layers_are_left_to_napari(tmp_path, layers):
    viewer = ViewerModel()
    viewer.layers.extend(layers)
    with pytest.warns(UserWarning, match="not a valid writer"):
        assert viewer.layers.save(str(tmp_path / "a.ome.zarr"), plugin=PLUGIN) == []
    assert os.listdir(tmp_path) == []


def test_tif_is_left_to_napari_unless_we_are_chosen():
    writer, _ = _npe2.pm.get_writer("a.tif", ["image"])
    assert writer.plugin_name == "napari"
    assert all(_npe2.pm.get_writer(f"a{ending}", ["image"])[0].plugin_name == PLUGIN for ending in (".ome.tif", ".OME.TIFF", ".zarr"))


def test_there_is_no_reader_to_choose_between():
    manifest = _npe2.pm.get_manifest(PLUGIN)
    assert not manifest.contributions.readers


@pytest.mark.parametrize(
    ("chosen", "typed", "expected"),
    [("OME-TIFF", "a b", "a b.ome.tif"), ("OME-TIFF", "a.tif", "a.tif"), ("OME-Zarr", "a", "a.ome.zarr"), ("OME-Zarr", "a.zarr", "a.zarr")],
)
def test_it_is_chosen_in_the_dialog(viewer, menu_entry, tmp_path, monkeypatch, chosen, typed, expected):
    def choose(*_, filter="", **__):
        (entry,) = [entry for entry in filter.split(";;") if f"NE Denoise {chosen} with" in entry]
        return str(tmp_path / typed), entry

    viewer.add_image(numbers(20, 30), scale=(0.5, 0.5), units="um", axis_labels=("y", "x"))
    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose)
    menu_entry(viewer, "File", "Save Selected Layers...").trigger()
    assert os.listdir(tmp_path) == [expected]
    assert read_image(tmp_path / expected).pixel_size == {"Y": (0.5, "µm"), "X": (0.5, "µm")}


@pytest.mark.parametrize("ending", [".ome.tif", ".ome.zarr"])
def test_an_existing_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch, ending):
    path = tmp_path / f"a{ending}"
    Image(numbers(20, 30)).save(str(path), plugin=PLUGIN)
    Image(numbers(20, 30) + 1).save(str(path), plugin=PLUGIN)
    np.testing.assert_array_equal(reopened(path).data, numbers(20, 30) + 1)

    def fail(*arguments, **keywords):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tifffile, "imwrite", fail)
    monkeypatch.setattr("napari_ne_denoise.core.io.zarr_files.ZarrParts.finish", fail)
    with pytest.raises(OSError, match="the disk is full"):
        Image(numbers(20, 30)).save(str(path), plugin=PLUGIN)
    np.testing.assert_array_equal(reopened(path).data, numbers(20, 30) + 1)
    assert os.listdir(tmp_path) == [path.name]


def test_a_name_that_nobody_was_asked_about_is_not_replaced(tmp_path):
    """The dialog asks about what was typed; the ending comes after."""
    (tmp_path / "a.ome.tif").write_text("as before")
    with pytest.raises(OSError, match="exists already"):
        _npe2.pm.get_writer("a.ome.tif", ["image"])[0].exec(args=(str(tmp_path / "a"), numbers(20, 30), {}))
    assert (tmp_path / "a.ome.tif").read_text() == "as before"


@pytest.mark.parametrize("name", ["a.ome.tif", "a.ome.zarr"])
def test_a_folder_that_cannot_be_written_to_is_said(tmp_path, monkeypatch, name):
    def refuse(*arguments, **keywords):
        raise PermissionError(13, "Permission denied")

    # tests may run as a user to whom every folder is open
    monkeypatch.setattr(tifffile, "imwrite", refuse)
    monkeypatch.setattr("zarr.open_group", refuse)
    with pytest.raises(OSError, match="permission denied; ask for the right to it, or choose another folder"):
        Image(numbers(20, 30)).save(str(tmp_path / name), plugin=PLUGIN)
    with pytest.raises(OSError, match="there is no folder"):
        Image(numbers(20, 30)).save(str(tmp_path / "no" / name), plugin=PLUGIN)
    assert os.listdir(tmp_path) == []


def test_zarr_that_is_missing_is_said_with_what_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(OSError, match=r'pip install "napari-ne-denoise\[zarr\]"'):
        Image(numbers(20, 30)).save(str(tmp_path / "a.ome.zarr"), plugin=PLUGIN)


@pytest.mark.parametrize(
    ("how", "lost"),
    [
        ({"rotate": 30}, ["rotation"]),
        ({"shear": [0.5]}, ["shear"]),
        ({"affine": [[1, 0, 2], [0, 1, 0], [0, 0, 1]]}, ["affine transformation"]),
        ({"scale": (-1, 1)}, ["mirroring (a negative scale)"]),
        ({}, []),
    ],
)
def test_what_is_lost_is_told(tmp_path, how, lost, monkeypatch):
    layer = Image(numbers(20, 30), **how)
    assert layer_as_file(*layer.as_layer_data_tuple()[:2])[1] == lost
    told = []
    monkeypatch.setattr("napari_ne_denoise.gui.layers.writer.show_warning", told.append)
    layer.save(str(tmp_path / "a.ome.tif"), plugin=PLUGIN)
    assert len(told) == len(lost)
    assert not lost or lost[0] in told[0]


def test_no_file_of_ours_tells_the_place_of_a_layer_that_is_mirrored():
    told = ImageFile(numbers(20, 30), "YX", {"Y": (0.5, "µm"), "X": (0.5, "µm")})
    assert place_told(told, Image(told.pixels)) is not None
    assert place_told(told, Image(told.pixels, scale=(-0.5, 0.5))) is None


def test_a_mask_is_lost():
    pixels = np.ma.masked_less(numbers(20, 30), 5)
    assert layer_as_file(*Image(pixels).as_layer_data_tuple()[:2])[1] == ["mask"]


def test_a_layer_of_which_little_is_known(tmp_path):
    image, lost = layer_as_file(numbers(4, 20, 30), {})
    assert (image.axes, image.pixel_size, image.origin, image.provenance, lost) == ("QYX", {}, {}, None, [])
    files.write_image(tmp_path / "a.tif", image)
