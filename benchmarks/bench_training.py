"""Steps per second of MaskablePPO in training, beside training on an environment that does nothing.

python benchmarks/bench_training.py [--rounds 15] [--num-envs 8 64 256]

The environment that does nothing repeats the arrays of one recorded episode, whatever the actions.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from sb3_contrib import MaskablePPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv
from timing import machine, print_table, take_turns

from ecnas_gym.sb3 import CellVecEnv

PEER = "an environment that does nothing"
EPISODE = 26


class Nothing(VecEnv):
    """Replays one episode of each of N environments."""

    def __init__(self, num_envs: int) -> None:
        envs = CellVecEnv("ECNAS-7V-v0", num_envs)
        super().__init__(num_envs, envs.observation_space, envs.action_space)
        rng = np.random.default_rng(0)
        self._first = envs.reset()
        self._masks, self._results = [], []
        for _ in range(EPISODE):
            masks = envs.env_method("action_masks")
            self._masks.append(masks)
            self._results.append(envs.step((rng.random((num_envs, 3)) * masks).argmax(axis=1)))
        self._step = 0

    def reset(self) -> Any:
        self._step = 0
        return self._first

    def step_async(self, actions: Any) -> None:
        pass

    def step_wait(self) -> Any:
        result = self._results[self._step]
        self._step = (self._step + 1) % EPISODE
        return result

    def env_method(self, method_name: str, *args: Any, **kwargs: Any) -> list[Any]:
        return self._masks[self._step]

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [None] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        pass

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs

    def close(self) -> None:
        pass


def trainer(envs: VecEnv, batch_size: int) -> Callable[[], float]:
    """One rollout of an episode in each environment, and the update from it."""
    model = MaskablePPO(
        "MlpPolicy", envs, n_steps=EPISODE, batch_size=batch_size, n_epochs=4, gamma=1.0, seed=0, device="cpu"
    )
    steps = EPISODE * envs.num_envs

    def rate() -> float:
        start = time.perf_counter()
        model.learn(steps, reset_num_timesteps=False)
        return steps / (time.perf_counter() - start)

    return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--num-envs", type=int, nargs="+", default=[8, 64, 256])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(machine("stable-baselines3", "sb3-contrib", "torch"), "\n")
    for num_envs in arguments.num_envs:
        batch_size = EPISODE * num_envs // 4
        contenders = {
            PEER: Nothing(num_envs),
            "CellVecEnv": CellVecEnv("ECNAS-7V-v0", num_envs),
            "CellVecEnv under a budget": CellVecEnv("ECNAS-7V-v0", num_envs, budget=10**9),
            "DummyVecEnv of single environments": DummyVecEnv([lambda: gym.make("ECNAS-7V-v0")] * num_envs),
        }
        print(f"{num_envs} environments, minibatches of {batch_size}, 4 passes:\n")
        trainers = {name: trainer(envs, batch_size) for name, envs in contenders.items()}
        print_table(take_turns(trainers, arguments.rounds), PEER, "steps per second")


if __name__ == "__main__":
    main()
