"""Steps per second of the vector environments, beside CartPole-v1's native one, from 1 to 1,048,576 environments.

python benchmarks/bench_vector.py [--rounds 15] [--only thousand editing parts sizes]

``benchmark_vector_step`` is gymnasium's own: it draws actions without masks, so most episodes end early and invalid,
and it does not count the step in which an environment resets. "Legal" rows replay actions that were drawn in advance:
whole episodes that end together, with their queries, or, for editing, a run of 260 steps that is repeated from its
seed. A step that resets is not counted. The information on finished cells is not read, so most of it is never made.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils.performance import benchmark_vector_step
from timing import machine, print_table, repeated, take_turns

import ecnas_gym  # noqa: F401  # registers the environments
from ecnas import Budget

SLICE = 0.2
PEER = "CartPole-v1"
LEGAL = "ECNAS-7V-v0, legal"


def make(env_id: str, num_envs: int, **kwargs: Any) -> Any:
    return gym.make_vec(env_id, num_envs=num_envs, vectorization_mode="vector_entry_point", **kwargs)


def legal(envs: Any) -> Callable[[], float]:
    """Repeats one episode in each environment."""
    rng = np.random.default_rng(0)
    _, info = envs.reset()
    actions = []
    terminated = np.zeros(1, dtype=bool)
    while not terminated.all():
        actions.append((rng.random(info["action_mask"].shape) * info["action_mask"]).argmax(axis=1))
        _, _, terminated, _, info = envs.step(actions[-1])
    in_next_step = envs.metadata["autoreset_mode"].value == "NextStep"

    def play() -> None:
        for action in actions:
            envs.step(action)
        if in_next_step:
            envs.step(actions[0])

    envs.reset()
    return repeated(play, len(actions) * envs.num_envs, SLICE)


def replayed(envs: Any, length: int = 260) -> Callable[[], float]:
    """Repeats one run of legal random actions, for episodes that do not end together."""
    rng = np.random.default_rng(0)
    _, info = envs.reset(seed=0)
    actions, count = [], 0
    ended = np.zeros(envs.num_envs, dtype=bool)
    for _ in range(length):
        actions.append((rng.random(info["action_mask"].shape) * info["action_mask"]).argmax(axis=1))
        count += envs.num_envs - int(ended.sum())
        _, _, terminated, truncated, info = envs.step(actions[-1])
        ended = terminated | truncated

    def play() -> None:
        envs.reset(seed=0)
        for action in actions:
            envs.step(action)

    return repeated(play, count, SLICE)


def sampled(envs: Any) -> Callable[[], float]:
    """Gymnasium's own, after the environments have filled their caches."""
    envs.reset()
    for _ in range(min(1000, 1_000_000 // envs.num_envs)):
        envs.step(envs.action_space.sample())
    return lambda: benchmark_vector_step(envs, SLICE)  # type: ignore[arg-type]  # a float will do


def side_by_side() -> Callable[[], float]:
    envs = gym.make_vec("ECNAS-7V-Edit-v0", 64, "sync")
    return lambda: benchmark_vector_step(envs, SLICE)  # type: ignore[arg-type]  # a float will do


def thousand(rounds: int) -> None:
    """1,024 environments of all kinds."""
    print("1,024 environments:\n")
    contenders = {
        PEER: sampled(make(PEER, 1024)),
        "ECNAS-4V-v0": sampled(make("ECNAS-4V-v0", 1024)),
        "ECNAS-7V-v0": sampled(make("ECNAS-7V-v0", 1024)),
        "ECNAS-7V-v0, same-step autoreset": sampled(make("ECNAS-7V-v0", 1024, autoreset_mode="SameStep")),
        "MO-ECNAS-7V-v0": sampled(make("MO-ECNAS-7V-v0", 1024)),
        "ECNAS-7V-v0, legal, same-step": legal(make("ECNAS-7V-v0", 1024, autoreset_mode="SameStep")),
        LEGAL: legal(make("ECNAS-7V-v0", 1024)),
        f"{LEGAL}, under a budget": legal(make("ECNAS-7V-v0", 1024, budget=10**12)),
        f"{LEGAL}, under a budget of energy": legal(make("ECNAS-7V-v0", 1024, budget=Budget(energy=1e12))),
        f"{LEGAL}, a random training": legal(make("ECNAS-7V-v0", 1024, benchmark="surrogate-7V~7", repeat="random")),
        "MO-ECNAS-7V-v0, legal": legal(make("MO-ECNAS-7V-v0", 1024)),
        **edited(1024),
        "ECNAS-7V-Edit-v0, single environments side by side": side_by_side(),
    }
    rates = take_turns(contenders, rounds)
    print_table(rates, PEER, "environment steps per second")
    print_table({name: rate for name, rate in rates.items() if name.startswith(LEGAL)}, LEGAL, "budgets and noise")


def edited(num_envs: int) -> dict[str, Callable[[], float]]:
    ids = ("ECNAS-4V-Edit-v0", "ECNAS-5V-Edit-v0", "ECNAS-7V-Edit-v0", "MO-ECNAS-7V-Edit-v0")
    contenders = {env_id: sampled(make(env_id, num_envs)) for env_id in ids}
    return contenders | {f"{env_id}, legal": replayed(make(env_id, num_envs)) for env_id in ids}


def editing(rounds: int) -> None:
    """Few and many environments that edit."""
    for num_envs in (16, 16384):
        print(f"{num_envs:,} environments that edit:\n")
        contenders = {PEER: sampled(make(PEER, num_envs)), **edited(num_envs)}
        print_table(take_turns(contenders, max(3, rounds // 2)), PEER, "environment steps per second")


def sizes(rounds: int) -> None:
    """From 1 to 1,048,576 environments that build."""
    for num_envs in (1, 16, 64, 256, 4096, 16384, 131072, 1048576):
        print(f"{num_envs:,} environments:\n")
        contenders = {
            PEER: sampled(make(PEER, num_envs)),
            "ECNAS-7V-v0": sampled(make("ECNAS-7V-v0", num_envs)),
            LEGAL: legal(make("ECNAS-7V-v0", num_envs)),
        }
        print_table(take_turns(contenders, max(3, rounds // 2)), PEER, "environment steps per second")


STAGES = {
    "_checked": "check of the actions",
    "_begin": "starts of new episodes",
    "_look": "look-up of edited cells",
    "_judge": "rewards, and who is the best",
    "_masks": "masks",
    "_observe": "observations",
}


def parts(rounds: int) -> None:
    """Microseconds of each part of a step of 1,024 environments with random actions; medians over the rounds."""
    names = [PEER, "ECNAS-4V-Edit-v0", "ECNAS-5V-Edit-v0", "ECNAS-7V-Edit-v0", "MO-ECNAS-7V-Edit-v0"]
    columns = [_parts_of(make(name, 1024), rounds) for name in names]
    print("| µs of processor time per step of 1,024 environments | " + " | ".join(names) + " |")
    print("|---|" + "---:|" * len(names))
    for stage in (*STAGES.values(), "all else", "a step"):
        print(
            f"| {stage} | " + " | ".join(f"{column[stage]:.1f}" if stage in column else "" for column in columns) + " |"
        )
    print()


def _parts_of(envs: Any, rounds: int, num_steps: int = 200) -> dict[str, float]:
    sampled(envs)
    envs.reset()
    actions = [envs.action_space.sample() for _ in range(num_steps)]

    def step_all() -> float:
        start = time.process_time()
        for action in actions:
            envs.step(action)
        return (time.process_time() - start) / num_steps * 1e6

    if not hasattr(envs, "_look"):
        return {"a step": float(np.median([step_all() for _ in range(rounds)]))}
    spent: dict[str, float] = {}
    timed = {name: _timed(getattr(envs, name), name, spent) for name in STAGES}
    steps, timings = [], []
    for _ in range(rounds):
        steps.append(step_all())
        spent.update(dict.fromkeys(STAGES, 0.0))
        vars(envs).update(timed)
        step_all()
        for name in STAGES:
            delattr(envs, name)
        timings.append([spent[name] / num_steps * 1e6 for name in STAGES])
    medians, step = np.median(timings, axis=0), float(np.median(steps))
    found = dict(zip(STAGES.values(), medians.tolist(), strict=True))
    return found | {"all else": step - float(medians.sum()), "a step": step}


def _timed(method: Callable[..., Any], name: str, spent: dict[str, float]) -> Callable[..., Any]:
    def timed(*args: Any) -> Any:
        start = time.thread_time()
        result = method(*args)
        spent[name] += time.thread_time() - start
        return result

    return timed


PARTS = {"thousand": thousand, "editing": editing, "parts": parts, "sizes": sizes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    arguments = parser.parse_args()
    print(machine(), "\n")
    for part in arguments.only:
        PARTS[part](arguments.rounds)


if __name__ == "__main__":
    main()
