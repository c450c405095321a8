from __future__ import annotations

from collections import Counter, deque

import numpy as np
import pytest
from synthetic import synthetic

import ecnas
from ecnas import analysis, pareto, search
from ecnas.record import RunRecord
from ecnas.search.evaluator import FREE_QUERIES, Candidate, Evaluator
from ecnas.search.selection import by_contribution, linear_ranking, non_dominated, non_domination_ranks

SEARCHERS = [
    search.RandomSearch(),
    search.RegularisedEvolution(population_size=10, tournament_size=3),
    search.LocalSearch(),
    search.SEMOA(),
]


@pytest.fixture(scope="module")
def bench():
    return synthetic("5V")


def evaluator(bench, budget=10_000, **settings):
    record = RunRecord("test", bench, 0)
    return Evaluator(bench, ecnas.Budget(evaluations=budget), record, **settings)


def rewards(record):
    return record.column("reward").max()


def names(searchers):
    return [searcher.name for searcher in searchers]


@pytest.mark.parametrize("searcher", SEARCHERS, ids=names(SEARCHERS))
class TestEverySearcher:
    def test_spends_the_budget_exactly(self, searcher, bench):
        budget = ecnas.Budget(evaluations=57)
        record = search.run(searcher, bench, budget, seed=3)
        assert len(record) == 57 == budget.spent.evaluations
        assert record.column("cumulative_energy")[-1] == pytest.approx(budget.spent.energy)

    def test_never_overspends_energy(self, searcher, bench):
        budget = ecnas.Budget(energy=3.0)
        record = search.run(searcher, bench, budget, seed=3)
        assert 2 < record.column("cumulative_energy")[-1] <= 3.0

    def test_seed_reproduces_the_run(self, searcher, bench):
        one, two, other = (search.run(searcher, bench, 80, seed=seed) for seed in (5, 5, 6))
        assert one.column("row").tolist() == two.column("row").tolist()
        assert one.column("row").tolist() != other.column("row").tolist()

    def test_global_random_state_is_neither_used_nor_changed(self, searcher, bench):
        np.random.seed(0)  # noqa: NPY002
        before = np.random.get_state()[1].tolist()  # noqa: NPY002
        first = search.run(searcher, bench, 60, seed=1)
        assert np.random.get_state()[1].tolist() == before  # noqa: NPY002
        np.random.seed(99)  # noqa: NPY002
        assert search.run(searcher, bench, 60, seed=1).column("row").tolist() == first.column("row").tolist()

    def test_does_not_see_the_test_accuracy(self, searcher, bench):
        table = bench.table
        scrambled = dict(table.columns)
        noise = np.random.default_rng(0).random((len(bench.space), 1, 1))
        scrambled["test_accuracy"] = ecnas.Column(noise)
        other = ecnas.Benchmark(
            ecnas.Table(table.name, table.space, table.epochs, 1, table.provenance, scrambled, table.digest)
        )
        runs = [search.run(searcher, chosen, 80, seed=2) for chosen in (bench, other)]
        assert runs[0].column("row").tolist() == runs[1].column("row").tolist()
        assert runs[0].column("test_accuracy").tolist() != runs[1].column("test_accuracy").tolist()

    def test_keeps_to_cells_that_the_benchmark_has(self, searcher):
        missing = (0, 40, 41, 77, 90)
        record = search.run(searcher, synthetic("4V", missing=missing), 200, seed=0)
        assert not set(record.column("row").astype(int)) & set(missing)
        assert len(record) == 200

    def test_accuracy_alone(self, searcher, bench):
        record = search.run(searcher, bench, 40, seed=0, objectives=["val_accuracy"])
        assert len(record) == 40

    def test_record_holds_its_settings(self, searcher, bench):
        record = search.run(searcher, bench, 15, seed=0)
        assert record.header["algorithm"] == searcher.name
        assert record.header["settings"]["budget"] == {"unique": False, "evaluations": 15}

    def test_unique_budget_ends_although_repeats_are_free(self, searcher):
        budget = ecnas.Budget(evaluations=200, unique=True)
        record = search.run(searcher, synthetic("4V"), budget, seed=0)
        assert 60 <= budget.spent.evaluations <= 91
        assert len(record) >= FREE_QUERIES


# Random search ------------------------------------------------------------------------------------------------------


def test_random_search_is_uniform_over_cells():
    """Sampling bounds of vertices and edges first would give small cells far too often."""
    space = ecnas.Space("7V")
    evaluate = evaluator(synthetic("7V"))
    rng = np.random.default_rng(0)
    drawn = Counter(space[evaluate.sample(rng).row].num_vertices for _ in range(4000))
    shares = np.bincount(space.cells.num_vertices)[2:] / len(space)
    assert drawn[7] / 4000 == pytest.approx(shares[5], abs=0.02)
    assert drawn[6] / 4000 == pytest.approx(shares[4], abs=0.02)
    assert drawn[2] + drawn[3] + drawn[4] <= 5


def test_random_search_meets_every_cell_once_then_starts_again():
    record = search.run(search.RandomSearch(), synthetic("4V"), 100, seed=0)
    rows = record.column("row").astype(int).tolist()
    assert sorted(rows[:91]) == list(range(91))


def test_random_search_is_uniform_over_rows():
    bench = synthetic("4V")
    first = Counter(
        int(row) for seed in range(200) for row in search.run(search.RandomSearch(), bench, 30, seed).column("row")
    )
    counts = np.array([first[row] for row in range(91)])
    expected = 200 * 30 / 91
    assert ((counts - expected) ** 2 / expected).sum() < 137  # χ² of 90 degrees of freedom, 0.999 quantile


# Regularised evolution ----------------------------------------------------------------------------------------------


def candidates_of(bench, count=20, seed=0):
    evaluate = evaluator(bench)
    rng = np.random.default_rng(seed)
    return [evaluate(evaluate.sample(rng)) for _ in range(count)]


def test_tournament_picks_the_best_of_its_draw(bench):
    population = deque(candidates_of(bench))
    order = sorted(population, key=lambda c: -c.reward)
    rng = np.random.default_rng(0)
    everyone = search.RegularisedEvolution(population_size=20, tournament_size=20)
    assert everyone.select(population, rng) is order[0]
    pairs = search.RegularisedEvolution(population_size=20, tournament_size=2)
    won = Counter(id(pairs.select(population, rng)) for _ in range(20_000))
    # Without replacement the best of 20 is in a draw of two with probability 1/10, and the worst never wins.
    assert won[id(order[0])] / 20_000 == pytest.approx(0.1, abs=0.01)
    assert won[id(order[-1])] == 0


def test_evolution_drops_the_oldest_not_the_worst(bench, monkeypatch):
    populations = []

    def spy(self, population, rng):
        populations.append([candidate.cell.row for candidate in population])
        return population[0]

    monkeypatch.setattr(search.RegularisedEvolution, "select", spy)
    record = search.run(search.RegularisedEvolution(population_size=5, tournament_size=2), bench, 12, seed=0)
    rows = record.column("row").astype(int).tolist()
    assert populations[0] == rows[:5]
    assert populations == [rows[i : i + 5] for i in range(len(populations))]


def test_evolution_refuses_impossible_sizes():
    with pytest.raises(ValueError, match="tournament_size must be from 1 to population_size 5, got 6"):
        search.RegularisedEvolution(population_size=5, tournament_size=6)


@pytest.mark.parametrize(
    "searcher",
    [search.RegularisedEvolution(population_size=20, tournament_size=5), search.LocalSearch()],
    ids=["evolution", "local"],
)
def test_single_objective_searchers_beat_random_search(searcher, bench):
    optimum = bench.optimum()[1]
    guided = [optimum - rewards(search.run(searcher, bench, 150, seed)) for seed in range(10)]
    random = [optimum - rewards(search.run(search.RandomSearch(), bench, 150, seed)) for seed in range(10)]
    assert np.mean(guided) < 0.7 * np.mean(random)


# Local search -------------------------------------------------------------------------------------------------------


def test_local_search_ends_each_climb_at_a_local_optimum(bench):
    record = search.run(search.LocalSearch(num_initial=1), bench, 400, seed=1)
    reached = {}
    for row, reward in zip(record.column("row").astype(int), record.column("reward"), strict=True):
        reached[int(row)] = reward
    best = max(reached, key=reached.get)
    scores = bench.scalar_rewards(bench.scalarisation())
    around = [cell.row for cell in bench.space.neighbours(bench.space[best])]
    assert scores[best] >= max(scores[around])
    assert len(reached) == 400  # nothing was trained twice


# SEMOA --------------------------------------------------------------------------------------------------------------


def test_linear_ranking_probabilities():
    probabilities = linear_ranking(10, 1.9)
    assert probabilities.sum() == pytest.approx(1)
    assert probabilities[0] == pytest.approx(0.19)
    assert probabilities[-1] == pytest.approx(0.01)
    assert np.diff(probabilities) == pytest.approx(np.full(9, -0.02))
    assert linear_ranking(4, 1.0) == pytest.approx(np.full(4, 0.25))
    assert linear_ranking(1, 1.9) == pytest.approx([1.0])
    with pytest.raises(ValueError, match="pressure must be from 1 to 2"):
        linear_ranking(3, 2.5)


def test_semoa_draws_parents_by_contributing_hypervolume(bench):
    population = non_dominated(candidates_of(bench, 300))
    n = len(population)
    assert n >= 5
    reference = np.full(2, -0.1)
    volumes = pareto.contributions(np.array([c.scores for c in population]), reference)
    order = np.argsort(-volumes, kind="stable")
    assert [c.cell.row for c in by_contribution(population, reference)] == [population[i].cell.row for i in order]
    searcher = search.SEMOA(population_size=40_000)
    drawn = Counter(c.cell.row for c in searcher.select(population, reference, np.random.default_rng(0)))
    shares = np.array([drawn[population[i].cell.row] for i in order]) / 40_000
    assert shares == pytest.approx(linear_ranking(n, 1.9), abs=0.01)


def test_semoa_finds_more_hypervolume_than_random_search(bench):
    volumes = {
        searcher.name: np.mean(
            [analysis.hypervolume(search.run(searcher, bench, 200, seed), bench)[-1] for seed in range(10)]
        )
        for searcher in (search.SEMOA(), search.RandomSearch())
    }
    assert volumes["SEMOA"] > volumes["random search"] + 0.02


def test_semoa_ends_after_its_generations(bench):
    record = search.run(search.SEMOA(population_size=7, generations=5), bench, seed=0)
    assert len(record) == 35


def test_semoa_cycles_through_fidelities(bench):
    record = search.run(search.SEMOA(generations=8, min_epochs=4), bench, seed=0)
    assert set(record.column("epochs")) == {4, 12, 36, 108}
    trained = list(zip(record.column("row").astype(int), record.column("epochs").astype(int), strict=True))
    assert [epochs for _, epochs in trained[:10]] == [4] * 10
    # After a generation at a fidelity every survivor of the one before was trained at it as well.
    second = {row for row, epochs in trained if epochs == 12}
    survivors = {c.row for c in (bench.space[row] for row, epochs in trained[:10] if epochs == 4)}
    assert second & survivors


def test_ranks_peel_off_fronts():
    def candidate(*scores):
        return Candidate(None, None, 0.0, np.array(scores))

    chosen = [candidate(1, 1), candidate(2, 0), candidate(0, 2), candidate(0, 1), candidate(0, 0), candidate(1, 1)]
    assert non_domination_ranks(chosen).tolist() == [0, 0, 0, 2, 3, 1]


# Running ------------------------------------------------------------------------------------------------------------


def test_unlimited_search_is_refused(bench):
    with pytest.raises(ValueError, match="budget must have a limit"):
        search.run(search.RandomSearch(), bench)


def test_finished_run_is_read_and_another_is_refused(bench, tmp_path):
    path = tmp_path / "run.jsonl"
    first = search.run(search.SEMOA(), bench, 30, seed=0, path=path)
    written = path.read_bytes()
    again = search.run(search.SEMOA(), bench, 30, seed=0, path=path)
    assert path.read_bytes() == written
    assert again.column("row").tolist() == first.column("row").tolist()
    for other in ({"seed": 1}, {"budget": 31}):
        with pytest.raises(ValueError, match="holds another run"):
            search.run(search.SEMOA(), bench, **{"budget": 30, "seed": 0, "path": path, **other})


def test_progress_bar_counts_evaluations(bench, capsys):
    search.run(search.RandomSearch(), bench, 25, seed=0, progress=True)
    assert "25/25" in capsys.readouterr().err


def test_one_budget_can_serve_several_searches(bench):
    budget = ecnas.Budget(evaluations=50)
    first = search.run(search.SEMOA(generations=3), bench, budget)
    second = search.run(search.RandomSearch(), bench, budget)
    assert (len(first), len(second)) == (30, 20)
