"""Writes a table in the published format.

A table that was made from a file gives the same file again, byte for byte. Any other table (the embedded ones, your
own) is written from its columns: one row per cell, number of epochs and repeat, with the metrics in the last of three
evaluations, where the publisher's reader expects them. The format has no field for provenance;
:func:`ecnas.official.table_of_file` treats metrics without traces of a measurement as a surrogate's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
from tqdm import tqdm

from ecnas.official.messages import FIGURE_FIELDS, write_message
from ecnas.official.records import write_records
from ecnas.official.rows import Row, write_row
from ecnas.official.source import Source, has_source
from ecnas.table import Table

_CHUNK: Final = 8192

MessageWriter = Callable[[Mapping[str, float], int, int], bytes]
"""Writes a metrics message of a training's figures by name, its epochs, and the cell's trainable parameters."""


def export(table: Table, path: Path) -> int:
    """Writes a table to a ``.tfrecord`` file, atomically.

    Args:
        table: Any table.
        path: The file; an existing one is replaced.

    Returns:
        The number of rows written.

    Raises:
        TensorFlowMissingError: tensorflow is not installed.
        OSError: The file cannot be written.
    """
    if has_source(table):
        source = Source(table)
        return write_rows(path, _source_records(source), len(source))
    rows = (len(table.space) - len(table.missing)) * len(table.epochs) * table.repeats
    return write_rows(path, column_records(table), rows)


def write_rows(path: Path, records: Iterator[bytes], total: int) -> int:
    """Writes records with a progress bar; returns how many."""
    with tqdm(records, total=total, desc=path.name, unit=" rows", disable=None, delay=1) as progress:
        return write_records(path, progress)


def _source_records(source: Source) -> Iterator[bytes]:
    for first in range(0, len(source), _CHUNK):
        for row in source.part(first, first + _CHUNK):
            yield row if isinstance(row, bytes) else write_row(row)


def column_records(table: Table, message: MessageWriter = write_message) -> Iterator[bytes]:
    """The rows of a table, made from its columns.

    Args:
        table: Any table.
        message: The function that writes the metrics message of a row.
    """
    space = table.space
    parameters = space.trainable_parameters
    cells = space.cells
    names = [name for name in FIGURE_FIELDS if name in table.columns]
    trainings = [
        (epochs, np.stack([table.values(name, epochs, repeat) for name in names], axis=1))
        for epochs in table.epochs
        for repeat in range(table.repeats)
    ]
    for row, (num_vertices, edge_bits, op_code) in enumerate(zip(*(array.tolist() for array in cells), strict=True)):
        if row in table.missing:
            continue
        module_hash = space[row].hash
        for epochs, figures in trainings:
            values = figures[row].tolist()
            if all(map(math.isnan, values)):  # cells may have been trained unequally often
                continue
            written = message(dict(zip(names, values, strict=True)), epochs, int(parameters[row]))
            yield write_row(Row(module_hash, epochs, num_vertices, edge_bits, op_code, written))
