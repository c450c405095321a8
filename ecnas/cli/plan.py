"""The command ``ecnas plan``: what measuring cells will cost, and which to measure next."""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import ecnas
from ecnas.cli.measure import add_cell_arguments, cells_of
from ecnas.files import replaced_file

if TYPE_CHECKING:
    from ecnas.cell import Cell
    from ecnas.table import Table

SUMMARY: Final = "say what measuring cells will cost, and which to measure next"
TEXT: Final = """\
examples:
  ecnas plan --space 4V --epochs 4                             on the machines of the embedded surrogate
  ecnas plan --space 5V --epochs 4 --measured my-gpu           on the machine of that campaign
  ecnas plan --space 5V --measured my-gpu --next 20 -o next.csv
  ecnas measure next.csv --data cifar10 --epochs 4 -o my-gpu

The next cells are those whose measurement tells most of the energies of all others. What a campaign then lacks can be
predicted: ecnas import my-gpu/measurements.jsonl -o my-gpu-filled --fill surrogate. Needs torch
(pip install 'ecnas-gym[surrogate]') for all but a first estimate of the cost."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``ecnas plan``."""
    add_cell_arguments(parser)
    parser.add_argument("--epochs", type=int, default=4, help="epochs of each training (4)")
    parser.add_argument("--repeats", type=int, default=1, metavar="N", help="trainings of each cell (1)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="graphics cards that work at once (1)")
    parser.add_argument("--measured", metavar="NAME", help="a campaign's folder, or a benchmark of measurements")
    parser.add_argument("--next", type=int, metavar="N", help="choose N cells to measure next")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write them to a CSV file for ecnas measure")


def run(arguments: argparse.Namespace) -> None:
    """Says what is to be done."""
    from ecnas.network import planning

    for name in ("epochs", "repeats", "workers"):
        if getattr(arguments, name) < 1:
            raise ValueError(f"--{name} must be 1 or more, got {getattr(arguments, name)}")
    if arguments.output and arguments.next is None:
        raise ValueError("-o needs --next N: it is the chosen cells that are written")
    cells = cells_of(arguments)
    measured = _measured(arguments.measured)
    rows = [cell.row for cell in cells]
    _print_cost("all", rows, arguments, measured)
    if arguments.next is None:
        return
    chosen = planning.next_rows(rows, arguments.next, measured)
    _print_cost("the next", chosen, arguments, measured)
    space = ecnas.Space("7V")
    if arguments.output:
        write_cells(arguments.output, [space[row] for row in chosen])
        print(f"{arguments.output}: {len(chosen)} cells, the most telling first")
        return
    for row in chosen:
        print(f"{space[row].hash}  row {row}")


def write_cells(path: Path, cells: list[Cell]) -> None:
    """Writes cells as ``ecnas measure`` and ``ecnas import`` read them."""
    with replaced_file(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["hash", "adjacency", "ops"])
        writer.writerows([cell.hash, json.dumps(cell.adjacency.tolist()), ",".join(cell.ops)] for cell in cells)


def _print_cost(which: str, rows: list[int], arguments: argparse.Namespace, measured: Table | None) -> None:
    from ecnas.network import planning

    done = _done(measured, arguments.epochs)
    todo = [row for row in rows for repeat in range(arguments.repeats) if (row, repeat) not in done]
    cost = planning.cost(todo, arguments.epochs, measured)
    lapse = planning.hours(cost.seconds / arguments.workers)
    cards = f" on {arguments.workers} cards" if arguments.workers > 1 else ""
    print(
        f"{which} {len(rows):,} cells: {cost.trainings:,} trainings of {arguments.epochs} epochs to do, "
        f"{cost.energy:.3g} kWh, {lapse}{cards}"
    )
    print(f"  {cost.source}")


def _done(measured: Table | None, epochs: int) -> set[tuple[int, int]]:
    """Which trainings are measured, as pairs of row and repeat."""
    import numpy as np

    if measured is None or epochs not in measured.epochs:
        return set()
    return {
        (int(row), repeat)
        for repeat in range(measured.repeats)
        for row in np.flatnonzero(np.isfinite(measured.values("energy", epochs, repeat)))
    }


def _measured(name: str | None) -> Table | None:
    from ecnas.network.campaign import MEASUREMENTS, Campaign

    if name is None:
        return None
    if (Path(name) / MEASUREMENTS).is_file():
        return Campaign(Path(name)).table()
    return ecnas.load(name).table
