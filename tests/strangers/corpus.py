"""What a stranger is: a file that is bad, or only strange, and what is to become of it."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Stranger:
    """A bad or strange input.

    Attributes
    ----------
    name
        Of the case.
    make
        Makes it in a folder, and gives its path.
    says
        What the error about it must say, a regular expression; None: it is read.
    pixels
        What reading it must give; None: whatever it is.
    denoising_says
        What the error must say where it is read, but cannot be denoised; None: it can, or it is `huge`.
    either
        Whether it may be read or refused, since nobody can tell that it is damaged.
    huge
        Whether it is legal, and too large to be denoised in a test: only a corner of it is read.
    """

    name: str
    make: Callable[[Path], Path]
    says: str | None = None
    pixels: Callable[[], np.ndarray] | None = None
    denoising_says: str | None = None
    either: bool = False
    huge: bool = False

    def __str__(self) -> str:
        return self.name


def numbers(shape: tuple[int, ...] = (48, 40), dtype: Any = "uint16", seed: int = 0) -> np.ndarray:
    """Pixels of a noisy image that is smooth but for that."""
    rows, columns = np.mgrid[: shape[-2], : shape[-1]]
    noise = np.random.default_rng(seed).normal(0, 10, shape)
    return (100 + 40 * np.sin(rows / 7) * np.cos(columns / 5) + noise).astype(dtype)


def file_of(name: str, content: bytes) -> Callable[[Path], Path]:
    """Makes a file of some bytes."""

    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content)
        return path

    return make


def cut_off(content: bytes, shares: int) -> Iterator[bytes]:
    """The same, ending too early, at many places."""
    lengths = {1, 4, 7, 12, len(content) - 1, *(len(content) * share // shares for share in range(1, shares))}
    yield from (content[:length] for length in sorted(lengths) if 0 < length < len(content))


def fingerprint(pixels: np.ndarray) -> str:
    """Alike for arrays of one shape and the same numbers, in whatever order of bytes."""
    dtype = pixels.dtype
    if dtype.kind in "iufc":
        # long doubles have bytes that nobody set
        pixels = pixels.astype("float64" if dtype.itemsize > 8 and dtype.kind == "f" else dtype.newbyteorder("<"))
    return hashlib.sha256(f"{pixels.shape} {dtype.name} ".encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()


class Canary:
    """Pickled, it is code that makes a file; as long as nobody executes it, there is none."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


CANARY = "canary-that-code-made"
