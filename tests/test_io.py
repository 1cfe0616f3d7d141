"""Image files: what goes in comes out, whatever the format; failures name the file and leave nothing half-written."""

import json
import logging
import os
import pickle
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import permutations

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ne_denoise.core import io
from napari_ne_denoise.core.errors import FileError
from napari_ne_denoise.core.io import (
    ImageFile,
    check_target,
    complete,
    complete_or_absent,
    distinct_letters,
    find_description,
    letters_for,
    read_image,
    read_provenance,
    stem,
    write_image,
)
from napari_ne_denoise.core.io.messages import logged_by

RECORD = {
    "program": "napari-ne-denoise",
    "settings": {"sigma": None, "tile_size": 64},
    "note": 'µ < "λ" & {so on}',
    "empty": {},
    "Value": [1.5],
}


def numbers(shape, dtype="uint16", seed=0):
    return np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)


def folder_of(path):
    return sorted(entry.name for entry in path.iterdir())


@st.composite
def images(draw):
    """Any image that OME-TIFF can hold, with any letters in any order."""
    others = draw(st.lists(st.sampled_from("TZCQIAPS"), unique=True, max_size=4))
    axes = "".join(draw(st.permutations([*others, "Y", "X"])))
    shape = tuple(draw(st.integers(1, 7 if letter in "YX" else 4)) for letter in axes)
    dtype = draw(st.sampled_from(["uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"]))
    size = st.tuples(st.floats(1e-6, 1e6), st.sampled_from(["µm", "nm", "s", "ms", "furlong"]))
    return ImageFile(
        numbers(shape, dtype),
        axes,
        draw(st.dictionaries(st.sampled_from(axes), size)),
        tuple(f"{number}: <dye & λ>" for number in range(shape[axes.index("C")])) if "C" in axes else (),
        "a <name>",
        draw(st.sampled_from([None, RECORD])),
        channel_colours=("FF0080", "00FF00", "0000FF", "123456")[: shape[axes.index("C")]] if "C" in axes else (),
    )


@settings(deadline=None, max_examples=100)
@given(image=images())
def test_an_ome_tiff_gives_back_what_was_written(tmp_path_factory, image):
    path = tmp_path_factory.mktemp("ome") / "image.ome.tif"
    write_image(path, image)
    found = read_image(path)
    assert found.axes == image.axes
    assert found.pixels.dtype == image.pixels.dtype
    np.testing.assert_array_equal(found.pixels, image.pixels)
    assert found.pixel_size == image.pixel_size
    assert found.channel_names == image.channel_names
    assert found.channel_colours == image.channel_colours
    assert found.name == image.name
    assert found.provenance == read_provenance(path) == image.provenance
    assert found.notes == ()


@given(image=images())
@settings(max_examples=40, deadline=None)
def test_what_a_file_tells_is_that_of_the_array_that_others_see_in_it(tmp_path_factory, image):
    path = tmp_path_factory.mktemp("told") / "x.ome.tif"
    write_image(path, image)
    told = find_description(path)
    assert told.pixels.shape == tifffile.imread(path).shape
    assert told.pixels.strides == (0,) * told.pixels.ndim  # nothing was read
    assert told.provenance == image.provenance
    again = read_image(path)
    if (told.axes, told.pixels.shape) == (again.axes, again.pixels.shape):
        assert (told.pixel_size, told.origin) == (again.pixel_size, again.origin)


def test_the_size_and_place_of_a_pixel_stand_where_others_look_for_them(tmp_path):
    path = tmp_path / "x.tif"
    sizes = {"Z": (1.0, "µm"), "Y": (250.0, "nm"), "X": (0.2, "micrometer")}
    write_image(path, ImageFile(numbers((3, 5, 6)), "ZYX", sizes, origin={"Z": -4.0, "X": 7.5}))
    with tifffile.TiffFile(path) as file:
        (across, per), (down, each) = (file.pages[0].tags.valueof(name) for name in ("XResolution", "YResolution"))
        assert (across / per, down / each, file.pages[0].tags.valueof("ResolutionUnit")) == (50_000, 40_000, 3)
        assert file.ome_metadata.count('PositionX="7.5" PositionXUnit="µm"') == 3
        assert file.ome_metadata.count('PositionZ="-4.0" PositionZUnit="µm"') == 3
        assert "PositionY" not in file.ome_metadata


@pytest.mark.parametrize("name", ["absent.ome.tif", "broken.tif", "text.txt", "folder", "https://somewhere/x.tif"])
def test_of_files_that_tell_nothing_nothing_is_said(tmp_path, name):
    (tmp_path / "broken.tif").write_bytes(b"II*\0\xff\xff\xff\xff")
    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / "folder").mkdir()
    assert find_description(name if "://" in name else tmp_path / name) is None


@pytest.mark.parametrize("axes", ["".join(order) + "YX" for order in permutations("TZC")])
def test_other_programs_see_the_same_axes(tmp_path, axes):
    pixels = numbers((2, 3, 4, 8, 9))
    write_image(tmp_path / "a.ome.tif", ImageFile(pixels, axes))
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        assert file.series[0].axes == axes
        np.testing.assert_array_equal(file.asarray(), pixels)


def test_the_xml_is_ome_as_others_read_it(tmp_path):
    sizes = {"X": (0.1, "micron"), "Y": (200.0, "nm"), "Z": (1e-6, "meter"), "T": (2.0, "second"), "C": (7.0, "µm")}
    image = ImageFile(numbers((2, 2, 3, 8, 9), "float64"), "TZCYX", sizes, ("DAPI", "GFP", "a & b"), provenance=RECORD)
    write_image(tmp_path / "a.tif", image)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_ome
        pixels = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
    assert pixels["Type"] == "double"
    assert [pixels[f"PhysicalSize{axis}"] for axis in "XYZ"] == [0.1, 200.0, 1e-6]
    assert [pixels[f"PhysicalSize{axis}Unit"] for axis in "XYZ"] == ["µm", "nm", "m"]
    assert (pixels["TimeIncrement"], pixels["TimeIncrementUnit"]) == (2.0, "s")
    assert [channel["Name"] for channel in pixels["Channel"]] == ["DAPI", "GFP", "a & b"]


@pytest.mark.parametrize(
    ("axes", "shape", "expected"),
    [("QYX", (5, 8, 9), "TYX"), ("QIYX", (2, 5, 8, 9), "TZYX"), ("QTZCYX", (2, 2, 3, 2, 8, 9), "TZCYX"), ("YXS", (8, 9, 3), "YXS")],
)
def test_axes_that_ome_does_not_know_take_free_letters(tmp_path, axes, shape, expected):
    image = ImageFile(numbers(shape), axes)
    write_image(tmp_path / "a.ome.tif", image)
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        assert file.series[0].axes == expected
    assert read_image(tmp_path / "a.ome.tif").axes == axes


def test_our_record_is_ignored_when_the_pixels_were_changed_by_others(tmp_path):
    path = tmp_path / "a.ome.tif"
    write_image(path, ImageFile(numbers((5, 8, 9)), "QYX"))
    with tifffile.TiffFile(path) as file:
        xml = file.ome_metadata.replace('SizeT="5"', 'SizeT="4"').replace('PlaneCount="5"', 'PlaneCount="4"')
    tifffile.imwrite(path, numbers((4, 8, 9)), description=xml.encode(), metadata=None, photometric="minisblack")
    assert (read_image(path).axes, read_image(path).pixels.shape) == ("TYX", (4, 8, 9))


ALL = ("uint8", "uint16", "float32", "float64")
INTEGERS = ("uint8", "uint16")


@pytest.mark.parametrize("xml", ["<OME/>", "<OME", '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image/></OME>'])
def test_ome_xml_without_an_image_does_no_harm(tmp_path, xml):
    tifffile.imwrite(tmp_path / "a.ome.tif", numbers((8, 9)), description=xml + "</OME>" * (xml == "<OME"), metadata=None)
    np.testing.assert_array_equal(read_image(tmp_path / "a.ome.tif").pixels, numbers((8, 9)))
    assert read_provenance(tmp_path / "a.ome.tif") is None


CODECS = [
    ("none", False, ALL),
    ("lzw", False, ALL),
    ("lzw", True, ALL),
    ("zlib", False, ALL),
    ("zlib", True, ALL),
    ("zstd", True, ALL),
    ("lzma", True, ALL),
    ("packbits", False, ALL),
    ("lerc", False, ALL),
    ("jpeg2000", False, INTEGERS),
    ("jpegxl", False, INTEGERS),
    ("png", False, INTEGERS),
]
LOSSLESS = {"jpegxl": {"lossless": True}, "jpeg2000": {"reversible": True}}


@pytest.mark.parametrize("tile", [None, (16, 16)])
@pytest.mark.parametrize(
    ("codec", "predictor", "dtype"), [(codec, predictor, dtype) for codec, predictor, dtypes in CODECS for dtype in dtypes]
)
def test_every_lossless_compression_reads_alike(tmp_path, codec, predictor, dtype, tile):
    pixels = numbers((5, 40, 33), dtype)
    pixels = pixels / np.dtype(dtype).type(7) if dtype.startswith("float") else pixels * np.array(300 if dtype == "uint16" else 1, dtype)
    options = {"compression": codec, "predictor": predictor, "compressionargs": LOSSLESS.get(codec)}
    tifffile.imwrite(tmp_path / "a.tif", pixels, tile=tile, photometric="minisblack", **options)
    found = read_image(tmp_path / "a.tif")
    assert found.pixels.dtype == dtype
    np.testing.assert_array_equal(found.pixels, pixels)


def test_lossy_compression_is_noted(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", numbers((64, 64), "uint8"), compression="jpeg")
    image = read_image(tmp_path / "a.tif")
    assert image.pixels.shape == (64, 64)
    assert "with loss" in image.notes[0]


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_byte_order_and_bigtiff_make_no_difference(tmp_path, byteorder, bigtiff):
    pixels = numbers((3, 20, 21))
    tifffile.imwrite(tmp_path / "a.tif", pixels, byteorder=byteorder, bigtiff=bigtiff, photometric="minisblack")
    image = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.pixels, pixels)
    write_image(tmp_path / "b.ome.tif", image)
    np.testing.assert_array_equal(read_image(tmp_path / "b.ome.tif").pixels, pixels)


def test_an_imagej_hyperstack_keeps_axes_sizes_and_pixels(tmp_path):
    pixels = numbers((2, 3, 4, 16, 18))
    metadata = {"axes": "TZCYX", "spacing": 0.5, "unit": "\\u00B5m", "finterval": 30.0}
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, resolution=(10.0, 5.0), metadata=metadata)
    image = read_image(tmp_path / "a.tif")
    assert image.axes == "TZCYX"
    assert image.pixel_size == {"X": (0.1, "µm"), "Y": (0.2, "µm"), "Z": (0.5, "µm"), "T": (30.0, "s")}
    write_image(tmp_path / "b.ome.tif", image)
    again = read_image(tmp_path / "b.ome.tif")
    assert (again.axes, again.pixel_size) == (image.axes, image.pixel_size)
    np.testing.assert_array_equal(again.pixels, pixels)


def test_colours_of_channels_are_taken_where_others_write_them(tmp_path):
    pixels, ramp = numbers((2, 16, 18)), np.arange(256, dtype="uint8")
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, metadata={"axes": "CYX", "Channel": {"Color": [-16776961, 16711935]}})
    tables = [np.stack([ramp, 0 * ramp, 0 * ramp]), np.stack([0 * ramp, ramp, 0 * ramp])]
    tifffile.imwrite(tmp_path / "b.tif", pixels, imagej=True, metadata={"axes": "CYX", "mode": "composite", "LUTs": tables})
    for name in ("a.ome.tif", "b.tif"):
        assert read_image(tmp_path / name).channel_colours == ("FF0000", "00FF00")


def test_an_imagej_file_without_a_scale_has_no_pixel_size(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", numbers((3, 16, 18)), imagej=True, metadata={"axes": "ZYX"})
    assert read_image(tmp_path / "a.tif").pixel_size == {}


@pytest.mark.parametrize(
    ("unit", "resolution", "expected"),
    [(3, 100_000, {"X": (0.1, "µm"), "Y": (0.1, "µm")}), (2, 72, {}), (2, 300, {}), (1, 10, {}), (3, 0, {})],
)
def test_a_plain_resolution_counts_only_if_a_microscope_could_have_it(tmp_path, unit, resolution, expected):
    tifffile.imwrite(tmp_path / "a.tif", numbers((16, 18)), resolution=(resolution, resolution), resolutionunit=unit, metadata=None)
    found = read_image(tmp_path / "a.tif").pixel_size
    assert {axis: (pytest.approx(size), unit) for axis, (size, unit) in found.items()} == expected


@pytest.mark.parametrize(("shape", "axes"), [((5, 16, 18), "QYX"), ((2, 5, 16, 18), "IQYX")])
def test_plain_stacks_have_axes_of_unknown_meaning(tmp_path, shape, axes):
    tifffile.imwrite(tmp_path / "a.tif", numbers(shape), photometric="minisblack")
    assert read_image(tmp_path / "a.tif").axes == axes


def test_of_a_pyramid_the_full_size_is_read(tmp_path):
    pixels = numbers((64, 64))
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as file:
        file.write(pixels, subifds=1, metadata={"axes": "YX"})
        file.write(pixels[::2, ::2], subfiletype=1)
    image = read_image(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(image.pixels, pixels)
    assert "full one" in image.notes[0]


def test_several_images_in_one_file_are_noted_and_can_be_chosen(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(numbers((16, 18)), metadata=None)
        file.write(numbers((8, 9), "uint8"), metadata=None)
    assert "holds 2 images" in read_image(tmp_path / "a.tif").notes[0]
    assert read_image(tmp_path / "a.tif", series=1).pixels.shape == (8, 9)
    with pytest.raises(FileError, match=r"series=2: the file holds 2 image\(s\); give 0 to 1"):
        read_image(tmp_path / "a.tif", series=2)


def test_colours_are_samples(tmp_path):
    for samples in (3, 4):
        tifffile.imwrite(tmp_path / "a.tif", numbers((16, 18, samples), "uint8"), photometric="rgb")
        assert read_image(tmp_path / "a.tif").axes == "YXS"


def test_a_table_of_colours_is_noted_and_not_applied(tmp_path):
    pixels, table = numbers((16, 18), "uint8"), np.zeros((3, 256), "uint16")
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="palette", colormap=table)
    image = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.pixels, pixels)
    assert "table of colours" in image.notes[0]


def test_a_large_uncompressed_image_stays_on_disk(tmp_path, monkeypatch):
    pixels = numbers((3, 16, 18))
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack")
    np.save(tmp_path / "a.npy", pixels)
    for module in ("tiff", "plain"):
        monkeypatch.setattr(f"napari_ne_denoise.core.io.{module}.MEMORY_MAP_FROM", 1)
    for name in ("a.tif", "a.npy"):
        found = read_image(tmp_path / name).pixels
        assert isinstance(found, np.memmap)
        assert not found.flags.writeable
        np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize(("shape", "axes"), [((16, 18), "YX"), ((16, 18, 3), "YXS")])
def test_png_gives_back_what_was_written(tmp_path, shape, axes, dtype):
    image = ImageFile(numbers(shape, dtype), axes, {"X": (0.1, "µm")}, provenance=RECORD)
    write_image(tmp_path / "a.png", image)
    found = read_image(tmp_path / "a.png")
    assert (found.axes, found.pixel_size, found.provenance) == (axes, image.pixel_size, RECORD)
    np.testing.assert_array_equal(found.pixels, image.pixels)


def test_what_a_picture_does_not_need_is_left_out_and_noted(tmp_path):
    grey = numbers((16, 18), "uint8")
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(np.stack([grey, np.full_like(grey, 255)], -1)))
    image = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(image.pixels, grey)
    assert "transparency" in image.notes[0]
    (tmp_path / "a.jpg").write_bytes(imagecodecs.jpeg_encode(grey))
    assert "JPEG" in read_image(tmp_path / "a.jpg").notes[0]


def test_npy_gives_back_what_was_written(tmp_path):
    image = ImageFile(numbers((2, 3, 16, 18), "float64"), "TQXY", {"T": (2.0, "s")}, provenance=RECORD, name="cells")
    write_image(tmp_path / "a.npy", image)
    found = read_image(tmp_path / "a.npy")
    assert (found.axes, found.pixel_size, found.provenance, found.name) == ("TQXY", image.pixel_size, RECORD, "cells")
    assert read_provenance(tmp_path / "a.npy") == RECORD
    np.testing.assert_array_equal(found.pixels, image.pixels)


def test_a_bare_npy_says_nothing_of_its_axes(tmp_path):
    np.save(tmp_path / "a.npy", numbers((16, 18)))
    assert read_image(tmp_path / "a.npy").axes is None
    assert read_provenance(tmp_path / "a.npy") is None


class Dangerous:
    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_nothing_in_an_npy_is_executed(tmp_path):
    thing = Dangerous()
    Dangerous.folder = tmp_path / "executed"
    with open(tmp_path / "a.npy", "wb") as file:
        pickle.dump(thing, file)
    np.save(tmp_path / "b.npy", np.array([thing], object), allow_pickle=True)
    for name in ("a.npy", "b.npy"):
        with pytest.raises(FileError, match=name):
            read_image(tmp_path / name)
    assert not (tmp_path / "executed").exists()


def bad_files(folder):
    """Each with what the message must say besides the file's name."""
    pixels = numbers((5, 32, 33))
    tifffile.imwrite(folder / "whole.tif", pixels, photometric="minisblack")
    whole = (folder / "whole.tif").read_bytes()
    (folder / "whole.tif").unlink()
    (folder / "text.tif").write_text("this is no image")
    (folder / "empty.tif").touch()
    (folder / "folder.tif").mkdir()
    (folder / "cut.tif").write_bytes(whole[: len(whole) // 2])
    (folder / "text.png").write_text("this is no image")
    (folder / "text.npy").write_text("this is no image")
    (folder / "cells.czi").write_text("another format")
    np.savez(folder / "several.npz", pixels)
    os.rename(folder / "several.npz", folder / "several.npy")
    return {
        "text.tif": "not a TIFF file",
        "empty.tif": "0 bytes",
        "folder.tif": "is a folder",
        "cut.tif": "copy it again",
        "missing.tif": "no such file",
        "text.png": "cannot be read",
        "text.npy": "cannot be read",
        "several.npy": "save one of them",
        "cells.czi": "by a plugin that reads them, and denoise the layer",
    }


def test_bad_files_give_an_error_that_names_them(tmp_path):
    for name, message in bad_files(tmp_path).items():
        for read in (read_image, read_provenance) if name not in ("cut.tif", "several.npy", "text.npy", "text.png") else (read_image,):
            with pytest.raises(FileError) as raised:
                read(tmp_path / name)
            assert str(raised.value).startswith(f"{tmp_path / name}: ")
            assert message in str(raised.value)


@pytest.mark.parametrize("options", [{}, {"metadata": None}, {"imagej": True}, {"ome": True}, {"compression": "zlib"}, {"tile": (16, 16)}])
def test_a_file_that_is_cut_off_never_gives_wrong_pixels(tmp_path, options):
    pixels = numbers((5, 24, 32))
    tifffile.imwrite(tmp_path / "whole.tif", pixels, **({} if "imagej" in options else {"photometric": "minisblack"}), **options)
    whole = (tmp_path / "whole.tif").read_bytes()
    for length in np.linspace(1, len(whole) - 1, 60).astype(int):
        (tmp_path / "cut.tif").write_bytes(whole[:length])
        try:
            found = read_image(tmp_path / "cut.tif").pixels
        except FileError:
            continue
        np.testing.assert_array_equal(found, pixels)  # only what follows the pixels was cut


def test_a_missing_file_of_a_series_is_an_error_not_zeros(tmp_path):
    for number in range(2):
        xml = (
            '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" '
            'DimensionOrder="XYZCT" Type="uint16" SizeX="9" SizeY="8" SizeZ="2" SizeC="1" SizeT="1">'
            '<TiffData IFD="0" FirstZ="0" PlaneCount="1"><UUID FileName="part0.ome.tif">urn:uuid:0</UUID></TiffData>'
            '<TiffData IFD="0" FirstZ="1" PlaneCount="1"><UUID FileName="part1.ome.tif">urn:uuid:1</UUID></TiffData>'
            "</Pixels></Image></OME>"
        ).replace("<OME ", f'<OME UUID="urn:uuid:{number}" ')
        tifffile.imwrite(tmp_path / f"part{number}.ome.tif", numbers((8, 9), seed=number), description=xml, metadata=None)
    whole = read_image(tmp_path / "part0.ome.tif")
    np.testing.assert_array_equal(whole.pixels, [numbers((8, 9), seed=0), numbers((8, 9), seed=1)])
    assert whole.notes == ("the image lies in 2 files, and all of it is taken; give one of them only",)
    (tmp_path / "part1.ome.tif").unlink()
    with pytest.raises(FileError, match=r"part0\.ome\.tif: a part of the file is missing"):
        read_image(tmp_path / "part0.ome.tif")


def image_xml(number, size, file="", ifd=0):
    where = f'<TiffData IFD="{ifd}" PlaneCount="1"><UUID FileName="{file}">urn:uuid:{file}</UUID></TiffData>' if file else "<MetadataOnly/>"
    return (
        f'<Image ID="Image:{number}" Name="image {number}"><Pixels ID="Pixels:{number}" DimensionOrder="XYZCT" Type="uint16" SizeX="64" '
        f'SizeY="{size}" SizeZ="1" SizeC="1" SizeT="1" PhysicalSizeX="{number + 1}" PhysicalSizeY="{number + 1}">'
        f'<Channel ID="Channel:{number}:0" Name="dye {number}" SamplesPerPixel="1"/>{where}</Pixels></Image>'
    )


def write_ome(path, pixels, *images):
    xml = f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{path.name}">{"".join(images)}</OME>'
    tifffile.imwrite(path, pixels, description='<?xml version="1.0"?>' + xml, metadata=None, compression="zlib")


def test_of_images_in_several_files_each_file_holds_its_own(tmp_path):
    names, sizes = [f"well{number}.ome.tif" for number in range(3)], (40, 48, 56)
    described = [image_xml(number, size, name) for number, (name, size) in enumerate(zip(names, sizes, strict=True))]
    for number, (name, size) in enumerate(zip(names, sizes, strict=True)):
        write_ome(tmp_path / name, numbers((size, 64), seed=number), *described)
    for alone in (False, True):
        for number, name in enumerate(names):
            image = read_image(tmp_path / name)
            np.testing.assert_array_equal(image.pixels, numbers((sizes[number], 64), seed=number))
            assert (image.name, image.pixel_size["X"], image.channel_names) == (f"image {number}", (number + 1, "µm"), (f"dye {number}",))
            assert image.notes == ()
            if alone:
                (tmp_path / name).rename(tmp_path / "away")
    write_ome(tmp_path / "index.ome.tif", numbers((4, 4)), image_xml(1, 56, names[2]))
    (tmp_path / "away").rename(tmp_path / names[2])
    with pytest.raises(FileError, match=r"its pixels lie in other files; give well2\.ome\.tif\."):
        read_image(tmp_path / "index.ome.tif")


def test_an_image_without_pixels_lends_its_sizes_to_no_other(tmp_path):
    write_ome(
        tmp_path / "a.ome.tif", numbers((2, 48, 64)), image_xml(0, 48), image_xml(1, 48, "a.ome.tif"), image_xml(2, 48, "a.ome.tif", 1)
    )
    for series in (0, 1):
        image = read_image(tmp_path / "a.ome.tif", series)
        assert (image.name, image.pixel_size["X"]) == (f"image {series + 1}", (series + 2, "µm"))
        np.testing.assert_array_equal(image.pixels, numbers((2, 48, 64))[series])
        assert image.notes[0] == f"the file holds 2 images; this is number {series}, image {series + 1}"


@pytest.mark.parametrize(
    ("name", "dtype", "axes", "message"),
    [
        ("a.jpg", "uint8", "YX", "results are written as"),
        ("a", "uint8", "YX", "ends in nothing"),
        ("no/a.tif", "uint8", "YX", "there is no folder"),
        ("a.tif", "int64", "YX", "OME-TIFF cannot hold int64"),
        ("a.png", "float32", "YX", 'output dtype "input"'),
        ("a.png", "uint8", "TYX", "single plane"),
        ("a.png", "float32", "ZYX", "single plane"),
    ],
)
def test_what_cannot_be_written_is_said_before_it_is_tried(tmp_path, name, dtype, axes, message):
    with pytest.raises(FileError, match=message):
        check_target(tmp_path / name, dtype, axes)
    with pytest.raises(FileError, match=message):
        write_image(tmp_path / name, ImageFile(np.zeros([8] * len(axes), dtype), axes))
    assert folder_of(tmp_path) == []


class Stopped(BaseException):
    """As KeyboardInterrupt, but of our own."""


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("boom"), Stopped()])
@pytest.mark.parametrize("name", ["a.ome.tif", "a.npy", "a.png"])
@pytest.mark.parametrize("existing", [False, True])
def test_a_failure_while_writing_leaves_what_was_there(tmp_path, monkeypatch, name, error, existing):
    target = tmp_path / name
    if existing:
        target.write_text("as before")

    def fail(path, *args, **kwargs):
        with open(path.name if hasattr(path, "write") else path, "wb") as file:
            file.write(b"half")
        raise error

    monkeypatch.setattr(tifffile, "imwrite", fail)
    monkeypatch.setattr(np, "save", fail)
    monkeypatch.setattr("napari_ne_denoise.core.io.files.write_png", fail)
    with pytest.raises(FileError if isinstance(error, Exception) else Stopped) as raised:
        write_image(target, ImageFile(numbers((8, 9), "uint8"), "YX"), overwrite=True)
    if isinstance(error, OSError):
        assert "the disk is full" in str(raised.value)
    assert folder_of(tmp_path) == ([name] if existing else [])
    assert not existing or target.read_text() == "as before"


def test_an_existing_file_is_replaced_only_if_that_is_allowed(tmp_path):
    image = ImageFile(numbers((8, 9)), "YX")
    write_image(tmp_path / "a.tif", image)
    with pytest.raises(FileError, match="exists already"):
        write_image(tmp_path / "a.tif", image)
    write_image(tmp_path / "a.tif", replace(image, pixels=image.pixels + 1), overwrite=True)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, image.pixels + 1)
    assert folder_of(tmp_path) == ["a.tif"]


def test_nobody_ever_sees_a_part_of_a_file(tmp_path):
    """A reader that looks all the time finds the old file or the new one."""
    target, seen, stop = tmp_path / "a.bin", set(), threading.Event()
    target.write_bytes(b"old" * 100_000)

    def look():
        while not stop.is_set():
            seen.add(target.read_bytes())

    reader = threading.Thread(target=look)
    reader.start()
    with complete_or_absent(target) as temporary, open(temporary, "wb") as file:
        for _ in range(100):
            file.write(b"new" * 1000)
            file.flush()
    stop.set()
    reader.join()
    assert seen <= {b"old" * 100_000, b"new" * 100_000}


class HeldOnWindows:
    """Lets os.replace be refused so often, as Windows does where another program looks at a file."""

    def __init__(self, monkeypatch, of, times=99, patience=0):
        self.left, self._of, self._replace = times, of, os.replace
        monkeypatch.setattr(os, "replace", self)
        monkeypatch.setattr(complete, "PATIENCE", patience)

    def __call__(self, old, new):
        if self.left and (str(old).endswith(self._of) or str(new).endswith(self._of)):
            self.left -= 1
            error = PermissionError(13, "Access is denied", str(new))
            error.winerror = 32
            raise error
        self._replace(old, new)


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.ome.zarr"])
def test_what_is_looked_at_for_a_moment_is_replaced_all_the_same(tmp_path, monkeypatch, name):
    for value in (1, 2):
        held = HeldOnWindows(monkeypatch, name, times=2, patience=60)
        write_image(tmp_path / name, ImageFile(np.full((8, 9), value, np.uint8), "YX"), overwrite=True)
        assert (np.asarray(read_image(tmp_path / name).pixels) == value).all()
        assert held.left == 0
    assert folder_of(tmp_path) == [name]


@pytest.mark.parametrize("name", ["a.tif", "a.ome.zarr"])
def test_what_stays_open_in_another_program_is_told(tmp_path, monkeypatch, name):
    """A folder that took hours stays, under another name."""
    write_image(tmp_path / name, ImageFile(numbers((8, 9)), "YX"))
    HeldOnWindows(monkeypatch, name)
    with pytest.raises(FileError, match="open in another program") as caught:
        write_image(tmp_path / name, ImageFile(numbers((8, 9)) + 1, "YX"), overwrite=True)
    kept = [tmp_path / "a_2.ome.zarr"] if name == "a.ome.zarr" else []
    assert folder_of(tmp_path) == sorted([name, *(path.name for path in kept)])
    for path in kept:
        assert str(path) in str(caught.value)
        np.testing.assert_array_equal(read_image(path).pixels, numbers((8, 9)) + 1)
    np.testing.assert_array_equal(read_image(tmp_path / name).pixels, numbers((8, 9)))


@pytest.mark.parametrize("name", ["a.ome.tif", "a.ome.zarr"])
def test_what_came_while_a_result_was_made_is_not_replaced(tmp_path, monkeypatch, name):
    put = complete._refuse_what_came_meanwhile

    def come(finished, path, **how):
        monkeypatch.undo()
        write_image(path, ImageFile(numbers((8, 9)), "YX"))
        put(finished, path, **how)

    monkeypatch.setattr(complete, "_refuse_what_came_meanwhile", come)
    kept = tmp_path / name.replace("a", "a_2", 1)
    with pytest.raises(FileError, match="exists by now, and is not replaced") as caught:
        write_image(tmp_path / name, ImageFile(numbers((8, 9)) + 1, "YX"))
    assert str(kept) in str(caught.value)
    assert folder_of(tmp_path) == sorted([name, kept.name])
    np.testing.assert_array_equal(read_image(tmp_path / name).pixels, numbers((8, 9)))
    np.testing.assert_array_equal(read_image(kept).pixels, numbers((8, 9)) + 1)


def test_no_record_lies_beside_pixels_of_another(tmp_path, monkeypatch):
    """Whatever fails, the image or its record, the record tells of the pixels beside it, or there is none."""
    target, settings = tmp_path / "a.npy", [{"made": {}, "settings": {"strength": strength}} for strength in (0.1, 0.2)]
    write_image(target, ImageFile(numbers((8, 9)), "YX", provenance=settings[0]))
    for of, expected in (("a.npy", settings[0]), ("a.npy.json", None)):
        with monkeypatch.context() as patch:
            HeldOnWindows(patch, of)
            with pytest.raises(FileError, match="open in another program"):
                write_image(target, ImageFile(numbers((8, 9)) + 1, "YX", provenance=settings[1]), overwrite=True)
        assert read_provenance(target) == expected


def test_two_threads_write_one_name_without_meeting(tmp_path):
    with complete_or_absent(tmp_path / "a") as one, complete_or_absent(tmp_path / "a") as other:
        one.write_text("one")
        other.write_text("other")
    assert (tmp_path / "a").read_text() == "one"


def test_what_was_being_replaced_when_a_process_was_killed_comes_back(tmp_path):
    target = tmp_path / "a.ome.zarr"
    write_image(target, ImageFile(numbers((8, 9)), "YX"))
    os.replace(target, tmp_path / f".a.ome.zarr.{socket.gethostname()}-{2**31 - 2}-a1b2c3.old")
    with pytest.raises(FileError, match="exists already"):
        write_image(target, ImageFile(numbers((8, 9)) + 1, "YX"))
    np.testing.assert_array_equal(read_image(target).pixels, numbers((8, 9)))
    assert folder_of(tmp_path) == ["a.ome.zarr"]


def test_files_get_the_permissions_that_others_get(tmp_path):
    write_image(tmp_path / "a.tif", ImageFile(numbers((8, 9)), "YX"))
    (tmp_path / "b").touch()
    assert (tmp_path / "a.tif").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_pixels_are_never_modified(tmp_path):
    pixels = numbers((3, 8, 9))
    pixels.setflags(write=False)
    for name in ("a.tif", "a.npy"):
        write_image(tmp_path / name, ImageFile(pixels, "XQY"))


@pytest.mark.parametrize(
    ("given", "expected"), [("QQYX", "IQYX"), ("TTTYX", "IQTYX"), ("YX", "YX"), ("??yx", "IQYX"), ("QIQIYX", "VUQIYX")]
)
def test_axis_letters_become_different(given, expected):
    assert distinct_letters(given) == expected


def test_letters_for_what_is_known():
    assert letters_for(2) == "YX"
    assert letters_for(4, channels=1) == "QCYX"
    assert letters_for(3, rows=1, columns=2, channels=0) == "CYX"
    assert letters_for(3, -3, -2, -1) == "YXC"


@pytest.mark.parametrize(("name", "expected"), [("a.ome.tif", "a"), ("a.b.tiff", "a.b"), ("a.npy", "a"), ("a.OME.TIFF", "a")])
def test_the_stem_of_a_name(tmp_path, name, expected):
    assert stem(tmp_path / name) == expected


def test_every_readable_suffix_is_documented_in_the_error(tmp_path):
    with pytest.raises(FileError) as raised:
        read_image(tmp_path / "a.xyz")
    assert all(suffix in str(raised.value) for suffix in io.READABLE)


def test_there_is_a_sidecar_if_there_is_something_to_say(tmp_path):
    image = ImageFile(numbers((8, 9)), provenance=RECORD)
    for name in ("a.npy", "a.png"):
        write_image(tmp_path / name, image)
        assert json.loads((tmp_path / f"{name}.json").read_text(encoding="utf8"))["axes"] == "YX"
        write_image(tmp_path / name, replace(image, provenance=None), overwrite=True)
        assert read_provenance(tmp_path / name) is None
    assert folder_of(tmp_path) == ["a.npy", "a.png"]


def test_a_damaged_file_is_not_held_against_another_that_is_read_at_the_same_time(tmp_path):
    tifffile.imwrite(tmp_path / "good.tif", numbers((30, 64, 64)), compression="zlib")
    tifffile.imwrite(tmp_path / "bad.tif", numbers((8, 64, 64)), photometric="minisblack")
    with tifffile.TiffFile(tmp_path / "bad.tif") as file:
        torn = file.pages[3].offset
    damaged = bytearray((tmp_path / "bad.tif").read_bytes())
    damaged[torn : torn + 2] = b"\xff\xff"
    (tmp_path / "bad.tif").write_bytes(damaged)
    done = threading.Event()

    def read_bad():
        while not done.is_set():
            with pytest.raises(FileError, match="corrupted"):
                read_image(tmp_path / "bad.tif")

    with ThreadPoolExecutor() as pool:
        bad = pool.submit(read_bad)
        try:
            for _ in range(10):
                read_image(tmp_path / "good.tif")
        finally:
            done.set()
        bad.result()


def test_what_napari_reads_meanwhile_is_not_held_against_a_file(caplog):
    def read():
        with logged_by("tifffile") as messages:
            began.set()
            told.wait()
            logging.getLogger("tifffile").warning("of ours")
        return messages

    began, told = threading.Event(), threading.Event()
    with ThreadPoolExecutor() as pool:
        reading = pool.submit(read)
        began.wait()
        logging.getLogger("tifffile").warning("of napari's")
        told.set()
        assert reading.result() == ["of ours"]
    assert caplog.messages == ["of napari's"]
