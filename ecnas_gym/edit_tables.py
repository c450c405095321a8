"""Editing by look-up: many placed cells are edited, placed and found in their space by a few operations on arrays.

Here a placed cell is a *word*: its operations one-hot from bit 0, three bits a vertex, and above them its edges. So
begins an observation of the environments that edit.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecnas import Space
from ecnas.encoding import NUM_OP_CODES, NUM_OPERATIONS, OP_WEIGHTS, code_to_ops, to_frame
from ecnas.isomorphism import NO_GRAPH, SELECTION_BITS, load_index, recode_table
from ecnas_gym.editor import Edits, seatings

_SMALL: Final = 19  # bits of a word, in 5V, up to which all that there is to find out about it is kept by word

# How numbers are packed: the actions of 7V are 37, its words have 36 bits.
_WORD: Final = 36
_ACTIONS: Final = 37


class EditTables(NamedTuple):
    """Look-up arrays. What an op code is added to counts in op codes: a number times 243.

    Attributes:
        num_ops: Bits of a word that are operations.
        kept: The bits of a word that an edit keeps, where edit 0 changes nothing and edit k + 1 is action k; int64,
            (actions + 1,).
        flipped: The bits that it then flips; int64, (actions + 1,).
        spent: How many edits it is, 0 or 1; int64, (actions + 1,).
        codes: The op code of the operations of a word; int64, (2^num_ops,).
        graphs: By edge bits, what the labelled graph prunes to, above the actions that are allowed if no operation
            is set: ``pruned · 243 << 37 | actions``; int64, (2^edges,).
        rows: The row of a pruned graph with an op code; int32, (pruned graphs · 243,).
        homes: By row, the number of its first placement, how many it has, and its op code; int32, (cells, 3).
        placements: Words without the operations of the cell, below its seating: ``seating · 243 << 36 | word``; int64.
        seated: The operations of a word, by seating and op code, below the same seating, so that an exclusive or leaves
            the word alone; int64, (seatings · 243,).
        found: In small spaces, by word, the row above the actions that are allowed: ``row << 37 | actions``.
    """

    num_ops: int
    kept: NDArray[np.int64]
    flipped: NDArray[np.int64]
    spent: NDArray[np.int64]
    codes: NDArray[np.int64]
    graphs: NDArray[np.int64]
    rows: NDArray[np.int32]
    homes: NDArray[np.int32]
    placements: NDArray[np.int64]
    seated: NDArray[np.int64]
    found: NDArray[np.int64] | None = None

    @property
    def num_bits(self) -> int:
        """Bits of a word."""
        return self.num_ops + len(self.graphs).bit_length() - 1

    def split(self, words: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Edge bits and op codes of words, int64 of shape (B,) each."""
        return words >> self.num_ops, self.codes.take(words & ((1 << self.num_ops) - 1))

    def look(self, words: NDArray[np.int64]) -> tuple[NDArray[np.integer], NDArray[np.int64]]:
        """The rows of placed cells; and the edits that stay in the space, and to stop, as bits; each shape (B,).

        What is above those bits means nothing.
        """
        if self.found is not None:
            found = self.found.take(words)
            return found >> _ACTIONS, found
        ops = words & ((1 << self.num_ops) - 1)
        actions = self.graphs.take(words >> self.num_ops)
        found = actions >> _ACTIONS
        found += self.codes.take(ops)
        ops <<= len(self.kept) - 2 - self.num_ops  # the actions that set operations are the last but to stop
        actions ^= ops
        return self.rows.take(found), actions

    def place(self, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Cells in random placements, with random operations at the vertices that they do not use; words, (B,)."""
        homes = self.homes.take(rows, axis=0)
        places = (rng.random(len(rows)) * homes[:, 1]).astype(np.int64)
        places += homes[:, 0]
        words: NDArray[np.int64] = self.placements.take(places)
        seats = words >> _WORD
        seats += homes[:, 2]
        words ^= self.seated.take(seats)
        return words


@functools.cache
def edit_tables(space: Space) -> EditTables:
    """The tables of a space; 36 MB in 7V, made in a quarter of a second."""
    edits, index = Edits(space), load_index()
    num_inner = space.num_vertices - 2
    num_ops, num_edges, stop = NUM_OPERATIONS * num_inner, edits.num_edges, edits.stop

    kept, flipped = np.full(stop + 2, -1), np.zeros(stop + 2, dtype=np.int64)
    flipped[1 : num_edges + 1] = 1 << (num_ops + np.arange(num_edges))
    flipped[num_edges + 1 : stop + 1] = 1 << np.arange(num_ops)
    kept[num_edges + 1 : stop + 1] = ~np.repeat(0b111 << NUM_OPERATIONS * np.arange(num_inner), NUM_OPERATIONS)

    spent = np.ones(stop + 2, dtype=np.int64)
    spent[[0, stop + 1]] = 0

    digits = code_to_ops(np.arange(NUM_OP_CODES)).astype(np.int64)
    op_codes = np.arange(0, NUM_OP_CODES, NUM_OPERATIONS ** (len(OP_WEIGHTS) - num_inner))
    codes = np.zeros(1 << num_ops, dtype=np.int64)
    codes[_one_hot(range(num_inner), digits)[op_codes]] = op_codes

    patterns = index.patterns[to_frame(space.num_vertices, np.arange(1 << num_edges))]
    valid = patterns != NO_GRAPH
    pruned, number = _numbered(patterns[valid])
    graphs = np.zeros(len(patterns), dtype=np.int64)
    for bit in range(num_edges):
        graphs |= valid.reshape(-1, 2, 1 << bit)[:, ::-1].reshape(-1).astype(np.int64) << bit
    graphs |= (1 << stop + 1) - (1 << num_edges)
    graphs[valid] |= number * NUM_OP_CODES << _ACTIONS
    rows = index.rows[(pruned >> SELECTION_BITS)[:, None], recode_table()[pruned & ((1 << SELECTION_BITS) - 1)]]

    # Placements of all canonical graphs, those of a graph together, in the order of the rows.
    packed = index.cells[: len(space)].astype(np.int64)
    canonical, graph_of = np.unique(packed & ~(0xFF << 21), return_inverse=True)
    counts = np.zeros(len(canonical), dtype=np.int64)
    placements: list[NDArray[np.int64]] = []
    seated: list[NDArray[np.int64]] = []
    for size in range(2, space.num_vertices + 1):
        chosen = canonical >> 29 == size
        flips, weights = seatings(size, space.num_vertices)
        present = canonical[chosen, None] >> np.arange(flips.shape[1]) & 1
        forward = present @ (flips == 0).T == 0  # seatings that turn no edge around
        spare = []
        first = len(seated)
        for seating, used in enumerate(weights.tolist()):
            seats = [OP_WEIGHTS.index(weight) for weight in used]
            others = [vertex for vertex in range(num_inner) if vertex not in seats]
            drawn = np.array([*itertools.product(range(NUM_OPERATIONS), repeat=len(others))], dtype=np.int64)
            spare.append(((first + seating) * NUM_OP_CODES << _WORD) + _one_hot(others, drawn))
            seated.append(((first + seating) * NUM_OP_CODES << _WORD) + _one_hot(seats, digits))
        words = (present @ flips.T << num_ops)[:, :, None] + np.array(spare)
        placements.append(words[forward].ravel())
        counts[chosen] = forward.sum(axis=1) * words.shape[2]
    homes = np.empty((len(packed), 3), dtype=np.int32)
    homes[:, 0], homes[:, 1] = (np.cumsum(counts) - counts)[graph_of], counts[graph_of]
    homes[:, 2] = packed >> 21 & 0xFF
    tables = EditTables(
        num_ops,
        kept,
        flipped,
        spent,
        codes,
        graphs,
        rows.ravel(),
        homes,
        np.concatenate(placements),
        np.concatenate(seated),
    )
    if tables.num_bits > _SMALL:
        return tables
    all_rows, actions = tables.look(np.arange(1 << tables.num_bits))
    return tables._replace(found=all_rows.astype(np.int64) << _ACTIONS | actions & ((1 << _ACTIONS) - 1))


def _numbered(values: NDArray[np.unsignedinteger]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """As ``np.unique`` with the inverse, for many small numbers: without sorting them."""
    there = np.zeros(int(values.max()) + 1, dtype=np.bool_)
    there[values] = True
    return np.flatnonzero(there), (np.cumsum(there) - 1)[values]


def _one_hot(vertices: Sequence[int], ops: NDArray[np.int64]) -> NDArray[np.int64]:
    """Operations of some inner vertices (0 for the first), shape (B, at least as many), in words of shape (B,)."""
    words = np.zeros(len(ops), dtype=np.int64)
    for column, vertex in enumerate(vertices):
        words |= 1 << NUM_OPERATIONS * vertex + ops[:, column]
    return words
