"""The builder's masks as a finite automaton, so that any number of cells is built at once by table look-ups.

What a mask depends on (the next decision, which vertices are reached, which dangle, and how many edges are committed)
takes few values: with two final states it makes 37, 166 and 2,654 states in the spaces 4V, 5V and 7V. They are found by
playing :class:`ecnas_gym.builder.CellBuilder` once.
"""

from __future__ import annotations

import functools
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecnas import Space
from ecnas_gym.builder import NUM_ACTIONS, CellBuilder

# A state is where its entries in the tables begin: 0, 3, 6 … Whatever is done in the first two leads to the third, a
# new cell.
FINISHED: Final = 0
INVALID: Final = NUM_ACTIONS
START: Final = 2 * NUM_ACTIONS


class Automaton(NamedTuple):
    """Tables over S states and what an action does in each: entry ``state + action``.

    Attributes:
        following: The state that follows; intp, shape (3·S,).
        change: How the observation changes, as a row of :meth:`ecnas_gym.observation.Layout.changes`; not at all (0)
            where the action is invalid or the state is final; intp, shape (3·S,).
        masks: Allowed actions in a state, three times each; int8, shape (3·S, 3).
    """

    following: NDArray[np.intp]
    change: NDArray[np.intp]
    masks: NDArray[np.int8]


@functools.cache
def automaton(space: Space) -> Automaton:
    """The automaton of a space."""
    builder = CellBuilder(space)
    start = builder.memory
    number = {start: START}
    masks = [0, 0]
    following = [START] * (2 * NUM_ACTIONS)
    change = [0] * (2 * NUM_ACTIONS)
    waiting = [start]
    for memory in waiting:  # grows as it is walked
        mask = builder.restore(memory)
        masks.append(mask)
        for action in range(NUM_ACTIONS):
            if not mask >> action & 1:
                following.append(INVALID)
                change.append(0)
                continue
            builder.restore(memory)
            change.append(1 + NUM_ACTIONS * builder.cursor + action)
            builder.apply(action)
            if builder.finished:
                following.append(FINISHED)
                continue
            if builder.memory not in number:
                number[builder.memory] = START + NUM_ACTIONS * len(number)
                waiting.append(builder.memory)
            following.append(number[builder.memory])
    return Automaton(
        np.array(following, dtype=np.intp),
        np.array(change, dtype=np.intp),
        (np.repeat(masks, NUM_ACTIONS)[:, None] >> np.arange(NUM_ACTIONS) & 1).astype(np.int8),
    )
