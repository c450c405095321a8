"""The vector environment for stable-baselines3 and sb3-contrib, which have a vector interface of their own.

```python
from sb3_contrib import MaskablePPO
from ecnas_gym.sb3 import CellVecEnv

envs = CellVecEnv("ECNAS-7V-v0", num_envs=64, budget=10_000)
model = MaskablePPO("MlpPolicy", envs)
```
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

from ecnas import BudgetExhaustedError
from ecnas_gym.info import Info, evaluations_of, told
from ecnas_gym.vector import CellVectorEnv, MOCellVectorEnv


class StopWhenSpent(BaseCallback):
    """Ends ``learn`` without an error once the budget allows no further episode.

    Works with :class:`CellVecEnv`, and with any ``VecEnv`` of single environments. If the budget is in energy or
    seconds, wrap each single environment in :class:`ecnas_gym.TruncateWhenSpent`, since it is not known in advance
    which evaluation will not fit.

    ```python
    model.learn(1_000_000, callback=StopWhenSpent())
    ```
    """

    def _on_step(self) -> bool:
        envs = self.training_env
        if any(info.get("unpaid") for info in self.locals["infos"]):
            return False
        for budget, epochs in zip(envs.get_attr("budget"), envs.get_attr("least_epochs"), strict=True):
            if budget is not None:
                try:
                    budget.require(epochs)
                except BudgetExhaustedError:
                    return False
        return True


class CellVecEnv(VecEnv):
    """N environments as one ``VecEnv``: equivalent to a ``DummyVecEnv`` of :class:`ecnas_gym.CellEnv`, but vectorised.

    Observations, rewards, masks, and the information on a finished cell (``cell``, ``evaluation``, ``vector_reward``,
    ``budget``, ``terminal_observation`` …) are those of ``DummyVecEnv``. There are two differences: ``budget`` is the
    account after the whole step, and there is no ``Monitor`` (use ``VecMonitor`` for episode statistics).

    The budget ends as in :class:`ecnas_gym.vector.CellVectorEnv`: all paid evaluations are delivered, and the next step
    raises :class:`ecnas.BudgetExhaustedError` out of ``learn``, unless :class:`StopWhenSpent` ends it first.

    Args:
        env_id: ``"ECNAS-4V-v0"``, ``"ECNAS-5V-v0"`` or ``"ECNAS-7V-v0"``; the rewards of stable-baselines3 are scalar.
        num_envs: N.
        **kwargs: Arguments of the environment.
    """

    def __init__(self, env_id: str, num_envs: int, **kwargs: Any) -> None:
        envs = gym.make_vec(
            env_id,
            num_envs=num_envs,
            vectorization_mode="vector_entry_point",
            autoreset_mode=AutoresetMode.SAME_STEP,
            **kwargs,
        ).unwrapped
        if not isinstance(envs, CellVectorEnv) or isinstance(envs, MOCellVectorEnv):
            raise ValueError(f"env_id must name an ECNAS environment with scalar rewards, got {env_id!r}")
        self.envs = envs
        self._actions: NDArray[Any] = np.empty(0, dtype=np.int64)
        super().__init__(num_envs, envs.single_observation_space, envs.single_action_space)

    def reset(self) -> NDArray[np.float32]:
        """Starts a new cell in every environment; returns observations of shape (N, n)."""
        observations, _ = self.envs.reset(seed=self._seeds[0])
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: NDArray[Any]) -> None:
        """Takes the actions of the next :meth:`step_wait`."""
        self._actions = actions

    def step_wait(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Steps; returns observations, rewards, ends and a dictionary of information for each environment."""
        observations, rewards, terminated, truncated, info = self.envs.step(self._actions)
        infos: list[dict[str, Any]] = [{"TimeLimit.truncated": False} for _ in range(self.num_envs)]
        ended = terminated | truncated
        if "final_info" in info:
            for number in ended.nonzero()[0].tolist():
                infos[number]["terminal_observation"] = info["final_obs"][number]
            self._add_final(infos, info["final_info"])
        return observations, rewards.astype(np.float32), ended, infos

    def _add_final(self, infos: list[dict[str, Any]], final: dict[str, Any]) -> None:
        """Adds the information of :class:`ecnas_gym.CellEnv` at the end of an episode."""
        envs = self.envs
        keys = [key for key in final if f"_{key}" in final and key != "action_mask"]
        evaluations = evaluations_of(final, envs.benchmark, envs.epochs)
        for number in final["_invalid"].nonzero()[0].tolist():
            items = {key: _plain(final[key][number]) for key in keys if final[f"_{key}"][number]}
            objects: dict[str, Any] = {}
            if "row" in items:
                objects["cell"] = functools.partial(envs.cell_space.__getitem__, int(items["row"]))
                objects["evaluation"] = evaluations[number]
            if envs.budget is not None:
                objects["budget"] = final["budget"]
            if items.get("unpaid"):
                infos[number]["TimeLimit.truncated"] = True
            infos[number] = Info.with_objects({**infos[number], **items}, objects)

    def close(self) -> None:
        """Closes the environments."""
        self.envs.close()

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """Pixels of each environment's cell; needs ``render_mode="rgb_array"``."""
        return self.envs.render()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute, repeated for each environment; they share all attributes."""
        return [getattr(self.envs, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refused: the environments share their attributes."""
        raise AttributeError(
            f"cannot set {attr_name!r}: environments share their attributes, so set it when making them"
        )

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Calls ``action_masks``, the only method that differs between environments: N arrays, bool of shape (3,)."""
        if method_name != "action_masks":
            raise AttributeError(f"env_method must be 'action_masks', got {method_name!r}")
        masks = self.envs.action_masks()
        return [masks[number] for number in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: Any = None) -> list[bool]:
        """False for each: there are no single environments to be wrapped."""
        return [False for _ in self._get_indices(indices)]


def _plain(value: Any) -> Any:
    """An entry of an array in the form that a single environment has."""
    return value.copy() if isinstance(value, np.ndarray) else told(value)
