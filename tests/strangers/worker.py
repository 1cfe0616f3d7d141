"""Meets strangers in a process of its own, whose memory is limited: a bomb that goes off, goes off here.

Reads a line of JSON for each from stdin, and answers with one.
"""

import json
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from typer.testing import CliRunner

from napari_ne_denoise.cli import app
from napari_ne_denoise.core.errors import NEDenoiseError
from napari_ne_denoise.core.inference import load_denoiser
from napari_ne_denoise.core.io import read_image
from tests.strangers.corpus import fingerprint, numbers

ALLOWANCE = 3 * 2**29  # bytes that a stranger may be read with
CORNER = 64  # pixels of what is too large to be read as a whole


def main() -> None:
    load_denoiser("fast")(numbers())  # so that what torch and the model take is not counted
    _limit_memory()
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        _forget_peak()
        before = _memory("VmRSS")
        answer = {"api": _told(_read, **asked), "cli": None if asked["huge"] else _denoised(asked["path"])}
        print(json.dumps(answer | {"peak": _memory("VmHWM") - before}), flush=True)


def _told(function: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    """What a function gave, or how it failed."""
    try:
        return {"gave": function(**arguments)}
    except NEDenoiseError as error:
        return {"refused": str(error)}
    except BaseException as error:
        return {"broke": f"{error!r:.300}", "trace": traceback.format_exc(limit=-6)[-3000:]}


def _read(path: str, huge: bool) -> dict[str, Any]:
    image = read_image(path)
    part = tuple(slice(min(CORNER, length)) if huge else slice(None) for length in image.pixels.shape)
    try:
        pixels = np.asarray(image.pixels[part])
    except NEDenoiseError:
        raise
    except Exception as error:
        return {"lazily": repr(error)[:300], "notes": image.notes}
    return {"shape": image.pixels.shape, "fingerprint": fingerprint(pixels), "axes": image.axes, "notes": image.notes}


def _denoised(path: str) -> dict[str, Any] | None:
    target = Path(path).parent / "out" / "result.npy"
    if not target.parent.parent.is_dir():
        return None  # below what is no folder, there is no place for a result
    target.parent.mkdir(exist_ok=True)
    options = ["--axes", "ZYX"] if "deep" in path else []
    result = CliRunner().invoke(app, ["denoise", path, "-o", str(target), "-q", *options])
    broke = None
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        broke = "".join(traceback.format_exception(result.exception))[-3000:]
    left = sorted(entry.name for entry in target.parent.iterdir()) if target.parent.is_dir() else []
    return {"code": result.exit_code, "out": result.stdout, "err": result.stderr, "broke": broke, "left": left}


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:
        return
    taken = _memory("VmSize")
    if taken:
        resource.setrlimit(resource.RLIMIT_AS, (taken + ALLOWANCE, taken + ALLOWANCE))


def _memory(name: str) -> int:
    """A number of bytes from /proc, 0 where there is none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), 0)


def _forget_peak() -> None:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    main()
