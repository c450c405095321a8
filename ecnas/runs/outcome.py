"""The report of one run: the recommended cell against the optimum, the front found against the exact one, and the cost.

Everything is computed from the record and its benchmark. Observed and expected metrics of a cell are kept apart: with
noise, the best cell seen was also lucky.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ecnas import drawing, pareto
from ecnas.benchmark import REFERENCE_MARGIN, Benchmark, Evaluation
from ecnas.drawing import metric_label
from ecnas.errors import UnknownNameError
from ecnas.files import write_text
from ecnas.objectives import OBJECTIVES, Scalarisation, restored_scalarisation
from ecnas.runs.currency import CURRENCIES
from ecnas.runs.record import RunRecord, benchmark_of
from ecnas.task import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def report(record: RunRecord, folder: Path | None, show: bool) -> None:
    """Reports the result of a run, and writes it beside the record.

    Args:
        record: The run.
        folder: Where ``report.md`` (the tables), ``front.csv`` (the front found and the exact one), ``cell.png`` and
            ``cell.txt`` (the recommended cell), ``front.png`` and ``learning.png`` (charts) are written; None writes
            nothing.
        show: Print the tables, and where the files are.

    Raises:
        ECNASError: The benchmark of the run is not available.
    """
    if not (len(record) and record.recommended_rows()[-1] >= 0):
        if show:
            print(f"{record!r}: there is no cell at {record.epochs} epochs to report")
        return
    outcome = Outcome(record, benchmark_of(record.header).expected)
    text = outcome.as_markdown()
    if show:
        print(text)
    if folder is None:
        return
    write_text(folder / "report.md", text)
    write_text(folder / "cell.txt", f"{outcome.cell}\n")
    write_text(folder / "front.csv", outcome.fronts_csv())
    outcome.draw(folder)
    if show:
        print(f"Record, tables and plots are in {folder}/")


@dataclass(frozen=True)
class Optimum:
    """The best cell of a table under a run's reward: its row, what is expected of it, and its reward."""

    row: int
    evaluation: Evaluation
    reward: float


class Outcome:
    """The result of a run, compared with the optimum and the exact front.

    Args:
        record: The run, with one or more evaluations at its fidelity.
        benchmark: What is expected of cells, by which the run is judged.

    Attributes:
        record: As above.
        benchmark: As above.
        row: Row of the recommended cell.
        cell: That cell.
        seen: The number of its best evaluation; None if the method recommends a cell that it never had trained.
        expected: What is expected of the cell.
        reward: Its reward, as expected; NaN for a scalarisation that the record cannot restore.
        optimum: The best cell of the table; None for such a scalarisation.
        front_objectives: The axes of the fronts: what was optimised, and energy beside a single objective.
        front: Rows of the cells that no other cell dominates, of those that the run evaluated, as expected.
        exact: Rows of the exact front.
        hypervolume: Of the front found, as a part of the exact front's.
    """

    def __init__(self, record: RunRecord, benchmark: Benchmark) -> None:
        self.record, self.benchmark = record, benchmark
        names, epochs = record.objectives, record.epochs
        full = record.column("epochs") == epochs
        rows = record.column("row").astype(np.int64)
        self.row = int(record.recommended_rows()[-1])
        self.cell = benchmark.space[self.row]
        of_it = np.flatnonzero(full & (rows == self.row))
        self.seen = int(of_it[np.argmax(record.column("reward")[of_it])]) if len(of_it) else None
        self.expected = benchmark.query_row(self.row, epochs)
        self._scalarisation = _scalarisation(record)
        self.reward, self.optimum = math.nan, None
        if self._scalarisation is not None:
            self.reward = float(Task(benchmark, names, self._scalarisation, epochs).judge(self.expected).reward)
            best, reward = benchmark.optimum(self._scalarisation, names, epochs)
            self.optimum = Optimum(best.row, benchmark.query_row(best.row, epochs), reward)
        self.front_objectives = names = _front_objectives(names, benchmark, epochs)
        self.evaluated = np.unique(rows[full])
        scores = benchmark.normalisation(names, epochs).scores(self._metrics(self.evaluated))
        on_front = pareto.non_dominated(scores)
        self.front = self.evaluated[on_front]
        exact = benchmark.pareto_front(names, epochs)
        self.exact = exact.rows
        reference = np.full(len(names), -REFERENCE_MARGIN)
        self.hypervolume = pareto.hypervolume(scores[on_front], reference) / pareto.hypervolume(exact.scores, reference)

    def _metrics(self, rows: NDArray[np.int64], names: Sequence[str] | None = None) -> NDArray[np.float64]:
        """What is expected of rows, in natural units; the fronts' objectives by default. Shape (rows, names)."""
        chosen = self.front_objectives if names is None else names
        return np.stack([self.benchmark.values(name, self.record.epochs, rows) for name in chosen], axis=1)

    def _rewards(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        if self._scalarisation is None:
            return np.full(len(rows), np.nan)
        task = Task(self.benchmark, self.record.objectives, self._scalarisation, self.record.epochs)
        return task.judge(self.benchmark.query_rows(rows, self.record.epochs)).reward

    def as_markdown(self) -> str:
        """The report's tables."""
        record, names = self.record, self.front_objectives
        provenance = ", ".join(sorted({row["provenance"] for row in record.rows}))
        cells = len(set(record.column("row").tolist()))
        number = "never" if self.seen is None else str(self.seen + 1)
        best = self.optimum
        lines = [
            f"# {record.name} on {record.header['task']['benchmark']}, seed {record.seed}",
            "",
            f"{len(record)} evaluations of {cells} different cells, compared at {record.epochs} epochs ({provenance} "
            f"metrics); budget spent: {_spent(record)}.",
            "",
            "| | recommended cell, as seen | as expected | optimum of the reward | optimum − expected |",
            "|---|---|---|---|---|",
            *(self._compared(title, name) for title, name in _COMPARED),
            f"| trainable parameters | | {self.expected.trainable_parameters:,} "
            f"| {f'{best.evaluation.trainable_parameters:,}' if best else '–'} | |",
            f"| best seen at evaluation | {number} | | | |",
            f"| hash | | {self.cell.hash} | {self.benchmark.space[best.row].hash if best else '–'} | |",
            "",
            "```",
            str(self.cell),
            "```",
            "",
            f"Front of {' and '.join(OBJECTIVES[name].label for name in names)}: the run found {len(self.front)} "
            f"cells, {len(np.intersect1d(self.front, self.exact))} of them among the {len(self.exact)} of the exact "
            f"front; {100 * self.hypervolume:.2f}% of its hypervolume.",
            "",
            "| " + " | ".join(metric_label(name) for name in names) + " | reward | on the exact front |",
            "|---" * (len(names) + 2) + "|",
        ]
        for row, metrics, reward in zip(
            self.front.tolist(), self._metrics(self.front), self._rewards(self.front), strict=True
        ):
            line = [_metric_text(name, metric) for name, metric in zip(names, metrics.tolist(), strict=True)]
            line.append(f"{reward:.4f}")
            lines.append("| " + " | ".join(line) + f" | {'yes' if row in self.exact else 'no'} |")
        # The sums are NaN where the benchmark lacks a metric, which must not pass for no cost.
        kwh, co2, hours = (record.column(name).sum() / unit for name, unit in _COSTS)
        lines += [
            "",
            f"Had every network been trained, the search would have cost {_known(kwh)} kWh, {_known(co2)} kg CO2 and "
            f"{_known(hours)} hours of training.",
        ]
        if record.invalid_episodes:
            lines += ["", f"{record.invalid_episodes} episodes left the mask; they cost nothing."]
        return "\n".join(lines) + "\n"

    def _compared(self, title: str, name: str) -> str:
        seen = "–" if self.seen is None else f"{self.record.column(name)[self.seen]:.4f}"
        expected = self.reward if name == "reward" else getattr(self.expected, name)
        if self.optimum is None:
            return f"| {title} | {seen} | {expected:.4f} | – | – |"
        best = self.optimum.reward if name == "reward" else getattr(self.optimum.evaluation, name)
        return f"| {title} | {seen} | {expected:.4f} | {best:.4f} | {best - expected:+.4f} |"

    def fronts_csv(self) -> str:
        """The cells of both fronts with what is expected of them, as CSV."""
        columns = list(dict.fromkeys([*self.front_objectives, "val_accuracy", "test_accuracy", "energy"]))
        rows = np.union1d(self.front, self.exact)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["hash", "row", "found", "on_found_front", "on_exact_front", "reward", *columns])
        on = np.stack([np.isin(rows, which) for which in (self.evaluated, self.front, self.exact)], axis=1).astype(int)
        for row, flags, reward, metrics in zip(
            rows.tolist(), on.tolist(), self._rewards(rows).tolist(), self._metrics(rows, columns).tolist(), strict=True
        ):
            writer.writerow([self.benchmark.space[row].hash, row, *flags, reward, *metrics])
        return text.getvalue()

    def draw(self, folder: Path) -> None:
        """Draws ``cell.png``, ``front.png`` and ``learning.png``."""
        with drawing.style():
            ax = self.cell.draw(drawing.new_axes(None, 3.6, 0.75 * self.cell.num_vertices + 0.8))
            expected = self.expected
            ax.set_title(f"validation accuracy {expected.val_accuracy:.4f}, {expected.energy:.4f} kWh", fontsize=8)
            drawing.save(drawing.figure_of(ax), folder / "cell.png")
            for name, draw, height in (("front", self.draw_front, 4.4), ("learning", self.draw_learning, 4.0)):
                ax = drawing.new_axes(None, 6.4, height)
                draw(ax)
                drawing.save(drawing.figure_of(ax), folder / f"{name}.png")

    def draw_front(self, ax: Axes) -> None:
        """All evaluations, the front found and the exact front, in the first two objectives, as expected."""
        names = self.front_objectives[:2]
        names = names if len(names) > 1 else (*names, "trainable_parameters")
        rows = self.record.column("row").astype(np.int64)[self.record.column("epochs") == self.record.epochs]
        points, exact, front = (self._metrics(each, names) for each in (rows, self.exact, self.front))
        # The second objective, which is energy as a rule, lies on the horizontal axis.
        dots = ax.scatter(
            points[:, 1], points[:, 0], c=np.arange(len(rows)), s=14, cmap="viridis", alpha=0.7, linewidths=0, zorder=2
        )
        ax.figure.colorbar(dots, ax=ax, label="evaluation")
        drawing.staircase(
            ax, exact, names, color=drawing.BLACK, marker=".", markersize=4, linewidth=1, label="exact front", zorder=3
        )
        marks: list[tuple[NDArray[np.float64], str, str, int, str]] = [
            (front, "o", drawing.VERMILLION, 7, "front found"),
            (self._metrics(np.array([self.row]), names), "D", drawing.BLUE, 11, "recommended"),
        ]
        if self.optimum is not None:
            best = self._metrics(np.array([self.optimum.row]), names)
            marks.append((best, "*", drawing.BLUE, 9, "optimum of the reward"))
        for where, marker, colour, size, label in marks:
            ax.plot(where[:, 1], where[:, 0], marker, mfc="none", color=colour, markersize=size, label=label, zorder=4)
        drawn = np.concatenate([points, *(where for where, *_ in marks), exact])
        ax.set(xlabel=metric_label(names[1]), ylabel=metric_label(names[0]))
        drawing.set_scale(ax, "x", drawn[:, 1], OBJECTIVES[names[1]].log)
        drawing.set_scale(ax, "y", drawn[:, 0], OBJECTIVES[names[0]].log)
        if names[0] == "val_accuracy" and len(self.exact) > 1:
            # A failed training at accuracy 0.1 would squeeze all else into a line.
            low, high = float(exact[:, 0].min()), float(exact[:, 0].max())
            margin = 0.6 * (high - low)
            ax.set_ylim(low - margin, high + 0.15 * margin)
            hidden = int((points[:, 0] < low - margin).sum())
            if hidden:
                ax.set_title(f"evaluations below: {hidden}", fontsize=8, loc="right")
        drawing.legend_below(ax)

    def draw_learning(self, ax: Axes) -> None:
        """Reward of each evaluation as it was seen, their running mean, and the best so far against the optimum."""
        rewards = self.record.column("reward")
        index = np.arange(1, len(rewards) + 1)
        ax.plot(index, rewards, ".", color=drawing.SKY, markersize=4, label="evaluation")
        window = max(1, len(rewards) // 20)
        if window > 1:
            mean = np.convolve(rewards, np.full(window, 1 / window), mode="valid")
            ax.plot(index[window - 1 :], mean, color=drawing.BLUE, label=f"mean of the last {window}")
        best = self.record.best_seen()
        so_far = np.where(best >= 0, rewards[np.maximum(best, 0)], np.nan)
        ax.step(index, so_far, where="post", color=drawing.VERMILLION, label="best so far")
        if self.optimum is not None:
            ax.axhline(
                self.optimum.reward, color=drawing.BLACK, linestyle="--", linewidth=1, label="optimum, as expected"
            )
        ax.set(xlabel=CURRENCIES["evaluations"].label, ylabel="reward")
        drawing.legend_below(ax)


_COMPARED: Final = (
    ("reward (the difference is the regret)", "reward"),
    ("validation accuracy", "val_accuracy"),
    ("test accuracy (never rewarded)", "test_accuracy"),
    ("energy of its training (kWh)", "energy"),
)
"""Lines of the table of the recommended cell: title and column of the record."""

_COSTS: Final = (("energy", 1), ("co2", 1000), ("training_time", 3600))
"""What a search would have cost, and by what its sum is divided to be in kWh, kg and hours."""


def _scalarisation(record: RunRecord) -> Scalarisation | None:
    try:
        return restored_scalarisation(record.header["task"]["scalarisation"])
    except UnknownNameError:  # a user's own: its code is not in the record
        return None


def _front_objectives(objectives: tuple[str, ...], benchmark: Benchmark, epochs: int) -> tuple[str, ...]:
    second = "val_accuracy" if objectives == ("energy",) else "energy"
    if len(objectives) > 1 or np.isnan(benchmark.values(second, epochs)).all():
        return objectives
    return (*objectives, second)


def _metric_text(name: str, metric: float) -> str:
    return f"{metric:,.0f}" if name == "trainable_parameters" else f"{metric:.5g}"


def _known(cost: float) -> str:
    return "an unknown number of" if math.isnan(cost) else f"{cost:.2f}"


def _spent(record: RunRecord) -> str:
    limits: dict[str, Any] = record.header["budget"]
    spent = [
        f"{record.costs(currency.name)[-1]:g} of {limits[currency.limit]:g} {currency.unit or currency.name}"
        for currency in CURRENCIES.values()
        if currency.limit in limits
    ]
    return ", ".join(spent) or "without a limit"
