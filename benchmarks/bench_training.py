"""Steps per second of MaskablePPO in training, beside the same on an environment that does nothing.

python benchmarks/bench_training.py [--rounds 9] [--num-envs 64]
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
    """The spaces of ECNAS-7V-v0, and always the same arrays."""

    def __init__(self, num_envs: int) -> None:
        single = gym.make("ECNAS-7V-v0")
        super().__init__(num_envs, single.observation_space, single.action_space)
        self._masks = [np.array([True, True, False])] * num_envs
        observations = np.zeros((num_envs, *single.observation_space.shape), dtype=np.float32)
        infos: list[dict[str, Any]] = [{} for _ in range(num_envs)]
        self._result = (observations, np.zeros(num_envs, dtype=np.float32), np.zeros(num_envs, dtype=bool), infos)

    def reset(self) -> Any:
        return self._result[0]

    def step_async(self, actions: Any) -> None:
        pass

    def step_wait(self) -> Any:
        return self._result

    def env_method(self, method_name: str, *args: Any, **kwargs: Any) -> list[Any]:
        return self._masks

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
