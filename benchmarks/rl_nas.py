"""The tables and the chart of docs/rl-nas.md, and the shipped baseline, from the runs of the sweeps in this folder.

    for sweep in benchmarks/{leaderboard*,rl_nas*}.toml; do ecnas sweep $sweep --processes 2; done
    python benchmarks/rl_nas.py [--runs runs] [--write docs/rl-nas.md] [--figure docs/images/rl-nas.png]
    python benchmarks/rl_nas.py --publish "seeds 0 to 499 of benchmarks/rl_nas*.toml"

Missing runs are left out; the tables give their number. The sweep on measured accuracies needs the
published file (``ecnas fetch energy_5V9E_4epochs``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import tyro
from page import publish

from ecnas import drawing
from ecnas.runs import baseline, charts, tables
from ecnas.runs.comparison import Comparison, NoRecordsError, collect
from ecnas.runs.statistics import Statistic
from ecnas.runs.sweep import Sweep

HERE = Path(__file__).parent
SECTIONS = {
    "worlds": ("leaderboard.toml", "leaderboard"),
    "long": ("leaderboard_long.toml", "leaderboard-long"),
    "reward": ("leaderboard_reward.toml", "leaderboard-reward"),
    "worlds-front": ("leaderboard_front.toml", "leaderboard-front"),
    "noise": ("leaderboard_ablation.toml", "leaderboard-ablation"),
    "accuracy": ("rl_nas.toml", "rl-nas"),
    "front": ("rl_nas_front.toml", "rl-nas-front"),
    "parts": ("rl_nas_ablation.toml", "rl-nas-ablation"),
    "epochs": ("rl_nas_epochs.toml", "rl-nas-epochs"),
    "measured": ("rl_nas_measured.toml", "rl-nas-measured"),
}
"""By section of the page: its sweep, and the folder of its runs."""
QUANTITIES = {
    "long": ("test_regret", "seen_regret"),
    "reward": ("reward_regret",),
    "parts": ("val_regret", "test_regret"),
    "epochs": ("val_regret", "test_regret"),
}
"""Quantities in the tables of some sections, the ranking one first; all by default. Without noise the cell with the
best validation accuracy does not have the best test accuracy, so the optimised quantity shows which methods search
well."""
PUBLISHED = {
    "worlds": "accuracy, with noise",
    "accuracy": "accuracy, without noise",
    "front": "accuracy and energy, without noise",
}
"""Sections whose runs are the baseline, with the titles of their panels."""
NARROW_PANEL = 3.1
"""Width of a panel in inches."""
SHOWN = (
    "editing, Gaussian process",
    "editing",
    "priority-queue training",
    "BANANAS",
    "local search, best improvement",
    "REINFORCE, −log regret",
    "masked PPO",
    "regularised evolution, population 20",
    "random search",
)
"""Methods in the chart, if there are runs of them."""


@dataclass
class Args:
    """Make the tables and the chart of docs/rl-nas.md, or the baseline."""

    runs: Path = Path("runs")
    """Folder that holds the folders of the sweeps."""
    statistic: Statistic = "iqm"
    """Over runs."""
    write: Path | None = None
    """Markdown file to write the tables to, between marks; they are printed by default."""
    figure: Path | None = None
    """Curves against evaluations."""
    publish: str | None = None
    """How the runs were made, in words: write them as the baseline rl-nas of the package, and nothing else."""


def read(args: Args) -> dict[str, Comparison]:
    """The tasks of those sections of which there are runs."""
    found = {}
    for section, (_, folder) in SECTIONS.items():
        try:
            (found[section],) = collect([args.runs / folder], os.cpu_count() or 1, progress=True)
        except NoRecordsError:
            continue
    return found


def sections(args: Args, tasks: dict[str, Comparison]) -> Iterator[tuple[str, str]]:
    """The tables by section of the page."""
    for section, task in tasks.items():
        sweep = Sweep.load(HERE / SECTIONS[section][0])
        table = tables.leaderboard(task, sweep.checkpoints, sweep.currency, args.statistic, QUANTITIES.get(section))
        yield section, table.markdown()


def draw(args: Args, tasks: dict[str, Comparison], path: Path) -> None:
    """One panel for each published section, and one for the legend."""
    with drawing.style(NARROW_PANEL):
        figure = drawing.new_figure(6.3, 5.2)
        *panels, free = figure.subplots(2, 2).flat
        for ax, (section, title) in zip(panels, PUBLISHED.items(), strict=True):
            if section in tasks:
                task = tasks[section]
                known = {method.name: method for method in task.methods}
                methods = [known[name] for name in SHOWN if name in known]
                shown = replace(task, methods=task.methods if section == "front" else methods)
                charts.anytime(shown, statistic=args.statistic, title=title, ax=ax)
        drawing.share_legend(panels, free)
        drawing.save(figure, path)


def main(args: Args) -> None:
    tasks = read(args)
    if args.publish is not None:
        path = baseline.FOLDER / "rl-nas.npz"
        baseline.save([tasks[name] for name in PUBLISHED if name in tasks], path, "rl-nas", args.publish)
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
        return
    if args.figure is not None:
        draw(args, tasks, args.figure)
    made = dict(sections(args, tasks))
    publish(made, args.write)


if __name__ == "__main__":
    main(tyro.cli(Args))
