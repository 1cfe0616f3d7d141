"""Published weight files: fetched when asked for, verified, kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pooch

from napari_ne_denoise.core.errors import DownloadError
from napari_ne_denoise.core.models.registry import PACKAGE_FOLDER, ModelRow

CACHE_VARIABLE = "NAPARI_NE_DENOISE_MODELS"


def cache_folder() -> Path:
    """Where fetched files are kept: $NAPARI_NE_DENOISE_MODELS, or the user's cache folder."""
    return Path(os.environ.get(CACHE_VARIABLE) or pooch.os_cache("napari-ne-denoise"))


def local_path(row: ModelRow) -> Path:
    """Where the weight file of a model is, or will be once fetched."""
    return PACKAGE_FOLDER / row.file if row.file else cache_folder() / str(row.url).rsplit("/", 1)[-1]


def fetch(row: ModelRow) -> Path:
    """Make sure that a model's weight file is on this machine and unchanged.

    A file without a published hash is trusted the first time; its hash is remembered beside it, and a file that differs from
    it is refused from then on.

    Raises
    ------
    DownloadError
        If the file cannot be fetched, or is not the one that was first seen.
    """
    path = local_path(row)
    if not path.exists():
        if row.packaged:
            raise DownloadError(f"{path}: missing from the installed package; reinstall napari-ne-denoise.")
        _download(row, path)
    verify(row)
    return path


def verify(row: ModelRow) -> str:
    """The SHA-256 of a model's file, after comparing it with the known or remembered one.

    Raises
    ------
    DownloadError
        If the file is not here, or not what it was.
    """
    path = local_path(row)
    if not path.exists():
        raise DownloadError(f"{row.name}: not on this machine; fetch it with: napari-ne-denoise models fetch {row.name}")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    expected = row.sha256 or _remembered(path)
    if expected is None:
        _remember(path, found)
    elif found != expected:
        raise DownloadError(
            f"{path}: SHA-256 is {found}, expected {expected}; the file was changed or damaged. Delete it"
            + (" and its .sha256 beside it, if you trust the new one," if not row.packaged else "")
            + f" and {'reinstall the package' if row.packaged else f'run: napari-ne-denoise models fetch {row.name}'}."
        )
    return found


def _download(row: ModelRow, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    remembered = row.sha256 or _remembered(path)
    try:
        # pooch writes to a temporary file, compares the hash, then moves
        pooch.retrieve(str(row.url), known_hash=remembered, fname=path.name, path=path.parent, downloader=pooch.HTTPDownloader(timeout=30))
    except ValueError as error:
        raise DownloadError(
            f"{row.name}: what {row.url} sends is not the file that was first seen there ({error}); it was not kept."
        ) from error
    except Exception as error:  # requests, urllib3, ssl and the disk each have their own; the user needs one message
        raise DownloadError(
            f"{row.name}: could not be fetched from {row.url} ({error}). Without a network, copy the file from a machine that has one into "
            f"{path.parent}, or set {CACHE_VARIABLE} to a folder that holds it. It is published under {row.licence}."
        ) from error


def _hash_file(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _remembered(path: Path) -> str | None:
    note = _hash_file(path)
    return note.read_text().strip() if note.exists() else None


def _remember(path: Path, sha256: str) -> None:
    note = _hash_file(path)
    temporary = note.with_name(note.name + ".part")
    temporary.write_text(sha256 + "\n")
    os.replace(temporary, note)
