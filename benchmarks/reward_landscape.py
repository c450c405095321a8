"""The landscape of the default reward and its optimum: the tables and the figure of docs/rewards.md.

python benchmarks/reward_landscape.py [--write docs/rewards.md] [--figure docs/images/reward-landscape.png]

Published files that can be neither found nor fetched are skipped, with a message.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tyro
from numpy.typing import NDArray
from page import publish

import ecnas
from ecnas import drawing
from ecnas.benchmark import DEFAULT_SCALARISATION
from ecnas.errors import ECNASError
from ecnas.official import CATALOGUE
from ecnas.space import SPACES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEAR = 0.01
"""Rewards within this distance of the optimum count as near it."""
BINS = 60
PANEL = 3.1
"""Width of a panel in inches."""

LARGE = {"4V": 4, "5V": 5, "7V": 6}
"""Number of vertices from which a cell of a space counts as large."""


@dataclass(frozen=True)
class LinearInLogError:
    """Weighted mean of the scores of the logarithm of the error, and of energy."""

    benchmark: ecnas.Benchmark
    weight: float

    def __call__(self, rewards: NDArray[np.float64], metrics: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        bounds = self.benchmark.normalisation()
        worst, best = np.log(1 - bounds.nadir[0]), np.log(1 - bounds.ideal[0])
        score = np.maximum((worst - np.log(1 - metrics["val_accuracy"])) / (worst - best), 0)
        result: NDArray[np.float64] = self.weight * score + (1 - self.weight) * rewards[..., 1]
        return result


def soft_cap(least: float, _: ecnas.Benchmark) -> ecnas.Scalarisation:
    """The form of the default with another cap."""
    return ecnas.SoftCap(least)


CANDIDATES: dict[str, Callable[[ecnas.Benchmark], str | ecnas.Scalarisation]] = {
    "linear, weights 0.5 and 0.5 (the former default)": lambda _: "linear",
    "linear, 0.3 and 0.7": lambda _: ecnas.Linear((0.3, 0.7)),
    "linear, 0.7 and 0.3": lambda _: ecnas.Linear((0.7, 0.3)),
    "linear, 0.85 and 0.15": lambda _: ecnas.Linear((0.85, 0.15)),
    "linear, 0.9 and 0.1": lambda _: ecnas.Linear((0.9, 0.1)),
    "linear, 0.95 and 0.05": lambda _: ecnas.Linear((0.95, 0.05)),
    "linear in the log of the error, 0.5 and 0.5": lambda benchmark: LinearInLogError(benchmark, 0.5),
    "linear in the log of the error, 0.8 and 0.2": lambda benchmark: LinearInLogError(benchmark, 0.8),
    "linear in the log of the error, 0.85 and 0.15": lambda benchmark: LinearInLogError(benchmark, 0.85),
    "Chebyshev, 0.5 and 0.5": lambda _: "chebyshev",
    "Chebyshev, 0.9 and 0.1": lambda _: ecnas.Chebyshev((0.9, 0.1)),
    "Chebyshev, 0.95 and 0.05": lambda _: ecnas.Chebyshev((0.95, 0.05)),
    "Chebyshev, 0.965 and 0.035": lambda _: ecnas.Chebyshev((0.965, 0.035)),
    "Chebyshev, 0.975 and 0.025": lambda _: ecnas.Chebyshev((0.975, 0.025)),
    "power, exponent −0.07": lambda _: "power",
    "power, exponent −0.01": lambda benchmark: ecnas.PowerLaw(benchmark.normalisation().metric("energy", 0.5), -0.01),
    "cap in the middle": lambda _: "cap",
    **{f"soft cap, t = {least}": functools.partial(soft_cap, least) for least in (0.5, 0.3, 0.25, 0.2, 0.15, 0.1)},
}


@dataclass
class Args:
    """Make the tables and the figure of the default reward."""

    write: Path | None = None
    """Markdown file between whose marks the tables go; they are printed by default."""
    figure: Path = Path("docs/images/reward-landscape.png")
    """Where the figure goes."""


def benchmarks() -> list[ecnas.Benchmark]:
    """The embedded benchmarks, and the available published ones."""
    found = []
    for name in [*(f"surrogate-{space}" for space in SPACES), *CATALOGUE]:
        try:
            found.append(ecnas.load(name))
        except (ECNASError, OSError) as error:
            print(f"left out: {name} ({error})")
    return found


def optima(chosen: list[ecnas.Benchmark]) -> list[str]:
    """A line of the table for each benchmark: its front, and where on it the optimum is."""
    lines = [
        "| benchmark | epochs | cap (kWh) | front | position of the optimum | vertices | accuracy | kWh | reward "
        f"| cells within {NEAR} | row | hash |",
        "|---" * 12 + "|",
    ]
    for benchmark in chosen:
        front = benchmark.pareto_front()
        cell, reward = benchmark.optimum()
        position = front.rows.tolist().index(cell.row)
        accuracy, energy = front.figures[position]
        near = np.count_nonzero(benchmark.scalar_rewards() >= reward - NEAR)
        lines.append(
            f"| {benchmark.name} | {benchmark.epochs[-1]} | {cap_of(benchmark):.3g} | {len(front)} | {position + 1} "
            f"| {cell.num_vertices} | {accuracy:.4f} | {energy:.3g} | {reward:.4f} | {near} | {cell.row} "
            f"| `{cell.hash}` |"
        )
    return lines


def candidates(chosen: list[ecnas.Benchmark]) -> list[str]:
    """The optima of each candidate in the embedded spaces, and the number of benchmarks that it fits."""
    spaces = [benchmark.name for benchmark in chosen[: len(SPACES)]]
    lines = [f"| reward | {' | '.join(spaces)} | fits |", "|---" * (len(spaces) + 2) + "|"]
    for name, make in CANDIDATES.items():
        entries, fits = [], 0
        for benchmark in chosen:
            cell, _ = benchmark.optimum(make(benchmark))
            rows = benchmark.pareto_front().rows.tolist()
            place = rows.index(cell.row) + 1
            accuracy = benchmark.query(cell).val_accuracy
            entries.append(f"{cell.num_vertices} vertices, {accuracy:.4f}, {place} of {len(rows)}")
            fits += 1 < place < len(rows) and cell.num_vertices >= LARGE[benchmark.space.name]
        lines.append(f"| {name} | {' | '.join(entries[: len(spaces)])} | {fits} of {len(chosen)} |")
    return lines


def sizes(chosen: list[ecnas.Benchmark]) -> list[str]:
    """The best reward of cells of each size, in the embedded spaces."""
    most = max(benchmark.space.num_vertices for benchmark in chosen)
    lines = ["| benchmark | " + " | ".join(f"{v} vertices" for v in range(2, most + 1)) + " |", "|---" * most + "|"]
    for benchmark in chosen:
        vertices = benchmark.space.cells.num_vertices
        rewards = benchmark.scalar_rewards()
        entries = [f"{rewards[vertices == v].max():.4f}" if (vertices == v).any() else "" for v in range(2, most + 1)]
        lines.append(f"| {benchmark.name} | " + " | ".join(entries) + " |")
    return lines


def draw(chosen: list[ecnas.Benchmark], path: Path) -> None:
    """All cells of the embedded benchmarks by energy and accuracy, coloured by reward; below them, the fronts."""
    panels = len(SPACES) + len(chosen)
    rows = -(-(panels + 1) // 2)
    with drawing.style(PANEL):
        figure = drawing.new_figure(2 * PANEL, 2.3 * rows)
        axes = list(figure.subplots(rows, 2, squeeze=False).flat)
        for benchmark, ax in zip(chosen, axes[: len(SPACES)], strict=False):
            cells(benchmark, ax, figure)
        fronts = axes[len(SPACES) : panels]
        for benchmark, ax in zip(chosen, fronts, strict=True):
            front(benchmark, ax)
        for free in axes[panels + 1 :]:
            free.set_axis_off()
        drawing.share_legend(fronts, axes[panels])
        drawing.save(figure, path)


def cells(benchmark: ecnas.Benchmark, ax: Axes, figure: Figure) -> None:
    """Every cell by energy and accuracy, coloured by its reward; where several overlap, by the best."""
    energy, accuracy = benchmark.values("energy"), benchmark.values("val_accuracy")
    low = benchmark.normalisation().nadir[0]
    shown = ax.hexbin(
        energy[accuracy > low],
        accuracy[accuracy > low],
        C=benchmark.scalar_rewards()[accuracy > low],
        reduce_C_function=np.max,
        gridsize=BINS,
        xscale="log",
        cmap="viridis",
        linewidths=0.1,
    )
    figure.colorbar(shown, ax=ax, label="reward")
    best = benchmark.query(benchmark.optimum()[0])
    ax.plot(best.energy, best.val_accuracy, "*", color=drawing.VERMILLION, markersize=12)
    ax.axvline(cap_of(benchmark), color="grey", linestyle="--", linewidth=1)
    ax.set(title=f"{benchmark.name}, all cells", ylabel="validation accuracy")
    label_energies(ax, energy[accuracy > low])


def front(benchmark: ecnas.Benchmark, ax: Axes) -> None:
    """The rewards of the cells on the exact front."""
    exact = benchmark.pareto_front()
    for name, colour, marker in ((DEFAULT_SCALARISATION, drawing.BLUE, "o"), ("linear", drawing.ORANGE, "s")):
        rewards = benchmark.scalar_rewards(name)[exact.rows]
        best = int(np.argmax(rewards))
        ax.plot(exact.figures[:, 1], rewards, "-", marker=marker, markersize=3, color=colour, label=name)
        ax.plot(exact.figures[best, 1], rewards[best], marker="*", markersize=13, color=colour)
    ax.axvline(cap_of(benchmark), color="grey", linestyle="--", linewidth=1, label="cap")
    ax.set(xscale="log", title=f"{benchmark.name}, exact front", ylabel="reward")
    label_energies(ax, exact.figures[:, 1])


def cap_of(benchmark: ecnas.Benchmark) -> float:
    """The cap in kWh."""
    return benchmark.normalisation().metric("energy", ecnas.SoftCap().least)


def label_energies(ax: Axes, energies: NDArray[np.float64]) -> None:
    """Three ticks on a logarithmic axis."""
    low, high = energies.min(), energies.max()
    ticks = [low, np.sqrt(low * high), high]
    ax.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
    ax.minorticks_off()
    ax.set_xlabel("training energy (kWh)")


def main(args: Args) -> None:
    chosen = benchmarks()
    embedded = chosen[: len(SPACES)]
    made = {"landscape": optima(chosen), "sizes": sizes(embedded), "candidates": candidates(chosen)}
    tables = {name: "\n".join(lines) for name, lines in made.items()}
    draw(chosen, args.figure)
    publish(tables, args.write)
    print(f"\n{args.figure}")


if __name__ == "__main__":
    main(tyro.cli(Args))
