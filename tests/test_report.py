from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pytest
from conftest import synthetic_table

import ecnas
from ecnas import cli, search
from ecnas.runs import analysis
from ecnas.runs import page as report_module
from ecnas.runs.page import GOALS, collect, costs_to_reach, leaderboard, render
from ecnas.runs.record import RunRecord

pytest.importorskip("plotly", reason="reports need ecnas-gym[report]")
pytest.importorskip("matplotlib", reason="reports need ecnas-gym[report]")
pytest.importorskip("moocore", reason="reports need ecnas-gym[report]")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
METHODS = {"random <search>": search.RandomSearch(), "local search": search.LocalSearch(num_initial=3)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three seeds of two methods, in the layout of a sweep."""
    root = tmp_path_factory.mktemp("runs")
    for name, searcher in METHODS.items():
        folder = root / "surrogate-4V" / name.replace("<", "(").replace(">", ")") / "budget-20"
        for seed in range(3):
            path = folder / f"seed-{seed}" / "record.jsonl"
            search.run(
                searcher, ecnas.load("surrogate-4V"), 20, seed, objectives=("val_accuracy",), name=name, path=path
            )
    return root


@pytest.fixture(scope="module")
def page(runs):
    return render(collect([runs]))


def test_methods_are_folders_and_seeds_are_runs(runs):
    (task,) = collect([runs])
    assert task.benchmark is ecnas.load("surrogate-4V")
    assert [(method.name, [r.seed for r in method.records]) for method in task.methods] == [
        ("local search", [0, 1, 2]),
        ("random <search>", [0, 1, 2]),
    ]


def test_records_outside_of_a_sweep_are_named_by_their_algorithm(runs, tmp_path):
    path = next(runs.rglob("record.jsonl"))
    copy = tmp_path / "one.jsonl"
    shutil.copy(path, copy)
    assert collect([copy])[0].methods[0].name == RunRecord.load(path).name


def test_incomplete_runs_do_not_count(runs, tmp_path):
    copy = tmp_path / "runs"
    shutil.copytree(runs, copy)
    for path in copy.rglob("seed-1/record.jsonl"):
        path.rename(path.with_name("record.jsonl.partial"))
    assert all(len(method.records) == 2 for method in collect([copy])[0].methods)


def test_leaderboard_has_the_figures(runs):
    (task,) = collect([runs])
    regrets = [
        100 * analysis.regret(RunRecord.load(path), task.benchmark)[-1]
        for path in (runs / "surrogate-4V" / "local search").rglob("*.jsonl")
    ]
    row = next(line for line in leaderboard(task).splitlines() if "local search" in line)
    assert re.findall(r"<td>([\d.e+-]+) \[", row)[0] == f"{np.mean(regrets):.4g}"


def test_costs_to_reach_are_medians_over_all_seeds(runs):
    (task,) = collect([runs])
    rows = re.findall(r"<tr>(<td>.*?)</tr>", costs_to_reach(task))
    assert len(rows) == len(task.methods)
    seen = []
    for method, row in zip(task.methods, rows, strict=True):
        for goal, cell in zip(GOALS, re.findall(r"<td>(.*?)</td>", row)[1:], strict=True):
            needed = []
            for record in method.records:
                regret = 100 * (task.benchmark.values("val_accuracy").max() - record.column("val_accuracy"))
                first = int(np.argmax(regret <= goal))
                reached = bool((regret <= goal).any())
                needed.append((first + 1, record.column("energy")[: first + 1].sum()) if reached else (np.inf, np.inf))
            evaluations, energy = sorted(needed)[1][0], sorted(energy for _, energy in needed)[1]
            medians = f"{evaluations:g} / {energy:.4g} kWh" if np.isfinite(evaluations) else "–"
            assert cell == f"{medians} ({sum(np.isfinite(n) for n, _ in needed)} of 3)"
            seen.append(medians == "–")
    assert any(seen)
    assert not all(seen)


def test_page_needs_nothing_from_outside(page):
    # Plotly's own script mentions addresses (of maps, of its licence); the page must load none.
    without_script = re.sub(r"<script>.*?</script>", "", page, count=1, flags=re.S)
    assert not re.search(r"<(script|img|iframe|link)[^>]+(src|href)\s*=\s*[\"']?(https?:)?//", page)
    assert "@import" not in without_script
    assert page.count("<script>") + page.count("<script ") >= 4  # plotly once, and one a plot
    assert page.count("plotly.js v") <= 1


def test_page_states_the_protocol(page):
    assert "0–2" in page
    assert "num_initial" in page
    assert ecnas.load("surrogate-4V").digest in page
    assert "random &lt;search&gt;" in page


def test_titles_are_text(runs):
    assert "<h1>a &lt; b &amp; c</h1>" in render(collect([runs]), "a < b & c")


def test_pictures_keep_their_colours_and_have_ids_of_their_own(page):
    pictures = re.findall(r"<figure>.*?</figure>", page, flags=re.S)
    assert len(pictures) == 3
    identifiers = re.findall(r'<svg.*?id="([^"]+)"', page, flags=re.S)
    assert len(identifiers) == len(set(identifiers))
    for picture in pictures:
        assert re.search(r"fill: #dddddd", picture)  # input and output
        used = set(re.findall(r'(?:xlink:href="#|url\(#)([^")]+)', picture))
        assert used <= set(re.findall(r'id="([^"]+)"', picture))


def test_vector_runs_have_their_own_section(runs, tmp_path):
    path = tmp_path / "surrogate-4V" / "SEMOA" / "seed-0" / "record.jsonl"
    search.run(search.SEMOA(), ecnas.load("surrogate-4V"), 20, 0, path=path)
    tasks = collect([runs, tmp_path])
    assert [task.objectives for task in tasks] == [("val_accuracy",), ("val_accuracy", "energy")]


def test_figures_that_the_table_lacks_are_left_out(tmp_path):
    table = synthetic_table("4V")
    columns = {name: column for name, column in table.columns.items() if name not in ("energy", "co2")}
    synthetic_table("4V", columns=columns).save(tmp_path / "lab")
    benchmark = ecnas.load(tmp_path / "lab")
    path = tmp_path / "seed-0.jsonl"
    search.run(
        search.RandomSearch(),
        benchmark,
        10,
        0,
        objectives=("val_accuracy",),
        path=path,
        scalarisation=benchmark.scalarisation("linear", ("val_accuracy",)),
    )
    page = render(collect([path]))
    assert "Hypervolume" not in page.split("</script>", 1)[1]


def test_command(runs, tmp_path, capsys):
    out = tmp_path / "folder" / "page.html"
    assert cli.main(["report", str(runs), "-o", str(out), "--title", "Mine"]) == 0
    assert "6 runs" in capsys.readouterr().out
    assert "<h1>Mine</h1>" in out.read_text(encoding="utf-8")
    assert cli.main(["report", str(tmp_path / "nothing")]) == cli.USER_ERROR
    assert "no complete run record" in capsys.readouterr().err


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
def test_chromium_draws_all_plots_offline(page, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(page, encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path / 'profile'}",
             "--virtual-time-budget=10000", "--dump-dom"]  # fmt: skip
    dom = subprocess.run(
        [CHROMIUM, *flags, path.as_uri()], capture_output=True, text=True, timeout=120, check=True
    ).stdout
    for number in range(4):
        plot = dom.split(f'id="plot-0-{number}"', 1)[1][:200_000]
        assert "main-svg" in plot
    assert dom.count('class="main-svg"') >= 4


def test_styles_differ():
    styles = {report_module.Style.of(k) for k in range(27)}
    assert len(styles) == 27
