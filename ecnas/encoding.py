"""How cells are written as integers.

A cell of V vertices has an upper-triangular V×V adjacency matrix and V−2 operations. Two integers encode it:

* ``edge_bits``: bit ``x + y(y−1)/2`` is the edge x→y, the numbering of NAS-Bench-101's graph generator (Ying et al.
  2019, https://arxiv.org/abs/1902.09635). Seven vertices need 21 bits.
* ``op_code``: the operations of vertices 1 … 5 as base-3 digits, vertex 1 most significant; an absent vertex
  has digit 0. Five inner vertices need 243 codes.

Cells of every size fit into one *frame* of seven vertices, with the output at vertex 6 and unused vertices unconnected.
So one look-up table serves the three search spaces.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecnas.errors import InvalidCellError

INPUT: Final = "input"
OUTPUT: Final = "output"
OPERATIONS: Final = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
"""The operations of an inner vertex, in the order of their codes (and of their labels in the published hash)."""

MAX_VERTICES: Final = 7
MAX_INNER: Final = MAX_VERTICES - 2
NUM_OPERATIONS: Final = len(OPERATIONS)
NUM_OP_CODES: Final = NUM_OPERATIONS**MAX_INNER
NUM_PATTERNS: Final = 1 << (MAX_VERTICES * (MAX_VERTICES - 1) // 2)
"""Number of edge sets in a frame of seven vertices: 2²¹."""

OP_WEIGHTS: Final = tuple(NUM_OPERATIONS ** (MAX_INNER - v) for v in range(1, MAX_INNER + 1))
"""Weights of the operations of vertices 1 … 5 in an ``op_code``."""

_FRAME_OUTPUT_OFFSET: Final = (MAX_VERTICES - 1) * (MAX_VERTICES - 2) // 2


def edge_bit(source: int, target: int) -> int:
    """The number of the bit of the edge ``source → target`` (``source < target``)."""
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
    """Edge bits of 0/1 adjacency matrices: shape S + (V, V) to int64 of shape S. The lower triangle is ignored."""
    num_vertices = adjacency.shape[-1]
    weights = np.zeros((num_vertices, num_vertices), dtype=np.int64)
    for target in range(1, num_vertices):
        for source in range(target):
            weights[source, target] = 1 << edge_bit(source, target)
    return weighted_sum(adjacency.reshape(*adjacency.shape[:-2], num_vertices**2), weights.ravel())


def ops_to_code(ops: NDArray[Any]) -> NDArray[np.int64]:
    """Op codes of operations: integers of shape S + (k,), k ≤ 5 and −1 for "no vertex", to int64 of shape S."""
    return weighted_sum(np.maximum(ops, 0), np.array(OP_WEIGHTS[: ops.shape[-1]]))


def batch_to_frame(adjacency: ArrayLike, ops: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Checks B cells of V vertices in arrays, and encodes them as integers.

    Args:
        adjacency: Upper-triangular matrices of 0 and 1, of any type, shape (B, V, V); or edge bits, integers of shape
            (B,).
        ops: Op codes of the inner vertices, integers of shape (B, V−2), 2 ≤ V ≤ 7.

    Returns:
        Edge bits in the frame of seven vertices and op codes, each int64 of shape (B,).

    Raises:
        InvalidCellError: An argument has the wrong shape, type or values.
    """
    codes, edges = _as_array("ops", ops), _as_array("adjacency", adjacency)
    if codes.ndim != 2 or codes.shape[1] > MAX_INNER:
        raise InvalidCellError(f"ops must have the shape (B, V-2) with 2 to 7 vertices V, got {codes.shape}")
    num_cells, num_vertices = len(codes), codes.shape[1] + 2
    if edges.shape not in ((num_cells,), (num_cells, num_vertices, num_vertices)):
        raise InvalidCellError(
            f"adjacency must have the shape {(num_cells, num_vertices, num_vertices)} or {(num_cells,)} (edge bits) to "
            f"go with ops of shape {codes.shape}, got {edges.shape}"
        )
    _check_range("ops", codes, NUM_OPERATIONS - 1)
    if edges.ndim == 1:
        _check_range("adjacency (edge bits)", edges, (1 << num_vertices * (num_vertices - 1) // 2) - 1)
        edge_bits = edges.astype(np.int64)
    else:
        if edges.dtype.kind == "f" and ((edges == 0) | (edges == 1)).all():
            edges = edges.astype(np.int8)
        _check_range("adjacency", edges, 1)
        edge_bits = adjacency_to_bits(edges)
        if np.count_nonzero(edges) != np.bitwise_count(edge_bits).sum():  # some lie in the lower triangle
            cell, source, target = np.argwhere(np.tril(edges))[0].tolist()
            raise InvalidCellError(
                f"adjacency must be upper-triangular, got an edge at [{source}, {target}] in cell {cell}"
            )
    return to_frame(num_vertices, edge_bits), ops_to_code(codes)


def _as_array(name: str, values: ArrayLike) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except (ValueError, TypeError) as error:  # rows of different lengths
        raise InvalidCellError(f"{name} must be one array, all cells of the same shape ({error})") from error


def _check_range(name: str, values: NDArray[Any], most: int) -> None:
    if values.dtype.kind not in "iub":
        raise InvalidCellError(f"{name} must be integers from 0 to {most}, got dtype {values.dtype}")
    if values.size and (values.min() < 0 or values.max() > most):
        position = tuple(np.argwhere((values < 0) | (values > most))[0].tolist())
        raise InvalidCellError(f"{name} must be integers from 0 to {most}, got {values[position]} at {list(position)}")


def weighted_sum(digits: NDArray[Any], weights: NDArray[Any]) -> NDArray[np.int64]:
    """Integers of their digits: Σ digitᵢ weightᵢ along the last axis, which must be below 2²⁴."""
    # In float32 this is a BLAS product, several times faster than shifts, and exact.
    total: NDArray[np.int64] = (digits.astype(np.float32) @ weights.astype(np.float32, copy=False)).astype(np.int64)
    return total


def code_to_ops(op_code: Any) -> NDArray[np.int8]:
    """The five base-3 digits of op codes: integers of shape S to int8 of shape S + (5,)."""
    code = np.asarray(op_code, dtype=np.int64)[..., None]
    digits: NDArray[np.int64] = code // np.array(OP_WEIGHTS) % NUM_OPERATIONS
    return digits.astype(np.int8)
