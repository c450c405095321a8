"""Damaged and hostile inputs of six kinds, drawn from seeds: what must be refused is refused, what is taken is right.

    python tests/fuzz.py                     ten minutes of all kinds        (make fuzz), longer on a slow machine
    python tests/fuzz.py --files 10000       so many of one kind

Each case is made by a random generator of its own, seeded by its number, so a failure is repeated by
``python tests/fuzz.py --files 1 --first NUMBER``. What is right is told by readers that share no code with the package:
struct, json, and the protobuf library (``published.py``). ``tests/test_fuzz.py`` runs the first cases of each kind.
"""

from __future__ import annotations

import argparse
import base64
import copy
import functools
import hashlib
import io
import json
import math
import os
import shutil
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
from google.protobuf.unknown_fields import UnknownFieldSet
from published import EnergyMetrics, energy_message, masked_crc, raw_records, record

import ecnas
from ecnas import Budget, Cell, ECNASError
from ecnas.loading import load
from ecnas.official import records, tensorflow_worker
from ecnas.official.convert import convert as convert_file
from ecnas.official.kinds import check_records
from ecnas.runs.record import RunRecord
from ecnas.runs.sweep import Sweep, SweepError
from ecnas.table import Column, Table, columns_digest

REFUSED, TAKEN = "refused", "taken"
LONGEST_MESSAGE = 2000
SPACE = ecnas.Space("4V")
FIGURES = ("val_accuracy", "test_accuracy", "train_accuracy", "energy", "co2", "training_time")


class WrongError(AssertionError):
    """The package did not do what it promises."""


def require(condition: object, why: str) -> None:
    if not condition:
        raise WrongError(why)


def check_refusal(error: BaseException, *kinds: type[BaseException]) -> str:
    """A refusal is one of the package's errors, and its message is short enough to be read."""
    require(isinstance(error, kinds or (ECNASError,)), f"raised {type(error).__name__}: {str(error)[:300]}")
    require(0 < len(str(error)) < LONGEST_MESSAGE, f"message of {len(str(error))} letters")
    return REFUSED


def pick(rng: np.random.Generator, options):
    return options[int(rng.integers(len(options)))]


ODD_NUMBERS = (
    0.0, -0.0, 1.0, -1.0, 0.5, 1.0000001, 2.0, math.nan, math.inf, -math.inf, 5e-324, 1e308, -1e-300, 94.3, 0.1,
)  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------------
# Files in the published format: protobuf in base64 in JSON in TFRecord


light_reader = functools.cache(tensorflow_worker._light)  # it can be loaded once


class InProcess(records._Worker):
    """tensorflow's reader in this process: starting one for each file would take most of the time."""

    def __init__(self, action: str, mode: str, path: Path) -> None:
        self._out = io.BytesIO()
        try:
            with mock.patch.object(tensorflow_worker, "_light", light_reader):
                tensorflow_worker.read(mode, str(path), self._out)
        except Exception as error:
            tensorflow_worker._fail(self._out, {"kind": "other", "message": f"{type(error).__name__}: {error}"})
        self._out.seek(0)

    def read(self, count: int) -> bytes:
        data = self._out.read(count)
        if len(data) < count:
            raise records._WorkerDiedError("the stream ended")
        return data

    def __exit__(self, *error: object) -> None:
        pass


class InvalidError(Exception):
    """The oracle says that it is no published row."""


def fields_of(message: bytes) -> list[bytes]:
    """The top-level fields of a message, each as its bytes."""
    out, start = [], 0
    while start < len(message):
        end = start
        while message[end] & 0x80:
            end += 1
        kind, end = message[start] & 7, end + 1
        if kind == 1:
            end += 8
        elif kind == 0:
            while message[end] & 0x80:
                end += 1
            end += 1
        else:
            end += 1 + message[end] if message[end] < 0x80 else 2 + (message[end] & 0x7F | message[end + 1] << 7)
        out.append(message[start:end])
        start = end
    return out


def mutate_message(rng: np.random.Generator, message: bytes) -> bytes:
    kind = pick(rng, ("double", "field", "shuffle", "byte", "cut", "add", "nest"))
    if kind == "double":
        metrics = EnergyMetrics.FromString(message)
        name = pick(rng, ("train_accuracy", "val_accuracy", "test_accuracy", "energy", "co2", "training_time"))
        setattr(pick(rng, list(metrics.evaluations)), name, pick(rng, ODD_NUMBERS))
        return metrics.SerializeToString()
    parts = fields_of(message)
    if kind == "field":
        position = int(rng.integers(len(parts)))
        parts[position : position + 1] = [parts[position]] * int(rng.integers(3))
    elif kind == "shuffle":
        rng.shuffle(parts)
    elif kind == "add":
        number, wire = int(rng.integers(32)), int(rng.integers(8))
        parts.insert(
            int(rng.integers(len(parts) + 1)), bytes([number << 3 & 0xFF | wire]) + rng.bytes(rng.integers(12))
        )
    elif kind == "nest":
        inner = b"".join(parts)
        parts = [b"\x0a" + bytes([len(inner) & 0x7F | 0x80, len(inner) >> 7]) + inner]
    out = bytearray(b"".join(parts))
    if kind == "byte" and out:
        out[int(rng.integers(len(out)))] ^= 1 << int(rng.integers(8))
    return bytes(out[: int(rng.integers(len(out) + 1))] if kind == "cut" else out)


ODD_VALUES = (None, True, 4, 4.0, -4, 0, 10**30, "", "x", [], {}, [[]], "input", "0", "ÿ", "1" * 400, float("nan"))


def mutate_row(rng: np.random.Generator, row: bytes) -> bytes:
    kind = pick(rng, ("message", "message", "message", "value", "shape", "text", "byte", "hash", "other way"))
    values = json.loads(row)
    if kind == "message":
        values[4] = base64.encodebytes(mutate_message(rng, base64.b64decode(values[4]))).decode()
    elif kind == "value":
        values[int(rng.integers(5))] = pick(rng, ODD_VALUES)
    elif kind == "shape":
        values = pick(rng, (values[:4], [*values, 1], values[::-1], {"hash": values[0]}, [values], values[:0]))
    elif kind == "hash":
        values[0] = pick(rng, (SPACE[int(rng.integers(91))].hash, values[0].upper(), values[0][::-1]))
    elif kind == "other way":
        return json.dumps(values, indent=int(rng.integers(3)), separators=(", ", ":")).encode()
    text = json.dumps(values).encode()
    if kind == "text":
        return pick(
            rng, (b"\xef\xbb\xbf" + text, b" " + text + b"\n", text + b"]", b"[" * 5000, text[:-1], b"", text * 2)
        )
    if kind == "byte":
        changed = bytearray(text)
        changed[int(rng.integers(len(changed)))] = int(rng.integers(256))
        return bytes(changed)
    return text


def framed(row: bytes) -> bytes:
    length = struct.pack("<Q", len(row))
    return length + masked_crc(length) + row + masked_crc(row)


def mutate_frames(rng: np.random.Generator, content: bytes) -> bytes:
    kind = pick(rng, ("flip", "cut", "append", "remove", "double", "length"))
    place = int(rng.integers(len(content)))
    if kind == "flip":
        return content[:place] + bytes([content[place] ^ 1 << int(rng.integers(8))]) + content[place + 1 :]
    if kind == "cut":
        return content[:place]
    if kind == "append":
        return content + rng.bytes(int(rng.integers(1, 40)))
    if kind == "remove":
        return content[:place] + content[place + int(rng.integers(1, 20)) :]
    if kind == "double":
        return content[:place] + content[place : place + 9] + content[place:]
    length = struct.pack("<Q", pick(rng, (0, 1, 1 << 20, 1 << 31, 1 << 40, (1 << 64) - 1)))
    return length + masked_crc(length) + content[12:]


def oracle_rows(content: bytes):
    """Hash, epochs, cell and figures of each row, read slowly; raises InvalidError if one is none."""
    start, out = 0, []
    while start < len(content):
        if len(content) - start < 12:
            raise InvalidError("cut in a head")
        head = content[start : start + 8]
        (length,) = struct.unpack("<Q", head)
        end = start + 12 + length
        if masked_crc(head) != content[start + 8 : start + 12] or end + 4 > len(content):
            raise InvalidError("length")
        row = content[start + 12 : end]
        if masked_crc(row) != content[end : end + 4]:
            raise InvalidError("CRC")
        out.append(oracle_row(row))
        start = end + 4
    if not out:
        raise InvalidError("no records")
    return out


def oracle_row(row: bytes):
    try:
        module_hash, epochs, adjacency, operations, metrics = json.loads(row.decode())
        v = math.isqrt(len(adjacency))
        matrix = np.array([int(digit) for digit in adjacency]).reshape(v, v)
        ops = operations.split(",")
        cell = Cell(matrix, ops)
        message = EnergyMetrics.FromString(base64.b64decode(metrics.replace("\n", ""), validate=True))
    except Exception as error:
        raise InvalidError(str(error)) from error
    if type(epochs) is not int or not 0 < epochs < 2**31 or module_hash != cell.hash or len(ops) != v or cell.row < 0:
        raise InvalidError("hash, epochs or cell")
    if not message.evaluations:
        raise InvalidError("no evaluation")
    # The protobuf library sets aside what is of another type than the schema's.
    if any(field.field_number in (1, 2) for field in UnknownFieldSet(message)):
        raise InvalidError("type")
    for evaluation in message.evaluations:
        for field in UnknownFieldSet(evaluation):
            is_path = field.field_number == 6 and field.wire_type == 2  # as in NAS-Bench-101
            is_prediction = field.field_number in (13, 14) and field.wire_type == 1
            if field.field_number in (*range(1, 9), *range(11, 15)) and not is_path and not is_prediction:
                raise InvalidError("type")
    if message.HasField("trainable_parameters") and message.trainable_parameters != cell.trainable_parameters:
        raise InvalidError("parameters")
    final = message.evaluations[-1]
    figures = {name: getattr(final, name) if final.HasField(name) else math.nan for name in FIGURES}
    for name, value in figures.items():
        possible = 0 <= value <= 1 if "accuracy" in name else 0 < value < math.inf
        if not math.isnan(value) and not possible:
            raise InvalidError(f"{name} {value}")
    return epochs, cell, figures


def base_rows(rng: np.random.Generator) -> list[bytes]:
    cells = [SPACE[int(row)] for row in rng.choice(91, size=3, replace=False)]
    return [
        record(
            cell, epochs, energy_message(cell, epochs, energy=float(rng.uniform(0.1, 1)), co2=3.0, training_time=9.0)
        )
        for cell in cells
        for epochs in (4, 12)
        for _ in range(2)
    ]


def one_file(rng: np.random.Generator, folder: Path) -> str:
    rows = base_rows(rng)
    kind = pick(rng, ("row", "row", "row", "rows", "frames", "none"))
    if kind == "row":
        for _ in range(int(rng.integers(1, 3))):
            place = int(rng.integers(len(rows)))
            try:
                rows[place] = mutate_row(rng, rows[place])
            except Exception:  # it was spoilt before, and is as it was
                continue
    elif kind == "rows":
        change = pick(rng, ("drop", "double", "shuffle"))
        place = int(rng.integers(len(rows)))
        if change == "shuffle":
            rng.shuffle(rows)
        else:
            rows[place : place + 1] = [rows[place]] * (0 if change == "drop" else 2)
    content = b"".join(map(framed, rows))
    if kind == "frames":
        content = mutate_frames(rng, content)
    path = folder / "case.tfrecord"
    path.write_bytes(content)
    try:
        expected = oracle_rows(content)
    except InvalidError:
        expected = None
    (folder / "table").mkdir()
    try:
        check_records(path)
        with mock.patch.object(records, "_Worker", InProcess):
            is_fast = bool(rng.integers(2))
            table = convert_file(path, folder / "table", None, hashlib.sha256(content).hexdigest(), is_fast=is_fast)
    except Exception as error:
        outcome = check_refusal(error)
        lengths = Counter((epochs, cell.row) for epochs, cell, _ in expected or ())
        # Uneven repeats with a copy among them are refused, too.
        if expected is not None and not (len(set(lengths.values())) > 1 and "is a copy of record" in str(error)):
            raise WrongError(f"refused what is valid: {error}") from error
        return outcome
    require(expected is not None, "took what the oracle refuses")
    seen: Counter[tuple[int, int]] = Counter()
    for epochs, cell, figures in expected:
        repeat = seen[epochs, cell.row]
        seen[epochs, cell.row] += 1
        for name in FIGURES:
            values = table.columns[name].values if name in table.columns else np.full((91, 9, 99), np.nan)
            found = values[cell.row, table.epochs.index(epochs), repeat]
            require(found == figures[name] or np.isnan([found, figures[name]]).all(), f"{name}: {found}")
    require(sum(seen.values()) == len(raw_records(path)), "rows are missing")
    return TAKEN


# ---------------------------------------------------------------------------------------------------------------------
# Folders of tables


def mutate_json(rng: np.random.Generator, value):
    """A copy in which one value, somewhere, is another one."""
    value = copy.deepcopy(value)
    places = []

    def walk(node):
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], (dict, list)):
                walk(node[key])

    walk(value)
    node, key = pick(rng, places)
    change = pick(rng, ("drop", "odd", "number", "rename", "double"))
    if change == "drop":
        del node[key]
    elif change == "number" and type(node[key]) in (int, float):
        node[key] = pick(
            rng, (0, -1, 1, node[key] + 1, node[key] * 1.5, 10**9, 10**400, math.inf, str(node[key]), True)
        )
    elif change == "rename" and isinstance(node, dict):
        node[pick(rng, ("energy", "co2", "x", "4", "108", ""))] = node.pop(key)
    elif change == "double" and isinstance(node, list):
        node.append(node[key])
    else:
        node[key] = pick(rng, (*ODD_VALUES, "energy.npy", "../x", "measured", "5V", "7V", 2, [4, 108], "<script>"))
    return value


def small_table(rng: np.random.Generator) -> Table:
    n = 91
    energy = rng.uniform(0.1, 1.0, (n, 2, 2))
    columns = {
        "val_accuracy": Column(rng.integers(1, 60_000, (n, 2, 1)).astype(np.uint16), 1e-5, 0.1),
        "energy": Column(energy),
        "co2": Column(energy, scale=300.0),
        "training_time": Column(np.full((1, 1, 1), 7.0), per_epoch=True),
    }
    provenance = {4: "measured", 108: "scaled"}
    missing = frozenset({5, 17})
    return Table("case", SPACE, (4, 108), 2, provenance, columns, columns_digest(columns, missing), missing, "Notes.")


def one_table(rng: np.random.Generator, folder: Path) -> str:
    folder = folder / "case"
    small_table(rng).save(folder)
    kind = pick(rng, ("header", "header", "header text", "column", "column", "swap", "value", "remove"))
    header = folder / "table.json"
    column = folder / pick(rng, sorted(path.name for path in folder.glob("*.npy")))
    if kind == "header":
        header.write_text(json.dumps(mutate_json(rng, json.loads(header.read_text()))))
    elif kind == "header text":
        header.write_bytes(mutate_frames(rng, header.read_bytes()))
    elif kind == "column":
        column.write_bytes(mutate_frames(rng, column.read_bytes()))
    elif kind == "swap":
        content = column.read_bytes()
        (folder / pick(rng, sorted(path.name for path in folder.glob("*.npy")))).write_bytes(content)
    elif kind == "value":
        values = np.load(folder / "energy.npy")
        values[int(rng.integers(91)), int(rng.integers(2)), int(rng.integers(2))] = pick(rng, ODD_NUMBERS)
        np.save(folder / "energy.npy", values)
    else:
        pick(rng, [header, column]).unlink()
    try:
        benchmark = load(folder)
    except Exception as error:
        return check_refusal(error)
    for row in rng.integers(len(benchmark.space), size=8).tolist():
        for epochs in benchmark.epochs[:4]:
            try:
                evaluation = benchmark.query_row(row, epochs, repeat=rng)
            except ecnas.OutOfDomainError:
                continue
            for name in FIGURES:
                value = getattr(evaluation, name)
                possible = 0 <= value <= 1 if "accuracy" in name else 0 < value < math.inf
                require(math.isnan(value) or possible, f"{name} is {value}")
    try:
        cell, reward = benchmark.optimum()
        require(0 <= cell.row < len(benchmark.space) and 0 <= reward <= 1, f"optimum {reward}")
    except ecnas.OutOfDomainError as error:
        check_refusal(error)
    return TAKEN


# ---------------------------------------------------------------------------------------------------------------------
# Records of runs


def _record(folder: Path, rng: np.random.Generator) -> Path:
    benchmark = load("surrogate-4V")
    task = {"space": "4V", "benchmark": "surrogate-4V", "objectives": ["val_accuracy", "energy"], "epochs": 108}
    header = {
        "name": "fuzz", "method": {"use": "x:Y", "settings": {}}, "task": task, "budget": {"evaluations": 9}, "seed": 0,
        "versions": {"ecnas": "0"},
    }  # fmt: skip
    path = folder / "case.jsonl"
    with RunRecord(header, path) as one:
        for row in rng.integers(91, size=6).tolist():
            one.append(benchmark.space[row], benchmark.query_row(row), reward=float(rng.random()))
    return path


def one_record(rng: np.random.Generator, folder: Path) -> str:
    path = _record(folder, rng)
    content = path.read_bytes()
    kind = pick(rng, ("bytes", "bytes", "lines", "forged"))
    if kind == "bytes":
        changed = mutate_frames(rng, content)
    else:
        lines = content.splitlines(keepends=True)
        place = int(rng.integers(len(lines)))
        if kind == "lines":
            change = pick(rng, ("drop", "double", "swap", "cut"))
            if change == "swap":
                rng.shuffle(lines)
            elif change == "cut":
                lines = lines[:place]
            else:
                lines[place : place + 1] = [lines[place]] * (0 if change == "drop" else 2)
            changed = b"".join(lines)
        else:  # by someone who sets the digest right
            changed_line = mutate_json(rng, json.loads(lines[place]))
            lines[place] = json.dumps(changed_line).encode() + b"\n"
            end = json.loads(lines[-1])
            if place < len(lines) - 1 and isinstance(end, dict):
                end["sha256"] = hashlib.sha256(b"".join(lines[:-1])).hexdigest()
                lines[-1] = json.dumps(end).encode() + b"\n"
            changed = b"".join(lines)
    path.write_bytes(changed)
    try:
        found = RunRecord.load(path)
    except Exception as error:
        check_refusal(error)
        require(changed != content, "refused a whole record")
        return REFUSED
    require(kind == "forged" or changed == content, "took a damaged record for whole")
    given = [row for row in map(json.loads, changed.splitlines()[1:-1]) if "index" in row]
    require(len(found) == len(given), "evaluations are missing")
    for row, line in zip(found.rows, given, strict=True):
        for key in ("row", "epochs", "val_accuracy", "energy"):
            written = math.nan if line[key] is None else float(line[key])  # NaN, too, says that there is none
            same = row[key] == written or (math.isnan(row[key]) and math.isnan(written))
            require(same and (key != "row" or type(row[key]) is int), f"{key}: {row[key]!r}, written {line[key]!r}")
    return TAKEN


# ---------------------------------------------------------------------------------------------------------------------
# Sweep files

SWEEP = """
out = "runs"
benchmarks = ["surrogate-4V"]
budgets = [20]
checkpoints = [10, 20]
seeds = 3
objectives = ["val_accuracy", "energy"]
scalarisation = "linear"
weights = [0.8, 0.2]

[[algorithm]]
name = "evolution"
use = "RegularisedEvolution"
population_size = 20

[[algorithm]]
use = "RandomSearch"
"""
TOML_VALUES = (
    '"3"', "0", "-1", "1.5", "[]", "[1]", "true", "nan", "inf", '""', '["x"]', "{}", "2020-01-01", "[0, 0]", "[[1]]",
    '"linear"', '"surrogate-5V"', "1_000_000_000_000_000_000_000", "{a = 1}",
)  # fmt: skip


def one_sweep(rng: np.random.Generator, folder: Path) -> str:
    lines = SWEEP.strip().splitlines()
    place = int(rng.integers(len(lines)))
    kind = pick(rng, ("value", "value", "key", "drop", "double", "bytes"))
    if kind in ("value", "key") and "=" in lines[place]:
        key, value = lines[place].split(" = ", 1)
        lines[place] = f"{key} = {pick(rng, TOML_VALUES)}" if kind == "value" else f"{key[:-1]} = {value}"
    elif kind in ("drop", "double"):
        lines[place : place + 1] = [lines[place]] * (0 if kind == "drop" else 2)
    content = "\n".join(lines).encode()
    if kind == "bytes":
        content = mutate_frames(rng, content)
    path = folder / "sweep.toml"
    path.write_bytes(content)
    try:
        sweep = Sweep.load(path)
    except Exception as error:
        return check_refusal(error, SweepError)
    require(sweep.algorithms and sweep.seeds and all(budget > 0 for budget in sweep.budgets), "took an empty sweep")
    return TAKEN


# ---------------------------------------------------------------------------------------------------------------------
# Arguments


def odd_argument(rng: np.random.Generator):
    """Something that somebody may hand over, right or wrong."""
    return pick(rng, ARGUMENTS)


ARGUMENTS = (
    None,
    True,
    False,
    0,
    1,
    3,
    -1,
    4,
    90,
    91,
    108,
    10**30,
    0.0,
    0.5,
    1.0,
    math.nan,
    math.inf,
    "",
    "x",
    "4V",
    "5V",
    "mean",
    "linear",
    "chebyshev",
    "soft-cap",
    "best",
    "val_accuracy",
    "energy",
    "test_accuracy",
    "surrogate-4V",
    "5529e1779433733d1145e20de5d8604e",
    b"x",
    [],
    (),
    {},
    set(),
    [0],
    [3, 90],
    [-1],
    [91],
    [0.5],
    ["energy"],
    ("val_accuracy", "energy"),
    {"energy"},
    [None],
    (0.5, 0.5),
    [[0, 1], [0, 0]],
    [[0, 1], [0]],
    [[0, 2], [0, 0]],
    ["conv3x3"],
    [["conv3x3"]],
    np.int64(3),
    np.int8(-1),
    np.uint64(2**63),
    np.float64(3),
    np.bool_(True),
    np.array(3),
    np.array([3]),
    np.array([]),
    np.array([1.5]),
    np.array(["x"]),
    np.zeros((2, 2)),
    np.zeros((3, 4, 4), int),
    np.zeros((3, 2), int),
    np.zeros((3, 2)),
    np.full((3, 2), 9),
    np.array([None]),
    object,
    object(),
    int,
    lambda *_: 1,
    range(3),
    slice(3),
    "x" * 10**5,
    [0] * 10**4,
    Budget,
    ecnas.Linear((1, 2, 3)),
    ecnas.Linear,
    ecnas.EnergyCap(0.3),
    np.random,
    2**31,
    complex(1),
    ...,
    "\ud800",
    "a\0b",
)


def entries(benchmark: ecnas.Benchmark, budget: Budget) -> list[tuple[str, Callable[..., object], int]]:
    """What is called, and with how many odd arguments."""
    space = benchmark.space
    cell = space[7]
    return [
        ("query", lambda a: benchmark.query(a, budget=budget), 1),
        ("query", lambda a, b: benchmark.query(cell, a, repeat=b, budget=budget), 2),
        ("query budget", lambda a: benchmark.query(cell, budget=a), 1),
        ("query_row", lambda a, b, c: benchmark.query_row(a, b, repeat=c, budget=budget), 3),
        ("query_rows", lambda a, b, c: benchmark.query_rows(a, b, repeat=c, budget=budget), 3),
        ("query_rows", lambda a: benchmark.query_rows(a, budget=budget), 1),
        ("query_batch", lambda a, b: benchmark.query_batch(a, b, budget=budget), 2),
        ("values", lambda a, b, c: benchmark.values(a, b, c), 3),
        ("values", lambda a: benchmark.values("energy", rows=a), 1),
        ("pareto_front", lambda a, b: benchmark.pareto_front(a, b), 2),
        ("normalisation", lambda a: benchmark.normalisation(a), 1),
        ("optimum", lambda a, b: benchmark.optimum(a, b), 2),
        ("optimum", lambda a: benchmark.optimum(a), 1),
        ("scalarisation", lambda a, b: benchmark.scalarisation(a, weights=b), 2),
        ("scalar_rewards", lambda a: benchmark.scalar_rewards(a), 1),
        ("reference_point", lambda a: benchmark.reference_point(a), 1),
        ("Linear", ecnas.Linear, 1),
        ("Chebyshev", ecnas.Chebyshev, 2),
        ("EnergyCap", ecnas.EnergyCap, 1),
        ("PowerLaw", ecnas.PowerLaw, 2),
        ("Space", ecnas.Space, 1),
        ("space[]", lambda a: space[a], 1),
        ("space.row", space.row, 1),
        ("space.neighbours", space.neighbours, 1),
        ("Cell", Cell, 2),
        ("Cell", lambda a: Cell(a, []), 1),
        ("Cell", lambda a: Cell([[0, 1, 0], [0, 0, 1], [0, 0, 0]], a), 1),
        ("load", load, 1),
        ("row_of_hash", lambda a: ecnas.official.row_of_hash(benchmark, a), 1),
    ]


def one_call(rng: np.random.Generator, folder: Path) -> str:
    """Arguments of every public entry: a result, or an error of the package; a refused query costs nothing."""
    benchmark, budget = load("surrogate-4V"), Budget()
    name, function, count = pick(rng, entries(benchmark, budget))
    arguments = [odd_argument(rng) for _ in range(count)]
    try:
        result = function(*arguments)
    except Exception as error:
        require(budget.spent.evaluations == 0, f"{name} charged what it refused")
        try:
            return check_refusal(error, ECNASError, ValueError)
        except WrongError as wrong:
            raise WrongError(f"{name}({', '.join(repr(one)[:60] for one in arguments)}) {wrong}") from error
    if name in ("query", "query_row"):
        require(all(type(getattr(result, figure)) is float for figure in FIGURES), f"{name} gave {result}")
    if name == "optimum":
        require(math.isfinite(result[1]), f"optimum gave {result}")
    return TAKEN


def one_episode(rng: np.random.Generator, folder: Path) -> str:
    """Actions of the environments: a step, or a ValueError that names the action and changes nothing."""
    import gymnasium as gym

    import ecnas_gym  # noqa: F401

    name = pick(rng, ("ECNAS-4V-v0", "MO-ECNAS-4V-v0", "ECNAS-4V-Edit-v0", "MO-ECNAS-4V-Edit-v0"))
    env = gym.make(name, disable_env_checker=True).unwrapped
    env.reset(seed=0)
    outcome = TAKEN
    for _ in range(6):
        mask = env.action_masks()
        good = int(rng.choice(np.flatnonzero(mask)))
        action = good if rng.random() < 0.7 else pick(rng, ARGUMENTS)
        try:
            _, reward, terminated, truncated, _ = env.step(action)
        except Exception as error:
            outcome = check_refusal(error, ValueError)
            require((env.action_masks() == mask).all(), "a refused action changed the state")
            continue
        number = np.asarray(action)
        require(number.ndim <= 1 and number.size == 1 and number.dtype.kind in "iu", f"took {action!r}")
        require(np.isfinite(reward).all(), f"reward {reward}")
        if terminated or truncated:
            break
    return outcome


KINDS = {
    "files": one_file,
    "tables": one_table,
    "records": one_record,
    "sweeps": one_sweep,
    "calls": one_call,
    "episodes": one_episode,
}

LEAST = {"files": 10_000, "tables": 1_000, "records": 1_000, "sweeps": 1_000, "calls": 10_000, "episodes": 1_000}
"""So many cases of each kind, however long it takes."""


def run_case(kind: str, number: int, parent: Path | None = None) -> str:
    """One case by its number; raises WrongError, or whatever should not have been raised."""
    folder = Path(tempfile.mkdtemp(dir=parent))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return KINDS[kind](np.random.default_rng([list(KINDS).index(kind), number]), folder)
    finally:
        shutil.rmtree(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for kind in KINDS:
        parser.add_argument(f"--{kind}", type=int, metavar="N", help=f"how many {kind}")
    parser.add_argument("--first", type=int, default=0, metavar="NUMBER", help="number of the first case")
    parser.add_argument("--minutes", type=float, default=10.0, help="for all kinds, where no numbers are given")
    arguments = parser.parse_args()
    counts = {kind: getattr(arguments, kind) for kind in KINDS if getattr(arguments, kind)}
    # Files take longest, and have the most that can be damaged.
    shares = {kind: 60 * arguments.minutes * (0.4 if kind == "files" else 0.6 / (len(KINDS) - 1)) for kind in KINDS}
    failures = 0
    parent = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None
    for kind in counts or KINDS:
        start, outcomes, number = time.monotonic(), Counter(), arguments.first
        least = arguments.first + (counts[kind] if counts else LEAST[kind])
        while number < least or (not counts and time.monotonic() - start < shares[kind]):
            try:
                outcomes[run_case(kind, number, parent)] += 1
            except Exception as error:
                outcomes["wrong"] += 1
                print(f"{kind} {number}: {type(error).__name__}: {str(error)[:400]}", file=sys.stderr)
                if outcomes["wrong"] <= 3 and not isinstance(error, WrongError):
                    traceback.print_exc()
            number += 1
        failures += outcomes["wrong"]
        print(
            f"{kind}: {number - arguments.first:,} tried, {outcomes[REFUSED]:,} refused, {outcomes[TAKEN]:,} taken, "
            f"{outcomes['wrong']:,} wrong, {time.monotonic() - start:.0f} s",
            flush=True,
        )
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
