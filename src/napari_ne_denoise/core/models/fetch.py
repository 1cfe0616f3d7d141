"""Published weight files: fetched when asked for, verified, kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import pooch

from napari_ne_denoise.core.errors import DownloadError, ModelError, one_line
from napari_ne_denoise.core.models.registry import PACKAGE_FOLDER, ModelRow

if TYPE_CHECKING:
    from napari_ne_denoise.core.models.download import Progress

CACHE_VARIABLE = "NAPARI_NE_DENOISE_MODELS"

LONGEST_WAIT = 3600  # seconds; where a file system knows no locks, filelock may take one for held whose process was killed

_fetching = Lock()
_chosen: str | None = None  # folder for fetched files


def cache_folder() -> Path:
    """Where fetched files are kept: $NAPARI_NE_DENOISE_MODELS, else the folder that was chosen, else the user's cache folder."""
    return Path(os.environ.get(CACHE_VARIABLE) or _chosen or pooch.os_cache("napari-ne-denoise")).expanduser()


def choose_cache_folder(folder: str | None) -> None:
    """Keep fetched files in a folder, such as one that a lab shares; None or an empty name: in the user's cache folder.

    The environment variable goes before it.  A folder that cannot be written to is only read from.
    """
    global _chosen
    _chosen = folder or None


def local_path(row: ModelRow) -> Path:
    """Where the weight file of a model is, or will be once fetched."""
    return PACKAGE_FOLDER / row.file if row.file else cache_folder() / str(row.url).rsplit("/", 1)[-1]


def is_here(row: ModelRow) -> bool:
    """Whether the weight file of a model is on this machine, as far as one can see: not where its folder is on a share that is away."""
    return os.path.exists(local_path(row))  # a Path raises what Windows says of such a share


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
        if not is_here(row):
            if row.packaged:
                raise DownloadError(f"{path}: missing from the installed package; reinstall napari-ne-denoise.")
            _make_folder(path.parent)
            with _others_kept_out(path):
                if not is_here(row):  # another process has fetched it meanwhile
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
    if not is_here(row):
        raise DownloadError(f"{row.name}: not on this machine; fetch it with: napari-ne-denoise models fetch {row.name}")
    found = _sha256(path)
    expected = row.sha256 or _remembered(path)
    if expected is None:
        _check_network(row, path)
        with suppress(OSError):  # in a folder that is only read from, it is looked at each time
            _remember(path, found)
    elif found != expected:
        remedy = "reinstall napari-ne-denoise" if row.packaged else f"delete it and run: napari-ne-denoise models fetch {row.name}"
        trust = "" if row.sha256 else f" If you trust the new file, delete {_note(path).name} beside it instead."
        raise DownloadError(f"{path}: SHA-256 is {found}, expected {expected}: the file was changed or damaged; {remedy}.{trust}")
    return found


@contextmanager
def _others_kept_out(path: Path) -> Iterator[None]:
    """Let one process at a time fetch a file: jobs of an array begin all at once, and would spoil what comes for each other."""
    from filelock import FileLock

    lock = FileLock(path.with_name(f"incoming-{path.name}.lock"))
    with suppress(OSError, NotImplementedError):  # a file system that knows no locks keeps nobody from fetching
        lock.acquire(timeout=LONGEST_WAIT)
    try:
        yield
    finally:
        with suppress(OSError):  # before it is released: whoever waits sees that it has gone; Windows removes it then
            os.unlink(lock.lock_file)
        lock.release()


def _download(row: ModelRow, path: Path, progress: Progress | None) -> None:
    """Fetch under another name, look inside, and only then give the file its name."""
    from napari_ne_denoise.core.io.complete import move
    from napari_ne_denoise.core.models.download import discard, download  # brings requests, which nothing else needs

    incoming = path.with_name(f"incoming-{path.name}")
    expected = row.sha256 or _remembered(path)
    try:
        download(str(row.url), incoming, progress)
    except OSError as error:  # what came is kept, and the next call goes on there
        raise DownloadError(_why(row, path, error)) from error
    try:
        found = _sha256(incoming)
        if expected is not None and found != expected:
            raise _AnotherFile(f"SHA-256 is {found}, expected {expected}")
        _check_network(row, incoming)
        _remember(path, found)
        incoming.chmod(0o644)  # not its owner's alone: a lab's common folder is there for all
        move(incoming, path)
    except (ModelError, _AnotherFile, OSError) as error:
        raise DownloadError(_why(row, path, error)) from error
    finally:
        discard(incoming)


class _AnotherFile(Exception):
    """What came is whole, and not what was announced."""


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(f"{folder}: cannot be made to keep models in ({error}); set {CACHE_VARIABLE} to another folder.") from error


def _why(row: ModelRow, path: Path, error: Exception) -> str:
    if isinstance(error, ModelError):
        return f"{row.name}: what {row.url} sends is no such model, perhaps the page of a login or a proxy ({error}); it was not kept."
    if isinstance(error, _AnotherFile):
        trust = "" if row.sha256 else f" If you trust the new file, delete {_note(path)} and fetch again."
        return f"{row.name}: what {row.url} sends is not the file that was first seen there ({error}); it was not kept.{trust}"
    return (
        f"{row.name}: could not be fetched from {row.url} ({_short(error)}). Without a network, copy {path.name} from a machine that has "
        f"one into {path.parent}, or set {CACHE_VARIABLE} to a folder that holds it. It is published under {row.licence}."
    )


def _short(error: Exception) -> str:
    """Without the nested exceptions in which requests wraps a name that cannot be resolved."""
    name = type(error).__name__
    if name == "InvalidSchema":
        return "it leads to an address that does not begin with https://"
    if name == "ChunkedEncodingError":
        return "the connection broke off"
    wrapped = ("ConnectionError", "ConnectTimeout", "ReadTimeout", "ProxyError", "SSLError")
    return f"no connection: {name}" if name in wrapped else one_line(str(error))


def _check_network(row: ModelRow, path: Path) -> None:
    """Open a file that nobody has vouched for: an error page saved as weights must not be trusted for ever."""
    from napari_ne_denoise.core.models.files import read_model  # torch: not for a list of models

    network = read_model(path, row.mode).network
    found = (type(network).__name__, network.equivariance, network.blind)
    if found != (row.architecture, row.equivariance, row.blind):
        raise ModelError(f"{path}: holds {found}, expected {(row.architecture, row.equivariance, row.blind)}; get the file again.")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _remembered(path: Path) -> str | None:
    note = _note(path)
    return note.read_text().strip() if note.exists() else None


def _remember(path: Path, sha256: str) -> None:
    from napari_ne_denoise.core.io import complete_or_absent  # not for a list of models

    with complete_or_absent(_note(path)) as temporary:
        temporary.write_text(sha256 + "\n")
