"""The cells to train: from a file, a space, a run, or a run's recommendation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from ecnas.cell import Cell
from ecnas.errors import CorruptFileError, InvalidCellError
from ecnas.runs.record import RunRecord, cell_path
from ecnas.space import Space

CELL_FILE: Final = "cell.json"
RECORD_FILE: Final = "record.jsonl"


def read_winner(source: str) -> Cell:
    """Reads one cell.

    Args:
        source: A run, given as its folder or its record (``.jsonl``), with the recommended cell beside the record; a
            file such as ``cell.json``; or a published module hash.

    Raises:
        FileNotFoundError: The file does not exist.
        CorruptFileError: The file has no cell.
        OutOfDomainError: No cell has this hash.
    """
    if len(source) == 32 and all(digit in "0123456789abcdef" for digit in source.lower()):
        return _of_hash(source.lower())
    path = Path(source).expanduser()
    if path.is_dir():
        path /= CELL_FILE
    elif path.suffix == ".jsonl":
        path = cell_path(path)
    try:
        return Cell.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (json.JSONDecodeError, UnicodeDecodeError, InvalidCellError) as error:
        raise CorruptFileError(f"{path} has no cell ({error})") from error


def read_cells(path: Path) -> list[Cell]:
    """Reads the cells of a CSV, JSON Lines or Parquet file, each once, in the order of the file.

    A cell is named as in files of measurements (:func:`ecnas.measured.read`): by matrix and operations, by module hash,
    by row, … Other columns are ignored.

    Raises:
        FileNotFoundError: The file does not exist.
        MeasurementsError: A line has no cell; the message says which.
    """
    from ecnas.measured.cells import rows_of_cells
    from ecnas.measured.columns import understand
    from ecnas.measured.problems import Problems
    from ecnas.measured.sources import open_source

    source = open_source(path)
    problems = Problems(source.name)
    rows, _ = rows_of_cells(source, understand(source.columns, source.name), problems)
    problems.check()
    return _of_rows(rows)


def read_record(path: Path) -> list[Cell]:
    """The cells that a run evaluated, each once, in the order of the run; given a record or its folder."""
    record = RunRecord.load(path / RECORD_FILE if path.is_dir() else path)
    return _of_rows([int(row) for row in record.column("row")])


def _of_rows(rows: list[int]) -> list[Cell]:
    space = Space("7V")
    return [space[row] for row in dict.fromkeys(rows)]


def _of_hash(module_hash: str) -> Cell:
    from ecnas.errors import OutOfDomainError
    from ecnas.official.hashes import rows_of_hashes

    row = int(rows_of_hashes([module_hash])[0])
    if row < 0:
        raise OutOfDomainError(f"no cell has the hash {module_hash!r}")
    return Space("7V")[row]
