"""Proximal policy optimisation (PPO), with masked actions by default.

Sources: Schulman et al. 2017, https://arxiv.org/abs/1707.06347, as implemented by stable-baselines3; masks as in Huang
and Ontañón 2022, https://arxiv.org/abs/2006.14171, as implemented by sb3-contrib.

    python agents/ppo.py --env-id ECNAS-7V-v0 --budget 300 --seed 0
    python agents/ppo.py --env-id ECNAS-7V-Edit-v0 --num-envs 1    # edits its incumbent instead
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO

if __package__ in (None, ""):  # run as a file: the checkout is not on the path yet
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from agents.common import Search, SearchArgs, make_vec_env
from agents.report import report
from ecnas_gym.builder import decisions


@dataclass
class Args(SearchArgs):
    """Search with PPO."""

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
    """Stop after so many steps, whatever the budget has left: a policy without masks may never finish a cell again."""


def main(args: Args) -> Search:
    """Searches until the budget is spent, and reports."""
    # Networks of this size are faster on one thread, and sums keep their order.
    torch.set_num_threads(1)

    with Search("maskable-ppo" if args.masked else "ppo", args) as search:
        envs = make_vec_env(search, args.num_envs)
        # Cells that are built all take this number of steps, so updates come after whole episodes.
        episode_steps = len(decisions(search.benchmark.space))
        model = (MaskablePPO if args.masked else PPO)(
            "MlpPolicy",
            envs,
            learning_rate=args.learning_rate,
            n_steps=episode_steps * args.episodes_per_update // args.num_envs,
            batch_size=episode_steps * args.minibatch_episodes,
            n_epochs=args.update_epochs,
            gamma=1.0,  # episodes are short and only their end is rewarded
            gae_lambda=args.gae_lambda,
            clip_range=args.clip_range,
            ent_coef=args.entropy_coefficient,
            vf_coef=args.value_coefficient,
            policy_kwargs={"net_arch": [args.hidden_units, args.hidden_units]},
            seed=args.seed,
            device="cpu",
        )
        # The budget ends this: the environments raise at the first reset, or at the first cell, that it does not allow.
        model.learn(total_timesteps=args.max_steps)
    report(search)
    return search


if __name__ == "__main__":
    main(tyro.cli(Args))
