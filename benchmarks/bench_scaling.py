"""How cost grows with the number of processes: 1 to 8, each with 1,024 environments of its own.

python benchmarks/bench_scaling.py [--rounds 5]

bench_vector.py has the growth with the number of environments, bench_query.py with the size of the table.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from multiprocessing.synchronize import Barrier
from typing import Any

import numpy as np
from timing import machine

NUM_ENVS, SECONDS = 1024, 1.0


def work(barrier: Barrier, results: Any) -> None:
    """Legal episodes for a while; reports steps per second and resident MB that no other process shares."""
    import gymnasium as gym

    import ecnas_gym  # noqa: F401

    envs = gym.make_vec("ECNAS-7V-v0", num_envs=NUM_ENVS)
    rng = np.random.default_rng(0)
    _, info = envs.reset()
    actions = []
    for _ in range(26):
        actions.append((rng.random(info["action_mask"].shape) * info["action_mask"]).argmax(axis=1))
        _, _, _, _, info = envs.step(actions[-1])
    barrier.wait()
    episodes, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        for action in [*actions, actions[0]]:
            envs.step(action)
        episodes += 1
    results.put((episodes * 26 * NUM_ENVS / (time.perf_counter() - start), private_memory()))


def private_memory() -> float:
    """MB of this process alone; NaN where the system does not tell."""
    try:
        with open("/proc/self/smaps_rollup", encoding="utf-8") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("Private_")) / 1024
    except OSError:
        return float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(machine(), "\n")
    context = multiprocessing.get_context("spawn")
    counts = (1, 2, 4, 8)
    totals: dict[int, list[float]] = {count: [] for count in counts}
    memory: dict[int, list[float]] = {count: [] for count in counts}
    for _ in range(rounds):
        for count in counts:
            barrier, results = context.Barrier(count), context.Queue()
            processes = [context.Process(target=work, args=(barrier, results)) for _ in range(count)]
            for process in processes:
                process.start()
            reports = [results.get() for _ in processes]
            for process in processes:
                process.join()
            totals[count].append(sum(rate for rate, _ in reports))
            memory[count].append(float(np.mean([private for _, private in reports])))
    print("| processes | environment steps per second, all together | to 1 process | private MB a process |")
    print("|---:|---:|---:|---:|")
    for count in counts:
        ratio = np.median(np.array(totals[count]) / np.array(totals[1]))
        print(f"| {count} | {np.median(totals[count]) / 1e6:.2f} M | {ratio:.2f} | {np.median(memory[count]):.0f} |")


if __name__ == "__main__":
    main()
