"""Predicts the missing metrics of a table of measurements.

Energy and time of a machine are learned as in :mod:`ecnas.surrogate.energy`: a line through the logarithms of the
measured and the embedded energies, and a Gaussian process for the residuals. Accuracies are the embedded ones, shifted
and scaled to fit the measured ones; failed trainings are left out of the fit. CO2 is energy times the intensity of the
measured metrics. Held-out cells show how well this works.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
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
"""The smallest number of measured cells to learn from."""

FOLDS: Final = 5
"""Number of folds, each of which is held out in turn."""

MANY: Final = 1000
"""With more measured cells, one held-out fold is enough."""

CHUNK: Final = 1 << 15
"""Cells predicted between two steps of the progress bar."""

_OUTLYING: Final = 5.0
_LEARNED: Final = ("energy", "training_time")
_ACCURACIES: Final = ("val_accuracy", "test_accuracy")
_SURROGATE: Final = PROVENANCES.index("surrogate")

Floats = NDArray[np.float64]
Fit = Callable[[NDArray[np.int64], Floats], Callable[[NDArray[np.int64]], Floats]]
"""Learns from rows of cells and their metrics, and returns a function that predicts the metrics of rows."""


class SurrogateExtraMissingError(ECNASError, ImportError):
    """The packages needed for learning are not installed."""

    def __init__(self) -> None:
        super().__init__("filling a table needs torch: pip install 'ecnas-gym[surrogate]'")


@dataclass(frozen=True)
class Filled:
    """A table without gaps, and an account of its predictions, which is what printing shows.

    Attributes:
        table: Measured metrics are unchanged. Every metric has its own provenance.
        account: What was predicted, and how accurately.
    """

    table: Table
    account: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(f"filled: {line}" for line in self.account)


def fill(table: Table, seed: int = 0, *, progress: bool = False) -> Filled:
    """Fills the gaps of a table of measurements with predictions.

    Every cell of the space gets all metrics that the table has of some cells (accuracies, energy, CO2 and time), at
    each of the table's numbers of epochs. Accuracies that were not measured at all are taken from the embedded
    surrogate.

    Args:
        table: Measurements of at least five cells.
        seed: Seed of the models.
        progress: Show a progress bar. The 7V space takes about half a minute per metric that is not an accuracy.

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
    for name in _ACCURACIES:
        if name not in values:
            values[name] = np.full(shape, np.nan)
            codes[name] = np.zeros(shape, dtype=np.uint8)
    names = [name for name in (*_ACCURACIES, *_LEARNED) if name in values]
    for name in names:
        _check_enough(table, name)
    with _bar(progress, len(names) * len(table.epochs) * len(table.space)) as tick:
        for name in names:
            predicted = _predictions(table, name, seed, account, tick)
            _put(values[name], codes[name], there, predicted)
    if "co2" in values and "energy" in values:
        intensity = np.nanmedian(values["co2"] / values["energy"])
        _put(values["co2"], codes["co2"], there, _means(values["energy"]) * intensity)
        account.append(f"co2: energy times {intensity:.4g} g/kWh, the median of the measurements")
    notes = f"{table.notes} Missing measurements are predicted.".strip()
    return Filled(assemble(table.name, table.space, table.epochs, values, codes, notes), tuple(account))


def _check_enough(table: Table, name: str) -> None:
    counts = max(int(np.isfinite(table.values(name, epochs)).sum()) for epochs in table.epochs)
    if counts < LEAST and (counts or name in _LEARNED):
        raise MeasurementsError(
            f"{table.name} has {name} for {counts} cells at the same number of epochs; predicting the others needs "
            f"at least {LEAST}"
        )


@contextlib.contextmanager
def _bar(show: bool, total: int) -> Iterator[Callable[[int], object]]:
    """A progress bar over predicted metrics; yields the function that advances it."""
    if not show:
        yield lambda number: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, desc="predicting", unit=" metrics", unit_scale=True, file=sys.stderr) as bar:
        yield bar.update


def _dense(table: Table, name: str, shape: tuple[int, int, int]) -> tuple[Floats, NDArray[np.uint8]]:
    """A column's metrics and provenance in full."""
    metrics, origins = np.empty(shape), np.empty(shape, dtype=np.uint8)
    for i, epochs in enumerate(table.epochs):
        for repeat in range(table.repeats):
            metrics[:, i, repeat] = table.values(name, epochs, repeat)
            origins[:, i, repeat] = table.origins(name, epochs, repeat)
    return metrics, np.where(np.isnan(metrics), 0, origins).astype(np.uint8)


def _put(values: Floats, codes: NDArray[np.uint8], there: NDArray[np.bool_], predicted: Floats) -> None:
    """Puts predictions, shape (cells, epochs), into the gaps of all trainings."""
    gaps = np.isnan(values) & there & ~np.isnan(predicted[..., None])
    values[gaps] = np.broadcast_to(predicted[..., None], values.shape)[gaps]
    codes[gaps] = _SURROGATE


def _means(values: Floats) -> Floats:
    """Means over the available repeats, shape (cells, epochs)."""
    number = (~np.isnan(values)).sum(axis=2)
    return np.where(number > 0, np.nansum(values, axis=2) / np.maximum(number, 1), np.nan)


def _predictions(table: Table, name: str, seed: int, account: list[str], tick: Callable[[int], object]) -> Floats:
    """Predictions of all cells at all numbers of epochs, shape (cells, epochs)."""
    everyone = np.arange(len(table.space))

    def everywhere(model: Callable[[NDArray[np.int64]], Floats]) -> Floats:
        parts = []
        for rows in np.split(everyone, range(CHUNK, len(everyone), CHUNK)):
            parts.append(model(rows))
            tick(len(rows))
        return np.concatenate(parts)

    measured = {epochs: table.values(name, epochs) for epochs in table.epochs}
    enough = [epochs for epochs, metrics in measured.items() if np.isfinite(metrics).sum() >= LEAST]
    predicted = np.full((len(table.space), len(table.epochs)), np.nan)
    if not enough:
        source = "val_accuracy" if name == "test_accuracy" and "val_accuracy" in table.columns else None
        for i, epochs in enumerate(table.epochs):
            predicted[:, i] = _embedded(table, name, epochs)
            if source is not None:
                metrics = table.values(source, epochs)
                rows = np.flatnonzero(np.isfinite(metrics))
                if len(rows) >= LEAST:
                    slope, shift = _line(_embedded(table, source, epochs)[rows], metrics[rows])
                    predicted[:, i] = np.clip(shift + slope * predicted[:, i], 0, 1)
            tick(len(everyone))
        how = "fitted like the validation accuracies" if source else "unchanged"
        account.append(f"{name}: not measured; taken from the embedded surrogate, {how}")
        return predicted
    for i, epochs in enumerate(table.epochs):
        nearest = min(enough, key=lambda other: abs(np.log(other / epochs)))
        rows = np.flatnonzero(np.isfinite(measured[nearest]))
        fit = _fit_accuracy(table, name, nearest) if name in _ACCURACIES else _fit_learned(nearest, seed)
        if nearest == epochs:
            predicted[:, i] = everywhere(fit(rows, measured[epochs][rows]))
            account.append(
                f"{name} after {epochs} epochs: {len(table.space) - len(rows):,} cells predicted; "
                f"{_judged(fit, rows, measured[epochs][rows])}"
            )
        elif name in _LEARNED:
            predicted[:, i] = everywhere(fit(rows, measured[nearest][rows])) * epochs / nearest
            account.append(f"{name} after {epochs} epochs: {epochs}/{nearest} of that after {nearest}")
        else:
            slope, shift = _line(_embedded(table, name, nearest)[rows], measured[nearest][rows])
            predicted[:, i] = np.clip(shift + slope * _embedded(table, name, epochs), 0, 1)
            tick(len(everyone))
            account.append(f"{name} after {epochs} epochs: fitted like that after {nearest}")
    return predicted


def _judged(fit: Fit, rows: NDArray[np.int64], metrics: Floats) -> str:
    """The accuracy of predictions for held-out cells, in words."""
    if len(rows) < 2 * LEAST:
        return f"{len(rows)} measured cells are too few to estimate the error"
    fold = np.random.default_rng(0).permutation(len(rows)) % FOLDS
    folds = range(FOLDS if len(rows) <= MANY else 1)
    known = np.concatenate([metrics[fold == k] for k in folds])
    predicted = np.concatenate([fit(rows[fold != k], metrics[fold != k])(rows[fold == k]) for k in folds])
    error = np.median(np.abs(predicted - known) / np.where(known > 0, known, 1))
    ordered = np.sign(known[:, None] - known) * np.sign(predicted[:, None] - predicted)
    agreement = ordered[np.triu_indices(len(known), 1)].mean()
    return f"held-out cells: median error {100 * error:.2g}%, Kendall's tau {agreement:.2f}"


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
    """Slope and shift by least squares, without outliers such as failed trainings."""
    shifts = metrics - embedded
    centred = np.abs(shifts - np.median(shifts))
    good = centred <= _OUTLYING * 1.4826 * np.median(centred) + 1e-9
    if np.ptp(embedded[good]) < 1e-3:
        return 1.0, float(np.median(shifts))
    slope, shift = np.polyfit(embedded[good], metrics[good], 1)
    return (float(slope), float(shift)) if slope > 0 else (1.0, float(np.median(shifts)))


def _embedded(table: Table, name: str, epochs: int) -> Floats:
    """The embedded surrogate's metrics at the nearest number of epochs."""
    embedded = load(f"surrogate-{table.space.name}")
    nearest = min(embedded.epochs, key=lambda other: abs(np.log(other / epochs)))
    return embedded.values(name, nearest)
