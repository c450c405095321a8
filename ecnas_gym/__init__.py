"""Gymnasium environments for energy-aware neural architecture search. Importing this registers them.

>>> import gymnasium as gym
>>> import ecnas_gym
>>> env = gym.make("ECNAS-7V-v0")
"""

from __future__ import annotations

import gymnasium as gym

from ecnas.space import SPACES
from ecnas_gym.edit_env import EditEnv, MOEditEnv
from ecnas_gym.env import INVALID_REWARD, CellEnv, MOCellEnv

__all__ = ["INVALID_REWARD", "CellEnv", "EditEnv", "MOCellEnv", "MOEditEnv"]


def _register() -> None:
    for space in SPACES:
        gym.register(f"ECNAS-{space}-v0", entry_point="ecnas_gym.env:CellEnv", kwargs={"space": space})
        gym.register(f"ECNAS-{space}-Edit-v0", entry_point="ecnas_gym.edit_env:EditEnv", kwargs={"space": space})
        for suffix, entry_point in (("", "ecnas_gym.env:MOCellEnv"), ("-Edit", "ecnas_gym.edit_env:MOEditEnv")):
            gym.register(
                f"MO-ECNAS-{space}{suffix}-v0",
                entry_point=entry_point,
                kwargs={"space": space},
                disable_env_checker=True,  # Gymnasium's passive checker allows scalar rewards alone
            )


_register()
