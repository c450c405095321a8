"""A published row: one training of one cell, as a line of JSON.

``["<hash>", <epochs>, "<adjacency>", "<operations>", "<metrics>"]`` with the 32 digits of the module hash, the V×V
adjacency matrix as digits 0 and 1, the V names of the operations with commas between, and the metrics message
(:mod:`ecnas.official.messages`) in base64 with line breaks. It is the format of NAS-Bench-101's files as well.

This module reads one row at a time, any valid way of writing it, and says what is wrong with an invalid one.
:mod:`ecnas.official.blocks` reads the usual way of writing it thousands at a time.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
import math
import re
from dataclasses import dataclass
from typing import Final

from ecnas.encoding import INPUT, MAX_VERTICES, OP_WEIGHTS, OPERATIONS, OUTPUT, edge_bit
from ecnas.official.messages import FIGURE_FIELDS, Layout, MessageError, double_at, layout_of, varint_at

_HASH: Final = re.compile("[0-9a-f]{32}")
_BITS: Final = re.compile("[01]+")
_MAX_EPOCHS: Final = (1 << 31) - 1


class RowError(ValueError):
    """The bytes are not a published row."""


@dataclass(frozen=True)
class Row:
    """A published row.

    Attributes:
        hash: Published module hash, 32 hexadecimal digits.
        epochs: Epochs of the training.
        num_vertices: V of the matrix as it is written.
        edge_bits: Its edges (:mod:`ecnas.encoding`).
        op_code: Its operations.
        message: The metrics message.
    """

    hash: str
    epochs: int
    num_vertices: int
    edge_bits: int
    op_code: int
    message: bytes

    @functools.cached_property
    def layout(self) -> Layout:
        """Where the message has its figures."""
        try:
            return layout_of(self.message)
        except MessageError as error:
            raise RowError(f"malformed metrics: {error}") from error

    @property
    def figures(self) -> tuple[float, ...]:
        """Figures of the last evaluation in the order of the columns; NaN for what the message lacks."""
        final = self.layout.evaluations[-1]
        return tuple(
            double_at(self.message, final[field]) if field in final else math.nan for field in FIGURE_FIELDS.values()
        )

    @property
    def parameters(self) -> int:
        """The trainable parameters that the message names, −1 if it names none."""
        start, end = self.layout.parameters
        return varint_at(self.message, start, end)[0] if end else -1


def read_row(record: bytes) -> Row:
    """Reads a row.

    Raises:
        RowError: It is not valid; the message says why.
    """
    try:
        values = json.loads(record.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise RowError(f"not JSON ({error})") from error
    if not isinstance(values, list) or len(values) != 5:
        raise RowError("must be a JSON list of hash, epochs, adjacency, operations and metrics")
    module_hash, epochs, adjacency, operations, metrics = values
    if not isinstance(module_hash, str) or not _HASH.fullmatch(module_hash):
        raise RowError(f"hash must be 32 lower-case hexadecimal digits, got {module_hash!r:.80}")
    if type(epochs) is not int or not 0 < epochs <= _MAX_EPOCHS:
        raise RowError(f"epochs must be a whole number from 1 to {_MAX_EPOCHS}, got {epochs!r:.80}")
    num_vertices, edge_bits = _read_adjacency(adjacency)
    op_code = _read_operations(operations, num_vertices)
    return Row(module_hash, epochs, num_vertices, edge_bits, op_code, _read_metrics(metrics))


def _read_adjacency(adjacency: object) -> tuple[int, int]:
    if not isinstance(adjacency, str) or not _BITS.fullmatch(adjacency):
        raise RowError(f"adjacency must be digits 0 and 1, got {adjacency!r:.80}")
    num_vertices = math.isqrt(len(adjacency))
    if num_vertices**2 != len(adjacency) or not 2 <= num_vertices <= MAX_VERTICES:
        raise RowError(f"adjacency must be V×V digits, V from 2 to {MAX_VERTICES}, got {len(adjacency)}")
    bits = 0
    for position, digit in enumerate(adjacency):
        if digit == "1":
            source, target = divmod(position, num_vertices)
            if source >= target:
                raise RowError(f"adjacency must be upper-triangular, got an edge at [{source}, {target}]")
            bits |= 1 << edge_bit(source, target)
    return num_vertices, bits


def _read_operations(operations: object, num_vertices: int) -> int:
    if not isinstance(operations, str):
        raise RowError(f"operations must be a text, got {operations!r:.80}")
    names = operations.split(",")
    if len(names) != num_vertices or names[0] != INPUT or names[-1] != OUTPUT:
        raise RowError(f"operations must be {num_vertices} names from {INPUT!r} to {OUTPUT!r}, got {operations!r:.200}")
    code = 0
    for name, weight in zip(names[1:-1], OP_WEIGHTS, strict=False):
        if name not in OPERATIONS:
            raise RowError(f"operations must be out of {list(OPERATIONS)}, got {name!r:.80}")
        code += OPERATIONS.index(name) * weight
    return code


def _read_metrics(metrics: object) -> bytes:
    if not isinstance(metrics, str):
        raise RowError(f"metrics must be a text, got {metrics!r:.80}")
    try:
        return base64.b64decode(metrics.replace("\n", ""), validate=True)
    except (ValueError, binascii.Error) as error:
        raise RowError(f"metrics are not base64 ({error})") from error


def write_row(row: Row) -> bytes:
    """Writes a row byte for byte as the publisher does."""
    adjacency = _write_adjacency(row.num_vertices, row.edge_bits)
    operations = _write_operations(row.num_vertices, row.op_code)
    metrics = base64.encodebytes(row.message).decode().replace("\n", "\\n")
    return f'["{row.hash}", {row.epochs}, "{adjacency}", "{operations}", "{metrics}"]'.encode()


@functools.lru_cache(maxsize=1024)
def _write_adjacency(num_vertices: int, edge_bits: int) -> str:
    v = range(num_vertices)
    return "".join(str(edge_bits >> edge_bit(x, y) & 1) if x < y else "0" for x in v for y in v)


@functools.lru_cache(maxsize=1024)
def _write_operations(num_vertices: int, op_code: int) -> str:
    inner = [OPERATIONS[op_code // weight % len(OPERATIONS)] for weight in OP_WEIGHTS[: num_vertices - 2]]
    return ",".join([INPUT, *inner, OUTPUT])
