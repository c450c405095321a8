"""Ensembles of regression networks: against scikit-learn's, one by one."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from ecnas.search.regression import Regression

sklearn_networks = pytest.importorskip("sklearn.neural_network")


def data(num_rows: int, num_distinct: int) -> tuple[np.ndarray, np.ndarray]:
    """Binary inputs of which many are equal, and noisy targets."""
    rng = np.random.default_rng(num_rows)
    x = (rng.random((num_distinct, 12)) < 0.3)[rng.integers(num_distinct, size=num_rows)].astype(np.float32)
    y = np.tanh(x @ rng.standard_normal(12)) + 0.1 * rng.standard_normal(num_rows)
    return x, y.astype(np.float32)


def published(how: Regression, x, y, x_new, rng, monkeypatch) -> tuple[np.ndarray, int]:
    """What scikit-learn predicts with the same initial weights, and its steps."""

    def initial(self, fan_in, fan_out, dtype):
        values = rng.uniform(-1.0, 1.0, fan_in * fan_out + fan_out) * np.sqrt(6.0 / (fan_in + fan_out))
        return values[:-fan_out].reshape(fan_in, fan_out).astype(dtype), values[-fan_out:].astype(dtype)

    monkeypatch.setattr(sklearn_networks.MLPRegressor, "_init_coef", initial)
    network = sklearn_networks.MLPRegressor(
        hidden_layer_sizes=how.hidden,
        learning_rate_init=how.learning_rate,
        alpha=how.alpha,
        batch_size=len(x),
        max_iter=how.max_steps,
        tol=how.tolerance,
        n_iter_no_change=how.patience,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.fit(x.astype(np.float64), y.astype(np.float64))
    return network.predict(x_new.astype(np.float64)), network.n_iter_


@pytest.mark.parametrize(("num_rows", "num_distinct"), [(30, 30), (90, 40), (600, 150)])
def test_the_same_as_scikit_learns(num_rows, num_distinct, monkeypatch):
    x, y = data(num_rows, num_distinct)
    how = Regression(hidden=(32, 16), learning_rate=0.01, alpha=1e-3, max_steps=15)
    found = how.predict(x, y, x[:50], [np.random.default_rng(seed) for seed in range(3)])
    assert found.shape == (3, min(num_rows, 50))
    for seed in range(3):
        expected, _ = published(how, x, y, x[:50], np.random.default_rng(seed), monkeypatch)
        np.testing.assert_allclose(found[seed], expected, atol=1e-4)


@pytest.mark.parametrize("num_rows", [40, 260])
def test_fitting_ends_when_scikit_learns_does(num_rows, monkeypatch):
    """Each network for itself; a step more or less would be seen in the predictions."""
    x, y = data(num_rows, 30)
    how = Regression(hidden=(16,), learning_rate=0.003, tolerance=0.01, patience=2)
    found = how.predict(x, y, x, [np.random.default_rng(seed) for seed in range(4)])
    steps = set()
    for seed in range(4):
        expected, number = published(how, x, y, x, np.random.default_rng(seed), monkeypatch)
        steps.add(number)
        np.testing.assert_allclose(found[seed], expected, atol=1e-3)
    assert len(steps) > 1
    assert max(steps) < how.max_steps


def test_a_network_does_not_depend_on_the_others():
    x, y = data(300, 80)
    how = Regression(hidden=(16, 16), learning_rate=0.01)
    together = how.predict(x, y, x, [np.random.default_rng(seed) for seed in range(3)])
    alone = how.predict(x, y, x, [np.random.default_rng(1)])
    np.testing.assert_allclose(together[1], alone[0], atol=1e-4)
