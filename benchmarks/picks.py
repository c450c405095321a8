"""What a pick can reach: true test regrets of a run's recommendation, beside those of picks that know more.

    python benchmarks/picks.py "runs/leaderboard/surrogate-7V/editing, Gaussian process" --evaluations 150 500

A method sees validation accuracies and is judged by test accuracy, so even one that knew the expected validation
accuracy of every cell would have a regret. For each recorded run below a folder, this script picks one of the evaluated
cells in seven ways: as the method did; the one seen best; the one of the highest expected accuracy, of validation and
of test; and the one that the critic of ``agents/gp_edit.py`` expects most of, given what was seen, expected validation
accuracies, or expected test accuracies.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from ecnas_gym.agents.gp_edit import Critic, GaussianProcessEditing
from numpy.typing import NDArray

from ecnas.benchmark import Benchmark
from ecnas.runs.record import RunRecord, benchmark_of
from ecnas.task import Task

Array = NDArray[np.float64]


def smoothed(task: Task, rows: NDArray[np.int64], accuracies: Array) -> int:
    """Which of some cells the critic expects most of, from their accuracies."""
    how = GaussianProcessEditing()
    critic = Critic(task, how.least_quantile, how.relevance)
    for n in range(1, len(rows) + 1):
        critic.add(rows[:n], accuracies[:n, None])
    return int(np.argmax(critic.fitted()))


def picks(record: RunRecord, expected: Benchmark, evaluations: int) -> dict[str, int]:
    """The row that each way picks among the first evaluations of a run."""
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--evaluations", type=int, nargs="+", default=[150, 500])
    parser.add_argument("--most", type=int, help="read no more runs than this")
    args = parser.parse_args()
    found: dict[tuple[str, int], list[float]] = {}
    paths = sorted(args.folder.rglob("record.jsonl"))[: args.most]
    for path in paths:
        record = RunRecord.load(path)
        expected = benchmark_of(record.header).expected
        test = expected.values("test_accuracy")
        for evaluations in args.evaluations:
            for name, row in picks(record, expected, evaluations).items():
                found.setdefault((name, evaluations), []).append(100 * float(np.nanmax(test) - test[row]))
    print(f"True test regret in percentage points, mean and standard error of {len(paths)} runs; pick by\n")
    print("| pick by |", " | ".join(f"{number} evaluations" for number in args.evaluations), "|")
    print("|---|" + "---:|" * len(args.evaluations))
    for name in dict.fromkeys(name for name, _ in found):
        print(f"| {name} |", " | ".join(_spelled(found[name, number]) for number in args.evaluations), "|")
    best = int(np.nanargmax(expected.values("val_accuracy")))
    print(f"\nExpected validation accuracy, of all cells: {100 * float(np.nanmax(test) - test[best]):.3f}")


def _spelled(regrets: Any) -> str:
    return f"{np.mean(regrets):.3f} ± {np.std(regrets) / np.sqrt(len(regrets)):.3f}"


if __name__ == "__main__":
    main()
