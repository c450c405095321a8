from __future__ import annotations

import functools
import http.server
import multiprocessing
import shutil
import threading

import pytest
from conftest import needs_official
from published import OFFICIAL

import ecnas
from ecnas import ChecksumError, UnknownNameError
from ecnas.official import CATALOGUE, cache_folder, fetch
from ecnas.official import fetch as fetch_function
from ecnas.official.fetch import FetchError, fetched_path, sha256_of

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
    import pooch

    assert cache_folder() == pooch.os_cache("ecnas")


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
        with pytest.raises(FetchError, match="404.*ECNAS_SOURCE"):
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
    with pytest.raises(ChecksumError, match="it is a Git LFS pointer"):
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
