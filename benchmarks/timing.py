"""Measuring side by side: contenders take turns in short slices, so that a busy machine slows all of them alike.

If other programs compete for the processor, a rate per second of wall time depends on them. So tables also give the
rate per second of processor time, and ratios use it. On an idle machine the two are the same.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import NamedTuple

import numpy as np


def machine(*packages: str) -> str:
    """A line that describes the machine."""
    model = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), model)
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "gymnasium", *packages))
    return f"{model}, {os.cpu_count()} cores{load}; Python {platform.python_version()}, {versions}"


def repeated(function: Callable[[], object], count: int, seconds: float = 0.1) -> Callable[[], float]:
    """A contender that calls a function, worth ``count`` units per call, for a while; it returns units per second."""

    def rate() -> float:
        calls, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds:
            function()
            calls += 1
        return calls * count / elapsed

    return rate


class Rates(NamedTuple):
    """Of one contender in each round: units per second of wall time and of processor time, each of shape (rounds,)."""

    wall: np.ndarray
    processor: np.ndarray


def take_turns(contenders: dict[str, Callable[[], float]], rounds: int) -> dict[str, Rates]:
    """Rates of each contender in each round, after one round that is not counted."""
    for contender in contenders.values():
        contender()
    measured = [[_measure(contender) for contender in contenders.values()] for _ in range(rounds)]
    by_contender = np.array(measured).transpose(1, 2, 0)
    return {name: Rates(*columns) for name, columns in zip(contenders, by_contender, strict=True)}


def _measure(contender: Callable[[], float]) -> tuple[float, float]:
    wall, processor = time.perf_counter(), time.process_time()
    rate = contender()
    return rate, rate * (time.perf_counter() - wall) / (time.process_time() - processor)


def print_table(rates: dict[str, Rates], peer: str, unit: str) -> None:
    """Median rates of each contender, and its ratio to a peer: the median over rounds, and their quartiles."""
    print(f"| {unit} | wall time | processor time | ratio to {peer} | quartiles |")
    print("|---|---:|---:|---:|---|")
    for name, (wall, processor) in rates.items():
        low, median, high = np.percentile(processor / rates[peer].processor, [25, 50, 75])
        print(
            f"| {name} | {_short(np.median(wall))} | {_short(np.median(processor))} | {median:.2f} "
            f"| {low:.2f} – {high:.2f} |"
        )
    print()


def _short(rate: float) -> str:
    if rate >= 1e6:
        return f"{rate / 1e6:.2f} M"
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"
