"""Weight files and records of noise from strangers: mis-shaped, lying, endless, and with code in them."""

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from napari_ne_denoise.core.models.card import ModelCard
from napari_ne_denoise.core.models.files import write_model
from napari_ne_denoise.core.networks import FDnCNN
from napari_ne_denoise.core.noise.model import CurvePoint, NoiseModel
from tests.strangers.corpus import CANARY, Canary, Stranger, cut_off, file_of

BAD = (
    r"(?i)get it again|get the file again|give (another|the name|mode)|expected the state_dict|do not fit|have shapes no|must be"
    r"|was executed|update the package"
)


def network() -> FDnCNN:
    """A small one."""
    torch.manual_seed(0)
    return FDnCNN("norm-equiv", channels=4, depth=3)


def safe(config: Any = None, card: Any = None, state: Any = None, **metadata: Any) -> bytes:
    """A safetensors file of ours, in parts of which something else stands."""
    made = network()
    said = {
        "architecture": "FDnCNN",
        "config": config if isinstance(config, str) else json.dumps(made.config if config is None else config),
        "card": card if isinstance(card, str) else json.dumps({"name": "stranger"} if card is None else card),
        **metadata,
    }
    tensors = made.state_dict() if state is None else state
    return bytes(safetensors.torch.save({key: value.contiguous() for key, value in tensors.items()}, {k: v for k, v in said.items() if v}))


def raw(header: str | bytes, data: bytes = b"", claimed: int | None = None) -> bytes:
    """A safetensors file whose header is whatever it is told to be."""
    text = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(text) if claimed is None else claimed) + text + data


def saved(value: Any) -> bytes:
    """What torch.save writes."""
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def _written(folder: Path) -> Path:
    write_model(network(), ModelCard("stranger"), folder / "good.safetensors")
    return folder / "good.safetensors"


def safetensors_files() -> Iterator[Stranger]:
    """Our own format."""
    yield Stranger("safetensors-honest", _written)
    good = safe()
    for content in cut_off(good, 6):
        yield Stranger(f"safetensors-cut-at-{len(content)}", file_of("cut.safetensors", content), BAD)
    state = network().state_dict()
    first, *_ = state
    config = network().config
    one = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    cases: dict[str, bytes] = {
        "header-of-exabytes": raw("{}", claimed=2**63),
        "header-of-gigabytes": raw("{}", claimed=2**31),
        "no-json": raw("weights"),
        "nested": raw('{"a":' * 50_000),
        "offsets-beyond": raw('{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}'),
        "shape-beyond-all": raw('{"w":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}', bytes(4)),
        "offsets-overlapping": raw('{"v":' + one + ',"w":' + one + "}", bytes(4)),
        "unknown-numbers": raw('{"w":{"dtype":"F7","shape":[1],"data_offsets":[0,4]}}', bytes(4)),
        "no-metadata": raw("{}"),
        "unknown-architecture": safe(architecture="Strange"),
        "no-architecture": safe(architecture=""),
        "config-of-a-list": safe(config=[1]),
        "config-no-json": safe(config="{"),
        "config-nested": safe(config="[" * 200_000),
        "endless-depth": safe(config=config | {"depth": 10**9}),
        "depth-of-words": safe(config=config | {"depth": "deep"}),
        "depth-below-zero": safe(config=config | {"depth": -3}),
        "depth-beyond-all": safe(config=config | {"depth": 10**30}),
        "width-below-zero": safe(config=config | {"channels": -4}),
        "width-beyond-all": safe(config=config | {"channels": 10**12}),
        "unknown-law": safe(config=config | {"mode": "best"}),
        "unknown-setting": safe(config=config | {"magic": 1}),
        "endless-widths": safe({"channels": [4] * 10**5}, architecture="ShuffleUNet"),
        "endless-blocks": safe({"blocks": 10**9}, architecture="ShuffleUNet"),
        "endless-scale": safe({"scale": 10**6}, architecture="ShuffleUNet"),
        "card-of-a-list": safe(card=[1]),
        "card-nested": safe(card="[" * 200_000),
        "card-without-a-name": safe(card={"licence": "?"}),
        "card-of-numbers": safe(card={"name": 7}),
        "card-with-limits-of-a-number": safe(card={"name": "a", "limits": 3}),
        "card-with-errors-of-words": safe(card={"name": "a", "half_errors": {"float16": "small"}}),
        "card-with-errors-of-nan": safe(card='{"name": "a", "half_errors": {"float16": NaN}}'),
        "card-of-the-future": safe(card={"name": "a", "smell": 1}),
        "packed-unknown": safe(affine_convolutions="braided\n" * 100),
        "no-weights": safe(state={}),
        "weight-missing": safe(state={key: value for key, value in state.items() if key != first}),
        "weight-too-many": safe(state=state | {"extra.weight": torch.ones(3)}),
        "weights-with-other-names": safe(state={f"x.{key}": value for key, value in state.items()}),
        "weight-of-another-shape": safe(state=state | {first: torch.ones(1)}),
        "weight-of-no-numbers": safe(state=state | {first: torch.ones(0)}),
        "weight-of-whole-numbers": safe(state=state | {first: state[first].to(torch.int32)}),
        "weights-of-nan": safe(state={key: value * torch.nan for key, value in state.items()}),
        "empty": b"",
    }
    for name, content in cases.items():
        yield Stranger(f"safetensors-{name}", file_of("strange.safetensors", content), BAD)


def published_files() -> Iterator[Stranger]:
    """Pickles of torch."""
    state = network().state_dict()
    first, *_ = state
    good = saved(state)
    yield Stranger("pth-honest", file_of("fdncnn_norm_equiv.pth", good))
    for content in cut_off(good, 6):
        yield Stranger(f"pth-cut-at-{len(content)}", file_of("cut_norm_equiv.pth", content), BAD)
    code: dict[str, Callable[[Any], bytes]] = {
        "alone": pickle.dumps,
        "in-an-archive": lambda canary: _archive(pickle.dumps(canary, 2)),
        "among-weights": lambda canary: saved({**state, "more": canary}),
        "of-old-torch": _legacy,
    }
    for name, content in code.items():

        def make(folder: Path, content: Callable[[Any], bytes] = content) -> Path:
            return file_of("code_norm_equiv.pth", content(Canary(folder / CANARY)))(folder)

        yield Stranger(f"pth-code-{name}", make, BAD)
    billion = torch.ones(1).as_strided((100_000, 4, 3, 3), (0, 0, 0, 0))
    cases: dict[str, bytes] = {
        "one-number-seen-a-million-times": saved(state | {first: billion}),
        "no-table": saved([1, 2]),
        "a-tensor": saved(torch.ones(3)),
        "table-of-tables": saved({"state_dict": dict(state)}),
        "table-of-numbers": saved({"a": 1}),
        "empty-table": saved({}),
        "other-names": saved({f"x.{key}": value for key, value in state.items()}),
        "first-of-another-shape": saved(state | {first: torch.ones(3)}),
        "first-of-no-numbers": saved(state | {first: torch.ones(0, 1, 3, 3)}),
        "sparse": saved(state | {first: state[first].reshape(4, 9).to_sparse()}),
        "complex": saved(state | {first: state[first].to(torch.complex64)}),
        "infinite": saved({key: value / 0 for key, value in state.items()}),
        "archive-of-zeros": _archive(bytes(50_000_000)),
        "no-archive": b"PK\x03\x04" + bytes(100),
        "text": b"weights",
        "empty": b"",
        "named-by-numbers": saved(dict(enumerate(state.values()))),
        "deep": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
    }
    for name, content in cases.items():
        yield Stranger(f"pth-{name}", file_of("strange_norm_equiv.pth", content), BAD)


def _archive(pickled: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/version", "3\n")
    return file.getvalue()


def _legacy(value: Any) -> bytes:
    file = io.BytesIO()
    torch.save({"a": torch.ones(1)}, file, _use_new_zipfile_serialization=False)
    return file.getvalue()[:-20] + pickle.dumps(value)


def no_files() -> Iterator[Stranger]:
    """What stands where a weight file should."""

    def folder(inside: Path) -> Path:
        (inside / "x.safetensors").mkdir()
        return inside / "x.safetensors"

    def link(inside: Path) -> Path:
        (inside / "x.pth").symlink_to(inside / "x.pth")
        return inside / "x.pth"

    def pipe(inside: Path) -> Path:
        os.mkfifo(inside / "x.safetensors")
        return inside / "x.safetensors"

    yield Stranger("weights-a-folder", folder, BAD)
    yield Stranger("weights-a-link-to-itself", link, BAD)
    yield Stranger("weights-missing", lambda inside: inside / "x.pth", BAD)
    yield Stranger("weights-of-unknown-kind", file_of("x.onnx", b"abc"), r"weight files end in")
    yield Stranger("weights-with-a-name-far-too-long", lambda inside: inside / ("x" * 5000 + ".pth"), BAD)
    if hasattr(os, "mkfifo"):
        yield Stranger("weights-a-pipe", pipe, BAD)


def profile(**noise: Any) -> dict[str, Any]:
    """A microscope profile with something else in parts of its noise."""
    curve = tuple(CurvePoint(float(level), 4.0 + level, 0.1) for level in range(3))
    record = NoiseModel(gain=1.0, offset=0.0, read_noise=2.0, curve=curve).as_record()
    return {"program": "napari-ne-denoise", "form": 1, "name": "a", "made": "2026-01-01", "noise": record | noise}


def profiles() -> Iterator[Stranger]:
    """Microscope profiles."""
    point = {"level": 1.0, "variance": 1.0, "standard_error": 1.0}
    text = json.dumps(profile())
    cases: dict[str, Any] = {
        "empty": "",
        "no-json": "{",
        "nested": "[" * 200_000,
        "a-list": [1],
        "a-number": 7,
        "another-form": profile() | {"form": 99},
        "of-another-program": {"program": "other"},
        "no-noise": {key: value for key, value in profile().items() if key != "noise"},
        "noise-of-a-list": profile() | {"noise": [1]},
        "noise-of-a-number": profile() | {"noise": 7},
        "noise-of-nothing": profile() | {"noise": None},
        "gain-of-words": profile(gain="high"),
        "gain-of-nan": profile(gain=float("nan")),
        "gain-below-zero": profile(gain=-1.0),
        "gain-beyond-all": text.replace('"gain": 1.0', '"gain": 1' + "0" * 400),
        "gain-of-five-thousand-digits": text.replace('"gain": 1.0', '"gain": ' + "1" * 5000),
        "gain-of-a-list": profile(gain=[1]),
        "offset-infinite": text.replace('"offset": 0.0', '"offset": -Infinity'),
        "correlation-of-a-number": profile(correlation=3),
        "correlation-too-short": profile(correlation=[[0.1], [0.2]]),
        "correlation-of-nan": profile(correlation=[[float("nan")] * 3] * 2),
        "curve-of-a-number": profile(curve=3),
        "curve-of-numbers": profile(curve=[1, 2]),
        "curve-of-words": profile(curve=[point | {"level": "dark"}]),
        "curve-of-the-future": profile(curve=[point | {"smell": 1}]),
        "saturation-of-words": profile(saturation="full"),
        "uncertainty-of-a-list": profile(uncertainty=[]),
        "step-of-a-table": profile(step={}),
        "source-unknown": profile(source="the moon"),
        "unknown-value": profile(smell=1),
        "levels-of-a-number": profile() | {"noise": {"levels": 3, "values": 4}},
        "levels-falling": profile() | {"noise": {"levels": [2, 1], "values": [1, 2]}},
        "levels-of-words": profile() | {"noise": {"levels": ["a", "b"], "values": [1, 2]}},
        "levels-unlike": profile() | {"noise": {"levels": [1, 2, 3], "values": [1, 2]}},
        "levels-without-values": profile() | {"noise": {"levels": [1, 2]}},
        "levels-by-the-million": profile() | {"noise": {"levels": list(range(10**6)), "values": list(range(10**6))}},
    }
    for name, record in cases.items():
        content = record if isinstance(record, str) else json.dumps(record)
        yield Stranger(f"profile-{name}", file_of("strange.json", content.encode()), r"give a microscope profile|make (it again|one with)")
    yield Stranger("profile-honest", file_of("good.json", text.encode()))
    yield Stranger("profile-of-no-text", file_of("strange.json", bytes(range(128, 256))), "give a microscope profile")
    yield Stranger("profile-of-gigabytes", _sparse, "give a microscope profile, a small file")
    yield Stranger("profile-a-folder", lambda inside: _made(inside / "x.json"), "give a microscope profile")
    if hasattr(os, "mkfifo"):
        yield Stranger("profile-a-pipe", _pipe, "give a microscope profile")


def _sparse(inside: Path) -> Path:
    with open(inside / "huge.json", "wb") as file:
        file.truncate(2**33)
    return inside / "huge.json"


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _pipe(inside: Path) -> Path:
    os.mkfifo(inside / "x.json")
    return inside / "x.json"


def noisy() -> np.ndarray:
    """An image to try them on."""
    return np.random.default_rng(0).poisson(50, (24, 24)).astype("uint16")
