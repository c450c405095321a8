"""Envelope, GPI-LS and PCN of MORL-Baselines, to stand beside the methods of this package.

They need MORL-Baselines, which no extra of this package installs, in an environment of its own:

    pip install 'morl-baselines[gpi]'
    ecnas sweep benchmarks/peers_morl.toml

Their agents know no masks, so :class:`ecnas_gym.RepairActions` makes the nearest allowed action of theirs. An episode
brings its reward at its end, so nothing is discounted. Networks are smaller than the library's defaults, which are for
hundreds of times as many episodes, and exploration ends with half of the budget. Every episode that ends in a cell is
charged, one that only evaluates a policy too, unless the run knows its outcome.
"""

from __future__ import annotations

import contextlib
import io
import random
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from ecnas.runs import Evaluator
from ecnas_gym import RepairActions, make_env
from ecnas_gym.builder import decisions

EXPLORING = 0.5
"""Part of the budget during which exploration declines."""

TARGET_STEPS = 50
"""Steps between two copies of a network to its target: rewards come at the end, and travel back one step a copy."""


def building_env(evaluate: Evaluator, rng: np.random.Generator) -> gym.Env[Any, Any]:
    """The environment in which an agent builds cells, seeded as all else that draws."""
    import torch

    seed = int(rng.integers(2**31))
    torch.manual_seed(seed)
    random.seed(seed)  # MORL-Baselines draws preferences from it,
    np.random.seed(seed)  # noqa: NPY002 - and what is replayed from it
    env = RepairActions(make_env(evaluate, "build", vector_reward=True))
    env.action_space.seed(seed)
    env.reset(seed=seed)
    return env


def num_steps(evaluate: Evaluator) -> int:
    """Steps of as many episodes as the budget allows evaluations."""
    evaluations = evaluate.budget.limits["evaluations"]
    return int(evaluations) * len(decisions(evaluate.benchmark.space))


class Remembering(gym.Wrapper[Any, Any, Any, Any]):
    """Knows what sequences of actions have led to, so that a policy that is evaluated again is not paid again."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self._taken: tuple[int, ...] = ()
        self._outcomes: dict[tuple[int, ...], tuple[Any, Any, bool, bool, dict[str, Any]]] = {}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts a cell."""
        self._taken = ()
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Steps, or tells the end that is known."""
        self._taken = (*self._taken, int(action))
        if self._taken not in self._outcomes:
            result = self.env.step(action)
            if not result[2]:
                return result
            self._outcomes[self._taken] = result
        return self._outcomes[self._taken]


@dataclass(frozen=True)
class Envelope:
    """Envelope Q-learning: one network, conditioned on the preference, for all of them.

    Source: Yang et al. 2019, https://arxiv.org/abs/1908.08342.
    """

    hidden_units: tuple[int, ...] = (128, 128)
    """Units of each layer."""
    learning_rate: float = 1e-3
    """Step size of Adam."""
    batch_size: int = 64
    """Transitions that an update replays."""

    name: ClassVar[str] = "Envelope (MORL-Baselines)"

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        """Searches until the budget is spent."""
        from morl_baselines.multi_policy.envelope.envelope import Envelope as Agent

        steps = num_steps(evaluate)
        agent = Agent(
            building_env(evaluate, rng),
            learning_rate=self.learning_rate,
            initial_epsilon=1.0,
            final_epsilon=0.05,
            epsilon_decay_steps=int(EXPLORING * steps),
            target_net_update_freq=TARGET_STEPS,
            buffer_size=steps,
            net_arch=list(self.hidden_units),
            batch_size=self.batch_size,
            gamma=1.0,
            homotopy_decay_steps=int(EXPLORING * steps),
            log=False,
            seed=int(rng.integers(2**31)),
            device="cpu",
        )
        agent.train(10 * steps, num_eval_weights_for_front=2)  # the budget ends it; without a log nothing is evaluated


@dataclass(frozen=True)
class GPILS:
    """GPI-LS: preferences where generalised policy improvement promises most, by linear support.

    Source: Alegre et al. 2023, https://arxiv.org/abs/2301.07784.
    """

    hidden_units: tuple[int, ...] = (128, 128)
    """Units of each layer."""
    learning_rate: float = 1e-3
    """Step size of Adam."""
    batch_size: int = 64
    """Transitions that an update replays."""
    episodes_per_iteration: int = 25
    """Cells that are built between two choices of preferences."""

    name: ClassVar[str] = "GPI-LS (MORL-Baselines)"

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        """Searches until the budget is spent."""
        from morl_baselines.multi_policy.gpi_pd.gpi_pd import GPILS as Agent  # noqa: N811

        steps, episode = num_steps(evaluate), len(decisions(evaluate.benchmark.space))
        env = building_env(evaluate, rng)
        agent = Agent(
            env,
            learning_rate=self.learning_rate,
            initial_epsilon=1.0,
            final_epsilon=0.05,
            epsilon_decay_steps=int(EXPLORING * steps),
            target_net_update_freq=TARGET_STEPS,
            buffer_size=steps,
            net_arch=list(self.hidden_units),
            batch_size=self.batch_size,
            gradient_updates=1,
            gamma=1.0,
            log=False,
            seed=int(rng.integers(2**31)),
            device="cpu",
        )
        with contextlib.redirect_stdout(io.StringIO()):
            agent.train(
                10 * steps,
                eval_env=Remembering(env),
                ref_point=evaluate.reference,
                num_eval_weights_for_front=2,  # for a log alone
                num_eval_episodes_for_front=1,  # the policy draws nothing
                timesteps_per_iter=self.episodes_per_iteration * episode,
                checkpoints=False,
            )


@dataclass(frozen=True)
class PCN:
    """Pareto conditioned networks: supervised learning of what was done when a return was had.

    Source: Reymond et al. 2022, https://arxiv.org/abs/2204.05036.
    """

    hidden_units: int = 64
    """Units of each layer."""
    learning_rate: float = 1e-3
    """Step size of Adam."""
    batch_size: int = 256
    """Decisions that an update replays."""
    episodes_per_iteration: int = 10
    """Cells that are built under one desired return."""
    updates: int = 50
    """Updates before each desired return."""

    name: ClassVar[str] = "PCN (MORL-Baselines)"

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        """Searches until the budget is spent."""
        from morl_baselines.multi_policy.pcn.pcn import PCN as Agent  # noqa: N811

        class Agent_(Agent):  # type: ignore[misc]  # noqa: N801
            """Without the checkpoints and evaluations that only report."""

            def save(self, *_: Any, **__: Any) -> None:
                pass

            def evaluate(self, *_: Any, **__: Any) -> tuple[list[Any], list[Any], list[Any]]:
                return [], [], []

        steps, episode = num_steps(evaluate), len(decisions(evaluate.benchmark.space))
        env = building_env(evaluate, rng)
        scaling = np.array([*np.ones(len(evaluate.objectives)), 1.0 / episode])
        agent = Agent_(
            env,
            scaling_factor=scaling,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            hidden_dim=self.hidden_units,
            log=False,
            seed=int(rng.integers(2**31)),
            device="cpu",
        )
        with contextlib.redirect_stdout(io.StringIO()):
            agent.train(
                10 * steps,
                eval_env=env,
                ref_point=evaluate.reference,
                num_step_episodes=self.episodes_per_iteration,
                num_model_updates=self.updates,
                max_return=np.full(len(evaluate.objectives), 1.1, dtype=np.float32),
            )
