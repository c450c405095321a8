"""Many runs at once: what a method's ``run_many`` needs besides its own arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ecnas.errors import BudgetExhaustedError
from ecnas.runs.evaluator import Evaluator


def evaluate_rows(
    evaluates: Sequence[Evaluator], rows: NDArray[np.integer], epochs: Sequence[int] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Trains K cells for each of N runs, one after another, until the run's budget refuses one.

    Args:
        evaluates: The runs.
        rows: The cells' rows in the space, (N, K); −1 for a cell that the benchmark lacks.
        epochs: Epochs of each run's trainings, (N,); the fidelity of the search by default.

    Returns:
        Rewards, (N, K): NaN where the benchmark lacks the cell (an invalid episode, which costs nothing), and from the
        refused one on. And which runs go on, (N,): those of which nothing was refused.
    """
    rewards = np.full(rows.shape, np.nan)
    going = np.ones(len(rows), dtype=np.bool_)
    for number, evaluate in enumerate(evaluates):
        space, missing = evaluate.benchmark.space, evaluate.missing
        try:
            for k, row in enumerate(rows[number].tolist()):
                if row < 0 or row in missing:
                    evaluate.record.invalid_episodes += 1
                else:
                    rewards[number, k] = evaluate(space[row], None if epochs is None else epochs[number]).reward
        except BudgetExhaustedError:
            going[number] = False
    return rewards, going
