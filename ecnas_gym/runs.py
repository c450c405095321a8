"""Environments of a run: stepping them evaluates, charges and records, as its evaluator does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper

from ecnas_gym.info import evaluations_of

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

    from ecnas.runs import Evaluator

Kind = Literal["build", "edit"]
"""How cells come about: built from nothing, or edited."""


def make_env(
    evaluate: Evaluator, kind: Kind = "build", *, vector_reward: bool = False, **kwargs: Any
) -> gym.Env[Any, Any]:
    """An environment for a run's task, under its budget. Its evaluations are recorded. A run can make several.

    Args:
        evaluate: The run.
        kind: "build" or "edit".
        vector_reward: Reward with the vector of objectives instead of one number.
        **kwargs: More arguments of the environment, such as ``max_edits`` or ``render_mode``.

    Example:
        >>> from dataclasses import dataclass
        >>> from ecnas import runs
        >>> from ecnas_gym import make_env
        >>> @dataclass(frozen=True)
        ... class RandomPolicy:
        ...     def run(self, evaluate, rng):
        ...         env = make_env(evaluate, "build")
        ...         while True:  # the budget ends this
        ...             _, info = env.reset()
        ...             terminated = False
        ...             while not terminated:
        ...                 action = rng.choice(info["action_mask"].nonzero()[0])
        ...                 _, reward, terminated, _, info = env.step(action)
        >>> len(runs.run(RandomPolicy(), "surrogate-5V", budget=10))
        10
    """
    return RecordEvaluations(
        gym.make(env_id(evaluate, kind, vector_reward), **_task(evaluate, vector_reward, kwargs)), evaluate
    )


def make_vec_env(
    evaluate: Evaluator, kind: Kind = "build", num_envs: int = 1, *, vector_reward: bool = False, **kwargs: Any
) -> VectorEnv[Any, Any, Any]:
    """A natively vectorised environment; otherwise as :func:`make_env`."""
    arguments = _task(evaluate, vector_reward, kwargs)
    envs = gym.make_vec(env_id(evaluate, kind, vector_reward), num_envs=num_envs, **arguments)
    return RecordVectorEvaluations(envs, evaluate)


def make_sb3_env(evaluate: Evaluator, kind: Kind = "build", num_envs: int = 1, **kwargs: Any) -> VecEnv:
    """A vector environment for stable-baselines3; otherwise as :func:`make_env`.

    When the budget is spent, ``learn`` raises :class:`ecnas.BudgetExhaustedError`. By then all evaluations are
    recorded.
    """
    # Imported here: other methods do without stable-baselines3.
    from stable_baselines3.common.vec_env import DummyVecEnv, VecEnvWrapper

    from ecnas_gym.sb3 import CellVecEnv

    class RecordVecEvaluations(VecEnvWrapper):
        def reset(self) -> Any:
            return self.venv.reset()

        def step_wait(self) -> Any:
            evaluate.require_progress()
            result = self.venv.step_wait()
            for info in result[3]:
                record_final(evaluate, info)
            return result

    if kind == "edit":
        return DummyVecEnv([lambda: make_env(evaluate, kind, **kwargs)] * num_envs)
    return RecordVecEvaluations(CellVecEnv(env_id(evaluate, kind, False), num_envs, **_task(evaluate, False, kwargs)))


def env_id(evaluate: Evaluator, kind: Kind, vector_reward: bool) -> str:
    """The id of the environments of a kind in the space of a run."""
    if kind not in ("build", "edit"):
        raise ValueError(f"kind must be 'build' or 'edit', got {kind!r}")
    space = evaluate.benchmark.space.name
    return f"ecnas_gym:{'MO-' * vector_reward}ECNAS-{space}{'-Edit' * (kind == 'edit')}-v0"


def _task(evaluate: Evaluator, vector_reward: bool, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of an environment for a run's task, under its budget."""
    task = evaluate.task
    arguments = {
        "benchmark": task.benchmark,
        "epochs": task.epochs,
        "objectives": task.objectives,
        "budget": evaluate.budget,
        "repeat": evaluate.repeat,
        **kwargs,
    }
    return arguments if vector_reward else {"scalarisation": task.scalarisation, **arguments}


class RecordEvaluations(gym.Wrapper[Any, Any, Any, Any]):
    """Passes every evaluation to the run, before the caller can reset the environment."""

    def __init__(self, env: gym.Env[Any, Any], evaluate: Evaluator) -> None:
        super().__init__(env)
        self._evaluate = evaluate

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Steps, and records the evaluation of a finished cell."""
        self._evaluate.require_progress()
        result = self.env.step(action)
        record_final(self._evaluate, result[4])
        return result


def record_final(evaluate: Evaluator, info: dict[str, Any]) -> None:
    """Records the outcome in a step's information: an evaluation, an invalid episode, or nothing."""
    if "evaluation" in info:
        evaluate.add(info["cell"], info["evaluation"])
    elif info.get("invalid"):
        evaluate.record.invalid_episodes += 1


class RecordVectorEvaluations(VectorWrapper):
    """Passes every evaluation to the run, in the order of the environments."""

    def __init__(self, envs: VectorEnv[Any, Any, Any], evaluate: Evaluator) -> None:
        super().__init__(envs)
        self._evaluate = evaluate

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Steps, and records the evaluations of finished cells."""
        self._evaluate.require_progress()
        result = self.env.step(actions)
        final = result[4].get("final_info", result[4])
        task = self._evaluate.task
        for number, evaluation in evaluations_of(final, task.benchmark, task.epochs).items():
            self._evaluate.add(task.benchmark.space[int(final["row"][number])], evaluation)
        self._evaluate.record.invalid_episodes += int(np.count_nonzero(final.get("invalid", ())))
        return result
