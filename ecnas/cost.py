"""Exact trainable parameters and multiply-adds of a cell's CIFAR-10 network.

The network is NAS-Bench-101's (Ying et al. 2019, section 2.2 and ``nasbench/lib/model_builder.py`` of its reference
implementation): a 3×3 convolution to 128 channels; three stacks of three cells, with 2×2 max-pooling and twice the
channels between stacks; global average pooling; a dense layer to 10 classes. In a cell

* every edge from the input has a 1×1 projection to the channels of its target;
* the channels of the vertices with an edge into the output add up to the cell's channels: they are split evenly, the
  remainder going one each to the first vertices; other vertices have as many channels as their widest successor;
* a convolution has no bias and is followed by a batch normalisation with two trainable parameters per channel.

All functions work on whole arrays of cells.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecnas.encoding import edge_bit

IMAGE_SIZE: Final = 32
IMAGE_CHANNELS: Final = 3
NUM_CLASSES: Final = 10
STEM_CHANNELS: Final = 128
NUM_STACKS: Final = 3
CELLS_PER_STACK: Final = 3

_KERNEL_SIZES: Final = np.array([3, 1, 0])  # of the operations in the order of their codes; pooling has no weights


class Cost(NamedTuple):
    """Parameters and operations of a network.

    Attributes:
        trainable_parameters: int64, shape (B,).
        multiply_adds: int64, shape (B,): of all convolutions and the dense layer, for one image.
    """

    trainable_parameters: NDArray[np.int64]
    multiply_adds: NDArray[np.int64]


def vertex_channels(num_vertices: int, edge_bits: NDArray[np.integer], channels: int) -> NDArray[np.int64]:
    """Channels of each vertex of pruned cells.

    Args:
        num_vertices: V of all cells.
        edge_bits: Shape (B,).
        channels: Channels of the cell's output.

    Returns:
        int64, shape (B, V). The entry of vertex 0, whose channels depend on the previous cell, is 0.
    """
    bits = edge_bits.astype(np.int64)
    output = num_vertices - 1
    result = np.zeros((len(bits), num_vertices), dtype=np.int64)
    result[:, output] = channels
    into_output = np.stack([_has(bits, v, output) for v in range(num_vertices - 1)], axis=1)
    fan_in = np.maximum(into_output[:, 1:].sum(axis=1), 1)
    share, remainder = channels // fan_in, channels % fan_in
    rank = np.cumsum(into_output[:, 1:], axis=1) - 1  # how many earlier vertices feed the output
    for v in range(num_vertices - 2, 0, -1):
        successors = np.zeros(len(bits), dtype=np.int64)
        for later in range(v + 1, output):
            successors = np.maximum(successors, np.where(_has(bits, v, later), result[:, later], 0))
        split = share + (rank[:, v - 1] < remainder)
        result[:, v] = np.where(into_output[:, v], split, successors)
    return result


def network_cost(num_vertices: int, edge_bits: NDArray[np.integer], ops: NDArray[np.integer]) -> Cost:
    """Cost of the networks of pruned cells of one size.

    Args:
        num_vertices: V of all cells.
        edge_bits: Shape (B,).
        ops: Op codes per vertex (0 conv3x3, 1 conv1x1, 2 maxpool3x3), shape (B, ≥ V−2).

    Returns:
        The exact cost of the B networks.
    """
    bits = edge_bits.astype(np.int64)
    size, channels = IMAGE_SIZE, STEM_CHANNELS
    stem = _convolution(3, IMAGE_CHANNELS, np.array(channels))
    parameters = np.full(len(bits), stem[0])
    multiply_adds = np.full(len(bits), stem[1] * size**2)
    in_channels = channels
    for stack in range(NUM_STACKS):
        if stack:
            size //= 2
            channels *= 2
        for _ in range(CELLS_PER_STACK):
            per_cell = _cell_cost(num_vertices, bits, ops, in_channels, channels)
            parameters += per_cell[0]
            multiply_adds += per_cell[1] * size**2
            in_channels = channels
    parameters += channels * NUM_CLASSES + NUM_CLASSES
    multiply_adds += channels * NUM_CLASSES
    return Cost(parameters, multiply_adds)


def _has(bits: NDArray[np.int64], source: int, target: int) -> NDArray[np.bool_]:
    return (bits >> edge_bit(source, target) & 1).astype(bool)


def _convolution(
    kernel: int, in_channels: int | NDArray[np.int64], out_channels: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Parameters (batch normalisation included) and multiply-adds per pixel of a convolution."""
    weights = kernel**2 * in_channels * out_channels
    return weights + 2 * out_channels, weights


def _cell_cost(
    num_vertices: int, bits: NDArray[np.int64], ops: NDArray[np.integer], in_channels: int, out_channels: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Parameters and multiply-adds per pixel of one cell."""
    widths = vertex_channels(num_vertices, bits, out_channels)
    parameters = np.zeros(len(bits), dtype=np.int64)
    multiply_adds = np.zeros(len(bits), dtype=np.int64)
    for v in range(1, num_vertices):
        width = widths[:, v]
        projection = _convolution(1, in_channels, width)
        projected = _has(bits, 0, v)
        parameters += projected * projection[0]
        multiply_adds += projected * projection[1]
        if v < num_vertices - 1:
            weights = _KERNEL_SIZES[ops[:, v - 1]] ** 2 * width**2
            normalised = np.where(ops[:, v - 1] == 2, 0, 2 * width)
            parameters += weights + normalised
            multiply_adds += weights
    return parameters, multiply_adds
