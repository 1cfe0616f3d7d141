"""What the workers of a cluster do: a part of a large result, or a whole file; one at a time in each process."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Lock
from typing import Any
from uuid import uuid4

from napari_ne_denoise.core.batch.file import FileDenoising, OpenedFile
from napari_ne_denoise.core.batch.jobs import Job
from napari_ne_denoise.core.batch.parts import PartMaker
from napari_ne_denoise.core.batch.products import Product
from napari_ne_denoise.core.batch.unfinished import Unfinished
from napari_ne_denoise.core.device import settle_in_worker
from napari_ne_denoise.core.errors import SettingsError
from napari_ne_denoise.core.inference import Denoiser, load_denoiser
from napari_ne_denoise.core.provenance import KEY, package_version
from napari_ne_denoise.core.run import Decided
from napari_ne_denoise.core.settings import DenoiseSettings

# large results that stay open in a process, each with its network
MOST_OPEN = 2


def versions() -> dict[str, str]:
    """Of what numbers depend on."""
    return {name: package_version(name) for name in (KEY, "torch")}


@dataclass(frozen=True)
class Work:
    """What a worker must know; small, since it travels with every task.

    Attributes
    ----------
    job
        Which file becomes which, by whole paths.
    settings, series, with_std
        How; the model is a name or a path.
    sha256
        Of the weights of whoever asks; None: they are of no file.
    versions
        Of whoever asks.
    token
        Of this run.
    """

    job: Job
    settings: DenoiseSettings
    series: int
    with_std: bool = False
    sha256: str | None = None
    versions: dict[str, str] = field(default_factory=versions)
    token: str = field(default_factory=lambda: uuid4().hex)

    def open(self) -> OpenedFile:
        """Open what is denoised.

        Raises
        ------
        NEDenoiseError
            If it cannot be read, denoised or written, or this process has other versions, or other weights.
        """
        self.check_versions()
        return OpenedFile.of(self.job, self.settings, denoiser_of(self), self.series)

    def check_versions(self) -> None:
        """See that this process computes what the others do.

        Raises
        ------
        SettingsError
            If not.
        """
        if (here := versions()) != self.versions:
            raise SettingsError(f"a worker has {_in_words(here)}, and you have {_in_words(self.versions)}; install the same everywhere.")


def decide(work: Work) -> Decided:
    """What "auto" becomes on a worker."""
    settle_in_worker()
    return Decided.of(work.open().run)


def make_part(work: Work, of: type[Product], number: int) -> dict[str, Any]:
    """Make a part of a large result, or of its error bars, that was begun; gives what a journal holds of it."""
    with _computing:
        result, maker = _opened(work, of)
        making = maker.steps(result.parts[number])
        while True:
            try:
                next(making)
            except StopIteration as end:
                line: dict[str, Any] = end.value
                return line


def make_file(work: Work) -> dict[str, Any]:
    """Denoise a file; gives what can be said of it."""
    with _computing:
        settle_in_worker()
        work.check_versions()
        denoising = FileDenoising(work.job, work.settings, denoiser_of(work), work.series, with_std=work.with_std)
        for _ in denoising.steps():
            pass
        return denoising.record


# a part takes all threads that a worker has
_computing = Lock()
_open: OrderedDict[tuple[str, type[Product]], tuple[Unfinished, PartMaker]] = OrderedDict()


def _opened(work: Work, of: type[Product]) -> tuple[Unfinished, PartMaker]:
    """A large result, or its error bars, and what makes its parts; opened once in each process."""
    key = work.token, of
    if key not in _open:
        settle_in_worker()
        opened = work.open()
        result = Unfinished.gone_on_with(of.job(work.job).target, opened.image, of(opened.run))
        _open[key] = result, result.maker()
    while len(_open) > MOST_OPEN:
        _, (_, maker) = _open.popitem(last=False)
        maker.close()
    return _open[key]


def denoiser_of(work: Work) -> Denoiser:
    """The model of some work; opened once in each process.

    Raises
    ------
    SettingsError
        If it has other weights here than those of whoever asks.
    """
    return _load(work.settings.model_name, work.sha256)


@lru_cache(maxsize=4)
def _load(name: str, sha256: str | None) -> Denoiser:
    denoiser = load_denoiser(name)
    if sha256 is not None and denoiser.sha256 != sha256:
        raise SettingsError(f"model {name}: a worker finds other weights there than you have; let both see the same file.")
    return denoiser


def _in_words(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in found.items())
