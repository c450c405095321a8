"""Editing with a Gaussian process as the critic, for noisy trainings.

In each episode the agent takes one of its best cells, edits it a few times and has it evaluated, as in agents/edit.py.
An edit is worth as much as the cell it leads to (an *afterstate*). The critic is a Gaussian process over cells, learned
from all evaluations so far. It smooths: a lucky training of one cell says little if similar cells did worse. So the
agent edits the cells with the best *expected* value, and recommends the evaluated cell with the highest expected value,
not the luckiest one. It explores by optimism: an edit's score is its expected value plus a multiple of the critic's
standard deviation, and the multiple is drawn anew for each episode.

Sources: values as a Gaussian process, Engel et al. 2005, https://doi.org/10.1145/1102351.1102377; afterstates and
planning at decision time, Sutton and Barto 2018, sections 6.8 and 8.8; random optimism, Vaswani et al. 2020,
https://arxiv.org/abs/1910.04928. If its critic is read as a surrogate model, the agent is a relative of Bayesian
optimisation with a Gaussian process.

    python agents/gp_edit.py --benchmark surrogate-7V~7 --repeat random --objectives val_accuracy --budget 150
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import ClassVar

# Before the import: matrices of this size are faster on one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from ecnas_gym.agents.critic import RELEVANCE, GaussianProcess, Imagination, cell_features
from numpy.typing import NDArray

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
    relevance: bool = True
    """Give each feature the length scale found on the 5V space; otherwise all have the same."""
    smooth_starts: bool = True
    """Edit the cells with the highest expected reward; otherwise those with the highest observed reward."""
    smooth_choice: bool = True
    """Recommend the cell with the highest expected reward; otherwise the one with the highest observed reward."""

    name: ClassVar[str] = "editing, Gaussian process"

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        """Searches until the budget is spent."""
        env = make_env(evaluate, "edit", vector_reward=True, max_edits=self.max_edits)
        env.reset(seed=int(rng.integers(2**31)))
        space = evaluate.benchmark.space
        edits = Edits(space)
        imagination = Imagination(edits, self.max_edits)
        features = cell_features(space)
        critic = Critic(features.size, evaluate.task, self.least_quantile, self.relevance)
        rows = np.empty(0, dtype=np.int64)
        rewards = np.empty((0, len(evaluate.objectives)))
        tried = np.zeros(len(space), dtype=bool)
        tried[list(evaluate.missing)] = True

        while True:  # the budget ends this: the environment raises at the first cell that it does not allow
            learned = len(rows) >= self.num_random
            starts = rows[:0]
            if learned:
                expected = critic.values(features(rows))
                if self.smooth_choice:
                    evaluate.recommend(space[int(rows[np.argmax(expected)])])
                order = np.argsort(-(expected if self.smooth_starts else critic.scalarised(rewards)), kind="stable")
                starts = rng.choice(rows[order[: self.num_starts]], size=self.num_plans)
            plans = imagination.draw_untried(starts, self.num_fresh, tried, rng)
            if not len(plans.rows):
                break
            chosen = 0
            if learned:
                cells, plan_of = np.unique(plans.rows, return_index=True)
                chosen = int(plan_of[np.argmax(critic.values(features(cells), abs(rng.standard_normal())))])

            env.reset(options={"placed": plans.start(chosen)})
            for action in plans.edits(chosen):
                env.step(action)
            _, reward, _, _, info = env.step(edits.stop)
            row = int(info["row"])
            tried[row] = True
            rows, rewards = np.append(rows, row), np.vstack([rewards, np.asarray(reward)])
            critic.add(features(rows[-1:])[0], rewards)


class Critic:
    """Values of cells: a Gaussian process for each objective, and the task's scalarisation of their predictions.

    A scalarisation may have kinks, such as a cap on energy. A process that learned the scalarised reward would smooth
    them away.

    Args:
        size: Features of a cell.
        task: Objectives and scalarisation.
        least_quantile: In each objective, rewards below this quantile of all so far are raised to it.
        relevance: Use the features' own length scales, found for accuracy, where accuracy is learned.
    """

    def __init__(self, size: int, task: Task, least_quantile: float, relevance: bool) -> None:
        self._task, self._least_quantile = task, least_quantile
        self._processes = [GaussianProcess(size) for _ in task.objectives]
        self._scales = [
            RELEVANCE if relevance and name == "val_accuracy" else np.ones(size) for name in task.objectives
        ]

    def add(self, x: NDArray[np.floating], rewards: NDArray[np.float64]) -> None:
        """Adds the features of a cell, shape (size,), and takes the vector rewards of all so far, shape (n, m)."""
        kept = np.maximum(rewards, np.quantile(rewards, self._least_quantile, axis=0))
        self._centre, self._spread = kept.mean(axis=0), kept.std(axis=0) + 1e-9
        targets = (kept - self._centre) / self._spread
        for process, scales, column in zip(self._processes, self._scales, targets.T, strict=True):
            process.add(scales * x, column)

    def values(self, x: NDArray[np.floating], optimism: float = 0.0) -> NDArray[np.float64]:
        """What cells are worth, with objectives that are some standard deviations better: (B, size) to (B,)."""
        columns = []
        for process, scales in zip(self._processes, self._scales, strict=True):
            mean, deviation = process.predict(scales * x)
            columns.append(mean + optimism * deviation)
        return self.scalarised(self._centre + self._spread * np.stack(columns, axis=1))

    def scalarised(self, rewards: NDArray[np.float64]) -> NDArray[np.float64]:
        """Vector rewards, shape (B, m), as the task scalarises them: shape (B,)."""
        task = self._task
        normalisation = task.benchmark.normalisation(task.objectives, task.epochs)
        return task.scalarisation(rewards, normalisation.metrics(rewards))


if __name__ == "__main__":
    script.main(GaussianProcessEditing)
