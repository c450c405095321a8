"""The converted tables in the user's cache, one folder for each file, named by the file's SHA-256.

Beside the table lies ``files.json``: size, modification time and SHA-256 of each of its files. What has the noted size
and time is taken as it is, so that a table opens at once; what differs is checked by its SHA-256. A damaged table is
told of and made anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from ecnas.errors import CorruptFileError
from ecnas.official.catalogue import BY_DIGEST
from ecnas.official.fetch import cache_folder, fetch, published, sha256_of
from ecnas.table import Table, open_table

_NOTED: Final = "files.json"
_CONVERSION: Final = 1  # to be raised when converted tables change
_TRIES: Final = 3
_STALE_SECONDS: Final = 24 * 3600


def table_of_published(name: str) -> Table:
    """The table of a published file: from the cache, else converted, and fetched before if need be.

    Raises:
        UnknownNameError: The catalogue has no such name.
        FetchError, ChecksumError: The file cannot be had.
        TensorFlowMissingError: It has to be converted, and tensorflow is not installed.
    """
    return _cached(published(name).sha256, lambda: fetch(name))


def table_of_file(path: Path) -> Table:
    """The table of any file in the published format: from the cache if the same file was converted before.

    The table's name is the file's stem. Its space is the smallest that holds all of its cells. Where the figures come
    from is known of a published file, and otherwise judged from its content (:mod:`ecnas.official.convert`).

    Raises:
        FileNotFoundError: There is no such file.
        CorruptFileError: It is damaged or not in the published format; the message names the record.
        TensorFlowMissingError: It has to be converted, and tensorflow is not installed.
    """
    table = _cached(_digest_of(path.resolve()), lambda: path)
    return table if table.digest in BY_DIGEST else replace(table, name=path.stem)


def table_folder(digest: str) -> Path:
    """Where the table of the file with this SHA-256 lies, once it is converted."""
    return cache_folder() / "tables" / digest


def _digest_of(path: Path) -> str:
    """SHA-256 of a file, remembered as long as the file keeps its size and modification time."""
    found = path.stat()
    state = [str(path), found.st_size, found.st_mtime_ns]
    memo = cache_folder() / "digests" / f"{hashlib.sha256(str(path).encode()).hexdigest()}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        noted = json.loads(memo.read_text(encoding="utf-8"))
        if noted["state"] == state:
            return str(noted["digest"])
    digest = sha256_of(path)
    memo.parent.mkdir(parents=True, exist_ok=True)
    temporary = memo.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps({"state": state, "digest": digest}), encoding="utf-8")
    temporary.replace(memo)
    return digest


def _cached(digest: str, path_of_file: Callable[[], Path]) -> Table:
    folder = table_folder(digest)
    for _ in range(_TRIES):
        table = _open(folder)
        if table is not None:
            return table
        _make(folder, digest, path_of_file())
    raise CorruptFileError(f"{folder} is damaged again and again right after it was made")


def _open(folder: Path) -> Table | None:
    """A converted table, or None if there is none, or only one that an older version made or that is damaged."""
    try:
        noted = json.loads((folder / _NOTED).read_text(encoding="utf-8"))
        if noted["conversion"] != _CONVERSION:
            return None
        for name, (size, modified, digest) in noted["files"].items():
            found = (folder / name).stat()
            if (found.st_size, found.st_mtime_ns) != (size, modified) and sha256_of(folder / name) != digest:
                raise CorruptFileError(f"{folder / name}: its bytes have changed")
        return open_table(folder)
    except FileNotFoundError as error:
        if not folder.exists():
            return None
        reason: Exception = error
    except (CorruptFileError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = error
    warnings.warn(f"the cached table is damaged and is made anew ({reason})", stacklevel=4)
    return None


def _make(folder: Path, digest: str, path: Path) -> None:
    """Converts a file into a new folder that takes its place when it is complete."""
    from ecnas.official.convert import convert  # not needed to open a table

    folder.parent.mkdir(parents=True, exist_ok=True)
    _clear_stale(folder.parent)
    temporary = Path(tempfile.mkdtemp(prefix=".", suffix=".tmp", dir=folder.parent))
    try:
        convert(path, temporary, BY_DIGEST.get(digest), digest)
        _note(temporary)
        temporary.chmod(0o755)
        _take_place(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _note(folder: Path) -> None:
    files = {}
    for path in sorted(folder.iterdir()):
        found = path.stat()
        files[path.name] = (found.st_size, found.st_mtime_ns, sha256_of(path))
    text = json.dumps({"conversion": _CONVERSION, "files": files}, indent=1)
    (folder / _NOTED).write_text(text + "\n", encoding="utf-8")


def _take_place(temporary: Path, folder: Path) -> None:
    """Renames the new folder. One that is there already stays, if it is good: others may have it open."""
    for _ in range(_TRIES):
        with contextlib.suppress(OSError):  # a folder that is not empty is never replaced
            os.rename(temporary, folder)
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if _open(folder) is not None:
                return  # another process was faster
        aside = Path(tempfile.mkdtemp(prefix=".", suffix=".tmp", dir=folder.parent))
        with contextlib.suppress(FileNotFoundError):
            os.replace(folder, aside)
        shutil.rmtree(aside, ignore_errors=True)
    raise OSError(f"{folder} cannot be replaced")


def _clear_stale(folder: Path) -> None:
    """Removes what a conversion that was killed has left."""
    for path in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
