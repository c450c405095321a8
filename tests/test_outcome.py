"""What came of one run."""

from __future__ import annotations

import csv
import re

import numpy as np
import pytest
from test_analysis import hand_made

import ecnas
from ecnas import runs, search
from ecnas.runs import outcome
from ecnas.runs.outcome import Outcome

pytest.importorskip("matplotlib")


def line_of(text, title):
    return [
        cell.strip()
        for cell in next(line for line in text.splitlines() if line.startswith(f"| {title}")).split("|")[1:-1]
    ]


def test_everything_lies_beside_the_record(tmp_path, capsys):
    record = runs.run(search.SEMOA(5), "surrogate-4V", 30, 1, path=tmp_path / "record.jsonl")
    outcome.report(record, tmp_path, show=True)
    names = {"report.md", "front.csv", "cell.txt", "cell.png", "front.png", "learning.png", "record.jsonl", "cell.json"}
    assert {path.name for path in tmp_path.iterdir()} == names
    shown = capsys.readouterr().out
    assert (tmp_path / "report.md").read_text(encoding="utf-8") in shown
    assert str(tmp_path) in shown
    benchmark = ecnas.load("surrogate-4V")
    rows = list(csv.DictReader((tmp_path / "front.csv").open(encoding="utf-8")))
    exact = {int(row["row"]) for row in rows if row["on_exact_front"] == "1"}
    assert exact == set(benchmark.pareto_front().rows.tolist())
    for row in rows:
        assert float(row["energy"]) == benchmark.values("energy")[int(row["row"])]
        assert row["hash"] == benchmark.space[int(row["row"])].hash


def test_the_recommended_cell_against_the_optimum(capsys):
    world, expected = ecnas.load("surrogate-4V~3"), ecnas.load("surrogate-4V")
    record = hand_made(world, range(30, 60), repeat=1)
    outcome.report(record, None, show=True)
    text = capsys.readouterr().out
    row = int(record.recommended_rows()[-1])
    best = int(np.nanargmax(expected.values("val_accuracy")))
    seen, own, optimum, short = map(float, line_of(text, "validation accuracy")[1:])
    assert seen == pytest.approx(record.column("val_accuracy").max(), abs=5e-5)
    assert own == pytest.approx(expected.values("val_accuracy")[row], abs=5e-5)
    assert optimum == pytest.approx(expected.values("val_accuracy")[best], abs=5e-5)
    assert short == pytest.approx(optimum - own, abs=1.1e-4)
    assert line_of(text, "hash")[2:4] == [expected.space[row].hash, expected.space[best].hash]


def test_a_cell_that_was_never_trained_may_be_recommended():
    bench = ecnas.load("surrogate-4V")
    record = hand_made(bench, [5, 40, 12], recommended={1: 7})
    found = Outcome(record, bench)
    assert (found.row, found.seen) == (7, None)
    assert line_of(found.as_markdown(), "best seen at evaluation")[1] == "never"


def test_the_part_of_the_front():
    bench = ecnas.load("surrogate-4V")
    whole = Outcome(runs.run(search.RandomSearch(), bench, 91, 0), bench)
    assert whole.hypervolume == pytest.approx(1)
    assert whole.front.tolist() == whole.exact.tolist()
    single = Outcome(runs.run(search.RandomSearch(), bench, 91, 0, objectives=("val_accuracy",)), bench)
    assert single.front_objectives == ("val_accuracy", "energy")
    assert single.hypervolume == pytest.approx(1)


def test_own_scalarisations_have_no_optimum(tmp_path):
    class Mine:
        def __call__(self, rewards, figures):
            return rewards[..., 0]

    bench = ecnas.load("surrogate-4V")
    record = runs.run(search.RandomSearch(), bench, 10, 0, scalarisation=Mine())
    found = Outcome(record, bench)
    assert found.optimum is None
    assert re.search(r"^\| reward .*\| – \| – \|$", found.as_markdown(), flags=re.M)
    found.draw(tmp_path)


def test_nothing_to_report(capsys):
    bench = ecnas.load("surrogate-4V")
    outcome.report(hand_made(bench, []), None, show=True)
    assert "no cell at 108 epochs" in capsys.readouterr().out
    outcome.report(hand_made(bench, [3], epochs=[4]), None, show=False)
    assert not capsys.readouterr().out
