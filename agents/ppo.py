"""Proximal policy optimisation (PPO), with masked actions by default.

Sources: Schulman et al. 2017, https://arxiv.org/abs/1707.06347, as implemented by stable-baselines3; masks as in Huang
and Ontañón 2022, https://arxiv.org/abs/2006.14171, as implemented by sb3-contrib.

    python agents/ppo.py --budget 300 --seed 0
    python agents/ppo.py --environment edit --num-envs 1    # edits its incumbent instead
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ecnas.runs import Evaluator, script
from ecnas_gym import make_sb3_env
from ecnas_gym.builder import decisions


@dataclass(frozen=True)
class PPO:
    """Search with PPO."""

    environment: Literal["build", "edit"] = "build"
    """Build cells from nothing, or edit the best so far."""
    masked: bool = True
    """Sample allowed actions alone (MaskablePPO). Without masks a forbidden action ends its episode with reward −1."""
    num_envs: int = 4
    """Environments that step together."""
    episodes_per_update: int = 8
    """Cells that are built between two updates of the policy; a multiple of num_envs."""
    update_epochs: int = 4
    """Passes over these cells in an update."""
    minibatch_episodes: int = 8
    """Cells' worth of steps in a minibatch."""
    learning_rate: float = 3e-3
    """Step size of Adam."""
    entropy_coefficient: float = 0.02
    """Weight of the policy's mean entropy in the loss."""
    gae_lambda: float = 0.95
    """λ of generalised advantage estimation."""
    clip_range: float = 0.2
    """Most relative change of an action's probability that an update rewards."""
    value_coefficient: float = 0.5
    """Weight of the value network's loss."""
    hidden_units: int = 64
    """Units in each of the two layers of the policy and of the value network."""
    max_steps: int = 1_000_000
    """Most steps, whatever the budget has left: a policy without masks may never finish a cell again."""

    name: ClassVar[str] = "PPO"

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        """Learns until the budget is spent."""
        import stable_baselines3
        import torch
        from sb3_contrib import MaskablePPO

        # Networks of this size are faster on one thread, and sums keep their order.
        torch.set_num_threads(1)
        envs = make_sb3_env(evaluate, self.environment, self.num_envs)
        # Cells that are built all take this number of steps, so updates come after whole episodes.
        episode_steps = len(decisions(evaluate.benchmark.space))
        model = (MaskablePPO if self.masked else stable_baselines3.PPO)(
            "MlpPolicy",
            envs,
            learning_rate=self.learning_rate,
            n_steps=episode_steps * self.episodes_per_update // self.num_envs,
            batch_size=episode_steps * self.minibatch_episodes,
            n_epochs=self.update_epochs,
            gamma=1.0,  # episodes are short and only their end is rewarded
            gae_lambda=self.gae_lambda,
            clip_range=self.clip_range,
            ent_coef=self.entropy_coefficient,
            vf_coef=self.value_coefficient,
            policy_kwargs={"net_arch": [self.hidden_units, self.hidden_units]},
            seed=int(rng.integers(2**31)),
            device="cpu",
        )
        # The budget ends this: the environments raise at the first cell that it does not allow.
        model.learn(total_timesteps=self.max_steps)


if __name__ == "__main__":
    script.main(PPO)
