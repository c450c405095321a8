"""codecarbon and carbontracker on the same work, one after the other.

pip install carbontracker; python benchmarks/meters.py [SECONDS]

Prints the table of docs/measure.md that compares them on this machine.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from timing import machine

from ecnas.network.meter import JOULES_PER_KWH, Meter, Metering


def main(seconds: float) -> None:
    print(machine("codecarbon", "carbontracker"))
    print("\n| meter | start-up | what it reads | mean power of the work |\n|---|---:|---|---:|")
    start = time.perf_counter()
    with Meter(Metering()) as meter:
        ready = time.perf_counter() - start
        before = meter.read()
        work(seconds)
        used = meter.read() - before
    sources = ", ".join(f"{device.name}: {device.source}" for device in meter.devices)
    print(f"| codecarbon | {ready:.1f} s | {sources} | {sum(used.joules.values()) / used.seconds:.1f} W |")

    from carbontracker.constants import PUE_2023
    from carbontracker.tracker import CarbonTracker

    start = time.perf_counter()
    tracker = CarbonTracker(epochs=2, update_interval=1, verbose=0, epochs_before_pred=0, ignore_errors=False)
    ready = time.perf_counter() - start
    begin = time.perf_counter()
    tracker.epoch_start()
    work(seconds)
    tracker.epoch_end()
    lapse = time.perf_counter() - begin
    devices = ", ".join(name for component in tracker.tracker.components for name in component.devices())
    watts = tracker.tracker.total_energy_per_epoch().sum() * JOULES_PER_KWH / lapse
    tracker.stop()
    print(f"| carbontracker | {ready:.1f} s | {devices} | {watts:.1f} W, its PUE of {PUE_2023:g} included |")


def work(seconds: float) -> None:
    rng = np.random.default_rng(0)
    left, right = rng.random((2, 600, 600))
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        left @ right


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 20.0)
