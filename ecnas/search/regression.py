"""Ensembles of small regression networks: scikit-learn's ``MLPRegressor``, many times as fast.

Three things save time, and none changes the result beyond rounding (``tests/test_regression.py``). The networks of an
ensemble are fitted side by side, as arrays. They use float32. And equal inputs, of which an encoding of cells has many,
pass through the network once: the squared errors of equal predictions add up to one squared error from the mean target,
weighted by their number, plus a constant. Every step is one on all data.
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
    """Networks of rectified linear units, fitted by Adam on all data at once; other defaults are scikit-learn's.

    Attributes:
        hidden: Widths of the hidden layers.
        learning_rate: Step size of Adam.
        alpha: L2 penalty on the weights (not the biases).
        max_steps: Most steps.
        tolerance: A step must lower the loss by this much to count as an improvement.
        patience: How many steps in a row may bring no improvement.
    """

    hidden: tuple[int, ...] = (100,)
    learning_rate: float = 1e-3
    alpha: float = 1e-4
    max_steps: int = 200
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
            rngs: Initial weights.

        Returns:
            (networks, m).
        """
        widths = (x.shape[1], *self.hidden, 1)
        shapes = list(itertools.pairwise(widths))
        data = _Data.of(x, y.astype(np.float64))
        networks = _Networks(self, shapes, np.stack([_initial(shapes, rng) for rng in rngs]), data)
        fitted = np.empty_like(networks.parameters)
        going = np.arange(len(rngs))  # the networks that are still fitted
        best, stale = np.full(len(rngs), np.inf), np.zeros(len(rngs), dtype=np.int64)
        for _ in range(self.max_steps):
            loss = networks.step()
            stale = np.where(loss > best - self.tolerance, stale + 1, 0)
            best = np.minimum(best, loss)
            stays = stale <= self.patience
            if not stays.all():
                fitted[going] = networks.parameters
                networks, going, best, stale = networks.some(stays), going[stays], best[stays], stale[stays]
                if not len(going):
                    break
        fitted[going] = networks.parameters
        return _outputs(_views(fitted, shapes), x_new)


class _Data(NamedTuple):
    """Data of which equal inputs are one row.

    Attributes:
        x: Inputs, (K, d).
        y: Mean target of each row, (K, 1).
        weights: How often each row occurs, (K, 1).
        size: Number of data.
        rest: Sum of the squared distances of targets from their mean, which no prediction can explain.
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    weights: NDArray[np.float32]
    size: int
    rest: float

    @classmethod
    def of(cls, x: NDArray[np.float32], y: NDArray[np.float64]) -> _Data:
        """Of inputs (n, d) and targets (n,)."""
        as_bytes = np.ascontiguousarray(x).view(np.dtype((np.void, x.itemsize * x.shape[1])))  # are sorted faster
        _, first, which = np.unique(as_bytes.ravel(), return_index=True, return_inverse=True)
        counts = np.bincount(which.reshape(-1))
        means = np.bincount(which.reshape(-1), y) / counts
        mean, weight = (column[:, None].astype(np.float32) for column in (means, counts))
        return cls(x[first], mean, weight, len(y), float(y @ y - counts @ np.square(means)))


_Layers = list[tuple[NDArray[np.float32], NDArray[np.float32]]]
"""Weights (G, a, b) and biases (G, 1, b), layer by layer."""


class _Networks:
    """G networks that are fitted. The weights and biases of one, layer by layer, are a row of ``parameters``."""

    def __init__(
        self, how: Regression, shapes: list[tuple[int, int]], parameters: NDArray[np.float32], data: _Data
    ) -> None:
        self._how, self._shapes, self._data = how, shapes, data
        self.parameters, self._gradient = parameters, np.empty_like(parameters)
        self._layers, self._to_layers = _views(parameters, shapes), _views(self._gradient, shapes)
        self._gradients, self._squares = np.zeros_like(parameters), np.zeros_like(parameters)  # decaying sums
        self._change = np.empty_like(parameters)
        self._steps = 0
        parts = [np.repeat((how.alpha, 0.0), (a * b, b)) for a, b in shapes]
        self._alpha = np.concatenate(parts).astype(np.float32)
        self._hidden = [np.empty((len(parameters), len(data.x), b), np.float32) for _, b in shapes[:-1]]
        self._to_hidden = [np.empty_like(hidden) for hidden in self._hidden]
        self._active = [np.empty(hidden.shape, np.bool_) for hidden in self._hidden]
        self._ones = np.ones((1, len(data.x)), np.float32)  # a product with them sums faster than np.sum

    def some(self, chosen: NDArray[np.bool_]) -> _Networks:
        """Some of the networks, to continue fitting."""
        networks = _Networks(self._how, self._shapes, self.parameters[chosen], self._data)
        networks._gradients, networks._squares = self._gradients[chosen], self._squares[chosen]
        networks._steps = self._steps
        return networks

    def step(self) -> NDArray[np.float64]:
        """A step on all data; returns the losses before it, (G,)."""
        loss = self._differentiate() / (2 * self._data.size)
        self._descend()
        return loss

    def _differentiate(self) -> NDArray[np.float64]:
        """Computes the gradients of the losses' sums over data; returns twice these sums, (G,)."""
        x, y, weights, _, rest = self._data
        values = x
        for (to_units, bias), hidden, active in zip(self._layers, self._hidden, self._active, strict=False):
            np.matmul(values, to_units, out=hidden)
            hidden += bias
            np.greater(hidden, 0, out=active)
            np.multiply(hidden, active, out=hidden)  # faster than np.maximum
            values = hidden
        to_output, bias = self._layers[-1]
        errors = values @ to_output
        errors += bias
        errors -= y
        to_layer = weights * errors
        sums: NDArray[np.float64] = np.einsum("gki,gki->g", to_layer, errors) + rest
        for number in reversed(range(len(self._layers))):
            to_units, _ = self._layers[number]
            to_weights, to_bias = self._to_layers[number]
            np.matmul((self._hidden[number - 1] if number else x).mT, to_layer, out=to_weights)
            np.matmul(self._ones, to_layer, out=to_bias)
            if number:
                # The first form is the second for layers of one unit, and faster. So is a product with a copy.
                product = np.multiply if to_units.shape[2] == 1 else np.matmul
                to_layer = product(to_layer, np.ascontiguousarray(to_units.mT), out=self._to_hidden[number - 1])
                to_layer *= self._active[number - 1]
        decayed = np.multiply(self._alpha, self.parameters, out=self._change)
        sums += np.einsum("gp,gp->g", decayed, self.parameters)
        self._gradient += decayed
        return sums

    def _descend(self) -> None:
        """One step of Adam, which is the same for the mean loss and for its sum over data, but for ε.

        Its running means are the decaying sums here times 1 − decay, which comes into the rate.
        """
        first, second = _DECAYS
        self._steps += 1
        self._gradients *= np.float32(first)
        self._gradients += self._gradient
        self._squares *= np.float32(second)
        self._squares += np.square(self._gradient, out=self._change)
        scale = math.sqrt(1 - second)
        change = np.sqrt(self._squares, out=self._change)
        change += np.float32(_EPSILON * self._data.size / scale)
        np.divide(self._gradients, change, out=change)
        rate = self._how.learning_rate * math.sqrt(1 - second**self._steps) / (1 - first**self._steps)
        change *= np.float32(rate * (1 - first) / scale)
        self.parameters -= change


def _outputs(layers: _Layers, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Outputs of G networks for inputs (m, d): shape (G, m)."""
    values = x
    for number, (weights, bias) in enumerate(layers, start=1):
        values = values @ weights + bias
        if number < len(layers):
            np.maximum(values, 0, out=values)
    return values[:, :, 0]


def _views(vectors: NDArray[np.float32], shapes: list[tuple[int, int]]) -> _Layers:
    """The layers in vectors (G, P)."""
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
