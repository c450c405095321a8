"""How cells are written as integers.

A cell of V vertices has an upper-triangular V×V adjacency matrix and V−2 operations. Two integers hold all of it:

* ``edge_bits``: bit ``x + y(y−1)/2`` is the edge x→y, the numbering of NASBench-101's graph generator (Ying et al.
  2019, https://arxiv.org/abs/1902.09635). Seven vertices need 21 bits.
* ``op_code``: the operations of vertices 1 … 5 as base-3 digits, vertex 1 most significant; a vertex that is not there
  has digit 0. Five inner vertices need 243 codes.

Cells of every size fit into one *frame* of seven vertices when the output is moved to vertex 6 and the vertices between
are left unconnected, so that one look-up table serves the three search spaces.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

INPUT: Final = "input"
OUTPUT: Final = "output"
OPERATIONS: Final = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
"""The operations of an inner vertex, in the order of their codes (and of their labels in the published hash)."""

MAX_VERTICES: Final = 7
MAX_INNER: Final = MAX_VERTICES - 2
NUM_OPERATIONS: Final = len(OPERATIONS)
NUM_OP_CODES: Final = NUM_OPERATIONS**MAX_INNER
NUM_PATTERNS: Final = 1 << (MAX_VERTICES * (MAX_VERTICES - 1) // 2)
"""How many sets of edges a frame of seven vertices can have: 2²¹."""

OP_WEIGHTS: Final = tuple(NUM_OPERATIONS ** (MAX_INNER - v) for v in range(1, MAX_INNER + 1))
"""What the operation of vertices 1 … 5 counts in an ``op_code``."""

_FRAME_OUTPUT_OFFSET: Final = (MAX_VERTICES - 1) * (MAX_VERTICES - 2) // 2


def edge_bit(source: int, target: int) -> int:
    """The number of the bit that holds the edge ``source → target`` (``source < target``)."""
    return source + target * (target - 1) // 2


def to_frame(num_vertices: Any, edge_bits: Any) -> Any:
    """Moves the output of a cell of ``num_vertices`` to vertex 6. Works on ints and, elementwise, on integer arrays."""
    offset = (num_vertices - 1) * (num_vertices - 2) // 2
    inner = edge_bits & ((1 << offset) - 1)
    return inner | ((edge_bits >> offset) << _FRAME_OUTPUT_OFFSET)


def bits_to_adjacency(num_vertices: int, edge_bits: Any) -> NDArray[np.int8]:
    """Adjacency matrices of edge bits.

    Args:
        num_vertices: V, the same for all.
        edge_bits: An int, or an integer array of any shape S.

    Returns:
        int8 array of shape S + (V, V), entry [x, y] = 1 for the edge x→y.
    """
    bits = np.asarray(edge_bits, dtype=np.int64)
    adjacency = np.zeros((*bits.shape, num_vertices, num_vertices), dtype=np.int8)
    for target in range(1, num_vertices):
        for source in range(target):
            adjacency[..., source, target] = (bits >> edge_bit(source, target)) & 1
    return adjacency


def adjacency_to_bits(adjacency: NDArray[Any]) -> NDArray[np.int64]:
    """Edge bits of 0/1 adjacency matrices: shape S + (V, V) to int64 of shape S. The lower triangle is not read."""
    num_vertices = adjacency.shape[-1]
    bits = np.zeros(adjacency.shape[:-2], dtype=np.int64)
    for target in range(1, num_vertices):
        for source in range(target):
            bits |= adjacency[..., source, target].astype(np.int64) << edge_bit(source, target)
    return bits


def ops_to_code(ops: NDArray[Any]) -> NDArray[np.int64]:
    """Op codes of operations: integers of shape S + (k,), k ≤ 5 and −1 for "no vertex", to int64 of shape S."""
    weights = np.array(OP_WEIGHTS[: ops.shape[-1]], dtype=np.int64)
    codes: NDArray[np.int64] = np.maximum(ops, 0).astype(np.int64) @ weights
    return codes


def code_to_ops(op_code: Any) -> NDArray[np.int8]:
    """The five base-3 digits of op codes: integers of shape S to int8 of shape S + (5,)."""
    code = np.asarray(op_code, dtype=np.int64)[..., None]
    digits: NDArray[np.int64] = code // np.array(OP_WEIGHTS) % NUM_OPERATIONS
    return digits.astype(np.int8)
