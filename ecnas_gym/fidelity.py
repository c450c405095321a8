"""Multi-fidelity: the agent also chooses the number of epochs of training."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from ecnas.coerce import whole
from ecnas_gym.domain import present_cells
from ecnas_gym.env import Step, _BuildEnv


class ChooseEpochs(gym.Wrapper[NDArray[np.float32], Any, Any, Any], RecordConstructorArgs):
    """Makes the number of epochs the last action of an episode; the budget is charged accordingly.

    Wraps any environment of this package that is not vectorised. For several, use ``gym.make_vec`` with
    ``vectorization_mode="sync", wrappers=[ChooseEpochs]``. An episode is unchanged up to the action that would have the
    cell evaluated. Then one more action chooses one of ``fidelities``: action 0 trains for the fewest epochs, and so
    on.

    * **Actions:** ``Discrete(n)``; the epochs use the first ``len(fidelities)`` actions. ``info["action_mask"]`` and
      :meth:`action_masks` have length n.
    * **Observations:** two more entries, 1 or 0. One is 1 while the epochs are to be chosen. The other is 1 if the last
      building decision is an edge, which the inner observation does not show at that point.
    * **Rewards:** on the scale of the chosen epochs (0 and 1 are the worst and the best on their exact front), so a
      cell that is good after 12 epochs has a good reward. Rewards at different epochs are not comparable;
      ``info["epochs"]`` gives the epochs.
    * **Edited cells:** the incumbent is the best of the cells that were trained for the most epochs so far. It may be
      trained again for more.

    Args:
        env: The environment. Its ``epochs`` are the most that can be chosen.
        min_epochs: The fewest epochs that can be chosen; by default the benchmark's lowest.

    Attributes:
        fidelities: The epochs that can be chosen, ascending.

    Raises:
        TypeError: The environment is not one of this package.
        ValueError: ``min_epochs`` leaves nothing to choose from.

    Example:
        >>> import gymnasium as gym
        >>> from ecnas import Budget
        >>> from ecnas_gym import ChooseEpochs
        >>> env = ChooseEpochs(gym.make("ECNAS-4V-v0", budget=Budget(epochs=1_000)))
        >>> env.fidelities
        (4, 12, 36, 108)
        >>> observation, info = env.reset(seed=0)
        >>> for _ in range(8):
        ...     observation, reward, terminated, truncated, info = env.step(int(np.argmax(info["action_mask"])))
        >>> terminated
        False
        >>> observation, reward, terminated, truncated, info = env.step(1)
        >>> print(terminated, info["epochs"], info["budget"]["epochs"])
        True 12 12
    """

    def __init__(self, env: gym.Env[NDArray[np.float32], Any], min_epochs: int | None = None) -> None:
        RecordConstructorArgs.__init__(self, min_epochs=min_epochs)
        super().__init__(env)
        base = env.unwrapped
        if not isinstance(base, _BuildEnv):
            raise TypeError(f"env must be an environment of ecnas_gym, got {env}")
        self._base = base
        lowest = base.benchmark.epochs[0] if min_epochs is None else whole("min_epochs", min_epochs, 1)
        self.fidelities = tuple(epochs for epochs in base.benchmark.epochs if lowest <= epochs <= base.epochs)
        if not self.fidelities:
            raise ValueError(
                f"min_epochs must be at most the environment's epochs {base.epochs}, out of {base.benchmark.epochs}, "
                f"got {min_epochs}"
            )
        base.least_epochs = self.fidelities[0]
        base._restrict(self.fidelities)
        assert isinstance(base.action_space, gym.spaces.Discrete)
        self._inner_actions = int(base.action_space.n)
        self._num_actions = max(self._inner_actions, len(self.fidelities))
        self.action_space = gym.spaces.Discrete(self._num_actions)
        inner = base.observation_space
        assert isinstance(inner, gym.spaces.Box)
        low, high = (np.append(bound, [end] * 2).astype(np.float32) for bound, end in ((inner.low, 0), (inner.high, 1)))
        self.observation_space = gym.spaces.Box(low, high)
        self._last_observation = inner.low
        self._trainings = [True] * len(self.fidelities)
        self._held: int | None = None  # the action that finishes the cell, while the epochs are to be chosen

    def action_masks(self) -> NDArray[np.bool_]:
        """The allowed actions, bool of shape (n,); none between episodes. MaskablePPO looks for this name."""
        mask = np.zeros(self._num_actions, dtype=np.bool_)
        if self._held is not None:
            mask[: len(self.fidelities)] = self._trainings
        elif self._base._running:
            mask[: self._inner_actions] = self._base.action_masks()
        return mask

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Starts an episode of the environment."""
        self._held = None
        observation, info = self.env.reset(seed=seed, options=options)
        return self._seen(observation), self._informed(info)

    def step(self, action: Any) -> Step:
        """Carries out a decision of the environment, or trains the finished cell for the chosen epochs.

        Raises:
            ValueError: The action is not in the action space.
            BudgetExhaustedError: The training costs more than is left, or the budget is spent; nothing was charged.
        """
        base = self._base
        choice = base._choice(action, self._num_actions)
        allowed = self.action_masks()[choice]
        held, self._held = self._held, None
        if held is None and allowed and base.finishes(choice) and not base._refuses():
            self._held = choice
            self._trainings = self._known_epochs(base._row_after(choice))
            result: Step = self._last_observation, base._no_reward(), False, False, {}
        elif held is None and choice < self._inner_actions:
            result = self.env.step(choice)
        elif held is not None and allowed:
            result = self._train(held, self.fidelities[choice])
        else:
            result = base._end_invalid()
        observation, reward, terminated, truncated, info = result
        return self._seen(observation), reward, terminated, truncated, self._informed(info)

    def _known_epochs(self, row: int) -> list[bool]:
        """The fidelities at which the benchmark has a cell."""
        base = self._base
        present = [present_cells(base.benchmark, (epochs,), base.repeat, base.objectives) for epochs in self.fidelities]
        return [cells is None or bool(cells[row]) for cells in present]

    def _train(self, held: int, epochs: int) -> Step:
        base = self._base
        usual, base.epochs = base.epochs, epochs
        try:
            return self.env.step(held)
        finally:
            base.epochs = usual

    def _seen(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        self._last_observation = observation
        return np.append(observation, np.array([self._held is not None, self._held == 1], dtype=np.float32))

    def _informed(self, info: dict[str, Any]) -> dict[str, Any]:
        info["action_mask"] = self.action_masks().astype(np.int8)
        return info
