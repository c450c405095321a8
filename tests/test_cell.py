from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecnas import OPERATIONS, Cell, InvalidCellError
from ecnas.hashing import module_hash

CONV3, CONV1, POOL = OPERATIONS


@st.composite
def matrices(draw, min_vertices: int = 2):
    """Upper-triangular matrices of any density, with operations; not all connect input and output."""
    n = draw(st.integers(min_vertices, 7))
    matrix = np.zeros((n, n), dtype=np.int64)
    upper = np.triu_indices(n, 1)
    matrix[upper] = draw(st.lists(st.integers(0, 1), min_size=len(upper[0]), max_size=len(upper[0])))
    return matrix, draw(st.lists(st.sampled_from(OPERATIONS), min_size=n - 2, max_size=n - 2))


def reference_prune(matrix, ops):
    """Vertices on a path from input to output by matrix powers: not the way the package does it."""
    n = len(matrix)
    reach = np.linalg.matrix_power(np.eye(n, dtype=int) + matrix, n) > 0
    if not reach[0, n - 1]:
        return None
    live = [v for v in range(n) if reach[0, v] and reach[v, n - 1]]
    return matrix[np.ix_(live, live)], [ops[v - 1] for v in live if 0 < v < n - 1]


@given(matrices())
def test_pruning_keeps_what_is_on_a_path(given_cell):
    matrix, ops = given_cell
    expected = reference_prune(matrix, ops)
    if expected is None:
        with pytest.raises(InvalidCellError, match="no path"):
            Cell(matrix, ops)
        return
    cell = Cell(matrix, ops)
    assert (cell.adjacency == expected[0]).all()
    assert list(cell.ops) == expected[1]
    assert cell.num_edges == expected[0].sum()


def relabel(matrix, ops, rng):
    """A random isomorphic relabelling with dead vertices mixed in, as far as seven vertices allow."""
    n = len(matrix)
    total = int(rng.integers(n, 8))
    # A random topological order: repeatedly take any vertex whose predecessors are all placed.
    order, waiting = [0], set(range(1, n - 1))
    while waiting:
        ready = [v for v in waiting if all(u in order for u in np.flatnonzero(matrix[:, v]))]
        order.append(int(rng.choice(ready)))
        waiting.remove(order[-1])
    order.append(n - 1)
    seats = [0, *sorted(rng.choice(np.arange(1, total - 1), n - 2, replace=False).tolist()), total - 1]
    new = np.zeros((total, total), dtype=np.int64)
    new[np.ix_(seats, seats)] = matrix[np.ix_(order, order)]
    new_ops = [str(rng.choice(OPERATIONS)) for _ in range(total - 2)]
    for seat, vertex in zip(seats[1:-1], order[1:-1], strict=True):
        new_ops[seat - 1] = ops[vertex - 1]
    for dead in set(range(1, total - 1)) - set(seats):  # a dead vertex may have edges on one side
        if rng.random() < 0.5:
            new[[u for u in range(dead) if rng.random() < 0.5], dead] = 1
        else:
            new[dead, [w for w in range(dead + 1, total) if rng.random() < 0.5]] = 1
    return new, new_ops


@given(matrices(), st.integers(0, 2**32 - 1))
def test_isomorphic_cells_are_equal(given_cell, seed):
    pruned = reference_prune(*given_cell)
    if pruned is None:
        return
    rng = np.random.default_rng(seed)
    cell = Cell(*pruned)
    other = Cell(*relabel(*pruned, rng))
    # Dead vertices with edges among one another may have joined; then it is another cell.
    if other.num_vertices != cell.num_vertices or other.num_edges != cell.num_edges:
        return
    assert other == cell
    assert hash(other) == hash(cell)
    assert other.hash == cell.hash
    assert other.row == cell.row
    assert other.trainable_parameters == cell.trainable_parameters
    assert (other.canonical().adjacency == cell.canonical().adjacency).all()


@given(matrices(), matrices())
def test_cells_are_equal_exactly_if_their_hashes_are(first, second):
    pruned = [reference_prune(*given_cell) for given_cell in (first, second)]
    if None in pruned:
        return
    one, two = (Cell(*parts) for parts in pruned)
    assert (one == two) == (one.hash == two.hash)


def test_a_different_operation_is_a_different_cell():
    chain = [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert Cell(chain, [CONV3]) != Cell(chain, [CONV1])
    assert Cell(chain, [CONV3]) != "cell"


def test_published_hash_of_a_known_cell():
    # The first rows of the published 4V files, in this order of vertices.
    assert (
        Cell([[0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]], [CONV1, CONV3]).hash
        == "5529e1779433733d1145e20de5d8604e"
    )
    assert (
        Cell([[0, 1, 1, 1], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]], [POOL, POOL]).hash
        == "3af5d23d803ef448b8539054d8c14213"
    )


def test_known_parameters():
    # Published in the same rows.
    assert (
        Cell([[0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]], [CONV1, CONV3]).trainable_parameters == 3468426
    )
    assert Cell([[0, 1, 1, 1], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]], [POOL, POOL]).trainable_parameters == 1756298


def test_ops_may_name_input_and_output():
    chain = [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert Cell(chain, ["input", POOL, "output"]) == Cell(chain, [POOL])


def test_more_than_nine_edges_is_a_cell_but_in_no_space():
    full = np.triu(np.ones((6, 6), dtype=int), 1)
    cell = Cell(full, [CONV3, CONV1, POOL, CONV3])
    assert cell.row == -1
    assert cell.num_edges == 15
    assert cell.hash == module_hash(6, cell.edge_bits, [0, 1, 2, 0])
    assert cell.trainable_parameters > 0


@pytest.mark.parametrize(
    ("adjacency", "ops", "message"),
    [
        ([[0, 1], [1, 0]], [], r"upper-triangular, got an edge at \[1, 0\]"),
        ([[1, 1], [0, 0]], [], r"upper-triangular, got an edge at \[0, 0\]"),
        ([[0, 2], [0, 0]], [], r"0 and 1, got 2 at \[0, 1\]"),
        ([[0, -1], [0, 0]], [], r"0 and 1, got -1 at \[0, 1\]"),
        ([[0, 300], [0, 0]], [], r"0 and 1, got 300"),
        ([[0.0, 0.5], [0.0, 0.0]], [], r"0 and 1, got 0.5 at \[0, 1\]"),
        ([[0.0, np.nan], [0.0, 0.0]], [], r"0 and 1, got nan at \[0, 1\]"),
        ([[0, 10**30], [0, 0]], [], r"0 and 1, got 10{30} at \[0, 1\]"),
        ([[0, 1j], [0, 0]], [], "0 and 1, got dtype complex128"),
        ([["0", "1"], ["0", "0"]], [], "0 and 1, got dtype <U1: .*'1'"),
        ([[0, None], [0, 0]], [], "0 and 1, got dtype object"),
        ("0100", [], "square matrix, got shape"),
        (None, [], "square matrix, got shape"),
        ([[0, 1, 1], [0, 1]], [], r"square matrix, got 2 rows of \[3, 2\] entries"),
        (np.ma.array([[0, 1], [0, 0]], mask=[[0, 1], [0, 0]]), [], "without masked entries"),
        (np.zeros((8, 8), dtype=int), [CONV3] * 6, "2 to 7 vertices, got 8"),
        ([[0]], [], "2 to 7 vertices, got 1"),
        ([[0, 1, 0], [0, 0, 1]], [CONV3], r"square matrix, got shape \(2, 3\)"),
        ([0, 1], [], "square matrix"),
        ([[0, 0], [0, 0]], [], "no path"),
        ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], [], "1 inner vertices .* got 0"),
        ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["Conv3x3-BN-ReLU"], "did you mean 'conv3x3-bn-relu'"),
        ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["x" * 10**6], r"ops\[0\] must be one of .{150,300}$"),
        (
            [[0, 1, 0], [0, 0, 1], [0, 0, 0]],
            {CONV3},
            "a sequence of names, whose order counts, got the set",
        ),
        ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], {CONV3: 1}, "got the dict"),
        ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], {CONV3: 1}.keys(), "got the dict_keys"),
        ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], None, "got the NoneType None"),
        ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], [True], r"ops\[0\] must be one of"),
        ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], [3], r"ops\[0\] must be one of"),
        ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], [["x"]], r"ops\[0\] must be one of"),
        ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], "abc", "sequence of names"),
        ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["output", POOL, "input"], "begin with 'input'"),
    ],
)
def test_bad_input_names_what_is_wrong(adjacency, ops, message):
    with pytest.raises(InvalidCellError, match=message):
        Cell(adjacency, ops)
    with pytest.raises(ValueError, match=message):  # the contract: a kind of ValueError
        Cell(adjacency, ops)


def test_immutable():
    cell = Cell([[0, 1], [0, 0]], [])
    with pytest.raises(AttributeError, match="immutable"):
        cell.ops = ()
    with pytest.raises(ValueError, match="read-only"):
        cell.adjacency[0, 1] = 0


def test_pickle_copy_and_repr():
    cell = Cell([[0, 1, 1], [0, 0, 1], [0, 0, 0]], [CONV3])
    assert pickle.loads(pickle.dumps(cell)) == cell
    assert copy.deepcopy(cell) == cell
    assert eval(repr(cell)) == cell


def test_text_drawing_shows_every_edge():
    text = str(Cell([[0, 1, 1], [0, 0, 1], [0, 0, 0]], [CONV3]))
    assert text.splitlines() == ["0 input    ┬ ┬", "1 conv3x3  ▼ │ ┬", "2 output     ▼ ▼"]


def test_drawing_into_given_axes():
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot as plt

    _, ax = plt.subplots()
    cell = Cell([[0, 1, 1], [0, 0, 1], [0, 0, 0]], [CONV3])
    assert cell.draw(ax) is ax
    assert [text.get_text() for text in ax.texts] == ["input", "conv3x3", "output"]
    assert len(ax.patches) == cell.num_edges + cell.num_vertices  # arrows and boxes
    plt.close("all")


@pytest.mark.parametrize(
    "form",
    [
        lambda matrix: matrix.tolist(),
        lambda matrix: tuple(map(tuple, matrix.tolist())),
        np.matrix,
        lambda matrix: matrix.astype(bool),
        lambda matrix: matrix.astype(np.float16),
        lambda matrix: matrix.astype(np.uint64),
        lambda matrix: matrix.astype(object),
        np.asfortranarray,
        np.ma.array,
        lambda matrix: pytest.importorskip("scipy.sparse").csr_matrix(matrix),
        lambda matrix: pytest.importorskip("pandas").DataFrame(matrix),
        lambda matrix: pytest.importorskip("torch").tensor(matrix, dtype=float),
    ],
)
def test_the_same_matrix_in_other_forms(form):
    matrix = np.array([[0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]])
    cell = Cell(matrix, [CONV3, POOL])
    assert Cell(form(matrix), [CONV3, POOL]) == cell
    for ops in ((CONV3, POOL), np.array([CONV3, POOL]), ["conv3x3", "maxpool3x3"], ["input", CONV3, POOL, "output"]):
        assert Cell(form(matrix), ops) == cell


def test_a_graph_is_told_where_it_is_read():
    networkx = pytest.importorskip("networkx")
    with pytest.raises(InvalidCellError, match="ecnas.interchange.from_networkx"):
        Cell(networkx.DiGraph([(0, 1)]), [])
