"""Methods on the default reward with noise, beside equal weights: a table of docs/rewards.md.

python benchmarks/reward_methods.py [--seeds 40] [--slow-seeds 10] [--processes 2] [--write docs/rewards.md]

The methods and worlds are those of leaderboard_reward.toml. Existing runs are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tyro
from numpy.typing import NDArray
from page import publish

import ecnas
from ecnas.runs import RunRecord
from ecnas.runs.executors import on_processes, run_sweep
from ecnas.runs.statistics import Estimate, estimate
from ecnas.runs.sweep import Algorithm, Sweep

SWEEP = Path(__file__).parent / "leaderboard_reward.toml"
REWARDS = {"linear": "equal weights", "soft-cap": "soft cap"}
"""Scalarisations, and their names in the table."""
SLOW = ("editing, Gaussian process", "tree search", "BANANAS", "masked PPO")
NEAR = 0.01
"""Rewards within this distance of the optimum count as near it."""


@dataclass
class Args:
    """Run the methods of the leaderboard with two rewards, and compare the evaluations they need."""

    seeds: int = 40
    """Runs of each method."""
    slow_seeds: int = 10
    """Runs of the slow ones: editing with a Gaussian process, tree search, BANANAS and masked PPO."""
    processes: int = 1
    """Processes at once."""
    runs: Path = Path("runs")
    """Folder for the records."""
    write: Path | None = None
    """Markdown file between whose marks the table goes; it is printed by default."""


class Runs(NamedTuple):
    """The runs of one method with one reward.

    Attributes:
        regrets: Expected regret of the recommended cell at each checkpoint, shape (runs, checkpoints).
        trained: Expected regret of the best trained cell at each checkpoint.
        needed: Evaluations until a cell near the optimum was trained; infinite if none was. Shape (runs,).
    """

    regrets: NDArray[np.float64]
    trained: NDArray[np.float64]
    needed: NDArray[np.float64]


def sweep_of(args: Args, scalarisation: str, slow: bool) -> Sweep:
    """The sweep of the slow or of the other methods with one reward."""
    sweep = Sweep.load(SWEEP, args.runs / f"leaderboard-{'reward' if scalarisation == 'soft-cap' else scalarisation}")
    algorithms = tuple(each for each in sweep.algorithms if (each.name in SLOW) == slow)
    seeds = tuple(range(args.slow_seeds if slow else args.seeds))
    return replace(sweep, scalarisation=scalarisation, algorithms=algorithms, seeds=seeds)


def measure(sweep: Sweep, algorithm: Algorithm) -> Runs:
    """Judges the runs of a method."""
    rewards = ecnas.load(sweep.benchmarks[0]).scalar_rewards(sweep.scalarisation)
    lacking = rewards.max() - rewards
    at = np.array(sweep.checkpoints, dtype=int) - 1
    regrets, trained, needed = [], [], []
    for job in sweep.jobs():
        if job.algorithm == algorithm:
            record = RunRecord.load(job.path)
            best = np.minimum.accumulate(lacking[record.column("row").astype(int)])
            regrets.append(lacking[record.recommended_rows()[at]])
            trained.append(best[at])
            near = np.flatnonzero(best <= NEAR)
            needed.append(near[0] + 1 if len(near) else np.inf)
    return Runs(np.array(regrets), np.array(trained), np.array(needed))


def table(args: Args) -> Iterator[str]:
    """A line for each method."""
    (first, last) = Sweep.load(SWEEP).checkpoints
    columns = [f"regret at {first:g}", f"at {last:g}", f"best trained at {last:g}", "evaluations needed"]
    heads = [f"{words}: {column}" for words in REWARDS.values() for column in columns]
    yield "| method | runs | " + " | ".join(heads) + " |"
    yield "|---" * (len(heads) + 2) + "|"
    lines = []
    for slow in (False, True):
        sweeps = [sweep_of(args, scalarisation, slow) for scalarisation in REWARDS]
        for algorithm in sweeps[0].algorithms if sweeps[0].seeds else ():
            runs = [measure(sweep, algorithm) for sweep in sweeps]
            entries = [entry for each in runs for entry in entries_of(each)]
            line = f"| {algorithm.name} | {len(runs[0].needed)} | " + " | ".join(entries) + " |"
            lines.append((runs[-1].regrets[:, -1].mean(), line))
    yield from (line for _, line in sorted(lines))


def entries_of(runs: Runs) -> list[str]:
    """The columns of one reward."""
    means = [*runs.regrets.T, runs.trained[:, -1]]
    reached = np.isfinite(runs.needed).mean()
    median = f"{np.median(runs.needed):.0f}" if reached > 0.5 else "–"
    return [*(text(estimate([values], "mean")) for values in means), f"{median} ({100 * reached:.0f}%)"]


def text(found: Estimate) -> str:
    """A mean and its interval."""
    return f"{found.centre:.4f} [{found.low:.4f}, {found.high:.4f}]"


def main(args: Args) -> None:
    for scalarisation in REWARDS:
        for slow in (False, True):
            sweep = sweep_of(args, scalarisation, slow)
            if sweep.seeds:
                run_sweep(sweep, on_processes(args.processes))
    publish({"methods": "\n".join(table(args))}, args.write)


if __name__ == "__main__":
    main(tyro.cli(Args))
