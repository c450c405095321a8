"""Editing the incumbent with an ensemble of value networks: bootstrapped Q-learning over afterstates.

In each episode the agent takes one of its best cells, edits it a few times and has it evaluated. Which edits pay is
what its value networks have learned from all cells so far (off-policy: a replay of all evaluations). Exploration is
Thompson sampling: one network of the ensemble acts for a whole episode, greedily.

Sources: bootstrapped Q-networks, Osband et al. 2016, https://arxiv.org/abs/1602.04621; values of afterstates and
planning at decision time, Sutton and Barto 2018, sections 6.8 and 8.8. Rewards come at the end of an episode and the
edits' outcomes are known, so a sequence of edits is worth what the cell is worth that it leads to, and Q-learning's
bootstrapping over steps is not needed. Its networks read as surrogate models, the agent is a relative of BANANAS (White
et al. 2021, https://arxiv.org/abs/1910.11858): it differs in its features, in updating after every evaluation, in
drawing one network an episode instead of one value a candidate, and in editing by the environment's actions.

    python agents/edit.py --env-id ECNAS-7V-Edit-v0 --objectives val_accuracy --budget 300 --seed 0
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

if __package__ in (None, ""):  # run as a file: the checkout is not on the path yet
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from agents.common import Search, SearchArgs
from agents.critic import COST_FEATURES, Imagination, Network, cell_features, rank_scores, standardised
from agents.report import report
from ecnas_gym.editor import Edits


@dataclass
class Args(SearchArgs):
    """Search by editing the best cells."""

    env_id: str = "ECNAS-7V-Edit-v0"
    """Environment to search in: ECNAS-4V-Edit-v0, ECNAS-5V-Edit-v0 or ECNAS-7V-Edit-v0."""
    num_random: int = 10
    """Random cells to begin with."""
    learn_ranks: bool = True
    """Learn the rewards' ranks among all so far; otherwise the rewards as they are, standardised."""
    cost_features: bool = True
    """Let the networks see each cell's exact parameters and multiply-adds, which cost nothing to know."""
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
    """Best cells so far that may be edited."""
    num_plans: int = 500
    """Edit sequences that are imagined, of which the most valued is carried out."""
    num_fresh: int = 200
    """Random cells that compete with them, so that a better region can be entered."""
    max_edits: int = 3
    """Most edits of an episode."""


def main(args: Args) -> Search:
    """Searches until the budget is spent, and reports."""
    rng = np.random.default_rng(args.seed)
    with Search("edit", args) as search:
        env = search.make_env(max_edits=args.max_edits)
        env.reset(seed=args.seed)
        space = search.benchmark.space
        edits = Edits(space)
        imagination = Imagination(edits, args.max_edits)
        all_features = cell_features(space)
        num_features = all_features.size if args.cost_features else all_features.size - COST_FEATURES

        def features(of: np.ndarray) -> np.ndarray:
            return all_features(of)[:, :num_features]

        networks = [
            Network(num_features, 1, args.hidden_units, args.learning_rate, args.prior_scale, rng)
            for _ in range(args.num_networks)
        ]
        # The replay: cells, rewards, and how often each network's bootstrap sample holds the evaluation.
        rows: list[int] = []
        rewards: list[float] = []
        counts: list[np.ndarray] = []
        tried = np.zeros(len(space), dtype=bool)
        tried[list(search.benchmark.table.missing)] = True

        while True:  # the budget ends this: the environment raises at the first cell that it does not allow
            known = np.array(rows, dtype=np.int64)
            best = known[np.argsort(-np.array(rewards), kind="stable")[: args.num_starts]]
            learned = len(rows) >= args.num_random
            starts = rng.choice(best, size=args.num_plans) if learned else known[:0]
            fresh = rng.integers(len(space), size=args.num_fresh)
            plans = imagination.draw(starts, fresh, rng)
            plans = plans.where(~tried[plans.rows])  # an equal cell in another guise is not paid for again
            if not len(plans.rows):
                if tried.all():
                    break
                plans = imagination.draw(known[:0], rng.choice(np.flatnonzero(~tried), size=1), rng)
            chosen = 0
            if learned:
                acting = int(rng.integers(args.num_networks))
                targets = (rank_scores if args.learn_ranks else standardised)(np.array(rewards))[:, None]
                weights = np.array(counts, dtype=np.float32)[:, acting]
                inputs = features(known)
                for _ in range(args.updates):
                    batch = rng.integers(len(rows), size=args.batch_size)
                    networks[acting].update(inputs[batch], targets[batch], weights[batch])
                chosen = int(np.argmax(networks[acting].predict(features(plans.rows))[:, 0]))

            env.reset(options={"placed": plans.start(chosen)})
            for action in plans.edits(chosen):
                env.step(action)
            _, reward, _, _, info = env.step(edits.stop)
            row = info["cell"].row
            tried[row] = True
            rows.append(row)
            rewards.append(float(reward))
            counts.append(rng.poisson(1.0, size=args.num_networks))
    report(search)
    return search


if __name__ == "__main__":
    main(tyro.cli(Args))
