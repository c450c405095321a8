"""Finds a cell by its published hash.

A converted table has the hashes of its cells from its file. For other tables the hashes of the whole space are computed
once, which takes a minute or two for 7V, and kept in the cache folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import warnings
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecnas.benchmark import Benchmark
from ecnas.errors import OutOfDomainError, shown
from ecnas.files import clear_leftovers, open_regular, replaced_file
from ecnas.official.fetch import cache_folder
from ecnas.official.source import Source, has_source
from ecnas.space import SPACES, Space

_HASH: Final = re.compile("[0-9a-f]{32}")


def row_of_hash(benchmark: Benchmark, module_hash: str) -> int:
    """Row of the cell that has a published module hash.

    Args:
        benchmark: The benchmark to search.
        module_hash: 32 hexadecimal digits.

    Raises:
        ValueError: It is not a hash.
        OutOfDomainError: No cell of the benchmark's space has this hash.
    """
    wanted = module_hash.strip().lower() if isinstance(module_hash, str) else ""
    if not _HASH.fullmatch(wanted):
        raise ValueError(f"hash must be 32 hexadecimal digits, got {shown(module_hash)}")
    digits = np.frombuffer(bytes.fromhex(wanted), np.uint8)
    if has_source(benchmark.table):
        source = Source(benchmark.table)
        found = np.flatnonzero((source.rows["hash"] == digits).all(axis=1))
        if len(found):
            return int(source.rows["row"][found[0]])
    # A small space is the beginning of a large one, and done in a second.
    spaces = [name for name in SPACES if len(Space(name)) <= len(benchmark.space)]
    for name in spaces:
        found = np.flatnonzero((hashes_of(Space(name)) == digits).all(axis=1))
        if len(found):
            return int(found[0])
    raise OutOfDomainError(f"hash {wanted} is of no cell of space {benchmark.space.name}")


def rows_of_hashes(hashes: Sequence[str]) -> NDArray[np.int64]:
    """Rows of the cells with these published module hashes, in any space.

    Args:
        hashes: 32 hexadecimal digits each.

    Returns:
        int64, shape (hashes,); −1 for unknown hashes.
    """
    wanted = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8).reshape(-1, 16)
    rows = np.full(len(wanted), -1, dtype=np.int64)
    for name in SPACES:  # a small space is the beginning of a large one, and done in a second
        left = np.flatnonzero(rows < 0)
        if not len(left):
            break
        known = np.ascontiguousarray(hashes_of(Space(name))).view("V16").ravel()
        order = np.argsort(known)
        asked = np.ascontiguousarray(wanted[left]).view("V16").ravel()
        places = np.minimum(np.searchsorted(known, asked, sorter=order), len(known) - 1)
        found = known[order[places]] == asked
        rows[left[found]] = order[places[found]]
    return rows


def hashes_of(space: Space) -> NDArray[np.uint8]:
    """The hashes of all cells of a space, uint8 of shape (cells, 16)."""
    path = cache_folder() / "hashes" / f"{space.name}.npy"
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        try:
            with open_regular(path) as file:
                known: NDArray[np.uint8] = np.load(file, allow_pickle=False)
            if are_all_hashes(known, space):
                return known
            reason = "its bytes have changed"
        except (FileNotFoundError, NotADirectoryError):
            raise
        except Exception as error:  # numpy reads headers by Python's own parser, whose errors are of many kinds
            reason = str(error)
        warnings.warn(f"the cached hashes {path} are damaged and are made anew ({reason})", stacklevel=4)
    from tqdm import tqdm

    rows = tqdm(range(len(space)), desc=f"hashing the cells of {space.name}", unit=" cells", disable=None, delay=1)
    text = "".join(space[row].hash for row in rows)
    hashes = np.frombuffer(bytes.fromhex(text), np.uint8).reshape(-1, 16)
    with contextlib.suppress(OSError):  # a cache that cannot be written
        clear_leftovers(path.parent)
        with replaced_file(path, "wb") as file:
            np.save(file, hashes)
    return hashes


def are_all_hashes(hashes: NDArray[np.uint8], space: Space) -> bool:
    """Whether these are the hashes of all cells of a space, in row order."""
    if hashes.dtype != np.uint8 or hashes.shape != (len(space), 16):
        return False
    return hashlib.sha256(np.ascontiguousarray(hashes).tobytes()).hexdigest() == _DIGESTS[space.name]


_DIGESTS: Final = {
    "4V": "1909404831a1091658575937fe3c65fdd3cfb335143fd71f22e202b0e83a8005",
    "5V": "3e5c28e05c785aea67c8e247b3321bc827e89fa61d0baf7a61a75e699189d688",
    "7V": "1f4a7db984f8bb44da50e51b6c7e830bd26a761a39d60997ef500b7610ef0449",
}
"""SHA-256 of the hashes of all cells of each space: computing them all takes minutes, comparing them milliseconds."""
