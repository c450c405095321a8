"""The converted tables in the user's cache, one folder for each file, named by the file's SHA-256.

A private copy is hashed and converted, so the original may change meanwhile. Beside the table, ``files.json`` has the
state (size, times) and SHA-256 of each of its files. Files with the recorded state are trusted, so a table opens at
once; others are checked by their SHA-256. A damaged table is reported and remade. A read-only cache still serves its
tables.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from ecnas.errors import CorruptFileError
from ecnas.files import clear_leftovers, private_copy, replaced_folder, sha256_of, state_of, write_text
from ecnas.official.catalogue import BY_DIGEST
from ecnas.official.fetch import cache_folder, fetch, published, writable_cache
from ecnas.official.kinds import check_records
from ecnas.table import Table, open_table

_NOTED: Final = "files.json"
_CONVERSION: Final = 2  # to be raised when converted tables change
_TRIES: Final = 3
_SETTLED_SECONDS: Final = 2.0
"""A file written more recently than this may change without a change of its times."""


def table_of_published(name: str) -> Table:
    """The table of a published file: from the cache, or converted after fetching if necessary.

    Raises:
        UnknownNameError: The catalogue has no such name.
        FetchError, ChecksumError: The file cannot be fetched.
        TensorFlowMissingError: It must be converted, and tensorflow is not installed.
    """
    digest = published(name).sha256
    return _cached(lambda: digest, lambda: fetch(name))


def table_of_file(path: Path) -> Table:
    """The table of any file in the published format: from the cache if the same file was converted before.

    The table's name is the file's stem. Its space is the smallest that contains all of its cells. The provenance of the
    metrics is known for a published file, and otherwise inferred from its content (:mod:`ecnas.official.convert`).

    Raises:
        FileNotFoundError: The file does not exist.
        CorruptFileError: It is damaged or not in the published format; the message names the record.
        TensorFlowMissingError: It has to be converted, and tensorflow is not installed.
    """
    whole = path.resolve()
    check_records(whole)
    table = _cached(lambda: _digest_of(whole), lambda: path)
    return table if table.digest in BY_DIGEST else replace(table, name=path.stem)


def table_folder(digest: str) -> Path:
    """The folder for the table of the file with this SHA-256."""
    return cache_folder() / "tables" / digest


def _digest_of(path: Path) -> str:
    """SHA-256 of a file, remembered as long as the file keeps its state."""
    state = state_of(path)
    memo = cache_folder() / "digests" / f"{hashlib.sha256(str(path).encode(errors='surrogateescape')).hexdigest()}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        noted = json.loads(memo.read_text(encoding="utf-8"))
        if noted["state"] == state:
            return str(noted["digest"])
    digest = sha256_of(path)
    if state_of(path) == state and time.time() - state[1] / 1e9 > _SETTLED_SECONDS:
        with contextlib.suppress(OSError):  # a cache that cannot be written
            clear_leftovers(memo.parent)
            write_text(memo, json.dumps({"state": state, "digest": digest}))
    return digest


def _cached(digest_of_file: Callable[[], str], path_of_file: Callable[[], Path]) -> Table:
    for _ in range(_TRIES):
        table = _open(table_folder(digest_of_file()))
        if table is not None:
            return table
        _make(path_of_file())
    raise CorruptFileError(
        f"{table_folder(digest_of_file())} is damaged right after it was made, or {path_of_file()} changes all the time"
    )


def _open(folder: Path) -> Table | None:
    """A converted table; None if it is missing, damaged or from an older version."""
    try:
        noted = json.loads((folder / _NOTED).read_text(encoding="utf-8"))
        if noted["conversion"] != _CONVERSION:
            return None
        files = dict(noted["files"])
        if extra := {path.name for path in folder.iterdir()} ^ {*files, _NOTED}:
            raise CorruptFileError(f"{folder}: {', '.join(sorted(extra))} should not be there, or is missing")
        has_moved = False
        for name, (state, digest) in files.items():
            if state_of(folder / name)[:-1] != state:
                has_moved = True
                if sha256_of(folder / name) != digest:
                    raise CorruptFileError(f"{folder / name}: its bytes have changed")
        table = open_table(folder)
        if has_moved:
            with contextlib.suppress(OSError):  # a cache that cannot be written
                _note(folder, {name: digest for name, (_, digest) in files.items()})
        return table
    except FileNotFoundError as error:
        if not folder.exists():
            return None
        reason: Exception = error
    except (CorruptFileError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = error
    warnings.warn(f"the cached table is damaged and is made anew ({reason})", stacklevel=5)
    return None


def _make(path: Path) -> None:
    """Converts a file into a new folder, which replaces the old one when it is complete."""
    from ecnas.official.convert import convert  # not needed to open a table

    tables = cache_folder() / "tables"
    with writable_cache():
        tables.mkdir(parents=True, exist_ok=True)
        clear_leftovers(tables)
        with private_copy(path, tables) as (copy, digest):
            folder = table_folder(digest)
            # One that is there by then stays, if it is good: others may have it open.
            with replaced_folder(folder, keep=lambda: _is_good(folder)) as temporary:
                convert(copy, temporary, BY_DIGEST.get(digest), digest, called=path)
                _note(temporary, {made.name: sha256_of(made) for made in sorted(temporary.iterdir())})


def _is_good(folder: Path) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _open(folder) is not None


def _note(folder: Path, digests: dict[str, str]) -> None:
    # Without the number of the file, which a copy of the cache does not share.
    files = {name: (state_of(folder / name)[:-1], digest) for name, digest in digests.items()}
    write_text(folder / _NOTED, json.dumps({"conversion": _CONVERSION, "files": files}, indent=1) + "\n")
