"""SH-EMOA: an evolutionary multi-objective algorithm sped up by successive halving."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ecnas import pareto
from ecnas.cell import Cell
from ecnas.runs.evaluator import Candidate, Evaluator
from ecnas.search.selection import score_matrix
from ecnas.search.variation import crossover


@dataclass(frozen=True)
class SHEMOA:
    """A steady-state hypervolume algorithm that begins with short trainings and ends with full ones.

    *Multi-fidelity.* The population first evolves at the lowest fidelity; then all of it is trained at the next, and so
    on. Every fidelity gets the same share of the budget's epochs, kWh or seconds, hence fewer trainings where they are
    longer. A budget in evaluations first pays for one training of the population at each fidelity; the rest is split in
    inverse proportion to the epochs. Cells compete at one fidelity only.

    Source: Izquierdo et al. 2021, https://arxiv.org/abs/2105.01015, section 3 (survival as in SMS-EMOA, Beume et al.
    2007). As there, a child is either mutated or recombined. Unlike there, mutation changes edges *and* operations.

    Attributes:
        population_size: Cells in the population.
        min_epochs: The lowest fidelity; the benchmark's lowest by default.
        tournament_size: Cells in a tournament; the best becomes a parent.
        crossover_probability: Probability that a child is recombined from two parents instead of mutated.
        expected_edges: Mean number of flipped edges of a mutation.
        expected_ops: Mean number of changed operations of a mutation.
    """

    population_size: int = 10
    min_epochs: int | None = None
    tournament_size: int = 3
    crossover_probability: float = 0.5
    expected_edges: float = 1.0
    expected_ops: float = 1.0

    name: ClassVar[str] = "SH-EMOA"

    def __post_init__(self) -> None:
        if self.population_size < 1:
            raise ValueError(f"population_size must be at least 1, got {self.population_size}")
        if not 1 <= self.tournament_size <= self.population_size:
            raise ValueError(
                f"tournament_size must be from 1 to population_size {self.population_size}, got {self.tournament_size}"
            )
        if not 0 <= self.crossover_probability <= 1:
            raise ValueError(f"crossover_probability must be from 0 to 1, got {self.crossover_probability}")

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        fidelities = evaluate.fidelities(self.min_epochs)
        shares = self.shares(fidelities, evaluate)
        population = [evaluate(evaluate.sample(rng), fidelities[0]) for _ in range(self.population_size)]
        for epochs, share in zip(fidelities, shares, strict=True):
            if epochs != fidelities[0]:
                population = [evaluate(candidate.cell, epochs) for candidate in population]
            population = ranked(population, evaluate.reference)
            while epochs == fidelities[-1] or evaluate.fraction_spent < share:
                child = evaluate(self._child(population, evaluate, rng), epochs)
                population = ranked([*population, child], evaluate.reference)[: self.population_size]

    def shares(self, fidelities: list[int], evaluate: Evaluator) -> NDArray[np.float64]:
        """The fraction of the budget at which each fidelity ends, shape (fidelities,)."""
        parts = np.full(len(fidelities), 1.0 / len(fidelities))
        limits = evaluate.budget.limits
        if set(limits) == {"evaluations"}:
            weights = 1.0 / np.array(fidelities)
            # Each fidelity begins by training the whole population; the rest is split.
            population = min(self.population_size / limits["evaluations"], parts[0])
            parts = population + (1.0 - len(fidelities) * population) * weights / weights.sum()
        before = evaluate.fraction_spent
        cumulative: NDArray[np.float64] = before + (1.0 - before) * np.cumsum(parts)
        return cumulative

    def _child(self, population: list[Candidate], evaluate: Evaluator, rng: np.random.Generator) -> Cell:
        parent = self._parent(population, rng)
        if len(population) > 1 and rng.random() < self.crossover_probability:
            other = population[int(rng.integers(len(population)))].cell
            child = crossover(parent, other, evaluate.benchmark.space, rng)
            if child is not None and evaluate.is_new(child):
                return child
        return evaluate.mutate_anew(parent, rng, self.expected_edges, self.expected_ops)

    def _parent(self, population: list[Candidate], rng: np.random.Generator) -> Cell:
        """The winner of a tournament. The population is sorted from best to worst."""
        members = rng.choice(len(population), size=min(self.tournament_size, len(population)), replace=False)
        return population[int(members.min())].cell


def ranked(population: list[Candidate], reference: NDArray[np.float64]) -> list[Candidate]:
    """The population from best to worst: by non-domination rank, then by hypervolume contribution within the rank."""
    scores = score_matrix(population)
    ranks = pareto.ranks(scores)
    contributed = np.zeros(len(population))
    for rank in np.unique(ranks).tolist():
        members = np.flatnonzero(ranks == rank)
        contributed[members] = pareto.contributions(scores[members], reference)
    return [population[position] for position in np.lexsort((-contributed, ranks)).tolist()]
