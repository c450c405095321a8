from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from conftest import needs_official
from synthetic import synthetic

import ecnas
from ecnas import cli, pareto, search
from ecnas.runs import analysis, charts

mpl.use("Agg")
from matplotlib import pyplot as plt


@pytest.fixture(scope="module")
def bench():
    return synthetic("4V")


@pytest.fixture(scope="module")
def runs(bench):
    searchers = (search.RandomSearch(), search.SEMOA())
    return {s.name: [search.run(s, bench, 30, seed) for seed in range(3)] for s in searchers}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def steps(ax, label):
    """Coordinates of the line of that label."""
    return next(line for line in ax.lines if line.get_label() == label).get_xydata()


def test_scatter_shows_every_cell_and_the_exact_front(bench):
    ax = charts.scatter(bench)
    front = bench.pareto_front().figures
    assert steps(ax, "exact front") == pytest.approx(front[:, ::-1])
    notes = "".join(text.get_text() for text in ax.texts)
    hidden = int(notes.split()[0]) if notes else 0
    assert len(steps(ax, "cell")) + hidden == len(bench.space)
    assert ax.get_xscale() == "log"
    assert ax.get_xlabel() == "energy of one training (kWh)"
    labels = " ".join(text.get_text() for text in ax.get_legend().get_texts())
    knee = front[pareto.knee(bench.pareto_front().scores)]
    assert f"knee: {knee[0]:.3f}" in labels


def test_large_scatter_is_a_density():
    ax = charts.scatter(synthetic("7V"))
    assert ax.collections
    assert len(ax.figure.axes) == 2  # with a colour bar


def test_charts_draw_into_given_axes(bench, runs):
    figure, axes = plt.subplots(1, 4)
    curve = analysis.curve(runs["SEMOA"], lambda run: analysis.hypervolume(run, bench))
    drawn = [
        charts.scatter(bench, ax=axes[0]),
        charts.fronts(runs["SEMOA"], bench, ax=axes[1]),
        charts.attainment(runs, bench, ax=axes[2]),
        charts.anytime({"SEMOA": curve}, "hypervolume", ax=axes[3]),
    ]
    assert all(ax is given for ax, given in zip(drawn, axes, strict=True))
    assert plt.get_fignums() == [figure.number]


def test_attainment_lines_lie_between_best_and_worst(bench, runs):
    ax = charts.attainment(runs, bench)
    exact = steps(ax, "exact front")
    for name in runs:
        energy, accuracy = steps(ax, name).T
        known = ~np.isnan(accuracy)
        assert (np.diff(accuracy[known]) >= 0).all()
        reachable = exact[np.searchsorted(exact[:, 0], energy[known], side="right") - 1, 1]
        assert (accuracy[known] <= reachable + 1e-12).all()


def test_radar_spans_the_front(bench):
    ax = charts.radar(bench)
    best = [max(abs(line.get_ydata())) for line in ax.lines]
    assert len(ax.lines) == 3
    assert max(best) == pytest.approx(1)
    custom = charts.radar(bench, {"first": 0, "second": 1}, figures=("val_accuracy", "energy", "training_time"))
    assert [line.get_label() for line in custom.lines] == ["first", "second"]


def test_curves_of_methods_differ_in_more_than_colour(bench, runs):
    curve = analysis.curve(runs["SEMOA"], lambda run: analysis.regret(run, bench))
    ax = charts.anytime({str(n): curve for n in range(8)}, "regret", log=True)
    looks = {(line.get_color(), str(line.get_linestyle())) for line in ax.lines}
    assert len(looks) == 8
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_kendall():
    scipy_stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 9, 50), rng.integers(0, 9, 50)  # with ties
    assert charts.kendall(first, second) == pytest.approx(scipy_stats.kendalltau(first, second).statistic)
    assert charts.kendall(first, first) == pytest.approx(1)
    assert charts.kendall(np.arange(9), -np.arange(9)) == pytest.approx(-1)


def test_saving_is_reproducible(bench, tmp_path):
    for folder in ("one", "two"):
        with charts.style():
            charts.save(charts.scatter(bench).figure, tmp_path / folder / "scatter")
    for suffix in ("png", "svg"):
        one, two = (tmp_path / folder / f"scatter.{suffix}" for folder in ("one", "two"))
        assert one.stat().st_size > 5000
        assert one.read_bytes() == two.read_bytes()


# Command line -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stored(bench, tmp_path_factory):
    """A table on disk and records of runs on it."""
    folder = tmp_path_factory.mktemp("plot")
    bench.table.save(folder / "table")
    loaded = ecnas.load(folder / "table")
    for searcher in (search.RandomSearch(), search.SEMOA()):
        for seed in range(3):
            search.run(searcher, loaded, 25, seed, path=folder / f"{type(searcher).__name__}-{seed}.jsonl")
    return folder


@pytest.mark.parametrize("kind", ["scatter", "radar", "cell"])
def test_command_draws_benchmarks(kind, stored, tmp_path, capsys):
    assert cli.main(["plot", kind, str(stored / "table"), "--out", str(tmp_path / "chart")]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "chart.png"), str(tmp_path / "chart.svg")]
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", ["fronts", "attainment", "regret", "hypervolume"])
def test_command_draws_runs(kind, stored, bench, tmp_path, monkeypatch):
    monkeypatch.setattr("ecnas.cli.plot.ecnas.load", lambda name: bench)
    records = sorted(map(str, stored.glob("SEMOA*.jsonl" if kind == "fronts" else "*.jsonl")))
    assert cli.main(["plot", kind, *records, "--out", str(tmp_path / "chart.svg")]) == 0
    assert "<svg" in (tmp_path / "chart.svg").read_text(encoding="utf-8")


@needs_official
def test_command_compares_hardware(tmp_path):
    assert cli.main(["plot", "hardware", "--out", str(tmp_path / "hardware.png")]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scatter"], "needs one benchmark, got 0"),
        (["regret"], "records of one or more runs are needed"),
        (["cell", "surrogate-4V", "--row", "91"], "--row must be from 0 to 90, got 91"),
        (["scatter", "surrogate-4V", "--epochs", "7"], "epochs must be one of"),
    ],
)
def test_command_says_what_is_wrong(arguments, message, capsys):
    assert cli.main(["plot", *arguments]) == 2
    assert message in capsys.readouterr().err
