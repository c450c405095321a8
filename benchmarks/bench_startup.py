"""From the start of Python to the end of the first episode: wall time and memory of whole processes, beside
CartPole-v1.

python benchmarks/bench_startup.py [--rounds 15]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

import numpy as np
from timing import machine

EPISODE = """
import gymnasium as gym
{imports}
env = gym.make({env_id!r})
_, info = env.reset(seed=0)
env.action_space.seed(0)
ended = False
while not ended:
    _, _, terminated, truncated, info = env.step(env.action_space.sample({mask}))
    ended = terminated or truncated
"""
SCRIPTS = {
    "CartPole-v1": EPISODE.format(imports="", env_id="CartPole-v1", mask=""),
    **{
        env_id: EPISODE.format(imports="import ecnas_gym", env_id=env_id, mask='mask=info["action_mask"]')
        for env_id in ("ECNAS-4V-v0", "ECNAS-7V-v0", "MO-ECNAS-7V-v0")
    },
    "import gymnasium alone": "import gymnasium",
    "load and query one cell, no gymnasium": "import ecnas; b = ecnas.load('surrogate-7V'); b.query(b.space[9999])",
}


def run(script: str) -> tuple[float, float, float]:
    """Wall and processor seconds, and peak resident MB, of a fresh process."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", script])
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    assert status == 0, f"failed: {script}"
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    print(machine(), "\n")
    for script in SCRIPTS.values():
        run(script)
    measured = np.array([[run(script) for script in SCRIPTS.values()] for _ in range(rounds)])
    print("| a fresh process | wall s | ratio to CartPole-v1 | processor s | ratio to CartPole-v1 | peak resident MB |")
    print("|---|---:|---:|---:|---:|---:|")
    for number, name in enumerate(SCRIPTS):
        wall, cpu, memory = measured[:, number].T
        wall_ratio, cpu_ratio = wall / measured[:, 0, 0], cpu / measured[:, 0, 1]
        print(
            f"| {name} | {np.median(wall):.3f} | {np.median(wall_ratio):.2f} | {np.median(cpu):.3f} "
            f"| {np.median(cpu_ratio):.2f} | {np.median(memory):.0f} |"
        )


if __name__ == "__main__":
    main()
