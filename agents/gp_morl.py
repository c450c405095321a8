"""Multi-objective editing with Gaussian processes as critics: one policy, conditioned on preferences, covers the front.

As in agents/morl.py a preference is drawn before each episode: how much each objective matters. The policy edits a cell
that suits it and carries out the edits whose predicted vector reward suits it best. Its critics are one Gaussian
process an objective (agents/gp_edit.py), of which one draw acts for a whole episode. What is expected of the cells so
far, and not what one training happened to give, says which of them suit a preference.

Sources: policies conditioned on preferences, Abels et al. 2019, https://arxiv.org/abs/1809.07803; preferences drawn
anew for each decision and the Chebyshev utility, Knowles 2006 (ParEGO), https://doi.org/10.1109/TEVC.2005.851274;
values as Gaussian processes, Engel et al. 2005, https://doi.org/10.1145/1102351.1102377.

    python agents/gp_morl.py --benchmark surrogate-7V~7 --repeat random --budget 150
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import ClassVar

# Before the import: matrices of this size are faster on one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from ecnas_gym.agents.critic import GaussianProcess, Imagination, cell_features
from numpy.typing import NDArray

from ecnas import Chebyshev
from ecnas.runs import Evaluator, script
from ecnas_gym import make_env
from ecnas_gym.editor import Edits


@dataclass(frozen=True)
class GaussianProcessPreferences:
    """Search for a front by editing cells under changing preferences, with Gaussian processes as critics."""

    num_random: int = 10
    """Random cells to begin with."""
    num_starts: int = 10
    """Cells, the best ones for the preference by what the critics expect, that may be edited."""
    num_plans: int = 500
    """Edit sequences that are imagined, of which the most valued is carried out."""
    num_fresh: int = 200
    """Random cells that compete with them, so that a better region can be entered."""
    max_edits: int = 3
    """Most edits of an episode."""

    name: ClassVar[str] = "editing under preferences, Gaussian processes"

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        """Searches until the budget is spent."""
        env = make_env(evaluate, "edit", vector_reward=True, max_edits=self.max_edits)
        env.reset(seed=int(rng.integers(2**31)))
        space = evaluate.benchmark.space
        num_objectives = len(evaluate.objectives)
        edits = Edits(space)
        imagination = Imagination(edits, self.max_edits)
        features = cell_features(space)
        critics = [GaussianProcess(features.size) for _ in range(num_objectives)]
        rows = np.empty(0, dtype=np.int64)
        rewards = np.empty((0, num_objectives))
        tried = np.zeros(len(space), dtype=bool)
        tried[list(evaluate.benchmark.table.missing)] = True

        while True:  # the budget ends this: the environment raises at the first cell that it does not allow
            preference = rng.dirichlet(np.ones(num_objectives))
            learned = len(rows) >= self.num_random
            starts = rows[:0]
            if learned:
                centre, spread = rewards.mean(axis=0), rewards.std(axis=0) + 1e-9
                expected = np.stack([critic.mean(features(rows)) for critic in critics], axis=1)
                suited = np.argsort(-utility(centre + spread * expected, preference), kind="stable")
                starts = rng.choice(rows[suited[: self.num_starts]], size=self.num_plans)
            plans = imagination.draw_untried(starts, self.num_fresh, tried, rng)
            if not len(plans.rows):
                break
            chosen = 0
            if learned:
                cells, plan_of = np.unique(plans.rows, return_index=True)
                drawn = np.stack([critic.draw(features(cells), rng) for critic in critics], axis=1)
                chosen = int(plan_of[np.argmax(utility(centre + spread * drawn, preference))])

            env.reset(options={"placed": plans.start(chosen)})
            for action in plans.edits(chosen):
                env.step(action)
            _, reward, _, _, info = env.step(edits.stop)
            row = int(info["row"])
            tried[row] = True
            rows, rewards = np.append(rows, row), np.vstack([rewards, np.asarray(reward)])
            targets = (rewards - rewards.mean(axis=0)) / (rewards.std(axis=0) + 1e-9)
            for critic, target in zip(critics, targets.T, strict=True):
                critic.add(features(rows[-1:])[0], target)


def utility(rewards: NDArray[np.float64], preference: NDArray[np.float64]) -> NDArray[np.float64]:
    """What vector rewards (B, m) are worth under a preference (m,): the augmented Chebyshev scalarisation, (B,)."""
    return Chebyshev(tuple(preference.tolist()))(rewards, {})


if __name__ == "__main__":
    script.main(GaussianProcessPreferences)
