"""Arguments that ``ecnas train`` and ``ecnas measure`` share."""

from __future__ import annotations

import argparse
import importlib.util

from ecnas.errors import MissingExtraError
from ecnas.network.meter import Metering
from ecnas.network.results import PRECISIONS, Recipe


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Data, recipe and meter."""
    parser.add_argument(
        "--data",
        required=True,
        help='"cifar10" (from Keras\'s cache), a folder with its binary version, or an .npz file with x_train, '
        "y_train, x_test and y_test",
    )
    parser.add_argument("--epochs", type=int, default=4, help="epochs of each training (default: 4)")
    parser.add_argument("--repeats", type=int, default=1, metavar="N", help="trainings of each cell (default: 1)")
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="seed of each cell's first training; repeats use the following ones (default: 0)",
    )
    recipe = parser.add_argument_group("recipe", "The defaults are NAS-Bench-101's.")
    recipe.add_argument("--batch-size", type=int, default=256, help="images per step (default: 256)")
    recipe.add_argument("--learning-rate", type=float, default=0.2, help="initial learning rate (default: 0.2)")
    recipe.add_argument("--weight-decay", type=float, default=1e-4, help="L2 penalty on all parameters (default: 1e-4)")
    recipe.add_argument(
        "--channels", type=int, default=128, help="channels after the stem (default: 128, the published network)"
    )
    recipe.add_argument(
        "--precision", choices=PRECISIONS, default="float32", help="precision of the computation (default: float32)"
    )
    meter = parser.add_argument_group("meter")
    meter.add_argument(
        "--devices",
        nargs="+",
        choices=("gpu", "cpu"),
        default=("gpu", "cpu"),
        help="devices whose energy counts (default: both)",
    )
    meter.add_argument(
        "--idle-power",
        type=float,
        default=0.0,
        metavar="W",
        help="power of the idle devices, which is subtracted (default: 0)",
    )
    meter.add_argument(
        "--pue",
        type=float,
        default=1.0,
        help="power usage effectiveness of the data centre; multiplies energy (default: 1)",
    )
    meter.add_argument(
        "--intensity", type=float, metavar="G", help="carbon intensity in g of CO2 per kWh; without it, CO2 is missing"
    )


def recipe_of(arguments: argparse.Namespace) -> Recipe:
    """The recipe. Checks that Keras and the meter are installed.

    Raises:
        MissingExtraError: One of them is not installed.
    """
    for name in ("keras", "codecarbon"):
        if importlib.util.find_spec(name) is None:
            raise MissingExtraError(name)
    if arguments.repeats < 1:
        raise ValueError(f"--repeats must be 1 or more, got {arguments.repeats}")
    return Recipe(
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        weight_decay=arguments.weight_decay,
        channels=arguments.channels,
        precision=arguments.precision,
    )


def metering_of(arguments: argparse.Namespace) -> Metering:
    """The settings of the meter."""
    return Metering(tuple(arguments.devices), arguments.idle_power, arguments.pue, arguments.intensity)
