"""The learning curve in a published row.

A row has three evaluations: at the start, in the middle and at the end of its training. The publisher's interface calls
the middle one half-way, but it is at epoch 1 or 2 for any number of epochs (1 in the 4V files of the Quadro RTX 6000, 2
in the others). :class:`LearningCurve` gives its true epoch.

The files with energies scaled from 4 epochs have two more pitfalls (checked row by row):

* All three evaluations carry the *final* accuracies, which were taken from NAS-Bench-101. A search that used the
  middle one as a cheap look at an unfinished training would learn its outcome for the price of one epoch. So here these
  accuracies are NaN, except at the end.
* In the hardware files time, energy and CO2 of the middle evaluation are scaled as well, as if it were half-way: at 108
  epochs they are 27 times those at 4, though still labelled epoch 1 or 2. In energy_4V9E_quadrortx6000 even those at
  4 epochs are twice the measurement after epoch 1 (which energy_4V9E_linscale has). Here start and middle always are
  the
  measurements: those of the training to 4 epochs, halved in that one file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecnas.benchmark import Benchmark
from ecnas.cell import Cell
from ecnas.coerce import whole
from ecnas.errors import OutOfDomainError
from ecnas.official.catalogue import BY_DIGEST
from ecnas.official.messages import EPOCH, FIGURE_FIELDS, double_at
from ecnas.official.rows import Row
from ecnas.official.source import Source

_ACCURACIES = ("val_accuracy", "test_accuracy", "train_accuracy")


@dataclass(frozen=True)
class LearningCurve:
    """The evaluations of one training, in order; arrays of shape (evaluations,), NaN for unknown values.

    Attributes:
        epoch: Epoch of each evaluation, from the file.
        val_accuracy: Validation accuracy, 0 to 1.
        test_accuracy: Test accuracy, 0 to 1.
        train_accuracy: Training accuracy, 0 to 1.
        energy: Energy so far in kWh.
        co2: CO2 equivalent so far in g.
        training_time: Time so far in s.
        is_final_only: Whether the file repeats the final accuracies in every evaluation; only the last are given then.
    """

    epoch: NDArray[np.float64]
    val_accuracy: NDArray[np.float64]
    test_accuracy: NDArray[np.float64]
    train_accuracy: NDArray[np.float64]
    energy: NDArray[np.float64]
    co2: NDArray[np.float64]
    training_time: NDArray[np.float64]
    is_final_only: bool


def learning_curve(benchmark: Benchmark, cell: Cell, epochs: int | None = None, repeat: int = 0) -> LearningCurve:
    """The learning curve of one published training.

    Args:
        benchmark: A benchmark that was made from a file.
        cell: A cell of its space.
        epochs: Number of epochs of the training; the highest by default.
        repeat: Number of the training.

    Raises:
        OutOfDomainError: The benchmark has no such training, or was not made from a file.

    Example:
        >>> import ecnas
        >>> from ecnas.official.curves import learning_curve
        >>> benchmark = ecnas.load("energy_4V9E_4epochs")  # doctest: +SKIP
        >>> learning_curve(benchmark, benchmark.space[5], epochs=36).energy  # doctest: +SKIP
    """
    source = Source(benchmark.table)
    epochs = benchmark.check_epochs(epochs)
    positions = source.find(benchmark.space.row(cell), epochs)
    if not positions:
        raise OutOfDomainError(f"{benchmark.name!r} lacks {epochs} epochs of cell {cell.hash}")
    where = f"for cell {cell.hash} at {epochs} epochs in {benchmark.name!r}"
    repeat = whole("repeat", repeat, 0, len(positions) - 1, where=where, error=OutOfDomainError)
    row = source.read(positions[repeat])
    figures = _figures(row)
    num_evaluations = len(figures["epoch"])
    # Equal accuracies at every point of a real training do not happen: the first is an untrained network's.
    is_final_only = num_evaluations > 1 and all(
        bool((figures[name] == figures[name][-1]).all()) for name in _ACCURACIES
    )
    if is_final_only:
        measured = source.find(benchmark.space.row(cell), benchmark.epochs[0])
        origin = _figures(source.read(measured[repeat])) if repeat < len(measured) else {}
        for name in figures.keys() - {"epoch"}:
            figures[name][:-1] = np.nan
            if name not in _ACCURACIES and len(origin.get(name, ())) == num_evaluations:
                figures[name][:-1] = origin[name][:-1]
                figures[name][1:-1] /= _middle_scale(benchmark)
    return LearningCurve(**figures, is_final_only=is_final_only)


def _figures(row: Row) -> dict[str, NDArray[np.float64]]:
    """The metrics of all evaluations as written."""
    return {
        name: np.array([double_at(row.message, at[field]) if field in at else np.nan for at in row.layout.evaluations])
        for name, field in {"epoch": EPOCH, **FIGURE_FIELDS}.items()
    }


def _middle_scale(benchmark: Benchmark) -> float:
    entry = BY_DIGEST.get(benchmark.digest)
    return entry.middle_scale if entry else 1.0
