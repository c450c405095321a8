"""NSGA-II, in pymoo's implementation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ecnas.runs.evaluator import Evaluator
from ecnas.search.variation import crossover


@dataclass(frozen=True)
class NSGA2:
    """Non-dominated sorting with crowding distance, crossover and mutation of cells, without duplicates.

    Sources: Deb et al. 2002, https://doi.org/10.1109/4235.996017; pymoo, Blank and Deb 2020, https://pymoo.org.

    Attributes:
        population_size: Cells in the population, and children of each generation.
        crossover_probability: Probability that two parents are recombined before mutation.
        expected_edges: Mean number of flipped edges of a mutation.
        expected_ops: Mean number of changed operations of a mutation.
    """

    population_size: int = 50
    crossover_probability: float = 0.5
    expected_edges: float = 1.0
    expected_ops: float = 1.0

    name: ClassVar[str] = "NSGA-II"

    def __post_init__(self) -> None:
        if self.population_size < 2:
            raise ValueError(f"population_size must be at least 2, got {self.population_size}")
        if not 0 <= self.crossover_probability <= 1:
            raise ValueError(f"crossover_probability must be from 0 to 1, got {self.crossover_probability}")

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        num_cells = len(evaluate.benchmark.space) - len(evaluate.missing)
        while True:  # pymoo ends when it finds no new child, which happens in the smallest space; start again then
            algorithm = self._algorithm(evaluate, rng)
            while algorithm.has_next():
                if algorithm.pop is not None:  # pymoo tries a hundred times as many matings before it gives up
                    algorithm.n_offsprings = min(self.population_size, num_cells - len(algorithm.pop))
                asked = algorithm.ask() if algorithm.n_offsprings else None
                if asked is None or len(asked) == 0:
                    break
                rows = asked.get("X")[:, 0].astype(int).tolist()
                scores = np.array([evaluate(evaluate.benchmark.space[row]).scores for row in rows])
                asked.set("F", -scores)  # pymoo minimises
                for individual in asked:
                    individual.evaluated.add("F")
                algorithm.tell(infills=asked)

    def _algorithm(self, evaluate: Evaluator, rng: np.random.Generator) -> Any:
        """The algorithm of pymoo, on cells encoded as rows of the space, with this package's variation operators."""
        from pymoo.algorithms.moo import nsga2
        from pymoo.core.crossover import Crossover
        from pymoo.core.mutation import Mutation
        from pymoo.core.problem import Problem
        from pymoo.core.sampling import Sampling
        from pymoo.core.termination import NoTermination

        space = evaluate.benchmark.space
        missing = evaluate.missing
        expected = (self.expected_edges, self.expected_ops)

        class Sample(Sampling):  # type: ignore[misc]  # pymoo has no types
            def _do(self, problem: Any, n_samples: int, **_: Any) -> NDArray[np.int64]:
                rows: set[int] = set()
                while len(rows) < min(n_samples, len(space) - len(missing)):
                    rows.add(evaluate.sample(rng).row)
                return np.array(sorted(rows)).reshape(-1, 1)

        class Recombine(Crossover):  # type: ignore[misc]
            def _do(self, problem: Any, X: NDArray[np.int64], **_: Any) -> NDArray[np.int64]:
                children: NDArray[np.int64] = X.copy()
                for mating in range(X.shape[1]):
                    parents = [space[row] for row in X[:, mating, 0].tolist()]
                    for position in range(2):
                        child = crossover(parents[0], parents[1], space, rng)
                        if child is not None and child.row not in missing:
                            children[position, mating, 0] = child.row
                return children

        class Mutate(Mutation):  # type: ignore[misc]
            def _do(self, problem: Any, X: NDArray[np.int64], **_: Any) -> NDArray[np.int64]:
                children = [evaluate.mutate_anew(space[row], rng, *expected).row for row in X[:, 0].tolist()]
                return np.array(children, dtype=np.int64).reshape(-1, 1)

        algorithm = nsga2.NSGA2(
            pop_size=self.population_size,
            sampling=Sample(),
            crossover=Recombine(2, 2, prob=self.crossover_probability),
            mutation=Mutate(prob=1.0),
            eliminate_duplicates=True,
        )
        problem = Problem(n_var=1, n_obj=len(evaluate.objectives), xl=0, xu=len(space) - 1, vtype=int)
        algorithm.setup(problem, termination=NoTermination(), seed=int(rng.integers(2**31)), verbose=False)
        return algorithm
