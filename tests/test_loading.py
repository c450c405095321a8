"""Benchmarks by path: what lies there, what has changed there, and what is no benchmark."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from conftest import synthetic_table

import ecnas
from ecnas import Column, CorruptFileError, UnknownNameError


@pytest.fixture
def folder(tmp_path):
    synthetic_table("4V").save(tmp_path / "table")
    return tmp_path / "table"


def changed(**columns):
    table = synthetic_table("4V")
    return synthetic_table("4V", columns={**table.columns, **columns}, digest=f"{1:064x}")


# ---------------------------------------------------------------------------------------------------------------------
# Not the file one thinks


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        (
            "a.tfrecord",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:93\nsize 1\n",
            "it is a Git LFS pointer",
        ),
        ("a.pkl", pickle.dumps({"a": 1}), "it is a pickle, which this package never loads"),
        ("a.json", b'{"format": "ecnas-table"}', "it is JSON: `ecnas import`"),
        ("a.json", b"  [1, 2]", "it is JSON"),
        ("a.html", b"<!DOCTYPE html><html></html>", "it is a web page"),
        ("a.csv", b"hash,epochs,val_accuracy\n1,2,3\n", "it is text: `ecnas import`"),
        ("a.csv", b"\xef\xbb\xbfhash,epochs,val_accuracy\n", "it is text"),
        ("a.tfrecord.gz", gzip.compress(b"x" * 100, mtime=1_700_000_000), "it is compressed with gzip"),
        ("a.zip", b"PK\x03\x04" + bytes(100), "it is a ZIP archive"),
        ("a.parquet", b"PAR1" + bytes(range(1, 100)), "it is a Parquet file"),
        ("a.npy", b"\x93NUMPY\x01\x00v\x00{'descr'", "it is a numpy array"),
        ("a.tfrecord", b"", "it is empty"),
        # Shorter than the head of a record.
        ("a.json", b"{}", "it is JSON"),
        ("a.csv", b"a,b\n", "it is text"),
        ("a.html", b"<html>", "it is a web page"),
        ("a.pkl", b"\x80\x04N.", "it is a pickle"),
        ("a.gz", b"\x1f\x8b", "it is compressed with gzip"),
        ("a.tfrecord", b"\xff" * 20, "$"),
    ],
)
def test_what_a_file_is_that_is_none_of_ours(tmp_path, name, content, kind):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CorruptFileError, match=rf"{name} is no .tfrecord file in the published format.*{kind}"):
        ecnas.load(tmp_path / name)


def test_a_folder_that_is_no_table(tmp_path):
    with pytest.raises(CorruptFileError, match=r"holds no table \(table.json\)$"):
        ecnas.load(tmp_path)
    (tmp_path / "hardware").mkdir()
    for name in "abcd":
        (tmp_path / "hardware" / f"{name}.tfrecord").touch()
    with pytest.raises(CorruptFileError, match=r"but a.tfrecord, b.tfrecord, c.tfrecord, …: load one .* ECNAS_SOURCE="):
        ecnas.load(tmp_path)


def test_a_part_of_a_table(folder):
    with pytest.raises(CorruptFileError, match="is a part of a table: load its folder"):
        ecnas.load(folder / "table.json")
    with pytest.raises(CorruptFileError, match="it is a numpy array: load the folder of its table"):
        ecnas.load(folder / "energy.npy")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
@pytest.mark.parametrize("what", ["file", "table.json", "energy.npy"])
def test_pipes_do_not_hang(folder, what):
    """In a process of its own, which can be ended."""
    path = folder.parent / "pipe" if what == "file" else folder / what
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    name = path if what == "file" else folder
    done = subprocess.run(
        [sys.executable, "-m", "ecnas", "info", name], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "must be a regular file, is a pipe" in done.stderr


def test_a_device_does_not_hang():
    with pytest.raises(CorruptFileError, match="must be a regular file, is a device"):
        ecnas.load("/dev/zero")


def test_the_home_folder(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    assert ecnas.load("~/table").digest == ecnas.load(folder).digest
    for nothing in ("~/nothing", "~nobody-of-this-name/file", "x" * 10_000, "a\0b", "", "no/such/file.tfrecord"):
        with pytest.raises(UnknownNameError, match="unknown benchmark") as told:
            ecnas.load(nothing)
        assert len(str(told.value)) < 1000


# ---------------------------------------------------------------------------------------------------------------------
# Paths that are written again


def test_a_table_that_is_written_again_is_loaded_again(folder):
    first = ecnas.load(folder)
    assert ecnas.load(folder) is first
    energy = first.query_row(3).energy
    values = first.table.columns["energy"].values * 2.0
    changed(energy=Column(values)).save(folder)
    second = ecnas.load(folder)
    assert second.query_row(3).energy == 2 * energy
    assert first.query_row(3).energy == energy  # what was opened stays
    assert ecnas.load(folder) is second


def test_a_column_that_is_written_again_is_loaded_again(folder):
    energy = ecnas.load(folder).query_row(3).energy
    values = np.load(folder / "energy.npy") * 2.0
    np.save(folder / "new.npy", values)
    os.replace(folder / "new.npy", folder / "energy.npy")
    assert ecnas.load(folder).query_row(3).energy == 2 * energy


def test_a_pickled_benchmark_is_not_another_one_later(folder):
    benchmark = ecnas.load(folder)
    pickled = pickle.dumps(benchmark)
    assert pickle.loads(pickled).query_row(3) == benchmark.query_row(3)
    changed().save(folder)
    with pytest.raises(CorruptFileError, match="held the table with digest .*, and now holds 0"):
        pickle.loads(pickled)


# ---------------------------------------------------------------------------------------------------------------------
# Figures that cannot be


@pytest.mark.parametrize(
    ("column", "value", "allowed"),
    [
        ("val_accuracy", 1.5, "from 0 to 1"),
        ("test_accuracy", -0.1, "from 0 to 1"),
        ("train_accuracy", np.inf, "from 0 to 1"),
        ("energy", -1.0, "finite and above 0"),
        ("energy", 0.0, "finite and above 0"),
        ("co2", np.inf, "finite and above 0"),
        ("training_time", -np.inf, "finite and above 0"),
    ],
)
def test_a_table_with_figures_that_cannot_be(folder, column, value, allowed):
    values = np.load(folder / f"{column}.npy")
    values[17, -1, 0] = value
    np.save(folder / f"{column}.npy", values)
    with pytest.raises(
        CorruptFileError, match=f"{column} must be {allowed}, got {value} for row 17, 108 epochs, repeat 0"
    ):
        ecnas.load(folder)


def test_coded_figures_are_checked_as_what_they_mean(tmp_path):
    stored = np.full((91, 1, 1), 100, np.uint16)
    stored[5] = 300
    columns = {"val_accuracy": Column(stored, scale=0.005), "energy": Column(stored, scale=1.0, per_epoch=True)}
    synthetic_table("4V", columns=columns, missing=frozenset({5})).save(tmp_path / "table")
    header = json.loads((tmp_path / "table" / "table.json").read_text())
    (tmp_path / "table" / "table.json").write_text(json.dumps(header | {"missing": []}))
    with pytest.raises(CorruptFileError, match="val_accuracy must be from 0 to 1, got 1.5 for row 5, 4 epochs"):
        ecnas.load(tmp_path / "table")
    synthetic_table("4V", columns=columns, missing=frozenset({5})).save(tmp_path / "table")
    assert ecnas.load(tmp_path / "table").query_row(4).energy == 10_800


def test_the_embedded_tables_have_possible_figures():
    for name in ecnas.SPACES:
        ecnas.load(f"surrogate-{name}").table.check_metrics()


# ---------------------------------------------------------------------------------------------------------------------
# Headers that claim too much


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"repeats": 10**9}, "repeats must be a whole number from 1 to 10000"),
        ({"repeats": 1.0}, "repeats must be a whole number"),
        ({"repeats": True}, "repeats must be a whole number"),
        ({"epochs": [4.0, 108.0]}, "epochs must be a whole number of at least 1, got 4.0"),
        ({"epochs": "48"}, "epochs must be a whole number"),
        ({"missing": [-1]}, "missing must be whole numbers from 0 to 90.*got -1"),
        ({"missing": [91]}, "got 91"),
        ({"missing": ["3"]}, "missing must be"),
        ({"digest": "<script>alert(1)</script>"}, "digest must be 64 hexadecimal digits"),
        ({"digest": 5}, "digest must be a text"),
        ({"name": ["x"]}, "name must be a text"),
        ({"provenance": {"4": "measured", "108": "guessed"}}, "unknown provenance 'guessed'"),
        ({"space": "8V"}, "unknown search space '8V'"),
        ({"format": "x" * 10**6}, "must be ecnas-table version 1"),
    ],
)
def test_headers(folder, changes, message):
    header = json.loads((folder / "table.json").read_text())
    (folder / "table.json").write_text(json.dumps(header | changes))
    with pytest.raises(CorruptFileError, match=message) as told:
        ecnas.load(folder)
    assert len(str(told.value)) < 1000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"file": "../elsewhere.npy"}, "file must be a name without a folder"),
        ({"file": "/etc/passwd"}, "file must be a name without a folder"),
        ({"file": ".."}, "regular file"),
        ({"file": "text.npy"}, "must hold numbers, got dtype <U1"),
        ({"scale": float("nan")}, "finite scale and offset"),
        ({"offset": float("inf")}, "finite scale and offset"),
        ({"scale": "x"}, "could not convert"),
    ],
)
def test_columns_in_headers(folder, changes, message):
    header = json.loads((folder / "table.json").read_text())
    header["columns"]["energy"] |= changes
    (folder / "table.json").write_text(json.dumps(header))
    np.save(folder / "text.npy", np.full((91, 1, 1), "x"))
    with pytest.raises(CorruptFileError, match=message):
        ecnas.load(folder)


@pytest.mark.parametrize("text", ["[" * 100_000, "{" * 100_000, "5", "null", "", "\xff", '{"format": NaN}', "9" * 5000])
def test_headers_that_are_none(folder, text):
    (folder / "table.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(CorruptFileError) as told:
        ecnas.load(folder)
    assert len(str(told.value)) < 1000


def test_a_header_without_end(folder):
    with (folder / "table.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(CorruptFileError, match="must have at most 67,108,864 bytes"):
        ecnas.load(folder)
