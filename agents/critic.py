"""What agents that edit cells share: features of cells, what values are predicted by, imagined edits.

The edit environments are deterministic and their rules are known, so the outcome of every edit can be imagined; only
what the resulting cell is worth must be learned. An edit's value is therefore the value of the cell that it leads to
(an *afterstate*: Sutton and Barto, Reinforcement Learning, 2nd edition 2018, section 6.8), and one network serves all
edits of all cells.

The networks are numpy: with a few thousand weights a step of theirs takes a fraction of what a framework's call costs.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecnas import Space, cost
from ecnas.encoding import MAX_VERTICES, NUM_OPERATIONS, code_to_ops, edge_bit, to_frame
from ecnas_gym.editor import Edits, Placed

MAX_PATH_OPS: Final = 3
"""Paths of more operations are not features of their own: most cells have none."""

COST_FEATURES: Final = 2
"""The last features: logarithms of exact parameters and multiply-adds."""

CHUNK: Final = 1 << 15
"""Cells whose features are computed at once."""

_INPUT_LABEL, _OUTPUT_LABEL, _NO_LABEL = NUM_OPERATIONS, NUM_OPERATIONS + 1, -1
_OUTPUT: Final = MAX_VERTICES - 1


@functools.cache
def cell_features(space: Space) -> CellFeatures:
    """The features of a space's cells; runs in one process share what is computed."""
    return CellFeatures(space)


class CellFeatures:
    """Features of cells that are known without training them, standardised over the space; the same for equal cells.

    How many paths of each sequence of up to three operations lead from input to output; how many edges join each pair
    of operations; vertices, edges, edges at the input and at the output, each operation's count, all paths, the longest
    path, the most 3×3 convolutions on a path; logarithms of the exact parameters and multiply-adds.

    They are computed for the whole space at once (a few seconds for 7V), which is cheaper than in small portions.

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
        # A feature that hardly ever differs would be blown up where it does.
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

        # Paths, by the inner vertices that they pass.
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

        # Edges, by what they join.
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


class Network:
    """A value network of two hidden layers, trained by Adam on squared errors.

    A second network that is never trained, the *prior*, can add to its output, so that the networks of an ensemble
    disagree where there is no data (Osband et al. 2018, https://arxiv.org/abs/1806.03335).

    Args:
        inputs: Features.
        outputs: Values to predict.
        hidden: Units of each layer.
        learning_rate: Step size of Adam.
        prior_scale: Weight of the prior; 0 for none.
        rng: Source of the initial weights.
    """

    def __init__(
        self, inputs: int, outputs: int, hidden: int, learning_rate: float, prior_scale: float, rng: np.random.Generator
    ) -> None:
        def weights(rows: int, columns: int, gain: float = 1.0) -> NDArray[np.float32]:
            drawn: NDArray[np.float64] = gain * np.sqrt(2 / rows) * rng.standard_normal((rows, columns))
            return drawn.astype(np.float32)

        def zeros(columns: int) -> NDArray[np.float32]:
            return np.zeros(columns, dtype=np.float32)

        initial = [weights(inputs, hidden), zeros(hidden), weights(hidden, hidden), zeros(hidden)]
        initial += [weights(hidden, outputs, gain=0.1), zeros(outputs)]
        # All weights lie in one vector, so that a step of Adam is a few operations.
        self._vector = np.concatenate([w.ravel() for w in initial])
        self._gradient, self._mean, self._square = np.zeros((3, len(self._vector)), dtype=np.float32)
        ends = np.cumsum([w.size for w in initial])[:-1]
        self._weights, self._gradients = (
            [part.reshape(w.shape) for part, w in zip(np.split(vector, ends), initial, strict=True)]
            for vector in (self._vector, self._gradient)
        )
        self._prior = (weights(inputs, hidden), weights(hidden, outputs, prior_scale)) if prior_scale else None
        self._learning_rate, self._steps = learning_rate, 0

    def predict(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values: (B, inputs) to (B, outputs)."""
        return self._forward(x)[2]

    def _forward(self, x: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        w1, b1, w2, b2, w3, b3 = self._weights
        first = np.maximum(x @ w1 + b1, 0)
        second = np.maximum(first @ w2 + b2, 0)
        values = second @ w3 + b3
        if self._prior is not None:
            values += np.maximum(x @ self._prior[0], 0) @ self._prior[1]
        return first, second, values

    def update(self, x: NDArray[np.float32], targets: NDArray[np.float32], weights: NDArray[np.float32]) -> None:
        """One step of Adam on weighted squared errors: x (B, inputs), targets (B, outputs), weights (B,)."""
        _, _, w2, _, w3, _ = self._weights
        first, second, values = self._forward(x)
        to_third = (values - targets) * (weights / np.float32(len(x)))[:, None]
        to_second = (to_third @ w3.T) * (second > 0)
        to_first = (to_second @ w2.T) * (first > 0)
        for k, (layer_input, to_output) in enumerate(((x, to_first), (first, to_second), (second, to_third))):
            np.matmul(layer_input.T, to_output, out=self._gradients[2 * k])
            to_output.sum(axis=0, out=self._gradients[2 * k + 1])
        self._steps += 1
        step = self._learning_rate * math.sqrt(1 - 0.999**self._steps) / (1 - 0.9**self._steps)
        self._mean += 0.1 * (self._gradient - self._mean)
        self._square += 0.001 * (self._gradient**2 - self._square)
        self._vector -= step * self._mean / (np.sqrt(self._square) + 1e-8)


LENGTHS: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Squared length scales of a Gaussian process that are tried, as multiples of the median squared distance."""

NOISES: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Variances of the noise that are tried, as multiples of the signal's."""


class GaussianProcess:
    """Values of cells as a Gaussian process: what is expected of them, and how sure that is.

    Zero mean, Matérn kernel of smoothness 5/2, independent noise. The length scale and the noise are those of the
    highest marginal likelihood on a grid; the signal's variance then has a closed form (Rasmussen and Williams 2006,
    Gaussian Processes for Machine Learning, sections 2.2, 4.2.1 and 5.4.1). They are chosen anew whenever there is half
    as much data again. In between, data are added in O(n²), by a new row of the inverse of the Cholesky factor.

    Args:
        size: Features of a cell.
    """

    def __init__(self, size: int) -> None:
        self._x = np.empty((0, size))
        self._fitted = 0
        self._length = self._noise = 1.0
        self._inverse = np.empty((0, 0))  # L⁻¹, where LLᵀ is the kernel with noise, without the signal's variance

    def add(self, x: NDArray[np.floating], targets: NDArray[np.float64]) -> None:
        """Adds the features of a cell, shape (size,), and takes the targets of all so far, shape (n,)."""
        self._x = np.vstack([self._x, x])
        self._targets = targets
        if len(self._x) >= 1.5 * self._fitted:
            self._choose()
        else:
            self._append()
        self._variance = max(float(np.mean(np.square(self._inverse @ targets))), 1e-12)
        self._weights = self._inverse.T @ (self._inverse @ targets)

    def mean(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """What is expected of cells, shape (B, size) to (B,)."""
        expected: NDArray[np.float64] = self._kernel(_squared_distances(x, self._x)) @ self._weights
        return expected

    def draw(self, x: NDArray[np.floating], rng: np.random.Generator) -> NDArray[np.float64]:
        """Draws the values of all cells together from the posterior: shape (B, size) to (B,)."""
        to_data = self._kernel(_squared_distances(x, self._x))
        explained = to_data @ self._inverse.T
        covariance = self._kernel(_squared_distances(x, x)) - explained @ explained.T
        covariance[np.diag_indices(len(x))] += 1e-6
        spread = np.sqrt(self._variance) * np.linalg.cholesky(covariance)
        drawn: NDArray[np.float64] = to_data @ self._weights + spread @ rng.standard_normal(len(x))
        return drawn

    def _kernel(self, squared_distances: NDArray[np.float64]) -> NDArray[np.float64]:
        return _matern(squared_distances / self._length)

    def _choose(self) -> None:
        """Chooses length scale and noise."""
        number = self._fitted = len(self._x)
        distances = _squared_distances(self._x, self._x)
        typical = float(np.median(distances[np.triu_indices(number, 1)])) if number > 1 else 1.0
        best = -math.inf
        for length in max(typical, 1e-9) * np.array(LENGTHS):
            kernel = _matern(distances / length)
            for noise in NOISES:
                factor = np.linalg.cholesky(kernel + noise * np.eye(number))
                inverse = np.linalg.inv(factor)
                fit = float(np.square(inverse @ self._targets).mean())
                likelihood = -0.5 * number * math.log(max(fit, 1e-12)) - float(np.log(factor.diagonal()).sum())
                if likelihood > best:
                    best, self._inverse, self._length, self._noise = likelihood, inverse, float(length), noise

    def _append(self) -> None:
        """A new row of L⁻¹ for the last cell."""
        number = len(self._x) - 1
        row = self._inverse @ self._kernel(_squared_distances(self._x[:-1], self._x[-1:]))[:, 0]
        pivot = math.sqrt(max(1.0 + self._noise - float(row @ row), 1e-9))
        grown = np.zeros((number + 1, number + 1))
        grown[:number, :number] = self._inverse
        grown[number, :number] = -(row @ self._inverse) / pivot
        grown[number, number] = 1.0 / pivot
        self._inverse = grown


def _matern(squares: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Matérn kernel of smoothness 5/2, of squared distances in units of the length scale."""
    distances = np.sqrt(5.0 * squares)
    kernel: NDArray[np.float64] = (1.0 + distances + 5.0 / 3.0 * squares) * np.exp(-distances)
    return kernel


def _squared_distances(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """Shape (A, size) and (B, size) to (A, B)."""
    first, second = a.astype(np.float64), b.astype(np.float64)
    squares = np.square(first).sum(axis=1)[:, None] + np.square(second).sum(axis=1) - 2.0 * first @ second.T
    distances: NDArray[np.float64] = np.maximum(squares, 0.0)
    return distances


class Plans(NamedTuple):
    """Imagined episodes.

    Attributes:
        edge_bits: Of the placed cell that the episode starts from, shape (B,).
        op_codes: Likewise.
        actions: Edits in order, −1 where there is none, shape (B, max_edits).
        rows: The cells that the edits lead to, shape (B,).
    """

    edge_bits: NDArray[np.int64]
    op_codes: NDArray[np.int64]
    actions: NDArray[np.int64]
    rows: NDArray[np.int64]

    def start(self, k: int) -> Placed:
        """The placed cell that episode k starts from."""
        return Placed(int(self.edge_bits[k]), int(self.op_codes[k]))

    def edits(self, k: int) -> list[int]:
        """The edits of episode k."""
        return [action for action in self.actions[k].tolist() if action >= 0]

    def where(self, chosen: NDArray[np.bool_]) -> Plans:
        """Some of the episodes."""
        return Plans(*(array[chosen] for array in self))


class Imagination:
    """Draws random episodes of edits, by the rules of the environment and without stepping it.

    Args:
        edits: The edits of the space.
        max_edits: Most edits of an episode.
    """

    def __init__(self, edits: Edits, max_edits: int) -> None:
        self.edits, self.max_edits = edits, max_edits
        self._placements: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}

    def draw(self, starts: NDArray[np.int64], unedited: NDArray[np.int64], rng: np.random.Generator) -> Plans:
        """Imagines an episode from each start, and others that have a cell evaluated as it is.

        Args:
            starts: Rows of the cells to edit, with repetitions, shape (B,).
            unedited: Rows of the cells that are not edited, shape (C,).
            rng: Source of randomness.

        Returns:
            B + C episodes. Each of the first B has one to ``max_edits`` random edits, all allowed by the mask.
        """
        rows = np.concatenate([starts, unedited])
        edge_bits, op_codes = self.edits.first_placements(rows)
        for row in np.unique(starts).tolist():
            at = np.flatnonzero(starts == row)
            bits, codes = self._placed(row)
            chosen = rng.integers(len(bits), size=len(at))
            edge_bits[at], op_codes[at] = bits[chosen], codes[chosen]
        op_codes = self.edits.fill_unconnected(edge_bits, op_codes, rng)
        actions = np.full((len(rows), self.max_edits), -1)
        length = rng.integers(1, self.max_edits + 1, size=len(rows))
        length[len(starts) :] = 0
        now_bits, now_codes = edge_bits, op_codes
        for position in range(self.max_edits):
            action = rng.integers(self.edits.stop, size=len(rows))
            bits, codes = self.edits.apply(now_bits, now_codes, action)
            reached = self.edits.rows(bits, codes)
            done = (reached >= 0) & ((bits != now_bits) | (codes != now_codes)) & (position < length)
            actions[:, position] = np.where(done, action, -1)
            now_bits, now_codes = np.where(done, bits, now_bits), np.where(done, codes, now_codes)
            rows = np.where(done, reached, rows)
        return Plans(edge_bits, op_codes, actions, rows)

    def draw_untried(
        self, starts: NDArray[np.int64], num_fresh: int, tried: NDArray[np.bool_], rng: np.random.Generator
    ) -> Plans:
        """Imagines episodes that end in an untried cell: an equal cell in another guise is not paid for again.

        Args:
            starts: Rows of the cells to edit, with repetitions, shape (B,).
            num_fresh: How many cells are drawn from the whole space besides.
            tried: Whether each cell of the space was, shape (cells,).
            rng: Source of randomness.

        Returns:
            At most B + ``num_fresh`` episodes; none only if all cells were tried.
        """
        plans = self.draw(starts, rng.integers(len(tried), size=num_fresh), rng)
        plans = plans.where(~tried[plans.rows])
        if len(plans.rows) or tried.all():
            return plans
        return self.draw(starts[:0], rng.choice(np.flatnonzero(~tried), size=1), rng)

    def _placed(self, row: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if row not in self._placements:
            self._placements[row] = self.edits.placements(row)
        return self._placements[row]


def rank_scores(rewards: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rewards by rank alone, as log-odds of being beaten by a random one: symmetric, of standard deviation about 1.

    The best cells differ by hundredths of what separates them from the worst. Ranks spread them out, as −log regret
    would, but need not know the optimum; and one failed training does not outweigh all others.
    """
    position = (np.argsort(np.argsort(rewards, kind="stable"), kind="stable") + 0.5) / len(rewards)
    scores: NDArray[np.float32] = (np.log(position / (1 - position)) * (np.sqrt(3) / np.pi)).astype(np.float32)
    return scores


def standardised(rewards: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rewards less their mean, divided by their standard deviation."""
    scores: NDArray[np.float32] = ((rewards - rewards.mean()) / (rewards.std() + 1e-9)).astype(np.float32)
    return scores
