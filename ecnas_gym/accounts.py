"""The account that a budget given as a number stands for."""

from __future__ import annotations

import sys
from typing import Final

from ecnas.budget import Budget
from ecnas.coerce import budget_of

_MAKERS_OF_MANY: Final = (
    "gymnasium.vector",
    "mo_gymnasium.wrappers.vector",
    "stable_baselines3",
    "ray.rllib",
    "torchrl.envs.batched_envs",
    "tianshou.env",
    "pufferlib",
)
"""Modules that make several environments from the same arguments."""


def account(budget: Budget | float | None) -> Budget | None:
    """The budget of one environment; a number becomes a new budget.

    If a library makes several environments from the same arguments, a number would become several accounts, so it is
    refused.

    Raises:
        ValueError: It is not a budget, or it is a number where several environments are made.
    """
    if budget is None or isinstance(budget, Budget):
        return budget
    created = budget_of(budget)
    if maker := _maker_of_many():
        raise ValueError(
            f"budget must be an ecnas.Budget where {maker} makes several environments from the same arguments, got "
            f"{budget!r}: a number would be a separate account for each. Make a Budget(evaluations={budget}) once, "
            "which all of them share"
        )
    return created


def _maker_of_many() -> str | None:
    """The module in whose call an environment is being made, if it makes several."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        module = frame.f_globals.get("__name__", "")
        for maker in _MAKERS_OF_MANY:
            if module == maker or module.startswith(f"{maker}."):
                return str(module)
    return None
