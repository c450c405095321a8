"""Sorting runs into tasks and methods."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from comparing import ACCURACY, BOTH, record_runs, rewritten

import ecnas
from ecnas import runs, search
from ecnas.runs import RunRecord, analysis
from ecnas.runs.comparison import NoRecordsError, collect


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return record_runs(tmp_path_factory.mktemp("runs"))


def test_methods_go_by_the_names_of_their_sweep(folder):
    (task,) = collect([folder])
    assert task.judge.benchmark is ecnas.load("surrogate-4V")
    assert task.judge.quantities[0] == task.main == "test_regret"
    assert [(m.name, [t.seed for t in m.traces]) for m in task.methods] == [
        ("local search", [0, 1, 2]),
        ("random search", [0, 1, 2]),
    ]
    for method in task.methods:
        number = ["random search", "local search"].index(method.name)
        for seed, trace in enumerate(method.traces):
            record = RunRecord.load(folder / f"{number}" / "20" / f"seed-{seed}" / "record.jsonl")
            regret = analysis.measure(record, ecnas.load("surrogate-4V"))["test_regret"]
            assert trace.values["test_regret"][-1] == regret[-1]
            assert method.values("test_regret", np.arange(1.0, 21))[seed] == pytest.approx(regret)
            assert np.isnan(method.values("test_regret", np.array([21.0]))).all()  # beyond the budget


def test_many_processes_give_the_same(folder, monkeypatch):
    monkeypatch.setattr("ecnas.runs.comparison._PART", 2)
    one, two = collect([folder]), collect([folder], processes=2)
    assert [m.name for m in one[0].methods] == [m.name for m in two[0].methods]
    for a, b in zip(one[0].methods, two[0].methods, strict=True):
        assert (a.final("test_regret") == b.final("test_regret")).all()


def test_settings_and_budgets_are_never_merged(folder, tmp_path):
    variants = {20: search.RegularisedEvolution(20, 5), 100: search.RegularisedEvolution(100, 5)}
    for size, method in variants.items():
        record_runs(tmp_path / str(size), methods={"evolution": method})
    record_runs(tmp_path / "more", methods={"evolution": variants[20]}, budget=30)
    (task,) = collect([tmp_path])
    assert [method.name for method in task.methods] == [
        "evolution (population_size=100, 20 evaluations)",
        "evolution (population_size=20, 20 evaluations)",
        "evolution (population_size=20, 30 evaluations)",
    ]
    assert {method.plain for method in task.methods} == {"evolution"}


def test_worlds_of_one_benchmark_are_one_task(tmp_path):
    for seed in range(3):
        path = tmp_path / f"seed-{seed}" / "record.jsonl"
        runs.run(search.RandomSearch(), f"surrogate-4V~{seed}", 10, 0, objectives=ACCURACY, repeat="random", path=path)
    record_runs(tmp_path / "quiet")
    quiet, noisy = collect([tmp_path])
    assert (quiet.name, quiet.key.noisy) == ("surrogate-4V", False)
    assert (noisy.name, noisy.key.noisy, len(noisy.methods[0].traces)) == ("surrogate-4V, 3 worlds", True, 3)
    assert noisy.judge.benchmark.digest == ecnas.load("surrogate-4V").digest


def test_tasks_differ_by_objectives_and_scalarisation(tmp_path):
    record_runs(tmp_path / "a")
    record_runs(tmp_path / "b", objectives=BOTH)
    record_runs(tmp_path / "c", objectives=BOTH, scalarisation="chebyshev")
    assert [task.key.objectives for task in collect([tmp_path])] == [ACCURACY, BOTH, BOTH]


def test_a_copy_of_a_run_counts_once(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    (task,) = collect([folder, tmp_path])
    assert [len(method.traces) for method in task.methods] == [3, 3]


def test_damaged_and_foreign_records_are_named_and_left_out(folder, tmp_path, capsys):
    shutil.copytree(folder, tmp_path / "runs")
    damaged, foreign, other, *rest = sorted((tmp_path / "runs").rglob("record.jsonl"))
    for file, change in zip(
        rest,
        (
            lambda header: header["task"].pop("path"),
            lambda header: header["task"].update(objectives=3),
            lambda header: header["budget"].update(evaluations="many"),
        ),
        strict=True,
    ):
        shutil.copytree(file.parent, wrong := tmp_path / f"wrong-{file.parent.name}")
        rewritten(wrong / "record.jsonl", change)
    damaged.write_bytes(damaged.read_bytes()[:-30])
    rewritten(foreign, lambda header: header["task"].update(digest="0" * 64))
    rewritten(other, lambda header: header["task"].update(objectives=["beauty"]))
    other.rename(other.with_name("other.jsonl"))
    (task,) = collect([tmp_path])
    assert [(method.name, len(method.traces)) for method in task.methods] == [("local search", 3)]
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 6
    assert all(line.startswith("left out: ") for line in told)
    assert any("budget must have limits above 0, got evaluations 'many'" in line for line in told)
    assert any(str(damaged) in line for line in told)
    assert any("has other metrics" in line for line in told)
    assert any("other.jsonl" in line and "beauty" in line for line in told)


def test_runs_without_an_evaluation_are_counted(tmp_path):
    record_runs(tmp_path)
    with RunRecord({**RunRecord.load(next((tmp_path / "0").rglob("*.jsonl"))).header, "seed": 9}, tmp_path / "e.jsonl"):
        pass
    (task,) = collect([tmp_path])
    assert {method.name: method.empty for method in task.methods} == {"random search": 1, "local search": 0}


def test_nothing_to_read(tmp_path):
    with pytest.raises(NoRecordsError, match="no complete run record"):
        collect([tmp_path])
    with pytest.raises(NoRecordsError, match="no file or folder"):
        collect([tmp_path / "nothing"])


def test_checkpoints_and_costs(folder, tmp_path):
    (task,) = collect([folder])
    assert task.checkpoints("evaluations") == [20]
    assert set(task.currencies) == {"evaluations", "epochs", "energy", "time"}
    least = min(t.costs["energy"][-1] for m in task.methods for t in m.traces)
    assert task.checkpoints("energy") == [least]
    scores = task.scores(task.methods[0], 20)
    values = ecnas.load("surrogate-4V").values("test_accuracy")
    regrets = task.methods[0].final("test_regret")
    assert scores == pytest.approx(1 - regrets / (100 * (values.max() - np.median(values))))
