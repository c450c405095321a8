"""Which cells a benchmark answers for: those that the masks lead to."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from ecnas import Benchmark, OutOfDomainError


@functools.lru_cache(maxsize=32)
def present_cells(
    benchmark: Benchmark, epochs: tuple[int, ...], repeat: int | None = None, objectives: tuple[str, ...] = ()
) -> NDArray[np.bool_] | None:
    """Which cells a benchmark answers for at one of several numbers of epochs.

    Args:
        benchmark: The benchmark.
        epochs: Numbers of epochs.
        repeat: A training that the cells must have; any by default.
        objectives: Metrics that it must have of them: of a lab's own cells not every energy may have been noted.

    Returns:
        Bool, shape (cells,); None if it answers for all.

    Raises:
        OutOfDomainError: It answers for none.
    """
    table = benchmark.table
    if not table.missing and any(column.values.dtype.kind in "iu" for column in table.columns.values()):
        return None  # integers cannot say that there is nothing
    rows = np.arange(len(benchmark.space))
    present = np.zeros(len(rows), dtype=np.bool_)
    for number in epochs:
        trainings = table.trainings(number, rows)
        there = trainings.any(axis=1) if repeat is None else trainings[:, repeat]
        for name in set(objectives) & set(table.columns):
            there &= ~np.isnan(table.values(name, number, repeat))
        present |= there
    if not present.any():
        what = f" with {' and '.join(objectives)}" if objectives else ""
        raise OutOfDomainError(f"{benchmark.name!r} has no cell{what} at {' or '.join(map(str, epochs))} epochs")
    present.flags.writeable = False
    return None if present.all() else present
