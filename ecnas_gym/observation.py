"""Where an observation holds what: operations (one-hot), edges (1, −1 or 0) and the next decision (one-hot)."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecnas import Space
from ecnas.encoding import NUM_OPERATIONS, OP_WEIGHTS, weighted_sum
from ecnas_gym.builder import NUM_ACTIONS, decisions


class Layout(NamedTuple):
    """Positions in an observation.

    Attributes:
        edges_at: Where the edges begin; the operations come before.
        cursor_at: Where the next decision's one-hot begins.
        size: Entries.
        writes_at: For each decision, where its outcome is written; for an operation, where its one-hot begins.
    """

    edges_at: int
    cursor_at: int
    size: int
    writes_at: tuple[int, ...]

    def first(self) -> NDArray[np.int8]:
        """The observation before the first decision, shape (size,)."""
        observation = np.zeros(self.size, dtype=np.int8)
        observation[self.cursor_at] = 1
        return observation

    def lowest(self) -> NDArray[np.float32]:
        """The least that each entry can be, shape (size,); the most is 1."""
        low = np.zeros(self.size, dtype=np.float32)
        low[self.edges_at : self.cursor_at] = -1.0
        return low

    def changes(self) -> NDArray[np.int8]:
        """What an action adds to the observation: shape (1 + 3·decisions, size).

        Row ``1 + 3·decision + action``; row 0 changes nothing.
        """
        num_decisions = len(self.writes_at)
        changes = np.zeros((1 + NUM_ACTIONS * num_decisions, self.size), dtype=np.int8)
        for cursor, position in enumerate(self.writes_at):
            for action in range(NUM_ACTIONS):
                change = changes[1 + NUM_ACTIONS * cursor + action]
                if position < self.edges_at:
                    change[position + action] = 1
                else:
                    change[position] = 1 if action else -1
                change[self.cursor_at + cursor] = -1
                if cursor + 1 < num_decisions:
                    change[self.cursor_at + cursor + 1] = 1
        return changes

    def cells(self, observations: NDArray[np.int8]) -> NDArray[np.int64]:
        """Edge bits and op codes of what is decided: shape (k, size) to (2, k)."""
        decided = np.maximum(observations[:, : self.cursor_at], 0)
        cells: NDArray[np.int64] = weighted_sum(decided, _cell_weights(self)).T
        return cells


@functools.cache
def _cell_weights(layout: Layout) -> NDArray[np.float32]:
    """What each entry counts in the edge bits and in the op code, shape (cursor_at, 2)."""
    num_inner = layout.edges_at // NUM_OPERATIONS
    weights = np.zeros((layout.cursor_at, 2), dtype=np.float32)
    weights[layout.edges_at :, 0] = 1 << np.arange(layout.cursor_at - layout.edges_at)  # decided in order of their bits
    weights[: layout.edges_at, 1] = np.outer(OP_WEIGHTS[:num_inner], range(NUM_OPERATIONS)).ravel()
    return weights


@functools.cache
def layout(space: Space) -> Layout:
    """The layout of a space's observations."""
    sequence = decisions(space)
    num_inner = space.num_vertices - 2
    edges_at = num_inner * NUM_OPERATIONS
    writes_at = []
    edges_before = 0
    for decision in sequence:
        if decision.is_edge:
            writes_at.append(edges_at + edges_before)
            edges_before += 1
        else:
            writes_at.append((decision.vertex - 1) * NUM_OPERATIONS)
    cursor_at = edges_at + edges_before
    return Layout(edges_at, cursor_at, cursor_at + len(sequence), tuple(writes_at))
