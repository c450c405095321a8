"""Baselines: what is written is what is read, and stands beside runs of the same task alone."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
from comparing import BOTH, record_runs

import ecnas
from ecnas import cli, search
from ecnas.runs import baseline
from ecnas.runs.baseline import BaselineError, add_baseline, known_baselines, load_baseline
from ecnas.runs.comparison import collect

pytest.importorskip("scipy")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    record_runs(root / "a")
    record_runs(root / "b", methods={"SEMOA": search.SEMOA(5)}, objectives=BOTH, budget=30)
    return root


@pytest.fixture(scope="module")
def stored(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("baseline") / "trial.npz"
    baseline.save(collect([folder]), path, "trial", "three seeds for a test")
    return path


def test_what_is_written_is_read(folder, stored):
    read = load_baseline(stored)
    assert (read.name, read.made) == ("trial", "three seeds for a test")
    for task in collect([folder]):
        for own, method in zip(task.methods, read.tasks[task.key], strict=True):
            assert method.origin == "trial"
            assert method.header["method"] == own.header["method"]
            for mine, theirs in zip(own.traces, method.traces, strict=True):
                assert (mine.seed, mine.world, mine.recommended) == (theirs.seed, theirs.world, theirs.recommended)
                assert mine.evaluations == theirs.evaluations
                assert mine.front.tolist() == theirs.front.tolist()
                for name, values in mine.values.items():
                    assert theirs.values[name] == pytest.approx(values, rel=1e-6, nan_ok=True)
                for currency, costs in mine.costs.items():
                    assert theirs.costs[currency] == pytest.approx(costs, rel=1e-6)


def test_long_runs_are_thinned(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(baseline, "MAX_POINTS", 5)
    tasks = collect([folder])
    baseline.save(tasks, tmp_path / "thin.npz", "thin", "")
    for task in tasks:
        for own, method in zip(task.methods, load_baseline(tmp_path / "thin.npz").tasks[task.key], strict=True):
            for mine, theirs in zip(own.traces, method.traces, strict=True):
                assert len(theirs.costs["energy"]) <= 5
                assert theirs.values[task.main][-1] == pytest.approx(mine.values[task.main][-1])


def test_methods_stand_beside_ones_own(stored, tmp_path):
    record_runs(tmp_path, methods={"mine": search.LocalSearch(5), "random search": search.RandomSearch()}, budget=20)
    (task,) = add_baseline(collect([tmp_path]), stored)
    assert [method.name for method in task.methods] == [
        "local search",
        "mine",
        "random search",
        "random search (trial)",
    ]


def test_other_tasks_are_refused(stored, tmp_path, capsys):
    record_runs(tmp_path / "five", "surrogate-5V")
    with pytest.raises(BaselineError, match="space 5V, the baseline's 4V") as error:
        add_baseline(collect([tmp_path / "five"]), stored)
    assert "trial" in str(error.value)
    record_runs(tmp_path / "noisy", "surrogate-4V~1", repeat=2)
    with pytest.raises(BaselineError, match="noise True, the baseline's False"):
        add_baseline(collect([tmp_path / "noisy"]), stored)
    record_runs(tmp_path / "four")
    both = add_baseline(collect([tmp_path / "noisy", tmp_path / "four"]), stored)
    assert sorted(len(task.methods) for task in both) == [2, 4]
    assert "without baseline 'trial'" in capsys.readouterr().err


def test_what_is_no_baseline_is_refused(stored, tmp_path):
    with pytest.raises(BaselineError, match="baseline must be one of"):
        load_baseline("rl-nsa")
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(stored.read_bytes()[:-100])
    with pytest.raises(ecnas.CorruptFileError, match="no baseline, or a damaged one"):
        load_baseline(damaged)
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, header=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ecnas.CorruptFileError):
        load_baseline(pickled)
    other = tmp_path / "other.npz"
    np.savez(other, header=np.frombuffer(json.dumps({"format": "x", "version": 1}).encode(), dtype=np.uint8))
    with pytest.raises(ecnas.CorruptFileError, match="must be ecnas-baseline version 1"):
        load_baseline(other)


@pytest.mark.parametrize("name", known_baselines())
def test_what_ships(name):
    path = baseline.FOLDER / f"{name}.npz"
    assert path.stat().st_size <= 3e6
    read = load_baseline(name)
    assert (read.name, bool(read.made)) == (name, True)
    assert all(zipfile.ZipFile(path).getinfo(entry).file_size for entry in zipfile.ZipFile(path).namelist())
    digests = {ecnas.load(f"surrogate-{space}").digest for space in ("4V", "5V", "7V")}
    assert any(key.expected in digests for key in read.tasks)


def test_the_commands(folder, stored, tmp_path, capsys):
    page, copy = tmp_path / "page.html", tmp_path / "copy.npz"
    assert cli.main(["report", str(folder / "a"), "--publish", str(copy), "--made", "again"]) == 0
    assert load_baseline(copy).made == "again"
    record_runs(tmp_path / "mine", methods={"mine": search.LocalSearch(4)})
    assert cli.main(["report", str(tmp_path / "mine"), "--baseline", str(copy), "-o", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert "mine" in text
    assert "random search" in text
    assert cli.main(["report", str(tmp_path / "mine"), "--baseline", "nothing", "-o", str(page)]) == 2
    assert "baseline must be one of" in capsys.readouterr().err
