"""What is exported and imported again is the same."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from conftest import synthetic_table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ecnas
from ecnas import measured
from ecnas.measured.metrics import Training, table_of
from ecnas.table import COLUMNS, PROVENANCES

accuracies = st.floats(0, 1)
costs = st.floats(1e-12, 1e12)


@st.composite
def trainings(draw):
    """Trainings of some cells, sparse in every way; each with at least one figure."""
    keys = draw(
        st.lists(
            st.tuples(st.integers(0, 2531), st.sampled_from([1, 4, 108]), st.integers(0, 2)),
            min_size=1,
            max_size=12,
            unique=True,
        )
    )
    labels = sorted({repeat for _, _, repeat in keys})
    result = []
    for row, epochs, repeat in keys:
        names = draw(st.lists(st.sampled_from(COLUMNS), min_size=1, unique=True))
        figures = {name: draw(accuracies if name.endswith("accuracy") else costs) for name in names}
        origins = {name: draw(st.sampled_from(PROVENANCES)) for name in names}
        result.append(Training(row, epochs, labels.index(repeat), figures, origins))
    return result


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trainings(), st.randoms(use_true_random=False))
def test_export_then_import(tmp_path, suffix, given_trainings, shuffler):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    table = table_of(given_trainings, "lab")
    path = tmp_path / f"lab{suffix}"
    assert measured.export(table, path) == len(given_trainings)
    again = measured.read(path, space=table.space.name).table
    assert again.digest == table.digest
    assert (again.name, again.space, again.epochs, again.repeats) == ("lab", table.space, table.epochs, table.repeats)
    assert again.missing == table.missing
    assert dict(again.provenance) == dict(table.provenance)
    assert set(again.columns) == set(table.columns)
    for name in table.columns:
        for epochs in table.epochs:
            for repeat in range(table.repeats):
                assert np.array_equal(
                    again.values(name, epochs, repeat), table.values(name, epochs, repeat), equal_nan=True
                )
            there = ~np.isnan(table.values(name, epochs))
            assert np.array_equal(again.origins(name, epochs)[there], table.origins(name, epochs)[there])
    if suffix != ".parquet":  # the order of lines does not matter
        head, *lines = path.read_text().splitlines()
        lines = [head, *lines] if suffix == ".jsonl" else lines
        shuffler.shuffle(lines)
        path.write_text("\n".join([*([head] if suffix == ".csv" else []), *lines]) + "\n")
        assert measured.read(path).table.digest == table.digest


@settings(max_examples=100, deadline=None)
@given(trainings(), st.data())
def test_the_digest_is_that_of_the_figures(given_trainings, data):
    digest = table_of(given_trainings, "lab").digest
    assert table_of(given_trainings, "other", "5V", "notes").digest == digest
    chosen = data.draw(st.integers(0, len(given_trainings) - 1))
    training = given_trainings[chosen]
    name = data.draw(st.sampled_from(sorted(training.metrics)))
    value = training.metrics[name]
    changed = {**training.metrics, name: np.nextafter(value, 0.0 if value > 0.5 else 1.0)}  # accuracies end at 1
    others = [t for t in given_trainings if t is not training]
    assert (
        table_of([*others, Training(training.row, training.epochs, training.repeat, changed)], "lab").digest != digest
    )


def test_any_labelling_of_the_cells(tmp_path):
    """Vertices in another order and with dead ones between."""
    rng = random.Random(0)
    space = ecnas.Space("5V")
    rows = rng.sample(range(2532), 60)
    figures = {row: {"epochs": 4, "val_accuracy": rng.random(), "energy_kwh": rng.random()} for row in rows}
    digest = measured.read([{"row": row, **figures[row]} for row in rows]).table.digest
    lines = []
    for row in rows:
        cell = space[row]
        order = _another_order(cell, rng)
        size = cell.num_vertices
        seats = sorted(rng.sample(range(1, 6), size - 2))
        place = dict(zip(order, [0, *seats, 6], strict=True))
        matrix = np.zeros((7, 7), dtype=int)
        for x, y in np.argwhere(cell.adjacency).tolist():
            matrix[place[x], place[y]] = 1
        ops = [None] * 5
        for vertex in range(1, size - 1):
            ops[place[vertex] - 1] = cell.ops[vertex - 1]
        lines.append(json.dumps({"adjacency": matrix.tolist(), "ops": ops, **figures[row]}))
    path = tmp_path / "labelled.jsonl"
    path.write_text("\n".join(lines))
    assert measured.read(path).table.digest == digest


def _another_order(cell: ecnas.Cell, rng: random.Random) -> list[int]:
    """A random topological order of a cell's vertices."""
    left, order = set(range(1, cell.num_vertices - 1)), [0]
    while left:
        ready = [v for v in left if not any(cell.adjacency[x, v] for x in left)]
        order.append(rng.choice(sorted(ready)))
        left.discard(order[-1])
    return [*order, cell.num_vertices - 1]


def test_any_benchmark_can_be_exported(tmp_path):
    """Also one with scaled columns; the figures come back to the bit."""
    table = ecnas.load("surrogate-4V").table
    path = tmp_path / "surrogate.csv"
    assert measured.export(table, path) == 91 * 4
    again = measured.read(path).table
    assert again.provenance == dict.fromkeys((4, 12, 36, 108), "surrogate")
    for name in table.columns:
        for epochs in table.epochs:
            assert np.array_equal(again.values(name, epochs), table.values(name, epochs), equal_nan=True)


def test_missing_cells_are_not_exported(tmp_path):
    table = synthetic_table("4V", missing=frozenset({3}))
    measured.export(table, tmp_path / "lab.jsonl")
    assert measured.read(tmp_path / "lab.jsonl").table.missing == {3}


def test_the_suffix_decides(tmp_path):
    table = synthetic_table("4V")
    for name in ("lab.json", "lab", "lab.xlsx", "lab.csv.gz"):
        with pytest.raises(ValueError, match=r"one of \.csv, \.jsonl, \.parquet, \.tfrecord"):
            measured.export(table, tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    pytest.importorskip("tensorflow")
    assert measured.export(table, tmp_path / "lab.tfrecord") == 182
    loaded = ecnas.load(tmp_path / "lab.tfrecord")
    assert np.array_equal(loaded.values("energy", 4), table.values("energy", 4))
