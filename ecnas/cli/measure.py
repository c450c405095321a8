"""The command ``ecnas measure``: train and meter many cells, and make a benchmark of them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ecnas.cli.training_arguments import add_training_arguments, metering_of, recipe_of
from ecnas.space import SPACES, Space

if TYPE_CHECKING:
    from ecnas.cell import Cell
    from ecnas.network.campaign import Campaign
    from ecnas.network.workers import Outcome

SUMMARY: Final = "train and meter many cells, and make a benchmark of them"
TEXT: Final = """\
examples:
  ecnas measure --space 4V --data cifar10 --epochs 4 -o my-gpu
  ecnas measure cells.csv --data cifar10 --epochs 4 --repeats 3 --intensity 120 -o my-gpu
  ecnas measure --record runs/seed-0 --data images.npz -o my-gpu

Every finished training is saved at once; to resume a stopped campaign, run the same command again. The result is a
benchmark named after the folder, for ecnas info my-gpu, environments and sweeps, and, if tensorflow is installed, a
file in the published format. Needs pip install 'ecnas-gym[network]'."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``ecnas measure``."""
    add_cell_arguments(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="folder of the campaign; the benchmark is named after it",
    )
    parser.add_argument("--workers", type=int, metavar="N", help="GPUs to use (default: all)")
    add_training_arguments(parser)


def add_cell_arguments(parser: argparse.ArgumentParser) -> None:
    """Which cells."""
    parser.add_argument(
        "cells", type=Path, nargs="?", metavar="CELLS", help="a file with one cell per line (.csv, .jsonl, .parquet)"
    )
    parser.add_argument("--space", choices=tuple(SPACES), help="all cells of a space")
    parser.add_argument("--record", type=Path, metavar="RUN", help="all cells that a run evaluated")


def cells_of(arguments: argparse.Namespace) -> list[Cell]:
    """The requested cells.

    Raises:
        ValueError: They are requested in no way, or in more than one.
    """
    from ecnas.network.cells import read_cells, read_record

    given = [name for name in ("cells", "space", "record") if getattr(arguments, name) is not None]
    if len(given) != 1:
        raise ValueError(f"one of CELLS, --space and --record is needed, got {given or 'none'}")
    if arguments.space:
        return list(Space(arguments.space))
    return read_cells(arguments.cells) if arguments.cells else read_record(arguments.record)


def run(arguments: argparse.Namespace) -> None:
    """Measures cells."""
    cells = cells_of(arguments)
    recipe, metering = recipe_of(arguments), metering_of(arguments)

    from tqdm import tqdm

    from ecnas.cli.train import describe
    from ecnas.network.campaign import Campaign
    from ecnas.network.workers import visible_devices

    campaign = Campaign(arguments.output)
    campaign.check_name()
    devices = visible_devices()[: arguments.workers]
    if not devices:
        raise ValueError(f"--workers must be 1 or more, got {arguments.workers}")
    todo = len(campaign.missing(cells, recipe.epochs, arguments.repeats))
    total = len(cells) * arguments.repeats
    with tqdm(total=total, initial=total - todo, unit="training", disable=None, desc=campaign.name) as bar:

        def show(outcome: Outcome) -> None:
            said = describe(outcome.training) if outcome.training else f"failed: {outcome.error}"
            bar.write(f"{outcome.job.cell.hash} repeat {outcome.job.repeat}: {said}", file=sys.stderr)
            bar.update()

        failed = campaign.measure(
            cells,
            arguments.data,
            recipe,
            metering,
            repeats=arguments.repeats,
            seed=arguments.seed,
            devices=devices,
            on_end=show,
        )
    table = campaign.store()
    print(f"{table.name}: {len(table.space) - len(table.missing):,} of {len(table.space):,} cells; {table.notes}")
    print(f'ecnas.load("{table.name}") opens it.')
    if path := export(campaign):
        print(f"{path}: the same measurements in the published format")
    if failed:
        print(f"{len(failed)} trainings failed; the same command tries them again", file=sys.stderr)


def export(campaign: Campaign) -> Path | None:
    """Writes the campaign in the published format, with what each device drew, if tensorflow is installed."""
    from ecnas.official.export import write_rows
    from ecnas.official.records import TensorFlowMissingError

    path = campaign.folder / f"{campaign.name}.tfrecord"
    try:
        write_rows(path, campaign.records(), len(campaign.trainings()))
    except TensorFlowMissingError:
        return None
    return path
