"""Shared by the agents that edit cells: features of cells, value functions, and imagined edits.

The edit environments are deterministic and their rules are known, so the outcome of every edit can be computed. Only
the value of the resulting cell must be learned. An edit is worth as much as the cell it leads to (an *afterstate*:
Sutton and Barto, Reinforcement Learning, 2nd edition 2018, section 6.8), so one network serves all edits of all cells.

The networks are written in numpy: they have a few thousand weights, and a call to a framework would cost more than the
arithmetic.
"""

from __future__ import annotations

import copy
import functools
import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecnas import Space, cost
from ecnas.encoding import MAX_VERTICES, NUM_OP_CODES, NUM_OPERATIONS, code_to_ops, edge_bit, to_frame
from ecnas_gym.editor import Edits, Placed

MAX_PATH_OPS: Final = 3
"""Longer paths have no features of their own: most cells have no such path."""

COST_FEATURES: Final = 2
"""How many features, at the end, describe cost: logarithms of the exact parameters and multiply-adds."""

CHUNK: Final = 1 << 15
"""Number of cells whose features are computed at once."""

_INPUT_LABEL, _OUTPUT_LABEL, _NO_LABEL = NUM_OPERATIONS, NUM_OPERATIONS + 1, -1
_OUTPUT: Final = MAX_VERTICES - 1


@functools.cache
def cell_features(space: Space) -> CellFeatures:
    """The features of a space's cells, computed once per process."""
    return CellFeatures(space)


class CellFeatures:
    """Features of cells, known without training and standardised over the space. Equal cells have equal features.

    They are: the number of input-to-output paths for each sequence of up to three operations; the number of edges for
    each pair of operations; the numbers of vertices, of edges, and of edges at the input and at the output; the count
    of each operation; the number of paths, the longest path, and the most 3×3 convolutions on a path; logarithms of the
    exact parameters and multiply-adds.

    The whole space is computed at once (a few seconds for 7V), which is cheaper than many small batches.

    Args:
        space: The cells' space.
    """

    def __init__(self, space: Space) -> None:
        self._cells = space.cells
        self._parameters = space.trainable_parameters
        chunks = [
            self._compute(np.arange(start, min(start + CHUNK, len(space)))) for start in range(0, len(space), CHUNK)
        ]
        self.table = np.concatenate(chunks).astype(np.float32)
        self.table -= self.table.mean(axis=0, dtype=np.float64).astype(np.float32)
        # Without the lower bound, the rare deviations of a nearly constant feature would be blown up.
        self.table /= np.maximum(self.table.std(axis=0, dtype=np.float64), 0.25).astype(np.float32)
        self.size = self.table.shape[1]

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Features of cells by row: shape (B,) to (B, size)."""
        return self.table[rows]

    def _compute(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        num_vertices, own_bits = self._cells.num_vertices[rows], self._cells.edge_bits[rows]
        digits = code_to_ops(self._cells.op_codes[rows]).astype(np.int64)
        bits = to_frame(num_vertices, own_bits)
        edge = {(x, y): bits >> edge_bit(x, y) & 1 for y in range(1, MAX_VERTICES) for x in range(y)}
        used = np.arange(1, _OUTPUT) <= num_vertices[:, None] - 2

        # Paths, by the inner vertices on them.
        everyone = np.arange(len(rows))
        counts = np.zeros((len(rows), sum(NUM_OPERATIONS**k for k in range(MAX_PATH_OPS + 1))))
        all_paths, longest, most_convolutions = np.zeros((3, len(rows)))
        offset = 0
        for length in range(_OUTPUT):
            for inner in itertools.combinations(range(1, _OUTPUT), length):
                stops = (0, *inner, _OUTPUT)
                there = np.prod([edge[pair] for pair in itertools.pairwise(stops)], axis=0)
                passed = digits[:, [v - 1 for v in inner]]
                if length <= MAX_PATH_OPS:
                    number = offset + passed @ (NUM_OPERATIONS ** np.arange(length)[::-1])
                    counts[everyone, number] += there
                all_paths += there
                longest = np.maximum(longest, there * length)
                most_convolutions = np.maximum(most_convolutions, there * (passed == 0).sum(axis=1))
            offset += NUM_OPERATIONS**length

        # Edges, by the operations they join.
        num_labels = NUM_OPERATIONS + 2
        labels = np.full((len(rows), MAX_VERTICES), _INPUT_LABEL)
        labels[:, 1:_OUTPUT] = digits
        labels[:, _OUTPUT] = _OUTPUT_LABEL
        joins = np.zeros((len(rows), num_labels * num_labels))
        for (x, y), there in edge.items():
            joins[everyone, labels[:, x] * num_labels + labels[:, y]] += there

        multiply_adds = np.zeros(len(rows))
        for v in np.unique(num_vertices).tolist():
            chosen = num_vertices == v
            multiply_adds[chosen] = cost.network_cost(v, own_bits[chosen], digits[chosen]).multiply_adds
        globals_ = [
            num_vertices,
            np.bitwise_count(bits),
            sum(edge[0, y] for y in range(1, MAX_VERTICES)),
            sum(edge[x, _OUTPUT] for x in range(_OUTPUT)),
            *(((digits == op) & used).sum(axis=1) for op in range(NUM_OPERATIONS)),
            all_paths,
            longest,
            most_convolutions,
            np.log(self._parameters[rows]),
            np.log(multiply_adds),
        ]
        return np.column_stack([counts, joins, *globals_])


class Networks:
    """Several value networks, each with two hidden layers and trained by Adam on squared errors.

    The output of a second network that is never trained, the *prior*, can be added to each, so that the networks
    disagree where there is no data (Osband et al. 2018, https://arxiv.org/abs/1806.03335).

    Args:
        inputs: Number of features.
        outputs: Number of values to predict.
        hidden: Units in each hidden layer.
        learning_rate: Step size of Adam.
        prior_scale: Weight of the prior; 0 for none.
        rngs: Sources of the initial weights, one per network; several networks may share one.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        hidden: int,
        learning_rate: float,
        prior_scale: float,
        rngs: Sequence[np.random.Generator],
    ) -> None:
        self._shapes = ((inputs, hidden, 1.0), (hidden, hidden, 1.0), (hidden, outputs, 0.1))
        self._prior_shapes = ((inputs, hidden, 1.0), (hidden, outputs, prior_scale)) if prior_scale else ()
        # All weights of a network lie in one vector, so that a step of Adam is a few operations.
        self._vectors = np.stack([_initial(self._shapes + self._prior_shapes, rng) for rng in rngs])
        self._trained = sum((rows + 1) * columns for rows, columns, _ in self._shapes)
        self._means, self._squares = np.zeros((2, len(rngs), self._trained), dtype=np.float32)
        self._steps = np.zeros(len(rngs), dtype=np.int64)
        self._learning_rate = learning_rate

    @property
    def weights(self) -> NDArray[np.float32]:
        """All weights, to be saved: shape (networks, weights)."""
        return self._vectors

    @weights.setter
    def weights(self, weights: NDArray[np.float32]) -> None:
        if weights.shape != self._vectors.shape or weights.dtype != self._vectors.dtype:
            raise ValueError(
                f"weights must be {self._vectors.dtype} of shape {self._vectors.shape}, "
                f"got {weights.dtype} of shape {weights.shape}"
            )
        self._vectors = weights

    def some(self, chosen: NDArray[np.bool_]) -> Networks:
        """Some of the networks."""
        networks = copy.copy(self)
        networks._vectors, networks._steps = self._vectors[chosen], self._steps[chosen]
        networks._means, networks._squares = self._means[chosen], self._squares[chosen]
        return networks

    def predict(self, which: NDArray[np.integer], x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values by K of the networks: x (K, B, inputs) to (K, B, outputs)."""
        vectors = self._vectors[which]
        # One at a time: the activations of one network fit into the processor's cache, those of all do not.
        return np.concatenate([self._forward(vectors[[k]], x[[k]])[-1] for k in range(len(which))])

    def update(
        self,
        which: NDArray[np.integer],
        minibatches: Iterable[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]],
    ) -> None:
        """Steps of Adam on weighted squared errors, for K different networks at once.

        Args:
            which: The networks, (K,).
            minibatches: One per step: features (K, B, inputs), targets (K, B, outputs) and weights (K, B).
        """
        vectors, mean, square = self._vectors[which], self._means[which], self._squares[which]
        trained = vectors[:, : self._trained]
        gradient, change = np.empty_like(mean), np.empty_like(mean)
        layers, to_layers = _layers(vectors, self._shapes), _layers(gradient, self._shapes)
        steps = self._steps[which]
        units, to_units = self._room((0, 0)), self._room((0, 0))
        for x, targets, weights in minibatches:
            if units[0].shape[:2] != x.shape[:2]:
                units, to_units = self._room(x.shape[:2]), self._room(x.shape[:2])
            first, second, values = self._forward(vectors, x, units)
            to_third = (values - targets) * (weights / np.float32(x.shape[1]))[:, :, None]
            to_second = _backward(to_third, layers[2][0], second, to_units[1])
            to_first = _backward(to_second, layers[1][0], first, to_units[0])
            ones = np.ones((1, x.shape[1]), dtype=np.float32)  # a product with them sums faster than np.sum
            for values_in, to_out, (to_weights, to_bias) in zip(
                (x, first, second), (to_first, to_second, to_third), to_layers, strict=True
            ):
                np.matmul(values_in.mT, to_out, out=to_weights)
                np.matmul(ones, to_out, out=to_bias)
            steps += 1
            rates = self._learning_rate * np.sqrt(1 - 0.999**steps) / (1 - 0.9**steps)
            np.subtract(gradient, mean, out=change)
            change *= np.float32(0.1)
            mean += change
            np.multiply(gradient, gradient, out=change)
            change -= square
            change *= np.float32(0.001)
            square += change
            np.sqrt(square, out=change)
            change += np.float32(1e-8)
            np.divide(mean, change, out=change)
            change *= rates.astype(np.float32)[:, None]
            trained -= change
        self._vectors[which], self._means[which], self._squares[which] = vectors, mean, square
        self._steps[which] = steps

    def _room(self, shape: tuple[int, ...]) -> list[NDArray[np.float32]]:
        """Room for all layers, each of a shape and its units: memory that is used again is there sooner."""
        return [np.empty((*shape, columns), dtype=np.float32) for _, columns, _ in self._shapes]

    def _forward(
        self,
        vectors: NDArray[np.float32],
        x: NDArray[np.float32],
        room: Sequence[NDArray[np.float32] | None] = (None, None, None),
    ) -> tuple[NDArray[np.float32], ...]:
        """Both hidden layers and the values."""
        layers = [x]
        for (weights, bias), out in zip(_layers(vectors, self._shapes), room, strict=True):
            layer = np.matmul(layers[-1], weights, out=out)
            layer += bias
            layers.append(np.maximum(layer, 0, out=layer) if len(layers) <= 2 else layer)
        if self._prior_shapes:
            (first, _), (second, _) = _layers(vectors[:, self._trained :], self._prior_shapes)
            layers[-1] += np.maximum(x @ first, 0) @ second
        return tuple(layers[1:])


def _backward(
    to_out: NDArray[np.float32], weights: NDArray[np.float32], units: NDArray[np.float32], out: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The gradient with respect to rectified units, from that with respect to what they are an input of."""
    # The first form is the second where there is one output, and faster. So is a product with a copy.
    product = np.multiply if weights.shape[2] == 1 else np.matmul
    product(to_out, np.ascontiguousarray(weights.mT), out=out)
    out *= units > 0
    return out


def _initial(shapes: Iterable[tuple[int, int, float]], rng: np.random.Generator) -> NDArray[np.float32]:
    """Initial weights as one vector, layer by layer: He's normal weights times a gain, and zero biases."""
    parts = []
    for rows, columns, gain in shapes:
        parts += [gain * np.sqrt(2 / rows) * rng.standard_normal(rows * columns), np.zeros(columns)]
    return np.concatenate(parts).astype(np.float32)


def _layers(
    vectors: NDArray[np.float32], shapes: Iterable[tuple[int, int, float]]
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Views of weights (K, rows, columns) and biases (K, 1, columns), layer by layer, in vectors (K, P)."""
    layers, start = [], 0
    for rows, columns, _ in shapes:
        end = start + rows * columns
        layers.append((vectors[:, start:end].reshape(-1, rows, columns), vectors[:, None, end : end + columns]))
        start = end + columns
    return layers


RELEVANCE: Final = np.repeat(
    np.array([0.129, 0.075, 0.046, 0.011, 0.024, 0.082, 0.052, 0.445, 0.145], dtype=np.float32),
    [*(NUM_OPERATIONS**k for k in range(MAX_PATH_OPS + 1)), (NUM_OPERATIONS + 2) ** 2, 7, 2, 1, COST_FEATURES],
)
"""Inverse length scales of a Gaussian process over the features of :class:`CellFeatures`, up to a common factor, shape
(size,): of paths of no, one, two and three operations, pairs of operations, counts, lengths of paths, 3×3 convolutions
on a path, and cost. Found by ``benchmarks/relevance.py`` on the 5V space."""

LENGTHS: Final = (0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8)
"""Squared length scales of a Gaussian process that are tried, as multiples of the median squared distance."""

NOISES: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Variances of the noise that are tried, as multiples of the signal's."""


class _Known(NamedTuple):
    """What a Gaussian process predicts from: features (n, size), L⁻¹ (n, n), and K⁻¹ times the targets (n,)."""

    x: NDArray[Any]
    inverse: NDArray[Any]
    weights: NDArray[Any]


class GaussianProcess:
    """Values of cells as a Gaussian process: what is expected of them, and how sure that is.

    Zero mean, Matérn kernel of smoothness 5/2, independent noise. The length scale and the noise are those of the
    highest marginal likelihood on a grid; the signal's variance then has a closed form (Rasmussen and Williams 2006,
    Gaussian Processes for Machine Learning, sections 2.2, 4.2.1 and 5.4.1). They are chosen anew whenever there is half
    as much data again. In between, data are added in O(n²), by a new row of the inverse of the Cholesky factor.
    Predictions are in the precision of the features.

    No kernel is right about all cells, and a likelihood that assumes so trusts the data too much. It may be *tempered*:
    raised to the power of 1/``tempering``, which multiplies the variance of normal noise (Grünwald and van Ommen 2017,
    https://doi.org/10.1214/17-BA1085).

    Args:
        size: Features of a cell.
        tempering: How many times the fitted variance of the noise is used, at least 1.
    """

    def __init__(self, size: int, tempering: float = 1.0) -> None:
        self._x = np.empty((0, size))
        self._tempering = tempering
        self._fitted = 0
        self._length = self._noise = 1.0
        self._inverse = np.empty((0, 0))  # L⁻¹, where LLᵀ is the kernel with noise, without the signal's variance
        self._by_precision: dict[np.dtype[Any], _Known] = {}

    def add(self, x: NDArray[np.floating], targets: NDArray[np.float64]) -> None:
        """Adds the features of a cell, shape (size,), and takes the targets of all so far, shape (n,)."""
        self._x = np.vstack([self._x, x])
        self._targets = targets
        self._by_precision.clear()
        if len(self._x) >= 1.5 * self._fitted:
            self._choose()
        else:
            self._append()
        whitened = self._inverse @ targets
        self._variance = max(float(np.mean(np.square(whitened))), 1e-12)
        self._weights = whitened @ self._inverse

    def fitted(self) -> NDArray[np.float64]:
        """What is expected of the cells that were added, shape (n,)."""
        expected: NDArray[np.float64] = self._targets - self._noise * self._weights
        return expected

    def mean(self, x: NDArray[np.floating]) -> NDArray[np.floating]:
        """What is expected of cells, shape (B, size) to (B,)."""
        expected: NDArray[np.floating] = self._to_data(x) @ self._known(x.dtype).weights
        return expected

    def bounds(self, x: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """What is expected of cells, and bounds of the standard deviation of what is not known: (B, size) to (B,) each.

        A bound is what the deviation would be if only the closest cell had been added, since further data never raise
        it. It takes O(n) for a cell; the deviation takes O(n²).
        """
        to_data = self._to_data(x)
        explained = np.square(to_data.max(axis=1)) / (1.0 + self._noise)
        bound: NDArray[np.floating] = np.sqrt(self._variance * np.maximum(1.0 - explained, 0.0))
        return to_data @ self._known(x.dtype).weights, bound

    def lookahead(
        self, x: NDArray[np.floating], others: NDArray[np.floating]
    ) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """How far the evaluation of a cell would change what is expected of it and of others.

        Args:
            x: Features of the cells that may be evaluated, shape (B, size).
            others: Features of other cells, shape (C, size).

        Returns:
            What is expected of the others and of the cell itself, and how much more that is if the evaluation turns out
            one standard deviation better than expected; shape (B, C + 1) each.
        """
        weights, inverse = self._known(x.dtype).weights, self._known(x.dtype).inverse
        to_data, others_to_data = self._to_data(x), self._to_data(others)
        explained, others_explained = to_data @ inverse.T, others_to_data @ inverse.T
        shared = _matern(_squared_distances(x, others), self._length) - explained @ others_explained.T
        own = np.maximum(1.0 - np.square(explained).sum(axis=1), 0.0)[:, None]
        expected = np.broadcast_to(others_to_data @ weights, shared.shape)
        change = np.hstack([shared, own]) * np.sqrt(self._variance / (own + self._noise))
        return np.hstack([expected, (to_data @ weights)[:, None]]), change

    def draw(self, x: NDArray[np.floating], rng: np.random.Generator) -> NDArray[np.float64]:
        """Draws the values of all cells together from the posterior: shape (B, size) to (B,)."""
        x = x.astype(np.float64)  # in single precision the factor may not exist
        to_data = self._to_data(x)
        explained = to_data @ self._inverse.T
        covariance = _matern(_squared_distances(x, x), self._length) - explained @ explained.T
        covariance[np.diag_indices(len(x))] += 1e-6
        spread = np.sqrt(self._variance) * np.linalg.cholesky(covariance)
        drawn: NDArray[np.float64] = to_data @ self._weights + spread @ rng.standard_normal(len(x))
        return drawn

    def _to_data(self, x: NDArray[np.floating]) -> NDArray[Any]:
        """The kernel between cells and those that were added, (B, size) to (B, n)."""
        return _matern(_squared_distances(x, self._known(x.dtype).x), self._length)

    def _known(self, dtype: np.dtype[Any]) -> _Known:
        """What predictions need, in a precision."""
        if dtype not in self._by_precision:
            arrays = (array.astype(dtype, copy=False) for array in (self._x, self._inverse, self._weights))
            self._by_precision[dtype] = _Known(*arrays)
        return self._by_precision[dtype]

    def _choose(self) -> None:
        """Chooses length scale and noise."""
        number = self._fitted = len(self._x)
        distances = _squared_distances(self._x, self._x)
        typical = float(np.median(distances[np.triu_indices(number, 1)])) if number > 1 else 1.0
        noises = np.array(NOISES)
        everyone = np.arange(number)
        # With the targets as its last row, a matrix's Cholesky factor has L⁻¹ times the targets there.
        extended = np.zeros((len(noises), number + 1, number + 1))
        extended[:, number, :number] = self._targets
        extended[:, number, number] = 1.0 + self._targets @ self._targets / noises
        best = -math.inf
        for length in max(typical, 1e-9) * np.array(LENGTHS):
            extended[:, :number, :number] = _matern(distances.copy(), length)
            extended[:, everyone, everyone] += noises[:, None]
            factors = np.linalg.cholesky(extended)
            fit = np.square(factors[:, number, :number]).mean(axis=1)
            log_determinant = np.log(factors[:, everyone, everyone]).sum(axis=1)
            likelihood = -0.5 * number * np.log(np.maximum(fit, 1e-12)) - log_determinant
            k = int(np.argmax(likelihood))
            if likelihood[k] > best:
                best, self._length, self._noise = float(likelihood[k]), float(length), float(noises[k])
        self._noise *= self._tempering
        kernel = _matern(distances, self._length)
        kernel[everyone, everyone] += self._noise
        self._inverse = np.linalg.inv(np.linalg.cholesky(kernel))

    def _append(self) -> None:
        """A new row of L⁻¹ for the last cell."""
        number = len(self._x) - 1
        row = self._inverse @ _matern(_squared_distances(self._x[-1:], self._x[:-1]), self._length)[0]
        pivot = math.sqrt(max(1.0 + self._noise - float(row @ row), 1e-9))
        grown = np.zeros((number + 1, number + 1))
        grown[:number, :number] = self._inverse
        grown[number, :number] = -(row @ self._inverse) / pivot
        grown[number, number] = 1.0 / pivot
        self._inverse = grown


def _matern(squares: NDArray[Any], length: float) -> NDArray[Any]:
    """The Matérn kernel of smoothness 5/2; overwrites the squared distances, in whose precision it is.

    Args:
        squares: Squared distances.
        length: Squared length scale.
    """
    squares *= 5.0 / length
    distances = np.sqrt(squares)
    squares /= 3.0
    squares += distances
    squares += 1.0
    np.negative(distances, out=distances)
    squares *= np.exp(distances, out=distances)
    return squares


def _squared_distances(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[Any]:
    """Shape (A, size) and (B, size) to (A, B)."""
    squares: NDArray[Any] = -2.0 * a @ b.T
    squares += np.einsum("ij,ij->i", a, a)[:, None]
    squares += np.einsum("ij,ij->i", b, b)
    np.maximum(squares, 0.0, out=squares)
    return squares


class Plans(NamedTuple):
    """Imagined episodes. The arrays may have further leading axes.

    Attributes:
        edge_bits: Edges of the placed cell from which each episode starts, shape (B,).
        op_codes: Its operations, shape (B,).
        actions: Edits in order, −1 for none, shape (B, max_edits).
        rows: The cells to which the edits lead, shape (B,).
    """

    edge_bits: NDArray[np.int64]
    op_codes: NDArray[np.int64]
    actions: NDArray[np.int64]
    rows: NDArray[np.int64]

    def start(self, k: int) -> Placed:
        """The placed cell from which episode k starts."""
        return Placed(int(self.edge_bits[k]), int(self.op_codes[k]))

    def edits(self, k: int) -> list[int]:
        """The edits of episode k."""
        return [action for action in self.actions[k].tolist() if action >= 0]

    def where(self, chosen: Any) -> Plans:
        """The episodes that a numpy index selects."""
        return Plans(*(array[chosen] for array in self))


class Imagination:
    """Draws random episodes of edits by the environment's rules, without stepping it.

    Args:
        edits: The edits of the space.
        max_edits: Most edits in an episode.
    """

    def __init__(self, edits: Edits, max_edits: int) -> None:
        self.edits, self.max_edits = edits, max_edits
        self._placements: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}

    def draw(
        self, starts: NDArray[np.int64], unedited: NDArray[np.int64], rngs: Sequence[np.random.Generator]
    ) -> Plans:
        """For each of S runs, imagines an episode from each start, and episodes that evaluate a cell unedited.

        Args:
            starts: Rows of the cells to edit, with repetitions, shape (S, B).
            unedited: Rows of the cells that are not edited, shape (S, C).
            rngs: Each run's source of randomness.

        Returns:
            S × (B + C) episodes. The first B of each run have one to ``max_edits`` random edits, all allowed by the
            mask.
        """
        shape = len(rngs), starts.shape[1] + unedited.shape[1]
        noise = np.stack([rng.random((3 + self.max_edits, shape[1])) for rng in rngs], axis=1)
        place, fill, stop, *actions = noise.reshape(3 + self.max_edits, -1)
        rows = np.hstack([starts, unedited]).ravel()
        edited = np.flatnonzero(np.broadcast_to(np.arange(shape[1]) < starts.shape[1], shape))
        edge_bits, op_codes = self.edits.first_placements(rows)
        if len(edited):
            edge_bits[edited], op_codes[edited] = self._placed(starts.ravel(), place[edited])
        op_codes = self.edits.filled(edge_bits, op_codes, (fill * NUM_OP_CODES).astype(np.int64))
        now_bits, now_codes = edge_bits.copy(), op_codes.copy()
        taken = np.full((len(rows), self.max_edits), -1)
        length = 1 + (stop * self.max_edits).astype(np.int64)
        for position in range(self.max_edits):
            going = edited[position < length[edited]]
            action = (actions[position][going] * self.edits.stop).astype(np.int64)
            bits, codes = self.edits.apply(now_bits[going], now_codes[going], action)
            reached = self.edits.rows(bits, codes)
            done = (reached >= 0) & ((bits != now_bits[going]) | (codes != now_codes[going]))
            going = going[done]
            taken[going, position] = action[done]
            now_bits[going], now_codes[going], rows[going] = bits[done], codes[done], reached[done]
        return Plans(*(array.reshape(*shape, *array.shape[1:]) for array in (edge_bits, op_codes, taken, rows)))

    def draw_untried(
        self, starts: NDArray[np.int64], num_fresh: int, tried: NDArray[np.bool_], rng: np.random.Generator
    ) -> Plans:
        """Imagines episodes that end in an untried cell, so that no isomorphic cell is paid for twice.

        Args:
            starts: Rows of the cells to edit, with repetitions, shape (B,).
            num_fresh: Number of random cells of the whole space to add.
            tried: Whether each cell of the space was tried, shape (cells,).
            rng: Source of randomness.

        Returns:
            At most B + ``num_fresh`` episodes, and at least one unless all cells were tried.
        """
        fresh = rng.integers(len(tried), size=(1, num_fresh))
        return self.untried(self.draw(starts[None], fresh, [rng]).where(0), tried, rng)

    def untried(self, plans: Plans, tried: NDArray[np.bool_], rng: np.random.Generator) -> Plans:
        """Of one run's episodes those that end in an untried cell; if there is none, one that evaluates any such cell.

        Args:
            plans: Episodes.
            tried: Whether each cell of the space was tried, shape (cells,).
            rng: Source of randomness.

        Returns:
            At least one episode, unless all cells were tried.
        """
        plans = plans.where(~tried[plans.rows])
        if len(plans.rows) or tried.all():
            return plans
        fresh = rng.choice(np.flatnonzero(~tried), size=(1, 1))
        return self.draw(np.empty((1, 0), dtype=np.int64), fresh, [rng]).where(0)

    def _placed(
        self, rows: NDArray[np.int64], noise: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """One placement of each cell, chosen by noise from [0, 1)."""
        cells, which = np.unique(rows, return_inverse=True)
        for row in cells.tolist():
            if row not in self._placements:
                self._placements[row] = self.edits.placements(row)
        bits, codes = zip(*(self._placements[row] for row in cells.tolist()), strict=True)
        sizes = np.array([*map(len, bits)])
        chosen = (np.cumsum(sizes) - sizes)[which] + (noise * sizes[which]).astype(np.int64)
        return np.concatenate(bits)[chosen], np.concatenate(codes)[chosen]


def rank_scores(rewards: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rewards replaced by the log-odds of their rank: symmetric, with a standard deviation of about 1.

    The best cells differ from each other by hundredths of their distance to the worst. Ranks spread them out, as −log
    regret would, but need not know the optimum, and one failed training does not outweigh all others.
    """
    position = (np.argsort(np.argsort(rewards, kind="stable"), kind="stable") + 0.5) / len(rewards)
    scores: NDArray[np.float32] = (np.log(position / (1 - position)) * (np.sqrt(3) / np.pi)).astype(np.float32)
    return scores


def standardised(rewards: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rewards minus their mean, divided by their standard deviation."""
    scores: NDArray[np.float32] = ((rewards - rewards.mean()) / (rewards.std() + 1e-9)).astype(np.float32)
    return scores
