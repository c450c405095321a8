"""What came of a search: the best cell against the optimum, the front found against the exact one, and what it cost."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agents.common import Search
from ecnas import Budget, Cell, Evaluation, pareto
from ecnas.benchmark import REFERENCE_MARGIN
from ecnas.objectives import OBJECTIVES, oriented

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def report(search: Search) -> None:
    """Shows what came of the search and, unless nothing is saved, writes it beside the record.

    ``report.md`` has the tables, ``front.csv`` the front found and the exact one, ``cell.png`` and ``cell.txt`` the
    best cell, ``front.png`` and ``learning.png`` the plots.
    """
    if not search.args.report or (search.folder is None and not search.args.progress):
        return
    if not len(search.record):
        print(f"{search.budget!r} does not allow a single evaluation")
        return
    outcome = Outcome.of(search)
    text = outcome.as_markdown(search)
    if search.args.progress:
        print(text)
    if search.folder is None:
        return
    (search.folder / "report.md").write_text(text, encoding="utf-8")
    (search.folder / "cell.txt").write_text(f"{outcome.best_cell}\n", encoding="utf-8")
    outcome.write_fronts(search, search.folder / "front.csv")
    outcome.draw(search, search.folder)
    if search.args.progress:
        print(f"Record, tables and plots are in {search.folder}/")


@dataclass(frozen=True)
class Outcome:
    """What a search found, beside what there was to find.

    Attributes:
        best: Number of the evaluation with the highest reward, the first of equals.
        best_cell: Its cell.
        optimum: The best evaluation of the whole benchmark under the same reward; its cell and reward.
        front: Table rows of the cells found that no other cell found dominates, by ascending first objective.
        exact: Table rows of the exact front, likewise.
        hypervolume: Of the front found, as a part of the exact front's, in normalised objectives.
    """

    best: int
    best_cell: Cell
    optimum_cell: Cell
    optimum: Evaluation
    optimum_reward: float
    front: NDArray[np.int64]
    exact: NDArray[np.int64]
    hypervolume: float

    @classmethod
    def of(cls, search: Search) -> Outcome:
        """Compares a search with the exact figures of its benchmark."""
        benchmark, record, names = search.benchmark, search.record, search.args.objectives
        best = int(np.argmax(record.column("reward")))
        optimum_cell, optimum_reward = benchmark.optimum(search.scalarisation, names, search.epochs)
        found = np.unique(record.column("row").astype(np.int64))
        front = found[pareto.non_dominated(oriented(names, _figures(search, found)))]
        exact = benchmark.pareto_front(names, search.epochs)
        scores = benchmark.normalisation(names, search.epochs).scores(_figures(search, front))
        reference = np.full(len(names), -REFERENCE_MARGIN)
        return cls(
            best,
            benchmark.space[record.row(best)["row"]],
            optimum_cell,
            benchmark.query(optimum_cell, search.epochs),
            optimum_reward,
            front,
            exact.rows,
            pareto.hypervolume(scores, reference) / pareto.hypervolume(exact.scores, reference),
        )

    def as_markdown(self, search: Search) -> str:
        """The report's tables."""
        record, args = search.record, search.args
        best = record.row(self.best)
        unique = len(set(record.column("row").tolist()))
        budget = ", ".join(f"{spent_text} of {limit:g}" for spent_text, limit in _spent_and_limits(search.budget))
        provenance = ", ".join(sorted({row["provenance"] for row in record.rows}))
        lines = [
            f"# {record.header['algorithm']} on {search.benchmark.name}, seed {args.seed}",
            "",
            f"{len(record)} evaluations of {unique} different cells at {search.epochs} epochs ({provenance} figures); "
            f"budget spent: {budget}.",
            "",
            "| | best cell found | optimum of the reward | optimum − found |",
            "|---|---|---|---|",
            _compared("reward (the difference is the regret)", best["reward"], self.optimum_reward),
            _compared("validation accuracy", best["val_accuracy"], self.optimum.val_accuracy),
            _compared("test accuracy (never rewarded)", best["test_accuracy"], self.optimum.test_accuracy),
            _compared("energy of its training (kWh)", best["energy"], self.optimum.energy),
            f"| trainable parameters | {best['trainable_parameters']:,} | {self.optimum.trainable_parameters:,} | |",
            f"| found at evaluation | {self.best + 1} | | |",
            f"| hash | {best['hash']} | {self.optimum_cell.hash} | |",
            "",
            "```",
            str(self.best_cell),
            "```",
            "",
            f"Front found: {len(self.front)} cells, {len(np.intersect1d(self.front, self.exact))} of them among the "
            f"{len(self.exact)} of the exact front; {100 * self.hypervolume:.2f} % of its hypervolume.",
            "",
            "| " + " | ".join(_label(name) for name in args.objectives) + " | reward | on the exact front |",
            "|---" * (len(args.objectives) + 2) + "|",
        ]
        rewards = search.benchmark.scalar_rewards(search.scalarisation, args.objectives, search.epochs)
        for row, figures in zip(self.front.tolist(), _figures(search, self.front), strict=True):
            cells = [f"{figure:.5g}" for figure in figures] + [f"{rewards[row]:.4f}"]
            lines.append("| " + " | ".join(cells) + f" | {'yes' if row in self.exact else 'no'} |")
        # The sums are NaN where the benchmark lacks a figure, which must not pass for no cost.
        kwh, co2, hours = (record.column(name).sum() / unit for name, unit in _COSTS)
        lines += [
            "",
            f"Had every network been trained, the search would have cost {_known(kwh)} kWh, {_known(co2)} kg CO2 and "
            f"{_known(hours)} hours of training.",
        ]
        if search.invalid_episodes:
            lines += ["", f"{search.invalid_episodes} episodes left the mask; they cost nothing."]
        return "\n".join(lines) + "\n"

    def write_fronts(self, search: Search, path: Path) -> None:
        """Writes the cells of both fronts with what the benchmark says of them."""
        columns = [*dict.fromkeys([*search.args.objectives, "val_accuracy", "test_accuracy", "energy"])]
        rewards = search.benchmark.scalar_rewards(search.scalarisation, search.args.objectives, search.epochs)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["hash", "row", "found", "on_found_front", "on_exact_front", "reward", *columns])
            evaluated = set(search.record.column("row").astype(int).tolist())
            for row in np.union1d(self.front, self.exact).tolist():
                figures = [search.benchmark.values(name, search.epochs)[row] for name in columns]
                on = [int(row in evaluated), int(row in self.front), int(row in self.exact)]
                writer.writerow([search.benchmark.space[row].hash, row, *on, float(rewards[row]), *map(float, figures)])

    def draw(self, search: Search, folder: Path) -> None:
        """Draws ``cell.png``, ``front.png`` and ``learning.png``."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        best = search.record.row(self.best)
        title = f"reward {best['reward']:.4f}, accuracy {best['val_accuracy']:.4f}, {best['energy']:.4f} kWh"
        plots = {
            "cell": ((3.6, 0.75 * self.best_cell.num_vertices + 0.8), self.best_cell.draw, title),
            "front": ((6.4, 4.4), partial(self.draw_front, search), None),
            "learning": ((6.4, 4.0), partial(self.draw_learning, search), None),
        }
        for name, (size, draw, heading) in plots.items():
            # A figure of its own, without pyplot: no display is opened and no global state is left behind.
            figure = Figure(figsize=size, layout="constrained", dpi=150)
            FigureCanvasAgg(figure)
            axes = figure.subplots()
            draw(axes)
            if heading:
                axes.set_title(heading, fontsize=8)
            figure.savefig(folder / f"{name}.png")

    def draw_front(self, search: Search, ax: Axes) -> None:
        """All evaluations, the front found and the exact front, in the first two objectives."""
        from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

        from ecnas import drawing as plots

        names = search.args.objectives[:2] if len(search.args.objectives) > 1 else (*search.args.objectives, "energy")
        rows = search.record.column("row").astype(np.int64)

        def points(rows: NDArray[np.int64]) -> NDArray[np.float64]:
            return np.stack([search.benchmark.values(name, search.epochs)[rows] for name in names], axis=1)

        # Energy, or whatever the second objective is, lies on the horizontal axis.
        y, x = points(rows).T
        dots = ax.scatter(x, y, c=np.arange(len(rows)), s=14, cmap="viridis", alpha=0.7, linewidths=0, zorder=2)
        ax.figure.colorbar(dots, ax=ax, label="evaluation")
        y, x = points(self.exact).T
        # A staircase: between two cells of the front the cheaper one is the best there is.
        ax.step(x, y, ".-", where="post", color=plots.BLACK, markersize=4, linewidth=1, label="exact front", zorder=3)
        y, x = points(self.front).T
        ax.plot(x, y, "o", mfc="none", color=plots.VERMILLION, markersize=7, label="front found", zorder=4)
        y, x = points(np.array([search.benchmark.space.row(self.optimum_cell)])).T
        ax.plot(x, y, "*", color=plots.BLUE, markersize=13, label="optimum of the reward", zorder=5)
        y, x = points(np.array([self.best_cell.row])).T
        ax.plot(x, y, "D", mfc="none", color=plots.BLUE, markersize=11, label="best found", zorder=5)
        for name, axis in ((names[1], "x"), (names[0], "y")):
            getattr(ax, f"set_{axis}label")(_label(name))
            if OBJECTIVES[name].log:
                getattr(ax, f"set_{axis}scale")("log")
                ticks = getattr(ax, f"{axis}axis")
                ticks.set_major_locator(LogLocator(subs=(1, 2, 5)))
                ticks.set_major_formatter(FuncFormatter(lambda figure, _: f"{figure:g}"))
                ticks.set_minor_formatter(NullFormatter())
        exact = points(self.exact)[:, 0]
        if names[0] == "val_accuracy" and len(self.exact) > 1:
            # A failed training at accuracy 0.1 would squeeze all else into a line.
            margin = 0.6 * float(np.ptp(exact))
            ax.set_ylim(float(exact.min()) - margin, float(exact.max()) + 0.15 * margin)
            hidden = int((points(rows)[:, 0] < exact.min() - margin).sum())
            if hidden:
                ax.set_title(f"{hidden} evaluations lie below", fontsize=8, loc="right")
        ax.legend(fontsize=8)

    def draw_learning(self, search: Search, ax: Axes) -> None:
        """Reward of each evaluation, their running mean, and the best so far against the optimum."""
        from ecnas import drawing as plots

        rewards = search.record.column("reward")
        index = np.arange(1, len(rewards) + 1)
        ax.plot(index, rewards, ".", color=plots.SKY, markersize=4, label="evaluation")
        window = max(1, len(rewards) // 20)
        if window > 1:
            mean = np.convolve(rewards, np.full(window, 1 / window), mode="valid")
            ax.plot(index[window - 1 :], mean, color=plots.BLUE, label=f"mean of the last {window}")
        ax.step(index, np.maximum.accumulate(rewards), where="post", color=plots.VERMILLION, label="best so far")
        ax.axhline(self.optimum_reward, color=plots.BLACK, linestyle="--", linewidth=1, label="optimum")
        ax.set(xlabel="evaluations", ylabel="reward")
        ax.legend(fontsize=8, loc="lower right")


_COSTS = (("energy", 1), ("co2", 1000), ("training_time", 3600))
"""What a search would have cost, and by what its sum is divided to be in kWh, kg and hours."""


def _known(figure: float) -> str:
    return "an unknown number of" if math.isnan(figure) else f"{figure:.2f}"


def _figures(search: Search, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """The objectives of table rows in natural units, shape (rows, objectives)."""
    return np.stack([search.benchmark.values(name, search.epochs)[rows] for name in search.args.objectives], axis=1)


def _label(name: str) -> str:
    objective = OBJECTIVES[name]
    return f"{objective.label} ({objective.unit})" if objective.unit else objective.label


def _compared(name: str, found: float, best: float) -> str:
    return f"| {name} | {found:.4f} | {best:.4f} | {best - found:+.4f} |"


def _spent_and_limits(budget: Budget) -> list[tuple[str, float]]:
    units = {"energy": "kWh", "seconds": "s"}
    spent = budget.spent
    return [(f"{getattr(spent, n):g} {units.get(n, n)}", limit) for n, limit in budget.limits.items()]
