"""The command ``ecnas plan``: the cost of measuring cells, and which to measure next."""

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

SUMMARY: Final = "estimate the cost of measuring cells, and choose which to measure next"
TEXT: Final = """\
examples:
  ecnas plan --space 4V --epochs 4                             on the embedded surrogate's machines
  ecnas plan --space 5V --epochs 4 --measured my-gpu           on that campaign's machine
  ecnas plan --space 5V --measured my-gpu --next 20 -o next.csv
  ecnas measure next.csv --data cifar10 --epochs 4 -o my-gpu

The next cells are those whose measurements most reduce the uncertainty about the energies of all others. Cells that
are not measured can be predicted: ecnas import my-gpu/measurements.jsonl -o my-gpu-filled --fill surrogate.
Everything but a first cost estimate needs torch (pip install 'ecnas-gym[surrogate]')."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``ecnas plan``."""
    add_cell_arguments(parser)
    parser.add_argument("--epochs", type=int, default=4, help="epochs of each training (default: 4)")
    parser.add_argument("--repeats", type=int, default=1, metavar="N", help="trainings of each cell (default: 1)")
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="GPUs that train at the same time (default: 1)"
    )
    parser.add_argument("--measured", metavar="NAME", help="the folder of a campaign, or a benchmark of measurements")
    parser.add_argument("--next", type=int, metavar="N", help="choose N cells to measure next")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="CSV file for the chosen cells, which ecnas measure reads"
    )


def run(arguments: argparse.Namespace) -> None:
    """Prints the cost and the next cells."""
    from ecnas.network import planning

    for name in ("epochs", "repeats", "workers"):
        if getattr(arguments, name) < 1:
            raise ValueError(f"--{name} must be 1 or more, got {getattr(arguments, name)}")
    if arguments.output and arguments.next is None:
        raise ValueError("-o needs --next N: it writes the chosen cells")
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
        print(f"{arguments.output}: {len(chosen)} cells, the most informative first")
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
    cards = f" on {arguments.workers} GPUs" if arguments.workers > 1 else ""
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
