"""A cell: the directed acyclic graph of operations that a network repeats nine times."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Mapping, Sequence
from functools import cached_property
from numbers import Number
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecnas import cost, hashing, isomorphism
from ecnas.coerce import ordered, shown
from ecnas.encoding import (
    INPUT,
    MAX_VERTICES,
    NUM_OPERATIONS,
    OP_WEIGHTS,
    OPERATIONS,
    OUTPUT,
    bits_to_adjacency,
    edge_bit,
    to_frame,
)
from ecnas.errors import InvalidCellError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHORT_NAME: Final = {name: name.removesuffix("-bn-relu") for name in OPERATIONS}
_OP_NUMBER: Final = {
    name: number for number, long in enumerate(OPERATIONS) for name in dict.fromkeys((long, _SHORT_NAME[long]))
}

# A 0/1 matrix becomes digits of one integer: bytes 0 and 1 to "0" and "1", all else to a digit that int() refuses.
_DIGITS: Final = b"01" + b"x" * 254


@functools.cache
def _row_tables(num_vertices: int) -> tuple[int, list[tuple[int, list[int]]]]:
    """How to read a V×V matrix that is written as V² binary digits, row after row.

    Returns:
        The digits that must be 0, on and below the diagonal; and for each row its shift, and a list with the edge bits
        (in the frame of seven vertices) of each of its 2ⱽ contents.
    """
    lower = 0
    tables = []
    for x in range(num_vertices):
        shift = (num_vertices - 1 - x) * num_vertices
        edges = [to_frame(num_vertices, 1 << edge_bit(x, y)) if y > x else 0 for y in range(num_vertices)]
        table = [0]
        for edge in reversed(edges):  # the last digit is the last vertex
            table += [bits | edge for bits in table]
        tables.append((shift, table))
        lower |= (1 << num_vertices) - (1 << (num_vertices - 1 - x)) << shift
    return lower, tables[:-1]


class Cell:
    """A cell, pruned of the vertices that are not on a path from its input to its output.

    Cells are immutable and hashable. Two cells are equal if they are isomorphic after pruning: then they are the same
    network.

    Args:
        adjacency: V×V matrix of 0 and 1 of any type, 2 ≤ V ≤ 7, upper-triangular; entry [x, y] is the edge x→y.
            Vertex 0 is the input, vertex V−1 the output.
        ops: The V−2 operations of the inner vertices, from ``ecnas.OPERATIONS`` (``"conv3x3"`` and ``"conv1x1"`` are
            accepted too); or V names with ``"input"`` first and ``"output"`` last.

    Raises:
        InvalidCellError: The matrix or an operation is invalid, or no path leads from input to output.

    Example:
        >>> cell = Cell([[0, 1, 1], [0, 0, 1], [0, 0, 0]], ["conv3x3-bn-relu"])
        >>> cell.num_edges, cell.trainable_parameters
        (3, 11051402)
    """

    __slots__ = ("__dict__", "_frame_bits", "_op_code", "_row")

    _frame_bits: int
    _op_code: int
    _row: int

    def __init__(self, adjacency: ArrayLike, ops: Sequence[str]) -> None:
        matrix = adjacency if type(adjacency) is np.ndarray else _as_matrix(adjacency)
        frame_bits = _frame_bits(matrix)
        op_code = _op_code(ops, len(matrix))
        self._set(frame_bits, op_code)

    def _set(self, frame_bits: int, op_code: int) -> None:
        row = isomorphism.row_of(frame_bits, op_code)
        if row == isomorphism.NOT_A_CELL and not _live(frame_bits):
            raise InvalidCellError("adjacency has no path from the input (vertex 0) to the output (the last vertex)")
        object.__setattr__(self, "_frame_bits", frame_bits)
        object.__setattr__(self, "_op_code", op_code)
        object.__setattr__(self, "_row", row)

    @classmethod
    def from_frame(cls, frame_bits: int, op_code: int) -> Cell:
        """The cell of integers as described in :mod:`ecnas.encoding`: edges in the frame of seven vertices, op code."""
        cell = cls.__new__(cls)
        cell._set(frame_bits, op_code)
        return cell

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Cell:
        """The cell of :meth:`to_dict`'s dictionary, or of any with ``adjacency`` and ``ops``; other keys are ignored.

        Raises:
            InvalidCellError: It is not a cell, or its ``hash`` does not match.
        """
        from ecnas.interchange import read_cell

        if not isinstance(values, Mapping) or not {"adjacency", "ops"} <= values.keys():
            raise InvalidCellError(f"a cell's dictionary must have adjacency and ops, got {values!r:.200}")
        cell = read_cell(values["adjacency"], values["ops"])
        if values.get("hash", cell.hash) != cell.hash:
            raise InvalidCellError(f"hash of the cell must be {cell.hash}, got {values['hash']!r}")
        return cell

    def to_dict(self) -> dict[str, Any]:
        """A dictionary for JSON: ``adjacency``, ``ops`` (of all vertices, "input" to "output") and ``hash``."""
        return {"adjacency": self.adjacency.tolist(), "ops": [INPUT, *self.ops, OUTPUT], "hash": self.hash}

    @property
    def row(self) -> int:
        """Position in the enumeration of all cells; −1 for a cell of more than nine edges, in no space."""
        return self._row

    @cached_property
    def _pruned(self) -> tuple[int, int, tuple[int, ...]]:
        """Vertices, edge bits and op numbers that are left after pruning, in the order in which they were given."""
        live = _live(self._frame_bits)
        bits = 0
        for new_y, y in enumerate(live):
            for new_x, x in enumerate(live[:new_y]):
                bits |= (self._frame_bits >> edge_bit(x, y) & 1) << edge_bit(new_x, new_y)
        ops = tuple(self._op_code // OP_WEIGHTS[v - 1] % NUM_OPERATIONS for v in live[1:-1])
        return len(live), bits, ops

    @cached_property
    def _canonical(self) -> tuple[int, int, int]:
        """Vertices, edge bits and op code of the canonical labelling, which identify the cell."""
        if self._row != isomorphism.NOT_A_CELL:
            return isomorphism.unpack_cell(isomorphism.load_index().cells.item(self._row))
        return isomorphism.canonical_cell(*self._pruned)

    @property
    def num_vertices(self) -> int:
        """Vertices after pruning, input and output included: 2 to 7."""
        return self._pruned[0]

    @property
    def num_edges(self) -> int:
        """Edges after pruning."""
        return self._pruned[1].bit_count()

    @property
    def edge_bits(self) -> int:
        """Edges after pruning as bits; bit x + y(y−1)/2 is the edge x→y."""
        return self._pruned[1]

    @cached_property
    def adjacency(self) -> NDArray[np.int8]:
        """Read-only int8 matrix after pruning, shape (V, V)."""
        matrix = bits_to_adjacency(self.num_vertices, self.edge_bits)
        matrix.flags.writeable = False
        return matrix

    @property
    def ops(self) -> tuple[str, ...]:
        """Names of the operations of the V−2 inner vertices after pruning."""
        return tuple(OPERATIONS[op] for op in self._pruned[2])

    def canonical(self) -> Cell:
        """The equal cell in the labelling that NAS-Bench-101 trained: smallest edge bits, then smallest operations."""
        num_vertices, edge_bits, op_code = self._canonical
        return Cell.from_frame(to_frame(num_vertices, edge_bits), op_code)

    @cached_property
    def hash(self) -> str:
        """The published module hash, 32 hexadecimal digits (:func:`ecnas.hashing.module_hash`)."""
        return hashing.module_hash(*self._pruned) if self._row == isomorphism.NOT_A_CELL else _hash_of_row(self._row)

    @cached_property
    def _cost(self) -> tuple[int, int]:
        num_vertices, edge_bits, ops = self.canonical()._pruned
        result = cost.network_cost(num_vertices, np.array([edge_bits]), np.array([ops], dtype=np.int64))
        return int(result.trainable_parameters[0]), int(result.multiply_adds[0])

    @property
    def trainable_parameters(self) -> int:
        """Trainable parameters of the CIFAR-10 network, as published (:mod:`ecnas.cost`)."""
        if self._row == isomorphism.NOT_A_CELL:
            return self._cost[0]
        return isomorphism.load_index().parameters.item(self._row)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of the CIFAR-10 network for one image (:mod:`ecnas.cost`)."""
        return self._cost[1]

    def draw(self, ax: Axes | None = None) -> Axes:
        """Draws the cell with matplotlib, into ``ax`` or a new figure, and returns the axes."""
        from matplotlib import pyplot as plt

        from ecnas.drawing import draw_graph

        if ax is None:
            _, ax = plt.subplots(figsize=(3.2, 0.75 * self.num_vertices + 0.4), layout="constrained")
        names = [INPUT, *(_SHORT_NAME[op] for op in self.ops), OUTPUT]
        return draw_graph(names, [(x, y) for x, y in np.argwhere(self.adjacency).tolist()], ax)

    def __eq__(self, other: object) -> bool:
        return self._canonical == other._canonical if isinstance(other, Cell) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._canonical)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a Cell is immutable: cannot set {name!r}")

    def __reduce__(self) -> tuple[Any, tuple[int, int]]:
        return Cell.from_frame, (self._frame_bits, self._op_code)

    def __repr__(self) -> str:
        return f"Cell({self.adjacency.tolist()}, {list(self.ops)})"

    def _repr_html_(self) -> str:
        from ecnas.notebook import of_cell

        return of_cell(self)

    def __str__(self) -> str:
        """One line per vertex and one column per edge: ``┬`` at its start, ``▼`` at its end."""
        names = [INPUT, *(_SHORT_NAME[op] for op in self.ops), OUTPUT]
        edges = [(x, y) for x in range(self.num_vertices) for y in range(self.num_vertices) if self.adjacency[x, y]]
        width = max(map(len, names))
        return "\n".join(
            f"{vertex} {name:<{width}} " + "".join(f" {_edge_mark(vertex, *edge)}" for edge in edges).rstrip()
            for vertex, name in enumerate(names)
        )


def _edge_mark(vertex: int, source: int, target: int) -> str:
    if vertex == source:
        return "┬"
    if vertex == target:
        return "▼"
    return "│" if source < vertex < target else " "


def _frame_bits(matrix: NDArray[Any]) -> int:
    """Checks an adjacency matrix and returns its edges in the frame of seven vertices."""
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise InvalidCellError(f"adjacency must be a square matrix, got shape {matrix.shape}")
    num_vertices = len(matrix)
    if not 2 <= num_vertices <= MAX_VERTICES:
        raise InvalidCellError(f"adjacency must have 2 to {MAX_VERTICES} vertices, got {num_vertices}")
    if matrix.dtype.kind not in "iu":
        matrix = _as_integers(matrix)
    try:
        digits = int(bytes(matrix.ravel().tolist()).translate(_DIGITS), 2)
    except ValueError:
        raise _not_binary(matrix) from None
    lower, tables = _row_tables(num_vertices)
    if digits & lower:
        source, target = np.argwhere(np.tril(matrix))[0].tolist()
        raise InvalidCellError(f"adjacency must be upper-triangular, got an edge at [{source}, {target}]")
    frame_bits = 0
    row_mask = (1 << num_vertices) - 1
    for shift, table in tables:
        frame_bits |= table[digits >> shift & row_mask]
    return frame_bits


def _as_matrix(adjacency: Any) -> NDArray[Any]:
    """An array of what is no plain array: rows of numbers, or another library's matrix."""
    if hasattr(adjacency, "nodes") and hasattr(adjacency, "edges"):
        raise InvalidCellError(
            f"adjacency must be a matrix, got the graph {shown(adjacency)}; ecnas.interchange.from_networkx "
            "reads a graph whose vertices have the attribute 'op'"
        )
    if hasattr(adjacency, "toarray"):  # scipy's sparse matrices
        adjacency = adjacency.toarray()
    if np.ma.is_masked(adjacency):
        raise InvalidCellError(f"adjacency must be a matrix without masked entries, got {shown(adjacency)}")
    try:
        return np.asarray(adjacency)
    except (ValueError, TypeError) as error:
        rows = [len(row) if hasattr(row, "__len__") else 1 for row in adjacency]
        lengths = f"got {len(rows)} rows of {rows} entries" if len(set(rows)) > 1 else f"got {shown(adjacency)}"
        raise InvalidCellError(f"adjacency must be a square matrix, {lengths}") from error


def _as_integers(matrix: NDArray[Any]) -> NDArray[np.int64]:
    """A matrix of another type that holds 0 and 1 exactly."""
    if matrix.dtype.kind in "bf" or (matrix.dtype == object and all(isinstance(x, Number) for x in matrix.flat)):
        if ((matrix == 0) | (matrix == 1)).all():
            return matrix.astype(np.int64)
        raise _not_binary(matrix)
    raise InvalidCellError(
        f"adjacency must hold the numbers 0 and 1, got dtype {matrix.dtype}: {shown(matrix.tolist())}"
    )


def _not_binary(matrix: NDArray[Any]) -> InvalidCellError:
    source, target = np.argwhere((matrix != 0) & (matrix != 1))[0].tolist()
    wrong = matrix.tolist()[source][target]
    return InvalidCellError(f"adjacency must hold 0 and 1, got {shown(wrong)} at [{source}, {target}]")


def _op_code(ops: Sequence[str], num_vertices: int) -> int:
    """Checks the operations and returns their code."""
    names = ops if type(ops) is tuple else ordered("ops", ops, "names", InvalidCellError)
    try:
        return _code_of_names(names, num_vertices)
    except TypeError:  # something that cannot be hashed is no name; the check says which
        return _code_of_names.__wrapped__(names, num_vertices)


@functools.lru_cache(maxsize=1024)
def _code_of_names(names: tuple[str, ...], num_vertices: int) -> int:
    if len(names) == num_vertices:
        if names[0] != INPUT or names[-1] != OUTPUT:
            raise InvalidCellError(
                f"{num_vertices} ops must begin with {INPUT!r} and end with {OUTPUT!r}, got {shown(list(names))}"
            )
        names = names[1:-1]
    if len(names) != num_vertices - 2:
        raise InvalidCellError(
            f"ops must name the {num_vertices - 2} inner vertices (or all {num_vertices}), got {len(names)}: "
            f"{shown(list(names))}"
        )
    for position, name in enumerate(names):
        if not isinstance(name, str) or name not in _OP_NUMBER:
            near = difflib.get_close_matches(str(name)[:100].lower(), _OP_NUMBER, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise InvalidCellError(f"ops[{position}] must be one of {list(OPERATIONS)}, got {shown(name)}{hint}")
    return sum(_OP_NUMBER[name] * weight for name, weight in zip(names, OP_WEIGHTS, strict=False))


@functools.lru_cache(maxsize=1 << 17)
def _hash_of_row(row: int) -> str:
    """The module hash of a row's cell. Sweeps ask for those of the best cells thousands of times."""
    num_vertices, edge_bits, op_code = isomorphism.unpack_cell(isomorphism.load_index().cells.item(row))
    ops = [op_code // weight % NUM_OPERATIONS for weight in OP_WEIGHTS[: num_vertices - 2]]
    return hashing.module_hash(num_vertices, edge_bits, ops)


def _live(frame_bits: int) -> list[int]:
    """The vertices of the frame on a path from vertex 0 to vertex 6, in order; empty where there is no path."""
    output = MAX_VERTICES - 1
    into = [frame_bits >> edge_bit(0, y) & ((1 << y) - 1) if y else 0 for y in range(MAX_VERTICES)]
    reached = 1
    for y in range(1, MAX_VERTICES):
        reached |= (into[y] & reached != 0) << y
    if not reached >> output & 1:
        return []
    needed = 1 << output
    for y in range(output, 0, -1):
        if needed >> y & 1:
            needed |= into[y]
    return [v for v in range(MAX_VERTICES) if reached & needed & 1 << v]
