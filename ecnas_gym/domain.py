"""Which cells a benchmark answers for: those that the masks lead to."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from ecnas import Benchmark, OutOfDomainError


@functools.lru_cache(maxsize=32)
def present_cells(benchmark: Benchmark, epochs: tuple[int, ...], repeat: int | None = None) -> NDArray[np.bool_] | None:
    """Which cells a benchmark answers for at one of several numbers of epochs.

    Args:
        benchmark: The benchmark.
        epochs: Numbers of epochs.
        repeat: A training that the cells must have; any by default.

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
        present |= trainings.any(axis=1) if repeat is None else trainings[:, repeat]
    if not present.any():
        raise OutOfDomainError(f"{benchmark.name!r} has no cell at {' or '.join(map(str, epochs))} epochs")
    present.flags.writeable = False
    return None if present.all() else present
