from __future__ import annotations

import numpy as np
import pytest
from synthetic import synthetic

import ecnas
from ecnas import pareto, search
from ecnas.runs import RunRecord, analysis, make_header
from ecnas.runs.currency import CURRENCIES
from ecnas.task import Task


@pytest.fixture(scope="module")
def bench():
    return synthetic("4V")


@pytest.fixture(scope="module")
def records(bench):
    return [search.run(search.RandomSearch(), bench, 60, seed) for seed in range(8)]


def hand_made(bench, rows, epochs):
    record = RunRecord(make_header(search.RandomSearch(), Task.of(bench), ecnas.Budget(9), 0))
    for row, chosen in zip(rows, epochs, strict=True):
        record.append(bench.space[row], bench.query_row(row, chosen), 0.0)
    return record


def test_regret_follows_the_validation_incumbent(bench):
    rows = [5, 40, 12, 90, 3]
    record = hand_made(bench, rows, [108] * 5)
    val, test = bench.values("val_accuracy"), bench.values("test_accuracy")
    expected = [test.max() - test[max(rows[: k + 1], key=lambda row: val[row])] for k in range(5)]
    assert analysis.regret(record, bench) == pytest.approx(expected)


def test_regret_counts_one_fidelity_only(bench):
    record = hand_made(bench, [90, 3, 90, 5], [4, 108, 12, 108])
    regret = analysis.regret(record, bench)
    test = bench.values("test_accuracy")
    assert np.isnan(regret[0])
    assert regret[1:3] == pytest.approx(test.max() - test[3])


def test_regret_in_reward_needs_the_optimum(bench, records):
    with pytest.raises(ValueError, match="optimum must be given"):
        analysis.regret(records[0], bench, report="reward")
    optimum = bench.optimum()[1]
    regret = analysis.regret(records[0], bench, "reward", "reward", optimum)
    assert (np.diff(regret) <= 0).all()
    assert regret[-1] == pytest.approx(optimum - records[0].column("reward").max())


def test_hypervolume_grows_to_the_whole_and_equals_a_fresh_computation(bench, records):
    whole = search.run(search.RandomSearch(), bench, 91, 0)
    volume = analysis.hypervolume(whole, bench)
    assert (np.diff(volume) >= 0).all()
    assert volume[-1] == pytest.approx(1)
    scores = bench.normalisation().scores(analysis.found(records[0]))
    reference = np.full(2, -0.1)
    exact = pareto.hypervolume(bench.pareto_front().scores, reference)
    assert analysis.hypervolume(records[0], bench)[-1] == pytest.approx(pareto.hypervolume(scores, reference) / exact)


def test_front_of_a_complete_run_is_the_exact_front(bench):
    whole = search.run(search.RandomSearch(), bench, 91, 0)
    assert analysis.front(whole, bench) == pytest.approx(bench.pareto_front().figures)


def test_steps_on_a_grid():
    spent, values = np.array([2.0, 4.0]), np.array([10.0, 20.0])
    on_grid = analysis.on_grid(np.array([1.0, 2.0, 3.9, 4.0, 9.0]), spent, values)
    assert on_grid[1:].tolist() == [10, 10, 20, 20]
    assert np.isnan(on_grid[0])


def test_interquartile_mean_is_that_of_rliable():
    values = np.array([100.0, 1, 2, 3, 4, 5, 6, -100])
    assert analysis.interquartile_mean(values) == pytest.approx(3.5)  # of 2, 3, 4, 5
    scipy_stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    for n in (1, 3, 5, 10, 11):
        sample = rng.normal(size=(n, 4))
        assert analysis.interquartile_mean(sample) == pytest.approx(scipy_stats.trim_mean(sample, 0.25, axis=0))


def test_interval_covers_and_is_seeded():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        values = rng.normal(size=(20, 1))
        _, low, high = analysis.interval([values], resamples=300)
        covered += int(low[0] <= 0 <= high[0])
    assert 175 <= covered <= 200
    once, twice = (analysis.interval([values], resamples=100, seed=4) for _ in range(2))
    assert once == twice


def test_strata_are_resampled_apart():
    low_task, high_task = np.zeros((10, 1)), np.ones((10, 1))
    _, low, high = analysis.interval([low_task, high_task], statistic=lambda v: v.mean(axis=0))
    assert low == pytest.approx(0.5) == high


@pytest.mark.parametrize("axis", CURRENCIES)
def test_curves_on_every_axis(axis, bench, records):
    curve = analysis.curve(records, lambda record: analysis.regret(record, bench), axis)
    assert (curve.low <= curve.centre + 1e-12).all()
    assert (curve.centre <= curve.high + 1e-12).all()
    assert curve.centre[-1] < curve.centre[0]
