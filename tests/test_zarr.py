"""OME-Zarr: what goes in comes out, bit for bit, with its axes, sizes and place; others read it; nothing is left half-written."""

import json
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import dask.array
import numpy as np
import pytest
import yaozarrs
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ne_denoise.core.errors import FileError
from napari_ne_denoise.core.io import (
    ImageFile,
    check_target,
    images_in,
    letters_for,
    read_image,
    read_provenance,
    stem,
    write_image,
    zarr_files,
)
from napari_ne_denoise.core.io.ome_zarr import read_attributes
from napari_ne_denoise.core.io.zarr_files import ZarrParts

RECORD = {"program": "napari-ne-denoise", "settings": {"sigma": None}, "note": 'µ < "λ"'}


def numbers(shape, dtype="uint16", seed=0):
    return np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)


def names_in(folder):
    return sorted(entry.name for entry in folder.iterdir())


@st.composite
def images(draw):
    """Any image that OME-Zarr can hold, with any letters in any order."""
    others = draw(st.lists(st.sampled_from("TZCQIAS"), unique=True, max_size=3))
    axes = "".join(draw(st.permutations([*others, "Y", "X"])))
    shape = tuple(draw(st.integers(1, 7 if letter in "YX" else 3)) for letter in axes)
    dtype = draw(st.sampled_from(["bool", "uint8", ">i2", "uint16", "int64", "uint64", "float16", ">f4", "float64", "complex64"]))
    size = st.tuples(st.floats(1e-6, 1e6), st.sampled_from(["µm", "nm", "s", "min", "furlong", "pixel"]))
    return ImageFile(
        numbers(shape, dtype),
        axes,
        draw(st.dictionaries(st.sampled_from(axes), size)),
        tuple(f"{number}: <dye & λ>" for number in range(shape[axes.index("C")])) if "C" in axes else (),
        "a <name> µ",
        draw(st.sampled_from([None, RECORD])),
        origin=draw(st.dictionaries(st.sampled_from(axes), st.floats(-1e3, 1e3))),
        channel_colours=("FF0080", "00FF00", "0000FF", "123456")[: shape[axes.index("C")]] if "C" in axes else (),
    )


@settings(deadline=None, max_examples=25)
@given(image=images())
def test_an_ome_zarr_gives_back_what_was_written(tmp_path_factory, image):
    path = tmp_path_factory.mktemp("zarr") / "an image µ.ome.zarr"
    write_image(path, image)
    found = read_image(path)
    assert found.axes == image.axes
    assert found.pixels.dtype == image.pixels.dtype.newbyteorder("=")
    np.testing.assert_array_equal(np.asarray(found.pixels[...]), image.pixels)
    assert found.pixel_size == image.pixel_size
    assert found.origin == image.origin
    assert found.channel_names == image.channel_names
    assert found.channel_colours == image.channel_colours
    assert found.name == image.name
    assert found.provenance == read_provenance(path) == image.provenance
    assert found.notes == ()


@pytest.mark.parametrize("axes", ["YX", "XY", "TYX", "ZYX", "CYX", "YXS", "TCZYX", "ZTCYX", "QYX"])
def test_others_find_it_valid(tmp_path, axes):
    shape = [{"S": 3, "Y": 20, "X": 30}.get(letter, 2) for letter in axes]
    sizes = {letter: (0.5, "s" if letter == "T" else "µm") for letter in axes if letter in "TZYX"}
    write_image(tmp_path / "a.zarr", ImageFile(numbers(shape), axes, sizes, provenance=RECORD, origin={"X": 3.0}))
    yaozarrs.validate_zarr_store(tmp_path / "a.zarr")
    image = yaozarrs.open_group(tmp_path / "a.zarr").ome_metadata()
    assert image.version == "0.5"
    told = {axis.name: axis.unit for axis in image.multiscales[0].axes if axis.type != "channel"}
    assert told["y"] == told["x"] == "micrometer"
    assert told.get("t", "second") == "second" or axes == "QYX"


def test_the_first_level_is_exact_and_the_others_are_means(tmp_path, monkeypatch):
    monkeypatch.setattr(zarr_files, "CHUNK", 16)
    monkeypatch.setattr(zarr_files, "SHARD", 32)
    pixels = numbers((2, 51, 70), "float64")
    sizes = {"Y": (0.1, "µm"), "X": (0.2, "µm"), "Z": (2.0, "µm")}
    write_image(tmp_path / "a.zarr", ImageFile(pixels, "ZYX", sizes, origin={"Z": 5.0, "X": 1.0}))
    yaozarrs.validate_zarr_store(tmp_path / "a.zarr")
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    levels = [np.asarray(group[str(number)]) for number in range(len(list(group.array_keys())))]
    assert [level.shape for level in levels] == [(2, 51, 70), (2, 26, 35), (2, 13, 18), (2, 7, 9)]
    np.testing.assert_array_equal(levels[0], pixels)
    np.testing.assert_allclose(levels[1][1, 3, 4], pixels[1, 6:8, 8:10].mean())
    np.testing.assert_allclose(levels[1][1, 25, 4], pixels[1, 50, 8:10].mean())  # an odd end
    np.testing.assert_allclose(levels[1].mean(), pixels.mean(), rtol=0.02)
    placed = [dataset["coordinateTransformations"] for dataset in group.attrs["ome"]["multiscales"][0]["datasets"]]
    assert placed[0] == [{"type": "scale", "scale": [2.0, 0.1, 0.2]}, {"type": "translation", "translation": [5.0, 0.0, 1.0]}]
    assert placed[1][0]["scale"] == [2.0, 0.2, 0.4]
    np.testing.assert_allclose(placed[1][1]["translation"], [5.0, 0.05, 1.1])  # the middle of two pixels
    assert np.asarray(read_image(tmp_path / "a.zarr").pixels[0]).shape == (51, 70)


def test_means_of_whole_numbers_are_rounded_and_nan_stays_where_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(zarr_files, "CHUNK", 4)
    whole, broken = numbers((9, 9), "uint8"), numbers((9, 9), "float32")
    broken[0, 0] = np.nan
    for name, pixels in (("a.zarr", whole), ("b.zarr", broken)):
        write_image(tmp_path / name, ImageFile(pixels, "YX"))
    halved = np.asarray(zarr.open_group(tmp_path / "a.zarr", mode="r")["1"])
    assert halved[1, 1] == np.rint(whole[2:4, 2:4].mean())
    assert np.isnan(np.asarray(zarr.open_group(tmp_path / "b.zarr", mode="r")["1"])).sum() == 1
    channel = zarr.open_group(tmp_path / "b.zarr", mode="r").attrs["ome"]["omero"]["channels"][0]
    assert np.isfinite(list(channel["window"].values())).all()


def test_what_is_said_without_pixels_of_a_layer_in_memory(tmp_path):
    """Lazy arrays are written plane by plane, and never asked for more."""
    asked = []

    class Lazy:
        shape, dtype, ndim = (3, 40, 50), np.dtype("uint16"), 3

        def __getitem__(self, index):
            asked.append(index)
            return numbers((3, 40, 50))[index]

    write_image(tmp_path / "a.zarr", ImageFile(Lazy(), "ZYX"))
    assert asked == [(z, slice(0, 40), slice(0, 50)) for z in range(3)]
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "a.zarr").pixels[...]), numbers((3, 40, 50)))


def tiles(axes, shape):
    """Indices as a denoising gives them: plane by plane, and each plane in pieces."""
    for plane in np.ndindex(*(1 if letter in "YX" else length for letter, length in zip(axes, shape, strict=True))):
        for row, column in product(range(0, 21, 10), range(0, 30, 20)):
            pieces = {"Y": slice(row, min(row + 10, 21)), "X": slice(column, min(column + 20, 30))}
            yield tuple(pieces.get(letter, at) for letter, at in zip(axes, plane, strict=True))


@pytest.mark.parametrize("axes", ["ZYX", "XZY", "YXS"])
def test_parts_make_the_whole_whoever_writes_them(tmp_path, monkeypatch, axes):
    monkeypatch.setattr(zarr_files, "CHUNK", 8)
    monkeypatch.setattr(zarr_files, "SHARD", 16)
    pixels = numbers([{"Y": 21, "X": 30}.get(letter, 3) for letter in axes], "float32")
    image, folder = ImageFile(pixels, axes), tmp_path / "a.zarr"
    writers = [ZarrParts(folder, image, np.dtype("float32"), folder, begun=begun) for begun in (False, True)]
    for number, index in enumerate(tiles(axes, pixels.shape)):
        writers[number % 2].put(index, pixels[index])
    last = ZarrParts(folder, replace(image, provenance=RECORD), np.dtype("float32"), folder, begun=True)
    last.finish()
    last.finish()  # was broken off, for all it knows
    found = read_image(folder)
    np.testing.assert_array_equal(np.asarray(found.pixels[...]), pixels)
    assert found.provenance == RECORD
    write_image(tmp_path / "b.zarr", image)
    for level in "012":
        ours, theirs = (zarr.open_group(tmp_path / name, mode="r")[level] for name in ("a.zarr", "b.zarr"))
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


def version_four(folder, pixels, axes="tczyx", **more):
    """An image as bioformats2raw and others write it."""
    group = zarr.open_group(folder, mode="w", zarr_format=2)
    for level, step in enumerate((1, 2)):
        part = pixels[..., ::step, ::step]
        group.create_array(str(level), shape=part.shape, dtype=part.dtype, chunks=(1,) * (part.ndim - 2) + (16, 16))[...] = part
    kinds = {"t": {"type": "time", "unit": "second"}, "c": {"type": "channel"}}
    scale = [{"t": 2.0, "c": 1.0, "z": 3.0}.get(axis, 0.5) for axis in axes]
    group.attrs["multiscales"] = [
        {
            "version": "0.4",
            "name": "theirs",
            "axes": [{"name": axis, **kinds.get(axis, {"type": "space", "unit": "micrometer"})} for axis in axes],
            "datasets": [
                {
                    "path": str(level),
                    "coordinateTransformations": [{"type": "scale", "scale": [size * factor for size in scale]}],
                }
                for level, factor in ((0, 1), (1, 2))
            ],
            **more,
        }
    ]
    group.attrs["omero"] = {"channels": [{"label": "DAPI", "color": "0000ff"}, {"label": "GFP", "color": "00FF00"}]}
    return folder


def test_version_four_is_read(tmp_path):
    pixels = numbers((2, 2, 3, 20, 30))
    path = version_four(tmp_path / "a.ome.zarr", pixels)
    image = read_image(path)
    assert image.axes == "TCZYX"
    assert image.pixel_size == {"T": (2.0, "s"), "Z": (3.0, "µm"), "Y": (0.5, "µm"), "X": (0.5, "µm")}
    assert (image.channel_names, image.channel_colours, image.name) == (("DAPI", "GFP"), ("0000FF", "00FF00"), "theirs")
    assert "of the 2 sizes" in image.notes[0]
    assert isinstance(image.pixels, zarr.Array)
    np.testing.assert_array_equal(np.asarray(image.pixels[...]), pixels)
    assert read_provenance(path) is None


def test_transformations_of_all_sizes_come_after_those_of_one(tmp_path):
    more = {"coordinateTransformations": [{"type": "scale", "scale": [10.0, 10.0]}, {"type": "translation", "translation": [1.0, 2.0]}]}
    image = read_image(version_four(tmp_path / "a.zarr", numbers((20, 30)), "yx", **more))
    assert image.pixel_size == {"Y": (5.0, "µm"), "X": (5.0, "µm")}
    assert image.origin == {"Y": 1.0, "X": 2.0}


def test_channels_are_shown_in_their_colours_each_with_its_own_range(tmp_path):
    pixels = numbers((3, 2, 600, 30)) * np.array([1, 100], "uint16")[:, None, None]
    write_image(tmp_path / "a.ome.zarr", ImageFile(pixels, "TCYX", channel_colours=("0000FF", "00FF00")))
    write_image(tmp_path / "b.ome.zarr", ImageFile(numbers((20, 30, 3)) * np.array([1, 10, 100], "uint16"), "YXS"))
    (dim, bright), colours = (read_attributes(tmp_path / name)["ome"]["omero"]["channels"] for name in ("a.ome.zarr", "b.ome.zarr"))
    assert (dim["color"], bright["color"]) == ("0000FF", "00FF00")
    assert 80 < dim["window"]["end"] < 200 < 8000 < bright["window"]["end"]
    assert [channel["color"] for channel in colours] == ["FF0000", "00FF00", "0000FF"]
    assert len({channel["window"]["end"] for channel in colours}) == 1


def test_a_group_of_bioformats2raw_and_its_series(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    group.attrs["bioformats2raw.layout"] = 3
    for number in range(2):
        version_four(tmp_path / "a.zarr" / str(number), numbers((20, 30), seed=number), "yx")
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "a.zarr", series=1).pixels[...]), numbers((20, 30), seed=1))
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "a.zarr" / "0").pixels[...]), numbers((20, 30), seed=0))
    assert read_image(tmp_path / "a.zarr").notes[0] == "the file holds 2 images; this is number 0, theirs"
    with pytest.raises(FileError, match=r"series=2: holds 2 image\(s\); give 0 to 1"):
        read_image(tmp_path / "a.zarr", series=2)


def test_several_images_of_a_group_are_noted(tmp_path):
    group = zarr.open_group(version_four(tmp_path / "a.zarr", numbers((20, 30)), "yx"))
    group.attrs["multiscales"] = [*group.attrs["multiscales"], {**group.attrs["multiscales"][0], "name": "another"}]
    assert read_image(tmp_path / "a.zarr", series=1).notes[0] == "the file holds 2 images; this is number 1, another"


def test_labels_are_no_image(tmp_path):
    group = zarr.open_group(version_four(tmp_path / "a.zarr", numbers((20, 30)), "yx"))
    group.attrs["image-label"] = {"version": "0.4"}
    with pytest.raises(FileError, match="holds labels"):
        read_image(tmp_path / "a.zarr")


def test_of_a_plate_an_image_that_is_there_is_named(tmp_path):
    plate = {"wells": [{"path": "B/2", "rowIndex": 1, "columnIndex": 1}]}
    zarr.open_group(tmp_path / "a.zarr", mode="w", attributes={"ome": {"plate": plate}})
    zarr.open_group(tmp_path / "a.zarr/B/2", mode="w", attributes={"ome": {"well": {"images": [{"path": "3"}]}}})
    for path, every in ((tmp_path / "a.zarr", "*/*/[0-9]*"), (tmp_path / "a.zarr/B/2", "[0-9]*")):
        with pytest.raises(FileError) as raised:
            read_image(path)
        assert f"such as {tmp_path / 'a.zarr/B/2/3'}, or {path / every} for all." in str(raised.value)


def test_the_images_of_a_plate_are_those_that_are_there(tmp_path):
    plate = {"wells": [{"path": "B/10"}, {"path": "A/2"}, {"path": "C/1"}, {"path": "../away"}, {"path": 3}, {}, None]}
    zarr.open_group(tmp_path / "a.zarr", mode="w", attributes={"ome": {"plate": plate}})
    for well, fields in (("B/10", ("0", "1", "gone", "..", "/")), ("A/2", ("0",)), ("../away", ("0",))):
        described = {"ome": {"well": {"images": [{"path": field} for field in fields]}}}
        zarr.open_group(tmp_path / "a.zarr" / well, mode="w", attributes=described)
        for field in {"0", "1"} & set(fields):
            version_four(tmp_path / "a.zarr" / well / field, numbers((20, 30)), "yx")
    assert images_in(tmp_path / "a.zarr") == [tmp_path / "a.zarr" / field for field in ("B/10/0", "B/10/1", "A/2/0")]
    assert images_in(tmp_path / "a.zarr/A/2") == [tmp_path / "a.zarr/A/2/0"]
    for other in ("a.zarr/A/2/0", "nothing.tif", "a.zarr/C"):
        assert images_in(tmp_path / other) == [tmp_path / other]
    (tmp_path / "a.zarr/A/2/zarr.json").write_text("{")
    assert images_in(tmp_path / "a.zarr") == [tmp_path / "a.zarr"]


def with_axes(path, names, kinds, scale=None):
    """Version 0.5, with axes that somebody called so."""
    write_image(path, ImageFile(numbers((3, 4, 20, 30)[-len(names) :]), letters_for(len(names))))
    group = zarr.open_group(path)
    ome = dict(group.attrs["ome"])
    ome["multiscales"][0]["axes"] = [
        {"name": name} | ({"type": kind, "unit": "micrometer"} if kind else {}) for name, kind in zip(names, kinds, strict=True)
    ]
    ome["multiscales"][0]["datasets"][0]["coordinateTransformations"] = [
        {"type": "scale", "scale": scale or [0.5] * len(names)},
        {"type": "translation", "translation": [10.0] * len(names)},
    ]
    group.attrs.clear()
    group.attrs["ome"] = ome
    return path


@pytest.mark.parametrize(
    ("names", "kinds", "axes", "noted"),
    [
        (("depth", "height", "width"), ("space",) * 3, "ZYX", False),
        (("time", "Row", "Column"), ("", "", ""), "TYX", False),
        (("slice", "y", "x"), ("space",) * 3, "ZYX", False),  # no colours
        (("t", "y", "x"), ("space",) * 3, "TYX", False),
        (("tilt", "y", "x"), ("space",) * 3, "QYX", False),
        (("angle", "a", "b", "c"), ("other", "space", "space", "space"), "AZYX", True),
        (("lat", "lon"), ("space", "space"), "YX", True),
        (("channel", "dim_1", "dim_2"), ("", "", ""), "CYX", True),
        (("dim_0", "dim_1", "dim_2"), ("", "", ""), "DYX", True),
    ],
)
def test_axes_of_any_name_are_taken_for_what_they_must_be(tmp_path, names, kinds, axes, noted):
    image = read_image(with_axes(tmp_path / "a.zarr", names, kinds))
    assert image.axes == axes
    assert image.notes == ((f"its axes are called {', '.join(names)}, and were taken for {axes}",) if noted else ())
    assert {image.pixel_size[axis][0] for axis in "YX"} == {0.5}


def test_axes_of_which_none_are_of_space_are_refused_by_name(tmp_path):
    with pytest.raises(FileError, match=r"a\.zarr: .*of its axes when, dye no two are of space"):
        read_image(with_axes(tmp_path / "a.zarr", ("when", "dye"), ("time", "channel")))


def test_of_a_negative_scale_size_and_region_stay_and_the_rest_is_said(tmp_path):
    image = read_image(with_axes(tmp_path / "a.zarr", ("z", "y", "x"), ("space",) * 3, [2.0, -0.5, 0.5]))
    assert image.pixel_size == {"Z": (2.0, "µm"), "Y": (0.5, "µm"), "X": (0.5, "µm")}
    assert image.origin == {"Z": 10.0, "Y": 10.0 - 19 * 0.5, "X": 10.0}
    assert image.notes == ("its scale along Y is negative: pixels keep their size and order, and the mirroring is lost",)


def test_a_bare_array_is_an_image_of_which_nothing_is_known(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", data=numbers((3, 20, 30)))
    assert (read_image(tmp_path / "a.zarr").axes, read_image(tmp_path / "a.zarr").name) == (None, "a.zarr")
    zarr.create_array(tmp_path / "b.zarr", data=numbers((3, 20, 30)), dimension_names=["z", "y", "x"])
    assert read_image(tmp_path / "b.zarr").axes == "ZYX"


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"ome": {"version": "0.5", "plate": {}}}, "is a plate or a well"),
        ({"ome": {"version": "0.5", "well": {}}}, "is a plate or a well"),
        ({"ome": {"multiscales": "no"}}, "describes no image"),
        ({"ome": 5}, "describes no image"),
        ({"ome": {"multiscales": [{}]}}, "cannot be read"),
        ({"ome": {"multiscales": [{"axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": "none"}]}]}}, "cannot be read"),
        ({"ome": {"multiscales": [{"axes": 3, "datasets": []}]}}, "cannot be read"),
        ({}, "describes no image"),
    ],
)
def test_what_is_no_image_is_refused_by_name(tmp_path, attributes, message):
    zarr.open_group(tmp_path / "a.zarr", mode="w", attributes=attributes)
    with pytest.raises(FileError, match=message) as raised:
        read_image(tmp_path / "a.zarr")
    assert "a.zarr" in str(raised.value)
    assert read_provenance(tmp_path / "a.zarr") is None


def test_a_damaged_or_wrong_folder_is_refused_by_name(tmp_path):
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(FileError, match=r"empty\.zarr"):
        read_image(tmp_path / "empty.zarr")
    (tmp_path / "plain").mkdir()
    with pytest.raises(FileError, match="is a folder"):
        read_image(tmp_path / "plain")
    write_image(tmp_path / "a.zarr", ImageFile(numbers((8, 9)), "YX"))
    with pytest.raises(FileError, match="series=1"):
        read_image(tmp_path / "a.zarr", series=1)
    (tmp_path / "a.zarr" / "zarr.json").write_text("{")
    with pytest.raises(FileError, match=r"a\.zarr: cannot be read"):
        read_image(tmp_path / "a.zarr")
    with pytest.raises(FileError, match=r"a\.zarr: cannot be read"):
        read_provenance(tmp_path / "a.zarr")


@pytest.mark.parametrize(
    ("dtype", "axes", "message"),
    [("longdouble", "YX", "cannot hold"), ("uint8", "QTZCYX", "holds T, C and Z"), ("U3", "YX", "cannot hold")],
)
def test_what_it_cannot_hold_is_said_before_it_is_tried(tmp_path, dtype, axes, message):
    with pytest.raises(FileError, match=message):
        check_target(tmp_path / "a.ome.zarr", dtype, axes)
    assert names_in(tmp_path) == []


def test_zarr_that_is_not_installed_is_named_with_what_installs_it(tmp_path, monkeypatch):
    write_image(tmp_path / "a.zarr", ImageFile(numbers((8, 9)), "YX", provenance=RECORD))
    monkeypatch.setitem(sys.modules, "zarr", None)
    for act in (lambda: read_image(tmp_path / "a.zarr"), lambda: check_target(tmp_path / "b.zarr", "uint8", "YX")):
        with pytest.raises(FileError, match=r'pip install "napari-ne-denoise\[zarr\]"'):
            act()
    assert read_provenance(tmp_path / "a.zarr") == RECORD  # which is only JSON


class Stopped(BaseException):
    """As KeyboardInterrupt, but of our own."""


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), Stopped()])
@pytest.mark.parametrize("existing", [False, True])
def test_a_failure_while_writing_leaves_what_was_there(tmp_path, monkeypatch, error, existing):
    target, image = tmp_path / "a.ome.zarr", ImageFile(numbers((8, 9)), "YX")
    if existing:
        write_image(target, image)

    def fail(*arguments):
        raise error

    monkeypatch.setattr(zarr_files, "widest", fail)
    with pytest.raises(FileError if isinstance(error, Exception) else Stopped) as raised:
        write_image(target, replace(image, pixels=image.pixels + 1), overwrite=True)
    if isinstance(error, OSError):
        assert "a.ome.zarr: could not be written (the disk is full)" in str(raised.value)
    assert names_in(tmp_path) == (["a.ome.zarr"] if existing else [])
    if existing:
        np.testing.assert_array_equal(np.asarray(read_image(target).pixels[...]), image.pixels)


def test_an_existing_one_is_replaced_only_if_that_is_allowed_and_it_is_a_zarr(tmp_path):
    image = ImageFile(numbers((8, 9)), "YX")
    write_image(tmp_path / "a.zarr", image)
    with pytest.raises(FileError, match="exists already"):
        write_image(tmp_path / "a.zarr", image)
    write_image(tmp_path / "a.zarr", replace(image, pixels=image.pixels + 1), overwrite=True)
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "a.zarr").pixels[...]), image.pixels + 1)
    (tmp_path / "thesis.zarr").mkdir()
    (tmp_path / "thesis.zarr" / "thesis.tex").write_text("years of work")
    with pytest.raises(FileError, match="is a folder"):
        write_image(tmp_path / "thesis.zarr", image, overwrite=True)
    (tmp_path / "file.zarr").write_text("a file")
    with pytest.raises(FileError, match="is a file"):
        write_image(tmp_path / "file.zarr", image, overwrite=True)
    assert names_in(tmp_path) == ["a.zarr", "file.zarr", "thesis.zarr"]
    assert names_in(tmp_path / "thesis.zarr") == ["thesis.tex"]


def test_a_large_plane_lies_in_few_files(tmp_path):
    write_image(tmp_path / "a.zarr", ImageFile(dask.array.ones((4100, 2100), dtype="uint8"), "YX"))
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    assert group["0"].chunks == (zarr_files.CHUNK, zarr_files.CHUNK)
    assert len([path for path in (tmp_path / "a.zarr" / "0").rglob("*") if path.is_file() and path.name != "zarr.json"]) == 6


def test_a_small_image_takes_no_more_than_it_holds(tmp_path):
    write_image(tmp_path / "a.zarr", ImageFile(numbers((2, 30, 40)), "ZYX"))
    described = json.loads((tmp_path / "a.zarr" / "0" / "zarr.json").read_text())
    assert described["chunk_grid"]["configuration"]["chunk_shape"] == [1, 30, 40]
    assert Path(stem(tmp_path / "a.ome.zarr")) == Path("a")
