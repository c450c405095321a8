"""Shared by the controllers whose policy is a table of logits per decision: drawing cells from many tables at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecnas.encoding import to_frame
from ecnas.task import Task
from ecnas_gym.automaton import START, automaton_of
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

    def some(self, chosen: NDArray[np.integer] | NDArray[np.bool_]) -> Drawn:
        """Some of the cells."""
        return Drawn(self.actions[chosen], self.masks[chosen], self.rows[chosen])


def draw_cells(task: Task, logits: NDArray[np.floating], noise: NDArray[np.float64]) -> Drawn:
    """Draws a cell from each of N policies, as an environment would build it.

    Args:
        task: Defines the space and the cells that the benchmark has.
        logits: (N, T, 3).
        noise: Gumbel noise, (N, T, 3). The largest of logits plus Gumbel noise is a draw from their softmax.
    """
    space = task.benchmark.space
    walk, sequence = automaton_of(task.benchmark, (task.epochs,), task.repeat, task.objectives), decisions(space)
    number = len(logits)
    node = np.full(number, START)
    edge_bits, op_codes = np.zeros((2, number), dtype=np.int64)
    masks = np.empty((number, len(sequence), NUM_ACTIONS), dtype=np.bool_)
    actions = np.empty((number, len(sequence)), dtype=np.intp)
    for t, decision in enumerate(sequence):
        masks[:, t] = walk.masks[node]
        actions[:, t] = chosen = np.where(masks[:, t], logits[:, t] + noise[:, t], -np.inf).argmax(axis=1)
        node = walk.following[node + chosen]
        so_far = edge_bits if decision.is_edge else op_codes
        so_far += chosen * decision.weight
    return Drawn(actions, masks, space.rows(to_frame(space.num_vertices, edge_bits), op_codes))
