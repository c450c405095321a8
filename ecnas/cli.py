"""The command line: ``ecnas fetch | info | query | export | plot | report``.

Each command is one function that takes its parsed arguments; :data:`COMMANDS` lists them. What a user did wrong is said
in one line, with exit code 2.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO

import numpy as np

import ecnas
from ecnas import loading, pareto, plot_cli
from ecnas.encoding import OPERATIONS
from ecnas.errors import ECNASError, OutOfDomainError
from ecnas.report import add_report, report

USER_ERROR: Final = 2
INTERRUPTED: Final = 130

_SHORT_OPS: Final = {name.removesuffix("-bn-relu"): name for name in OPERATIONS}
_UNITS: Final = {
    "val_accuracy": "",
    "test_accuracy": "",
    "train_accuracy": "",
    "energy": "kWh",
    "co2": "g",
    "training_time": "s",
}


# ---------------------------------------------------------------------------------------------------------------------
# fetch


def add_fetch(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``ecnas fetch``."""
    parser.add_argument("names", nargs="+", metavar="NAME", help='a name that "ecnas info" lists, or "all"')
    parser.add_argument(
        "--source",
        metavar="ADDRESS",
        help="web address or folder to fetch from (else $ECNAS_SOURCE, else the publisher)",
    )
    parser.add_argument("--cache", metavar="FOLDER", help="where to keep files and tables (else $ECNAS_CACHE)")
    parser.add_argument(
        "--no-convert", action="store_true", help="fetch only; the table is made when it is first loaded"
    )


def fetch(arguments: argparse.Namespace) -> None:
    """Fetches published files and converts them."""
    from ecnas.official import CATALOGUE, fetch, table_of_published
    from ecnas.official.fetch import CACHE_VARIABLE, FetchError, published
    from ecnas.official.records import TensorFlowMissingError

    if arguments.cache:
        os.environ[CACHE_VARIABLE] = arguments.cache
    names = list(CATALOGUE) if "all" in arguments.names else arguments.names
    for name in names:
        published(name)  # an unknown name is found out before anything is fetched
    failed = []
    for name in names:
        try:
            print(f"{name}: {fetch(name, arguments.source)}")
            if not arguments.no_convert:
                print(f"{name}: table in {table_of_published(name).folder}")
        except TensorFlowMissingError as error:
            print(f"{name}: not converted: {error}", file=sys.stderr)
        except ECNASError as error:  # the others may well be there
            if len(names) == 1:
                raise
            print(f"{name}: {error}", file=sys.stderr)
            failed.append(name)
    if failed:
        raise FetchError(f"{len(failed)} of {len(names)} files were not fetched: {', '.join(failed)}")


# ---------------------------------------------------------------------------------------------------------------------
# info


def add_info(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``ecnas info``."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="a benchmark, or a path; all are listed without it")


def info(arguments: argparse.Namespace) -> None:
    """Lists the benchmarks, or describes one."""
    if arguments.name is None:
        _list_benchmarks()
    else:
        _describe(ecnas.load(arguments.name))
        if arguments.name in loading.EMBEDDED:
            card = loading.EMBEDDED_FOLDER.parent / "CARD.md"
            print(f"\n{card.read_text(encoding='utf-8').rstrip()}")


def _list_benchmarks() -> None:
    from ecnas.official import CATALOGUE, cache_folder
    from ecnas.official.cache import table_folder
    from ecnas.official.fetch import fetched_path

    print("Embedded, ready to use:")
    for name in loading.EMBEDDED:
        print(f"  {name:<26}surrogate of the space, fitted for this package")
    print(f'\nPublished, to be fetched with "ecnas fetch NAME" (cache: {cache_folder()}):')
    for name, entry in CATALOGUE.items():
        if table_folder(entry.sha256).is_dir():
            state = "converted"
        else:
            state = "fetched" if fetched_path(name).is_file() else ""
        print(f"  {name:<26}{entry.size / 1e6:>7.1f} MB  {state:<10} {entry.description}")


def _describe(benchmark: ecnas.Benchmark) -> None:
    table, space = benchmark.table, benchmark.space
    lines = {
        "name": table.name,
        "space": f"{space.name}: at most {space.num_vertices} vertices and {space.max_edges} edges",
        "cells": f"{len(space) - len(table.missing):,} of {len(space):,}",
        "epochs": ", ".join(f"{epochs} ({table.provenance[epochs]})" for epochs in table.epochs),
        "repeats": str(table.repeats),
        "figures": ", ".join(table.columns),
        "digest": table.digest,
        "notes": table.notes,
        "folder": str(table.folder or ""),
    }
    for key, text in lines.items():
        if text:
            print(f"{key + ':':<10}{text}")
    if not {"val_accuracy", "energy"} <= set(table.columns):
        print("front:    none, since the benchmark lacks accuracies or energies")
        return
    front = benchmark.pareto_front()
    points = front.figures * [1, -1]
    chosen = pareto.solutions(points)
    print(f"front:    {len(front)} cells at {table.epochs[-1]} epochs, by validation accuracy and energy")
    for label, position in (("least energy", chosen.r0), ("best accuracy", chosen.r1), ("knee", chosen.knee)):
        accuracy, energy = front.figures[position]
        cell = space[int(front.rows[position])]
        print(f"          {label:<14}{accuracy:.4f}  {energy:.5g} kWh  {cell.hash}")


# ---------------------------------------------------------------------------------------------------------------------
# query


def add_query(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``ecnas query``."""
    parser.add_argument("name", metavar="NAME", help="a benchmark, or a path")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--cell",
        nargs=2,
        metavar=("ADJACENCY", "OPS"),
        help="V×V digits 0 and 1, row by row, and the names of the operations with commas between",
    )
    which.add_argument("--hash", metavar="HASH", help="published module hash")
    which.add_argument("--row", type=int, metavar="ROW", help="number in the enumeration of the space, from 0")
    parser.add_argument("--epochs", type=int, nargs="+", metavar="N", help="numbers of epochs; all by default")
    parser.add_argument("--repeat", type=int, metavar="K", help="which of several trainings; the mean by default")
    parser.add_argument("--json", action="store_true", help="print JSON, with null for what the benchmark lacks")


def query(arguments: argparse.Namespace) -> None:
    """Prints what a benchmark says of a cell."""
    benchmark = ecnas.load(arguments.name)
    cell = _cell(benchmark, arguments)
    evaluations = [
        benchmark.query(cell, epochs, repeat=arguments.repeat) for epochs in arguments.epochs or benchmark.epochs
    ]
    if arguments.json:
        print(json.dumps(_as_json(benchmark, cell, evaluations)))
        return
    print(f"{benchmark.name}, row {cell.row}, hash {cell.hash}")
    print(f"{cell.trainable_parameters:,} trainable parameters\n\n{cell}\n")
    header = [f"{name} ({unit})" if unit else name for name, unit in _UNITS.items()]
    print("  ".join(["epochs", *header, "provenance"]))
    for evaluation in evaluations:
        figures = [f"{getattr(evaluation, name):>{len(title)}.6g}" for name, title in zip(_UNITS, header, strict=True)]
        print("  ".join([f"{evaluation.epochs:>6}", *figures, evaluation.provenance]))


def _cell(benchmark: ecnas.Benchmark, arguments: argparse.Namespace) -> ecnas.Cell:
    space = benchmark.space
    if arguments.cell:
        return read_cell(*arguments.cell)
    if arguments.hash:
        from ecnas.official.hashes import row_of_hash

        return space[row_of_hash(benchmark, arguments.hash)]
    if not 0 <= arguments.row < len(space):
        raise OutOfDomainError(f"row must be from 0 to {len(space) - 1} in space {space.name}, got {arguments.row}")
    return space[arguments.row]


def read_cell(adjacency: str, ops: str) -> ecnas.Cell:
    """Reads a cell as the command line takes it.

    Args:
        adjacency: V×V digits row by row; spaces, commas, semicolons, slashes and brackets between them are ignored.
        ops: Names of the inner (or of all) operations, commas between; "conv3x3" and "conv1x1" will do.

    Raises:
        InvalidCellError: It is not a cell.
    """
    digits = re.sub(r"[\s,;/\[\]]", "", adjacency)
    num_vertices = math.isqrt(len(digits))
    if not re.fullmatch("[01]+", digits) or num_vertices**2 != len(digits):
        raise ecnas.InvalidCellError(f"adjacency must be V×V digits 0 and 1, got {adjacency!r}")
    matrix = np.array([int(digit) for digit in digits]).reshape(num_vertices, num_vertices)
    names = [_SHORT_OPS.get(name.strip(), name.strip()) for name in ops.split(",") if name.strip()]
    return ecnas.Cell(matrix, names)


def _as_json(benchmark: ecnas.Benchmark, cell: ecnas.Cell, evaluations: Sequence[ecnas.Evaluation]) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        return None if isinstance(value, float) and math.isnan(value) else value

    return {
        "benchmark": benchmark.name,
        "digest": benchmark.digest,
        "row": cell.row,
        "hash": cell.hash,
        "adjacency": cell.adjacency.tolist(),
        "ops": list(cell.ops),
        "evaluations": [
            {name: plain(value) for name, value in evaluation._asdict().items()} for evaluation in evaluations
        ],
    }


# ---------------------------------------------------------------------------------------------------------------------
# export


def add_export(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``ecnas export``."""
    parser.add_argument("name", metavar="NAME", help="a benchmark, or a path")
    parser.add_argument("out", type=Path, metavar="OUT.tfrecord", help="the file to write; one that exists is replaced")


def export(arguments: argparse.Namespace) -> None:
    """Writes a benchmark in the published format."""
    from ecnas.official.export import export

    rows = export(ecnas.load(arguments.name).table, arguments.out)
    print(f"{arguments.out}: {rows:,} rows")


# ---------------------------------------------------------------------------------------------------------------------


class Command(NamedTuple):
    """A command: what it does, its arguments, and its page of help."""

    run: Callable[[argparse.Namespace], None]
    add_arguments: Callable[[argparse.ArgumentParser], None]
    summary: str
    text: str


COMMANDS: Final[dict[str, Command]] = {
    "fetch": Command(
        fetch,
        add_fetch,
        "fetch published files into the cache and convert them",
        """\
examples:
  ecnas fetch energy_4V9E_linscale
  ecnas fetch all --source https://mirror.example/tabular_benchmarks/
  ecnas fetch energy_7V9E_surrogate --source ~/EC-NAS-Bench/ecnas/ecnas/utils/data/tabular_benchmarks

Files are checked against their published SHA-256. Converting needs tensorflow (pip install 'ecnas-gym[official]');
what is converted opens without it. The environment variables ECNAS_SOURCE and ECNAS_CACHE set the source and the
cache folder for everything in this package.""",
    ),
    "info": Command(
        info,
        add_info,
        "list the benchmarks, or describe one",
        """\
examples:
  ecnas info
  ecnas info energy_4V9E_rtx3090
  ecnas info surrogate-7V

Describing a published file fetches and converts it first, if need be.""",
    ),
    "query": Command(
        query,
        add_query,
        "print what a benchmark says of a cell",
        """\
examples:
  ecnas query energy_4V9E_linscale --cell 0110001100010000 conv1x1,conv3x3
  ecnas query energy_4V9E_4epochs --hash 5529e1779433733d1145e20de5d8604e --repeat 2
  ecnas query surrogate-7V --row 100000 --epochs 108 --json

The matrix may hold vertices that are on no path from input to output: they are pruned, and isomorphic cells are the
same cell.""",
    ),
    "export": Command(
        export,
        add_export,
        "write a benchmark as a .tfrecord file in the published format",
        """\
examples:
  ecnas export energy_4V9E_linscale copy.tfrecord
  ecnas export surrogate-5V surrogate.tfrecord

A published file comes out byte for byte as it was. Needs tensorflow (pip install 'ecnas-gym[official]').""",
    ),
    "plot": Command(plot_cli.plot, plot_cli.add_arguments, "draw a chart of a benchmark or of runs", plot_cli.TEXT),
    "report": Command(
        report,
        add_report,
        "make one HTML page of run records: curves, fronts, leaderboards",
        """\
examples:
  ecnas report runs/rl-nas -o report.html
  ecnas report runs/surrogate-7V/ppo runs/surrogate-7V/reinforce-lstm --title "Two controllers"

The page opens without a network. Runs of one folder are the seeds of one method. Needs plotly, matplotlib and moocore
(pip install 'ecnas-gym[report]').""",
    ),
}


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="ecnas", description="Energy-aware tabular neural architecture search: benchmarks and published files."
    )
    parser.add_argument("--version", action="version", version=f"ecnas-gym {ecnas.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for name, command in COMMANDS.items():
        page = commands.add_parser(
            name,
            help=command.summary,
            description=command.summary[0].upper() + command.summary[1:] + ".",
            epilog=command.text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(page)
        page.set_defaults(run=command.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    arguments = make_parser().parse_args(argv)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            arguments.run(arguments)
            sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ECNASError, ValueError, OSError) as error:
        print(f"ecnas {arguments.command}: {error}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return INTERRUPTED
    return 0


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
