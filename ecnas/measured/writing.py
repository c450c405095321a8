"""Writes a table's trainings as CSV, JSON Lines or Parquet; :func:`ecnas.measured.read` recovers the same table.

One line for each training: ``hash``, ``adjacency`` and ``ops`` of the canonical cell, ``epochs``, ``repeat`` from 0,
the metrics with their units, ``trainable_parameters``, and ``provenance``; if the provenance of metrics differs, also
that of each metric. A missing metric is empty (CSV) or null.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from ecnas.files import replaced_file
from ecnas.measured.sources import PyarrowMissingError
from ecnas.table import COLUMNS, PROVENANCES, Table

NAMES: Final = {"energy": "energy_kwh", "co2": "co2_g", "training_time": "training_time_s"}
"""Columns whose name in a file gives their unit."""

SUFFIXES: Final = (".csv", ".jsonl", ".parquet", ".tfrecord")

_PART: Final = 1 << 14


def export(table: Table, path: Path) -> int:
    """Writes a table to a file atomically; an existing file is replaced.

    Args:
        table: Any table.
        path: The file. Its suffix decides: ``.csv``, ``.jsonl``, ``.parquet``, or ``.tfrecord`` for the published
            format (:mod:`ecnas.official.export`).

    Returns:
        The number of rows written.

    Raises:
        ValueError: The suffix is none of these.
        PyarrowMissingError, TensorFlowMissingError: The format needs a package that is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"the suffix must be one of {', '.join(SUFFIXES)}, got {str(path)!r}")
    if suffix == ".tfrecord":
        from ecnas.official.export import export as export_published

        return export_published(table, path)
    rows = _with_progress(table, path.name)
    if suffix == ".csv":
        return _write_csv(rows, path)
    if suffix == ".jsonl":
        return _write_json_lines(rows, path)
    return _write_parquet(rows, path)


def _with_progress(table: Table, name: str) -> Iterator[dict[str, Any]]:
    from tqdm import tqdm  # not needed to open a table

    cells = len(table.space) - len(table.missing)
    with tqdm(total=cells, desc=name, unit=" cells", disable=None, delay=1) as progress:
        for cell_rows in _rows_by_cell(table):
            yield from cell_rows
            progress.update()


def _rows_by_cell(table: Table) -> Iterator[list[dict[str, Any]]]:
    """The lines of each cell of the table."""
    columns = [name for name in COLUMNS if name in table.columns]
    trainings = list(itertools.product(table.epochs, range(table.repeats)))
    parameters = table.space.trainable_parameters
    for start in range(0, len(table.space), _PART):
        rows = np.arange(start, min(start + _PART, len(table.space)))
        metrics = {(name, *key): table.values(name, *key, rows).tolist() for name in columns for key in trainings}
        origins = {(name, *key): table.origins(name, *key, rows).tolist() for name in columns for key in trainings}
        for position, row in enumerate(rows.tolist()):
            if row in table.missing:
                continue
            cell = table.space[row]
            lines = []
            for epochs, repeat in trainings:
                found = {name: metrics[name, epochs, repeat][position] for name in columns}
                if all(metric != metric for metric in found.values()):
                    continue
                codes = {
                    name: origins[name, epochs, repeat][position] for name, metric in found.items() if metric == metric
                }
                line = {
                    "hash": cell.hash,
                    "adjacency": cell.adjacency.tolist(),
                    "ops": list(cell.ops),
                    "epochs": epochs,
                    "repeat": repeat,
                    **{NAMES.get(name, name): None if metric != metric else metric for name, metric in found.items()},
                    "trainable_parameters": parameters.item(row),
                    "provenance": PROVENANCES[max(codes.values())],
                }
                if table.is_mixed:
                    line |= {
                        f"{name}_provenance": PROVENANCES[codes[name]] if name in codes else None for name in columns
                    }
                lines.append(line)
            yield lines


def _write_csv(rows: Iterable[dict[str, Any]], path: Path) -> int:
    number = 0
    with replaced_file(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        for row in rows:
            if not number:
                writer.writerow(row)
            text = {**row, "adjacency": json.dumps(row["adjacency"]), "ops": ",".join(row["ops"])}
            writer.writerow(["" if value is None else value for value in text.values()])
            number += 1
    return number


def _write_json_lines(rows: Iterable[dict[str, Any]], path: Path) -> int:
    number = 0
    with replaced_file(path) as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")
            number += 1
    return number


def _write_parquet(rows: Iterator[dict[str, Any]], path: Path) -> int:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise PyarrowMissingError from error
    number, writer = 0, None
    with replaced_file(path, "wb") as file:
        while part := list(itertools.islice(rows, _PART)):
            if writer is None:
                schema = pyarrow.schema([(name, _parquet_type(pyarrow, name)) for name in part[0]])
                writer = pyarrow.parquet.ParquetWriter(file, schema)
            writer.write_table(pyarrow.Table.from_pylist(part, schema))
            number += len(part)
        if writer is not None:
            writer.close()
    return number


def _parquet_type(pyarrow: Any, name: str) -> Any:
    if name == "adjacency":
        return pyarrow.list_(pyarrow.list_(pyarrow.int8()))
    if name == "ops":
        return pyarrow.list_(pyarrow.string())
    if name in ("epochs", "repeat", "trainable_parameters"):
        return pyarrow.int64()
    return pyarrow.string() if name == "hash" or name.endswith("provenance") else pyarrow.float64()
