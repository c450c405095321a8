"""Cells in the formats of other libraries, with a pair of functions for each.

==========================  ==============================================================================
:func:`read_cell`           matrices and operations from files and command lines
:func:`to_networkx`         a ``networkx.DiGraph`` whose vertices have the attribute ``op``
:func:`to_nasbench`         NAS-Bench-101's ``ModelSpec(matrix, ops)``
:func:`to_hpobench`         HPOBench's configurations ``edge_0 …, op_node_0 …`` (NASCifar10 A, B and C are read)
:func:`to_nni`              NNI's dictionaries ``op1 …, input1 …``
:func:`parameters`          choices for black-box optimisers: Optuna, Ax, pymoo and others with categories
==========================  ==============================================================================

JSON is ``cell.to_dict()`` and ``Cell.from_dict(…)``. Cells are pruned on reading, so vertices on no path from input
to output need no operation (``None``, JSON's ``null``). An invalid cell raises :class:`ecnas.InvalidCellError`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ecnas.cell import Cell
from ecnas.coerce import whole
from ecnas.encoding import INPUT, MAX_VERTICES, OPERATIONS, OUTPUT, bits_to_adjacency
from ecnas.errors import InvalidCellError
from ecnas.space import Space

if TYPE_CHECKING:
    import networkx

_CONV3X3, _CONV1X1, _MAXPOOL = OPERATIONS

_NAMES: Final[Mapping[str, str | None]] = {
    **dict.fromkeys(("conv3x3bnrelu", "conv3x3", "3x3conv", "convbnrelu3x3", "0"), _CONV3X3),
    **dict.fromkeys(("conv1x1bnrelu", "conv1x1", "1x1conv", "convbnrelu1x1", "1"), _CONV1X1),
    **dict.fromkeys(("maxpool3x3", "maxpool", "3x3maxpool", "2"), _MAXPOOL),
    **dict.fromkeys(("input", "in"), INPUT),
    **dict.fromkeys(("output", "out"), OUTPUT),
    **dict.fromkeys(("", "null", "none", "nan"), None),
}
"""Usual names of operations, in lower case without spaces, hyphens and underscores, and the published codes."""

_CODES: Final[Mapping[Any, str]] = {-1: INPUT, -2: OUTPUT, **dict(enumerate(OPERATIONS))}
"""NAS-Bench-101's labels of vertices in its module hash."""

_HPOBENCH_EDGES: Final = MAX_VERTICES * (MAX_VERTICES - 1) // 2


def read_cell(adjacency: Any, ops: Any) -> Cell:
    """Reads a cell from its matrix and operations, in the forms of files and command lines.

    Args:
        adjacency: A V×V matrix of 0 and 1: an array or nested lists; V² values in one list; or a text of V² digits,
            row by row, between which spaces, commas, semicolons, slashes and brackets are ignored. Leading
            zeros that a spreadsheet removed are restored, since the first digit of a cell is 0.
        ops: The operations of the V−2 inner vertices, or of all V from "input" to "output": a sequence, or a text with
            commas, semicolons, bars or spaces between, or a JSON list. Names in capital or small letters, with or
            without "-bn-relu", hyphens and underscores; or the codes 0 (conv3x3), 1 (conv1x1) and 2 (maxpool3x3).
            ``None`` or "null" stands at vertices that are on no path from input to output.

    Raises:
        InvalidCellError: It is no cell.

    Example:
        >>> read_cell("0110 0011 0001 0000", "CONV3x3, maxpool")
        Cell([[0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]], ['conv3x3-bn-relu', 'maxpool3x3'])
    """
    matrix = _matrix(adjacency)
    names = _operations(ops, len(matrix))
    return _cell_with_nulls(matrix, names)


def _matrix(given: Any) -> NDArray[Any]:
    if isinstance(given, float) and given.is_integer() and given < 2**53:
        given = int(given)
    if isinstance(given, int) and not isinstance(given, bool):
        given = str(given)
    if isinstance(given, str):
        return _matrix_of_text(given)
    try:
        matrix = np.asarray(given)
    except ValueError as error:
        raise InvalidCellError(f"adjacency must be a square matrix, got {given!r:.200}") from error
    if matrix.dtype == object:  # rows that are arrays themselves, as Parquet files give them
        try:
            matrix = np.array([list(row) for row in given])
        except (TypeError, ValueError) as error:
            raise InvalidCellError(f"adjacency must be a square matrix, got {given!r:.200}") from error
    side = math.isqrt(matrix.size)
    if matrix.ndim == 1 and side > 1 and side**2 == matrix.size:
        matrix = matrix.reshape(side, side)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise InvalidCellError(f"adjacency must be a square matrix, got shape {matrix.shape}")
    if matrix.dtype.kind in "fb" and np.isin(matrix, (0, 1)).all():
        matrix = matrix.astype(np.int8)
    return matrix


def _matrix_of_text(text: str) -> NDArray[np.int8]:
    digits = re.sub(r"(?i)\bfalse\b", "0", re.sub(r"(?i)\btrue\b", "1", text))
    digits = re.sub(r"(?<=\d)\.0*(?!\d)", "", digits)
    digits = re.sub(r"[\s,;/|\[\](){}]", "", digits)
    if re.fullmatch(r"\d+([.,]\d+)?[eE]\+?\d+", text.strip()):
        raise InvalidCellError(
            f"adjacency {text!r} is a number that a spreadsheet has rounded; its digits are lost: write the matrix as "
            "[[0, 1], [0, 0]], or format the column as text"
        )
    if not re.fullmatch("[01]+", digits):
        raise InvalidCellError(f"adjacency must be V×V digits 0 and 1, got {text!r:.200}")
    side = next((v for v in range(2, MAX_VERTICES + 1) if v * v - v < len(digits) < v * v and digits[0] == "1"), 0)
    if side:  # the digits began with zeros, of which a spreadsheet's number keeps none
        digits = digits.zfill(side * side)
    side = math.isqrt(len(digits))
    if side**2 != len(digits):
        raise InvalidCellError(f"adjacency must be V×V digits 0 and 1, got {len(digits)} digits: {text!r:.200}")
    return np.array(list(digits), dtype=np.int8).reshape(side, side)


def _operations(given: Any, num_vertices: int) -> list[str | None]:
    """Operations by their published names, None where there is none; what is unknown is left for Cell to name."""
    if given is None or (isinstance(given, float) and math.isnan(given)):
        given = ""
    if isinstance(given, float) and given.is_integer():
        given = int(given)
    if isinstance(given, int) and not isinstance(given, bool):
        given = str(given)
    if isinstance(given, str):
        given = _names_of_text(given, num_vertices)
    try:
        return [_operation(name) for name in given]
    except TypeError:
        raise InvalidCellError(f"ops must be a sequence of names, got {given!r:.200}") from None


def _names_of_text(text: str, num_vertices: int) -> Sequence[Any]:
    stripped = text.strip()
    if stripped.startswith("["):
        try:
            names = json.loads(stripped)
            if isinstance(names, list):
                return names
        except ValueError:
            pass  # Python's quotes, or numpy's lists without commas
    stripped = stripped.strip("[]()")
    if not stripped:
        return []
    if re.search("[,;|/]", stripped):
        names = re.split("[,;|/]", stripped)
        return names[:-1] if not names[-1].strip() else names
    if len(stripped) == num_vertices - 2 and re.fullmatch("[012]+", stripped):
        return list(stripped)
    return stripped.split()


def _operation(name: Any) -> str | None:
    if type(name) is str and name in OPERATIONS:
        return name
    if name is None or (isinstance(name, float) and math.isnan(name)):
        return None
    if isinstance(name, (int, float, np.integer)) and not isinstance(name, bool):
        return _CODES.get(name, str(name))  # 1.0 is 1 here
    text = str(name).strip().strip("'\"").strip()
    if re.fullmatch("-[12]", text):
        return _CODES[int(text)]
    return _NAMES.get(re.sub(r"[\s_-]|\.0$", "", text.lower()), text)


def _cell_with_nulls(matrix: NDArray[Any], ops: Sequence[str | None]) -> Cell:
    """The cell of a matrix and operations of which those at dead vertices may be None."""
    num_vertices = len(matrix)
    names = list(ops)
    if len(names) == num_vertices:  # input and output may be null as well
        names[0], names[-1] = names[0] or INPUT, names[-1] or OUTPUT
    first = 0 if len(names) == num_vertices else 1
    if None in names and len(names) in (num_vertices, num_vertices - 2):
        live = _live(matrix)
        for position, name in enumerate(names):
            if name is None and position + first not in live:
                names[position] = OPERATIONS[0]
            elif name is None:
                raise InvalidCellError(
                    f"ops[{position}] is null, but vertex {position + first} is on a path from input to output and "
                    f"must have one of {list(OPERATIONS)}"
                )
    return Cell(matrix, [str(name) for name in names])


def _live(matrix: NDArray[Any]) -> set[int]:
    """Vertices on a path from the first to the last."""
    forward, backward = {0}, {len(matrix) - 1}
    for vertex in range(1, len(matrix)):
        if any(matrix[source, vertex] for source in forward):
            forward.add(vertex)
    for vertex in range(len(matrix) - 2, -1, -1):
        if any(matrix[vertex, target] for target in backward):
            backward.add(vertex)
    return forward & backward


# ---------------------------------------------------------------------------------------------------------------------
# networkx


def to_networkx(cell: Cell) -> networkx.DiGraph[int]:
    """A ``networkx.DiGraph`` of vertices 0 … V−1 with the attribute ``op``, from "input" to "output"."""
    import networkx

    graph: networkx.DiGraph[int] = networkx.DiGraph()
    graph.add_nodes_from((vertex, {"op": op}) for vertex, op in enumerate((INPUT, *cell.ops, OUTPUT)))
    graph.add_edges_from(np.argwhere(cell.adjacency).tolist())
    return graph


def from_networkx(graph: networkx.DiGraph[Any], attribute: str = "op") -> Cell:
    """The cell of a ``networkx.DiGraph``, whatever its vertices are called.

    Args:
        graph: An acyclic graph. One vertex is "input" and one is "output" by their attribute; where none is, they are
            the only vertex without edges in and the only one without edges out.
        attribute: The vertices' attribute that names the operation.
    """
    import networkx

    if not graph.is_directed() or not networkx.is_directed_acyclic_graph(graph):
        raise InvalidCellError("graph must be a directed acyclic graph")
    ops = {vertex: _operation(op) for vertex, op in graph.nodes(data=attribute)}
    start = _only(INPUT, ops, [vertex for vertex, degree in graph.in_degree() if not degree])
    end = _only(OUTPUT, ops, [vertex for vertex, degree in graph.out_degree() if not degree])
    live = networkx.descendants(graph, start) & networkx.ancestors(graph, end)
    order = [start, *(vertex for vertex in networkx.topological_sort(graph) if vertex in live), end]
    matrix = networkx.to_numpy_array(graph, nodelist=order, weight=None, dtype=np.int8)
    return _cell_with_nulls(matrix, [ops[vertex] for vertex in order[1:-1]])


def _only(role: str, ops: Mapping[Any, str | None], candidates: Sequence[Any]) -> Any:
    named = [vertex for vertex, op in ops.items() if op == role] or candidates
    if len(named) != 1:
        raise InvalidCellError(f"graph must have one vertex that is the {role}, got {named!r}")
    return named[0]


# ---------------------------------------------------------------------------------------------------------------------
# Benchmarks and libraries


def to_nasbench(cell: Cell) -> dict[str, Any]:
    """Arguments of NAS-Bench-101's ``ModelSpec``: ``api.ModelSpec(**to_nasbench(cell))``."""
    return {"matrix": cell.adjacency.tolist(), "ops": [INPUT, *cell.ops, OUTPUT]}


def from_nasbench(spec: Any) -> Cell:
    """The cell of a ``ModelSpec``, or of a dictionary of its arguments or of ``module_adjacency, module_operations``.

    Of a ``ModelSpec`` that NAS-Bench-101 found to be disconnected there is no cell.
    """
    given: Mapping[str, Any] = spec if isinstance(spec, Mapping) else vars(spec)
    names = ("original_matrix", "original_ops"), ("matrix", "ops"), ("module_adjacency", "module_operations")
    for matrix, ops in names:
        if given.get(matrix) is not None and given.get(ops) is not None:
            return read_cell(given[matrix], given[ops])
    raise InvalidCellError(f"spec must have matrix and ops (or module_adjacency, module_operations), got {spec!r:.200}")


def to_hpobench(cell: Cell) -> dict[str, int | str]:
    """HPOBench's configuration of ``NASCifar10ABenchmark``: ``edge_0 … edge_20`` and ``op_node_0 … op_node_4``.

    Its cells have seven vertices: those that this one lacks are left unconnected, with the first operation.
    """
    matrix = np.zeros((MAX_VERTICES, MAX_VERTICES), dtype=int)
    seats = [*range(cell.num_vertices - 1), MAX_VERTICES - 1]
    matrix[np.ix_(seats, seats)] = cell.adjacency
    edges = matrix[np.triu_indices(MAX_VERTICES, k=1)].tolist()
    ops = [*cell.ops, *OPERATIONS[:1] * (MAX_VERTICES - cell.num_vertices)]
    return {
        **{f"edge_{number}": bit for number, bit in enumerate(edges)},
        **{f"op_node_{number}": op for number, op in enumerate(ops)},
    }


def from_hpobench(configuration: Mapping[str, Any]) -> Cell:
    """The cell of a configuration of HPOBench's ``NASCifar10`` benchmarks.

    Args:
        configuration: With ``op_node_0 … op_node_4`` and, in A, ``edge_0 … edge_20``, 0 or 1 each; in B, ``edge_0 …
            edge_8``, each the number of an edge; in C, ``num_edges`` and ``edge_0 … edge_20``, the largest of which
            become edges.
    """
    given = dict(configuration)
    try:
        ops = [given[f"op_node_{number}"] for number in range(MAX_VERTICES - 2)]
        edges = [given[f"edge_{number}"] for number in range(_HPOBENCH_EDGES if "edge_9" in given else 9)]
    except KeyError as error:
        raise InvalidCellError(f"configuration must have edge_0 … and op_node_0 … op_node_4, lacks {error}") from None
    matrix = np.zeros((MAX_VERTICES, MAX_VERTICES), dtype=np.int8)
    rows_then_columns = np.triu_indices(MAX_VERTICES, k=1)
    if len(edges) < _HPOBENCH_EDGES:
        # B writes its list of edges as the digits of an integer, first edge first, and reads the bits from the last.
        numbers = {_whole(f"edge_{i}", edge, _HPOBENCH_EDGES - 1) for i, edge in enumerate(edges)}
        matrix = bits_to_adjacency(MAX_VERTICES, sum(1 << _HPOBENCH_EDGES - 1 - number for number in numbers))
    elif "num_edges" in given:
        number = _whole("num_edges", given["num_edges"], _HPOBENCH_EDGES)
        if not all(isinstance(edge, (int, float, np.integer, np.floating)) and edge == edge for edge in edges):
            raise InvalidCellError(f"edge_0 … edge_20 must be numbers, got {edges}")
        chosen = np.argsort(edges)[::-1][:number]
        matrix[rows_then_columns[0][chosen], rows_then_columns[1][chosen]] = 1
    else:
        matrix[rows_then_columns] = [_whole(f"edge_{i}", edge, 1) for i, edge in enumerate(edges)]
    return read_cell(matrix, ops)


def to_nni(cell: Cell) -> dict[str, Any]:
    """NNI's dictionary: ``op1 …`` of the inner vertices, and ``input1 …``, which list the vertices before each."""
    sources = [np.flatnonzero(column).tolist() for column in cell.adjacency.T]
    return {
        **{f"op{vertex}": op for vertex, op in enumerate(cell.ops, start=1)},
        **{f"input{vertex}": sources[vertex] for vertex in range(1, cell.num_vertices)},
    }


def from_nni(architecture: Mapping[str, Any]) -> Cell:
    """The cell of NNI's dictionary of an architecture."""
    num_vertices = sum(re.fullmatch(r"op\d+", key) is not None for key in architecture) + 2
    names = [f"op{vertex}" for vertex in range(1, num_vertices - 1)]
    lists = [f"input{vertex}" for vertex in range(1, num_vertices)]
    if num_vertices > MAX_VERTICES or not {*names, *lists} <= architecture.keys():
        raise InvalidCellError(
            f"architecture must have op1 …, for at most {MAX_VERTICES - 2} inner vertices, and input1 … for each "
            f"vertex but the first, got {dict(architecture)!r:.300}"
        )
    matrix = np.zeros((num_vertices, num_vertices), dtype=np.int8)
    for vertex, name in enumerate(lists, start=1):
        sources = architecture[name]
        if isinstance(sources, str) or not isinstance(sources, (Sequence, np.ndarray)):
            raise InvalidCellError(f"{name} must be a list of vertices, got {sources!r:.80}")
        matrix[[_whole(f"a vertex of {name}", source, vertex - 1) for source in sources], vertex] = 1
    return read_cell(matrix, [architecture[name] for name in names])


def _whole(name: str, value: object, most: int) -> int:
    return whole(name, value, 0, most, error=InvalidCellError)


# ---------------------------------------------------------------------------------------------------------------------
# Black-box optimisers


def parameters(space: str | Space) -> dict[str, tuple[int, ...] | tuple[str, ...]]:
    """A space as named choices: 0 or 1 for each possible edge, an operation for each inner vertex.

    The cell of chosen values is :func:`from_parameters`. Of values drawn uniformly one in four or five is no cell of
    the space (no path from input to output, or too many edges); give it the worst value that the optimiser knows.

    Example:
        >>> choices = parameters("4V")
        >>> list(choices)
        ['edge_0_1', 'edge_0_2', 'edge_1_2', 'edge_0_3', 'edge_1_3', 'edge_2_3', 'op_1', 'op_2']
    """
    num_vertices = (Space(space) if isinstance(space, str) else space).num_vertices
    return {
        **{f"edge_{x}_{y}": (0, 1) for y in range(1, num_vertices) for x in range(y)},
        **dict.fromkeys((f"op_{vertex}" for vertex in range(1, num_vertices - 1)), OPERATIONS),
    }


def from_parameters(values: Mapping[str, Any]) -> Cell:
    """The cell of values that were chosen among :func:`parameters`.

    Raises:
        InvalidCellError: They are no cell, or the names are others.
    """
    given = dict(values)
    num_vertices = sum(key.startswith("op_") for key in given) + 2
    expected = [
        *(f"edge_{x}_{y}" for y in range(1, num_vertices) for x in range(y)),
        *(f"op_{vertex}" for vertex in range(1, num_vertices - 1)),
    ]
    if set(given) != set(expected):
        raise InvalidCellError(f"values must have the names {expected}, got {sorted(given)}")
    matrix = np.zeros((num_vertices, num_vertices), dtype=np.int8)
    for y in range(1, num_vertices):
        for x in range(y):
            matrix[x, y] = _whole(f"edge_{x}_{y}", given[f"edge_{x}_{y}"], 1)
    return read_cell(matrix, [given[f"op_{vertex}"] for vertex in range(1, num_vertices - 1)])


def to_parameters(cell: Cell, space: str | Space) -> dict[str, Any]:
    """Values of :func:`parameters` that make a cell, such as to start an optimiser from it.

    Vertices that the cell lacks are left unconnected before the output.
    """
    names = parameters(space)
    num_vertices = (Space(space) if isinstance(space, str) else space).num_vertices
    if cell.num_vertices > num_vertices:
        raise InvalidCellError(f"cell must have at most {num_vertices} vertices, got {cell.num_vertices}")
    values: dict[str, Any] = {name: choices[0] for name, choices in names.items()}
    seats = [*range(cell.num_vertices - 1), num_vertices - 1]
    for x, y in np.argwhere(cell.adjacency).tolist():
        values[f"edge_{seats[x]}_{seats[y]}"] = 1
    values.update({f"op_{vertex}": op for vertex, op in enumerate(cell.ops, start=1)})
    return values


def suggest(trial: Any, space: str | Space) -> Cell:
    """The cell that an Optuna trial suggests.

    Raises:
        optuna.TrialPruned: It is no cell of the space; Optuna then goes on to the next trial.

    Example:
        >>> def objective(trial):
        ...     return benchmark.query(suggest(trial, "5V")).val_accuracy
        >>> study.optimize(objective, n_trials=100)  # doctest: +SKIP
    """
    import optuna

    chosen = Space(space) if isinstance(space, str) else space
    values = {name: trial.suggest_categorical(name, choices) for name, choices in parameters(chosen).items()}
    try:
        cell = from_parameters(values)
    except InvalidCellError as error:
        raise optuna.TrialPruned(str(error)) from error
    if cell not in chosen:
        raise optuna.TrialPruned(f"the cell has {cell.num_edges} edges; space {chosen.name} allows {chosen.max_edges}")
    return cell


def ax_parameters(space: str | Space) -> list[dict[str, Any]]:
    """The ``parameters`` of ``AxClient.create_experiment``; :func:`from_parameters` reads what Ax chooses."""
    return [
        {
            "name": name,
            "type": "choice",
            "values": list(choices),
            "value_type": type(choices[0]).__name__,
            "is_ordered": len(choices) == 2,  # an edge is there or not; Ax asks for it
        }
        for name, choices in parameters(space).items()
    ]


def pymoo_variables(space: str | Space) -> dict[str, Any]:
    """The ``vars`` of a pymoo problem of mixed variables; :func:`from_parameters` reads what pymoo chooses."""
    from pymoo.core.variable import Choice

    return {name: Choice(options=list(choices)) for name, choices in parameters(space).items()}
