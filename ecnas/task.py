"""A task: the goal of a search, and the one place that turns an evaluation into scores and a reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecnas.benchmark import DEFAULT_OBJECTIVES, REFERENCE_MARGIN, Benchmark, Evaluation, Evaluations
from ecnas.objectives import Scalarisation, check_objectives, describe_scalarisation, metrics_of, rewards_of

Repeat = int | Literal["mean", "random"]
"""The training returned by a query: a number, the mean of all, or one drawn at random for each query."""


class Judgement(NamedTuple):
    """Scores and rewards of evaluations; the leading axes are those of the evaluations (none for a single one).

    Attributes:
        scores: The objectives, shape (..., m), to be maximised; 1 is the best and 0 the worst value on the exact front.
        vector_reward: The scores, 0 where they are below it, shape (..., m).
        reward: The scalarised objectives, shape (...,), to be maximised.
    """

    scores: NDArray[np.float64]
    vector_reward: NDArray[np.float64]
    reward: NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """A benchmark, and the goal of a search on it.

    Attributes:
        benchmark: The benchmark.
        objectives: Names from ``ecnas.OBJECTIVES``.
        scalarisation: Combines them into one reward.
        epochs: Fidelity of the search: the number of epochs at which cells are trained and compared.
        repeat: The training of a cell that a query returns.
    """

    benchmark: Benchmark
    objectives: tuple[str, ...]
    scalarisation: Scalarisation
    epochs: int
    repeat: Repeat = "mean"

    @classmethod
    def of(
        cls,
        benchmark: Benchmark,
        objectives: Sequence[str] = DEFAULT_OBJECTIVES,
        scalarisation: str | Scalarisation | None = None,
        epochs: int | None = None,
        repeat: Repeat = "mean",
        weights: Sequence[float] | None = None,
    ) -> Task:
        """A task by names and defaults.

        Args:
            benchmark: The benchmark.
            objectives: Names from ``ecnas.OBJECTIVES``.
            scalarisation: A name or an object, as for :meth:`ecnas.Benchmark.scalarisation`.
            epochs: Fidelity; the benchmark's highest by default.
            repeat: The training of a cell that a query returns.
            weights: Weights of a scalarisation given by name; of "linear" by default.

        Raises:
            OutOfDomainError: The benchmark has no such epochs or repeat, or lacks an objective.
            UnknownNameError: The objective or scalarisation is unknown.
        """
        names = check_objectives(objectives)
        epochs = benchmark.check_epochs(epochs)
        made = benchmark.scalarisation(scalarisation, names, epochs, weights)
        if repeat != "random":
            number = benchmark.check_repeat(repeat)
            repeat = number if isinstance(number, int) else "mean"
        return cls(benchmark, names, made, epochs, repeat)

    @property
    def reference(self) -> NDArray[np.float64]:
        """The reference point of hypervolumes, in scores: shape (m,)."""
        return np.full(len(self.objectives), -REFERENCE_MARGIN)

    def judge(self, evaluation: Evaluation | Evaluations) -> Judgement:
        """Scores and reward of an evaluation, or a batch of them, on the scale of its number of epochs."""
        metrics = metrics_of(evaluation)
        normalisation = self.benchmark.normalisation(self.objectives, evaluation.epochs)
        scores = normalisation.scores(normalisation.select(metrics))
        vector = rewards_of(scores)
        return Judgement(scores, vector, self.scalarisation(vector, metrics))

    def describe(self) -> dict[str, Any]:
        """The full definition of the task, as plain JSON values."""
        benchmark = self.benchmark
        return {
            "benchmark": benchmark.name,
            "path": None if benchmark.table.folder is None else str(benchmark.table.folder.resolve()),
            "space": benchmark.space.name,
            "digest": benchmark.digest,
            "objectives": list(self.objectives),
            "scalarisation": describe_scalarisation(self.scalarisation),
            "epochs": self.epochs,
            "repeat": self.repeat,
        }
