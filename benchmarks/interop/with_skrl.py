# /// script
# dependencies = ["ecnas-gym", "skrl[torch]", "torch"]
# ///
"""PPO on a vector environment. It ignores masks: use `RepairActions`."""

import logging

import gymnasium as gym
from skrl.envs.wrappers.torch import wrap_env
from skrl.utils.runner.torch import Runner

from ecnas_gym import RepairActions  # glue

logging.disable(logging.WARNING)
envs = gym.make_vec(
    "ECNAS-7V-v0",
    num_envs=4,
    vectorization_mode="sync",
    wrappers=[RepairActions],  # glue
)
episodes = gym.wrappers.vector.RecordEpisodeStatistics(envs)
network = [{"name": "net", "input": "OBSERVATIONS", "layers": [64], "activations": "tanh"}]
settings = {
    "seed": 0,
    "models": {
        "separate": True,
        "policy": {"class": "CategoricalMixin", "network": network, "output": "ACTIONS"},
        "value": {"class": "DeterministicMixin", "network": network, "output": "ONE"},
    },
    "memory": {"class": "RandomMemory", "memory_size": -1},
    "agent": {"class": "PPO", "rollouts": 52, "experiment": {"write_interval": 0, "checkpoint_interval": 0}},
    "trainer": {"class": "SequentialTrainer", "timesteps": 520, "disable_progressbar": True, "headless": True},
}
Runner(wrap_env(episodes), settings).run("train")
print(f"{episodes.episode_count} cells, best {max(episodes.return_queue):.2f}")
