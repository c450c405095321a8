"""The command ``ecnas report``: one HTML page of run records, or a baseline of them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Final

SUMMARY: Final = "make one HTML page of run records: leaderboards, curves, fronts"
TEXT: Final = """\
examples:
  ecnas report runs/mine -o report.html
  ecnas report runs/mine --baseline rl-nas
  ecnas report runs/mine runs/others --title "Two controllers" --statistic mean
  ecnas report runs/rl-nas --publish rl-nas.npz --made "seeds 0-99 of benchmarks/rl_nas.toml"

The page works offline. --baseline adds the methods of a baseline: by name if it ships with the package, otherwise
by file. --publish makes a baseline from records. Damaged records are reported and left out. Runs with several
objectives need moocore (pip install 'ecnas-gym[report]')."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``ecnas report``."""
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUNS", help="run records, or folders of run records")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("report.html"),
        metavar="FILE",
        help="file for the page (default: report.html)",
    )
    parser.add_argument("--title", default="Search leaderboard", help="heading of the page")
    parser.add_argument("--baseline", metavar="NAME", help="add the methods of a baseline: rl-nas, or a file")
    parser.add_argument(
        "--statistic",
        choices=["iqm", "mean"],
        default="iqm",
        help="interquartile mean or mean over runs (default: iqm)",
    )
    parser.add_argument(
        "--publish", type=Path, metavar="FILE.npz", help="write the runs as a baseline instead of a page"
    )
    parser.add_argument("--made", default="", metavar="TEXT", help="with --publish: how the runs were made")


def run(arguments: argparse.Namespace) -> None:
    """Writes the page, or the baseline."""
    from ecnas.files import write_text
    from ecnas.runs import baseline, page
    from ecnas.runs.comparison import collect

    comparisons = collect(arguments.runs, os.cpu_count() or 1, progress=True)
    runs = sum(len(method.traces) for comparison in comparisons for method in comparison.methods)
    if arguments.publish is not None:
        baseline.save(comparisons, arguments.publish, arguments.publish.stem, arguments.made)
        print(f"{arguments.publish}: {runs} runs, {arguments.publish.stat().st_size / 1e6:.1f} MB")
        return
    if arguments.baseline is not None:
        comparisons = baseline.add_baseline(comparisons, arguments.baseline)
    html = page.render(comparisons, arguments.title, arguments.statistic)
    write_text(arguments.output, html)
    print(f"{arguments.output}: {runs} runs, {len(html.encode()) / 1e6:.1f} MB")
