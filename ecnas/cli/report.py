"""The command ``ecnas report``: one HTML page of run records."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

SUMMARY: Final = "make one HTML page of run records: curves, fronts, leaderboards"
TEXT: Final = """\
examples:
  ecnas report runs/rl-nas -o report.html
  ecnas report runs/surrogate-7V/ppo runs/surrogate-7V/reinforce-lstm --title "Two controllers"

The page opens without a network. Runs of one folder are the seeds of one method. Needs plotly, matplotlib and moocore
(pip install 'ecnas-gym[report]')."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``ecnas report``."""
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUNS", help="folders with run records, or records")
    parser.add_argument("-o", "--output", type=Path, default=Path("report.html"), metavar="FILE", help="the page")
    parser.add_argument("--title", default="Search leaderboard", help="its heading")


def run(arguments: argparse.Namespace) -> None:
    """Writes the page."""
    from ecnas.runs import page

    tasks = page.collect(arguments.runs)
    html = page.render(tasks, arguments.title)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(html, encoding="utf-8")
    runs = sum(len(method.records) for task in tasks for method in task.methods)
    print(f"{arguments.output}: {runs} runs, {len(html) / 1e6:.1f} MB")
