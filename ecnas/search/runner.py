"""Runs a searcher under a budget and leaves the run record."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ecnas.benchmark import DEFAULT_OBJECTIVES, Benchmark
from ecnas.budget import Budget
from ecnas.errors import BudgetExhaustedError
from ecnas.objectives import Scalarisation
from ecnas.runs.record import RunRecord
from ecnas.search.evaluator import Evaluator, Searcher


def run(
    searcher: Searcher,
    benchmark: Benchmark,
    budget: Budget | int | None = None,
    seed: int = 0,
    *,
    objectives: Sequence[str] = DEFAULT_OBJECTIVES,
    scalarisation: Scalarisation | None = None,
    epochs: int | None = None,
    path: Path | None = None,
    progress: bool = False,
) -> RunRecord:
    """Searches until the budget is spent. The same arguments give the same run.

    Args:
        searcher: The algorithm.
        benchmark: What trains the cells.
        budget: What may be spent; an integer is a number of evaluations. None is for searchers that end by themselves
            (those with a field ``generations`` that is not None).
        seed: The seed of all randomness.
        objectives: What multi-objective searchers optimise.
        scalarisation: What single-objective searchers optimise; the benchmark's default linear one by default.
        epochs: Fidelity; the highest by default.
        path: Where the record is written. A complete record of the same run that is already there is read instead.
        progress: Show a progress bar.

    Returns:
        The record: one row an evaluation.

    Raises:
        ValueError: There is no limit to the search, or ``path`` holds another run.

    Example:
        >>> import ecnas
        >>> from ecnas import search
        >>> record = search.run(search.SEMOA(), ecnas.load("surrogate-5V"), budget=100, seed=1)
        >>> len(record)
        100
    """
    spending = budget if isinstance(budget, Budget) else Budget(evaluations=budget)
    if not spending.limits and getattr(searcher, "generations", None) is None:
        raise ValueError(f"budget must have a limit: {searcher.name} does not end by itself")
    settings = {
        "searcher": dataclasses.asdict(searcher),  # type: ignore[call-overload]  # every searcher is a dataclass
        "budget": {"unique": spending.unique, **spending.limits},
        "objectives": list(objectives),
        "scalarisation": repr(scalarisation),
        "epochs": benchmark.check_epochs(epochs),
    }
    if path is not None and path.exists():
        return _finished(path, benchmark, searcher, seed, settings)
    with (
        RunRecord(searcher.name, benchmark, seed, settings, path) as record,
        _bar(progress, spending, searcher) as tick,
    ):
        evaluate = Evaluator(benchmark, spending, record, objectives, scalarisation, epochs, tick)
        with contextlib.suppress(BudgetExhaustedError):
            searcher.run(evaluate, np.random.default_rng(seed))
    return record


def _finished(path: Path, benchmark: Benchmark, searcher: Searcher, seed: int, settings: dict[str, Any]) -> RunRecord:
    """The record at a path, if it is of the very same run."""
    record = RunRecord.load(path)
    wanted = {"algorithm": searcher.name, "digest": benchmark.digest, "seed": seed, "settings": settings}
    plain = json.loads(json.dumps(wanted))  # tuples become lists, as in the file
    for key, value in plain.items():
        if record.header[key] != value:
            raise ValueError(f"{path} holds another run: its {key} is {record.header[key]!r}, not {value!r}")
    return record


@contextlib.contextmanager
def _bar(show: bool, budget: Budget, searcher: Searcher) -> Iterator[Callable[[], object] | None]:
    """A progress bar over evaluations; yields what advances it."""
    if not show:
        yield None
        return
    from tqdm.auto import tqdm

    with tqdm(total=budget.limits.get("evaluations"), desc=searcher.name, unit=" evaluations") as bar:
        yield bar.update
