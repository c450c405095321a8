"""The command ``ecnas export``: write a benchmark as a .tfrecord file in the published format."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import ecnas

SUMMARY: Final = "write a benchmark as a .tfrecord file in the published format"
TEXT: Final = """\
examples:
  ecnas export energy_4V9E_linscale copy.tfrecord
  ecnas export surrogate-5V surrogate.tfrecord

A published file comes out byte for byte as it was. Needs tensorflow (pip install 'ecnas-gym[official]')."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``ecnas export``."""
    parser.add_argument("name", metavar="NAME", help="a benchmark, or a path")
    parser.add_argument("out", type=Path, metavar="OUT.tfrecord", help="the file to write; one that exists is replaced")


def run(arguments: argparse.Namespace) -> None:
    """Writes a benchmark in the published format."""
    from ecnas.official.export import export

    rows = export(ecnas.load(arguments.name).table, arguments.out)
    print(f"{arguments.out}: {rows:,} rows")
