"""Fetches the published files into the user's cache.

Two settings, each an environment variable that an argument overrides:

* ``ECNAS_SOURCE``: the source of the files, a web address or a local folder (in the publisher's layout with
  ``hardware/``, or flat);
* ``ECNAS_CACHE``: the folder for the files and their tables; the platform's cache folder by default.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import url2pathname

from ecnas.coerce import one_of, shown
from ecnas.errors import ChecksumError, ECNASError
from ecnas.files import clear_leftovers, open_regular, replaced_file, sha256_of
from ecnas.official.catalogue import CATALOGUE, PublishedFile
from ecnas.official.kinds import HEAD_BYTES, kind_of

# GitHub's address for the content of Git LFS objects; the files' ordinary addresses give the LFS pointers. Any mirror
# of the publisher's folder serves as well, for what counts is the checksum.
PUBLISHER: Final = (
    "https://media.githubusercontent.com/media/saintslab/EC-NAS-Bench/main/ecnas/ecnas/utils/data/tabular_benchmarks/"
)
SOURCE_VARIABLE: Final = "ECNAS_SOURCE"
CACHE_VARIABLE: Final = "ECNAS_CACHE"

_CHUNK: Final = 1 << 20
_TIMEOUT: Final = (10.0, 30.0)
"""Seconds to wait for a connection, and for the next bytes."""
_SECONDS: Final = 60.0
_LEAST_RATE: Final = 50_000
"""A download may take a minute, plus its size divided by this many bytes per second."""


class FetchError(ECNASError, OSError):
    """The source does not provide the file, or the cache cannot store it."""


def cache_folder() -> Path:
    """The folder of fetched files and converted tables: ``ECNAS_CACHE``, or the platform's cache folder."""
    setting = os.environ.get(CACHE_VARIABLE)
    if setting:
        return Path(setting).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("ecnas"))


def published(name: str) -> PublishedFile:
    """The catalogue's entry for a name.

    Raises:
        UnknownNameError: The name is unknown; the message suggests the nearest one.
    """
    return CATALOGUE[one_of("published file", name, CATALOGUE)]


def fetched_path(name: str) -> Path:
    """The path of a published file in the cache."""
    return cache_folder() / "files" / f"{published(name).name}.tfrecord"


def fetch(name: str, source: str | None = None) -> Path:
    """Fetches a published file, unless the cache has it.

    It is downloaded under a temporary name and renamed once its checksum is verified. So a broken download leaves
    nothing behind, and several processes may fetch at once. A download is bounded by the published size and in time.

    Args:
        name: A name of the catalogue.
        source: The source; ``ECNAS_SOURCE`` or the publisher by default.

    Returns:
        The file's path in the cache.

    Raises:
        UnknownNameError: The catalogue has no such name.
        ChecksumError: The source does not have the published file.
        FetchError: The source cannot be reached, does not have the file, or is too slow; or the cache cannot be
            written.
    """
    entry = published(name)
    target = fetched_path(name)
    if target.exists():
        found = sha256_of(target)
        if found == entry.sha256:
            return target
        warnings.warn(f"{target} is damaged (SHA-256 {found}) and is fetched again", stacklevel=2)
    source = source or os.environ.get(SOURCE_VARIABLE) or PUBLISHER
    read = _read_web if urlsplit(source).scheme in ("http", "https") else _read_folder
    with writable_cache():
        clear_leftovers(target.parent)
        with replaced_file(target, "wb") as file:
            _save(read(entry, source), file, entry, _without_secrets(source))
    return target


@contextlib.contextmanager
def writable_cache() -> Iterator[None]:
    """Explains what to do if the cache folder cannot be written.

    Raises:
        FetchError: The body of the context cannot write.
    """
    try:
        yield
    except ECNASError:
        raise
    except OSError as error:
        raise FetchError(
            f"the cache folder {cache_folder()} cannot be written ({error}); {CACHE_VARIABLE} can name another one"
        ) from error


def _save(chunks: Iterator[bytes], file: IO[bytes], entry: PublishedFile, source: str) -> None:
    """Writes the bytes from a source, up to the published size, and checks them."""
    digest, size, head = hashlib.sha256(), 0, b""
    for chunk in chunks:
        size += len(chunk)
        head = head or chunk[:HEAD_BYTES]
        if size > entry.size:
            break
        digest.update(chunk)
        file.write(chunk)
    if digest.hexdigest() == entry.sha256 and size == entry.size:
        return
    kind = kind_of(head)
    found = f"more than {entry.size:,} bytes" if size > entry.size else f"{digest.hexdigest()} and {size:,} bytes"
    raise ChecksumError(
        f"{entry.name} from {source}: expected SHA-256 {entry.sha256} and {entry.size:,} bytes, found {found}"
        + (f"; it is {kind}, not the file itself" if kind else "")
    )


def _read_folder(entry: PublishedFile, source: str) -> Iterator[bytes]:
    """The bytes of a file in a folder, or at a ``file:`` address."""
    if urlsplit(source).scheme == "file":
        source = url2pathname(urlsplit(source).path)
    folder = Path(source).expanduser()
    candidates = [folder / entry.path, folder / Path(entry.path).name]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        raise FetchError(f"{entry.name}: there is no file {' or '.join(map(str, dict.fromkeys(candidates)))}")
    try:
        with open_regular(path) as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except OSError as error:
        raise FetchError(f"{entry.name}: {path} cannot be read ({error})") from error


def _read_web(entry: PublishedFile, source: str) -> Iterator[bytes]:
    """The bytes at a web address, decompressed if necessary, as they arrive."""
    import requests
    import urllib3
    from tqdm import tqdm

    parts = urlsplit(source)
    address = urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{entry.path}", fragment=""))
    deadline = time.monotonic() + _SECONDS + entry.size / _LEAST_RATE
    try:
        with (
            requests.get(address, stream=True, timeout=_TIMEOUT) as response,
            # Silent where nobody looks, and for files that take no time.
            tqdm(total=entry.size, desc=entry.name, unit="B", unit_scale=True, disable=None, delay=1) as progress,
        ):
            response.raise_for_status()
            # What has arrived, and no waiting for more: a source that drips must not keep us beyond the deadline.
            while chunk := response.raw.read1(_CHUNK, decode_content=True):
                yield chunk
                progress.update(len(chunk))
                if time.monotonic() > deadline:
                    raise FetchError(f"{_without_secrets(address)} gives less than {_LEAST_RATE:,} bytes a second")
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        # Without the error itself, whose text and traceback hold the whole address.
        raise FetchError(
            f"{entry.name} cannot be fetched from {_without_secrets(address)} ({_reason(error, address)}); "
            f"{SOURCE_VARIABLE} can name a mirror or a folder"
        ) from None


def _reason(error: Exception, address: str) -> str:
    """The reason of an error, without secrets in the address."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"{error.response.status_code} {error.response.reason}"
    cause: Any = error.args[0] if error.args else error
    cause = getattr(cause, "reason", None) or cause
    text = f"{type(error).__name__}: {cause}"
    parts = urlsplit(address)
    for secret in (parts.query, parts.username, parts.password):
        if secret:
            text = text.replace(secret, "***").replace(unquote(secret), "***")
    return shown(text, 300)[1:-1]


def _without_secrets(address: str) -> str:
    """An address without names, passwords and signatures, for messages."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https"):
        return address
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host, query="***" if parts.query else "", fragment=""))
