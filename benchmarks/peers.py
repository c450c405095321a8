"""Searchers of other libraries and papers, for comparison: no part of the package."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from ecnas_gym.agents.critic import cell_features
from numpy.typing import NDArray

from ecnas import Space, interchange
from ecnas.encoding import MAX_INNER, MAX_VERTICES, NUM_OPERATIONS, OP_WEIGHTS, batch_to_frame, to_frame
from ecnas.runs import Evaluator
from ecnas.search.variation import mutations


def draw_by_matrix(space: Space, number: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of cells drawn by a random matrix and random operations; what is no cell is drawn again."""
    return draw_matrices(space, number, rng)[2]


def draw_matrices(
    space: Space, number: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Frame bits, operation codes and rows of random matrices with random operations; only cells, each (number,)."""
    found = np.empty((3, 0), dtype=np.int64)
    while found.shape[1] < number:
        size = max(64, 4 * number)
        adjacency = np.triu(rng.integers(2, size=(size, MAX_VERTICES, MAX_VERTICES)), k=1)
        bits, codes = batch_to_frame(adjacency, rng.integers(NUM_OPERATIONS, size=(size, MAX_INNER)))
        rows = space.rows(bits, codes)
        found = np.hstack([found, np.stack([bits, codes, rows])[:, rows >= 0]])
    bits, codes, rows = found[:, :number]
    return bits, codes, rows


@dataclass(frozen=True)
class TPE:
    """Tree-structured Parzen estimators of Optuna over edges and operations. What is no cell costs nothing.

    Source: Bergstra et al. 2011, https://papers.nips.cc/paper/4443; https://optuna.org.
    """

    num_initial: int = 10
    """Random cells to begin with."""

    name: ClassVar[str] = "TPE"

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        """Searches until the budget is spent."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(n_startup_trials=self.num_initial, seed=int(rng.integers(2**31)))
        study = optuna.create_study(direction="maximize", sampler=sampler)
        while True:
            trial = study.ask()
            try:
                cell = interchange.suggest(trial, evaluate.benchmark.space)
            except optuna.TrialPruned:
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                continue
            study.tell(trial, evaluate(cell).reward)


@dataclass(frozen=True)
class GaussianProcess:
    """A Gaussian process of scikit-learn on adjacency matrices and one-hot operations, with expected improvement."""

    num_initial: int = 10
    """Random cells to begin with."""
    refit: int = 10
    """Evaluations between two fits of length scale and noise."""
    num_fresh: int = 1000
    """Random cells among which the next is chosen."""
    num_mutations: int = 200
    """Mutations of the ten best that compete with them."""

    name: ClassVar[str] = "Gaussian process"

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        """Searches until the budget is spent."""
        from scipy.stats import norm
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

        space = evaluate.benchmark.space
        rows = draw_by_matrix(space, self.num_initial, rng)
        rewards = np.array([evaluate(space[row]).reward for row in rows.tolist()])
        start = ConstantKernel(1.0) * Matern(3.0, (0.3, 30.0), nu=2.5) + WhiteKernel(0.1, (1e-4, 10.0))
        fitted = start
        while True:
            fit = len(rows) % self.refit == 0
            process = GaussianProcessRegressor(
                start if fit else fitted, optimizer="fmin_l_bfgs_b" if fit else None, normalize_y=True
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # where the likelihood is highest at a bound, the bound it is
                process.fit(one_hot(space, rows), rewards)
            fitted = process.kernel_
            best = rows[np.argsort(-rewards, kind="stable")[:10]]
            near = mutations(space, rng.choice(best, size=self.num_mutations), rng, 1.0, 1.0)
            drawn = np.unique(np.concatenate([near[near >= 0], draw_by_matrix(space, self.num_fresh, rng)]))
            candidates = drawn[~np.isin(drawn, rows)]
            mean, deviation = process.predict(one_hot(space, candidates), return_std=True)
            gain = (mean - rewards.max()) / deviation
            improvement = deviation * (gain * norm.cdf(gain) + norm.pdf(gain))
            row = int(candidates[np.argmax(improvement)])
            rows, rewards = np.append(rows, row), np.append(rewards, evaluate(space[row]).reward)


def one_hot(space: Space, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """The 21 edges of the frame of seven vertices and its 15 possible operations, 0 and 1: shape (n, 36)."""
    cells = space.cells
    num_vertices = cells.num_vertices[rows]
    num_edges = MAX_VERTICES * (MAX_VERTICES - 1) // 2
    edges = to_frame(num_vertices, cells.edge_bits[rows])[:, None] >> np.arange(num_edges) & 1
    digits = cells.op_codes[rows][:, None] // np.array(OP_WEIGHTS) % NUM_OPERATIONS
    used = np.arange(MAX_INNER) < (num_vertices - 2)[:, None]
    operations = (digits[:, :, None] == np.arange(NUM_OPERATIONS)) & used[:, :, None]
    return np.hstack([edges, operations.reshape(len(rows), -1)]).astype(np.float64)


@dataclass(frozen=True)
class LaNAS:
    """Latent action search: a tree of linear splits of the space, and a random cell from its most promising leaf.

    A node splits the cells that were trained in it by a linear model of their ranks, at the median of what it predicts.
    Upper confidence bounds lead down the tree; it is learned anew after every training.

    Source: Wang et al. 2019, https://arxiv.org/abs/1906.06832.
    """

    num_initial: int = 50
    """Random cells to begin with."""
    height: int = 5
    """Most splits between the root and a leaf."""
    min_cells: int = 8
    """Trained cells that a node needs to be split."""
    exploration: float = 0.5
    """Weight of the uncertainty of a side's value, where ranks are from 0 to 1."""
    num_random: int = 1000
    """Random cells out of which the leaf's are taken."""

    name: ClassVar[str] = "LaNAS"

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        """Searches until the budget is spent."""
        space = evaluate.benchmark.space
        features = cell_features(space)
        present = np.setdiff1d(np.arange(len(space)), list(evaluate.missing))
        rows = rng.choice(present, size=self.num_initial, replace=False)
        rewards = np.array([evaluate(space[row]).reward for row in rows.tolist()])
        while True:
            drawn = np.setdiff1d(rng.choice(present, size=self.num_random), rows)
            ranks = (rewards.argsort().argsort() + 0.5) / len(rewards)
            leaf = self.leaf(_with_one(features(rows)), ranks, _with_one(features(drawn)))
            row = int(rng.choice(drawn[leaf] if len(leaf) else present))
            rows, rewards = np.append(rows, row), np.append(rewards, evaluate(space[row]).reward)

    def leaf(
        self, known: NDArray[np.float64], ranks: NDArray[np.float64], drawn: NDArray[np.float64]
    ) -> NDArray[np.intp]:
        """Which cells fall into the most promising leaf.

        Args:
            known: Features of the cells that were trained, (n, size).
            ranks: Theirs, from 0 (worst) to 1, (n,).
            drawn: Features of other cells, (m, size).

        Returns:
            Positions in ``drawn``.
        """
        here, inside = np.arange(len(known)), np.arange(len(drawn))
        for _ in range(self.height):
            if len(here) < self.min_cells:
                break
            x = known[here]
            weights = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ ranks[here])
            predicted = x @ weights
            middle = np.median(predicted)
            sides = [(here[predicted > middle], True), (here[predicted <= middle], False)]
            if not all(len(cells) for cells, _ in sides):
                break
            here, upper = max(sides, key=lambda side: self._bound(ranks[side[0]], len(x)))
            inside = inside[(drawn[inside] @ weights > middle) == upper]
        return inside

    def _bound(self, ranks: NDArray[np.float64], trained: int) -> float:
        return float(ranks.mean()) + self.exploration * math.sqrt(2 * math.log(trained) / len(ranks))


def _with_one(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Features, (n, size), and a column of ones: (n, size + 1)."""
    return np.column_stack([features.astype(np.float64), np.ones(len(features))])
