from __future__ import annotations

import copy
import math
import pickle
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecnas import Budget, BudgetExhaustedError


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
    with pytest.raises(ValueError, match="no figure"):
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


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))])
def test_a_copy_has_an_account_of_its_own(clone):
    budget = Budget(evaluations=2, unique=True)
    charge(budget, key="a")
    other = clone(budget)
    charge(other, key="b")
    assert (budget.spent.evaluations, other.spent.evaluations) == (1, 2)
    charge(other, key="a")
    assert other.spent.evaluations == 2
