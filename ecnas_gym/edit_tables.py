"""Edits, rows and placements of a space by look-up: many placed cells are edited by a few operations on arrays."""

from __future__ import annotations

import functools
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecnas import Space
from ecnas.encoding import NUM_OP_CODES, NUM_OPERATIONS, OP_WEIGHTS, to_frame
from ecnas.isomorphism import NO_GRAPH, SELECTION_BITS, load_index, recode_table
from ecnas_gym.editor import Edits, seatings

# Two numbers below 2¹⁷ and 2²⁰, and in the low bits a set of edges, are packed into one of 64 bits.
_EDGE_BITS: Final = 21
_SELECTION: Final = (1 << 17) - 1
_ROW_BITS: Final = _EDGE_BITS + 17


class EditTables(NamedTuple):
    """Look-up arrays. A graph, a selection or a seating is counted in op codes: its number times 243.

    Attributes:
        flips: The edge that each action flips, as a bit; int64, (actions,).
        op_after: The op code after an action on an op code; int64, (actions · 243,).
        op_bits: Operations one-hot, as bits, by op code; int64, (243,).
        op_edits: Which operations may be set, as a set of actions, by op code; int64, (243,).
        graphs: By edge bits, ``graph << 38 | selection << 21 | flips that stay in the space``, with the graph and the
            selection of :class:`ecnas.isomorphism.CellIndex`, or zeros where there is no cell; int64, (2^edges,).
        recoded: The op code of a selection for an op code; uint8, (selections · 243,).
        rows: The row of a graph with a selected op code; int32, (graphs · 243,).
        homes: By row, ``first placement << 15 | number of placements << 8 | op code``; int64, (cells,).
        placements: ``seating << 21 | edge bits``; int64.
        seated: The op code of a seating for a canonical one; uint8, (seatings · 243,).
        unseated: The operations of a seating's unused vertices out of any op code; uint8, (seatings · 243,).
        num_codes: Op codes of the space.
    """

    flips: NDArray[np.int64]
    op_after: NDArray[np.int64]
    op_bits: NDArray[np.int64]
    op_edits: NDArray[np.int64]
    graphs: NDArray[np.int64]
    recoded: NDArray[np.uint8]
    rows: NDArray[np.int32]
    homes: NDArray[np.int64]
    placements: NDArray[np.int64]
    seated: NDArray[np.uint8]
    unseated: NDArray[np.uint8]
    num_codes: int

    def look(
        self, edge_bits: NDArray[np.int64], op_codes: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """The edits that stay in the space, as sets of actions, and the rows of placed cells; each shape (B,)."""
        graphs = self.graphs.take(edge_bits)
        edits = graphs & ((1 << _EDGE_BITS) - 1)
        edits |= self.op_edits.take(op_codes)
        selected = graphs >> _EDGE_BITS
        selected &= _SELECTION
        selected += op_codes
        graphs >>= _ROW_BITS
        graphs += self.recoded.take(selected)
        return edits, self.rows.take(graphs)

    def place(self, rows: NDArray[np.int64], rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Cells in random placements, with random operations at the vertices that they do not use; each shape (B,)."""
        homes = self.homes.take(rows)
        drawn = rng.random((2, len(rows)))
        drawn[0] *= homes >> 8 & 0x7F
        drawn[1] *= self.num_codes
        places, spare = drawn.astype(np.int64)
        places += homes >> 15
        spare *= NUM_OP_CODES // self.num_codes
        placed = self.placements.take(places)
        seatings = placed >> _EDGE_BITS
        homes &= 0xFF
        homes += seatings
        spare += seatings
        placed &= (1 << _EDGE_BITS) - 1
        # An op code is at most 242: the sum of two that have no vertex in common does not overflow.
        return placed, (self.seated.take(homes) + self.unseated.take(spare)).astype(np.int64)


@functools.cache
def edit_tables(space: Space) -> EditTables:
    """The tables of a space; 17 MB in 7V."""
    edits, index, num_inner = Edits(space), load_index(), space.num_vertices - 2
    codes = np.arange(NUM_OP_CODES)
    digits = codes[:, None] // np.array(OP_WEIGHTS) % NUM_OPERATIONS  # (243, 5)
    one_hot = (digits[:, :num_inner, None] == np.arange(NUM_OPERATIONS)).reshape(NUM_OP_CODES, -1)
    op_bits = one_hot @ (1 << np.arange(one_hot.shape[1]))
    _, op_after = edits.apply(np.zeros(1, np.int64), codes, np.arange(edits.num_actions)[:, None])

    patterns = index.patterns[to_frame(space.num_vertices, np.arange(1 << edits.num_edges))]
    valid = patterns != NO_GRAPH
    allowed = np.zeros(len(patterns), dtype=np.int64)
    for bit in range(edits.num_edges):
        allowed |= valid.reshape(-1, 2, 1 << bit)[:, ::-1].reshape(-1).astype(np.int64) << bit
    numbers = np.where(valid, patterns, 0).astype(np.int64)
    allowed |= (numbers >> SELECTION_BITS) * NUM_OP_CODES << _ROW_BITS
    allowed |= (numbers & (1 << SELECTION_BITS) - 1) * NUM_OP_CODES << _EDGE_BITS

    # Placements of all canonical graphs, those of a graph together, in the order of the rows.
    packed = index.cells[: len(space)].astype(np.int64)
    graphs, graph_of = np.unique(packed & ~(0xFF << 21), return_inverse=True)
    counts = np.zeros(len(graphs), dtype=np.int64)
    placements, seated, unseated = [], [], []
    num_seatings = 0
    for size in range(2, space.num_vertices + 1):
        chosen = graphs >> 29 == size
        flips, weights = seatings(size, space.num_vertices)
        present = (graphs[chosen, None] >> np.arange(flips.shape[1])) & 1
        forward = present @ (flips == 0).T == 0  # seatings that turn no edge around
        counts[chosen] = forward.sum(axis=1)
        numbered = (num_seatings + np.arange(len(flips))) * NUM_OP_CODES << _EDGE_BITS
        placements.append((present @ flips.T + numbered)[forward])
        seated.append(weights @ digits[:, : size - 2].T)
        spare = np.array([[weight not in used for weight in OP_WEIGHTS[:num_inner]] for used in weights.tolist()])
        unseated.append((spare * np.array(OP_WEIGHTS[:num_inner])) @ digits[:, :num_inner].T)
        num_seatings += len(flips)
    homes = ((np.cumsum(counts) - counts) << 15 | counts << 8)[graph_of] | packed >> 21 & 0xFF
    return EditTables(
        edits.flips,
        op_after.ravel(),
        op_bits,
        ((1 << one_hot.shape[1]) - 1 - op_bits) << edits.num_edges,
        allowed,
        recode_table().ravel(),
        np.asarray(index.rows).ravel(),
        homes,
        np.concatenate(placements),
        np.concatenate(seated).ravel().astype(np.uint8),
        np.concatenate(unseated).ravel().astype(np.uint8),
        NUM_OPERATIONS**num_inner,
    )
