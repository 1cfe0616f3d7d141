"""What a microscope noted in a file, beside its sizes, stays with a result of the same planes; in words that tifffile reads back."""

import json
import struct

import numpy as np
import pytest
import tifffile

from napari_ne_denoise.core.batch.jobs import plan_jobs
from napari_ne_denoise.core.batch.run import run_jobs
from napari_ne_denoise.core.errors import FileError
from napari_ne_denoise.core.inference import load_denoiser
from napari_ne_denoise.core.io import ImageFile, find_description, read_image, write_image
from napari_ne_denoise.core.io.acquisition import Acquisition
from napari_ne_denoise.core.settings import DenoiseSettings

SIZES = {"T": 2, "Z": 3, "C": 2}
DYES = (("DAPI", 65535, "461.0"), ("GFP", 16711935, "509.0"))


def numbers(shape, dtype="uint16", seed=0):
    return np.random.default_rng(seed).integers(100, 400, shape).astype(dtype)


def words_of(t, z, c):
    """What the microscope noted of a plane; no two are alike."""
    return {
        "DeltaT": 30.0 * t + z + c / 10, "DeltaTUnit": "s", "ExposureTime": 50.0 * (c + 1), "ExposureTimeUnit": "ms",
        "PositionX": 1000.5 + t, "PositionXUnit": "µm", "PositionY": -200.25, "PositionYUnit": "µm", "PositionZ": 10.0 + 2 * z,
    }  # fmt: skip


def bioformats(sizes=SIZES, order="XYCZT", shape=(40, 48), data=None):
    """OME-XML as Bio-Formats writes it."""
    places = [(t, z, c) for t in range(sizes["T"]) for z in range(sizes["Z"]) for c in range(sizes["C"])]
    words = [{"TheT": t, "TheZ": z, "TheC": c, **words_of(t, z, c)} for t, z, c in places]
    planes = "".join("<Plane " + " ".join(f'{key}="{value}"' for key, value in each.items()) + "/>" for each in words)
    channels = "".join(
        f'<Channel ID="Channel:0:{number}" Name="{name}" Color="{colour}" EmissionWavelength="{length}" EmissionWavelengthUnit="nm" '
        'SamplesPerPixel="1"><LightPath/></Channel>'
        for number, (name, colour, length) in enumerate(DYES[: sizes["C"]])
    )
    lengths = " ".join(f'Size{letter}="{length}"' for letter, length in sizes.items())
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="no"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        'Creator="OME Bio-Formats 7.3.0"><Instrument ID="Instrument:0"/><Image ID="Image:0" Name="Series 1 &lt;a&amp;b&gt;">'
        "<AcquisitionDate>2024-03-05T11:22:33</AcquisitionDate><Description>a &lt;sample&gt;</Description>"
        f'<Pixels BigEndian="false" DimensionOrder="{order}" ID="Pixels:0" Type="uint16" SizeX="{shape[1]}" SizeY="{shape[0]}" {lengths} '
        'PhysicalSizeX="0.1" PhysicalSizeXUnit="µm" PhysicalSizeY="0.1" PhysicalSizeZ="2.0" TimeIncrement="30.0" TimeIncrementUnit="s">'
        f"{channels}{data or '<TiffData/>'}{planes}</Pixels></Image></OME>"
    )


def write_as_bioformats(path, sizes=SIZES, order="XYCZT"):
    pixels = numbers((*(sizes[letter] for letter in order[:1:-1]), 40, 48))
    tifffile.imwrite(path, pixels, description=bioformats(sizes, order).encode(), metadata=None, photometric="minisblack")
    return pixels


def told_by(path):
    """Axes and image that tifffile finds in a file, and what it says of each plane."""
    with tifffile.TiffFile(path) as file:
        image = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]
        axes = file.series[0].axes
    planes = image["Pixels"].get("Plane", [])
    places = {}
    for plane in planes if isinstance(planes, list) else [planes]:
        places[plane["TheT"], plane["TheZ"], plane["TheC"]] = {key: value for key, value in plane.items() if not key.startswith("The")}
    return axes, image, places


def denoised(source, folder, **settings):
    folder.mkdir()
    (job,) = plan_jobs([source], folder)
    for event in run_jobs([job], DenoiseSettings(**settings), load_denoiser("fast")):
        assert getattr(event, "error", None) is None
    return job.target


@pytest.mark.parametrize("order", ["XYCZT", "XYZTC", "XYTCZ"])
def test_places_and_times_of_planes_stay_with_a_result(tmp_path, order):
    write_as_bioformats(tmp_path / "a.ome.tif", order=order)
    axes, image, places = told_by(denoised(tmp_path / "a.ome.tif", tmp_path / "out"))
    assert axes == order[::-1]
    assert places == {(t, z, c): words_of(t, z, c) for t in range(2) for z in range(3) for c in range(2)}
    assert (image["Name"], image["AcquisitionDate"], image["Description"]) == ("Series 1 <a&b>", "2024-03-05T11:22:33", "a <sample>")
    assert (image["Pixels"]["TimeIncrement"], image["Pixels"]["TimeIncrementUnit"]) == (30.0, "s")
    channels = [(each["Name"], each["Color"], str(each["EmissionWavelength"])) for each in image["Pixels"]["Channel"]]
    assert channels == list(DYES)


def test_a_result_of_a_result_has_them_too(tmp_path):
    write_as_bioformats(tmp_path / "a.ome.tif")
    once = denoised(tmp_path / "a.ome.tif", tmp_path / "once")
    assert told_by(denoised(once, tmp_path / "twice"))[2] == told_by(tmp_path / "a.ome.tif")[2]


def test_of_one_plane_and_one_channel_all_stays(tmp_path):
    write_as_bioformats(tmp_path / "a.ome.tif", {"T": 1, "Z": 1, "C": 1})
    axes, image, places = told_by(denoised(tmp_path / "a.ome.tif", tmp_path / "out"))
    assert (axes, places) == ("YX", {(0, 0, 0): words_of(0, 0, 0)})
    assert (image["Pixels"]["Channel"]["Name"], image["Pixels"]["Channel"]["Color"]) == DYES[0][:2]


def test_axes_that_the_user_calls_otherwise_keep_their_planes(tmp_path):
    write_as_bioformats(tmp_path / "a.ome.tif", {"T": 3, "Z": 1, "C": 1})
    places = told_by(denoised(tmp_path / "a.ome.tif", tmp_path / "out", axes="ZYX"))[2]
    assert places == {(0, number, 0): words_of(number, 0, 0) for number in range(3)}


def test_other_planes_than_those_of_the_file_get_no_words_of_it(tmp_path):
    write_as_bioformats(tmp_path / "a.ome.tif", {"T": 40, "Z": 1, "C": 1})
    image = read_image(tmp_path / "a.ome.tif")
    assert image.acquisition.planes.shape == (40, 1, 1)
    for axes, pixels in (("YTX", image.pixels), ("TYX", image.pixels[:3]), ("YX", image.pixels[0])):
        write_image(tmp_path / "b.ome.tif", ImageFile(pixels, axes, acquisition=image.acquisition), overwrite=True)
        assert told_by(tmp_path / "b.ome.tif")[2] == {}
    part = image.acquisition.of_part((slice(3, 5), slice(0, 40), slice(0, 48)))
    write_image(tmp_path / "b.ome.tif", ImageFile(image.pixels[3:5], "TYX", acquisition=part), overwrite=True)
    assert told_by(tmp_path / "b.ome.tif")[2] == {(0, 0, 0): words_of(3, 0, 0), (1, 0, 0): words_of(4, 0, 0)}


def test_where_the_layer_lies_is_said_where_the_microscope_says_nothing(tmp_path):
    path = tmp_path / "a.ome.tif"
    planes = np.array([{"PositionX": "7.0", "PositionXUnit": "mm"}, {}], object).reshape(2, 1, 1)
    place = {"pixel_size": {"Y": (0.5, "µm"), "X": (0.5, "µm")}, "origin": {"Y": 3.0, "X": 4.0}}
    for _ in range(2):  # and what we said ourselves is not taken for the microscope's
        write_image(path, ImageFile(numbers((2, 8, 9)), "TYX", **place, acquisition=Acquisition(planes=planes)), overwrite=True)
        assert told_by(path)[2] == {
            (0, 0, 0): {"PositionX": 7.0, "PositionXUnit": "mm", "PositionY": 3.0, "PositionYUnit": "µm"},
            (1, 0, 0): {"PositionX": 4.0, "PositionXUnit": "µm", "PositionY": 3.0, "PositionYUnit": "µm"},
        }
        planes = read_image(path).acquisition.planes
        assert [dict(words) for words in planes.ravel()] == [{"PositionX": "7.0", "PositionXUnit": "mm"}, {}]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('TheT="1"', 'TheT="99999999999999"'),
        ('TheT="1"', 'TheT="-1"'),
        ('TheT="1"', 'TheT="one"'),
        ('PositionX="1000.5"', 'PositionX="nan"'),
        ("2024-03-05T11:22:33", "yesterday"),
        ('SamplesPerPixel="1"', 'SamplesPerPixel="7"'),
    ],
)
def test_what_makes_no_sense_is_left_out(tmp_path, before, after):
    pixels = numbers((2, 3, 2, 40, 48))
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, description=bioformats().replace(before, after).encode(), metadata=None)
    image = read_image(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(image.pixels.reshape(pixels.shape), pixels)
    write_image(tmp_path / "b.ome.tif", image)
    with tifffile.TiffFile(tmp_path / "b.ome.tif") as file:
        assert after not in file.ome_metadata


# ---- Micro-Manager ----------------------------------------------------------------------------------------------


def write_as_micromanager(path, pixels, summary, description):
    """A stack of Micro-Manager 2, of the axes TZCYX: its own index stands before and after what is a TIFF."""
    count = dict(zip("TZCYX", pixels.shape, strict=True))
    planned = {"MicroManagerVersion": "2.0.3", "Frames": count["T"], "Slices": count["Z"], "Channels": count["C"], "Positions": 1}
    head = json.dumps(planned | {"TimeFirst": True, "SlicesFirst": True} | summary).encode()
    at, body, index = 40 + len(head), b"", []
    places = list(np.ndindex(pixels.shape[:3]))
    for t, z, c in places:
        index.append((c, z, t, 0, at))
        plane, text = pixels[t, z, c].astype("<u2").tobytes(), description.encode() + b"\0" * 5
        note = json.dumps({"PixelSizeUm": 0.13}).encode() + b"\0"
        start = at + 162  # behind thirteen tags
        texts, notes, ratio = (start + len(plane) + more for more in (0, len(text), len(text) + len(note)))
        tags = [
            (256, 4, 1, count["X"]), (257, 4, 1, count["Y"]), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1), (270, 2, len(text), texts),
            (273, 4, 1, start), (277, 3, 1, 1), (278, 3, 1, count["Y"]), (279, 4, 1, len(plane)), (282, 5, 1, ratio), (283, 5, 1, ratio),
            (51123, 2, len(note), notes),
        ]  # fmt: skip
        at = ratio + 8
        following = 0 if (t, z, c) == places[-1] else at
        ifd = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + struct.pack("<I", following)
        body += ifd + plane + text + note + struct.pack("<II", 72, 1)
    end = struct.pack("<II", 3453623, len(index)) + b"".join(struct.pack("<IIIII", *row) for row in index)
    marks = struct.pack("<10I", 40 + len(head), 54773648, at, 483765892, 0, 99384722, 0, 2355492, len(head), 0)[:36]
    path.write_bytes(b"II*\0" + marks + head + body + end)


SUMMARY = {"Prefix": "cells", "z-step_um": -2.0, "Interval_ms": 30000, "ChNames": ["DAPI", "GFP"]}


def test_a_stack_of_micromanager_keeps_what_its_ome_xml_says(tmp_path):
    path, pixels = tmp_path / "cells_MMStack_Pos0.ome.tif", numbers((2, 3, 2, 40, 48))
    write_as_micromanager(path, pixels, SUMMARY, bioformats(order="XYZCT"))
    with tifffile.TiffFile(path) as file:
        assert file.series[0].kind == "mmstack"
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.axes == "TZCYX"
    assert image.pixel_size == {"X": (0.1, "µm"), "Y": (0.1, "µm"), "Z": (2.0, "µm"), "T": (30.0, "s")}
    assert (image.channel_names, image.channel_colours) == (("DAPI", "GFP"), ("0000FF", "00FF00"))
    assert find_description(path).pixel_size == image.pixel_size
    assert told_by(denoised(path, tmp_path / "out"))[2] == told_by(path)[2]


def test_a_stack_of_micromanager_that_was_stopped_and_has_no_ome_xml(tmp_path):
    path, pixels = tmp_path / "cells_MMStack_Pos0.ome.tif", numbers((2, 3, 2, 40, 48))
    write_as_micromanager(path, pixels, {**SUMMARY, "Frames": 100}, "")
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.pixel_size == {"X": (0.13, "µm"), "Y": (0.13, "µm"), "Z": (2.0, "µm"), "T": (30000.0, "ms")}
    assert image.channel_names == ("DAPI", "GFP")
    assert "Returning subset (2, 1, 3, 2) of (100, 1, 3, 2)" in image.notes[0]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(FileError, match=r"missing|cannot be read|cut off"):
        read_image(path)
