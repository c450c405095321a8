"""Rows, messages and blocks of rows: no tensorflow, no files."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published import EnergyMetrics, block_of, energy_message, record

from ecnas import CorruptFileError, Space
from ecnas.official import messages
from ecnas.official.blocks import Rows, _parse_alike, parse_block
from ecnas.official.messages import FIGURE_FIELDS, MessageError, layout_of, varint_at, write_message
from ecnas.official.rows import Row, RowError, read_row, write_row

PATH = Path("file.tfrecord")
SPACE = Space("7V")


def outcome(records, is_fast):
    """What parsing gives, in a form that can be compared; or the message of the error."""
    try:
        rows = parse_block(block_of(records), PATH, is_fast)
    except CorruptFileError as error:
        return str(error)
    stored = [bytes(rows.stored[at : at + n]) for at, n in zip(rows.offsets, rows.lengths, strict=True)]
    names = [field.name for field in dataclasses.fields(Rows) if field.name not in ("stored", "offsets")]
    return stored, {name: getattr(rows, name).tobytes() for name in names}


@functools.cache
def usual_records():
    rng = np.random.default_rng(0)
    cells = [SPACE[row] for row in [0, 1, 90, 2531, *rng.integers(len(SPACE), size=4).tolist()]]
    records = [
        record(cell, epochs, energy_message(cell, epochs, energy=rng.random(), accuracy=rng.random()))
        for cell in cells
        for epochs in (4, 12, 108)
    ]
    records += [record(cells[3], 1234, energy_message(cells[3], 4, start="2022-05-28 14:20:24"))]
    records += [record(cells[4], 4, write_message({"energy": 0.5}, 4, cells[4].trainable_parameters))]
    return records


def test_the_usual_rows_are_parsed_together_and_as_one_by_one():
    records = usual_records()
    assert _parse_alike(block_of(records), Rows.empty(len(records))).all()
    assert outcome(records, True) == outcome(records, False)


def test_figures_of_a_block():
    rows = parse_block(block_of(usual_records()), PATH)
    for i, one in enumerate(usual_records()):
        row = read_row(one)
        assert write_row(row) == one
        assert tuple(rows.figures[i].tolist()) == pytest.approx(row.figures, nan_ok=True)
        assert rows.parameters[i] == row.parameters
    assert rows.is_measured.tolist() == [False] * (len(usual_records()) - 2) + [True, False]
    assert not rows.is_verbatim.any()
    assert math.isnan(rows.figures[-1][0])
    assert rows.figures[-1][list(FIGURE_FIELDS).index("energy")] == 0.5


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_damaged_rows_are_refused_or_read_the_same_by_both_ways(data):
    records = list(usual_records())
    for _ in range(data.draw(st.integers(1, 3))):
        i = data.draw(st.integers(0, len(records) - 1))
        one = bytearray(records[i])
        at = data.draw(st.integers(0, len(one) - 1))
        kind = data.draw(st.sampled_from(["change", "cut", "double", "insert"]))
        if kind == "change":
            one[at] = data.draw(st.sampled_from(list(b'"\\,[] 01A=z\x00\xff')))
        elif kind == "cut":
            del one[at : at + data.draw(st.integers(1, 20))]
        elif kind == "double":
            one[at:at] = one[at : at + data.draw(st.integers(1, 20))]
        else:
            one.insert(at, data.draw(st.sampled_from(list(b'"\\,[] 01A=\n'))))
        records[i] = bytes(one)
    assert outcome(records, True) == outcome(records, False)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_damaged_messages_are_refused_or_read_the_same_by_both_ways(data):
    cell = SPACE[1000]
    message = bytearray(energy_message(cell, 108, start="2022-05-28"))
    for _ in range(data.draw(st.integers(1, 3))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    records = [record(cell, 108, energy_message(cell, 108)), record(cell, 108, bytes(message))] * 2
    assert outcome(records, True) == outcome(records, False)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=4))
def test_no_bytes_break_the_parser(content):
    for reader, error in ((layout_of, MessageError), (read_row, RowError)):
        with contextlib.suppress(error):
            reader(content)


def test_unusual_but_valid_ways_to_write_a_row_are_kept_verbatim():
    cell = SPACE[50]
    message = energy_message(cell, 4)
    usual = record(cell, 4, message)
    unusual = [
        json.dumps(json.loads(usual), indent=1).encode(),
        usual.replace(b'"input', b'"\\u0069nput'),
        usual.replace(b"\\n", b""),
        json.dumps(json.loads(usual), separators=(",", ":")).encode(),
    ]
    rows = parse_block(block_of([usual, *unusual]), PATH)
    assert rows.is_verbatim.tolist() == [False, True, True, True, True]
    for i, one in enumerate([message, *unusual]):
        assert rows.stored[rows.offsets[i] : rows.offsets[i] + rows.lengths[i]] == one
        assert np.array_equal(rows.figures[i], rows.figures[0], equal_nan=True)


CELL = SPACE[50]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"hash": "123"}, "hash must be 32 lower-case hexadecimal digits, got '123'"),
        ({"hash": CELL.hash.upper()}, "hash must be 32 lower-case"),
        ({"hash": 5}, "hash must be"),
        ({"epochs": 0}, "epochs must be a whole number from 1 to 2147483647, got 0"),
        ({"epochs": 4.0}, "epochs must be a whole number from 1 to 2147483647, got 4.0"),
        ({"epochs": True}, "epochs must be a whole number from 1 to 2147483647, got True"),
        ({"epochs": 1 << 40}, "epochs must be"),
        ({"adjacency": "0123"}, "adjacency must be digits 0 and 1"),
        ({"adjacency": "01000"}, "adjacency must be V×V digits, V from 2 to 7, got 5"),
        ({"adjacency": "0"}, "adjacency must be V×V digits"),
        ({"adjacency": "0" * 64}, "adjacency must be V×V digits"),
        ({"adjacency": "0010100000000000"}, r"must be upper-triangular, got an edge at \[1, 0\]"),
        ({"operations": "input,output"}, "operations must be 4 names"),
        ({"operations": "input,conv3x3-bn-relu,conv5x5-bn-relu,output"}, "must be out of .* got 'conv5x5-bn-relu'"),
        ({"operations": ["input"]}, "operations must be a text"),
        ({"metrics": "abc"}, "not base64"),
        ({"metrics": "ab*d"}, "not base64"),
        ({"metrics": 7}, "metrics must be a text"),
        ({"metrics": ""}, "malformed metrics: it has no evaluation"),
        ({"metrics": "CgkJ"}, "malformed metrics: field 1 at byte 0 does not fit"),
        ({"more": 1}, "must be a JSON list of hash"),
    ],
)
def test_invalid_rows_are_placed_and_explained(change, reason):
    good = record(CELL, 4, energy_message(CELL, 4))
    bad = record(CELL, 4, energy_message(CELL, 4), **change)
    place = rf"file.tfrecord: record 101 at byte {5000 + len(good) + 16}: .*"
    with pytest.raises(CorruptFileError, match=place + reason):
        parse_block(block_of([good, bad, good], 100, 5000), PATH)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"5", b"[1, 2]"])
def test_what_is_no_row_at_all(content):
    with pytest.raises(RowError, match="JSON"):
        read_row(content)


def test_written_messages_are_the_published_schema():
    figures = dict(zip(FIGURE_FIELDS, (0.9, 0.8, 1.0, 0.25, math.nan, 1200.0), strict=True))
    metrics = EnergyMetrics.FromString(write_message(figures, 36, 882570))
    assert len(metrics.evaluations) == 3
    final = metrics.evaluations[2]
    assert (final.val_accuracy, final.test_accuracy, final.train_accuracy) == (0.9, 0.8, 1.0)
    assert (final.current_epoch, final.energy, final.training_time) == (36, 0.25, 1200.0)
    assert not final.HasField("co2")
    assert not metrics.evaluations[0].ListFields()
    assert metrics.trainable_parameters == 882570


def test_fields_that_occur_twice_count_last():
    twice = (
        messages.varint_field(2, 1)
        + messages.bytes_field(1, messages.double_field(6, 1.0) + messages.double_field(6, 2.0))
        + messages.varint_field(2, 300)
    )
    row = Row(CELL.hash, 4, 4, 0, 0, twice)
    assert (row.parameters, row.figures[3]) == (300, 2.0)
    assert EnergyMetrics.FromString(twice).trainable_parameters == 300
    other = record(CELL, 4, twice.replace(b"\x10\x01", b"\x10\x05"))
    assert outcome([record(CELL, 4, twice), other], True) == outcome([record(CELL, 4, twice), other], False)


@pytest.mark.parametrize("value", [0, 1, 127, 128, 882570, (1 << 64) - 1])
def test_varints(value):
    written = messages.varint(value)
    assert varint_at(written, 0, len(written)) == (value, len(written))


def test_varints_that_do_not_end():
    with pytest.raises(MessageError, match="does not end"):
        varint_at(b"\x80" * 20, 0, 20)
