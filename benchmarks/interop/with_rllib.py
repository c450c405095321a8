# /// script
# dependencies = ["ecnas-gym", "ray[rllib]", "torch"]
# ///
"""PPO. A runner in another process finds `ecnas_gym:ECNAS-7V-v0` by itself. It ignores masks, so its reward is −1.

With `RepairActions`, registered under a name, it finishes cells. RLlib installs Gymnasium 1.2.
"""

import logging

import gymnasium as gym
import ray
from ray.rllib.algorithms.ppo import PPOConfig
from ray.tune.registry import register_env

from ecnas_gym import RepairActions  # glue

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
register_env("repaired", lambda settings: RepairActions(gym.make("ecnas_gym:ECNAS-7V-v0", **settings)))  # glue
told = []
for name in ("ecnas_gym:ECNAS-7V-v0", "repaired"):
    config = PPOConfig().environment(name).env_runners(num_env_runners=1).debugging(seed=0)
    algorithm = config.training(train_batch_size_per_learner=520, minibatch_size=64, num_epochs=2).build_algo()
    runs = algorithm.train()["env_runners"]
    told.append(f"{name}: {runs['num_episodes']:.0f} episodes, best {runs['episode_return_max']:.2f}")
    algorithm.stop()
ray.shutdown()
print("; ".join(told))
