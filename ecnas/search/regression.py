"""Ensembles of small regression networks: scikit-learn's ``MLPRegressor``, several times as fast.

Three things save time, and none changes the result beyond rounding (``tests/test_regression.py``). The networks of an
ensemble are fitted side by side, as arrays. They use float32. And equal inputs in a minibatch, of which an encoding of
cells has many, pass through the network once: the squared errors of equal predictions add up to one squared error from
the mean target, weighted by their number, plus a constant.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_DECAYS: Final = (0.9, 0.999)
_EPSILON: Final = 1e-8


@dataclass(frozen=True)
class Regression:
    """Networks of rectified linear units, fitted by Adam; the defaults are scikit-learn's.

    Attributes:
        hidden: Widths of the hidden layers.
        learning_rate: Step size of Adam.
        alpha: L2 penalty on the weights (not the biases).
        batch_size: Most rows in a minibatch.
        max_passes: Most passes over the data.
        tolerance: A pass must lower the loss by this much to count as an improvement.
        patience: How many passes in a row may bring no improvement.
    """

    hidden: tuple[int, ...] = (100,)
    learning_rate: float = 1e-3
    alpha: float = 1e-4
    batch_size: int = 200
    max_passes: int = 200
    tolerance: float = 1e-4
    patience: int = 10

    def predict(
        self,
        x: NDArray[np.float32],
        y: NDArray[np.float32],
        x_new: NDArray[np.float32],
        rngs: Sequence[np.random.Generator],
    ) -> NDArray[np.float32]:
        """Fits a network for each generator, and predicts.

        Args:
            x: Inputs, (n, d).
            y: Targets, (n,).
            x_new: Inputs to predict for, (m, d).
            rngs: Initial weights and the order of the data.

        Returns:
            (networks, m).
        """
        widths = (x.shape[1], *self.hidden, 1)
        shapes = list(itertools.pairwise(widths))
        networks = _Networks(self, shapes, np.stack([_initial(shapes, rng) for rng in rngs]))
        distinct, which = _distinct(x)
        fitted = np.empty_like(networks.parameters)
        going = np.arange(len(rngs))  # the networks that are still fitted
        best, stale = np.full(len(rngs), np.inf), np.zeros(len(rngs), dtype=np.int64)
        targets = y.astype(np.float64)
        minibatches: list[_Minibatch] = []
        for _ in range(self.max_passes):
            if len(x) > self.batch_size or not minibatches:  # otherwise there is only one, and order is irrelevant
                orders = np.stack([rngs[number].permutation(len(x)) for number in going.tolist()])
                minibatches = _minibatches(distinct, which[orders], targets[orders], self.batch_size)
            loss = networks.fit(minibatches) / len(x)
            stale[going] = np.where(loss > best[going] - self.tolerance, stale[going] + 1, 0)
            best[going] = np.minimum(best[going], loss)
            stays = stale[going] <= self.patience
            if not stays.all():
                fitted[going] = networks.parameters
                networks, going = networks.some(stays), going[stays]
                minibatches = [batch.some(stays) for batch in minibatches]
                if not len(going):
                    break
        fitted[going] = networks.parameters
        return _Networks(self, shapes, fitted).outputs(np.broadcast_to(x_new, (len(rngs), *x_new.shape)))


class _Minibatch(NamedTuple):
    """Data for each of G networks. Equal inputs are one row; rows of weight 0 fill up.

    Attributes:
        x: Inputs, (G, K, d).
        y: Mean target of each row, (G, K, 1).
        weights: How often each row occurs, (G, K, 1).
        size: Size of the minibatch: the sum of a network's weights.
        rest: Sum of the squared distances of targets from their mean, which no prediction can explain, (G,).
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    weights: NDArray[np.float32]
    size: int
    rest: NDArray[np.float64]

    def some(self, chosen: NDArray[np.bool_]) -> _Minibatch:
        """For some of the networks."""
        return _Minibatch(self.x[chosen], self.y[chosen], self.weights[chosen], self.size, self.rest[chosen])


class _Networks:
    """G networks. The weights and biases of one, layer by layer, are a row of ``parameters``."""

    def __init__(self, how: Regression, shapes: list[tuple[int, int]], parameters: NDArray[np.float32]) -> None:
        self._how, self._shapes = how, shapes
        self.parameters, self._gradient = parameters, np.empty_like(parameters)
        self._layers, self._to_layers = _views(parameters, shapes), _views(self._gradient, shapes)
        self._gradients, self._squares = np.zeros_like(parameters), np.zeros_like(parameters)  # decaying sums
        self._change = np.empty_like(parameters)
        self._steps = 0
        parts = [np.repeat((how.alpha, 0.0), (a * b, b)) for a, b in shapes]
        self._alpha = np.concatenate(parts).astype(np.float32)

    def some(self, chosen: NDArray[np.bool_]) -> _Networks:
        """Some of the networks, to continue fitting."""
        networks = _Networks(self._how, self._shapes, self.parameters[chosen])
        networks._gradients, networks._squares = self._gradients[chosen], self._squares[chosen]
        networks._steps = self._steps
        return networks

    def outputs(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs for inputs (G, m, d): shape (G, m)."""
        return self._forward(x)[0][-1][:, :, 0]

    def fit(self, minibatches: list[_Minibatch]) -> NDArray[np.float64]:
        """A step on each minibatch; returns the losses, summed over rows, (G,)."""
        loss = np.zeros(len(self.parameters))
        for batch in minibatches:
            loss += self._backward(batch) / 2
            self._step()
        return loss

    def _forward(self, x: NDArray[np.float32]) -> tuple[list[NDArray[np.float32]], list[NDArray[np.bool_]]]:
        """The inputs and all layers; and which units of each hidden layer are not 0."""
        values, active = [x], []
        for weights, bias in self._layers:
            layer = values[-1] @ weights
            layer += bias
            if len(values) < len(self._layers):
                active.append(layer > 0)
                layer *= active[-1]  # faster than np.maximum
            values.append(layer)
        return values, active

    def _backward(self, batch: _Minibatch) -> NDArray[np.float64]:
        """Computes the gradients of the mean losses; returns twice the losses, summed over rows, (G,)."""
        ones = np.ones((1, batch.x.shape[1]), dtype=np.float32)  # a product with them sums faster than np.sum
        values, active = self._forward(batch.x)
        errors = values[-1] - batch.y
        to_layer = batch.weights * errors
        squares: NDArray[np.float64] = np.einsum("gki,gki->g", to_layer, errors) + batch.rest
        to_layer /= np.float32(batch.size)
        for number in reversed(range(len(self._layers))):
            weights, _ = self._layers[number]
            to_weights, to_bias = self._to_layers[number]
            np.matmul(values[number].mT, to_layer, out=to_weights)
            np.matmul(ones, to_layer, out=to_bias)
            if number:
                # The first form is the second for layers of one unit, and faster. So is a product with a copy.
                transposed = np.ascontiguousarray(weights.mT)
                to_layer = to_layer * transposed if weights.shape[2] == 1 else to_layer @ transposed
                to_layer *= active[number - 1]
        decayed = np.multiply(self._alpha, self.parameters, out=self._change)
        squares += np.einsum("gp,gp->g", decayed, self.parameters)
        decayed /= np.float32(batch.size)
        self._gradient += decayed
        return squares

    def _step(self) -> None:
        """One step of Adam. Its running means are the sums here times 1 − decay, which comes into the rate."""
        first, second = _DECAYS
        self._steps += 1
        self._gradients *= np.float32(first)
        self._gradients += self._gradient
        self._squares *= np.float32(second)
        self._squares += np.square(self._gradient, out=self._change)
        scale = math.sqrt(1 - second)
        change = np.sqrt(self._squares, out=self._change)
        change += np.float32(_EPSILON / scale)
        np.divide(self._gradients, change, out=change)
        rate = self._how.learning_rate * math.sqrt(1 - second**self._steps) / (1 - first**self._steps)
        change *= np.float32(rate * (1 - first) / scale)
        self.parameters -= change


def _views(
    vectors: NDArray[np.float32], shapes: list[tuple[int, int]]
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Weights (G, a, b) and biases (G, 1, b), layer by layer, in vectors (G, P)."""
    views, start = [], 0
    for a, b in shapes:
        end = start + a * b
        views.append((vectors[:, start:end].reshape(-1, a, b), vectors[:, None, end : end + b]))
        start = end + b
    return views


def _initial(shapes: list[tuple[int, int]], rng: np.random.Generator) -> NDArray[np.float32]:
    """Glorot and Bengio's uniform weights, and biases of the same range."""
    parts = [rng.uniform(-1.0, 1.0, a * b + b) * math.sqrt(6.0 / (a + b)) for a, b in shapes]
    return np.concatenate(parts).astype(np.float32)


def _distinct(x: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """The distinct rows, and which of them each row is."""
    as_bytes = np.ascontiguousarray(x).view(np.dtype((np.void, x.itemsize * x.shape[1])))  # are sorted faster
    _, first, which = np.unique(as_bytes.ravel(), return_index=True, return_inverse=True)
    return x[first], which.reshape(-1)


def _minibatches(
    distinct: NDArray[np.float32], which: NDArray[np.intp], y: NDArray[np.float64], size: int
) -> list[_Minibatch]:
    """The minibatches of a pass.

    Args:
        distinct: Inputs, (U, d).
        which: Which of them each row is, in the order of each of G networks, (G, n).
        y: Targets in the same order, (G, n).
        size: Most rows of a minibatch.
    """
    num_networks, num_rows = which.shape
    starts = range(0, num_rows, size)
    shape = (num_networks, len(starts), len(distinct))
    number = np.arange(num_networks)[:, None] * len(starts) + np.arange(num_rows) // size
    places = (number * len(distinct) + which).ravel()
    counts = np.bincount(places, minlength=math.prod(shape)).reshape(shape)
    sums = np.bincount(places, y.ravel(), minlength=math.prod(shape)).reshape(shape)
    means = sums / np.maximum(counts, 1)
    rest = np.add.reduceat(y * y, starts, axis=1) - (sums * means).sum(axis=2)
    present_first = np.argsort(counts == 0, axis=2, kind="stable")
    most = np.count_nonzero(counts, axis=2).max(axis=0)
    everyone = np.arange(num_networks)[:, None]
    minibatches = []
    for k, start in enumerate(starts):
        chosen = present_first[:, k, : most[k]]
        minibatches.append(
            _Minibatch(
                distinct[chosen],
                means[everyone, k, chosen, None].astype(np.float32),
                counts[everyone, k, chosen, None].astype(np.float32),
                min(size, num_rows - start),
                rest[:, k],
            )
        )
    return minibatches
