"""The environments for many cells at once: the episodes of N environments, by table look-ups on arrays."""

from __future__ import annotations

from typing import Any, Final

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from ecnas import BudgetExhaustedError
from ecnas.benchmark import Evaluations
from ecnas.encoding import to_frame
from ecnas.objectives import figures_of
from ecnas.table import COLUMNS
from ecnas_gym import rendering
from ecnas_gym.automaton import FINISHED, INVALID, START, automaton
from ecnas_gym.builder import NUM_ACTIONS, CellBuilder
from ecnas_gym.env import INVALID_REWARD, CellEnv, MOCellEnv
from ecnas_gym.observation import layout

METRICS: Final = (*COLUMNS, "trainable_parameters")
"""What ``info["evaluation"]`` holds."""

Observations = NDArray[np.float32]
Step = tuple[Observations, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]


class CellVectorEnv(VectorEnv[Observations, NDArray[np.integer], NDArray[Any]]):
    """N environments of :class:`ecnas_gym.CellEnv` that step together, many times faster than one by one.

    Every episode is the one that :class:`ecnas_gym.CellEnv` has for the same actions: the same observations, rewards,
    masks and ends, to the last bit. ``gym.make_vec(id, num_envs)`` makes it, with the arguments of the environment:

    ```python
    >>> import gymnasium as gym
    >>> import numpy as np
    >>> import ecnas_gym
    >>> envs = gym.make_vec("ECNAS-7V-v0", num_envs=1024)
    >>> observations, info = envs.reset(seed=0)
    >>> rng = np.random.default_rng(0)
    >>> for _ in range(26):
    ...     actions = (rng.random((1024, 3)) * info["action_mask"]).argmax(axis=1)
    ...     observations, rewards, terminated, truncated, info = envs.step(actions)
    >>> terminated.all(), info["evaluation"]["energy"].shape
    (np.True_, (1024,))

    ```

    ## Information
    Arrays with a row for each environment. An array under ``_key`` tells which environments ``key`` is meant for; in
    the other rows there is NaN, −1 or None.

    * ``action_mask``: int8, (N, 3), after every reset and step; ``envs.unwrapped.action_masks()`` is the same as bool.
    * ``row``: int64, (N,). Where :class:`ecnas_gym.CellEnv` hands out a ``cell``, this is its row in the space:
      ``envs.unwrapped.cell_space[row]`` is an equal cell. Thousands of objects a step would cost more than the step.
    * ``evaluation``: a dictionary of float64 arrays, one for each number in :class:`ecnas.Evaluation`.
    * ``vector_reward``: float64, (N, objectives).
    * ``budget``: what is spent after this step, the same for all environments whose episode ended in it.
    * ``invalid``: bool; which episodes ended with an action outside of the mask, or with a cell that the benchmark
      lacks. The latter are ``lacking`` too.
    * ``unpaid``: bool; which episodes the budget did not allow.

    ## End of an episode
    ``autoreset_mode`` is one of gymnasium's three: by default the *next step* after an episode's end ignores the action
    and starts a new cell. With ``"SameStep"`` the step that ends it does so, and hands out the last observation and
    information as ``info["final_obs"]`` and ``info["final_info"]``. With ``"Disabled"`` the caller resets with
    ``options={"reset_mask": ended}``.

    ## Budget
    The episodes that end in a step are charged in the order of the environments up to the first that would overspend.
    It and those behind it are *unpaid*: they end truncated, with reward 0, without an evaluation and without a charge,
    while all paid ones end as usual, so nothing that was charged is lost. The next ``step`` then raises
    :class:`ecnas.BudgetExhaustedError`. So do a ``step`` or a ``reset`` that would have to start a cell when the budget
    is spent to the last unit. A step that raises has changed nothing.

    Args:
        num_envs: N.
        autoreset_mode: As above, a member of gymnasium's ``AutoresetMode`` or its value.
        **kwargs: Arguments of :class:`ecnas_gym.CellEnv`. A budget is shared by all N.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012  # as gymnasium declares it
        **CellEnv.metadata,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }
    _single_env: type[CellEnv] | type[MOCellEnv] = CellEnv

    def __init__(
        self,
        num_envs: int = 1,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        **kwargs: Any,
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, got {num_envs}")
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        # One environment checks the arguments, and is the source of all that is not an episode.
        self._env = env = self._single_env(**kwargs)
        self.num_envs = num_envs
        self.cell_space, self.benchmark, self.epochs = env.cell_space, env.benchmark, env.epochs
        self.objectives, self.normalisation, self.budget = env.objectives, env.normalisation, env.budget
        self.render_mode = env.render_mode
        self.single_action_space, self.single_observation_space = env.action_space, env.observation_space
        self.action_space = batch_space(env.action_space, num_envs)
        self.observation_space = batch_space(env.observation_space, num_envs)

        self._tables = automaton(self.cell_space)
        # Three masks and a blank are taken as one number of four bytes.
        self._packed_masks = np.pad(self._tables.masks, ((0, 0), (0, 4 - NUM_ACTIONS))).view(np.uint32).ravel()
        self._layout = layout(self.cell_space)
        self._first_observation = self._layout.first()
        self._changes = self._layout.changes()
        self._state = np.full(num_envs, INVALID, dtype=np.intp)
        # −1, 0 and 1 fit into a byte; what is handed out is made from it in one pass.
        self._observations = np.zeros((num_envs, self._layout.size), dtype=np.int8)
        self._ended = np.arange(num_envs)  # whose episode has ended and has no successor yet
        self._running = False
        self._exhausted = ""  # why no further step may be made

    def action_masks(self) -> NDArray[np.bool_]:
        """Which actions are allowed now: bool, shape (N, 3)."""
        return self._masks().view(np.bool_)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Starts a new cell in every environment, or in those of ``options["reset_mask"]`` (bool, shape (N,)).

        Raises:
            BudgetExhaustedError: The budget is spent.
        """
        super().reset(seed=seed)
        mask = (options or {}).get("reset_mask")
        if mask is None:
            chosen = np.arange(self.num_envs)
        else:
            mask = np.asarray(mask)
            if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
                raise ValueError(
                    f"reset_mask must be bool of shape ({self.num_envs},) with at least one True, got {mask}"
                )
            chosen = np.flatnonzero(mask)
        self._require_budget()
        self._restart(chosen)
        self._ended = np.setdiff1d(self._ended, chosen)
        self._running = True
        self._exhausted = ""
        return self._observations.astype(np.float32), self._with_masks({}, chosen)

    def step(self, actions: ArrayLike) -> Step:
        """Carries out a decision in every environment.

        Args:
            actions: Integers from 0 to 2, shape (N,).

        Raises:
            ValueError: The actions have another shape or type, or are not in the action space.
            BudgetExhaustedError: The budget is spent, see above. Nothing has changed.
        """
        entry = self._state + self._checked(actions)
        if len(self._ended):  # the tables lead from a final state to the first
            self._begin_observations(self._ended)
        tables = self._tables
        self._state = tables.following.take(entry)
        self._observations += self._changes.take(tables.change.take(entry), axis=0)

        observations = self._observations.astype(np.float32)
        rewards = self._zeros()
        terminated = self._state <= INVALID
        truncated = np.zeros(self.num_envs, dtype=np.bool_)
        info: dict[str, Any] = {}
        self._ended = terminated.nonzero()[0]
        if len(self._ended):
            info = self._judge(rewards, terminated, truncated)
            if self.autoreset_mode == AutoresetMode.SAME_STEP:
                info = self._succeed(observations, info)
        return observations, rewards, terminated, truncated, self._with_masks(info)

    def _checked(self, actions: ArrayLike) -> NDArray[np.int64]:
        """The actions of a step that may be made."""
        if not self._running:
            raise ResetNeeded("call reset before step")
        choices = actions if isinstance(actions, np.ndarray) else np.asarray(actions)
        if choices.shape != (self.num_envs,) or choices.dtype.kind not in "iu":
            raise ValueError(
                f"actions must be integers of shape ({self.num_envs},), got {choices.dtype} of shape {choices.shape}"
            )
        choices = choices.astype(np.int64, copy=False)
        if choices.view(np.uint64).max() >= NUM_ACTIONS:  # a negative number is a very large one
            wrong = choices[(choices < 0) | (choices >= NUM_ACTIONS)][0]
            raise ValueError(f"actions must be from 0 to {NUM_ACTIONS - 1}, got {wrong}")
        if self._exhausted:
            raise BudgetExhaustedError(self._exhausted)
        if len(self._ended):
            if self.autoreset_mode == AutoresetMode.DISABLED:
                raise ResetNeeded(f"call reset before step: the episodes of {self._ended.tolist()} have ended")
            self._require_budget()
        return choices

    def _require_budget(self) -> None:
        if self.budget is not None and self.budget.exhausted:
            raise BudgetExhaustedError(f"no episode is left: {self.budget!r} is spent")

    def _restart(self, chosen: NDArray[np.intp]) -> None:
        self._state[chosen] = START
        self._begin_observations(chosen)

    def _begin_observations(self, chosen: NDArray[np.intp]) -> None:
        row = np.dtype((np.void, self._layout.size))  # a row as one item is written several times faster than 62
        self._observations.view(row).put(chosen, self._first_observation.view(row))

    def _succeed(self, observations: Observations, final_info: dict[str, Any]) -> dict[str, Any]:
        """Starts new cells in the step that ended the last ones, and returns its information."""
        ended = self._ended
        final_observations = np.full(self.num_envs, None, dtype=object)
        for number, observation in zip(ended.tolist(), observations[ended], strict=True):
            final_observations[number] = observation
        final_info["action_mask"] = np.zeros((self.num_envs, NUM_ACTIONS), dtype=np.int8)
        final_info["_action_mask"] = self._mask(ended)
        info: dict[str, Any] = {"final_obs": final_observations, "_final_obs": self._mask(ended)}
        info["final_info"], info["_final_info"] = final_info, self._mask(ended)
        if not self._exhausted and not (self.budget is not None and self.budget.exhausted):
            self._restart(ended)
            observations[ended] = self._first_observation
            self._ended = ended[:0]
        return info

    def _judge(
        self, rewards: NDArray[np.float64], terminated: NDArray[np.bool_], truncated: NDArray[np.bool_]
    ) -> dict[str, Any]:
        """Writes the rewards of the episodes that have ended, and returns their information."""
        info: dict[str, Any] = {}
        invalid = self._state == INVALID
        num_finished = len(self._ended) - np.count_nonzero(invalid)
        if num_finished < len(self._ended):
            rewards[self._ended] = INVALID_REWARD
            info["invalid"], info["_invalid"] = invalid, invalid.copy()
        if not num_finished:
            return info

        finished = (self._state == FINISHED).nonzero()[0]
        edge_bits, op_codes = self._layout.cells(self._observations[finished])
        rows = self.cell_space.rows(to_frame(self.cell_space.num_vertices, edge_bits), op_codes)
        evaluations = self.benchmark.query_rows(rows, self.epochs)
        num_paid = num_finished
        if self.budget is not None:
            num_paid = self.benchmark.charge(evaluations, self.budget, partly=True)
        known = evaluations.rows >= 0
        if not known.all():
            lacking = finished[~known]
            rewards[lacking] = INVALID_REWARD
            for key in ("invalid", "lacking"):
                self._add(info, key, lacking, np.ones(len(lacking), dtype=np.bool_))
        paid = np.flatnonzero(known[:num_paid])
        unpaid = finished[num_paid:][known[num_paid:]]
        if len(unpaid):
            rewards[unpaid], terminated[unpaid], truncated[unpaid] = 0.0, False, True
            self._add(info, "unpaid", unpaid, np.ones(len(unpaid), dtype=np.bool_))
            self._exhausted = (
                f"{len(unpaid)} finished cells were not evaluated: {self.budget!r} does not allow the next one"
            )
        if len(paid):
            self._reward(finished[paid], _part(evaluations, paid), rewards, info)
        return info

    def _reward(
        self, finished: NDArray[np.intp], evaluations: Evaluations, rewards: NDArray[np.float64], info: dict[str, Any]
    ) -> None:
        figures = figures_of(evaluations)
        vector = self.normalisation.rewards(self.normalisation.select(figures))
        rewards[finished] = self._scalarised(vector, figures)
        self._add(info, "row", finished, evaluations.rows)
        metrics = np.full((len(METRICS), self.num_envs), np.nan)
        metrics[:, finished] = [getattr(evaluations, name) for name in METRICS]
        mask = info["_row"]
        info["evaluation"] = dict(zip(METRICS, metrics, strict=True)) | {f"_{name}": mask for name in METRICS}
        info["_evaluation"] = mask
        self._add(info, "vector_reward", finished, vector)
        budget = None if self.budget is None else self.budget.as_dict()
        self._add(info, "budget", finished, np.full(len(finished), budget, dtype=object))

    def _add(self, info: dict[str, Any], key: str, where: NDArray[np.intp], values: NDArray[Any]) -> None:
        """Adds information on some of the environments."""
        if key not in info:
            nothing = {"f": np.nan, "i": -1, "b": False, "O": None}[values.dtype.kind]
            info[key] = np.full((self.num_envs, *values.shape[1:]), nothing, dtype=values.dtype)
            info[f"_{key}"] = np.zeros(self.num_envs, dtype=np.bool_)
        info[key][where] = values
        info[f"_{key}"][where] = True

    def _mask(self, where: NDArray[np.intp]) -> NDArray[np.bool_]:
        mask = np.zeros(self.num_envs, dtype=np.bool_)
        mask[where] = True
        return mask

    def _masks(self) -> NDArray[np.int8]:
        return self._packed_masks.take(self._state).view(np.int8).reshape(self.num_envs, 4)[:, :NUM_ACTIONS]

    def _with_masks(self, info: dict[str, Any], where: NDArray[np.intp] | None = None) -> dict[str, Any]:
        info["action_mask"] = self._masks()
        info["_action_mask"] = np.ones(self.num_envs, dtype=np.bool_) if where is None else self._mask(where)
        return info

    def _zeros(self) -> NDArray[np.float64]:
        return np.zeros(self.num_envs)

    def _scalarised(self, vector: NDArray[np.float64], figures: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        assert isinstance(self._env, CellEnv)
        return self._env.scalarisation(vector, figures)

    def render(self) -> tuple[Any, ...]:
        """What each environment's cell looks like, as :class:`ecnas_gym.CellEnv` renders it while it is built."""
        draw = {"ansi": rendering.text, "rgb_array": rendering.pixels}.get(self.render_mode or "")
        if draw is None:
            gym.logger.warn("render() needs a render_mode: gym.make_vec(..., render_mode='ansi' or 'rgb_array')")
            return ()
        pictures = []
        for observation, *cell in zip(self._observations, *self._layout.cells(self._observations), strict=True):
            builder = CellBuilder(self.cell_space)
            builder.edge_bits, builder.op_code = map(int, cell)
            cursor = np.flatnonzero(observation[self._layout.cursor_at :])
            builder.cursor = int(cursor[0]) if len(cursor) else len(builder.decisions)
            pictures.append(draw(builder, None))
        return tuple(pictures)


def _part(evaluations: Evaluations, chosen: NDArray[np.intp]) -> Evaluations:
    if len(chosen) == len(evaluations.rows):
        return evaluations
    return Evaluations._make(field[chosen] if isinstance(field, np.ndarray) else field for field in evaluations)


class MOCellVectorEnv(CellVectorEnv):
    """:class:`CellVectorEnv` with vectors of objectives as rewards: N environments of :class:`ecnas_gym.MOCellEnv`.

    Rewards are float64 of shape (N, objectives). It has the ``reward_space`` and ``reward_dim`` of a single environment
    and its ``pareto_front(gamma)``.
    """

    _single_env = MOCellEnv

    def __init__(
        self,
        num_envs: int = 1,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_envs, autoreset_mode, **kwargs)
        env = self._env
        assert isinstance(env, MOCellEnv)
        self.reward_space, self.reward_dim, self.pareto_front = env.reward_space, env.reward_dim, env.pareto_front

    def _zeros(self) -> NDArray[np.float64]:
        return np.zeros((self.num_envs, self.reward_dim))

    def _scalarised(self, vector: NDArray[np.float64], figures: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        return vector
