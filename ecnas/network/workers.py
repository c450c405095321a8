"""Trainings in separate processes, one per graphics card.

A process that trains holds its card's memory until it ends, and a crash in it must not end the others.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from ecnas.cell import Cell
from ecnas.network.images import Images, load_images
from ecnas.network.meter import Meter, Metering
from ecnas.network.results import Recipe, Training
from ecnas.runs.executors import begin_worker


@dataclass(frozen=True)
class Job:
    """A training to be done by a worker.

    Attributes:
        cell: What to train.
        repeat: Number of the cell's training, from 0.
        seed: Of this training.
        recipe: How to train, including the epochs.
        data: Source of the images (:func:`ecnas.network.images.load_images`).
        metering: What counts as energy.
        folder: Of the checkpoints.
    """

    cell: Cell
    repeat: int
    seed: int
    recipe: Recipe
    data: str
    metering: Metering
    folder: Path


@dataclass(frozen=True)
class Outcome:
    """The outcome of a job: a training, or an error."""

    job: Job
    training: Training | None
    error: str = ""


def visible_devices() -> list[str | None]:
    """NVIDIA graphics cards of this machine: those in ``CUDA_VISIBLE_DEVICES``, or all; [None] if there are none."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        devices: list[str | None] = [device.strip() for device in chosen.split(",") if device.strip() not in ("", "-1")]
        return devices or [None]
    try:
        import pynvml  # type: ignore[import-untyped]

        pynvml.nvmlInit()
        number = pynvml.nvmlDeviceGetCount()
        pynvml.nvmlShutdown()
    except Exception:  # no driver, no card or no library: nothing to choose from
        return [None]
    return [str(index) for index in range(number)] or [None]


def carry_out(
    jobs: Sequence[Job], devices: Sequence[str | None], do: Callable[[Job], Training] | None = None
) -> Iterator[Outcome]:
    """Runs jobs, one per device at a time, and yields each outcome as it finishes.

    Args:
        jobs: The jobs, in order.
        devices: One process each. None stands for the backend's default, such as the processor.
        do: The function of a worker; by default it trains and meters.
    """
    waiting = list(reversed(jobs))
    running: dict[Future[Training], tuple[Job, str | None]] = {}
    pools: dict[str | None, ProcessPoolExecutor] = {}
    free = list(reversed(devices))
    others = set(multiprocessing.active_children())
    try:
        while waiting or running:
            while waiting and free:
                device, job = free.pop(), waiting.pop()
                if device not in pools:
                    pools[device] = _pool(device)
                running[pools[device].submit(do or train_job, job)] = job, device
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job, device = running.pop(future)
                try:
                    outcome = Outcome(job, future.result())
                except Exception as error:
                    # One network that does not fit or diverges ends neither the campaign nor the others.
                    outcome = Outcome(job, None, f"{type(error).__name__}: {error}")
                    pools.pop(device).shutdown(wait=False)
                free.append(device)
                yield outcome
    finally:
        if running:  # above all Ctrl-C: what is running is not waited for
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
        for pool in pools.values():
            pool.shutdown(cancel_futures=True)


def train_job(job: Job) -> Training:
    """Trains and meters a cell, in a worker."""
    from ecnas.network.training import train

    return train(
        job.cell,
        _images(job.data),
        job.recipe,
        seed=job.seed,
        folder=job.folder,
        meter=Meter(job.metering, gpu=_DEVICE),
        keep_model=False,
        progress=False,
    )


_DEVICE: str | None = None
"""The graphics card of this worker."""


@functools.lru_cache(maxsize=1)
def _images(source: str) -> Images:
    return load_images(source)


def _pool(device: str | None) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(device,))


def _begin(device: str | None) -> None:
    """Restricts the process to one graphics card, and lets it end with its parent."""
    global _DEVICE
    _DEVICE = device
    see(device)
    begin_worker()


def see(device: str | None) -> None:
    """Hides all graphics cards but one from this process, before it uses any."""
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
