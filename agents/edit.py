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

With ``--min-epochs`` the epochs are the last action of an episode. Then a new cell is trained for the fewest, and the
best third of those goes on to the next higher number of epochs, and so on: asynchronous successive halving (Li et al.
2020, https://arxiv.org/abs/1810.05934) of the cells that the networks propose. The networks see the epochs, and values
are those of the most epochs.

    python agents/edit.py --objectives val_accuracy --budget 300 --seed 0
    python agents/edit.py --objectives val_accuracy --min-epochs 36 --budget-epochs 16200 --seed 0
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

# Before the import: networks of this size are several times faster on one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from ecnas_gym.agents.critic import COST_FEATURES, Imagination, Network, cell_features, rank_scores, standardised

from ecnas.runs import Evaluator, script
from ecnas_gym import ChooseEpochs, make_env
from ecnas_gym.editor import Edits


@dataclass(frozen=True)
class Editing:
    """Search by editing the best cells."""

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
    min_epochs: int | None = None
    """Fewest epochs for which a cell may be trained; by default each is trained for the most."""
    promoted: int = 3
    """One in this many of the cells trained for some epochs is trained for the next higher number."""
    pretraining: int = 0
    """Updates of each network before the search, in which it learns the number of parameters instead of rewards."""

    name: ClassVar[str] = "editing"

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        """Searches until the budget is spent."""
        env = ChooseEpochs(make_env(evaluate, "edit", max_edits=self.max_edits), self.min_epochs or evaluate.epochs)
        num_rungs = len(env.fidelities)
        env.reset(seed=int(rng.integers(2**31)))
        space = evaluate.benchmark.space
        edits = Edits(space)
        imagination = Imagination(edits, self.max_edits)
        all_features = cell_features(space)
        num_features = all_features.size if self.cost_features else all_features.size - COST_FEATURES

        def features(of: np.ndarray, at: np.ndarray | int) -> np.ndarray:
            rung = np.broadcast_to(at, of.shape)[:, None] == np.arange(1, num_rungs)
            return np.hstack([all_features(of)[:, :num_features], rung.astype(np.float32)])

        networks = [
            Network(num_features + num_rungs - 1, 1, self.hidden_units, self.learning_rate, self.prior_scale, rng)
            for _ in range(self.num_networks)
        ]
        if self.pretraining:
            scores = rank_scores(space.trainable_parameters.astype(np.float64))[:, None]
            for network in networks:
                for _ in range(self.pretraining):
                    batch = rng.integers(len(space), size=self.batch_size)
                    network.update(features(batch, num_rungs - 1), scores[batch], np.ones(len(batch), dtype=np.float32))

        # The replay: cells, epochs, rewards, and how often each network's bootstrap sample holds the evaluation.
        rows: list[int] = []
        rungs: list[int] = []
        rewards: list[float] = []
        counts: list[np.ndarray] = []
        trained: list[dict[int, float]] = [{} for _ in range(num_rungs)]
        tried = np.zeros(len(space), dtype=bool)
        tried[list(evaluate.missing)] = True

        while True:  # the budget ends this: the environment raises at the first cell that it does not allow
            known, at = np.array(rows, dtype=np.int64), np.array(rungs)
            learned = len(rows) >= self.num_random
            again = promotion(trained, self.promoted)
            if again is not None:
                plans = imagination.draw(known[:0], np.array(again[:1]), rng)
            else:
                best = [row for cells in trained for row in best_of(cells)[: self.num_starts]]
                starts = rng.choice(best, size=self.num_plans) if learned else known[:0]
                plans = imagination.draw_untried(starts, self.num_fresh, tried, rng)
                if not len(plans.rows):
                    break
            chosen = 0
            if learned and again is None:
                acting = int(rng.integers(self.num_networks))
                targets = np.empty((len(rows), 1), dtype=np.float32)
                for rung in range(num_rungs):  # rewards of different epochs are not comparable
                    if (at == rung).any():
                        scale = rank_scores if self.learn_ranks else standardised
                        targets[at == rung, 0] = scale(np.array(rewards)[at == rung])
                weights = np.array(counts, dtype=np.float32)[:, acting]
                inputs = features(known, at)
                for _ in range(self.updates):
                    batch = rng.integers(len(rows), size=self.batch_size)
                    networks[acting].update(inputs[batch], targets[batch], weights[batch])
                chosen = int(np.argmax(networks[acting].predict(features(plans.rows, num_rungs - 1))[:, 0]))

            env.reset(options={"placed": plans.start(chosen)})
            for action in (*plans.edits(chosen), edits.stop):
                env.step(action)
            rung = 0 if again is None else again[1]
            _, reward, _, _, info = env.step(rung)
            row = info["cell"].row
            tried[row] = True
            trained[rung][row] = float(reward)
            rows.append(row)
            rungs.append(rung)
            rewards.append(float(reward))
            counts.append(rng.poisson(1.0, size=self.num_networks))


def best_of(rewards: Mapping[int, float]) -> list[int]:
    """Cells by descending reward; of equally good ones the older first."""
    return sorted(rewards, key=lambda row: -rewards[row])


def promotion(trained: Sequence[Mapping[int, float]], one_in: int) -> tuple[int, int] | None:
    """The next cell to be trained for more epochs, and the rung of these; None if no cell deserves it.

    Args:
        trained: Rewards by cell, for each number of epochs (rung), ascending.
        one_in: One in this many cells of a rung goes on to the next, the best first.
    """
    for rung in reversed(range(len(trained) - 1)):
        for row in best_of(trained[rung])[: len(trained[rung]) // one_in]:
            if row not in trained[rung + 1]:
                return row, rung + 1
    return None


if __name__ == "__main__":
    script.main(Editing)
