"""Valid files with parts changed at random: nothing but our own errors may come of them.

The suite tries a few, always the same ones.  For many, others each time, in a process of limited memory:

    nice -n 19 python -m tests.strangers.fuzz MINUTES
"""

import faulthandler
import io
import json
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_ne_denoise.core.errors import NEDenoiseError
from napari_ne_denoise.core.inference import prepare_denoising
from napari_ne_denoise.core.io import ImageFile, find_provenance, read_image, read_provenance, write_image
from napari_ne_denoise.core.models.files import read_model
from napari_ne_denoise.core.models.registry import PACKAGE_FOLDER, read_registry
from napari_ne_denoise.core.noise.profile import noise_from_record, read_profile
from napari_ne_denoise.core.quality.assessment import settings_of
from napari_ne_denoise.core.repeat import as_command, as_python, part_of
from tests.strangers import weights
from tests.strangers.corpus import numbers
from tests.strangers.tiffs import BASES, DESCRIPTION, OME, plain, tiff
from tests.strangers.zarrs import array, group

AT_ONCE, HANG, MEMORY = 100, 120, 2**34  # inputs, seconds, bytes
LARGEST_READ = 10**7  # bytes of pixels, beyond which only a part is read
ODD_BYTES = [
    b"",
    b"\0",
    b"\xff",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\0\0\0\x80",
    b"-1",
    b"9" * 30,
    b"NaN",
    b"1e999",
    b'"',
    b"[",
    b"{",
    b"<",
]
JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.sampled_from([10**400, -1, 0, 2**31, 2**63]), st.floats(), st.text(max_size=20),
    st.lists(st.integers(), max_size=3), st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """What is fuzzed: valid inputs, and what reads one that was changed."""

    bases: Callable[[], list[bytes]]
    read: Callable[[Path, bytes], None]


@st.composite
def changed(draw: Any, base: bytes) -> bytes:
    """Bytes with some of them flipped, cut off, taken out, put in, or put elsewhere."""
    content = bytearray(base)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        kind = draw(st.sampled_from(["flip", "set", "cut", "remove", "insert", "splice"]))
        length = draw(st.integers(1, 64))
        if kind == "flip" and content:
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "set" and content:
            odd = draw(st.sampled_from(ODD_BYTES))
            content[at : at + len(odd)] = odd
        elif kind == "cut":
            del content[at:]
        elif kind == "remove":
            del content[at : at + length]
        elif kind == "insert":
            content[at:at] = draw(st.sampled_from(ODD_BYTES))
        else:
            source = draw(st.integers(0, max(0, len(content) - 1)))
            content[at : at + length] = content[source : source + length]
    return bytes(content)


@st.composite
def changed_record(draw: Any, base: bytes) -> bytes:
    """JSON with junk in the place of some values, or without some."""
    record = json.loads(base)
    for _ in range(draw(st.integers(1, 3))):
        record = _with_junk(draw, record)
    return json.dumps(record).encode()


def _with_junk(draw: Any, value: Any) -> Any:
    """One value of a nested record replaced, or left out."""
    if isinstance(value, dict) and value and draw(st.integers(0, 9)):
        key = draw(st.sampled_from(sorted(value)))
        if not draw(st.integers(0, 5)):
            return {other: each for other, each in value.items() if other != key}
        return value | {key: _with_junk(draw, value[key])}
    if isinstance(value, list) and value and draw(st.integers(0, 9)):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], _with_junk(draw, value[at]), *value[at + 1 :]]
    return draw(JUNK)


def _image(suffix: str) -> Callable[[Path, bytes], None]:
    def read(folder: Path, content: bytes) -> None:
        path = folder / f"fuzzed{suffix}"
        path.write_bytes(content)
        _look_at(path)

    return read


def _look_at(path: Path) -> None:
    with suppress(NEDenoiseError):
        read_provenance(path)
    find_provenance(path)
    image = read_image(path)
    run = prepare_denoising(image.pixels, axes=image.axes)
    plane = next(run.layout.planes())
    if np.prod(run.layout.plane_shape) * image.pixels.dtype.itemsize < LARGEST_READ:
        read, _ = run.reader.open_plane(plane)
        read(slice(0, 64), slice(0, 64))


def _ome(folder: Path, content: bytes) -> None:
    _image(".ome.tif")(folder, tiff(plain() | {DESCRIPTION: content + b"\0"}, numbers().tobytes()))


def _zarr(folder: Path, content: bytes) -> None:
    at = content.find(b"\n")
    path = folder / "fuzzed.ome.zarr"
    (path / "0" / "c" / "0").mkdir(parents=True, exist_ok=True)
    (path / "zarr.json").write_bytes(content[:at])
    (path / "0" / "zarr.json").write_bytes(content[at + 1 :])
    (path / "0" / "c" / "0" / "0").write_bytes(numbers().tobytes())
    _look_at(path)


def _zarr_records(folder: Path, content: bytes) -> None:
    one, other = json.loads(content) if content.startswith(b"[") else (content, content), None
    both = one if isinstance(one, list) and len(one) == 2 else [group(), other]
    _zarr(folder, b"\n".join(json.dumps(each).encode() for each in both))


def _registry(folder: Path, content: bytes) -> None:
    path = folder / "models.toml"
    path.write_bytes(content)
    for row in read_registry(path):
        assert isinstance(row.speed + row.character, str)


def _weights(suffix: str) -> Callable[[Path, bytes], None]:
    def read(folder: Path, content: bytes) -> None:
        path = folder / f"fuzzed_norm_equiv{suffix}"
        path.write_bytes(content)
        read_model(path)

    return read


def _card(folder: Path, content: bytes) -> None:
    record = json.loads(content)
    parts = record if isinstance(record, dict) else {}
    _weights(".safetensors")(folder, weights.safe(parts.get("config", {}), parts.get("card", {})))


def _profile(folder: Path, content: bytes) -> None:
    path = folder / "profile.json"
    path.write_bytes(content)
    noise = read_profile(path).noise
    with np.errstate(all="ignore"):
        noise.std(np.linspace(0, 1000, 9))


def _provenance(folder: Path, content: bytes) -> None:
    record = json.loads(content)
    with suppress(NEDenoiseError):
        settings_of(record)
    for text in (as_python, as_command, part_of):
        with suppress(NEDenoiseError):
            text(record)
    with suppress(NEDenoiseError):
        compile(as_python(record), "made", "exec")
    with suppress(TypeError, ValueError, KeyError):
        noise_from_record(record)


def _sidecar(folder: Path, content: bytes) -> None:
    (folder / "fuzzed.npy.json").write_bytes(content)
    _image(".npy")(folder, _npy())


def _npy() -> bytes:
    file = io.BytesIO()
    np.save(file, numbers())
    return file.getvalue()


@cache
def _record() -> dict[str, Any]:
    run = prepare_denoising(numbers(), noise=weights.profile()["noise"])
    for _ in run.steps():
        pass
    return json.loads(json.dumps(run.provenance))


def _written_sidecar() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.npy"
        write_image(path, ImageFile(numbers(), "YX", {"X": (0.1, "µm")}, (), "a", _record(), (), {"X": 2.0}))
        return Path(f"{path}.json").read_bytes()


def _ome_text() -> bytes:
    parts = {"doctype": "", "name": "one", "order": "XYZCT", "t": "1", "more": 'PhysicalSizeX="0.1"', "inside": "", "data": "", "uuid": ""}
    return OME.format(**parts).encode()


def _as_bytes(*records: Any) -> list[bytes]:
    return [json.dumps(record).encode() for record in records]


BYTES: dict[str, Target] = {
    "tiff": Target(lambda: [base() for base in BASES.values()], _image(".tif")),
    "ome-xml": Target(lambda: [_ome_text()], _ome),
    "png": Target(lambda: [imagecodecs.png_encode(numbers()), imagecodecs.png_encode(numbers((48, 40, 3), "uint8"))], _image(".png")),
    "jpeg": Target(lambda: [imagecodecs.jpeg_encode(numbers(dtype="uint8"))], _image(".jpg")),
    "npy": Target(lambda: [_npy()], _image(".npy")),
    "zarr": Target(lambda: [b"\n".join(_as_bytes(group(), array()))], _zarr),
    "registry": Target(lambda: [(PACKAGE_FOLDER / "models.toml").read_bytes()], _registry),
    "safetensors": Target(lambda: [weights.safe()], _weights(".safetensors")),
    "pth": Target(lambda: [weights.saved(weights.network().state_dict())], _weights(".pth")),
    "profile": Target(lambda: _as_bytes(weights.profile()), _profile),
    "sidecar": Target(lambda: [_written_sidecar()], _sidecar),
}
RECORDS: dict[str, Target] = {
    "zarr-records": Target(lambda: _as_bytes([group(), array()]), _zarr_records),
    "card": Target(lambda: _as_bytes({"config": weights.network().config, "card": {"name": "a", "half_errors": {"float16": 0.1}}}), _card),
    "profile-records": Target(
        lambda: _as_bytes(weights.profile(), weights.profile() | {"noise": {"levels": [1, 2], "values": [1, 2]}}), _profile
    ),
    "provenance": Target(lambda: _as_bytes(_record()), _provenance),
    "sidecar-records": Target(lambda: [_written_sidecar()], _sidecar),
}


def fuzz(name: str, examples: int, kept_in: Path | None = None) -> int:
    """Try a target with so many changed inputs; how many of them were read.

    Parameters
    ----------
    name, examples
        Which, and how many.
    kept_in
        Where each input is kept while it is tried, others in each call, and a hang ends the process.  None: always the same inputs.

    Raises
    ------
    Exception
        What came of an input, if it is none of our errors.
    """
    target, changing = (BYTES[name], changed) if name in BYTES else (RECORDS[name], changed_record)
    inputs = st.sampled_from(target.bases()).flatmap(changing)
    read = 0

    @settings(max_examples=examples, deadline=None, database=None, derandomize=kept_in is None, suppress_health_check=list(HealthCheck))
    @given(inputs)
    def attempt(content: bytes) -> None:
        nonlocal read
        if kept_in is not None:
            (kept_in / name).write_bytes(content)
            faulthandler.dump_traceback_later(HANG, exit=True)
        with tempfile.TemporaryDirectory() as folder:
            try:
                target.read(Path(folder), content)
                read += 1
            except NEDenoiseError as error:
                _check_length(str(error))

    try:
        attempt()
    finally:
        faulthandler.cancel_dump_traceback_later()
    return read


def _check_length(message: str) -> None:
    assert len(message) < 2000, f"nobody reads so much: {message}"


def main(minutes: float) -> None:
    faulthandler.enable()
    warnings.simplefilter("ignore")  # of libraries, about what is read
    with suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    tried: Counter[str] = Counter()
    read: Counter[str] = Counter()
    ends = time.monotonic() + 60 * minutes
    kept_in = Path(tempfile.mkdtemp(prefix="ne-denoise-fuzz-"))
    print(f"the last input of each kind is in {kept_in}", flush=True)
    for name in cycle((*BYTES, *RECORDS)):
        if time.monotonic() > ends:
            break
        read[name] += fuzz(name, AT_ONCE, kept_in)
        tried[name] += AT_ONCE
    for name, count in tried.items():
        print(f"{name}: {count} inputs, {read[name]} of them read, all others refused by an error of ours")
    shutil.rmtree(kept_in)


if __name__ == "__main__":
    main(float(sys.argv[1]))
