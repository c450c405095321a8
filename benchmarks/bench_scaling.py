"""How cost grows with the number of processes: of environments, 1,024 each; and of a sweep.

python benchmarks/bench_scaling.py [--only environments sweep] [--rounds 5]

The sweep runs once on each of 1, 2, 4 and 8 processes, including their start.

bench_vector.py measures growth with the number of environments, bench_query.py with the size of the table.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
from timing import machine

from ecnas.runs.executors import on_processes, run_sweep
from ecnas.runs.sweep import Sweep

COUNTS = (1, 2, 4, 8)
NUM_ENVS, SECONDS = 1024, 1.0

SWEEP = """
benchmarks = ["surrogate-7V"]
budgets = [500]
seeds = 24
objectives = ["val_accuracy"]
noise = "per seed"
repeat = "random"
algorithm = [{use = "RegularisedEvolution"}, {use = "qlearning"}, {use = "BANANAS"},
             {use = "ecnas_gym.agents.ppo_many:MaskedPPO"}]
"""


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
    """MB of this process alone; NaN if the system does not report it."""
    try:
        with open("/proc/self/smaps_rollup", encoding="utf-8") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("Private_")) / 1024
    except OSError:
        return float("nan")


def environments(rounds: int) -> None:
    context = multiprocessing.get_context("spawn")
    totals: dict[int, list[float]] = {count: [] for count in COUNTS}
    memory: dict[int, list[float]] = {count: [] for count in COUNTS}
    for _ in range(rounds):
        for count in COUNTS:
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
    for count in COUNTS:
        ratio = np.median(np.array(totals[count]) / np.array(totals[1]))
        print(f"| {count} | {np.median(totals[count]) / 1e6:.2f} M | {ratio:.2f} | {np.median(memory[count]):.0f} |")
    print()


def sweep(_: int) -> None:
    print("| processes | runs per second | to 1 process | s of processor time a run |")
    print("|---:|---:|---:|---:|")
    first = None
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "sweep.toml"
            path.write_text(SWEEP, encoding="utf-8")
            made = Sweep.load(path, Path(folder) / "runs")
            before, start = os.times(), time.perf_counter()
            failures = run_sweep(made, on_processes(count), progress=False)
            seconds, after = time.perf_counter() - start, os.times()
        assert not failures
        number = len(made.jobs())
        processor = sum(after[:4]) - sum(before[:4])
        first = first or number / seconds
        print(f"| {count} | {number / seconds:.2f} | {number / seconds / first:.2f} | {processor / number:.2f} |")
    print()


TABLES = {"environments": environments, "sweep": sweep}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="of the environments")
    parser.add_argument("--only", nargs="+", choices=TABLES, default=[*TABLES])
    args = parser.parse_args()
    print(machine(), "\n")
    for name in args.only:
        TABLES[name](args.rounds)


if __name__ == "__main__":
    main()
