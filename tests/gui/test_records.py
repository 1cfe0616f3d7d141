"""How a layer was made is found in the file it was opened from, by napari's own readers; strangers' files do no harm."""

import json
import os

import numpy as np
import pytest
import tifffile
import zarr
from napari.layers import Image

from napari_ne_denoise.core.io import ImageFile, files, find_provenance, tiff, write_image
from napari_ne_denoise.core.provenance import KEY
from napari_ne_denoise.gui.layers.records import record_of, source_path

RECORD = {"program": KEY, "settings": {"sigma": None}, "source_layer": "cells"}
PIXELS = np.arange(600, dtype="uint16").reshape(20, 30)


@pytest.mark.parametrize("name", ["a µ.ome.tif", "a.tif", "a.ome.zarr", "a.zarr", "a.npy", "a.png"])
def test_the_record_of_a_file_that_napari_opened_is_found(viewer, tmp_path, name):
    write_image(tmp_path / name, ImageFile(PIXELS, "YX", provenance=RECORD))
    viewer.open(str(tmp_path / name), plugin="napari")
    assert all(KEY not in layer.metadata for layer in viewer.layers)
    assert {json.dumps(record_of(layer)) for layer in viewer.layers} == {json.dumps(RECORD)}


def test_what_stands_in_the_layer_goes_first(tmp_path):
    assert record_of(Image(PIXELS, metadata={KEY: RECORD})) == RECORD
    assert record_of(Image(PIXELS, metadata={KEY: "?"})) is None
    assert record_of(Image(PIXELS)) is None


def test_the_file_that_a_result_was_made_from(viewer, tmp_path):
    tifffile.imwrite(tmp_path / "cells.tif", PIXELS)
    viewer.open(str(tmp_path / "cells.tif"), plugin="napari")
    assert source_path(viewer, RECORD) == str(tmp_path / "cells.tif")
    assert source_path(viewer, {"source_layer": "gone"}) is source_path(viewer, {}) is None


def test_no_pixel_is_read(tmp_path, monkeypatch):
    for name in ("a.ome.tif", "a.zarr"):
        write_image(tmp_path / name, ImageFile(PIXELS, "YX", provenance=RECORD))
    monkeypatch.setattr(tifffile.TiffFile, "asarray", None)
    monkeypatch.setattr(tiff, "_pixels", None)
    monkeypatch.setattr(zarr, "open", None)
    monkeypatch.setattr(files, "read_image", None)
    assert find_provenance(tmp_path / "a.ome.tif") == find_provenance(tmp_path / "a.zarr" / "0") == RECORD


def bad_files(folder):
    xml = '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image/><StructuredAnnotations>{}</StructuredAnnotations></OME>'
    value = f'<MapAnnotation Namespace="{KEY}"><Value>{{}}</Value></MapAnnotation>'
    tenfold = "".join(f'<!ENTITY a{number + 1} "{f"&a{number};" * 10}">' for number in range(12))
    bomb = f'<!DOCTYPE OME [<!ENTITY a0 "aaaaaaaaaa">{tenfold}]><OME>&a12;</OME>'
    texts = {
        "json": xml.format(value.format('<M K="settings">{not json</M>')),
        "deep": xml.format(value.format(f'<M K="settings">{"[" * 200_000}</M>')),
        "cut": xml[:80],
        "bomb": bomb,
        "plain": "hello",
    }
    for name, text in texts.items():
        tifffile.imwrite(folder / f"{name}.ome.tif", PIXELS, description=text.encode(), metadata=None)
    (folder / "empty.tif").touch()
    (folder / "noise.tif").write_bytes(os.urandom(1000))
    (folder / "short.tif").write_bytes((folder / "plain.ome.tif").read_bytes()[:100])
    (folder / "a.npy").write_bytes(b"x")
    (folder / "a.npy.json").write_text("[1, 2")
    (folder / "b.npy").write_bytes(b"x")
    (folder / "b.npy.json").write_text(json.dumps({"provenance": ["no", "record"]}))
    (folder / "text.txt").write_text("hello")
    for name, text in {
        "cut": "{",
        "list": "[1]",
        "deep": "[" * 200_000,
        "odd": json.dumps({"attributes": {KEY: 3}}),
        "bytes": "\udcff",
    }.items():
        (folder / f"{name}.zarr").mkdir()
        (folder / f"{name}.zarr" / "zarr.json").write_bytes(text.encode("utf8", "surrogateescape"))
    (folder / "large.zarr").mkdir()
    with open(folder / "large.zarr" / "zarr.json", "wb") as file:
        file.truncate(2**40)  # a hole, which takes no space
    os.mkfifo(folder / "pipe.tif")
    return [str(path) for path in folder.iterdir()]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="makes a pipe")
def test_strangers_files_do_no_harm(tmp_path):
    paths = bad_files(tmp_path)
    assert len(paths) > 15
    for path in [*paths, str(tmp_path / "gone.tif"), "https://example.org/a.tif", "s3://bucket/a.zarr", "\0.tif", "", 5, None]:
        assert find_provenance(path) is None, path


def test_metadata_that_are_too_long_are_left_alone(tmp_path, monkeypatch):
    write_image(tmp_path / "a.ome.tif", ImageFile(PIXELS, "YX", provenance=RECORD))
    monkeypatch.setattr(tiff, "LARGEST_XML", 100)
    assert find_provenance(tmp_path / "a.ome.tif") is None
