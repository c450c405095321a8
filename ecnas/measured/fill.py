"""Predicts what was not measured, by what was.

Energy and time of a machine are learned as in :mod:`ecnas.surrogate.energy`: a line through the logarithms of the
measured and the embedded energies, and a Gaussian process for the rest. Accuracies are the embedded ones, shifted and
scaled so that they fit the measured ones best; failed trainings are left out of the fit. CO2 is energy times the
measured metrics' intensity. How well this does is told by cells that were left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecnas.errors import ECNASError
from ecnas.loading import load
from ecnas.measured.metrics import assemble
from ecnas.measured.problems import MeasurementsError
from ecnas.table import COLUMNS, PROVENANCES, Table

LEAST: Final = 5
"""Fewer measured cells are too few to learn from."""

FOLDS: Final = 5
"""Parts that are left out in turn, to see how well they are predicted."""

MANY: Final = 1000
"""Of more measured cells one part is enough."""

_OUTLYING: Final = 5.0
_LEARNED: Final = ("energy", "training_time")
_ACCURACIES: Final = ("val_accuracy", "test_accuracy")
_SURROGATE: Final = PROVENANCES.index("surrogate")

Floats = NDArray[np.float64]
Fit = Callable[[NDArray[np.int64], Floats], Callable[[NDArray[np.int64]], Floats]]
"""Learns from the rows of cells and their metrics; what it returns predicts the metrics of rows."""


class SurrogateExtraMissingError(ECNASError, ImportError):
    """What learning needs is not installed."""

    def __init__(self) -> None:
        super().__init__("filling a table needs torch: pip install 'ecnas-gym[surrogate]'")


@dataclass(frozen=True)
class Filled:
    """A table without gaps, and what is to be thought of its predictions; printed, it is an account.

    Attributes:
        table: Measured metrics are as they were. Where metrics come from is told for each of them.
        account: What was predicted, and how well it is known.
    """

    table: Table
    account: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(f"filled: {line}" for line in self.account)


def fill(table: Table, seed: int = 0) -> Filled:
    """Fills the gaps of a table of measurements with predictions.

    Every cell of the space gets, at each of the table's numbers of epochs, what the table has of some cells:
    accuracies, energy, CO2 and time. Accuracies that were not measured at all are the embedded surrogate's.

    Args:
        table: Measurements of at least five cells.
        seed: Seed of the models.

    Returns:
        The table, named as before, and an account.

    Raises:
        MeasurementsError: There are too few cells to learn from.
        SurrogateExtraMissingError: torch is not installed.
    """
    shape = (len(table.space), len(table.epochs), table.repeats)
    there = np.zeros(shape, dtype=np.bool_)
    values, codes = {}, {}
    for name in COLUMNS:
        if name in table.columns:
            values[name], codes[name] = _dense(table, name, shape)
            there |= ~np.isnan(values[name])
    there[..., 0] |= ~there.any(axis=2)  # a cell that was not trained gets one training
    account: list[str] = []
    for name in (*_ACCURACIES, *_LEARNED):
        if name not in values and name in _ACCURACIES:
            values[name] = np.full(shape, np.nan)
            codes[name] = np.zeros(shape, dtype=np.uint8)
        if name in values:
            predicted = _predictions(table, name, seed, account)
            _put(values[name], codes[name], there, predicted)
    if "co2" in values and "energy" in values:
        intensity = np.nanmedian(values["co2"] / values["energy"])
        _put(values["co2"], codes["co2"], there, _means(values["energy"]) * intensity)
        account.append(f"co2: {intensity:.4g} g/kWh, the median of the measured metrics, times energy")
    notes = f"{table.notes} What was not measured is predicted.".strip()
    return Filled(assemble(table.name, table.space, table.epochs, values, codes, notes), tuple(account))


def _dense(table: Table, name: str, shape: tuple[int, int, int]) -> tuple[Floats, NDArray[np.uint8]]:
    """A column's metrics and provenance in full."""
    metrics, origins = np.empty(shape), np.empty(shape, dtype=np.uint8)
    for i, epochs in enumerate(table.epochs):
        for repeat in range(table.repeats):
            metrics[:, i, repeat] = table.values(name, epochs, repeat)
            origins[:, i, repeat] = table.origins(name, epochs, repeat)
    return metrics, np.where(np.isnan(metrics), 0, origins).astype(np.uint8)


def _put(values: Floats, codes: NDArray[np.uint8], there: NDArray[np.bool_], predicted: Floats) -> None:
    """Puts predictions, shape (cells, epochs), into the gaps of all trainings that there are."""
    gaps = np.isnan(values) & there & ~np.isnan(predicted[..., None])
    values[gaps] = np.broadcast_to(predicted[..., None], values.shape)[gaps]
    codes[gaps] = _SURROGATE


def _means(values: Floats) -> Floats:
    """Means over repeats of what is there, shape (cells, epochs)."""
    number = (~np.isnan(values)).sum(axis=2)
    return np.where(number > 0, np.nansum(values, axis=2) / np.maximum(number, 1), np.nan)


def _predictions(table: Table, name: str, seed: int, account: list[str]) -> Floats:
    """Predictions of all cells at all numbers of epochs, shape (cells, epochs)."""
    measured = {epochs: table.values(name, epochs) for epochs in table.epochs}
    enough = [epochs for epochs, metrics in measured.items() if np.isfinite(metrics).sum() >= LEAST]
    everyone = np.arange(len(table.space))
    predicted = np.full((len(table.space), len(table.epochs)), np.nan)
    if not enough:
        counts = max(int(np.isfinite(metrics).sum()) for metrics in measured.values())
        if counts or name in _LEARNED:
            raise MeasurementsError(
                f"{table.name} has {name} of {counts} cells at the same number of epochs; at least {LEAST} are needed "
                "to predict the others"
            )
        source = "val_accuracy" if name == "test_accuracy" and "val_accuracy" in table.columns else None
        for i, epochs in enumerate(table.epochs):
            predicted[:, i] = _embedded(table, name, epochs)
            if source is not None:
                metrics = table.values(source, epochs)
                rows = np.flatnonzero(np.isfinite(metrics))
                if len(rows) >= LEAST:
                    slope, shift = _line(_embedded(table, source, epochs)[rows], metrics[rows])
                    predicted[:, i] = np.clip(shift + slope * predicted[:, i], 0, 1)
        how = "fitted as the validation accuracies are" if source else "as they are"
        account.append(f"{name}: none was measured; the embedded surrogate's, {how}")
        return predicted
    for i, epochs in enumerate(table.epochs):
        nearest = min(enough, key=lambda other: abs(np.log(other / epochs)))
        rows = np.flatnonzero(np.isfinite(measured[nearest]))
        fit = _fit_accuracy(table, name, nearest) if name in _ACCURACIES else _fit_learned(nearest, seed)
        if nearest == epochs:
            predicted[:, i] = fit(rows, measured[epochs][rows])(everyone)
            account.append(
                f"{name} after {epochs} epochs: {len(table.space) - len(rows):,} cells predicted; "
                f"{_judged(fit, rows, measured[epochs][rows])}"
            )
        elif name in _LEARNED:
            predicted[:, i] = fit(rows, measured[nearest][rows])(everyone) * epochs / nearest
            account.append(f"{name} after {epochs} epochs: {epochs}/{nearest} of that after {nearest}")
        else:
            slope, shift = _line(_embedded(table, name, nearest)[rows], measured[nearest][rows])
            predicted[:, i] = np.clip(shift + slope * _embedded(table, name, epochs), 0, 1)
            account.append(f"{name} after {epochs} epochs: fitted as after {nearest}")
    return predicted


def _judged(fit: Fit, rows: NDArray[np.int64], metrics: Floats) -> str:
    """How well cells are predicted that the model did not learn from."""
    if len(rows) < 2 * LEAST:
        return f"{len(rows)} measured cells are too few to say how well"
    fold = np.random.default_rng(0).permutation(len(rows)) % FOLDS
    folds = range(FOLDS if len(rows) <= MANY else 1)
    known = np.concatenate([metrics[fold == k] for k in folds])
    predicted = np.concatenate([fit(rows[fold != k], metrics[fold != k])(rows[fold == k]) for k in folds])
    error = np.median(np.abs(predicted - known) / np.where(known > 0, known, 1))
    ordered = np.sign(known[:, None] - known) * np.sign(predicted[:, None] - predicted)
    agreement = ordered[np.triu_indices(len(known), 1)].mean()
    return f"of measured cells left out, {100 * error:.2g} % off (median), Kendall's tau {agreement:.2f}"


def _fit_learned(epochs: int, seed: int) -> Fit:
    try:
        from ecnas.surrogate import energy, gaussian_process  # noqa: F401  the latter needs torch
    except ImportError as error:
        raise SurrogateExtraMissingError from error

    def fit(rows: NDArray[np.int64], metrics: Floats) -> Callable[[NDArray[np.int64]], Floats]:
        return energy.fit(energy.Measurements(rows, metrics, epochs), seed).predict

    return fit


def _fit_accuracy(table: Table, name: str, epochs: int) -> Fit:
    embedded = _embedded(table, name, epochs)

    def fit(rows: NDArray[np.int64], metrics: Floats) -> Callable[[NDArray[np.int64]], Floats]:
        slope, shift = _line(embedded[rows], metrics)
        return lambda asked: np.clip(shift + slope * embedded[asked], 0, 1)

    return fit


def _line(embedded: Floats, metrics: Floats) -> tuple[float, float]:
    """Slope and shift by least squares, without what lies far from the median shift, such as failed trainings."""
    shifts = metrics - embedded
    centred = np.abs(shifts - np.median(shifts))
    good = centred <= _OUTLYING * 1.4826 * np.median(centred) + 1e-9
    if np.ptp(embedded[good]) < 1e-3:
        return 1.0, float(np.median(shifts))
    slope, shift = np.polyfit(embedded[good], metrics[good], 1)
    return (float(slope), float(shift)) if slope > 0 else (1.0, float(np.median(shifts)))


def _embedded(table: Table, name: str, epochs: int) -> Floats:
    """The embedded surrogate's metrics at the number of epochs that is nearest."""
    embedded = load(f"surrogate-{table.space.name}")
    nearest = min(embedded.epochs, key=lambda other: abs(np.log(other / epochs)))
    return embedded.values(name, nearest)
