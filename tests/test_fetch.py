"""Published models are fetched from a server on this machine: kept only whole, and refused when they change."""

import errno
import hashlib
import json
import logging
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from napari_ne_denoise.cli import app
from napari_ne_denoise.cli.console import ProgressLine
from napari_ne_denoise.core import inference
from napari_ne_denoise.core.errors import DownloadError, ModelError
from napari_ne_denoise.core.models import download, registry
from napari_ne_denoise.core.models import fetch as fetching
from napari_ne_denoise.core.models.download import PIECE
from napari_ne_denoise.core.models.fetch import cache_folder, choose_cache_folder, fetch, local_path, verify
from napari_ne_denoise.core.models.registry import ModelRow, list_models
from napari_ne_denoise.core.networks import FDnCNN

FILE = "fdncnn_norm_equiv_tiny.pth"
LICENCE = "AGPL-3.0 (repository sherbret/normalization_equivariant_nn)"


class Server:
    """What it sends can be changed; what it was asked is kept.  It has a certificate that it made itself (tests/data/localhost.pem)."""

    def __init__(self, certificate):
        self.content, self.status, self.asked, self.headers = b"", 200, [], {}
        self.breaks_after, self.etag, self.leads_to = [], '"one"', None  # bytes of the answers to come, after which they break off
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, self))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.http.daemon_threads = True
        self.url = f"https://127.0.0.1:{self.http.server_port}/v1.0/{FILE}"


class Handler(BaseHTTPRequestHandler):
    def __init__(self, server, *arguments):
        self.told = server
        super().__init__(*arguments)

    def do_GET(self):
        told = self.told
        told.asked.append(self.path)
        told.headers = dict(self.headers)
        start = self.start_of_the_rest()
        self.send_response(302 if told.leads_to else 206 if start else told.status)
        if told.leads_to:
            self.send_header("Location", told.leads_to)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(told.content) - 1}/{len(told.content)}")
        if told.etag:
            self.send_header("ETag", told.etag)
        rest = told.content[start:]
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: told.breaks_after.pop(0) if told.breaks_after else None])

    def start_of_the_rest(self) -> int:
        """Where to go on; 0, if all is asked for, or the file is another than the one that was begun."""
        asked = self.headers.get("Range")
        return int(asked[6:-1]) if asked and self.headers.get("If-Range") == self.told.etag else 0

    def log_message(self, *arguments):
        """Say nothing."""


@pytest.fixture
def server(data_dir, monkeypatch) -> Iterator[Server]:
    certificate = data_dir / "localhost.pem"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    server = Server(certificate)
    thread = threading.Thread(target=server.http.serve_forever)
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "models"
    monkeypatch.setenv("NAPARI_NE_DENOISE_MODELS", str(folder))
    return folder


def weights(folder: Path, seed: int = 0, mode: str = "norm-equiv") -> bytes:
    torch.manual_seed(seed)
    path = folder / f"made-{seed}.pth"
    torch.save(FDnCNN(mode, channels=4, depth=3, blind=True).state_dict(), path)
    return path.read_bytes()


@pytest.fixture
def row(server, cache, tmp_path) -> ModelRow:
    server.content = weights(tmp_path)
    return ModelRow("tiny", "For tests.", LICENCE, "FDnCNN", "norm-equiv", True, url=server.url)


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_a_model_is_fetched_once_and_its_hash_remembered(server, row, cache):
    sha256 = hashlib.sha256(server.content).hexdigest()
    assert fetch(row) == local_path(row) == cache / FILE
    assert verify(row) == sha256
    fetch(row)
    assert server.asked == [f"/v1.0/{FILE}"]
    assert (cache / FILE).read_bytes() == server.content
    assert (cache / f"{FILE}.sha256").read_text().strip() == sha256
    assert files_in(cache) == {FILE, f"{FILE}.sha256"}


def test_threads_that_ask_at_once_fetch_once(server, row):
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch(row), range(4)))
    assert len(set(paths)) == len(server.asked) == 1


def test_processes_that_ask_at_once_fetch_once(server, row, cache, monkeypatch):
    """Two threads that know nothing of each other stand for them."""
    monkeypatch.setattr(fetching, "_fetching", nullcontext())
    real, others = download.download, []

    def slowly(*arguments):
        others.append(pool.submit(fetch, row))
        wait(others, timeout=1)
        real(*arguments)

    monkeypatch.setattr(download, "download", slowly)
    with ThreadPoolExecutor(1) as pool:
        fetch(row)
        assert others[0].result().read_bytes() == server.content
    assert len(server.asked) == 1
    assert files_in(cache) == {FILE, f"{FILE}.sha256"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other locks")
def test_a_file_system_that_knows_no_locks_keeps_nobody_from_fetching(row, cache, monkeypatch):
    monkeypatch.setattr("fcntl.flock", no_locks)
    fetch(row)
    assert files_in(cache) == {FILE, f"{FILE}.sha256"}


def no_locks(*_):
    raise OSError(errno.ENOLCK, "No locks available")


def test_others_of_the_same_group_can_read_it(row, cache):
    assert fetch(row).stat().st_mode & 0o444 == 0o444


def test_a_changed_file_on_the_server_is_refused(server, row, cache, tmp_path):
    fetch(row).unlink()
    server.content = weights(tmp_path, seed=1)
    with pytest.raises(DownloadError, match="is not the file that was first seen there"):
        fetch(row)
    assert files_in(cache) == {f"{FILE}.sha256"}
    (cache / f"{FILE}.sha256").unlink()  # as the message says
    assert fetch(row).read_bytes() == server.content


def test_a_changed_local_file_is_refused(row, cache, tmp_path):
    path = fetch(row)
    path.write_bytes(weights(tmp_path, seed=1))
    for use in (fetch, verify):
        with pytest.raises(DownloadError, match="the file was changed or damaged; delete it and run") as raised:
            use(row)
        assert str(path) in str(raised.value)


def test_a_published_hash_counts_from_the_first_time(server, row, cache):
    with pytest.raises(DownloadError, match="not the file"):
        fetch(replace(row, sha256="0" * 64))
    assert files_in(cache) == set()
    fetch(replace(row, sha256=hashlib.sha256(server.content).hexdigest()))


def test_a_file_copied_by_hand_is_trusted_if_it_is_the_network(server, row, cache):
    cache.mkdir()
    (cache / FILE).write_bytes(server.content)
    assert fetch(row) == cache / FILE
    assert server.asked == []
    (cache / FILE).write_bytes(server.content + b"x")
    with pytest.raises(DownloadError, match="changed or damaged"):
        fetch(row)


def test_a_broken_file_copied_by_hand_is_never_remembered(server, row, cache):
    cache.mkdir()
    (cache / FILE).write_bytes(server.content[:1000])
    with pytest.raises(ModelError, match="cannot be opened"):
        fetch(row)
    (cache / FILE).write_bytes(server.content)
    fetch(row)


@pytest.mark.parametrize("page", [b"<html>Please log in</html>", b""])
def test_a_page_instead_of_weights_is_not_kept(server, row, cache, page):
    server.content = page
    with pytest.raises(DownloadError, match="sends is no such model, perhaps the page of a login"):
        fetch(row)
    assert files_in(cache) == set()


def test_another_network_than_announced_is_not_kept(server, row, cache, tmp_path):
    server.content = weights(tmp_path, mode="ordinary")
    with pytest.raises(DownloadError, match=r"'ordinary'.* expected .*'norm-equiv'"):
        fetch(row)
    assert files_in(cache) == set()


def test_a_transfer_that_breaks_off_goes_on_where_it_was(server, row, cache):
    server.breaks_after = [PIECE + 10]
    assert fetch(row).read_bytes() == server.content
    assert len(server.asked) == 2
    assert server.headers["Range"] == f"bytes={PIECE}-"
    assert files_in(cache) == {FILE, f"{FILE}.sha256"}


def test_what_came_is_kept_for_the_next_call(server, row, cache):
    server.breaks_after = [PIECE + 10, PIECE + 10, 0]
    with pytest.raises(DownloadError, match=f"broke off after {2 * PIECE} bytes"):
        fetch(row)
    assert (cache / f"incoming-{FILE}").read_bytes() == server.content[: 2 * PIECE]
    assert FILE not in files_in(cache)
    progress = Counted()
    assert fetch(row, progress).read_bytes() == server.content
    assert server.headers["Range"] == f"bytes={2 * PIECE}-"
    assert progress.done == progress.total == len(server.content)
    assert files_in(cache) == {FILE, f"{FILE}.sha256"}


@pytest.mark.parametrize("etag", ['"two"', None, 'W/"one"'])
def test_nothing_is_put_together_from_two_files(server, row, cache, tmp_path, etag):
    server.breaks_after = [PIECE, 0, 0]
    server.etag = '"one"' if etag == '"two"' else etag
    with pytest.raises(DownloadError, match="broke off"):
        fetch(row)
    server.content, server.etag, server.breaks_after = weights(tmp_path, seed=1), etag, []
    assert fetch(row).read_bytes() == server.content


def test_a_beginning_that_was_changed_is_found_out(server, row, cache):
    server.breaks_after = [PIECE, 0, 0]
    with pytest.raises(DownloadError, match="broke off"):
        fetch(row)
    (cache / f"incoming-{FILE}").write_bytes(bytes(PIECE))
    with pytest.raises(DownloadError, match=r"is no such model|not the file"):
        fetch(row)
    assert files_in(cache) == set()
    assert fetch(row).read_bytes() == server.content


def test_a_note_of_nonsense_begins_again(server, row, cache):
    cache.mkdir()
    (cache / f"incoming-{FILE}").write_bytes(b"something")
    for note in ("{", "[1]", '{"url": 3}', json.dumps({"url": row.url, "mark": 7})):
        (cache / f"incoming-{FILE}.json").write_text(note)
        assert fetch(row).read_bytes() == server.content
        (cache / FILE).unlink()


def test_only_https_is_fetched_from(server, row, cache, monkeypatch):
    for url in (row.url.replace("https", "http"), row.url.replace("https", "ftp"), f"file://{cache}/{FILE}"):
        with pytest.raises(DownloadError, match="does not begin with https://"):
            fetch(replace(row, url=url))
    assert server.asked == []
    server.leads_to = row.url.replace("https", "http")
    with pytest.raises(DownloadError, match="does not begin with https://"):
        fetch(row)
    assert server.asked == [f"/v1.0/{FILE}"]
    assert FILE not in files_in(cache)


def test_a_certificate_of_nobody_is_refused(server, row, cache, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(DownloadError, match="no connection: SSLError"):
        fetch(row)
    assert server.asked == []


def test_a_proxy_is_asked_where_there_is_one(server, row, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("NO_PROXY", "")
    with pytest.raises(DownloadError, match="no connection: ProxyError"):
        fetch(row)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert fetch(row).exists()


def test_an_endless_answer_ends(server, row, cache, monkeypatch):
    monkeypatch.setattr(download, "LARGEST", 1000)
    with pytest.raises(DownloadError, match="more than 1000 bytes"):
        fetch(row)
    assert FILE not in files_in(cache)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("what", ["404", "503", "refused", "no such host", "no such scheme"])
def test_without_the_file_the_message_says_what_to_do(server, row, cache, what):
    if what.isdigit():
        server.status = int(what)
    else:
        wrong = {"refused": f"https://127.0.0.1:{closed_port()}/", "no such host": "https://[::1", "no such scheme": "htp://127.0.0.1/"}
        row = replace(row, url=wrong[what] + FILE)
    with pytest.raises(DownloadError) as raised:
        fetch(row)
    message = str(raised.value)
    assert message.startswith("tiny: could not be fetched from ")
    for told in (row.url, str(cache), FILE, "NAPARI_NE_DENOISE_MODELS", "AGPL-3.0", "sherbret/normalization_equivariant_nn"):
        assert told in message
    assert files_in(cache) == set()


def test_a_cache_that_cannot_be_made_gives_our_error(row, cache):
    cache.write_text("a file where the folder should be")
    with pytest.raises(DownloadError, match="set NAPARI_NE_DENOISE_MODELS to another folder"):
        fetch(row)


def test_nothing_is_said(row, caplog, capfd):
    with caplog.at_level(logging.INFO):
        fetch(row)
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


class Counted:
    """The progress that tqdm would show."""

    def __init__(self):
        self.total, self.done, self.closed = 0.0, 0.0, False

    def update(self, amount):
        self.done += amount

    def reset(self):
        self.done = 0.0

    def close(self):
        self.closed = True


def test_progress_is_told(server, row):
    progress = Counted()
    fetch(row, progress)
    assert progress.total == progress.done == len(server.content)
    assert progress.closed


def test_the_command_line_fetches_and_shows_how_far_it_is(server, row, cache, monkeypatch):
    drawn = []
    monkeypatch.setattr(registry, "list_models", lambda: (row,))
    monkeypatch.setattr(ProgressLine, "show", lambda line, done, total: drawn.append((line.label, done, total)))
    result = CliRunner().invoke(app, ["models", "fetch", "tiny"])
    assert (result.exit_code, result.stdout) == (0, f"{cache / FILE}\n")
    assert result.stderr == f"note: tiny: {LICENCE}, from {row.url}\n"
    assert drawn[-1] == ("tiny", len(server.content), len(server.content))


def no_network(*arguments, **keywords):
    raise AssertionError("somebody asked the network")


@pytest.fixture
def forbidden(monkeypatch):
    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)


def test_only_fetching_touches_the_network(row, forbidden, monkeypatch):
    assert all(local_path(known) for known in list_models())
    for known in list_models():
        if not known.packaged:
            for use in (verify, lambda known: inference.load_denoiser(known.name)):
                with pytest.raises(DownloadError, match=f"not on this machine; fetch it with: napari-ne-denoise models fetch {known.name}"):
                    use(known)
    inference.load_denoiser("fast")(np.zeros((8, 8), "float32"))
    with pytest.raises(AssertionError, match="somebody asked"):
        fetch(row)


def test_all_commands_but_fetching_work_without_a_network(forbidden, tmp_path):
    """Of each command a run that reaches its end; what comes out of it, others test."""
    image, folder = tmp_path / "image.npy", tmp_path / "out"
    np.save(image, np.random.default_rng(0).poisson(50, (64, 64)).astype("uint16"))
    runs = {
        "denoise": [image, "-o", tmp_path / "result.npy"],
        "check": [image],
        "noise": [image],
        "maps": [image, "-o", folder, "--maps", "pixels_averaged"],
        "filters": [image, "--at", "32,32"],
        "spectrum": None,
        "assess": [image],
        "demo": ["-o", folder],
        "doctor": [],
    }
    commands = {command.name for command in app.registered_commands}
    assert commands <= set(runs), "a new command: does it work without a network?"
    for name in commands:
        arguments = runs[name] or ["--help"]
        result = CliRunner().invoke(app, [name, *map(str, arguments)])
        assert result.exit_code == 0, (name, result.stderr, result.exception)
    for arguments in (["list"], ["show", "fast"], ["verify"]):
        assert CliRunner().invoke(app, ["models", *arguments]).exit_code == 0
    assert (
        CliRunner().invoke(app, ["denoise", str(image), "-o", str(tmp_path / "b.npy"), "--model", "drunet-norm-equiv-blind"]).exit_code == 1
    )


def test_a_registered_model_is_opened_once_it_was_fetched(server, row, monkeypatch):
    monkeypatch.setattr(registry, "list_models", lambda: (row,))
    monkeypatch.setattr(inference, "list_models", lambda: (row,))
    inference._open_registered.cache_clear()
    with pytest.raises(DownloadError, match="fetch it with: napari-ne-denoise models fetch tiny"):
        inference.load_denoiser("tiny")
    assert server.asked == []
    fetch(row)
    denoiser = inference.load_denoiser("tiny")
    inference._open_registered.cache_clear()
    assert (denoiser.name, denoiser.equivariance) == ("tiny", "norm-equiv")
    assert denoiser.sha256 == hashlib.sha256(server.content).hexdigest()
    assert denoiser(np.zeros((8, 8), "float32")).shape == (8, 8)


def test_a_folder_that_is_only_read_from_serves_a_locked_down_machine(server, row, cache, monkeypatch):
    cache.mkdir()
    (cache / FILE).write_bytes(server.content)
    monkeypatch.setattr(fetching, "_remember", read_only)  # whoever runs these tests may be root, for whom no folder is read-only
    for _ in range(2):
        assert verify(row) == hashlib.sha256(server.content).hexdigest()
    assert files_in(cache) == {FILE}
    (cache / FILE).write_bytes(b"another")
    with pytest.raises(ModelError):
        verify(row)


def read_only(*arguments):
    raise PermissionError("read-only")


def test_every_published_model_says_where_it_comes_from():
    published = [row for row in list_models() if not row.packaged]
    assert published
    for row in published:
        assert row.url.startswith("https://github.com/sherbret/normalization_equivariant_nn/releases/")
        assert row.licence == LICENCE
    assert len({local_path(row) for row in list_models()}) == len(list_models())


def test_files_are_kept_where_the_user_says(cache, tmp_path, monkeypatch):
    assert cache_folder() == cache
    choose_cache_folder(str(tmp_path / "chosen"))
    try:
        assert cache_folder() == cache  # the variable goes before a preference
        monkeypatch.delenv("NAPARI_NE_DENOISE_MODELS")
        assert cache_folder() == tmp_path / "chosen"
    finally:
        choose_cache_folder("")
    assert cache_folder().name == "napari-ne-denoise"
    monkeypatch.setenv("NAPARI_NE_DENOISE_MODELS", "~/models")
    assert cache_folder() == Path.home() / "models"
