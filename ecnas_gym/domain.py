"""The cells available in a benchmark: those that the masks lead to."""

from __future__ import annotations

import functools
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ecnas import Benchmark, OutOfDomainError
from ecnas.benchmark import Repeat as FixedRepeat

Repeat = FixedRepeat | Literal["random"]
"""Which of several trainings is returned: as in :meth:`ecnas.Benchmark.query`, or one that the environment draws."""


def asked_of(repeat: Repeat) -> int | Literal["random"] | None:
    """What a repeat asks of a cell: a certain training, one that can be drawn, or any (None) of which to take means."""
    if repeat is None or isinstance(repeat, int):
        return repeat
    return None if isinstance(repeat, str) and repeat == "mean" else "random"


def present_cells(
    benchmark: Benchmark, epochs: tuple[int, ...], repeat: Repeat = None, objectives: tuple[str, ...] = ()
) -> NDArray[np.bool_] | None:
    """The cells that a benchmark has at one of several numbers of epochs.

    Args:
        benchmark: The benchmark.
        epochs: Numbers of epochs.
        repeat: The training that the cells must have; one that can be drawn; or any, by default.
        objectives: Metrics that the cells must have; in a user's own table some energies may be missing.

    Returns:
        Bool, shape (cells,); None if it has all cells.

    Raises:
        OutOfDomainError: It has none of them.
    """
    return _present_cells(benchmark, epochs, asked_of(repeat), objectives)


@functools.lru_cache(maxsize=32)
def _present_cells(
    benchmark: Benchmark, epochs: tuple[int, ...], repeat: int | Literal["random"] | None, objectives: tuple[str, ...]
) -> NDArray[np.bool_] | None:
    table = benchmark.table
    if not table.missing and all(column.values.dtype.kind in "iu" for column in table.columns.values()):
        return None  # integers cannot say that there is nothing
    rows = np.arange(len(benchmark.space))
    present = np.zeros(len(rows), dtype=np.bool_)
    for number in epochs:
        trainings = table.trainings(number, rows)
        complete = benchmark.complete_trainings(objectives, number) if repeat == "random" else None
        if complete is not None:
            trainings = complete
        there = trainings[:, repeat] if isinstance(repeat, int) else trainings.any(axis=1)
        for name in set(objectives) & set(table.columns):
            there &= ~np.isnan(table.values(name, number, repeat if isinstance(repeat, int) else None))
        present |= there
    if not present.any():
        what = f" with {' and '.join(objectives)}" if objectives else ""
        raise OutOfDomainError(f"{benchmark.name!r} has no cell{what} at {' or '.join(map(str, epochs))} epochs")
    present.flags.writeable = False
    return None if present.all() else present
