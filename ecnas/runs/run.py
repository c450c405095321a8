"""One run: a method searches under a budget and leaves a record."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ecnas.benchmark import DEFAULT_OBJECTIVES, Benchmark
from ecnas.budget import Budget
from ecnas.coerce import benchmark_of, budget_of
from ecnas.errors import BudgetExhaustedError, ECNASError
from ecnas.objectives import Scalarisation
from ecnas.runs.claim import claimed
from ecnas.runs.currency import CURRENCIES
from ecnas.runs.evaluator import Candidate, Evaluator
from ecnas.runs.method import Method, describe_method, display_name, outputs, versions
from ecnas.runs.record import RunRecord, differences
from ecnas.runs.tensorboard import Board
from ecnas.task import Repeat, Task


class OtherRunError(ECNASError, ValueError):
    """The path holds the record of another run."""


def run(
    method: Method,
    benchmark: Benchmark | str,
    budget: Budget | int | None = None,
    seed: int = 0,
    *,
    objectives: Sequence[str] = DEFAULT_OBJECTIVES,
    scalarisation: str | Scalarisation | None = None,
    epochs: int | None = None,
    repeat: Repeat = "mean",
    name: str | None = None,
    path: Path | None = None,
    progress: bool = False,
    tensorboard: Path | None = None,
) -> RunRecord:
    """Searches until the budget is spent. The same arguments give the same run.

    Args:
        method: A searcher of ``ecnas.search``, a controller, or your own method (:class:`Method`).
        benchmark: A benchmark, or its name.
        budget: A budget, or a number of evaluations. None is for methods that end by themselves (those with a field
            ``generations`` that is not None).
        seed: Seed of all randomness.
        objectives: The objectives.
        scalarisation: Combines the objectives into one reward: a name or an object, as for
            :meth:`ecnas.Benchmark.scalarisation`.
        epochs: Fidelity; the highest by default.
        repeat: The training of a cell that a query returns: "mean", a number, or "random".
        name: Name of the method in tables and plots; its own name by default.
        path: File for the record. If it already holds a complete record of the same run, that is read instead.
        progress: Show a progress bar.
        tensorboard: Folder for TensorBoard logs (:class:`ecnas.runs.tensorboard.Board`).

    Returns:
        The record, with one row per evaluation.

    Raises:
        ValueError: Nothing limits the search.
        OtherRunError: ``path`` holds another run.
        ClaimedError: Another process is writing this record.

    Example:
        >>> from ecnas import runs, search
        >>> record = runs.run(search.SEMOA(), "surrogate-5V", budget=100, seed=1)
        >>> len(record)
        100
    """
    task = Task.of(benchmark_of(benchmark), objectives, scalarisation, epochs, repeat)
    return run_task(method, task, budget, seed, name=name, path=path, progress=progress, tensorboard=tensorboard)


def run_task(
    method: Method,
    task: Task,
    budget: Budget | int | None = None,
    seed: int = 0,
    *,
    name: str | None = None,
    path: Path | None = None,
    replace: bool = False,
    progress: bool = False,
    tensorboard: Path | None = None,
) -> RunRecord:
    """Like :func:`run`, with the task as one object.

    Args:
        method: As for :func:`run`.
        task: The task.
        budget: As for :func:`run`.
        seed: As for :func:`run`.
        name: As for :func:`run`.
        path: As for :func:`run`.
        replace: Replace a record of another run by the new record, once that is complete.
        progress: As for :func:`run`.
        tensorboard: As for :func:`run`.
    """
    with begun(
        method, task, budget, seed, name=name, path=path, replace=replace, progress=progress, tensorboard=tensorboard
    ) as start:
        if isinstance(start, Start):
            with contextlib.suppress(BudgetExhaustedError):
                method.run(*start)
        return start.evaluate.record if isinstance(start, Start) else start


class Start(NamedTuple):
    """The start of a run: the arguments of a method's ``run``."""

    evaluate: Evaluator
    rng: np.random.Generator


@contextlib.contextmanager
def begun(
    method: Method,
    task: Task,
    budget: Budget | int | None = None,
    seed: int = 0,
    *,
    name: str | None = None,
    path: Path | None = None,
    replace: bool = False,
    progress: bool = False,
    tensorboard: Path | None = None,
) -> Iterator[Start | RunRecord]:
    """Claims a run and begins its record, which is complete when the block ends without an error.

    Args and errors are those of :func:`run_task`. Yields the complete record of the same run if it is there already.
    """
    spending = budget_of(budget) or Budget()
    if not spending.limits and getattr(method, "generations", None) is None:
        raise ValueError(f"budget must have a limit: {display_name(method)} does not end by itself")
    header = make_header(method, task, spending, seed, name)
    with claimed(path) if path is not None else contextlib.nullcontext():
        if path is not None and path.exists():
            found = RunRecord.load(path)
            other = differences(found.header, header)
            if not other:
                lacking = [str(file) for file in outputs(method) if not file.exists()]
                if lacking:
                    raise OtherRunError(
                        f"{path} holds this run, so it is not repeated, and {', '.join(lacking)} is not written: "
                        f"choose another path for the record"
                    )
                yield found
                return
            if not replace:
                raise OtherRunError(f"{path} holds another run ({'; '.join(other)}): choose another path")
        # The trainings that answer are drawn apart from what the method draws, which so stays the same without noise.
        trainings = np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0])
        with contextlib.ExitStack() as stack:
            record = stack.enter_context(RunRecord(header, path))
            tick = stack.enter_context(_bar(progress, spending, record))
            board = None
            if tensorboard is not None:
                board = stack.enter_context(contextlib.closing(Board(tensorboard, task, record)))
            yield Start(Evaluator(task, spending, record, trainings, tick, board), np.random.default_rng(seed))


def make_header(method: Method, task: Task, budget: Budget, seed: int, name: str | None = None) -> dict[str, Any]:
    """The definition of a run, as the header of its record."""
    return {
        "name": name or display_name(method),
        "method": describe_method(method),
        "task": task.describe(),
        "budget": {"unique": budget.unique, **budget.limits},
        "seed": seed,
        "versions": versions(type(method).__module__),
    }


@contextlib.contextmanager
def _bar(show: bool, budget: Budget, record: RunRecord) -> Iterator[Callable[[Candidate], object] | None]:
    """A progress bar for the first limit of the budget, with the best so far; yields the function that advances it."""
    if not show:
        yield None
        return
    from tqdm.auto import tqdm

    currency, total = next(iter(budget.limits.items()), ("evaluations", None))
    unit = next((c.unit or c.name for c in CURRENCIES.values() if c.limit == currency), currency)
    best = -np.inf
    with tqdm(
        total=total,
        desc=f"{record.name} on {record.header['task']['benchmark']}",
        unit=f" {unit}",
        bar_format="{l_bar}{bar}| {n:.6g}/{total:g}{unit} [{elapsed}<{remaining}{postfix}]" if total else None,
        mininterval=0.5,
        file=sys.stderr,
    ) as bar:

        def tick(candidate: Candidate) -> None:
            nonlocal best
            if candidate.reward > best:
                best = candidate.reward
                accuracy, energy = candidate.evaluation.val_accuracy, candidate.evaluation.energy
                text = f"best: reward {best:.4f}, accuracy {accuracy:.4f}, {energy:.4g} kWh"
                bar.set_postfix_str(text, refresh=False)
            bar.update(getattr(budget.spent, currency) - bar.n)

        yield tick
