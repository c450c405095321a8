"""The tables of docs/multi-objective.md."""

from __future__ import annotations

import sys

import pytest
from conftest import ROOT

import ecnas
from ecnas import search
from ecnas.runs.run import run_task
from ecnas.task import Task

pytest.importorskip("tyro", reason="the script needs ecnas-gym[agents]")
sys.path.append(str(ROOT / "benchmarks"))

import peers_front

from ecnas.runs.comparison import collect


def test_methods_with_a_smaller_budget_are_left_out(tmp_path):
    for name, budget in (("short", 4), ("long", 8)):
        for seed in range(2):
            task = Task.of(ecnas.load("surrogate-4V", noise_seed=seed), ("val_accuracy", "energy"), repeat="random")
            run_task(search.RandomSearch(), task, budget, seed, name=name, path=tmp_path / name / f"{seed}.jsonl")
    (task,) = collect([tmp_path])
    both, one = (peers_front.table(task, budget) for budget in (4, 8))
    assert {row[1] for row in both.rows} == {"short", "long"}
    assert [row[1] for row in one.rows] == ["long"]
    assert "at 8 evaluations" in one.head[3]
    # The same random cells: after four evaluations the longer runs are level with the shorter ones.
    assert both.rows[0][3] == both.rows[1][3]
