"""Editing with a Gaussian process as the critic, for noisy trainings.

In each episode the agent takes one of its best cells, edits it a few times and has it evaluated, as in agents/edit.py.
An edit is worth as much as the cell it leads to (an *afterstate*). The critic is a Gaussian process over cells, learned
from all evaluations so far. It smooths: a lucky training of one cell says little if similar cells did worse. So the
agent edits the cells with the best *expected* value, and recommends the evaluated cell with the highest expected value,
not the luckiest one. It explores for the sake of that recommendation: an edit's score is its *knowledge gradient*, the
value that the recommended cell will have on average once the evaluation has been seen.

Sources: values as a Gaussian process, Engel et al. 2005, https://doi.org/10.1145/1102351.1102377; afterstates and
planning at decision time, Sutton and Barto 2018, sections 6.8 and 8.8; the knowledge gradient, Frazier, Powell and
Dayanik 2009, https://doi.org/10.1287/ijoc.1080.0314. If its critic is read as a surrogate model, the agent is a
relative of Bayesian optimisation with a Gaussian process.

    python agents/gp_edit.py --benchmark surrogate-7V~7 --repeat random --objectives val_accuracy --budget 150
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

# Before the import: matrices of this size are faster on one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from ecnas_gym.agents.critic import RELEVANCE, GaussianProcess, Imagination, Plans, cell_features
from numpy.typing import NDArray

from ecnas.errors import BudgetExhaustedError
from ecnas.objectives import rewards_of
from ecnas.runs import Evaluator, script
from ecnas.task import Task
from ecnas_gym import make_env
from ecnas_gym.editor import Edits


@dataclass(frozen=True)
class GaussianProcessEditing:
    """Search by editing the cells to which a Gaussian process gives the highest expected reward."""

    num_random: int = 10
    """Random cells at the start."""
    num_starts: int = 20
    """Number of the best cells so far, by expected reward, that may be edited."""
    num_plans: int = 500
    """Imagined edit sequences; the one with the highest value is carried out."""
    num_fresh: int = 200
    """Random cells that compete with them, so that the search can move to a better region."""
    max_edits: int = 3
    """Most edits in an episode."""
    least_quantile: float = 0.15
    """Rewards are clipped from below at this quantile of all so far: how bad bad cells are says nothing of the best."""
    tempering: float = 3.0
    """How many times the fitted noise the critic assumes: it smooths more, since its kernel is not right everywhere."""
    relevance: bool = True
    """Give each feature the length scale found on the 5V space; otherwise all have the same."""
    smooth_starts: bool = True
    """Edit the cells with the highest expected reward; otherwise those with the highest observed reward."""
    smooth_choice: bool = True
    """Recommend the cell with the highest expected reward; otherwise the one with the highest observed reward."""

    name: ClassVar[str] = "editing, Gaussian process"

    @property
    def recommends(self) -> bool:
        """Whether the critic recommends; otherwise it is the best cell seen."""
        return self.smooth_choice

    def make_critic(self, task: Task) -> Critic:
        """What learns values in a run."""
        return Critic(task, self.least_quantile, self.relevance, tempering=self.tempering)

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        """Searches until the budget is spent, by the actions of the environment."""
        env = make_env(evaluate, "edit", vector_reward=True, max_edits=self.max_edits)
        stop = Edits(evaluate.benchmark.space).stop

        def play(_: Evaluator, plan: Plans) -> NDArray[np.float64]:
            env.reset(options={"placed": plan.start(0)})
            for action in (*plan.edits(0), stop):
                reward = env.step(action)[1]
            return np.asarray(reward)

        self._carry_out(play, [evaluate], [rng])

    def run_many(self, evaluates: Sequence[Evaluator], rngs: Sequence[np.random.Generator]) -> None:
        """Searches until all budgets are spent: the same runs, without stepping environments."""

        def play(evaluate: Evaluator, plan: Plans) -> NDArray[np.float64]:
            return rewards_of(evaluate(evaluate.benchmark.space[int(plan.rows[0])]).scores)

        self._carry_out(play, evaluates, rngs)

    def _carry_out(self, play: Play, evaluates: Sequence[Evaluator], rngs: Sequence[np.random.Generator]) -> None:
        """Searches until all runs have ended, each when its budget is spent or all cells are known."""
        runs = [Search(self, evaluate, rng) for evaluate, rng in zip(evaluates, rngs, strict=True)]
        space = evaluates[0].benchmark.space
        imagination = Imagination(Edits(space), self.max_edits)
        while runs:
            starts = np.stack([run.starts() for run in runs])
            fresh = np.stack([run.rng.integers(len(space), size=self.num_fresh) for run in runs])
            plans = imagination.draw(starts, fresh, [run.rng for run in runs])
            going = []
            for number, run in enumerate(runs):
                untried = imagination.untried(plans.where(number), run.tried, run.rng)
                if len(untried.rows):
                    plan = untried.where([run.choose(untried.rows)])
                    with contextlib.suppress(BudgetExhaustedError):
                        run.learn(int(plan.rows[0]), play(run.evaluate, plan))
                        going.append(run)
            runs = going


Play = Callable[[Evaluator, Plans], NDArray[np.float64]]
"""Carries out one plan and returns the vector reward, (m,)."""


class Search:
    """One run.

    Args:
        how: The settings.
        evaluate: Trains cells.
        rng: Source of randomness.

    Attributes:
        evaluate: As above.
        rng: As above.
        tried: Whether each cell was tried, (cells,); those that the benchmark lacks count as tried.
    """

    def __init__(self, how: GaussianProcessEditing, evaluate: Evaluator, rng: np.random.Generator) -> None:
        self.how, self.evaluate, self.rng = how, evaluate, rng
        self._critic = how.make_critic(evaluate.task)
        self._rows = np.empty(0, dtype=np.int64)
        self._rewards = np.empty((0, len(evaluate.objectives)))
        self.tried = np.zeros(len(evaluate.benchmark.space), dtype=bool)
        self.tried[list(evaluate.missing)] = True

    @property
    def _learned(self) -> bool:
        return len(self._rows) >= self.how.num_random

    def starts(self) -> NDArray[np.int64]:
        """Recommends a cell, and draws which cells to edit: rows, (B,)."""
        if not self._learned:
            return self._rows[:0]
        expected = self._critic.fitted()
        if self.how.recommends:
            self.evaluate.recommend(self.evaluate.benchmark.space[int(self._rows[np.argmax(expected)])])
        order = np.argsort(
            -(expected if self.how.smooth_starts else self._critic.scalarised(self._rewards)), kind="stable"
        )
        return self.rng.choice(self._rows[order[: self.how.num_starts]], size=self.how.num_plans)

    def choose(self, rows: NDArray[np.int64]) -> int:
        """Which of some cells to evaluate."""
        if not self._learned:
            return 0
        cells, first = np.unique(rows, return_index=True)
        return int(first[self._critic.best(cells)])

    def learn(self, row: int, reward: NDArray[np.float64]) -> None:
        """Learns from an evaluation: a cell and its vector reward, (m,)."""
        self.tried[row] = True
        self._rows, self._rewards = np.append(self._rows, row), np.vstack([self._rewards, reward])
        self._critic.add(self._rows, self._rewards)


CANDIDATES: Final = 32
"""Cells whose evaluation is thought through."""

RIVALS: Final = 16
"""Evaluated cells that the best cell may be among after an evaluation."""

OUTCOMES, CHANCES = np.polynomial.hermite_e.hermegauss(9)
"""Outcomes of an evaluation, in standard deviations from what is expected, and their weights (Gauss and Hermite)."""

SLOPE_WEIGHT: Final = 10.0
"""Of the belief that a prior holds as it is: its weight against the sum of the prior's squares over a run's cells."""


class Critic:
    """Values of cells: a Gaussian process for each objective, and the task's scalarisation of their predictions.

    A scalarisation may have kinks, such as a cap on energy. A process that learned the scalarised reward would smooth
    them away.

    Values that were learned elsewhere may stand behind the processes, which then learn what is left. In a new world
    they may have another scale, so they count by a *slope*: the ridge regression of the run's rewards on them, towards
    1. If they tell nothing, it goes to 0.

    Args:
        task: Objectives and scalarisation.
        least_quantile: In each objective, rewards below this quantile of all so far are raised to it.
        relevance: Use the features' own length scales, found for accuracy, where accuracy is learned.
        prior: Standardised objectives of all cells as they were learned elsewhere, shape (cells, m); none by default.
        tempering: How many times the fitted noise the processes assume.

    Attributes:
        slope: How much the prior counts for each objective, shape (m,).
    """

    def __init__(
        self,
        task: Task,
        least_quantile: float,
        relevance: bool,
        prior: NDArray[np.float64] | None = None,
        tempering: float = 1.0,
    ) -> None:
        self._task, self._least_quantile, self._prior = task, least_quantile, prior
        self._features = cell_features(task.benchmark.space)
        self._rows = np.empty(0, dtype=np.int64)
        self.slope = self._middle = np.ones(len(task.objectives))
        size = self._features.size
        alike = np.ones(size, dtype=np.float32)
        self._learners = [
            (GaussianProcess(size, tempering), RELEVANCE if relevance and name == "val_accuracy" else alike)
            for name in task.objectives
        ]

    def add(self, rows: NDArray[np.int64], rewards: NDArray[np.float64]) -> None:
        """Adds a cell: takes the rows and vector rewards of all so far, shapes (n,) and (n, m), that of it last."""
        targets = self._standardised(rows, rewards)
        if self._prior is not None:
            prior = self._prior[rows] - self._middle
            self.slope = (np.sum(prior * targets, axis=0) + SLOPE_WEIGHT) / (np.sum(prior**2, axis=0) + SLOPE_WEIGHT)
        targets -= self._known(rows)
        x = self._features(rows[-1:])[0]
        for (process, scales), column in zip(self._learners, targets.T, strict=True):
            process.add(x * scales, column)

    def _standardised(self, rows: NDArray[np.int64], rewards: NDArray[np.float64]) -> NDArray[np.float64]:
        """The rewards in standard deviations from their mean, where the worst count alike: shape (n, m)."""
        self._rows = rows
        if self._prior is not None:
            self._middle = self._prior[rows].mean(axis=0)
        kept = np.maximum(rewards, np.quantile(rewards, self._least_quantile, axis=0))
        self._centre, self._spread = kept.mean(axis=0), kept.std(axis=0) + 1e-9
        standardised: NDArray[np.float64] = (kept - self._centre) / self._spread
        return standardised

    def fitted(self) -> NDArray[np.float64]:
        """What the cells that were added are worth, shape (n,)."""
        columns = [process.fitted() for process, _ in self._learners]
        return self._values(self._rows, np.stack(columns, axis=1))

    def best(self, rows: NDArray[np.int64]) -> int:
        """Which cell to evaluate, so that the best cell is then worth most: (B,) to an index.

        This is the knowledge gradient: what the cell of the highest expected value will be worth on average, over all
        that the evaluation may show. Several objectives are taken to turn out better or worse together. It is computed
        for the most promising cells by a bound, and rivals are the best cells so far.
        """
        x = self._features(rows)
        hoped = [np.add(*process.bounds(x * scales)) for process, scales in self._learners]
        some = np.argsort(-self._values(rows, np.stack(hoped, axis=1)), kind="stable")[:CANDIDATES]
        rivals = self._rows[np.argsort(-self.fitted(), kind="stable")[:RIVALS]]
        others = self._features(rivals)
        ahead = [process.lookahead(x[some] * scales, others * scales) for process, scales in self._learners]
        expected, change = (np.stack(parts, axis=-1)[:, :, None] for parts in zip(*ahead, strict=True))
        learned = expected + change * OUTCOMES[:, None]  # (candidates, rivals and itself, outcomes, m)
        cells = np.column_stack([np.broadcast_to(rivals, (len(some), len(rivals))), rows[some]])
        values = self._values(np.repeat(cells, len(OUTCOMES)), learned.reshape(-1, learned.shape[-1]))
        best_after = values.reshape(learned.shape[:3]).max(axis=1)
        return int(some[np.argmax(best_after @ CHANCES)])

    def _known(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """What the prior says of cells, in standard deviations from the mean: shape (B,) to (B, m)."""
        if self._prior is None:
            return np.zeros((len(rows), len(self._task.objectives)))
        known: NDArray[np.float64] = self.slope * (self._prior[rows] - self._middle)
        return known

    def _values(self, rows: NDArray[np.int64], learned: NDArray[np.floating]) -> NDArray[np.float64]:
        """What cells are worth, with what the processes say of them: shapes (B,) and (B, m) to (B,)."""
        return self.scalarised(self._centre + self._spread * (self._known(rows) + learned))

    def scalarised(self, rewards: NDArray[np.float64]) -> NDArray[np.float64]:
        """Vector rewards, shape (B, m), as the task scalarises them: shape (B,)."""
        task = self._task
        normalisation = task.benchmark.normalisation(task.objectives, task.epochs)
        return task.scalarisation(rewards, normalisation.metrics(rewards))


if __name__ == "__main__":
    script.main(GaussianProcessEditing)
