"""How a cell is edited: one edge or one operation at a time, and the edits that keep it in its space.

An edit works on a *placed* cell: edges and operations in the full graph of the space, where unused vertices are
unconnected. So it takes two edits to add a vertex (an edge in and an edge out). In between, the new edge dangles and
the pruned cell is unchanged. The same cell has up to 120 placements. The edits one step away depend on the placement;
the reachable cells do not.

Everything works on arrays of placed cells, since planning agents simulate many edits for each one they carry out.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecnas import Cell, Space
from ecnas.coerce import whole
from ecnas.encoding import MAX_INNER, NUM_OP_CODES, NUM_OPERATIONS, OP_WEIGHTS, edge_bit, to_frame
from ecnas.isomorphism import NO_GRAPH, load_index, unpack_cell


class Placed(NamedTuple):
    """A placed cell, or an array of them.

    Attributes:
        edge_bits: Edges in the full graph of the space: bit x + y(y−1)/2 is x→y.
        op_code: Operations of all inner vertices, unconnected ones too (:mod:`ecnas.encoding`).
    """

    edge_bits: int
    op_code: int


class Edits:
    """The edits of a space.

    The first V(V−1)/2 actions flip an edge, in the order of the edge bits; the next 3(V−2) set an operation, vertex by
    vertex; the last one stops and has the cell evaluated: 13, 20 and 37 actions in the spaces 4V, 5V and 7V.

    Args:
        space: The space that edited cells must stay in.

    Attributes:
        num_edges: Possible edges, V(V−1)/2.
        num_actions: All actions.
        stop: The action that stops.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        num_inner = space.num_vertices - 2
        self.num_edges = space.num_vertices * (space.num_vertices - 1) // 2
        self.stop = self.num_edges + NUM_OPERATIONS * num_inner
        self.num_actions = self.stop + 1
        # What an action does: edges to flip, and the op code that it makes of each.
        self._flips = np.zeros(self.num_actions, dtype=np.int64)
        self._flips[: self.num_edges] = 1 << np.arange(self.num_edges)
        codes = np.arange(NUM_OP_CODES)
        self._recoded = np.tile(codes, (self.num_actions, 1))
        for vertex, weight in enumerate(OP_WEIGHTS[:num_inner]):
            for op in range(NUM_OPERATIONS):
                action = self.num_edges + NUM_OPERATIONS * vertex + op
                self._recoded[action] += (op - codes // weight % NUM_OPERATIONS) * weight
        # For one cell: its graph after each flip, and at last as it is; and which operations can be set, and to stop.
        self._frames = to_frame(space.num_vertices, np.append(self._flips[: self.num_edges], 0))
        self._settable = np.ones((NUM_OP_CODES, self.num_actions - self.num_edges), dtype=np.bool_)
        self._settable[:, :-1] = (self._recoded[self.num_edges : self.stop] != codes).T
        # Edges of each inner vertex, to find the unconnected ones; and op codes kept at a set of vertices.
        self._incident = [
            sum(1 << edge_bit(min(u, v), max(u, v)) for u in range(space.num_vertices) if u != v)
            for v in range(1, num_inner + 1)
        ]
        self._kept = np.zeros((1 << num_inner, NUM_OP_CODES), dtype=np.int64)
        for vertex, weight in enumerate(OP_WEIGHTS[:num_inner]):
            has = np.arange(1 << num_inner) >> vertex & 1
            self._kept += has[:, None] * (codes // weight % NUM_OPERATIONS * weight)

    def apply(
        self, edge_bits: NDArray[np.int64], op_codes: NDArray[np.int64], actions: NDArray[np.integer]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Carries out one action on each placed cell, allowed or not; arrays that broadcast."""
        return edge_bits ^ self._flips[actions], self._recoded[actions, op_codes]

    def rows(self, edge_bits: NDArray[np.int64], op_codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of placed cells in the space; −1 where they are not a cell of the space."""
        return self.space.rows(to_frame(self.space.num_vertices, edge_bits), op_codes)

    def mask(self, placed: Placed, edits_left: int = 1, present: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
        """The allowed actions: edits that change the placed cell and keep it in the space, and stopping.

        Args:
            placed: The placed cell.
            edits_left: Number of edits left.
            present: The available cells, shape (cells,); all by default. An edit may lead to an unavailable cell only
                if another edit is left that leads back; stopping there is not allowed.

        Returns:
            Bool, shape (num_actions,).
        """
        if present is not None:
            one = np.array([placed.edge_bits]), np.array([placed.op_code]), np.array([edits_left])
            present_mask: NDArray[np.bool_] = self.masks(*one, present)[0]
            return present_mask
        graphs = self._frames ^ to_frame(self.space.num_vertices, placed.edge_bits)
        known = load_index().patterns.take(graphs) != NO_GRAPH
        mask = np.zeros(self.num_actions, dtype=np.bool_)
        mask[self.stop] = True
        if edits_left > 0:
            mask[: self.num_edges] = known[:-1]
            if known[-1]:
                mask[self.num_edges :] = self._settable[placed.op_code]
        return mask

    def after(self, placed: Placed, action: int) -> Placed:
        """One placed cell after an action, allowed or not; as :meth:`apply`."""
        return Placed(placed.edge_bits ^ self._flips.item(action), self._recoded.item(action, placed.op_code))

    def masks(
        self,
        edge_bits: NDArray[np.int64],
        op_codes: NDArray[np.int64],
        edits_left: NDArray[np.int64],
        present: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.bool_]:
        """The :meth:`mask` of B placed cells, bool of shape (B, num_actions)."""
        bits, codes = self.apply(edge_bits[:, None], op_codes[:, None], np.arange(self.num_actions))
        rows = self.rows(bits, codes)
        allowed: NDArray[np.bool_] = rows >= 0
        allowed &= (bits != edge_bits[:, None]) | (codes != op_codes[:, None])
        allowed &= edits_left[:, None] > 0
        allowed[:, self.stop] = True
        if present is None:
            return allowed
        there = allowed & present[rows]
        # With two edits or more, what leads away from a cell that is there can be undone. Otherwise:
        unsure = allowed & ~there & ((edits_left == 1) | ~there[:, self.stop])[:, None]
        allowed[unsure] = False
        unsure &= (edits_left > 1)[:, None]
        if unsure.any():
            bits, codes = self.apply(bits[unsure][:, None], codes[unsure][:, None], np.arange(self.stop))
            neighbours = self.rows(bits, codes)
            allowed[unsure] = ((neighbours >= 0) & present[neighbours]).any(axis=1)
        allowed[:, self.stop] = there[:, self.stop]
        return allowed

    def first_placements(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Cells at the first vertices, in their canonical order: edge bits and op codes, each of shape (B,)."""
        cells = self.space.cells
        own_bits, num_vertices = cells.edge_bits[rows], cells.num_vertices[rows]
        own_output = (num_vertices - 1) * (num_vertices - 2) // 2  # the bits before those of edges into the output
        full_output = (self.space.num_vertices - 1) * (self.space.num_vertices - 2) // 2
        inner = own_bits & ((1 << own_output) - 1)
        return inner | (own_bits >> own_output) << full_output, cells.op_codes[rows]

    def placements(self, row: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """All ways to place a cell: edge bits and op codes (0 at unconnected vertices), each of shape (1 … 120,)."""
        return _placements(self.space.num_vertices, row)

    def fill_unconnected(
        self, edge_bits: NDArray[np.int64], op_codes: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Op codes with random operations at the vertices without an edge, shape (B,)."""
        drawn = np.zeros_like(op_codes)
        for weight in OP_WEIGHTS[: len(self._incident)]:
            drawn += rng.integers(NUM_OPERATIONS, size=op_codes.shape) * weight
        return self.filled(edge_bits, op_codes, drawn)

    def filled(
        self, edge_bits: NDArray[np.int64], op_codes: NDArray[np.int64], others: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Op codes with the operations of other ones at the vertices that have no edge; all of shape (B,)."""
        connected = np.zeros_like(edge_bits)
        for number, incident in enumerate(self._incident):
            connected |= ((edge_bits & incident) != 0).astype(np.int64) << number
        filled: NDArray[np.int64] = self._kept[connected, op_codes] + self._kept[~connected, others]
        return filled

    def place(self, row: int, rng: np.random.Generator) -> Placed:
        """A cell in a random placement, with random operations at its unused vertices."""
        all_bits, op_codes = self.placements(row)
        chosen = int(rng.integers(len(all_bits)))
        drawn = int(rng.integers(NUM_OPERATIONS, size=len(self._incident)) @ OP_WEIGHTS[: len(self._incident)])
        edge_bits = all_bits.item(chosen)
        connected = sum(1 << number for number, incident in enumerate(self._incident) if edge_bits & incident)
        op_code = self._kept.item(connected, op_codes.item(chosen)) + self._kept.item(~connected, drawn)
        return Placed(edge_bits, op_code)

    def check_placed(self, placed: Any) -> Placed:
        """A placed cell out of two whole numbers.

        Raises:
            ValueError: They are not, or do not fit into the full graph of the space.
            InvalidCellError: No path leads from input to output.
        """
        if not isinstance(placed, Sequence) or len(placed) != 2:
            raise ValueError(f"placed must be two whole numbers (edge bits, op code), got {placed!r}")
        num_inner = self.space.num_vertices - 2
        op_code = whole("op_code", placed[1], 0, NUM_OP_CODES - 1)
        if op_code % NUM_OPERATIONS ** (MAX_INNER - num_inner):
            raise ValueError(f"op_code must have operations for the vertices 1 to {num_inner} alone, got {op_code}")
        return Placed(whole("edge_bits", placed[0], 0, (1 << self.num_edges) - 1), op_code)

    def cell(self, placed: Placed) -> Cell:
        """The cell."""
        return Cell.from_frame(to_frame(self.space.num_vertices, placed.edge_bits), placed.op_code)


@functools.lru_cache(maxsize=1024)  # few cells are started from, again and again
def _placements(space_vertices: int, row: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """As :meth:`Edits.placements`, in the space of so many vertices; not to be written to."""
    num_vertices, edge_bits, op_code = unpack_cell(load_index().cells.item(row))
    flips, weights = seatings(num_vertices, space_vertices)
    present = [bit for bit in range(flips.shape[1]) if edge_bits >> bit & 1]
    digits = np.array([op_code // weight % NUM_OPERATIONS for weight in OP_WEIGHTS[: num_vertices - 2]], np.int64)
    bits = flips[:, present]
    forward = (bits > 0).all(axis=1)  # seatings that turn no edge around
    placed = bits[forward].sum(axis=1), weights[forward] @ digits
    for values in placed:
        values.setflags(write=False)
    return placed


@functools.cache
def seatings(cell_vertices: int, space_vertices: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All ways to seat a cell's inner vertices in the full graph of a space.

    Returns:
        For each of S seatings and each edge bit of the cell, the edge's bit in the full graph, 0 where it would point
        backwards: shape (S, edges). And what each inner vertex's operation counts in the op code: (S, inner vertices).
    """
    bits, weights = [], []
    for seats in itertools.permutations(range(1, space_vertices - 1), cell_vertices - 2):
        position = (0, *seats, space_vertices - 1)
        bits.append(
            [
                1 << edge_bit(position[x], position[y]) if position[x] < position[y] else 0
                for y in range(1, cell_vertices)
                for x in range(y)
            ]
        )
        weights.append([OP_WEIGHTS[seat - 1] for seat in seats])
    inner = cell_vertices - 2
    return np.array(bits, dtype=np.int64), np.array(weights, dtype=np.int64).reshape(len(bits), inner)
