"""A task: what is searched for, and the one place that turns an evaluation into scores and a reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecnas.benchmark import DEFAULT_OBJECTIVES, REFERENCE_MARGIN, Benchmark, Evaluation, Evaluations
from ecnas.objectives import Scalarisation, check_objectives, describe_scalarisation, metrics_of, rewards_of

Repeat = int | Literal["mean", "random"]
"""Which training answers a query: the number of one, the mean of all, or one drawn at random for each query."""


class Judgement(NamedTuple):
    """What evaluations are worth; the leading axes are those of the evaluations (none for a single one).

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
    """A benchmark, and what is to be optimised on it.

    Attributes:
        benchmark: What answers.
        objectives: Names out of ``ecnas.OBJECTIVES``.
        scalarisation: Makes one reward of them.
        epochs: Fidelity of the search: the epochs for which cells are trained and at which they are compared.
        repeat: Which training of a cell answers.
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
            benchmark: What answers.
            objectives: Names out of ``ecnas.OBJECTIVES``.
            scalarisation: A name or an object, as for :meth:`ecnas.Benchmark.scalarisation`.
            epochs: Fidelity; the benchmark's highest by default.
            repeat: Which training of a cell answers.
            weights: Of a scalarisation that is given by name; of "linear" if none is.

        Raises:
            OutOfDomainError: The benchmark has no such epochs or repeat, or lacks an objective.
            UnknownNameError: There is no such objective or scalarisation.
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
        """What an evaluation, or a batch of them, is worth on the scale of its own number of epochs."""
        metrics = metrics_of(evaluation)
        normalisation = self.benchmark.normalisation(self.objectives, evaluation.epochs)
        scores = normalisation.scores(normalisation.select(metrics))
        vector = rewards_of(scores)
        return Judgement(scores, vector, self.scalarisation(vector, metrics))

    def describe(self) -> dict[str, Any]:
        """All that makes the task, as plain JSON values."""
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
