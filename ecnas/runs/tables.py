"""Leaderboards of runs, as Markdown, CSV, LaTeX (booktabs) and HTML.

:func:`leaderboards` makes one table per task from folders of records::

    for table in leaderboards([Path("runs")], checkpoints=[150, 500], baseline="rl-nas"):
        print(table.markdown())

One statistic runs through a table and is named in its title: the interquartile mean or the mean over runs, with a
stratified bootstrap interval. Methods are ranked by the first quantity of the task (test regret for accuracy alone,
hypervolume for several objectives) at the last checkpoint. A rank is one plus the number of methods whose whole
interval is better, so methods that cannot be told apart share a rank. The best value is bold only if its interval
overlaps no other.
"""

from __future__ import annotations

import csv
import html
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from ecnas.drawing import metric_label
from ecnas.runs import statistics
from ecnas.runs.analysis import QUANTITIES
from ecnas.runs.baseline import add_baseline
from ecnas.runs.comparison import Comparison, MethodRuns, collect
from ecnas.runs.currency import CURRENCIES
from ecnas.runs.statistics import STATISTICS, Estimate, Statistic

ABSENT: Final = "–"


@dataclass(frozen=True)
class Number:
    """A number in a table, with its interval if it has one.

    Attributes:
        centre: The number.
        low: Lower end of its interval; NaN for none.
        high: Upper end.
        decimals: Number of decimals of all three.
        bold: Whether it is the best of its column and its interval overlaps no other.
    """

    centre: float
    low: float = math.nan
    high: float = math.nan
    decimals: int = 3
    bold: bool = False

    @classmethod
    def of(cls, estimate: Estimate, decimals: int, bold: bool = False) -> Number:
        """An estimate as a number in a table."""
        return cls(float(estimate.centre), float(estimate.low), float(estimate.high), decimals, bold)

    @property
    def text(self) -> str:
        """``0.261``, or a dash for NaN."""
        return ABSENT if math.isnan(self.centre) else f"{self.centre:.{self.decimals}f}"

    @property
    def interval(self) -> str:
        """``[0.250, 0.272]``, or nothing."""
        if math.isnan(self.centre) or math.isnan(self.low):
            return ""
        return f"[{self.low:.{self.decimals}f}, {self.high:.{self.decimals}f}]"


Entry = str | int | Number


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        title: Quantity, task and statistic.
        head: Headings of the columns, with units.
        rows: The entries.
        notes: Notes below the table.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Entry]]
    notes: Sequence[str] = ()

    def markdown(self) -> str:
        """The table with its title and notes in Markdown."""

        def text(entry: Entry) -> str:
            if isinstance(entry, Number):
                shown = f"**{entry.text}**" if entry.bold else entry.text
                return f"{shown} {entry.interval}".strip()
            return _one_line(str(entry)).replace("|", "\\|")

        align = [" ---: |" if self._is_numeric(column) else " --- |" for column in range(len(self.head))]
        lines = ["| " + " | ".join(text(heading) for heading in self.head) + " |", "|" + "".join(align)]
        lines += ["| " + " | ".join(text(entry) for entry in row) + " |" for row in self.rows]
        return "\n".join(
            [f"{_one_line(self.title)}:", "", *lines, *(line for note in self.notes for line in ("", note))]
        )

    def csv(self) -> str:
        """The table as CSV: every interval as two columns more."""
        with_interval = [
            any(isinstance(row[k], Number) and row[k].interval for row in self.rows)  # type: ignore[union-attr]
            for k in range(len(self.head))
        ]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(
            [
                column
                for heading, wide in zip(self.head, with_interval, strict=True)
                for column in ([heading, f"{heading}: low", f"{heading}: high"] if wide else [heading])
            ]
        )
        for row in self.rows:
            line: list[str] = []
            for entry, wide in zip(row, with_interval, strict=True):
                if not isinstance(entry, Number):
                    line += [str(entry), "", ""] if wide else [str(entry)]
                    continue
                numbers = (entry.centre, entry.low, entry.high) if wide else (entry.centre,)
                line += ["" if math.isnan(number) else f"{number:.6g}" for number in numbers]
            writer.writerow(line)
        return text.getvalue()

    def latex(self) -> str:
        r"""The table for LaTeX with the package booktabs, its title as the caption."""

        def text(entry: Entry) -> str:
            if not isinstance(entry, Number):
                return _latex(str(entry))
            shown = rf"\textbf{{{entry.text}}}" if entry.bold else entry.text
            return rf"{shown} {{\scriptsize {entry.interval}}}" if entry.interval else shown

        align = "".join("r" if self._is_numeric(column) else "l" for column in range(len(self.head)))
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_latex(' '.join([f'{self.title}.', *self.notes]))}}}",
            rf"\begin{{tabular}}{{{align}}}",
            r"\toprule",
            " & ".join(map(_latex, self.head)) + r" \\",
            r"\midrule",
            *(" & ".join(map(text, row)) + r" \\" for row in self.rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
        return "\n".join(lines) + "\n"

    def html(self) -> str:
        """The table as HTML; every entry has the value by which it is sorted."""

        def cell(entry: Entry, column: int) -> str:
            kind = " class='number'" if self._is_numeric(column) else ""
            if not isinstance(entry, Number):
                return f"<td{kind} data-value='{html.escape(str(entry))}'>{html.escape(str(entry))}</td>"
            shown = f"<b>{entry.text}</b>" if entry.bold else entry.text
            interval = f" <small>{entry.interval}</small>" if entry.interval else ""
            value = "" if math.isnan(entry.centre) else f"{entry.centre:.9g}"
            return f"<td{kind} data-value='{value}'>{shown}{interval}</td>"

        head = "".join(
            f"<th{' class=number' if self._is_numeric(k) else ''} scope='col'>{html.escape(heading)}</th>"
            for k, heading in enumerate(self.head)
        )
        rows = "\n".join("<tr>" + "".join(cell(e, k) for k, e in enumerate(row)) + "</tr>" for row in self.rows)
        notes = "".join(f"<p class='note'>{html.escape(note)}</p>" for note in self.notes)
        return (
            f"<p class='caption'>{html.escape(self.title)}</p><div class='wide'><table><thead><tr>{head}</tr></thead>"
            f"<tbody>\n{rows}\n</tbody></table></div>{notes}"
        )

    def _is_numeric(self, column: int) -> bool:
        return bool(self.rows) and all(not isinstance(row[column], str) or row[column] == ABSENT for row in self.rows)


def _one_line(text: str) -> str:
    return " ".join(text.split())


_LATEX: Final = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_"},
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "−": "$-$",
    "–": "--",
}


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in _one_line(text))


# ---------------------------------------------------------------------------------------------------------------------
# The tables


def leaderboards(
    paths: Iterable[Path],
    checkpoints: Sequence[float] | None = None,
    currency: str = "evaluations",
    baseline: str | None = None,
    statistic: Statistic = "iqm",
) -> list[Table]:
    """The leaderboard of each task of the records in folders and files; of all tasks together if there are several.

    Args:
        paths: Records, and folders of records.
        checkpoints: Costs at which methods are compared, in the currency; the runs' budgets by default.
        currency: Unit of costs: "evaluations", "epochs", "energy" or "time".
        baseline: Name or path of a baseline to compare with.
        statistic: "iqm" (the interquartile mean) or "mean".

    Raises:
        NoRecordsError: There are no records.
        BaselineError: The baseline does not exist, or has other tasks.
    """
    comparisons = collect(paths)
    if baseline is not None:
        comparisons = add_baseline(comparisons, baseline)
    tables = [leaderboard(each, checkpoints, currency, statistic) for each in comparisons]
    over_all = overall(comparisons, currency, statistic)
    return tables if over_all is None else [*tables, over_all]


def cost_text(cost: float, currency: str) -> str:
    """``500 evaluations``, ``1.5 kWh``."""
    return f"{cost:g} {CURRENCIES[currency].unit or CURRENCIES[currency].name}"


def task_text(comparison: Comparison) -> str:
    """A task in words."""
    what = " and ".join(metric_label(name) for name in comparison.judge.objectives)
    return f"{comparison.name} (digest {comparison.key.expected[:12]}), {what} at {comparison.judge.epochs} epochs"


def statistic_text(statistic: Statistic) -> str:
    """The statistic of a table, in words."""
    return f"{STATISTICS[statistic]} over runs [95% bootstrap interval]"


def runs_text(method: MethodRuns) -> Entry:
    """The number of runs with values, of all runs."""
    runs = len(method.traces)
    return f"{runs} of {runs + method.empty}" if method.empty else runs


def leaderboard(
    comparison: Comparison,
    checkpoints: Sequence[float] | None = None,
    currency: str = "evaluations",
    statistic: Statistic = "iqm",
    quantities: Sequence[str] | None = None,
) -> Table:
    """Methods by rank: the first quantity at each checkpoint, and all others at the last.

    Args:
        comparison: The methods.
        checkpoints: Costs at which to look, in the currency; the runs' budgets by default.
        currency: What costs are counted in: "evaluations", "epochs", "energy" or "time".
        statistic: "iqm" (the interquartile mean) or "mean".
        quantities: Some of the task's quantities, the one that ranks first; all of them by default.
    """
    points = sorted(checkpoints) if checkpoints else comparison.checkpoints(currency)
    quantities = [
        name
        for name in quantities or comparison.judge.quantities
        if name != "seen_regret" or any(method.recommends for method in comparison.methods)
    ]
    columns = [(quantities[0], point) for point in points] + [(name, points[-1]) for name in quantities[1:]]
    estimates: dict[tuple[str, float], dict[str, Estimate]] = {column: {} for column in columns}
    for method in comparison.methods:
        for name, point in columns:
            values = method.values(name, np.array([point]), currency)
            estimates[name, point][method.name] = statistics.estimate([values[:, 0]], statistic)
    main = columns[len(points) - 1]
    sign = QUANTITIES[main[0]].sign
    rank = statistics.ranks(estimates[main], sign)
    best = {column: statistics.best_apart(found, QUANTITIES[column[0]].sign) for column, found in estimates.items()}
    order = sorted(
        comparison.methods, key=lambda m: (m.name not in rank, -sign * np.nan_to_num(estimates[main][m.name].centre))
    )
    rows: list[list[Entry]] = []
    for method in order:
        row: list[Entry] = [rank.get(method.name, ABSENT), method.name, runs_text(method)]
        for column in columns:
            found = estimates[column][method.name]
            bold = method.name == best[column] and QUANTITIES[column[0]].sign != 0
            row.append(Number.of(found, QUANTITIES[column[0]].decimals, bold))
        rows.append(row)
    head = ["rank", "method", "runs"]
    head += [f"{QUANTITIES[name].heading} at {cost_text(point, currency)}" for name, point in columns]
    notes = [QUANTITIES[name].meaning for name in quantities]
    notes[0] += " Ranks and bold type distinguish methods whose intervals do not overlap."
    if any(method.empty for method in comparison.methods):
        notes.append("Runs without an evaluation at the fidelity have no value; “runs” counts those that have one.")
    return Table(f"{task_text(comparison)}: {statistic_text(statistic)}", head, rows, notes)


def overall(
    comparisons: Sequence[Comparison], currency: str = "evaluations", statistic: Statistic = "iqm"
) -> Table | None:
    """All tasks together: normalised scores of the methods on every task; None unless there are two of each."""
    strata = scores_by_method(comparisons, currency)
    if len(comparisons) < 2 or len(strata) < 2:
        return None
    estimates = {name: statistics.estimate(scores, statistic) for name, scores in strata.items()}
    rank, best = statistics.ranks(estimates, 1), statistics.best_apart(estimates, 1)
    rows: list[list[Entry]] = [
        [rank.get(name, ABSENT), name, sum(map(len, strata[name])), Number.of(estimates[name], 3, name == best)]
        for name in sorted(estimates, key=lambda name: -np.nan_to_num(estimates[name].centre, nan=-np.inf))
    ]
    return Table(
        f"All {len(comparisons)} tasks: {statistic_text(statistic)}",
        ["rank", "method", "runs", "normalised score"],
        rows,
        [
            "Normalised score at the end of the budget: 1 is the best cell of the table and 0 its median cell; with "
            "several objectives, the fraction of the exact front's hypervolume. All runs have the same weight."
        ],
    )


def scores_by_method(comparisons: Sequence[Comparison], currency: str) -> dict[str, list[np.ndarray]]:
    """For each method that is on every task, its runs' normalised scores at the end of the budget, task by task."""
    on_all = set.intersection(*({method.name for method in each.methods} for each in comparisons))
    ends = [each.checkpoints(currency)[-1] for each in comparisons]
    strata = {
        name: [
            each.scores(next(m for m in each.methods if m.name == name), end, currency)
            for each, end in zip(comparisons, ends, strict=True)
        ]
        for name in sorted(on_all)
    }
    return {name: scores for name, scores in strata.items() if not any(np.isnan(part).any() for part in scores)}


def improvements(comparison: Comparison, currency: str = "evaluations") -> Table | None:
    """The probability that a run of the method in a row is better than one of the method in a column."""
    cost = comparison.checkpoints(currency)[-1]
    scores = {
        method.name: comparison.scores(method, cost, currency)
        for method in comparison.methods
        if len(method.traces) > 1
    }
    scores = {name: values for name, values in scores.items() if not np.isnan(values).any()}
    if len(scores) < 2:
        return None
    names = sorted(scores, key=lambda name: -float(scores[name].mean()))
    rows: list[list[Entry]] = []
    for number, first in enumerate(names):
        row: list[Entry] = [f"{number + 1}. {first}"]
        for second in names:
            if first == second:
                row.append(ABSENT)
                continue
            found = statistics.improvement([scores[first]], [scores[second]], resamples=500)
            row.append(Number.of(found, 2, bold=bool(found.low > 0.5)))
        rows.append(row)
    return Table(
        f"Probability of improvement in {QUANTITIES[comparison.main].label} at {cost_text(cost, currency)} [95% "
        "bootstrap interval]",
        ["method", *(f"over {number + 1}" for number in range(len(names)))],
        rows,
        [
            "How often a run of the method in the row is better than one of the method in the column; ties count half. "
            "Bold: the whole interval is above 0.5."
        ],
    )


GOALS: Final = {
    "test_regret": (0.5, 0.3, 0.2, 0.1, 0.05),
    "val_regret": (0.5, 0.3, 0.2, 0.1, 0.05),
    "reward_regret": (0.05, 0.02, 0.01, 0.005, 0.001),
    "hypervolume": (70.0, 80.0, 90.0, 95.0, 98.0),
}
"""Levels of the table of costs."""


def costs_to_reach(comparison: Comparison, currency: str) -> Table:
    """What it took until the first quantity was first at each goal: medians, and how many of the runs got there."""
    quantity = QUANTITIES[comparison.main]
    rows: list[list[Entry]] = []
    for method in comparison.methods:
        row: list[Entry] = [method.name]
        for goal in GOALS[comparison.main]:
            costs = np.array([trace.cost_to_reach(comparison.main, goal, currency) for trace in method.traces])
            part = np.isfinite(costs).mean()
            middle = float(np.median(costs)) if part > 0.5 else math.nan
            row += [
                Number(middle, decimals=0 if CURRENCIES[currency].unit != "kWh" else 1),
                Number(100 * part, decimals=0),
            ]
        rows.append(row)
    bound = "≥" if quantity.sign > 0 else "≤"
    unit = CURRENCIES[currency].unit or CURRENCIES[currency].name
    head = ["method"]
    for goal in GOALS[comparison.main]:
        head += [f"{bound} {goal:g} (median {unit})", "runs (%)"]
    return Table(
        f"{CURRENCIES[currency].label[0].upper()}{CURRENCIES[currency].label[1:]} until {quantity.heading} is first "
        "reached: median over runs, and the fraction of runs that reach it",
        head,
        rows,
        ["A dash: at least half of the runs do not reach it."],
    )
