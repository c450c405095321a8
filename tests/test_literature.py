"""The published protocols that benchmarks/literature.py and realism.py run again."""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np
import pytest
from conftest import ROOT

import ecnas
from ecnas import runs, search
from ecnas.runs.run import run_task
from ecnas.task import Task

pytest.importorskip("tyro", reason="the controllers need ecnas-gym[agents]")
pytest.importorskip("matplotlib", reason="the figure needs ecnas-gym[plots]")
sys.path.append(str(ROOT / "benchmarks"))

import literature
import peers
import white


def test_cells_are_drawn_by_matrix():
    """In the frame of seven vertices, 4V cells alone: as often as they have matrices and labels."""
    rng = np.random.default_rng(0)
    rows = peers.draw_by_matrix(ecnas.Space("4V"), 3000, rng)
    assert rows.min() >= 0
    assert rows.max() < 91
    counts = Counter(rows.tolist())
    # Row 0 (input → output alone) has all matrices in which nothing else lies on a path: far more than any other cell.
    assert counts.most_common(1)[0][0] == 0
    assert len(peers.draw_by_matrix(ecnas.Space("7V"), 7, rng)) == 7


def test_searchers_start_by_matrix():
    task = Task.of(ecnas.load("surrogate-7V"), ("val_accuracy",))
    vertices = {}
    for name, method in (("uniform", search.RandomSearch()), ("matrix", white.ByMatrix(search.RandomSearch()))):
        rows = run_task(method, task, 400, 0).column("row").astype(int)
        vertices[name] = task.benchmark.space.cells.num_vertices[rows]
    assert (vertices["uniform"] < 7).mean() == pytest.approx(64_542 / 423_624, abs=0.06)
    assert (vertices["matrix"] < 7).mean() > 0.3


@pytest.mark.parametrize(
    ("peer", "library"),
    [(peers.TPE(), "optuna"), (peers.GaussianProcess(), "sklearn"), (peers.LaNAS(num_initial=15), "tyro")],
)
def test_peers_spend_their_budget_and_repeat_themselves(peer, library):
    pytest.importorskip(library)
    task = Task.of(ecnas.load("surrogate-5V"), ("val_accuracy",))
    first, second = (run_task(peer, task, 25, 3).column("row").tolist() for _ in range(2))
    assert len(first) == 25
    assert first == second


def test_lanas_takes_the_half_that_a_line_says_is_better():
    """Ranks that grow with one feature: of three splits in a row the upper half is the leaf."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, size=(400, 2))
    known, drawn = (
        np.column_stack([x, np.ones(400)]),
        np.column_stack([np.linspace(-1, 1, 81), np.zeros(81), np.ones(81)]),
    )
    ranks = (x[:, 0].argsort().argsort() + 0.5) / 400
    leaf = peers.LaNAS(height=3, exploration=0.0).leaf(known, ranks, drawn)
    assert leaf.tolist() == list(range(leaf[0], 81))
    assert drawn[leaf[0], 0] == pytest.approx(0.75, abs=0.06)
    assert peers.LaNAS(height=3, exploration=0.0).leaf(known[:7], ranks[:7], drawn).tolist() == list(range(81))


def test_a_pick_is_judged_by_what_was_seen_and_by_what_is_expected(tmp_path):
    world = ecnas.load("surrogate-5V", noise_seed=1)
    task = Task.of(world, ("val_accuracy",))
    record = run_task(search.RandomSearch(), task, 20, 4)
    pick = white._pick(record, world.expected)
    best = max(record.rows, key=lambda row: row["val_accuracy"])
    seen, expected = world.query_row(best["row"]), world.expected.query_row(best["row"])
    assert pick.error == pytest.approx(100 * (1 - seen.test_accuracy))
    assert pick.expected == pick.recommended == pytest.approx(100 * (1 - expected.test_accuracy))
    assert pick.luck == pytest.approx(100 * (seen.val_accuracy - expected.val_accuracy))


def test_curves_follow_the_first_of_the_best_seen():
    trial = literature.Trainings(np.array([5, 7, 9]), np.array([0.5, 0.5, 0.6]), np.array([2e4, 2e4, 5e4]))
    test = np.linspace(0.0, 0.9, 91)
    curve = literature._curve(trial, test)
    times = literature.GRID
    assert np.isnan(curve[times < 20_000]).all()
    assert curve[(times >= 20_000) & (times < 90_000)] == pytest.approx(100 * (0.9 - test[5]))
    assert curve[times >= 90_000] == pytest.approx(100 * (0.9 - test[9]))


@pytest.mark.parametrize("name", literature.STUDY)
def test_trials_spend_their_time_in_worlds_of_their_own(monkeypatch, name):
    monkeypatch.setattr(literature, "SECONDS", 2e5)
    seeds = (3, 4)
    tasks = [Task.of(ecnas.load("surrogate-7V", noise_seed=seed), ("val_accuracy",), repeat="random") for seed in seeds]
    both = literature.STUDY[name](tasks, seeds)
    alone = literature.STUDY[name](tasks[1:], seeds[1:])
    for column, other in zip(both[1], alone[0], strict=True):
        assert column.tolist() == other.tolist()  # whatever others there are
    for task, trial in zip(tasks, both, strict=True):
        assert 2e5 - 7200 < trial.seconds.sum() <= 2e5  # no training takes two hours
        each = [task.benchmark.query_rows(trial.rows, repeat=repeat) for repeat in range(3)]
        seen = zip(trial.accuracies, *(found.val_accuracy for found in each), strict=True)
        assert all(accuracy in one_of_three for accuracy, *one_of_three in seen)
    assert len({tuple(trial.rows[:5]) for trial in both}) == 2


def test_random_search_trains_a_cell_again():
    """As the study's does: its draws favour small cells."""
    trial = literature.random_search(
        [Task.of(ecnas.load("surrogate-7V", noise_seed=0), ("val_accuracy",), repeat="random")], [0]
    )[0]
    assert len(set(trial.rows.tolist())) < len(trial.rows)
    assert trial.seconds.sum() > 1e7 - 7200


def test_runs_end_at_the_best_cell(monkeypatch, tmp_path):
    best = ecnas.load("surrogate-5V").values("val_accuracy").max()
    for seed in range(2):
        history = literature._history("5V", "local search", seed, tmp_path)
        record = runs.run(search.LocalSearch(), "surrogate-5V", len(history), seed, objectives=("val_accuracy",))
        assert record.column("val_accuracy").tolist() == history.tolist()
        assert literature._samples(history, best) == len(history)
    monkeypatch.setattr(literature, "SEARCHERS", {"local search": (search.LocalSearch(), 3)})
    history = literature._history("5V", "local search", 0, tmp_path)
    assert len(history) == 3
    assert literature._samples(history, best) == np.inf
    assert literature._samples(history, history.max()) == history.argmax() + 1


def test_alphax_s_space_has_no_cell_of_seven_vertices():
    table = literature._table_of("6V")
    accuracies = table.values("val_accuracy")
    assert np.isfinite(accuracies).sum() == 64_542
    record = runs.run(
        search.RegularisedEvolution(population_size=20, tournament_size=5), table, 100, 0, objectives=("val_accuracy",)
    )
    assert table.space.cells.num_vertices[record.column("row").astype(int)].max() == 6


def test_samples_are_told_as_bounds_where_a_run_was_given_up():
    histories = [np.array([0.1, 0.9]), np.array([0.1, 0.2, 0.3, 0.4])]
    assert literature._samples_text(histories, 0.9, 30.0) == "2 | 50% | over 3 | – | over 3 | under 10.0"
    assert literature._samples_text(histories, 0.3, 30.0) == "2 | 100% | 2 | 0 | 2 | 12.0"


def test_the_table_tells_settings_and_published_errors_of_methods_that_it_has():
    assert white.SETTINGS.keys() <= white.METHODS.keys()
    assert white.PUBLISHED.keys() <= white.METHODS.keys()
    assert set(literature.PEERS) <= white.METHODS.keys()
    assert not white.OTHERS.keys() & white.METHODS.keys()
