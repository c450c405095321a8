"""The fit of the noise finds what was put into simulated trainings."""

import numpy as np
import pytest

from ecnas.noise import LUCKS
from ecnas.surrogate import noise
from ecnas.surrogate.data import TARGETS, target

CELLS = 60_000


@pytest.fixture(scope="module")
def simulated():
    """Three trainings of many cells: shape (cells, trainings, val and test), with their expected accuracies."""
    rng = np.random.default_rng(0)
    expected = rng.uniform(0.75, 0.94, CELLS)
    cell = rng.standard_normal((CELLS, 1))
    own = rng.multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], (CELLS, 3))
    luck = np.sqrt(0.2) * cell[..., None] + np.sqrt(0.8) * own
    return expected, expected[:, None, None] + 0.004 * luck


def figures_of(trainings):
    figures = np.full((len(trainings), len(TARGETS)), np.nan)
    figures[:, target("val_108")] = trainings[..., 0].max(axis=1)
    figures[:, target("test_108")] = trainings[:, 0, 1]
    return figures


def test_scatter_is_centred_and_as_wide_as_it_was(simulated):
    expected, trainings = simulated
    found = noise.scatter(expected, trainings[:, 0, 1] + 0.001)
    assert (np.diff(found["levels"]) > 0).all()
    for quantiles in found["quantiles"]:
        assert noise.variance(quantiles) ** 0.5 == pytest.approx(0.004, rel=0.1)
        assert np.interp(noise.NORMAL[:, 0], LUCKS, quantiles).mean() == pytest.approx(0, abs=1e-9)


def test_a_failed_training_is_no_part_of_the_scatter(simulated):
    expected, trainings = simulated
    measured = trainings[:, 0, 1].copy()
    measured[::50] = 0.1
    quantiles = noise.scatter(expected, measured)["quantiles"]
    assert quantiles.min() > -0.03
    found = noise.failures(expected, measured, np.where(np.arange(CELLS) % 200 == 0, 0.1, 0.9))
    assert found["probability"][4:-1] == pytest.approx(np.full(4, 0.02), abs=0.005)
    assert found["always"] == pytest.approx(0.25, abs=0.01)


def test_what_trainings_have_in_common(simulated):
    expected, trainings = simulated
    expected_of_best = expected + 0.003
    found = noise.common_at_108(expected_of_best, expected, figures_of(trainings), trainings)
    assert found["together"] == pytest.approx(np.full(len(found["together"]), 0.7), abs=0.05)
    assert found["common"] == pytest.approx(np.full(len(found["common"]), 0.2), abs=0.05)


def test_the_advantage_of_the_best_of_three(simulated):
    expected, trainings = simulated
    truth = (trainings[..., 0].max(axis=1) - expected).mean()
    best, figures = expected + truth, figures_of(trainings)
    shared = {"levels": np.array([0.8, 1.0]), "common": np.full(2, 0.2), "together": np.full(2, 0.7)}
    test = noise.scatter(expected, 0.5 * (trainings[:, 0, 1] - expected) + expected)  # of half the width
    test |= {"common": np.full(12, 0.2), "together": np.full(12, 0.7)}
    found = noise.best_of_three(best, expected, figures, test, shared)
    assert noise.advantage(found) == pytest.approx(np.full(12, truth), rel=0.2)


def test_advantage_of_normal_trainings_is_known():
    quantiles = {"quantiles": 0.004 * LUCKS[None], "common": np.zeros(1)}
    assert noise.advantage(quantiles) == pytest.approx([0.8463 * 0.004], rel=0.01)
