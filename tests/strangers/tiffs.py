"""TIFF files from strangers: cut off, lying, endless, and legal ones that few programs write."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile

from tests.strangers.corpus import Stranger, cut_off, file_of, numbers

DAMAGED = r"copy it again|give it the right name"
IMPOSSIBLE = r"cannot hold"
NO_MEMORY = r"need .* of memory, and .* (is|are) free; crop .*OME-Zarr"
ASCII, SHORT, LONG, LONG8 = 2, 3, 4, 16
_FORMATS = {ASCII: "s", SHORT: "H", LONG: "I", LONG8: "Q"}
WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, DESCRIPTION, OFFSETS, SAMPLES, ROWS, COUNTS, FORMAT = (
    256, 257, 258, 259, 262, 270, 273, 277, 278, 279, 339,
)  # fmt: skip
TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_COUNTS = 322, 323, 324, 325


def tiff(tags: dict[int, Any], data: bytes = b"", *, next_ifd: int = 0, order: str = "<", counts: dict[int, int] | None = None) -> bytes:
    """A TIFF of one directory, whose tags say whatever they are told to; pixels begin at byte 8.

    `counts` replaces how many values a tag claims to have.
    """
    ifd = 8 + len(data) + len(data) % 2
    entries, extra, at = b"", b"", ifd + 2 + 12 * len(tags) + 4
    for tag, value in sorted(tags.items()):
        values = [value] if isinstance(value, int | bytes) else list(value)
        kind = ASCII if isinstance(value, bytes) else SHORT if tag in (BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, FORMAT) else LONG
        packed = value if isinstance(value, bytes) else struct.pack(f"{order}{len(values)}{_FORMATS[kind]}", *values)
        count = (counts or {}).get(tag, len(value) if isinstance(value, bytes) else len(values))
        if len(packed) <= 4:
            entries += struct.pack(f"{order}HHI", tag, kind, count) + packed.ljust(4, b"\0")
        else:
            entries += struct.pack(f"{order}HHII", tag, kind, count, at + len(extra))
            extra += packed
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", ifd)
    body = data + b"\0" * (len(data) % 2)
    return header + body + struct.pack(f"{order}H", len(tags)) + entries + struct.pack(f"{order}I", next_ifd) + extra


def plain(width: int = 40, length: int = 48, bits: int = 16, **more: Any) -> dict[int, Any]:
    """The tags of an honest image in one uncompressed strip."""
    return {
        WIDTH: width, LENGTH: length, BITS: bits, COMPRESSION: 1, PHOTOMETRIC: 1, OFFSETS: 8, SAMPLES: 1, ROWS: length,
        COUNTS: width * length * bits // 8,
    }  # fmt: skip


def zeros_deflated(size: int) -> bytes:
    """About `size` zeros as zlib writes them, without having had so many: the middle is the same block again and again."""
    packer = zlib.compressobj(9)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block + again * (size // 2**20 - 1) + packer.flush()


def written(pixels: Callable[[], np.ndarray] = numbers, **how: Any) -> bytes:
    """What tifffile writes."""
    file = io.BytesIO()
    tifffile.imwrite(file, pixels(), **how)
    return file.getvalue()


def _stack() -> np.ndarray:
    return numbers((3, 48, 40))


BASES: dict[str, Callable[[], bytes]] = {
    "uncompressed": lambda: written(),
    "strips-zlib": lambda: written(compression="zlib", predictor=True, rowsperstrip=8),
    "tiles-lzw": lambda: written(compression="lzw", tile=(16, 16)),
    "ome": lambda: written(_stack, ome=True, compression="zlib", metadata={"axes": "ZYX", "PhysicalSizeX": 0.1}),
    "imagej": lambda: written(_stack, imagej=True, metadata={"axes": "ZYX", "spacing": 0.3, "unit": "um"}),
    "bigtiff": lambda: written(bigtiff=True, compression="zstd"),
}


def cut() -> Iterator[Stranger]:
    """Every kind of file, ending too early."""
    for kind, base in BASES.items():
        for content in cut_off(base(), 10):
            nothing_lost = len(content) == len(base()) - 1  # but a letter of what is said of the image, perhaps
            yield Stranger(f"tiff-{kind}-cut-at-{len(content)}", file_of("cut.tif", content), DAMAGED, either=nothing_lost)


def flipped() -> Iterator[Stranger]:
    """Bytes that were changed where it hurts most: in headers and directories."""
    for kind, base in BASES.items():
        content = base()
        for at in np.linspace(4, len(content) - 1, 5).astype(int):
            changed = content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]
            yield Stranger(f"tiff-{kind}-byte-{at}-flipped", file_of("flipped.tif", changed), DAMAGED, either=True)


def lying() -> Iterator[Stranger]:
    """Headers that claim what is not there."""
    raw = numbers().tobytes()
    huge = {WIDTH: 65536, LENGTH: 65536, ROWS: 65536}
    cases: dict[str, tuple[bytes, str]] = {
        "four-billion-pixels": (tiff(plain() | huge, raw[:100]), IMPOSSIBLE),
        "four-billion-deflated": (tiff(plain() | huge | {COMPRESSION: 8}, zlib.compress(raw)), IMPOSSIBLE),
        "four-billion-lzw": (tiff(plain() | huge | {COMPRESSION: 5}, imagecodecs.lzw_encode(raw)), IMPOSSIBLE),
        "four-billion-packbits": (tiff(plain() | huge | {COMPRESSION: 32773}, bytes(100)), IMPOSSIBLE),
        "widest": (tiff(plain() | {WIDTH: 2**32 - 1}, raw), IMPOSSIBLE),
        "widest-and-longest": (tiff(plain() | {WIDTH: 2**32 - 1, LENGTH: 2**32 - 1, ROWS: 2**32 - 1}, raw), IMPOSSIBLE),
        "longest": (tiff(plain() | {LENGTH: 2**32 - 1}, raw), IMPOSSIBLE),
        "two-billion-strips": (tiff(plain() | {OFFSETS: 8, COUNTS: 10}, raw, counts={OFFSETS: 2**31, COUNTS: 2**31}), DAMAGED),
        "strips-of-one-row-of-many": (tiff(plain() | {ROWS: 1, LENGTH: 10**8}, raw), IMPOSSIBLE),
        "tiles-of-a-gigapixel": (
            tiff(
                {**plain(), TILE_WIDTH: 65536, TILE_LENGTH: 65536, TILE_OFFSETS: 8, TILE_COUNTS: 1000, COMPRESSION: 8}, zlib.compress(raw)
            ),
            "its tiles of 65536.* need 8.59 GB of memory",
        ),
        "tiles-of-no-width": (tiff({**plain(), TILE_WIDTH: 0, TILE_LENGTH: 0, TILE_OFFSETS: 8, TILE_COUNTS: 1000}, raw), DAMAGED),
        "strip-beyond-the-end": (tiff(plain() | {OFFSETS: 10**6}, raw), DAMAGED),
        "strip-of-four-gigabytes": (tiff(plain() | {COUNTS: 2**32 - 1, COMPRESSION: 8}, zlib.compress(raw)), DAMAGED),
        "no-strips-at-all": (tiff({tag: value for tag, value in plain().items() if tag not in (OFFSETS, COUNTS)}, raw), DAMAGED),
        "strips-of-nothing": (tiff(plain() | {OFFSETS: 0, COUNTS: 0}, raw), DAMAGED),
        "no-width": (tiff({tag: value for tag, value in plain().items() if tag != WIDTH}, raw), DAMAGED),
        "width-of-zero": (tiff(plain() | {WIDTH: 0}, raw), DAMAGED + "|empty"),
        "length-of-zero": (tiff(plain() | {LENGTH: 0, ROWS: 1}, raw), DAMAGED + "|empty"),
        "seventeen-bits": (tiff(plain() | {BITS: 17}, raw), DAMAGED),
        "sixty-thousand-samples": (tiff(plain() | {SAMPLES: 60000}, raw), DAMAGED),
        "unknown-compression": (tiff(plain() | {COMPRESSION: 9999}, raw), DAMAGED),
        "unknown-numbers": (tiff(plain() | {FORMAT: 9}, raw), DAMAGED),
        "deflate-that-is-none": (tiff(plain() | {COMPRESSION: 8}, raw), DAMAGED),
        "jpeg-that-is-none": (tiff(plain(bits=8) | {COMPRESSION: 7}, raw), DAMAGED),
        "directory-beyond-the-end": (b"II*\0" + struct.pack("<I", 10**6) + raw, DAMAGED),
        "directory-at-zero": (b"II*\0" + bytes(4) + raw, DAMAGED),
        "no-tags": (tiff({}, raw), DAMAGED),
        "sixty-thousand-tags": (b"II*\0" + struct.pack("<IH", 8, 65535) + raw, DAMAGED),
        "bigtiff-beyond-all": (b"II+\0\x08\0\0\0" + struct.pack("<Q", 2**63) + raw, DAMAGED),
        "bigtiff-of-all-tags": (b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**63) + raw, DAMAGED),
        "a-picture-of-words": (b"this is no TIFF, whatever its name says", DAMAGED),
        "an-html-page": (b"<!DOCTYPE html><title>Log in</title>", DAMAGED),
        "header-only": (b"II*\0\x08\0\0\0", DAMAGED),
        "loop-of-one-directory": (tiff(plain(), raw, next_ifd=8 + len(raw)), "in a circle"),
        "loop-of-two-directories": (_loop(raw), "in a circle"),
        "next-directory-beyond-the-end": (tiff(plain(), raw, next_ifd=10**7), DAMAGED),
    }
    for name, (content, says) in cases.items():
        yield Stranger(f"tiff-lie-{name}", file_of("lie.tif", content), says)
    yield Stranger("tiff-rows-a-strip-of-zero", file_of("odd.tif", tiff(plain() | {ROWS: 0}, raw)), DAMAGED, either=True)
    yield Stranger("tiff-imagej-of-a-billion", _said(b"ImageJ=1.53t\nimages=1000000000\nslices=1000000000\n"), DAMAGED, either=True)
    yield Stranger("tiff-shaped-too-large", _said(b'{"shape": [1000000, 1000000, 1000000]}'), DAMAGED, either=True)
    yield Stranger("tiff-shaped-as-nothing", _said(b'{"shape": "many", "axes": 7}'), pixels=numbers, either=True, says=DAMAGED)
    yield Stranger("tiff-shaped-as-a-loop", _said(b'{"shape": [-48, -40]}'), DAMAGED, either=True)


def _loop(raw: bytes) -> bytes:
    """Two directories, the second of which leads back to itself."""
    first = tiff(plain(), raw)
    at = len(first) + len(first) % 2
    directory = tiff(plain(), raw, next_ifd=at)[8 + len(raw) :]
    return tiff(plain(), raw, next_ifd=at).ljust(at, b"\0") + directory


def _said(description: bytes) -> Callable[[Path], Path]:
    return file_of("said.tif", tiff(plain() | {DESCRIPTION: description + b"\0"}, numbers().tobytes()))


def bombs() -> Iterator[Stranger]:
    """Few bytes, many pixels."""
    side = 60_000
    strips = zlib.compress(bytes(side * 60))
    one_for_all = {WIDTH: side, LENGTH: side, BITS: 8, ROWS: 60, COMPRESSION: 8, OFFSETS: [8] * 1000, COUNTS: [len(strips)] * 1000}
    yield Stranger("tiff-bomb-of-one-strip-for-all", file_of("bomb.tif", tiff(plain() | one_for_all, strips)), IMPOSSIBLE)

    def deflated(folder: Path) -> Path:
        data = zeros_deflated(side * side + 2**20)
        return file_of("bomb.tif", tiff(plain(side, side, 8) | {COMPRESSION: 8, COUNTS: len(data)}, data))(folder)

    def sparse(folder: Path) -> Path:
        content = tiff(plain(36_000, 36_000, 8) | {OFFSETS: 1000})
        path = file_of("sparse.tif", content)(folder)
        with open(path, "r+b") as file:  # the file is as large as it says, but the disk holds nothing of it
            file.truncate(36_000**2 + 1000)
        return path

    yield Stranger("tiff-bomb-of-zeros", deflated, NO_MEMORY)
    yield Stranger("tiff-on-disk-and-honest", sparse, huge=True)


OME = """<?xml version="1.0"?>{doctype}
<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0" Name="{name}">
<Pixels ID="Pixels:0" DimensionOrder="{order}" Type="uint16" SizeX="40" SizeY="48" SizeZ="1" SizeC="1" SizeT="{t}" {more}>
{inside}<Channel ID="Channel:0:0" SamplesPerPixel="1"/><TiffData IFD="0" {data}>{uuid}</TiffData></Pixels></Image></OME>"""


def ome_xml(**changes: str) -> bytes:
    """A TIFF with OME-XML of which parts are strange."""
    parts = {"doctype": "", "name": "one", "order": "XYZCT", "t": "1", "more": "", "inside": "", "data": 'PlaneCount="1"', "uuid": ""}
    return tiff(plain() | {DESCRIPTION: OME.format(**parts | changes).encode() + b"\0"}, numbers().tobytes())


LAUGHS = "<!DOCTYPE OME [<!ENTITY l0 'ha'>" + "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 12)) + "]>"
EXTERNAL = '<!DOCTYPE OME [<!ENTITY secret SYSTEM "file:///etc/passwd">]>'
FAR_DTD = '<!DOCTYPE OME SYSTEM "http://127.0.0.1:9/ome.dtd">'
ELSEWHERE = '<UUID FileName="{}">urn:uuid:00000000-0000-0000-0000-000000000001</UUID>'


def ome() -> Iterator[Stranger]:
    """OME-XML that is wrong, or a trap: pixels are those of the file, and never another file's."""
    cases: dict[str, bytes] = {
        "honest": ome_xml(),
        "billion-laughs": ome_xml(doctype=LAUGHS, name="&l11;"),
        "external-entity": ome_xml(doctype=EXTERNAL, name="&secret;"),
        "external-dtd": ome_xml(doctype=FAR_DTD),
        "undefined-entity": ome_xml(name="&nothing;"),
        "four-billion-frames": ome_xml(t="4000000000", data=""),
        "frames-that-overflow": ome_xml(t="9" * 40, data=""),
        "minus-one-frame": ome_xml(t="-1"),
        "no-number-of-frames": ome_xml(t="many"),
        "unknown-order": ome_xml(order="QWERT"),
        "another-folders-file": ome_xml(uuid=ELSEWHERE.format("../../../../etc/passwd")),
        "an-absolute-file": ome_xml(uuid=ELSEWHERE.format("/dev/zero")),
        "planes-beyond-all": ome_xml(data='PlaneCount="4000000000"'),
        "planes-below-zero": ome_xml(data='PlaneCount="-7"'),
        "directory-that-is-not-there": ome_xml(data='FirstT="5000" PlaneCount="1"'),
        "endless-modulo": ome_xml(inside="<Channel/>" * 3),
        "pixel-size-nan": ome_xml(more='PhysicalSizeX="nan" PhysicalSizeY="inf"'),
        "pixel-size-below-zero": ome_xml(more='PhysicalSizeX="-1" PhysicalSizeY="0"'),
        "pixel-size-of-words": ome_xml(more='PhysicalSizeX="small" PhysicalSizeXUnit="smoots"'),
        "nested-ten-thousand-deep": ome_xml(inside="<Deep>" * 10_000 + "</Deep>" * 10_000),
        "unclosed": ome_xml(inside="<Deep>" * 100),
        "no-image": tiff(plain() | {DESCRIPTION: b"<?xml version='1.0'?><OME></OME>\0"}, numbers().tobytes()),
        "no-xml": tiff(plain() | {DESCRIPTION: b"<?xml this is none OME>\0"}, numbers().tobytes()),
        "record-of-nonsense": ome_xml(inside=_record("settings", "[[[[")),
        "record-nested": ome_xml(inside=_record("settings", "[" * 100_000 + "]" * 100_000)),
        "record-of-numbers": ome_xml(inside=_record("settings", "1" * 5000)),
        "layout-of-nonsense": ome_xml(inside=_record("axes", "7", "/layout")),
        "layout-of-other-shape": ome_xml(inside=_record("axes", '"TZYX"', "/layout", shape='["a", -1, 1e400, null]')),
        "layout-of-sizes": ome_xml(inside=_record("pixel_size", '{"X": 3, "Y": ["a", 1], "Z": [NaN, "um"]}', "/layout", origin="[1]")),
    }
    for name, content in cases.items():
        yield Stranger(f"ome-{name}", file_of("strange.ome.tif", content), pixels=numbers)


def _record(key: str, value: str, kind: str = "", **more: str) -> str:
    pairs = "".join(f'<M K="{key}">{value}</M>' for key, value in {key: value, **more}.items()).replace('"[', "&quot;[")
    return (
        f'<StructuredAnnotations><MapAnnotation Namespace="napari-ne-denoise{kind}"><Value>{pairs}</Value></MapAnnotation>'
        "</StructuredAnnotations>"
    )


def strange() -> Iterator[Stranger]:
    """Legal files that are seldom seen."""

    def case(name: str, pixels: Callable[[], np.ndarray], denoising_says: str | None = None, **how: Any) -> Stranger:
        return Stranger(f"tiff-{name}", file_of("odd.tif", written(pixels, **how)), pixels=pixels, denoising_says=denoising_says)

    for dtype in ("uint8", "int8", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64"):
        yield case(f"of-{dtype}", lambda dtype=dtype: numbers(dtype=dtype))
    yield case("of-complex64", lambda: numbers(dtype="complex64"), "must be real")
    yield case("of-bool", lambda: numbers() > 100, "a mask has no noise")
    yield case("big-endian", numbers, byteorder=">")
    yield case("rgb", lambda: numbers((3, 48, 40), "uint8").transpose(1, 2, 0).copy(), photometric="rgb")
    yield case("rgba", lambda: numbers((4, 48, 40), "uint8").transpose(1, 2, 0).copy(), photometric="rgb", extrasamples=["unassalpha"])
    yield case("cmyk", lambda: numbers((4, 48, 40), "uint8").transpose(1, 2, 0).copy(), photometric="separated")
    yield case("palette", lambda: numbers(dtype="uint8"), photometric="palette", colormap=np.zeros((3, 256), "uint16"))
    yield case("minisblack-inverted", numbers, photometric="miniswhite")
    yield case("planar-rgb", lambda: numbers((3, 48, 40), "uint8"), photometric="rgb", planarconfig="separate")
    yield case("one-pixel", lambda: np.full((1, 1), 7, "uint16"))
    yield case("one-row", lambda: numbers((1, 48)))
    yield case("one-column", lambda: numbers((48, 1)))
    yield case("deep-stack", lambda: numbers((400, 3, 2)), photometric="minisblack")
    yield case("of-nan", lambda: np.full((48, 40), np.nan, "float32"), "NaN or infinite")
    yield case("of-float24-range", lambda: numbers(dtype="float32") * np.float32(1e30))
    twelve = tiff(plain(bits=12) | {COUNTS: 60 * 48}, _packed_in_twelve_bits(numbers()))
    yield Stranger("tiff-twelve-bits", file_of("twelve.tif", twelve), pixels=lambda: numbers() & 4095)
    yield Stranger("tiff-in-a-name-of-capitals", file_of("LOUD.TIF", written()), pixels=numbers)
    yield Stranger("tiff-in-a-name-with-spaces", file_of("a name; with $HOME & 'quotes' µ.tif", written()), pixels=numbers)
    yield Stranger("tiff-with-a-tail", file_of("tail.tif", written() + bytes(1000)), pixels=numbers)


def _packed_in_twelve_bits(pixels: np.ndarray) -> bytes:
    bits = np.unpackbits(pixels.astype(">u2").view("u1").reshape(-1, 2), axis=1)
    return np.packbits(bits[:, 4:]).tobytes()


def all_tiffs() -> Iterator[Stranger]:
    """All of them."""
    for some in (cut, flipped, lying, bombs, ome, strange):
        yield from some()
