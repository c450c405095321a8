"""The same recommendation for all: the cell that the leader's critic picks from each method's run.

    python benchmarks/same_pick.py [--runs runs/leaderboard] [--write docs/rl-nas.md]

Reads runs of ``benchmarks/leaderboard.toml``. The critic of agents/gp_edit.py learns from the cells of a run, and the
one with the highest expected accuracy is judged instead of the run's own recommendation. The remaining differences show
how well methods search.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np
import tyro
from numpy.typing import NDArray
from page import publish
from picks import smoothed
from tqdm import tqdm

import ecnas
from ecnas.runs import RunRecord
from ecnas.runs.statistics import estimate
from ecnas.task import Task

BENCHMARK: Final = "surrogate-7V"
BUDGETS: Final = (150, 500)
OBJECTIVE: Final = "val_accuracy"


@dataclass
class Args:
    """Judge every run by the cell that the leader's critic picks from it."""

    runs: Path = Path("runs/leaderboard")
    """Folder of the runs."""
    seeds: int = 60
    """Number of runs to judge of each method."""
    processes: int = 2
    """Runs to judge at once."""
    write: Path | None = None
    """Markdown file between whose marks the table goes; it is printed by default."""


def regrets(path: Path) -> NDArray[np.float64]:
    """Test regrets of a run in percentage points, shape (2, budgets): of its own pick and of the critic's."""
    record = RunRecord.load(path)
    benchmark = ecnas.load(BENCHMARK)
    rows, seen = record.column("row").astype(np.int64), record.column(OBJECTIVE)
    task, own = Task.of(benchmark, (OBJECTIVE,)), record.recommended_rows()
    chosen = [(own[n - 1], rows[smoothed(task, rows[:n], seen[:n])]) for n in BUDGETS]
    test = benchmark.values("test_accuracy")
    found: NDArray[np.float64] = 100 * (test.max() - test[np.array(chosen).T])
    return found


def table(found: dict[str, NDArray[np.float64]]) -> str:
    """Markdown, in the order of what the critic picks at the end; regrets of shape (runs, 2, budgets) by method."""
    lines = [
        "| method | runs | "
        + " | ".join(f"{whose} at {budget}" for budget in BUDGETS for whose in ("its own pick", "the critic's pick"))
        + " |",
        "|---|---:|" + "---:|" * 2 * len(BUDGETS),
    ]
    for name, figures in sorted(found.items(), key=lambda item: item[1][:, 1, -1].mean()):
        columns = estimate([figures.transpose(0, 2, 1).reshape(len(figures), -1)], "mean")
        cells = [f"{centre:.3f} [{low:.3f}, {high:.3f}]" for centre, low, high in zip(*columns, strict=True)]
        lines.append(f"| {name} | {len(figures)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(args: Args) -> None:
    folders = sorted((args.runs / BENCHMARK).iterdir())
    paths = [_first(folder, args.seeds) for folder in folders]
    jobs = [path for some in paths for path in some]
    with ProcessPoolExecutor(args.processes, mp_context=get_context("spawn")) as pool:
        judged = iter(tqdm(pool.map(regrets, jobs, chunksize=20), total=len(jobs), desc="runs"))
        found = {RunRecord.load(some[0]).name: np.stack([next(judged) for _ in some]) for some in paths}
    publish({"same-pick": table(found)}, args.write)


def _first(folder: Path, seeds: int) -> Sequence[Path]:
    return sorted(folder.glob("**/record.jsonl"), key=lambda path: (len(str(path)), path))[:seeds]


if __name__ == "__main__":
    main(tyro.cli(Args))
