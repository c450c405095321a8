"""Cells from and to other people's forms."""

from __future__ import annotations

import contextlib
import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ecnas
from ecnas import Cell, InvalidCellError, interchange
from ecnas.encoding import OPERATIONS, edge_bit
from ecnas.interchange import read_cell

SPACE = ecnas.Space("7V")
DIAMOND = Cell([[0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]], ["conv3x3-bn-relu", "maxpool3x3"])

cells = st.integers(0, len(SPACE) - 1).map(SPACE.__getitem__)


@settings(max_examples=300, deadline=None)
@given(cells)
def test_there_and_back(cell):
    networkx = pytest.importorskip("networkx")
    assert interchange.from_networkx(interchange.to_networkx(cell)) == cell
    renamed = networkx.relabel_nodes(interchange.to_networkx(cell), lambda vertex: f"n{7 - vertex}")
    assert interchange.from_networkx(renamed) == cell
    assert interchange.from_nasbench(interchange.to_nasbench(cell)) == cell
    assert interchange.from_hpobench(interchange.to_hpobench(cell)) == cell
    assert interchange.from_nni(interchange.to_nni(cell)) == cell
    assert interchange.from_parameters(interchange.to_parameters(cell, "7V")) == cell
    assert Cell.from_dict(json.loads(json.dumps(cell.to_dict()))) == cell


@settings(max_examples=300, deadline=None)
@given(cells, st.integers(0, 4))
def test_every_text_of_a_cell_is_read(cell, style):
    matrix = cell.adjacency.tolist()
    digits = "".join(str(bit) for row in matrix for bit in row)
    adjacency = [
        digits,
        digits.lstrip("0"),  # as a spreadsheet keeps a number
        str(matrix),
        str(np.array(matrix, dtype=float)),
        "/".join(" ".join(map(str, row)) for row in matrix),
    ][style]
    ops = [
        ",".join(cell.ops),
        "; ".join(op.removesuffix("-bn-relu").upper() for op in cell.ops),
        str(["input", *cell.ops, "output"]),
        json.dumps([OPERATIONS.index(op) for op in cell.ops]),
        " ".join(op.replace("-bn-relu", "_BN_ReLU") for op in cell.ops),
    ][style]
    assert read_cell(adjacency, ops) == cell


@pytest.mark.parametrize(
    "adjacency",
    [
        "0110001100010000",
        110001100010000,
        110001100010000.0,
        [0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0],
        "[[False, True, True, False], [False, False, True, True], [False, False, False, True], [False]*4]".replace(
            "[False]*4", "[False, False, False, False]"
        ),
        np.array(DIAMOND.adjacency, dtype=bool),
        np.array([row.astype(float) for row in DIAMOND.adjacency] + [None], dtype=object)[:4],
    ],
)
@pytest.mark.parametrize(
    "ops",
    [
        ["conv3x3-bn-relu", "maxpool3x3"],
        "CONV3X3-BN-RELU,MAXPOOL3X3",
        "input,conv 3x3,max pool 3x3,output",
        "['conv3x3', 'maxpool3x3']",
        "in; conv_3x3; max_pool_3x3; out",
        "02",
        "0|2|",
        "-1,0,2,-2",
        [0, 2],
        np.array([0.0, 2.0]),
        (-1, 0, 2, -2),
    ],
)
def test_usual_forms(adjacency, ops):
    assert read_cell(adjacency, ops) == DIAMOND


@pytest.mark.parametrize("null", [None, "null", "None", float("nan"), ""])
def test_null_at_unconnected_vertices(null):
    line = [[0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert read_cell(line, ["conv3x3", null]) == Cell([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["conv3x3-bn-relu"])
    assert read_cell(line, [null, "conv3x3", null, null]) == read_cell(line, ["conv3x3", null])
    with pytest.raises(InvalidCellError, match=r"ops\[0\] is null, but vertex 1 is on a path"):
        read_cell(line, [null, "conv3x3"])


def test_a_cell_without_operations():
    for ops in ("", [], None, "[]", "input,output"):
        assert read_cell("01/00", ops) == Cell([[0, 1], [0, 0]], [])


@pytest.mark.parametrize(
    ("adjacency", "ops", "message"),
    [
        ("1.1E+14", "0,1", "spreadsheet has rounded"),
        ("1,1e14", "0,1", "spreadsheet has rounded"),
        ("011000110001000", "0,1", "got 15 digits"),  # the last one is missing, and not the first
        ("0112", "", "digits 0 and 1"),
        ([[0, 1], [0]], "", "square matrix"),
        ([[0, 1, 1], [0, 0, 1]], "0", r"shape \(2, 3\)"),
        (DIAMOND.adjacency, [float("inf"), 1], "'inf'"),
        ([[0, 2], [0, 0]], "", "got 2"),
        (DIAMOND.adjacency, "conv3x3,conv5x5", "conv5x5"),
        (DIAMOND.adjacency, "0,3", "'3'"),
        (DIAMOND.adjacency, [0.5, 1], "'0.5'"),
        (DIAMOND.adjacency, "conv3x3", "got 1"),
        (DIAMOND.adjacency, 7, "'7'"),
        (object(), "", "square matrix"),
    ],
)
def test_what_is_no_cell_is_refused_with_its_value(adjacency, ops, message):
    with pytest.raises(InvalidCellError, match=message):
        read_cell(adjacency, ops)


def test_json_names_its_cell():
    values = DIAMOND.to_dict()
    assert values == {
        "adjacency": DIAMOND.adjacency.tolist(),
        "ops": ["input", "conv3x3-bn-relu", "maxpool3x3", "output"],
        "hash": DIAMOND.hash,
    }
    assert Cell.from_dict({**values, "reward": 1.0}) == DIAMOND
    with pytest.raises(InvalidCellError, match=f"hash of the cell must be {DIAMOND.hash}"):
        Cell.from_dict({**values, "hash": SPACE[17].hash})
    for wrong in ({"adjacency": [[0, 1], [0, 0]]}, [], "cell"):
        with pytest.raises(InvalidCellError, match="must have adjacency and ops"):
            Cell.from_dict(wrong)


def test_nasbench_model_specs():
    original = [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]  # vertex 2 leads nowhere
    pruned = Cell([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["conv1x1-bn-relu"])
    ops = ["input", "conv1x1-bn-relu", "maxpool3x3", "output"]
    spec = SimpleNamespace(original_matrix=np.array(original), original_ops=ops, matrix=None, ops=None)
    assert interchange.from_nasbench(spec) == pruned
    assert interchange.from_nasbench({"module_adjacency": np.array(original), "module_operations": ops}) == pruned
    with pytest.raises(InvalidCellError, match="spec must have matrix and ops"):
        interchange.from_nasbench({"matrix": original})


def test_hpobench_a_has_edges_by_rows():
    configuration = {f"edge_{number}": int(number in (0, 10, 19)) for number in range(21)}
    configuration |= {f"op_node_{number}": OPERATIONS[number % 3] for number in range(5)}
    # the 21 edges in order: 0→1 … 0→6, 1→2 … 1→6, …: 0 is 0→1, 10 is 1→6, 19 is 4→6
    assert interchange.from_hpobench(configuration) == Cell([[0, 1, 0], [0, 0, 1], [0, 0, 0]], [OPERATIONS[0]])


def test_hpobench_b_numbers_edges_from_the_last_bit():
    first, last = edge_bit(0, 1), edge_bit(1, 6)
    edges = [20 - first, 20 - last, *[20 - last] * 7]
    configuration = {f"edge_{number}": edge for number, edge in enumerate(edges)}
    configuration |= {f"op_node_{number}": "maxpool3x3" for number in range(5)}
    assert interchange.from_hpobench(configuration) == Cell([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["maxpool3x3"])
    for wrong in (21, -1, 0.5, "3"):
        with pytest.raises(InvalidCellError, match="edge_3 must be a whole number from 0 to 20"):
            interchange.from_hpobench({**configuration, "edge_3": wrong})


def test_hpobench_c_takes_the_largest_edges():
    configuration = {f"edge_{number}": 0.01 * number for number in range(21)}
    configuration |= {"edge_0": 0.9, "edge_10": 0.8, "num_edges": 2}
    configuration |= {f"op_node_{number}": "conv1x1-bn-relu" for number in range(5)}
    assert interchange.from_hpobench(configuration) == Cell([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["conv1x1-bn-relu"])
    for wrong in (22, 1.5, "2", -1):
        with pytest.raises(InvalidCellError, match="num_edges must be a whole number from 0 to 21"):
            interchange.from_hpobench({**configuration, "num_edges": wrong})
    with pytest.raises(InvalidCellError, match="edge_20 must be numbers"):
        interchange.from_hpobench({**configuration, "edge_3": float("nan")})
    with pytest.raises(InvalidCellError, match="lacks 'op_node_4'"):
        interchange.from_hpobench({key: value for key, value in configuration.items() if key != "op_node_4"})


def test_nni():
    architecture = {
        "op1": "conv3x3-bn-relu",
        "op2": "maxpool3x3",
        "input1": [0],
        "input2": [0, 1],
        "input3": [1, 2],
    }
    assert interchange.from_nni(architecture) == DIAMOND
    assert interchange.to_nni(DIAMOND) == architecture
    with pytest.raises(InvalidCellError, match="input1 … for each vertex"):
        interchange.from_nni({key: value for key, value in architecture.items() if key != "input2"})
    # a vertex counted from the end would be an index of numpy's, and another edge
    for wrong in ([-3], [2], [0.5], [True], ["0"]):
        with pytest.raises(InvalidCellError, match="a vertex of input2 must be a whole number from 0 to 1"):
            interchange.from_nni({**architecture, "input2": wrong})
    for wrong in (0, "01", None):
        with pytest.raises(InvalidCellError, match="input2 must be a list of vertices"):
            interchange.from_nni({**architecture, "input2": wrong})


def test_networkx_graphs_of_others():
    networkx = pytest.importorskip("networkx")
    graph = networkx.DiGraph([("a", "b"), ("b", "z"), ("a", "z"), ("b", "loose"), ("x", "b")])
    networkx.set_node_attributes(graph, {"a": "input", "b": "conv3x3", "z": "output"}, "operation")
    expected = Cell([[0, 1, 1], [0, 0, 1], [0, 0, 0]], ["conv3x3-bn-relu"])
    assert interchange.from_networkx(graph, "operation") == expected
    nameless = networkx.DiGraph([(0, 1), (1, 2), (0, 2)])
    networkx.set_node_attributes(nameless, {1: "conv3x3-bn-relu"}, "op")
    assert interchange.from_networkx(nameless) == expected
    with pytest.raises(InvalidCellError, match="one vertex that is the input, got"):
        interchange.from_networkx(graph)
    with pytest.raises(InvalidCellError, match="acyclic"):
        interchange.from_networkx(networkx.DiGraph([(0, 1), (1, 0)]))
    with pytest.raises(InvalidCellError, match="acyclic"):
        interchange.from_networkx(networkx.Graph([(0, 1)]))


def test_parameters_reach_every_cell_of_a_space():
    names = interchange.parameters("4V")
    reached = set()
    for number in range(2**6 * 9):
        digits = number
        values = {}
        for name, choices in names.items():
            digits, choice = divmod(digits, len(choices))
            values[name] = choices[choice]
        with contextlib.suppress(InvalidCellError):
            reached.add(interchange.from_parameters(values))
    assert reached == set(ecnas.Space("4V"))
    for wrong in (0.5, 2, -1, "1", None, True):
        with pytest.raises(InvalidCellError, match="edge_0_1 must be a whole number from 0 to 1"):
            interchange.from_parameters({**interchange.to_parameters(DIAMOND, "4V"), "edge_0_1": wrong})
    with pytest.raises(InvalidCellError, match="values must have the names"):
        interchange.from_parameters({"edge_0_1": 1, "op_2": "maxpool3x3"})
    with pytest.raises(InvalidCellError, match="at most 4 vertices"):
        interchange.to_parameters(SPACE[5000], "4V")


def test_optuna_finds_good_cells(synthetic_5v):
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(lambda trial: synthetic_5v.query(interchange.suggest(trial, "5V")).val_accuracy, n_trials=60)
    states = {trial.state for trial in study.trials}
    assert states == {optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED}
    best = interchange.from_parameters(study.best_params)
    assert synthetic_5v.query(best).val_accuracy == study.best_value
    assert study.best_value > np.quantile(synthetic_5v.values("val_accuracy"), 0.9)


def test_pymoo_and_ax_take_the_parameters():
    pytest.importorskip("pymoo")
    from pymoo.core.mixed import MixedVariableSampling
    from pymoo.core.problem import ElementwiseProblem

    problem = ElementwiseProblem(vars=interchange.pymoo_variables("5V"), n_obj=1)
    sampled = MixedVariableSampling()(problem, 20, random_state=np.random.default_rng(0)).get("X")
    found = 0
    for values in sampled:
        with contextlib.suppress(InvalidCellError):
            found += interchange.from_parameters(values) in ecnas.Space("5V")
    assert found >= 10
    ax = interchange.ax_parameters("5V")
    assert [entry["name"] for entry in ax] == list(interchange.parameters("5V"))
    assert all(entry["type"] == "choice" and len(entry["values"]) in (2, 3) for entry in ax)
