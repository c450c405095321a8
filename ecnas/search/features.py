"""Cells as numbers, for searchers that learn to predict."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecnas import cost, isomorphism
from ecnas.encoding import MAX_INNER, NUM_OPERATIONS, code_to_ops, edge_bit
from ecnas.space import Space

PATH_COUNTS: Final = tuple(sum(NUM_OPERATIONS**k for k in range(length + 1)) for length in range(MAX_INNER + 1))
"""Number of possible paths of at most 0, 1, … 5 operations: 1, 4, 13, 40, 121, 364."""


def path_encoding(rows: NDArray[np.integer], max_ops: int = MAX_INNER) -> NDArray[np.float64]:
    """The path encoding: which sequences of operations lead from input to output.

    Source: White et al. 2021, https://arxiv.org/abs/1910.11858, section 4.1. Short paths come first, so
    a truncated encoding keeps those.

    Args:
        rows: The cells' rows, shape (n,).
        max_ops: Longest encoded path, in operations, 0 to 5.

    Returns:
        0 and 1, shape (n, PATH_COUNTS[max_ops]).
    """
    return _paths(rows, max_ops).astype(np.float64)


def _paths(rows: NDArray[np.integer], max_ops: int) -> NDArray[np.bool_]:
    """Which paths cells have, bool of shape (n, PATH_COUNTS[max_ops]).

    Shorter paths come first, then by their operations read as base-3 digits. So they are numbered as in a heap: path i
    with a further operation o is path 3i + 1 + o.
    """
    num_vertices, edge_bits, op_codes = isomorphism.unpack_cell(isomorphism.load_index().cells[rows].astype(np.int64))
    ops = code_to_ops(op_codes)
    reaching = np.zeros((MAX_INNER + 1, len(rows), PATH_COUNTS[max_ops]), dtype=np.bool_)  # paths to each vertex
    reaching[0, :, 0] = True
    last_ops = np.arange(PATH_COUNTS[max_ops] - 1) % NUM_OPERATIONS  # of all paths but the first, which has none
    found: NDArray[np.bool_] = np.zeros_like(reaching[0])
    for y in range(1, MAX_INNER + 2):
        arriving = np.zeros_like(found)
        for x in range(y):
            arriving |= reaching[x] & (edge_bits >> edge_bit(x, y) & 1).astype(np.bool_)[:, None]
        found |= arriving & (num_vertices == y + 1)[:, None]
        if y <= MAX_INNER:
            longer = np.repeat(arriving, NUM_OPERATIONS, axis=1)[:, : len(last_ops)]
            reaching[y, :, 1:] = longer & (last_ops == ops[:, y - 1, None])
    return found


def descriptors(space: Space, rows: NDArray[np.integer]) -> NDArray[np.float64]:
    """Features of cells that are known without training.

    Args:
        space: The cells' space.
        rows: Their rows, shape (n,).

    Returns:
        Shape (n, 9): log of trainable parameters, log of multiply-adds, vertices, edges, each operation's count, and
        operations on the shortest and the longest path.
    """
    cells = space.cells
    num_vertices, edge_bits = cells.num_vertices[rows], cells.edge_bits[rows]
    ops = np.where(np.arange(MAX_INNER) < num_vertices[:, None] - 2, code_to_ops(cells.op_codes[rows]), -1)
    multiply_adds = np.zeros(len(rows))
    for v in np.unique(num_vertices).tolist():
        chosen = num_vertices == v
        multiply_adds[chosen] = cost.network_cost(v, edge_bits[chosen], ops[chosen]).multiply_adds
    paths = _paths(rows, MAX_INNER)
    shortest, longest = paths.argmax(axis=1), paths.shape[1] - 1 - paths[:, ::-1].argmax(axis=1)
    return np.column_stack(
        [
            np.log(space.trainable_parameters[rows]),
            np.log(multiply_adds),
            num_vertices,
            np.bitwise_count(edge_bits),
            *((ops == op).sum(axis=1) for op in range(NUM_OPERATIONS)),
            *(np.searchsorted(PATH_COUNTS, path, side="right") for path in (shortest, longest)),
        ]
    ).astype(np.float64)
