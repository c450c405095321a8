"""Benchmarks by name: embedded, published or a path."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
from pathlib import Path
from typing import Final

from ecnas.benchmark import Benchmark
from ecnas.coerce import whole
from ecnas.errors import UnknownNameError, shown
from ecnas.noise import noisy
from ecnas.space import SPACES, Space
from ecnas.table import Column, Table, open_table

EMBEDDED_FOLDER: Final = Path(__file__).parent / "data" / "surrogate"
EMBEDDED: Final = {f"surrogate-{name}": name for name in SPACES}


def load(name_or_path: str | os.PathLike[str], *, noise_seed: int | None = None) -> Benchmark:
    """Loads a benchmark; the same one twice is loaded once.

    Args:
        name_or_path: An embedded benchmark ("surrogate-4V", "surrogate-5V", "surrogate-7V"); the stem of a published
            file such as "energy_4V9E_linscale", which is found, or fetched if need be, and converted once; the name of
            an imported table (:func:`ecnas.measured.store`); or a path to a ``.tfrecord`` file or to the folder of a
            table. "surrogate-7V~7" is world 7 of the embedded benchmark.
        noise_seed: A world of an embedded benchmark (:mod:`ecnas.noise`): a whole number from 0. Without it the
            embedded benchmark answers with what is expected.

    Raises:
        UnknownNameError: No benchmark has this name and no file this path.
        ValueError: It is neither a name nor a path, the seed is not a whole number from 0, or the benchmark that is to
            have one is not an embedded one.
        CorruptFileError: The file or table is damaged.
        ChecksumError: A published file's bytes are not the published ones.
    """
    if not isinstance(name_or_path, (str, os.PathLike)):
        raise ValueError(f"benchmark must be a name or a path, got {shown(name_or_path)}")
    name = os.fspath(name_or_path)
    embedded, tilde, seed = name.partition("~")
    if tilde and embedded in EMBEDDED:
        if noise_seed is not None:
            raise ValueError(f"noise_seed must not be given with the name of a world, {name!r}, got {noise_seed!r}")
        if not re.fullmatch("0|[1-9][0-9]*", seed, re.ASCII):
            raise ValueError(f"a world must be named {embedded}~ and a whole number from 0, got {name!r}")
        return noisy(_load_embedded(EMBEDDED[embedded]), int(seed))
    if noise_seed is not None:
        if name not in EMBEDDED:
            raise ValueError(f"noise_seed must be given with one of {[*EMBEDDED]}, got {name!r}")
        return noisy(_load_embedded(EMBEDDED[name]), whole("noise_seed", noise_seed, 0))
    if name in EMBEDDED:
        return _load_embedded(EMBEDDED[name])
    if (folder := _imported(name)) is not None:
        return _load_folder(folder, (folder / "table.json").stat().st_mtime_ns)
    path = Path(name)
    if path.exists():
        return _load_path(path.resolve())
    return _load_published(name)


@functools.cache
def _load_embedded(space_name: str) -> Benchmark:
    return Benchmark(restrict(open_table(EMBEDDED_FOLDER), Space(space_name), f"surrogate-{space_name}"))


def _imported(name: str) -> Path | None:
    """The folder of an imported table, if there is one of this name (:mod:`ecnas.measured.store`)."""
    if os.sep in name or not name:
        return None
    from ecnas.measured.store import folder_of

    folder = folder_of(name)
    return folder if (folder / "table.json").is_file() else None


@functools.lru_cache(maxsize=32)
def _load_folder(folder: Path, modified: int) -> Benchmark:
    return Benchmark(open_table(folder))


@functools.lru_cache(maxsize=32)
def _load_path(path: Path) -> Benchmark:
    if path.is_dir():
        return Benchmark(open_table(path))
    from ecnas.official import table_of_file

    return Benchmark(table_of_file(path))


@functools.cache
def _load_published(name: str) -> Benchmark:
    from ecnas.measured.store import stored_names
    from ecnas.official import CATALOGUE, table_of_published

    if name not in CATALOGUE:
        raise UnknownNameError("benchmark (and no such path)", name, [*EMBEDDED, *stored_names(), *CATALOGUE])
    return Benchmark(table_of_published(name))


def restrict(table: Table, space: Space, name: str) -> Table:
    """The part of a table that a smaller space holds: its first rows, without copying them."""

    def cut(column: Column) -> Column:
        values, origins = column.values, column.provenance
        return dataclasses.replace(
            column,
            values=values[: len(space)] if values.shape[0] > 1 else values,
            provenance=origins[: len(space)] if origins is not None and origins.shape[0] > 1 else origins,
        )

    return dataclasses.replace(
        table,
        name=name,
        space=space,
        columns={key: cut(column) for key, column in table.columns.items()},
        missing=frozenset(row for row in table.missing if row < len(space)),
        folder=table.folder if len(space) == len(table.space) else None,
    )
