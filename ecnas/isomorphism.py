"""Isomorphism: a look-up table from any labelled graph to its row in the enumeration of all cells.

Two cells are the same network if they are isomorphic after pruning. NAS-Bench-101 decides this with a hash of 56 MD5
digests per cell. Here it takes two array look-ups, in small arrays:

* ``patterns[edges]``, for each of the 2²¹ sets of edges of a frame of seven vertices: the unlabelled graph
  that it prunes to, and the relabelling of its vertices to the graph's canonical labelling;
* ``rows[graph, op_code]``: the row of the cell with this canonical graph and these operations;
* ``cells[row]``: the inverse; ``parameters[row]``: the exact trainable parameters, since every query reports them.

The canonical labelling of a graph is the one with the smallest ``edge_bits``; among the automorphisms of that, a cell
takes the lexicographically smallest operations. Rows ascend by number of vertices, edge bits, operations. This is the
order in which NAS-Bench-101's generator produces the cells, so the canonical cell is also the one that was trained and
whose parameters were published.

The arrays are shipped (``ecnas/data/space``) and memory-mapped; :func:`build_index` rebuilds them in seconds, and a
test compares the two.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from ecnas.cost import network_cost
from ecnas.encoding import (
    MAX_INNER,
    MAX_VERTICES,
    NUM_OP_CODES,
    NUM_OPERATIONS,
    NUM_PATTERNS,
    OP_WEIGHTS,
    code_to_ops,
    edge_bit,
    to_frame,
)

MAX_EDGES: Final = 9
"""NAS-Bench-101's cap on the edges of a pruned cell."""

NOT_A_CELL: Final = -1
"""In ``rows_of``: the graph is disconnected, or has more than nine edges after pruning."""

INDEX_FOLDER: Final = Path(__file__).parent / "data" / "space"

SELECTION_BITS: Final = 9
"""Low bits of an entry of ``patterns`` that hold the number of a selection."""

NO_GRAPH: Final = np.uint32(0xFFFFFFFF)
_POINTS_BACK: Final = 1 << 30  # larger than any edge bits

SELECTIONS: Final = tuple(
    chosen for k in range(MAX_INNER + 1) for chosen in itertools.permutations(range(1, MAX_INNER + 1), k)
)
"""All ways to choose inner vertices in order; vertex ``SELECTIONS[p][i]`` becomes canonical vertex i + 1."""


@dataclass(frozen=True)
class CellIndex:
    """The look-up arrays.

    Attributes:
        patterns: uint32, (2²¹,): ``graph << 9 | selection``; 0xFFFFFFFF where there is no cell of at most nine edges.
        rows: int32, (graphs, 243): row of a canonical graph with the given op code; −1 where the code has digits for
            vertices that the graph lacks.
        cells: uint32, (423624,): ``vertices << 29 | op_code << 21 | edge_bits`` of each row's canonical cell.
        parameters: int32, (423624,): trainable parameters (:mod:`ecnas.cost`).
    """

    patterns: NDArray[np.uint32]
    rows: NDArray[np.int32]
    cells: NDArray[np.uint32]
    parameters: NDArray[np.int32]


def pack_cell(num_vertices: int, edge_bits: int, op_code: int) -> int:
    """One integer for a labelled cell; ascending integers are *not* in row order (edge bits are the low digits)."""
    return num_vertices << 29 | op_code << 21 | edge_bits


_Packed = TypeVar("_Packed", int, NDArray[np.int64])


def unpack_cell(packed: _Packed) -> tuple[_Packed, _Packed, _Packed]:
    """``(num_vertices, edge_bits, op_code)`` of :func:`pack_cell`'s integer, or of an array of them."""
    return packed >> 29, packed & (NUM_PATTERNS - 1), (packed >> 21) & 0xFF


@functools.cache
def load_index() -> CellIndex:
    """The shipped arrays, memory-mapped: opening costs a millisecond, and memory only for the pages that are read."""
    return CellIndex(
        *(np.asarray(np.load(INDEX_FOLDER / f"{field.name}.npy", mmap_mode="r")) for field in fields(CellIndex))
    )


@functools.cache
def recode_table() -> NDArray[np.uint8]:
    """uint8 (326, 243): the op code after the relabelling ``SELECTIONS[p]``, unselected vertices dropped."""
    digits = np.empty((NUM_OP_CODES, MAX_INNER + 1), dtype=np.int64)
    digits[:, 0] = 0
    for vertex, weight in enumerate(OP_WEIGHTS, start=1):
        digits[:, vertex] = np.arange(NUM_OP_CODES) // weight % NUM_OPERATIONS
    chosen = np.zeros((len(SELECTIONS), MAX_INNER), dtype=np.int64)  # vertex 0 stands for "none" and has digit 0
    for number, selection in enumerate(SELECTIONS):
        chosen[number, : len(selection)] = selection
    table = np.zeros((len(SELECTIONS), NUM_OP_CODES), dtype=np.uint8)
    for position, weight in enumerate(OP_WEIGHTS):
        table += (digits[:, chosen[:, position]].T * weight).astype(np.uint8)
    return table


def rows_of(frame_bits: NDArray[np.integer], op_codes: NDArray[np.integer]) -> NDArray[np.int64]:
    """Rows of labelled cells; pruning and isomorphism included.

    Args:
        frame_bits: Edge bits in the frame of seven vertices (:func:`ecnas.encoding.to_frame`), shape (B,).
        op_codes: Op codes, shape (B,).

    Returns:
        int64 rows of shape (B,), −1 where the graph is not a cell of at most nine edges.
    """
    index = load_index()
    found = index.patterns[frame_bits]
    known = found != NO_GRAPH
    found = np.where(known, found, 0)
    codes = recode_table()[found & ((1 << SELECTION_BITS) - 1), op_codes]
    rows = index.rows[found >> SELECTION_BITS, codes]
    return np.where(known, rows, NOT_A_CELL).astype(np.int64)


def row_of(frame_bits: int, op_code: int) -> int:
    """The row of one labelled cell, as :func:`rows_of`."""
    index = load_index()
    found = index.patterns.item(frame_bits)
    if found == 0xFFFFFFFF:
        return NOT_A_CELL
    code = recode_table().item(found & ((1 << SELECTION_BITS) - 1), op_code)
    return index.rows.item(found >> SELECTION_BITS, code)


def canonical_cell(num_vertices: int, edge_bits: int, ops: tuple[int, ...]) -> tuple[int, int, int]:
    """Canonical ``(num_vertices, edge_bits, op_code)`` of a pruned cell with any number of edges.

    Cells of at most nine edges need one look-up. Above, all relabellings are tried (at most 120).
    """
    op_code = sum(op * weight for op, weight in zip(ops, OP_WEIGHTS, strict=False))
    row = row_of(to_frame(num_vertices, edge_bits), op_code)
    if row != NOT_A_CELL:
        return unpack_cell(load_index().cells.item(row))
    edges = [(x, y) for y in range(1, num_vertices) for x in range(y) if edge_bits >> edge_bit(x, y) & 1]
    best = (_POINTS_BACK, 0)
    for order in itertools.permutations(range(1, num_vertices - 1)):
        position = {0: 0, num_vertices - 1: num_vertices - 1, **{v: i for i, v in enumerate(order, start=1)}}
        if all(position[x] < position[y] for x, y in edges):
            bits = sum(1 << edge_bit(position[x], position[y]) for x, y in edges)
            code = sum(ops[v - 1] * weight for v, weight in zip(order, OP_WEIGHTS, strict=False))
            best = min(best, (bits, code))
    return num_vertices, *best


# ---------------------------------------------------------------------------------------------------------------------
# Making the index


def live_vertices(frame_bits: NDArray[np.integer]) -> NDArray[np.int64]:
    """Bit sets (bit v = vertex v) of the vertices on a path from vertex 0 to vertex 6; 0 where there is no path."""
    bits = frame_bits.astype(np.int64)
    sources = {y: bits >> edge_bit(0, y) & ((1 << y) - 1) for y in range(1, MAX_VERTICES)}
    reached = np.ones_like(bits)
    for y in range(1, MAX_VERTICES):
        reached |= ((sources[y] & reached) != 0).astype(np.int64) << y
    needed = np.full_like(bits, 1 << (MAX_VERTICES - 1))
    for y in range(MAX_VERTICES - 1, 0, -1):
        needed |= np.where(needed >> y & 1, sources[y], 0)
    live = reached & needed
    return np.where(live >> (MAX_VERTICES - 1) & 1, live, 0)


class _Relabelling:
    """Renames the vertices of many graphs at once, given as edge bits.

    An edge of a vertex that is not in ``positions`` is dropped; one that would point backwards makes the result larger
    than any edge bits.
    """

    def __init__(self, num_vertices: int, positions: dict[int, int]) -> None:
        image = []
        for y in range(1, num_vertices):
            for x in range(y):
                if x not in positions or y not in positions:
                    image.append(0)
                elif positions[x] < positions[y]:
                    image.append(1 << edge_bit(positions[x], positions[y]))
                else:
                    image.append(_POINTS_BACK)
        # Seven bits at a time: three look-ups instead of twenty-one shifts.
        self._tables = []
        chunk = np.arange(128)
        for start in range(0, len(image), 7):
            table = np.zeros(128, dtype=np.int64)
            for offset, bit in enumerate(image[start : start + 7]):
                table[chunk >> offset & 1 == 1] |= bit
            self._tables.append(table)

    def __call__(self, edge_bits: NDArray[np.int64]) -> NDArray[np.int64]:
        result = np.zeros_like(edge_bits)
        for number, table in enumerate(self._tables):
            result |= table[edge_bits >> (7 * number) & 127]
        return result


@functools.cache
def _inner_relabelling(order: tuple[int, ...]) -> _Relabelling:
    """The relabelling of a cell of ``len(order)`` inner vertices in which ``order[i]`` becomes vertex i + 1."""
    num_vertices = len(order) + 2
    ends = {0: 0, num_vertices - 1: num_vertices - 1}
    return _Relabelling(num_vertices, ends | {v: i for i, v in enumerate(order, start=1)})


def build_index() -> CellIndex:
    """Enumerates every cell of at most seven vertices and nine edges. Takes seconds and about 500 MB.

    Returns:
        The index of 423,624 cells: 1, 6, 84, 2,441, 62,010 and 359,082 of two to seven vertices.
    """
    selection_number = {selection: number for number, selection in enumerate(SELECTIONS)}
    frames = np.arange(NUM_PATTERNS)
    live = live_vertices(frames)

    # Per frame: the canonical graph (vertices << 21 | edge_bits, −1 for none) and the relabelling that leads there.
    graph_key = np.full(NUM_PATTERNS, -1, dtype=np.int64)
    selection_of = np.zeros(NUM_PATTERNS, dtype=np.int64)
    for inner in range(MAX_INNER + 1):
        orders = list(itertools.permutations(range(1, inner + 1)))
        relabellings = [_inner_relabelling(order) for order in orders]
        for kept in itertools.combinations(range(1, MAX_INNER + 1), inner):
            mask = 1 | 1 << (MAX_VERTICES - 1) | sum(1 << v for v in kept)
            members = frames[live == mask]
            prune = {0: 0, MAX_VERTICES - 1: inner + 1} | {v: i for i, v in enumerate(kept, start=1)}
            bits = _Relabelling(MAX_VERTICES, prune)(members)
            allowed = np.bitwise_count(bits) <= MAX_EDGES
            members, bits = members[allowed], bits[allowed]
            unique, where = np.unique(bits, return_inverse=True)
            best = np.full(len(unique), _POINTS_BACK)
            best_order = np.zeros(len(unique), dtype=np.int64)
            for number, relabelling in enumerate(relabellings):
                candidate = relabelling(unique)
                better = candidate < best
                best[better] = candidate[better]
                best_order[better] = number
            selections = np.array([selection_number[tuple(kept[v - 1] for v in order)] for order in orders])
            graph_key[members] = ((inner + 2) << 21 | best)[where]
            selection_of[members] = selections[best_order][where]

    graphs, graph_of = np.unique(graph_key[graph_key >= 0], return_inverse=True)
    patterns = np.full(NUM_PATTERNS, NO_GRAPH)
    patterns[graph_key >= 0] = graph_of << SELECTION_BITS | selection_of[graph_key >= 0]

    rows = np.full((len(graphs), NUM_OP_CODES), NOT_A_CELL, dtype=np.int32)
    cells: list[NDArray[np.uint32]] = []
    num_rows = 0
    recode = recode_table().astype(np.int64)
    for graph, key in enumerate(graphs.tolist()):
        num_vertices, edge_bits = key >> 21, key & (NUM_PATTERNS - 1)
        inner = num_vertices - 2
        codes = np.arange(0, NUM_OP_CODES, NUM_OPERATIONS ** (MAX_INNER - inner))
        smallest = codes
        for order in itertools.permutations(range(1, inner + 1)):
            if _inner_relabelling(order)(np.array([edge_bits]))[0] == edge_bits:
                smallest = np.minimum(smallest, recode[selection_number[order], codes])
        unique, where = np.unique(smallest, return_inverse=True)
        rows[graph, codes] = num_rows + where
        cells.append((num_vertices << 29 | unique << 21 | edge_bits).astype(np.uint32))
        num_rows += len(unique)
    all_cells = np.concatenate(cells)
    return CellIndex(patterns, rows, all_cells, _parameters(all_cells.astype(np.int64)))


def _parameters(packed: NDArray[np.int64]) -> NDArray[np.int32]:
    parameters = np.zeros(len(packed), dtype=np.int32)
    for num_vertices in range(2, MAX_VERTICES + 1):
        chosen = packed >> 29 == num_vertices
        ops = code_to_ops(packed[chosen] >> 21 & 0xFF)
        parameters[chosen] = network_cost(num_vertices, packed[chosen] & (NUM_PATTERNS - 1), ops).trainable_parameters
    return parameters


def main() -> None:
    """Writes the shipped arrays: ``python -m ecnas.isomorphism``."""
    index = build_index()
    INDEX_FOLDER.mkdir(parents=True, exist_ok=True)
    for field in fields(CellIndex):
        array = getattr(index, field.name)
        np.save(INDEX_FOLDER / f"{field.name}.npy", array)
        print(f"{field.name}.npy {array.dtype} {array.shape} {array.nbytes / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
