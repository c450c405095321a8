"""From files to tables and back."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import multiprocessing
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import needs_official, synthetic_table
from hypothesis import given, settings
from hypothesis import strategies as st
from published import (
    NAMES,
    OFFICIAL,
    AccuracyMetrics,
    block_of,
    energy_message,
    needs_tensorflow,
    record,
    slow_rows,
    write_file,
)

import ecnas
from ecnas import CorruptFileError, OutOfDomainError, Space
from ecnas.loading import restrict
from ecnas.official import CATALOGUE, cache, convert, table_of_file, table_of_published
from ecnas.official.curves import learning_curve
from ecnas.official.export import column_records, export
from ecnas.official.hashes import are_all_hashes, row_of_hash
from ecnas.official.source import Source, has_source
from ecnas.table import open_table

pytestmark = needs_tensorflow

SPACE = Space("4V")
PUBLISHED_COLUMNS = {
    "val_accuracy": "val_accuracy",
    "test_accuracy": "test_accuracy",
    "train_accuracy": "train_accuracy",
    "energy": "energy",
    "co2": "co2",
    "training_time": "training_time",
}


def written(folder, rows, name="mine"):
    path = folder / f"{name}.tfrecord"
    write_file(path, rows)
    return path


@pytest.fixture
def in_memory(monkeypatch):
    """Converts rows as if they were in a file, which saves starting tensorflow."""

    def convert_rows(rows, folder):
        path = folder / "mine.tfrecord"
        path.touch()
        monkeypatch.setattr(convert, "read_blocks", lambda path, called=None: iter([block_of(rows)] if rows else []))
        (folder / "table").mkdir()
        return convert.convert(path, folder / "table", None, "0" * 64)

    return convert_rows


def rows_of(cells, epochs=(4, 12), **changes):
    return [
        record(cell, number, energy_message(cell, number, energy=0.01 * number * (cell.row + 1), **changes))
        for cell in cells
        for number in epochs
    ]


# ---------------------------------------------------------------------------------------------------------------------
# The real files


@needs_official
@pytest.mark.parametrize("path", OFFICIAL, ids=lambda path: path.stem)
def test_every_row_of_the_published_files(path):
    table = table_of_published(path.stem)
    seen: dict[tuple[int, int], int] = {}
    values = {name: column.values for name, column in table.columns.items()}
    for module_hash, epochs, cell, metrics in slow_rows(path):
        assert cell.hash == module_hash
        assert cell.trainable_parameters == metrics.trainable_parameters
        row = table.space.row(cell)
        repeat = seen.get((row, epochs), 0)
        seen[row, epochs] = repeat + 1
        final = metrics.evaluations[-1]
        assert final.current_epoch == epochs
        for name, field in PUBLISHED_COLUMNS.items():
            assert values[name][row, table.epochs.index(epochs), repeat] == getattr(final, field)
    assert set(seen.values()) == {table.repeats}
    assert len({row for row, _ in seen}) == len(table.space) - len(table.missing)
    assert len(seen) == (len(table.space) - len(table.missing)) * len(table.epochs)


@needs_official
@pytest.mark.parametrize("name", NAMES)
def test_export_gives_the_published_file_byte_for_byte(name, tmp_path):
    table = table_of_published(name)
    path = tmp_path / "copy.tfrecord"
    assert export(table, path) == len(Source(table))
    assert hashlib.sha256(path.read_bytes()).hexdigest() == CATALOGUE[name].sha256
    assert [entry.name for entry in tmp_path.iterdir()] == ["copy.tfrecord"]


@needs_official
def test_what_the_published_files_hold():
    table = table_of_published("energy_4V9E_4epochs")
    assert (table.epochs, table.repeats, table.missing) == ((4, 12, 36, 108), 3, frozenset())
    assert set(table.provenance.values()) == {"measured"}
    linscale = ecnas.load("energy_4V9E_linscale")
    assert list(linscale.table.provenance.values()) == ["measured", "scaled", "scaled", "scaled"]
    assert linscale.values("energy", 108) == pytest.approx(27 * linscale.values("energy", 4), rel=1e-12)
    assert len(linscale.pareto_front()) == 17
    assert linscale.digest == CATALOGUE["energy_4V9E_linscale"].sha256
    assert "NAS-Bench-101" in linscale.table.notes
    five = table_of_published("energy_5V9E_4epochs")
    assert (five.epochs, len(five.space), five.missing) == ((4,), 2532, frozenset())


@needs_official
def test_missing_cells_are_said():
    benchmark = ecnas.load("energy_4V9E_rtx3060")
    assert len(benchmark.table.missing) == 3
    with pytest.raises(OutOfDomainError, match="lacks cell [0-9a-f]{32}; it has 88 of the 91 cells"):
        benchmark.query(benchmark.space[min(benchmark.table.missing)])


@needs_official
def test_a_published_file_is_known_under_any_name(tmp_path):
    shutil.copy(next(path for path in OFFICIAL if path.stem == "energy_4V9E_titanxp"), tmp_path / "other.tfrecord")
    table = table_of_file(tmp_path / "other.tfrecord")
    assert table.name == "energy_4V9E_titanxp"
    assert table.notes == table_of_published("energy_4V9E_titanxp").notes


@needs_official
def test_an_unknown_file_is_judged_by_its_content(tmp_path, monkeypatch):
    for name, expected in {
        "energy_4V9E_4epochs": dict.fromkeys((4, 12, 36, 108), "measured"),
        "energy_4V9E_rtx3090": {4: "measured", 12: "scaled", 36: "scaled", 108: "scaled"},
    }.items():
        table = convert.convert(
            next(path for path in OFFICIAL if path.stem == name), _new(tmp_path / name), None, "0" * 64, is_fast=True
        )
        assert dict(table.provenance) == expected


def _new(folder):
    folder.mkdir()
    return folder


@needs_official
@pytest.mark.parametrize("name", ["energy_4V9E_4epochs", "energy_4V9E_rtx3060"])
def test_parsing_one_by_one_gives_the_same_table(name, tmp_path):
    path = next(path for path in OFFICIAL if path.stem == name)
    convert.convert(path, tmp_path, CATALOGUE[name], CATALOGUE[name].sha256, is_fast=False)
    fast = table_of_published(name).folder
    for file in sorted(entry.name for entry in tmp_path.iterdir()):
        if file not in ("messages.bin", "source.bin"):  # the order of the messages is free
            assert (tmp_path / file).read_bytes() == (fast / file).read_bytes(), file
    sources = Source(open_table(tmp_path)), Source(open_table(fast))
    assert list(sources[0].part(0, 10_000)) == list(sources[1].part(0, 10_000))


# ---------------------------------------------------------------------------------------------------------------------
# Learning curves


@needs_official
def test_scaled_rows_do_not_leak_their_final_accuracy():
    for name in NAMES:
        if name.endswith("4epochs"):
            continue
        benchmark = ecnas.load(name)
        cell = benchmark.space[7]
        for epochs in benchmark.epochs:
            curve = learning_curve(benchmark, cell, epochs)
            assert curve.is_final_only
            evaluation = benchmark.query(cell, epochs)
            for figure in ("val_accuracy", "test_accuracy", "train_accuracy"):
                start, middle, end = getattr(curve, figure)
                assert math.isnan(start)
                assert math.isnan(middle)
                assert end == getattr(evaluation, figure)
            assert curve.epoch.tolist() == [0, 1 if name.endswith(("linscale", "6000")) else 2, epochs]
            assert curve.energy[-1] == evaluation.energy
            first = learning_curve(benchmark, cell, 4)
            assert np.array_equal(curve.energy[:-1], first.energy[:-1])
            assert 0 < curve.energy[0] < curve.energy[1] < first.energy[2]


@needs_official
def test_the_middle_of_the_quadro_file_is_what_was_measured():
    two = [ecnas.load(f"energy_4V9E_{name}") for name in ("linscale", "quadrortx6000")]
    for cell in two[0].space:
        first, second = (learning_curve(benchmark, cell, 108) for benchmark in two)
        for name in ("energy", "co2", "training_time"):
            assert np.array_equal(getattr(first, name), getattr(second, name))


@needs_official
def test_measured_rows_have_whole_curves():
    benchmark = ecnas.load("energy_4V9E_4epochs")
    curve = learning_curve(benchmark, benchmark.space[7], 36, repeat=2)
    assert not curve.is_final_only
    assert curve.epoch.tolist() == [0, 1, 36]
    assert (np.diff(curve.energy) > 0).all()
    assert curve.val_accuracy[0] < 0.2 < curve.val_accuracy[2]
    assert curve.energy[2] == benchmark.query(benchmark.space[7], 36, repeat=2).energy
    with pytest.raises(OutOfDomainError, match="repeat must be a whole number from 0 to 2 for cell"):
        learning_curve(benchmark, benchmark.space[7], 36, repeat=3)
    with pytest.raises(OutOfDomainError, match="epochs must be one of"):
        learning_curve(benchmark, benchmark.space[7], 5)


def test_curves_need_a_file(synthetic_4v):
    with pytest.raises(OutOfDomainError, match="was not made from a .tfrecord file"):
        learning_curve(synthetic_4v, synthetic_4v.space[0])


# ---------------------------------------------------------------------------------------------------------------------
# Files of one's own


def test_a_table_without_a_file_is_exported_with_equal_figures(tmp_path):
    table = synthetic_table("4V", missing=frozenset({7}))
    path = tmp_path / "own.tfrecord"
    assert export(table, path) == 2 * 90
    back = table_of_file(path)
    assert (back.name, back.space, back.epochs, back.repeats) == ("own", table.space, table.epochs, 1)
    assert back.missing == {7}
    assert set(back.provenance.values()) == {"surrogate"}  # no traces of a measurement
    there = np.arange(91) != 7
    for name in table.columns:
        for epochs in table.epochs:
            assert np.array_equal(back.values(name, epochs)[there], table.values(name, epochs)[there])
    export(back, tmp_path / "again.tfrecord")
    assert (tmp_path / "again.tfrecord").read_bytes() == path.read_bytes()


def test_the_embedded_benchmark_is_exported_with_equal_figures(tmp_path):
    table = ecnas.load("surrogate-4V").table
    assert not has_source(table)
    export(table, tmp_path / "embedded.tfrecord")
    back = table_of_file(tmp_path / "embedded.tfrecord")
    for name in table.columns:
        for epochs in table.epochs:
            assert np.array_equal(back.values(name, epochs), table.values(name, epochs))


def test_repeats_are_in_the_order_of_the_file(tmp_path):
    cell = SPACE[30]
    rows = [record(cell, 4, energy_message(cell, 4, energy=energy)) for energy in (3.0, 1.0, 2.0)]
    benchmark = ecnas.load(written(tmp_path, rows))
    assert [benchmark.query(cell, repeat=k).energy for k in range(3)] == [3.0, 1.0, 2.0]
    assert benchmark.query(cell).energy == 2.0


def test_cells_may_be_trained_unequally_often(tmp_path):
    first, second = SPACE[30], SPACE[31]
    rows = [record(first, 4, energy_message(first, 4, energy=energy)) for energy in (1.0, 2.0)]
    rows += [record(second, 4, energy_message(second, 4, energy=5.0))]
    benchmark = ecnas.load(written(tmp_path, rows))
    assert benchmark.query(second).energy == benchmark.values("energy")[31] == 5.0
    assert benchmark.query(first).energy == 1.5
    with pytest.raises(OutOfDomainError, match=r"repeat must be one of \[0\] for cell .* got 1"):
        benchmark.query(second, repeat=1)
    assert "trained 1 to 2 times" in benchmark.table.notes
    assert len(benchmark.table.missing) == 89
    assert export(benchmark.table, tmp_path / "out.tfrecord") == 3


def test_isomorphic_labellings_and_dead_vertices_are_the_same_cell(tmp_path):
    cell = ecnas.Cell([[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0] * 4], ["conv3x3-bn-relu", "maxpool3x3"])
    message = energy_message(cell, 4)
    other = record(cell, 4, message, operations="input,maxpool3x3,conv3x3-bn-relu,output")
    wide = record(
        cell,
        4,
        message,
        adjacency="0110000001000010000000000",
        operations="input,conv3x3-bn-relu,maxpool3x3,maxpool3x3,output",
    )
    table = table_of_file(written(tmp_path, [other, wide]))
    assert (table.space.name, table.repeats) == ("4V", 2)
    export(table, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "mine.tfrecord").read_bytes()


def test_rows_written_in_another_way_are_exported_as_they_were(tmp_path):
    rows = rows_of(SPACE)
    rows[3] = json.dumps(json.loads(rows[3]), separators=(",", ":")).encode()
    path = written(tmp_path, rows)
    benchmark = ecnas.load(path)
    export(benchmark.table, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == path.read_bytes()
    assert learning_curve(benchmark, SPACE[1], 12).energy[-1] == benchmark.query(SPACE[1], 12).energy


@pytest.mark.parametrize("only_108", [True, False])
def test_nas_bench_101_files(tmp_path, only_108):
    epochs = (108,) if only_108 else (4, 12, 36, 108)
    rng = np.random.default_rng(0)
    rows, figures = [], {}
    for cell in SPACE:
        for number in epochs:
            for repeat in range(3):
                metrics = AccuracyMetrics(trainable_parameters=cell.trainable_parameters, total_time=99.0)
                for epoch in (0, number // 2, number):
                    train, val, test, seconds = rng.random(4)
                    metrics.evaluations.add(
                        current_epoch=epoch, training_time=seconds, train_accuracy=train, val_accuracy=val,
                        test_accuracy=test, checkpoint_path=f"/{cell.hash}/model.ckpt-{epoch}",
                    )  # fmt: skip
                figures[cell.row, number, repeat] = (val, test, train, seconds)
                rows.append(record(cell, number, metrics.SerializeToString()))
    path = written(tmp_path, rows, "nasbench_only108" if only_108 else "nasbench_full")
    benchmark = ecnas.load(path)
    assert (benchmark.epochs, benchmark.table.repeats) == (epochs, 3)
    assert set(benchmark.table.columns) == {"val_accuracy", "test_accuracy", "train_accuracy", "training_time"}
    assert set(benchmark.table.provenance.values()) == {"measured"}
    for (row, number, repeat), expected in figures.items():
        evaluation = benchmark.query(SPACE[row], number, repeat=repeat)
        figures = (
            evaluation.val_accuracy,
            evaluation.test_accuracy,
            evaluation.train_accuracy,
            evaluation.training_time,
        )
        assert figures == expected
        assert math.isnan(evaluation.energy)
        assert math.isnan(evaluation.co2)
    assert len(benchmark.pareto_front(("val_accuracy", "trainable_parameters"))) > 0
    with pytest.raises(OutOfDomainError, match="has no energy"):
        benchmark.pareto_front()
    export(benchmark.table, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == path.read_bytes()


CELL = SPACE[50]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (record(CELL, 4, energy_message(CELL, 4, parameters=5)), "5 trainable parameters; the network .* has"),
        (record(CELL, 4, energy_message(CELL, 4, parameters=-5)), "trainable parameters; the network"),
        (record(CELL, 4, energy_message(CELL, 4), hash="0" * 32), "hash 0{32}; another record names the same cell"),
        (record(CELL, 4, energy_message(CELL, 4), adjacency="0" * 16), "not connected"),
        (record(CELL, 4, energy_message(CELL, 4))[:-5], "not JSON"),
        (record(CELL, 4, energy_message(CELL, 4), operations="input,conv3x3,output,output"), "operations must be"),
    ],
)
def test_rows_that_contradict_what_is_known(tmp_path, in_memory, bad, reason):
    rows = rows_of(SPACE)
    offset = sum(len(row) + 16 for row in rows)
    with pytest.raises(CorruptFileError, match=f"mine.tfrecord: record 182 at byte {offset}: .*{reason}"):
        in_memory([*rows, bad], tmp_path)


def test_wrong_hashes_are_found(tmp_path, in_memory):
    bad = record(SPACE[90], 4, energy_message(SPACE[90], 4), hash="1" * 32)
    reason = f"record 180 .*hash 1{{32}}; the module hash of this cell is {SPACE[90].hash}"
    with pytest.raises(CorruptFileError, match=reason):
        in_memory([*rows_of(list(SPACE)[:-1]), bad], tmp_path)


@pytest.mark.parametrize(
    ("figure", "value", "allowed"),
    [
        ("energy", -1.0, "finite and above 0"),
        ("energy", 0.0, "finite and above 0"),
        ("energy", math.inf, "finite and above 0"),
        ("co2", -0.5, "finite and above 0"),
        ("training_time", -math.inf, "finite and above 0"),
        ("val_accuracy", 1.0000001, "from 0 to 1"),
        ("test_accuracy", -1e-300, "from 0 to 1"),
        ("train_accuracy", 94.3, "from 0 to 1"),
    ],
)
def test_figures_that_cannot_be(tmp_path, in_memory, figure, value, allowed):
    rows = rows_of([SPACE[row] for row in range(10)])
    rows[7] = record(SPACE[3], 12, energy_message(SPACE[3], 12, **{figure: value}))
    offset = sum(len(row) + 16 for row in rows[:7])
    with pytest.raises(CorruptFileError, match=f"record 7 at byte {offset}: {figure} must be {allowed}, got {value}"):
        in_memory(rows, tmp_path)


def test_every_hash_is_checked(tmp_path, in_memory):
    """Also those of two cells that are exchanged far behind in a large file."""
    space = Space("7V")
    cells = [space[row] for row in range(3000)]
    rows = rows_of(cells, epochs=(4,))
    rows[2650] = record(cells[2650], 4, energy_message(cells[2650], 4), hash=cells[2750].hash)
    rows[2750] = record(cells[2750], 4, energy_message(cells[2750], 4), hash=cells[2650].hash)
    with pytest.raises(CorruptFileError, match=f"record 2650 at byte .* of this cell is {cells[2650].hash}"):
        in_memory(rows, tmp_path)


def test_the_hashes_of_whole_spaces_are_known_beforehand(tmp_path, in_memory, monkeypatch):
    for name in ("4V", "5V"):
        hashes = np.frombuffer(bytes.fromhex("".join(cell.hash for cell in Space(name))), np.uint8).reshape(-1, 16)
        assert are_all_hashes(hashes, Space(name))
        hashes = hashes.copy()
        hashes[[1, 2]] = hashes[[2, 1]]
        assert not are_all_hashes(hashes, Space(name))
    rows = rows_of(SPACE)
    monkeypatch.setattr(ecnas.Cell, "hash", property(lambda cell: pytest.fail("computed")))
    assert len(in_memory(rows, tmp_path).space) == 91


@pytest.mark.parametrize("epochs_and_repeats", [(400, 1), (1, 400), (20, 20)])
def test_no_table_is_much_larger_than_what_fills_it(tmp_path, in_memory, epochs_and_repeats):
    """Some kilobytes that would make gigabytes: a cell of 7V, and one of 4V with many epochs and repeats."""
    num_epochs, repeats = epochs_and_repeats
    large, small = Space("7V")[400_000], SPACE[3]
    rows = rows_of([large], epochs=(4,))
    rows += [record(small, number, energy_message(small, number)) for number in range(5, 4 + num_epochs)]
    rows += [record(small, 4, energy_message(small, 4, energy=0.1 + 0.001 * k)) for k in range(repeats)]
    with pytest.raises(CorruptFileError, match="would be nearly empty, and too large"):
        in_memory(rows, tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 100 * sum(map(len, rows))


def test_few_cells_of_the_largest_space_are_a_table(tmp_path, in_memory):
    cells = [Space("7V")[row] for row in (5, 400_000)]
    assert in_memory(rows_of(cells, epochs=(4, 12, 36, 108)), tmp_path).space.name == "7V"


def test_long_records_and_long_values(tmp_path):
    cell = SPACE[3]
    for changes in (
        {"hash": "x" * 10**5},
        {"epochs": [1] * 10**5},
        {"operations": "y" * 10**5},
        {"adjacency": "1" * 10**5},
    ):
        path = written(tmp_path, [record(cell, 4, energy_message(cell, 4), **changes)])
        with pytest.raises(CorruptFileError, match="record 0 at byte 0") as told:
            table_of_file(path)
        assert len(str(told.value)) < 500 + len(str(path))
    good = record(cell, 4, energy_message(cell, 4))
    path = written(tmp_path, [good, record(cell, 4, b"", metrics="A" * (1 << 20))])
    place = f"record 1 at byte {len(good) + 16}"
    with pytest.raises(CorruptFileError, match=f"{place} must have at most 1,048,576 bytes, has 1,048"):
        table_of_file(path)


def test_one_cell_is_the_best_there_is(tmp_path, in_memory):
    benchmark = ecnas.Benchmark(in_memory(rows_of([SPACE[30]]), tmp_path))
    for objectives in (("val_accuracy",), ("energy",), ("val_accuracy", "energy"), ("energy", "trainable_parameters")):
        cell, reward = benchmark.optimum(objectives=objectives)
        assert (cell, reward) == (SPACE[30], 1.0)
        assert benchmark.optimum("chebyshev", objectives)[1] == 0.0
        assert benchmark.vector_rewards(objectives)[30].tolist() == [1.0] * len(objectives)
        assert benchmark.pareto_front(objectives).scores.tolist() == [[1.0] * len(objectives)]
        assert np.isnan(benchmark.scalar_rewards("linear", objectives)).sum() == 90
        reference = benchmark.reference_point(objectives)
        assert benchmark.normalisation(objectives).scores(reference) == pytest.approx([-0.1] * len(objectives))


def test_copies_of_rows_are_refused(tmp_path, in_memory):
    rows = rows_of(SPACE)
    with pytest.raises(CorruptFileError, match="record 182 is a copy of record 4"):
        in_memory([*rows, rows[4]], tmp_path)


def test_an_empty_file(tmp_path):
    with pytest.raises(CorruptFileError, match="is empty"):
        table_of_file(written(tmp_path, []))


def test_the_smallest_space_that_holds_all_cells(tmp_path, in_memory):
    for name, row in (("4V", 90), ("5V", 91), ("7V", 2532)):
        folder = tmp_path / name
        folder.mkdir()
        assert in_memory(rows_of([Space("7V")[row]]), folder).space.name == name


@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_the_same(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged")
    path = written(folder, rows_of([SPACE[3], SPACE[4]]))
    content = path.read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    kind = data.draw(st.sampled_from(["flip", "cut", "double"]))
    if kind == "flip":
        content = content[:at] + bytes([content[at] ^ 1 << data.draw(st.integers(0, 7))]) + content[at + 1 :]
    elif kind == "cut":
        content = content[:at]
    else:
        content = content[:at] + content[at : at + data.draw(st.integers(1, 900))] + content[at:]
    path.write_bytes(content)
    with contextlib.suppress(CorruptFileError):  # a cut between two records cannot be told
        table = table_of_file(path)
        assert kind == "cut"
        assert {4, 12} >= set(table.epochs)
        for row in {3, 4} - table.missing:
            assert table.values("energy", 4)[row] == 0.04 * (row + 1)


# ---------------------------------------------------------------------------------------------------------------------
# The cache


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A file of one's own and its converted table, in a cache of its own."""
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path / "cache"))
    path = written(tmp_path, rows_of(SPACE))
    return path, table_of_file(path)


def test_it_is_converted_once_and_opens_without_tensorflow(mine, monkeypatch):
    path, table = mine

    def refuse(*arguments, **keywords):
        raise AssertionError("must not start a process")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert table_of_file(path).folder == table.folder
    assert table.folder.name == table.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_opening_imports_nothing_heavy(mine):
    code = (
        "import sys, ecnas; b = ecnas.load(sys.argv[1]); print(b.query(b.space[5], 4).energy);"
        "assert not {'tensorflow', 'pooch', 'requests', 'tqdm'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(mine[0])], check=True, capture_output=True, text=True)
    assert float(done.stdout) == mine[1].values("energy", 4)[5]


def test_a_changed_file_is_noticed(mine):
    path, _ = mine
    os.utime(path, ns=(0, 0))
    assert table_of_file(path).values("energy", 4)[0] == 0.04
    write_file(path, rows_of(SPACE, train_accuracy=0.5))
    assert table_of_file(path).values("train_accuracy", 4)[0] == 0.5


@pytest.mark.parametrize("when", ["before the copy", "after the copy"])
def test_what_is_hashed_is_what_is_converted(tmp_path, monkeypatch, when):
    """A file that is replaced between its checksum and its reading, and back."""
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path / "cache"))
    first, second = rows_of(SPACE), rows_of(SPACE, train_accuracy=0.5)
    path = written(tmp_path, first)
    digest_of, convert_copy = cache._digest_of, convert.convert

    def replaced(path):
        digest = digest_of(path)
        if when == "before the copy":
            written(tmp_path, second)
        return digest

    def converted(copy, *arguments, **keywords):
        if when == "after the copy":
            written(tmp_path, second)
        return convert_copy(copy, *arguments, **keywords)

    monkeypatch.setattr(cache, "_digest_of", replaced)
    monkeypatch.setattr(convert, "convert", converted)
    table_of_file(path)
    monkeypatch.undo()
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path / "cache"))
    for rows, accuracy in ((first, 0.9), (second, 0.5)):
        path = written(tmp_path, rows)
        table = table_of_file(path)
        assert table.digest == hashlib.sha256(path.read_bytes()).hexdigest()
        assert (table.values("train_accuracy", 4) == accuracy).all()


def test_a_file_of_the_same_size_and_time_is_another_file(mine):
    path, _ = mine
    before = path.stat()
    write_file(path, rows_of(SPACE, train_accuracy=0.5))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert (table_of_file(path).values("train_accuracy", 4) == 0.5).all()
    assert (ecnas.load(path).values("train_accuracy", 4) == 0.5).all()
    write_file(path, rows_of(SPACE))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (ecnas.load(path).values("train_accuracy", 4) == 0.9).all()


def _flip_and_set_back_the_clock(folder):
    before = (folder / "energy.npy").stat()
    _flip(folder)
    os.utime(folder / "energy.npy", ns=(before.st_atime_ns, before.st_mtime_ns))


def _forget_a_file(folder):
    noted = json.loads((folder / "files.json").read_text())
    del noted["files"]["energy.npy"]
    (folder / "files.json").write_text(json.dumps(noted))


def _nest(folder):
    (folder / "files.json").write_text("[" * 100_000)


def _truncate(folder):
    path = folder / "energy.npy"
    path.write_bytes(path.read_bytes()[:-8])


def _flip(folder):
    path = folder / "energy.npy"
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)


def _scribble(folder):
    (folder / "table.json").write_text("{}")


def _scribble_in_notes(folder):
    (folder / "files.json").write_text("{}")


def _remove_messages(folder):
    (folder / "messages.bin").unlink()


def _remove_header(folder):
    (folder / "table.json").unlink()


@pytest.mark.parametrize(
    "damage",
    [
        _truncate,
        _flip,
        _flip_and_set_back_the_clock,
        _forget_a_file,
        _nest,
        _scribble,
        _scribble_in_notes,
        _remove_messages,
        _remove_header,
    ],
)
def test_a_damaged_table_is_told_and_made_anew(mine, damage):
    path, table = mine
    energy = table.values("energy", 12)
    del table
    damage(cache.table_folder(hashlib.sha256(path.read_bytes()).hexdigest()))
    with pytest.warns(UserWarning, match="the cached table is damaged and is made anew"):
        again = table_of_file(path)
    assert np.array_equal(again.values("energy", 12), energy)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table_of_file(path)
    assert not list(again.folder.parent.glob(".*"))


def test_a_table_of_an_older_version_is_made_anew(mine, monkeypatch):
    monkeypatch.setattr(cache, "_CONVERSION", 99)
    assert table_of_file(mine[0]).values("energy", 4)[0] == 0.04
    assert json.loads((mine[1].folder / "files.json").read_text())["conversion"] == 99


def test_a_copied_cache_is_good(mine, tmp_path, monkeypatch):
    shutil.copytree(tmp_path / "cache", tmp_path / "other", copy_function=shutil.copy)  # with new times
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path / "other"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert table_of_file(mine[0]).folder.is_relative_to(tmp_path / "other")


def test_what_a_killed_conversion_left_is_removed_by_the_next(mine):
    """And what one that is alive is making is not."""
    path, table = mine
    tables = table.folder.parent
    code = (
        "import sys, pathlib, time; from ecnas import files\n"
        "with files.replaced_folder(pathlib.Path(sys.argv[1])) as folder, files.replaced_path(folder / 'x') as file:\n"
        "    (folder / 'energy.npy').touch(); print(folder, flush=True); time.sleep(60)"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, tables / "new"], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    killed, alive = ((process, Path(process.stdout.readline().strip())) for process in processes)
    killed[0].kill()
    killed[0].wait()
    try:
        shutil.rmtree(table.folder)
        table_of_file(path)
        assert alive[1].exists()
        assert not killed[1].exists()
    finally:
        alive[0].kill()
        alive[0].wait()


def _convert(path):
    return table_of_file(path).values("energy", 4).tolist()


def test_two_processes_convert_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path / "cache"))
    path = written(tmp_path, rows_of(SPACE))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        results = pool.map(_convert, [path] * 2, chunksize=1)
    assert results[0] == results[1] == table_of_file(path).values("energy", 4).tolist()
    assert len(list((tmp_path / "cache" / "tables").iterdir())) == 1


# ---------------------------------------------------------------------------------------------------------------------
# Hashes


def test_cells_are_found_by_their_hash(mine, synthetic_5v):
    benchmark = ecnas.load(mine[0])
    assert row_of_hash(benchmark, SPACE[77].hash) == 77
    with pytest.raises(OutOfDomainError, match="of no cell of space 4V"):
        row_of_hash(benchmark, "0" * 32)
    with pytest.raises(ValueError, match="must be 32 hexadecimal digits"):
        row_of_hash(benchmark, "xyz")
    part = ecnas.Benchmark(restrict(synthetic_5v.table, SPACE, "part"))
    assert row_of_hash(part, f" {SPACE[5].hash.upper()} ") == 5
    assert row_of_hash(part, SPACE[6].hash) == 6  # from the cache


def test_column_records_take_another_message():
    table = synthetic_table("4V")
    records = list(column_records(table, lambda figures, epochs, parameters: b"\n\x00"))
    assert len(records) == 182
    assert json.loads(records[1])[1] == 108
    assert json.loads(records[0])[4] == "CgA=\n"
