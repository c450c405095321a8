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
        self._cell_rows = np.zeros(self.num_envs, dtype=np.int32)
        self._known_start = np.full(self.num_envs, _NONE, dtype=np.int64)  # the row that it began with, if evaluated
        self._allowed = np.zeros(self.num_envs, dtype=np.int64)  # sets of actions, as bits
        # What may be done without edits left, and with some; then the same where the cell is the one to begin with.
        every, stop = (1 << self._num_actions) - 1, 1 << self.edits.stop
        self._limits = np.array([stop, every, stop, every - stop])
        self._forget(np.arange(self.num_envs))

    @property
    def placed(self) -> Placed:
        """The placed cells as they stand."""
        return Placed._make(self._tables.split(self._words))

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """As :meth:`ecnas_gym.vector.CellVectorEnv.reset`; a seed begins a new run, without incumbents."""
        if self._seeded(seed) is not None:
            self._forget(np.arange(self.num_envs))
        return super().reset(seed=seed, options=options)

    def _restart(self, chosen: NDArray[np.intp]) -> None:
        self._begin(chosen)
        self._look(chosen)

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
        tables, stop, ended = self._tables, self.edits.stop, self._ended
        allowed = self._allowed >> choices  # nothing where an episode has ended
        allowed &= 1
        edits = choices + 1
        edits *= allowed
        edited = allowed.astype(np.bool_)
        stopped = choices == stop
        stopped &= edited
        invalid = ~edited
        invalid[ended] = False
        edited ^= stopped
        self._words &= tables.kept.take(edits)
        self._words ^= tables.flipped.take(edits)
        self._edits_left -= edited
        if len(ended):
            self._begin(ended)
        self._look(slice(None))
        edited[ended] = True
        self._allowed *= edited  # nothing more where an episode ends
        return invalid, stopped.nonzero()[0]

    def _look(self, chosen: Any) -> None:
        """Finds rows and allowed actions of some environments."""
        allowed, rows = self._tables.look(self._words[chosen])
        if self._present is None:
            goes_on = self._edits_left[chosen] > 0  # an operation can always be set
        else:
            edge_bits, op_codes = self._tables.split(self._words[chosen])
            masks = self.edits.masks(edge_bits, op_codes, self._edits_left[chosen], self._present)
            allowed, goes_on = masks @ (1 << np.arange(self._num_actions)), masks[:, :-1].any(axis=1)
        # The unchanged incumbent would be paid for again and tell nothing; but an episode must be able to end.
        limits = (rows == self._known_start[chosen]).view(np.int8)
        limits *= 2
        limits += goes_on
        allowed &= self._limits.take(limits)
        self._cell_rows[chosen], self._allowed[chosen] = rows, allowed

    def _rows(self, finished: NDArray[np.intp]) -> NDArray[np.int64]:
        return self._cell_rows.take(finished).astype(np.int64)

    def _masks(self) -> Masks:
        return _unpacked(self._allowed)[:, : self._num_actions].view(np.int8)

    def _observe(self) -> Observations:
        return self._seen(slice(None))

    def _kept(self, chosen: NDArray[np.intp]) -> Callable[[], Observations]:
        observations = self._seen(chosen)
        return lambda: observations

    def _seen(self, chosen: Any) -> Observations:
        num_before = self._tables.num_ops + self.edits.num_edges
        words, left = self._words[chosen], self._edits_left[chosen] + num_before
        size = num_before + self.max_edits + 1
        if size <= _WORD:
            return _unpacked(words | np.left_shift(1, left))[:, :size].astype(np.float32)
        observations = np.zeros((len(left), size), dtype=np.float32)
        observations[:, :num_before] = _unpacked(words)[:, :num_before]
        observations[np.arange(len(left)), left] = 1.0
        return observations

    def _builders(self) -> list[CellBuilder]:
        builders = []
        for edge_bits, op_code in zip(*self._tables.split(self._words), strict=True):
            builder = CellBuilder(self.cell_space)
            builder.edge_bits, builder.op_code = int(edge_bits), int(op_code)
            builder.cursor = len(builder.decisions)
            builders.append(builder)
        return builders

    # What the incumbents are.

    def _forget(self, chosen: NDArray[np.intp]) -> None:
        """Forgets what some environments have evaluated."""
        self._best_rows = np.full(self.num_envs, _NONE, dtype=np.int64)
        self._best_rewards = np.full(self.num_envs, -np.inf)

    def _incumbents(self, chosen: NDArray[np.intp]) -> NDArray[np.int64]:
        """The rows of the cells to start from, −2 for environments that have none."""
        return self._best_rows.take(chosen)

    def _remember(self, finished: NDArray[np.intp], rows: NDArray[np.int64], rewards: NDArray[np.float64]) -> None:
        better = rewards > self._best_rewards[finished]
        self._best_rows[finished[better]] = rows[better]
        self._best_rewards[finished[better]] = rewards[better]


class MOEditVectorEnv(_MOVectorEnv, EditVectorEnv):
    """:class:`EditVectorEnv` with vectors of objectives as rewards: N environments of :class:`ecnas_gym.MOEditEnv`."""

    _single_env = MOEditEnv

    def _forget(self, chosen: NDArray[np.intp]) -> None:
        # Fronts of the environments side by side, in as many places as the largest has members.
        self._front_sizes = np.zeros(self.num_envs, dtype=np.int64)
        self._front_rows = np.full((self.num_envs, 4), _NONE, dtype=np.int64)
        self._front_rewards = np.full((self.num_envs, 4, len(self.objectives)), -np.inf)

    def _incumbents(self, chosen: NDArray[np.intp]) -> NDArray[np.int64]:
        members = (self.np_random.random(len(chosen)) * self._front_sizes.take(chosen)).astype(np.int64)
        members += chosen * self._front_rows.shape[1]
        return self._front_rows.take(members)

    def _remember(self, finished: NDArray[np.intp], rows: NDArray[np.int64], rewards: NDArray[np.float64]) -> None:
        fronts = self._front_rewards[finished]
        joins = ~np.any(np.all(fronts >= rewards[:, None], axis=2), axis=1)  # neither dominated nor equal
        if not joins.any():
            return
        places, rows, rewards = finished[joins], rows[joins], rewards[joins]
        sizes = self._front_sizes[places]
        leaves = (rewards[:, None] >= fronts[joins]).all(axis=2)
        leaves &= np.arange(fronts.shape[1]) < sizes[:, None]
        loses = leaves.any(axis=1)
        if loses.any():
            sizes[loses] -= self._remove(places[loses], leaves[loses])
        if sizes.max() == fronts.shape[1]:
            more = ((0, 0), (0, fronts.shape[1]))
            self._front_rows = np.pad(self._front_rows, more, constant_values=_NONE)
            self._front_rewards = np.pad(self._front_rewards, (*more, (0, 0)), constant_values=-np.inf)
        self._front_rows[places, sizes] = rows
        self._front_rewards[places, sizes] = rewards
        self._front_sizes[places] = sizes + 1

    def _remove(self, places: NDArray[np.intp], leaves: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Removes members, bool of shape (B, members), from the fronts of some environments; how many of each."""
        order = np.argsort(leaves, axis=1, kind="stable")  # who stays moves up
        rewards = np.where(leaves[:, :, None], -np.inf, self._front_rewards[places])
        self._front_rows[places] = np.take_along_axis(self._front_rows[places], order, axis=1)
        self._front_rewards[places] = np.take_along_axis(rewards, order[:, :, None], axis=1)
        counts: NDArray[np.int64] = leaves.sum(axis=1)
        return counts


def _unpacked(words: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The bits of words, shape (B,), as bytes: (B, 64)."""
    little = words.astype("<i8", copy=False)
    return np.unpackbits(little.view(np.uint8), bitorder="little").reshape(-1, _WORD)
