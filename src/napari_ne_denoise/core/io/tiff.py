"""TIFF files of every kind that microscopes and ImageJ write; OME-TIFF out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile

from napari_ne_denoise.core.errors import FileError, one_line
from napari_ne_denoise.core.io import layout, ome
from napari_ne_denoise.core.io.image_file import TO_MICROMETRES, ImageFile, PixelSize, usual_unit
from napari_ne_denoise.core.io.letters import distinct_letters
from napari_ne_denoise.core.io.messages import logged_by
from napari_ne_denoise.core.io.tiff_claims import check_claims, check_directories, distrust_of

# uncompressed images larger than this many bytes stay on disk and are read where they are needed
MEMORY_MAP_FROM = 2**30
# characters of OME-XML, beyond which nobody looks for our record in it; that of a million planes has so many
LARGEST_XML = 2**28
# coarser than this many µm, a plain TIFF's resolution is that of a screen or a printer
COARSEST_PIXEL = 25.4
LOGGERS = ("tifffile", "imagecodecs")
# what they only log although pixels are lost
_DAMAGE = ("missing", "corrupt", "truncated", "invalid offset", "invalid page", "circular reference", "failed to reshape")
ANOTHER_IS_MISSING = "failed to read"
# of a time series of Micro-Manager that was stopped before its end: what there is of it is whole
STOPPED = "Returning subset"
CENTIMETRE = 3
LARGEST_RESOLUTION = 2**31  # pixels a centimetre; of a fraction of whole numbers of 32 bit
_MICROMETRES = {2: 25400.0, CENTIMETRE: 10000.0}  # in an inch and a centimetre, TIFF's two units


def read_tiff(path: Path, series: int = 0) -> ImageFile:
    """Read one image of a TIFF file; of a pyramid the full size.

    Raises
    ------
    FileError
        If the file is damaged, or has no such image.
    """
    check_directories(path)
    with logged_by(*LOGGERS) as messages, _opened(path, messages) as file:
        if not file.series:
            raise FileError(f"{path}: holds no image; copy it again from where it was made.")
        own = _own_images(path, file)
        if not 0 <= series < len(own):
            raise FileError(f"{path}: series={series}: the file holds {len(own)} image(s); give 0 to {len(own) - 1}.")
        chosen = file.series[own[series]]
        if None not in chosen.pages:  # of other images of its set nothing is needed
            messages[:] = [message for message in messages if ANOTHER_IS_MISSING not in message]
        # before the pixels: a file that is cut off may have room for zeros, but its list of pages is broken
        _refuse_if_incomplete(path, messages)
        check_claims(path, chosen, in_memory=not _stays_on_disk(chosen))
        pixels, axes = _pixels(path, chosen, own[series], file.is_ome), distinct_letters(chosen.axes)
        described = _describe(file, chosen, messages)
    _refuse_if_incomplete(path, messages)
    restored = ome.from_ome(pixels, described) if chosen.kind == "ome" else None
    pixels, axes = restored or (pixels, axes)
    notes = (*_notes(file, chosen, series, len(own)), *(f"tifffile: {one_line(message)}" for message in messages))
    return ImageFile(
        pixels,
        axes,
        described.pixel_size,
        described.channel_names,
        described.name or path.name,
        described.provenance,
        notes,
        described.origin,
        described.channel_colours,
        series,
        described.acquisition.of_array(axes, pixels.shape),
    )


def read_tiff_provenance(path: Path) -> dict[str, Any] | None:
    """The record of how a file was made, without reading its pixels; None if there is none."""
    check_directories(path)
    with logged_by(*LOGGERS), tifffile.TiffFile(path) as file:
        try:
            xml = file.ome_metadata
            return None if xml is None or len(xml) > LARGEST_XML or distrust_of(xml, path.parent) else ome.describe(xml).provenance
        except (ElementTree.ParseError, ValueError, RecursionError):
            return None


def read_tiff_description(path: Path) -> ImageFile:
    """What a file says of its first image, whose axes are those that are stored; its pixels, which are not read, are zeros."""
    with logged_by(*LOGGERS) as messages, _opened(path, messages) as file:
        if not file.series:
            raise FileError(f"{path}: holds no image.")
        series = file.series[0]
        described = _describe(file, series, messages)
        axes = distinct_letters(series.axes)
        if described.axes is not None and described.shape == tuple(series.shape):
            axes = described.axes  # it is stored as it was
        pixels = np.broadcast_to(np.zeros((), series.dtype), series.shape)
        name, noted = described.name or path.name, described.acquisition.of_array(axes, pixels.shape)
        return ImageFile(
            pixels,
            axes,
            described.pixel_size,
            described.channel_names,
            name,
            described.provenance,
            (),
            described.origin,
            described.channel_colours,
            acquisition=noted,
        )


def write_tiff(path: Path, image: ImageFile) -> None:
    """Write an OME-TIFF, compressed without loss; BigTIFF when it may pass 4 GB.

    The size of a pixel stands in the tags of TIFF too, for programs that read no OME-XML.
    """
    assert image.axes is not None
    pixels, axes = ome.to_ome(image.pixels, image.axes)
    tifffile.imwrite(
        path,
        pixels,
        ome=True,
        photometric="rgb" if axes.endswith("S") else "minisblack",
        compression="zlib",
        predictor=True,
        metadata=ome.ome_metadata(image, axes, pixels.shape),
        **_resolution_tags(image.pixel_size),
    )


def _resolution_tags(sizes: PixelSize) -> dict[str, Any]:
    """Pixels a centimetre along X and Y, where their size is a length, and no larger than the tags can hold."""
    found = [sizes[axis] for axis in "XY" if axis in sizes and usual_unit(sizes[axis][1]) in TO_MICROMETRES]
    per_unit = [_MICROMETRES[CENTIMETRE] / (size * TO_MICROMETRES[usual_unit(unit)]) for size, unit in found if size > 0]
    if len(per_unit) < 2 or min(per_unit) < 1 or max(per_unit) > LARGEST_RESOLUTION:
        return {}
    return {"resolution": tuple(per_unit), "resolutionunit": CENTIMETRE}


@contextmanager
def _opened(path: Path, messages: list[str]) -> Iterator[tifffile.TiffFile]:
    """The file, as a plain TIFF where its OME-XML is not to be followed."""
    with tifffile.TiffFile(path) as file:
        distrust = distrust_of(file.ome_metadata, path.parent) or _failure_of_ome(file)
        if distrust is None:
            yield file
            return
    messages.append(f"the OME-XML was not used: {distrust}; pixel sizes are lost")
    with tifffile.TiffFile(path, is_ome=False) as file:
        yield file


def _failure_of_ome(file: tifffile.TiffFile) -> str | None:
    """Why the OME-XML makes no series of images, where it does not."""
    if not file.is_ome:
        return None
    try:
        return None if file.series else "it describes no image"
    except Exception as error:  # of any kind: it is a stranger's text
        return f"it makes no sense ({type(error).__name__}: {one_line(str(error))})"


def _stays_on_disk(series: tifffile.TiffPageSeries) -> bool:
    return series.dataoffset is not None and series.nbytes >= MEMORY_MAP_FROM


def _pixels(path: Path, series: tifffile.TiffPageSeries, number: int, is_ome: bool) -> np.ndarray:
    if not _stays_on_disk(series):
        return np.asarray(series.asarray())
    return tifffile.memmap(path, series=number, mode="r", is_ome=is_ome and None)


def _own_images(path: Path, file: tifffile.TiffFile) -> list[int]:
    """Numbers of the images with pixels in this file; each file of a set of OME-TIFF describes those of the others too.

    tifffile takes an image that is wholly in another file for one of this file, and reads whatever is at its place there.
    """
    own = [number for number, series in enumerate(file.series) if series.kind != "ome" or _own_page(file, series) is not None]
    if not own:
        others = sorted({str(series.keyframe.parent.filename) for series in file.series})
        raise FileError(f"{path}: its pixels lie in other files; give {', '.join(others[:3])}{' and so on' if len(others) > 3 else ''}.")
    return own


def _own_page(file: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> int | None:
    return next((page.index for page in series.pages if page is not None and page.parent is file), None)


def _describe(file: tifffile.TiffFile, series: tifffile.TiffPageSeries, messages: list[str]) -> ome.Described:
    is_micromanager = series.kind == "mmstack"
    if file.ome_metadata and (series.kind == "ome" or (is_micromanager and "<Image" in file.ome_metadata)):
        page, order = (0, _order_of_planes(series)) if is_micromanager else (_own_page(file, series), None)
        try:
            return ome.describe(file.ome_metadata, file.filename, page, order)
        except (ElementTree.ParseError, ValueError, RecursionError) as error:
            messages.append(f"the OME-XML cannot be read ({one_line(str(error))}); pixel sizes are lost")
    try:
        if is_micromanager:
            return ome.Described(_micromanager_sizes(file), _micromanager_names(file), "", None, None, ())
        sizes = _imagej_sizes(file) if file.is_imagej else _plain_sizes(series.keyframe)
    except (TypeError, ValueError, OverflowError, AttributeError):  # tags may hold anything
        messages.append("what it says of pixel sizes makes no sense; they are lost")
        sizes = {}
    return ome.Described(sizes, (), "", None, None, (), channel_colours=_imagej_colours(file) if file.is_imagej else ())


def _order_of_planes(series: tifffile.TiffPageSeries) -> str:
    """T, Z and C as the planes lie, the slowest first, which need not be as the OME-XML says; letters of axes that are not there first."""
    axes = "".join(letter for letter in series.axes if letter in "TZC")
    return "".join(letter for letter in "TZC" if letter not in axes) + axes


def _micromanager_sizes(file: tifffile.TiffFile) -> PixelSize:
    """What Micro-Manager notes of sizes, where it wrote no OME-XML: in the file, and with each plane."""
    summary, plane = file.micromanager_metadata["Summary"], file.pages.first.tags.valueof("MicroManagerMetadata", {})  # type: ignore[index]
    pixel = plane.get("PixelSizeUm") or summary.get("PixelSize_um")
    told = {"X": (pixel, "µm"), "Y": (pixel, "µm"), "Z": (summary.get("z-step_um"), "µm"), "T": (summary.get("Interval_ms"), "ms")}
    return {axis: (abs(size), unit) for axis, (value, unit) in told.items() if math.isfinite(size := layout.number(value)) and size}


def _micromanager_names(file: tifffile.TiffFile) -> tuple[str, ...]:
    return layout.channel_names_in({"channel_names": file.micromanager_metadata["Summary"].get("ChNames")})  # type: ignore[index]


def _imagej_sizes(file: tifffile.TiffFile) -> PixelSize:
    """ImageJ says how many pixels go into its own unit; 1 pixel in "pixel" is what it writes for images without a scale."""
    metadata: dict[str, Any] = file.imagej_metadata or {}
    unit = usual_unit(str(metadata.get("unit", "")))
    sizes: dict[str, tuple[float, str]] = {}
    if unit and unit != "pixel":
        for axis, pixels_per_unit in zip("XY", _resolution(file.pages.first), strict=True):
            if pixels_per_unit:
                sizes[axis] = (1 / pixels_per_unit, unit)
        if metadata.get("spacing"):
            sizes["Z"] = (abs(float(metadata["spacing"])), usual_unit(str(metadata.get("zunit", unit))))
    if metadata.get("finterval"):
        sizes["T"] = (float(metadata["finterval"]), usual_unit(str(metadata.get("tunit", "s"))))
    return sizes


def _imagej_colours(file: tifffile.TiffFile) -> tuple[str, ...]:
    """The brightest colour of each channel's table; ImageJ shows other images by the one table of the channel that was chosen last."""
    metadata: dict[str, Any] = file.imagej_metadata or {}
    tables = [np.asarray(table) for table in metadata.get("LUTs") or ()]
    if metadata.get("mode") not in ("composite", "color") or any(table.shape != (3, 256) for table in tables):
        return ()
    return tuple("".join(f"{int(value):02X}" for value in table[:, -1]) for table in tables)


def _plain_sizes(page: Any) -> PixelSize:
    unit = page.tags.valueof("ResolutionUnit", 2)
    if unit not in _MICROMETRES:
        return {}
    sizes = {axis: _MICROMETRES[unit] / per_unit for axis, per_unit in zip("XY", _resolution(page), strict=True) if per_unit}
    return {axis: (size, "µm") for axis, size in sizes.items() if size < COARSEST_PIXEL}


def _resolution(page: Any) -> tuple[float, float]:
    """Pixels a unit along X and Y; 0 where the file does not say."""
    fractions = [page.tags.valueof(tag, (0, 1)) for tag in ("XResolution", "YResolution")]
    x, y = (float(numerator) / denominator if denominator else 0.0 for numerator, denominator in fractions)
    return x, y


def _notes(file: tifffile.TiffFile, series: tifffile.TiffPageSeries, number: int, count: int) -> Iterator[str]:
    if count > 1:
        yield f"the file holds {count} images; this is number {number}, {series.name or 'without a name'}"
    if series.is_multifile:
        files = len({page.parent.filename for page in series.pages if page is not None})
        yield f"the image lies in {files} files, and all of it is taken; give one of them only"
    if file.is_ome and series.kind != "ome" and "<BinaryOnly" in (file.ome_metadata or ""):
        yield "its OME-XML lies in a file of its own, which is not read: axes, pixel sizes and names are lost"
    if series.is_pyramidal:
        yield f"of the {len(series.levels)} sizes in the file the full one is taken"
    if series.keyframe.photometric == tifffile.PHOTOMETRIC.PALETTE:
        yield "the file has a table of colours; what is taken are the numbers in the file, and the table is not kept"
    if series.keyframe.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        yield "the file calls its largest number black; what is taken are the numbers in the file"
    if series.keyframe.compression in LOSSY:
        yield "the file was compressed with loss, which changed its noise; denoise the original if there is one"


LOSSY = frozenset({tifffile.COMPRESSION.OJPEG, tifffile.COMPRESSION.JPEG, tifffile.COMPRESSION.ALT_JPEG})


def _refuse_if_incomplete(path: Path, messages: list[str]) -> None:
    for message in messages:
        if STOPPED not in message and any(word in message.lower() for word in _DAMAGE):
            raise FileError(
                f"{path}: a part of the file is missing or damaged ({one_line(message)}); copy it again from where it was made."
            )
