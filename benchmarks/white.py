"""White et al.'s protocol on NAS-Bench-101, repeated in worlds; shared by realism.py and literature.py.

A query gives the mean of three validation accuracies. After 150 queries the mean of three test accuracies of the cell
with the best one is the result, and the mean over 200 trials is what they report. Random cells, those that searches
start from included, are drawn by matrix and labels, as they draw them. Sources: https://arxiv.org/abs/1910.11858
(BANANAS) and https://arxiv.org/abs/2005.02960 (local search).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from ecnas_gym.agents.edit import Editing
from ecnas_gym.agents.gp_edit import GaussianProcessEditing
from ecnas_gym.agents.mcts import TreeSearch
from ecnas_gym.agents.ppo_many import MaskedPPO
from ecnas_gym.agents.pqt import PriorityQueueTraining
from ecnas_gym.agents.qlearning import QLearning
from ecnas_gym.agents.reinforce_many import CategoricalREINFORCE
from peers import TPE, GaussianProcess, draw_by_matrix, draw_matrices
from tqdm import tqdm

import ecnas
from ecnas import runs, search
from ecnas.encoding import MAX_VERTICES, NUM_OPERATIONS, OP_WEIGHTS
from ecnas.runs.run import run_task
from ecnas.task import Task

QUERIES: Final = 150


class _ByMatrix(runs.Evaluator):
    """Draws random cells as White et al. do: a random matrix and random operations, until they make a cell."""

    def sample(self, rng: np.random.Generator) -> ecnas.Cell:
        return self.benchmark.space[int(draw_by_matrix(self.benchmark.space, 1, rng)[0])]


@dataclass(frozen=True)
class ByMatrix:
    """A searcher whose random cells are drawn by matrix and labels."""

    searcher: runs.Method

    def run(self, evaluate: runs.Evaluator, rng: np.random.Generator) -> None:
        """Searches as the searcher does."""
        trainings = evaluate.repeat if isinstance(evaluate.repeat, np.random.Generator) else None
        self.searcher.run(_ByMatrix(evaluate.task, evaluate.budget, evaluate.record, trainings), rng)


@dataclass(frozen=True)
class GrowingEvolution(search.RegularisedEvolution):
    """Regularised evolution as in White et al.'s code: ten random cells grow to a population of 30."""

    population_size: int = 30
    num_initial: int = 10

    def run(self, evaluate: runs.Evaluator, rng: np.random.Generator) -> None:
        """Searches as regularised evolution does, from fewer cells."""
        population: deque[runs.Candidate] = deque(maxlen=self.population_size)
        for _ in range(self.num_initial):
            population.append(evaluate(evaluate.sample(rng)))
        while True:
            parent = self.select(population, rng)
            population.append(evaluate(evaluate.mutate_anew(parent.cell, rng, self.expected_edges, self.expected_ops)))


@dataclass(frozen=True)
class MatrixLocalSearch:
    """Local search with the moves of White et al.'s code: on matrices of seven vertices, some of which may be idle.

    A neighbour differs in one edge or one operation. So a cell grows only by an edge that joins an idle vertex.
    """

    num_initial: int = 10

    def run(self, evaluate: runs.Evaluator, rng: np.random.Generator) -> None:
        """Climbs by first improvement from the best of ten random cells, and then from others."""
        space = evaluate.benchmark.space
        known: dict[int, float] = {}

        def value(row: int) -> float:
            known[row] = evaluate(space[row]).reward
            return known[row]

        while True:
            drawn: list[tuple[float, int, int]] = []
            while len(drawn) < self.num_initial:
                bits, code, row = (int(values[0]) for values in draw_matrices(space, 1, rng))
                if row not in known:
                    drawn.append((value(row), bits, code))
            current: tuple[float, int, int] | None = max(drawn)
            while current is not None:
                best, bits, code = current
                current = None
                for next_bits, next_code, row in _matrix_neighbours(space, bits, code, rng):
                    if row not in known and value(row) > best:
                        current = (known[row], next_bits, next_code)
                        break


def _matrix_neighbours(
    space: ecnas.Space, bits: int, code: int, rng: np.random.Generator
) -> Iterable[tuple[int, int, int]]:
    """Frame bits, operation codes and rows of the neighbours that are cells, in random order."""
    all_bits = [bits ^ (1 << edge) for edge in range(MAX_VERTICES * (MAX_VERTICES - 1) // 2)]
    codes = [code] * len(all_bits)
    for weight in OP_WEIGHTS:
        op = code // weight % NUM_OPERATIONS
        codes += [code + (other - op) * weight for other in range(NUM_OPERATIONS) if other != op]
    all_bits += [bits] * (len(codes) - len(all_bits))
    rows = space.rows(np.array(all_bits), np.array(codes))
    return ((all_bits[at], codes[at], int(rows[at])) for at in rng.permutation(len(rows)).tolist() if rows[at] >= 0)


METHODS: Final[Mapping[str, runs.Method]] = {
    "REINFORCE": CategoricalREINFORCE(),
    # Rewards are scores between accuracies that are .4356 apart. This step size does what raw accuracies as rewards do.
    "REINFORCE, from raw accuracies": CategoricalREINFORCE(learning_rate=0.5 * 0.4356),
    "TPE (Optuna)": TPE(),
    "random search": ByMatrix(search.RandomSearch()),
    "Gaussian process (scikit-learn)": GaussianProcess(),
    "regularised evolution": ByMatrix(GrowingEvolution()),
    "local search": ByMatrix(search.LocalSearch(first_improvement=True)),
    "local search, all neighbours": ByMatrix(search.LocalSearch()),
    "local search, moves on matrices": MatrixLocalSearch(),
    "BANANAS": ByMatrix(search.BANANAS(num_parents=2)),
    "BANANAS, ten parents": ByMatrix(search.BANANAS()),
    "random search, uniform": search.RandomSearch(),
    "Q-learning": QLearning(),
    "masked PPO": MaskedPPO(),
    "REINFORCE, −log regret": CategoricalREINFORCE(log_regret=True),
    "priority-queue training": PriorityQueueTraining(),
    "tree search, plain UCT": TreeSearch(network=False),
    "tree search, random endings": TreeSearch(best_ending=False),
    "tree search": TreeSearch(),
    "editing": Editing(),
    "editing, Gaussian process": GaussianProcessEditing(),
}

SETTINGS: Final[Mapping[str, str]] = {
    "REINFORCE": "Ying et al.",
    "REINFORCE, from raw accuracies": "Ying et al.",
    "TPE (Optuna)": "Optuna",
    "random search": "–",
    "random search, uniform": "–",
    "regularised evolution": "theirs",
    "local search": "theirs",
    "local search, moves on matrices": "theirs",
    "BANANAS": "theirs, small networks",
}
"""Whose settings: those of White et al.'s program ("theirs") or of another source; of what is not named, ours."""

PUBLISHED: Final[Mapping[str, float]] = {
    "REINFORCE": 6.436,
    "TPE (Optuna)": 6.415,
    "random search": 6.341,
    "Gaussian process (scikit-learn)": 6.267,
    "tree search, random endings": 6.233,
    "regularised evolution": 6.109,
    "local search": 5.932,
    "BANANAS": 5.923,
}
"""Mean test errors (%) after 150 queries, 200 trials, of what is called the same in White et al. 2021."""

OTHERS: Final[Mapping[str, float]] = {
    "BOHB": 6.356,
    "GCN predictor": 6.331,
    "NASBOT": 6.250,
    "DNGO": 6.085,
    "BOHAMIANN": 6.010,
    "BONAS": 5.954,
}
"""Those in the same table that are not run here."""


class Pick(NamedTuple):
    """What a run chose.

    Attributes:
        error: Test error (%) of the cell with the best validation accuracy seen, mean of three trainings.
        expected: What is expected of its test error.
        luck: By how much its validation accuracy is above what is expected, in percentage points.
        recommended: Expected test error of the cell that the method recommends by itself; that of its pick by default.
    """

    error: float
    expected: float
    luck: float
    recommended: float


def picks(seeds: Mapping[str, int], folder: Path, processes: int) -> dict[str, list[Pick]]:
    """Runs methods in worlds, and says what they picked.

    Args:
        seeds: How many worlds by method of :data:`METHODS`, each with one run.
        folder: Where the records are; a complete one is read, not made again.
        processes: Worlds to search in at once.
    """
    worlds = range(max(seeds.values()))
    wanted = [[name for name, number in seeds.items() if world < number] for world in worlds]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        jobs = pool.map(_in_world, worlds, wanted, [folder] * len(worlds))
        found = list(tqdm(jobs, total=len(worlds), desc="worlds"))
    return {name: [world[name] for world in found if name in world] for name in seeds}


def _in_world(seed: int, names: Iterable[str], folder: Path) -> dict[str, Pick]:
    task = Task.of(ecnas.load("surrogate-7V", noise_seed=seed), ("val_accuracy",))
    return {
        name: _pick(
            run_task(METHODS[name], task, QUERIES, seed, path=folder / name / f"{seed}.jsonl", replace=True),
            task.benchmark.expected,
        )
        for name in names
    }


def _pick(record: runs.RunRecord, expected: ecnas.Benchmark) -> Pick:
    best = int(np.argmax(record.column("val_accuracy")))
    rows = record.column("row").astype(np.int64)
    judged = expected.query_row(int(rows[best]))
    chosen = int(record.recommended_rows()[-1]) if record.recommends else int(rows[best])
    return Pick(
        100 * (1 - float(record.column("test_accuracy")[best])),
        100 * (1 - judged.test_accuracy),
        100 * (float(record.column("val_accuracy")[best]) - judged.val_accuracy),
        100 * (1 - expected.query_row(chosen).test_accuracy),
    )
