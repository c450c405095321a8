"""Leaderboards and their forms."""

from __future__ import annotations

import csv
import io
import re

import numpy as np
import pytest
from comparing import BOTH, record_runs

from ecnas import cli, search
from ecnas.runs import tables
from ecnas.runs.comparison import collect
from ecnas.runs.tables import Number, Table, leaderboards

stats = pytest.importorskip("scipy.stats")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return record_runs(tmp_path_factory.mktemp("runs"), seeds=5)


def column(table, heading):
    position = list(table.head).index(heading)
    return {row[1]: row[position] for row in table.rows}


def test_a_leaderboard_has_the_numbers(folder):
    (table,) = leaderboards([folder], [10, 20])
    (task,) = collect([folder])
    assert "interquartile mean over runs [95% bootstrap interval]" in table.title
    assert task.key.expected[:12] in table.title
    for point in (10, 20):
        shown = column(table, f"test regret (pp) at {point} evaluations")
        for method in task.methods:
            values = method.values("test_regret", np.array([float(point)]))[:, 0]
            assert shown[method.name].centre == pytest.approx(stats.trim_mean(values, 0.25))
    mean = column(leaderboards([folder], statistic="mean")[0], "test regret (pp) at 20 evaluations")
    for method in task.methods:
        assert mean[method.name].centre == pytest.approx(method.final("test_regret").mean())


def test_methods_are_sorted_and_ranked(folder):
    (table,) = leaderboards([folder])
    centres = [number.centre for number in column(table, "test regret (pp) at 20 evaluations").values()]
    assert centres == sorted(centres)
    assert table.rows[0][0] == 1
    assert list(table.head[:3]) == ["rank", "method", "runs"]
    assert "test regret of the best seen (pp) at 20 evaluations" not in table.head  # nobody recommends otherwise


def test_several_objectives_are_ranked_by_hypervolume(tmp_path):
    record_runs(tmp_path, methods={"random": search.RandomSearch(), "SEMOA": search.SEMOA(5)}, objectives=BOTH)
    (table,) = leaderboards([tmp_path])
    volumes = [n.centre for n in column(table, "hypervolume (% of the exact front's) at 20 evaluations").values()]
    assert volumes == sorted(volumes, reverse=True)
    assert not any("accuracy" in heading or "test" in heading for heading in table.head[2:])


def test_a_reward_can_be_what_ranks(tmp_path):
    record_runs(tmp_path, seeds=4, objectives=BOTH)
    (task,) = collect([tmp_path])
    table = tables.leaderboard(task, [10, 20], quantities=("reward_regret",))
    assert list(table.head[3:]) == ["reward regret at 10 evaluations", "reward regret at 20 evaluations"]
    regrets = [number.centre for number in column(table, "reward regret at 20 evaluations").values()]
    assert regrets == sorted(regrets)


def test_currencies(folder):
    (table,) = leaderboards([folder], [0.5], "energy")
    assert "test regret (pp) at 0.5 kWh" in table.head


def test_all_tasks_together(tmp_path):
    record_runs(tmp_path / "4", "surrogate-4V")
    record_runs(tmp_path / "5", "surrogate-5V", budget=30)
    four, five, together = leaderboards([tmp_path])
    assert [four.title[:12], five.title[:12]] == ["surrogate-4V", "surrogate-5V"]
    assert together.title.startswith("All 2 tasks: interquartile mean")
    assert {row[1]: row[2] for row in together.rows} == {"random search": 6, "local search": 6}
    assert all(0 < row[3].centre <= 1 for row in together.rows)


def test_improvements_and_costs(folder):
    (task,) = collect([folder])
    table = tables.improvements(task)
    assert table.rows[0][2].centre + table.rows[1][1].centre == pytest.approx(1)
    costs = tables.costs_to_reach(task, "evaluations")
    position = list(costs.head).index("≤ 0.5 (median evaluations)")
    for row in costs.rows:
        method = next(m for m in task.methods if m.name == row[0])
        needed = [t.cost_to_reach("test_regret", 0.5) for t in method.traces]
        part = np.isfinite(needed).mean()
        assert row[position + 1].centre == pytest.approx(100 * part)
        assert row[position].text == (f"{np.median(needed):.0f}" if part > 0.5 else "–")


TABLE = Table(
    "A_b & c",
    ["method", "regret (%)"],
    [["a|b\nc_1", Number(0.5, 0.25, 1.0, bold=True)], ["d", Number(float("nan"))]],
    ["50% of it."],
)


def test_markdown():
    assert TABLE.markdown().splitlines() == [
        "A_b & c:",
        "",
        "| method | regret (%) |",
        "| --- | ---: |",
        "| a\\|b c_1 | **0.500** [0.250, 1.000] |",
        "| d | – |",
        "",
        "50% of it.",
    ]


def test_csv():
    assert list(csv.reader(io.StringIO(TABLE.csv()))) == [
        ["method", "regret (%)", "regret (%): low", "regret (%): high"],
        ["a|b\nc_1", "0.5", "0.25", "1"],
        ["d", "", "", ""],
    ]


def test_latex():
    text = TABLE.latex()
    assert r"\caption{A\_b \& c. 50\% of it.}" in text
    assert r"a|b c\_1 & \textbf{0.500} {\scriptsize [0.250, 1.000]} \\" in text
    assert r"\begin{tabular}{lr}" in text
    for rule in ("toprule", "midrule", "bottomrule"):
        assert text.count(f"\\{rule}") == 1
    assert not re.search(r"(?<!\\)[%&#_](?![^\n]*\\\\)", text.split(r"\caption")[1].splitlines()[0])


def test_html_is_text_whatever_is_in_it():
    table = Table("<script>", ["<b>"], [["<img src=x onerror='alert(1)'>"]], ["</p>"])
    assert not re.search(r"<(script|b|img)\b", table.html())


def test_the_command_prints_tables(tmp_path, capsys):
    (tmp_path / "few.toml").write_text(
        f'out = "{tmp_path}/out"\nbenchmarks = ["surrogate-4V"]\nbudgets = [6]\nseeds = 2\n'
        'objectives = ["val_accuracy"]\n[[algorithm]]\nuse = "ecnas.search:RandomSearch"\n'
    )
    sweep = str(tmp_path / "few.toml")
    assert cli.main(["sweep", sweep, "--table"]) == 0
    assert "no run of" in capsys.readouterr().err
    assert cli.main(["sweep", sweep, "--quiet", "--statistic", "mean"]) == 0
    assert ": mean over runs" in capsys.readouterr().out
    assert cli.main(["sweep", sweep, "--table", "--format", "latex"]) == 0
    assert r"\toprule" in capsys.readouterr().out
    damaged = next((tmp_path / "out").rglob("*.jsonl"))
    damaged.write_text("{}")
    assert cli.main(["sweep", sweep, "--table", "--format", "csv"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("rank,method,runs,")
    assert str(damaged) in shown.err
