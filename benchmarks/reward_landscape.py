"""Where the default reward has its optimum on each exact front: the table and the figure of docs/rewards.md.

python benchmarks/reward_landscape.py [--out docs/images/reward-landscape.png]

Published files that can be neither found nor fetched are left out, with a line that says so.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np

import ecnas
from ecnas import drawing
from ecnas.errors import ECNASError
from ecnas.official import CATALOGUE
from ecnas.space import SPACES

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def benchmarks() -> list[ecnas.Benchmark]:
    """The embedded benchmarks, and the published ones that can be had."""
    found = []
    for name in [*(f"surrogate-{space}" for space in SPACES), *CATALOGUE]:
        try:
            found.append(ecnas.load(name))
        except (ECNASError, OSError) as error:
            print(f"left out: {name} ({error})")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/images/reward-landscape.png"))
    arguments = parser.parse_args()
    chosen = benchmarks()
    rows = -(-len(chosen) // 4)
    figure, axes = plt.subplots(rows, 4, figsize=(13, 2.9 * rows), layout="constrained", sharey=True, squeeze=False)
    print("| benchmark | epochs | front | optimum is point | accuracy | kWh | reward | row | hash |")
    print("|---|---|---|---|---|---|---|---|---|")
    for benchmark, ax in zip(chosen, axes.flat, strict=False):
        front = benchmark.pareto_front()
        cell, reward = benchmark.optimum()
        position = front.rows.tolist().index(cell.row) + 1
        accuracy, energy = front.figures[position - 1]
        figures = f"{accuracy:.4f} | {energy:.4f} | {reward:.4f} | {cell.row} | `{cell.hash}`"
        print(f"| {benchmark.name} | {benchmark.epochs[-1]} | {len(front)} | {position} | {figures} |")
        for name, colour, marker in (("linear", drawing.BLUE, "o"), ("chebyshev", drawing.VERMILLION, "s")):
            rewards = benchmark.scalar_rewards(benchmark.scalarisation(name))[front.rows]
            rewards = rewards + 1 if name == "chebyshev" else rewards
            best = int(np.argmax(rewards))
            label = "1 + chebyshev" if name == "chebyshev" else name
            ax.plot(front.figures[:, 1], rewards, "-", marker=marker, markersize=3, color=colour, label=label)
            ax.plot(front.figures[best, 1], rewards[best], marker="*", markersize=13, color=colour)
        ax.set(xscale="log", title=benchmark.name, xlabel="training energy (kWh)")
        low, high = front.figures[:, 1].min(), front.figures[:, 1].max()
        ax.set_xticks([low, np.sqrt(low * high), high], [f"{x:.2g}" for x in (low, np.sqrt(low * high), high)])
        ax.minorticks_off()
    for ax in axes.flat[len(chosen) :]:
        ax.axis("off")
    axes[0, 0].set_ylabel("reward on the exact front")
    axes[0, 0].legend(fontsize=8)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(arguments.out, dpi=110)
    print(f"\n{arguments.out}")


if __name__ == "__main__":
    main()
