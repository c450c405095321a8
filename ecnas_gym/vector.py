"""Vector environments: the episodes of N environments, by table look-ups on arrays."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from ecnas import BudgetExhaustedError
from ecnas.benchmark import Evaluations
from ecnas.coerce import budget_of, one_of, shown, whole
from ecnas.decimals import Amounts, PriceList
from ecnas.encoding import to_frame
from ecnas.table import COLUMNS
from ecnas.task import Judgement
from ecnas_gym import rendering
from ecnas_gym.automaton import FINISHED, INVALID, START, automaton_of
from ecnas_gym.builder import NUM_ACTIONS, CellBuilder
from ecnas_gym.env import INVALID_REWARD, CellEnv, MOCellEnv, _BuildEnv, _is_random, check_options
from ecnas_gym.info import METRICS, DeferredInfo, Info
from ecnas_gym.observation import layout

MANY: Final = 0.5
"""All answers of a benchmark are kept in memory, 24 bytes per cell, once queries have cost this part of computing
them."""

_A_QUESTION: Final = 800  # a query costs as much as this many cells when all are computed
_PART: Final = 1 << 16  # cells whose answers are computed at once

Observations = NDArray[np.float32]
Masks = NDArray[np.int8]
Step = tuple[Observations, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]


class Answers(NamedTuple):
    """Rewards and costs of B cells.

    Attributes:
        rows: The cells' rows, shape (B,).
        rewards: Shape (B,) or (B, objectives).
        energy: kWh, B of them.
        seconds: B of them.
        evaluations: The full evaluations if the benchmark was queried; None if the answers come from memory.
    """

    rows: NDArray[np.int64]
    rewards: NDArray[np.float64]
    energy: NDArray[np.float64] | Amounts
    seconds: NDArray[np.float64] | Amounts
    evaluations: Evaluations | None

    def first(self, count: int) -> Answers:
        """The first ``count`` of them."""
        evaluations = self.evaluations
        if evaluations is not None:
            parts = [field[:count] if isinstance(field, np.ndarray) else field for field in evaluations]
            evaluations = Evaluations._make(parts)
        return Answers(self.rows[:count], self.rewards[:count], self.energy[:count], self.seconds[:count], evaluations)


class _VectorEnv(VectorEnv[Observations, NDArray[np.integer], NDArray[Any]]):
    """The part that building and editing environments share: ends of episodes, budgets and information.

    How an episode goes is up to the subclass, for all N environments at once.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012  # as gymnasium declares it
        **CellEnv.metadata,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }
    _single_env: type[_BuildEnv[Any]]
    _reset_options: tuple[str, ...] = ("reset_mask",)

    def __init__(
        self,
        num_envs: int = 1,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.num_envs = whole("num_envs", num_envs, 1)
        modes = {mode.value: mode for mode in AutoresetMode}
        if not isinstance(autoreset_mode, AutoresetMode):
            autoreset_mode = modes[one_of("autoreset_mode", autoreset_mode, modes)]
        self.autoreset_mode = autoreset_mode
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.max_episode_steps = None if max_episode_steps is None else whole("max_episode_steps", max_episode_steps, 1)
        # One environment checks the arguments, and is the source of all that is not an episode.
        kwargs["budget"] = budget_of(kwargs.get("budget"))
        self._env = env = self._single_env(**kwargs)
        self.cell_space, self.benchmark, self.epochs = env.cell_space, env.benchmark, env.epochs
        self.objectives, self.budget = env.objectives, env.budget
        self.repeat, self.reference_point, self.least_epochs = env.repeat, env.reference_point, env.least_epochs
        self.render_mode = env.render_mode
        self.single_action_space, self.single_observation_space = env.action_space, env.observation_space
        self.action_space = batch_space(env.action_space, self.num_envs)
        self.observation_space = batch_space(env.observation_space, self.num_envs)
        assert isinstance(env.action_space, gym.spaces.Discrete)
        self._num_actions = int(env.action_space.n)
        self._is_fixed = not _is_random(env.repeat) and not isinstance(env.repeat, np.random.Generator)

        self._everyone = np.ones(self.num_envs, dtype=np.bool_)
        self._num_asked = 0
        self._price_powers: list[int] | None = None
        self._ended = np.arange(self.num_envs)  # whose episode has ended and has no successor yet
        self._steps = np.zeros(self.num_envs, dtype=np.int64)  # counted only under max_episode_steps
        self._running = False
        self._fresh = True  # whether an episode may be about to begin
        self._exhausted = ""  # why no further step may be made

    # What the subclasses do.

    def _restart(self, chosen: NDArray[np.intp]) -> None:
        """Starts new episodes in some environments."""
        raise NotImplementedError

    def _advance(self, choices: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
        """Carries out actions in all environments, and starts new episodes in those that had ended, whatever theirs.

        Returns:
            Which episodes end invalid, bool of shape (N,); and the numbers of those whose cells are finished.
        """
        raise NotImplementedError

    def _rows(self, finished: NDArray[np.intp]) -> NDArray[np.int64]:
        """The rows of finished cells."""
        raise NotImplementedError

    def _masks(self) -> Masks:
        """Allowed actions, shape (N, actions), of its own."""
        raise NotImplementedError

    def _observe(self) -> Observations:
        """Observations, shape (N, size), of their own."""
        raise NotImplementedError

    def _builders(self) -> list[CellBuilder]:
        """Each environment's cell as it stands, to be drawn."""
        raise NotImplementedError

    def _left(self) -> Sequence[int | None]:
        """Number of edits left in each environment, where cells are edited."""
        return [None] * self.num_envs

    def _remember(self, finished: NDArray[np.intp], rows: NDArray[np.int64], rewards: NDArray[np.float64]) -> None:
        """Takes in what cells were rewarded with."""

    # What users call.

    def action_masks(self) -> NDArray[np.bool_]:
        """The allowed actions, bool of shape (N, actions)."""
        return self._masks().view(np.bool_)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Starts a new episode in every environment, or in those of ``options["reset_mask"]`` (bool, shape (N,)).

        Args:
            seed: Seed of the one generator of all environments; or one for each, which seed it together.
            options: As above.

        Raises:
            ValueError: A seed or an option is none of these.
        """
        super().reset(seed=self._seeded(seed))
        options = options or {}
        check_options(options, self._reset_options)
        mask = options.get("reset_mask")
        if mask is None:
            chosen = np.arange(self.num_envs)
        else:
            mask = np.asarray(mask)
            if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
                raise ValueError(
                    f"reset_mask must be bool of shape ({self.num_envs},) with at least one True, got {mask}"
                )
            chosen = np.flatnonzero(mask)
        self._restart(chosen)
        self._steps[chosen] = 0
        self._ended = np.setdiff1d(self._ended, chosen)
        self._running = self._fresh = True
        self._exhausted = ""
        return self._observe(), self._with_masks({}, chosen)

    def step(self, actions: ArrayLike) -> Step:
        """Steps in every environment.

        Args:
            actions: Integers, shape (N,).

        Raises:
            ValueError: The actions have another shape or type, or are not in the action space.
            BudgetExhaustedError: The budget is spent, see above. Nothing has changed.
            BudgetProcessError: The budget is of another process. Nothing has changed.
        """
        choices = self._checked(actions)
        started = self._ended
        invalid, finished = self._advance(choices)
        rewards = self._zeros()
        terminated = invalid.copy()
        terminated[finished] = True
        truncated = np.zeros(self.num_envs, dtype=np.bool_)
        if self.max_episode_steps is not None:
            self._steps += 1
            self._steps[started] = 0
            truncated = (self._steps >= self.max_episode_steps) & ~terminated
        info: dict[str, Any] = {}
        if len(finished) or np.count_nonzero(invalid):
            info = self._judge(invalid, finished, rewards, terminated, truncated)
        self._ended = (terminated | truncated).nonzero()[0]
        self._fresh = len(started) > 0
        if len(self._ended) and self.autoreset_mode == AutoresetMode.SAME_STEP:
            info = self._succeed(info)
        self._with_masks(info)
        return self._observe(), rewards, terminated, truncated, info

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Calls a method of every environment, or reads an attribute, like gymnasium's ``SyncVectorEnv``.

        Only ``action_masks`` and ``render`` differ between environments; everything else is shared.

        Raises:
            AttributeError: There is no such method, or it would step or reset single environments.
        """
        if name == "action_masks":
            return tuple(self.action_masks())
        if name == "render":
            return self.render()
        if name in ("step", "reset", "close"):
            raise AttributeError(f"{name} is for all environments at once: call it on the vector environment")
        value = getattr(self if name in _OWN else self._env, name)
        return (value(*args, **kwargs) if callable(value) else value,) * self.num_envs

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """An attribute of every environment; they share all attributes."""
        value = getattr(self if name in _OWN else self._env, name)
        return (value,) * self.num_envs

    def set_attr(self, name: str, values: Any) -> None:
        """Sets ``budget`` or ``scalarisation`` of all environments, which share them.

        Args:
            name: One of the two.
            values: The value, or a list or tuple with it for each environment.

        Raises:
            AttributeError: It is another attribute.
            ValueError: The values differ.
        """
        if name not in ("budget", "scalarisation"):
            raise AttributeError(f"can only set 'budget' and 'scalarisation', got {name!r}: set it when making them")
        if isinstance(values, list | tuple):
            if len(values) != self.num_envs or any(value is not values[0] for value in values):
                raise ValueError(f"{name} must be the same for all {self.num_envs} environments, got {shown(values)}")
            values = values[0]
        value = budget_of(values) if name == "budget" else values
        setattr(self._env, name, value)
        if name == "budget":
            self.budget = value
        self.__dict__.pop("_all_answers", None)

    def render(self) -> tuple[Any, ...]:
        """A rendering of each environment's cell, as by :class:`ecnas_gym.CellEnv`."""
        draws: Mapping[str, Callable[[CellBuilder, None, int | None], Any]] = {
            "ansi": rendering.text,
            "rgb_array": rendering.pixels,
        }
        draw = draws.get(self.render_mode or "")
        if draw is None:
            gym.logger.warn("render() needs a render_mode: gym.make_vec(..., render_mode='ansi' or 'rgb_array')")
            return ()
        return tuple(draw(builder, None, left) for builder, left in zip(self._builders(), self._left(), strict=True))

    # How a step goes.

    def _seeded(self, seed: int | Sequence[int | None] | None) -> int | None:
        """One seed out of one for each environment."""
        if seed is None:
            return None
        if not isinstance(seed, Sequence | np.ndarray):
            return whole("seed", seed, 0)
        if len(seed) != self.num_envs:
            raise ValueError(f"seed must be a number, or {self.num_envs} of them, one for each, got {shown(seed)}")
        if all(one is None for one in seed):
            return None
        numbers = [np.random.SeedSequence().entropy if one is None else whole("seed", one, 0) for one in seed]
        return int(np.random.SeedSequence(numbers).generate_state(1)[0])  # type: ignore[arg-type]  # never a sequence

    def _checked(self, actions: ArrayLike) -> NDArray[np.int64]:
        """The actions of a step that may be made."""
        if not self._running:
            raise ResetNeeded("call reset before step")
        choices = actions if isinstance(actions, np.ndarray) else np.asarray(actions)
        if choices.shape != (self.num_envs,) or choices.dtype.kind not in "iu":
            raise ValueError(
                f"actions must be integers of shape ({self.num_envs},), got {choices.dtype} of shape {choices.shape}"
            )
        unsigned = np.uint64 if choices.itemsize == 8 else f"u{choices.itemsize}"
        largest = np.maximum.reduce(choices.view(unsigned))  # a negative number is a very large one
        if largest >= self._num_actions:
            wrong = choices[(choices < 0) | (choices >= self._num_actions)][0]
            raise ValueError(f"actions must be from 0 to {self._num_actions - 1}, got {wrong}")
        if self._exhausted:
            raise BudgetExhaustedError(self._exhausted)
        if len(self._ended) and self.autoreset_mode == AutoresetMode.DISABLED:
            raise ResetNeeded(f"call reset before step: the episodes of {self._ended.tolist()} have ended")
        if self.budget is not None and (self._fresh or len(self._ended)):
            self.budget.require(self.epochs)
        return choices.astype(np.int64, copy=False)

    def _judge(
        self,
        invalid: NDArray[np.bool_],
        finished: NDArray[np.intp],
        rewards: NDArray[np.float64],
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
    ) -> Info:
        """Writes the rewards of the episodes that have ended, and returns their information."""
        over = terminated.copy()  # those that are only out of time tell nothing
        rewards[invalid.nonzero()[0]] = INVALID_REWARD  # many times faster than with flags
        items: dict[str, Any] = {"invalid": invalid, "_invalid": over}
        objects: dict[str, Any] = {}
        later: Callable[[], dict[str, Any]] = dict
        if len(finished):
            answers = self._answers(self._rows(finished))
            num_paid = len(finished) if self.budget is None else self._charge(answers)
            if num_paid < len(finished):
                unpaid = finished[num_paid:]
                terminated[unpaid], truncated[unpaid] = False, True
                self._exhausted = (
                    f"{len(unpaid)} finished cells were not evaluated: {self.budget!r} does not allow the next one"
                )
                finished, answers = finished[:num_paid], answers.first(num_paid)
            if num_paid:
                rewards[finished] = answers.rewards
                self._remember(finished, answers.rows, answers.rewards)
                later = functools.partial(self._told, finished, answers)
                objects["evaluation"] = functools.partial(self._metrics, finished, answers)
        if self.budget is not None:
            items["unpaid"], items["_unpaid"] = truncated & over, over
            objects["budget"] = self.budget.as_dict
        return DeferredInfo.with_items(items, objects, later)

    def _charge(self, answers: Answers) -> int:
        """Charges the budget in order; how many are paid."""
        assert self.budget is not None
        return self.budget.charge_many(
            epochs=self.epochs, energy=answers.energy, seconds=answers.seconds, keys=self._keys(answers), partly=True
        )

    def _keys(self, answers: Answers) -> Iterator[tuple[Any, ...]]:
        """What makes evaluations the same, as :meth:`ecnas.Benchmark.query` tells it to budgets that ask."""
        repeats: list[int | None] = [None] * len(answers.rows)
        if answers.evaluations is not None:
            repeats = [None if repeat < 0 else repeat for repeat in answers.evaluations.repeats.tolist()]
        elif isinstance(self.repeat, int) and self.benchmark.table.repeats > 1:
            repeats = [self.repeat] * len(answers.rows)
        for row, repeat in zip(answers.rows.tolist(), repeats, strict=True):
            yield self.benchmark.digest, row, self.epochs, repeat

    def _evaluations(self, answers: Answers) -> Evaluations:
        if answers.evaluations is not None:
            return answers.evaluations
        return self.benchmark.query_rows(answers.rows, self.epochs, repeat=self.repeat)  # type: ignore[arg-type]

    def _told(self, finished: NDArray[np.intp], answers: Answers) -> dict[str, Any]:
        """What evaluations tell, as arrays with a row for each environment."""
        evaluations = self._evaluations(answers)
        items: dict[str, Any] = {}
        there = self._mask(finished)

        def add(name: str, values: NDArray[Any], nothing: Any) -> None:
            items[name] = np.full((self.num_envs, *values.shape[1:]), nothing, dtype=values.dtype)
            items[name][finished] = values
            items[f"_{name}"] = there

        add("row", evaluations.rows, -1)
        add("vector_reward", self._env.judge(evaluations).vector_reward, np.nan)
        add("epochs", np.full(len(finished), self.epochs), -1)
        add("trainable_parameters", evaluations.trainable_parameters.astype(np.int64), -1)
        for name in COLUMNS:
            metrics = getattr(evaluations, name)
            lacks = np.isnan(metrics)
            if not lacks.all():
                add(name, metrics, np.nan)
                if lacks.any():
                    items[f"_{name}"] = self._mask(finished[~lacks])
        if (evaluations.repeats >= 0).any():
            add("repeat", evaluations.repeats, -1)
        return items

    def _metrics(self, finished: NDArray[np.intp], answers: Answers) -> dict[str, NDArray[np.float64]]:
        """All metrics of evaluations with a place for each environment; NaN for those without."""
        evaluations = self._evaluations(answers)
        metrics = np.full((len(METRICS), self.num_envs), np.nan)
        metrics[:, finished] = [getattr(evaluations, name) for name in METRICS]
        return dict(zip(METRICS, metrics, strict=True))

    def _answers(self, rows: NDArray[np.int64]) -> Answers:
        """What cells bring. Once that is worth it, all answers are kept in memory."""
        if self._is_fixed:
            self._num_asked += len(rows) + _A_QUESTION
            if self._num_asked > MANY * len(self.cell_space):
                return self._part(self._all_answers.take(rows, axis=0), rows)
        repeat: Any = self.np_random if _is_random(self.repeat) else self.repeat
        evaluations = self.benchmark.query_rows(rows, self.epochs, repeat=repeat, needs=self.objectives)
        rewards = self._rewards_of(self._env.judge(evaluations))
        return Answers(rows, rewards, evaluations.energy, evaluations.training_time, evaluations)

    def _part(self, answers: NDArray[np.float64], rows: NDArray[np.int64]) -> Answers:
        rewards = answers[:, 2] if self._zeros().ndim == 1 else answers[:, 2 : 2 + len(self.objectives)]
        energy, seconds = answers[:, 0], answers[:, 1]
        if self._price_powers is None:
            return Answers(rows, rewards, energy, seconds, None)
        limbs = answers[:, -4:-2], answers[:, -2:]  # in the same line of the processor's cache
        amounts = [Amounts(*known) for known in zip((energy, seconds), limbs, self._price_powers, strict=True)]
        return Answers(rows, rewards, amounts[0], amounts[1], None)

    @functools.cached_property
    def _all_answers(self) -> NDArray[np.float64]:
        """Energy, seconds and rewards of all cells, side by side, and under a budget what energy and seconds add up by.

        Shape (cells, 3), or (cells, 2 + objectives), and 4 columns more under a budget.
        """
        parts = []
        for start in range(0, len(self.cell_space), _PART):
            rows = np.arange(start, min(start + _PART, len(self.cell_space)))
            evaluations = self.benchmark.query_rows(rows, self.epochs, repeat=self.repeat)  # type: ignore[arg-type]
            rewards = self._rewards_of(self._env.judge(evaluations))
            parts.append(np.column_stack([evaluations.energy, evaluations.training_time, rewards]))
        answers = np.concatenate(parts)
        self._price_powers = None
        if self.budget is not None and np.isfinite(answers[:, :2]).all():
            with contextlib.suppress(ValueError):  # prices too far apart: they are added up as decimals
                lists = [PriceList(answers[:, currency]) for currency in range(2)]
                answers = np.column_stack([answers, *(prices.limbs for prices in lists)])
                self._price_powers = [prices.power for prices in lists]
        return answers

    def _succeed(self, final_info: dict[str, Any]) -> dict[str, Any]:
        """Starts new episodes in the step that ended the last ones, and returns its information."""
        ended, mask = self._ended, self._mask(self._ended)
        final_masks = self._final_masks(ended)
        final_observations = self._kept(ended)
        final_info["action_mask"], final_info["_action_mask"] = final_masks, mask

        def later() -> dict[str, Any]:
            observations = np.full(self.num_envs, None, dtype=object)
            observations[ended] = np.fromiter(final_observations(), dtype=object, count=len(ended))
            return {"final_obs": observations}

        self._restart(ended)
        self._steps[ended] = 0
        self._ended, self._fresh = ended[:0], True
        return DeferredInfo.with_items({"_final_obs": mask, "final_info": final_info, "_final_info": mask}, {}, later)

    def _final_masks(self, ended: NDArray[np.intp]) -> Masks:
        """What was allowed in the end: something only to those whose time was up."""
        masks: Masks = np.zeros((self.num_envs, self._num_actions), dtype=np.int8)
        if self.max_episode_steps is not None:
            masks[ended] = self._masks()[ended]
        return masks

    def _kept(self, chosen: NDArray[np.intp]) -> Callable[[], Observations]:
        """What makes the observations that some environments have now."""
        raise NotImplementedError

    def _mask(self, where: NDArray[np.intp]) -> NDArray[np.bool_]:
        mask = np.zeros(self.num_envs, dtype=np.bool_)
        mask[where] = True
        return mask

    def _with_masks(self, info: dict[str, Any], where: NDArray[np.intp] | None = None) -> dict[str, Any]:
        info["action_mask"] = self._masks()
        info["_action_mask"] = self._everyone.copy() if where is None else self._mask(where)
        return info

    def _zeros(self) -> NDArray[np.float64]:
        return np.zeros(self.num_envs)

    def _rewards_of(self, judgement: Judgement) -> NDArray[np.float64]:
        return judgement.reward


_OWN: Final = ("num_envs", "autoreset_mode", "max_episode_steps", "spec", "metadata", "np_random", "budget")
"""Attributes that are the vector environment's own."""


class _MOVectorEnv(_VectorEnv):
    """Vector rewards, following MO-Gymnasium's convention as a single environment does."""

    def __init__(
        self,
        num_envs: int = 1,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_envs, autoreset_mode, max_episode_steps, **kwargs)
        env = self._env
        assert isinstance(env, MOCellEnv)
        self.reward_space, self.reward_dim, self.pareto_front = env.reward_space, env.reward_dim, env.pareto_front

    def _zeros(self) -> NDArray[np.float64]:
        return np.zeros((self.num_envs, self.reward_dim))

    def _rewards_of(self, judgement: Judgement) -> NDArray[np.float64]:
        return judgement.vector_reward


class CellVectorEnv(_VectorEnv):
    """N environments of :class:`ecnas_gym.CellEnv` that step together, many times faster than one by one.

    Every episode is identical to that of :class:`ecnas_gym.CellEnv` for the same actions: observations, rewards, masks
    and ends agree to the last bit. ``gym.make_vec(id, num_envs)`` makes it, with the arguments of the environment:

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
    >>> terminated.all(), info["energy"].shape
    (np.True_, (1024,))

    ```

    ## Information
    As in :class:`ecnas_gym.CellEnv`, under the same keys and in the same units, as arrays with one row per environment.
    The array ``_key`` says which environments ``key`` belongs to; the other rows are NaN, −1 or False. ``action_mask``
    is int8 of shape (N, 3), after every reset and step; ``envs.unwrapped.action_masks()`` is the same as bool.

    Thousands of objects per step would cost more than the step itself. So use ``envs.unwrapped.cell_space[row]`` to get
    a cell. ``info["evaluation"]`` has all numbers of the evaluations, as a dictionary of float64 arrays of shape (N,),
    and ``info["budget"]`` the account. Neither is an item; both are made on access.

    ## End of an episode
    ``autoreset_mode`` is one of gymnasium's three. By default the *next step* after the end of an episode ignores the
    action and starts a new cell. With ``"SameStep"`` the last step of an episode also starts the next one, and returns
    the last observation and information as ``info["final_obs"]`` and ``info["final_info"]``. With ``"Disabled"`` the
    caller resets with ``options={"reset_mask": ended}``.

    ## Budget
    Episodes that end in a step are charged in the order of the environments, up to the first that would overspend. That
    one and those after it are *unpaid*: they are truncated with reward 0, without an evaluation and without a charge.
    All paid episodes end as usual, so nothing that was charged is lost. The next ``step`` raises
    :class:`ecnas.BudgetExhaustedError`. So does a ``step`` in which an episode starts, or would start next, when the
    budget is fully spent. A step that raises changes nothing.

    ## Attributes
    ``call``, ``get_attr`` and ``set_attr`` behave like those of gymnasium's ``SyncVectorEnv``, as far as environments
    can differ. ``reference_point`` is that of a single environment.

    Args:
        num_envs: N.
        autoreset_mode: As above, a member of gymnasium's ``AutoresetMode`` or its value.
        max_episode_steps: Truncate longer episodes, as gymnasium's ``TimeLimit`` does.
        **kwargs: Arguments of :class:`ecnas_gym.CellEnv`. A budget is shared by all N.
    """

    _single_env: type[_BuildEnv[Any]] = CellEnv

    def __init__(
        self,
        num_envs: int = 1,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_envs, autoreset_mode, max_episode_steps, **kwargs)
        self._tables = automaton_of(self.benchmark, (self.epochs,), self.repeat, self.objectives)
        # Three masks and a blank are taken as one number of four bytes.
        self._packed_masks = np.pad(self._tables.masks, ((0, 0), (0, 4 - NUM_ACTIONS))).view(np.uint32).ravel()
        self._layout = layout(self.cell_space)
        self._first_observation = self._layout.first()
        self._changes = self._layout.changes()
        self._state = np.full(self.num_envs, INVALID, dtype=np.intp)
        # −1, 0 and 1 fit into a byte; what is handed out is made from it in one pass.
        self._observations = np.zeros((self.num_envs, self._layout.size), dtype=np.int8)

    def _restart(self, chosen: NDArray[np.intp]) -> None:
        self._state[chosen] = START
        self._begin_observations(chosen)

    def _begin_observations(self, chosen: NDArray[np.intp]) -> None:
        row = np.dtype((np.void, self._layout.size))  # a row as one item is written several times faster than 62
        self._observations.view(row).put(chosen, self._first_observation.view(row))

    def _advance(self, choices: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
        if len(self._ended):
            self._state[self._ended] = INVALID  # from which the tables lead to the first state
            self._begin_observations(self._ended)
        entry = self._state + choices
        tables = self._tables
        self._state = tables.following.take(entry)
        self._observations += self._changes.take(tables.change.take(entry), axis=0)
        return self._state == INVALID, (self._state == FINISHED).nonzero()[0]

    def _rows(self, finished: NDArray[np.intp]) -> NDArray[np.int64]:
        edge_bits, op_codes = self._layout.cells(self._observations[finished])
        return self.cell_space.rows(to_frame(self.cell_space.num_vertices, edge_bits), op_codes)

    def _masks(self) -> Masks:
        return self._packed_masks.take(self._state).view(np.int8).reshape(self.num_envs, 4)[:, :NUM_ACTIONS]

    def _observe(self) -> Observations:
        return self._observations.astype(np.float32)

    def _kept(self, chosen: NDArray[np.intp]) -> Callable[[], Observations]:
        kept = self._observations.take(chosen, axis=0)
        return lambda: kept.astype(np.float32)

    def _builders(self) -> list[CellBuilder]:
        builders = []
        for observation, *cell in zip(self._observations, *self._layout.cells(self._observations), strict=True):
            builder = CellBuilder(self.cell_space)
            builder.edge_bits, builder.op_code = map(int, cell)
            cursor = np.flatnonzero(observation[self._layout.cursor_at :])
            builder.cursor = int(cursor[0]) if len(cursor) else len(builder.decisions)
            builders.append(builder)
        return builders


class MOCellVectorEnv(_MOVectorEnv, CellVectorEnv):
    """:class:`CellVectorEnv` with vectors of objectives as rewards: N environments of :class:`ecnas_gym.MOCellEnv`.

    Rewards are float64 of shape (N, objectives). It has the ``reward_space`` and ``reward_dim`` of a single environment
    and its ``pareto_front(gamma)``.
    """

    _single_env = MOCellEnv
