"""Runs a sweep: algorithms × benchmarks × budgets × seeds out of one TOML file, with any searcher and any controller.

    python -m agents.benchmark benchmarks/rl_nas.toml --processes 4
    python -m agents.benchmark benchmarks/rl_nas.toml --table          # what is there already, as Markdown
    ecnas report runs/rl-nas -o report.html

A sweep file says where results go, what is searched, and who searches::

    out = "runs/rl-nas"
    benchmarks = ["surrogate-7V"]        # or spaces = ["5V", "7V"] for the embedded benchmarks
    budgets = [500]
    checkpoints = [150, 500]             # where the table looks
    currency = "evaluations"             # of budgets and checkpoints (the default); or "epochs", "energy", "time"
    seeds = 100                          # 0 to 99; or [1000, 1010] for 1000 to 1009
    objectives = ["val_accuracy"]

    [[algorithm]]
    name = "regularised evolution, population 20"
    use = "RegularisedEvolution"         # a class of ecnas.search; all other keys are its fields
    population_size = 20

    [[algorithm]]
    name = "edit"
    use = "agents.edit"                  # a controller; all other keys are fields of its Args

Each run has a process's attention alone, is seeded by itself, and leaves its record when it is complete, so the results
are the same on one process, on many and on a Ray cluster, and a sweep that was killed goes on where it stopped. A run
that fails is reported at the end and leaves the others alone. On a cluster ``out`` must lie on a file system that all
nodes share; runs of a node that is lost are started again elsewhere.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, fields
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import tyro
from numpy.typing import NDArray
from tqdm import tqdm

import ecnas
from ecnas import Budget
from ecnas.runs import analysis
from ecnas.runs.record import RunRecord

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_ATTEMPTS = 3
"""How often a run is started whose process dies, before it counts as failed."""


@dataclass
class Args:
    """Run a sweep, or show its table."""

    sweep: Annotated[Path, tyro.conf.Positional]
    """The sweep's TOML file."""
    processes: int = 1
    """How many runs at once."""
    executor: Literal["processes", "ray"] = "processes"
    """Processes of this machine, or a Ray cluster."""
    ray_address: str | None = None
    """Address of the cluster, "auto" for one that runs here; by default $RAY_ADDRESS, or else a new one is started."""
    out: Path | None = None
    """Where results go, instead of the sweep's own ``out``."""
    table: bool = False
    """Run nothing; print the table of the runs that are complete."""
    progress: bool = True
    """Show the progress bar."""


CURRENCIES: Mapping[str, tuple[str, str]] = {
    "evaluations": ("evaluations", "budget"),
    "epochs": ("epochs", "budget_epochs"),
    "energy": ("energy", "budget_kwh"),
    "time": ("seconds", "budget_seconds"),
}
"""What a budget limits (an axis of ``ecnas.runs.analysis``): the argument of ``ecnas.Budget``, and the controllers'."""


@dataclass(frozen=True)
class Algorithm:
    """Who searches."""

    name: str
    use: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Sweep:
    """What a sweep file says."""

    out: Path
    benchmarks: tuple[str, ...]
    budgets: tuple[int, ...]
    checkpoints: tuple[int, ...]
    seeds: tuple[int, ...]
    objectives: tuple[str, ...]
    currency: str
    algorithms: tuple[Algorithm, ...]

    @classmethod
    def load(cls, path: Path, out: Path | None = None) -> Sweep:
        """Reads a sweep file.

        Raises:
            ValueError: A key is missing, unknown or of a wrong kind; the message names it.
        """
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        allowed = {f.name for f in fields(cls) if f.name != "algorithms"} | {"spaces", "algorithm"}
        for key in set(data) - allowed:
            raise ValueError(f"{path}: unknown key {key!r}; allowed: {', '.join(sorted(allowed))}")
        for key in ("budgets", "seeds", "algorithm"):
            if key not in data:
                raise ValueError(f"{path}: {key!r} is missing")
        if ("benchmarks" in data) == ("spaces" in data):
            raise ValueError(f"{path}: either 'benchmarks' or 'spaces' must be given")
        seeds = data["seeds"]
        if isinstance(seeds, list) and len(seeds) != 2:
            raise ValueError(f"{path}: seeds must be a number, or [first, last + 1], got {seeds}")
        algorithms = []
        for entry in data["algorithm"]:
            if "use" not in entry:
                raise ValueError(f"{path}: an [[algorithm]] lacks 'use'")
            settings = {key: value for key, value in entry.items() if key not in ("name", "use")}
            algorithms.append(Algorithm(entry.get("name", entry["use"]), entry["use"], settings))
        names = [algorithm.name for algorithm in algorithms]
        if len(set(names)) != len(names):
            raise ValueError(f"{path}: algorithms must have different names, got {names}")
        currency = data.get("currency", "evaluations")
        if currency not in CURRENCIES:
            raise ValueError(f"{path}: currency must be one of {', '.join(CURRENCIES)}, got {currency!r}")
        budgets = tuple(data["budgets"])
        return cls(
            out or Path(data.get("out", Path("runs") / path.stem)),
            tuple(data.get("benchmarks") or [f"surrogate-{space}" for space in data["spaces"]]),
            budgets,
            tuple(data.get("checkpoints", budgets)),
            tuple(range(*seeds) if isinstance(seeds, list) else range(seeds)),
            tuple(data.get("objectives", ("val_accuracy", "energy"))),
            currency,
            tuple(algorithms),
        )

    def jobs(self) -> list[Job]:
        """All runs, seed by seed, so that what is finished early is a fair picture."""
        return [
            Job(
                algorithm,
                benchmark,
                budget,
                self.currency,
                seed,
                self.objectives,
                self.path(algorithm, benchmark, budget, seed),
            )
            for seed in self.seeds
            for benchmark in self.benchmarks
            for budget in self.budgets
            for algorithm in self.algorithms
        ]

    def path(self, algorithm: Algorithm, benchmark: str, budget: float, seed: int) -> Path:
        """Where the record of a run lies."""
        folder = re.sub(r"[^\w.,()=+ -]+", "-", algorithm.name)
        limit = f"budget-{budget}" if self.currency == "evaluations" else f"budget-{budget}-{self.currency}"
        return self.out / Path(benchmark).stem / folder / limit / f"seed-{seed}" / "record.jsonl"


class Job(NamedTuple):
    """One run."""

    algorithm: Algorithm
    benchmark: str
    budget: float
    currency: str
    seed: int
    objectives: tuple[str, ...]
    path: Path

    def __str__(self) -> str:
        return f"{self.algorithm.name} on {self.benchmark}, {self.budget} {self.currency}, seed {self.seed}"


# ---------------------------------------------------------------------------------------------------------------------
# One run


def run(job: Job) -> str | None:
    """Carries out a run, in whatever process; None, or what went wrong."""
    try:
        benchmark = ecnas.load(job.benchmark)
        if job.path.exists():
            return check(job, RunRecord.load(job.path), benchmark.digest)
        if job.algorithm.use.startswith("agents."):
            run_controller(job, benchmark.space.name)
        else:
            from ecnas import search

            searcher = getattr(search, job.algorithm.use)(**_tuples(job.algorithm.settings))
            budget = Budget(**{CURRENCIES[job.currency][0]: job.budget})
            search.run(searcher, benchmark, budget, job.seed, objectives=job.objectives, path=job.path)
        return None
    except Exception:
        return traceback.format_exc()


def run_controller(job: Job, space: str) -> None:
    """Runs the ``main`` of a controller's module."""
    module = importlib.import_module(job.algorithm.use)
    # Its own kind of environment (built or edited cells, scalar or vector rewards), in the benchmark's space.
    env_id = re.sub(r"-(4V|5V|7V)", f"-{space}", job.algorithm.settings.get("env_id", module.Args.env_id))
    settings = {
        **_tuples(job.algorithm.settings),
        "env_id": env_id,
        "benchmark": job.benchmark,
        "objectives": job.objectives,
        CURRENCIES[job.currency][1]: job.budget,
        "seed": job.seed,
        "out": job.path.parent,
        "report": False,
        "progress": False,
    }
    module.main(module.Args(**settings))


def check(job: Job, record: RunRecord, digest: str) -> str | None:
    """Whether a record that is there already is this run's; None, or what differs."""
    header = record.header
    recorded = {**header["settings"], **header["settings"].get("searcher", {})}
    wanted = {key: list(value) if isinstance(value, tuple) else value for key, value in job.algorithm.settings.items()}
    found = {key: recorded.get(key) for key in wanted if key != "env_id"}
    wanted = {key: wanted[key] for key in found}
    if (header["digest"], header["seed"], found) != (digest, job.seed, wanted):
        return f"{job.path} holds another run: remove it, or choose another folder"
    return None


def _tuples(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}


# ---------------------------------------------------------------------------------------------------------------------
# All runs

Results = Iterator[tuple[Job, str | None]]


def on_processes(jobs: Sequence[Job], processes: int) -> Results:
    """Runs on processes of this machine, each started afresh; yields runs as they end."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # inherited: sums keep their order, and runs do not share cores
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    attempts = {job.path: 0 for job in jobs}
    waiting = list(reversed(jobs))
    while waiting:
        with ProcessPoolExecutor(processes, get_context("spawn"), initializer=_die_with_parent) as pool:
            running = {}
            while waiting or running:
                while waiting and len(running) < processes:
                    job = waiting.pop()
                    attempts[job.path] += 1
                    running[pool.submit(run, job)] = job
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    job = running.pop(future)
                    try:
                        yield job, future.result()
                    except BrokenProcessPool:
                        # A process was killed and took the pool with it; who did it cannot be told.
                        for lost in (job, *running.values()):
                            if attempts[lost.path] < MAX_ATTEMPTS:
                                waiting.append(lost)
                            else:
                                yield lost, f"its process died {MAX_ATTEMPTS} times"
                        break
                else:
                    continue
                break


def _die_with_parent() -> None:
    """Ends this process when the one that started it is killed, so that the next sweep has the records to itself."""

    def wait_and_die() -> None:
        if (parent := parent_process()) is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait_and_die, daemon=True).start()


def on_ray(jobs: Sequence[Job], address: str | None = None) -> Results:
    """Runs on a Ray cluster, one CPU a run; yields runs as they end. Ray starts lost runs again."""
    import ray

    if not ray.is_initialized():
        ray.init(address=address, runtime_env={"env_vars": {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}})
    task = ray.remote(num_cpus=1, max_retries=MAX_ATTEMPTS)(run)
    running = {task.remote(job._replace(path=job.path.resolve())): job for job in jobs}
    while running:
        done, _ = ray.wait(list(running), num_returns=1)
        job = running.pop(done[0])
        try:
            yield job, ray.get(done[0])
        except ray.exceptions.RayError as error:
            yield job, str(error)


def run_all(
    sweep: Sweep,
    args: Args,
    on_end: Callable[[Job, str | None], object] | None = None,
) -> list[tuple[Job, str]]:
    """Carries out what is not there yet, and returns what failed and why."""
    jobs = sweep.jobs()
    digests = {name: ecnas.load(name).digest for name in sweep.benchmarks}
    failures: list[tuple[Job, str]] = []
    todo = []
    for job in jobs:
        if not job.path.exists():
            todo.append(job)
        elif wrong := check(job, RunRecord.load(job.path), digests[job.benchmark]):
            failures.append((job, wrong))
    results = on_ray(todo, args.ray_address) if args.executor == "ray" else on_processes(todo, args.processes)
    bar = tqdm(total=len(jobs), initial=len(jobs) - len(todo), unit="run", disable=not args.progress, smoothing=0.05)
    with bar:
        for job, error in results:
            if error is not None:
                failures.append((job, error))
                bar.write(f"failed: {job}: {error.strip().splitlines()[-1]}", file=sys.stderr)
            bar.set_postfix_str(str(job), refresh=False)
            bar.update()
            if on_end is not None:
                on_end(job, error)
    return failures


# ---------------------------------------------------------------------------------------------------------------------
# The table

Quantity = Callable[[RunRecord], NDArray[np.float64]]
"""From a record to a value after each evaluation."""


def tables(sweep: Sweep) -> list[str]:
    """Means over the seeds that are complete, and bootstrapped 95 % intervals, as Markdown with a title.

    With one objective: test and validation regret in percent of accuracy. With several: hypervolume in percent of the
    exact front's. Runs that ended without a single evaluation, as those of a policy without masks may, have no figures:
    the seeds say how many of the runs have.
    """
    result = []
    for name in sweep.benchmarks:
        benchmark = ecnas.load(name)
        for budget in sweep.budgets:
            points = [point for point in sweep.checkpoints if point <= budget]
            quantities = _quantities(sweep, benchmark)
            rows: dict[str, list[str]] = {quantity: [] for quantity in quantities}
            for algorithm in sweep.algorithms:
                values, complete = at_checkpoints(sweep, algorithm, name, budget, points, list(quantities.values()))
                if not len(values):
                    continue
                seeds = f"{len(values)}" if len(values) == complete else f"{len(values)} of {complete}"
                for position, quantity in enumerate(quantities):
                    cells = " | ".join(means(100 * values[:, position]))
                    rows[quantity].append(f"| {algorithm.name} | {seeds} | {cells} |")
            for quantity in quantities:
                where = f"{name} (digest {benchmark.digest[:12]})"
                lines = [
                    f"Mean {quantity} in % on {where}, runs of {budget} {sweep.currency}:",
                    "",
                    "| algorithm | seeds | " + " | ".join(f"at {point} {sweep.currency}" for point in points) + " |",
                    "|---" * (2 + len(points)) + "|",
                    *rows[quantity],
                ]
                result.append("\n".join(lines))
    return result


def complete_runs(sweep: Sweep, algorithm: Algorithm, benchmark: str, budget: float) -> Iterator[RunRecord]:
    """The runs of an algorithm that are complete, one in memory at a time."""
    for seed in sweep.seeds:
        path = sweep.path(algorithm, benchmark, budget, seed)
        if path.exists():
            yield RunRecord.load(path)


def at_checkpoints(
    sweep: Sweep,
    algorithm: Algorithm,
    benchmark: str,
    budget: float,
    points: Sequence[float],
    quantities: Sequence[Quantity],
) -> tuple[NDArray[np.float64], int]:
    """What an algorithm's complete runs had reached.

    Args:
        sweep: The sweep.
        algorithm: One of its algorithms.
        benchmark: One of its benchmarks.
        budget: One of its budgets.
        points: When to look, in the sweep's currency.
        quantities: From a record to a value after each evaluation.

    Returns:
        Shape (runs with evaluations, quantities, points), and the number of complete runs.
    """
    grid = np.array(points, dtype=np.float64)
    values, complete = [], 0
    for run in complete_runs(sweep, algorithm, benchmark, budget):
        complete += 1
        if len(run):
            spent = analysis.costs(run, sweep.currency)
            values.append([analysis.on_grid(grid, spent, quantity(run)) for quantity in quantities])
    return np.array(values), complete


def means(values: NDArray[np.float64]) -> list[str]:
    """The mean over runs (first axis) and its bootstrapped 95 % interval, for each column."""
    mean, low, high = analysis.interval([values], statistic=lambda v: v.mean(axis=0))
    return [f"{m:.3f} [{a:.3f}, {b:.3f}]" for m, a, b in zip(mean, low, high, strict=True)]


def _quantities(sweep: Sweep, benchmark: ecnas.Benchmark) -> dict[str, Quantity]:
    """What the table has, by name."""
    if len(sweep.objectives) > 1:
        return {"hypervolume": lambda run: analysis.hypervolume(run, benchmark, sweep.objectives)}
    return {
        "test regret": lambda run: analysis.regret(run, benchmark),
        "validation regret": lambda run: analysis.regret(run, benchmark, report="val_accuracy"),
    }


def main(args: Args) -> int:
    """Runs the sweep or prints its table; 1 if runs failed."""
    sweep = Sweep.load(args.sweep, args.out)
    failures = [] if args.table else run_all(sweep, args)
    for job, error in failures:
        print(f"\nfailed: {job}\n{error}", file=sys.stderr)
    print("\n\n".join(tables(sweep)))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Args)))
