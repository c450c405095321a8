"""Charts of runs: curves against cost, fronts, attainment, performance profiles, intervals.

Each function draws into the given axes, or into a new figure, and returns the axes. A method looks the same in every
chart (:mod:`ecnas.runs.looks`). Lines are the statistic named in the title, bands its bootstrap interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ecnas import drawing, pareto
from ecnas.drawing import BLACK, metric_label
from ecnas.objectives import OBJECTIVES
from ecnas.runs import statistics, tables
from ecnas.runs.analysis import QUANTITIES, cost_grid
from ecnas.runs.comparison import Comparison, MethodRuns
from ecnas.runs.currency import CURRENCIES
from ecnas.runs.looks import Look, looks
from ecnas.runs.statistics import CONFIDENCE, STATISTICS, Estimate, Statistic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BAND_RESAMPLES: Final = 300
"""Bootstrap samples of a band: fewer than for a number in a table."""


def line_style(look: Look) -> dict[str, Any]:
    """A look as keyword arguments of ``Axes.plot``, without its marker."""
    return {"color": look.colour, "linestyle": (0, look.dashes) if look.dashes else "-"}


def curves(
    comparison: Comparison,
    quantity: str,
    currency: str = "evaluations",
    statistic: Statistic = "iqm",
    resamples: int = BAND_RESAMPLES,
    points: int = 80,
) -> dict[str, tuple[NDArray[np.float64], Estimate]]:
    """A quantity against cost for every method whose costs are known: the grid of costs, and the estimates on it.

    All methods share one grid, each up to its own budget.
    """
    spans = {method.name: span for method in comparison.methods if (span := method.span(currency))}
    if not spans:
        return {}
    grid = cost_grid(
        min(first for first, _ in spans.values()), max(last for _, last in spans.values()), currency, points
    )
    found = {}
    for method in comparison.methods:
        if method.name in spans:
            first, last = spans[method.name]
            own = np.unique(np.concatenate([grid[(grid > first) & (grid < last)], [first, last]]))
            estimate = statistics.estimate([method.values(quantity, own, currency)], statistic, resamples)
            found[method.name] = own, estimate
    return found


def anytime(
    comparison: Comparison,
    quantity: str | None = None,
    currency: str = "evaluations",
    statistic: Statistic = "iqm",
    log: bool | None = None,
    log_costs: bool = True,
    labels: Mapping[str, str] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """A quantity against cost: the statistic over runs (line) and its interval (band).

    Args:
        comparison: A task and its methods, drawn in their order.
        quantity: Its name; the task's first by default.
        currency: Unit of cost: "evaluations", "epochs", "energy" or "time".
        statistic: "iqm" or "mean".
        log: Draw the quantity on a log axis, on which 0 lies at the bottom; by default if it is a regret.
        log_costs: Draw costs on a log axis.
        labels: Labels in the legend, by method; the names of methods by default.
        title: Title of the chart; by default the task and the statistic.
        ax: Axes to draw into.
    """
    ax = drawing.new_axes(ax, 5.2, 4.2)
    quantity = quantity or comparison.main
    found = curves(comparison, quantity, currency, statistic)
    if not found:
        raise ValueError(f"currency must be one of {comparison.currencies} for these runs, got {currency!r}")
    log = QUANTITIES[quantity].sign < 0 if log is None else log
    floor = _floor([e.centre for _, e in found.values()]) if log else -np.inf
    shown, drawn = looks(found), []
    for name, (grid, estimate) in found.items():
        style = line_style(shown[name])
        every = max(1, len(grid) // 8)
        offset = list(found).index(name) * every // max(1, len(found))
        ax.plot(
            grid,
            np.maximum(estimate.centre, floor),
            **style,
            linewidth=1.4,
            marker=shown[name].marker.matplotlib,
            markersize=4,
            markevery=(offset, every),
            label=_label(name, labels),
        )
        alpha = max(0.08, min(0.2, 0.8 / len(found)))
        low, high = np.maximum(estimate.low, floor), np.maximum(estimate.high, floor)
        ax.fill_between(grid, low, high, color=shown[name].colour, alpha=alpha, linewidth=0)
        drawn += [low, high]
    costs = np.concatenate([grid for grid, _ in found.values()])
    drawing.set_scale(ax, "x", costs, log_costs, margin=0.01)
    drawing.set_scale(ax, "y", np.concatenate(drawn), log)
    drawing.set_labels(ax, CURRENCIES[currency].label, QUANTITIES[quantity].heading)
    _title(ax, comparison, f"{STATISTICS[statistic]}, {CONFIDENCE:.0%} interval", title)
    drawing.legend_below(ax)
    return ax


def fronts(
    comparison: Comparison, labels: Mapping[str, str] | None = None, title: str | None = None, ax: Axes | None = None
) -> Axes:
    """The front that each run found, by expected metrics, and the exact one, in the runs' two objectives."""
    ax = drawing.new_axes(ax, 5.2, 4.2)
    names = _two_objectives(comparison)
    shown = looks(method.name for method in comparison.methods)
    drawn = []
    for method in comparison.methods:
        for number, trace in enumerate(method.traces):
            front = comparison.judge.fronts(trace.front)
            drawn.append(front)
            own = f"{_label(method.name, labels)}: {len(method.traces)} runs"
            label = own if number == 0 else None
            style = line_style(shown[method.name])
            drawing.staircase(ax, front, names, **style, alpha=0.6, linewidth=0.9, label=label, zorder=2)
    exact = comparison.judge.benchmark.pareto_front(names, comparison.judge.epochs).figures
    drawing.staircase(ax, exact, names, color=BLACK, linewidth=1.4, linestyle="--", label="exact front", zorder=3)
    _front_axes(ax, names, np.concatenate([*drawn, exact]))
    _title(ax, comparison, "fronts found", title)
    drawing.legend_below(ax)
    return ax


def attainment(
    comparison: Comparison, labels: Mapping[str, str] | None = None, title: str | None = None, ax: Axes | None = None
) -> Axes:
    """Median attainment surfaces of methods (lines), and the range from best to worst run (bands)."""
    ax = drawing.new_axes(ax, 5.2, 4.2)
    names = _two_objectives(comparison)
    exact = comparison.judge.benchmark.pareto_front(names, comparison.judge.epochs).figures
    signs = np.array([1.0 if OBJECTIVES[name].maximise else -1.0 for name in names])
    shown = looks(method.name for method in comparison.methods)
    found = {m.name: [comparison.judge.fronts(trace.front) * signs for trace in m.traces] for m in comparison.methods}
    every = np.concatenate([exact * signs, *(front for runs in found.values() for front in runs)])
    # From the best value of the second objective to the worst: what is attained within each.
    grid = np.linspace(every[:, 1].max(), every[:, 1].min(), 800)
    if OBJECTIVES[names[1]].log:
        grid = signs[1] * np.geomspace(abs(every[:, 1].max()), abs(every[:, 1].min()), 800)
    lowest = []
    for name, points in found.items():
        best, median, worst = (
            _height(surface, grid) for surface in pareto.attainment_surfaces(points, [1 / len(points), 0.5, 1.0])
        )
        look = shown[name]
        x = grid * signs[1]
        ax.fill_between(x, worst * signs[0], best * signs[0], color=look.colour, alpha=0.15, linewidth=0, step="post")
        ax.plot(
            x,
            median * signs[0],
            **line_style(look),
            linewidth=1.4,
            drawstyle="steps-post",
            label=_label(name, labels),
        )
        lowest.append(np.nanmin(median))
    drawing.staircase(ax, exact, names, color=BLACK, linewidth=1.0, linestyle="--", label="exact front", zorder=3)
    _front_axes(ax, names, np.concatenate([exact, every * signs]))
    if names[0].endswith("accuracy"):
        low, top = min(lowest), float(exact[:, 0].max())
        ax.set_ylim(low - 0.05 * (top - low), top + 0.04 * (top - low))
    _title(ax, comparison, "median, best and worst of the runs", title)
    drawing.legend_below(ax)
    return ax


def _height(surface: NDArray[np.float64], grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Best first coordinate of a surface where the second is at least each of a descending grid; NaN for none."""
    order = np.argsort(-surface[:, 1], kind="stable")
    second, best = -surface[order, 1], np.maximum.accumulate(surface[order, 0])
    position = np.searchsorted(second, -grid, side="right") - 1
    return np.where(position >= 0, best[np.maximum(position, 0)], np.nan)


def profile(
    comparisons: Sequence[Comparison],
    currency: str = "evaluations",
    labels: Mapping[str, str] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Performance profiles: the fraction of runs, over all tasks, whose final loss is at most τ.

    The loss is 1 − the normalised score: 0 is the best of the table, 1 its median cell.
    """
    ax = drawing.new_axes(ax, 5.2, 4.2)
    strata = tables.scores_by_method(comparisons, currency)
    if not strata:
        raise ValueError("profile needs a method that is on every task")
    losses = np.concatenate([1 - part for parts in strata.values() for part in parts])
    positive = losses[losses > 0]
    floor = float(positive.min()) / 2 if len(positive) else 1e-3
    levels = np.geomspace(floor, max(float(losses.max()), 2 * floor) * 1.05, 200)
    shown = looks(strata)
    for name, parts in strata.items():
        found = statistics.profile(parts, 1 - levels, BAND_RESAMPLES)
        ax.plot(
            levels,
            found.centre,
            **line_style(shown[name]),
            linewidth=1.4,
            marker=shown[name].marker.matplotlib,
            markersize=4,
            markevery=(list(strata).index(name) * 3, 40),
            label=_label(name, labels),
        )
        alpha = max(0.08, min(0.2, 0.8 / len(strata)))
        ax.fill_between(levels, found.low, found.high, color=shown[name].colour, alpha=alpha, linewidth=0)
    drawing.set_scale(ax, "x", levels, log=True, margin=0)
    ax.set_ylim(-0.02, 1.02)
    drawing.set_labels(ax, "loss τ (0 best of the table, 1 median cell)", "fraction of runs with a loss ≤ τ")
    _title(ax, comparisons[0], f"performance profile, {CONFIDENCE:.0%} interval", title, len(comparisons))
    drawing.legend_below(ax)
    return ax


def intervals(
    comparison: Comparison,
    quantity: str | None = None,
    currency: str = "evaluations",
    statistic: Statistic = "iqm",
    cost: float | None = None,
    log: bool | None = None,
    labels: Mapping[str, str] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """A quantity at one cost: the statistic over runs (point) and its interval (bar).

    The cost is by default the smallest budget of the methods, which all of them have reached.
    """
    methods = list(comparison.methods)
    ax = drawing.new_axes(ax, 5.2, 1.1 + 0.3 * len(methods))
    quantity = quantity or comparison.main
    cost = comparison.checkpoints(currency)[0] if cost is None else cost
    shown = looks(method.name for method in methods)
    ends = []
    for place, method in enumerate(methods):
        found = statistics.estimate([method.values(quantity, np.array([cost]), currency)[:, 0]], statistic)
        look = shown[method.name]
        ax.plot(
            [found.low, found.high], [place, place], color=look.colour, linewidth=5, alpha=0.35, solid_capstyle="butt"
        )
        ax.plot(found.centre, place, look.marker.matplotlib, color=look.colour, markersize=6)
        ends += [float(found.low), float(found.high)]
    known = np.array(ends)[~np.isnan(ends)]
    if log is None:
        log = QUANTITIES[quantity].sign < 0 and bool((known > 0).all())
    drawing.set_scale(ax, "x", known, log)
    names = [_label(method.name, labels) for method in methods]
    ax.set_yticks(range(len(methods)), names)
    ax.invert_yaxis()
    ax.set_ylim(len(methods) - 0.5, -0.5)
    width = drawing.figure_of(ax).get_figwidth()
    what = f"{QUANTITIES[quantity].heading} at {tables.cost_text(cost, currency)}"
    drawing.set_labels(ax, what, "", part=0.9 - drawing.text_width(names) / width)
    _title(ax, comparison, f"{STATISTICS[statistic]}, {CONFIDENCE:.0%} interval", title)
    return ax


def ordered(methods: Sequence[MethodRuns], names: Sequence[str]) -> list[MethodRuns]:
    """The methods of these names in this order.

    Raises:
        ValueError: There is no method of a name.
    """
    by_name = {method.name: method for method in methods}
    for name in names:
        if name not in by_name:
            raise ValueError(f"method must be one of {sorted(by_name)}, got {name!r}")
    return [by_name[name] for name in names]


def best_first(comparison: Comparison, statistic: Statistic = "iqm") -> list[MethodRuns]:
    """The methods, best final value first."""
    sign = QUANTITIES[comparison.main].sign

    def final(method: MethodRuns) -> float:
        return -sign * float(statistics.aggregate(method.final(comparison.main), statistic))

    return sorted(comparison.methods, key=final)


def _floor(values: Sequence[NDArray[np.float64]]) -> float:
    """The lower end of a log axis that must show zeros: below the smallest positive value."""
    known = np.concatenate(values)
    positive = known[known > 0]
    return float(positive.min()) / 2 if len(positive) else 1e-6


def _label(name: str, labels: Mapping[str, str] | None) -> str:
    return (labels or {}).get(name, drawing.as_text(name))


def _two_objectives(comparison: Comparison) -> tuple[str, ...]:
    names = comparison.judge.objectives
    if len(names) != 2:
        raise ValueError(f"fronts are drawn for two objectives, these runs have {len(names)}: {', '.join(names)}")
    return names


def _front_axes(ax: Axes, names: Sequence[str], drawn: NDArray[np.float64]) -> None:
    drawing.set_scale(ax, "x", drawn[:, 1], OBJECTIVES[names[1]].log)
    drawing.set_scale(ax, "y", drawn[:, 0], OBJECTIVES[names[0]].log)
    drawing.set_labels(ax, metric_label(names[1]), metric_label(names[0]))


def _title(ax: Axes, comparison: Comparison, what: str, title: str | None, tasks: int = 1) -> None:
    where = drawing.as_text(comparison.name) if tasks == 1 else f"{tasks} tasks"
    drawing.set_title(ax, f"{where}: {what}" if title is None else title)
