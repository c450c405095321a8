"""Features say what they claim, and the same of every labelling of a cell."""

import numpy as np
import pytest

from ecnas.cost import vertex_channels
from ecnas.encoding import bits_to_adjacency, edge_bit, ops_to_code
from ecnas.space import Space, SpaceArrays
from ecnas.surrogate.features import ABSENT, CELL_FEATURES, channel_shares, features_of


def relabelled(cells, rng):
    """Each cell in another order of its vertices that keeps every edge upwards; also vertex v → its new label."""
    edge_bits, ops, places = [], [], []
    for num_vertices, bits, cell_ops in zip(cells.num_vertices, cells.edge_bits, cells.ops, strict=True):
        adjacency = bits_to_adjacency(int(num_vertices), int(bits))
        order = [0]
        inner = set(range(1, num_vertices - 1))
        while inner:
            ready = [v for v in inner if set(np.flatnonzero(adjacency[:, v])) <= set(order)]
            order.append(int(rng.choice(ready)))
            inner.remove(order[-1])
        order.append(int(num_vertices) - 1)
        label = {v: i for i, v in enumerate(order)}
        edge_bits.append(sum(1 << edge_bit(label[x], label[y]) for x, y in np.argwhere(adjacency)))
        ops.append([*(cell_ops[v - 1] for v in order[1:-1]), *[-1] * (7 - num_vertices)])
        places.append([*(label[v] for v in range(num_vertices - 1)), *range(num_vertices - 1, 7)])
    arrays = SpaceArrays(cells.num_vertices, np.array(edge_bits), ops_to_code(np.array(ops)))
    return arrays, np.array(places)


@pytest.fixture(scope="module")
def cells():
    space = Space("7V")
    rows = np.concatenate([np.arange(91), np.random.default_rng(0).integers(0, len(space), 300)])
    return SpaceArrays(*(array[rows] for array in space.cells))


def test_features_do_not_depend_on_the_labelling(cells):
    rng = np.random.default_rng(1)
    features = features_of(cells)
    for _ in range(3):
        other_cells, places = relabelled(cells, rng)
        other = features_of(other_cells)
        np.testing.assert_allclose(other.cells, features.cells, rtol=1e-5)
        np.testing.assert_allclose(other.flow, features.flow, rtol=1e-5)
        np.testing.assert_array_equal(other.widths, features.widths)
        moved = np.take_along_axis(other.vertices, places[:, :, None], axis=1)
        np.testing.assert_allclose(moved, features.vertices, rtol=1e-5, atol=1e-6)


def test_shares_are_the_channels_up_to_the_remainder(cells):
    for num_vertices in range(3, 8):
        chosen = cells.num_vertices == num_vertices
        frames = features_of(SpaceArrays(*(array[chosen] for array in cells))).adjacency
        shares = channel_shares(frames.astype(np.float32))[:, : num_vertices - 1]
        exact = vertex_channels(num_vertices, cells.edge_bits[chosen], 512)[:, :-1]
        assert np.abs(shares * 512 - exact).max() < 1


def test_costs_are_exact_where_channels_divide_evenly():
    space = Space("5V")
    features = features_of(space.cells).cells
    exact = space.trainable_parameters
    predicted = np.exp(features[:, CELL_FEATURES.index("parameters")].astype(np.float64))
    np.testing.assert_allclose(predicted, exact, rtol=0.008)
    even = np.isin(features[:, CELL_FEATURES.index("fan_in_output")], (0, 1, 2, 4))
    assert even.sum() > 1000
    np.testing.assert_allclose(predicted[even], exact[even], rtol=1e-5)


def test_absent_vertices_are_blank(cells):
    features = features_of(cells)
    assert (features.vertices[features.kinds == ABSENT] == 0).all()
    assert np.isfinite(features.vertices).all()
    assert np.isfinite(features.cells).all()
    assert np.isfinite(features.flow).all()
