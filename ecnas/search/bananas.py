"""BANANAS-style Bayesian optimisation: an ensemble of small networks on the path encoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ecnas.runs.evaluator import FRESH_TRIES, Candidate, Evaluator
from ecnas.search.features import path_encoding
from ecnas.search.regression import Regression
from ecnas.search.variation import mutations


@dataclass(frozen=True)
class BANANAS:
    """Predicts rewards with an ensemble and trains the cells that Thompson sampling prefers.

    Source: White et al. 2021, https://arxiv.org/abs/1910.11858, algorithm 1: path encoding, an ensemble of feed-forward
    networks, independent Thompson sampling, and candidates that are mutations of the best cells so far. The networks
    here are smaller (two layers), and fitted by steps on all data to the squared error on standardised rewards. The
    searcher recommends the trained cell with the highest predicted reward.

    Attributes:
        num_initial: Random cells at the start.
        batch_size: Trainings between two fits of the ensemble.
        ensemble_size: Number of networks.
        hidden: Widths of their hidden layers.
        num_candidates: Cells among which the next batch is chosen.
        num_parents: How many of the best cells so far are mutated into candidates.
        expected_edges: Mean number of flipped edges of a mutation.
        expected_ops: Mean number of changed operations of a mutation.
        max_ops: Longest path in the encoding, in operations; 3 gives the paper's 40 features.
    """

    num_initial: int = 10
    batch_size: int = 10
    ensemble_size: int = 3
    hidden: tuple[int, ...] = (64, 64)
    num_candidates: int = 100
    num_parents: int = 10
    expected_edges: float = 1.0
    expected_ops: float = 1.0
    max_ops: int = 3

    name: ClassVar[str] = "BANANAS"

    def __post_init__(self) -> None:
        for field in ("num_initial", "batch_size", "num_parents"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be at least 1, got {getattr(self, field)}")
        if self.ensemble_size < 2:
            raise ValueError(f"ensemble_size must be at least 2 to tell uncertainty, got {self.ensemble_size}")
        if self.num_candidates < self.batch_size:
            raise ValueError(f"num_candidates must be at least batch_size {self.batch_size}, got {self.num_candidates}")

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        space = evaluate.benchmark.space
        trained = [evaluate(evaluate.sample(rng)) for _ in range(self.num_initial)]
        while True:
            rows = self._candidates(trained, evaluate, rng)
            known = np.array([candidate.cell.row for candidate in trained])
            # The networks smooth: their predictions for trained cells separate merit from luck.
            predicted = self._predict(trained, np.concatenate([known, rows]), rng)
            of_known, predictions = np.split(predicted, [len(known)], axis=1)
            evaluate.recommend(trained[int(np.argmax(of_known.mean(axis=0)))].cell)
            # Independent Thompson sampling: each candidate's reward is drawn from its own normal distribution.
            drawn = rng.normal(predictions.mean(axis=0), predictions.std(axis=0, ddof=1))
            best = np.argsort(-drawn, kind="stable")[: self.batch_size]
            trained += [evaluate(space[row]) for row in rows[best].tolist()]

    def _candidates(self, trained: list[Candidate], evaluate: Evaluator, rng: np.random.Generator) -> NDArray[np.int64]:
        """Rows of distinct mutations of the best cells. Trained ones are included only if too few others are found."""
        best = sorted(trained, key=lambda candidate: -candidate.reward)[: self.num_parents]
        parents = np.array([candidate.cell.row for candidate in best])
        drawn = np.empty(0, dtype=np.int64)
        for _ in range(FRESH_TRIES):
            chosen = rng.choice(parents, size=2 * self.num_candidates)
            varied = mutations(evaluate.benchmark.space, chosen, rng, self.expected_edges, self.expected_ops)
            drawn = np.append(drawn, [row for row in varied.tolist() if row >= 0 and row not in evaluate.missing])
            drawn = drawn[np.sort(np.unique(drawn, return_index=True)[1])].astype(np.int64)
            is_new = evaluate.are_new(drawn)
            if np.count_nonzero(is_new) >= self.num_candidates:
                break
        rows = np.concatenate([drawn[is_new], drawn[~is_new]])[: self.num_candidates]
        return rows if len(rows) else np.array([evaluate.sample(rng).row])

    def _predict(
        self, trained: list[Candidate], rows: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Predicted rewards of cells by their rows, (n,): shape (ensemble_size, n)."""
        x = path_encoding(np.array([candidate.cell.row for candidate in trained]), self.max_ops)
        rewards = np.array([candidate.reward for candidate in trained])
        centre, spread = rewards.mean(), rewards.std() or 1.0
        x_new = path_encoding(rows, self.max_ops)
        networks = Regression(self.hidden, learning_rate=0.01, alpha=1e-3, tolerance=1e-3)
        targets = ((rewards - centre) / spread).astype(np.float32)
        predictions = networks.predict(
            x.astype(np.float32), targets, x_new.astype(np.float32), rng.spawn(self.ensemble_size)
        )
        return np.asarray(centre + spread * predictions.astype(np.float64))
