"""From the models' predictions to the embedded table: calibration, unmeasured metrics, compact columns."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecnas.benchmark import Benchmark
from ecnas.files import write_text
from ecnas.loading import FRONTS, load, restrict
from ecnas.space import SPACES, Space
from ecnas.surrogate.calibration import Calibration, calibrate
from ecnas.surrogate.data import BEST_OF_THREE, EPOCHS, target
from ecnas.surrogate.stages import fold_of_cells
from ecnas.table import Column, Table, columns_digest

CO2_INTENSITY: Final = 120.0
"""g of CO2 per kWh in the embedded table: about the median of the published 5V file, whose cells were also measured on
a Quadro RTX 6000."""

STARTUP: Final = 15.0
"""Start-up time of a training in seconds. Scaling NAS-Bench-101's times of 108 epochs proportionally to 4 and 12 epochs
gives 0.79 and 0.94 of the times in the published 7V table (medians); with a start-up of 15 seconds, 0.99 and 1.01."""

HIGHEST: Final = 0.96
"""Upper limit of predictions."""

CHANCE: Final = 0.1
"""Accuracy at chance level."""

TRIM: Final = 3.0
"""Robust standard deviations beyond which the calibration of late accuracies leaves a training out."""

Metrics = NDArray[np.float64]


def unseen_predictions(networks: NDArray[np.float32], folds: tuple[int, ...]) -> Metrics:
    """Each cell's prediction by the network that did not learn from it.

    Args:
        networks: Predictions of the network of each fold, shape (folds, cells, targets).
        folds: The numbers of the folds.

    Returns:
        Shape (cells, targets); NaN for cells of other folds.
    """
    fold = fold_of_cells(networks.shape[1])
    unseen = np.full(networks.shape[1:], np.nan)
    for number, predicted in zip(folds, networks, strict=True):
        unseen[fold == number] = predicted[fold == number]
    return unseen


def calibrations(unseen: Metrics, metrics: Metrics) -> dict[str, Calibration]:
    """The corrections of all accuracies; after 36 and 108 epochs without outliers.

    At low accuracies outliers are frequent and one-sided, and would shift all cells.

    Args:
        unseen: Predictions of networks that did not learn from the cell, shape (cells, targets); NaN is left out.
        metrics: What was measured, shape (cells, targets).
    """
    trims = {"val_4": np.inf, "val_12": np.inf, "val_36": TRIM, "val_108": TRIM, "test_108": TRIM}
    return {name: calibrate(unseen[:, target(name)], metrics[:, target(name)], trim) for name, trim in trims.items()}


def accuracies(folder: Path, predicted: Metrics, corrections: Mapping[str, Calibration]) -> tuple[Metrics, Metrics]:
    """Calibrated accuracies, each of shape (cells, 4), after 4, 12, 36 and 108 epochs.

    Test accuracy was not measured after 4, 12 and 36 epochs. It is a linear function of the predicted validation
    accuracy, fitted to the published means of the 91 cells of the 4V space.

    Args:
        folder: The folder of training data.
        predicted: What the networks predict, shape (cells, targets); NaN stays NaN.
        corrections: Of :func:`calibrations`.

    Returns:
        Validation accuracy, which after 108 epochs is that of the best of three trainings, and test accuracy.
    """
    official = load(folder / "official" / "energy_4V9E_linscale.tfrecord")
    val = [corrections[f"val_{epochs}"](predicted[:, target(f"val_{epochs}")]) for epochs in EPOCHS]
    test = []
    for epochs, known in zip(EPOCHS[:-1], val, strict=False):
        published_val, published_test = (official.values(f"{part}_accuracy", epochs) for part in ("val", "test"))
        slope, intercept = np.polyfit(published_val, published_test, 1)
        test.append(slope * known + intercept)
    test.append(corrections["test_108"](predicted[:, target("test_108")]))
    return np.stack(val, axis=1), np.stack(test, axis=1)


@dataclass(frozen=True)
class Predictions:
    """The content of the embedded table, in row order of the 7V space.

    Attributes:
        val_accuracy: Shape (cells, 4), after 4, 12, 36 and 108 epochs.
        test_accuracy: Shape (cells, 4).
        training_time: Seconds of 108 epochs, shape (cells,).
        energy: kWh of 4 epochs, shape (cells,).
    """

    val_accuracy: Metrics
    test_accuracy: Metrics
    training_time: Metrics
    energy: Metrics


def finish(
    folder: Path,
    raw: Metrics,
    corrections: Mapping[str, Calibration],
    mean_of_best: Calibration,
    log_energy: Metrics,
) -> Predictions:
    """Converts model output into the embedded metrics.

    Args:
        folder: The folder of training data.
        raw: What the networks predict, shape (cells, targets); NaN stays NaN.
        corrections: Of :func:`calibrations`.
        mean_of_best: Mean validation accuracy after 108 epochs as a function of that of the best of three, for cells of
            five and more vertices. For smaller cells the difference is :data:`ecnas.surrogate.data.BEST_OF_THREE`.
        log_energy: Predicted log kWh of 4 epochs, shape (cells,).
    """
    val, test = accuracies(folder, raw, corrections)
    small = Space("7V").cells.num_vertices <= 4
    val[:, -1] = np.where(small, val[:, -1] - BEST_OF_THREE, mean_of_best(val[:, -1]))
    return Predictions(
        val_accuracy=np.clip(val, CHANCE, HIGHEST),
        test_accuracy=np.clip(test, CHANCE, HIGHEST),
        training_time=np.exp(raw[:, target("log_time_108")]),
        energy=np.exp(log_energy),
    )


def embedded_table(predictions: Predictions) -> Table:
    """The shipped table, with two bytes per metric.

    Energy is proportional to the epochs, as is training time after :data:`STARTUP`. CO2 is the energy times
    :data:`CO2_INTENSITY`.
    """
    energy = _quantised(predictions.energy[:, None] / EPOCHS[0], per_epoch=True)
    columns = {
        "val_accuracy": _quantised(predictions.val_accuracy),
        "test_accuracy": _quantised(predictions.test_accuracy),
        "energy": energy,
        "training_time": replace(
            _quantised((predictions.training_time[:, None] - STARTUP) / EPOCHS[-1], per_epoch=True), fixed=STARTUP
        ),
        "co2": Column(energy.values, energy.scale * CO2_INTENSITY, energy.offset * CO2_INTENSITY, per_epoch=True),
    }
    return Table(
        name="surrogate-7V",
        space=Space("7V"),
        epochs=EPOCHS,
        repeats=1,
        provenance=dict.fromkeys(EPOCHS, "surrogate"),
        columns=columns,
        digest=columns_digest(columns),
        notes="Predicted, not measured: see CARD.md beside the table, and docs/surrogate.md.",
    )


def save(table: Table, folder: Path) -> None:
    """Writes the table, and with it the exact front of each embedded benchmark."""
    table.save(folder)
    fronts = {name: Benchmark(restrict(table, Space(name), name)).pareto_front().rows.tolist() for name in SPACES}
    write_text(folder / FRONTS, json.dumps({"digest": table.digest, "fronts": fronts}) + "\n")


def _quantised(metrics: Metrics, per_epoch: bool = False) -> Column:
    """Sixteen bits between the lowest and the highest metric; shape (cells, epochs or 1)."""
    low, high = float(metrics.min()), float(metrics.max())
    scale = (high - low) / np.iinfo(np.uint16).max
    values = np.round((metrics - low) / scale).astype(np.uint16)
    return Column(values[..., None], scale, low, per_epoch)
