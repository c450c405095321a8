"""Shows that the controllers learn: the table and the figure of docs/agents.md.

python benchmarks/learning.py [--jobs 2] [--seeds 0 1 2 3 4 5 6 7 8 9] [--budget 300]

Every controller runs with its default settings. Rewards are compared by quarters of the evaluations: a controller that
has learned builds better cells in its last quarter than in its first, and better ones than random search. Published
files that can be neither found nor fetched are skipped, with a message.
"""

from __future__ import annotations

import csv
import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from ecnas_gym.agents.ppo import PPO
from ecnas_gym.agents.reinforce import REINFORCE
from numpy.typing import NDArray
from page import write_sections

import ecnas
from ecnas import drawing, runs, search
from ecnas.errors import ECNASError
from ecnas.runs import charts
from ecnas.runs.looks import looks
from ecnas.runs.statistics import estimate

METHODS = {
    "random search": search.RandomSearch(),
    "REINFORCE, categorical": REINFORCE(),
    "REINFORCE, LSTM": REINFORCE(policy="lstm"),
    "masked PPO": PPO(),
}
CONTROLLERS = tuple(METHODS)
PANEL = 3.1
"""Width of a panel in inches."""


@dataclass
class Args:
    """Run the controllers over many seeds, and compare their rewards."""

    benchmarks: tuple[str, ...] = (
        "energy_4V9E_linscale",
        "energy_5V9E_4epochs",
        "surrogate-4V",
        "surrogate-5V",
        "surrogate-7V",
    )
    """Benchmarks."""
    seeds: tuple[int, ...] = tuple(range(10))
    """One run each."""
    budget: int = 300
    """Evaluations of a run."""
    jobs: int = 1
    """Processes at once."""
    rewards: Path = Path("results/learning.csv")
    """File for all rewards, one per line."""
    figure: Path = Path("docs/images/learning.png")
    """Learning curves."""
    table: Path = Path("docs/agents.md")
    """Markdown file to write the table to, between two marks; skipped if the file does not exist."""


def main(args: Args) -> None:
    start = time.perf_counter()
    names = list(available(args.benchmarks))
    tasks = [(name, controller, args.seeds, args.budget) for name in names for controller in CONTROLLERS]
    # Spawned, since tensorflow and torch do not survive a fork.
    with ProcessPoolExecutor(args.jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        rewards = {}
        for task, result in zip(tasks, pool.map(run, *zip(*tasks, strict=True)), strict=True):
            rewards[task[:2]] = result
            print(f"{task[0]}, {task[1]}: done after {time.perf_counter() - start:.0f} s", flush=True)
    text = "\n".join(table(rewards, args))
    print(text)
    print(f"\n{len(tasks) * len(args.seeds)} runs in {time.perf_counter() - start:.0f} s")

    args.rewards.parent.mkdir(parents=True, exist_ok=True)
    with args.rewards.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["benchmark", "digest", "controller", "seed", "index", "reward"])
        for (name, controller), every in rewards.items():
            for seed, values in zip(args.seeds, every.tolist(), strict=True):
                digest = ecnas.load(name).digest
                writer.writerows([name, digest, controller, seed, i, value] for i, value in enumerate(values))
    draw(rewards, names, args)
    if args.table.exists():
        write_sections(args.table, {"learning": text})


def available(names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        try:
            ecnas.load(name)
        except (ECNASError, OSError) as error:
            print(f"left out: {name} ({error})")
        else:
            yield name


def run(benchmark: str, controller: str, seeds: tuple[int, ...], budget: int) -> NDArray[np.float64]:
    """Rewards in the order of the evaluations, shape (seeds, budget)."""
    method = METHODS[controller]
    return np.stack([runs.run(method, benchmark, budget, seed).column("reward") for seed in seeds])


def table(rewards: dict[tuple[str, str], NDArray[np.float64]], args: Args) -> Iterator[str]:
    """Means over seeds ± their standard errors."""
    quarter, total = args.budget // 4, len(args.seeds)
    yield "| benchmark | controller | first quarter | last quarter | last > first | last > random | regret of best |"
    yield "|---|---|---|---|---|---|---|"
    for (name, controller), every in rewards.items():
        first, last = every[:, :quarter].mean(axis=1), every[:, -quarter:].mean(axis=1)
        chance = rewards[name, CONTROLLERS[0]][:, -quarter:].mean(axis=1)
        _, optimum = ecnas.load(name).optimum()
        grown, beaten = f"{(last > first).sum()} of {total}", f"{(last > chance).sum()} of {total}"
        if controller == CONTROLLERS[0]:
            beaten = ""
        regret = _mean(optimum - every.max(axis=1))
        yield f"| {name} | {controller} | {_mean(first)} | {_mean(last)} | {grown} | {beaten} | {regret} |"


def _mean(values: NDArray[np.float64]) -> str:
    error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.nan
    return f"{values.mean():.4f} ± {error:.4f}"


def draw(rewards: dict[tuple[str, str], NDArray[np.float64]], names: list[str], args: Args) -> None:
    """Running means of the rewards: mean over seeds and its 95% bootstrap interval. One panel has the legend."""
    columns = min(2, len(names) + 1)
    rows = -(-(len(names) + 1) // columns)
    window = max(1, args.budget // 10)
    shown = looks(CONTROLLERS)
    with drawing.style(PANEL):
        figure = drawing.new_figure(PANEL * columns, 2.3 * rows)
        panels = list(figure.subplots(rows, columns, squeeze=False).flat)
        for name, ax in zip(names, panels, strict=False):
            for controller in CONTROLLERS:
                every = rewards[name, controller]
                smooth = np.stack([np.convolve(run, np.full(window, 1 / window), mode="valid") for run in every])
                centre, low, high = estimate([smooth], "mean")
                index = np.arange(window, args.budget + 1)
                look = shown[controller]
                ax.plot(
                    index,
                    centre,
                    **charts.line_style(look),
                    marker=look.marker.matplotlib,
                    markersize=4,
                    markevery=max(1, len(index) // 6),
                    label=controller,
                )
                ax.fill_between(index, low, high, color=look.colour, alpha=0.2, linewidth=0)
            ax.axhline(ecnas.load(name).optimum()[1], color="black", linestyle=":", linewidth=1, label="optimum")
            ax.set(title=name, xlabel="evaluations", ylabel=f"mean reward of the last {window}")
        for free in panels[len(names) + 1 :]:
            free.set_axis_off()
        drawing.share_legend(panels[: len(names)], panels[len(names)])
        drawing.save(figure, args.figure)


if __name__ == "__main__":
    main(tyro.cli(Args))
