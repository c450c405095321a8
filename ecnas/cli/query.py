"""The command ``ecnas query``: print what a benchmark says of a cell."""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import ecnas
from ecnas.interchange import read_cell

SUMMARY: Final = "print the metrics of a cell"
TEXT: Final = """\
examples:
  ecnas query energy_4V9E_linscale --cell 0110001100010000 conv1x1,conv3x3
  ecnas query energy_4V9E_4epochs --hash 5529e1779433733d1145e20de5d8604e --repeat 2
  ecnas query surrogate-7V --row 100000 --epochs 108 --json

The matrix is V×V digits, between which brackets, commas, slashes and spaces are ignored; operations are names or
the codes 0 (conv3x3), 1 (conv1x1) and 2 (maxpool3x3). Vertices that are on no path from input to output are pruned,
and isomorphic cells are the same cell."""


_UNITS: Final = {
    "val_accuracy": "",
    "test_accuracy": "",
    "train_accuracy": "",
    "energy": "kWh",
    "co2": "g",
    "training_time": "s",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``ecnas query``."""
    parser.add_argument("name", metavar="NAME", help="a benchmark, or a path")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--cell",
        nargs="+",
        metavar=("ADJACENCY", "OPS"),
        help="V×V digits 0 and 1, row by row, and the names of the operations, with commas or spaces between",
    )
    which.add_argument("--hash", metavar="HASH", help="published module hash")
    which.add_argument("--row", type=_number, metavar="ROW", help="number in the enumeration of the space, from 0")
    parser.add_argument("--epochs", type=_number, nargs="+", metavar="N", help="numbers of epochs; all by default")
    parser.add_argument(
        "--repeat", type=_number, metavar="K", help='which of several trainings; "mean", the mean of all, by default'
    )
    parser.add_argument("--json", action="store_true", help="print JSON, with null for what the benchmark lacks")


def run(arguments: argparse.Namespace) -> None:
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
        metrics = [f"{getattr(evaluation, name):>{len(title)}.6g}" for name, title in zip(_UNITS, header, strict=True)]
        print("  ".join([f"{evaluation.epochs:>6}", *metrics, evaluation.provenance]))


def _cell(benchmark: ecnas.Benchmark, arguments: argparse.Namespace) -> ecnas.Cell:
    space = benchmark.space
    if arguments.cell:
        return read_cell(*_split(arguments.cell))
    if arguments.hash:
        from ecnas.official.hashes import row_of_hash

        return space[row_of_hash(benchmark, arguments.hash)]
    return space[arguments.row]


def _number(text: str) -> int | str:
    """A whole number; what is none is left for the benchmark to refuse."""
    return int(text) if re.fullmatch(r"-?[0-9]{1,20}", text, re.ASCII) else text


def _split(words: Sequence[str]) -> tuple[str, str]:
    """The matrix and the operations of a cell, both of which may be written in several words."""
    for count in range(1, len(words) + 1):
        digits = re.sub(r"[^0-9]", "", "".join(words[:count]))
        ops = [op for word in words[count:] for op in re.split(r"[\s,;|]+", word) if op]
        num_vertices = math.isqrt(len(digits))
        if num_vertices**2 == len(digits) and len(ops) in (num_vertices - 2, num_vertices):
            return " ".join(words[:count]), ",".join(ops)
    return words[0], " ".join(words[1:])  # it does not fit together; reading it says why


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
            {name: plain(value) for name, value in asdict(evaluation).items()} for evaluation in evaluations
        ],
    }
