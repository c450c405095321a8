"""The command ``ecnas train``: train the network of one cell, metered."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ecnas.cli.training_arguments import add_training_arguments, metering_of, recipe_of

if TYPE_CHECKING:
    from ecnas.network.results import Training

SUMMARY: Final = "train the network of a cell, and meter its energy"
TEXT: Final = """\
examples:
  ecnas train runs/seed-0 --data cifar10 --epochs 108         the cell that a run recommends
  ecnas train cell.json --data images.npz --epochs 4 --repeats 3
  ecnas train 5529e1779433733d1145e20de5d8604e --data cifar10 --precision mixed_float16

A stopped training resumes after its last finished epoch, and a finished one is not repeated. Each training writes
its metrics to training.json and the network to model.keras. Needs pip install 'ecnas-gym[network]'."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``ecnas train``."""
    parser.add_argument(
        "cell", metavar="CELL", help="a run (its folder or record), a cell.json, or a published module hash"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FOLDER",
        help="folder for trainings (default: trained/ and the cell's hash)",
    )
    add_training_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Trains a cell once or several times."""
    from ecnas.network.cells import read_winner

    cell = read_winner(arguments.cell)
    recipe, metering = recipe_of(arguments), metering_of(arguments)

    from ecnas.network.workers import see, visible_devices

    device = visible_devices()[0]
    see(device)

    from ecnas.network.images import load_images
    from ecnas.network.meter import Meter
    from ecnas.network.training import train

    images = load_images(arguments.data)
    folder = arguments.output or Path("trained") / cell.hash
    print(f"{cell.hash}: {cell.trainable_parameters:,} trainable parameters in the published network\n\n{cell}\n")
    for seed in range(arguments.seed, arguments.seed + arguments.repeats):
        place = folder / f"epochs-{recipe.epochs}-seed-{seed}"
        training = train(cell, images, recipe, seed=seed, folder=place, meter=Meter(metering, gpu=device))
        print(f"{place}: {describe(training)}")


def describe(training: Training) -> str:
    """A training in one line."""
    final = training.final
    accuracies = f"validation {final.val_accuracy:.4f}, test {final.test_accuracy:.4f}"
    energy = f"{final.energy:.6g} kWh ({training.provenance})" if training.devices else "no energy"
    return f"{final.epoch} epochs in {final.training_time:.0f} s, {accuracies}, {energy}"
