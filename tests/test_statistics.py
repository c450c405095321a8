"""Statistics against scipy and the formulas of Agarwal et al. 2021, as their library rliable has them."""

from __future__ import annotations

import numpy as np
import pytest

from ecnas.runs import statistics
from ecnas.runs.statistics import Estimate

stats = pytest.importorskip("scipy.stats")


def test_interquartile_mean():
    values = np.array([100.0, 1, 2, 3, 4, 5, 6, -100])
    assert statistics.aggregate(values) == pytest.approx(3.5)  # of 2, 3, 4, 5
    rng = np.random.default_rng(0)
    for n in (1, 3, 5, 10, 11):
        sample = rng.normal(size=(n, 4))
        assert statistics.aggregate(sample) == pytest.approx(stats.trim_mean(sample, 0.25, axis=0))
    # Over runs and tasks together, as rliable's aggregate_iqm.
    tasks = [rng.normal(size=8), rng.normal(size=8)]
    together = statistics.estimate(tasks, resamples=10).centre
    assert together == pytest.approx(stats.trim_mean(np.stack(tasks, axis=1), 0.25, axis=None))


def test_what_a_run_lacks_is_nan():
    values = np.array([[1.0, np.nan], [2.0, 3.0], [3.0, 4.0]])
    for statistic in statistics.STATISTICS:
        found = statistics.estimate([values], statistic, resamples=50)
        assert found.centre[0] == 2
        assert np.isnan([found.centre[1], found.low[1], found.high[1]]).all()


@pytest.mark.parametrize("statistic", list(statistics.STATISTICS))
def test_intervals_cover_and_are_seeded(statistic):
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        found = statistics.estimate([rng.normal(size=(20, 1))], statistic, resamples=300)
        covered += int(found.low[0] <= 0 <= found.high[0])
    assert 175 <= covered <= 200
    values = rng.normal(size=(9, 3))
    once, twice = (statistics.estimate([values], statistic, resamples=100) for _ in range(2))
    assert all((a == b).all() for a, b in zip(once, twice, strict=True))


def test_intervals_of_the_mean_are_scipys():
    values = np.random.default_rng(1).exponential(size=40)
    found = statistics.estimate([values], "mean", resamples=20_000)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, random_state=0)
    assert (found.low, found.high) == pytest.approx(theirs.confidence_interval, rel=0.02)


def test_tasks_are_resampled_apart():
    for statistic in statistics.STATISTICS:
        found = statistics.estimate([np.zeros((10, 1)), np.ones((10, 1))], statistic)
        assert found.low == pytest.approx(0.5) == found.high


def test_probability_of_improvement_is_mann_whitneys():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 5, 12).astype(float), rng.integers(0, 6, 9).astype(float)  # with ties
    found = statistics.improvement([first], [second])
    u = stats.mannwhitneyu(first, second).statistic
    assert found.centre == pytest.approx(u / (12 * 9))
    assert found.low < found.centre < found.high
    other_way = statistics.improvement([second], [first])
    assert found.centre + other_way.centre == pytest.approx(1)
    assert statistics.improvement([first + 10], [second]) == (1, 1, 1)
    two = statistics.improvement([first, first + 10], [second, second])
    assert two.centre == pytest.approx((found.centre + 1) / 2)  # the mean over tasks


def test_performance_profiles():
    strata = [np.array([0.1, 0.5, 0.9]), np.array([0.2, 0.5, 1.0])]
    found = statistics.profile(strata, np.array([0.0, 0.5, 0.95, 1.1]))
    assert found.centre == pytest.approx([1, 4 / 6, 1 / 6, 0])
    assert (found.low <= found.centre).all()


def test_ranks_are_shared_where_intervals_overlap():
    found = {
        "a": Estimate(*map(np.array, (1.0, 0.8, 1.2))),
        "b": Estimate(*map(np.array, (1.1, 0.9, 1.4))),
        "c": Estimate(*map(np.array, (2.0, 1.5, 2.5))),
        "none": Estimate(*map(np.array, (np.nan, np.nan, np.nan))),
    }
    assert statistics.ranks(found, -1) == {"a": 1, "b": 1, "c": 3}
    assert statistics.ranks(found, 1) == {"c": 1, "a": 2, "b": 2}
    assert statistics.best_apart(found, -1) is None
    assert statistics.best_apart(found, 1) == "c"
    assert statistics.best_apart({"a": found["a"]}, 1) is None


@pytest.mark.parametrize("sizes", [(1,), (4, 7), (40,), (150, 151)])
def test_the_bootstrap_of_interquartile_means_is_that_of_whole_samples(sizes):
    rng = np.random.default_rng(0)
    strata = [np.round(rng.normal(size=(size, 2)), 1) for size in sizes]  # with ties
    found = statistics.estimate(strata, "iqm", resamples=200, seed=3)
    chosen = [statistics._samples(size, 200, 3 + number) for number, size in enumerate(sizes)]
    samples = np.concatenate([values[drawn] for values, drawn in zip(strata, chosen, strict=True)], axis=1)
    means = statistics.aggregate(samples.transpose(1, 0, 2))
    np.testing.assert_allclose([found.low, found.high], np.quantile(means, [0.025, 0.975], axis=0), atol=1e-12)
