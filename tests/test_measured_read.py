"""Measurements as people, programs and spreadsheets write them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import ecnas
from ecnas import measured
from ecnas.measured import MeasurementsError

SPACE = ecnas.Space("5V")
ROWS = (3, 40, 700)
HASHES = [SPACE[row].hash for row in ROWS]

PLAIN = """\
hash,epochs,val_accuracy,energy_kwh,training_time_s
{},4,0.81,0.0032,51.5
{},4,0.84,0.0045,62.25
{},4,0.79,0.0051,70
""".format(*HASHES)


@pytest.fixture
def write(tmp_path):
    def writer(text: str | bytes, name: str = "lab.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return writer


@pytest.fixture
def plain(write) -> ecnas.Table:
    return measured.read(write(PLAIN)).table


def refused(source, *parts: str, **options) -> None:
    with pytest.raises(MeasurementsError) as found:
        measured.read(source, **options)
    for part in parts:
        assert part in str(found.value)


def test_a_plain_file(plain):
    assert (plain.name, plain.space.name, plain.epochs, plain.repeats) == ("lab", "5V", (4,), 1)
    assert plain.provenance == {4: "measured"}
    assert set(range(2532)) - plain.missing == set(ROWS)
    assert plain.values("val_accuracy", 4)[list(ROWS)].tolist() == [0.81, 0.84, 0.79]
    assert plain.values("energy", 4)[list(ROWS)].tolist() == [0.0032, 0.0045, 0.0051]
    assert plain.values("training_time", 4)[list(ROWS)].tolist() == [51.5, 62.25, 70]
    assert np.isnan(plain.values("test_accuracy", 4)).all()
    benchmark = ecnas.Benchmark(plain)
    assert benchmark.query(SPACE[40]).val_accuracy == 0.84
    with pytest.raises(ecnas.OutOfDomainError):
        benchmark.query(SPACE[41])


def spellings() -> dict[str, str | bytes]:
    """The same figures, as others would write them."""
    lines = PLAIN.splitlines()
    header, rows = lines[0], [line.split(",") for line in lines[1:]]
    matrices = ["".join(str(bit) for bit in SPACE[row].adjacency.ravel()) for row in ROWS]
    ops = [",".join(SPACE[row].ops) for row in ROWS]
    semicolons = PLAIN.replace(",", ";").replace(".", ",")
    return {
        "byte-order mark": b"\xef\xbb\xbf" + PLAIN.encode(),
        "utf-16, tabs": PLAIN.replace(",", "\t").encode("utf-16"),
        "carriage returns": PLAIN.replace("\n", "\r\n"),
        "carriage returns alone": PLAIN.replace("\n", "\r"),
        "semicolons": PLAIN.replace(",", ";"),
        "semicolons, decimal commas": semicolons,
        "Excel's hint": "sep=;\r\n" + semicolons.replace("\n", "\r\n"),
        "bars": PLAIN.replace(",", "|"),
        "spaces": PLAIN.replace(",", " , "),
        "another order of lines": "\n".join([header, *reversed(lines[1:])]),
        "another order of columns": "\n".join(",".join(reversed(line.split(","))) for line in lines),
        "empty lines": PLAIN.replace("\n", "\n\n,,,,\n"),
        "trailing commas": PLAIN.replace("\n", ",,\n"),
        "comments": "# our lab\n" + PLAIN + "# the end\n",
        "the header again": PLAIN + header + "\n",
        "two files in one": (b"\xef\xbb\xbf" + "\n".join([header, *lines[1:3]]).encode() + b"\n")
        + (b"\xef\xbb\xbf" + "\n".join([header, *lines[3:]]).encode()),
        "everything quoted": "\n".join(",".join(f'"{value}"' for value in line.split(",")) for line in lines),
        "percent": "\n".join(
            [
                header.replace("val_accuracy", "Val. accuracy (%)"),
                *(",".join([h, e, str(round(float(a) * 100, 6)), *rest]) for h, e, a, *rest in rows),
            ]
        ),
        "percent signs": "\n".join(
            [header, *(",".join([h, e, f"{round(float(a) * 100, 6)} %", *rest]) for h, e, a, *rest in rows)]
        ),
        "Wh": "\n".join(
            [
                header.replace("energy_kwh", "Energy [Wh]"),
                *(",".join([h, e, a, str(round(float(k) * 1000, 9)), t]) for h, e, a, k, t in rows),
            ]
        ),
        "capital hashes": PLAIN.replace(HASHES[0], HASHES[0].upper()),
        "1.0 and 4.0": PLAIN.replace(",4,", ",4.0,"),
        "matrix as digits": "\n".join(
            ["adjacency,operations,epochs,val_acc,kWh,training_time"]
            + [f'{m},"{o}",' + ",".join(r[1:]) for m, o, r in zip(matrices, ops, rows, strict=True)]
        ),
        "matrix as a spreadsheet's number": "\n".join(
            ["adjacency,operations,epochs,val_acc,kWh,training_time"]
            + [f'{m.lstrip("0")},"{o.upper()}",' + ",".join(r[1:]) for m, o, r in zip(matrices, ops, rows, strict=True)]
        ),
        "quoted matrix, codes": "\n".join(
            ["Module Adjacency;Ops;Epochs;Validation accuracy;energy (kWh);Training time (s)"]
            + [
                f"{SPACE[row].adjacency.tolist()};{[ecnas.OPERATIONS.index(op) for op in SPACE[row].ops]};"
                + ";".join(r[1:])
                for row, r in zip(ROWS, rows, strict=True)
            ]
        ),
        "edge bits": "\n".join(
            ["num_vertices;edge_bits;ops;epochs;val_accuracy;energy_kwh;training_time_s"]
            + [
                f"{SPACE[row].num_vertices};{SPACE[row].edge_bits};{','.join(SPACE[row].ops)};" + ";".join(r[1:])
                for row, r in zip(ROWS, rows, strict=True)
            ]
        ),
        "rows": PLAIN.replace("hash", "row").replace(HASHES[0], "3").replace(HASHES[1], "40").replace(HASHES[2], "700"),
        "epochs in the column's name": "\n".join(
            ["hash,val_accuracy_4epochs,energy_kwh_4_epochs,training_time_s_epoch_4"]
            + [",".join([r[0], *r[2:]]) for r in rows]
        ),
        "minutes": "\n".join(
            [header.replace("training_time_s", "duration_min")]
            + [",".join([*r[:-1], repr(float(r[-1]) / 60)]) for r in rows]
        ),
    }


@pytest.mark.parametrize("spelling", spellings())
def test_the_same_figures_have_the_same_digest(write, plain, spelling):
    reading = measured.read(write(spellings()[spelling]))
    if spelling == "minutes":  # the last digit may differ
        for name in ("val_accuracy", "energy", "training_time"):
            assert reading.table.values(name, 4) == pytest.approx(plain.values(name, 4), nan_ok=True, rel=1e-15)
    else:
        assert reading.table.digest == plain.digest
    assert reading.table.missing == plain.missing


def test_other_kinds_of_files(write, plain, tmp_path):
    records = [
        {"hash": h, "epochs": 4, "val_accuracy": a, "energy_kwh": e, "training_time_s": t}
        for h, a, e, t in zip(HASHES, (0.81, 0.84, 0.79), (0.0032, 0.0045, 0.0051), (51.5, 62.25, 70), strict=True)
    ]
    assert measured.read(records).table.digest == plain.digest
    lines = write("\n".join(map(json.dumps, records)), "lab.jsonl")
    assert measured.read(lines).table.digest == plain.digest
    cells = [{**record, "cell": SPACE[row].to_dict()} for record, row in zip(records, ROWS, strict=True)]
    assert measured.read(write("\n".join(map(json.dumps, cells)), "cells.jsonl")).table.digest == plain.digest
    given = [{**record, "hash": None, "cell": SPACE[row]} for record, row in zip(records, ROWS, strict=True)]
    assert measured.read(given).table.digest == plain.digest
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame(records)
    frame["adjacency"] = [SPACE[row].adjacency.tolist() for row in ROWS]
    frame["ops"] = [list(SPACE[row].ops) for row in ROWS]
    frame.set_index("hash").to_parquet(tmp_path / "lab.parquet")
    assert measured.read(tmp_path / "lab.parquet").table.digest == plain.digest
    assert measured.read(frame.to_dict("records")).table.digest == plain.digest


def test_what_others_call_a_cell(plain):
    figures = {"epochs": 4, "val_accuracy": 0.81, "energy_kwh": 0.0032, "training_time_s": 51.5}
    from ecnas import interchange

    one = measured.read([{"hash": HASHES[2], **figures}]).table.digest
    cell = SPACE[700]
    for form in (
        interchange.to_hpobench(cell),
        interchange.to_nni(cell),
        interchange.to_parameters(cell, "5V"),
        {"row": 700},
        {"cell": cell.hash},
        {"cell": json.dumps(cell.to_dict())},
        {"row": 700, "hash": cell.hash},
    ):
        assert measured.read([{**form, **figures}]).table.digest == one


def test_isomorphic_forms_are_the_same_cell(write):
    one = "adjacency,ops,epochs,val_accuracy\n0110 0001 0001 0000,conv3x3;maxpool3x3,4,0.8\n"
    other = "adjacency,ops,epochs,val_accuracy\n0110 0001 0001 0000,maxpool3x3;conv3x3,4,0.8\n"
    padded = "adjacency,ops,epochs,val_accuracy\n01100 00001 00001 00000 00000,maxpool3x3;conv3x3;null,4,0.8\n"
    digests = {measured.read(write(text)).table.digest for text in (one, other, padded)}
    assert len(digests) == 1
    refused(write(one + other.splitlines()[1] + "\n"), "line 3", "line 2", "isomorphic", "column repeat")


def test_repeats_and_epochs_may_be_sparse(write):
    path = write(
        "row,epochs,repeat,val_accuracy,energy_wh\n"
        "5,108,1,0.93,\n5,108,2,0.94,1.5\n5,4,1,n/a,0.2\n6,108,3,0.91,2\n7,4,2,0.7,NaN\n8,4,1,,\n"
    )
    reading = measured.read(path)
    table = reading.table
    assert (table.epochs, table.repeats) == ((4, 108), 3)
    assert set(range(91)) - table.missing == {5, 6, 7}
    assert table.values("val_accuracy", 108, 0)[5] == 0.93
    assert table.values("val_accuracy", 108)[5] == pytest.approx(0.935)
    assert table.values("energy", 108)[5] == 0.0015
    assert table.values("val_accuracy", 108, 2)[6] == 0.91
    assert np.isnan(table.values("val_accuracy", 4)[[5, 6]]).all()
    assert "no metrics in line 7" in reading.notes[0]


def test_repeats_by_seed(write):
    path = write("row,epochs,seed,val_accuracy\n5,4,777,0.8\n5,4,42,0.7\n5,108,777,0.9\n6,4,1234,0.6\n")
    table = measured.read(path).table
    assert table.repeats == 2
    assert table.values("val_accuracy", 4, 0)[[5, 6]].tolist() == [0.7, 0.6]
    assert table.values("val_accuracy", 4, 1)[5] == 0.8
    assert table.values("val_accuracy", 108, 1)[5] == 0.9  # the same training of the cell at other epochs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.234,5", 1234.5),
        ("1 234,5", 1234.5),
        ("1.234.567,0", 1234567.0),
    ],
)
def test_decimal_commas(write, text, expected):
    table = measured.read(write(f"row;epochs;val_accuracy;training_time_s\n5;4;0,8;{text}\n")).table
    assert table.values("training_time", 4)[5] == expected


@pytest.mark.parametrize("text", ["1,234.5", "1 234.5", "1'234.5", "1234.5", "1\u202f234.5", "1.2345E3", "+1234.5"])
def test_decimal_points(write, text):
    table = measured.read(write(f'row,epochs,val_accuracy,training_time_s\n5,4,0.8,"{text}"\n')).table
    assert table.values("training_time", 4)[5] == 1234.5


def test_what_may_be_either_is_refused(write):
    path = write('row,epochs,training_time_s\n5,4,"1,234"\n6,4,17\n')
    refused(path, "line 2, column 'training_time_s'", "'1,234'", "--decimal")
    assert measured.read(path, decimal="point").table.values("training_time", 4)[5] == 1234
    assert measured.read(path, decimal="comma").table.values("training_time", 4)[5] == 1.234
    both = write('row,epochs,val_accuracy,energy_kwh\n5,4,"0,8",0.2\n6,4,0.7,0.3\n')
    refused(both, "line 2, column 'val_accuracy'", "'0,8'", "'0.2'", "in one way")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("inf", "positive and finite"),
        ("-inf", "positive and finite"),
        ("-0.1", "positive and finite"),
        ("0", "positive and finite"),
        ("0.1 kWh", "must be a number, got '0.1 kWh'"),
        ("ca. 3", "must be a number, got 'ca. 3'"),
        ("#DIV/0!", "must be a number"),
        ("1e999", "positive and finite"),
        ("0x1p3", "must be a number"),
        ("١", "must be a number"),
        ("1_000", "must be a number"),
    ],
)
def test_figures_that_cannot_be(write, value, message):
    refused(write(f"row,epochs,energy_kwh\n5,4,0.1\n6,4,{value}\n"), "line 3", "'energy_kwh'", message)


@pytest.mark.parametrize("value", ["", "NaN", "nan", "n/a", "N/A", "#N/A", "null", "None", "-", "—", "?", " "])
def test_no_figure(write, value):
    table = measured.read(write(f"row,epochs,energy_kwh,val_accuracy\n5,4,0.1,0.8\n6,4,{value},0.7\n")).table
    assert np.isnan(table.values("energy", 4)[6])
    assert table.values("val_accuracy", 4)[6] == 0.7


def test_per_cent_must_be_said(write):
    path = write("row,epochs,val_accuracy\n5,4,93.1\n6,4,92\n")
    refused(path, "line 2, column 'val_accuracy'", "93.1", "val_accuracy", "--percent", "line 3")
    table = measured.read(path, percent=True).table
    assert table.values("val_accuracy", 4)[[5, 6]].tolist() == [0.931, 0.92]
    assert measured.read(path, columns={"val_accuracy": "val_accuracy_percent"}).table.digest == table.digest


def test_per_cent_and_fractions_mixed(write):
    refused(write("row,epochs,val_accuracy\n5,4,0.93\n6,4,92\n"), "line 3", "92")
    refused(write("row,epochs,val_accuracy_percent\n5,4,0.93\n6,4,92\n"), "line 2", "0.93% here", "write 93")
    refused(write("row,epochs,val_accuracy_percent\n5,4,101\n6,4,92\n"), "line 2", "from 0 to 100, got 101")
    refused(write("row,epochs,val_accuracy\n5,4,-0.1\n"), "from 0 to 1, got -0.1")
    refused(write("row,epochs,val_accuracy\n5,4,inf\n"), "from 0 to 1, got inf")


@pytest.mark.parametrize(
    ("header", "parts"),
    [
        ("row,epochs,energy", ("column 'energy'", "energy_kwh", "energy_wh", "energy_j")),
        ("row,epochs,co2", ("column 'co2'", "co2_g or co2_kg")),
        ("row,epochs,duration", ("column 'duration'", "duration_s")),
        ("row,epochs,accuracy", ("column 'accuracy'", "val_accuracy or test_accuracy")),
        ("row,epochs,Acc (%)", ("column 'Acc (%)'", "val_accuracy or test_accuracy")),
        ("row,epochs,epochs", ("columns 2 and 3 are both called 'epochs'",)),
        ("row,epoch,epochs", ("'epoch' and 'epochs' both mean epochs",)),
        ("row,energy_kwh,energy_wh", ("'energy_kwh' and 'energy_wh' both mean energy", "ignore")),
        ("row,val_accuracy,energy_kwh", ("no column with the number of epochs", "--epochs")),
        ("index,epochs,energy_kwh", ("no column that names the cell", "'index', 'epochs', 'energy_kwh'")),
        ("row,epochs,colour", ("no metrics",)),
    ],
)
def test_columns_that_cannot_be_understood(write, header, parts):
    refused(write(f"{header}\n5,4,0.5\n"), "lab", *parts)


def test_columns_can_be_told(write):
    path = write("line,acc,used,e,params\n5,91,2,4,7\n")
    meanings = {"line": "row", "acc": "test_accuracy_percent", "used": "energy_wh", "e": "epochs", "params": "ignore"}
    table = measured.read(path, columns=meanings).table
    assert table.values("test_accuracy", 4)[5] == 0.91
    assert table.values("energy", 4)[5] == 0.002
    refused(path, "not a known meaning", columns={"acc": "goodness"})
    refused(path, "no column 'ac'", columns={"ac": "val_accuracy"})


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (b"", ("is empty",)),
        (b"\n\n", ("is empty",)),
        (b"hash,epochs,energy_kwh\n", ("no metrics",)),
        (b"\x80\x81row,epochs\n", ("line 1: not UTF-8",)),
        ("row,epochs,notes,energy_kwh\n5,4,café,1\n".encode("latin-1"), ("line 2: not UTF-8", "0xe9")),
        (b"row,epochs\0,energy_kwh\n", ("not a text file",)),
        (b"row,epochs,energy_kwh\n5,4\n", ("line 2: has 2 values", "cut off")),
        (b"row,epochs,energy_kwh\n5,4,1,2\n", ("line 2: has more values", "'2'")),
        (b"row,epochs,,energy_kwh\n5,4,x,2\n", ("line 2: 'x' is in a column without a name",)),
        (b'row,epochs,energy_kwh\n5,4,"1\n', ("line 2: not CSV",)),
        (b"row,epochs,energy_kwh\n-1,4,1\n", ("line 2: row must be the number of a cell", "-1")),
        (b"row,epochs,energy_kwh\n423624,4,1\n", ("from 0 to 423623, got 423624",)),
        (b"row,epochs,energy_kwh\n5.5,4,1\n", ("row must be a whole number, got '5.5'",)),
        (b"row,epochs,energy_kwh\n,4,1\n", ("line 2: no cell is said",)),
        (b"row,epochs,energy_kwh\n5,,1\n", ("line 2, column 'epochs'", "whole number")),
        (b"row,epochs,energy_kwh\n5,0,1\n", ("whole number from 1", "'0'")),
        (b"row,epochs,repeat,energy_kwh\n5,4,first,1\n", ("line 2, column 'repeat'", "'first'")),
        (b"hash,epochs,energy_kwh\nabc,4,1\n", ("hash must be 32 hexadecimal digits, got 'abc'",)),
        (b"adjacency,ops,epochs,energy_kwh\n1.1E+14,conv3x3,4,1\n", ("line 2", "spreadsheet has rounded")),
        (b'adjacency,ops,epochs,energy_kwh\n0110001100010000,"conv3x3,conv5x5",4,1\n', ("conv5x5",)),
        (b"adjacency,ops,epochs,energy_kwh\n000000000,conv3x3,4,1\n", ("line 2", "no path")),
        (b"row,epochs,provenance,energy_kwh\n5,4,guessed,1\n", ("'provenance'", "measured, scaled", "'guessed'")),
    ],
)
def test_files_that_cannot_be_read(write, text, parts):
    refused(write(text), "lab", *parts)


def test_cells_outside_of_all_spaces(write):
    full = ecnas.Cell(np.triu(np.ones((5, 5), int), 1), ["maxpool3x3"] * 3)
    path = write("".join(["adjacency;ops;epochs;energy_kwh\n", f"{full.adjacency.tolist()};2,2,2;4;1\n"]))
    refused(path, "line 2", "10 edges", "allows 9")


def test_columns_that_name_different_cells(write):
    refused(write(f"row,hash,epochs,energy_kwh\n4,{HASHES[0]},4,1\n"), "line 2", "hash says row 3, row says row 4")
    path = write(f"row,hash,epochs,energy_kwh\n4,{HASHES[0]},4,1\n")
    assert measured.read(path, columns={"row": "ignore"}).table.missing == frozenset(range(91)) - {3}


def test_spaces(write):
    path = write("row,epochs,energy_kwh\n5,4,1\n90,4,1\n")
    small, large = measured.read(path).table, measured.read(path, space="7V").table
    assert (small.space.name, large.space.name) == ("4V", "7V")
    assert small.digest == large.digest
    assert len(large.missing) == 423622
    more = write("row,epochs,energy_kwh\n91,4,1\n")
    refused(more, "line 2", "space 4V allows at most 4 vertices and 6 edges", space="4V")
    with pytest.raises(ecnas.UnknownNameError):
        measured.read(more, space="6V")


def test_many_problems_are_told_at_once(write):
    text = "row,epochs,energy_kwh\n" + "".join(f"{row},4,-1\n" for row in range(15))
    refused(write(text), "15 problems", "line 2, column", "line 11, column", "and 5 more")


def test_files_of_other_kinds(write, tmp_path):
    refused(write("", "lab.xlsx"), "'.xlsx'", "save the sheet as CSV")
    refused(write("", "lab.pkl"), "'.pkl'", ".parquet")
    refused(tmp_path, "is not a file")
    with pytest.raises(FileNotFoundError):
        measured.read(tmp_path / "none.csv")
    with pytest.raises(FileNotFoundError):
        measured.read(tmp_path / "none.parquet")
    refused(write("hello", "lab.parquet"), "not a Parquet file")
    refused(
        write('{"row": 5}\n[1]\nnonsense\n{"row": 5, "row": 6}\n', "lab.jsonl"),
        "line 2",
        "line 3",
        "'row' appears twice",
    )
    refused([{"row": 5, "epochs": 4, "val_accuracy": True}], "row 1", "must be a number, got True")
    refused([[5, 4, 0.8]], "row 1: must be a mapping")


def test_a_table_that_would_be_too_large():
    rows = [{"row": 423_000, "epochs": number, "repeat": number, "energy_kwh": 1.0} for number in range(1, 40)]
    refused(rows, "more than a table can hold")


def test_epochs_are_said_once(write):
    path = write("row,epochs,energy_kwh\n5,4,1\n")
    refused(path, "column 'epochs'", epochs=108)
    assert measured.read(write("row,energy_kwh\n5,1\n"), epochs=108).table.epochs == (108,)


def test_parameters_are_compared(write):
    counts = SPACE.trainable_parameters
    right = write(f"row,epochs,energy_kwh,params\n5,4,1,{counts[5]}\n6,4,1,\n")
    assert measured.read(right).notes == ()
    wrong = measured.read(write("row,epochs,energy_kwh,params\n5,4,1,7\n"))
    assert f"line 2 (7, not {counts[5]})" in wrong.notes[0]


def test_provenance_by_line_and_figure(write):
    path = write(
        "row,epochs,val_accuracy,energy_kwh,provenance,energy_provenance\n"
        "5,4,0.8,0.1,measured,\n6,4,0.7,0.2,,estimated\n7,4,0.6,0.3,surrogate,measured\n"
    )
    benchmark = ecnas.Benchmark(measured.read(path).table)
    assert benchmark.provenance("val_accuracy")[5:8].tolist() == ["measured", "measured", "surrogate"]
    assert benchmark.provenance("energy")[5:8].tolist() == ["measured", "estimated", "measured"]
    assert [benchmark.query_row(row).provenance for row in (5, 6, 7)] == ["measured", "estimated", "surrogate"]
    every = measured.read(write("row,epochs,energy_kwh\n5,4,1\n"), provenance="estimated").table
    assert every.provenance == {4: "estimated"}
    assert not every.is_mixed
    with pytest.raises(ValueError, match="provenance must be one of"):
        measured.read(path, provenance="guess")


def test_columns_that_may_have_been_meant_are_mentioned(write):
    reading = measured.read(write("row,epochs,val_accuracy,gpu_energy_kwh,colour\n5,4,0.8,0.1,red\n"))
    assert len(reading.notes) == 1
    assert "column 'gpu_energy_kwh' is not used; if it is the energy of the whole training" in reading.notes[0]
    with_energy = write("row,epochs,energy_kwh,gpu_energy_kwh,val_accuracy\n5,4,0.8,0.1,0.9\n")
    assert measured.read(with_energy).notes == ()


def test_the_preview_says_what_was_understood(write):
    text = str(
        measured.read(write("Row;Epochs;Val. acc. [%];Energy (Wh);Training time;operator\n5;4;81,5;3,2;70;Ann\n"))
    )
    for part in (
        "lab: 1 of the 91 cells of space 4V; epochs 4; 1 repeat; measured",
        "validation accuracy, percent",
        "0.815 … 0.815",
        "energy, Wh",
        "0.0032 … 0.0032 kWh",
        "training time, s (the name's usual unit)",
        "decimal comma",
    ):
        assert part in text
    assert [line.split() for line in text.splitlines() if "operator" in line] == [["operator", "not", "used"]]
