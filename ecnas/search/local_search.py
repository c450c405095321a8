"""Local search with restarts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ecnas.runs.evaluator import Candidate, Evaluator


@dataclass(frozen=True)
class LocalSearch:
    """Climbs from neighbour to neighbour, and restarts elsewhere at a local optimum.

    Source: White et al. 2021, https://arxiv.org/abs/2005.02960, algorithm 1: start at the best of some random cells,
    train all its neighbours and continue with the best one. No neighbour is trained twice.

    Attributes:
        num_initial: Random cells at the start of each climb, which begins at the best of them.
        first_improvement: Visit neighbours in random order and move to the first better one, instead of training all.
    """

    num_initial: int = 10
    first_improvement: bool = False

    name: ClassVar[str] = "local search"

    def __post_init__(self) -> None:
        if self.num_initial < 1:
            raise ValueError(f"num_initial must be at least 1, got {self.num_initial}")

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        known: dict[int, Candidate] = {}
        while True:
            start = [evaluate(evaluate.sample(rng)) for _ in range(self.num_initial)]
            known.update((candidate.cell.row, candidate) for candidate in start)
            current: Candidate | None = max(start, key=lambda candidate: candidate.reward)
            while current is not None:
                current = self._step(current, known, evaluate, rng)

    def _step(
        self, current: Candidate, known: dict[int, Candidate], evaluate: Evaluator, rng: np.random.Generator
    ) -> Candidate | None:
        """The better neighbour to move to; None at a local optimum."""
        best = current
        neighbours = evaluate.neighbours(current.cell)
        for position in rng.permutation(len(neighbours)).tolist():
            cell = neighbours[position]
            if cell.row not in known:
                known[cell.row] = evaluate(cell)
            if known[cell.row].reward > best.reward:
                best = known[cell.row]
                if self.first_improvement:
                    break
        return None if best is current else best
