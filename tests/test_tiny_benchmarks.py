"""Benchmarks of so few cells that a population, a batch or a neighbourhood is larger: every method ends on them."""

from __future__ import annotations

import pytest
from conftest import ROOT
from synthetic import synthetic

import ecnas
from ecnas import runs, search
from ecnas.files import read_toml
from ecnas.runs.method import GROUP, find_method

BUDGET = 12
METHODS = read_toml(ROOT / "pyproject.toml")["project"]["entry-points"][GROUP]
NEEDS = {"MSEHVI": "sklearn", "NSGA2": "pymoo", "ppo": "sb3_contrib", "reinforce": "tensorflow", "gp_edit": "scipy"}

pytestmark = pytest.mark.timeout(120)


def of_cells(count, space="4V"):
    """A benchmark that has metrics for the first cells of its space alone."""
    return synthetic(space, missing=tuple(range(count, len(ecnas.Space(space)))))


def method(name):
    pytest.importorskip(NEEDS.get(name, "numpy"))
    return find_method(METHODS[name])()


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("unique", [False, True], ids=["all charged", "unique"])
def test_one_cell(name, unique):
    """Methods that never repeat a cell end after one evaluation, others with the budget, or when all is known."""
    record = runs.run(method(name), of_cells(1), ecnas.Budget(evaluations=BUDGET, unique=unique), seed=1)
    assert set(record.column("row")) == {0}
    assert len(record) in (1, BUDGET) or unique


@pytest.mark.parametrize("count", [2, 13])
@pytest.mark.parametrize(
    "name", ["BANANAS", "LocalSearch", "MSEHVI", "NSGA2", "SEMOA", "SHEMOA", "RegularisedEvolution"]
)
def test_few_cells(name, count):
    record = runs.run(method(name), of_cells(count), 40, seed=1)
    assert len(record) == 40
    assert set(record.column("row")) <= set(range(count))


@pytest.mark.parametrize("count", [5, 12, 13, 20])
def test_a_population_of_nearly_all_cells(count):
    """New children are few there, or none, and so is what pymoo is asked for."""
    pytest.importorskip("pymoo")
    record = runs.run(search.NSGA2(population_size=12), of_cells(count, "5V"), 80, seed=0)
    assert set(record.column("row")) == set(range(count))


def test_a_few_cells_of_the_largest_space():
    """As of one's own first measurements: hardly any mutation is among them."""
    for searcher in (search.SEMOA(), search.NSGA2(population_size=12), search.RegularisedEvolution()):
        if isinstance(searcher, search.NSGA2):
            pytest.importorskip("pymoo")
        assert len(runs.run(searcher, of_cells(30, "7V"), 60, seed=0)) == 60
