"""Trains PPO and REINFORCE for a few hundred evaluations and compares them: what ``make demo`` runs.

python examples/demo.py [--budget 300] [--out runs/demo]
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from ecnas import drawing, runs, search
from ecnas.objectives import restored_scalarisation
from ecnas.runs import charts
from ecnas.runs.looks import looks
from ecnas.runs.script import RunSettings, run_method
from ecnas_gym.agents import ppo, reinforce


@dataclass
class Args:
    """Compare three controllers and random search on one benchmark."""

    benchmark: str = "surrogate-7V"
    """Benchmark to search on."""
    budget: int = 300
    """Evaluations of each controller."""
    seed: int = 0
    """Seed of all of them."""
    out: Path = Path("runs/demo")
    """Folder for the records, tables and plots."""


METHODS = {
    "random search": search.RandomSearch(),
    "REINFORCE": reinforce.REINFORCE(),
    "REINFORCE, LSTM": reinforce.REINFORCE(policy="lstm"),
    "masked PPO": ppo.PPO(),
}


def main(args: Args) -> None:
    """Runs the controllers one after another, then prints and plots them side by side."""
    records = {}
    for name, method in METHODS.items():
        folder = args.out / name.replace(", ", "-").replace(" ", "-")
        settings = RunSettings(benchmark=args.benchmark, budget=args.budget, seed=args.seed, out=folder)
        records[name] = run_method(method, settings)
    first = next(iter(records.values()))
    benchmark = runs.benchmark_of(first.header)
    _, optimum = benchmark.optimum(restored_scalarisation(first.header["task"]["scalarisation"]), first.objectives)
    print(f"\nAfter {args.budget} evaluations of {benchmark.name}, seed {args.seed}:\n")
    print(f"{'controller':<24} {'best reward':>11} {'regret':>8} {'mean reward, last quarter':>26} {'kWh':>8}")
    for name, record in records.items():
        rewards = record.column("reward")
        late = rewards[-len(rewards) // 4 :].mean()
        print(
            f"{name:<24} {rewards.max():>11.4f} {optimum - rewards.max():>8.4f} {late:>26.4f} "
            f"{record.column('energy').sum():>8.2f}"
        )
    plot(records, optimum, args.out / "comparison.png")
    print(f"\nOne folder per controller, and comparison.png, are in {args.out}/")


def plot(records: dict[str, runs.RunRecord], optimum: float, path: Path) -> None:
    """How far the best reward so far is from the optimum, and the running mean of the rewards, of each controller."""
    shown = looks(records)
    with drawing.style():
        figure = drawing.new_figure(7.5, 3.4)
        best, mean = figure.subplots(1, 2)
        for name, record in records.items():
            rewards = record.column("reward")
            index = np.arange(1, len(rewards) + 1)
            line = charts.line_style(shown[name])
            best.step(index, optimum - np.maximum.accumulate(rewards), where="post", label=name, **line)
            window = max(1, len(rewards) // 10)
            smooth = np.convolve(rewards, np.full(window, 1 / window), mode="valid")
            mean.plot(index[window - 1 :], smooth, label=name, **line)
        mean.axhline(optimum, color=drawing.BLACK, linestyle=":", linewidth=1, label="optimum")
        best.set_yscale("symlog", linthresh=1e-3)  # logarithmic, except for the 0 of the optimum
        best.set(xlabel="evaluations", ylabel="regret", title="regret of the best reward so far")
        mean.set(xlabel="evaluations", ylabel="reward", title="mean reward of the last tenth")
        figure.legend(*mean.get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=8)
        drawing.save(figure, path)


if __name__ == "__main__":
    main(tyro.cli(Args))
