"""One file from the network: over https alone, resumed after a break, never taken for complete before it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import requests
from requests.adapters import HTTPAdapter

TIMEOUT = 30  # seconds without a byte
ATTEMPTS = 3  # of one call; what came is kept for the next call too
PIECE = 1024  # bytes; a break costs the last ones
LARGEST = 2**31  # bytes; no weights are so many, and an endless answer would fill the disk


class Progress(Protocol):
    """What is told how a download goes; as tqdm has it."""

    total: float

    def update(self, amount: int, /) -> object:
        """So many bytes more have come."""

    def reset(self) -> object:
        """Start from zero again."""

    def close(self) -> object:
        """All have come."""


def download(url: str, path: Path, progress: Progress | None = None) -> None:
    """Fetch a file, and go on where an earlier try broke off, if the server still has the same.

    Proxies are taken from HTTPS_PROXY and NO_PROXY, certificates from REQUESTS_CA_BUNDLE, as `requests` does.

    Parameters
    ----------
    url
        Begins with https://, and so must all to which it leads.
    path
        Where what came lies; complete when this returns.  Beside it lies a note on where it came from.
    progress
        Told what comes.

    Raises
    ------
    OSError
        If it cannot be fetched: all errors of `requests` are such.  What came is kept.
    """
    with _https_only() as session:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                _go_on(session, url, path, progress)
                break
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError, _BrokenOff) as error:
                came = path.stat().st_size if path.exists() else 0
                if not came:  # where nothing ever came, asking again helps nobody
                    raise
                if attempt == ATTEMPTS:
                    raise _BrokenOff(f"it broke off after {came} bytes, which are kept: fetch again to go on there") from error
    _note(path).unlink(missing_ok=True)
    if progress is not None:
        progress.close()


def discard(path: Path) -> None:
    """Forget what came."""
    path.unlink(missing_ok=True)
    _note(path).unlink(missing_ok=True)


class _BrokenOff(requests.RequestException):
    """The connection ended before the file did."""


@contextmanager
def _https_only() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.adapters.clear()
        session.mount("https://", HTTPAdapter())  # no other: a redirection to http:// fails, too
        yield session


def _go_on(session: requests.Session, url: str, path: Path, progress: Progress | None) -> None:
    came, mark = _what_came(url, path)
    asking = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={came}-", "If-Range": mark} if came else {})
    with session.get(url, headers=asking, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            discard(path)  # the file is another, or was complete
            raise _BrokenOff("the file on the server is another than the one that was begun")
        response.raise_for_status()
        resumed = response.status_code == requests.codes.partial_content and _begins_at(response, came)
        if not resumed:
            discard(path)
            came = 0
        _keep_note(url, path, response)
        total = came + int(response.headers.get("Content-Length") or 0)
        _start(progress, total, came)
        with open(path, "ab") as file:
            for piece in response.iter_content(PIECE):
                file.write(piece)
                came += len(piece)
                if came > LARGEST:
                    raise requests.RequestException(f"it has more than {LARGEST} bytes")
                if progress is not None:
                    progress.update(len(piece))
    if came < total:
        raise _BrokenOff(f"{came} of {total} bytes came")


def _what_came(url: str, path: Path) -> tuple[int, str]:
    """How many bytes of this very file are here, and how the server calls it; 0 if they cannot be trusted to be its beginning."""
    try:
        note = json.loads(_note(path).read_text(encoding="utf8"))
        mark, size = note["mark"], path.stat().st_size
        return (size, mark) if note["url"] == url and isinstance(mark, str) and mark else (0, "")
    except (OSError, ValueError, KeyError, TypeError):
        return 0, ""


def _keep_note(url: str, path: Path, response: requests.Response) -> None:
    etag = response.headers.get("ETag", "")
    # a weak ETag does not promise the same bytes
    mark = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")
    _note(path).write_text(json.dumps({"url": url, "mark": mark}), encoding="utf8")


def _begins_at(response: requests.Response, came: int) -> bool:
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return found is not None and int(found[1]) == came


def _start(progress: Progress | None, total: int, came: int) -> None:
    if progress is not None:
        progress.total = float(total)
        progress.reset()
        progress.update(came)


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".json")
