"""The report page: what is in it, and that it works in a browser without a network."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from browser import CHROMIUM, FAINT, open_browser, open_page
from comparing import ACCURACY, BOTH, record_runs, rewritten
from conftest import synthetic_table

import ecnas
from ecnas import cli, runs, search
from ecnas.runs import page as pages
from ecnas.runs.comparison import collect
from ecnas.runs.looks import KNOWN, looks
from ecnas.runs.page import render

pytest.importorskip("scipy", reason="reports need ecnas-gym[report]")
pytest.importorskip("moocore", reason="reports need ecnas-gym[report]")

EVIL = '"><script>window.evil = 1</script>'
METHODS = {"random search": search.RandomSearch(), f"local {EVIL}": search.LocalSearch(num_initial=3)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    record_runs(root / "a", methods=METHODS)
    record_runs(root / "b", methods={"SEMOA": search.SEMOA(5)}, objectives=BOTH, budget=30)
    return root


@pytest.fixture(scope="module")
def page(folder):
    return render(collect([folder]), "a < b & c")


def data_of(page):
    text = re.search(r"<script type='application/json' id='data'>(.*?)</script>", page, flags=re.S).group(1)
    return json.loads(text)["tasks"]


def test_the_page_needs_nothing_from_outside(page):
    own = page.replace(pages.PLOTLY.read_text(encoding="utf-8"), "")
    assert not re.search(r"<(script|img|iframe|link)[^>]+(src|href)\s*=", own)
    assert "@import" not in own
    assert "url(" not in own
    assert "<meta name='viewport'" in own
    assert len(page) < 6e6


def test_what_comes_from_files_is_text(page):
    assert "<h1>a &lt; b &amp; c</h1>" in page
    assert "<script>window.evil" not in page
    assert EVIL in {method["name"].removeprefix("local ") for method in data_of(page)[0]["methods"]}
    script = (pages.HERE / "page.js").read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script)


def test_a_digest_may_hold_markup(tmp_path):
    benchmark = ecnas.Benchmark(synthetic_table("4V", digest=EVIL))
    comparison = collect([record_runs(tmp_path)])[0]
    comparison.judge.benchmark = benchmark
    assert EVIL not in render([comparison])


def test_curves_are_those_of_the_runs(folder, page):
    task, data = collect([folder])[0], data_of(page)[0]
    assert [method["name"] for method in data["methods"]] == [method.name for method in task.methods]
    assert data["quantities"][0]["heading"] == "test regret (pp)"
    assert [currency["name"] for currency in data["currencies"]] == [
        "evaluations",
        "energy",
        "time",
    ]  # all at 108 epochs
    for method in task.methods:
        curve = data["curves"]["test_regret|evaluations"][method.name]
        values = method.values("test_regret", np.array(curve["x"]))
        assert curve["y"] == pytest.approx(np.sort(values, axis=0).mean(axis=0), abs=1e-3)  # of three runs all count
        assert all(low <= y <= high for low, y, high in zip(curve["low"], curve["y"], curve["high"], strict=True))


def test_methods_look_as_in_charts(page):
    data = data_of(page)
    for task in data:
        for method in task["methods"]:
            look = looks([method["name"]])[method["name"]]
            assert (method["colour"], method["marker"]) == (look.colour, look.marker.plotly)
    assert data[1]["methods"][0]["colour"] == KNOWN["SEMOA"].colour


def test_tables_of_the_page(folder, page):
    for text in (
        "interquartile mean over runs [95% bootstrap interval]",
        "test regret (pp) at 20 evaluations",
        "hypervolume (% of the exact front&#x27;s) at 30 evaluations",
        "Probability of improvement in test regret",
        "median over runs",
        "num_initial",
        ecnas.load("surrogate-4V").digest,
        "0–2",
    ):
        assert text in page
    assert "mean over runs [95%" in render(collect([folder]), statistic="mean")
    heads = re.findall(r"<th[^>]*>([^<]+)</th>", page)
    assert all(
        re.search(r"\(.+\)| at |over|^(rank|method|runs|source|class|budget|seeds|settings|versions)", h) for h in heads
    )


def test_recommended_cells_are_drawn(folder, page):
    pictures = re.findall(r"<figure>.*?</figure>", page, flags=re.S)
    tasks = collect([folder])
    assert len(pictures) == sum(len(task.methods) for task in tasks)
    for picture, method in zip(pictures, [m for task in tasks for m in task.methods], strict=True):
        hashes = {tasks[0].judge.benchmark.space[trace.recommended].hash[:12] for trace in method.traces}
        assert re.search(r"<code>(\w+)…", picture).group(1) in hashes
        assert picture.count("<rect") >= 2
    assert not re.search(r'\sid="', "".join(pictures))


def test_fronts_are_drawn_for_two_objectives(page):
    single, double = data_of(page)
    assert single["fronts"] is None
    assert (double["fronts"]["x"], double["fronts"]["logX"]) == ("training energy (kWh)", True)
    assert "SEMOA" in double["fronts"]["curves"]


def test_metrics_that_the_table_lacks_are_left_out(tmp_path):
    table = synthetic_table("4V")
    columns = {name: column for name, column in table.columns.items() if name not in ("energy", "co2", "test_accuracy")}
    synthetic_table("4V", columns=columns).save(tmp_path / "table")
    benchmark = ecnas.load(tmp_path / "table")
    for seed in range(2):
        path = tmp_path / f"seed-{seed}" / "record.jsonl"
        runs.run(search.RandomSearch(), benchmark, 10, seed, objectives=ACCURACY, path=path)
    (task,) = data_of(render(collect([tmp_path])))
    assert [quantity["name"] for quantity in task["quantities"]] == ["val_regret", "optimism"]
    assert "energy" not in [currency["name"] for currency in task["currencies"]]


def test_damaged_records_do_not_stop_the_command(folder, tmp_path, capsys):
    shutil.copytree(folder, tmp_path / "runs")
    damaged, moved, *_ = sorted((tmp_path / "runs").rglob("record.jsonl"))
    damaged.write_text("{}")
    rewritten(moved, lambda header: header["task"].update(benchmark="gone", path="/nowhere", digest="0" * 64))
    out = tmp_path / "folder" / "page.html"
    assert cli.main(["report", str(tmp_path / "runs"), "-o", str(out), "--title", "Mine"]) == 0
    shown = capsys.readouterr()
    assert "7 runs" in shown.out
    assert str(damaged) in shown.err
    assert "'gone'" in shown.err
    assert "<h1>Mine</h1>" in out.read_text(encoding="utf-8")
    assert cli.main(["report", str(tmp_path / "nothing")]) == 2
    assert "no file or folder" in capsys.readouterr().err


CHECKS = """
<pre id="told"></pre><script>
const told = {};
const frame = document.getElementById("page");
frame.addEventListener("load", () => {
  const page = frame.contentDocument;
  const data = JSON.parse(page.getElementById("data").textContent).tasks;
  told.ready = page.documentElement.dataset.ready;
  told.evil = String(frame.contentWindow.evil);
  told.plots = page.querySelectorAll(".plot .main-svg").length;
  told.charts = page.querySelectorAll("[data-chart]").length;
  told.overflow = page.documentElement.scrollWidth - page.documentElement.clientWidth;
  const shown = () => page.querySelectorAll("#task-0 [data-chart=anytime] .scatterlayer .trace").length;
  told.before = shown();
  page.querySelector("#task-0 .legend button").click();
  told.hidden = shown();
  const axis = page.querySelector("#task-0 [data-chart=anytime] select[aria-label=axis]") ||
    page.querySelectorAll("#task-0 [data-chart=anytime] select")[1];
  axis.value = "energy"; axis.dispatchEvent(new Event("change"));
  told.after = shown();
  told.title = page.querySelector("#task-0 [data-chart=anytime] .xtitle").textContent;
  const table = page.querySelector("#task-0 table"), head = table.tHead.rows[0].cells[3];
  const values = () => [...table.tBodies[0].rows].map((row) => parseFloat(row.cells[3].dataset.value));
  head.querySelector("button").click(); told.up = values();
  head.querySelector("button").click(); told.down = values();
  told.sort = head.getAttribute("aria-sort");
  document.getElementById("told").textContent = JSON.stringify(told);
});
</script>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
@pytest.mark.parametrize("width", [420, 1400])
def test_in_a_browser(page, tmp_path, width):
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    frame = f"<!DOCTYPE html><iframe id='page' src='page.html' style='width:{width}px;height:2000px;border:0'></iframe>"
    (tmp_path / "outer.html").write_text(frame + CHECKS, encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--allow-file-access-from-files", "--window-size=1500,2200",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path / 'profile'}",
             "--virtual-time-budget=20000", "--dump-dom"]  # fmt: skip
    dom = subprocess.run(
        [CHROMIUM, *flags, (tmp_path / "outer.html").as_uri()], capture_output=True, text=True, timeout=120, check=True
    ).stdout
    told = json.loads(re.search(r'<pre id="told">(.*?)</pre>', dom, flags=re.S).group(1).replace("&gt;", ">"))
    assert told["ready"] == "true"
    assert told["evil"] == "undefined"
    assert told["charts"] == 5
    assert told["plots"] >= 5
    assert told["overflow"] <= 0
    assert (told["before"], told["hidden"], told["after"]) == (4, 2, 2)  # a line and a band each; the axis keeps it
    assert told["title"] == "energy of all trainings (kWh)"
    assert told["up"] == sorted(told["up"])
    assert told["down"] == sorted(told["down"], reverse=True)
    assert told["sort"] == "descending"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(page, tmp_path, scheme):
    path = tmp_path / "page.html"
    path.write_text(page, encoding="utf-8")
    with open_browser() as browser, open_page(browser, path, color_scheme=scheme) as shown:
        assert shown.evaluate(FAINT) == []


def test_an_extra_that_is_not_installed_is_named(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert cli.main(["plot", "regret", str(folder / "a"), "--out", str(tmp_path / "chart")]) == 2
    assert "this needs matplotlib: pip install 'ecnas-gym[plots]'" in capsys.readouterr().err
    assert cli.main(["report", str(folder), "-o", str(tmp_path / "page.html")]) == 0  # pages need none
