# /// script
# dependencies = ["ecnas-gym", "morl-baselines", "torch"]
# ///
"""Envelope Q-learning, one network for all weights. All its methods ignore masks: use `RepairActions`."""

import gymnasium as gym
import numpy as np
from morl_baselines.common.evaluation import policy_evaluation_mo
from morl_baselines.multi_policy.envelope.envelope import Envelope

from ecnas_gym import RepairActions  # glue

env = gym.make("MO-ECNAS-4V-v0")
env = RepairActions(env)  # glue
agent = Envelope(env, net_arch=[64, 64], batch_size=32, log=False, initial_epsilon=1.0, epsilon_decay_steps=600, seed=0)
agent.train(total_timesteps=800, eval_freq=10**9)
returns = [policy_evaluation_mo(agent, env, weights, rep=1)[2] for weights in np.eye(2)]
print(f"800 steps; greedy returns for accuracy {np.round(returns[0], 2)} and for energy {np.round(returns[1], 2)}")
