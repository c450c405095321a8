from __future__ import annotations

import csv

import numpy as np
from conftest import DATA, needs_training

from ecnas import OPERATIONS, Cell, Space
from ecnas.cost import network_cost, vertex_channels

CONV3, CONV1, POOL = OPERATIONS


def test_channels_of_a_known_cell():
    # NAS-Bench-101's own example: three branches into the output share 128 channels, the remainder to the first.
    bits = Cell(
        [[0, 1, 1, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]], [CONV3, CONV1, POOL]
    ).edge_bits
    assert vertex_channels(5, np.array([bits]), 128).tolist() == [[0, 43, 43, 42, 128]]


def test_a_vertex_without_edge_to_the_output_is_as_wide_as_its_widest_successor():
    cell = Cell(
        [[0, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]], [CONV3, CONV1, POOL]
    )
    assert vertex_channels(5, np.array([cell.edge_bits]), 255).tolist() == [[0, 128, 128, 127, 255]]


def test_multiply_adds_by_hand():
    # Two vertices: each cell is one 1×1 projection.
    stem = 32 * 32 * 9 * 3 * 128
    first = 32**2 * 3 * 128 * 128
    second = 16**2 * (128 * 256 + 2 * 256 * 256)
    third = 8**2 * (256 * 512 + 2 * 512 * 512)
    dense = 5120
    assert Cell([[0, 1], [0, 0]], []).multiply_adds == stem + first + second + third + dense


def test_batch_equals_one_by_one():
    space = Space("5V")
    chosen = space.cells.num_vertices == 5
    batch = network_cost(5, space.cells.edge_bits[chosen], space.cells.ops[chosen])
    for position, row in list(enumerate(np.flatnonzero(chosen).tolist()))[::200]:
        assert batch.multiply_adds[position] == space[row].multiply_adds
        assert batch.trainable_parameters[position] == space[row].trainable_parameters


@needs_training
def test_parameters_published_with_the_energy_measurements():
    names = {str(number): name for number, name in enumerate(OPERATIONS)}
    with (DATA / "training" / "energy_7v_4epochs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3448
    for row in rows:
        n = round(len(row["adjacency"]) ** 0.5)
        matrix = np.array([int(digit) for digit in row["adjacency"]]).reshape(n, n)
        ops = [names[number] for number in row["ops"].split(",") if number]
        assert Cell(matrix, ops).trainable_parameters == int(row["params"])
