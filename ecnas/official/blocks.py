"""Parses thousands of published rows at once.

All writers of such files use the same library calls, so their rows look alike: ``json.dumps`` of five values and
``base64.encodebytes``, of messages with the same fields at the same places. Rows of this form are sliced out of the
block with numpy. All others go one by one through :mod:`ecnas.official.rows`, which also reports errors. The result is
the same; only the time differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecnas.encoding import MAX_INNER, MAX_VERTICES, OP_WEIGHTS, edge_bit
from ecnas.errors import CorruptFileError
from ecnas.official.messages import FIGURE_FIELDS, Layout, MessageError, layout_of
from ecnas.official.records import RecordBlock
from ecnas.official.rows import Row, RowError, read_row, write_row

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

_HEAD_BYTES: Final = len('["') + 32 + len('", ')
_LINE: Final = 76  # digits of a line of base64, which is followed by the two characters of an escaped line break
_BREAK: Final = 2
_MAX_DIGITS: Final = 4  # of epochs
_BAD: Final = 0xFFFF
_MAX_VARINT: Final = 5  # bytes of a positive int32
_MAX_LAYOUTS: Final = 64  # more in one block, and looking for them would take longer than reading row by row


@dataclass
class Rows:
    """The rows of a block.

    Attributes:
        hashes: uint8, shape (n, 16).
        epochs: int32, shape (n,).
        num_vertices: uint8, shape (n,): V of the matrix as it is written.
        edge_bits: uint32, shape (n,).
        op_codes: uint8, shape (n,).
        figures: float64, shape (n, 6): of the last evaluation, in the order of ``messages.FIGURE_FIELDS``.
        parameters: int64, shape (n,); −1 if the message has none.
        is_measured: bool, shape (n,): whether the message bears traces of a measurement.
        is_verbatim: bool, shape (n,): the row is not written as the publisher does, so ``stored`` holds all of it.
        stored: The messages (or whole rows) one after the other, in any order.
        offsets: int64, shape (n,): where each begins in ``stored``.
        lengths: int32, shape (n,).
    """

    hashes: Bytes
    epochs: NDArray[np.int32]
    num_vertices: Bytes
    edge_bits: NDArray[np.uint32]
    op_codes: Bytes
    figures: NDArray[np.float64]
    parameters: Ints
    is_measured: NDArray[np.bool_]
    is_verbatim: NDArray[np.bool_]
    stored: bytearray
    offsets: Ints
    lengths: NDArray[np.int32]

    @classmethod
    def empty(cls, n: int) -> Rows:
        """Room for n rows."""
        return cls(
            hashes=np.zeros((n, 16), np.uint8),
            epochs=np.zeros(n, np.int32),
            num_vertices=np.zeros(n, np.uint8),
            edge_bits=np.zeros(n, np.uint32),
            op_codes=np.zeros(n, np.uint8),
            figures=np.full((n, len(FIGURE_FIELDS)), np.nan),
            parameters=np.full(n, -1, np.int64),
            is_measured=np.zeros(n, np.bool_),
            is_verbatim=np.zeros(n, np.bool_),
            stored=bytearray(),
            offsets=np.zeros(n, np.int64),
            lengths=np.zeros(n, np.int32),
        )

    def store(self, positions: Any, content: bytes, length: int) -> None:
        """Keeps the bytes of rows that have the same length, one after the other."""
        count = len(content) // length if length else 1
        self.offsets[positions] = len(self.stored) + length * np.arange(count)
        self.lengths[positions] = length
        self.stored += content


def parse_block(block: RecordBlock, path: Path, is_fast: bool = True) -> Rows:
    """Parses the records of a block.

    Args:
        block: The records.
        path: Their file, for messages.
        is_fast: Whether rows that look alike are parsed together; the result does not depend on it.

    Raises:
        CorruptFileError: A record is not a valid row; the message names its number and byte offset.
    """
    rows = Rows.empty(len(block.lengths))
    done = _parse_alike(block, rows) if is_fast else np.zeros(len(block.lengths), np.bool_)
    starts = block.starts
    for i in np.flatnonzero(~done).tolist():
        record = block.content[starts[i] : starts[i] + block.lengths[i]].tobytes()
        try:
            _put(rows, i, record, read_row(record))
        except RowError as error:
            number, offset = block.place(i)
            raise CorruptFileError(f"{path}: record {number} at byte {offset}: {error}") from error
    return rows


def _put(rows: Rows, i: int, record: bytes, row: Row) -> None:
    layout = row.layout
    rows.hashes[i] = np.frombuffer(bytes.fromhex(row.hash), np.uint8)
    rows.epochs[i] = row.epochs
    rows.num_vertices[i] = row.num_vertices
    rows.edge_bits[i] = row.edge_bits
    rows.op_codes[i] = row.op_code
    rows.figures[i] = row.figures
    rows.parameters[i] = min(row.parameters, np.iinfo(np.int64).max)
    rows.is_measured[i] = layout.is_measured
    rows.is_verbatim[i] = write_row(row) != record
    stored = record if rows.is_verbatim[i] else row.message
    rows.store([i], stored, len(stored))


# ---------------------------------------------------------------------------------------------------------------------
# Rows that look alike


class _Text:
    """Random access to the bytes of a block, eight at a time."""

    def __init__(self, content: Bytes) -> None:
        # What follows the last record is never taken for a part of it: every check covers the bytes that it needs.
        self._padded = np.concatenate([content, np.zeros(4096, np.uint8)])
        self._last = len(content)
        # A word starts at every byte: numpy reads unaligned words, and gathers an eighth of the elements.
        self._words = np.ndarray((len(self._padded) - 7,), "<u8", self._padded.data, strides=(1,))

    def words(self, starts: Ints, count: int = 1) -> NDArray[np.uint64]:
        """The ``count`` words from each start, shape (n, count)."""
        starts = np.minimum(starts, self._last)
        result: NDArray[np.uint64] = self._words[starts[:, None] + 8 * np.arange(count)]
        return result

    def bytes(self, starts: Ints, count: int) -> Bytes:
        """The ``count`` bytes from each start, shape (n, count)."""
        return self.words(starts, -(-count // 8)).view(np.uint8)[:, :count]


def _word(text: bytes) -> np.uint64:
    word: np.uint64 = np.uint64(int.from_bytes(text, "little"))
    return word


def _mask(count: int) -> np.uint64:
    """Keeps the first ``count`` bytes of a word."""
    mask: np.uint64 = np.uint64((1 << 8 * count) - 1)
    return mask


def _equal(words: NDArray[np.uint64], text: bytes) -> NDArray[np.bool_]:
    """Whether words begin with a text of at most eight bytes."""
    is_equal: NDArray[np.bool_] = (words & _mask(len(text))) == _word(text)
    return is_equal


_CONV: Final = tuple(_word(name) for name in (b"conv3x3-", b"conv1x1-"))
_CONV_TAIL: Final = b"bn-relu,"
_POOL: Final = _word(b"maxpool3")
_POOL_TAIL: Final = b"x3,"


def _hex_values() -> Bytes:
    values = np.full(256, 0xFF, np.uint8)
    values[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)
    return values


def _base64_values() -> NDArray[np.uint16]:
    """The 12 bits of two base64 digits, by the two characters as one little-endian number."""
    digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    values = np.full((256, 256), _BAD, np.uint16)
    codes = np.frombuffer(digits, np.uint8)
    values[codes[:, None], codes] = np.arange(64)[:, None] + (np.arange(64) << 6)  # [second, first]
    return values.reshape(-1)


_HEX: Final = _hex_values()
_BASE64: Final = _base64_values()


def _parse_alike(block: RecordBlock, rows: Rows) -> NDArray[np.bool_]:
    """Fills in the rows that are written in the usual way; returns which."""
    text = _Text(block.content)
    starts = block.starts
    ends = starts + block.lengths
    ok = block.lengths > _HEAD_BYTES

    head = text.bytes(starts, _HEAD_BYTES)
    digits = _HEX[head[:, 2:34]]
    ok &= (head[:, :2] == np.frombuffer(b'["', np.uint8)).all(axis=1)
    ok &= (head[:, 34:] == np.frombuffer(b'", ', np.uint8)).all(axis=1)
    ok &= (digits < 16).all(axis=1)
    rows.hashes[:] = digits[:, ::2] << 4 | digits[:, 1::2] & 15

    position = starts + _HEAD_BYTES
    position, epochs, good = _parse_epochs(text, position)
    rows.epochs[:] = epochs
    ok &= good
    position, good = _parse_adjacency(text, position, rows)
    ok &= good
    position, good = _parse_operations(text, position, rows)
    ok &= good
    ok &= (text.bytes(ends - 2, 2) == np.frombuffer(b'"]', np.uint8)).all(axis=1)
    lengths = ends - 2 - position
    ok &= lengths > 0
    done = np.zeros(len(ok), np.bool_)
    for length in np.unique(lengths[ok]).tolist():
        chosen = np.flatnonzero(ok & (lengths == length))
        _parse_metrics(text, position, chosen, length, rows, done)
    return done


def _parse_epochs(text: _Text, position: Ints) -> tuple[Ints, NDArray[np.int32], NDArray[np.bool_]]:
    digits = text.bytes(position, _MAX_DIGITS + 1).astype(np.int32) - ord("0")
    is_digit = (digits >= 0) & (digits <= 9)
    count = np.argmin(is_digit, axis=1)  # 0 if all are digits: then it is not done here
    epochs = np.zeros(len(position), np.int32)
    for i in range(_MAX_DIGITS):
        epochs = np.where(i < count, epochs * 10 + digits[:, i], epochs)
    position = position + count
    ok = (count > 0) & (digits[:, 0] != 0) & _equal(text.words(position)[:, 0], b', "')
    return position + 3, epochs, ok


def _parse_adjacency(text: _Text, position: Ints, rows: Rows) -> tuple[Ints, NDArray[np.bool_]]:
    matrix = text.bytes(position, MAX_VERTICES**2 + 1)
    quote = ord('"')
    num_vertices = np.zeros(len(position), np.int64)
    for v in range(MAX_VERTICES, 1, -1):
        num_vertices[matrix[:, v * v] == quote] = v
    ok = num_vertices > 0
    for v in np.unique(num_vertices[ok]).tolist():
        chosen = np.flatnonzero(num_vertices == v)
        bits = matrix[chosen, : v * v] - ord("0")
        good = (bits <= 1).all(axis=1)
        edges = np.zeros(len(chosen), np.uint32)
        for x in range(v):
            for y in range(v):
                if x < y:
                    edges |= bits[:, x * v + y].astype(np.uint32) << edge_bit(x, y)
                else:
                    good &= bits[:, x * v + y] == 0
        rows.edge_bits[chosen] = edges
        ok[chosen] = good
    rows.num_vertices[:] = num_vertices
    position = position + num_vertices**2
    ok &= _equal(text.words(position)[:, 0], b'", "')
    return position + 4, ok


def _parse_operations(text: _Text, position: Ints, rows: Rows) -> tuple[Ints, NDArray[np.bool_]]:
    ok = _equal(text.words(position)[:, 0], b"input,")
    position = position + 6
    codes = np.zeros(len(position), np.int64)
    for i in range(MAX_INNER):
        words = text.words(position, 2)
        is_conv = _equal(words[:, 1], _CONV_TAIL)
        op = np.full(len(position), -1, np.int64)
        for code, name in enumerate(_CONV):
            op[is_conv & (words[:, 0] == name)] = code
        op[(words[:, 0] == _POOL) & _equal(words[:, 1], _POOL_TAIL)] = 2
        here = rows.num_vertices > i + 2
        ok &= ~here | (op >= 0)
        codes += np.where(here, op, 0) * OP_WEIGHTS[i]
        position = position + np.where(here, np.where(op == 2, 11, 16), 0)
    rows.op_codes[:] = np.where(ok, codes, 0)
    words = text.words(position, 2)
    ok &= _equal(words[:, 0], b'output",') & _equal(words[:, 1], b' "')
    return position + 10, ok


def _parse_metrics(text: _Text, position: Ints, chosen: Ints, length: int, rows: Rows, done: NDArray[np.bool_]) -> None:
    """Parses the metrics of rows that have the same number of base64 characters."""
    whole, rest = divmod(length, _LINE + _BREAK)
    if rest and (rest < 4 + _BREAK or (rest - _BREAK) % 4):
        return
    pairs = text.bytes(position[chosen], length).view() if length % 2 == 0 else None
    if pairs is None:
        return
    characters = np.ascontiguousarray(pairs)
    lines = [(i * (_LINE + _BREAK), _LINE) for i in range(whole)]
    if rest:
        lines.append((whole * (_LINE + _BREAK), rest - _BREAK))
    good = np.ones(len(chosen), np.bool_)
    for start, count in lines:
        good &= (characters[:, start + count : start + count + _BREAK] == np.frombuffer(b"\\n", np.uint8)).all(axis=1)
    last = lines[-1][0] + lines[-1][1]
    padding = (characters[:, last - 2] == ord("=")).astype(int) + (characters[:, last - 1] == ord("="))
    columns = np.concatenate([np.arange(start // 2, (start + count) // 2) for start, count in lines])
    for pad in range(3):
        group = np.flatnonzero(good & (padding == pad))
        if not len(group):
            continue
        part = characters[group] if len(group) < len(characters) else characters
        if pad:
            part = part.copy()
            if pad == 1 and (part[:, last - 1] != ord("=")).any():
                continue
            part[:, last - pad : last] = ord("A")  # the digit of zero
        values = _BASE64[part.view("<u2")[:, columns]]
        fine = (values != _BAD).all(axis=1)
        messages = _join(values)
        size = messages.shape[1] - pad
        fine &= (messages[:, size:] == 0).all(axis=1)
        if not fine.all():
            group, messages = group[fine], messages[fine]
        _parse_messages(np.ascontiguousarray(messages[:, :size]), chosen[group], rows, done)


def _join(values: NDArray[np.uint16]) -> Bytes:
    """Joins each two numbers of 12 bits to three bytes."""
    high, low = values[:, ::2], values[:, 1::2]
    out = np.empty((len(values), high.shape[1], 3), np.uint8)
    out[:, :, 0] = high >> 4
    out[:, :, 1] = (high & 15) << 4 | low >> 8
    out[:, :, 2] = low & 255
    return out.reshape(len(values), -1)


def _parse_messages(messages: Bytes, positions: Ints, rows: Rows, done: NDArray[np.bool_]) -> None:
    """Parses messages of the same length, layout by layout."""
    waiting = np.arange(len(messages))
    for _ in range(_MAX_LAYOUTS):
        if not len(waiting):
            return
        try:
            layout = layout_of(messages[waiting[0]].tobytes())
        except MessageError:  # reading it alone will say what is wrong
            waiting = waiting[1:]
            continue
        if layout.parameters[1] - layout.parameters[0] > _MAX_VARINT:
            waiting = waiting[1:]
            continue
        part = messages if len(waiting) == len(messages) else messages[waiting]
        alike = _has_layout(part, layout)
        if not alike.all():
            part = part[alike]
        at = positions[waiting[alike]]
        for column, field in enumerate(FIGURE_FIELDS.values()):
            start = layout.evaluations[-1].get(field)
            if start is not None:
                rows.figures[at, column] = np.ascontiguousarray(part[:, start : start + 8]).view("<f8")[:, 0]
        start, end = layout.parameters
        if end:
            rows.parameters[at] = sum(
                (part[:, i].astype(np.int64) & 0x7F) << 7 * (i - start) for i in range(start, end)
            )
        rows.is_measured[at] = layout.is_measured
        rows.store(at, part.tobytes(), part.shape[1])
        done[at] = True
        waiting = waiting[~alike]


def _has_layout(messages: Bytes, layout: Layout) -> NDArray[np.bool_]:
    """Which messages have the tags and lengths of a layout at its places; the first message does."""
    fixed = np.ones(messages.shape[1], np.bool_)
    for start, end in layout.variable:
        fixed[start:end] = False
    alike: NDArray[np.bool_] = (messages[:, fixed] == messages[0, fixed]).all(axis=1)
    start, end = layout.parameters
    if end:
        alike &= (messages[:, start : end - 1] >= 0x80).all(axis=1) & (messages[:, end - 1] < 0x80)
    return alike
