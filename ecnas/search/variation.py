"""Recombination of cells, and mutations of many at once."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecnas import isomorphism
from ecnas.cell import Cell
from ecnas.encoding import MAX_INNER, MAX_VERTICES, NUM_OPERATIONS, OP_WEIGHTS, edge_bit, to_frame
from ecnas.space import Space

TRIES: Final = 20
"""How many draws :func:`crossover` makes to find a cell of the space that is neither parent."""

_NUM_EDGES: Final = MAX_VERTICES * (MAX_VERTICES - 1) // 2
_BIT_VALUES: Final = 1 << np.arange(_NUM_EDGES)


def crossover(first: Cell, second: Cell, space: Space, rng: np.random.Generator) -> Cell | None:
    """Uniform crossover: every possible edge and every operation comes from one parent or the other.

    Both parents are placed in one frame by their canonical labelling, with their outputs at the same vertex. A vertex
    that only one parent has takes its operation from that parent.

    Args:
        first: A cell of the space.
        second: A cell of the space.
        space: The space of the child.
        rng: Source of randomness.

    Returns:
        The child; None if none of :data:`TRIES` draws is a cell of the space that differs from both parents.
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
    """Edge bits in the frame of seven vertices, and the operations of its five inner vertices (−1 for none)."""
    num_vertices, edge_bits, op_code = isomorphism.unpack_cell(isomorphism.load_index().cells.item(row))
    ops = np.array([op_code // weight % NUM_OPERATIONS for weight in OP_WEIGHTS])
    ops[num_vertices - 2 :] = -1
    return to_frame(num_vertices, edge_bits), ops


def mutations(
    space: Space, rows: NDArray[np.integer], rng: np.random.Generator, expected_edges: float, expected_ops: float
) -> NDArray[np.int64]:
    """One draw of :meth:`ecnas.space.Space.mutate` for each of N cells, hundreds of times as fast as single calls.

    Args:
        space: The cells' space.
        rows: The cells' rows, (N,).
        rng: Source of randomness.
        expected_edges: As for :meth:`ecnas.space.Space.mutate`.
        expected_ops: Likewise.

    Returns:
        Rows, (N,): −1 if the draw leaves the space or changes nothing, in which case ``mutate`` would draw again.
    """
    num_vertices, num_inner = space.num_vertices, space.num_vertices - 2
    num_pairs = num_vertices * (num_vertices - 1) // 2
    draws = rng.random((len(rows), num_pairs + 3 * num_inner))
    flip, order, change, choice = np.split(draws, num_pairs + num_inner * np.arange(3), axis=1)

    # The parent's vertices take random places of the full graph, in order; its output takes the last one.
    cells = space.cells
    present = np.arange(num_inner) < (cells.num_vertices[rows] - 2)[:, None]
    rank = np.argsort(np.argsort(order, axis=1, kind="stable"), axis=1)
    taken = np.argsort(rank >= present.sum(axis=1, keepdims=True), axis=1, kind="stable")
    seats = np.full((len(rows), num_vertices), num_vertices - 1)
    seats[:, 0] = 0
    seats[:, 1:-1][present] = taken[present] + 1
    bits = (flip < expected_edges / num_pairs) @ (1 << np.arange(num_pairs))
    own_bits = cells.edge_bits[rows]
    for y in range(1, num_vertices):
        before = seats[:, y] * (seats[:, y] - 1) // 2  # how many bits precede those of the edges into a vertex
        for x in range(y):
            bits ^= (own_bits >> edge_bit(x, y) & 1) << seats[:, x] + before

    weights = np.array(OP_WEIGHTS[:num_inner])
    ops = cells.op_codes[rows, None] // weights % NUM_OPERATIONS
    all_ops = (choice * NUM_OPERATIONS).astype(np.int64)  # for vertices that the parent lacks
    others = (
        ops + 1 + (np.take_along_axis(choice, taken, axis=1) * (NUM_OPERATIONS - 1)).astype(np.int64)
    ) % NUM_OPERATIONS
    ops = np.where(np.take_along_axis(change, taken, axis=1) < expected_ops / num_inner, others, ops)
    np.put_along_axis(all_ops, taken, np.where(present, ops, np.take_along_axis(all_ops, taken, axis=1)), axis=1)
    found = space.rows(to_frame(num_vertices, bits), all_ops @ weights)
    return np.where(found == rows, isomorphism.NOT_A_CELL, found)
