from __future__ import annotations

import copy
import doctest
import importlib
import math
import pickle
from dataclasses import FrozenInstanceError, asdict, replace

import numpy as np
import pytest
from conftest import synthetic_table

import ecnas
from ecnas import Benchmark, Budget, BudgetExhaustedError, Column, Evaluation, OutOfDomainError, UnknownNameError
from ecnas.coerce import benchmark_of
from ecnas.objectives import OBJECTIVES, SCALARISATIONS


@pytest.fixture(scope="module")
def three_repeats():
    """4V, two repeats whose energies differ, and no test accuracy."""
    n = 91
    rng = np.random.default_rng(0)
    columns = {
        "val_accuracy": Column(rng.uniform(0.5, 0.9, (n, 2, 3))),
        "energy": Column(rng.uniform(0.1, 0.2, (n, 2, 3))),
        "training_time": Column(rng.uniform(10, 20, (n, 1, 1)), per_epoch=True),
    }
    return Benchmark(synthetic_table("4V", columns=columns, repeats=3, missing=frozenset({5})))


def test_query_reads_the_cell_that_was_asked_for(synthetic_4v):
    table = synthetic_4v.table
    for row in (0, 17, 90):
        for position, epochs in enumerate((4, 108)):
            evaluation = synthetic_4v.query(synthetic_4v.space[row], epochs)
            for name, column in table.columns.items():
                stored = column.values[row, min(position, column.values.shape[1] - 1), 0]
                assert getattr(evaluation, name) == pytest.approx(stored, rel=1e-15)
            assert evaluation.trainable_parameters == synthetic_4v.space[row].trainable_parameters
            assert (evaluation.epochs, evaluation.provenance) == (epochs, "measured")
            assert {type(value) for value in asdict(evaluation).values()} == {float, int, str, type(None)}


def test_highest_epochs_by_default(synthetic_4v):
    cell = synthetic_4v.space[3]
    assert synthetic_4v.query(cell) == synthetic_4v.query(cell, 108)


def test_quantised_and_per_epoch_columns():
    stored = np.arange(91, dtype=np.uint16).reshape(-1, 1, 1)
    columns = {
        "val_accuracy": Column(stored, scale=0.01, offset=0.05),
        "energy": Column(stored, scale=0.001, offset=0.002, per_epoch=True),
    }
    benchmark = Benchmark(synthetic_table("4V", columns=columns))
    evaluation = benchmark.query_row(40, 4)
    assert evaluation.val_accuracy == pytest.approx(0.45)
    assert evaluation.energy == pytest.approx(0.042 * 4)
    assert benchmark.query_row(40, 108).energy == pytest.approx(0.042 * 108)
    assert math.isnan(evaluation.test_accuracy)
    for name in ("val_accuracy", "energy"):
        for epochs in (4, 108):
            one_by_one = [getattr(benchmark.query_row(row, epochs), name) for row in range(91)]
            assert np.allclose(benchmark.values(name, epochs), one_by_one, rtol=1e-12)


def test_repeats(three_repeats):
    stored = three_repeats.table.columns["energy"].values[7, 1]
    assert three_repeats.query_row(7).energy == pytest.approx(stored.mean())
    assert three_repeats.query_row(7, repeat=2).energy == stored[2]
    drawn = {three_repeats.query_row(7, repeat=np.random.default_rng(seed)).energy for seed in range(20)}
    assert drawn == set(stored)
    same = [three_repeats.query_row(7, repeat=np.random.default_rng(1)) for _ in range(2)]
    assert same[0] == same[1]
    assert three_repeats.values("energy")[7] == pytest.approx(stored.mean())
    with pytest.raises(OutOfDomainError, match="repeat must be 'mean', a whole number from 0 to 2 or .* got 3"):
        three_repeats.query_row(7, repeat=3)


def test_out_of_domain_says_what_is_allowed(synthetic_4v, three_repeats):
    with pytest.raises(OutOfDomainError, match=r"epochs must be one of \[4, 108\] .* got 36"):
        synthetic_4v.query(synthetic_4v.space[0], 36)
    with pytest.raises(OutOfDomainError, match="space 4V allows at most 4 vertices"):
        synthetic_4v.query(ecnas.Space("5V")[100])
    missing = three_repeats.space[5]
    with pytest.raises(OutOfDomainError, match=f"lacks cell {missing.hash}; it has 90 of the 91"):
        three_repeats.query(missing)
    assert np.isnan(three_repeats.values("energy")[5])


def test_budget_is_charged_with_the_cost(synthetic_4v):
    budget = Budget(evaluations=2)
    evaluations = [synthetic_4v.query(synthetic_4v.space[row], 4, budget=budget) for row in (1, 1)]
    assert budget.spent.evaluations == 2
    assert budget.spent.epochs == 8
    assert budget.spent.energy == pytest.approx(sum(e.energy for e in evaluations))
    assert budget.spent.seconds == pytest.approx(sum(e.training_time for e in evaluations))
    with pytest.raises(BudgetExhaustedError):
        synthetic_4v.query(synthetic_4v.space[2], 4, budget=budget)


def test_a_failed_query_costs_nothing(three_repeats):
    budget = Budget(evaluations=1)
    with pytest.raises(OutOfDomainError):
        three_repeats.query_row(5, budget=budget)
    assert budget.spent.evaluations == 0


def test_unique_budget_tells_epochs_apart(synthetic_4v):
    budget = Budget(evaluations=5, unique=True)
    for epochs in (4, 4, 108, 108):
        synthetic_4v.query(synthetic_4v.space[1], epochs, budget=budget)
    assert budget.spent.evaluations == 2


def test_query_rows(synthetic_4v):
    answers = synthetic_4v.query_rows(np.array([3, -1, 90]), 4)
    assert answers.energy[0] == synthetic_4v.query_row(3, 4).energy
    assert np.isnan(answers.energy[1])
    assert answers.val_accuracy[2] == synthetic_4v.query_row(90, 4).val_accuracy
    assert answers.trainable_parameters.tolist()[1] == 0


def front_by_definition(points):
    """Positions of points that no other point dominates, by comparing all pairs; of equal ones the first."""
    no_worse = (points[:, None] >= points).all(axis=2)  # [i, j]: i is nowhere worse than j
    equal = (points[:, None] == points).all(axis=2)
    dominated = (no_worse & ~equal).any(axis=0)
    duplicate = np.triu(equal, 1).any(axis=0)
    return np.flatnonzero(~dominated & ~duplicate).tolist()


@pytest.mark.parametrize("objectives", [("val_accuracy", "energy"), ("val_accuracy", "training_time")])
@pytest.mark.parametrize("epochs", [4, 108])
def test_front_is_exact(synthetic_5v, objectives, epochs):
    front = synthetic_5v.pareto_front(objectives, epochs)
    figures = np.stack([synthetic_5v.values(name, epochs) for name in objectives], axis=1)
    signs = np.array([1 if OBJECTIVES[name].maximise else -1 for name in objectives])
    assert sorted(front.rows.tolist()) == front_by_definition(figures * signs)
    assert (np.diff(front.figures[:, 0]) > 0).all()
    assert (figures[front.rows] == front.figures).all()
    # The ends of a front of two objectives are its ideal and nadir.
    assert front.scores[0] == pytest.approx([0, 1])
    assert front.scores[-1] == pytest.approx([1, 0])


def test_reference_point_is_just_behind_the_nadir(synthetic_5v):
    normalisation = synthetic_5v.normalisation()
    reference = synthetic_5v.reference_point()
    assert normalisation.scores(reference) == pytest.approx([-0.1, -0.1])
    assert reference[0] < normalisation.nadir[0]
    assert reference[1] > normalisation.nadir[1]


@pytest.mark.parametrize("name", SCALARISATIONS)
def test_optimum_is_the_best_of_all_cells(synthetic_5v, name):
    scalarisation = synthetic_5v.scalarisation(name)
    cell, reward = synthetic_5v.optimum(scalarisation)
    rewards = synthetic_5v.scalar_rewards(scalarisation)
    assert reward == rewards.max() == rewards[cell.row]
    evaluation = synthetic_5v.query(cell)
    figures = {objective: np.array(getattr(evaluation, objective)) for objective in OBJECTIVES}
    vector = synthetic_5v.normalisation().rewards(np.array([evaluation.val_accuracy, evaluation.energy]))
    assert float(scalarisation(vector, figures)) == pytest.approx(reward)


def test_cap_optimum_is_the_most_accurate_cell_within_the_cap(synthetic_5v):
    cap = float(np.median(synthetic_5v.values("energy")))
    cell, reward = synthetic_5v.optimum(ecnas.EnergyCap(cap))
    within = synthetic_5v.values("energy") <= cap
    assert synthetic_5v.query(cell).energy <= cap
    assert reward == synthetic_5v.values("val_accuracy")[within].max()


def test_a_single_objective_is_normalised_over_all_cells(synthetic_4v):
    normalisation = synthetic_4v.normalisation(("val_accuracy",))
    accuracy = synthetic_4v.values("val_accuracy")
    assert normalisation.ideal == (accuracy.max(),)
    assert normalisation.nadir == (accuracy.min(),)


def test_objectives_that_the_table_lacks(three_repeats):
    with pytest.raises(OutOfDomainError, match="has no co2"):
        three_repeats.pareto_front(("val_accuracy", "co2"))


def test_test_accuracy_is_no_objective(synthetic_4v):
    with pytest.raises(UnknownNameError, match="unknown objective 'test_accuracy'"):
        synthetic_4v.pareto_front(("test_accuracy", "energy"))
    with pytest.raises(ValueError, match="different names"):
        synthetic_4v.pareto_front(("energy", "energy"))
    with pytest.raises(ValueError, match="sequence of names"):
        synthetic_4v.pareto_front("energy")


def test_values_cannot_be_spoilt(synthetic_4v):
    with pytest.raises(ValueError, match="read-only"):
        synthetic_4v.values("energy")[0] = 0
    for name in ("provenance", None, ["energy"], b"energy"):
        with pytest.raises(UnknownNameError, match="unknown metric"):
            synthetic_4v.values(name)


def test_copies(synthetic_4v, tmp_path):
    cell = synthetic_4v.space[9]
    assert copy.deepcopy(synthetic_4v) is synthetic_4v
    assert pickle.loads(pickle.dumps(synthetic_4v)).query(cell) == synthetic_4v.query(cell)
    synthetic_4v.table.save(tmp_path / "table")
    mapped = ecnas.load(tmp_path / "table")
    dump = pickle.dumps(mapped)
    assert len(dump) < 1000  # a path, not the figures
    assert pickle.loads(dump).query(cell) == synthetic_4v.query(cell)


def test_embedded_spaces_share_their_rows():
    benchmarks = [ecnas.load(f"surrogate-{name}") for name in ("4V", "5V", "7V")]
    assert [len(b.space) for b in benchmarks] == [91, 2532, 423624]
    for row in (0, 44, 90):
        answers = {repr(b.query_row(row, 36)) for b in benchmarks}
        assert len(answers) == 1
    evaluation = benchmarks[2].query_row(400_000)
    assert evaluation.provenance == "surrogate"
    assert 0 < evaluation.val_accuracy < 1
    assert evaluation.energy > 0
    small = pickle.loads(pickle.dumps(benchmarks[0]))
    assert (small.name, len(small.space)) == ("surrogate-4V", 91)


def test_loading_twice_gives_the_same_benchmark():
    assert ecnas.load("surrogate-5V") is ecnas.load("surrogate-5V")


def test_unknown_benchmark_suggests():
    with pytest.raises(UnknownNameError, match="Did you mean 'surrogate-7V'"):
        ecnas.load("surrogate-7v")


# ---------------------------------------------------------------------------------------------------------------------
# Equality


def test_equal_evaluations_are_equal(three_repeats):
    """The test accuracy and the CO2 of this benchmark are NaN."""
    first, second = three_repeats.query_row(3), three_repeats.query_row(3)
    assert math.isnan(first.test_accuracy)
    assert first == second
    assert hash(first) == hash(second)
    assert first != three_repeats.query_row(4)
    assert first != three_repeats.query_row(3, 4)
    assert first != three_repeats.query_row(3, repeat=0)
    assert first != "an evaluation"
    for other in (pickle.loads(pickle.dumps(first)), copy.deepcopy(first), replace(first)):
        assert type(other) is Evaluation
        assert other == first
        assert hash(other) == hash(first)
    np.testing.assert_equal(first, second)
    with pytest.raises(AssertionError):
        np.testing.assert_equal(first, three_repeats.query_row(4))
    with pytest.raises(FrozenInstanceError):
        first.energy = 0.0


def test_frameworks_find_equal_evaluations_equal(three_repeats):
    from gymnasium.utils.env_checker import data_equivalence

    first, second, other = ({"evaluation": three_repeats.query_row(row)} for row in (3, 3, 4))
    assert data_equivalence(first, second, exact=True)
    assert not data_equivalence(first, other)


# ---------------------------------------------------------------------------------------------------------------------
# Rows, epochs and repeats that are not there

BAD_ROWS = [-1, 91, -91, 10**30, 0.0, "0", None, True, np.True_, np.float64(3), np.array([3]), np.int8(-1), slice(3)]


@pytest.mark.parametrize("row", BAD_ROWS, ids=repr)
def test_a_row_that_is_none_is_refused_everywhere(synthetic_4v, row):
    budget = Budget(evaluations=1)
    for entry in (
        lambda: synthetic_4v.query_row(row, budget=budget),
        lambda: synthetic_4v.provenance_of(row, 108),
        lambda: synthetic_4v.space[row],
        lambda: synthetic_4v.space.check_row(row),
    ):
        with pytest.raises(OutOfDomainError, match="row must be a whole number from 0 to 90 in space 4V, got ") as told:
            entry()
        assert repr(row) in str(told.value)
    assert budget.spent.evaluations == 0


@pytest.mark.parametrize(
    "rows", [[3, 91], [3, -2], np.array([3.0]), ["3"], [True], 3, [[3]], np.array([2**63], np.uint64), [None]], ids=repr
)
def test_rows_that_are_none_are_refused_everywhere(synthetic_4v, rows):
    budget = Budget(evaluations=9)
    for entry in (
        lambda: synthetic_4v.query_rows(rows, budget=budget),
        lambda: synthetic_4v.values("energy", rows=rows),
        lambda: synthetic_4v.values("trainable_parameters", rows=rows),
        lambda: synthetic_4v.provenance("energy", rows=rows),
    ):
        with pytest.raises(OutOfDomainError, match=r"rows must be whole numbers from (0|-1) to 90 in space 4V"):
            entry()
    assert budget.spent.evaluations == 0


def test_minus_one_means_not_a_cell_to_query_rows_alone(synthetic_4v):
    assert synthetic_4v.query_rows([3, -1]).rows.tolist() == [3, -1]
    for entry in (synthetic_4v.values, synthetic_4v.provenance):
        with pytest.raises(OutOfDomainError, match="got -1 at 1"):
            entry("energy", rows=[3, -1])


@pytest.mark.parametrize("kind", [int, np.int8, np.uint8, np.int64, np.uint64, lambda row: np.array(row)])
def test_whole_numbers_of_every_type_are_taken(three_repeats, kind):
    plain = three_repeats.query_row(7, 4, repeat=2)
    assert three_repeats.query_row(kind(7), kind(4), repeat=kind(2)) == plain
    assert three_repeats.space[kind(7)] == three_repeats.space[7]
    assert three_repeats.query_rows([kind(7)], kind(4), repeat=kind(2)).energy[0] == plain.energy
    assert {type(value) for value in asdict(three_repeats.query_row(kind(7), kind(4))).values()} >= {int, float, str}
    assert type(three_repeats.query_row(7, kind(4)).epochs) is int


@pytest.mark.parametrize("epochs", ["108", 36, 108.0, True, -4, [108], np.array([4, 108]), (), "best"], ids=repr)
def test_epochs_that_are_none_are_shown_as_given(synthetic_4v, epochs):
    budget = Budget(evaluations=1)
    for entry in (
        lambda: synthetic_4v.query_row(3, epochs, budget=budget),
        lambda: synthetic_4v.query_rows([3], epochs, budget=budget),
        lambda: synthetic_4v.values("energy", epochs),
        lambda: synthetic_4v.pareto_front(epochs=epochs),
        lambda: synthetic_4v.optimum(epochs=epochs),
    ):
        with pytest.raises(OutOfDomainError, match=r"epochs must be one of \[4, 108\] in 'synthetic-4V', got ") as told:
            entry()
        assert repr(epochs) in str(told.value)
    assert budget.spent.evaluations == 0


@pytest.mark.parametrize(
    "repeat", [3, -1, 1.0, "0", "best", True, [0], np.random.RandomState(0)], ids=lambda it: type(it).__name__
)
def test_repeats_that_are_none_are_shown_as_given(three_repeats, repeat):
    budget = Budget(evaluations=1)
    for entry in (three_repeats.query_row, lambda row, **rest: three_repeats.query_rows([row], **rest)):
        with pytest.raises(OutOfDomainError, match="repeat must be 'mean', a whole number from 0 to 2 or") as told:
            entry(3, repeat=repeat, budget=budget)
        assert repr(repeat) in str(told.value)
    assert budget.spent.evaluations == 0


@pytest.fixture(scope="module")
def unequal():
    """4V at 4 and 108 epochs: cell 7 has trainings 0 and 2 of 108 epochs, cell 8 none; test accuracies are nowhere."""
    rng = np.random.default_rng(1)
    columns = {
        "val_accuracy": Column(rng.uniform(0.5, 0.9, (91, 2, 3))),
        "energy": Column(rng.uniform(0.1, 0.2, (91, 2, 3))),
        "training_time": Column(np.full((1, 2, 1), 7.0)),
    }
    for name in ("val_accuracy", "energy"):
        columns[name].values[7, 1, 1] = np.nan
        columns[name].values[8, 1, :] = np.nan
    columns["val_accuracy"].values[9, 1, :] = np.nan  # a figure that is missing is no training that is missing
    return Benchmark(synthetic_table("4V", columns=columns, repeats=3, missing=frozenset({5})))


def test_a_training_that_a_cell_lacks_is_refused(unequal):
    budget = Budget(evaluations=3)
    with pytest.raises(OutOfDomainError, match=r"repeat must be one of \[0, 2\] for cell .* at 108 epochs .*, got 1"):
        unequal.query_row(7, repeat=1, budget=budget)
    for repeat in (None, "mean", 0, np.random.default_rng(0)):
        with pytest.raises(OutOfDomainError, match=r"lacks 108 epochs of cell .*; it has \[4\]"):
            unequal.query_row(8, repeat=repeat, budget=budget)
        with pytest.raises(OutOfDomainError, match="it has 90 of the 91"):
            unequal.query_row(5, repeat=repeat, budget=budget)
    assert budget.spent.evaluations == 0
    assert unequal.query_row(7, 4, repeat=1).energy > 0
    assert unequal.query_row(8, 4).energy > 0
    stored = unequal.table.columns["energy"].values[7, 1]
    assert unequal.query_row(7).energy == (stored[0] + stored[2]) / 2
    assert math.isnan(unequal.query_row(9).val_accuracy)
    assert unequal.query_row(9).energy > 0


def test_what_query_refuses_has_no_row_in_a_batch(unequal):
    rows = [7, 8, 5, 9, -1, 7]
    for repeat, known in ((None, [7, 9, 7]), ("mean", [7, 9, 7]), (1, [9]), (2, [7, 9, 7])):
        budget = Budget()
        answers = unequal.query_rows(rows, repeat=repeat, budget=budget)
        assert [row for row in answers.rows.tolist() if row >= 0] == known
        assert np.isnan(answers.energy[answers.rows < 0]).all()
        assert (answers.trainable_parameters[answers.rows < 0] == 0).all()
        assert budget.spent.evaluations == len(known)


def test_a_generator_draws_among_the_trainings_that_are_there(unequal):
    stored = unequal.table.columns["energy"].values
    drawn = [unequal.query_row(7, repeat=np.random.default_rng(seed)) for seed in range(20)]
    assert {evaluation.energy for evaluation in drawn} == {stored[7, 1, 0], stored[7, 1, 2]}
    assert all(evaluation.energy == stored[7, 1, evaluation.repeat] for evaluation in drawn)


@pytest.mark.parametrize("seed", range(5))
def test_a_batch_draws_as_queries_one_by_one_do(unequal, seed):
    rows = np.random.default_rng(seed).permutation(np.repeat(np.arange(91), 4))
    one_by_one, together = np.random.default_rng(seed), np.random.default_rng(seed)
    answers = unequal.query_rows(rows, repeat=together)
    for position, row in enumerate(rows.tolist()):
        if row in (5, 8):
            assert answers.rows[position] == -1
            with pytest.raises(OutOfDomainError):
                unequal.query_row(row, repeat=one_by_one)
            continue
        evaluation = unequal.query_row(row, repeat=one_by_one)
        assert (answers.repeats[position], answers.energy[position]) == (evaluation.repeat, evaluation.energy)
    assert one_by_one.bit_generator.state == together.bit_generator.state


def test_a_single_training_is_the_mean_and_every_draw(synthetic_4v):
    budget = Budget(unique=True)
    rng = np.random.default_rng(0)
    answers = {synthetic_4v.query_row(3, repeat=repeat, budget=budget) for repeat in (None, "mean", 0, rng)}
    assert len(answers) == budget.spent.evaluations == 1
    assert answers.pop().repeat is None


def test_a_unique_budget_tells_drawn_repeats_apart(three_repeats):
    budget, rng = Budget(unique=True), np.random.default_rng(0)
    drawn = {three_repeats.query_row(3, repeat=rng, budget=budget).repeat for _ in range(30)}
    three_repeats.query_rows([3] * 30, repeat=rng, budget=budget)
    assert drawn == {0, 1, 2}
    assert budget.spent.evaluations == 3


# ---------------------------------------------------------------------------------------------------------------------
# What one entry accepts, its siblings accept


def test_objectives_are_a_sequence(synthetic_4v):
    names = ("val_accuracy", "energy")
    for unordered in (set(names), frozenset(names), dict.fromkeys(names), dict.fromkeys(names).keys(), "energy", None):
        for entry in (
            synthetic_4v.pareto_front,
            synthetic_4v.normalisation,
            synthetic_4v.reference_point,
            synthetic_4v.vector_rewards,
            lambda objectives: synthetic_4v.optimum(None, objectives),
            lambda objectives: synthetic_4v.scalarisation("linear", objectives),
        ):
            with pytest.raises(ValueError, match="objectives must be a sequence of names, whose order counts, got the"):
                entry(unordered)
    expected = synthetic_4v.pareto_front(names).rows.tolist()
    for ordered in (list(names), np.array(names)):
        assert synthetic_4v.pareto_front(ordered).rows.tolist() == expected


@pytest.mark.parametrize("weights", [{0.9, 0.1}, {0.9: 1, 0.1: 2}, "91", 0.5, ("0.9", 0.1), (True, 1), (np.nan, 1), ()])
def test_weights_are_a_sequence_of_numbers(weights):
    for kind in (ecnas.Linear, ecnas.Chebyshev):
        with pytest.raises(ValueError, match="weights must be "):
            kind(weights)


def test_weights_in_other_forms_are_the_same():
    expected = ecnas.Linear((0.25, 0.75))
    for weights in ([0.25, 0.75], np.array([0.25, 0.75]), np.array([0.25, 0.75], np.float32), (np.float64(0.25), 0.75)):
        assert ecnas.Linear(weights) == expected
        assert hash(ecnas.Linear(weights)) == hash(expected)


@pytest.mark.parametrize("value", ["0.3", None, np.nan, np.inf, 0, -1, True, (0.3,)], ids=repr)
def test_numbers_of_scalarisations_are_checked(value):
    for kind in (ecnas.EnergyCap, ecnas.PowerLaw):
        with pytest.raises(ValueError, match=r"(cap|target) must be above 0 kWh, got ") as told:
            kind(value)
        assert repr(value) in str(told.value)


def test_a_scalarisation_is_a_name_or_an_object(synthetic_5v):
    expected = synthetic_5v.optimum(synthetic_5v.scalarisation("chebyshev"))
    assert synthetic_5v.optimum("chebyshev") == expected
    assert synthetic_5v.optimum(ecnas.Chebyshev()) == expected
    assert synthetic_5v.optimum() == synthetic_5v.optimum("soft-cap") == synthetic_5v.optimum(None)
    assert (synthetic_5v.scalar_rewards("linear") == synthetic_5v.scalar_rewards(ecnas.Linear())).all()
    with pytest.raises(
        UnknownNameError, match="unknown scalarisation 'best'. Allowed: cap, chebyshev, linear, power, "
    ):
        synthetic_5v.optimum("best")
    with pytest.raises(UnknownNameError, match="Did you mean 'chebyshev'"):
        synthetic_5v.optimum("Chebychev")
    for wrong in (3, ecnas.Linear, ("linear",), np.array([0.5, 0.5])):
        with pytest.raises(ValueError, match="scalarisation must be one of"):
            synthetic_5v.optimum(wrong)
    with pytest.raises(ValueError, match="weights must be 2 numbers"):
        synthetic_5v.optimum(ecnas.Linear((1, 2, 3)))
    with pytest.raises(ValueError, match=r"must return one number a cell, but .* returned the shape \(1, 2\)"):
        synthetic_5v.optimum(lambda rewards, figures: rewards)


def test_a_number_is_a_budget(synthetic_4v):
    cell = synthetic_4v.space[3]
    for budget in (5, np.int64(5), np.array(5)):
        assert synthetic_4v.query(cell, budget=budget) == synthetic_4v.query(cell)
        assert synthetic_4v.query_row(3, budget=budget) == synthetic_4v.query(cell)
        assert len(synthetic_4v.query_rows([3] * 5, budget=budget).rows) == 5
        with pytest.raises(BudgetExhaustedError):
            synthetic_4v.query_rows([3] * 6, budget=budget)
    for budget in (0, -1, 2.5, "5", True, [5]):
        for entry in (synthetic_4v.query_row, lambda row, budget: synthetic_4v.query_rows([row], budget=budget)):
            with pytest.raises(ValueError, match="budget must be an ecnas.Budget, a whole number .* got ") as told:
                entry(3, budget=budget)
            assert repr(budget) in str(told.value)


@pytest.mark.parametrize(
    ("cell", "way_out"),
    [
        ("5529e1779433733d1145e20de5d8604e", "row_of_hash"),
        (3, r"space\[row\]"),
        (np.int64(3), r"space\[row\]"),
        (([[0, 1], [0, 0]], []), r"Cell\(adjacency, ops\)"),
        (None, r"Cell\(adjacency, ops\)"),
    ],
)
def test_what_is_no_cell_is_told_how_to_become_one(synthetic_4v, cell, way_out):
    budget = Budget(evaluations=1)
    for entry in (
        synthetic_4v.space.row,
        synthetic_4v.space.neighbours,
        lambda c: synthetic_4v.query(c, budget=budget),
    ):
        with pytest.raises(ecnas.InvalidCellError, match=f"cell must be an ecnas.Cell, got .*{way_out}"):
            entry(cell)
    assert budget.spent.evaluations == 0


@pytest.mark.parametrize("name", ["4v", "4V ", 4, None, ["4V"], "x" * 10**6])
def test_names_of_spaces(name):
    with pytest.raises(UnknownNameError, match="unknown search space") as told:
        ecnas.Space(name)
    assert len(str(told.value)) < 300


@pytest.mark.parametrize(
    "name", [None, 4, ("surrogate-4V",), b"surrogate-4V", object()], ids=lambda it: type(it).__name__
)
def test_what_is_no_benchmark_is_shown_as_given(name):
    for entry in (ecnas.load, benchmark_of):
        with pytest.raises(ValueError, match="benchmark must be a name or a path") as told:
            entry(name)
        assert repr(name) in str(told.value)


def test_a_benchmark_or_its_name(synthetic_4v):
    assert benchmark_of(synthetic_4v) is synthetic_4v
    assert benchmark_of("surrogate-4V") is ecnas.load("surrogate-4V")


def test_an_optimum_that_nothing_has_is_told():
    columns = {"val_accuracy": synthetic_table("4V").columns["val_accuracy"]}
    benchmark = Benchmark(synthetic_table("4V", columns=columns))
    with pytest.raises(OutOfDomainError, match=r"lacks metrics that EnergyCap\(cap=0.5\) needs"):
        benchmark.optimum(ecnas.EnergyCap(0.5), ("val_accuracy",))


@pytest.mark.parametrize("module", ["benchmark", "budget", "cell", "interchange", "space"])
def test_examples_give_what_they_say(module):
    module = importlib.import_module(f"ecnas.{module}")
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
