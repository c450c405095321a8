"""Tables of runs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ecnas.errors import CorruptFileError
from ecnas.loading import load
from ecnas.runs import analysis
from ecnas.runs.record import RunRecord
from ecnas.runs.sweep import Job, Sweep


def of_sweep(sweep: Sweep) -> Iterator[str]:
    """For each benchmark and budget: means over complete runs at the checkpoints, as Markdown with a title."""
    for name in sweep.benchmarks:
        for budget in sweep.budgets:
            points = np.array([point for point in sweep.checkpoints if point <= budget], dtype=np.float64)
            several = len(sweep.objectives) > 1
            metric = "hypervolume" if several else "test regret"
            lines = [
                f"Mean {metric} in % on {name}, runs of {budget:g} {sweep.currency}:",
                "",
                "| algorithm | seeds | " + " | ".join(f"at {point:g} {sweep.currency}" for point in points) + " |",
                "|---" * (2 + len(points)) + "|",
            ]
            for algorithm in sweep.algorithms:
                values = []
                for seed in sweep.seeds:
                    try:
                        record = RunRecord.load(Job(sweep, algorithm, name, budget, seed).path)
                    except (FileNotFoundError, CorruptFileError):
                        continue
                    if len(record):
                        benchmark = load(record.header["task"]["benchmark"])
                        quantity = (
                            analysis.hypervolume(record, benchmark, sweep.objectives)
                            if several
                            else analysis.regret(record, benchmark)
                        )
                        values.append(100 * analysis.on_grid(points, record.costs(sweep.currency), quantity))
                if values:
                    mean, low, high = analysis.interval([np.array(values)], statistic=lambda v: v.mean(axis=0))
                    cells = (f"{m:.3f} [{a:.3f}, {b:.3f}]" for m, a, b in zip(mean, low, high, strict=True))
                    lines.append(f"| {algorithm.name} | {len(values)} | {' | '.join(cells)} |")
            yield "\n".join(lines)
