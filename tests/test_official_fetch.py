from __future__ import annotations

import contextlib
import errno
import functools
import gzip
import http.server
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path

import pytest
from conftest import needs_official
from published import OFFICIAL

import ecnas
from ecnas import ChecksumError, UnknownNameError, files, official
from ecnas.files import sha256_of
from ecnas.official import CATALOGUE, cache_folder, fetch
from ecnas.official import fetch as fetch_function
from ecnas.official.fetch import FetchError, fetched_path

fetch_module = sys.modules["ecnas.official.fetch"]

NAME = "energy_4V9E_rtx3060"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def source(tmp_path, monkeypatch):
    """An empty folder that is the source."""
    monkeypatch.setenv("ECNAS_SOURCE", str(tmp_path / "source"))
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


def real(name):
    return next(path for path in OFFICIAL if path.stem == name)


def test_catalogue():
    assert len(CATALOGUE) == 10
    assert sum(entry.path.startswith("hardware/") for entry in CATALOGUE.values()) == 4
    for name, entry in CATALOGUE.items():
        assert entry.name == name
        assert entry.path.endswith(f"{name}.tfrecord")
        assert len(entry.sha256) == 64
        assert entry.space == name.split("_")[1][:2]
    assert CATALOGUE["energy_4V9E_linscale"].provenance((4, 12)) == {4: "measured", 12: "scaled"}
    assert CATALOGUE["energy_7V9E_surrogate"].provenance((4, 12)) == {4: "surrogate", 12: "surrogate"}


@needs_official
@pytest.mark.parametrize("path", OFFICIAL, ids=lambda path: path.stem)
def test_sizes_and_checksums_are_those_of_the_files(path):
    assert (path.stat().st_size, sha256_of(path)) == (CATALOGUE[path.stem].size, CATALOGUE[path.stem].sha256)


def test_unknown_names_get_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'energy_4V9E_rtx3060'"):
        fetch("energy_4V9E_rtx3061")
    with pytest.raises(UnknownNameError, match="Did you mean 'energy_5V9E_linscale'"):
        ecnas.load("energy_5V9E_linscal")


def test_cache_folder_is_a_setting(monkeypatch, tmp_path):
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("ECNAS_CACHE")
    import platformdirs

    assert cache_folder() == Path(platformdirs.user_cache_dir("ecnas"))


@needs_official
@pytest.mark.parametrize("layout", ["nested", "flat", "file address"])
def test_local_sources(cache, source, layout, monkeypatch):
    target = source / (CATALOGUE[NAME].path if layout == "nested" else f"{NAME}.tfrecord")
    target.parent.mkdir(exist_ok=True)
    shutil.copy(real(NAME), target)
    if layout == "file address":
        monkeypatch.setenv("ECNAS_SOURCE", source.as_uri())
    path = fetch(NAME)
    assert path == fetched_path(NAME)
    assert path.is_relative_to(cache)
    assert path.read_bytes() == real(NAME).read_bytes()
    target.unlink()
    assert fetch(NAME) == path  # from the cache
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@needs_official
def test_web_source(cache, source):
    (source / "hardware").mkdir()
    shutil.copy(real(NAME), source / CATALOGUE[NAME].path)
    handler = functools.partial(_SilentHandler, directory=str(source))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert fetch(NAME, f"{address}/").read_bytes() == real(NAME).read_bytes()
        with pytest.raises(FetchError, match="404 File not found.*ECNAS_SOURCE"):
            fetch("energy_4V9E_linscale", address)
        server.shutdown()


class _SilentHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


def test_missing_file_and_unreachable_source(cache, source):
    with pytest.raises(FetchError, match=r"there is no file .*hardware/.* or .*energy_4V9E_rtx3060.tfrecord"):
        fetch(NAME)
    with pytest.raises(FetchError, match="cannot be fetched from http://127.0.0.1:9/"):
        fetch(NAME, "http://127.0.0.1:9")
    assert not fetched_path(NAME).exists()


def test_wrong_checksum_names_both_and_leaves_nothing(cache, source):
    (source / f"{NAME}.tfrecord").write_bytes(b"something else")
    found = sha256_of(source / f"{NAME}.tfrecord")
    with pytest.raises(ChecksumError, match=f"expected SHA-256 {CATALOGUE[NAME].sha256} .*found {found}"):
        fetch(NAME)
    assert not list(cache.rglob("*.*"))


def test_an_lfs_pointer_is_recognised(cache, source):
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{CATALOGUE[NAME].sha256}\nsize 290272\n"
    (source / f"{NAME}.tfrecord").write_text(text)
    with pytest.raises(ChecksumError, match="it is a Git LFS pointer: .*, not the file itself"):
        fetch(NAME)


@needs_official
def test_a_damaged_file_in_the_cache_is_told_and_fetched_again(cache, source):
    shutil.copy(real(NAME), source)
    path = fetch(NAME)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.warns(UserWarning, match="is damaged .* fetched again"):
        fetch(NAME)
    assert path.read_bytes() == real(NAME).read_bytes()


@needs_official
def test_two_processes_fetch_at_once(cache, source):
    shutil.copy(real(NAME), source)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        paths = pool.map(fetch_function, [NAME] * 4, chunksize=1)
    assert set(paths) == {fetched_path(NAME)}
    assert paths[0].read_bytes() == real(NAME).read_bytes()
    assert [entry.name for entry in paths[0].parent.iterdir()] == [paths[0].name]


# ---------------------------------------------------------------------------------------------------------------------
# Sources that are not what they should be


@contextlib.contextmanager
def server(answer):
    """A web server that answers every request with what ``answer(handler)`` writes; yields its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            with contextlib.suppress(OSError):
                answer(self)

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as one:
        one.daemon_threads = True
        threading.Thread(target=one.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{one.server_port}"
        one.shutdown()


def send(handler, content=b"", **headers):
    handler.send_response(200)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()
    handler.wfile.write(content)


def endless(handler):
    send(handler)
    while True:
        handler.wfile.write(b"x" * 65536)


def bomb(handler):
    send(handler, gzip.compress(bytes(1 << 28), 1), Content_Encoding="gzip")


def drip(handler):
    send(handler)
    while True:
        handler.wfile.write(b"x")
        time.sleep(0.05)


def left_in(cache):
    return [path for path in cache.rglob("*") if path.is_file()]


@pytest.mark.parametrize("answer", [endless, bomb])
def test_a_download_ends_where_the_published_file_does(cache, answer):
    with server(answer) as address, pytest.raises(ChecksumError, match="found more than 290,272 bytes"):
        fetch(NAME, address)
    assert not left_in(cache)


def test_a_download_ends_in_bounded_time(cache, monkeypatch):
    monkeypatch.setattr(fetch_module, "_SECONDS", 0.2)
    monkeypatch.setattr(fetch_module, "_LEAST_RATE", 10**9)
    with server(drip) as address, pytest.raises(FetchError, match="less than 1,000,000,000 bytes a second"):
        fetch(NAME, address)
    assert not left_in(cache)


def test_a_source_that_falls_silent_is_given_up(cache, monkeypatch):
    monkeypatch.setattr(fetch_module, "_TIMEOUT", (1.0, 0.2))
    silent = threading.Event()
    with server(lambda handler: (send(handler, b"x"), silent.wait(5))) as address:
        with pytest.raises(FetchError, match="cannot be fetched from"):
            fetch(NAME, address)
        silent.set()
    assert not left_in(cache)


@needs_official
def test_a_compressed_answer_is_the_file(cache):
    content = gzip.compress(real(NAME).read_bytes())
    with server(lambda handler: send(handler, content, Content_Encoding="gzip")) as address:
        assert fetch(NAME, address).read_bytes() == real(NAME).read_bytes()


@needs_official
def test_an_answer_in_chunks_is_the_file(cache):
    def answer(handler):
        handler.protocol_version = "HTTP/1.1"
        send(handler, Transfer_Encoding="chunked")
        content = real(NAME).read_bytes()
        for start in range(0, len(content), 50_000):
            part = content[start : start + 50_000]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        handler.wfile.write(b"0\r\n\r\n")

    with server(answer) as address:
        assert fetch(NAME, address).read_bytes() == real(NAME).read_bytes()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:93e4\nsize 290272\n", "a Git LFS pointer"),
        (b"<!DOCTYPE html><html>Sign in</html>", "a web page"),
        (b'{"message": "Not Found"}', "JSON"),
        (b"", "found e3b0"),
    ],
)
def test_what_a_source_gives_instead_is_said(cache, content, kind):
    with server(lambda handler: send(handler, content)) as address, pytest.raises(ChecksumError, match=kind):
        fetch(NAME, address)
    assert not left_in(cache)


def test_a_file_in_a_folder_ends_where_the_published_one_does(cache, source):
    with (source / f"{NAME}.tfrecord").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ChecksumError, match="found more than 290,272 bytes"):
        fetch(NAME)
    (source / f"{NAME}.tfrecord").unlink()
    os.mkfifo(source / f"{NAME}.tfrecord")
    with pytest.raises(FetchError, match="there is no file"):
        fetch(NAME)


SECRETS = ("s3cret", "us3r", "s1gnature", "p%40ss")


@pytest.mark.parametrize("what", ["refused", "404", "checksum", "no such host", "slow"])
def test_no_secrets_in_messages(cache, monkeypatch, what, capfd):
    monkeypatch.setattr(fetch_module, "_SECONDS", 0.2)
    monkeypatch.setattr(fetch_module, "_LEAST_RATE", 10**9)
    answer = {
        "404": lambda handler: handler.send_error(404),
        "checksum": lambda handler: send(handler, b"x"),
        "slow": drip,
    }.get(what, endless)
    with server(answer) as address:
        host = {"refused": "127.0.0.1:9", "no such host": "nowhere.invalid"}.get(what, address.split("//")[1])
        monkeypatch.setenv("ECNAS_SOURCE", f"http://us3r:p%40ss-s3cret@{host}/folder?sig=s1gnature&x=s3cret#s3cret")
        code = subprocess.run(
            [sys.executable, "-m", "ecnas", "fetch", NAME], capture_output=True, text=True, env=os.environ, check=False
        )
        with pytest.raises((FetchError, ChecksumError)) as told:
            fetch(NAME)
    shown = "".join(traceback.format_exception(told.value)) + code.stdout + code.stderr + "".join(capfd.readouterr())
    assert host in shown
    assert code.returncode == 2
    for secret in (*SECRETS, "p@ss"):
        assert secret not in shown.replace(__file__, "")


@needs_official
def test_a_signed_address_is_asked_for_the_file(cache):
    asked = []

    def answer(handler):
        asked.append(handler.path)
        send(handler, real(NAME).read_bytes())

    with server(answer) as address:
        fetch(NAME, f"{address}/mirror/?sig=x")
    assert asked == [f"/mirror/{CATALOGUE[NAME].path}?sig=x"]


# ---------------------------------------------------------------------------------------------------------------------
# Caches


@needs_official
def test_a_cache_that_cannot_be_written_serves_what_it_holds(cache, source, monkeypatch, tmp_path):
    shutil.copy(real(NAME), source)
    shutil.copy(real("energy_4V9E_titanxp"), source)
    mine = tmp_path / "mine.tfrecord"
    shutil.copy(real("energy_4V9E_rtx3090"), mine)
    os.utime(mine, (1, 1))
    expected = official.table_of_published(NAME).values("energy", 4), official.table_of_file(mine).values("energy", 4)
    row = official.row_of_hash(ecnas.load("surrogate-4V"), ecnas.Space("4V")[3].hash)
    os.utime(mine, (2, 2))  # its digest has to be computed again, and cannot be noted
    before = sorted((path, path.stat().st_mtime_ns) for path in cache.rglob("*"))

    def refuse(path, *arguments, **keywords):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(files, "_new_file", refuse)
    monkeypatch.setattr(files, "_new_folder", refuse)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (official.table_of_published(NAME).values("energy", 4) == expected[0])[:5].all()
        assert (official.table_of_file(mine).values("energy", 4) == expected[1])[:5].all()
        assert official.row_of_hash(ecnas.load("surrogate-4V"), ecnas.Space("4V")[3].hash) == row == 3
    with pytest.raises(FetchError, match="cache folder .* cannot be written .*Read-only.*ECNAS_CACHE can name another"):
        fetch("energy_4V9E_titanxp")
    assert sorted((path, path.stat().st_mtime_ns) for path in cache.rglob("*")) == before


def test_a_cache_folder_that_is_a_file(tmp_path, monkeypatch, source):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path / "file"))
    with pytest.raises(FetchError, match="cannot be written .*ECNAS_CACHE can name another one"):
        fetch(NAME)
    assert official.row_of_hash(ecnas.load("surrogate-4V"), ecnas.Space("4V")[3].hash) == 3


def test_cached_hashes_that_have_changed_are_told_and_made_anew(cache):
    cell = ecnas.Space("4V")[90]
    benchmark = ecnas.load("surrogate-4V")
    assert official.row_of_hash(benchmark, cell.hash) == 90
    path = cache / "hashes" / "4V.npy"
    for content in (path.read_bytes()[:-1] + b"?", path.read_bytes()[:-1], b"", b"\x80\x04."):
        path.write_bytes(content)
        with pytest.warns(UserWarning, match="cached hashes .* are damaged and are made anew"):
            assert official.row_of_hash(benchmark, cell.hash) == 90
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert official.row_of_hash(benchmark, cell.hash) == 90
