"""Gaps filled by models that learn from what was measured."""

from __future__ import annotations

import numpy as np
import pytest

import ecnas
from ecnas import measured
from ecnas.measured import MeasurementsError
from ecnas.measured.fill import _line

pytest.importorskip("torch")

SPACE = ecnas.Space("5V")
SURROGATE = ecnas.load("surrogate-5V")


def lab(rows, *, epochs=(108,), names=("val_accuracy", "energy_kwh"), repeats=1, seed=0) -> ecnas.Table:
    """A machine that needs half as much energy again, and trains a little worse; with noise."""
    rng = np.random.default_rng(seed)
    lines = []
    for row in rows:
        for number in epochs:
            known = SURROGATE.query_row(int(row), number)
            for repeat in range(repeats):
                noise = rng.normal(size=3)
                line = {
                    "val_accuracy": 0.9 * known.val_accuracy + 0.02 + 0.001 * noise[0],
                    "test_accuracy": 0.9 * known.test_accuracy + 0.01 + 0.001 * noise[0],
                    "energy_kwh": 1.5 * known.energy * np.exp(0.02 * noise[1]),
                    "co2_g": 150 * known.energy * np.exp(0.02 * noise[1]),
                    "training_time_s": known.training_time * np.exp(0.02 * noise[2]),
                }
                lines.append(
                    {"row": int(row), "epochs": number, "repeat": repeat, **{name: line[name] for name in names}}
                )
    return measured.read(lines, name="lab", space="5V").table


@pytest.fixture(scope="module")
def rows():
    return np.sort(np.random.default_rng(1).choice(2532, 40, replace=False))


def test_measured_figures_stay_and_the_rest_is_predicted(rows):
    table = lab(rows, names=("val_accuracy", "energy_kwh", "co2_g", "training_time_s"))
    filled = measured.fill(table)
    benchmark = ecnas.Benchmark(filled.table)
    assert not filled.table.missing
    assert filled.table.name == "lab"
    others = np.setdiff1d(np.arange(2532), rows)
    for name in table.columns:
        assert np.array_equal(benchmark.values(name)[rows], table.values(name, 108)[rows])
        assert set(benchmark.provenance(name)[rows].tolist()) == {"measured"}
        assert set(benchmark.provenance(name)[others].tolist()) == {"surrogate"}
    truth = SURROGATE.values("val_accuracy")[others]
    assert np.abs(benchmark.values("val_accuracy")[others] - (0.9 * truth + 0.02)).max() < 0.003
    ratio = benchmark.values("energy")[others] / (1.5 * SURROGATE.values("energy")[others])
    assert np.median(np.abs(ratio - 1)) < 0.03
    assert benchmark.values("co2")[others] == pytest.approx(100 * benchmark.values("energy")[others])
    assert benchmark.query_row(int(rows[0])).provenance == "surrogate"  # its test accuracy is predicted
    assert benchmark.query_row(int(others[0])).provenance == "surrogate"
    front = benchmark.pareto_front()
    assert len(front) > 5
    assert {"measured", "surrogate"} >= set(benchmark.provenance("energy", rows=front.rows).tolist())


def test_the_account_says_how_well(rows):
    text = str(measured.fill(lab(rows)))
    for part in (
        "val_accuracy after 108 epochs: 2,492 cells predicted; held-out cells: median error",
        "energy after 108 epochs: 2,492 cells predicted",
        "Kendall's tau 0.9",
        "test_accuracy: not measured; taken from the embedded surrogate, fitted like the validation accuracies",
    ):
        assert part in text


def test_progress_is_shown_only_if_asked_for(rows, capsys):
    quiet = measured.fill(lab(rows[:40]))
    assert capsys.readouterr().err == ""
    shown = measured.fill(lab(rows[:40]), progress=True)
    assert "100%" in capsys.readouterr().err
    assert shown.table.digest == quiet.table.digest


def test_the_same_seed_fills_the_same(rows):
    table = lab(rows)
    assert measured.fill(table).table.digest == measured.fill(table).table.digest
    assert measured.fill(table).table.digest != table.digest


def test_energies_alone_take_the_embedded_accuracies(rows):
    benchmark = ecnas.Benchmark(measured.fill(lab(rows, names=("energy_kwh",))).table)
    assert np.array_equal(benchmark.values("val_accuracy"), SURROGATE.values("val_accuracy"))
    assert set(benchmark.provenance("val_accuracy").tolist()) == {"surrogate"}
    assert set(benchmark.table.columns) == {"energy", "val_accuracy", "test_accuracy"}
    assert ecnas.Benchmark(benchmark.table).query_row(int(rows[0])).provenance == "surrogate"


def test_accuracies_alone_get_no_energies(rows):
    table = measured.fill(lab(rows, names=("val_accuracy",))).table
    assert set(table.columns) == {"val_accuracy", "test_accuracy"}


def test_few_cells_at_other_epochs(rows):
    many, few = lab(rows), lab(rows[:2], epochs=(4,))
    lines = [
        {"row": row, "epochs": epochs, "val_accuracy": table.values("val_accuracy", epochs)[row],
         "energy_kwh": table.values("energy", epochs)[row]}
        for table, epochs, chosen in ((many, 108, rows), (few, 4, rows[:2]))
        for row in chosen.tolist()
    ]  # fmt: skip
    filled = measured.fill(measured.read(lines, space="5V").table)
    benchmark = ecnas.Benchmark(filled.table)
    assert "energy after 4 epochs: 4/108 of that after 108" in str(filled)
    assert "val_accuracy after 4 epochs: fitted like that after 108" in str(filled)
    others = np.setdiff1d(np.arange(2532), rows)
    assert benchmark.values("energy", 4)[others] == pytest.approx(benchmark.values("energy", 108)[others] * 4 / 108)
    assert benchmark.values("energy", 4)[rows[0]] == few.values("energy", 4)[rows[0]]


def test_a_cell_with_some_of_its_figures(rows):
    table = lab(rows, repeats=3)
    energy = table.columns["energy"].values
    energy[rows[0]] = np.nan
    energy[rows[1], 0, 2] = np.nan
    filled = ecnas.Benchmark(measured.fill(table).table)
    # each training that there is gets its energy; cells that were not trained get one training
    assert all(filled.query_row(int(rows[0]), repeat=repeat).energy > 0 for repeat in range(3))
    assert filled.provenance("energy")[rows[0]] == "surrogate"
    assert filled.provenance("energy")[rows[1]] == "surrogate"  # its mean holds a prediction
    assert filled.query_row(int(rows[1]), repeat=0).energy == energy[rows[1], 0, 0]
    other = int(np.setdiff1d(np.arange(2532), rows)[0])
    with pytest.raises(ecnas.OutOfDomainError):
        filled.query_row(other, repeat=1)


def test_too_few_cells(rows):
    with pytest.raises(MeasurementsError, match="val_accuracy for 4 cells .* at least 5"):
        measured.fill(lab(rows[:4]))
    assert "too few to estimate the error" in str(measured.fill(lab(rows[:6])))


def test_failed_trainings_do_not_move_the_others():
    rng = np.random.default_rng(0)
    embedded = rng.uniform(0.8, 0.95, 40)
    figures = 0.9 * embedded + 0.05 + rng.normal(0, 0.001, 40)
    figures[::10] = 0.1
    slope, shift = _line(embedded, figures)
    assert np.abs(slope * embedded + shift - (0.9 * embedded + 0.05)).max() < 0.002
    assert _line(np.full(9, 0.9), np.full(9, 0.8)) == (1.0, pytest.approx(-0.1))  # nothing to learn a slope from
    slope, shift = _line(embedded, 1 - embedded)
    assert slope == 1.0  # a lab whose ranks are reversed is not believed
