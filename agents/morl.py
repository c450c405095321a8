"""Multi-objective reinforcement learning: one controller, conditioned on preferences, covers the front in one run.

One critic per objective, a Gaussian process over cells as in agents/gp_edit.py, predicts the outcome of edits. It does
not depend on the preference, so experience under one preference serves all. In each episode the controller draws a gap
in the predicted front, wide gaps more often, and takes the preference under which a cell in the gap would be best. It
edits a cell that is good under that preference, and carries out the edits whose predicted vector reward is best under
it. The critics smooth: neither the front nor the cells to edit are those of the luckiest trainings.

Sources: policies conditioned on preferences, Abels et al. 2019, https://arxiv.org/abs/1809.07803, and Yang et al. 2019,
https://arxiv.org/abs/1908.08342; preferences where most can be gained, Alegre et al. 2023 (GPI-LS),
https://arxiv.org/abs/2301.07784; the Chebyshev utility, Knowles 2006 (ParEGO),
https://doi.org/10.1109/TEVC.2005.851274.

    python agents/morl.py --budget 300 --seed 0
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

# Before the import: matrices of this size are faster on one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from ecnas_gym.agents.critic import GaussianProcess, Imagination, cell_features
from numpy.typing import NDArray

from ecnas import Chebyshev
from ecnas.objectives import OBJECTIVES
from ecnas.pareto import non_dominated
from ecnas.runs import Evaluator, script
from ecnas_gym import make_env
from ecnas_gym.editor import Edits

MARGIN = 0.1
"""How far beyond the ideal point good rewards are spread out (:meth:`Critics.spread`)."""


@dataclass(frozen=True)
class EditingUnderPreferences:
    """Search for a front by editing cells under changing preferences."""

    num_random: int = 10
    """Random cells at the start."""
    num_starts: int = 10
    """Number of cells, the best by expected utility, that may be edited."""
    num_plans: int = 1500
    """Imagined edit sequences; the one with the highest utility is carried out."""
    num_fresh: int = 200
    """Random cells that compete with them, so that the search can move to a better region."""
    num_drawn: int = 400
    """Number of all these, the best by expected utility, whose rewards are drawn from the critics' posterior."""
    exploration: float = 0.25
    """Spread of that draw, as a fraction of the posterior's; 0 is greedy, 1 is Thompson sampling."""
    max_edits: int = 3
    """Most edits in an episode."""

    name: ClassVar[str] = "editing under preferences"

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        """Searches until the budget is spent."""
        env = make_env(evaluate, "edit", vector_reward=True, max_edits=self.max_edits)
        env.reset(seed=int(rng.integers(2**31)))
        space = evaluate.benchmark.space
        edits = Edits(space)
        imagination = Imagination(edits, self.max_edits)
        features = cell_features(space)
        critics = Critics(features.size, evaluate.objectives)
        rows = np.empty(0, dtype=np.int64)
        rewards = np.empty((0, len(evaluate.objectives)))
        tried = np.zeros(len(space), dtype=bool)
        tried[list(evaluate.missing)] = True

        while True:  # the budget ends this: the environment raises at the first cell that it does not allow
            learned = len(rows) >= self.num_random
            starts = rows[:0]
            if learned:
                expected = critics.mean(features(rows))
                preference = widest_gap(expected, rng)
                order = np.argsort(-utility(expected, preference), kind="stable")
                starts = rng.choice(rows[order[: self.num_starts]], size=self.num_plans)
            plans = imagination.draw_untried(starts, self.num_fresh, tried, rng)
            if not len(plans.rows):
                break
            chosen = 0
            if learned:
                cells, plan_of = np.unique(plans.rows, return_index=True)
                value = utility(critics.mean(features(cells)), preference)
                best = np.argsort(-value, kind="stable")[: self.num_drawn]
                drawn = critics.draw(features(cells[best]), self.exploration, rng)
                chosen = int(plan_of[best[np.argmax(utility(drawn, preference))]])

            env.reset(options={"placed": plans.start(chosen)})
            for action in plans.edits(chosen):
                env.step(action)
            _, reward, _, _, info = env.step(edits.stop)
            row = int(info["row"])
            tried[row] = True
            rows, rewards = np.append(rows, row), np.vstack([rewards, np.asarray(reward)])
            critics.add(features(rows[-1:])[0], rewards)


class Critics:
    """One Gaussian process per objective: predicts the vector rewards of cells.

    Args:
        size: Features of a cell.
        objectives: Their names.
    """

    def __init__(self, size: int, objectives: Sequence[str]) -> None:
        self._each = [GaussianProcess(size) for _ in objectives]
        self._spreads = np.array([not OBJECTIVES[name].log for name in objectives])

    def add(self, x: NDArray[np.floating], rewards: NDArray[np.float64]) -> None:
        """Adds the features of a cell, shape (size,), and refits to the vector rewards of all so far, shape (n, m)."""
        targets = self.spread(rewards)
        self._centre, self._scale = targets.mean(axis=0), targets.std(axis=0) + 1e-9
        for critic, column in zip(self._each, ((targets - self._centre) / self._scale).T, strict=True):
            critic.add(x, column)

    def mean(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """Expected vector rewards of cells, shape (B, size) to (B, m)."""
        return self._rewards(np.stack([critic.mean(x) for critic in self._each], axis=1))

    def draw(self, x: NDArray[np.floating], exploration: float, rng: np.random.Generator) -> NDArray[np.float64]:
        """A joint posterior draw of all cells' vector rewards, shrunk towards the mean: (B, size) to (B, m)."""
        columns = []
        for critic in self._each:
            mean = critic.mean(x)
            columns.append(mean + exploration * (critic.draw(x, rng) - mean) if exploration else mean)
        return self._rewards(np.stack(columns, axis=1))

    def spread(self, rewards: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rewards transformed so that good ones are as far apart as bad ones. Log-scaled objectives stay as they are.

        The best accuracies differ by thousandths, the worst by tenths, so −log(1.1 − reward) is learned.
        """
        distance = np.maximum(1.0 + MARGIN - rewards, MARGIN / 2)  # luck may exceed the ideal
        spread: NDArray[np.float64] = np.where(self._spreads, -np.log(distance), rewards)
        return spread

    def _rewards(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        targets = self._centre + self._scale * values
        rewards: NDArray[np.float64] = np.where(self._spreads, 1.0 + MARGIN - np.exp(-targets), targets)
        return rewards


def utility(rewards: NDArray[np.float64], preference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Utility of vector rewards (B, m) under a preference (m,): the augmented Chebyshev scalarisation, (B,)."""
    return Chebyshev(tuple(preference.tolist()))(rewards, {})


def widest_gap(rewards: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """A preference under which a cell in a gap of the front would be best, (m,).

    Between two neighbours on the front lies a rectangle that the front could still gain. One rectangle is drawn with
    probability proportional to its area, then a point on its diagonal. The preference is the one whose ray to the ideal
    point meets that point. With any other number of objectives than two, the preference is drawn uniformly.

    Args:
        rewards: Vector rewards of the cells so far, (n, m).
        rng: Source of randomness.
    """
    num_objectives = rewards.shape[1]
    if num_objectives != 2:
        return rng.dirichlet(np.ones(num_objectives))
    front = np.clip(rewards[non_dominated(rewards)], 0.0, 1.0)
    corners = np.vstack([[0.0, 1.0], front[np.lexsort((-front[:, 1], front[:, 0]))], [1.0, 0.0]])
    width, height = np.abs(np.diff(corners, axis=0)).T
    areas = width * height + 1e-9
    gap, part = rng.choice(len(areas), p=areas / areas.sum()), rng.random()
    target = np.array([corners[gap, 0] + part * width[gap], corners[gap, 1] - part * height[gap]])
    weights: NDArray[np.float64] = 1.0 / np.maximum(1.0 - target, 1e-3)
    weights /= weights.sum()
    return weights


if __name__ == "__main__":
    script.main(EditingUnderPreferences)
