"""Regularised (aging) evolution."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ecnas.runs.evaluator import Candidate, Evaluator


@dataclass(frozen=True)
class RegularisedEvolution:
    """Tournament selection by reward, mutation, and removal of the oldest cell.

    Sources: Real et al. 2019, https://arxiv.org/abs/1802.01548, algorithm 1; sizes and mutation as in Ying et al. 2019,
    https://arxiv.org/abs/1902.09635, supplement S3.

    Attributes:
        population_size: Cells in the population, and random cells at the start.
        tournament_size: Cells drawn from the population without replacement; the best becomes the parent.
        expected_edges: Mean number of flipped edges of a mutation.
        expected_ops: Mean number of changed operations of a mutation.
    """

    population_size: int = 100
    tournament_size: int = 10
    expected_edges: float = 1.0
    expected_ops: float = 1.0

    name: ClassVar[str] = "regularised evolution"

    def __post_init__(self) -> None:
        if self.population_size < 1:
            raise ValueError(f"population_size must be at least 1, got {self.population_size}")
        if not 1 <= self.tournament_size <= self.population_size:
            raise ValueError(
                f"tournament_size must be from 1 to population_size {self.population_size}, got {self.tournament_size}"
            )

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        population: deque[Candidate] = deque(maxlen=self.population_size)  # a full deque drops its oldest
        for _ in range(self.population_size):
            population.append(evaluate(evaluate.sample(rng)))
        while True:
            parent = self.select(population, rng)
            population.append(evaluate(evaluate.mutate(parent.cell, rng, self.expected_edges, self.expected_ops)))

    def select(self, population: deque[Candidate], rng: np.random.Generator) -> Candidate:
        """The winner of one tournament."""
        members = rng.choice(len(population), size=self.tournament_size, replace=False)
        return max((population[int(member)] for member in members), key=lambda candidate: candidate.reward)
