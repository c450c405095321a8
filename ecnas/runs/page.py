"""``ecnas report``: run records as one HTML page that needs neither a server nor a network.

The page has, for each benchmark: anytime curves of regret and hypervolume against evaluations, energy and time; the
distribution of the final regret over seeds; the fronts found beside the exact one; a table of what it took to reach
given regrets; the best cells; and the protocol. Plots are interactive (plotly, whose script is in the page once).
"""

from __future__ import annotations

import html
import io
import json
import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ecnas.benchmark import DEFAULT_OBJECTIVES, Benchmark
from ecnas.errors import ECNASError
from ecnas.objectives import OBJECTIVES
from ecnas.runs import analysis
from ecnas.runs.currency import CURRENCIES
from ecnas.runs.record import RunRecord, benchmark_of

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C564B", "#7F7F7F")
"""Okabe and Ito's, which colour-blind readers tell apart, and two more; dashes come after the ninth method."""

DASHES: Final = ("solid", "dash", "dot")
AXES: Final = ("evaluations", "energy", "time")
GOALS: Final = (0.5, 0.3, 0.2, 0.1, 0.05)
"""Validation regrets, in percent of accuracy, of the table of costs."""

MAX_FRONTS: Final = 3
"""Runs a method of which fronts are shown: seeds of median, best and worst hypervolume."""


class NoRecordsError(ECNASError):
    """There is no complete run record where one was looked for."""


class Method(NamedTuple):
    """The runs of one algorithm with one setting."""

    name: str
    records: list[RunRecord]


@dataclass(frozen=True)
class Task:
    """The runs that can be compared: on the same figures, for the same objectives, at the same fidelity.

    Attributes:
        benchmark: What was searched.
        objectives: What was searched for.
        epochs: The fidelity at which cells count.
        methods: Who searched.
    """

    benchmark: Benchmark
    objectives: tuple[str, ...]
    epochs: int
    methods: list[Method]
    _known: dict[tuple[str, int], NDArray[np.float64]] = field(default_factory=dict, repr=False)

    @property
    def front_objectives(self) -> tuple[str, ...]:
        """The objectives of fronts and hypervolumes: runs for accuracy alone are shown with energy too."""
        return self.objectives if len(self.objectives) > 1 else DEFAULT_OBJECTIVES

    @property
    def has_front(self) -> bool:
        """Whether the table has figures for these objectives."""
        values = [self.benchmark.values(name, self.epochs) for name in self.front_objectives]
        return not any(np.isnan(column).all() for column in values)

    def test_regret(self, record: RunRecord) -> NDArray[np.float64]:
        """Test regret after each evaluation, in percent of accuracy, of the best cell by validation accuracy."""
        return self._once("test", record, lambda: 100 * analysis.regret(record, self.benchmark, epochs=self.epochs))

    def val_regret(self, record: RunRecord) -> NDArray[np.float64]:
        """Validation regret after each evaluation, in percent of accuracy."""
        return self._once(
            "val",
            record,
            lambda: 100 * analysis.regret(record, self.benchmark, report="val_accuracy", epochs=self.epochs),
        )

    def hypervolume(self, record: RunRecord) -> NDArray[np.float64]:
        """Hypervolume after each evaluation, in percent of the exact front's."""
        return self._once(
            "volume",
            record,
            lambda: 100 * analysis.hypervolume(record, self.benchmark, self.front_objectives, self.epochs),
        )

    def _once(
        self, quantity: str, record: RunRecord, compute: Callable[[], NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        key = quantity, id(record)
        if key not in self._known:
            self._known[key] = compute()
        return self._known[key]


def collect(folders: Sequence[Path]) -> list[Task]:
    """Finds all complete records below folders (or named themselves) and sorts them into tasks and methods.

    A method is named by its folder: what is left of a record's path without ``budget-…``, ``seed-…`` and its own name.
    Runs of one method under different budgets are different methods.

    Raises:
        NoRecordsError: There are none.
        CorruptFileError: A record is damaged.
        UnknownNameError: The benchmark of a record is not there.
    """
    paths = sorted({path for folder in folders for path in _records_below(folder)})
    if not paths:
        raise NoRecordsError(f"no complete run record (*.jsonl) in {', '.join(map(str, folders))}")
    groups: dict[tuple[Any, ...], dict[str, dict[int, RunRecord]]] = defaultdict(lambda: defaultdict(dict))
    budgets: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    for path in tqdm(paths, desc="reading", unit="run", disable=None):
        record = RunRecord.load(path)
        if not len(record):
            continue
        name, budget = _method_name(path, record)
        described = record.header["task"]
        task = (described["benchmark"], described["digest"], record.objectives, record.epochs)
        budgets[task, name].add(budget)
        groups[task][f"{name}\n{budget}"][record.seed] = record
    tasks = []
    for task, methods in sorted(groups.items()):
        benchmark = benchmark_of(next(iter(next(iter(methods.values())).values())).header)
        named = []
        for key, by_seed in methods.items():
            name, budget = key.split("\n")
            shown = f"{name}, {budget}" if len(budgets[task, name]) > 1 else name
            named.append(Method(shown, [by_seed[seed] for seed in sorted(by_seed)]))
        tasks.append(Task(benchmark, task[2], task[3], named))
    return tasks


def _records_below(path: Path) -> Iterator[Path]:
    return path.rglob("*.jsonl") if path.is_dir() else iter([path] if path.exists() else [])


def _method_name(path: Path, record: RunRecord) -> tuple[str, str]:
    """What a record's sweep calls the method, and its budget."""
    limits = ", ".join(f"{limit:g} {name}" for name, limit in record.header["budget"].items() if name != "unique")
    return record.name, limits


# ---------------------------------------------------------------------------------------------------------------------
# Plots


class Style(NamedTuple):
    """How a method looks in all plots."""

    colour: str
    dash: str

    @classmethod
    def of(cls, position: int) -> Style:
        """The style of the method at a position."""
        return cls(COLOURS[position % len(COLOURS)], DASHES[position // len(COLOURS) % len(DASHES)])

    def faint(self) -> str:
        """The colour at a sixth of its strength, for intervals."""
        red, green, blue = (int(self.colour[k : k + 2], 16) for k in (1, 3, 5))
        return f"rgba({red},{green},{blue},0.16)"


def _figure(title: str, x: str, y: str, **layout: Any) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.update_layout(
        title=title,
        xaxis_title=x,
        yaxis_title=y,
        template="plotly_white",
        height=480,
        margin={"l": 70, "r": 20, "t": 60, "b": 60},
        legend={"font": {"size": 11}},
        hovermode="closest",
        **layout,
    )
    return figure


def _curve_traces(curve: analysis.Curve, name: str, style: Style, visible: bool) -> list[Any]:
    import plotly.graph_objects as go

    x = curve.grid.round(6)
    low, centre, high = (part.round(5) for part in (curve.low, curve.centre, curve.high))
    band = go.Scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([high, low[::-1]]),
        fill="toself",
        fillcolor=style.faint(),
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
        legendgroup=name,
        visible=visible,
    )
    line = go.Scatter(
        x=x,
        y=centre,
        name=name,
        mode="lines",
        line={"color": style.colour, "dash": style.dash, "width": 2, "shape": "hv"},
        legendgroup=name,
        visible=visible,
    )
    return [band, line]


def anytime(task: Task, quantity: Callable[[RunRecord], NDArray[np.float64]], title: str, label: str, log: bool) -> Any:
    """Curves of a quantity with a menu that chooses the axis of cost."""
    figure = _figure(title, CURRENCIES["evaluations"].label, label)
    for axis, method in tqdm(list(product(AXES, task.methods)), desc=title, unit="curve", disable=None):
        if any(record.costs(axis)[0] <= 0 for record in method.records):
            continue  # what it cost is not known
        style = Style.of(task.methods.index(method))
        curve = analysis.curve(method.records, quantity, axis)
        figure.add_traces(_curve_traces(curve, method.name, style, axis == AXES[0]))
        for trace in figure.data[-2:]:
            trace.meta = axis
    buttons = [
        {
            "label": CURRENCIES[axis].label,
            "method": "update",
            "args": [
                {"visible": [trace.meta == axis for trace in figure.data]},
                {"xaxis.title.text": CURRENCIES[axis].label},
            ],
        }
        for axis in AXES
    ]
    figure.update_layout(
        updatemenus=[{"buttons": buttons, "x": 1.0, "xanchor": "right", "y": 1.14, "yanchor": "top"}],
        xaxis_type="log",
    )
    if log:
        figure.update_yaxes(type="log")
    return figure


def final_regrets(task: Task) -> Any:
    """The part of the seeds whose final test regret is at most so much."""
    import plotly.graph_objects as go

    figure = _figure("Final test regret over seeds", "test regret at the end (% of accuracy)", "part of the seeds")
    for position, method in enumerate(task.methods):
        last = np.sort([task.test_regret(record)[-1] for record in method.records])
        style = Style.of(position)
        figure.add_trace(
            go.Scatter(
                x=last.round(5),
                y=(np.arange(1, len(last) + 1) / len(last)).round(5),
                name=method.name,
                mode="lines+markers" if len(last) < 12 else "lines",
                line={"color": style.colour, "dash": style.dash, "shape": "hv"},
            )
        )
    return figure


def fronts(task: Task) -> Any:
    """The fronts that a median, the best and the worst run of each method found, and the exact front."""
    import plotly.graph_objects as go

    objectives = task.front_objectives
    x, y = objectives[1], objectives[0]
    exact = task.benchmark.pareto_front(objectives, task.epochs).figures
    figure = _figure("Fronts", _label(x), _label(y))
    figure.update_xaxes(type="log" if OBJECTIVES[x].log else "linear")
    exact = exact[np.argsort(exact[:, 1])]
    figure.add_trace(
        go.Scatter(
            x=exact[:, 1],
            y=exact[:, 0],
            name="exact front of the table",
            mode="lines",
            line={"color": "#999999", "width": 5, "shape": "hv" if not OBJECTIVES[x].maximise else "vh"},
        )
    )
    for position, method in enumerate(task.methods):
        volumes = [task.hypervolume(record)[-1] for record in method.records]
        order = np.argsort(volumes)
        chosen = dict.fromkeys([int(order[len(order) // 2]), int(order[-1]), int(order[0])])
        for number, k in enumerate(list(chosen)[:MAX_FRONTS]):
            found = analysis.front(method.records[k], task.benchmark, objectives, task.epochs)
            found = found[np.argsort(found[:, 1])]
            kind = ("median", "best", "worst")[number]
            figure.add_trace(
                go.Scatter(
                    x=found[:, 1],
                    y=found[:, 0],
                    name=f"{method.name} ({kind} seed {method.records[k].seed})",
                    mode="lines+markers",
                    marker={"size": 5},
                    line={"color": Style.of(position).colour, "width": 1, "shape": "hv"},
                    visible=True if kind == "median" else "legendonly",
                )
            )
    return figure


# ---------------------------------------------------------------------------------------------------------------------
# Tables and cells


def _label(name: str) -> str:
    objective = OBJECTIVES[name]
    return f"{objective.label} ({objective.unit})" if objective.unit else objective.label


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "\n".join(line(row, "td") for row in rows)
    return f"<table><thead>{line(head, 'th')}</thead><tbody>\n{body}\n</tbody></table>"


def leaderboard(task: Task) -> str:
    """Final figures of all methods: means over seeds with bootstrapped 95 % intervals; the best regret first."""
    entries = []
    for method in task.methods:
        cells = [method.name, str(len(method.records)), f"{np.median([len(r) for r in method.records]):g}"]
        quantities = [
            [task.test_regret(record)[-1] for record in method.records],
            [task.val_regret(record)[-1] for record in method.records],
            [task.hypervolume(record)[-1] for record in method.records],
            [np.nansum(record.column("energy")) for record in method.records],
        ]
        for values in quantities:
            mean, low, high = analysis.interval([np.array(values)], statistic=lambda v: v.mean(axis=0))
            cells.append(f"{mean:.4g} [{low:.4g}, {high:.4g}]")
        entries.append((float(np.mean(quantities[0])), cells))
    head = [
        "method",
        "seeds",
        "evaluations",
        "test regret (%)",
        "validation regret (%)",
        "hypervolume (%)",
        "kWh spent",
    ]
    return _table(head, [cells for _, cells in sorted(entries, key=lambda entry: entry[0])])


def costs_to_reach(task: Task) -> str:
    """Median evaluations and kWh after which a validation regret is reached; how many of the seeds reach it."""
    rows = []
    for method in task.methods:
        cells = [method.name]
        for goal in GOALS:
            needed = np.full((len(method.records), 2), np.inf)  # a seed that never reaches it has needed too much
            for number, record in enumerate(method.records):
                reached = np.flatnonzero(task.val_regret(record) <= goal)
                if len(reached):
                    needed[number] = reached[0] + 1, record.column("cumulative_energy")[reached[0]]
            evaluations, energy = np.median(needed, axis=0)
            medians = f"{evaluations:g} / {energy:.4g} kWh" if np.isfinite(evaluations) else "–"
            cells.append(f"{medians} ({np.isfinite(needed[:, 0]).sum()} of {len(needed)})")
        rows.append(cells)
    return _table(["method", *(f"≤ {goal} %" for goal in GOALS)], rows)


def best_cells(task: Task) -> str:
    """The most accurate cell of each method, drawn, and the table's best."""
    drawn = []
    values = task.benchmark.values("val_accuracy", task.epochs)
    optimum = int(np.nanargmax(values))
    drawn.append(_drawn(task.benchmark, optimum, "best of the table", f"validation {values[optimum]:.4f}"))
    for method in task.methods:
        tops = []
        for record in method.records:
            accuracy = np.where(record.column("epochs") == task.epochs, record.column("val_accuracy"), -np.inf)
            k = int(np.argmax(accuracy))
            tops.append((float(accuracy[k]), int(record.column("row")[k]), record.seed))
        accuracy_, row, seed = max(tops)
        drawn.append(_drawn(task.benchmark, row, method.name, f"validation {accuracy_:.4f} (seed {seed})"))
    return '<div class="cells">' + "".join(drawn) + "</div>"


def _drawn(benchmark: Benchmark, row: int, title: str, text: str) -> str:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    cell = benchmark.space[row]
    figure = Figure(figsize=(2.2, 0.5 * cell.num_vertices + 0.2), layout="constrained")
    FigureCanvasSVG(figure)
    cell.draw(figure.subplots())
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    # Identifiers within a page must differ from picture to picture.
    prefix = f"{cell.hash[:8]}-{zlib.crc32(title.encode())}"
    svg = re.sub(r'(id="|xlink:href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    caption = f"<b>{html.escape(title)}</b><br>{html.escape(text)}<br><code>{cell.hash[:12]}…</code>"
    return f"<figure>{svg}<figcaption>{caption}</figcaption></figure>"


def protocol(task: Task) -> str:
    """What was run: seeds, budgets, hyper-parameters, versions."""
    rows = []
    for method in task.methods:
        header = method.records[0].header
        seeds = [record.seed for record in method.records]
        lengths = sorted({len(record) for record in method.records})
        settings = {k: v for k, v in header["method"]["settings"].items() if v is not None}
        versions = sorted({", ".join(f"{k} {v}" for k, v in r.header["versions"].items()) for r in method.records})
        rows.append(
            [
                method.name,
                header["method"]["use"],
                _ranges(seeds),
                f"{lengths[0]}" if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]}",
                json.dumps(settings, ensure_ascii=False),
                "; ".join(versions),
            ]
        )
    return _table(["method", "algorithm", "seeds", "evaluations", "settings", "versions"], rows)


def _ranges(seeds: Sequence[int]) -> str:
    """``0–99`` for whole ranges, otherwise a list."""
    ordered = sorted(seeds)
    if len(ordered) > 2 and ordered == list(range(ordered[0], ordered[-1] + 1)):
        return f"{ordered[0]}–{ordered[-1]}"
    return ", ".join(map(str, ordered))


# ---------------------------------------------------------------------------------------------------------------------
# The page

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1100px; margin: 2em auto; padding: 0 1em; }
h1, h2, h3 { line-height: 1.2; } h2 { margin-top: 2.5em; border-bottom: 1px solid #ccc; }
table { border-collapse: collapse; font-size: 13px; margin: 1em 0; } .wide { overflow-x: auto; }
th, td { padding: .3em .7em; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top; }
td { font-variant-numeric: tabular-nums; } th { background: #f4f4f4; }
.cells { display: flex; flex-wrap: wrap; gap: 1em; } figure { margin: 0; width: 190px; font-size: 12px; }
figure svg { width: 170px; height: auto; } code { font-size: 12px; } .note { color: #555; font-size: 13px; }
"""


def render(tasks: Sequence[Task], title: str = "Search leaderboard") -> str:
    """The page."""
    from plotly.offline import get_plotlyjs

    sections = [_section(task, number) for number, task in enumerate(tasks)]
    return (
        "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'>"
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style>"
        f"<script>{get_plotlyjs()}</script></head>\n<body><h1>{html.escape(title)}</h1>\n"
        + "\n".join(sections)
        + "\n</body></html>\n"
    )


def _section(task: Task, number: int) -> str:
    benchmark = task.benchmark
    parts = [
        f"<h2>{html.escape(benchmark.name)}, for {html.escape(' and '.join(_label(n) for n in task.objectives))}</h2>",
        f"<p>Space {benchmark.space.name}, {len(benchmark.space):,} cells, {task.epochs} epochs, "
        f"{benchmark.table.provenance[task.epochs]} figures, digest <code>{benchmark.digest}</code>. "
        f"{html.escape(benchmark.table.notes)}</p>",
    ]
    if task.has_front:
        parts.append("<h3>Leaderboard</h3><div class='wide'>" + leaderboard(task) + "</div>")
        parts.append(
            "<p class='note'>Means over seeds at the end of the runs, with bootstrapped 95 % intervals. Test regret: "
            "the best test accuracy of the table minus that of the cell with the best validation accuracy found. "
            "Hypervolume: part of the exact front's.</p>"
        )
    parts.append("<h3>Anytime curves</h3>")
    parts.append(
        "<p class='note'>Interquartile means over seeds with stratified bootstrap 95 % intervals. The menu chooses "
        "the axis of cost; a click on a method hides it, a double click hides all others.</p>"
    )
    plots = [_anytime_regret(task)]
    if task.has_front:
        label = "hypervolume (% of the exact front's)"
        plots.append(anytime(task, task.hypervolume, "Hypervolume", label, log=False))
    plots.append(final_regrets(task))
    if task.has_front and len(task.front_objectives) == 2:
        plots.append(fronts(task))
    for position, plot in enumerate(plots):
        parts.append(plot.to_html(full_html=False, include_plotlyjs=False, div_id=f"plot-{number}-{position}"))
    parts.append(
        "<h3>What it takes to reach a validation regret</h3><div class='wide'>" + costs_to_reach(task) + "</div>"
    )
    parts.append("<p class='note'>Medians over all seeds, – if fewer than half reach it; in brackets how many do.</p>")
    parts.append("<h3>Best cells</h3>" + best_cells(task))
    parts.append("<h3>Protocol</h3><div class='wide'>" + protocol(task) + "</div>")
    return "\n".join(parts)


def _anytime_regret(task: Task) -> Any:
    figure = anytime(
        task,
        task.test_regret,
        "Test regret of the cell with the best validation accuracy so far",
        "test regret (% of accuracy)",
        log=True,
    )
    # Regrets of 0 have no place on a log axis; it ends where the table's accuracies can no longer be told apart.
    values = task.benchmark.values("test_accuracy", task.epochs)
    top = np.unique(values[~np.isnan(values)])[-2:]
    floor = 100 * float(top[-1] - top[0]) if len(top) == 2 else 1e-3
    for trace in figure.data:
        trace.y = np.maximum(np.asarray(trace.y, dtype=np.float64), floor)
    return figure
