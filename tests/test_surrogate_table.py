"""The embedded table is sane, small and what its card says; its making is resumable."""

import dataclasses
import hashlib
import time

import numpy as np
import pytest
from conftest import DATA, needs_training

import ecnas
from ecnas import loading
from ecnas.benchmark import Benchmark
from ecnas.loading import EMBEDDED_FOLDER
from ecnas.surrogate import report, stages, tables
from ecnas.surrogate.calibration import calibrate
from ecnas.surrogate.data import BEST_OF_THREE, EPOCHS, load_targets, read_energies, target
from ecnas.surrogate.tables import CO2_INTENSITY, STARTUP, Predictions, embedded_table
from ecnas.table import columns_digest, open_table


@pytest.fixture(scope="module")
def table():
    return open_table(EMBEDDED_FOLDER)


def test_every_figure_is_sane(table):
    for epochs in EPOCHS:
        for column in ("val_accuracy", "test_accuracy"):
            values = table.values(column, epochs)
            assert values.shape == (423624,)
            assert ((values >= 0.05) & (values <= 0.96)).all()  # False for NaN as well
        for column in ("energy", "co2", "training_time"):
            assert (table.values(column, epochs) > 0).all()
        assert np.isnan(table.values("train_accuracy", epochs)).all()
    assert set(table.provenance.values()) == {"surrogate"}


def test_costs_are_proportional_to_epochs_after_the_start(table):
    for column, fixed in (("energy", 0.0), ("co2", 0.0), ("training_time", STARTUP)):
        np.testing.assert_allclose(table.values(column, 108) - fixed, 27 * (table.values(column, 4) - fixed))
    np.testing.assert_allclose(table.values("co2", 4), CO2_INTENSITY * table.values("energy", 4), rtol=1e-6)


def test_more_epochs_are_rarely_worse(table):
    for fewer, more in ((4, 12), (12, 36), (36, 108)):
        assert (table.values("val_accuracy", more) >= table.values("val_accuracy", fewer)).mean() > 0.97


def test_table_is_small_and_opens_at_once(table):
    assert sum(path.stat().st_size for path in EMBEDDED_FOLDER.iterdir()) <= 12e6
    started = time.perf_counter()
    opened = open_table(EMBEDDED_FOLDER)
    assert time.perf_counter() - started < 0.1
    assert opened.digest == table.digest == columns_digest(table.columns)


def test_a_cell_has_the_same_figures_in_every_space():
    small, large = ecnas.load("surrogate-4V"), ecnas.load("surrogate-7V")
    for column in ("val_accuracy", "energy"):
        np.testing.assert_array_equal(small.values(column, 12), large.values(column, 12)[:91])


def test_card_has_the_digests():
    card = (EMBEDDED_FOLDER.parent / "CARD.md").read_text(encoding="utf-8")
    for path in EMBEDDED_FOLDER.iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() in card


def test_quantised_figures_come_back(table):
    rng = np.random.default_rng(0)
    accuracy = rng.uniform(0.1, 0.95, (423624, 4))
    seconds, energy = rng.uniform(300, 5500, 423624), rng.uniform(0.003, 0.05, 423624)
    made = embedded_table(Predictions(accuracy, accuracy, seconds, energy))
    np.testing.assert_allclose(made.values("val_accuracy", 36), accuracy[:, 2], atol=1e-5)
    np.testing.assert_allclose(made.values("training_time", 108), seconds, atol=0.05)
    np.testing.assert_allclose(made.values("energy", 108), 27 * energy, atol=2e-5)


def test_calibration_removes_bias_and_keeps_the_order():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.7, 0.95, 5000)
    predicted = truth + 0.01
    measured = truth + rng.normal(0, 0.004, 5000)
    measured[:50] = 0.1
    measured[50:100] = np.nan
    corrected = calibrate(predicted, measured)(predicted)
    assert np.abs(corrected - truth).mean() < 0.001
    assert (np.diff(corrected[np.argsort(predicted)]) >= 0).all()


def test_a_stage_that_is_done_is_not_repeated(tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "training_files", lambda folder: [])
    monkeypatch.setattr(stages, "ProcessPoolExecutor", None)  # calling it would fail
    digest = stages.digest_of("settings", stages.SEED, stages.FOLDS, stages.TARGETS, 1.0)
    for fold in (0, 1):
        stages.save_array(tmp_path / f"network-{fold}-{digest}.npy", np.full((3, 2), fold, dtype=np.float32))
    predicted = stages.network_predictions(tmp_path, tmp_path, "settings", folds=(0, 1))
    np.testing.assert_array_equal(predicted[:, 0, 0], [0, 1])
    assert not list(tmp_path.glob(".*"))


def test_energies_are_read_and_checked(tmp_path):
    path = tmp_path / "cells.csv"
    space = ecnas.Space("7V")
    path.write_text('adjacency,ops,energy_kwh\n010001000,"2",0.5\n0100,,0.25\n', encoding="utf-8")
    rows, energies = read_energies(path, space)
    np.testing.assert_array_equal(energies, [0.5, 0.25])
    assert space[int(rows[0])].num_vertices == 3
    assert rows[1] == 0
    for line, complaint in (
        ("000100010,2,1", "line 2: .*upper triangular"),
        ("0100,,-1", "positive energy"),
        ("0100,1,1", "0 codes"),
        ("01,,1", "V×V bits"),
    ):
        path.write_text(f"adjacency,ops,energy_kwh\n{line}\n", encoding="utf-8")
        with pytest.raises(ValueError, match=complaint):
            read_energies(path, space)
    path.write_text("adjacency,ops\n0100,\n", encoding="utf-8")
    with pytest.raises(ValueError, match="columns must be"):
        read_energies(path, space)


def test_report_replaces_what_is_between_its_marks(tmp_path):
    path = tmp_path / "page.md"
    begin, end = report.BEGIN.format("fit"), report.END.format("fit")
    path.write_text(f"before\n{begin}\nold\n{end}\nafter\n", encoding="utf-8")
    for _ in range(2):
        report.replace_sections(path, {"fit": "new"})
        assert path.read_text(encoding="utf-8") == f"before\n{begin}\n\nnew\n\n{end}\nafter\n"
    with pytest.raises(ValueError, match="must have the marks"):
        report.replace_sections(path, {"other": "new"})


def test_training_says_what_it_lacks(tmp_path, capsys):
    pytest.importorskip("torch", reason="training needs the extra 'surrogate'")
    from ecnas.surrogate import train

    with pytest.raises(SystemExit):
        train.main(["--data", str(tmp_path)])
    assert "holds no training data" in capsys.readouterr().err


@needs_training
def test_training_data_are_those_described():
    pytest.importorskip("tensorflow", reason="reading published files needs the extra 'official'")
    figures = load_targets(DATA)
    known = np.isfinite(figures).sum(axis=0)
    assert known[target("test_108")] == 417472
    assert known[target("log_time_108")] == 29559
    assert known[target("val_4")] == 29559 + 79  # and the means of the 4V cells that the 29,559 lack
    assert known[target("log_energy_4")] == 3448
    assert known[target("other_val_4")] == 2532
    means = ecnas.load(DATA / "official" / "energy_4V9E_linscale.tfrecord")
    for name, column, epochs, raised in (
        ("test_108", "test_accuracy", 108, 0.0),
        ("val_4", "val_accuracy", 4, 0.0),
        ("val_108", "val_accuracy", 108, BEST_OF_THREE),
    ):
        np.testing.assert_allclose(figures[:91, target(name)], means.values(column, epochs) + raised)
    table = open_table(EMBEDDED_FOLDER)
    assert np.nanmean(np.abs(table.values("test_accuracy", 108) - figures[:, target("test_108")])) < 0.01
    energy = np.log(table.values("energy", 4)) - figures[:, target("log_energy_4")]
    assert np.nanmedian(np.abs(energy)) < 0.013


@pytest.mark.parametrize("name", loading.SPACES)
def test_the_front_beside_the_embedded_table_is_the_exact_one(name):
    embedded = ecnas.load(f"surrogate-{name}")
    known = loading._known_front(embedded.table)
    assert known is not None
    np.testing.assert_array_equal(known, Benchmark(embedded.table).pareto_front().rows)
    np.testing.assert_array_equal(known, embedded.pareto_front().rows)


def test_a_front_of_another_table_is_not_taken():
    table = ecnas.load("surrogate-4V").table
    assert loading._known_front(dataclasses.replace(table, digest="0" * 64)) is None


def test_saving_the_embedded_table_writes_its_fronts(tmp_path):
    tables.save(ecnas.load("surrogate-7V").table, tmp_path / "table")
    assert (tmp_path / "table" / loading.FRONTS).read_text() == (loading.EMBEDDED_FOLDER / loading.FRONTS).read_text()
