"""The limits of picking: true test regrets of a run's recommendation, beside those of picks with more information.

    python benchmarks/picks.py "runs/leaderboard/surrogate-7V/editing, Gaussian process" --evaluations 150 500

A method sees validation accuracies and is judged by test accuracy, so even one that knew the expected validation
accuracy of every cell would have a regret. For each recorded run below a folder, this script picks one of the evaluated
cells in seven ways: the method's own; the best seen; the highest expected validation or test accuracy; and the one that
the critic of ``agents/gp_edit.py`` predicts to be best, given the accuracies seen, the expected validation accuracies,
or the expected test accuracies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from ecnas_gym.agents.gp_edit import GaussianProcessEditing
from numpy.typing import NDArray
from page import publish
from tqdm import tqdm

from ecnas.benchmark import Benchmark
from ecnas.runs.record import RunRecord, benchmark_of
from ecnas.task import Task

Array = NDArray[np.float64]


def smoothed(task: Task, rows: NDArray[np.int64], accuracies: Array) -> int:
    """The cell that the critic predicts to be best, from the accuracies of all."""
    critic = GaussianProcessEditing().make_critic(task)
    for n in range(1, len(rows) + 1):
        critic.add(rows[:n], accuracies[:n, None])
    return int(np.argmax(critic.fitted()))


def picks(record: RunRecord, expected: Benchmark, evaluations: int) -> dict[str, int]:
    """The row that each way of picking chooses among the first evaluations of a run."""
    task = Task.of(expected, ("val_accuracy",))
    rows = record.column("row")[:evaluations].astype(np.int64)
    seen = record.column("val_accuracy")[:evaluations]
    val, test = (expected.values(name)[rows] for name in ("val_accuracy", "test_accuracy"))
    return {
        "the run's recommendation": int(record.recommended_rows()[evaluations - 1]),
        "seen best": int(rows[np.argmax(seen)]),
        "expected validation accuracy": int(rows[np.argmax(val)]),
        "expected test accuracy": int(rows[np.argmax(test)]),
        "smoothed: what was seen": int(rows[smoothed(task, rows, seen)]),
        "smoothed: expected validation accuracy": int(rows[smoothed(task, rows, val)]),
        "smoothed: expected test accuracy": int(rows[smoothed(task, rows, test)]),
    }


@dataclass
class Args:
    """Judge a method's recommendation beside picks with more information."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Folder of the method's runs."""
    evaluations: tuple[int, ...] = (150, 500)
    """Numbers of evaluations to pick from."""
    most: int | None = None
    """Maximum number of runs to read."""
    write: Path | None = None
    """Markdown file to write the table to, between marks; it is printed by default."""


def main(args: Args) -> None:
    found: dict[tuple[str, int], list[float]] = {}
    for path in tqdm(sorted(args.folder.rglob("record.jsonl"))[: args.most], unit=" runs"):
        record = RunRecord.load(path)
        expected = benchmark_of(record.header).expected
        test = expected.values("test_accuracy")
        for evaluations in args.evaluations:
            for name, row in picks(record, expected, evaluations).items():
                found.setdefault((name, evaluations), []).append(100 * float(np.nanmax(test) - test[row]))
    lines = [
        "| picked among the evaluated cells by | " + " | ".join(f"{n} evaluations" for n in args.evaluations) + " |",
        "|---|" + "---:|" * len(args.evaluations),
    ]
    lines += [
        f"| {name} | " + " | ".join(_spelled(found[name, number]) for number in args.evaluations) + " |"
        for name in dict.fromkeys(name for name, _ in found)
    ]
    best = int(np.nanargmax(expected.values("val_accuracy")))
    of_all = 100 * float(np.nanmax(test) - test[best])
    lines += ["", f"By expected validation accuracy, among all cells of the space: {of_all:.3f}."]
    publish({"picks": "\n".join(lines)}, args.write)


def _spelled(regrets: Sequence[float]) -> str:
    return f"{np.mean(regrets):.3f} ± {np.std(regrets, ddof=1) / np.sqrt(len(regrets)):.3f}"


if __name__ == "__main__":
    main(tyro.cli(Args))
