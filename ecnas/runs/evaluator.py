"""A method's view of its run: a function that trains a cell, charges the budget and writes the record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecnas.benchmark import Benchmark, Evaluation
from ecnas.budget import Budget
from ecnas.cell import Cell
from ecnas.errors import BudgetExhaustedError
from ecnas.runs.record import RunRecord
from ecnas.task import Task

if TYPE_CHECKING:
    from ecnas.runs.tensorboard import Board

FREE_QUERIES: Final = 1000
"""With ``Budget(unique=True)``, this many consecutive free queries end a search: it goes in circles."""

FREE_QUERIES_OF_A_CELL: Final = 20
"""So does this many per cell of the benchmark, if that is fewer."""

PRESENT_TRIES: Final = 200
"""Draws in which :meth:`Evaluator.mutate` looks for a cell that the benchmark has."""

FRESH_TRIES: Final = 20
"""Draws in which :meth:`Evaluator.mutate_anew` looks for a cell that was not trained yet."""


class Candidate(NamedTuple):
    """A cell and the result of its training.

    Attributes:
        cell: The cell.
        evaluation: All metrics. Methods use ``reward`` and ``scores``, which do not depend on the test accuracy.
        reward: The scalarised objectives, to be maximised.
        scores: The objectives, shape (m,), to be maximised; 1 is best and 0 worst on the exact front of the fidelity.
    """

    cell: Cell
    evaluation: Evaluation
    reward: float
    scores: NDArray[np.float64]


class Evaluator:
    """Trains cells: queries the benchmark, charges the budget and writes the record.

    Args:
        task: The task.
        budget: Charged for every query.
        record: Records every query.
        rng: Draws the repeat of each query if the task's ``repeat`` is "random".
        tick: Called with every candidate, to advance a progress bar.
        board: Receives the run's curves for TensorBoard, if given.

    Attributes:
        task: As above.
        benchmark: The benchmark.
        objectives: Names of the scores.
        epochs: Fidelity of the search: epochs of training unless a method asks for others.
        repeat: Argument of the benchmark's queries: "mean", the number of a training, or a generator.
        budget: As above.
        record: As above.
        reference: Reference point of hypervolumes of scores, shape (m,).
        missing: Rows of the cells that the benchmark cannot judge by the objectives at the fidelity of the search.
        best: The best candidate so far by reward at the fidelity of the search; None before there is one.
    """

    def __init__(
        self,
        task: Task,
        budget: Budget,
        record: RunRecord,
        rng: np.random.Generator | None = None,
        tick: Callable[[Candidate], object] | None = None,
        board: Board | None = None,
    ) -> None:
        self.task, self.budget, self.record, self._tick, self._board = task, budget, record, tick, board
        self.objectives, self.epochs, self.reference = task.objectives, task.epochs, task.reference
        self.benchmark: Benchmark = task.benchmark
        self.repeat = (rng or np.random.default_rng(0)) if task.repeat == "random" else task.repeat
        self.best: Candidate | None = None
        self.missing = self.benchmark.lacking(self.objectives, self.epochs)
        self._seen: set[int] = set()
        self._isolated: set[int] = set()  # parents whose variations the benchmark lacks, as far as was tried
        self._free_queries = 0
        self._last_charges = -1

    def __call__(self, cell: Cell, epochs: int | None = None) -> Candidate:
        """Trains a cell.

        Args:
            cell: A cell of the space.
            epochs: Epochs of training; the fidelity of the search by default.

        Raises:
            BudgetExhaustedError: The training would overspend: the search is over.
            OutOfDomainError: The benchmark has no such cell or epochs.
        """
        self.require_progress()
        evaluation = self.benchmark.query(
            cell,
            self.epochs if epochs is None else epochs,
            repeat=self.repeat,
            budget=self.budget,
            needs=self.objectives,
        )
        return self.add(cell, evaluation)

    def add(self, cell: Cell, evaluation: Evaluation) -> Candidate:
        """Records an evaluation for which the budget was already charged, as by an environment of the run."""
        judgement = self.task.judge(evaluation)
        candidate = Candidate(cell, evaluation, float(judgement.reward), judgement.scores)
        self._seen.add(cell.row)
        if self.budget.unique:
            self._count_free()
        if evaluation.epochs == self.epochs and (self.best is None or candidate.reward > self.best.reward):
            self.best = candidate
        self.record.append(cell, evaluation, candidate.reward)
        if self._tick is not None:
            self._tick(candidate)
        if self._board is not None:
            self._board.evaluation()
        return candidate

    def recommend(self, cell: Cell) -> None:
        """Recommends a cell. By default it is the best seen.

        A recommendation holds from the last evaluation on, until the next one.
        """
        self.record.recommend(self.benchmark.space.row(cell))

    def log(self, values: Mapping[str, float]) -> None:
        """Logs numbers of the method, such as a loss or an entropy, to TensorBoard.

        They are logged at the current number of evaluations, beside the run's curves. Without TensorBoard they are
        dropped. They are not part of the record.

        Args:
            values: Numbers by name; ``"train/entropy"`` belongs to the group ``train``.
        """
        if self._board is not None:
            self._board.add(values, len(self.record))

    def require_progress(self) -> None:
        """Raises if the budget charges a cell once, and the search has gone in circles for long.

        Raises:
            BudgetExhaustedError: Too many queries in a row cost nothing.
        """
        num_cells = len(self.benchmark.space) - len(self.missing)
        most = min(FREE_QUERIES, FREE_QUERIES_OF_A_CELL * num_cells)
        if self._free_queries >= most:
            raise BudgetExhaustedError(f"{most} consecutive queries asked for cells that are already known")

    def _count_free(self) -> None:
        charges = self.budget.num_charges
        self._free_queries = self._free_queries + 1 if charges == self._last_charges else 0
        self._last_charges = charges

    def __deepcopy__(self, memo: dict[int, Any]) -> Evaluator:
        return self  # tree search copies environments; there is one account and one record of a run

    @property
    def fraction_spent(self) -> float:
        """The spent fraction of the budget, for the limit closest to exhaustion; 0 without limits."""
        spent = self.budget.spent
        return max((getattr(spent, name) / limit for name, limit in self.budget.limits.items()), default=0.0)

    def is_new(self, cell: Cell) -> bool:
        """Whether the benchmark can judge the cell and it was not trained yet, at any number of epochs."""
        return cell.row not in self._seen and cell.row not in self.missing

    def are_new(self, rows: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Like :meth:`is_new`, for the cells in some rows: shape (n,)."""
        return np.array([row not in self._seen and row not in self.missing for row in rows.tolist()], dtype=np.bool_)

    def fidelities(self, min_epochs: int | None = None) -> list[int]:
        """The benchmark's numbers of epochs from ``min_epochs`` (its lowest by default) to the fidelity of the search.

        Raises:
            OutOfDomainError: The benchmark has no such epochs.
            ValueError: ``min_epochs`` is above the fidelity of the search.
        """
        lowest = self.benchmark.epochs[0] if min_epochs is None else self.benchmark.check_epochs(min_epochs)
        if lowest > self.epochs:
            raise ValueError(f"min_epochs must be at most the fidelity of the search {self.epochs}, got {lowest}")
        return [epochs for epochs in self.benchmark.epochs if lowest <= epochs <= self.epochs]

    def known_scores(self, rows: NDArray[np.integer]) -> NDArray[np.float64]:
        """Scores of cells that were not trained, shape (n, m). For objectives that are known without training only."""
        metrics = np.stack([self.benchmark.values(name, self.epochs)[rows] for name in self.objectives], axis=1)
        return self.benchmark.normalisation(self.objectives, self.epochs).scores(metrics)

    # The moves of Space, kept to the cells that the benchmark has metrics for (one published file lacks three).

    def sample(self, rng: np.random.Generator) -> Cell:
        """A cell drawn uniformly over the unique cells that were not trained yet; over all when all were."""
        num_cells = len(self.benchmark.space)
        if len(self._seen) + len(self.missing) < num_cells // 2:
            while True:
                row = int(rng.integers(num_cells))
                if row not in self._seen and row not in self.missing:
                    return self.benchmark.space[row]
        present = [row for row in range(num_cells) if row not in self.missing]
        fresh = [row for row in present if row not in self._seen]
        return self.benchmark.space[int(rng.choice(fresh or present))]

    def mutate(self, cell: Cell, rng: np.random.Generator, expected_edges: float, expected_ops: float) -> Cell:
        """A random variation of a cell (:meth:`ecnas.space.Space.mutate`).

        If the benchmark has so few cells that :data:`PRESENT_TRIES` variations in a row are not among them, any of its
        cells is drawn from then on.
        """
        if cell.row not in self._isolated:
            for _ in range(PRESENT_TRIES):
                child = self.benchmark.space.mutate(cell, rng, expected_edges, expected_ops)
                if child.row not in self.missing:
                    return child
            self._isolated.add(cell.row)
        return self.sample(rng)

    def mutate_anew(self, cell: Cell, rng: np.random.Generator, expected_edges: float, expected_ops: float) -> Cell:
        """A random variation that was not trained yet, unless :data:`FRESH_TRIES` draws in a row found none.

        Many matrices prune to the same cell, so without this more than half of a search's trainings can be repeats.
        """
        all_seen = len(self._seen) + len(self.missing) >= len(self.benchmark.space)
        for _ in range(1 if all_seen else FRESH_TRIES):
            child = self.mutate(cell, rng, expected_edges, expected_ops)
            if self.is_new(child):
                break
        return child

    def neighbours(self, cell: Cell) -> list[Cell]:
        """The cells one edit away (:meth:`ecnas.space.Space.neighbours`)."""
        return [other for other in self.benchmark.space.neighbours(cell) if other.row not in self.missing]
