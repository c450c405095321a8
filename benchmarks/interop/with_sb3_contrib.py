# /// script
# dependencies = ["ecnas-gym", "sb3-contrib", "torch"]
# ///
"""MaskablePPO finds the masks by itself."""

import gymnasium as gym
from sb3_contrib import MaskablePPO

model = MaskablePPO("MlpPolicy", gym.make("ecnas_gym:ECNAS-7V-v0"), n_steps=260, batch_size=65, seed=0, device="cpu")
model.learn(1_300)
returns = [episode["r"] for episode in model.ep_info_buffer]
print(f"{len(returns)} cells, best {max(returns):.2f}")
