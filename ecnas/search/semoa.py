"""SEMOA, the multi-objective searcher of the EC-NAS paper."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ecnas.runs.evaluator import Candidate, Evaluator
from ecnas.search.selection import by_contribution, linear_ranking, non_dominated


@dataclass(frozen=True)
class SEMOA:
    """Simple evolutionary multi-objective algorithm with an unbounded set of non-dominated cells as its population.

    In every generation, parents are drawn from the population by linear ranking on their exclusive hypervolume
    contributions. Each has one mutated child. Dominated cells are then removed.

    Sources: Bakhtiarifard et al. 2024, https://arxiv.org/abs/2210.06015, section 3, after Krause et al. 2016,
    https://doi.org/10.1007/978-3-319-45823-6_84. Hypervolume is measured on normalised objectives, from a point near
    the nadir of the exact front, so that both objectives count.

    Attributes:
        population_size: Random cells at the start, and children of each generation.
        generations: Generations, including the random one; None continues until the budget is spent.
        pressure: η⁺ of the linear ranking.
        expected_edges: Mean number of flipped edges of a mutation.
        expected_ops: Mean number of changed operations of a mutation.
        min_epochs: Fidelity of the first generation. Each following generation takes the next higher one, and after
            the fidelity of the search they start over, as in the publisher's example. The population is then trained at
            every fidelity, and cells compete at one fidelity only. None trains all at the fidelity of the search.
        repeats: Allow children that were trained before. They are trained and charged again, as in the publisher's
            code. By default such a child is drawn again, since it would add no information.
    """

    population_size: int = 10
    generations: int | None = None
    pressure: float = 1.9
    expected_edges: float = 2.0
    expected_ops: float = 0.5
    min_epochs: int | None = None
    repeats: bool = False

    name: ClassVar[str] = "SEMOA"

    def __post_init__(self) -> None:
        if self.population_size < 1:
            raise ValueError(f"population_size must be at least 1, got {self.population_size}")
        if self.generations is not None and self.generations < 1:
            raise ValueError(f"generations must be at least 1 (or None for no limit), got {self.generations}")
        linear_ranking(2, self.pressure)  # checks it

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        fidelities = [evaluate.epochs] if self.min_epochs is None else evaluate.fidelities(self.min_epochs)
        known: dict[tuple[int, int], Candidate] = {}  # no training is repeated just to compare cells
        mutate = evaluate.mutate if self.repeats else evaluate.mutate_anew
        population: list[Candidate] = []
        parents: list[Candidate] = []
        for generation in itertools.count():
            if generation == self.generations:
                return
            epochs = fidelities[generation % len(fidelities)]
            if len(fidelities) > 1:
                population = [known.get((c.cell.row, epochs)) or evaluate(c.cell, epochs) for c in population]
            children = [
                evaluate(mutate(parent.cell, rng, self.expected_edges, self.expected_ops), epochs) for parent in parents
            ] or [evaluate(evaluate.sample(rng), epochs) for _ in range(self.population_size)]
            population = non_dominated([*population, *children])
            known.update(((c.cell.row, epochs), c) for c in population)
            parents = self.select(population, evaluate.reference, rng)

    def select(
        self, population: list[Candidate], reference: NDArray[np.float64], rng: np.random.Generator
    ) -> list[Candidate]:
        """Draws the parents of a generation, with replacement."""
        ranked = by_contribution(population, reference)
        chosen = rng.choice(len(ranked), size=self.population_size, p=linear_ranking(len(ranked), self.pressure))
        return [ranked[position] for position in chosen.tolist()]
