"""Multi-objective reinforcement learning: one policy, conditioned on preferences, covers the front in one run.

Each episode begins with a random preference: the weight of each objective. The policy edits one of the evaluated cells
that suit the preference, and chooses the edits whose predicted vector reward suits it best. The predicting networks do
not depend on the preference, so every evaluation serves all preferences. Exploration is that of agents/edit.py.

Sources: policies conditioned on preferences, Abels et al. 2019, https://arxiv.org/abs/1809.07803, and Yang et al. 2019,
https://arxiv.org/abs/1908.08342; a new preference for each decision and the Chebyshev utility, Knowles 2006
(ParEGO), https://doi.org/10.1109/TEVC.2005.851274; bootstrapped networks, Osband et al. 2016.

    python agents/morl.py --budget 300 --seed 0
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import ClassVar

# Before the import: networks of this size are several times faster on one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from ecnas_gym.agents.critic import Imagination, Networks, cell_features
from numpy.typing import NDArray

from ecnas import Chebyshev
from ecnas.runs import Evaluator, script
from ecnas_gym import make_env
from ecnas_gym.editor import Edits


@dataclass(frozen=True)
class EditingUnderPreferences:
    """Search for a front by editing cells under changing preferences."""

    num_random: int = 10
    """Random cells at the start."""
    num_networks: int = 10
    """Networks of the ensemble."""
    hidden_units: int = 64
    """Units in each of a network's two hidden layers."""
    learning_rate: float = 3e-3
    """Step size of Adam."""
    prior_scale: float = 0.0
    """Weight of the random prior added to each network; 0 for none."""
    updates: int = 20
    """Updates of the next acting network after each evaluation."""
    batch_size: int = 32
    """Evaluations replayed in each update."""
    num_starts: int = 10
    """How many of the best cells for the preference may be edited."""
    num_plans: int = 500
    """Imagined edit sequences; the one of the highest value is carried out."""
    num_fresh: int = 200
    """Random cells that compete with them, so that the search can move to a better region."""
    max_edits: int = 3
    """Most edits of an episode."""

    name: ClassVar[str] = "editing under preferences"

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        """Searches until the budget is spent."""
        env = make_env(evaluate, "edit", vector_reward=True, max_edits=self.max_edits)
        env.reset(seed=int(rng.integers(2**31)))
        space = evaluate.benchmark.space
        num_objectives = len(evaluate.objectives)
        edits = Edits(space)
        imagination = Imagination(edits, self.max_edits)
        features = cell_features(space)
        shape = features.size, num_objectives, self.hidden_units
        networks = Networks(*shape, self.learning_rate, self.prior_scale, [rng] * self.num_networks)
        # The replay: cells, vector rewards, and how often each network's bootstrap sample holds the evaluation.
        known = np.empty(0, dtype=np.int64)
        rewards = np.empty((0, num_objectives))
        counts = np.empty((0, self.num_networks), dtype=np.float32)
        tried = np.zeros(len(space), dtype=bool)
        tried[list(evaluate.missing)] = True

        while True:  # the budget ends this: the environment raises at the first cell that it does not allow
            preference = rng.dirichlet(np.ones(num_objectives))
            best = known[np.argsort(-utility(rewards, preference), kind="stable")[: self.num_starts]]
            learned = len(known) >= self.num_random
            starts = rng.choice(best, size=self.num_plans) if learned else known[:0]
            plans = imagination.draw_untried(starts, self.num_fresh, tried, rng)
            if not len(plans.rows):
                break
            chosen = 0
            if learned:
                acting = rng.integers(self.num_networks, size=1)
                centre, spread = rewards.mean(axis=0), rewards.std(axis=0) + 1e-9
                targets = ((rewards - centre) / spread).astype(np.float32)
                batches = rng.integers(len(known), size=(self.updates, 1, self.batch_size))
                networks.update(acting, ((features(known[b]), targets[b], counts[b, acting[0]]) for b in batches))
                predicted = centre + spread * networks.predict(acting, features(plans.rows)[None])[0]
                chosen = int(np.argmax(utility(predicted, preference)))

            env.reset(options={"placed": plans.start(chosen)})
            for action in plans.edits(chosen):
                env.step(action)
            _, reward, _, _, info = env.step(edits.stop)
            tried[info["cell"].row] = True
            known = np.append(known, info["cell"].row)
            rewards = np.vstack([rewards, np.asarray(reward)])
            counts = np.vstack([counts, rng.poisson(1.0, size=self.num_networks).astype(np.float32)])


def utility(rewards: NDArray[np.float64], preference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Utility (B,) of vector rewards (B, m) under a preference (m,): the augmented Chebyshev scalarisation."""
    return Chebyshev(tuple(preference.tolist()))(rewards, {})


if __name__ == "__main__":
    script.main(EditingUnderPreferences)
