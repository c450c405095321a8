"""The builder's masks as a finite automaton, so that any number of cells can be built at once by table look-ups.

A mask depends on the next decision, the reached vertices, the dangling ones, and the number of committed edges. These
take few values: with two final states there are 37, 166 and 2,654 states in the spaces 4V, 5V and 7V. They are found by
running :class:`ecnas_gym.builder.CellBuilder` once.

A benchmark that lacks cells has its own automaton, in which a decision is allowed if it can still lead to an available
cell. The automaton accepts all sequences of decisions that build such a cell, in every labelling. So agents have the
same choices as on a full benchmark, except those that lead nowhere.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecnas import Benchmark, Space
from ecnas.encoding import NUM_OPERATIONS, OP_WEIGHTS
from ecnas_gym.builder import NUM_ACTIONS, CellBuilder, decisions
from ecnas_gym.domain import Repeat, asked_of, present_cells
from ecnas_gym.editor import seatings

# A state is where its entries in the tables begin: 0, 3, 6 … Whatever is done in the first two leads to the third, a
# new cell.
FINISHED: Final = 0
INVALID: Final = NUM_ACTIONS
START: Final = 2 * NUM_ACTIONS

_PART: Final = 20_000  # rows of which all guises are found at once


class Automaton(NamedTuple):
    """Tables over S states and three actions: entry ``state + action``.

    Attributes:
        following: The next state; intp, shape (3·S,).
        change: The change of the observation, as a row of :meth:`ecnas_gym.observation.Layout.changes`; 0 (no change)
            where the action is invalid or the state is final; intp, shape (3·S,).
        masks: Allowed actions of each state, repeated three times; int8, shape (3·S, 3).
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


def automaton_of(
    benchmark: Benchmark, epochs: tuple[int, ...], repeat: Repeat = None, objectives: tuple[str, ...] = ()
) -> Automaton:
    """The automaton that leads to the cells available in a benchmark, and to no others (:func:`present_cells`)."""
    return _automaton_of(benchmark, epochs, asked_of(repeat), objectives)


@functools.lru_cache(maxsize=8)
def _automaton_of(
    benchmark: Benchmark, epochs: tuple[int, ...], repeat: Repeat, objectives: tuple[str, ...]
) -> Automaton:
    space, present = benchmark.space, present_cells(benchmark, epochs, repeat, objectives)
    if present is None:
        return automaton(space)
    # Whichever are fewer tell the rest.
    if 2 * np.count_nonzero(present) <= len(present):
        return _leading_to(space, guises(space, np.flatnonzero(present)))
    return _leading_past(space, guises(space, np.flatnonzero(~present)))


@dataclass
class RestrictedBuilder(CellBuilder):
    """A cell under construction that must become one of the cells of an automaton."""

    tables: Automaton

    def reset(self) -> None:
        """Starts a new cell."""
        super().reset()
        self._enter(START)

    def apply(self, action: int) -> None:
        """Carries out an action that the mask allows."""
        super().apply(action)
        self._enter(int(self.tables.following[self._state + action]))

    def _enter(self, state: int) -> None:
        self._state = state
        self.mask = int(self.tables.masks[state] @ (1 << np.arange(NUM_ACTIONS)))


def guises(space: Space, rows: NDArray[np.integer]) -> NDArray[np.int64]:
    """All sequences of decisions that build the cells in some rows, as ascending, unique base-3 numbers."""
    found = [
        _encoded(space, *guise)
        for start in range(0, len(rows), _PART)
        for guise in _placed(space, rows[start:][:_PART])
    ]
    return np.unique(np.concatenate(found))


def _placed(space: Space, rows: NDArray[np.integer]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Edge bits and op codes of all placements of cells in the full graph, with any operation at unused vertices."""
    cells = space.cells
    num_vertices, edge_bits, op_codes = cells.num_vertices[rows], cells.edge_bits[rows], cells.op_codes[rows]
    for size in np.unique(num_vertices).tolist():
        chosen = num_vertices == size
        flips, weights = seatings(size, space.num_vertices)
        edges = edge_bits[chosen, None] >> np.arange(flips.shape[1]) & 1
        forward = edges @ (flips == 0).T == 0  # seatings that turn no edge around
        digits = op_codes[chosen, None] // np.array(OP_WEIGHTS[: size - 2], dtype=np.int64) % NUM_OPERATIONS
        bits, codes = edges @ flips.T, digits @ weights.T
        free = [sorted(set(OP_WEIGHTS[: space.num_vertices - 2]) - set(used)) for used in weights.tolist()]
        for drawn in itertools.product(range(NUM_OPERATIONS), repeat=space.num_vertices - size):
            filled = codes + np.array([np.dot(drawn, others) for others in free], dtype=np.int64)
            yield bits[forward], filled[forward]


def _encoded(space: Space, edge_bits: NDArray[np.int64], op_codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The decisions that lead to placed cells as base-3 numbers, the first decision most significant."""
    numbers = np.zeros(len(edge_bits), dtype=np.int64)
    for decision in decisions(space):
        numbers *= NUM_ACTIONS
        if decision.is_edge:
            numbers += edge_bits // decision.weight & 1
        else:
            numbers += op_codes // decision.weight % NUM_OPERATIONS
    return np.unique(numbers)


def _leading_to(space: Space, sequences: NDArray[np.int64]) -> Automaton:
    """The smallest automaton that accepts exactly these sequences of decisions."""
    states = _States(START + NUM_ACTIONS)
    followers = np.full(len(sequences), FINISHED, dtype=np.intp)
    for cursor in reversed(range(len(decisions(space)))):
        parents, actions, sequences = _without_last(sequences)
        children = np.full((len(sequences), NUM_ACTIONS), INVALID, dtype=np.intp)
        children[parents, actions] = followers
        followers = states.add(cursor, children)
    return states.tables(children[0])


def _leading_past(space: Space, sequences: NDArray[np.int64]) -> Automaton:
    """The automaton of a space without some sequences of decisions."""
    base = automaton(space)
    states = _States(len(base.following), base)
    prefixes = [sequences]
    steps = []
    for _ in decisions(space):
        parents, actions, shorter = _without_last(prefixes[-1])
        steps.append((parents, actions))
        prefixes.append(shorter)
    at = [np.array([START])]  # where the prefixes of each length are in the automaton of the space
    for parents, actions in reversed(steps):
        at.append(base.following[at[-1][parents] + actions])
    followers = np.full(len(sequences), INVALID, dtype=np.intp)
    for cursor, (parents, actions) in zip(reversed(range(len(steps))), steps, strict=True):
        children = base.following[at[cursor][:, None] + np.arange(NUM_ACTIONS)]
        children[parents, actions] = followers
        followers = states.add(cursor, children)
    return states.tables(children[0])


def _without_last(sequences: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.int64]]:
    """For ascending sequences: the number of the one that is a decision shorter, the last decision; and the shorter."""
    shorter, actions = np.divmod(sequences, NUM_ACTIONS)
    is_new = np.diff(shorter, prepend=-1) > 0
    return np.cumsum(is_new) - 1, actions, shorter[is_new]


class _States:
    """States as they are found, from the last decision to the first; equal ones are one."""

    def __init__(self, first: int, base: Automaton | None = None) -> None:
        self._next = first
        self._following = [np.full(first, START, dtype=np.intp) if base is None else base.following.copy()]
        self._change = [np.zeros(first, dtype=np.intp) if base is None else base.change.copy()]

    def add(self, cursor: int, children: NDArray[np.intp]) -> NDArray[np.intp]:
        """States in which actions lead to ``children``, shape (n, 3): INVALID where all of these are."""
        # Three states as one number, which is sorted many times faster than rows of three.
        base = self._next // NUM_ACTIONS
        keys = children[:, 0] // NUM_ACTIONS
        for action in range(1, NUM_ACTIONS):
            keys = keys * base + children[:, action] // NUM_ACTIONS
        _, places, number = np.unique(keys, return_index=True, return_inverse=True)
        unique = children[places]
        self._following.append(unique.ravel())
        allowed = unique != INVALID
        self._change.append((allowed * (1 + NUM_ACTIONS * cursor + np.arange(NUM_ACTIONS))).ravel())
        states = self._next + NUM_ACTIONS * np.arange(len(unique))
        states[~allowed.any(axis=1)] = INVALID
        self._next += NUM_ACTIONS * len(unique)
        return states[number]

    def tables(self, first: NDArray[np.intp]) -> Automaton:
        """All states, of which the first leads to ``first``, shape (3,)."""
        following, change = np.concatenate(self._following), np.concatenate(self._change)
        following[START : START + NUM_ACTIONS] = first
        change[START : START + NUM_ACTIONS] = (first != INVALID) * np.arange(1, NUM_ACTIONS + 1)
        allowed = (following != INVALID).reshape(-1, NUM_ACTIONS).astype(np.int8)
        allowed[:2] = 0
        return Automaton(following, change, np.repeat(allowed, NUM_ACTIONS, axis=0))
