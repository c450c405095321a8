"""A Gaussian process for a few thousand measurements, some of them wrong.

The kernel is a rational quadratic with one length scale per feature, plus a linear one and a constant (Rasmussen and
Williams 2006, chapters 4 and 5). Lengths and variances maximise the marginal likelihood of random subsets. Measurements
that do not fit get less weight: Student's t noise with three degrees of freedom is Gaussian noise whose variance
differs between measurements, and the expected weights follow from the leave-one-out residuals.

Needs torch (``pip install 'ecnas-gym[surrogate]'``).
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

DEGREES_OF_FREEDOM: Final = 3.0
_JITTER: Final = 1e-8

Floats = NDArray[np.float64]


class GaussianProcess:
    """Regression that is smooth in its features and robust to outliers.

    Args:
        steps: Steps of Adam on the marginal likelihood.
        subset: Measurements in a subset; a step costs its third power.
        one_length: Whether all features share one length scale, for measurements too few to fit several.
        seed: Seed of the subsets.
    """

    def __init__(self, steps: int = 100, subset: int = 700, one_length: bool = False, seed: int = 0) -> None:
        self.steps, self.subset, self.one_length, self.seed = steps, subset, one_length, seed

    def fit(self, features: Floats, targets: Floats) -> GaussianProcess:
        """Learns from n measurements: features of shape (n, F), targets of shape (n,)."""
        features, targets = features.astype(np.float64), targets.astype(np.float64)
        self._mean, self._scale = features.mean(axis=0), features.std(axis=0) + 1e-9
        self._centre, self._spread = float(np.median(targets)), float(targets.std()) + 1e-12
        points, values = self._points(features), torch.from_numpy((targets - self._centre) / self._spread)
        self._start(points.shape[1])
        weights = torch.ones_like(values)
        self._maximise_likelihood(points, values, weights)
        with torch.no_grad():
            weights = torch.ones_like(values)
            for _ in range(4):  # the weights settle within three rounds
                inverse, self._solved = self._solve(points, values, weights)
                weights = self._new_weights(inverse, self._solved, weights)
            self._known, self._known_factor = points, self._factor(points, weights)
        return self

    def fit_nothing(self, features: Floats) -> GaussianProcess:
        """The prior of cells with these features, before anything is measured."""
        features = features.astype(np.float64)
        self._mean, self._scale = features.mean(axis=0), features.std(axis=0) + 1e-9
        self._centre, self._spread = 0.0, 1.0
        self._start(features.shape[1])
        with torch.no_grad():
            self._known, self._solved = self._points(features[:0]), torch.zeros(0, dtype=torch.float64)
            self._known_factor = torch.zeros((0, 0), dtype=torch.float64)
        return self

    def predict(self, features: Floats) -> Floats:
        """Expected targets of m cells: features of shape (m, F) to float64 of shape (m,)."""
        starts = range(0, len(features), 8192)
        with torch.no_grad():
            parts = [self._points(features[start : start + 8192]) for start in starts]
            means = torch.cat([self._kernel(part, self._known) @ self._solved for part in parts])
        return np.asarray(means.numpy() * self._spread + self._centre, dtype=np.float64)

    def covariance(self, features: Floats) -> Floats:
        """Posterior covariance of the targets of m cells.

        Args:
            features: Shape (m, F).

        Returns:
            Covariance of the noiseless targets, shape (m, m), in squares of their unit (Rasmussen and Williams 2006,
            equation 2.26).
        """
        with torch.no_grad():
            points = self._points(features)
            shared = torch.linalg.solve_triangular(self._known_factor, self._kernel(self._known, points), upper=False)
            covariance = self._kernel(points, points) - shared.T @ shared
        return np.asarray(covariance.numpy() * self._spread**2, dtype=np.float64)

    @property
    def noise(self) -> float:
        """Variance of a correct measurement, in squares of the targets' unit."""
        with torch.no_grad():
            return float(torch.exp(self._log_noise)) * self._spread**2

    def _points(self, features: Floats) -> Tensor:
        return torch.from_numpy((features - self._mean) / self._scale)

    def _start(self, num_features: int) -> None:
        def parameter(value: float, *shape: int) -> Tensor:
            return torch.full(shape, value, dtype=torch.float64, requires_grad=True)

        self._log_lengths = parameter(0.5 * math.log(num_features), 1 if self.one_length else num_features)
        self._log_smooth, self._log_linear, self._log_constant = parameter(0.0), parameter(0.0), parameter(-1.0)
        self._log_shape, self._log_noise = parameter(0.0), parameter(-6.0)

    def _kernel(self, left: Tensor, right: Tensor) -> Tensor:
        a, b = left / torch.exp(self._log_lengths), right / torch.exp(self._log_lengths)
        distance = ((a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * a @ b.T).clamp_min(0)
        shape = torch.exp(self._log_shape)
        smooth = torch.exp(self._log_smooth) * (1 + distance / (2 * shape)) ** -shape
        linear = torch.exp(self._log_linear) * (left @ right.T) / left.shape[1]
        return smooth + linear + torch.exp(self._log_constant)

    def _factor(self, points: Tensor, weights: Tensor) -> Tensor:
        noise = torch.exp(self._log_noise) / weights + _JITTER
        factor: Tensor = torch.linalg.cholesky(self._kernel(points, points) + torch.diag(noise))
        return factor

    def _solve(self, points: Tensor, values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        factor = self._factor(points, weights)
        return torch.cholesky_inverse(factor), torch.cholesky_solve(values[:, None], factor)[:, 0]

    def _maximise_likelihood(self, points: Tensor, values: Tensor, weights: Tensor) -> None:
        parameters = [self._log_lengths, self._log_smooth, self._log_linear, self._log_constant]
        parameters += [self._log_shape, self._log_noise]
        optimiser = torch.optim.Adam(parameters, lr=0.08)
        rng = np.random.default_rng(self.seed)
        chosen = torch.arange(len(values))
        for step in range(self.steps):
            if step % 20 == 0 and len(values) > self.subset:
                chosen = torch.from_numpy(rng.choice(len(values), self.subset, replace=False))
            factor = self._factor(points[chosen], weights[chosen])
            solved = torch.cholesky_solve(values[chosen, None], factor)[:, 0]
            loss: Any = 0.5 * values[chosen] @ solved + factor.diagonal().log().sum()
            loss = loss + 0.025 * ((self._log_lengths - 1) ** 2).sum()  # lengths of about e unless the data object
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if step % 20 == 19:
                with torch.no_grad():
                    inverse, solved = self._solve(points[chosen], values[chosen], weights[chosen])
                    weights[chosen] = self._new_weights(inverse, solved, weights[chosen])
        for value in parameters:
            value.requires_grad_(False)

    def _new_weights(self, inverse: Tensor, solved: Tensor, weights: Tensor) -> Tensor:
        """Expected weights given the leave-one-out residuals (Rasmussen and Williams 2006, equation 5.12)."""
        noise = torch.exp(self._log_noise)
        residuals = solved / inverse.diagonal()
        uncertainty = (1 / inverse.diagonal() - noise / weights).clamp_min(0)  # of the prediction itself
        return (DEGREES_OF_FREEDOM + 1) / (DEGREES_OF_FREEDOM + residuals**2 / (noise + uncertainty))
