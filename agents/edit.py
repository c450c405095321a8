"""Editing the incumbent with an ensemble of value networks: bootstrapped Q-learning over afterstates.

In each episode the agent takes one of its best cells, edits it a few times and evaluates the result. Its value networks
learn from all cells evaluated so far which edits pay (off-policy, from a replay of all evaluations). Exploration is
Thompson sampling: one network of the ensemble acts greedily for a whole episode.

Sources: bootstrapped Q-networks, Osband et al. 2016, https://arxiv.org/abs/1602.04621; values of afterstates and
planning at decision time, Sutton and Barto 2018, sections 6.8 and 8.8. Rewards come at the end of an episode and the
outcomes of edits are known. So the value of a sequence of edits is the value of the resulting cell, and Q-learning's
bootstrapping over steps is not needed. If its networks are read as surrogate models, the agent is a relative of BANANAS
(White et al. 2021, https://arxiv.org/abs/1910.11858). It differs in its features, in updating after every evaluation,
in drawing one network per episode instead of one value per candidate, and in editing by the environment's actions.

With ``--min-epochs`` the last action of an episode chooses the epochs. A new cell is trained for the fewest epochs, the
best third of these cells for the next higher number, and so on: asynchronous successive halving (Li et al. 2020,
https://arxiv.org/abs/1810.05934) of the cells that the networks propose. The networks see the epochs, and values refer
to the most epochs.

    python agents/edit.py --objectives val_accuracy --budget 300 --seed 0
    python agents/edit.py --objectives val_accuracy --min-epochs 36 --budget-epochs 16200 --seed 0
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, ClassVar, NamedTuple, cast

# Before the import: networks of this size are several times faster on one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from ecnas_gym.agents.critic import (
    COST_FEATURES,
    Imagination,
    Networks,
    Plans,
    cell_features,
    rank_scores,
    standardised,
)
from numpy.typing import NDArray

from ecnas.runs import Evaluator, script
from ecnas.runs.many import evaluate_rows
from ecnas_gym import ChooseEpochs, make_env
from ecnas_gym.editor import Edits


@dataclass(frozen=True)
class Editing:
    """Search by editing the best cells so far, with an ensemble of value networks."""

    num_random: int = 10
    """Random cells at the start."""
    learn_ranks: bool = True
    """Learn the ranks of the rewards so far; otherwise the standardised rewards."""
    cost_features: bool = True
    """Let the networks see each cell's exact parameters and multiply-adds, which are known without training."""
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
    """Number of the best cells so far that may be edited."""
    num_plans: int = 500
    """Imagined edit sequences; the one with the highest value is carried out."""
    num_fresh: int = 200
    """Random cells that compete with them, so that the search can move to a better region."""
    max_edits: int = 3
    """Most edits in an episode."""
    min_epochs: int | None = None
    """Fewest epochs for which a cell may be trained; by default every cell is trained for the most."""
    promoted: int = 3
    """One in this many cells is promoted to the next higher number of epochs."""
    pretraining: int = 0
    """Updates of each network before the search, with the number of parameters as the target."""

    name: ClassVar[str] = "editing"

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        """Searches until the budget is spent, by the actions of the environment."""
        env = ChooseEpochs(make_env(evaluate, "edit", max_edits=self.max_edits), self.min_epochs or evaluate.epochs)
        stop = Edits(evaluate.benchmark.space).stop

        def play(_: Sequence[Evaluator], plans: Plans, rungs: NDArray[np.int64]) -> Outcome:
            env.reset(options={"placed": plans.start(0)})  # raises when the budget is spent
            for action in (*plans.edits(0), stop):
                env.step(action)
            return np.array([float(env.step(int(rungs[0]))[1])]), np.array([True])

        Searches(self, [evaluate], [rng]).carry_out(play)

    def run_many(self, evaluates: Sequence[Evaluator], rngs: Sequence[np.random.Generator]) -> None:
        """Searches until all budgets are spent: the same runs, without stepping environments."""
        fidelities = evaluates[0].fidelities(self.min_epochs or evaluates[0].epochs)

        def play(evaluates: Sequence[Evaluator], plans: Plans, rungs: NDArray[np.int64]) -> Outcome:
            rewards, going = evaluate_rows(evaluates, plans.rows[:, None], [fidelities[rung] for rung in rungs])
            return rewards[:, 0], going

        Searches(self, evaluates, rngs).carry_out(play)


Outcome = tuple[NDArray[np.float64], NDArray[np.bool_]]
"""Rewards of runs, and which runs continue, each of shape (S,)."""

Play = Callable[[Sequence[Evaluator], Plans, NDArray[np.int64]], Outcome]
"""Carries out one plan for each of S runs, with the cell trained for the epochs of a rung."""


class Searches:
    """Several runs in step, each after the same number of evaluations; none depends on the others.

    Args:
        how: The settings.
        evaluates: One per run.
        rngs: One per run.
    """

    def __init__(self, how: Editing, evaluates: Sequence[Evaluator], rngs: Sequence[np.random.Generator]) -> None:
        space = evaluates[0].benchmark.space
        self.how = how
        self.num_rungs = len(evaluates[0].fidelities(how.min_epochs or evaluates[0].epochs))
        self.runs = [Search.begun(each, rng, self.num_rungs) for each, rng in zip(evaluates, rngs, strict=True)]
        self.replay = Replay.empty(len(self.runs), how.num_networks)
        self.imagination = Imagination(Edits(space), how.max_edits)
        self.cells = cell_features(space)
        num_features = self.features(np.array([0]), 0).shape[1]
        every_rng = [rng for rng in rngs for _ in range(how.num_networks)]
        self.networks = Networks(num_features, 1, how.hidden_units, how.learning_rate, how.prior_scale, every_rng)
        if how.pretraining:
            self._pretrain(rank_scores(space.trainable_parameters.astype(np.float64))[:, None], every_rng)

    def features(self, rows: NDArray[np.int64], rungs: NDArray[np.int64] | int) -> NDArray[np.float32]:
        """Inputs of the networks for cells trained for the epochs of a rung: shape (…) to (…, features)."""
        of_cells: NDArray[np.float32] = self.cells(rows)[..., : None if self.how.cost_features else -COST_FEATURES]
        if self.num_rungs > 1:
            rung = np.broadcast_to(rungs, rows.shape)[..., None] == np.arange(1, self.num_rungs)
            of_cells = np.concatenate([of_cells, rung], axis=-1, dtype=np.float32)
        return of_cells

    def carry_out(self, play: Play) -> None:
        """Searches until all runs have ended, each when its budget is spent or all cells are known."""
        while self.runs:
            plans, rungs = self._choose()
            rewards, going = play([run.evaluate for run in self.runs], plans, rungs)
            counts = np.stack([run.rng.poisson(1.0, size=self.how.num_networks) for run in self.runs])
            self.replay = self.replay.longer(plans.rows, rungs, rewards, counts)
            for number, (run, row, rung) in enumerate(zip(self.runs, plans.rows.tolist(), rungs.tolist(), strict=True)):
                run.tried[row] = True
                run.trained[rung][row] = float(rewards[number])
                going[number] &= not run.tried.all() or promotion(run.trained, self.how.promoted) is not None
            if not going.all():
                self.runs = [*compress(self.runs, going)]
                self.replay = self.replay.some(going)
                self.networks = self.networks.some(np.repeat(going, self.how.num_networks))

    def _choose(self) -> tuple[Plans, NDArray[np.int64]]:
        """The next plan and rung of each run."""
        how, runs, rngs = self.how, self.runs, [run.rng for run in self.runs]
        learned = self.replay.rows.shape[1] >= how.num_random
        num_plans = how.num_plans if learned else 0
        starts = np.empty((len(runs), num_plans), dtype=np.int64)
        for number, run in enumerate(runs if learned else ()):
            best = [row for cells in run.trained for row in best_of(cells)[: how.num_starts]]
            starts[number] = run.rng.choice(best, size=num_plans)
        fresh = np.stack([rng.integers(len(self.cells.table), size=how.num_fresh) for rng in rngs])
        plans = self.imagination.draw(starts, fresh, rngs)
        values = self._values(plans.rows) if learned else np.zeros(plans.rows.shape)
        # An isomorphic cell is not paid for again.
        values[np.stack([run.tried[rows] for run, rows in zip(runs, plans.rows, strict=True)])] = -np.inf
        best_values = values.max(axis=1)
        plans = plans.where((np.arange(len(runs)), values.argmax(axis=1)))
        rungs = np.zeros(len(runs), dtype=np.int64)
        for number, run in enumerate(runs):
            again = promotion(run.trained, how.promoted)
            if again is not None:
                plans.rows[number], rungs[number] = again
            elif best_values[number] == -np.inf:
                plans.rows[number] = run.rng.choice(np.flatnonzero(~run.tried))
            else:
                continue
            plans.actions[number] = -1
            plans.edge_bits[[number]], plans.op_codes[[number]] = self.imagination.edits.first_placements(
                plans.rows[[number]]
            )
        return plans, rungs

    def _values(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Values that one network of each run predicts after an update: shape (S, B) to (S, B)."""
        how, known, rngs = self.how, self.replay, [run.rng for run in self.runs]
        acting = np.array([rng.integers(how.num_networks) for rng in rngs])
        everyone = np.arange(len(rngs))
        scale = rank_scores if how.learn_ranks else standardised
        targets = np.empty(known.rows.shape, dtype=np.float32)
        for rewards, rungs, scaled in zip(known.rewards, known.rungs, targets, strict=True):
            for rung in np.unique(rungs):  # rewards of different epochs are not comparable
                scaled[rungs == rung] = scale(rewards[rungs == rung])
        weights = known.counts[everyone, :, acting].astype(np.float32)
        size = (how.updates, how.batch_size)
        batches = np.stack([rng.integers(known.rows.shape[1], size=size) for rng in rngs], axis=1)
        which = everyone * how.num_networks + acting
        one_each = everyone[:, None]
        self.networks.update(
            which,
            (
                (
                    self.features(known.rows[one_each, batch], known.rungs[one_each, batch]),
                    targets[one_each, batch, None],
                    weights[one_each, batch],
                )
                for batch in batches
            ),
        )
        expected: NDArray[np.float32] = self.networks.predict(which, self.features(rows, self.num_rungs - 1))[:, :, 0]
        return expected

    def _pretrain(self, scores: NDArray[np.float32], rngs: Sequence[np.random.Generator]) -> None:
        """Trains every network on scores of all cells, shape (cells, 1)."""
        ones = np.ones((1, self.how.batch_size), dtype=np.float32)
        for number, rng in enumerate(rngs):
            batches = rng.integers(len(scores), size=(self.how.pretraining, 1, self.how.batch_size))
            seen = ((self.features(batch, self.num_rungs - 1), scores[batch], ones) for batch in batches)
            self.networks.update(np.array([number]), seen)


class Search(NamedTuple):
    """The memory of one run: whether it has tried each cell, and rewards by cell for each rung."""

    evaluate: Evaluator
    rng: np.random.Generator
    tried: NDArray[np.bool_]
    trained: list[dict[int, float]]

    @classmethod
    def begun(cls, evaluate: Evaluator, rng: np.random.Generator, num_rungs: int) -> Search:
        """A new run. Cells that the benchmark lacks count as tried."""
        tried = np.zeros(len(evaluate.benchmark.space), dtype=np.bool_)
        tried[list(evaluate.missing)] = True
        return cls(evaluate, rng, tried, [{} for _ in range(num_rungs)])


class Replay(NamedTuple):
    """The evaluations of S runs, each of shape (S, evaluations).

    Attributes:
        rows: Cells.
        rungs: The rungs of their epochs.
        rewards: Their rewards.
        counts: How often each network's bootstrap sample contains the evaluation, (S, evaluations, networks).
    """

    rows: NDArray[np.int64]
    rungs: NDArray[np.int64]
    rewards: NDArray[np.float64]
    counts: NDArray[np.int64]

    @classmethod
    def empty(cls, num_runs: int, num_networks: int) -> Replay:
        """A replay without evaluations."""
        none = np.empty((num_runs, 0), dtype=np.int64)
        return cls(none, none, np.empty((num_runs, 0)), np.empty((num_runs, 0, num_networks), dtype=np.int64))

    def some(self, chosen: NDArray[np.bool_]) -> Replay:
        """The replay of some of the runs."""
        return Replay(*(array[chosen] for array in cast(tuple[NDArray[Any], ...], self)))

    def longer(self, *of_one: NDArray[Any]) -> Replay:
        """With one more evaluation of each run: the same fields without the axis of evaluations."""
        fields = cast(tuple[NDArray[Any], ...], self)
        return Replay(*(np.append(old, new[:, None], axis=1) for old, new in zip(fields, of_one, strict=True)))


def best_of(rewards: Mapping[int, float]) -> list[int]:
    """Cells by descending reward, the older first among equals."""
    return sorted(rewards, key=rewards.__getitem__, reverse=True)


def promotion(trained: Sequence[Mapping[int, float]], one_in: int) -> tuple[int, int] | None:
    """The next cell to be trained for more epochs, and its new rung; None if no cell qualifies.

    Args:
        trained: Rewards by cell, for each number of epochs (rung), ascending.
        one_in: One in this many cells of a rung is promoted, the best first.
    """
    for rung in reversed(range(len(trained) - 1)):
        for row in best_of(trained[rung])[: len(trained[rung]) // one_in]:
            if row not in trained[rung + 1]:
                return row, rung + 1
    return None


if __name__ == "__main__":
    script.main(Editing)
