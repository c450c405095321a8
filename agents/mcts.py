"""Monte-Carlo tree search over the decisions that build a cell, with a value network that judges imagined completions.

The tree's nodes are cells under construction, its edges the decisions that the mask allows. Each episode descends the
tree by upper confidence bounds (UCT), adds a node, and completes the cell from there. A training is expensive, but an
imagined completion costs nothing. So many completions are drawn at random at every new node, and a value network that
has learned from all evaluations so far predicts their rewards. As in AlphaX, the value of a new node averages the
observed reward and the predicted ones. Unlike AlphaX, the best completion is the one carried out, and no cell is paid
for twice. With ``--no-network`` it is plain UCT with random completions.

Sources: UCT, Kocsis and Szepesvári 2006, https://doi.org/10.1007/11871842_29; AlphaX, Wang et al. 2018,
https://arxiv.org/abs/1805.07440, in whose tree edges and vertices are added in any order. Here decisions come in the
environment's order, and the mask excludes invalid cells.

    python agents/mcts.py --objectives val_accuracy --budget 300 --seed 0
    python agents/mcts.py --no-network --objectives val_accuracy --budget 300 --seed 0
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import ClassVar

# Before the import: networks of this size are several times faster on one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from ecnas_gym.agents.critic import Networks, cell_features, rank_scores
from ecnas_gym.agents.tabular import Drawn, draw_endings
from numpy.typing import NDArray

from ecnas.runs import Evaluator, script
from ecnas.runs.many import evaluate_rows
from ecnas.task import Task
from ecnas_gym import make_env
from ecnas_gym.builder import decisions


@dataclass(frozen=True)
class TreeSearch:
    """Search a tree of decisions."""

    exploration: float = 0.4
    """Weight of the uncertainty of a node's value, in standard deviations of the rewards' ranks."""
    network: bool = True
    """Let a value network predict the rewards of completions; otherwise completions are random."""
    best_ending: bool = True
    """Carry out the completion with the highest predicted reward; otherwise a random one, as AlphaX does."""
    num_imagined: int = 100
    """Completions imagined at each new node."""
    imagined_weight: float = 0.5
    """Weight of the predicted rewards in the value of a new node; the observed reward has the rest."""
    num_random: int = 10
    """Evaluations before the network's predictions are used."""
    hidden_units: int = 64
    """Units in each of its two hidden layers."""
    learning_rate: float = 3e-3
    """Step size of Adam."""
    updates: int = 10
    """Updates of the network after each evaluation."""
    batch_size: int = 32
    """Evaluations replayed in each update."""

    name: ClassVar[str] = "tree search"

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        """Searches until the budget is spent, by the decisions of the environment."""
        env = make_env(evaluate)

        def play(_: Sequence[Evaluator], cells: Drawn) -> Outcome:
            env.reset()  # raises when the budget is spent
            for action in cells.actions[0].tolist():
                reward = env.step(action)[1]
            return np.array([float(reward)]), np.array([True])

        self._carry_out(play, [evaluate], [rng])

    def run_many(self, evaluates: Sequence[Evaluator], rngs: Sequence[np.random.Generator]) -> None:
        """Searches until all budgets are spent: the same runs, without stepping environments."""

        def play(evaluates: Sequence[Evaluator], cells: Drawn) -> Outcome:
            rewards, going = evaluate_rows(evaluates, cells.rows[:, None])
            return rewards[:, 0], going

        self._carry_out(play, evaluates, rngs)

    def _carry_out(self, play: Play, evaluates: Sequence[Evaluator], rngs: Sequence[np.random.Generator]) -> None:
        """Searches until all runs have ended, each when its budget is spent or all cells are known."""
        task = evaluates[0].task
        features = cell_features(task.benchmark.space)
        networks = Networks(features.size, 1, self.hidden_units, self.learning_rate, 0.0, rngs)
        roots = [Node.after((), drawn) for drawn in imagine(task, [()] * len(rngs), 1, rngs)]
        runs = [Search(*begun) for begun in zip(range(len(rngs)), evaluates, rngs, roots, strict=True)]
        rows = np.empty((len(runs), 0), dtype=np.int64)
        rewards = np.empty((len(runs), 0))
        while runs := self._grown(task, runs):
            believed = self.network and rows.shape[1] >= self.num_random
            for run in runs:
                if believed:
                    run.predicted = networks.predict(np.array([run.number]), features(run.endings.rows)[None])[0, :, 0]
            each = [run.endings.some([np.argmax(run.predicted) if self.best_ending else 0]) for run in runs]
            cells = Drawn(*map(np.concatenate, zip(*each, strict=True)))
            new, going = play([run.evaluate for run in runs], cells)
            rows, rewards = np.pad(rows, ((0, 0), (0, 1))), np.pad(rewards, ((0, 0), (0, 1)))
            numbers = np.array([run.number for run in runs])
            rows[numbers, -1], rewards[numbers, -1] = cells.rows, new
            runs, numbers = [*compress(runs, going)], numbers[going]
            if not runs:
                break
            scores = np.array([rank_scores(rewards[number]) for number in numbers])
            for run, row, score in zip(runs, rows[numbers, -1].tolist(), scores[:, -1].tolist(), strict=True):
                run.learn(row, score, self.imagined_weight if believed else 0.0)
            if self.network:
                known, one_each = rows[numbers], np.arange(len(runs))[:, None]
                size = (self.updates, self.batch_size)
                batches = np.stack([run.rng.integers(rows.shape[1], size=size) for run in runs], axis=1)
                ones = np.ones((len(runs), self.batch_size), dtype=np.float32)
                networks.update(
                    numbers,
                    ((features(known[one_each, batch]), scores[one_each, batch, None], ones) for batch in batches),
                )

    def _grown(self, task: Task, runs: Sequence[Search]) -> list[Search]:
        """Adds nodes to the trees until there are endings that were not tried; without the runs where there are none.

        Where all endings of a node are known the tree grows there for nothing.
        """
        growing = [run for run in runs if not run.root.closed]
        found: set[int] = set()
        while growing:
            begun = [run.descend(self.exploration) for run in growing]
            drawn = imagine(task, begun, self.num_imagined, [run.rng for run in growing])
            found |= {run.number for run, *endings in zip(growing, begun, drawn, strict=True) if run.grow(*endings)}
            growing = [run for run in growing if run.number not in found and not run.root.closed]
        return [run for run in runs if run.number in found]


Outcome = tuple[NDArray[np.float64], NDArray[np.bool_]]
"""Rewards of runs, and which of them go on, each of shape (S,)."""

Play = Callable[[Sequence[Evaluator], Drawn], Outcome]
"""Builds a cell for each of S runs and has it trained."""


class Search:
    """What one run knows but for its network.

    Args:
        number: Of the run.
        evaluate: Trains cells.
        rng: Source of randomness.
        root: Of its tree.

    Attributes:
        endings: Cells that the newest node can become and that were not tried.
        predicted: What the network makes of them; 0 before it is believed.
    """

    def __init__(self, number: int, evaluate: Evaluator, rng: np.random.Generator, root: Node) -> None:
        self.number, self.evaluate, self.rng, self.root = number, evaluate, rng, root
        self.endings: Drawn
        self.predicted: NDArray[np.floating]
        self._path: list[Node] = []
        self._tried = np.zeros(len(evaluate.benchmark.space), dtype=np.bool_)

    def descend(self, exploration: float) -> tuple[int, ...]:
        """Goes down the tree and takes an action that was not tried there; returns all decisions."""
        self._path = self.root.descend(exploration)
        untried = self._path[-1].untried
        return (*self._path[-1].prefix, untried.pop(int(self.rng.integers(len(untried)))))

    def grow(self, begun: tuple[int, ...], endings: Drawn) -> bool:
        """Adds the node after some decisions, of which there are endings; whether one of them was not tried."""
        leaf = Node.after(begun, endings)
        self._path[-1].children.append(leaf)
        for node in reversed(self._path):
            node.closed = not node.untried and all(child.closed for child in node.children)
        self._path.append(leaf)
        self.endings = endings.some(~self._tried[endings.rows])
        self.predicted = np.zeros(len(self.endings.rows))
        return len(self.endings.rows) > 0

    def learn(self, row: int, score: float, imagined_weight: float) -> None:
        """Learns that a cell was tried, and what the nodes on the way to it are worth."""
        self._tried[row] = True
        value = score + imagined_weight * (float(self.predicted.mean()) - score)
        for node in self._path:
            node.visits += 1
            node.total += value


@dataclass
class Node:
    """A cell under construction, up to the next decision with more than one allowed action.

    Attributes:
        prefix: The decisions that lead to it.
        untried: Actions not yet taken.
        closed: Whether the cell is finished, or all cells that it can become are in the tree.
        children: One node for each action taken.
        visits: Episodes that passed through it.
        total: Sum of their values.
    """

    prefix: tuple[int, ...]
    untried: list[int]
    closed: bool
    children: list[Node] = field(default_factory=list)
    visits: int = 0
    total: float = 0.0

    @classmethod
    def after(cls, begun: tuple[int, ...], endings: Drawn) -> Node:
        """The node after some decisions; ``endings`` are completions of cells that begin with them."""
        masks = endings.masks[0]
        several = np.flatnonzero(masks[len(begun) :].sum(axis=1) > 1)
        finished = not len(several)
        depth = len(masks) if finished else len(begun) + int(several[0])
        untried = [] if finished else np.flatnonzero(masks[depth]).tolist()
        return cls(tuple(endings.actions[0, :depth].tolist()), untried, finished)

    def descend(self, exploration: float) -> list[Node]:
        """The path from this node to one that has untried actions."""
        path = [self]
        while not path[-1].untried:
            path.append(path[-1].most_promising(exploration))
        return path

    def most_promising(self, exploration: float) -> Node:
        """The open child with the highest upper confidence bound."""

        def bound(child: Node) -> float:
            if not child.visits:
                return math.inf
            return child.total / child.visits + exploration * math.sqrt(2 * math.log(self.visits) / child.visits)

        return max((child for child in self.children if not child.closed), key=bound)


def imagine(
    task: Task, begun: Sequence[tuple[int, ...]], number: int, rngs: Sequence[np.random.Generator]
) -> list[Drawn]:
    """Ends cells that were begun at random, each a number of times."""
    num_decisions = len(decisions(task.benchmark.space))
    taken = np.full((len(begun), 1, num_decisions), -1)
    for of_one, actions in zip(taken[:, 0], begun, strict=True):
        of_one[: len(actions)] = actions
    sixths = np.stack([rng.integers(6, size=(number, num_decisions)) for rng in rngs])
    shape = (len(begun) * number, num_decisions)
    drawn = draw_endings(task, np.broadcast_to(taken, sixths.shape).reshape(shape), sixths.reshape(shape))
    return [drawn.some(slice(start, start + number)) for start in range(0, len(drawn.rows), number)]


if __name__ == "__main__":
    script.main(TreeSearch)
