"""Multi-objective reinforcement learning: one policy, conditioned on preferences, covers the front in one run.

Before each episode a preference is drawn: how much each objective matters. The policy edits a cell that suits it among
those evaluated so far, and chooses the edits whose predicted vector reward suits it best. The networks that predict it
do not depend on the preference, so what is learned under one serves all. Exploration as in agents/edit.py.

Sources: policies conditioned on preferences, Abels et al. 2019, https://arxiv.org/abs/1809.07803, and Yang et al. 2019,
https://arxiv.org/abs/1908.08342; preferences drawn anew for each decision and the Chebyshev utility, Knowles 2006
(ParEGO), https://doi.org/10.1109/TEVC.2005.851274; bootstrapped networks, Osband et al. 2016.

    python agents/morl.py --env-id MO-ECNAS-7V-Edit-v0 --budget 300 --seed 0
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

# Before the import: networks of this size are several times faster on one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import tyro
from numpy.typing import NDArray

if __package__ in (None, ""):  # run as a file: the checkout is not on the path yet
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from agents.common import Search, SearchArgs
from agents.critic import Imagination, Network, cell_features
from agents.report import report
from ecnas import Chebyshev
from ecnas_gym.editor import Edits


@dataclass
class Args(SearchArgs):
    """Search for a front by editing cells under changing preferences."""

    env_id: str = "MO-ECNAS-7V-Edit-v0"
    """Environment to search in: MO-ECNAS-4V-Edit-v0, MO-ECNAS-5V-Edit-v0 or MO-ECNAS-7V-Edit-v0."""
    num_random: int = 10
    """Random cells to begin with."""
    num_networks: int = 10
    """Networks of the ensemble."""
    hidden_units: int = 64
    """Units of each of a network's two layers."""
    learning_rate: float = 3e-3
    """Step size of Adam."""
    prior_scale: float = 0.0
    """Weight of a random prior that is added to each network; 0 for none."""
    updates: int = 20
    """Updates, after each evaluation, of the network that acts next."""
    batch_size: int = 32
    """Evaluations that an update replays."""
    num_starts: int = 10
    """Cells, the best ones for the preference, that may be edited."""
    num_plans: int = 500
    """Edit sequences that are imagined, of which the most valued is carried out."""
    num_fresh: int = 200
    """Random cells that compete with them, so that a better region can be entered."""
    max_edits: int = 3
    """Most edits of an episode."""


def utility(rewards: NDArray[np.float64], preference: NDArray[np.float64]) -> NDArray[np.float64]:
    """What vector rewards (B, m) are worth under a preference (m,): the augmented Chebyshev scalarisation, (B,)."""
    return Chebyshev(tuple(preference.tolist()))(rewards, {})


def main(args: Args) -> Search:
    """Searches until the budget is spent, and reports."""
    rng = np.random.default_rng(args.seed)
    with Search("morl", args) as search:
        env = search.make_env(max_edits=args.max_edits)
        env.reset(seed=args.seed)
        space = search.benchmark.space
        num_objectives = len(args.objectives)
        edits = Edits(space)
        imagination = Imagination(edits, args.max_edits)
        features = cell_features(space)
        networks = [
            Network(features.size, num_objectives, args.hidden_units, args.learning_rate, args.prior_scale, rng)
            for _ in range(args.num_networks)
        ]
        # The replay: cells, vector rewards, and how often each network's bootstrap sample holds the evaluation.
        known = np.empty(0, dtype=np.int64)
        rewards = np.empty((0, num_objectives))
        counts = np.empty((0, args.num_networks), dtype=np.float32)
        tried = np.zeros(len(space), dtype=bool)
        tried[list(search.benchmark.table.missing)] = True

        while True:  # the budget ends this: the environment raises at the first cell that it does not allow
            preference = rng.dirichlet(np.ones(num_objectives))
            best = known[np.argsort(-utility(rewards, preference), kind="stable")[: args.num_starts]]
            learned = len(known) >= args.num_random
            starts = rng.choice(best, size=args.num_plans) if learned else known[:0]
            plans = imagination.draw_untried(starts, args.num_fresh, tried, rng)
            if not len(plans.rows):
                break
            chosen = 0
            if learned:
                acting = int(rng.integers(args.num_networks))
                centre, spread = rewards.mean(axis=0), rewards.std(axis=0) + 1e-9
                targets = ((rewards - centre) / spread).astype(np.float32)
                inputs = features(known)
                for _ in range(args.updates):
                    batch = rng.integers(len(known), size=args.batch_size)
                    networks[acting].update(inputs[batch], targets[batch], counts[batch, acting])
                predicted = centre + spread * networks[acting].predict(features(plans.rows))
                chosen = int(np.argmax(utility(predicted, preference)))

            env.reset(options={"placed": plans.start(chosen)})
            for action in plans.edits(chosen):
                env.step(action)
            _, reward, _, _, info = env.step(edits.stop)
            tried[info["cell"].row] = True
            known = np.append(known, info["cell"].row)
            rewards = np.vstack([rewards, reward])
            counts = np.vstack([counts, rng.poisson(1.0, size=args.num_networks).astype(np.float32)])
    report(search)
    return search


if __name__ == "__main__":
    main(tyro.cli(Args))
