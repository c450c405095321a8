"""Trains PPO and REINFORCE on ECNAS-7V-v0 for a few hundred evaluations and compares them: what ``make demo`` runs.

python examples/demo.py [--budget 300] [--out runs/demo]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # agents/ is not an installed package

from agents import ppo, reinforce
from agents.common import Search, SearchArgs
from agents.report import report


@dataclass
class Args:
    """Compare three controllers and random search on one benchmark."""

    env_id: str = "ECNAS-7V-v0"
    """Environment to search in."""
    budget: int = 300
    """Evaluations of each controller."""
    seed: int = 0
    """Seed of all of them."""
    out: Path = Path("runs/demo")
    """Folder for the records, tables and plots."""


def random_search(args: SearchArgs) -> Search:
    """Draws uniformly over the unique cells of the space."""
    rng = np.random.default_rng(args.seed)
    with Search("random", args) as search:
        while True:
            cell = search.benchmark.space.sample(rng)
            search.add(cell, search.benchmark.query(cell, search.epochs, budget=search.budget))
    report(search)
    return search


def main(args: Args) -> None:
    """Runs the controllers one after another, then prints and plots them side by side."""
    common = {"env_id": args.env_id, "budget": args.budget, "seed": args.seed}
    searches = [
        random_search(SearchArgs(**common, out=args.out / "random")),
        reinforce.main(reinforce.Args(**common, out=args.out / "reinforce")),
        reinforce.main(reinforce.Args(**common, policy="lstm", out=args.out / "reinforce-lstm")),
        ppo.main(ppo.Args(**common, out=args.out / "ppo")),
    ]
    print(f"\nAfter {args.budget} evaluations of {searches[0].benchmark.name}, seed {args.seed}:\n")
    print(f"{'controller':<24} {'best reward':>11} {'regret':>8} {'mean reward, last quarter':>26} {'kWh':>8}")
    for search in searches:
        _, optimum = search.benchmark.optimum(search.scalarisation, search.args.objectives, search.epochs)
        rewards = search.record.column("reward")
        late = rewards[-len(rewards) // 4 :].mean()
        print(
            f"{search.record.header['algorithm']:<24} {rewards.max():>11.4f} {optimum - rewards.max():>8.4f} "
            f"{late:>26.4f} {search.budget.spent.energy:>8.2f}"
        )
    plot(searches, args.out / "comparison.png")
    print(f"\nOne folder a controller, and comparison.png, are in {args.out}/")


def plot(searches: list[Search], path: Path) -> None:
    """Best reward so far, and the running mean of the rewards, of each controller."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    from ecnas import drawing as plots

    figure, (best, mean) = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    colours = (plots.BLACK, plots.ORANGE, plots.VERMILLION, plots.BLUE)
    for search, colour in zip(searches, colours, strict=True):
        rewards = search.record.column("reward")
        index = np.arange(1, len(rewards) + 1)
        name = search.record.header["algorithm"]
        best.step(index, np.maximum.accumulate(rewards), where="post", color=colour, label=name)
        window = max(1, len(rewards) // 10)
        smooth = np.convolve(rewards, np.full(window, 1 / window), mode="valid")
        mean.plot(index[window - 1 :], smooth, color=colour, label=name)
    _, optimum = searches[0].benchmark.optimum(searches[0].scalarisation)
    for ax, title in ((best, "best reward so far"), (mean, "mean reward of the last tenth")):
        ax.axhline(optimum, color="grey", linestyle="--", linewidth=1, label="optimum")
        ax.set(xlabel="evaluations", title=title)
    best.set_ylabel("reward")
    figure.legend(*mean.get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=8)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main(tyro.cli(Args))
