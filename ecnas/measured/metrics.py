"""From single trainings to a table: columns, gaps, provenance, and the digest of the metrics."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecnas.measured.problems import MeasurementsError
from ecnas.space import SPACES, Space
from ecnas.table import COLUMNS, PROVENANCES, Column, Provenance, Table

MOST_FIGURES: Final = 1 << 25
"""The largest size of a column, 256 MB: cells of the space × numbers of epochs × repeats."""


@dataclass(frozen=True)
class Training:
    """The metrics of one training of a cell.

    Attributes:
        row: The cell's row in the 7V space, which is the same in every space that contains it.
        epochs: Epochs of the training.
        repeat: Which of the cell's trainings, from 0.
        metrics: By column, in the table's units.
        provenance: Provenance of the metrics, by column.
    """

    row: int
    epochs: int
    repeat: int
    metrics: Mapping[str, float]
    provenance: Mapping[str, Provenance] = field(default_factory=dict)


def table_of(trainings: Sequence[Training], name: str, space: str | None = None, notes: str = "") -> Table:
    """A table of trainings.

    Args:
        trainings: At least one with a metric; no two of the same cell, epochs and repeat.
        name: The table's name.
        space: "4V", "5V" or "7V"; the smallest that holds all cells by default.
        notes: Notes for users.

    Raises:
        MeasurementsError: There are no metrics, or far too many different epochs and repeats.
        OutOfDomainError: A cell is not in the space.
    """
    trainings = [training for training in trainings if training.metrics]
    if not trainings:
        raise MeasurementsError(f"{name} has no metrics")
    chosen = _space(max(training.row for training in trainings), space)
    epochs = tuple(sorted({training.epochs for training in trainings}))
    repeats = 1 + max(training.repeat for training in trainings)
    shape = (len(chosen), len(epochs), repeats)
    if np.prod(shape, dtype=float) > MOST_FIGURES:
        raise MeasurementsError(
            f"{name} has {len(epochs)} numbers of epochs and repeats from 0 to {repeats - 1} of {len(chosen):,} cells "
            f"of space {chosen.name}, which is more than a table can hold ({MOST_FIGURES:,} metrics a column)"
        )
    place = {number: position for position, number in enumerate(epochs)}
    named = [column for column in COLUMNS if any(column in training.metrics for training in trainings)]
    values = {column: np.full(shape, np.nan) for column in named}
    codes = {column: np.zeros(shape, dtype=np.uint8) for column in named}
    for training in trainings:
        where = training.row, place[training.epochs], training.repeat
        for column, metric in training.metrics.items():
            values[column][where] = metric
            codes[column][where] = PROVENANCES.index(training.provenance.get(column, "measured"))
    return assemble(name, chosen, epochs, values, codes, notes)


def assemble(
    name: str,
    space: Space,
    epochs: tuple[int, ...],
    values: Mapping[str, NDArray[np.float64]],
    codes: Mapping[str, NDArray[np.uint8]],
    notes: str,
) -> Table:
    """A table of metrics and their provenance, each of shape (cells, epochs, repeats); NaN is a gap."""
    there = {column: ~np.isnan(array) for column, array in values.items()}
    kinds = {
        number: {int(code) for column in values for code in np.unique(codes[column][:, i][there[column][:, i]])}
        for i, number in enumerate(epochs)
    }
    mixed = any(len(found) > 1 for found in kinds.values())
    found_somewhere = np.any([mask.any(axis=(1, 2)) for mask in there.values()], axis=0)
    columns = {column: Column(array, provenance=codes[column] if mixed else None) for column, array in values.items()}
    table = Table(
        name=name,
        space=space,
        epochs=epochs,
        repeats=next(iter(values.values())).shape[2],
        provenance={number: PROVENANCES[max(found, default=0)] for number, found in kinds.items()},
        columns=columns,
        digest=metrics_digest(space, epochs, values),
        missing=frozenset(np.flatnonzero(~found_somewhere).tolist()),
        notes=notes,
    )
    return table


def metrics_digest(space: Space, epochs: Sequence[int], values: Mapping[str, NDArray[np.float64]]) -> str:
    """SHA-256 of metrics by cell, epochs and repeat.

    It is the same in every space that contains the cells, and does not depend on the format of the file.

    Args:
        space: The space whose rows the metrics follow.
        epochs: The numbers of epochs.
        values: By column, shape (len(space), epochs, repeats); NaN is no metric.
    """
    digest = hashlib.sha256()
    for column in COLUMNS:
        if column not in values:
            continue
        array = values[column]
        for position, number in enumerate(epochs):
            for repeat, metrics in enumerate(array[:, position, :].T):
                rows = np.flatnonzero(~np.isnan(metrics))
                if len(rows):
                    digest.update(f"{column} {number} {repeat} {len(rows)}\n".encode())
                    digest.update(rows.astype("<i8").tobytes())
                    digest.update((metrics[rows] + 0.0).astype("<f8").tobytes())  # −0.0 is 0.0
    return digest.hexdigest()


def _space(largest_row: int, name: str | None) -> Space:
    if name is None:
        return next(space for space in map(Space, SPACES) if largest_row < len(space))
    space = Space(name)
    space.row(Space("7V")[largest_row])  # raises, and says why
    return space
