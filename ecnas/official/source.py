"""What a converted table keeps of the file that it was made from, beside its columns.

* ``source.bin``: one :data:`ROW` for each row of the file, in its order;
* ``messages.bin``: the metrics messages, found by ``offset`` and ``length``. A row that is not written as the publisher
  does is kept in full there, so that the file can always be written again byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecnas.errors import OutOfDomainError
from ecnas.official.rows import Row, read_row
from ecnas.table import Table

ROWS_FILE: Final = "source.bin"
MESSAGES_FILE: Final = "messages.bin"

ROW: Final = np.dtype(
    [
        ("row", "<i4"),  # of the cell in its space
        ("epochs", "<i4"),
        ("hash", "u1", 16),
        ("edge_bits", "<u4"),  # of the labelling in the file
        ("num_vertices", "u1"),
        ("op_code", "u1"),
        ("is_verbatim", "?"),
        ("offset", "<u8"),
        ("length", "<u4"),
    ]
)


class Source:
    """The rows that a table was made from.

    Args:
        table: A converted table.

    Raises:
        OutOfDomainError: The table was not made from a file.
    """

    def __init__(self, table: Table) -> None:
        if not has_source(table):
            raise OutOfDomainError(f"{table.name!r} was not made from a .tfrecord file: it has figures, no messages")
        assert table.folder is not None
        self.rows: NDArray[Any] = np.memmap(table.folder / ROWS_FILE, ROW, mode="r")
        self._messages: NDArray[np.uint8] = np.memmap(table.folder / MESSAGES_FILE, np.uint8, mode="r")

    def __len__(self) -> int:
        return len(self.rows)

    def find(self, row: int, epochs: int) -> list[int]:
        """Positions in the file of a cell's trainings to a number of epochs: one for each repeat, in order."""
        found: list[int] = np.flatnonzero((self.rows["row"] == row) & (self.rows["epochs"] == epochs)).tolist()
        return found

    def part(self, first: int, last: int) -> Iterator[bytes | Row]:
        """The rows from position ``first`` up to ``last``, in the order of the file; verbatim ones as they are."""
        entries = self.rows[first:last]
        hashes = np.ascontiguousarray(entries["hash"]).tobytes().hex()
        names = ("epochs", "num_vertices", "edge_bits", "op_code", "is_verbatim", "offset", "length")
        columns = (entries[name].tolist() for name in names)
        for i, (epochs, num_vertices, edge_bits, op_code, is_verbatim, offset, length) in enumerate(
            zip(*columns, strict=True)
        ):
            stored = self._messages[offset : offset + length].tobytes()
            if is_verbatim:
                yield stored
            else:
                yield Row(hashes[32 * i : 32 * (i + 1)], epochs, num_vertices, edge_bits, op_code, stored)

    def read(self, position: int) -> Row:
        """The row at a position in the file."""
        row = next(self.part(position, position + 1))
        return read_row(row) if isinstance(row, bytes) else row


def has_source(table: Table) -> bool:
    """Whether a table keeps the rows of the file that it was made from."""
    # A part of a table (``restrict``) has no folder of its own.
    return table.folder is not None and (table.folder / ROWS_FILE).is_file()
