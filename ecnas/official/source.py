"""What a converted table keeps of the file that it was made from, beside its columns.

* ``source.bin``: one :data:`ROW` for each row of the file, in its order;
* ``messages.bin``: the metrics messages, found by ``offset`` and ``length``. A row that is not written as the publisher
  does is kept in full there, so that the file can always be written again byte for byte.
"""

from __future__ import annotations

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

    def stored(self, position: int) -> bytes:
        """The message at a position in the file, or the whole record of a verbatim row."""
        offset, length = int(self.rows["offset"][position]), int(self.rows["length"][position])
        return self._messages[offset : offset + length].tobytes()

    def read(self, position: int) -> Row:
        """The row at a position in the file."""
        stored = self.stored(position)
        entry = self.rows[position]
        if entry["is_verbatim"]:
            return read_row(stored)
        return Row(
            hash=entry["hash"].tobytes().hex(),
            epochs=int(entry["epochs"]),
            num_vertices=int(entry["num_vertices"]),
            edge_bits=int(entry["edge_bits"]),
            op_code=int(entry["op_code"]),
            message=stored,
        )


def has_source(table: Table) -> bool:
    """Whether a table keeps the rows of the file that it was made from."""
    # A part of a table (``restrict``) has no folder of its own.
    return table.folder is not None and (table.folder / ROWS_FILE).is_file()
