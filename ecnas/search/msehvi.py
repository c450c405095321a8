"""MS-EHVI: mixed surrogates and the expected hypervolume improvement."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ecnas import pareto
from ecnas.cell import Cell
from ecnas.runs.evaluator import Candidate, Evaluator
from ecnas.search.features import descriptors, path_encoding
from ecnas.search.selection import non_dominated, score_matrix


@dataclass(frozen=True)
class MSEHVI:
    """Bayesian optimisation of two objectives, with models only for objectives that need training.

    Source: Izquierdo et al. 2021, https://arxiv.org/abs/2105.01015, section 3: Gaussian processes for objectives that
    need training, exact values for those known beforehand, and the expected hypervolume improvement (Emmerich et al.
    2006, https://doi.org/10.1109/TEVC.2005.851274), here in closed form.

    Attributes:
        num_initial: Random cells at the start.
        batch_size: Trainings between two updates of the models.
        num_candidates: Cells among which the next batch is chosen: half mutations of the front, half random.
        known: Objectives treated as known without training. Only the number of parameters really is. The EC-NAS paper's
            run also treats the energy as known: it reads the energies of cells that it never trained or paid for;
            ``("energy",)`` does the same.
        refit_growth: Length scales take most of the time to fit. They are refitted when the number of trainings has
            grown by this factor.
        max_fit: Length scales are fitted on a random subset of at most this many trainings.
        expected_edges: Mean number of flipped edges of a mutation.
        expected_ops: Mean number of changed operations of a mutation.
    """

    num_initial: int = 10
    batch_size: int = 1
    num_candidates: int = 200
    known: tuple[str, ...] = ("trainable_parameters",)
    refit_growth: float = 1.5
    max_fit: int = 200
    expected_edges: float = 1.0
    expected_ops: float = 1.0

    name: ClassVar[str] = "MS-EHVI"

    def __post_init__(self) -> None:
        for field in ("num_initial", "batch_size", "refit_growth", "max_fit"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be at least 1, got {getattr(self, field)}")
        if self.num_candidates < 2 * self.batch_size:
            raise ValueError(
                f"num_candidates must be at least twice batch_size {self.batch_size}, got {self.num_candidates}"
            )

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        if len(evaluate.objectives) != 2:
            raise ValueError(f"MS-EHVI needs two objectives, got {evaluate.objectives}")
        trained = [evaluate(evaluate.sample(rng)) for _ in range(self.num_initial)]
        models = [_Model() for _ in evaluate.objectives]
        fitted = 0
        while True:
            refit = fitted == 0 or len(trained) >= self.refit_growth * fitted
            fitted = len(trained) if refit else fitted
            cells = self._candidates(trained, evaluate, rng)
            means, deviations = self._predict(models, refit, trained, cells, evaluate, rng)
            front = score_matrix(non_dominated(trained))
            gains = expected_hypervolume_improvement(means, deviations, front, evaluate.reference)
            best = np.argsort(-gains, kind="stable")[: self.batch_size]
            trained += [evaluate(cells[position]) for position in best.tolist()]

    def _candidates(self, trained: list[Candidate], evaluate: Evaluator, rng: np.random.Generator) -> list[Cell]:
        front = non_dominated(trained)
        cells = [evaluate.sample(rng) for _ in range(self.num_candidates // 2)]
        for _ in range(self.num_candidates - len(cells)):
            parent = front[int(rng.integers(len(front)))].cell
            cells.append(evaluate.mutate_anew(parent, rng, self.expected_edges, self.expected_ops))
        return list({cell.row: cell for cell in cells}.values())

    def _predict(
        self,
        models: list[_Model],
        refit: bool,
        trained: list[Candidate],
        cells: list[Cell],
        evaluate: Evaluator,
        rng: np.random.Generator,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Means and standard deviations of the cells' scores, shape (cells, 2) each."""
        rows = np.array([candidate.cell.row for candidate in trained])
        new_rows = np.array([cell.row for cell in cells])
        x, x_new, scores = _features(evaluate, rows), _features(evaluate, new_rows), score_matrix(trained)
        subset = rng.permutation(len(trained))[: self.max_fit]
        means, deviations = np.zeros((len(cells), 2)), np.zeros((len(cells), 2))
        for column, name in enumerate(evaluate.objectives):
            if name in self.known:
                means[:, column] = evaluate.known_scores(new_rows)[:, column]
                continue
            if refit:
                models[column].fit_scales(x[subset], scores[subset, column])
            means[:, column], deviations[:, column] = models[column].predict(x, scores[:, column], x_new)
        return means, deviations


def expected_hypervolume_improvement(
    means: NDArray[np.float64],
    deviations: NDArray[np.float64],
    front: NDArray[np.float64],
    reference: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Expected gain in a front's hypervolume from a point with independent normal coordinates.

    The region not dominated by the front is cut into strips at the front's first coordinates. The expected gain in a
    strip is the product of two one-dimensional expected improvements (Yang et al. 2019,
    https://doi.org/10.1007/s10898-019-00798-7).

    Args:
        means: Shape (n, 2), to be maximised.
        deviations: Standard deviations, shape (n, 2); 0 for known values.
        front: Points, shape (k, 2).
        reference: Reference point, shape (2,).

    Returns:
        Shape (n,).
    """
    above = front[(front > reference).all(axis=1)]
    above = above[pareto.non_dominated(above)] if len(above) else above
    edges = np.concatenate(([reference[0]], above[:, 0], [np.inf]))  # ascending
    floors = np.concatenate((above[:, 1], [reference[1]]))  # descending: the second coordinate's threshold per strip
    widths = _expected_excess(means[:, :1], deviations[:, :1], edges[:-1])
    widths -= _expected_excess(means[:, :1], deviations[:, :1], edges[1:])
    heights = _expected_excess(means[:, 1:], deviations[:, 1:], floors)
    gains: NDArray[np.float64] = (widths * heights).sum(axis=1)
    return gains


def _expected_excess(
    mean: NDArray[np.float64], deviation: NDArray[np.float64], threshold: NDArray[np.float64]
) -> NDArray[np.float64]:
    """E[max(X − t, 0)] of normal X, shape (n, 1) against (k,) to (n, k); 0 for an infinite threshold."""
    from scipy.special import ndtr

    margin = np.where(np.isinf(threshold), -1.0, mean - np.where(np.isinf(threshold), 0.0, threshold))
    safe = np.where(deviation > 0, deviation, 1.0)
    z = margin / safe
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    excess = np.where(deviation > 0, margin * ndtr(z) + safe * density, np.maximum(margin, 0.0))
    return np.where(np.isinf(threshold), 0.0, excess)


def _features(evaluate: Evaluator, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.hstack([descriptors(evaluate.benchmark.space, rows), path_encoding(rows, max_ops=1)])


class _Model:
    """A Gaussian process on standardised metrics. Its length scales are fitted separately from its data."""

    def __init__(self) -> None:
        self._kernel: Any = None

    def fit_scales(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

        self._centre, self._spread = x.mean(axis=0), np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0)
        kernel = ConstantKernel(1.0, (1e-2, 1e3)) * Matern(np.full(x.shape[1], 3.0), (0.3, 1e3), nu=2.5)
        model = GaussianProcessRegressor(kernel + WhiteKernel(0.1, (1e-4, 1.0)), normalize_y=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # scales of features that do not matter hit their bound
            model.fit(self._scaled(x), y)
        self._kernel = model.kernel_

    def predict(
        self, x: NDArray[np.float64], y: NDArray[np.float64], x_new: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        from sklearn.gaussian_process import GaussianProcessRegressor

        model = GaussianProcessRegressor(self._kernel, optimizer=None, normalize_y=True)
        model.fit(self._scaled(x), y)
        mean, deviation = model.predict(self._scaled(x_new), return_std=True)
        return mean, deviation

    def _scaled(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        scaled: NDArray[np.float64] = (x - self._centre) / self._spread
        return scaled
