"""Published weight files: fetched when asked for, verified, kept in the user's cache."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import pooch

from napari_ne_denoise.core.errors import DownloadError, ModelError
from napari_ne_denoise.core.models.registry import PACKAGE_FOLDER, ModelRow

CACHE_VARIABLE = "NAPARI_NE_DENOISE_MODELS"
TIMEOUT = 30  # seconds without a byte

_fetching = Lock()


class Progress(Protocol):
    """What is told how a download goes; pooch's protocol, which tqdm has too."""

    total: float

    def update(self, amount: int, /) -> object:
        """So many bytes more have come."""

    def reset(self) -> object:
        """Start from zero again."""

    def close(self) -> object:
        """All have come."""


def cache_folder() -> Path:
    """Where fetched files are kept: $NAPARI_NE_DENOISE_MODELS, or the user's cache folder."""
    return Path(os.environ.get(CACHE_VARIABLE) or pooch.os_cache("napari-ne-denoise"))


def local_path(row: ModelRow) -> Path:
    """Where the weight file of a model is, or will be once fetched."""
    return PACKAGE_FOLDER / row.file if row.file else cache_folder() / str(row.url).rsplit("/", 1)[-1]


def fetch(row: ModelRow, progress: Progress | None = None) -> Path:
    """Make sure that a model's weight file is on this machine and unchanged.

    A file without a published hash is trusted the first time, if it is the network it claims to be; its hash is remembered beside
    it, and a file that differs from it is refused from then on.

    Raises
    ------
    DownloadError
        If the file cannot be fetched, or is not the one that was first seen.
    """
    path = local_path(row)
    with _fetching:  # a second thread that asks for the same file finds it there
        if not path.exists():
            if row.packaged:
                raise DownloadError(f"{path}: missing from the installed package; reinstall napari-ne-denoise.")
            _download(row, path, progress)
    verify(row)
    return path


def verify(row: ModelRow) -> str:
    """The SHA-256 of a model's file, after comparing it with the known or remembered one.

    Raises
    ------
    DownloadError
        If the file is not here, or not what it was.
    ModelError
        If the file was never seen before and is not the network it claims to be.
    """
    path = local_path(row)
    if not path.exists():
        raise DownloadError(f"{row.name}: not on this machine; fetch it with: napari-ne-denoise models fetch {row.name}")
    found = _sha256(path)
    expected = row.sha256 or _remembered(path)
    if expected is None:
        _check_network(row, path)
        _remember(path, found)
    elif found != expected:
        remedy = "reinstall napari-ne-denoise" if row.packaged else f"delete it and run: napari-ne-denoise models fetch {row.name}"
        trust = "" if row.sha256 else f" If you trust the new file, delete {_note(path).name} beside it instead."
        raise DownloadError(f"{path}: SHA-256 is {found}, expected {expected}: the file was changed or damaged; {remedy}.{trust}")
    return found


def _download(row: ModelRow, path: Path, progress: Progress | None) -> None:
    """Fetch under another name, look inside, and only then give the file its name."""
    incoming = path.with_name(f"incoming-{os.getpid()}-{path.name}")
    expected = row.sha256 or _remembered(path)
    downloader = pooch.HTTPDownloader(timeout=TIMEOUT, progressbar=progress or False, hooks={"response": _close_if_failed})
    _make_folder(path.parent)
    try:
        with _quiet_pooch():
            # pooch writes to a temporary file, compares the hash, then moves
            pooch.retrieve(str(row.url), known_hash=expected, fname=incoming.name, path=path.parent, downloader=downloader)
        _check_network(row, incoming)
        _remember(path, _sha256(incoming))
        incoming.chmod(0o644)  # temporary files are their owner's alone; a lab's common folder is not
        os.replace(incoming, path)
    except (ModelError, ValueError, OSError) as error:
        raise DownloadError(_why(row, path, error)) from error
    finally:
        incoming.unlink(missing_ok=True)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(f"{folder}: cannot be made to keep models in ({error}); set {CACHE_VARIABLE} to another folder.") from error


def _close_if_failed(response: Any, **_: Any) -> None:
    """Pooch leaves the connection of an answer open that it has no use for."""
    if not response.ok:
        response.close()


def _why(row: ModelRow, path: Path, error: Exception) -> str:
    if isinstance(error, ModelError):
        return f"{row.name}: what {row.url} sends is no such model, perhaps the page of a login or a proxy ({error}); it was not kept."
    if isinstance(error, ValueError) and not isinstance(error, OSError):  # requests' own errors are OSErrors
        return (
            f"{row.name}: what {row.url} sends is not the file that was first seen there ({error}); it was not kept. "
            f"If you trust the new file, delete {_note(path)} and fetch again."
        )
    return (
        f"{row.name}: could not be fetched from {row.url} ({_short(error)}). Without a network, copy {path.name} from a machine that has "
        f"one into {path.parent}, or set {CACHE_VARIABLE} to a folder that holds it. It is published under {row.licence}."
    )


def _short(error: Exception) -> str:
    """Without the nested exceptions in which requests wraps a name that cannot be resolved."""
    wrapped = ("ConnectionError", "ConnectTimeout", "ReadTimeout", "ProxyError", "SSLError")
    return f"no connection: {type(error).__name__}" if type(error).__name__ in wrapped else str(error)


def _check_network(row: ModelRow, path: Path) -> None:
    """Open a file that nobody has vouched for: an error page saved as weights must not be trusted for ever."""
    from napari_ne_denoise.core.models.files import read_model  # torch: not for a list of models

    network = read_model(path, row.mode).network
    found = (type(network).__name__, network.equivariance, network.blind)
    if found != (row.architecture, row.equivariance, row.blind):
        raise ModelError(f"{path}: holds {found}, expected {(row.architecture, row.equivariance, row.blind)}; get the file again.")


@contextmanager
def _quiet_pooch() -> Iterator[None]:
    """Keep pooch from telling the user where it downloads to and which hash to put into our source code."""
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _remembered(path: Path) -> str | None:
    note = _note(path)
    return note.read_text().strip() if note.exists() else None


def _remember(path: Path, sha256: str) -> None:
    note = _note(path)
    temporary = note.with_name(f"{note.name}.{os.getpid()}.part")
    temporary.write_text(sha256 + "\n")
    os.replace(temporary, note)
