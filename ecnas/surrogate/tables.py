"""From what the models say to the embedded table: calibration, figures that were never measured, compact columns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecnas.loading import load
from ecnas.space import Space
from ecnas.surrogate.data import BEST_OF_THREE, EPOCHS, FAILED, target
from ecnas.surrogate.stages import fold_of_cells
from ecnas.table import Column, Table, columns_digest

CO2_INTENSITY: Final = 120.0
"""g of CO2 per kWh, by which energies become CO2 in the embedded table: about the median of the published 5V file,
whose cells were measured on a Quadro RTX 6000 as well."""

CHANCE: Final = 0.1
"""Accuracy of a network that has learned nothing."""

KNOTS: Final = 24

TRIM: Final = 3.0
"""Robust standard deviations beyond which the calibration of late accuracies leaves a training out."""

Figures = NDArray[np.float64]


def unseen_predictions(networks: NDArray[np.float32], folds: tuple[int, ...]) -> Figures:
    """Each cell's prediction by the network that did not learn from it.

    Args:
        networks: Predictions of the network of each fold, shape (folds, cells, targets).
        folds: Which folds they are.

    Returns:
        Shape (cells, targets); NaN for cells of other folds.
    """
    fold = fold_of_cells(networks.shape[1])
    unseen = np.full(networks.shape[1:], np.nan)
    for number, predicted in zip(folds, networks, strict=True):
        unseen[fold == number] = predicted[fold == number]
    return unseen


@dataclass(frozen=True)
class Calibration:
    """A monotone, piecewise linear correction of predictions, constant in its shift beyond the knots.

    Attributes:
        knots: Predictions, ascending; shape (k,).
        corrected: What they become, ascending; shape (k,).
    """

    knots: Figures
    corrected: Figures

    def __call__(self, predicted: Figures) -> Figures:
        inside = np.clip(predicted, self.knots[0], self.knots[-1])
        corrected: Figures = np.interp(inside, self.knots, self.corrected) + (predicted - inside)
        return corrected


def calibrate(predicted: Figures, measured: Figures, trim: float = np.inf) -> Calibration:
    """Corrects predictions so that their mean residual is nil wherever they lie.

    The network's likelihood has heavy tails, so that it predicts a typical training rather than the mean of several;
    where trainings scatter to one side the two differ. The correction is the mean residual of cells with similar
    predictions, without failed trainings (a loss of some 0.8 that hits one training in 160, hardly any cell for sure)
    and, on demand, without outliers.

    Args:
        predicted: Predictions of cells that the model did not learn from, shape (n,).
        measured: Their measurements, shape (n,); NaN is left out.
        trim: Residuals further from the median are left out, in robust standard deviations of their neighbours.
    """
    use = np.isfinite(predicted) & np.isfinite(measured)
    use[use] = ~((measured[use] < FAILED) & (predicted[use] > 2 * FAILED))
    order = np.argsort(predicted[use], kind="stable")
    groups = [np.flatnonzero(use)[part] for part in np.array_split(order, KNOTS)]
    knots = np.array([np.median(predicted[group]) for group in groups])
    shifts = np.array([_trimmed_mean(measured[group] - predicted[group], trim) for group in groups])
    return Calibration(knots, np.maximum.accumulate(knots + shifts))


def _trimmed_mean(residuals: Figures, trim: float) -> float:
    deviations = np.abs(residuals - np.median(residuals))
    return float(residuals[deviations <= trim * 1.4826 * np.median(deviations)].mean())


@dataclass(frozen=True)
class Predictions:
    """What the embedded table says, in row order of the 7V space.

    Attributes:
        val_accuracy: Shape (cells, 4), after 4, 12, 36 and 108 epochs.
        test_accuracy: Shape (cells, 4).
        training_time: Seconds of 108 epochs, shape (cells,).
        energy: kWh of 4 epochs, shape (cells,).
    """

    val_accuracy: Figures
    test_accuracy: Figures
    training_time: Figures
    energy: Figures


def finish(folder: Path, raw: Figures, unseen: Figures, figures: Figures, log_energy: Figures) -> Predictions:
    """Turns model output into the embedded figures.

    1. The networks' predictions are calibrated (:func:`calibrate`); after 36 and 108 epochs without outliers, which at
       low accuracies are many and one-sided, and would move all cells for the sake of some.
    2. What the best of three trainings is above their mean (:data:`ecnas.surrogate.data.BEST_OF_THREE`) is taken off
       the validation accuracy after 108 epochs.
    3. Test accuracy was not measured after 4, 12 and 36 epochs. It is a linear function of the predicted validation
       accuracy, fitted to the published means of the 91 cells of the 4V space.

    Args:
        folder: The folder of training data.
        raw: What the networks predict, shape (cells, targets); NaN stays NaN.
        unseen: The same by networks that did not learn from the cell, to learn the calibration from.
        figures: What was measured, shape (cells, targets).
        log_energy: Predicted log kWh of 4 epochs, shape (cells,).
    """
    official = load(folder / "official" / "energy_4V9E_linscale.tfrecord")

    def calibrated(name: str, trim: float) -> Figures:
        column = target(name)
        return calibrate(unseen[:, column], figures[:, column], trim)(raw[:, column])

    val, test = [], []
    for epochs in EPOCHS:
        predicted = calibrated(f"val_{epochs}", TRIM if epochs >= 36 else np.inf)
        published_val, published_test = (official.values(f"{part}_accuracy", epochs) for part in ("val", "test"))
        if epochs == 108:
            predicted = predicted - BEST_OF_THREE
        val.append(predicted)
        if epochs == 108:
            test.append(calibrated("test_108", TRIM))
        else:
            slope, intercept = np.polyfit(published_val, published_test, 1)
            test.append(slope * predicted + intercept)
    highest = np.nanmax(figures[:, [target("val_108"), target("test_108")]])
    return Predictions(
        val_accuracy=np.clip(np.stack(val, axis=1), CHANCE, highest),
        test_accuracy=np.clip(np.stack(test, axis=1), CHANCE, highest),
        training_time=np.exp(raw[:, target("log_time_108")]),
        energy=np.exp(log_energy),
    )


def embedded_table(predictions: Predictions) -> Table:
    """The table that is shipped: two bytes a figure.

    Training time and energy are stored per epoch, since both are taken to be proportional to the epochs, and CO2 is the
    energy times :data:`CO2_INTENSITY`.
    """
    energy = _quantised(predictions.energy[:, None] / EPOCHS[0], per_epoch=True)
    columns = {
        "val_accuracy": _quantised(predictions.val_accuracy),
        "test_accuracy": _quantised(predictions.test_accuracy),
        "energy": energy,
        "training_time": _quantised(predictions.training_time[:, None] / EPOCHS[-1], per_epoch=True),
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


def _quantised(figures: Figures, per_epoch: bool = False) -> Column:
    """Sixteen bits between the lowest and the highest figure; shape (cells, epochs or 1)."""
    low, high = float(figures.min()), float(figures.max())
    scale = (high - low) / np.iinfo(np.uint16).max
    values = np.round((figures - low) / scale).astype(np.uint16)
    return Column(values[..., None], scale, low, per_epoch)
