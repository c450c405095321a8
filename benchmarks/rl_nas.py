"""The tables and the figure of docs/rl-nas.md, from the runs of the sweeps beside this file.

    for sweep in benchmarks/rl_nas*.toml; do ecnas sweep $sweep --processes 2; done
    python benchmarks/rl_nas.py [--runs runs] [--write docs/rl-nas.md] [--figure docs/images/rl-nas.png]

Runs that are not there are left out; the tables say how many there are. The sweep on measured accuracies needs the
published file (``ecnas fetch energy_5V9E_4epochs``).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import tyro
from numpy.typing import NDArray
from page import write_sections

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # agents/ is not an installed package

from agents.benchmark import Algorithm, Sweep, complete_runs, means, tables

import ecnas
from ecnas.runs import analysis, charts
from ecnas.runs.analysis import Curve
from ecnas.runs.record import RunRecord

matplotlib.use("Agg")
from matplotlib import pyplot as plt

HERE = Path(__file__).parent
CHECKPOINTS = (150, 500)
GOAL = 0.05
"""Validation regret, in percent of accuracy, to which the energy is counted."""
SHOWN = (
    "editing",
    "priority-queue training",
    "BANANAS",
    "local search, best improvement",
    "REINFORCE, −log regret",
    "masked PPO",
    "regularised evolution, population 20",
    "random search",
)
"""Methods in the figure."""


@dataclass
class Args:
    """Make the tables and the figure of docs/rl-nas.md."""

    runs: Path = Path("runs")
    """Folder that holds rl-nas, rl-nas-front, rl-nas-ablation, rl-nas-epochs and rl-nas-measured."""
    write: Path | None = None
    """Markdown file between whose marks the tables go; they are printed by default."""
    figure: Path = Path("docs/images/rl-nas.png")
    """Anytime curves."""


@dataclass
class Accuracy:
    """What the runs of a method for accuracy alone had reached; regrets in percent of accuracy.

    Attributes:
        test: Test regret after each evaluation, shape (runs, evaluations).
        val: Validation regret after each evaluation, of the same shape.
        energy: kWh until the validation regret was at most :data:`GOAL`; infinite if it never was. Shape (runs,).
        first: The evaluation that brought the cell with the best validation accuracy of the table, counted from 1;
            infinite if none did. Shape (runs,).
    """

    test: NDArray[np.float64]
    val: NDArray[np.float64]
    energy: NDArray[np.float64]
    first: NDArray[np.float64]


def runs_of(sweep: Sweep, algorithm: Algorithm) -> Iterator[RunRecord]:
    """The complete runs of an algorithm in a sweep of one benchmark and one budget."""
    return complete_runs(sweep, algorithm, sweep.benchmarks[0], sweep.budgets[0])


def accuracy(runs: Iterable[RunRecord], benchmark: ecnas.Benchmark) -> Accuracy:
    """Reads what the runs had reached."""
    tests, vals, energies, firsts = [], [], [], []
    for run in runs:
        tests.append(100 * analysis.regret(run, benchmark))
        vals.append(100 * analysis.regret(run, benchmark, report="val_accuracy"))
        reached, best = (np.flatnonzero(vals[-1] <= goal) for goal in (GOAL, 0.0))
        energies.append(run.column("cumulative_energy")[reached[0]] if len(reached) else np.inf)
        firsts.append(best[0] + 1 if len(best) else np.inf)
    return Accuracy(*map(np.array, (tests, vals, energies, firsts)))


def accuracy_table(methods: dict[str, Accuracy]) -> str:
    """All methods, the one with the highest test regret at the first checkpoint first."""
    at = np.array(CHECKPOINTS) - 1
    lines = [
        "| method | seeds | test regret at 150 | at 500 | validation regret at 150 | at 500 "
        f"| best cell found by 150 / 500 (% of seeds) | kWh to a validation regret of {GOAL} |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, found in sorted(methods.items(), key=lambda item: -item[1].test[:, at[0]].mean()):
        cells = [*means(found.test[:, at]), *means(found.val[:, at])]
        shares = " / ".join(f"{100 * (found.first <= point).mean():.0f}" for point in CHECKPOINTS)
        energy = np.median(found.energy)
        lines.append(
            f"| {name} | {len(found.test)} | {' | '.join(cells)} | {shares} "
            f"| {f'{energy:.0f}' if np.isfinite(energy) else '–'} |"
        )
    name, best = min(methods.items(), key=lambda item: item[1].test[:, at[0]].mean())
    lines += ["", f"Evaluations until {name} finds the best cell: {np.median(best.first):g} in the median, "]
    lines[-1] += f"{best.first.max():g} at most."
    return "\n".join(lines)


def curve(values: NDArray[np.float64]) -> Curve:
    """Mean and bootstrapped interval after each evaluation, shape (runs, evaluations)."""
    grid = np.unique(np.round(np.geomspace(1, values.shape[1], 120)).astype(int))
    mean, low, high = analysis.interval([values[:, grid - 1]], statistic=lambda v: v.mean(axis=0))
    return Curve(grid.astype(np.float64), mean, low, high)


def draw(regrets: dict[str, Curve], volumes: dict[str, Curve], path: Path) -> None:
    """Two charts beside each other."""
    with charts.style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
        charts.anytime(regrets, "test regret (% of accuracy)", title="Accuracy alone", log=True, ax=left)
        charts.anytime(volumes, "hypervolume (% of the exact front's)", title="Accuracy and energy", ax=right)
        left.set(xlim=(10, 500), ylim=(0.001, 1.0))
        left.legend(fontsize=7, loc="lower left")
        right.set(xlim=(10, 500), ylim=(60, 100))
        charts.save(figure, path)


def main(args: Args) -> None:
    sweeps = {
        name: Sweep.load(HERE / f"{name}.toml", args.runs / folder)
        for name, folder in {
            "rl_nas": "rl-nas",
            "rl_nas_slow": "rl-nas",
            "rl_nas_front": "rl-nas-front",
            "rl_nas_ablation": "rl-nas-ablation",
            "rl_nas_epochs": "rl-nas-epochs",
            "rl_nas_measured": "rl-nas-measured",
        }.items()
    }
    benchmark = ecnas.load(sweeps["rl_nas"].benchmarks[0])
    methods = {}
    for sweep in (sweeps["rl_nas"], sweeps["rl_nas_slow"]):
        for algorithm in sweep.algorithms:
            found = accuracy(runs_of(sweep, algorithm), benchmark)
            if len(found.test):
                methods[algorithm.name] = found
                print(f"{algorithm.name}: {len(found.test)} runs", file=sys.stderr)
    front = sweeps["rl_nas_front"]
    volumes = {
        algorithm.name: np.array(
            [100 * analysis.hypervolume(run, benchmark, front.objectives) for run in runs_of(front, algorithm)]
        )
        for algorithm in front.algorithms
    }
    draw(
        {name: curve(methods[name].test) for name in SHOWN if name in methods},
        {name: curve(volumes[name]) for name in reversed(volumes) if len(volumes[name])},
        args.figure,
    )
    sections = {
        "accuracy": accuracy_table(methods),
        "front": tables(front)[0],
        "parts": tables(sweeps["rl_nas_ablation"])[0],
        "epochs": tables(sweeps["rl_nas_epochs"])[0],
        "measured": tables(sweeps["rl_nas_measured"])[0],
    }
    if args.write is None:
        print("\n\n".join(sections.values()))
        return
    write_sections(args.write, sections)


if __name__ == "__main__":
    main(tyro.cli(Args))
