"""Worlds: the same figures everywhere, and trainings that scatter as real ones do."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from conftest import needs_official

import ecnas
from ecnas import noise
from ecnas.noise import IMAGES, REPEATS, split_mix
from ecnas.table import COLUMNS, open_table

EXPECTED = ecnas.load("surrogate-7V")
SEEN = [name for name in COLUMNS if name != "train_accuracy"]


@pytest.fixture(scope="module")
def world():
    return ecnas.load("surrogate-7V", noise_seed=7)


def trainings(benchmark, name, epochs=108):
    """All trainings of all cells, shape (cells, 3)."""
    return np.stack([benchmark.table.values(name, epochs, repeat) for repeat in range(REPEATS)], axis=1)


def test_split_mix():
    assert split_mix(1234567, 5).tolist() == [  # as published with the reference implementation
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert split_mix(1234567, 2, skipped=3).tolist() == [4593380528125082431, 16408922859458223821]


def test_cells_are_drawn_the_same_however_many_at_once(monkeypatch):
    table = ecnas.load("surrogate-5V").table
    whole = noise.noise_model().draw(table, "a world", 108)
    monkeypatch.setattr(noise, "PART", 1000)
    parts = noise.noise_model().draw(table, "a world", 108)
    assert all(np.array_equal(whole[name].values, parts[name].values) for name in whole)


def test_names():
    world = ecnas.load("surrogate-5V", noise_seed=np.int64(3))
    assert world is ecnas.load("surrogate-5V~3")
    assert (world.name, world.table.repeats, world.epochs) == ("surrogate-5V~3", 3, (4, 12, 36, 108))
    assert world.query_row(100).provenance == "surrogate"
    assert len({ecnas.load(name).digest for name in ("surrogate-5V", "surrogate-5V~3", "surrogate-5V~4")}) == 3


@pytest.mark.parametrize(
    "name", ["surrogate-5V~", "surrogate-5V~-1", "surrogate-5V~1.5", "surrogate-5V~07", "surrogate-5V~x"]
)
def test_a_name_that_is_of_no_world(name):
    with pytest.raises(ValueError, match=repr(name)):
        ecnas.load(name)


@pytest.mark.parametrize(
    ("name", "seed"),
    [
        ("surrogate-5V", -1),
        ("surrogate-5V", 1.0),
        ("surrogate-5V", "1"),
        ("surrogate-5V~1", 1),
        ("energy_4V9E_linscale", 1),
    ],
)
def test_a_seed_that_is_none(name, seed):
    with pytest.raises(ValueError, match="noise_seed"):
        ecnas.load(name, noise_seed=seed)


def test_the_same_trainings_in_another_process_and_order():
    rows = [90, 3, 57]
    world = ecnas.load("surrogate-4V~11")
    here = [repr(world.query_row(row, epochs, repeat=2)) for epochs in (36, 108) for row in rows]
    code = (
        "import ecnas; world = ecnas.load('surrogate-4V~11')\n"
        f"for epochs in (108, 36):\n    for row in {rows[::-1]}: print(repr(world.query_row(row, epochs, repeat=2)))"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert sorted(here) == sorted(there)


def test_copies_are_the_same_world(world):
    assert copy.deepcopy(world) is world
    for benchmark in (world, ecnas.load("surrogate-4V~7")):
        copied = pickle.loads(pickle.dumps(benchmark))
        assert (copied.digest, copied.query_row(80)) == (benchmark.digest, benchmark.query_row(80))
        assert copied.expected.query_row(80) == benchmark.expected.query_row(80)


def test_a_cell_has_the_same_trainings_in_every_space(world):
    small = ecnas.load("surrogate-4V~7")
    for name in SEEN:
        np.testing.assert_array_equal(trainings(small, name, 12), trainings(world, name, 12)[:91])


@pytest.mark.parametrize("repeat", [None, 0, 2, "mean"])
def test_batch_equals_single_queries(world, repeat):
    rows = np.random.default_rng(0).integers(len(world.space), size=200)
    batch = world.query_rows(rows, 36, repeat=repeat)
    for name in SEEN:
        single = [getattr(world.query_row(row, 36, repeat=repeat), name) for row in rows.tolist()]
        np.testing.assert_array_equal(getattr(batch, name), single)


def test_mean_is_of_the_three_trainings(world):
    for name in SEEN:
        np.testing.assert_allclose(world.values(name, 12), trainings(world, name, 12).mean(axis=1), rtol=1e-12)


def test_worlds_repeats_and_epochs_differ(world):
    other = ecnas.load("surrogate-7V~8")
    for name in ("val_accuracy", "energy"):
        figures = [*trainings(world, name).T, *trainings(other, name).T]
        centre = EXPECTED.values(name)
        luck = np.array([(figure - centre)[200_000:] for figure in figures])
        good = (np.abs(luck) < 0.02).all(axis=0)
        correlations = np.corrcoef(luck[:, good])
        assert np.abs(correlations[:3, 3:]).max() < 0.01  # of two worlds
        assert correlations[:3, :3][np.triu_indices(3, 1)].max() < 0.3  # of one, but for what the cell has in common


def test_runs_are_judged_by_what_is_expected(world):
    assert world.expected is EXPECTED
    assert EXPECTED.expected is EXPECTED
    assert ecnas.load("surrogate-4V~7").expected is ecnas.load("surrogate-4V")


@needs_official
def test_measured_repeats_are_judged_by_their_means():
    measured = ecnas.load("energy_4V9E_4epochs")
    expected = measured.expected
    assert expected is measured.expected is expected.expected
    assert (expected.table.repeats, expected.space) == (1, measured.space)
    assert expected.digest != measured.digest
    for row in (0, 50):
        assert expected.query_row(row, 36) == measured.query_row(row, 36)


def test_a_world_can_be_written(tmp_path):
    world = ecnas.load("surrogate-4V~7")
    world.table.save(tmp_path / "world")
    written = ecnas.Benchmark(open_table(tmp_path / "world"))
    assert written.digest == world.digest
    for epochs in world.epochs:
        assert written.query_row(42, epochs, repeat=1) == world.query_row(42, epochs, repeat=1)


def test_accuracies_are_counts(world):
    counts = trainings(world, "test_accuracy") * IMAGES
    np.testing.assert_allclose(counts, counts.round(), atol=1e-6)
    assert ((counts >= 0) & (counts <= IMAGES)).all()


def test_trainings_scatter_around_what_is_expected(world):
    for name in ("val_accuracy", "test_accuracy"):
        seen, centre = trainings(world, name), EXPECTED.values(name)
        seen[seen < 0.5] = np.nan
        for low, high, least, most in ((0.80, 0.88, 0.004, 0.008), (0.93, 0.95, 0.0022, 0.0036)):
            cells = (centre >= low) & (centre < high)
            residuals = (seen - centre[:, None])[cells]
            residuals = residuals[np.isfinite(residuals)]
            quartiles = np.quantile(residuals, [0.25, 0.75])
            assert least < (quartiles[1] - quartiles[0]) / 1.349 < most
            assert abs(residuals.mean()) < 0.0003
            below, above = np.quantile(residuals, [0.01, 0.99])
            assert below < -1.2 * above  # skewed: there is more bad luck than good


@pytest.mark.parametrize(
    ("epochs", "least", "most"), [(4, 0.04, 0.08), (12, 0.03, 0.08), (36, 0.005, 0.02), (108, 0.0025, 0.006)]
)
def test_scatter_between_trainings_by_epochs(world, epochs, least, most):
    deviation = trainings(world, "val_accuracy", epochs).std(axis=1, ddof=1)
    middle = EXPECTED.values("val_accuracy", epochs)
    middle = np.abs(middle - np.median(middle)) < 0.1
    assert least < np.median(deviation[middle]) / 0.8326 < most  # the median deviation of three normal variates


def test_failures(world):
    expected = EXPECTED.values("test_accuracy")
    failed = trainings(world, "test_accuracy") < 0.3
    assert (failed == (trainings(world, "val_accuracy") < 0.3)).mean() > 0.9995  # a few end there without failing
    decile = np.argsort(np.argsort(expected, kind="stable")) * 10 // len(expected)
    rates = [failed[decile == number].mean() for number in range(10)]
    assert 0.03 < rates[0] < 0.065
    assert 0.001 < failed[(expected > 0.88) & (expected < 0.90)].mean() < 0.012
    assert not failed[EXPECTED.values("val_accuracy") > 0.91].any()
    assert not failed[: len(ecnas.Space("5V"))].any()
    assert 0.1 < failed.all(axis=1).sum() * 3 / failed.sum() < 0.3  # cells that always fail


def test_validation_and_test_accuracy_share_luck(world):
    val, test = (trainings(world, name) for name in ("val_accuracy", "test_accuracy"))
    fine = ((val > 0.5) & (test > 0.5)).all(axis=1)
    level = EXPECTED.values("val_accuracy")
    for low, high, least, most in ((0.88, 0.92, 0.65, 0.9), (0.93, 0.95, 0.3, 0.6)):
        cells = fine & (level > low) & (level < high)
        luck = [(figure - figure.mean(axis=1, keepdims=True))[cells].ravel() for figure in (val, test)]
        assert least < np.corrcoef(*luck)[0, 1] < most


def test_best_of_three_is_ahead_of_the_mean(world):
    val = trainings(world, "val_accuracy")
    val = val[(val > 0.5).all(axis=1)]
    assert (val.max(axis=1) - val.mean(axis=1)).mean() == pytest.approx(0.0034, abs=0.0005)


def test_costs_scatter(world):
    logs = [np.log(trainings(world, name) / EXPECTED.values(name)[:, None]) for name in ("training_time", "energy")]
    assert [log.std() for log in logs] == pytest.approx([0.01, 0.032], rel=0.05)
    assert np.corrcoef(logs[0].ravel(), logs[1].ravel())[0, 1] > 0.5
    np.testing.assert_allclose(world.values("co2") / world.values("energy"), 120, rtol=1e-6)


def test_rewards_of_all_worlds_are_on_one_scale():
    expected = ecnas.load("surrogate-5V")
    for objectives in (("val_accuracy",), ("val_accuracy", "energy")):
        for seed in (0, 1):
            world = ecnas.load("surrogate-5V", noise_seed=seed)
            assert world.normalisation(objectives, 36) == expected.normalisation(objectives, 36)
            assert world.scalarisation("cap", ("val_accuracy", "energy")) == expected.scalarisation("cap")
