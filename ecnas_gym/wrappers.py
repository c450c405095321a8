"""Wrappers for agents without masks, and for tabular agents."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs

from ecnas import BudgetExhaustedError
from ecnas.coerce import whole
from ecnas_gym.automaton import START, Automaton, automaton_of
from ecnas_gym.builder import NUM_ACTIONS, decisions
from ecnas_gym.edit_env import EditEnv, MOEditEnv
from ecnas_gym.env import _BuildEnv
from ecnas_gym.info import told


class RepairActions(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Replaces a forbidden action by the nearest allowed one, so no episode ends for want of a mask.

    The nearest action is the one whose number differs least, and the smaller of two such. With it an agent that ignores
    masks (DQN and A2C of stable-baselines3, all of MORL-Baselines) finishes a cell in every episode, instead of getting
    −1 for thousands of steps. For a repaired action the agent learns the outcome of its replacement, so an agent that
    supports masks learns faster with them.

    After every step, ``info["action"]`` (int64) is the action that was carried out, and ``info["repaired"]`` (bool
    array, shape ()) says whether it differs from the agent's. Wraps any environment of this package, including one in
    :class:`ecnas_gym.ChooseEpochs`. A value outside the action space (3, 0.5) is still an error.

    Example:
        >>> import gymnasium as gym
        >>> from ecnas_gym import RepairActions
        >>> env = RepairActions(gym.make("ECNAS-4V-v0"))
        >>> observation, info = env.reset(seed=0)
        >>> for action in (0, 2):  # the second decision is about an edge, which takes 0 or 1
        ...     observation, reward, terminated, truncated, info = env.step(action)
        >>> print(terminated, info["action"], info["repaired"])
        False 1 True
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        _base_of(env)
        self._masks_of = env.get_wrapper_attr("action_masks")

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Carries out the action, or the nearest allowed one."""
        assert isinstance(self.env.action_space, gym.spaces.Discrete)
        choice = whole("action", action, 0, int(self.env.action_space.n) - 1)
        allowed = np.flatnonzero(self._masks_of())
        taken = choice if not len(allowed) else int(allowed[np.argmin(np.abs(allowed - choice))])
        observation, reward, terminated, truncated, info = self.env.step(taken)
        info["action"], info["repaired"] = told(taken), told(taken != choice)
        return observation, reward, terminated, truncated, info


class TruncateWhenSpent(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Ends an episode that the budget does not allow, instead of raising :class:`ecnas.BudgetExhaustedError`.

    The step that would raise returns the last observation, reward 0 and ``truncated``, with ``info["unpaid"]`` True. So
    a training loop from another library keeps running, on episodes of one step, until a callback stops it. Nothing is
    lost or charged meanwhile. Wraps any environment of this package, including one in other wrappers.

    Example:
        >>> import gymnasium as gym
        >>> from ecnas_gym import RepairActions, TruncateWhenSpent
        >>> env = TruncateWhenSpent(RepairActions(gym.make("ECNAS-4V-v0", budget=1)))
        >>> for _ in range(2):
        ...     observation, info = env.reset()
        ...     terminated = truncated = False
        ...     while not (terminated or truncated):
        ...         observation, reward, terminated, truncated, info = env.step(0)
        ...     print(truncated, info["unpaid"])
        False False
        True True
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        self._base = _base_of(env)
        self._observation: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts an episode of the environment."""
        self._observation, info = self.env.reset(seed=seed, options=options)
        return self._observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Steps, or truncates the episode if the budget does not allow it."""
        try:
            result = self.env.step(action)
        except BudgetExhaustedError:
            _, reward, terminated, truncated, info = self._base._end_unpaid()
            assert isinstance(self.env.action_space, gym.spaces.Discrete)
            info["action_mask"] = np.zeros(int(self.env.action_space.n), dtype=np.int8)
            return self._observation, reward, terminated, truncated, info
        self._observation = result[0]
        return result


class DiscreteState(gym.ObservationWrapper[Any, Any, Any], RecordConstructorArgs):
    """Numbers the states, for tabular agents.

    The observation is an integer from ``Discrete(n)``, with a different number for every state. States of building are
    numbered without gaps, in the order of their decisions: n = 487, 15,400 and 17,752,564 in the spaces 4V, 5V and 7V.
    In editing n = 2,880, 138,240 and 2,548,039,680 for four edits. Most of these states occur in no episode, so use a
    dictionary there.

    Wraps any environment of this package except one in :class:`ecnas_gym.ChooseEpochs`. It can itself be wrapped in
    :class:`RepairActions`.

    Example:
        >>> import gymnasium as gym
        >>> from ecnas_gym import DiscreteState
        >>> env = DiscreteState(gym.make("ECNAS-4V-v0"))
        >>> env.observation_space
        Discrete(487)
        >>> env.reset(seed=0)[0], env.step(2)[0]
        (0, 3)
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        base = _base_of(env)
        if env.observation_space != base.observation_space:
            raise TypeError(f"env must have the observations of an environment of ecnas_gym, got {env}")
        self._base = base
        if isinstance(base, EditEnv | MOEditEnv):
            self._number = self._number_of_placed
            num_ops = 3 ** (base.cell_space.num_vertices - 2)
            num_states = (1 << base.edits.num_edges) * num_ops * (base.max_edits + 1)
        else:
            self._number = self._number_of_decisions
            tables = automaton_of(base.benchmark, (base.epochs,), base.repeat, base.objectives)
            self._prefixes = _Prefixes(tables, len(decisions(base.cell_space)))
            num_states = self._prefixes.count
        self.observation_space = gym.spaces.Discrete(num_states)

    def observation(self, observation: Any) -> int:
        """The number of the current state."""
        return self._number()

    def _number_of_decisions(self) -> int:
        builder = self._base._builder
        made = []
        for decision in builder.decisions[: builder.cursor]:
            written = builder.edge_bits if decision.is_edge else builder.op_code
            made.append(written // decision.weight % (2 if decision.is_edge else NUM_ACTIONS))
        return self._prefixes.number(made)

    def _number_of_placed(self) -> int:
        base = self._base
        assert isinstance(base, EditEnv | MOEditEnv)
        unused = 3 ** (5 - (base.cell_space.num_vertices - 2))  # op codes have digits for five vertices
        edge_bits, op_code = base.placed
        number = edge_bits * 3 ** (base.cell_space.num_vertices - 2) + op_code // unused
        return int(number * (base.max_edits + 1) + base._edits_left)


class _Prefixes:
    """Numbers for the beginnings of all allowed sequences of decisions, shorter ones first.

    Args:
        tables: What is allowed.
        length: Decisions of a complete sequence.
    """

    def __init__(self, tables: Automaton, length: int) -> None:
        self._tables = tables
        # How many ways there are to go on for so many decisions from each entry of the tables: (length, entries).
        self._ways = np.zeros((length, len(tables.following)), dtype=np.int64)
        allowed = tables.masks[::NUM_ACTIONS].reshape(-1)
        ways = allowed.astype(np.int64)
        for steps in range(length):
            self._ways[steps] = ways
            ways = allowed * ways.reshape(-1, NUM_ACTIONS).sum(axis=1)[tables.following // NUM_ACTIONS]
        beginnings = [1, *self._ways[:, START : START + NUM_ACTIONS].sum(axis=1).tolist()]
        self._first = np.cumsum([0, *beginnings]).tolist()
        self.count: int = self._first[-1]

    def number(self, actions: list[int]) -> int:
        """The number of a beginning."""
        number, state = self._first[len(actions)], START
        for position, action in enumerate(actions):
            number += int(self._ways[len(actions) - 1 - position, state : state + action].sum())
            state = int(self._tables.following[state + action])
        return int(number)


def _base_of(env: gym.Env[Any, Any]) -> _BuildEnv[Any]:
    base = env.unwrapped
    if not isinstance(base, _BuildEnv):
        raise TypeError(f"env must be an environment of ecnas_gym, got {env}")
    return base
