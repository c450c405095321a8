# /// script
# dependencies = ["ecnas-gym", "torchrl", "torch"]
# ///
"""REINFORCE from its components. `auto_register_info_dict` adds the masks to the data; a cast makes them bool.

Vector environments work in `GymWrapper`, with `autoreset_mode="Disabled"`; the same actor respects their masks.
"""

import gymnasium as gym
import torch
from tensordict.nn import (
    InteractionType,
    ProbabilisticTensorDictModule,
    ProbabilisticTensorDictSequential,
    TensorDictModule,
)
from torchrl.envs import GymEnv, GymWrapper, RewardSum, TransformedEnv
from torchrl.modules import MLP, MaskedCategorical

torch.manual_seed(0)
env = GymEnv("ecnas_gym:ECNAS-7V-v0", categorical_action_encoding=True).auto_register_info_dict()
env = TransformedEnv(env, RewardSum())
actor = ProbabilisticTensorDictSequential(
    TensorDictModule(MLP(62, 3, num_cells=[64, 64]), ["observation"], ["logits"]),
    TensorDictModule(lambda mask: mask.bool(), ["action_mask"], ["mask"]),  # glue
    ProbabilisticTensorDictModule(
        in_keys=["logits", "mask"],
        out_keys=["action"],
        distribution_class=MaskedCategorical,
        default_interaction_type=InteractionType.RANDOM,
    ),
)
optimiser = torch.optim.Adam(actor.parameters(), lr=1e-3)
returns = []
for _ in range(5):
    batch = torch.stack([env.rollout(30, actor) for _ in range(8)])
    returns += batch["next", "episode_reward"][:, -1, 0].tolist()
    advantage = batch["next", "episode_reward"][:, -1:] - batch["next", "episode_reward"][:, -1].mean()
    distribution = actor.get_dist(batch)
    loss = -(distribution.log_prob(batch["action"]) * advantage[..., 0]).mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
envs = gym.make_vec("ecnas_gym:ECNAS-7V-v0", num_envs=4, autoreset_mode="Disabled")
envs = GymWrapper(envs, categorical_action_encoding=True).auto_register_info_dict()
batch = envs.rollout(104, actor, break_when_any_done=False)
rewards = batch["next", "reward"][batch["next", "done"]]
print(
    f"{len(returns)} cells, best {max(returns):.2f}; "
    f"four at once: {len(rewards)} cells, best {rewards.max():.2f}, {int((rewards < 0).sum())} invalid"
)
