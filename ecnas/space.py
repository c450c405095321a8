"""The three search spaces: their cells, the order of the cells, and moves between them."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from functools import cached_property
from typing import Final, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecnas import isomorphism
from ecnas.cell import Cell
from ecnas.coerce import as_whole, one_of, shown, whole, whole_array
from ecnas.encoding import (
    MAX_INNER,
    MAX_VERTICES,
    NUM_OPERATIONS,
    OP_WEIGHTS,
    code_to_ops,
    edge_bit,
    to_frame,
)
from ecnas.errors import InvalidCellError, OutOfDomainError


class Bounds(NamedTuple):
    """Limits on the cells of a space, after pruning."""

    num_vertices: int
    max_edges: int
    num_cells: int


# The order of cells (ecnas.isomorphism) makes each space the beginning of the next: a cell has one row in all of them.
SPACES: Final = {"4V": Bounds(4, 6, 91), "5V": Bounds(5, 9, 2532), "7V": Bounds(7, 9, 423624)}


class Space:
    """A search space of EC-NAS-Bench (Bakhtiarifard et al. 2024, https://arxiv.org/abs/2210.06015, section 2).

    A space is a sequence of its unique cells, ascending by number of vertices, edge bits and operations. The cells of
    "4V" are the first 91 of "5V", whose 2,532 are the first of the 423,624 of "7V".

    Args:
        name: "4V" (at most 4 vertices and 6 edges), "5V" (5 and 9) or "7V" (7 and 9); edges count after pruning.

    Raises:
        UnknownNameError: The space is unknown.

    Example:
        >>> space = Space("5V")
        >>> len(space), space.row(space[42])
        (2532, 42)
    """

    def __init__(self, name: str) -> None:
        self.name = name = one_of("search space", name, SPACES)
        self.num_vertices, self.max_edges, self._num_cells = SPACES[name]

    def __len__(self) -> int:
        return self._num_cells

    def __getitem__(self, row: int) -> Cell:
        """The canonical cell of a row, 0 ≤ row < len(space).

        Raises:
            OutOfDomainError: The space has no such row; negative rows are not allowed.
        """
        if type(row) is not int or not 0 <= row < self._num_cells:
            row = self.check_row(row)
        num_vertices, edge_bits, op_code = isomorphism.unpack_cell(isomorphism.load_index().cells.item(row))
        return Cell.from_frame(to_frame(num_vertices, edge_bits), op_code)

    def __iter__(self) -> Iterator[Cell]:
        return map(self.__getitem__, range(self._num_cells))

    def __contains__(self, cell: object) -> bool:
        return isinstance(cell, Cell) and 0 <= cell.row < self._num_cells

    def __eq__(self, other: object) -> bool:
        return self.name == other.name if isinstance(other, Space) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Space({self.name!r})"

    def row(self, cell: Cell) -> int:
        """Position of a cell in the space.

        Raises:
            OutOfDomainError: The cell has too many vertices or edges for the space.
            InvalidCellError: It is not a :class:`Cell`.
        """
        if not isinstance(cell, Cell):
            raise InvalidCellError(f"cell must be an ecnas.Cell, got {shown(cell)}{_way_out(cell)}")
        row = cell.row
        if not 0 <= row < self._num_cells:
            raise OutOfDomainError(
                f"cell has {cell.num_vertices} vertices and {cell.num_edges} edges after pruning; space {self.name} "
                f"allows at most {self.num_vertices} vertices and {self.max_edges} edges"
            )
        return row

    def check_row(self, row: object) -> int:
        """Returns a row of the space as an int.

        Raises:
            OutOfDomainError: It is not a whole number of any integer type, 0 ≤ row < len(space).
        """
        return whole("row", row, 0, self._num_cells - 1, where=f"in space {self.name}", error=OutOfDomainError)

    def check_rows(self, rows: ArrayLike, least: int = 0) -> NDArray[np.int64]:
        """Returns rows of the space as int64, shape (n,).

        Args:
            rows: Integers, shape (n,).
            least: 0, or −1 to allow "not a cell".

        Raises:
            OutOfDomainError: One is not a row of the space; the message says which.
        """
        return whole_array(
            "rows", rows, least, self._num_cells - 1, where=f"in space {self.name}", error=OutOfDomainError
        )

    def rows(self, frame_bits: NDArray[np.integer], op_codes: NDArray[np.integer]) -> NDArray[np.int64]:
        """Rows of many labelled cells at once (:func:`ecnas.isomorphism.rows_of`); −1 for those not in the space."""
        rows = isomorphism.rows_of(frame_bits, op_codes)
        rows[rows >= self._num_cells] = isomorphism.NOT_A_CELL
        return rows

    @cached_property
    def cells(self) -> SpaceArrays:
        """All cells of the space as arrays, in row order."""
        packed = isomorphism.load_index().cells[: self._num_cells].astype(np.int64)
        return SpaceArrays(*isomorphism.unpack_cell(packed))

    @property
    def trainable_parameters(self) -> NDArray[np.int32]:
        """Exact trainable parameters of all cells, int32 of shape (number of cells,), in row order."""
        return isomorphism.load_index().parameters[: self._num_cells]

    @overload
    def sample(self, rng: np.random.Generator) -> Cell: ...

    @overload
    def sample(self, rng: np.random.Generator, size: int) -> list[Cell]: ...

    def sample(self, rng: np.random.Generator, size: int | None = None) -> Cell | list[Cell]:
        """Draws uniformly from the unique cells, with replacement: one cell, or a list of ``size``."""
        if size is None:
            return self[int(rng.integers(self._num_cells))]
        return [self[row] for row in rng.integers(self._num_cells, size=size).tolist()]

    def mutate(
        self, cell: Cell, rng: np.random.Generator, expected_edges: float = 1.0, expected_ops: float = 1.0
    ) -> Cell:
        """A random mutation of a cell into another cell of the space.

        As in NAS-Bench-101's regularised evolution (Ying et al. 2019, supplement S3): every possible edge flips, and
        every inner vertex changes its operation, independently. Draws that leave the space or change nothing are
        repeated. A cell with fewer vertices than the space allows is placed at random vertices of the full graph, with
        the others unconnected, so a mutation can also add vertices.

        Args:
            cell: A cell of the space.
            rng: Source of randomness; the same state gives the same mutation, for any labelling of ``cell``.
            expected_edges: Mean number of flipped edges per draw.
            expected_ops: Mean number of changed operations per draw.

        Raises:
            OutOfDomainError: ``cell`` is not in the space.
            ValueError: The expected numbers are negative, both zero or more than there are edges or operations.
        """
        parent_row = self.row(cell)
        num_inner = self.num_vertices - 2
        num_pairs = self.num_vertices * (self.num_vertices - 1) // 2
        for name, value, most in (
            ("expected_edges", expected_edges, num_pairs),
            ("expected_ops", expected_ops, num_inner),
        ):
            if not 0 <= value <= most:
                raise ValueError(f"{name} must be from 0 to {most} in space {self.name}, got {value}")
        if expected_edges == expected_ops == 0:
            raise ValueError("expected_edges and expected_ops must not both be 0: nothing would ever change")
        edges, ops = _parts(parent_row)
        if expected_edges == 0 and not ops:
            raise ValueError("expected_edges must not be 0 for the cell without operations: nothing would ever change")
        flip_probability, change_probability = expected_edges / num_pairs, expected_ops / num_inner
        num_draws, change_at, choice_at = num_pairs + 3 * num_inner, num_pairs + num_inner, num_pairs + 2 * num_inner
        taken = list(range(num_inner))  # where the parent's operations are
        while True:  # plain numbers: arrays of so few elements would take ten times as long
            draws = rng.random(num_draws).tolist()
            if len(ops) < num_inner:
                order = draws[num_pairs:change_at]
                taken = sorted(sorted(range(num_inner), key=order.__getitem__)[: len(ops)])
            seats = [0, *[v + 1 for v in taken], self.num_vertices - 1]
            bits = 0
            for x, y in edges:
                bits |= _EDGE[seats[x]][seats[y]]
            for bit in range(num_pairs):
                if draws[bit] < flip_probability:
                    bits ^= 1 << bit
            code = 0
            for seat, weight in zip(range(num_inner), OP_WEIGHTS, strict=False):
                code += int(draws[choice_at + seat] * NUM_OPERATIONS) * weight  # of the vertices that the cell lacks
            for seat, op in zip(taken, ops, strict=True):
                choice = draws[choice_at + seat]
                if draws[change_at + seat] < change_probability:
                    op = (op + 1 + int(choice * (NUM_OPERATIONS - 1))) % NUM_OPERATIONS
                code += (op - int(choice * NUM_OPERATIONS)) * OP_WEIGHTS[seat]
            row = isomorphism.row_of(to_frame(self.num_vertices, bits), code)
            if 0 <= row < self._num_cells and row != parent_row:
                return self[row]

    def neighbours(self, cell: Cell) -> list[Cell]:
        """The cells one edit away, in row order.

        An edit changes the operation of a vertex, removes an edge, adds an edge (in either direction without a cycle),
        or adds a vertex with one edge in and one edge out; then the cell is pruned. So the neighbours depend only on
        the network, not on the labelling.

        Raises:
            OutOfDomainError: ``cell`` is not in the space.
        """
        rows = {self.row(cell)}
        num_vertices, edge_bits, ops = cell.canonical()._pruned
        last = num_vertices - 1
        edges = frozenset((x, y) for y in range(1, num_vertices) for x in range(y) if edge_bits >> edge_bit(x, y) & 1)
        variants: list[tuple[frozenset[tuple[int, int]], tuple[int, ...]]] = [(edges - {edge}, ops) for edge in edges]
        for position, op in enumerate(ops):
            variants += [(edges, (*ops[:position], o, *ops[position + 1 :])) for o in range(NUM_OPERATIONS) if o != op]
        for x in range(last):
            for y in range(1, num_vertices):
                if x == y:
                    continue
                variants.append((edges | {(x, y)}, ops))
                if num_vertices < self.num_vertices:  # the new vertex is number last + 1; labels need no order here
                    variants += [(edges | {(x, last + 1), (last + 1, y)}, (*ops, o)) for o in range(NUM_OPERATIONS)]
        for new_edges, new_ops in variants:
            rows.add(_row_of_graph(new_edges, new_ops, last))
        rows.discard(cell.row)
        return [self[row] for row in sorted(rows) if 0 <= row < self._num_cells]


def _way_out(cell: object) -> str:
    """How to make a cell of something else."""
    if isinstance(cell, str):
        return "; by its hash it is space[ecnas.official.row_of_hash(benchmark, hash)]"
    if as_whole(cell) is not None:
        return "; by its row it is space[row]"
    return "; Cell(adjacency, ops) makes one"


_EDGE: Final = [[1 << edge_bit(x, y) if x < y else 0 for y in range(MAX_VERTICES)] for x in range(MAX_VERTICES)]
"""The edge x→y as edge bits."""


@functools.lru_cache(maxsize=10_000)
def _parts(row: int) -> tuple[list[tuple[int, int]], list[int]]:
    """Edges and operations of a row's canonical cell."""
    num_vertices, edge_bits, op_code = isomorphism.unpack_cell(isomorphism.load_index().cells.item(row))
    edges = [(x, y) for y in range(1, num_vertices) for x in range(y) if edge_bits >> edge_bit(x, y) & 1]
    return edges, [op_code // weight % NUM_OPERATIONS for weight in OP_WEIGHTS[: num_vertices - 2]]


class SpaceArrays(NamedTuple):
    """Cells as arrays, each int64 of shape (number of cells,).

    Attributes:
        num_vertices: Vertices of each cell.
        edge_bits: Edges in the cell's own labelling (:mod:`ecnas.encoding`).
        op_codes: Operations as base-3 digits, vertex 1 most significant of five.
    """

    num_vertices: NDArray[np.int64]
    edge_bits: NDArray[np.int64]
    op_codes: NDArray[np.int64]

    @property
    def ops(self) -> NDArray[np.int8]:
        """int8, shape (number of cells, 5): op of vertices 1 … 5, −1 for absent ones."""
        ops = code_to_ops(self.op_codes)
        return np.where(np.arange(1, MAX_INNER + 1) <= self.num_vertices[:, None] - 2, ops, -1).astype(np.int8)


def _row_of_graph(edges: frozenset[tuple[int, int]], ops: tuple[int, ...], output: int) -> int:
    """Row of a graph whose vertices carry arbitrary numbers: 0 is the input, ``output`` the output; −1 for a cycle."""
    inner = [v for v in range(1, len(ops) + 2) if v != output]
    op_of = dict(zip(inner, ops, strict=True))
    order = [0]
    waiting = list(inner)
    while waiting:
        ready = [v for v in waiting if all(x in order for x, y in edges if y == v)]
        if not ready:
            return isomorphism.NOT_A_CELL
        order += ready
        waiting = [v for v in waiting if v not in ready]
    position = {v: i for i, v in enumerate([*order, output])}
    if any(position[x] > position[y] for x, y in edges):  # an edge out of the output
        return isomorphism.NOT_A_CELL
    bits = sum(1 << edge_bit(position[x], position[y]) for x, y in edges)
    code = sum(op_of[v] * weight for v, weight in zip(order[1:], OP_WEIGHTS, strict=False))
    return isomorphism.row_of(to_frame(len(order) + 1, bits), code)
