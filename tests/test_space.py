from __future__ import annotations

import hashlib
import itertools

import numpy as np
import pytest

from ecnas import Cell, OutOfDomainError, Space, UnknownNameError
from ecnas.encoding import code_to_ops, to_frame
from ecnas.hashing import module_hash
from ecnas.isomorphism import build_index, load_index


def test_enumeration_from_scratch_equals_what_is_shipped():
    built, shipped = build_index(), load_index()
    for name in ("patterns", "rows", "cells", "parameters"):
        assert np.array_equal(getattr(built, name), getattr(shipped, name)), name


def test_number_of_cells_by_vertices():
    assert np.bincount(Space("7V").cells.num_vertices).tolist() == [0, 0, 1, 6, 84, 2441, 62010, 359082]
    assert [len(Space(name)) for name in ("4V", "5V", "7V")] == [91, 2532, 423624]


def test_bounds_hold_and_the_next_cell_breaks_them():
    for name in ("4V", "5V", "7V"):
        space = Space(name)
        assert (space.cells.num_vertices <= space.num_vertices).all()
        assert (np.bitwise_count(space.cells.edge_bits) <= space.max_edges).all()
    assert Space("7V")[91].num_vertices == 5
    assert Space("7V")[2532].num_vertices == 6


@pytest.mark.parametrize("name", ["4V", "5V"])
def test_every_cell_is_found_by_brute_force(name):
    """All labelled graphs of the space, told apart by the published hash alone."""
    space = Space(name)
    hashes = set()
    n = space.num_vertices
    upper = np.triu_indices(n, 1)
    for edges in itertools.product((0, 1), repeat=len(upper[0])):
        matrix = np.zeros((n, n), dtype=int)
        matrix[upper] = edges
        reach = np.linalg.matrix_power(np.eye(n, dtype=int) + matrix, n) > 0
        if not (reach[0].all() and reach[:, -1].all()) or matrix.sum() > space.max_edges:
            continue  # smaller cells are met as cells of fewer vertices
        bits = sum(int(e) << i for i, e in enumerate(matrix.T[np.tril_indices(n, -1)]))
        for ops in itertools.product(range(3), repeat=n - 2):
            hashes.add(module_hash(n, bits, ops))
    of_this_size = [cell.hash for cell in space if cell.num_vertices == n]
    assert len(of_this_size) == len(set(of_this_size))
    assert set(of_this_size) == hashes


def test_order_is_that_of_the_generator():
    cells = Space("7V").cells
    order = np.lexsort((cells.op_codes, cells.edge_bits, cells.num_vertices))
    assert (order == np.arange(len(order))).all()


def test_order_is_fixed_for_ever():
    # Tables are stored by row: another order would silently give every cell the figures of another.
    digest = hashlib.sha256(load_index().cells.tobytes()).hexdigest()
    assert digest == "1964175942d90738a6e426662dbe843625b3f0d9dd9c1b40d4a951ef0adac78a"


def test_parameter_range_is_the_published_one():
    parameters = Space("7V").trainable_parameters
    assert (parameters.min(), parameters.max()) == (227274, 49979274)


def test_rows_and_cells_are_inverse():
    space = Space("7V")
    rng = np.random.default_rng(0)
    for row in [0, 90, 91, 2531, 2532, 423623, *rng.integers(len(space), size=300).tolist()]:
        assert space.row(space[row]) == row
    arrays = space.cells
    frames = np.concatenate([to_frame(n, arrays.edge_bits[arrays.num_vertices == n]) for n in range(2, 8)])
    assert (space.rows(frames, arrays.op_codes) == np.arange(len(space))).all()


def test_hash_of_sampled_cells_of_7v_is_unique_to_their_row():
    space = Space("7V")
    cells = space.sample(np.random.default_rng(1), 3000)
    by_hash = {}
    for cell in cells:
        assert by_hash.setdefault(cell.hash, cell.row) == cell.row


def test_spaces_nest():
    for row in (0, 50, 90):
        assert Space("4V")[row] == Space("5V")[row] == Space("7V")[row]
    assert Space("5V")[91] not in Space("4V")
    assert Space("4V") == Space("4V") != Space("5V")


def test_a_cell_outside_says_why():
    with pytest.raises(OutOfDomainError, match="5 vertices and .* space 4V allows at most 4 vertices and 6 edges"):
        Space("4V").row(Space("5V")[91])


def test_batch_rows_mark_what_is_outside():
    space = Space("5V")
    frames = np.array([0, to_frame(7, int(Space("7V").cells.edge_bits[-1]))])  # no edge at all; a cell of seven
    assert space.rows(frames, np.array([0, 0])).tolist() == [-1, -1]


def test_unknown_space_suggests():
    with pytest.raises(UnknownNameError, match="unknown search space '7v'"):
        Space("7v")


@pytest.mark.parametrize("row", [-1, 91])
def test_row_out_of_range(row):
    with pytest.raises(IndexError, match="from 0 to 90"):
        Space("4V")[row]


def test_sampling_is_uniform_over_unique_cells():
    space = Space("4V")
    rows = [cell.row for cell in space.sample(np.random.default_rng(0), 91 * 200)]
    counts = np.bincount(rows, minlength=91)
    chi_square = ((counts - 200) ** 2 / 200).sum()
    assert chi_square < 137  # 99.9% of a chi-square with 90 degrees of freedom
    assert space.sample(np.random.default_rng(3)) == space.sample(np.random.default_rng(3))


def edits_by_brute_force(cell: Cell, space: Space) -> set[Cell]:
    """Neighbours by trying every one-bit change of every isomorphic labelling of the cell."""
    found = set()
    matrix, ops = cell.adjacency.astype(int), list(cell.ops)
    n = cell.num_vertices
    for order in itertools.permutations(range(1, n - 1)):
        full = [0, *order, n - 1]
        relabelled = matrix[np.ix_(full, full)]
        if np.tril(relabelled).any():
            continue
        names = [ops[v - 1] for v in order]
        candidates = [
            (relabelled, [*names[:i], o, *names[i + 1 :]])
            for i in range(n - 2)
            for o in ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
        ]
        for y in range(n):
            for x in range(y):
                flipped = relabelled.copy()
                flipped[x, y] ^= 1
                candidates.append((flipped, names))
        if n < space.num_vertices:
            for seat in range(1, n):
                wider = np.insert(np.insert(relabelled, seat, 0, axis=0), seat, 0, axis=1)
                for x in range(seat):
                    for y in range(seat + 1, n + 1):
                        grown = wider.copy()
                        grown[x, seat] = grown[seat, y] = 1
                        candidates += [
                            (grown, [*names[: seat - 1], o, *names[seat - 1 :]])
                            for o in ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
                        ]
        for new_matrix, new_ops in candidates:
            try:
                neighbour = Cell(new_matrix, new_ops)
            except ValueError:
                continue
            if neighbour in space and neighbour != cell:
                found.add(neighbour)
    return found


@pytest.mark.parametrize("name", ["4V", "5V", "7V"])
def test_neighbours_are_all_single_edits(name):
    space = Space(name)
    chosen = [*range(0, 91, 9), *np.random.default_rng(5).integers(len(space), size=8).tolist()]
    for row in chosen:
        cell = space[row]
        neighbours = space.neighbours(cell)
        assert set(neighbours) == edits_by_brute_force(cell, space)
        assert [n.row for n in neighbours] == sorted(n.row for n in neighbours)


@pytest.mark.parametrize("name", ["4V", "5V"])
def test_neighbours_connect_the_space(name):
    space = Space(name)
    seen, waiting = {0}, [0]
    while waiting:
        for neighbour in space.neighbours(space[waiting.pop()]):
            if neighbour.row not in seen:
                seen.add(neighbour.row)
                waiting.append(neighbour.row)
    assert len(seen) == len(space)


def test_mutation_is_seeded_stays_inside_and_reaches_everything():
    space = Space("4V")
    rng = np.random.default_rng(0)
    seen = set()
    for row in range(91):
        for _ in range(60):
            child = space.mutate(space[row], rng)
            assert child in space
            assert child != space[row]
            seen.add(child.row)
    assert seen == set(range(91))
    big = Space("7V")
    one, two = (big.mutate(big[100_000], np.random.default_rng(7)) for _ in range(2))
    assert one == two


def test_mutation_of_operations_alone_keeps_the_graph():
    space = Space("7V")
    rng = np.random.default_rng(0)
    for cell in space.sample(rng, 50):
        child = space.mutate(cell, rng, expected_edges=0, expected_ops=2)
        assert child.canonical().edge_bits == cell.canonical().edge_bits


def test_mutation_of_edges_alone_keeps_the_operations_of_a_full_cell():
    space = Space("7V")
    rng = np.random.default_rng(0)
    for row in rng.integers(100_000, len(space), size=50).tolist():
        cell = space[row]
        child = space.mutate(cell, rng, expected_edges=1, expected_ops=0)
        if child.num_vertices == cell.num_vertices:
            assert sorted(child.ops) == sorted(cell.ops)


@pytest.mark.parametrize(
    ("edges", "ops", "message"),
    [(-1, 1, "expected_edges"), (1, 9, "expected_ops"), (0, 0, "both be 0"), (float("nan"), 1, "expected_edges")],
)
def test_bad_mutation_rates(edges, ops, message):
    with pytest.raises(ValueError, match=message):
        Space("4V").mutate(Space("4V")[0], np.random.default_rng(0), edges, ops)


def test_arrays_agree_with_cells():
    space = Space("5V")
    arrays = space.cells
    for row in range(0, len(space), 97):
        cell = space[row]
        assert (arrays.num_vertices[row], arrays.edge_bits[row]) == (cell.num_vertices, cell.edge_bits)
        ops = arrays.ops[row]
        assert (ops[cell.num_vertices - 2 :] == -1).all()
        assert (
            code_to_ops(arrays.op_codes[row])[: cell.num_vertices - 2].tolist() == ops[: cell.num_vertices - 2].tolist()
        )
        assert space.trainable_parameters[row] == cell.trainable_parameters
