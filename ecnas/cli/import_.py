"""The command ``ecnas import``: make a benchmark of one's own measurements."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from ecnas.space import SPACES
from ecnas.table import PROVENANCES

SUMMARY: Final = "make a benchmark of your own measurements"
TEXT: Final = """\
examples:
  ecnas import lab.csv --dry-run                             preview only
  ecnas import lab.csv -o my-lab                             then, for example: ecnas info my-lab
  ecnas import lab.csv -o my-lab --epochs 108 --percent      if the file does not say so
  ecnas import lab.csv -o my-lab --column acc=val_accuracy --column row=ignore
  ecnas import lab.csv -o my-lab --energy emissions.csv      energies from codecarbon, matched by the column run
  ecnas import lab.csv -o my-lab --energy logs/              from carbontracker, one log per run
  ecnas import lab.csv -o my-lab-5V --space 5V --fill surrogate

A file has one line per training of a cell: CSV (also with semicolons and decimal commas), JSON Lines (.jsonl) or
Parquet. Columns are found by name, in any order. Unknown columns are ignored, and the preview lists them:
  the cell   adjacency and ops ("0110..." or "[[0, 1, ...", names or codes), or hash, or row, or edge_bits with
             num_vertices and ops, or cell (JSON)
  which      epochs; repeat, or seed
  metrics    val_accuracy, test_accuracy, train_accuracy (0 to 1; "..._percent" in percent),
             energy_kwh | _wh | _j | _kj, co2_g | _kg, training_time_s | _min | _h
Empty values, "NaN" and "n/a" are missing values. Wrong or ambiguous values are refused, with their line numbers."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``ecnas import``."""
    parser.add_argument("file", metavar="FILE", help=".csv, .jsonl or .parquet; or a meter's own files")
    parser.add_argument(
        "-o",
        "--output",
        metavar="NAME",
        help="the benchmark's name; with a slash in it, a folder to write to instead",
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be read, and write nothing")
    parser.add_argument("--replace", action="store_true", help="replace a benchmark of this name")
    reading = parser.add_argument_group("information that the file lacks")
    reading.add_argument("--epochs", type=int, metavar="N", help="epochs of all trainings")
    reading.add_argument("--percent", action="store_true", help="accuracies are in percent")
    reading.add_argument("--decimal", choices=("point", "comma"), help="how decimals are written")
    reading.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="NAME=MEANING",
        help="meaning of a column, such as acc=val_accuracy_percent, energy=energy_wh or row=ignore; repeatable",
    )
    reading.add_argument(
        "--energy", type=Path, metavar="PATH", help="codecarbon's emissions.csv, or carbontracker's logs"
    )
    reading.add_argument("--provenance", choices=PROVENANCES, default="measured", help="of the metrics (measured)")
    reading.add_argument("--notes", default="", metavar="TEXT", help="notes for users of the benchmark")
    table = parser.add_argument_group("the benchmark")
    table.add_argument("--space", choices=tuple(SPACES), help="the smallest that holds all cells by default")
    table.add_argument(
        "--fill",
        choices=("surrogate",),
        help="predict missing metrics from the measured ones; the provenance of each metric is kept",
    )


def run(arguments: argparse.Namespace) -> None:
    """Makes a benchmark of measurements."""
    from ecnas import measured

    if arguments.output is None and not arguments.dry_run:
        raise ValueError("-o NAME is needed to store the benchmark (or --dry-run for a preview)")
    reading = measured.read(
        arguments.file,
        name=Path(arguments.output).name if arguments.output else None,
        epochs=arguments.epochs,
        columns=dict(map(_renamed, arguments.column)),
        percent=arguments.percent,
        decimal=arguments.decimal,
        space=arguments.space,
        provenance=arguments.provenance,
        energy=arguments.energy,
        notes=arguments.notes,
    )
    print(reading)
    table = reading.table
    if arguments.fill:
        filled = measured.fill(table, progress=True)
        print(filled)
        table = filled.table
    if arguments.dry_run:
        print("Nothing was written (--dry-run).")
        return
    folder = measured.store(table, arguments.output, replace=arguments.replace)
    print(f'Stored in {folder}; ecnas.load("{arguments.output}") opens it.')


def _renamed(text: str) -> tuple[str, str]:
    name, equals, meaning = text.rpartition("=")
    if not equals or not name or not meaning:
        raise ValueError(f"--column must be NAME=MEANING, got {text!r}")
    return name, meaning
