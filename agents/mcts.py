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
from dataclasses import dataclass, field
from typing import ClassVar

# Before the import: networks of this size are several times faster on one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from ecnas_gym.agents.critic import Networks, cell_features, rank_scores
from ecnas_gym.agents.tabular import Drawn, draw_cells

from ecnas.runs import Evaluator, script
from ecnas.task import Task
from ecnas_gym import make_env
from ecnas_gym.builder import NUM_ACTIONS, decisions


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
        """Searches until the budget is spent."""
        env = make_env(evaluate)
        features = cell_features(evaluate.benchmark.space)
        network, only = Networks(features.size, 1, self.hidden_units, self.learning_rate, 0.0, [rng]), np.array([0])
        rows = np.empty(0, dtype=np.int64)
        rewards = np.empty(0)
        root = Node.after((), imagine(evaluate.task, (), 1, rng))

        while not root.closed:  # the budget ends this: the environment raises at the first cell that it does not allow
            path = root.descend(self.exploration)
            begun = (*path[-1].prefix, path[-1].untried.pop(int(rng.integers(len(path[-1].untried)))))
            endings = imagine(evaluate.task, begun, self.num_imagined, rng)
            leaf = Node.after(begun, endings)
            path[-1].children.append(leaf)
            for node in reversed(path):
                node.closed = not node.untried and all(child.closed for child in node.children)
            endings = endings.some(~np.isin(endings.rows, rows))
            if not len(endings.rows):
                continue  # all are known: the tree grows there, for nothing, until there is a new one or none is left

            believed = self.network and len(rows) >= self.num_random
            predicted = (
                network.predict(only, features(endings.rows)[None])[0, :, 0]
                if believed
                else np.zeros(len(endings.rows))
            )
            chosen = int(np.argmax(predicted)) if self.best_ending else 0
            env.reset()
            for action in endings.actions[chosen].tolist():
                _, reward, _, _, info = env.step(action)
            rows, rewards = np.append(rows, int(info["row"])), np.append(rewards, float(reward))

            scores = rank_scores(rewards)
            value = float(scores[-1])
            if believed:
                value += self.imagined_weight * (float(predicted.mean()) - value)
            for node in (*path, leaf):
                node.visits += 1
                node.total += value
            if self.network:
                known = features(rows)
                batches = rng.integers(len(rows), size=(self.updates, 1, self.batch_size))
                ones = np.ones((1, self.batch_size), dtype=np.float32)
                network.update(only, ((known[batch], scores[batch, None], ones) for batch in batches))


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
        depth = len(begun)
        while depth < len(masks) and masks[depth].sum() == 1:
            depth += 1
        finished = depth == len(masks)
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


def imagine(task: Task, begun: tuple[int, ...], number: int, rng: np.random.Generator) -> Drawn:
    """Draws random completions of a cell under construction."""
    num_decisions = len(decisions(task.benchmark.space))
    logits = np.zeros((num_decisions, NUM_ACTIONS))
    logits[np.arange(len(begun)), begun] = np.inf
    noise = rng.gumbel(size=(number, num_decisions, NUM_ACTIONS))
    return draw_cells(task, np.broadcast_to(logits, noise.shape), noise)


if __name__ == "__main__":
    script.main(TreeSearch)
