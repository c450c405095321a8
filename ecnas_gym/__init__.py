"""Gymnasium environments for energy-aware neural architecture search. Importing this registers them.

>>> import gymnasium as gym
>>> import ecnas_gym
>>> env = gym.make("ECNAS-7V-v0")
"""

from __future__ import annotations

import gymnasium as gym

from ecnas.space import SPACES
from ecnas_gym.env import INVALID_REWARD, CellEnv, MOCellEnv

__all__ = ["INVALID_REWARD", "CellEnv", "MOCellEnv"]


def _register() -> None:
    for space in SPACES:
        gym.register(
            f"ECNAS-{space}-v0",
            entry_point="ecnas_gym.env:CellEnv",
            vector_entry_point="ecnas_gym.vector:CellVectorEnv",
            kwargs={"space": space},
        )
        # Gymnasium's passive checker allows scalar rewards alone.
        gym.register(
            f"MO-ECNAS-{space}-v0",
            entry_point="ecnas_gym.env:MOCellEnv",
            vector_entry_point="ecnas_gym.vector:MOCellVectorEnv",
            kwargs={"space": space},
            disable_env_checker=True,
        )


_register()
