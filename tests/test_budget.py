from __future__ import annotations

import copy
import decimal
import math
import multiprocessing
import os
import pickle
import threading
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecnas import Budget, BudgetExhaustedError, BudgetProcessError
from ecnas.coerce import budget_of


def charge(budget, epochs=4, energy=0.1, seconds=10.0, key=None):
    budget.charge(epochs=epochs, energy=energy, seconds=seconds, key=key)


@pytest.mark.parametrize(
    ("limits", "charges"),
    [
        ({"evaluations": 3}, 3),
        ({"epochs": 12}, 3),
        ({"epochs": 13}, 3),
        ({"energy": 0.3}, 3),  # three times 0.1 is more than 0.3 in binary floating point
        ({"energy": 1.0}, 10),
        ({"seconds": 29.9}, 2),
        ({"evaluations": 5, "energy": 0.2}, 2),
    ],
)
def test_spends_to_the_last_unit_and_not_over(limits, charges):
    budget = Budget(**limits)
    for _ in range(charges):
        charge(budget)
    before = budget.spent
    with pytest.raises(BudgetExhaustedError, match="exhausted"):
        charge(budget)
    assert budget.spent == before
    assert before.evaluations == charges


def test_an_evaluation_that_does_not_fit_leaves_room_for_a_cheaper_one():
    budget = Budget(energy=0.25)
    charge(budget, energy=0.2)
    with pytest.raises(BudgetExhaustedError, match="0.2 spent, this evaluation would cost 0.1"):
        charge(budget, energy=0.1)
    assert not budget.exhausted
    charge(budget, energy=0.05)
    assert budget.exhausted


def test_repeats_count_unless_unique():
    always, once = Budget(evaluations=2), Budget(evaluations=2, unique=True)
    for _ in range(2):
        charge(always, key="cell")
    for _ in range(5):
        charge(once, key="cell")
    assert always.exhausted
    assert once.spent.evaluations == 1
    charge(once, key="other")
    charge(once, key="cell")  # known: free even when all is spent
    with pytest.raises(BudgetExhaustedError):
        charge(once, key="third")


@pytest.mark.parametrize("name", ["evaluations", "epochs", "energy", "seconds"])
@pytest.mark.parametrize("value", [0, -1, math.nan])
def test_limits_must_be_above_zero(name, value):
    with pytest.raises(ValueError, match=f"{name} must be above 0"):
        Budget(**{name: value})


def test_counts_must_be_whole():
    with pytest.raises(ValueError, match="whole number"):
        Budget(evaluations=2.5)


def test_a_missing_figure_is_refused_only_where_it_is_limited():
    charge(Budget(evaluations=1), energy=math.nan, seconds=math.nan)
    with pytest.raises(ValueError, match="no metric"):
        charge(Budget(energy=1.0), energy=math.nan)
    with pytest.raises(ValueError, match="negative"):
        charge(Budget(), energy=-0.1)


@given(st.lists(st.floats(0.001, 10, allow_nan=False), min_size=1, max_size=30), st.floats(0.5, 50))
def test_never_overspent_and_never_refused_without_need(amounts, limit):
    budget = Budget(energy=limit)
    fits = []
    for amount in amounts:
        try:
            charge(budget, energy=amount)
            fits.append(amount)
        except BudgetExhaustedError:
            assert math.fsum([*fits, amount]) > limit * (1 - 1e-12)
    assert math.fsum(fits) <= limit * (1 + 1e-12)
    assert budget.spent.energy == pytest.approx(math.fsum(fits))


def test_exact_over_threads():
    budget = Budget(evaluations=1000, energy=100.0)
    refused = []

    def work():
        for _ in range(200):
            try:
                charge(budget)
            except BudgetExhaustedError:
                refused.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert budget.spent.evaluations == 1000
    assert budget.spent.energy == 100.0
    assert len(refused) == 600


def test_remaining_and_report():
    budget = Budget(evaluations=3, energy=1.0)
    charge(budget)
    assert budget.remaining.evaluations == 2
    assert budget.remaining.energy == 0.9
    assert budget.remaining.seconds == math.inf
    assert budget.as_dict() == {
        "evaluations": 1,
        "epochs": 4,
        "energy": 0.1,
        "seconds": 10.0,
        "limits": {"evaluations": 3.0, "energy": 1.0},
    }
    assert repr(budget) == "Budget(evaluations=1/3, energy=0.1/1)"


# --- One account -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clone", [copy.deepcopy, copy.copy])
def test_a_copy_is_the_same_account(clone):
    budget = Budget(evaluations=2)
    other = clone(budget)
    charge(budget)
    charge(other)
    assert budget.spent == other.spent
    with pytest.raises(BudgetExhaustedError):
        charge(other)


def test_it_is_not_pickled_for_another_process():
    budget = Budget(evaluations=3)
    charge(budget)
    with pytest.raises(BudgetProcessError, match=r"cannot pickle Budget\(evaluations=1/3\).*in each process"):
        pickle.dumps(budget)


def _charge_in_child(budget, queue):
    try:
        budget.charge(epochs=4, energy=0.1, seconds=1.0)
        queue.put("charged")
    except Exception as error:
        queue.put((type(error).__name__, budget.spent.evaluations, str(error)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_cannot_charge_it():
    budget = Budget(evaluations=3)
    charge(budget)
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    with budget._lock:  # as if another thread were charging it
        process = context.Process(target=_charge_in_child, args=(budget, queue))
        process.start()
        kind, spent, message = queue.get()
        process.join()
    assert (kind, spent) == ("BudgetProcessError", 1)
    assert "made in another process" in message
    charge(budget)
    assert budget.spent.evaluations == 2


def test_the_context_of_the_caller_changes_nothing():
    with decimal.localcontext(decimal.Context(prec=3, traps=[decimal.Inexact, decimal.FloatOperation])):
        budget = Budget(energy=12345.678901234567, evaluations=100)
        for _ in range(3):
            charge(budget, energy=1000.123456789)
        assert budget.spent.energy == 3000.370370367
        assert budget.remaining.energy == 9345.308530867567
        charge_many(budget, [0.1] * 20)
        repr(budget)
        assert not budget.exhausted


# --- Many at once ----------------------------------------------------------------------------------------------------


def charge_many(budget, energy, epochs=4, keys=None, **kwargs):
    keys = range(len(energy)) if keys is None else keys
    return budget.charge_many(epochs=epochs, energy=energy, seconds=[10.0] * len(energy), keys=keys, **kwargs)


amounts = st.one_of(
    st.floats(0.0, 10.0),
    st.floats(0, 1e300),
    st.integers(0, 10**6).map(lambda n: n / 1000),
    st.sampled_from([0.1, 0.25, 0.3, 1.0, 5e-324, 1e-7, 2.0**60, 0.0, math.nan]),
)


@given(
    st.lists(st.tuples(amounts, st.integers(0, 5)), max_size=60),
    st.sampled_from([{}, {"energy": 3.0}, {"evaluations": 7}, {"epochs": 30, "seconds": 100}, {"seconds": 333.3}]),
    st.booleans(),
    st.booleans(),
)
def test_many_at_once_are_charged_as_one_by_one(evaluations, limits, unique, partly):
    energy, keys = [e for e, _ in evaluations], [key for _, key in evaluations]
    if "energy" in limits:
        energy = [0.0 if math.isnan(e) else e for e in energy]
    single, many = Budget(**limits, unique=unique), Budget(**limits, unique=unique)
    paid, message = 0, None
    try:
        for amount, key in zip(energy, keys, strict=True):
            charge(single, energy=amount, key=key)
            paid += 1
    except BudgetExhaustedError as error:
        message = str(error)
    if message is None or partly:
        assert charge_many(many, energy, keys=keys, partly=partly) == paid
        assert many.as_dict() == single.as_dict()
        assert many.remaining == single.remaining
    else:
        with pytest.raises(BudgetExhaustedError) as caught:
            charge_many(many, energy, keys=keys)
        assert str(caught.value) == message
        assert many.num_charges == 0


def test_a_wrong_amount_charges_nothing():
    budget = Budget(seconds=1e9)
    for energy in ([0.1, -0.1], [0.1, math.inf]):
        with pytest.raises(ValueError, match="energy must be finite and not negative, got"):
            charge_many(budget, energy)
    with pytest.raises(ValueError, match="no metric"):
        budget.charge_many(epochs=4, energy=[0.1], seconds=[math.nan], keys=[0])
    assert budget.spent.evaluations == 0


def test_keys_are_not_looked_at_unless_unique():
    def keys():
        raise AssertionError
        yield

    charge_many(Budget(), [0.1] * 30, keys=keys())


def test_a_unique_account_is_not_copied():
    """What a charge costs does not depend on what was charged before."""
    budget = Budget(unique=True)
    charge_many(budget, [0.1] * 50_000)
    charged = budget._charged
    charge_many(budget, [0.1] * 3, keys=[-1, 7, -1])
    assert budget._charged is charged
    assert budget.spent.evaluations == 50_001


# --- Arguments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [10, 10.0, np.int64(10), np.uint8(10), np.array(10), np.float32(10)])
def test_a_number_may_be_of_any_type(number):
    for budget in (Budget(evaluations=number), budget_of(number)):
        assert budget.limits == {"evaluations": 10.0}
        assert budget.remaining.evaluations == 10


@pytest.mark.parametrize("value", ["10", True, np.True_, [10], np.array([10]), 1j, object, np.datetime64("2020")])
def test_what_is_no_number(value):
    with pytest.raises(ValueError, match="evaluations must be above 0"):
        Budget(evaluations=value)
    with pytest.raises(ValueError, match="budget must be an ecnas.Budget, a whole number of evaluations of at least 1"):
        budget_of(value)


def test_exact_limits():
    budget = Budget(energy=Decimal("0.3"), seconds=np.float32(0.5), epochs=math.inf)
    charge(budget, energy=0.1, seconds=0.1)
    charge(budget, energy=0.2, seconds=0.4)
    assert budget.exhausted
    assert budget_of(budget) is budget
    assert budget_of(None) is None


@pytest.mark.parametrize("number", [3, 3.0, np.int64(3), np.array(3)])
def test_a_number_is_taken_wherever_a_budget_is(number, synthetic_4v):
    """And what is no whole number above zero is refused everywhere, in the same words."""
    import gymnasium as gym

    import ecnas_gym  # noqa: F401  # registers the environments
    from ecnas import runs, search

    entries = {
        "query": lambda budget: synthetic_4v.query_row(1, budget=budget),
        "batch": lambda budget: synthetic_4v.query_rows([1, 2], budget=budget),
        "run": lambda budget: runs.run(search.RandomSearch(), synthetic_4v, budget),
        "environment": lambda budget: gym.make("ECNAS-4V-v0", budget=budget),
        "native": lambda budget: gym.make_vec("ECNAS-4V-v0", 2, budget=budget),
        "editing": lambda budget: gym.make("MO-ECNAS-4V-Edit-v0", budget=budget),
    }
    for entry in entries.values():
        entry(number)
        for wrong in (2.5, 0, "3", math.inf, True, [3]):
            with pytest.raises(ValueError, match="budget must be an ecnas.Budget, a whole number of evaluations of at"):
                entry(wrong)


@pytest.mark.parametrize("value", ["yes", 1, None, np.array([True])], ids=repr)
def test_unique_is_a_truth_value(value):
    with pytest.raises(ValueError, match="unique must be True or False, got"):
        Budget(unique=value)
