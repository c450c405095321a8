"""How a cell is built: a fixed sequence of decisions, and a mask for each.

For each vertex in order: its operation (except for the output), then an edge decision from each earlier vertex. The
mask keeps the cell in its space and free of dangling parts, and it never leads to a dead end:

* an edge may start only at a vertex that is *reached* (there is a path from the input);
* a reached vertex without an outgoing edge is *dangling*; each needs its own edge later, so an edge is allowed only if
  the edges so far, plus one for each dangling vertex, stay within the cap;
* at the output, the edge from a vertex that is still dangling is compulsory.

So a vertex is either on a path from input to output or has no edge at all, and the placed edges are the edges of the
pruned cell. Every cell of the space can be built: on the way to a cell with E edges, each dangling vertex stands for a
different edge still to come.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final, NamedTuple

from ecnas import Cell, Space
from ecnas.encoding import NUM_OPERATIONS, OP_WEIGHTS, edge_bit, to_frame
from ecnas.isomorphism import row_of

NUM_ACTIONS: Final = NUM_OPERATIONS
"""Operation decisions take action 0, 1 or 2 (the op code); edge decisions take 0 (no edge) or 1 (edge)."""

# Masks as bit sets of allowed actions.
MASK_DONE: Final = 0b000
MASK_NO: Final = 0b001
MASK_YES: Final = 0b010
MASK_EDGE: Final = 0b011
MASK_OPERATION: Final = 0b111


class Decision(NamedTuple):
    """One step of an episode.

    Attributes:
        vertex: The vertex that is being built.
        source: Where the edge would start; −1 for the decision on the vertex's operation.
        weight: Weight of the action in the op code, or of the edge in the edge bits.
    """

    vertex: int
    source: int
    weight: int

    @property
    def is_edge(self) -> bool:
        """Whether it decides on an edge."""
        return self.source >= 0


@functools.cache
def decisions(space: Space) -> tuple[Decision, ...]:
    """The decisions of an episode in order: 8, 13 and 26 in the spaces 4V, 5V and 7V."""
    sequence = []
    for vertex in range(1, space.num_vertices):
        if vertex < space.num_vertices - 1:
            sequence.append(Decision(vertex, -1, OP_WEIGHTS[vertex - 1]))
        sequence += [Decision(vertex, source, 1 << edge_bit(source, vertex)) for source in range(vertex)]
    return tuple(sequence)


@dataclass
class CellBuilder:
    """A cell under construction.

    Attributes:
        space: The space that the cell must be in.
        cursor: Number of the next decision; the number of decisions when the cell is finished.
        edge_bits: Edges so far, in the labelling of the space's full graph (:mod:`ecnas.encoding`).
        op_code: Operations so far.
        mask: Allowed actions as a bit set.
    """

    space: Space

    def __post_init__(self) -> None:
        self.decisions = decisions(self.space)
        self._output = self.space.num_vertices - 1
        self.reset()

    def reset(self) -> None:
        """Starts a new cell."""
        self.cursor = 0
        self.edge_bits = 0
        self.op_code = 0
        self._reached = 1  # bit sets of vertices
        self._dangling = 1
        self._committed = 1  # edges placed, and one for each dangling vertex
        self.mask = MASK_OPERATION

    @property
    def finished(self) -> bool:
        """Whether all decisions are made."""
        return self.cursor == len(self.decisions)

    @property
    def num_edges(self) -> int:
        """Edges so far."""
        return self.edge_bits.bit_count()

    def apply(self, action: int) -> None:
        """Carries out an action that the mask allows."""
        vertex, source, weight = self.decisions[self.cursor]
        if source < 0:
            self.op_code += action * weight
        elif action:
            self.edge_bits |= weight
            self._committed = self._committed_with(vertex, source)
            self._dangling &= ~(1 << source)
            if vertex != self._output and not self._reached >> vertex & 1:
                self._reached |= 1 << vertex
                self._dangling |= 1 << vertex
        self.cursor += 1
        self.mask = self._allowed()

    @property
    def memory(self) -> tuple[int, int, int, int]:
        """The state that this mask and all later ones depend on."""
        return self.cursor, self._reached, self._dangling, self._committed

    def restore(self, memory: tuple[int, int, int, int]) -> int:
        """Continues from a :attr:`memory`, of any cell; returns the mask."""
        self.cursor, self._reached, self._dangling, self._committed = memory
        self.mask = self._allowed()
        return self.mask

    def _committed_with(self, vertex: int, source: int) -> int:
        """Edges placed plus dangling vertices, if the edge were placed."""
        first_into_vertex = vertex != self._output and not self._reached >> vertex & 1
        return self._committed + 1 - (self._dangling >> source & 1) + first_into_vertex

    def _allowed(self) -> int:
        if self.cursor == len(self.decisions):
            return MASK_DONE
        vertex, source, _ = self.decisions[self.cursor]
        if source < 0:
            return MASK_OPERATION
        if not self._reached >> source & 1:
            return MASK_NO
        if vertex == self._output and self._dangling >> source & 1:
            return MASK_YES
        if self._committed_with(vertex, source) > self.space.max_edges:
            return MASK_NO
        return MASK_EDGE

    def row(self) -> int:
        """The finished cell's row in its space."""
        return row_of(to_frame(self.space.num_vertices, self.edge_bits), self.op_code)

    def cell(self) -> Cell:
        """The finished cell."""
        return Cell.from_frame(to_frame(self.space.num_vertices, self.edge_bits), self.op_code)
