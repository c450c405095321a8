"""An independent, slow reader and writer of files in the published format: struct, json and the protobuf library."""

from __future__ import annotations

import base64
import importlib.util
import json
import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from conftest import DATA

import ecnas
from ecnas.official.records import RecordBlock

pytest.importorskip("google.protobuf", reason="metrics messages are compared with the protobuf library's reading")
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# Importing it would take seconds in every process that imports the tests.
needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None, reason="TFRecord files are read and written by tensorflow"
)

OFFICIAL = sorted((DATA / "official").rglob("*.tfrecord"))
NAMES = [path.stem for path in OFFICIAL]

_DOUBLE, _INT32, _STRING, _MESSAGE = 1, 5, 9, 11


def _message_class(name, package, fields, nested=()):
    """A proto2 message class; fields are (number, name, type, is_repeated, type name)."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto2")
    for message_name, message_fields in (*nested, (name, fields)):
        message = file.message_type.add(name=message_name)
        for number, field_name, kind, repeated, of in message_fields:
            message.field.add(
                number=number,
                name=field_name,
                type=kind,
                label=3 if repeated else 1,
                type_name=f".{package}.{of}" if of else None,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))


def _doubles(*names, first=1):
    return [(number, name, _DOUBLE, False, None) for number, name in enumerate(names, start=first)]


_ACCURACIES = ("current_epoch", "training_time", "train_accuracy", "val_accuracy", "test_accuracy")

EnergyMetrics = _message_class(
    "Metrics",
    "energy",
    [
        (1, "evaluations", _MESSAGE, True, "Evaluation"),
        (2, "trainable_parameters", _INT32, False, None),
        *_doubles("total_time", "total_energy", "total_co2", first=3),
        (6, "start", _STRING, False, None),
        (7, "stop", _STRING, False, None),
        (8, "intensity", _DOUBLE, False, None),
    ],
    [
        (
            "Evaluation",
            [
                *_doubles(*_ACCURACIES, "energy", "co2", "intensity"),
                (9, "start", _STRING, False, None),
                (10, "stop", _STRING, False, None),
                *_doubles("predicted_energy", "predicted_co2", first=11),
            ],
        )
    ],
)

AccuracyMetrics = _message_class(
    "Metrics",
    "nasbench",
    [
        (1, "evaluations", _MESSAGE, True, "Evaluation"),
        (2, "trainable_parameters", _INT32, False, None),
        (3, "total_time", _DOUBLE, False, None),
    ],
    [("Evaluation", [*_doubles(*_ACCURACIES), (6, "checkpoint_path", _STRING, False, None)])],
)


def raw_records(path: Path) -> list[bytes]:
    """The records of a file, CRC unchecked."""
    data, start, records = path.read_bytes(), 0, []
    while start < len(data):
        (length,) = struct.unpack_from("<Q", data, start)
        records.append(data[start + 12 : start + 12 + length])
        start += 16 + length
    return records


def block_of(records: Iterable[bytes], number: int = 0, offset: int = 0) -> RecordBlock:
    """Records as if they had been read from a file."""
    records = list(records)
    lengths = np.array([len(one) for one in records], dtype=np.int64)
    return RecordBlock(np.frombuffer(b"".join(records), np.uint8), lengths, number, offset)


def write_file(path: Path, records: Iterable[bytes]) -> None:
    """Writes a TFRecord file."""
    with path.open("wb") as file:
        for one in records:
            length = struct.pack("<Q", len(one))
            file.write(length + masked_crc(length) + one + masked_crc(one))


def _crc_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_CRC = _crc_table()


def masked_crc(data: bytes) -> bytes:
    """CRC-32C, rotated and shifted as the format wants it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def slow_rows(path: Path):
    """For each row: hash, epochs, cell, metrics."""
    for record in raw_records(path):
        module_hash, epochs, adjacency, operations, metrics = json.loads(record)
        v = int(len(adjacency) ** 0.5)
        cell = ecnas.Cell([[int(adjacency[v * x + y]) for y in range(v)] for x in range(v)], operations.split(","))
        yield module_hash, epochs, cell, EnergyMetrics.FromString(base64.b64decode(metrics))


def record(cell: ecnas.Cell, epochs: int, message: bytes, /, **changes) -> bytes:
    """A row as the publisher writes it; ``changes`` replace its parts."""
    parts = {
        "hash": cell.hash,
        "epochs": epochs,
        "adjacency": "".join(map(str, cell.adjacency.reshape(-1).tolist())),
        "operations": ",".join(["input", *cell.ops, "output"]),
        "metrics": base64.encodebytes(message).decode(),
    } | changes
    return json.dumps(list(parts.values())).encode()


def energy_message(cell: ecnas.Cell, epochs: int, /, energy: float = 0.5, accuracy: float = 0.9, **changes) -> bytes:
    metrics = EnergyMetrics(trainable_parameters=changes.pop("parameters", cell.trainable_parameters))
    for epoch in (0, 1, epochs):
        metrics.evaluations.add(
            current_epoch=epoch, train_accuracy=accuracy, val_accuracy=accuracy, test_accuracy=accuracy, energy=energy
        )
    for name, value in changes.items():
        setattr(metrics.evaluations[-1], name, value)
    return metrics.SerializeToString()
