"""Proximal policy optimisation (PPO), by default with masked actions.

Sources: Schulman et al. 2017, https://arxiv.org/abs/1707.06347, as implemented by stable-baselines3; masks as in Huang
and Ontañón 2022, https://arxiv.org/abs/2006.14171, as implemented by sb3-contrib.

    python agents/ppo.py --budget 300 --seed 0
    python agents/ppo.py --environment edit --num-envs 1    # edits its best cell instead
    python agents/ppo.py --space 5V --save-policy policy.zip
    python agents/ppo.py --space 5V --load-policy policy.zip --greedy
"""

from __future__ import annotations

import sys
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from ecnas.files import replaced_path
from ecnas.runs import OUTPUT, Evaluator, script
from ecnas_gym import make_env, make_sb3_env
from ecnas_gym.builder import decisions


@dataclass(frozen=True)
class PPO:
    """Search with PPO."""

    environment: Literal["build", "edit"] = "build"
    """Build cells from nothing, or edit the best so far."""
    masked: bool = True
    """Sample allowed actions only (MaskablePPO). Without masks a forbidden action ends its episode with reward −1."""
    num_envs: int = 4
    """Environments that step together."""
    episodes_per_update: int = 8
    """Cells built between two updates of the policy; a multiple of num_envs."""
    update_epochs: int = 4
    """Passes over these cells in each update."""
    minibatch_episodes: int = 8
    """Size of a minibatch, in cells: a cell has as many steps as the space has decisions."""
    learning_rate: float = 3e-3
    """Step size of Adam."""
    entropy_coefficient: float = 0.02
    """Weight of the policy's mean entropy in the loss."""
    gae_lambda: float = 0.95
    """λ of generalised advantage estimation."""
    clip_range: float = 0.2
    """Clipping range ε of the probability ratio."""
    value_coefficient: float = 0.5
    """Weight of the value loss."""
    hidden_units: int = 64
    """Units in each of the two hidden layers of the policy network and of the value network."""
    max_steps: int = 1_000_000
    """Step limit. A policy without masks may never finish a cell again, so the budget alone would not end the run."""
    load_policy: Path | None = None
    """Saved policy to continue from, with its optimiser state: a .zip of the same space, masks and hidden units."""
    save_policy: Path | None = field(default=None, metadata=OUTPUT)
    """Where to save the policy when the run ends: stable-baselines3's .zip, which MaskablePPO.load reads as well."""
    greedy: bool = False
    """Build one cell with the most probable actions of the loaded policy, evaluate it, and learn nothing."""
    torch_threads: int = 1
    """Threads of torch. Networks of this size are fastest on one, and results then do not depend on the machine."""

    name: ClassVar[str] = "PPO"

    def __post_init__(self) -> None:
        if self.greedy and self.load_policy is None:
            raise ValueError("greedy needs load_policy: a new policy prefers no action")

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        """Learns until the budget is spent."""
        # stable-baselines3 imports TensorBoard, which imports all of tensorflow unless it finds this module.
        sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("notf"))
        import stable_baselines3
        import torch
        from sb3_contrib import MaskablePPO

        torch.set_num_threads(self.torch_threads)
        envs = make_sb3_env(evaluate, self.environment, self.num_envs)
        # Every cell is built in this number of steps, so updates come after whole episodes.
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
        model.set_logger(logger(evaluate))
        if self.load_policy is not None:
            load(model, self.load_policy)
        if self.greedy:
            build_greedily(model, make_env(evaluate, self.environment), self.masked)
            return
        try:
            # The budget ends this: the environments raise at the first cell that it does not allow.
            model.learn(total_timesteps=self.max_steps)
        finally:
            if self.save_policy is not None:
                with replaced_path(self.save_policy) as temporary, temporary.open("wb") as file:
                    model.save(file)


def load(model: Any, path: Path) -> None:
    """Loads weights and optimiser state. The pickled objects that the .zip may also hold are not read.

    Raises:
        ValueError: The file holds no policy for this space and these settings.
    """
    try:
        model.set_parameters(path)
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"{path} holds no policy for this space, with these masks and hidden units: {error}"
        ) from error


def build_greedily(model: Any, env: Any, masked: bool) -> None:
    """Runs one episode of most probable actions."""
    observation, info = env.reset()
    ended = False
    while not ended:
        masks = {"action_masks": info["action_mask"]} if masked else {}
        action, _ = model.predict(observation, deterministic=True, **masks)
        observation, _, terminated, truncated, info = env.step(int(action))
        ended = terminated or truncated


def logger(evaluate: Evaluator) -> Any:
    """A logger of stable-baselines3 whose numbers go where the run's curves go."""
    from stable_baselines3.common.logger import KVWriter, Logger

    class ToRun(KVWriter):
        def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
            evaluate.log({key: value for key, value in key_values.items() if isinstance(value, int | float)})

        def close(self) -> None:
            pass

    return Logger(folder=None, output_formats=[ToRun()])


if __name__ == "__main__":
    script.main(PPO)
