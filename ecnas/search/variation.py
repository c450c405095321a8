"""Recombination of cells."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecnas import isomorphism
from ecnas.cell import Cell
from ecnas.encoding import MAX_INNER, MAX_VERTICES, NUM_OPERATIONS, OP_WEIGHTS, to_frame
from ecnas.space import Space

TRIES: Final = 20
"""Draws in which :func:`crossover` looks for a cell of the space that is neither parent."""

_NUM_EDGES: Final = MAX_VERTICES * (MAX_VERTICES - 1) // 2
_BIT_VALUES: Final = 1 << np.arange(_NUM_EDGES)


def crossover(first: Cell, second: Cell, space: Space, rng: np.random.Generator) -> Cell | None:
    """Uniform crossover: every possible edge, and every operation, comes from one parent or the other.

    Both parents sit in their canonical labelling in one frame, the outputs on the same vertex. The operation of a
    vertex that only one parent has is that parent's.

    Args:
        first: A cell of the space.
        second: A cell of the space.
        space: What the child must be in.
        rng: Source of randomness.

    Returns:
        The child; None if :data:`TRIES` draws gave no cell of the space that differs from both parents.
    """
    bits, ops = _in_frame(space.row(first))
    other_bits, other_ops = _in_frame(space.row(second))
    for _ in range(TRIES):
        mask = int(_BIT_VALUES @ rng.integers(2, size=_NUM_EDGES))
        mixed = np.where(rng.integers(2, size=MAX_INNER), ops, other_ops)
        child_ops = np.where(ops < 0, other_ops, np.where(other_ops < 0, ops, mixed))
        code = int(np.maximum(child_ops, 0) @ np.array(OP_WEIGHTS))
        row = isomorphism.row_of(bits & mask | other_bits & ~mask, code)
        if 0 <= row < len(space) and row not in (first.row, second.row):
            return space[row]
    return None


def _in_frame(row: int) -> tuple[int, NDArray[np.int64]]:
    """Edge bits in the frame of seven vertices, and the operations of its five inner ones (−1 for no vertex)."""
    num_vertices, edge_bits, op_code = isomorphism.unpack_cell(isomorphism.load_index().cells.item(row))
    ops = np.array([op_code // weight % NUM_OPERATIONS for weight in OP_WEIGHTS])
    ops[num_vertices - 2 :] = -1
    return to_frame(num_vertices, edge_bits), ops
