"""Shared by the controllers whose policy is a table of logits per decision: drawing cells from many tables at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecnas.encoding import to_frame
from ecnas.task import Task
from ecnas_gym.automaton import START, Automaton, automaton_of
from ecnas_gym.builder import NUM_ACTIONS, decisions


class Drawn(NamedTuple):
    """N cells.

    Attributes:
        actions: One for each decision, (N, T).
        masks: The masks under which they were drawn, bool (N, T, 3).
        rows: The cells' rows in the space, (N,).
    """

    actions: NDArray[np.intp]
    masks: NDArray[np.bool_]
    rows: NDArray[np.int64]

    def some(self, chosen: NDArray[np.integer] | NDArray[np.bool_] | slice) -> Drawn:
        """Some of the cells."""
        return Drawn(self.actions[chosen], self.masks[chosen], self.rows[chosen])


def draw_cells(task: Task, logits: NDArray[np.floating], noise: NDArray[np.float64]) -> Drawn:
    """Draws a cell from each of N policies, as an environment would build it.

    Args:
        task: Defines the space and the cells that the benchmark has.
        logits: (N, T, 3).
        noise: Gumbel noise, (N, T, 3). The largest of logits plus Gumbel noise is a draw from their softmax.
    """
    masks = _automaton(task).masks

    def choose(t: int, node: NDArray[np.intp]) -> NDArray[np.intp]:
        chosen: NDArray[np.intp] = np.where(masks[node], logits[:, t] + noise[:, t], -np.inf).argmax(axis=1)
        return chosen

    return _built(task, len(logits), choose)


def draw_endings(task: Task, begun: NDArray[np.integer], sixths: NDArray[np.integer]) -> Drawn:
    """Ends N cells that were begun: every decision is uniform among the allowed ones.

    Args:
        task: Defines the space and the cells that the benchmark has.
        begun: The first decisions, one or more of them allowed, and −1 for those that are left; (N, T).
        sixths: Random integers from 0 to 5, (N, T): one, two and three allowed actions all divide six.
    """
    codes = _automaton(task).masks @ (1 << np.arange(NUM_ACTIONS))
    most_begun = int((begun >= 0).sum(axis=1).max(initial=0))

    def choose(t: int, node: NDArray[np.intp]) -> NDArray[np.intp]:
        chosen = _OF_SIX.take(6 * codes.take(node) + sixths[:, t])
        return np.where(begun[:, t] < 0, chosen, begun[:, t]) if t < most_begun else chosen

    return _built(task, len(begun), choose)


_OF_SIX: Final = np.array(
    [
        [allowed[sixth * len(allowed) // 6] if allowed else -1 for sixth in range(6)]
        for code in range(1 << NUM_ACTIONS)
        for allowed in [[action for action in range(NUM_ACTIONS) if code >> action & 1]]
    ],
    dtype=np.intp,
)
"""The action that a sixth stands for among those that a mask allows, by the mask's bits: (8, 6)."""


def _automaton(task: Task) -> Automaton:
    return automaton_of(task.benchmark, (task.epochs,), task.repeat, task.objectives)


def _built(task: Task, number: int, choose: Callable[[int, NDArray[np.intp]], NDArray[np.intp]]) -> Drawn:
    """Builds N cells; ``choose`` takes a decision's number and the states, (N,), and returns an action for each."""
    space, walk = task.benchmark.space, _automaton(task)
    sequence = decisions(space)
    nodes = np.empty((len(sequence), number), dtype=np.intp)
    actions = np.empty((number, len(sequence)), dtype=np.intp)
    node = np.full(number, START)
    edge_bits, op_codes = np.zeros((2, number), dtype=np.int64)
    for t, decision in enumerate(sequence):
        nodes[t] = node
        actions[:, t] = chosen = choose(t, node)
        node = walk.following.take(node + chosen)
        so_far = edge_bits if decision.is_edge else op_codes
        so_far += chosen * decision.weight
    masks = walk.masks.take(nodes.T, axis=0).astype(np.bool_)
    return Drawn(actions, masks, space.rows(to_frame(space.num_vertices, edge_bits), op_codes))
