from __future__ import annotations

import csv

import numpy as np
import pytest
from conftest import DATA, needs_training

from ecnas import OPERATIONS, Cell, Space
from ecnas.cost import network_cost, vertex_channels

CONV3, CONV1, POOL = OPERATIONS


def test_channels_of_a_known_cell():
    # NASBench-101's own example: three branches into the output share 128 channels, the remainder to the first.
    bits = Cell(
        [[0, 1, 1, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]], [CONV3, CONV1, POOL]
    ).edge_bits
    assert vertex_channels(5, np.array([bits]), 128).tolist() == [[0, 43, 43, 42, 128]]


def test_a_vertex_without_edge_to_the_output_is_as_wide_as_its_widest_successor():
    cell = Cell(
        [[0, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]], [CONV3, CONV1, POOL]
    )
    assert vertex_channels(5, np.array([cell.edge_bits]), 255).tolist() == [[0, 128, 128, 127, 255]]


def keras_parameters(cell: Cell) -> int:
    """Trainable parameters that Keras counts after building the network layer by layer."""
    keras = pytest.importorskip("keras")
    layers = keras.layers

    def convolve(x, kernel, channels):
        x = layers.Conv2D(channels, kernel, padding="same", use_bias=False)(x)
        return layers.ReLU()(layers.BatchNormalization()(x))

    n = cell.num_vertices
    matrix = cell.adjacency
    x = inputs = keras.Input((32, 32, 3))
    x = convolve(x, 3, 128)
    channels = 128
    for stack in range(3):
        if stack:
            x = layers.MaxPooling2D(2)(x)
            channels *= 2
        for _ in range(3):
            widths = vertex_channels(n, np.array([cell.edge_bits]), channels)[0].tolist()
            tensors = [x]
            for v in range(1, n - 1):
                parts = [
                    convolve(x, 1, widths[v]) if u == 0 else tensors[u][..., : widths[v]]
                    for u in range(v)
                    if matrix[u, v]
                ]
                total = parts[0] if len(parts) == 1 else layers.Add()(parts)
                op = cell.ops[v - 1]
                if op == POOL:
                    tensors.append(layers.MaxPooling2D(3, strides=1, padding="same")(total))
                else:
                    tensors.append(convolve(total, 3 if op == CONV3 else 1, widths[v]))
            outputs = [tensors[u] for u in range(1, n - 1) if matrix[u, n - 1]]
            joined = None
            if outputs:
                joined = outputs[0] if len(outputs) == 1 else layers.Concatenate()(outputs)
            if matrix[0, n - 1]:
                projected = convolve(x, 1, channels)
                joined = projected if joined is None else layers.Add()([joined, projected])
            x = joined
    logits = layers.Dense(10)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, logits)
    return sum(int(np.prod(w.shape)) for w in model.trainable_weights)


@pytest.mark.parametrize("row", [0, 57, 1700, 60_000, 423_000])
def test_parameters_are_those_of_the_network_built_in_keras(row):
    cell = Space("7V")[row]
    assert keras_parameters(cell) == cell.trainable_parameters


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
