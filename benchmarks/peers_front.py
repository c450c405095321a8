"""The tables of docs/multi-objective.md: our methods and those of other libraries on the front of accuracy and energy.

    for sweep in benchmarks/{leaderboard,peers}_front.toml benchmarks/peers_morl.toml; do ecnas sweep $sweep; done
    python benchmarks/peers_front.py [--runs runs/leaderboard-front …] [--write docs/multi-objective.md]

Missing runs are left out; the tables give their number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import tyro
from page import publish

from ecnas.runs import tables
from ecnas.runs.comparison import Comparison, collect

BUDGETS = (150, 500)
"""Evaluations at which methods are compared."""


@dataclass
class Args:
    """Make the tables of docs/multi-objective.md."""

    runs: tuple[Path, ...] = (Path("runs/leaderboard-front"),)
    """Folders of the runs."""
    write: Path | None = None
    """Markdown file to write the tables to, between marks; they are printed by default."""


def table(task: Comparison, budget: int) -> tables.Table:
    """Hypervolumes after this many evaluations, of the methods that made them."""
    methods = [method for method in task.methods if (method.limit("evaluations") or 0) >= budget]
    shown = replace(task, methods=methods)
    return tables.leaderboard(shown, [budget], statistic="mean", quantities=("hypervolume", "seen_hypervolume"))


def main(args: Args) -> None:
    (task,) = collect(args.runs)
    made = {f"front-{budget}": table(task, budget).markdown() for budget in BUDGETS}
    publish(made, args.write)


if __name__ == "__main__":
    main(tyro.cli(Args))
