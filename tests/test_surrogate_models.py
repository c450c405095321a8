"""The models learn what they should, the same every time."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra 'surrogate'")

from ecnas.space import Space  # noqa: E402
from ecnas.surrogate.features import CELL_FEATURES, features_of  # noqa: E402
from ecnas.surrogate.gaussian_process import GaussianProcess  # noqa: E402
from ecnas.surrogate.graph_network import GraphNetwork, Hyperparameters, Inputs, predict, train  # noqa: E402

SMALL = Hyperparameters(width=8, hidden=16, rounds=2, passes=12, batch_size=64)


@pytest.fixture(scope="module")
def features():
    return features_of(Space("5V").cells)


def learn(features, seed=0, passes=12):
    parameters = features.cells[:, CELL_FEATURES.index("parameters")]
    depth = features.cells[:, CELL_FEATURES.index("depth")]
    targets = np.stack([parameters, depth], axis=1).astype(np.float64)
    targets = (targets - targets.mean(axis=0)) / targets.std(axis=0)
    targets[::3, 1] = np.nan
    rows = np.arange(0, 2532, 2)
    inputs = Inputs(features)
    network = train(inputs, targets, rows, np.ones(2), replace(SMALL, passes=passes), seed, lambda line: None)
    return targets, predict(network, inputs)


def test_network_learns_and_generalises(features):
    targets, predicted = learn(features)
    unseen = np.arange(1, 2532, 2)
    assert predicted.shape == (2532, 2)
    assert np.abs(predicted[unseen, 0] - targets[unseen, 0]).mean() < 0.25


def test_network_is_deterministic(features):
    first, second, other = (learn(features, seed, passes=1)[1] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_network_does_not_see_the_order_of_inner_vertices(features):
    torch.manual_seed(0)
    inputs = Inputs(features)
    network = GraphNetwork(inputs.vertices.shape[-1], inputs.cells.shape[-1], 3, SMALL)
    torch.nn.init.normal_(network.heads.weight)
    straight = predict(network, inputs)
    order = [0, 3, 1, 5, 2, 4, 6]
    inputs.edges = inputs.edges[:, order][:, :, order]
    inputs.vertices, inputs.present = inputs.vertices[:, order], inputs.present[:, order]
    np.testing.assert_allclose(predict(network, inputs), straight, atol=1e-4)


def test_network_tells_all_cells_apart(features):
    torch.manual_seed(0)
    inputs = Inputs(features)
    network = GraphNetwork(inputs.vertices.shape[-1], inputs.cells.shape[-1], 6, Hyperparameters())
    torch.nn.init.normal_(network.heads.weight)
    assert len(np.unique(predict(network, inputs).round(5), axis=0)) == 2532


def test_gaussian_process_shrugs_off_outliers():
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (150, 2))
    truth = np.sin(3 * points[:, 0]) + points[:, 1]
    measured = truth + rng.normal(0, 0.01, 150)
    measured[::15] += 2.0
    good = np.arange(150) % 15 != 0
    predicted = GaussianProcess().fit(points, measured).predict(points)
    assert np.median(np.abs(predicted - truth)[good]) < 0.03
