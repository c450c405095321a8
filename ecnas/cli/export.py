"""The command ``ecnas export``: write a benchmark to a file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import ecnas

SUMMARY: Final = "write a benchmark to a file: CSV, JSON Lines, Parquet or the published format"
TEXT: Final = """\
examples:
  ecnas export my-lab -o my-lab.csv
  ecnas export surrogate-5V -o surrogate.jsonl
  ecnas export surrogate-7V -o surrogate.parquet             needs pip install 'ecnas-gym[measured]'
  ecnas export energy_4V9E_linscale -o copy.tfrecord         needs pip install 'ecnas-gym[official]'

The file's suffix decides. CSV, JSON Lines and Parquet have one line for each training of a cell, and "ecnas import"
reads them back. A published file exported to .tfrecord is the same, byte for byte."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``ecnas export``."""
    parser.add_argument("name", metavar="NAME", help="a benchmark, or a path")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="a .csv, .jsonl, .parquet or .tfrecord file; one that exists is replaced",
    )


def run(arguments: argparse.Namespace) -> None:
    """Writes a benchmark to a file."""
    from ecnas.measured.writing import export

    rows = export(ecnas.load(arguments.name).table, arguments.output)
    print(f"{arguments.output}: {rows:,} rows")
