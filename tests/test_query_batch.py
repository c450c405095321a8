"""Looking up many cells at once: the same cells as one by one, and as the published hash tells them apart."""

from __future__ import annotations

import os

import numpy as np
import pytest
from conftest import synthetic_table

import ecnas
from ecnas import Benchmark, Budget, BudgetExhaustedError, Cell, Column, InvalidCellError, OutOfDomainError
from ecnas.encoding import OPERATIONS, bits_to_adjacency, code_to_ops, edge_bit, to_frame
from ecnas.hashing import module_hash

METRICS = ("val_accuracy", "test_accuracy", "train_accuracy", "energy", "co2", "training_time", "trainable_parameters")
SCARCE = [{"evaluations": 7}, {"epochs": 30}, {"energy": 0.9}, {"seconds": 60.0}, {"evaluations": 7, "unique": True}]


@pytest.fixture(scope="module")
def benchmark_7v():
    return ecnas.load("surrogate-7V")


@pytest.fixture(scope="module")
def three_repeats():
    rng = np.random.default_rng(0)
    columns = {
        "val_accuracy": Column(rng.uniform(0.5, 0.9, (91, 2, 3))),
        "energy": Column(rng.integers(1, 60_000, (91, 1, 3)).astype(np.uint16), 1e-6, 1e-5, per_epoch=True),
        "training_time": Column(np.full((1, 1, 1), 7.0)),
    }
    return Benchmark(synthetic_table("4V", columns=columns, repeats=3, missing=frozenset({5, 17})))


def relabelled(cell, rng, num_vertices=7):
    """A random matrix and op codes that prune to an isomorphic cell, with dead vertices where there is room."""
    size, edges = cell.num_vertices, np.argwhere(cell.adjacency).tolist()
    num_dead = rng.integers(num_vertices - size + 1)
    # A random order of the live inner vertices in which edges point forward ...
    order = [0]
    while len(order) < size - 1:
        ready = [v for v in range(1, size - 1) if v not in order and all(x in order for x, y in edges if y == v)]
        order.append(rng.choice(ready))
    # ... among dead ones: −1 has no way from the input, −2 none to the output.
    seats = rng.choice([-1, -2], size=size - 2 + num_dead)
    seats[np.sort(rng.permutation(len(seats))[: size - 2])] = order[1:]
    seats = [0, *seats.tolist(), size - 1]
    total = len(seats)
    adjacency = np.zeros((total, total), dtype=np.int8)
    for y in range(total):
        for x in range(y):
            source, target = seats[x], seats[y]
            if source >= 0 and target >= 0:
                adjacency[x, y] = [source, target] in edges
            elif source != -2 and target != -1:
                adjacency[x, y] = rng.random() < 0.5
    names = [cell.ops[v - 1] if v > 0 else OPERATIONS[rng.integers(3)] for v in seats[1:-1]]
    return adjacency, np.array([OPERATIONS.index(name) for name in names], dtype=np.int8)


def arrays_of(cells):
    """Matrices of seven vertices and op codes of a list of cells."""
    packed = [(cell._frame_bits, cell._op_code) for cell in cells]
    bits, codes = np.array(packed).T
    return bits_to_adjacency(7, bits), code_to_ops(codes)


def test_isomorphic_relabellings_with_dead_vertices_have_the_row_of_their_hash(benchmark_7v):
    rng = np.random.default_rng(0)
    cells = benchmark_7v.space.sample(rng, 1500) + [benchmark_7v.space[row] for row in range(200)]
    by_size = {}
    for cell in cells:
        adjacency, ops = relabelled(cell, rng)
        by_size.setdefault(len(adjacency), []).append((cell, adjacency, ops))
    assert set(by_size) == set(range(3, 8))
    dead = 0
    for group in by_size.values():
        expected = [cell.row for cell, _, _ in group]
        adjacency = np.stack([a for _, a, _ in group])
        ops = np.stack([o for _, _, o in group]).reshape(len(group), -1)
        answers = benchmark_7v.query_batch(adjacency, ops)
        assert answers.rows.tolist() == expected
        for (cell, matrix, codes), row in zip(group, answers.rows.tolist(), strict=True):
            labelled = Cell(matrix, [OPERATIONS[code] for code in codes])
            assert labelled.hash == cell.hash == benchmark_7v.space[row].hash
            dead += len(matrix) > cell.num_vertices
    assert dead > 200


def test_rows_and_published_hashes_are_one_to_one(benchmark_7v):
    """Over all 423,624 cells (minutes) if ECNAS_TEST_ALL is set, else over the small ones and a sample."""
    cells = benchmark_7v.space.cells
    if os.environ.get("ECNAS_TEST_ALL"):
        rows = np.arange(len(benchmark_7v.space))
    else:
        rows = np.union1d(np.arange(2532), np.random.default_rng(1).integers(len(benchmark_7v.space), size=5000))
    sizes, edge_bits, ops = cells.num_vertices[rows], cells.edge_bits[rows], cells.ops[rows]
    hashes = {
        module_hash(size, bits, codes[: size - 2])
        for size, bits, codes in zip(sizes.tolist(), edge_bits.tolist(), ops.tolist(), strict=True)
    }
    assert len(hashes) == len(rows)
    adjacency = bits_to_adjacency(7, to_frame(sizes, edge_bits))
    assert (benchmark_7v.query_batch(adjacency, np.maximum(ops, 0)).rows == rows).all()


def test_every_matrix_of_four_vertices_has_the_row_of_its_hash():
    """All 64 sets of edges and 9 operations: pruning, isomorphism and what is no cell."""
    space = ecnas.Space("4V")
    row_of_hash = {cell.hash: cell.row for cell in space}
    benchmark = ecnas.load("surrogate-4V")
    bits, codes = np.divmod(np.arange(64 * 9), 9)
    ops = np.stack([codes // 3, codes % 3], axis=1)
    answers = benchmark.query_batch(bits, ops)
    assert (benchmark.query_batch(bits_to_adjacency(4, bits), ops).rows == answers.rows).all()
    for adjacency, pair, row in zip(bits_to_adjacency(4, bits), ops, answers.rows.tolist(), strict=True):
        try:
            expected = row_of_hash[Cell(adjacency, [OPERATIONS[op] for op in pair]).hash]
        except InvalidCellError:
            expected = -1
        assert row == expected
    assert (answers.rows == -1).any()


@pytest.mark.parametrize("epochs", [4, 36, 108])
def test_figures_are_those_of_single_queries_to_the_last_bit(benchmark_7v, epochs):
    cells = benchmark_7v.space.sample(np.random.default_rng(2), 300)
    answers = benchmark_7v.query_batch(*arrays_of(cells), epochs)
    for number, cell in enumerate(cells):
        single = benchmark_7v.query(cell, epochs)
        for name in METRICS:
            batch_figure = getattr(answers, name)[number]
            assert batch_figure == getattr(single, name) or np.isnan(batch_figure) == np.isnan(getattr(single, name))
            assert np.array_equal(batch_figure, benchmark_7v.values(name, epochs)[cell.row], equal_nan=True)
    assert (answers.epochs, answers.provenance) == (epochs, "surrogate")


@pytest.mark.parametrize("repeat", [None, 0, 2])
def test_repeats_are_those_of_single_queries_to_the_last_bit(three_repeats, repeat):
    rows = np.setdiff1d(np.arange(91), [5, 17])
    for epochs in three_repeats.epochs:
        answers = three_repeats.query_rows(rows, epochs, repeat=repeat)
        for number, row in enumerate(rows.tolist()):
            single = three_repeats.query_row(row, epochs, repeat=repeat)
            assert [getattr(answers, name)[number] for name in ("val_accuracy", "energy", "training_time")] == [
                single.val_accuracy,
                single.energy,
                single.training_time,
            ]
            assert np.isnan(answers.test_accuracy[number])
    with pytest.raises(OutOfDomainError, match="repeat must be .* from 0 to 2 .* got 3"):
        three_repeats.query_rows(rows, repeat=3)


def test_what_is_not_there_is_minus_one_and_nan(three_repeats):
    space = three_repeats.space
    too_large = ecnas.Space("5V")[100]
    missing, known = space[5], space[6]
    nothing = np.zeros((7, 7), dtype=np.int8)
    adjacency, ops = arrays_of([missing, known, too_large])
    answers = three_repeats.query_batch(np.concatenate([adjacency, nothing[None]]), np.pad(ops, ((0, 1), (0, 0))))
    assert answers.rows.tolist() == [-1, 6, -1, -1]
    assert answers.trainable_parameters.tolist() == [0, known.trainable_parameters, 0, 0]
    for name in ("val_accuracy", "energy"):
        assert np.isnan(getattr(answers, name)).tolist() == [True, False, True, True]
    more_edges = np.triu(np.ones((1, 7, 7), dtype=np.int8), 1)
    assert three_repeats.query_batch(more_edges, np.zeros((1, 5), dtype=int)).rows.tolist() == [-1]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64, np.uint64, bool])
def test_integer_types(benchmark_7v, dtype):
    cells = benchmark_7v.space.sample(np.random.default_rng(3), 50)
    adjacency, ops = arrays_of(cells)
    rows = benchmark_7v.query_batch(adjacency.astype(dtype), ops.astype(dtype if dtype is not bool else int)).rows
    assert rows.tolist() == [cell.row for cell in cells]
    # Neither the memory's order nor a view of it matters.
    rows = benchmark_7v.query_batch(np.asfortranarray(adjacency)[::2], np.asfortranarray(ops)[::2]).rows
    assert rows.tolist() == [cell.row for cell in cells[::2]]


def test_an_empty_batch(benchmark_7v):
    budget = Budget(evaluations=1)
    answers = benchmark_7v.query_batch(np.zeros((0, 7, 7), int), np.zeros((0, 5), int), budget=budget)
    assert len(answers.rows) == len(answers.energy) == budget.spent.evaluations == 0


def _bad(position, value):
    adjacency = np.triu(np.ones((3, 4, 4), dtype=int), 1)
    adjacency[position] = value
    return adjacency


@pytest.mark.parametrize(
    ("adjacency", "ops", "message"),
    [
        (np.full((3, 4, 4), 0.5), np.zeros((3, 2), int), "adjacency must be integers from 0 to 1, got dtype float64"),
        ([[[0, 1], [0]]], np.zeros((1, 0), int), "adjacency must be one array, all cells of the same shape"),
        (_bad((1, 0, 3), 2), np.zeros((3, 2), int), r"adjacency must be .* 0 to 1, got 2 at \[1, 0, 3\]"),
        (_bad((1, 0, 3), -1), np.zeros((3, 2), int), r"got -1 at \[1, 0, 3\]"),
        (_bad((2, 3, 1), 1), np.zeros((3, 2), int), r"upper-triangular, got an edge at \[3, 1\] in cell 2"),
        (_bad((2, 1, 1), 1), np.zeros((3, 2), int), r"upper-triangular, got an edge at \[1, 1\] in cell 2"),
        (np.zeros((3, 4, 4), int), np.full((3, 2), 3), r"ops must be integers from 0 to 2, got 3 at \[0, 0\]"),
        (np.zeros((3, 4, 4), int), np.full((3, 2), -1), "ops must be .* got -1"),
        (np.zeros((3, 4, 4), int), np.zeros((3, 2)), "ops must be integers from 0 to 2, got dtype float64"),
        (np.zeros((3, 4, 4), int), np.array([["a", "b"]] * 3), "ops must be integers from 0 to 2, got dtype <U1"),
        (np.zeros((3, 4, 4), int), np.zeros((3, 3), int), r"adjacency must have the shape \(3, 5, 5\) or \(3,\)"),
        (np.zeros((2, 4, 4), int), np.zeros((3, 2), int), r"adjacency must have the shape \(3, 4, 4\) or \(3,\)"),
        (np.zeros((3, 8, 8), int), np.zeros((3, 6), int), "ops must have the shape .* got"),
        (np.zeros(3, int), np.zeros(3, int), "ops must have the shape .* got"),
        (np.array([0, 1, 64]), np.zeros((3, 2), int), r"edge bits\) must be integers from 0 to 63, got 64 at \[2\]"),
    ],
)
def test_bad_arguments(adjacency, ops, message):
    benchmark = ecnas.load("surrogate-4V")
    budget = Budget(evaluations=10)
    with pytest.raises(InvalidCellError, match=message):
        benchmark.query_batch(adjacency, ops, budget=budget)
    assert budget.spent.evaluations == 0


def test_bad_epochs_cost_nothing(benchmark_7v):
    budget = Budget(evaluations=10)
    with pytest.raises(OutOfDomainError, match=r"epochs must be one of \[4, 12, 36, 108\]"):
        benchmark_7v.query_rows(np.arange(3), 5, budget=budget)
    assert budget.spent.evaluations == 0


@pytest.mark.parametrize("limits", [{}, {"evaluations": 300}, {"energy": 1e6, "seconds": 1e9}, {"unique": True}])
def test_a_batch_costs_what_single_queries_cost(three_repeats, limits):
    rows = np.random.default_rng(4).integers(-1, 91, size=200)
    batch, single = Budget(**limits), Budget(**limits)
    three_repeats.query_rows(rows[:100], 4, budget=batch)
    three_repeats.query_rows(rows[100:], 4, budget=batch)
    for row in rows.tolist():
        if row >= 0 and row not in (5, 17):
            three_repeats.query_row(row, 4, budget=single)
    assert batch.spent == single.spent
    assert batch.spent.evaluations > 0


@pytest.mark.parametrize(
    "limits", [{"evaluations": 7}, {"energy": 0.9}, {"epochs": 30}, {"evaluations": 7, "unique": True}]
)
def test_a_batch_that_does_not_fit_costs_nothing(three_repeats, limits):
    budget = Budget(**limits)
    three_repeats.query_rows(np.arange(3), 4, budget=budget)
    before = budget.spent
    with pytest.raises(BudgetExhaustedError, match="exhausted"):
        three_repeats.query_rows(np.arange(50), 4, budget=budget)
    assert budget.spent == before
    three_repeats.query_rows(np.arange(3, 5), 4, budget=budget)
    assert budget.spent.evaluations == 5


@pytest.mark.parametrize(
    "limits", [{"evaluations": 7}, {"energy": 0.9}, {"seconds": 60.0}, {"evaluations": 7, "unique": True}]
)
def test_charging_partly_stops_where_single_queries_would(three_repeats, limits):
    rows = np.array([5, *range(3), -1, 1, *range(50)])
    batch, single = Budget(**limits), Budget(**limits)
    paid = three_repeats.charge(three_repeats.query_rows(rows, 4), batch, partly=True)
    expected = len(rows)
    for number, row in enumerate(rows.tolist()):
        if row < 0 or row in (5, 17):
            continue
        try:
            three_repeats.query_row(row, 4, budget=single)
        except BudgetExhaustedError:
            expected = number
            break
    assert 0 < paid < len(rows)
    assert paid == expected
    assert batch.spent == single.spent


def test_a_figure_that_is_limited_but_lacking_is_an_error_and_costs_nothing():
    table = synthetic_table("4V", columns={"val_accuracy": Column(np.full((91, 1, 1), 0.9))})
    budget = Budget(energy=1.0)
    with pytest.raises(ValueError, match="limits energy"):
        Benchmark(table).query_rows(np.arange(3), budget=budget)
    assert budget.spent.evaluations == 0


def test_reading_some_rows_keeps_no_column_in_memory():
    benchmark = Benchmark(synthetic_table("5V"))
    some = benchmark.values("energy", rows=np.array([3, 1, 3]))
    assert not benchmark._caches
    assert some.tolist() == benchmark.values("energy")[[3, 1, 3]].tolist()


def test_edge_bits_are_those_of_the_encoding(benchmark_7v):
    bits = np.array([1 << edge_bit(0, 6), 1 << edge_bit(0, 1) | 1 << edge_bit(1, 6)])
    rows = benchmark_7v.query_batch(bits, np.ones((2, 5), dtype=int)).rows
    assert benchmark_7v.space[int(rows[0])].num_vertices == 2
    assert benchmark_7v.space[int(rows[1])].ops == ("conv1x1-bn-relu",)


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64, np.float32, np.float64])
def test_matrices_of_every_type(benchmark_7v, kind):
    adjacency, ops = arrays_of(benchmark_7v.space.sample(np.random.default_rng(3), 50))
    expected = benchmark_7v.query_batch(adjacency, ops).rows
    assert (benchmark_7v.query_batch(adjacency.astype(kind), ops).rows == expected).all()
    assert (benchmark_7v.query_batch(adjacency.astype(kind).tolist(), ops.tolist()).rows == expected).all()
