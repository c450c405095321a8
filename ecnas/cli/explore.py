"""The command ``ecnas explore``: one HTML page on which every cell of a benchmark can be seen."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import ecnas

SUMMARY: Final = "make one HTML page that shows every cell of a benchmark"
TEXT: Final = """\
examples:
  ecnas explore surrogate-7V -o explore.html
  ecnas explore surrogate-7V --runs runs/rl-nas
  ecnas explore my-lab --epochs 12               an imported table: measured and filled-in cells are told apart

The page opens in a browser without a network. It plots accuracy against cost, draws the cell under the pointer and
lists the cells one edit away. --runs lays runs on the same benchmark over it: what they evaluated, and the path of
what they recommended."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``ecnas explore``."""
    parser.add_argument("benchmark", metavar="BENCHMARK", help="name or path of a benchmark")
    parser.add_argument("-o", "--output", type=Path, default=Path("explore.html"), metavar="FILE", help="the page")
    parser.add_argument("--epochs", type=int, help="epochs of training (default: the highest)")
    parser.add_argument(
        "--runs", nargs="+", type=Path, default=[], metavar="RUNS", help="folders with run records, or records"
    )
    parser.add_argument("--title", help="its heading")


def run(arguments: argparse.Namespace) -> None:
    """Writes the page."""
    from ecnas.explorer import load_runs, render
    from ecnas.files import write_text

    benchmark = ecnas.load(arguments.benchmark)
    runs = load_runs(arguments.runs) if arguments.runs else []
    page = render(benchmark, arguments.epochs, runs, arguments.title)
    write_text(arguments.output, page)
    print(f"{arguments.output}: {len(benchmark.space):,} cells, {len(runs)} runs, {len(page.encode()) / 1e6:.1f} MB")
