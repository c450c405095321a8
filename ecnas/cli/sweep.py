"""The command ``ecnas sweep``: methods × benchmarks × budgets × seeds, on any number of processes and machines."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Final

from ecnas.errors import ECNASError, UnknownNameError

SUMMARY: Final = "run methods × benchmarks × budgets × seeds, and print their leaderboard"
TEXT: Final = """\
examples:
  ecnas sweep mine.toml --processes 4
  ecnas sweep mine.toml --table --baseline rl-nas
  ecnas sweep mine.toml --table --format latex --statistic mean
  ecnas sweep mine.toml --rerun mine
  ecnas sweep mine.toml --executor ray --ray-address auto

A sweep file:
  benchmarks = ["surrogate-7V"]
  budgets = [150]
  seeds = 10
  objectives = ["val_accuracy"]

  [[algorithm]]
  name = "mine"
  use = "mine.py:Mine"           # a file, "module:Class", or a name such as "edit" or "RandomSearch"
  step = 0.5                     # all other keys are settings of the method

A stopped sweep resumes where it left off. Start it several times, on one machine or on several that share a file
system, and the processes share the work. Ray needs pip install 'ecnas-gym[cluster]'."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``ecnas sweep``."""
    parser.add_argument("sweep", type=Path, metavar="FILE.toml", help="the sweep file")
    parser.add_argument("--processes", type=_count, default=1, metavar="N", help="number of processes (default: 1)")
    parser.add_argument(
        "--executor",
        choices=("processes", "ray"),
        default="processes",
        help="what carries out the runs (default: processes)",
    )
    parser.add_argument(
        "--ray-address", metavar="ADDRESS", help='address of the Ray cluster; "auto" finds one on this machine'
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="folder for records (default: out in the file, or runs/ and the file's name)",
    )
    parser.add_argument(
        "--rerun",
        nargs="+",
        default=[],
        metavar="NAME",
        help="methods to run again if their records come from other settings or sources",
    )
    parser.add_argument("--table", action="store_true", help="run nothing; print the table of the completed runs")
    parser.add_argument(
        "--baseline", metavar="NAME", help="add the methods of a baseline to the table: rl-nas, or a file"
    )
    parser.add_argument(
        "--statistic",
        choices=["iqm", "mean"],
        default="iqm",
        help="interquartile mean or mean over runs (default: iqm)",
    )
    parser.add_argument(
        "--format",
        choices=["markdown", "csv", "latex"],
        default="markdown",
        help="format of the table (default: markdown)",
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress bar")


def run(arguments: argparse.Namespace) -> None:
    """Runs the sweep, then prints its table."""
    from ecnas.runs import executors, tables
    from ecnas.runs.sweep import Sweep, state, told

    sweep = Sweep.load(arguments.sweep, arguments.out)
    names = [algorithm.name for algorithm in sweep.algorithms]
    for name in arguments.rerun:
        if name not in names:
            raise UnknownNameError("algorithm", name, names)
    failures = []
    if not arguments.table:
        if arguments.executor == "ray":
            executor = executors.on_ray(arguments.ray_address)
            sweep = dataclasses.replace(sweep, out=sweep.out.resolve())  # its workers have other working directories
        else:
            executor = executors.on_processes(arguments.processes)
        failures = executors.run_sweep(sweep, executor, arguments.rerun, not arguments.quiet)
    states = [(job, state(job)) for job in sweep.jobs() if job.path.exists()]
    if arguments.table:
        for line in told((job, found) for job, found in states if found is not None and found.kind == "other"):
            print(line, file=sys.stderr)
    # The table reports damaged records. Records of other runs are not part of it.
    paths = [job.path for job, found in states if found is None or found.kind == "done"]
    if paths:
        made = tables.leaderboards(
            paths, sweep.checkpoints, sweep.currency, arguments.baseline, statistic=arguments.statistic
        )
        print("\n\n".join(getattr(table, arguments.format)().rstrip() for table in made))
    else:
        print(f"no run of {arguments.sweep} is complete yet", file=sys.stderr)
    if failures:
        for job, outcome in failures:
            if outcome.kind == "failed":
                print(f"\nfailed: {job}\n{outcome.text}", file=sys.stderr)
        raise ECNASError(f"{len(failures)} of {len(sweep.jobs())} runs were not completed (see above)")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, got {text!r}")
    return int(text)
