"""Charts of benchmarks and of runs, and the command that draws them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from comparing import BOTH, record_runs
from conftest import needs_official
from synthetic import synthetic

import ecnas
from ecnas import charts as benchmark_charts
from ecnas import cli, drawing, pareto, search
from ecnas.runs import charts
from ecnas.runs.comparison import collect
from ecnas.runs.looks import KNOWN, looks

mpl = pytest.importorskip("matplotlib")
mpl.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

METHODS = {"random search": search.RandomSearch(), "SEMOA": search.SEMOA(5)}


@pytest.fixture(scope="module")
def bench():
    return synthetic("4V")


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    return record_runs(tmp_path_factory.mktemp("single"))


@pytest.fixture(scope="module")
def double(tmp_path_factory):
    return record_runs(tmp_path_factory.mktemp("double"), methods=METHODS, objectives=BOTH, budget=30)


@pytest.fixture(autouse=True)
def no_figures_left():
    plt.close("all")
    yield
    assert not plt.get_fignums()  # charts leave no global state
    plt.close("all")


def steps(ax, label):
    """Coordinates of the line of that label."""
    return next(line for line in ax.lines if line.get_label() == label).get_xydata()


def legend_of(ax):
    figure = drawing.figure_of(ax)
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


# Of benchmarks ------------------------------------------------------------------------------------------------------


def test_scatter_shows_every_cell_and_the_exact_front(bench):
    ax = benchmark_charts.scatter(bench)
    front = bench.pareto_front().figures
    assert steps(ax, "exact front") == pytest.approx(front[:, ::-1])
    notes = "".join(text.get_text() for text in ax.texts)
    hidden = int(notes.split()[0]) if notes else 0
    assert len(steps(ax, "cell")) + hidden == len(bench.space)
    assert ax.get_xscale() == "log"
    assert ax.get_xlabel() == "energy of one training (kWh)"
    knee = front[pareto.knee(bench.pareto_front().scores)]
    assert any(f"knee: {knee[0]:.3f}" in text for text in legend_of(ax))


def test_large_scatter_is_a_density():
    ax = benchmark_charts.scatter(synthetic("7V"))
    assert ax.collections
    assert len(ax.figure.axes) == 2  # with a colour bar


def test_radar_spans_the_front(bench):
    ax = benchmark_charts.radar(bench)
    best = [max(abs(line.get_ydata())) for line in ax.lines]
    assert len(ax.lines) == 3
    assert max(best) == pytest.approx(1)
    custom = benchmark_charts.radar(
        bench, {"first": 0, "second": 1}, metrics=("val_accuracy", "energy", "training_time")
    )
    assert [line.get_label() for line in custom.lines] == ["first", "second"]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_nothing_of_hardware_is_clipped_or_overlaps(count):
    benchmarks = [synthetic("4V", seed) for seed in range(count)]
    figure = benchmark_charts.hardware(benchmarks)
    assert_readable(figure)
    taus = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert len(taus) == count * (count - 1) // 2


def assert_readable(figure):
    """Every text lies within the figure, and ticks of one axis do not overlap."""
    figure.draw_without_rendering()
    axes = [axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)]
    ticks = [ticks_of(axis) for axis in axes if axis.axes.axison and axis.get_visible()]
    every_tick = {id(text) for axis in axes for text in axis.findobj(mpl.text.Text)} - {id(a.label) for a in axes}
    texts = [text for text in figure.findobj(mpl.text.Text) if text.get_visible() and id(text) not in every_tick]
    whole = figure.bbox
    for text in [*texts, *(tick for labels in ticks for tick in labels)]:
        box = text.get_window_extent()
        if text.get_text():
            assert min(box.x0 - whole.x0, whole.x1 - box.x1, box.y0 - whole.y0, whole.y1 - box.y1) > -2, text
    for labels in ticks:
        boxes = [label.get_window_extent() for label in labels]
        assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2)), labels


def ticks_of(axis):
    low, high = sorted(axis.get_view_interval())
    places = zip(axis.get_majorticklocs(), axis.get_ticklabels(), strict=True)
    return [label for place, label in places if low <= place <= high and label.get_text()]


# Of runs ------------------------------------------------------------------------------------------------------------


def all_charts(single, double):
    (one,), (two,) = collect([single]), collect([double])
    return {
        "anytime": lambda ax=None: charts.anytime(one, ax=ax),
        "energy": lambda ax=None: charts.anytime(one, currency="energy", log=False, ax=ax),
        "hypervolume": lambda ax=None: charts.anytime(two, ax=ax),
        "fronts": lambda ax=None: charts.fronts(two, ax=ax),
        "attainment": lambda ax=None: charts.attainment(two, ax=ax),
        "profile": lambda ax=None: charts.profile([one], ax=ax),
        "intervals": lambda ax=None: charts.intervals(one, ax=ax),
    }


CHARTS = ["anytime", "energy", "hypervolume", "fronts", "attainment", "profile", "intervals"]


@pytest.mark.parametrize("width", [13.2, 8.0])
@pytest.mark.parametrize("name", CHARTS)
def test_charts_are_readable_in_a_column_too(name, width, single, double):
    with drawing.style(width / 2.54):
        ax = all_charts(single, double)[name](drawing.new_axes(None, width / 2.54, width / 2.8))
        assert_readable(drawing.figure_of(ax))


@pytest.mark.parametrize("size", [(5.2, 4.2), (8 / 2.54, 7 / 2.54)])
def test_axes_keep_their_room_beside_a_long_legend(size):
    with drawing.style(size[0]):
        ax = drawing.new_axes(None, *size)
        for number in range(16):
            ax.plot([0, 1], [number, 0], label=f"regularised evolution, population {number}")
        drawing.legend_below(ax)
        figure = drawing.figure_of(ax)
        assert_readable(figure)
        (legend,) = figure.legends
        box = ax.get_window_extent()
        assert box.height > 0.4 * size[1] * figure.dpi
        assert legend.get_window_extent().y1 < box.y0
        assert figure.get_figwidth() == pytest.approx(size[0])


def test_a_short_legend_leaves_the_size_as_it_is(single):
    (task,) = collect([single])
    assert drawing.figure_of(charts.anytime(task)).get_size_inches() == pytest.approx((5.2, 4.2))


def test_intervals_are_at_a_cost_that_all_methods_reached(tmp_path):
    record_runs(tmp_path / "long", budget=40, methods={"long": search.RandomSearch()})
    record_runs(tmp_path / "short", budget=15, methods={"short": search.LocalSearch(num_initial=3)})
    (task,) = collect([tmp_path])
    ax = charts.intervals(task)
    assert "15 evaluations" in ax.get_xlabel().replace("\n", " ")
    points = [line.get_xdata() for line in ax.lines]
    assert len(points) == 4  # a bar and a point for each method
    assert all(np.isfinite(values).all() for values in points)


@pytest.mark.parametrize("name", CHARTS)
def test_charts_draw_into_given_axes(name, single, double):
    figure = drawing.new_figure(8, 3)
    left, _ = figure.subplots(1, 2)
    assert all_charts(single, double)[name](left) is left


def test_curves_are_the_statistic_over_runs(single):
    (task,) = collect([single])
    ax = charts.anytime(task, statistic="mean", log=False)
    for method in task.methods:
        grid, drawn = steps(ax, method.name).T
        assert drawn == pytest.approx(method.values("test_regret", grid).mean(axis=0))
        assert grid[-1] == 20
    assert ax.get_ylabel() == "test regret (pp)"
    assert "mean" in drawing.figure_of(ax).get_suptitle()
    assert charts.anytime(task).get_yscale() == "log"


def test_zeros_lie_at_the_bottom_of_a_log_axis(tmp_path):
    (task,) = collect([record_runs(tmp_path, budget=91)])
    ax = charts.anytime(task, statistic="mean")
    for line in ax.lines:
        assert (line.get_ydata() > 0).all()
    assert min(line.get_ydata()[-1] for line in ax.lines) == pytest.approx(ax.get_ylim()[0], rel=0.5)


def test_names_are_text_in_charts(tmp_path):
    names = ["a $x", r"$\frac{", "_hidden", "<b>&"]
    (task,) = collect(
        [record_runs(tmp_path, methods={name: search.LocalSearch(3 + k) for k, name in enumerate(names)})]
    )
    for ax in (charts.anytime(task), charts.profile([task]), charts.intervals(task)):
        drawing.save(drawing.figure_of(ax), tmp_path / "chart.svg")
        text = (tmp_path / "chart.svg").read_text(encoding="utf-8")
        assert "<b>" not in text
    assert len(legend_of(charts.anytime(task))) == 4


def test_attainment_lies_behind_the_exact_front(double):
    (task,) = collect([double])
    ax = charts.attainment(task)
    exact = steps(ax, "exact front")
    for method in task.methods:
        energy, accuracy = steps(ax, method.name).T
        known = ~np.isnan(accuracy)
        assert known.any()
        order = np.argsort(energy[known])
        energy, accuracy = energy[known][order], accuracy[known][order]
        assert (np.diff(accuracy) >= 0).all()
        reachable = exact[np.searchsorted(exact[:, 0], energy * (1 + 1e-9), side="right") - 1, 1]
        assert (accuracy <= reachable + 1e-12).all()


def test_fronts_are_in_the_runs_own_objectives(tmp_path):
    objectives = ("val_accuracy", "trainable_parameters")
    (task,) = collect([record_runs(tmp_path, methods=METHODS, objectives=objectives)])
    for draw in (charts.fronts, charts.attainment):
        ax = draw(task)
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("trainable parameters", "validation accuracy")
        assert steps(ax, "exact front")[:, 0].max() > 1e6
    three = ("val_accuracy", "energy", "trainable_parameters")
    (task,) = collect([record_runs(tmp_path / "three", methods=METHODS, objectives=three)])
    with pytest.raises(ValueError, match="two objectives, these runs have 3"):
        charts.fronts(task)


# Looks --------------------------------------------------------------------------------------------------------------

_TO_LMS = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
_LACKING = {
    "protanopia": np.array([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]]),
    "deuteranopia": np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]]),
    "tritanopia": np.array([[1, 0, 0], [0, 1, 0], [-0.395913, 0.801109, 0]]),
}
"""Viénot, Brettel and Mollon 1999, https://doi.org/10.1002/(SICI)1520-6378(199908)24:4<243::AID-COL5>3.0.CO;2-3."""


def lab(colour, lacking=None):
    """A colour in CIELAB, as readers see it who lack one kind of cone."""
    rgb = np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    if lacking is not None:
        linear = np.clip(np.linalg.inv(_TO_LMS) @ (_LACKING[lacking] @ (_TO_LMS @ linear)), 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    f = np.cbrt(xyz / [0.9505, 1.0, 1.089])
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("lacking", [None, *_LACKING])
def test_known_methods_are_told_apart_by_all_readers(lacking):
    """By colour, where neither dashes nor marker do it; by two of the three where colours are near."""
    assert len(set(KNOWN.values())) == len(KNOWN)
    for (name, a), (other, b) in itertools.combinations(KNOWN.items(), 2):
        distance = np.linalg.norm(lab(a.colour, lacking) - lab(b.colour, lacking))
        ways = int(distance > 12) + int(a.dashes != b.dashes) + int(a.marker != b.marker)
        assert ways >= 1, (name, other)
        if a.colour != b.colour and a.dashes == b.dashes:
            assert distance > 12 or a.marker != b.marker, (name, other, distance)


def test_a_look_does_not_depend_on_others():
    alone = {name: looks([name])[name] for name in ["mine", "yours", "editing", *map(str, range(20))]}
    together = looks(alone)
    assert sum(alone[name] != together[name] for name in alone) <= 2  # where two would look exactly alike
    assert len(set(together.values())) == len(together)
    assert looks(["editing"])["editing"] == KNOWN["editing"]


# Drawings of cells --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [range(91), range(91, 400_000, 5000)])
def test_arrows_go_from_box_to_box_and_touch_no_other(rows):
    space = ecnas.Space("7V")
    half, height = drawing._WIDTH / 2, drawing._HEIGHT / 2
    for row in rows:
        edges = [(x, y) for x, y in np.argwhere(space[row].adjacency).tolist()]
        for (source, target), path in zip(edges, drawing.edge_paths(edges), strict=True):
            for (x, y), vertex in ((path[0], source), (path[-1], target)):
                dx, dy = abs(x), abs(y + vertex)
                on_border = (np.isclose(dx, half) and dy <= height) or (np.isclose(dy, height) and dx <= half)
                assert on_border
            for start, end in itertools.pairwise(path):
                for part in np.linspace(0.01, 0.99, 50):
                    x, y = start + part * (end - start)
                    for vertex in range(space[row].num_vertices):
                        assert not (abs(x) < half - 1e-9 and abs(y + vertex) < height - 1e-9)
        longer = [path for path in drawing.edge_paths(edges) if len(path) > 2]
        for a, b in itertools.combinations(longer, 2):  # two edges never run in one lane side by side
            if a[1, 0] == b[1, 0]:
                assert a[2, 1] >= b[1, 1] or b[2, 1] >= a[1, 1]


def test_svg_of_a_cell_is_text():
    text = drawing.graph_svg(["input", "<script>", "output"], [(0, 1), (1, 2), (0, 2)])
    assert "<script>" not in text
    assert text.count('class="head"') == 3


# Saving and the command ---------------------------------------------------------------------------------------------


def test_saving_is_reproducible(bench, tmp_path):
    for folder, suffix in itertools.product(("one", "two"), (".png", ".svg", ".pdf")):
        with drawing.style():
            figure = drawing.figure_of(benchmark_charts.scatter(bench))
            drawing.save(figure, tmp_path / folder / f"scatter{suffix}")
    for suffix in ("png", "svg", "pdf"):
        one, two = (tmp_path / folder / f"scatter.{suffix}" for folder in ("one", "two"))
        assert one.stat().st_size > 5000
        assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("kind", ["scatter", "radar", "cell"])
def test_command_draws_benchmarks(kind, tmp_path, capsys):
    assert cli.main(["plot", kind, "surrogate-4V", "--out", str(tmp_path / "chart"), "--size", "8", "8"]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "chart.png"), str(tmp_path / "chart.svg")]
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", ["regret", "profile", "intervals"])
def test_command_draws_runs(kind, single, tmp_path):
    out = tmp_path / "chart.svg"
    arguments = ["--title", "My title", "--label", "random search=chance", "--axis", "evaluations"]
    assert cli.main(["plot", kind, str(single), "--out", str(out), *arguments]) == 0
    text = out.read_text(encoding="utf-8")
    assert "<!-- My title -->" in text
    assert "<!-- chance -->" in text
    assert "<!-- random search -->" not in text


@pytest.mark.parametrize("kind", ["regret", "hypervolume", "fronts", "attainment"])
def test_command_draws_runs_of_several_objectives(kind, double, tmp_path):
    out = tmp_path / "chart.pdf"
    assert cli.main(["plot", kind, str(double), "--only", "SEMOA", "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"%PDF")


def test_methods_keep_their_colours_in_files(double, tmp_path):
    assert cli.main(["plot", "hypervolume", str(double), "--out", str(tmp_path / "a.svg")]) == 0
    assert KNOWN["SEMOA"].colour.lower() in (tmp_path / "a.svg").read_text(encoding="utf-8")


@needs_official
def test_command_compares_hardware(tmp_path):
    assert cli.main(["plot", "hardware", "--out", str(tmp_path / "hardware.png")]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scatter"], "needs one benchmark, got 0"),
        (["regret"], "needs the records of runs"),
        (["cell", "surrogate-4V", "--row", "91"], "--row must be from 0 to 90, got 91"),
        (["scatter", "surrogate-4V", "--epochs", "7"], "epochs must be one of"),
        (["scatter", "surrogate-4V", "--size", "1", "1"], "--size must be two lengths from 2 to 100 cm"),
        (["regret", "RUNS", "--label", "x"], "--label must be METHOD=TEXT, got 'x'"),
        (["regret", "RUNS", "--only", "nobody"], "method must be one of"),
        (["hypervolume", "RUNS"], "hypervolume needs several objectives"),
        (["regret", "RUNS", "MORE"], "needs runs of one task, got 2"),
    ],
)
def test_command_says_what_is_wrong(arguments, message, single, double, capsys):
    places = {"RUNS": str(single), "MORE": str(double)}
    assert cli.main(["plot", *(places.get(each, each) for each in arguments)]) == 2
    assert message in capsys.readouterr().err


def test_labels_of_a_panel_are_no_longer_than_its_axes():
    with drawing.style(2.4):
        figure = drawing.new_figure(4.8, 4.2)
        panels = list(figure.subplots(2, 2).flat)
        for ax in panels:
            drawing.set_labels(ax, "what a run has spent on evaluations so far", "hypervolume (% of the exact front's)")
        figure.draw_without_rendering()
        for ax in panels:
            assert ax.yaxis.label.get_window_extent().height <= ax.get_window_extent().height
            assert ax.xaxis.label.get_window_extent().width <= ax.get_window_extent().width


def test_a_shared_legend_names_each_line_once():
    figure = drawing.new_figure(4.8, 4.2)
    *panels, free = figure.subplots(2, 2).flat
    for ax, names in zip(panels, (["a", "b"], ["b", "c"], ["a"]), strict=True):
        for name in names:
            ax.plot([0, 1], [0, 1], label=name)
        drawing.legend_below(ax)
    drawing.share_legend(panels, free)
    assert [text.get_text() for text in free.get_legend().get_texts()] == ["a", "b", "c"]
    assert not any(ax.get_legend() for ax in panels)
