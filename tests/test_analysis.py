"""One run as it is judged, against direct computations on small tables."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic import synthetic

import ecnas
from ecnas import pareto, runs, search
from ecnas.benchmark import REFERENCE_MARGIN
from ecnas.runs import RunRecord, analysis, make_header
from ecnas.runs.analysis import Judge, Trace
from ecnas.runs.currency import CURRENCIES
from ecnas.task import Task

ACCURACY = ("val_accuracy",)


@pytest.fixture(scope="module")
def bench():
    return synthetic("4V")


def hand_made(bench, rows, epochs=None, objectives=ACCURACY, recommended=None, repeat="mean"):
    """A record of given rows, with recommendations after some of the evaluations."""
    task = Task.of(bench, objectives, repeat=repeat)
    record = RunRecord(make_header(search.RandomSearch(), task, ecnas.Budget(100), 0))
    for number, row in enumerate(rows):
        chosen = 108 if epochs is None else epochs[number]
        evaluation = bench.query_row(row, chosen, repeat=None if repeat == "mean" else repeat)
        record.append(bench.space[row], evaluation, float(task.judge(evaluation).reward))
        if recommended and number in recommended:
            record.recommend(recommended[number])
    return record


def test_regret_is_that_of_the_best_by_validation_accuracy(bench):
    rows = [5, 40, 12, 90, 3]
    val, test = bench.values("val_accuracy"), bench.values("test_accuracy")
    incumbents = [max(rows[: k + 1], key=lambda row: val[row]) for k in range(5)]
    measured = analysis.measure(hand_made(bench, rows), bench)
    assert measured["test_regret"] == pytest.approx([100 * (test.max() - test[row]) for row in incumbents])
    assert measured["val_regret"] == pytest.approx([100 * (val.max() - val[row]) for row in incumbents])
    assert measured["optimism"] == pytest.approx(np.zeros(5), abs=1e-12)
    assert "hypervolume" not in measured


def test_a_recommendation_is_judged_and_the_best_seen_stands_beside_it(bench):
    test = bench.values("test_accuracy")
    record = hand_made(bench, [5, 40, 12], recommended={1: 7})
    measured = analysis.measure(record, bench)
    assert measured["test_regret"][1:] == pytest.approx([100 * (test.max() - test[7])] * 2)
    seen = hand_made(bench, [5, 40, 12])
    assert measured["seen_regret"] == pytest.approx(analysis.measure(seen, bench)["test_regret"])
    assert np.isnan(measured["optimism"][1:]).all()  # row 7 was never trained


def test_luck_is_not_rewarded():
    world = ecnas.load("surrogate-4V~3")
    rows = list(range(30, 60))
    record = hand_made(world, rows, repeat=1)
    seen = np.array([world.query_row(row, repeat=1).val_accuracy for row in rows])
    best = rows[int(np.argmax(seen))]
    expected = ecnas.load("surrogate-4V")
    measured = analysis.measure(record, world)
    test = expected.values("test_accuracy")
    assert measured["test_regret"][-1] == pytest.approx(100 * (test.max() - test[best]))
    lucky = 100 * (seen.max() - expected.values("val_accuracy")[best])
    assert measured["optimism"][-1] == pytest.approx(lucky)
    assert lucky != 0


def test_hypervolume_is_that_of_all_trained_cells_and_of_the_front_as_seen_as_they_are_expected():
    world, expected = ecnas.load("surrogate-4V~3"), ecnas.load("surrogate-4V")
    objectives = ("val_accuracy", "trainable_parameters")
    rows = list(range(10, 50))
    record = hand_made(world, rows, objectives=objectives, repeat=0)
    measured = analysis.measure(record, world)
    reference = np.full(2, -REFERENCE_MARGIN)
    normalisation = expected.normalisation(objectives)
    whole = pareto.hypervolume(expected.pareto_front(objectives).scores, reference)
    for count in (1, 7, 40):
        seen = np.array(
            [[world.query_row(r, repeat=0).val_accuracy, world.space[r].trainable_parameters] for r in rows]
        )
        figures = np.stack([expected.values(name)[rows[:count]] for name in objectives], axis=1)
        front = pareto.non_dominated(np.stack([seen[:count, 0], -seen[:count, 1]], axis=1))
        for name, chosen in (("hypervolume", figures), ("seen_hypervolume", figures[front])):
            direct = pareto.hypervolume(normalisation.scores(chosen), reference) / whole
            assert measured[name][count - 1] == pytest.approx(100 * direct)
    assert measured["seen_hypervolume"][-1] < measured["hypervolume"][-1]


def test_one_fidelity_counts(bench):
    record = hand_made(bench, [90, 3, 90, 5], epochs=[4, 108, 12, 108])
    regret = analysis.measure(record, bench)["test_regret"]
    test = bench.values("test_accuracy")
    assert np.isnan(regret[0])
    assert regret[1:3] == pytest.approx(100 * (test.max() - test[3]))
    cheap = hand_made(bench, [90, 3], epochs=[4, 12])
    assert Trace.of(cheap, Judge(bench, cheap.header["task"])) is None
    empty = hand_made(bench, [])
    assert Trace.of(empty, Judge(bench, empty.header["task"])) is None


def test_reward_regret_reaches_zero_at_the_optimum(bench):
    whole = runs.run(search.RandomSearch(), bench, 91, 0)
    measured = analysis.measure(whole, bench)
    assert measured["reward_regret"][-1] == pytest.approx(0)
    assert (np.diff(measured["reward_regret"]) <= 1e-12).all()
    assert measured["reward_regret"] == pytest.approx(
        bench.optimum()[1] - np.maximum.accumulate(whole.column("reward"))
    )
    assert measured["hypervolume"][-1] == pytest.approx(100)
    assert analysis.front(whole, bench) == pytest.approx(bench.pareto_front().figures)


def test_own_objectives_and_own_scalarisations():
    bench = synthetic("4V")
    three = runs.run(search.RandomSearch(), bench, 91, 0, objectives=("val_accuracy", "training_time", "energy"))
    assert analysis.measure(three, bench)["hypervolume"][-1] == pytest.approx(100)
    energy = runs.run(search.RandomSearch(), bench, 91, 0, objectives=("energy",))
    assert list(analysis.measure(energy, bench)) == ["reward_regret"]

    class Mine:
        def __call__(self, rewards, figures):
            return rewards[..., 0]

    mine = runs.run(search.RandomSearch(), bench, 20, 0, scalarisation=Mine())
    assert list(analysis.measure(mine, bench)) == ["hypervolume"]


@pytest.mark.parametrize("objectives", [ACCURACY, ("val_accuracy", "energy")])
@pytest.mark.parametrize("currency", list(CURRENCIES))
def test_a_trace_holds_all_of_a_run(bench, objectives, currency):
    record = runs.run(
        search.LocalSearch(3) if objectives == ACCURACY else search.SEMOA(), bench, 60, 1, objectives=objectives
    )
    judge = Judge(bench, record.header["task"])
    trace, measured = Trace.of(record, judge), judge.measure(record)
    assert len(trace.costs[currency]) < len(record)
    grid = np.sort(np.concatenate([record.costs(currency), 1.01 * record.costs(currency), [0.0]]))
    for name, values in measured.items():
        direct = analysis.on_grid(grid, record.costs(currency), values)
        assert trace.at(name, grid, currency) == pytest.approx(direct, nan_ok=True)


def test_costs_to_reach_a_goal(bench):
    record = runs.run(search.RandomSearch(), bench, 91, 0, objectives=ACCURACY)
    judge = Judge(bench, record.header["task"])
    trace, regret = Trace.of(record, judge), judge.measure(record)["test_regret"]
    for goal in (3.0, 1.0, 0.1):
        first = int(np.argmax(regret <= goal))
        assert trace.cost_to_reach("test_regret", goal) == first + 1
        assert trace.cost_to_reach("test_regret", goal, "energy") == record.costs("energy")[first]
    assert trace.cost_to_reach("test_regret", -1.0) == np.inf


def test_steps_on_a_grid():
    spent, values = np.array([2.0, 4.0]), np.array([10.0, 20.0])
    on_grid = analysis.on_grid(np.array([1.0, 2.0, 3.9, 4.0, 9.0]), spent, values)
    assert on_grid[1:].tolist() == [10, 10, 20, 20]
    assert np.isnan(on_grid[0])


def test_grids_of_costs():
    grid = analysis.cost_grid(1, 500, "evaluations")
    assert (grid[0], grid[-1]) == (1, 500)
    assert (grid == np.round(grid)).all()
    assert (np.diff(grid) > 0).all()
    assert analysis.cost_grid(0.3, 70.5, "energy")[[0, -1]].tolist() == [0.3, 70.5]
    assert analysis.cost_grid(5, 5, "evaluations").tolist() == [5]
