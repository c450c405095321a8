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
  ecnas explore my-lab --epochs 12               an imported table; measured and predicted cells differ

The page works offline. It plots accuracy against cost, draws the cell under the pointer and lists the cells one
edit away. --runs adds runs on the same benchmark: the cells they evaluated, and the path of those they recommended."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``ecnas explore``."""
    parser.add_argument("benchmark", metavar="BENCHMARK", help="name or path of a benchmark")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("explore.html"),
        metavar="FILE",
        help="file for the page (default: explore.html)",
    )
    parser.add_argument("--epochs", type=int, help="epochs of training (default: the highest number)")
    parser.add_argument(
        "--runs", nargs="+", type=Path, default=[], metavar="RUNS", help="run records, or folders of run records"
    )
    parser.add_argument("--title", help="heading of the page")


def run(arguments: argparse.Namespace) -> None:
    """Writes the page."""
    from ecnas.explorer import load_runs, render
    from ecnas.files import write_text

    benchmark = ecnas.load(arguments.benchmark)
    runs = load_runs(arguments.runs) if arguments.runs else []
    page = render(benchmark, arguments.epochs, runs, arguments.title)
    write_text(arguments.output, page)
    print(f"{arguments.output}: {len(benchmark.space):,} cells, {len(runs)} runs, {len(page.encode()) / 1e6:.1f} MB")
