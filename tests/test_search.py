from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter, deque
from pathlib import Path

import numpy as np
import pytest
from conftest import needs_official
from synthetic import synthetic

import ecnas
from ecnas import pareto, search
from ecnas.runs import RunRecord, analysis, make_header
from ecnas.runs.evaluator import FREE_QUERIES, Evaluator
from ecnas.search.features import descriptors, path_encoding
from ecnas.search.msehvi import expected_hypervolume_improvement
from ecnas.search.selection import by_contribution, linear_ranking, non_dominated, score_matrix
from ecnas.search.shemoa import ranked
from ecnas.search.variation import crossover
from ecnas.task import Task

SEARCHERS = [
    search.RandomSearch(),
    search.RegularisedEvolution(population_size=10, tournament_size=3),
    search.LocalSearch(),
    search.SEMOA(),
    search.NSGA2(population_size=12),
    search.SHEMOA(),
    search.BANANAS(num_initial=5, num_candidates=20, batch_size=20, ensemble_size=2, hidden=(8,)),
    search.MSEHVI(num_initial=5, num_candidates=40, batch_size=20, max_fit=30),
]
MULTI_FIDELITY = {"SH-EMOA"}


@pytest.fixture(scope="module")
def bench():
    return synthetic("5V")


def evaluator(bench, budget=10_000, **settings):
    task, spending = Task.of(bench, **settings), ecnas.Budget(evaluations=budget)
    return Evaluator(task, spending, RunRecord(make_header(search.RandomSearch(), task, spending, 0)))


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

    def test_trains_at_one_fidelity_unless_it_says_so(self, searcher, bench):
        full, short = (search.run(searcher, bench, 60, seed=0, epochs=epochs) for epochs in (None, 12))
        if searcher.name in MULTI_FIDELITY:
            assert set(full.column("epochs")) == {4, 12, 36, 108}
            assert set(short.column("epochs")) == {4, 12}
            assert "*Multi-fidelity.*" in type(searcher).__doc__
        else:
            assert set(full.column("epochs")) == {108}
            assert set(short.column("epochs")) == {12}

    def test_accuracy_alone(self, searcher, bench):
        if isinstance(searcher, search.MSEHVI):
            with pytest.raises(ValueError, match="needs two objectives"):
                search.run(searcher, bench, 40, seed=0, objectives=["val_accuracy"])
            return
        record = search.run(searcher, bench, 40, seed=0, objectives=["val_accuracy"])
        assert len(record) == 40

    def test_record_holds_its_settings(self, searcher, bench):
        record = search.run(searcher, bench, 15, seed=0)
        assert record.name == searcher.name
        assert record.header["budget"] == {"unique": False, "evaluations": 15}

    def test_unique_budget_ends_although_repeats_are_free(self, searcher):
        if isinstance(searcher, (search.BANANAS, search.MSEHVI)):
            pytest.skip("a thousand fits of models take too long; the evaluator ends all searches alike")
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
    ("searcher", "seeds"),
    [
        (search.RegularisedEvolution(population_size=20, tournament_size=5), 6),
        (search.LocalSearch(), 6),
        (search.BANANAS(batch_size=40, ensemble_size=2, hidden=(16,)), 3),
    ],
    ids=["evolution", "local", "BANANAS"],
)
def test_single_objective_searchers_beat_random_search(searcher, seeds, bench):
    optimum = bench.optimum("linear")[1]

    def regrets(method):
        runs = (search.run(method, bench, 130, seed, scalarisation="linear") for seed in range(seeds))
        return [optimum - rewards(run) for run in runs]

    guided, random = regrets(searcher), regrets(search.RandomSearch())
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


@pytest.mark.parametrize(
    "searcher", [search.SEMOA(), search.NSGA2(20), search.MSEHVI(batch_size=20, max_fit=60)], ids=lambda s: s.name
)
def test_multi_objective_searchers_find_more_hypervolume_than_random_search(searcher):
    bench = synthetic("7V")

    def volume(chosen):
        runs = [search.run(chosen, bench, 200, seed) for seed in range(3)]
        return np.mean([analysis.measure(run, bench)["hypervolume"][-1] / 100 for run in runs])

    assert volume(searcher) > volume(search.RandomSearch()) + 0.02


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
    chosen = np.array([(1, 1), (2, 0), (0, 2), (0, 1), (0, 0), (1, 1), (0, np.nan)])
    assert pareto.ranks(chosen).tolist() == [0, 0, 0, 1, 2, 0, 3]


# SH-EMOA ------------------------------------------------------------------------------------------------------------


def test_shemoa_gives_every_fidelity_the_same_epochs(bench):
    record = search.run(search.SHEMOA(), bench, ecnas.Budget(epochs=108 * 80), seed=0)
    epochs = record.column("epochs")
    assert (np.diff(epochs) >= 0).all()
    spent = [epochs[epochs == fidelity].sum() for fidelity in (4, 12, 36, 108)]
    assert sum(spent) <= 108 * 80
    assert spent == pytest.approx([108 * 20] * 4, abs=108)


def test_shemoa_trains_its_population_again_at_the_next_fidelity(bench):
    record = search.run(search.SHEMOA(population_size=6, tournament_size=2), bench, 200, seed=0)
    epochs, rows = record.column("epochs"), record.column("row")
    for low, high in ((4, 12), (12, 36), (36, 108)):
        assert set(rows[epochs == high][:6]) <= set(rows[epochs == low])


def test_shemoa_mutates_operations():
    """With no crossover, no edge flips and one operation changing, children differ from parents in operations."""
    bench = synthetic("5V")
    record = search.run(
        search.SHEMOA(population_size=1, tournament_size=1, crossover_probability=0, expected_edges=0),
        bench,
        40,
        seed=1,
    )
    cells = [bench.space[int(row)] for row in record.column("row")]
    assert len({cell.ops for cell in cells}) > 3


def test_rank_comes_before_contribution(bench):
    population = candidates_of(bench, 40)
    order = ranked(population, np.full(2, -0.1))
    ranks = dict(zip(map(id, population), pareto.ranks(score_matrix(population)), strict=True))
    assert [ranks[id(c)] for c in order] == sorted(ranks.values())


# Crossover ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", [ecnas.Space("4V"), ecnas.Space("7V")], ids=lambda space: space.name)
def test_crossover_gives_cells_of_the_space_between_their_parents(space):
    rng = np.random.default_rng(0)
    children = 0
    for _ in range(300):
        first, second = space.sample(rng, 2)
        child = crossover(first, second, space, rng)
        if child is None:
            continue
        children += 1
        assert child in space
        assert child not in (first, second)
        assert set(child.ops) <= set(first.ops) | set(second.ops)
        assert child.num_vertices <= max(first.num_vertices, second.num_vertices)
    assert children > 100


def test_crossover_of_equals_has_no_child():
    cell = ecnas.Space("5V")[77]
    assert crossover(cell, cell, ecnas.Space("5V"), np.random.default_rng(0)) is None


# Features and models ------------------------------------------------------------------------------------------------


def test_path_encoding_of_a_known_cell():
    matrix = [[0, 1, 1, 1], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    cell = ecnas.Cell(matrix, ["conv3x3-bn-relu", "maxpool3x3"])
    encoded = path_encoding(np.array([cell.row]))[0]
    assert encoded.shape == (364,)
    # Straight (number 0); pooling alone (1 + 2); convolution, then pooling (4 + 0·3 + 2).
    assert np.flatnonzero(encoded).tolist() == [0, 3, 6]
    assert path_encoding(np.array([cell.row]), max_ops=1)[0].tolist() == [1, 0, 0, 1]


def test_path_encoding_counts_paths_of_all_lengths():
    space = ecnas.Space("7V")
    rows = np.random.default_rng(0).integers(len(space), size=200)
    for row, encoded in zip(rows.tolist(), path_encoding(rows), strict=True):
        cell = space[row]
        walks = np.linalg.matrix_power(np.eye(cell.num_vertices) + cell.adjacency, 7)
        assert encoded.any()
        assert (walks[0, -1] > 0) == bool(encoded.any())
        assert encoded[0] == cell.adjacency[0, -1]


def test_descriptors_are_exact():
    space = ecnas.Space("7V")
    rows = np.array([0, 50, 2000, 300_000])
    for row, found in zip(rows.tolist(), descriptors(space, rows), strict=True):
        cell = space[row]
        expected = [np.log(cell.trainable_parameters), np.log(cell.multiply_adds), cell.num_vertices, cell.num_edges]
        assert found[:4] == pytest.approx(expected)
        assert found[4:7].tolist() == [cell.ops.count(name) for name in ecnas.OPERATIONS]


@pytest.mark.parametrize("known", [False, True])
def test_expected_hypervolume_improvement_equals_monte_carlo(known):
    rng = np.random.default_rng(0)
    front = np.array([[0.1, 0.9], [0.5, 0.6], [0.8, 0.2], [-0.5, 1.5]])  # the last is behind the reference point
    reference = np.full(2, -0.1)
    means = rng.uniform(0, 1, size=(6, 2))
    deviations = np.column_stack([np.full(6, 0.2), np.full(6, 0.0 if known else 0.3)])
    found = expected_hypervolume_improvement(means, deviations, front, reference)
    before = pareto.hypervolume(front, reference)
    for mean, deviation, expected in zip(means, deviations, found, strict=True):
        points = rng.normal(mean, deviation, size=(4000, 2))
        gains = [pareto.hypervolume(np.vstack([front, point]), reference) - before for point in points]
        assert expected == pytest.approx(np.mean(gains), abs=4 * np.std(gains) / np.sqrt(4000) + 1e-5)


def test_ehvi_without_a_front_is_a_product_of_improvements():
    gain = expected_hypervolume_improvement(np.array([[0.4, 0.9]]), np.zeros((1, 2)), np.empty((0, 2)), np.zeros(2))
    assert gain == pytest.approx([0.36])


def test_msehvi_reads_untrained_energies_only_when_told(bench, monkeypatch):
    asked = []
    monkeypatch.setattr(
        Evaluator, "known_scores", lambda self, rows: asked.append(len(rows)) or np.zeros((len(rows), 2))
    )
    search.run(search.MSEHVI(num_initial=5, num_candidates=20), bench, 8, seed=0)
    assert not asked
    search.run(search.MSEHVI(num_initial=5, num_candidates=20, known=("energy",)), bench, 8, seed=0)
    assert asked


def test_nsga2_populations_hold_no_duplicates(bench):
    record = search.run(search.NSGA2(population_size=30), bench, 30, seed=0)
    assert len(set(record.column("row"))) == 30


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


@needs_official
def test_searchers_on_a_published_file():
    """Of 91 cells the optimum is found within 40 trainings more often than by chance."""
    published = ecnas.load("energy_4V9E_linscale")
    optimum = published.optimum()[1]

    def hits(searcher):
        return sum(rewards(search.run(searcher, published, 40, seed)) == optimum for seed in range(30))

    assert 5 <= hits(search.RandomSearch()) <= 21  # 30 · 40/91 = 13.2 on average
    assert hits(search.LocalSearch(num_initial=3)) >= 20


def test_semoa_run_of_the_examples_size_is_fast():
    """Population 10, 100 generations, on the embedded 7V benchmark: at most 2 s of one core."""
    embedded = ecnas.load("surrogate-7V")
    search.run(search.SEMOA(), embedded, 20)
    start = time.process_time()
    search.run(search.SEMOA(generations=100), embedded)
    assert time.process_time() - start < 2


def test_example(tmp_path):
    root = Path(__file__).resolve().parents[1]
    script = root / "examples" / "semoa.py"
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "val_accuracy" in done.stdout
    assert len(list((tmp_path / "runs/semoa").glob("7V-*.jsonl"))) == 10


def test_import_loads_nothing_heavy():
    heavy = ["matplotlib", "moocore", "pandas", "pymoo", "scipy", "sklearn", "torch", "tensorflow"]
    code = (
        "import sys, ecnas.search, ecnas.runs.analysis, ecnas.runs.charts, ecnas.cli; "
        f"print([n for n in {heavy} if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
