"""What a campaign will cost, and which cells to measure next."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from conftest import DATA, needs_official

import ecnas
from ecnas.cli import main
from ecnas.measured.metrics import Training, table_of
from ecnas.network import planning
from ecnas.network.cells import read_cells

pytest.importorskip("torch", reason="planning needs the extra 'surrogate'")

from ecnas.surrogate import energy
from ecnas.surrogate.gaussian_process import GaussianProcess

EMBEDDED = ecnas.load("surrogate-7V")


def measured(rows, factor=3.0, slowness=2.0, epochs=4):
    """A machine that takes three times the embedded energy and twice the time."""
    energies = EMBEDDED.values("energy", 4) * factor * epochs / 4
    times = EMBEDDED.values("training_time", 4) * slowness * epochs / 4
    shown = [
        Training(row, epochs, 0, {"energy": float(energies[row]), "training_time": float(times[row])}) for row in rows
    ]
    return table_of(shown, "shown", "5V")


def test_covariance_is_that_of_the_posterior():
    rng = np.random.default_rng(0)
    features, targets = rng.normal(size=(20, 3)), rng.normal(size=20)
    process = GaussianProcess(steps=5, one_length=True).fit(features, targets)
    others = rng.normal(size=(6, 3))
    joint = process._kernel(*2 * (process._points(np.concatenate([features, others])),)).detach().numpy()
    noise = (process._known_factor @ process._known_factor.T).numpy()
    solved = joint[20:, :20] @ np.linalg.solve(noise, joint[:20, 20:])
    expected = (joint[20:, 20:] - solved) * targets.std() ** 2
    np.testing.assert_allclose(process.covariance(others), expected, atol=1e-9)
    assert np.linalg.eigvalsh(process.covariance(others)).min() > 0
    at_measured = np.diag(process.covariance(features))
    assert at_measured.max() < np.diag(process.covariance(features + 50)).min()


def test_each_choice_lowers_the_sum_of_variances_most():
    rng = np.random.default_rng(1)
    root = rng.normal(size=(7, 7))
    covariance, noise = root @ root.T, 0.3
    allowed = np.array([True, True, False, True, True, True, True])

    def left(chosen):
        """Sum of variances after measuring all of some at once."""
        shared = covariance[:, chosen]
        solved = np.linalg.solve(covariance[np.ix_(chosen, chosen)] + noise * np.eye(len(chosen)), shared.T)
        return np.trace(covariance) - np.trace(shared @ solved)

    order = planning.most_telling(covariance, noise, 4, allowed)
    assert len(set(order)) == 4
    assert 2 not in order
    for number in range(4):
        before = order[:number]
        options = {i: left([*before, i]) for i in np.flatnonzero(allowed) if i not in before}
        assert order[number] == min(options, key=options.get)
    by_chance = [left(list(some)) for some in itertools.combinations(np.flatnonzero(allowed), 4)]
    assert left(order) < np.median(by_chance)


def test_the_next_cells_are_new_and_the_same_every_time():
    table = measured(range(0, 90, 9))
    chosen = planning.next_rows(range(91), 6, table)
    assert len(set(chosen)) == 6
    assert not set(chosen) & set(range(0, 90, 9))
    assert set(chosen) <= set(range(91))
    assert chosen == planning.next_rows(range(91), 6, table)
    assert len(planning.next_rows(range(12), 50, table)) == 10  # rows 0 and 9 are measured
    assert planning.next_rows([0, 9], 3, table) == []


@pytest.mark.parametrize("known", [[], [40], [3, 60, 80]])
def test_before_there_is_enough_to_learn_from(known):
    table = measured(known) if known else None
    chosen = planning.next_rows(range(91), 8, table)
    assert len(set(chosen)) == 8
    assert not set(chosen) & set(known)
    parameters = ecnas.Space("4V").trainable_parameters[chosen]
    assert parameters.max() > 10 * parameters.min()  # all kinds of cells


def test_of_many_cells_some_are_drawn():
    chosen = planning.next_rows(range(10_000), 3)
    assert len(set(chosen)) == 3
    assert chosen != planning.next_rows(range(10_000), 3, seed=1)


def test_cost_in_proportion_to_the_epochs():
    rows = [5, 5, 80]
    one, ten = planning.cost(rows, 4), planning.cost(rows, 40)
    assert one.trainings == 3
    assert one.energy == pytest.approx(EMBEDDED.values("energy", 4)[rows].sum())
    assert (ten.energy, ten.seconds) == (pytest.approx(10 * one.energy), pytest.approx(10 * one.seconds))
    assert "Quadro RTX 6000; nothing is measured yet" in one.source
    assert planning.cost([], 4).trainings == 0


@pytest.mark.parametrize(("rows", "says"), [([7, 50], "energy: 3 × that"), (range(0, 90, 6), "from 15 measured cells")])
def test_cost_on_a_machine_that_is_measured(rows, says):
    wanted = range(20, 60)
    cost = planning.cost(wanted, 12, measured(rows))
    assert says in cost.source
    assert cost.energy == pytest.approx(3 * EMBEDDED.values("energy", 4)[20:60].sum() * 3, rel=0.03)
    # Time is learned from energy where there is enough to learn from, and so less exactly.
    assert cost.seconds == pytest.approx(2 * EMBEDDED.values("training_time", 4)[20:60].sum() * 3, rel=0.2)


def test_hours():
    assert [planning.hours(s) for s in (600, 7200, 200_000)] == ["10 min", "2.0 h", "3 days"]


@needs_official
def test_the_plan_beats_chance_on_a_published_machine():
    pytest.importorskip("tensorflow", reason="reading published files needs the extra 'official'")
    energies = ecnas.load(DATA / "official" / "hardware" / "energy_4V9E_rtx3060.tfrecord").values("energy", 4)
    there = np.flatnonzero(np.isfinite(energies))

    def error(known):
        rest = np.setdiff1d(there, known)
        model = energy.fit(energy.Measurements(np.asarray(known), energies[known], 4))
        return np.abs(model.predict(rest) / energies[rest] - 1).mean()

    known = planning.next_rows(there, 10)
    shown = table_of([Training(row, 4, 0, {"energy": float(energies[row])}) for row in known], "shown", "4V")
    known += planning.next_rows(there, 15, shown)
    chances = [error(np.random.default_rng(seed).permutation(there)[:25]) for seed in range(5)]
    assert error(known) < np.median(chances)


def test_the_command(tmp_path, capsys):
    measured(range(0, 90, 9)).save(tmp_path / "lab")
    arguments = ["plan", "--space", "4V", "--measured", str(tmp_path / "lab"), "--repeats", "2", "--workers", "2"]
    assert main([*arguments, "--next", "5", "-o", str(tmp_path / "next.csv")]) == 0
    printed = capsys.readouterr().out
    assert "all 91 cells: 172 trainings of 4 epochs to do" in printed  # 91 × 2 less ten
    assert "the next 5 cells: 10 trainings" in printed
    assert "on 2 GPUs" in printed
    cells = read_cells(tmp_path / "next.csv")
    assert [cell.row for cell in cells] == planning.next_rows(range(91), 5, ecnas.load(tmp_path / "lab").table)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one of CELLS, --space and --record is needed, got none"),
        (["cells.csv", "--space", "4V"], r"is needed, got ['cells', 'space']"),
        (["--space", "4V", "--epochs", "0"], "--epochs must be 1 or more, got 0"),
        (["--space", "4V", "-o", "next.csv"], "-o needs --next N"),
        (["--space", "4V", "--next", "0"], "must be 1 or more, got 0"),
    ],
)
def test_slips_are_told_in_a_line(arguments, message, capsys):
    assert main(["plan", *arguments]) == 2
    assert message in capsys.readouterr().err
