"""Editing with values of cells that were learned in other worlds."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

import ecnas
from ecnas import Space, runs
from ecnas.files import read_toml
from ecnas.runs import analysis
from ecnas.runs.run import begun, run_task
from ecnas.task import Task

pytest.importorskip("tyro", reason="the controllers need ecnas-gym[agents]")

from ecnas_gym.agents.gp_edit import Critic, GaussianProcessEditing
from ecnas_gym.agents.transfer import Pretraining, TransferredEditing, Values, pretrain

SMALL = {"num_plans": 100, "num_fresh": 50}


@pytest.fixture(scope="module")
def values(tmp_path_factory):
    """Values from searches of all 4V cells."""
    path = tmp_path_factory.mktemp("values") / "4V.npz"
    pretrain(Pretraining(path, ("surrogate-4V",), searches=6, updates=800, networks=3))
    return path


def search(method, world, budget=40, seed=0, **changes):
    return runs.run(method, world, budget, seed, **({"objectives": ["val_accuracy"], "repeat": "random"} | changes))


def rows(record):
    return record.column("row").astype(int).tolist()


def test_smaller_spaces_are_the_first_cells_of_larger_ones():
    for name in ("4V", "5V"):
        space = Space(name)
        assert [space[row].hash for row in range(0, len(space), 50)] == [
            Space("7V")[row].hash for row in range(0, len(space), 50)
        ]


def test_values_of_small_cells_order_larger_ones(values):
    learned = Values.load(values)
    assert learned.objectives == ("val_accuracy",)
    assert learned.worlds == tuple(f"surrogate-4V~{seed}" for seed in range(1000, 1006))
    benchmark = ecnas.load("surrogate-5V")
    larger = np.arange(91, len(benchmark.space))
    ranks = [
        np.argsort(np.argsort(each[larger]))
        for each in (learned(benchmark.space)[:, 0], benchmark.values("val_accuracy"))
    ]
    assert np.corrcoef(*ranks)[0, 1] > 0.5


def test_a_fixed_policy_knows_nothing_of_the_world(values):
    fixed = TransferredEditing(pretrained=values, fine_tune=False, **SMALL)
    first, second = (search(fixed, f"surrogate-5V~{world}") for world in (1, 2))
    assert rows(first) == rows(second)
    assert (first.column("val_accuracy") != second.column("val_accuracy")).any()
    tuned = TransferredEditing(pretrained=values, **SMALL)
    assert rows(search(tuned, "surrogate-5V~1")) != rows(search(tuned, "surrogate-5V~2"))


def test_without_values_it_is_editing_with_a_gaussian_process():
    first, second = (
        search(method(**SMALL), "surrogate-5V~1", 60) for method in (TransferredEditing, GaussianProcessEditing)
    )
    assert rows(first) == rows(second)
    assert first.recommended_rows().tolist() == second.recommended_rows().tolist()


def test_many_runs_at_once_are_the_same_runs(values):
    for method in (
        TransferredEditing(pretrained=values, **SMALL),
        TransferredEditing(pretrained=values, fine_tune=False, **SMALL),
    ):
        worlds = [Task.of(ecnas.load(f"surrogate-5V~{seed}"), ("val_accuracy",), repeat="random") for seed in (1, 2)]
        with contextlib.ExitStack() as stack:
            starts = [stack.enter_context(begun(method, task, 25, seed)) for seed, task in enumerate(worlds)]
            method.run_many(*zip(*starts, strict=True))
        for seed, (task, start) in enumerate(zip(worlds, starts, strict=True)):
            assert rows(start.evaluate.record) == rows(run_task(method, task, 25, seed))


def test_transfer_pays_when_there_are_few_evaluations(values):
    """Mean test regret after 11 to 20 of 2,532 cells, in worlds that the values are not of."""
    regret = {}
    for name, method in (
        ("scratch", TransferredEditing(**SMALL)),
        ("tuned", TransferredEditing(pretrained=values, **SMALL)),
        ("fixed", TransferredEditing(pretrained=values, fine_tune=False, **SMALL)),
    ):
        found = []
        for seed in range(2000, 2012):
            record = search(method, f"surrogate-5V~{seed}", 20, seed)
            found.append(analysis.measure(record, ecnas.load(f"surrogate-5V~{seed}"))["test_regret"][10:])
        regret[name] = np.mean(found)
    assert max(regret["tuned"], regret["fixed"]) < 0.95 * regret["scratch"]


def test_values_that_mislead_are_found_out():
    task = Task.of(ecnas.load("surrogate-5V"), ("val_accuracy",))
    truth = task.benchmark.values("val_accuracy")
    scale = (truth - truth.mean()) / truth.std()
    rng = np.random.default_rng(0)
    for prior, low, high in ((scale, 0.7, 1.5), (rng.standard_normal(len(truth)), -0.3, 0.4), (-scale, -1.5, -0.5)):
        critic = Critic(task, 0.0, True, prior[:, None])
        rows = rng.choice(len(truth), size=60, replace=False)
        for number in range(1, 61):
            critic.add(rows[:number], truth[rows[:number], None])
        assert low < critic.slope[0] < high


def test_two_objectives(tmp_path):
    path = tmp_path / "both.npz"
    pretrain(Pretraining(path, ("surrogate-4V",), 3, objectives=("val_accuracy", "energy"), updates=800, networks=2))
    learned = Values.load(path)(Space("5V"))
    energy = ecnas.load("surrogate-5V").values("energy")
    assert np.corrcoef(learned[:, 1], -np.log(energy))[0, 1] > 0.7  # more is better
    record = search(
        TransferredEditing(pretrained=path, **SMALL), "surrogate-5V~3", objectives=("val_accuracy", "energy")
    )
    assert len(record) == 40
    assert len(search(TransferredEditing(pretrained=path, **SMALL), "surrogate-5V~3", 15)) == 15  # one of the two
    with pytest.raises(ValueError, match="holds values of val_accuracy, energy, not of training_time"):
        search(TransferredEditing(pretrained=path), "surrogate-5V~3", objectives=("val_accuracy", "training_time"))


def test_files_that_hold_no_values(values, tmp_path):
    with pytest.raises(FileNotFoundError):
        search(TransferredEditing(pretrained=tmp_path / "none.npz"), "surrogate-4V~0")
    with np.load(values) as file:
        arrays = dict(file)
    wrong = {
        "text": b"no archive",
        "empty": b"",
        "cut": values.read_bytes()[:500],
        "lacking": {"weights": arrays["weights"]},
        "shape": arrays | {"weights": arrays["weights"][:, 1:]},
        "type": arrays | {"weights": arrays["weights"].astype(np.float64)},
        "outputs": arrays | {"objectives": np.array(["val_accuracy", "energy"])},
        "pickle": arrays | {"worlds": np.array([{}], dtype=object)},
    }
    for name, content in wrong.items():
        path = tmp_path / f"{name}.npz"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            np.savez(path, **content)
        with pytest.raises(ValueError, match=f"{name}.npz holds no values"):
            search(TransferredEditing(pretrained=path), "surrogate-4V~0")


def test_a_run_is_of_its_values(values, tmp_path):
    path = tmp_path / "values.npz"
    path.write_bytes(values.read_bytes())
    method = TransferredEditing(pretrained=path, fine_tune=False, **SMALL)
    first = search(method, "surrogate-5V~1", 20)
    other = Values.load(path)
    Values(other.objectives, -other.weights, other.worlds).save(path)
    second = search(method, "surrogate-5V~1", 20)
    assert first.header["method"] != second.header["method"]
    assert rows(first) != rows(second)


def test_nothing_to_act_on():
    with pytest.raises(ValueError, match="fine_tune must be true without pretrained"):
        TransferredEditing(fine_tune=False)


def test_the_sweeps_use_the_values_that_the_study_learns():
    sys.path.append(str(ROOT / "benchmarks"))
    import transfer_study

    for section in transfer_study.SECTIONS:
        algorithms = read_toml(ROOT / f"benchmarks/transfer_{section}.toml")["algorithm"]
        files = {entry["pretrained"] for entry in algorithms if "pretrained" in entry}
        assert files
        assert files <= {f"runs/transfer/{name}.npz" for name in transfer_study.SOURCES}
    for settings in transfer_study.SOURCES.values():
        assert Pretraining(ROOT / "none.npz", **settings).searches == 24


def program(*words, folder):
    command = [sys.executable, str(ROOT / "agents/transfer.py"), *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_as_a_program(tmp_path):
    learned = program(
        *("pretrain", "--benchmarks", "surrogate-4V", "--searches", 2, "--updates", 50, "--out", "v.npz"),
        folder=tmp_path,
    )
    assert learned.returncode == 0, learned.stderr
    assert learned.stdout == "v.npz: values of val_accuracy, from 2 worlds\n"
    run = ("--space", "4V", "--objectives", "val_accuracy", "--budget", 15, "--no-report", "--no-progress")
    found = program("--pretrained", "v.npz", "--no-fine-tune", *run, folder=tmp_path)
    assert found.returncode == 0, found.stderr
    for words, message in (
        (("--pretrained", "none.npz", *run), "none.npz"),
        (("--no-fine-tune", *run), "fine_tune must be true"),
        (("pretrain", "--benchmarks", "nothing", "--out", "w.npz"), "nothing"),
    ):
        failed = program(*words, folder=tmp_path)
        assert failed.returncode == 2
        assert message in failed.stderr
        assert "Traceback" not in failed.stderr
