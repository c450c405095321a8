"""The winner's curse: the accuracy of the chosen cell as its training showed it, and its expected accuracy.

    python benchmarks/winners_curse.py [--runs runs/leaderboard] [--figure docs/images/winners-curse.png]

Reads the published baseline, or runs of ``benchmarks/leaderboard.toml``.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray

import ecnas
from ecnas import drawing
from ecnas.runs import charts, statistics
from ecnas.runs.analysis import cost_grid
from ecnas.runs.baseline import load_baseline
from ecnas.runs.comparison import MethodRuns, collect
from ecnas.runs.looks import looks

BENCHMARK = "surrogate-7V"
SHOWN = ("random search", "regularised evolution, population 100", "editing", "editing, Gaussian process")
"""One panel each, two in a row."""
PANEL = 2.4
"""Width of a panel in inches."""
FIRST = 5
"""Evaluations at which the curves begin."""


@dataclass
class Args:
    """Draw seen and expected validation accuracy of the chosen cell against evaluations."""

    runs: Path | None = None
    """Folder of runs in worlds; the shipped baseline by default."""
    figure: Path = Path("docs/images/winners-curse.png")
    """Where the chart goes."""


def methods(runs: Path | None) -> dict[str, MethodRuns]:
    """Methods by name, on the task of worlds and validation accuracy alone."""
    found = (
        load_baseline("rl-nas").tasks
        if runs is None
        else {comparison.key: comparison.methods for comparison in collect([runs])}
    )
    expected = ecnas.load(BENCHMARK).digest
    (task,) = [key for key in found if key.noisy and key.objectives == ("val_accuracy",) and key.expected == expected]
    return {method.name: method for method in found[task]}


def seen_and_expected(
    method: MethodRuns, grid: NDArray[np.float64], best: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Validation accuracy of the chosen cell in percent, each of shape (runs, costs).

    Args:
        method: Runs that were judged.
        grid: Numbers of evaluations, shape (costs,).
        best: The best expected validation accuracy of the table, in percent.
    """
    expected = best - method.values("val_regret", grid)
    return expected + method.values("optimism", grid), expected


def main(args: Args) -> None:
    known = methods(args.runs)
    best = 100 * float(np.nanmax(ecnas.load(BENCHMARK).values("val_accuracy")))
    shown = looks(SHOWN)
    with drawing.style(PANEL):
        figure = drawing.new_figure(2 * PANEL, 4.2)
        panels = list(figure.subplots(2, 2, sharex=True, sharey=True).flat)
        for ax, name in zip(panels, SHOWN, strict=True):
            method, colour = known[name], shown[name].colour
            span = method.span("evaluations")
            assert span is not None
            grid = cost_grid(*span, "evaluations", 80)
            grid = grid[grid >= FIRST]
            of_both = []
            looks_of = (("--", "as seen"), ("-", "as expected"))
            for values, (dashes, label) in zip(seen_and_expected(method, grid, best), looks_of, strict=True):
                found = statistics.estimate([values], "mean", charts.BAND_RESAMPLES)
                of_both.append(found.centre)
                ax.fill_between(grid, found.low, found.high, color=colour, alpha=0.2, linewidth=0)
                ax.plot(grid, found.centre, dashes, color=colour, linewidth=1.4, label=label)
            ax.axhline(best, color=drawing.BLACK, linewidth=0.8, linestyle=":", label="best of the table")
            drawing.set_scale(ax, "x", grid, log=True, margin=0.01)
            x, y = "evaluations" if ax in panels[2:] else "", "validation accuracy (%)" if ax in panels[::2] else ""
            drawing.set_labels(ax, x, y)
            ax.set_title(textwrap.fill(name, 26))
            seen, true = (values[-1] for values in of_both)
            print(f"{name}: {seen:.3f}% seen, {true:.3f}% expected, best of the table {best:.3f}%")
        panels[0].set_ylim(best - 1.6, best + 0.7)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
        drawing.save(figure, args.figure)


if __name__ == "__main__":
    main(tyro.cli(Args))
