"""Gymnasium environments for energy-aware neural architecture search. Importing this registers them.

>>> import gymnasium as gym
>>> import ecnas_gym
>>> env = gym.make("ECNAS-7V-v0")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import gymnasium as gym

import ecnas

if not hasattr(ecnas, "Benchmark"):
    raise ImportError(
        f"ecnas_gym found another package called ecnas in {list(ecnas.__path__)}, such as that of EC-NAS-Bench, which "
        "has the same name. Install ecnas-gym into an environment without it (python -m venv), and run scripts outside "
        "of a checkout of it"
    )

from ecnas.space import SPACES
from ecnas_gym.env import INVALID_REWARD, CellEnv, MOCellEnv

if TYPE_CHECKING:
    from ecnas_gym.edit_env import EditEnv, MOEditEnv
    from ecnas_gym.fidelity import ChooseEpochs
    from ecnas_gym.runs import make_env, make_sb3_env, make_vec_env
    from ecnas_gym.wrappers import DiscreteState, RepairActions, TruncateWhenSpent

__all__ = [
    "INVALID_REWARD",
    "CellEnv",
    "ChooseEpochs",
    "DiscreteState",
    "EditEnv",
    "MOCellEnv",
    "MOEditEnv",
    "RepairActions",
    "TruncateWhenSpent",
    "make_env",
    "make_sb3_env",
    "make_vec_env",
]

_IMPORTED_WHEN_ASKED_FOR = {
    "ChooseEpochs": "ecnas_gym.fidelity",
    "DiscreteState": "ecnas_gym.wrappers",
    "EditEnv": "ecnas_gym.edit_env",
    "MOEditEnv": "ecnas_gym.edit_env",
    "RepairActions": "ecnas_gym.wrappers",
    "TruncateWhenSpent": "ecnas_gym.wrappers",
    "make_env": "ecnas_gym.runs",
    "make_sb3_env": "ecnas_gym.runs",
    "make_vec_env": "ecnas_gym.runs",
}


def _register() -> None:
    for space in SPACES:
        for prefix, kind in (("", ""), ("MO-", "MO")):
            options: dict[str, Any] = {
                "kwargs": {"space": space},
                "disable_env_checker": kind == "MO",  # Gymnasium's passive checker allows scalar rewards alone
            }
            gym.register(
                f"{prefix}ECNAS-{space}-v0",
                entry_point=f"ecnas_gym.env:{kind}CellEnv",
                vector_entry_point=f"ecnas_gym.vector:{kind}CellVectorEnv",
                **options,
            )
            gym.register(
                f"{prefix}ECNAS-{space}-Edit-v0",
                entry_point=f"ecnas_gym.edit_env:{kind}EditEnv",
                vector_entry_point=f"ecnas_gym.edit_vector:{kind}EditVectorEnv",
                **options,
            )


def __getattr__(name: str) -> Any:
    # Who builds cells need not wait for the import of what edits them.
    if name in _IMPORTED_WHEN_ASKED_FOR:
        return getattr(importlib.import_module(_IMPORTED_WHEN_ASKED_FOR[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


_register()
