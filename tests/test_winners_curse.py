"""The figure of the winner's curse."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from conftest import ROOT

import ecnas
from ecnas import runs, search
from ecnas.runs.comparison import collect

pytest.importorskip("tyro", reason="the controllers need ecnas-gym[agents]")
pytest.importorskip("matplotlib", reason="the figure needs ecnas-gym[plots]")
sys.path.append(str(ROOT / "benchmarks"))

import winners_curse


def test_seen_and_expected_are_those_of_the_best_training_so_far(tmp_path):
    record = runs.run(
        search.RandomSearch(),
        "surrogate-4V~3",
        budget=15,
        objectives=["val_accuracy"],
        repeat="random",
        path=tmp_path / "record.jsonl",
    )
    (comparison,) = collect([tmp_path])
    expected_of = ecnas.load("surrogate-4V").values("val_accuracy")
    grid = np.arange(1.0, 16.0)
    seen, expected = winners_curse.seen_and_expected(comparison.methods[0], grid, 100 * expected_of.max())
    showed = record.column("val_accuracy")
    np.testing.assert_allclose(seen[0], 100 * np.maximum.accumulate(showed))
    chosen = [record.column("row").astype(int)[showed[:k].argmax()] for k in range(1, 16)]
    np.testing.assert_allclose(expected[0], 100 * expected_of[chosen])


def test_the_published_runs_show_the_curse(tmp_path, capsys):
    winners_curse.main(winners_curse.Args(figure=tmp_path / "curse.png"))
    assert (tmp_path / "curse.png").stat().st_size > 10_000
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == list(winners_curse.SHOWN)
    gaps = [float(line.split(": ")[1].split("%")[0]) - float(line.split(", ")[-2].split("%")[0]) for line in lines]
    assert gaps[2] > 0.5 > 0.2 > gaps[3] > 0  # editing picks by luck, the Gaussian process hardly
