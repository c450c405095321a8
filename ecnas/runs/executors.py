"""Where the runs of a sweep are carried out: on processes of this machine, or on a Ray cluster."""

from __future__ import annotations

import contextlib
import itertools
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from tqdm import tqdm

from ecnas.runs.sweep import Job, Outcome, Sweep, batches, execute, set_aside_damaged, state, told

MAX_ATTEMPTS = 3
"""Attempts before a run whose process dies counts as failed."""

MOST_AT_ONCE = 16
"""Runs that one process carries out at once, of methods that can. More would hardly be faster; and where every seed has
a world of its own, so many worlds are kept (:func:`ecnas.noise.noisy`) until all methods have searched them."""

POLL_SECONDS = 1.0
"""Between two looks at the runs that other processes are working on."""

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
        attempts = {job.path: 0 for job in jobs}
        waiting = batches(jobs, _share(jobs, processes))[::-1]
        while waiting:
            with _pool(processes) as pool:
                yield from _until_it_breaks(pool, processes, waiting, attempts)

    return carry_out


def _share(jobs: Sequence[Job], processes: int) -> int:
    """How many of a method's runs are carried out at once, such that every process has some."""
    largest = max(Counter((job.algorithm.name, job.benchmark, job.budget) for job in jobs).values())
    return min(MOST_AT_ONCE, math.ceil(largest / processes))


def _until_it_breaks(
    pool: ProcessPoolExecutor, processes: int, waiting: list[list[Job]], attempts: dict[Path, int]
) -> Results:
    """Takes batches from the end of a list until it is empty, or a process has died and took the pool with it."""
    running: dict[Future[list[Outcome]], list[Job]] = {}
    while waiting or running:
        while waiting and len(running) < processes:
            batch = waiting.pop()
            for job in batch:
                attempts[job.path] += 1
            running[pool.submit(execute, batch)] = batch
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            batch = running.pop(future)
            try:
                yield from zip(batch, future.result(), strict=True)
            except BrokenProcessPool:
                for lost in itertools.chain(batch, *running.values()):  # which of them killed it cannot be told
                    if attempts[lost.path] < MAX_ATTEMPTS:
                        waiting.append([lost])
                    else:
                        yield lost, Outcome("failed", f"its process died {MAX_ATTEMPTS} times")
                return


@contextlib.contextmanager
def _pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), initializer=begin_worker)
    try:
        yield pool
    except BaseException:  # above all Ctrl-C: what is running is not waited for
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


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
