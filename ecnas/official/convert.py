"""Converts a published file, or any file in its format, to a memory-mapped table.

Records are streamed: tensorflow reads them and checks their CRC in one process while this one parses, checks and stores
them. So a file of any size needs little memory. The checks: every cell is in the space, the published number of
parameters is exact, each cell has one hash and it is the cell's module hash, metrics are possible
(:func:`ecnas.table.impossible`), and the table is not much larger than its records.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, NoReturn

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ecnas.encoding import to_frame
from ecnas.errors import CorruptFileError
from ecnas.isomorphism import NOT_A_CELL
from ecnas.official.blocks import Rows, parse_block
from ecnas.official.catalogue import PublishedFile
from ecnas.official.hashes import are_all_hashes
from ecnas.official.messages import FIGURE_FIELDS
from ecnas.official.records import FRAME_BYTES, RecordBlock, read_blocks
from ecnas.official.source import MESSAGES_FILE, ROW, ROWS_FILE
from ecnas.space import SPACES, Space
from ecnas.table import Column, Provenance, Table, allowed_metrics, impossible

_LARGEST: Final = Space("7V")

_MOST_ENTRIES: Final = 1 << 23
_MOST_ENTRIES_PER_RECORD: Final = 64
"""Maximum number of entries of a sparse column: that of the largest space at four numbers of epochs and three repeats.
More are allowed only if records fill them. So a file of some kilobytes cannot make a table of gigabytes."""

_SCALE_TOLERANCE: Final = 1e-6


def convert(
    path: Path,
    folder: Path,
    entry: PublishedFile | None,
    digest: str,
    *,
    called: Path | None = None,
    is_fast: bool = True,
) -> Table:
    """Writes a table's files into a folder.

    Args:
        path: The TFRecord file.
        folder: An existing, empty folder.
        entry: The catalogue's entry of a published file.
        digest: The file's SHA-256.
        called: Name of the file in messages, if ``path`` is a copy.
        is_fast: Whether rows that look alike are parsed together; the result does not depend on it.

    Returns:
        The table as written, in memory.

    Raises:
        CorruptFileError: The file is damaged or a row is wrong; the message names the record.
        TensorFlowMissingError: tensorflow is not installed.
    """
    called = called or path
    rows, epochs, is_measured = _store(path, folder, called, is_fast)
    if not len(rows):
        raise CorruptFileError(f"{called} holds no records")
    space = _space(called, rows, entry)
    all_epochs = np.unique(epochs)
    position = np.searchsorted(all_epochs, epochs).astype(np.int32)
    repeat, counts = _repeats(rows, position, len(all_epochs))
    if counts.min() < counts.max():
        _refuse_copies(called, folder)
    shape = (len(space), len(all_epochs), int(counts.max()))
    if math.prod(shape) > max(_MOST_ENTRIES, _MOST_ENTRIES_PER_RECORD * len(rows)):
        raise CorruptFileError(
            f"{called}: {len(rows):,} records name {shape[1]:,} numbers of epochs and up to {shape[2]:,} repeats; "
            f"a table of {shape[0]:,} cells × {shape[1]:,} × {shape[2]:,} would be nearly empty, and too large"
        )
    columns = {}
    for name in FIGURE_FIELDS:
        spilled = folder / f"{name}.tmp"
        figures = np.fromfile(spilled)
        spilled.unlink()
        if np.isnan(figures).all():
            continue
        values = np.full(shape, np.nan)
        values[rows, position, repeat] = figures
        columns[name] = Column(values)
    numbers = tuple(all_epochs.tolist())
    provenance = entry.provenance(numbers) if entry else _provenance(numbers, columns, epochs, is_measured)
    present = np.zeros(len(space), np.bool_)
    present[rows] = True
    table = Table(
        name=entry.name if entry else called.stem,
        space=space,
        epochs=numbers,
        repeats=shape[2],
        provenance=provenance,
        columns=columns,
        digest=digest,
        missing=frozenset(np.flatnonzero(~present).tolist()),
        notes=_notes(entry, called, counts),
    )
    table.write_into(folder)
    return table


def _store(
    path: Path, folder: Path, called: Path, is_fast: bool
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.bool_]]:
    """Parses, checks and stores all rows; returns the cell's row, the epochs and ``is_measured`` of each.

    Metrics wait on disk, one file per column, until the shape of the table is known.
    """
    checks = _Checks(called)
    found: list[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.bool_]]] = []
    stored_bytes = 0
    with (
        contextlib.ExitStack() as stack,
        # Silent where nobody looks, and for files that take no time.
        tqdm(total=path.stat().st_size, desc=called.name, unit="B", unit_scale=True, disable=None, delay=1) as progress,
    ):
        messages, sources = (stack.enter_context((folder / name).open("wb")) for name in (MESSAGES_FILE, ROWS_FILE))
        spilled = [stack.enter_context((folder / f"{name}.tmp").open("wb")) for name in FIGURE_FIELDS]
        for block in read_blocks(path, called=called):
            parsed = parse_block(block, called, is_fast)
            rows = checks.rows_of(block, parsed)
            _write_sources(sources, parsed, rows, stored_bytes)
            messages.write(parsed.stored)
            for file, figures in zip(spilled, parsed.figures.T, strict=True):
                file.write(figures.tobytes())
            stored_bytes += len(parsed.stored)
            found.append((rows, parsed.epochs, parsed.is_measured))
            progress.update(len(block.content) + FRAME_BYTES * len(block.lengths))
    checks.finish()
    if not found:
        nothing = np.zeros(0, np.int32)
        return nothing, nothing, np.zeros(0, np.bool_)
    return (
        np.concatenate([rows for rows, _, _ in found]),
        np.concatenate([epochs for _, epochs, _ in found]),
        np.concatenate([is_measured for _, _, is_measured in found]),
    )


def _write_sources(file: IO[bytes], parsed: Rows, rows: NDArray[np.int32], stored_bytes: int) -> None:
    entries = np.zeros(len(rows), ROW)
    entries["row"] = rows
    entries["epochs"] = parsed.epochs
    entries["hash"] = parsed.hashes
    entries["edge_bits"] = parsed.edge_bits
    entries["num_vertices"] = parsed.num_vertices
    entries["op_code"] = parsed.op_codes
    entries["is_verbatim"] = parsed.is_verbatim
    entries["offset"] = parsed.offsets + stored_bytes
    entries["length"] = parsed.lengths
    file.write(entries.tobytes())


@dataclass
class _Checks:
    """Finds the cells of rows and checks their published properties."""

    path: Path

    def __post_init__(self) -> None:
        self._is_known = np.zeros(len(_LARGEST), np.bool_)
        self._hashes = np.zeros((len(_LARGEST), 2), np.uint64)
        self._places = np.zeros((len(_LARGEST), 2), np.int64)  # number and offset of the first record of each cell

    def rows_of(self, block: RecordBlock, parsed: Rows) -> NDArray[np.int32]:
        """Rows of the cells in the largest space, int32 of shape (n,).

        Raises:
            CorruptFileError: A record contradicts known properties of its cell, or its metrics are impossible.
        """
        rows = _LARGEST.rows(to_frame(parsed.num_vertices.astype(np.int64), parsed.edge_bits), parsed.op_codes)
        self._refuse(block, rows == NOT_A_CELL, lambda i: "the cell is not connected or has more than 9 edges")
        exact = np.asarray(_LARGEST.trainable_parameters)[rows]
        given = parsed.parameters
        self._refuse(
            block,
            (given != exact) & (given != -1),
            lambda i: f"{given[i]} trainable parameters; the network of this cell has {exact[i]}",
        )
        for name, figures in zip(FIGURE_FIELDS, parsed.figures.T, strict=True):
            is_wrong = impossible(name, figures)
            if is_wrong.any():
                i = int(np.argmax(is_wrong))
                self._raise(block, i, f"{name} must be {allowed_metrics(name)}, got {float(figures[i])}")
        hashes = parsed.hashes.view(np.uint64)
        new, where = np.unique(rows, return_index=True)
        is_new = ~self._is_known[new]
        new, where = new[is_new], where[is_new]
        self._hashes[new] = hashes[where]
        self._is_known[new] = True
        self._places[new, 0] = block.number + where
        self._places[new, 1] = block.offset + block.starts[where] + FRAME_BYTES * where
        self._refuse(
            block,
            (self._hashes[rows] != hashes).any(axis=1),
            lambda i: f"hash {parsed.hashes[i].tobytes().hex()}; another record names the same cell otherwise",
        )
        return rows.astype(np.int32)

    def finish(self) -> None:
        """Checks the hashes of all cells that were found.

        Raises:
            CorruptFileError: One is not the module hash of its cell.
        """
        given = self._hashes.view(np.uint8).reshape(-1, 16)
        checked = 0  # what is known of a whole space saves computing it
        for space in map(Space, SPACES):
            if self._is_known[: len(space)].all() and are_all_hashes(given[: len(space)], space):
                checked = len(space)
        rows = np.flatnonzero(self._is_known[checked:]) + checked
        for row in tqdm(rows.tolist(), desc="checking hashes", unit=" cells", disable=None, delay=1):
            given_hash, exact_hash = given[row].tobytes().hex(), _LARGEST[row].hash
            if given_hash != exact_hash:
                number, offset = self._places[row].tolist()
                raise CorruptFileError(
                    f"{self.path}: record {number} at byte {offset}: hash {given_hash}; the module hash of this cell "
                    f"is {exact_hash}"
                )

    def _refuse(self, block: RecordBlock, is_wrong: NDArray[np.bool_], why: Callable[[int], str]) -> None:
        if is_wrong.any():
            i = int(np.argmax(is_wrong))
            self._raise(block, i, why(i))

    def _raise(self, block: RecordBlock, i: int, why: str) -> NoReturn:
        number, offset = block.place(i)
        raise CorruptFileError(f"{self.path}: record {number} at byte {offset}: {why}")


def _space(path: Path, rows: NDArray[np.int32], entry: PublishedFile | None) -> Space:
    """The catalogue's space, or the smallest that contains all cells."""
    largest = int(rows.max())
    if entry is not None:
        space = Space(entry.space)
        if largest >= len(space):
            raise CorruptFileError(f"{path} holds cells that are not in the space {entry.space}")
        return space
    return next(space for space in map(Space, SPACES) if largest < len(space))


def _repeats(
    rows: NDArray[np.int32], position: NDArray[np.int32], num_epochs: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """For each row of the file, which training of its cell to its epochs it is; and how many there are of each."""
    key = rows.astype(np.int64) * num_epochs + position
    order = np.argsort(key, kind="stable")
    key = key[order]
    first = np.flatnonzero(np.concatenate(([True], key[1:] != key[:-1])))
    counts = np.diff(np.append(first, len(key)))
    repeat = np.empty(len(key), np.int32)
    repeat[order] = np.arange(len(key)) - np.repeat(first, counts)
    return repeat, counts


def _refuse_copies(path: Path, folder: Path) -> None:
    """Refuses a record that repeats another byte for byte, if cells were not trained equally often.

    Raises:
        CorruptFileError: There is a repeated record.
    """
    sources = np.memmap(folder / ROWS_FILE, ROW, mode="r")
    messages = np.memmap(folder / MESSAGES_FILE, np.uint8, mode="r")
    seen: dict[tuple[int, int, bytes], int] = {}
    columns = (sources[name].tolist() for name in ("row", "epochs", "offset", "length"))
    for number, (row, epochs, offset, length) in enumerate(zip(*columns, strict=True)):
        content = hashlib.sha256(messages[offset : offset + length].tobytes()).digest()
        earlier = seen.setdefault((row, epochs, content), number)
        if earlier != number:
            raise CorruptFileError(f"{path}: record {number} is a copy of record {earlier}")


def _provenance(
    numbers: tuple[int, ...],
    columns: Mapping[str, Column],
    epochs: NDArray[np.int32],
    is_measured: NDArray[np.bool_],
) -> dict[int, Provenance]:
    """Infers the provenance of the metrics of an unknown file from its content.

    A file without energies is from NAS-Bench-101, so it is measured. Otherwise metrics count as a surrogate's, unless
    all their messages have traces of a measurement (start times of evaluations, power per device), as all published
    measurements do. Of these, energies that are exact multiples of those at the lowest number of epochs count as
    scaled.
    """
    energy = columns.get("energy")
    if energy is None:
        return dict.fromkeys(numbers, "measured")
    lowest = energy.values[:, 0, :] / numbers[0]
    result: dict[int, Provenance] = {}
    for i, number in enumerate(numbers):
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = energy.values[:, i, :] / number / lowest
        ratio = ratio[~np.isnan(ratio)]
        is_multiple = i > 0 and len(ratio) > 0 and bool((np.abs(ratio - 1) <= _SCALE_TOLERANCE).all())
        if not is_measured[epochs == number].all():
            result[number] = "surrogate"
        else:
            result[number] = "scaled" if is_multiple else "measured"
    return result


def _notes(entry: PublishedFile | None, path: Path, counts: NDArray[np.int64]) -> str:
    notes = []
    if entry is not None:
        notes.append(entry.notes)
    else:
        notes.append(f"Made from {path.name}; where its figures come from was judged from their bytes.")
    if counts.min() < counts.max():
        notes.append(f"Cells were trained {counts.min()} to {counts.max()} times.")
    return " ".join(notes)
