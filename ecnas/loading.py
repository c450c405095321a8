"""Benchmarks by name: embedded, published or a path."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecnas.benchmark import Benchmark
from ecnas.coerce import whole
from ecnas.errors import CorruptFileError, UnknownNameError, shown
from ecnas.files import state_of
from ecnas.noise import noisy
from ecnas.space import SPACES, Space
from ecnas.table import HEADER, Column, Table, open_table

EMBEDDED_FOLDER: Final = Path(__file__).parent / "data" / "surrogate"
FRONTS: Final = "fronts.json"
EMBEDDED: Final = {f"surrogate-{name}": name for name in SPACES}


def load(name_or_path: str | os.PathLike[str], *, noise_seed: int | None = None) -> Benchmark:
    """Loads a benchmark. Repeated calls return the same object, until the file or table at its path changes.

    Args:
        name_or_path: An embedded benchmark ("surrogate-4V", "surrogate-5V", "surrogate-7V"); the stem of a published
            file such as "energy_4V9E_linscale", which is found or fetched, and converted once; the name of
            an imported table (:func:`ecnas.measured.store`); or a path to a ``.tfrecord`` file or to the folder of a
            table. "surrogate-7V~7" is world 7 of the embedded benchmark.
        noise_seed: A world of an embedded benchmark (:mod:`ecnas.noise`): a whole number from 0. Without it the
            embedded benchmark returns expected values.

    Raises:
        UnknownNameError: No benchmark has this name and no file this path.
        ValueError: It is neither a name nor a path, the seed is not a whole number from 0, or a seed is given
            for a benchmark that is not embedded.
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
        return _load_folder(folder, _states(folder))
    path = _existing(name)
    if path is None:
        return _load_published(name)
    if not path.is_dir():
        return _load_file(path, tuple(state_of(path)))
    if not (path / HEADER).exists():
        raise CorruptFileError(_no_table(path))
    return _load_folder(path, _states(path))


@functools.cache
def _load_embedded(space_name: str) -> Benchmark:
    table = restrict(open_table(EMBEDDED_FOLDER), Space(space_name), f"surrogate-{space_name}")
    return Benchmark(table, _known_front(table))


def _known_front(table: Table) -> NDArray[np.int64] | None:
    """The stored exact front of an embedded benchmark, which takes about 20 ms to compute; None for another table.

    It is stored beside the table but is not part of it: the table's digest is that of its metrics.
    """
    known = json.loads((EMBEDDED_FOLDER / FRONTS).read_text(encoding="utf-8"))
    return np.array(known["fronts"][table.space.name], dtype=np.int64) if known["digest"] == table.digest else None


def _imported(name: str) -> Path | None:
    """The folder of an imported table, if there is one of this name (:mod:`ecnas.measured.store`)."""
    from ecnas.measured.store import folder_of, is_name

    if not is_name(name):
        return None
    folder = folder_of(name)
    return folder if (folder / "table.json").is_file() else None


def _existing(name: str) -> Path | None:
    """The path, if it exists."""
    try:
        path = Path(name).expanduser()
        return path.resolve() if name and path.exists() else None
    except (OSError, RuntimeError, ValueError):  # too long for a path, no such home, a character that no path has
        return None


def _states(folder: Path) -> tuple[object, ...]:
    """What differs when a file of a folder was written or replaced."""
    return tuple((entry.name, *state_of(entry)) for entry in sorted(folder.iterdir()) if not entry.name.startswith("."))


# What lies at a path is loaded again when it has changed; so these are not asked by the path alone.


@functools.lru_cache(maxsize=32)
def _load_folder(folder: Path, states: tuple[object, ...]) -> Benchmark:
    table = open_table(folder)
    table.check_metrics()
    return Benchmark(table)


@functools.lru_cache(maxsize=32)
def _load_file(path: Path, state: tuple[int, ...]) -> Benchmark:
    if path.name == HEADER:
        raise CorruptFileError(f"{path} is a part of a table: load its folder {path.parent}")
    from ecnas.official import table_of_file

    return Benchmark(table_of_file(path))


def _no_table(folder: Path) -> str:
    files = sorted(path.name for path in folder.rglob("*.tfrecord"))
    if not files:
        return f"{folder} holds no table ({HEADER})"
    some = ", ".join(files[:3]) + (", …" if len(files) > 3 else "")
    return (
        f"{folder} holds no table ({HEADER}), but {some}: load one of these files, or load published ones by name with "
        f"ECNAS_SOURCE={folder}"
    )


@functools.cache
def _load_published(name: str) -> Benchmark:
    from ecnas.measured.store import stored_names
    from ecnas.official import CATALOGUE, table_of_published

    if name not in CATALOGUE:
        raise UnknownNameError("benchmark (and no such path)", name, [*EMBEDDED, *stored_names(), *CATALOGUE])
    return Benchmark(table_of_published(name))


def restrict(table: Table, space: Space, name: str) -> Table:
    """The part of a table that belongs to a smaller space: its first rows, without copying."""

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
