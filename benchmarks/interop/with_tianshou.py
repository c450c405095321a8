# /// script
# dependencies = ["ecnas-gym", "tianshou", "torch"]
# ///
"""PPO and DQN of Tianshou 2. It reads masks only from the observation: use `RepairActions`."""

import gymnasium as gym
import torch
from tianshou.algorithm import DQN, PPO
from tianshou.algorithm.modelfree.dqn import DiscreteQLearningPolicy
from tianshou.algorithm.modelfree.reinforce import DiscreteActorPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.utils.net.common import Net
from tianshou.utils.net.discrete import DiscreteActor, DiscreteCritic
from tianshou.utils.torch_utils import policy_within_training_step

from ecnas_gym import RepairActions  # glue

torch.manual_seed(0)


def make_env() -> gym.Env:
    return RepairActions(gym.make("ecnas_gym:ECNAS-7V-v0"))  # glue


spaces = make_env()
shape, space, optim = spaces.observation_space.shape, spaces.action_space, AdamOptimizerFactory(lr=1e-3)
body = Net(state_shape=shape, hidden_sizes=[64])
actor = DiscreteActor(preprocess_net=body, action_shape=3, softmax_output=False)
ppo = PPO(
    policy=DiscreteActorPolicy(actor=actor, action_space=space),
    critic=DiscreteCritic(preprocess_net=body),
    optim=optim,
)
network = Net(state_shape=shape, action_shape=3, hidden_sizes=[64])
dqn = DQN(policy=DiscreteQLearningPolicy(model=network, action_space=space, eps_training=0.3), optim=optim)
told = []
for name, algorithm, times in (("PPO", ppo, {"batch_size": 64, "repeat": 2}), ("DQN", dqn, {"sample_size": 64})):
    buffer = VectorReplayBuffer(4_000, 4)
    collector = Collector(algorithm, DummyVectorEnv([make_env] * 4), buffer, exploration_noise=True)
    collector.reset()
    returns = []
    for _ in range(4):
        with policy_within_training_step(algorithm.policy):
            returns += collector.collect(n_episode=12).returns.tolist()
            algorithm.update(buffer, **times)
        if name == "PPO":
            collector.reset_buffer(keep_statistics=True)
    told.append(f"{name}: {len(returns)} cells, best {max(returns):.2f}")
print("; ".join(told))
