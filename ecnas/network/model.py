"""A cell's CIFAR-10 network in Keras 3, on any of its backends.

The network is NAS-Bench-101's (Ying et al. 2019, https://arxiv.org/abs/1902.09635, section 2.2), as
:mod:`ecnas.cost` describes and counts it: the two agree in every parameter and multiply-add.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ecnas.cell import Cell
from ecnas.cost import (
    CELLS_PER_STACK,
    IMAGE_CHANNELS,
    IMAGE_SIZE,
    NUM_CLASSES,
    NUM_STACKS,
    STEM_CHANNELS,
    vertex_channels,
)
from ecnas.encoding import OPERATIONS

if TYPE_CHECKING:
    import keras

BATCH_NORM_MOMENTUM: Final = 0.997
BATCH_NORM_EPSILON: Final = 1e-5

_CONV3X3, _CONV1X1, _MAXPOOL3X3 = OPERATIONS
_KERNEL_SIZE: Final = {_CONV3X3: 3, _CONV1X1: 1}


def build(
    cell: Cell,
    num_classes: int = NUM_CLASSES,
    image_size: int = IMAGE_SIZE,
    *,
    channels: int = STEM_CHANNELS,
    dtype: str = "float32",
    seed: int = 0,
) -> keras.Model:
    """Builds the network of a cell, untrained.

    Equal cells give equal networks: the canonical labelling is used, which NAS-Bench-101 trained. It determines which
    vertices get the remainder if channels do not divide evenly.

    Args:
        cell: The cell that is repeated nine times.
        num_classes: Classes to tell apart, 2 or more.
        image_size: Height and width of the images, 4 or more (they are halved twice).
        channels: Channels after the stem; they double with every stack. 128 is the published network.
        dtype: A Keras dtype policy, such as ``"mixed_float16"``. The logits are float32 in any case.
        seed: Seed of the initial weights; each backend has its own generator.

    Returns:
        A model from images, float32 of shape (batch, image_size, image_size, 3), to logits of shape (batch,
        num_classes). It is not compiled.

    Raises:
        ValueError: A number is too small; more vertices feed the output than there are channels.
    """
    import keras

    for name, value, least in (("num_classes", num_classes, 2), ("image_size", image_size, 4)):
        if value < least:
            raise ValueError(f"{name} must be {least} or more, got {value!r}")
    if channels < cell.num_vertices:
        raise ValueError(f"channels must be at least the cell's {cell.num_vertices} vertices, got {channels!r}")
    layers = _Layers(dtype, seed)
    images = keras.Input((image_size, image_size, IMAGE_CHANNELS), name="images")
    x = layers.convolve(images, 3, channels)
    for stack in range(NUM_STACKS):
        if stack:
            x = keras.layers.MaxPooling2D(2, padding="same", dtype=dtype)(x)
            channels *= 2
        for _ in range(CELLS_PER_STACK):
            x = _apply(cell.canonical(), x, channels, layers)
    x = keras.layers.GlobalAveragePooling2D(dtype=dtype)(x)
    initializer = keras.initializers.GlorotUniform(layers.next_seed())
    logits = keras.layers.Dense(num_classes, kernel_initializer=initializer, dtype="float32", name="logits")(x)
    return keras.Model(images, logits, name=f"cell_{cell.hash}")


def _apply(cell: Cell, x: Any, channels: int, layers: _Layers) -> Any:
    """Applies a cell to a tensor."""
    import keras

    output = cell.num_vertices - 1
    widths = vertex_channels(cell.num_vertices, np.array([cell.edge_bits]), channels)[0].tolist()
    tensors = [x]
    for v, op in enumerate(cell.ops, start=1):
        sources = np.flatnonzero(cell.adjacency[:, v]).tolist()
        inputs = [_cut(tensors[u], widths[v]) if u else layers.convolve(x, 1, widths[v]) for u in sources]
        joined = inputs[0] if len(inputs) == 1 else keras.layers.Add(dtype=layers.dtype)(inputs)
        tensors.append(layers.operate(op, joined, widths[v]))
    branches = [tensors[v] for v in range(1, output) if cell.adjacency[v, output]]
    terms = []
    if branches:
        terms.append(branches[0] if len(branches) == 1 else keras.layers.Concatenate(dtype=layers.dtype)(branches))
    if cell.adjacency[0, output]:
        terms.append(layers.convolve(x, 1, channels))
    return terms[0] if len(terms) == 1 else keras.layers.Add(dtype=layers.dtype)(terms)


def _cut(x: Any, channels: int) -> Any:
    """A vertex may be one channel wider than its successor: the last one is left out."""
    return x if x.shape[-1] == channels else x[..., :channels]


class _Layers:
    """Makes layers of one dtype policy, each with its own seed."""

    def __init__(self, dtype: str, seed: int) -> None:
        self.dtype = dtype
        self._rng = np.random.default_rng(seed)

    def next_seed(self) -> int:
        return int(self._rng.integers(1 << 31))

    def convolve(self, x: Any, kernel_size: int, channels: int) -> Any:
        """Convolution, batch normalisation, ReLU."""
        from keras import initializers, layers

        initializer = initializers.VarianceScaling(seed=self.next_seed())
        convolution = layers.Conv2D(
            channels, kernel_size, padding="same", use_bias=False, kernel_initializer=initializer, dtype=self.dtype
        )
        normalisation = layers.BatchNormalization(
            momentum=BATCH_NORM_MOMENTUM, epsilon=BATCH_NORM_EPSILON, dtype=self.dtype
        )
        return layers.ReLU(dtype=self.dtype)(normalisation(convolution(x)))

    def operate(self, op: str, x: Any, channels: int) -> Any:
        """The operation of a vertex."""
        from keras import layers

        if op == _MAXPOOL3X3:
            return layers.MaxPooling2D(3, strides=1, padding="same", dtype=self.dtype)(x)
        return self.convolve(x, _KERNEL_SIZE[op], channels)
