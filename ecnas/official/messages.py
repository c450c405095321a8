"""The metrics message of a published row, and the protocol-buffer wire format that it is written in.

The schema is small and fixed, so it is read here directly (https://protobuf.dev/programming-guides/encoding/):
``ModelMetricsEnergy`` of EC-NAS-Bench and ``ModelMetrics`` of NAS-Bench-101, which agree in their common fields.

=====  =======================================  =====  ==========================================
Model metrics                                   Evaluation
----------------------------------------------  -------------------------------------------------
field  meaning                                  field  meaning
=====  =======================================  =====  ==========================================
1      evaluations, at least one                1      epoch of the evaluation
2      trainable parameters (int32)             2      training time so far (s)
3      total time (s)                           3 4 5  training, validation, test accuracy
4 5    total energy (kWh), CO2 equivalent (g)   6 7    energy so far (kWh), CO2 equivalent (g)
6 7    start and stop of the measurement        8      carbon intensity (g/kWh)
8      average carbon intensity (g/kWh)         9 10   start and stop of the measurement
9      power usage per device                   11-14  predictions; 15 checkpoint
=====  =======================================  =====  ==========================================
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

EVALUATION: Final = 1
PARAMETERS: Final = 2
POWER_USAGE: Final = 9
EPOCH: Final = 1
STARTED: Final = 9

FIGURE_FIELDS: Final[Mapping[str, int]] = {
    "val_accuracy": 4,
    "test_accuracy": 5,
    "train_accuracy": 3,
    "energy": 6,
    "co2": 7,
    "training_time": 2,
}
"""Field of an evaluation by the name of the column that it becomes, in the order of the columns."""

_DOUBLES: Final = frozenset((*range(1, 9), *range(11, 15)))
_ENERGY: Final = FIGURE_FIELDS["energy"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_NAMES: Final = {_VARINT: "a varint", _FIXED64: "a double", _BYTES: "bytes"}
_DOUBLE: Final = struct.Struct("<d")


class MessageError(ValueError):
    """The bytes are not a metrics message."""


@dataclass(frozen=True)
class Field:
    """One field of a message.

    Attributes:
        number: Field number.
        kind: Wire type.
        start: Where the value begins in the message (for bytes: after their length).
        end: Where it ends.
    """

    number: int
    kind: int
    start: int
    end: int


@dataclass(frozen=True)
class Layout:
    """The positions of the metrics in a message.

    Attributes:
        evaluations: For each evaluation, the start of each of its doubles, by field number.
        parameters: Start and end of the varint of the trainable parameters; (0, 0) if there is none.
        variable: Ranges (start, end) of all values that may differ between messages of the same layout: doubles, the
            parameters, the contents of other fields. All other bytes are tags, lengths and unknown integers.
        is_measured: Whether it has traces of a measurement: power per device, or the start time of an evaluation.
    """

    evaluations: tuple[Mapping[int, int], ...]
    parameters: tuple[int, int]
    variable: tuple[tuple[int, int], ...]
    is_measured: bool


def layout_of(message: bytes) -> Layout:
    """Finds the figures of a metrics message.

    Raises:
        MessageError: It is malformed, has no evaluation, or a figure is of another type than the schema's.
    """
    evaluations: list[dict[int, int]] = []
    variable: list[tuple[int, int]] = []
    parameters = (0, 0)
    is_measured = False
    for field in fields_of(message):
        if field.number == EVALUATION:
            _expect(field, _BYTES)
            doubles: dict[int, int] = {}
            for inner in fields_of(message, field.start, field.end):
                if inner.number in _DOUBLES:
                    # Field 6 of NAS-Bench-101's evaluations is the path of a checkpoint.
                    if inner.number == _ENERGY and inner.kind == _BYTES:
                        variable.append((inner.start, inner.end))
                        continue
                    _expect(inner, _FIXED64)
                    doubles[inner.number] = inner.start  # of several the last counts, as everywhere in this format
                is_measured |= inner.number == STARTED
                if inner.kind != _VARINT:
                    variable.append((inner.start, inner.end))
            evaluations.append(doubles)
            continue
        if field.number == PARAMETERS:
            _expect(field, _VARINT)
            variable = [span for span in variable if span != parameters]
            parameters = (field.start, field.end)
        is_measured |= field.number == POWER_USAGE
        if field.kind != _VARINT or field.number == PARAMETERS:
            variable.append((field.start, field.end))
    if not evaluations:
        raise MessageError("it has no evaluation")
    return Layout(tuple(evaluations), parameters, tuple(variable), is_measured)


def double_at(message: bytes, start: int) -> float:
    """The double that begins at ``start``."""
    return float(_DOUBLE.unpack_from(message, start)[0])


def varint_at(message: bytes, start: int, end: int) -> tuple[int, int]:
    """The varint that begins at ``start``, and where it ends."""
    value = 0
    for position in range(start, min(end, start + 10)):
        value |= (message[position] & 0x7F) << 7 * (position - start)
        if message[position] < 0x80:
            return value & (1 << 64) - 1, position + 1
    raise MessageError(f"the varint at byte {start} does not end")


def fields_of(message: bytes, start: int = 0, end: int | None = None) -> Iterator[Field]:
    """The fields of a message, or of the part of it from ``start`` to ``end``, in the order of the bytes.

    Raises:
        MessageError: A tag or length is not possible.
    """
    end = len(message) if end is None else end
    while start < end:
        tag, after = varint_at(message, start, end)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            stop = varint_at(message, after, end)[1]
        elif kind in (_FIXED64, _FIXED32):
            stop = after + (8 if kind == _FIXED64 else 4)
        elif kind == _BYTES:
            length, after = varint_at(message, after, end)
            stop = after + length
        else:
            raise MessageError(f"the tag at byte {start} has the wire type {kind}")
        if number == 0 or stop > end:
            raise MessageError(f"field {number} at byte {start} does not fit")
        yield Field(number, kind, after, stop)
        start = stop


def _expect(field: Field, kind: int) -> None:
    if field.kind != kind:
        raise MessageError(f"field {field.number} at byte {field.start} must be {_NAMES[kind]}")


def varint(value: int) -> bytes:
    """Writes a non-negative integer as a varint."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def double_field(number: int, value: float) -> bytes:
    """Writes a field that holds a double."""
    return varint(number << 3 | _FIXED64) + _DOUBLE.pack(value)


def bytes_field(number: int, value: bytes) -> bytes:
    """Writes a field that holds bytes, a text or a message."""
    return varint(number << 3 | _BYTES) + varint(len(value)) + value


def varint_field(number: int, value: int) -> bytes:
    """Writes a field that holds a non-negative integer."""
    return varint(number << 3 | _VARINT) + varint(value)


def write_message(figures: Mapping[str, float], epochs: int, parameters: int) -> bytes:
    """A metrics message of one training's final figures.

    Three evaluations, because the publisher's reader asks for the third; nothing is known of the first two, so they are
    empty. A figure that is NaN is left out.

    Args:
        figures: By column name.
        epochs: Epochs of the training.
        parameters: Trainable parameters.
    """
    doubles = {EPOCH: float(epochs)}
    # x == x fails for NaN alone.
    doubles |= {FIGURE_FIELDS[name]: value for name, value in figures.items() if value == value}
    final = b"".join(double_field(number, doubles[number]) for number in sorted(doubles))
    evaluations = bytes_field(EVALUATION, b"") * 2 + bytes_field(EVALUATION, final)
    return evaluations + varint_field(PARAMETERS, parameters)
