"""Transfer from other searches: the tables and the chart of docs/transfer.md.

    python benchmarks/transfer_study.py --pretrain                    # a minute on one core: runs/transfer/*.npz
    for sweep in benchmarks/transfer_*.toml; do ecnas sweep $sweep --processes 2; done
    python benchmarks/transfer_study.py --write docs/transfer.md --figure docs/images/transfer.png

Missing runs are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from ecnas_gym.agents.transfer import Pretraining, pretrain
from numpy.typing import NDArray
from page import publish

from ecnas import Space, drawing
from ecnas.runs import RunRecord, charts, tables
from ecnas.runs.comparison import Comparison, NoRecordsError, collect
from ecnas.runs.sweep import Sweep

HERE = Path(__file__).parent
SOURCES: dict[str, dict[str, Any]] = {
    "5V": {"benchmarks": ("surrogate-5V",)},
    "4V": {"benchmarks": ("surrogate-4V",)},
    "5V-reward": {"benchmarks": ("surrogate-5V",), "objectives": ("val_accuracy", "energy")},
    "4V-measured": {"benchmarks": ("energy_4V9E_4epochs",), "noise": False, "epochs": 4},
    "4V-hardware": {
        "benchmarks": ("energy_4V9E_quadrortx6000", "energy_4V9E_rtx3090"),
        "noise": False,
        "objectives": ("val_accuracy", "energy"),
    },
}
"""Pre-training by name of its file of values."""
SECTIONS = ("space", "measured", "reward", "hardware")
"""Sections of the page: each has a sweep file and a folder of runs."""
QUANTITIES = {
    "measured": ("seen_regret", "test_regret"),
    "reward": ("reward_regret",),
    "hardware": ("reward_regret",),
}
"""Quantities in the tables of some sections, the ranking one first; all by default. The measurements of 4 epochs have
one training per cell, so there the best seen cell counts."""
SHOWN = {
    "space": "accuracy, worlds of 7V",
    "measured": "accuracy, measured 5V cells",
    "reward": "default reward, worlds of 7V",
}
"""Panels of the chart, with their titles."""
PANEL = 2.4
"""Width of a panel in inches."""


@dataclass
class Args:
    """Learn values elsewhere, or make the tables and the chart of docs/transfer.md."""

    pretrain: bool = False
    """Only learn the values that the sweeps use."""
    runs: Path = Path("runs")
    """Folder with the folders of the sweeps and of the values."""
    write: Path | None = None
    """Markdown file to write the tables to, between marks; they are printed by default."""
    figure: Path | None = None
    """Curves against evaluations."""


def read(runs: Path) -> Iterator[tuple[str, Comparison]]:
    """The tasks of those sections of which there are runs."""
    for section in SECTIONS:
        try:
            (task,) = collect([runs / f"transfer-{section}"], progress=True)
        except NoRecordsError:
            continue
        yield section, task


def table(section: str, task: Comparison) -> str:
    """The table of a section."""
    sweep = Sweep.load(HERE / f"transfer_{section}.toml")
    quantities = QUANTITIES.get(section)
    return tables.leaderboard(task, sweep.checkpoints, sweep.currency, "mean", quantities).markdown()


def shared(runs: Path) -> str:
    """How often a cell of the source is recommended in 7V: a table for the section "space"."""
    sweep = Sweep.load(HERE / "transfer_space.toml")
    recommended: dict[str, list[NDArray[np.int64]]] = {}
    for path in sorted((runs / "transfer-space").rglob("record.jsonl")):
        record = RunRecord.load(path)
        rows = record.recommended_rows()[np.array(sweep.checkpoints, dtype=np.int64) - 1]
        recommended.setdefault(record.name, []).append(rows)
    names = [algorithm.name for algorithm in sweep.algorithms if algorithm.name in recommended]
    lines = [
        "| method | cells of | " + " | ".join(f"at {count:g} evaluations" for count in sweep.checkpoints) + " |",
        "|---|---|" + "---:|" * len(sweep.checkpoints),
    ]
    for name, space in ((name, space) for space in ("5V", "4V") for name in names):
        if space in name or name == "from scratch":
            parts = (np.stack(recommended[name]) < len(Space(space))).mean(axis=0)
            lines.append(f"| {name} | {space} | " + " | ".join(f"{part:.0%}" for part in parts) + " |")
    return "\n".join(lines)


def draw(tasks: dict[str, Comparison], path: Path) -> None:
    """One panel for each task in :data:`SHOWN`, and one for the legend."""
    with drawing.style(PANEL):
        figure = drawing.new_figure(2 * PANEL, 4.2)
        *panels, free = figure.subplots(2, 2).flat
        for ax, (section, title) in zip(panels, SHOWN.items(), strict=True):
            if section in tasks:
                quantity = QUANTITIES.get(section, (tasks[section].main,))[0]
                charts.anytime(tasks[section], quantity, statistic="mean", title=title, ax=ax)
        drawing.share_legend(panels, free)
        drawing.save(figure, path)


def main(args: Args) -> None:
    if args.pretrain:
        for name, settings in SOURCES.items():
            pretrain(Pretraining(args.runs / "transfer" / f"{name}.npz", **settings))
        return
    tasks = dict(read(args.runs))
    if args.figure is not None:
        draw(tasks, args.figure)
    made = {section: table(section, task) for section, task in tasks.items()}
    if "space" in made:
        made["shared"] = shared(args.runs)
    publish(made, args.write)


if __name__ == "__main__":
    main(tyro.cli(Args))
