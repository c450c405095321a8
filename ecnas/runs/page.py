"""``ecnas report``: runs on one HTML page, which needs neither a server nor a network.

The page has a section for each task: the leaderboard; curves of every quantity against every cost; the distribution
over runs; probabilities of improvement; fronts, for two objectives; costs of reaching given levels; the recommended
cells; and the protocol. A method is shown or hidden in all charts of its section at once, and looks as in all other
charts (:mod:`ecnas.runs.looks`). ``page.css`` and ``page.js`` beside this file are its style and behaviour; charts are
drawn by plotly.js, in ``ecnas/data/vendor``. Text from files is escaped.
"""

from __future__ import annotations

import html
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecnas.drawing import graph_svg, metric_label
from ecnas.encoding import INPUT, OUTPUT
from ecnas.objectives import OBJECTIVES
from ecnas.runs import statistics, tables
from ecnas.runs.analysis import QUANTITIES
from ecnas.runs.charts import curves
from ecnas.runs.comparison import Comparison, MethodRuns
from ecnas.runs.currency import CURRENCIES
from ecnas.runs.looks import Look, looks
from ecnas.runs.statistics import CONFIDENCE, STATISTICS, Statistic
from ecnas.runs.tables import Table

HERE: Final = Path(__file__).parent
PLOTLY: Final = HERE.parent / "data" / "vendor" / "plotly-basic.min.js"
POINTS: Final = 60
"""Of a curve."""
RESAMPLES: Final = 200
"""Bootstrap samples of a band."""
LEVELS: Final = 120
"""Points of a distribution over runs."""


def render(comparisons: Sequence[Comparison], title: str = "Search leaderboard", statistic: Statistic = "iqm") -> str:
    """The page.

    Args:
        comparisons: Tasks with their methods.
        title: Its heading.
        statistic: Aggregates runs: "iqm" or "mean".
    """
    sections = [_section(comparison, number, statistic) for number, comparison in enumerate(comparisons)]
    data = [_data(comparison, number, statistic) for number, comparison in enumerate(comparisons)]
    over_all = tables.overall(comparisons, statistic=statistic)
    contents = "".join(
        f"<li><a href='#task-{number}'>{html.escape(_heading(comparison))}</a></li>"
        for number, comparison in enumerate(comparisons)
    )
    parts = [
        "<!DOCTYPE html>",
        "<html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<title>{html.escape(title)}</title>",
        f"<style>{(HERE / 'page.css').read_text(encoding='utf-8')}</style></head>",
        f"<body><h1>{html.escape(title)}</h1>",
        f"<p class='note'>Numbers are the {STATISTICS[statistic]} over runs. Brackets and bands are stratified "
        f"{CONFIDENCE:.0%} bootstrap intervals (<a href='https://arxiv.org/abs/2108.13264'>Agarwal et al. "
        "2021</a>). pp: percentage points of accuracy. Runs are judged by the expected metrics of the cells they "
        "recommend, not by the trainings they saw.</p>",
        f"<nav><ul>{contents}</ul></nav>" if len(comparisons) > 1 else "",
        "<h2>All tasks</h2>" + over_all.html() if over_all else "",
        *sections,
        f"<script type='application/json' id='data'>{_json({'tasks': data})}</script>",
        f"<script>{PLOTLY.read_text(encoding='utf-8')}</script>",
        f"<script>{(HERE / 'page.js').read_text(encoding='utf-8')}</script>",
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _json(values: Any) -> str:
    """JSON that may stand within a script element: nothing in it can end the element."""
    return json.dumps(values, allow_nan=False, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _heading(comparison: Comparison) -> str:
    return f"{comparison.name}: {' and '.join(metric_label(name) for name in comparison.judge.objectives)}"


# ---------------------------------------------------------------------------------------------------------------------
# What charts show


def _data(comparison: Comparison, number: int, statistic: Statistic) -> dict[str, Any]:
    """What the page's script draws of a task."""
    quantities, currencies = _shown_quantities(comparison), _shown_currencies(comparison)
    shown = looks(method.name for method in comparison.methods)
    drawn = {}
    for quantity in quantities:
        for currency in currencies:
            found = curves(comparison, quantity, currency, statistic, RESAMPLES, POINTS)
            decimals = QUANTITIES[quantity].decimals + 1
            drawn[f"{quantity}|{currency}"] = {
                name: {
                    "x": _numbers(grid, 4),
                    **{
                        key: _numbers(values, decimals)
                        for key, values in (("y", each.centre), ("low", each.low), ("high", each.high))
                    },
                }
                for name, (grid, each) in found.items()
            }
    return {
        "id": f"task-{number}",
        "methods": [{"name": method.name, **_look(shown[method.name])} for method in comparison.methods],
        "quantities": [
            {
                "name": name,
                "heading": QUANTITIES[name].heading,
                "sign": QUANTITIES[name].sign,
                "decimals": QUANTITIES[name].decimals,
            }
            for name in quantities
        ],
        "currencies": [{"name": name, "label": CURRENCIES[name].label} for name in currencies],
        "curves": drawn,
        "profile": _profile(comparison),
        "fronts": _fronts(comparison) if len(comparison.judge.objectives) == 2 else None,
    }


def _shown_quantities(comparison: Comparison) -> list[str]:
    recommends = any(method.recommends for method in comparison.methods)
    return [name for name in comparison.judge.quantities if name != "seen_regret" or recommends]


def _shown_currencies(comparison: Comparison) -> list[str]:
    """Without epochs where every cell was trained for the same number: these are evaluations on another scale."""
    fidelity = comparison.judge.epochs
    traces = [trace for method in comparison.methods for trace in method.traces]
    scaled = all(np.array_equal(t.costs["epochs"], fidelity * t.costs["evaluations"]) for t in traces)
    return [name for name in comparison.currencies if name != "epochs" or not scaled]


def _look(look: Look) -> dict[str, str]:
    dash = ",".join(f"{2 * length:g}px" for length in look.dashes) or "solid"
    return {"colour": look.colour, "dash": dash, "marker": look.marker.plotly, "glyph": look.marker.glyph}


def _numbers(values: NDArray[np.float64], decimals: int) -> list[float | None]:
    """Numbers for JSON, which has no NaN."""
    return [None if np.isnan(value) else value for value in np.round(values, decimals).tolist()]


def _profile(comparison: Comparison) -> dict[str, Any]:
    """The fraction of each method's runs that end at each level of the first quantity or better."""
    quantity = QUANTITIES[comparison.main]
    finals = {method.name: method.final(comparison.main) for method in comparison.methods}
    every = np.concatenate(list(finals.values()))
    positive = every[every > 0]
    low, high = (float(positive.min()), float(positive.max())) if len(positive) else (1e-3, 1.0)
    levels = np.linspace(low, high, LEVELS) if quantity.sign > 0 else np.geomspace(0.5 * low, 1.05 * high, LEVELS)
    bound = "at least" if quantity.sign > 0 else "at most"
    found = {
        name: statistics.profile([quantity.sign * values], quantity.sign * levels, RESAMPLES)
        for name, values in finals.items()
    }
    return {
        "log": quantity.sign < 0,
        "label": f"{quantity.label} at the end {bound} ({quantity.unit or 'no unit'})",
        "curves": {
            name: {
                "x": _numbers(levels, quantity.decimals + 2),
                **{k: _numbers(v, 4) for k, v in (("y", each.centre), ("low", each.low), ("high", each.high))},
            }
            for name, each in found.items()
        },
    }


def _fronts(comparison: Comparison) -> dict[str, Any]:
    """The front of each method's run of median hypervolume, and the exact one."""
    names = comparison.judge.objectives
    shape = "vh" if OBJECTIVES[names[1]].maximise else "hv"

    def points(front: NDArray[np.float64]) -> dict[str, Any]:
        front = front[np.argsort(front[:, 1], kind="stable")]
        return {"x": [float(f"{x:.5g}") for x in front[:, 1]], "y": [float(f"{y:.5g}") for y in front[:, 0]]}

    exact = comparison.judge.benchmark.pareto_front(names, comparison.judge.epochs).figures
    drawn = {}
    for method in comparison.methods:
        order = np.argsort(method.final("hypervolume"), kind="stable")
        middle = method.traces[int(order[len(order) // 2])]
        drawn[method.name] = points(comparison.judge.fronts(middle.front)) | {"shape": shape}
    return {
        "x": metric_label(names[1]),
        "y": metric_label(names[0]),
        "logX": OBJECTIVES[names[1]].log,
        "logY": OBJECTIVES[names[0]].log,
        "exact": points(exact) | {"shape": shape},
        "curves": drawn,
    }


# ---------------------------------------------------------------------------------------------------------------------
# Sections


def _section(comparison: Comparison, number: int, statistic: Statistic) -> str:
    benchmark, judge = comparison.judge.benchmark, comparison.judge
    currency = comparison.currency
    improvements = tables.improvements(comparison, currency)
    parts = [
        f"<section id='task-{number}'><h2>{html.escape(_heading(comparison))}</h2>",
        f"<p>Space {html.escape(benchmark.space.name)}, {len(benchmark.space):,} cells, {judge.epochs} epochs, "
        f"{html.escape(benchmark.table.provenance[judge.epochs])} metrics, table digest "
        f"<code>{html.escape(benchmark.digest)}</code>. {html.escape(benchmark.table.notes)}</p>",
        "<h3>Leaderboard</h3>" + tables.leaderboard(comparison, None, currency, statistic).html(),
        "<h3>Quality against cost</h3><div class='legend' role='group' aria-label='methods'></div>",
        "<div data-chart='anytime'></div>",
        "<p class='note'>Click a method to hide it in all charts of this task; double-click to hide all others. "
        "On a log scale, zeros are drawn at the bottom.</p>",
        "<h3>Distribution over runs</h3><div data-chart='profile'></div>",
        "<p class='note'>Performance profiles: the fraction of runs that end at each level or better.</p>",
        improvements.html() if improvements else "",
    ]
    if len(judge.objectives) == 2:
        parts += [
            "<h3>Fronts</h3><div data-chart='fronts'></div>",
            "<p class='note'>For each method, the run of median hypervolume, by expected metrics.</p>",
        ]
    reached = [name for name in ("evaluations", "energy") if name in comparison.currencies]
    parts += ["<h3>Cost to reach a target</h3>", *(tables.costs_to_reach(comparison, name).html() for name in reached)]
    parts += ["<h3>Recommended cells</h3>" + _cells(comparison), "<h3>Protocol</h3>" + protocol(comparison).html()]
    return "\n".join([*parts, "</section>"])


def _cells(comparison: Comparison) -> str:
    """The cell that each method recommends most often at the end of its runs, drawn; and what each is short of."""
    drawn = []
    for method in comparison.methods:
        row, times = Counter(trace.recommended for trace in method.traces).most_common(1)[0]
        first = next(trace for trace in method.traces if trace.recommended == row)
        name = next((q for q in comparison.judge.quantities if QUANTITIES[q].label.endswith("regret")), None)
        found = ""
        if name is not None:
            quantity = QUANTITIES[name]
            found = f"{quantity.heading}: {first.values[name][-1]:.{quantity.decimals}f}"
        text = f"in {times} of {len(method.traces)} runs"
        drawn.append(_drawn(comparison, row, method.name, [text, found]))
    return f"<div class='cells'>{''.join(drawn)}</div>"


def _drawn(comparison: Comparison, row: int, title: str, lines: Sequence[str]) -> str:
    cell = comparison.judge.benchmark.space[row]
    names = [name.removesuffix("-bn-relu") for name in (INPUT, *cell.ops, OUTPUT)]
    edges = [(x, y) for x, y in np.argwhere(cell.adjacency).tolist()]
    caption = "<br>".join([f"<b>{html.escape(title)}</b>", *(html.escape(line) for line in lines if line)])
    caption += f"<br><code>{cell.hash[:12]}…</code>"
    return f"<figure>{graph_svg(names, edges)}<figcaption>{caption}</figcaption></figure>"


def protocol(comparison: Comparison) -> Table:
    """What was run: seeds, budgets, settings, versions."""
    rows = []
    for method in comparison.methods:
        how, budget = method.header["method"], method.header["budget"]
        limits = [
            f"{budget[currency.limit]:g} {currency.unit or currency.name}"
            for currency in CURRENCIES.values()
            if currency.limit in budget
        ]
        settings = {key: value for key, value in how.get("settings", {}).items() if value is not None}
        rows.append(
            [
                method.name,
                method.origin or "these runs",
                str(how.get("use", "")),
                ", ".join(limits) or "none",
                _seeds(method),
                json.dumps(settings, ensure_ascii=False),
                ", ".join(f"{name} {version}" for name, version in method.header["versions"].items()),
            ]
        )
    head = ["method", "source", "class", "budget", "seeds", "settings", "versions"]
    return Table("Settings and versions", head, rows)


def _seeds(method: MethodRuns) -> str:
    """``0–99`` for whole ranges, otherwise a list."""
    ordered = sorted({trace.seed for trace in method.traces})
    if len(ordered) > 2 and ordered == list(range(ordered[0], ordered[-1] + 1)):
        return f"{ordered[0]}–{ordered[-1]}"
    return ", ".join(map(str, ordered[:20])) + (f" and {len(ordered) - 20} more" if len(ordered) > 20 else "")
