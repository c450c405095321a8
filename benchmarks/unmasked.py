"""REINFORCE as NAS-Bench-101's study describes it: matrices and operations are drawn until they make a cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ecnas.encoding import MAX_INNER, MAX_VERTICES, NUM_OPERATIONS, OP_WEIGHTS
from ecnas.runs import Evaluator

DRAWS = 64
"""Matrices that are drawn at once."""


@dataclass(frozen=True)
class UnmaskedREINFORCE:
    """Search with REINFORCE over logits of 21 edges and 5 operations, without masks.

    Source: Ying et al. 2019, https://arxiv.org/abs/1902.09635, supplement. What is no cell costs and teaches nothing.
    """

    learning_rate: float = 0.5
    """Step size of gradient ascent."""
    baseline_decay: float = 0.9
    """Decay of the moving average of rewards that a reward must beat to be reinforced."""
    raw: bool = False
    """Learn from accuracies as they are, not from the environments' rewards, which run from 0 to 1."""

    name: ClassVar[str] = "REINFORCE without masks"

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        """Learns until the budget is spent."""
        space = evaluate.benchmark.space
        num_edges = MAX_VERTICES * (MAX_VERTICES - 1) // 2
        # One table of logits; edges have no third choice.
        logits = np.zeros((num_edges + MAX_INNER, NUM_OPERATIONS))
        logits[:num_edges, 2] = -np.inf
        weights = np.concatenate([1 << np.arange(num_edges), OP_WEIGHTS])
        average = weight = 0.0
        while True:
            rows = np.empty(0, dtype=np.int64)
            while not (rows >= 0).any():
                choices = (logits + rng.gumbel(size=(DRAWS, *logits.shape))).argmax(axis=2)
                placed = choices * weights
                rows = space.rows(placed[:, :num_edges].sum(axis=1), placed[:, num_edges:].sum(axis=1))
            first = int(np.argmax(rows >= 0))
            candidate = evaluate(space[int(rows[first])])
            reward = candidate.evaluation.val_accuracy if self.raw else candidate.reward
            average = self.baseline_decay * average + (1 - self.baseline_decay) * reward
            weight = self.baseline_decay * weight + (1 - self.baseline_decay)
            probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
            probabilities /= probabilities.sum(axis=1, keepdims=True)
            taken = choices[first][:, None] == np.arange(NUM_OPERATIONS)
            logits += self.learning_rate * (reward - average / weight) * (taken - probabilities)
