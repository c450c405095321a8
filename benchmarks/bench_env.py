"""Steps per second of the single environments, beside CartPole-v1 and MO-Gymnasium's deep-sea-treasure.

python benchmarks/bench_env.py [--rounds 15]

``benchmark_step`` is gymnasium's own: it draws actions without masks, so most of its episodes end early and invalid.
The other rows replay actions that were drawn in advance: whole legal episodes, with the query at the end. Edits are
replayed from their seed, so they remain legal.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium as gym
import mo_gymnasium
from gymnasium.utils.performance import benchmark_step
from timing import machine, print_table, repeated, take_turns

import ecnas_gym  # noqa: F401  # registers the environments

SLICE = 0.2


def drawn_actions(env: gym.Env[Any, Any], count: int) -> list[Any]:
    env.action_space.seed(0)
    _, info = env.reset(seed=0)
    actions = []
    for _ in range(count):
        mask = info.get("action_mask")
        actions.append(env.action_space.sample(mask=mask) if mask is not None else env.action_space.sample())
        _, _, terminated, truncated, info = env.step(actions[-1])
        if terminated or truncated:
            _, info = env.reset()
    return actions


def stepper(env: gym.Env[Any, Any]) -> Callable[[], float]:
    actions = drawn_actions(env, 2600)  # whole episodes of 26 steps

    def play() -> None:
        env.reset(seed=0)
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()

    return repeated(play, len(actions), SLICE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    print(machine("mo-gymnasium"), "\n")

    ids = ("CartPole-v1", "ECNAS-4V-v0", "ECNAS-7V-v0")
    contenders: dict[str, Callable[[], float]] = {
        env_id: partial(benchmark_step, gym.make(env_id), SLICE)  # type: ignore[arg-type]  # a float will do
        for env_id in ids
    }
    print("gymnasium's benchmark_step:\n")
    print_table(take_turns(contenders, rounds), "CartPole-v1", "steps per second")

    envs = {env_id: gym.make(env_id) for env_id in (*ids, "MO-ECNAS-7V-v0", "ECNAS-7V-Edit-v0")}
    envs["ECNAS-7V-v0 under a budget"] = gym.make("ECNAS-7V-v0", budget=10**9)
    envs["deep-sea-treasure-v0"] = mo_gymnasium.make("deep-sea-treasure-v0")  # type: ignore[attr-defined]  # not in its __all__
    print("Actions drawn before, legal episodes:\n")
    rates = take_turns({name: stepper(env) for name, env in envs.items()}, rounds)
    print_table(rates, "CartPole-v1", "steps per second")
    print_table(rates, "deep-sea-treasure-v0", "steps per second")


if __name__ == "__main__":
    main()
