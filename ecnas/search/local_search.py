"""Local search with restarts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ecnas.runs.evaluator import Candidate, Evaluator


@dataclass(frozen=True)
class LocalSearch:
    """Climbs from neighbour to neighbour; at a local optimum it starts again elsewhere.

    Source: White et al. 2021, https://arxiv.org/abs/2005.02960, algorithm 1: from the best of some random cells, train
    all neighbours and go on with the best of them. A neighbour that was trained before is not trained again.

    Attributes:
        num_initial: Random cells of which each climb starts from the best.
        first_improvement: Go to the first neighbour that is better, in random order, instead of training them all.
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
        """The better neighbour to go to; None at a local optimum."""
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
