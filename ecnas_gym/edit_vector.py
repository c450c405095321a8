"""The environments in which cells are edited, many at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from ecnas_gym.builder import CellBuilder
from ecnas_gym.edit_env import EditEnv, MOEditEnv
from ecnas_gym.edit_tables import edit_tables
from ecnas_gym.editor import Placed
from ecnas_gym.env import _BuildEnv
from ecnas_gym.vector import Masks, Observations, _MOVectorEnv, _VectorEnv

_WORD: Final = 64  # bits
_WHOLE: Final = np.dtype("<u8")  # a word, and half of one, in the order in which bits are unpacked
_HALF: Final = np.dtype("<u4")
_NONE: Final = -2
"""In place of a row: no cell is evaluated yet. −1 is what is not in the space."""


class EditVectorEnv(_VectorEnv):
    """N environments of :class:`ecnas_gym.EditEnv` that step together.

    Every episode is the one that :class:`ecnas_gym.EditEnv` has from the same placed cell for the same actions, and
    each environment has an incumbent of its own; but all draw first cells and placements with one generator.
    ``gym.make_vec(id, num_envs)`` makes it, with the arguments of the environment:

    ```python
    >>> import gymnasium as gym
    >>> import numpy as np
    >>> import ecnas_gym
    >>> envs = gym.make_vec("ECNAS-7V-Edit-v0", num_envs=256)
    >>> observations, info = envs.reset(seed=0)
    >>> rng = np.random.default_rng(0)
    >>> actions = (rng.random((256, 37)) * info["action_mask"]).argmax(axis=1)
    >>> observations, rewards, terminated, truncated, info = envs.step(actions)
    >>> observations.shape
    (256, 41)

    ```

    Information, ends of episodes, budgets, attributes and arguments are those of
    :class:`ecnas_gym.vector.CellVectorEnv`. ``reset(seed=...)`` begins a new run: the incumbents are forgotten.

    Attributes:
        placed: The placed cells as they stand, arrays of shape (N,).
    """

    _single_env: type[_BuildEnv[Any]] = EditEnv

    def __init__(
        self,
        num_envs: int = 1,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_envs, autoreset_mode, max_episode_steps, **kwargs)
        env = self._env
        assert isinstance(env, EditEnv | MOEditEnv)
        self.edits, self.max_edits = env.edits, env.max_edits
        self._present = env._present
        self._choices = None if self._present is None else np.flatnonzero(self._present)
        self._num_choices = len(self.cell_space) if self._choices is None else len(self._choices)
        self._tables = edit_tables(self.cell_space)
        self._words = np.zeros(self.num_envs, dtype=np.int64)  # the placed cells (ecnas_gym.edit_tables)
        self._edits_left = np.zeros(self.num_envs, dtype=np.int64)
        self._cell_rows: NDArray[np.integer] = np.zeros(self.num_envs, dtype=np.int64)
        self._known_start = np.full(self.num_envs, _NONE, dtype=np.int64)  # the row that it began with, if evaluated
        self._allowed = np.zeros(self.num_envs, dtype=np.int64)  # sets of actions, as bits
        # What may be done by twice the edits that are left, and one more where the cell is the one to begin with: that
        # would be paid for again and tell nothing; but an episode must be able to end.
        every, stop = (1 << self._num_actions) - 1, 1 << self.edits.stop
        self._limits = np.array([stop, stop, *[every, every - stop] * self.max_edits])
        # An observation is a word and above it, one-hot, how many edits are left.
        self._seen_size = self._tables.num_bits + self.max_edits + 1
        self._counters = np.left_shift(1, self._tables.num_bits + np.arange(self.max_edits + 1))
        self._forget()

    @property
    def placed(self) -> Placed:
        """The placed cells as they stand."""
        return Placed._make(self._tables.split(self._words))

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """As :meth:`ecnas_gym.vector.CellVectorEnv.reset`; a seed begins a new run, without incumbents."""
        if self._seeded(seed) is not None:
            self._forget()
        return super().reset(seed=seed, options=options)

    def _restart(self, chosen: NDArray[np.intp]) -> None:
        self._begin(chosen)
        self._cell_rows[chosen], self._allowed[chosen] = self._look(
            self._words[chosen], self._edits_left[chosen], self._known_start[chosen]
        )

    def _begin(self, chosen: NDArray[np.intp]) -> None:
        """Places cells to start from."""
        rows = self._incumbents(chosen)
        self._known_start[chosen] = rows
        unknown = (rows < 0).nonzero()[0]
        if len(unknown):
            drawn = (self.np_random.random(len(unknown)) * self._num_choices).astype(np.int64)
            rows[unknown] = drawn if self._choices is None else self._choices.take(drawn)
        self._words[chosen] = self._tables.place(rows, self.np_random)
        self._edits_left[chosen] = self.max_edits

    def _advance(self, choices: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
        tables, words, ended = self._tables, self._words, self._ended
        if len(ended):
            self._begin(ended)
            self._allowed[ended] = 0  # if an episode was only out of time
        allowed = self._allowed >> choices
        allowed &= 1
        edits = choices + 1
        edits *= allowed  # 0 changes nothing
        words &= tables.kept.take(edits)
        words ^= tables.flipped.take(edits)
        self._edits_left -= tables.spent.take(edits)
        self._cell_rows, self._allowed = self._look(words, self._edits_left, self._known_start)
        invalid = allowed == 0
        invalid[ended] = False
        finished = (edits == self._num_actions).nonzero()[0]
        self._allowed[finished] = 0
        self._allowed[invalid.nonzero()[0]] = 0
        return invalid, finished

    def _look(
        self, words: NDArray[np.int64], edits_left: NDArray[np.int64], known_start: NDArray[np.int64]
    ) -> tuple[NDArray[np.integer], NDArray[np.int64]]:
        """Finds rows and allowed actions of some environments, each of shape (B,)."""
        rows, actions = self._tables.look(words)
        if self._present is not None:
            masks = self.edits.masks(*self._tables.split(words), edits_left, self._present)
            actions = masks @ (1 << np.arange(self._num_actions))
            edits_left = edits_left * masks[:, :-1].any(axis=1)  # nothing but to stop is as if none were left
        limits = edits_left << 1
        limits += rows == known_start
        actions &= self._limits.take(limits)
        return rows, actions

    def _rows(self, finished: NDArray[np.intp]) -> NDArray[np.int64]:
        return self._cell_rows.take(finished).astype(np.int64, copy=False)

    def _masks(self) -> Masks:
        return _unpacked(self._allowed, self._num_actions).view(np.int8)

    def _observe(self) -> Observations:
        return self._seen(self._words, self._edits_left)

    def _kept(self, chosen: NDArray[np.intp]) -> Callable[[], Observations]:
        observations = self._seen(self._words[chosen], self._edits_left[chosen])
        return lambda: observations

    def _seen(self, words: NDArray[np.int64], edits_left: NDArray[np.int64]) -> Observations:
        num_bits, size = self._tables.num_bits, self._seen_size
        if size <= _WORD:
            return _unpacked(words | self._counters.take(edits_left), size).astype(np.float32)
        observations = np.zeros((len(words), size), dtype=np.float32)
        observations[:, :num_bits] = _unpacked(words, num_bits)
        observations[np.arange(len(words)), num_bits + edits_left] = 1.0
        return observations

    def _left(self) -> Sequence[int | None]:
        edits_left: list[int] = self._edits_left.tolist()
        return edits_left

    def _builders(self) -> list[CellBuilder]:
        builders = []
        for edge_bits, op_code in zip(*self._tables.split(self._words), strict=True):
            builder = CellBuilder(self.cell_space)
            builder.edge_bits, builder.op_code = int(edge_bits), int(op_code)
            builder.cursor = len(builder.decisions)
            builders.append(builder)
        return builders

    # What the incumbents are.

    def _forget(self) -> None:
        """Forgets all that was evaluated."""
        self._best_rows = np.full(self.num_envs, _NONE, dtype=np.int64)
        self._best_rewards = np.full(self.num_envs, -np.inf)

    def _incumbents(self, chosen: NDArray[np.intp]) -> NDArray[np.int64]:
        """The rows of the cells to start from, −2 for environments that have none."""
        return self._best_rows.take(chosen)

    def _remember(self, finished: NDArray[np.intp], rows: NDArray[np.int64], rewards: NDArray[np.float64]) -> None:
        better = (rewards > self._best_rewards.take(finished)).nonzero()[0]
        chosen = finished.take(better)
        self._best_rows[chosen] = rows.take(better)
        self._best_rewards[chosen] = rewards.take(better)


class MOEditVectorEnv(_MOVectorEnv, EditVectorEnv):
    """:class:`EditVectorEnv` with vectors of objectives as rewards: N environments of :class:`ecnas_gym.MOEditEnv`."""

    _single_env = MOEditEnv

    def _forget(self) -> None:
        # Fronts side by side, in as many places as the largest has members: rows, and below them rewards. Nothing
        # compares with a place that is free.
        self._front_sizes = np.zeros(self.num_envs, dtype=np.int64)
        self._fronts = np.full((1 + len(self.objectives), 4, self.num_envs), np.nan)
        self._fronts[0] = _NONE

    def _incumbents(self, chosen: NDArray[np.intp]) -> NDArray[np.int64]:
        members = (self.np_random.random(len(chosen)) * self._front_sizes.take(chosen)).astype(np.int64)
        members *= self.num_envs
        members += chosen
        rows: NDArray[np.int64] = self._fronts[0].take(members).astype(np.int64)
        return rows

    def _remember(self, finished: NDArray[np.intp], rows: NDArray[np.int64], rewards: NDArray[np.float64]) -> None:
        found = np.empty((len(self._fronts), len(rows)))
        found[0], found[1:] = rows, rewards.T
        fronts = self._fronts[1:].take(finished, axis=2)
        joins = (~np.logical_or.reduce(_at_least(fronts, found[1:, None]))).nonzero()[0]
        if not len(joins):
            return
        chosen, found = finished.take(joins), found.take(joins, axis=1)
        leaves = _at_least(found[1:, None], fronts.take(joins, axis=2))
        loses = np.logical_or.reduce(leaves).nonzero()[0]
        if len(loses):
            self._remove(chosen.take(loses), leaves.take(loses, axis=1))
        sizes = self._front_sizes.take(chosen)
        if sizes.max() == len(leaves):
            more = ((0, 0), (0, len(leaves)), (0, 0))
            self._fronts = np.pad(self._fronts, more, constant_values=np.nan)
        self._fronts[:, sizes, chosen] = found
        self._front_sizes[chosen] = sizes + 1

    def _remove(self, chosen: NDArray[np.intp], leaves: NDArray[np.bool_]) -> None:
        """Removes members, bool of shape (members, B), from the fronts of some environments."""
        places, fronts = leaves.nonzero()
        self._fronts[1:, places, chosen.take(fronts)] = np.nan
        order = leaves.argsort(axis=0, kind="stable")  # who stays moves up
        order *= self.num_envs
        order += chosen
        self._fronts[:, :, chosen] = self._fronts.reshape(len(self._fronts), -1).take(order, axis=1)
        self._front_sizes[chosen] -= np.add.reduce(leaves)


def _at_least(these: NDArray[np.float64], those: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether rewards dominate or equal others, in all objectives; arrays of shape (objectives, …) that broadcast."""
    found: NDArray[np.bool_] = np.logical_and.reduce(these >= those)
    return found


def _unpacked(words: NDArray[np.int64], count: int) -> NDArray[np.uint8]:
    """The lowest bits of words, shape (B,), as bytes: (B, count)."""
    little = words.astype(_HALF if count <= 32 else _WHOLE, copy=False)
    return np.unpackbits(little.view(np.uint8), bitorder="little").reshape(len(words), -1)[:, :count]
