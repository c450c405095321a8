"""The models' inputs: features per vertex and per cell that do not depend on the labelling of the cell.

Costs follow the network of a cell (:mod:`ecnas.cost`), with one simplification: if the channels of the output do not
divide evenly among the vertices that feed it, the real-valued share is used. The exact split gives the remainder to the
first vertices, so it depends on the labelling. Ignoring it changes the parameters of a cell by at most 0.8%, and makes
every feature here invariant under isomorphism.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecnas.cost import CELLS_PER_STACK, IMAGE_CHANNELS, IMAGE_SIZE, NUM_CLASSES, NUM_STACKS, STEM_CHANNELS
from ecnas.encoding import MAX_VERTICES, bits_to_adjacency, to_frame
from ecnas.space import SpaceArrays

INPUT, OUTPUT, CONV3X3, CONV1X1, MAXPOOL3X3, ABSENT = range(6)
"""Kinds of vertex."""

FloatArray = NDArray[np.float32]

_LAST: Final = MAX_VERTICES - 1
_INNER: Final = slice(1, _LAST)
_UNREACHABLE: Final = 99.0

CELL_FEATURES: Final = (
    *("work_conv3x3", "work_conv1x1", "work_projections"),
    *("values_conv3x3", "values_conv1x1", "values_maxpool3x3", "values_projections", "values_sums"),
    *("parameters", "multiply_adds"),
    *("num_vertices", "num_edges", "num_conv3x3", "num_conv1x1", "num_maxpool3x3", "num_projections"),
    *("input_to_output", "fan_in_output", "depth", "num_odd_thirds", "num_odd_fifths"),
)
"""Columns of :attr:`Features.cells`. *Work* is the number of multiply-adds for one image in the whole
network. *Values* is the number of activations that the vertices of a kind write (and that the sums of their inputs
read). Both, and the parameters, are logarithms. *Odd* convolutions have a third or a fifth of the channels, which no
vector unit divides evenly."""

FLOW_FEATURES: Final = (
    *("num_joins", "share_joined", "num_joined", "depth_maxpool3x3", "depth_convolutions"),
    *("num_forks", "widest_share", "fan_out_input"),
)
"""Columns of :attr:`Features.flow`, which matter for time and energy: where tensors are added and reused, and the
dependencies between operations. A *join* is an inner vertex with several inputs, which are added; a *fork* feeds
several others."""

WIDTH_FEATURES: Final = tuple(
    f"num_{kind}_1/{part}" for kind in ("conv3x3", "conv1x1", "maxpool3x3", "projections") for part in range(1, 6)
)
"""Columns of :attr:`Features.widths`: numbers of operations by their share of the channels."""


@dataclass(frozen=True)
class Features:
    """Features of N cells, each in a frame of seven vertices with the input first and the output last.

    Attributes:
        adjacency: uint8, shape (N, 7, 7), entry [n, x, y] = 1 for the edge x→y.
        kinds: int8, shape (N, 7): the kind of each vertex.
        vertices: float32, shape (N, 7, F); 0 where a vertex is absent.
        cells: float32, shape (N, len(:data:`CELL_FEATURES`)).
        flow: float32, shape (N, len(:data:`FLOW_FEATURES`)).
        widths: float32, shape (N, len(:data:`WIDTH_FEATURES`)).
    """

    adjacency: NDArray[np.uint8]
    kinds: NDArray[np.int8]
    vertices: FloatArray
    cells: FloatArray
    flow: FloatArray
    widths: FloatArray


def features_of(cells: SpaceArrays) -> Features:
    """Computes the features of cells in any labelling.

    Args:
        cells: N pruned cells as arrays; :attr:`ecnas.space.Space.cells` for a whole space, in row order.

    Returns:
        Their features, in the same order.
    """
    frame_bits = to_frame(cells.num_vertices, cells.edge_bits)
    adjacency = bits_to_adjacency(MAX_VERTICES, frame_bits).astype(np.uint8)
    kinds = np.full(adjacency.shape[:2], ABSENT, dtype=np.int8)
    kinds[:, 0], kinds[:, _LAST] = INPUT, OUTPUT
    kinds[:, _INNER] = np.where(cells.ops >= 0, cells.ops + CONV3X3, ABSENT)
    edges = adjacency.astype(np.float32)
    shares = channel_shares(edges)
    vertices = _vertex_features(edges, kinds, shares)
    return Features(
        adjacency,
        kinds,
        vertices,
        cells=_cell_features(edges, kinds, shares),
        flow=_flow_features(edges, kinds, shares),
        widths=_width_features(edges, kinds, shares),
    )


def channel_shares(edges: FloatArray) -> FloatArray:
    """Channels of each vertex as a share of the cell's channels.

    Args:
        edges: Adjacency in the frame, shape (N, 7, 7).

    Returns:
        float32, shape (N, 7). The input's entry is 0: its channels depend on the previous cell.
    """
    shares = np.zeros(edges.shape[:2], dtype=np.float32)
    even = 1 / np.maximum(edges[:, _INNER, _LAST].sum(axis=1), 1)
    for v in range(_LAST - 1, 0, -1):
        widest = (edges[:, v, _INNER] * shares[:, _INNER]).max(axis=1)
        shares[:, v] = np.where(edges[:, v, _LAST] > 0, even, widest)
    shares[:, _LAST] = 1
    return shares


def _along_paths(
    edges: FloatArray, start: float, step: Callable[[FloatArray, FloatArray], FloatArray], gain: FloatArray
) -> FloatArray:
    """A quantity over the paths from the input to each vertex, by dynamic programming in topological order.

    Args:
        edges: Shape (N, 7, 7).
        start: The value at the input.
        step: Combines the edges into a vertex and the values of the earlier vertices, both of shape (N, v), into (N,).
        gain: The amount added at each vertex, shape (N, 7).
    """
    result = np.zeros(edges.shape[:2], dtype=np.float32)
    result[:, 0] = start
    for v in range(1, MAX_VERTICES):
        result[:, v] = step(edges[:, :v, v], result[:, :v]) + gain[:, v]
    return result


def _longest(into: FloatArray, before: FloatArray) -> FloatArray:
    longest: FloatArray = np.where(into > 0, before, -_UNREACHABLE).max(axis=1)
    return longest


def _shortest(into: FloatArray, before: FloatArray) -> FloatArray:
    shortest: FloatArray = np.where(into > 0, before, _UNREACHABLE).min(axis=1)
    return shortest


def _count(into: FloatArray, before: FloatArray) -> FloatArray:
    count: FloatArray = (into * before).sum(axis=1)
    return count


def _vertex_features(edges: FloatArray, kinds: NDArray[np.int8], shares: FloatArray) -> FloatArray:
    present = kinds != ABSENT
    backwards = np.ascontiguousarray(edges[:, ::-1, ::-1].transpose(0, 2, 1))
    ones, zeros = np.ones_like(shares), np.zeros_like(shares)
    conv3x3, conv1x1, maxpool = ((kinds == kind).astype(np.float32) for kind in (CONV3X3, CONV1X1, MAXPOOL3X3))
    reach = edges > 0
    for _ in range(3):  # paths of up to 2³ edges
        reach = reach | (np.matmul(reach.astype(np.float32), reach.astype(np.float32)) > 0)
    parameters = (9 * conv3x3 + conv1x1) * shares**2
    columns = [
        *((kinds == kind).astype(np.float32) for kind in range(ABSENT)),
        *(shares, np.log2(np.maximum(shares, 0.125))),
        *(edges.sum(axis=1), edges.sum(axis=2), edges[:, 0, :], edges[:, :, _LAST]),
        *(reach.sum(axis=1), reach.sum(axis=2)),
        *(parameters, np.sqrt(parameters)),
        *(_along_paths(edges, 0, _longest, ones), _along_paths(edges, 0, _shortest, ones)),
        *(_along_paths(backwards, 0, extreme, ones)[:, ::-1] for extreme in (_longest, _shortest)),
        np.log1p(_along_paths(edges, 1, _count, zeros)),
        np.log1p(_along_paths(backwards, 1, _count, zeros)[:, ::-1]),
        *(_along_paths(edges, 0, _longest, gain) for gain in (conv3x3, conv3x3 + conv1x1, maxpool)),
        *(_along_paths(edges, 0, _shortest, gain) for gain in (conv3x3, conv3x3 + conv1x1, maxpool)),
    ]
    result = np.stack(columns, axis=-1).astype(np.float32)
    result[~present] = 0
    return result


def _cell_features(edges: FloatArray, kinds: NDArray[np.int8], shares: FloatArray) -> FloatArray:
    conv3x3, conv1x1, maxpool = (kinds == CONV3X3, kinds == CONV1X1, kinds == MAXPOOL3X3)
    from_input = edges[:, 0, :]
    width_3x3, width_1x1, width_pool, width_projected = (
        (where * shares).sum(axis=1) for where in (conv3x3, conv1x1, maxpool, from_input)
    )
    square_3x3, square_1x1 = ((where * shares**2).sum(axis=1) for where in (conv3x3, conv1x1))
    width_summed = (edges[:, _INNER, _INNER] * shares[:, None, _INNER]).sum(axis=(1, 2))

    work = np.zeros((3, len(edges)))
    values = np.zeros((5, len(edges)))
    parameters = np.full(len(edges), 9.0 * IMAGE_CHANNELS * STEM_CHANNELS + 2 * STEM_CHANNELS)
    in_channels = STEM_CHANNELS
    for stack in range(NUM_STACKS):
        channels, pixels = STEM_CHANNELS << stack, (IMAGE_SIZE >> stack) ** 2
        for _ in range(CELLS_PER_STACK):
            weights = np.stack(
                [9 * square_3x3 * channels**2, square_1x1 * channels**2, width_projected * channels * in_channels]
            )
            work += weights * pixels
            values += np.stack([width_3x3, width_1x1, width_pool, width_projected, width_summed]) * (channels * pixels)
            parameters += weights.sum(axis=0) + 2 * channels * (width_3x3 + width_1x1 + width_projected)
            in_channels = channels
    parameters += in_channels * NUM_CLASSES + NUM_CLASSES
    multiply_adds = work.sum(axis=0) + 9 * IMAGE_CHANNELS * STEM_CHANNELS * IMAGE_SIZE**2

    # A cell without, say, a 1×1 convolution has no work there: half of the smallest work that any cell can have
    # stands for none, a step apart from all others on the logarithmic scale.
    smallest_work = np.array([9.0, 1.0, 5.0])[:, None] * STEM_CHANNELS**2 * IMAGE_SIZE**2 / 25
    smallest_values = STEM_CHANNELS * IMAGE_SIZE**2 / 5
    third, fifth = (np.isclose(shares, 1 / odd) & (conv3x3 | conv1x1) for odd in (3, 5))
    columns = [
        *np.log(work + smallest_work / 2),
        *np.log(values + smallest_values / 2),
        *(np.log(parameters), np.log(multiply_adds)),
        *((kinds != ABSENT).sum(axis=1), edges.sum(axis=(1, 2))),
        *(conv3x3.sum(axis=1), conv1x1.sum(axis=1), maxpool.sum(axis=1), from_input[:, _INNER].sum(axis=1)),
        *(edges[:, 0, _LAST], edges[:, _INNER, _LAST].sum(axis=1)),
        _along_paths(edges, 0, _longest, np.ones_like(shares))[:, _LAST],
        *(third.sum(axis=1), fifth.sum(axis=1)),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def _flow_features(edges: FloatArray, kinds: NDArray[np.int8], shares: FloatArray) -> FloatArray:
    fan_in, fan_out = edges.sum(axis=1)[:, _INNER], edges.sum(axis=2)[:, _INNER]
    added = np.maximum(fan_in - 1, 0)
    maxpool = (kinds == MAXPOOL3X3).astype(np.float32)
    convolution = ((kinds == CONV3X3) | (kinds == CONV1X1)).astype(np.float32)
    columns = [
        *((fan_in > 1).sum(axis=1), (added * shares[:, _INNER]).sum(axis=1), added.sum(axis=1)),
        *(_along_paths(edges, 0, _longest, gain)[:, _LAST] for gain in (maxpool, convolution)),
        *((fan_out > 1).sum(axis=1), shares[:, _INNER].max(axis=1), edges[:, 0].sum(axis=1)),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def _width_features(edges: FloatArray, kinds: NDArray[np.int8], shares: FloatArray) -> FloatArray:
    inner = kinds[:, _INNER]
    has_part = [np.isclose(shares[:, _INNER], 1 / part) for part in range(1, 6)]
    counted = [*(inner == kind for kind in (CONV3X3, CONV1X1, MAXPOOL3X3)), edges[:, 0, _INNER] > 0]
    return np.stack([(what & part).sum(axis=1) for what in counted for part in has_part], axis=1).astype(np.float32)
