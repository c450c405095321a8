"""Real repeats: search on one training of each measured cell, judged by the other trainings of the recommended cell.

    python benchmarks/repeats.py MEASURED.csv [--write docs/rl-nas.md]

The file holds cells with three trainings each, in a form that ``ecnas import`` reads. Runs search for validation
accuracy on one repeat; the regret is that of the mean test accuracy of the two others, to the best such mean.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from numpy.typing import NDArray
from page import publish
from tqdm import tqdm

import ecnas
from ecnas import measured, runs
from ecnas.runs.method import Method, find_method, make_method
from ecnas.runs.statistics import estimate
from ecnas.runs.sweep import Sweep

HERE = Path(__file__).parent
REPEATS = 3


@dataclass
class Args:
    """Search on one training, judged by the others."""

    measured: Annotated[Path, tyro.conf.Positional]
    """Measurements, three repeats of every cell."""
    seeds: int = 20
    """Runs of each method on each repeat."""
    budgets: tuple[int, ...] = (25, 50, 100)
    """Evaluations after which runs are judged."""
    write: Path | None = None
    """Markdown file between whose marks the table goes; it is printed by default."""


def methods() -> dict[str, Method]:
    """The methods of the leaderboard."""
    algorithms = Sweep.load(HERE / "leaderboard.toml").algorithms
    return {entry.name: make_method(find_method(entry.use), entry.settings) for entry in algorithms}


def regrets(method: Method, benchmark: ecnas.Benchmark, args: Args) -> NDArray[np.float64]:
    """Percentage points, shape (runs, budgets)."""
    rows = np.setdiff1d(np.arange(len(benchmark.space)), list(benchmark.table.missing))
    every = np.full((REPEATS, len(benchmark.space)), np.nan)
    for repeat in range(REPEATS):
        every[repeat, rows] = benchmark.query_rows(rows, repeat=repeat).test_accuracy
    found = []
    for repeat in range(REPEATS):
        others = np.delete(every, repeat, axis=0).mean(axis=0)
        for seed in range(args.seeds):
            record = runs.run(method, benchmark, max(args.budgets), seed, objectives=["val_accuracy"], repeat=repeat)
            chosen = record.recommended_rows()[np.array(args.budgets) - 1]
            found.append(100 * (np.nanmax(others) - others[chosen]))
    return np.array(found)


def main(args: Args) -> None:
    with tempfile.TemporaryDirectory() as folder:
        measured.read(args.measured).table.save(Path(folder) / "measured")
        benchmark = ecnas.load(Path(folder) / "measured")
        table = {name: regrets(method, benchmark, args) for name, method in tqdm(methods().items())}
    lines = ["| method | runs | " + " | ".join(f"at {budget} evaluations" for budget in args.budgets) + " |"]
    lines.append("|---|---:|" + "---:|" * len(args.budgets))
    for name, found in sorted(table.items(), key=lambda item: item[1][:, -1].mean()):
        columns = zip(*estimate([found], "mean"), strict=True)
        cells = [f"{centre:.3f} [{low:.3f}, {high:.3f}]" for centre, low, high in columns]
        lines.append(f"| {name} | {len(found)} | " + " | ".join(cells) + " |")
    publish({"repeats": "\n".join(lines)}, args.write)


if __name__ == "__main__":
    main(tyro.cli(Args))
