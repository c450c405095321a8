# /// script
# dependencies = ["ecnas-gym", "mo-gymnasium"]
# ///
"""Its `make`, its vector environment, and its wrappers that scalarise rewards and record returns."""

import mo_gymnasium as mo_gym
import numpy as np

env = mo_gym.make("ecnas_gym:MO-ECNAS-7V-v0")
env = mo_gym.wrappers.LinearReward(mo_gym.wrappers.MORecordEpisodeStatistics(env), weight=np.array([0.8, 0.2]))
returns = []
for seed in range(40):
    _, info = env.reset(seed=seed)
    env.action_space.seed(seed)
    ended = False
    while not ended:
        _, reward, ended, _, info = env.step(env.action_space.sample(mask=info["action_mask"]))
    returns.append(info["episode"]["r"])

envs = mo_gym.wrappers.vector.MOSyncVectorEnv([lambda: mo_gym.make("ecnas_gym:MO-ECNAS-7V-v0")] * 4)
_, info = envs.reset(seed=0)
for _ in range(27):
    _, rewards, *_, info = envs.step(info["action_mask"].argmax(axis=1))
print(
    f"{len(returns)} cells, best accuracy {np.max(returns, axis=0)[0]:.2f}; rewards of 4 environments {rewards.shape}"
)
