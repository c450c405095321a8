"""Cells as numbers, for searchers that learn to predict."""

from __future__ import annotations

import functools
import itertools
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecnas import cost, isomorphism
from ecnas.encoding import MAX_INNER, NUM_OPERATIONS, OP_WEIGHTS, code_to_ops, edge_bit
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
    encoded = np.zeros((len(rows), PATH_COUNTS[MAX_INNER]))
    paths = [_paths(row) for row in rows.tolist()]
    encoded[np.repeat(np.arange(len(rows)), [*map(len, paths)]), [*itertools.chain(*paths)]] = 1.0
    return encoded[:, : PATH_COUNTS[max_ops]]


@functools.lru_cache(maxsize=100_000)
def _paths(row: int) -> frozenset[int]:
    """Indices of a cell's paths: shorter paths first, then by their operations read as base-3 digits."""
    num_vertices, edge_bits, op_code = isomorphism.unpack_cell(isomorphism.load_index().cells.item(row))
    output = num_vertices - 1
    reaching: list[set[tuple[int, int]]] = [{(0, 0)}]  # per vertex: (operations so far, their digits)
    for y in range(1, num_vertices):
        arriving = {path for x in range(y) if edge_bits >> edge_bit(x, y) & 1 for path in reaching[x]}
        if y < output:
            op = op_code // OP_WEIGHTS[y - 1] % NUM_OPERATIONS
            arriving = {(length + 1, digits * NUM_OPERATIONS + op) for length, digits in arriving}
        reaching.append(arriving)
    return frozenset((PATH_COUNTS[length - 1] if length else 0) + digits for length, digits in reaching[output])


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
    lengths = [[_num_ops(path) for path in _paths(row)] for row in rows.tolist()]
    return np.column_stack(
        [
            np.log(space.trainable_parameters[rows]),
            np.log(multiply_adds),
            num_vertices,
            np.bitwise_count(edge_bits),
            *((ops == op).sum(axis=1) for op in range(NUM_OPERATIONS)),
            [min(length) for length in lengths],
            [max(length) for length in lengths],
        ]
    ).astype(np.float64)


def _num_ops(path: int) -> int:
    return int(np.searchsorted(PATH_COUNTS, path, side="right"))
