# /// script
# dependencies = ["ecnas-gym", "stable-baselines3", "torch"]
# ///
"""PPO, A2C and DQN ignore masks: use `RepairActions`. For many environments use `ecnas_gym.sb3.CellVecEnv`."""

import gymnasium as gym
from stable_baselines3 import A2C, DQN, PPO

from ecnas_gym import RepairActions  # glue

told = []
for algorithm, settings in ((PPO, {"n_steps": 260, "batch_size": 65}), (A2C, {}), (DQN, {"learning_starts": 100})):
    env = gym.make("ECNAS-7V-v0")
    env = RepairActions(env)  # glue
    model = algorithm("MlpPolicy", env, seed=0, device="cpu", **settings).learn(1_300)
    returns = [episode["r"] for episode in model.ep_info_buffer]
    told.append(f"{algorithm.__name__}: {len(returns)} cells, best {max(returns):.2f}")
print("; ".join(told))
