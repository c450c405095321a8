"""Fetches the published files into the user's cache.

Two settings, each an environment variable that an argument overrides:

* ``ECNAS_SOURCE``: where the files come from, a web address or a local folder that holds them (as the publisher lays
  them out, with ``hardware/``, or all in one folder);
* ``ECNAS_CACHE``: the folder that keeps them and the tables made from them; the platform's cache folder by default.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from ecnas.errors import ChecksumError, ECNASError, UnknownNameError
from ecnas.official.catalogue import CATALOGUE, PublishedFile

# GitHub's address for the content of Git LFS objects; the files' ordinary addresses give the LFS pointers. Any mirror
# of the publisher's folder serves as well, for what counts is the checksum.
PUBLISHER: Final = (
    "https://media.githubusercontent.com/media/saintslab/EC-NAS-Bench/main/ecnas/ecnas/utils/data/tabular_benchmarks/"
)
SOURCE_VARIABLE: Final = "ECNAS_SOURCE"
CACHE_VARIABLE: Final = "ECNAS_CACHE"

_CHUNK: Final = 1 << 20
_LFS_POINTER: Final = b"version https://git-lfs"


class FetchError(ECNASError, OSError):
    """The source does not give the file."""


def cache_folder() -> Path:
    """The folder of fetched files and converted tables: ``ECNAS_CACHE``, or the platform's cache folder."""
    setting = os.environ.get(CACHE_VARIABLE)
    if setting:
        return Path(setting).expanduser()
    import platformdirs  # pooch's own choice (pooch.os_cache), without the time that importing pooch takes

    return Path(platformdirs.user_cache_dir("ecnas"))


def published(name: str) -> PublishedFile:
    """The catalogue's entry for a name.

    Raises:
        UnknownNameError: There is none; the message suggests the nearest name.
    """
    if name not in CATALOGUE:
        raise UnknownNameError("published file", name, CATALOGUE)
    return CATALOGUE[name]


def fetched_path(name: str) -> Path:
    """Where a published file lies in the cache, once it is fetched."""
    return cache_folder() / "files" / f"{published(name).name}.tfrecord"


def fetch(name: str, source: str | None = None) -> Path:
    """Fetches a published file, unless the cache has it.

    It is downloaded under a temporary name and takes its own after its checksum was found right, so that a broken
    download leaves nothing behind, and several processes may fetch at once.

    Args:
        name: A name of the catalogue.
        source: Where from; ``ECNAS_SOURCE`` or the publisher by default.

    Returns:
        The file's path in the cache.

    Raises:
        UnknownNameError: The catalogue has no such name.
        ChecksumError: What the source gives is not the published file.
        FetchError: The source cannot be reached, or does not have the file.
    """
    entry = published(name)
    target = fetched_path(name)
    if target.exists():
        found = sha256_of(target)
        if found == entry.sha256:
            return target
        warnings.warn(f"{target} is damaged (SHA-256 {found}) and is fetched again", stacklevel=2)
    import pooch
    import requests

    pooch.get_logger().setLevel(logging.WARNING)
    address, download = _download(entry, source or os.environ.get(SOURCE_VARIABLE) or PUBLISHER)

    def checked(url: str, output: str, asked_by: Any) -> None:
        download(url, output, asked_by)
        _check(Path(output), entry, address)

    keeper = pooch.create(
        target.parent, base_url="", registry={target.name: f"sha256:{entry.sha256}"}, urls={target.name: address}
    )
    try:
        keeper.fetch(target.name, downloader=checked)
    except requests.RequestException as error:
        raise FetchError(
            f"{entry.name} cannot be fetched from {address} ({error}); {SOURCE_VARIABLE} can name a mirror or a folder"
        ) from error
    return target


def _download(entry: PublishedFile, source: str) -> tuple[str, Callable[[str, str, Any], None]]:
    """The address of a file, and what downloads it."""
    scheme = urlsplit(source).scheme
    if scheme in ("http", "https"):
        import pooch

        address = source.rstrip("/") + "/" + entry.path
        return address, pooch.HTTPDownloader(progressbar=True)
    if scheme == "file":
        from urllib.request import url2pathname

        source = url2pathname(urlsplit(source).path)
    folder = Path(source).expanduser()
    candidates = [folder / entry.path, folder / Path(entry.path).name]
    for path in candidates:
        if path.is_file():
            return str(path), _copy
    raise FetchError(f"{entry.name}: there is no file {' or '.join(map(str, dict.fromkeys(candidates)))}")


def _copy(source: str, target: str, _: Any) -> None:
    with open(source, "rb") as original, open(target, "wb") as copy:
        shutil.copyfileobj(original, copy, _CHUNK)


def _check(path: Path, entry: PublishedFile, address: str) -> None:
    found = sha256_of(path)
    if found == entry.sha256:
        return
    with path.open("rb") as file:
        is_pointer = file.read(len(_LFS_POINTER)) == _LFS_POINTER
    hint = "; it is a Git LFS pointer, not the file itself" if is_pointer else ""
    raise ChecksumError(
        f"{address}: expected SHA-256 {entry.sha256} and {entry.size:,} bytes, found {found} and "
        f"{path.stat().st_size:,} bytes{hint}"
    )


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
