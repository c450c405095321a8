"""The cell of a line of measurements, from the columns that name it."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from ecnas import interchange, isomorphism
from ecnas.cell import Cell
from ecnas.encoding import MAX_VERTICES, bits_to_adjacency
from ecnas.errors import InvalidCellError
from ecnas.measured.columns import Column
from ecnas.measured.numbers import is_missing
from ecnas.measured.problems import MeasurementsError, Problems
from ecnas.measured.sources import Source
from ecnas.official.hashes import rows_of_hashes
from ecnas.space import SPACES, Space

_HASH: Final = re.compile(r"[0-9a-fA-F]{32}")

Reader = Callable[[Mapping[str, Any]], int]
"""The row of a line's cell, from its values; raises ValueError or IndexError if they are not a cell."""


def rows_of_cells(
    source: Source, columns: Sequence[Column], problems: Problems
) -> tuple[list[int], list[tuple[str, ...]]]:
    """Rows of the cells of all lines.

    If several columns name the cell, they must agree.

    Args:
        source: The lines.
        columns: What the columns mean.
        problems: Collects problems, by line.

    Returns:
        The rows, −1 where there is a problem; and each group of columns that names the cell.

    Raises:
        MeasurementsError: No column names cells.
    """
    readers = _readers(source, columns)
    if not readers:
        raise MeasurementsError(
            f"{source.name} has no column that names the cell: adjacency and ops, edge_bits and num_vertices and ops, "
            f"hash, row or cell; it has {', '.join(map(repr, source.columns))}"
        )
    rows = []
    for line in source.lines:
        found: dict[tuple[str, ...], int] = {}
        for group, reader in readers.items():
            try:
                row = reader(line.values)
            except _NothingSaidError:
                continue
            except (ValueError, LookupError, TypeError) as error:
                problems.add(f"{line.where}: {error}")
                found = {group: -1}
                break
            found[group] = row
        if not found:
            problems.add(f"{line.where}: no cell is said ({' and '.join(group[0] for group in readers)} empty)")
        elif len(set(found.values())) > 1:
            said = ", ".join(f"{group[0]} says row {row}" for group, row in found.items())
            problems.add(f"{line.where}: the columns name different cells: {said}")
        rows.append(next(iter(found.values()), -1))
    return rows, list(readers)


class _NothingSaidError(Exception):
    """The columns are empty in this line."""


def _readers(source: Source, columns: Sequence[Column]) -> dict[tuple[str, ...], Reader]:
    named = {column.meaning: column.name for column in columns}
    pieces = [column.name for column in columns if column.meaning == "piece"]
    readers: dict[tuple[str, ...], Reader] = {}

    def add(reader: Callable[..., int], *meanings: str) -> None:
        if named.keys() >= set(meanings):
            names = tuple(named[meaning] for meaning in meanings)
            readers[names] = functools.partial(reader, *names)

    add(_by_cell, "cell")
    if "hash" in named:
        readers[(named["hash"],)] = _ByHash(source, named["hash"])
    add(_by_matrix, "adjacency", "ops")
    add(_by_bits, "num_vertices", "edge_bits", "ops")
    add(_by_row, "row")
    if pieces and (reader := _of_pieces(pieces)):
        readers[tuple(pieces)] = functools.partial(_by_pieces, reader, tuple(pieces))
    return readers


def _of_pieces(pieces: Sequence[str]) -> Callable[[Mapping[str, Any]], Cell] | None:
    if "op_node_0" in pieces:
        return interchange.from_hpobench
    if "edge_0_1" in pieces:
        return interchange.from_parameters
    if "input1" in pieces:
        return interchange.from_nni
    return None


def _row(cell: Cell) -> int:
    if cell.row == isomorphism.NOT_A_CELL:
        raise InvalidCellError(
            f"the cell has {cell.num_edges} edges after pruning; the largest space allows {isomorphism.MAX_EDGES}"
        )
    return cell.row


def _by_cell(name: str, values: Mapping[str, Any]) -> int:
    given: Any = values.get(name)
    if is_missing(given):
        raise _NothingSaidError
    if isinstance(given, Cell):
        return _row(given)
    if isinstance(given, str):
        text = given.strip()
        if _HASH.fullmatch(text):
            return int(rows_of_hashes([text])[0])
        try:
            given = json.loads(text)
        except ValueError:
            raise ValueError(f"{name} must be a module hash or a cell in JSON, got {text!r:.80}") from None
    return _row(Cell.from_dict(given))  # which says what a dictionary must have


def _by_matrix(adjacency: str, ops: str, values: Mapping[str, Any]) -> int:
    matrix, names = values.get(adjacency), values.get(ops)
    if is_missing(matrix):
        raise _NothingSaidError
    if isinstance(matrix, str) and isinstance(names, str):
        return _row_of_texts(matrix, names)
    return _row(interchange.read_cell(matrix, names))


@functools.lru_cache(maxsize=1 << 16)
def _row_of_texts(adjacency: str, ops: str) -> int:
    """The trainings of a cell are on many lines."""
    return _row(interchange.read_cell(adjacency, ops))


def _by_bits(num_vertices: str, edge_bits: str, ops: str, values: Mapping[str, Any]) -> int:
    if is_missing(values.get(edge_bits)):
        raise _NothingSaidError
    vertices, bits = _whole(num_vertices, values.get(num_vertices)), _whole(edge_bits, values[edge_bits])
    if not 2 <= vertices <= MAX_VERTICES:
        raise ValueError(f"{num_vertices} must be from 2 to {MAX_VERTICES}, got {vertices}")
    if not 0 <= bits < 1 << vertices * (vertices - 1) // 2:
        raise ValueError(
            f"{edge_bits} of {vertices} vertices must be below 2^{vertices * (vertices - 1) // 2}, got {bits}"
        )
    return _row(interchange.read_cell(bits_to_adjacency(vertices, bits), values.get(ops)))


def _by_row(name: str, values: Mapping[str, Any]) -> int:
    if is_missing(values.get(name)):
        raise _NothingSaidError
    row = _whole(name, values[name])
    most: int = SPACES["7V"].num_cells
    if not 0 <= row < most:
        raise ValueError(f"{name} must be the number of a cell, from 0 to {most - 1}, got {row}")
    return row


def _by_pieces(reader: Callable[[Mapping[str, Any]], Cell], names: tuple[str, ...], values: Mapping[str, Any]) -> int:
    given = {name: values[name] for name in names if not is_missing(values.get(name))}
    if not given:
        raise _NothingSaidError
    return _row(reader({name: _number_or_text(value) for name, value in given.items()}))


def _number_or_text(value: Any) -> Any:
    """A value of a CSV file as in JSON: numbers and lists; 1.0 becomes a whole number."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return value.strip()
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _whole(name: str, value: Any) -> int:
    """A whole number, which may be written as 7.0.

    Raises:
        ValueError: It is not a whole number.
    """
    try:
        number = float(value)
        if isinstance(value, (bool, np.bool_)) or not number.is_integer():
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be a whole number, got {value!r:.80}") from None
    return int(number)


class _ByHash:
    """Finds cells by module hash, all of a file at once."""

    def __init__(self, source: Source, name: str) -> None:
        self._name = name
        texts = {str(line.values.get(name)).strip().lower() for line in source.lines}
        hashes = sorted(text for text in texts if _HASH.fullmatch(text))
        self._rows = dict(zip(hashes, rows_of_hashes(hashes).tolist(), strict=True))

    def __call__(self, values: Mapping[str, Any]) -> int:
        given = values.get(self._name)
        if is_missing(given):
            raise _NothingSaidError
        text = str(given).strip().lower()
        if not _HASH.fullmatch(text):
            raise ValueError(f"{self._name} must be 32 hexadecimal digits, got {given!r:.80}")
        row: int = self._rows[text]
        if row < 0:
            raise ValueError(f"{self._name} {text} belongs to no cell of space {Space('7V').name}")
        return row
