"""Execution of a sweep's runs: on processes of this machine, or on a Ray cluster."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from tqdm import tqdm

from ecnas.runs.sweep import Job, Outcome, Sweep, batches, execute, set_aside_damaged, state, told

MAX_ATTEMPTS = 3
"""Attempts before a run whose process dies counts as failed."""

MOST_AT_ONCE = 16
"""Number of runs that a process does at once, for methods that can. More are hardly faster. If every seed has its own
world, this many worlds are kept (:func:`ecnas.noise.noisy`) until all methods have searched them."""

POLL_SECONDS = 1.0
"""Seconds between two checks of runs that other processes are working on."""

Results = Iterator[tuple[Job, Outcome]]
Executor = Callable[[Sequence[Job]], Results]


def run_sweep(
    sweep: Sweep,
    executor: Executor,
    rerun: Sequence[str] = (),
    progress: bool = True,
    on_end: Callable[[Job, Outcome], object] | None = None,
) -> list[tuple[Job, Outcome]]:
    """Carries out the missing runs, together with all other processes that work on the same sweep.

    Args:
        sweep: The sweep.
        executor: Carries out the runs.
        rerun: Names of the algorithms whose records of other runs are replaced.
        progress: Show a progress bar.
        on_end: Called with each run that has ended.

    Returns:
        The runs that were not completed, and why: those that failed, and those whose path holds the record of another
        run.
    """
    todo: list[Job] = []
    failures: list[tuple[Job, Outcome]] = []
    others: list[tuple[Job, Outcome]] = []
    jobs = sweep.jobs()
    for job in jobs:
        found = state(job)
        if found is None:
            if damage := set_aside_damaged(job.path):
                print(f"run again: {damage}", file=sys.stderr)
            todo.append(job)
        elif found.kind == "other":
            if job.algorithm.name in rerun:
                todo.append(job._replace(replace=True))
            else:
                others.append((job, found))
    for line in told(others):
        print(line, file=sys.stderr)
    bar = tqdm(
        total=len(jobs) - len(others), initial=len(jobs) - len(others) - len(todo), unit="run", disable=not progress
    )
    with bar:
        while todo:
            claimed = []
            for job, outcome in executor(todo):
                if outcome.kind == "claimed":
                    claimed.append(job)
                    continue
                if outcome.kind != "done":
                    failures.append((job, outcome))
                    bar.write(f"failed: {job}: {outcome.text.strip().splitlines()[-1]}", file=sys.stderr)
                bar.set_postfix_str(str(job), refresh=False)
                bar.update()
                if on_end is not None:
                    on_end(job, outcome)
            todo = claimed
            if todo:  # others work on all that is left; what they leave undone is taken over
                time.sleep(POLL_SECONDS)
    return failures + others


def on_processes(processes: int) -> Executor:
    """Runs on processes of this machine, each started afresh and with one thread for linear algebra."""

    def carry_out(jobs: Sequence[Job]) -> Results:
        # Inherited: sums keep their order, and runs do not share cores.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        attempts = Counter[Path]()
        queue = Queue(blocks(jobs, _share(jobs, processes)), processes)
        with _pools(processes) as pools:
            idle = [*range(processes)]
            running: dict[Future[list[Outcome]], tuple[int, list[Job]]] = {}
            while True:
                for process in idle:
                    if batch := queue.take(process):
                        running[pools[process].submit(execute, batch)] = process, batch
                if not running:
                    return
                idle = []
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    process, batch = running.pop(future)
                    idle.append(process)
                    try:
                        yield from zip(batch, future.result(), strict=True)
                    except BrokenProcessPool:
                        pools[process] = _pool()
                        for lost in batch:  # which of them killed it is found out one by one
                            attempts[lost.path] += 1
                            if attempts[lost.path] < MAX_ATTEMPTS:
                                queue.give_back(process, [lost])
                            else:
                                yield lost, Outcome("failed", f"its process died {MAX_ATTEMPTS} times")

    return carry_out


def _share(jobs: Sequence[Job], processes: int) -> int:
    """How many of a method's runs are carried out at once, such that every process has some."""
    largest = max(Counter((job.algorithm.name, job.benchmark, job.budget) for job in jobs).values())
    return min(MOST_AT_ONCE, math.ceil(largest / processes))


def blocks(jobs: Sequence[Job], num_seeds: int) -> list[list[list[Job]]]:
    """Batches of jobs in blocks of one benchmark and some seeds.

    A process that carries out a block draws the worlds of its seeds once, for all methods.
    """
    place = {seed: number // num_seeds for number, seed in enumerate(dict.fromkeys(job.seed for job in jobs))}
    made: dict[tuple[int, str], list[Job]] = {}
    for job in jobs:
        made.setdefault((place[job.seed], job.benchmark), []).append(job)
    return [batches(block, num_seeds) for block in made.values()]


class Queue:
    """Distributes batches to processes: each gets its own block; when no block is left, it helps others.

    Args:
        of_blocks: The batches of each block.
        processes: Number of processes.
    """

    def __init__(self, of_blocks: Sequence[Sequence[list[Job]]], processes: int) -> None:
        self._blocks = deque(map(deque, of_blocks))
        self._begun: list[deque[list[Job]]] = [deque() for _ in range(processes)]

    def take(self, process: int) -> list[Job] | None:
        """The next batch for a process; None if nothing is left."""
        if not self._begun[process] and self._blocks:
            self._begun[process] = self._blocks.popleft()
        if self._begun[process]:
            return self._begun[process].popleft()
        longest = max(self._begun, key=len)
        return longest.pop() if longest else None

    def give_back(self, process: int, batch: list[Job]) -> None:
        """Returns a batch to the end of its process's queue."""
        self._begun[process].append(batch)


@contextlib.contextmanager
def _pools(processes: int) -> Iterator[list[ProcessPoolExecutor]]:
    """Pools of one process each, so that the run of a process that dies is known."""
    pools = [_pool() for _ in range(processes)]
    try:
        yield pools
    except BaseException:  # above all Ctrl-C: what is running is not waited for
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        for pool in pools:
            pool.shutdown(cancel_futures=True)


def _pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=begin_worker)


def begin_worker() -> None:
    """Leaves Ctrl-C to the process that started this one, and ends with it, so that no claim outlives the sweep."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wait_and_die() -> None:
        if (parent := multiprocessing.parent_process()) is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait_and_die, daemon=True).start()


def on_ray(address: str | None = None) -> Executor:
    """Runs on a Ray cluster, each on one CPU; methods that can carry out many on one. Ray starts lost runs elsewhere.

    Args:
        address: The cluster's; "auto" for one that runs here. By default $RAY_ADDRESS, or else a new one is started.
    """

    def carry_out(jobs: Sequence[Job]) -> Results:
        import ray

        if not ray.is_initialized():
            threads = {"env_vars": {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}}
            ray.init(address=address, runtime_env=threads, log_to_driver=False)
        task = ray.remote(num_cpus=1, max_retries=MAX_ATTEMPTS)(execute)
        cpus = ray.cluster_resources().get("CPU", 1)  # type: ignore[no-untyped-call]
        share = _share(jobs, int(cpus))
        running = {task.remote(batch): batch for batch in batches(jobs, share)}
        while running:
            done, _ = ray.wait(list(running), num_returns=1)
            batch = running.pop(done[0])
            try:
                yield from zip(batch, ray.get(done[0]), strict=True)
            except ray.exceptions.RayError as error:
                for job in batch:
                    yield job, Outcome("failed", str(error))

    return carry_out
