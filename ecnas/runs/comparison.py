"""Comparable runs, grouped by task and method: the data behind every table, chart and page.

Runs of one *task* are judged alike: by the same expected metrics, for the same objectives, with the same scalarisation,
fidelity and repeat. Runs in worlds of one benchmark, such as ``surrogate-7V~0`` and ``surrogate-7V~1``, share a task. A
*method* is named by its sweep. If one name has several settings or budgets, these become separate methods, named by
what differs. Different settings are never merged.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecnas.benchmark import Benchmark
from ecnas.errors import CorruptFileError, ECNASError, MissingExtraError
from ecnas.runs.analysis import QUANTITIES, Judge, Trace
from ecnas.runs.currency import CURRENCIES
from ecnas.runs.record import RunRecord, benchmark_of


class NoRecordsError(ECNASError):
    """No complete run record was found."""


class _NoBenchmarkError(ECNASError):
    """The benchmark of a record is not available."""


class TaskKey(NamedTuple):
    """The identity of a task.

    Attributes:
        expected: Digest of the expected metrics.
        space: The search space: the embedded tables of all spaces are parts of one, with one digest.
        noisy: Whether trainings scatter around the expected metrics.
        objectives: The objectives.
        scalarisation: Its description, as JSON.
        epochs: The fidelity.
        repeat: Which training a query returns, as JSON.
    """

    expected: str
    space: str
    noisy: bool
    objectives: tuple[str, ...]
    scalarisation: str
    epochs: int
    repeat: str


@dataclass(frozen=True)
class MethodRuns:
    """The runs of one method with one setting and one budget on one task.

    Attributes:
        name: Its name, unique within the task.
        plain: Its name in the sweep, which determines its colour.
        header: ``method``, ``budget`` and ``versions`` of one of its runs.
        traces: The runs, by world and seed.
        empty: Number of further runs without an evaluation at the fidelity, and so without a value.
        origin: Name of the baseline that the runs come from; "" for your own.
    """

    name: str
    plain: str
    header: Mapping[str, Any]
    traces: Sequence[Trace]
    empty: int = 0
    origin: str = ""

    def values(self, quantity: str, costs: NDArray[np.float64], currency: str = "evaluations") -> NDArray[np.float64]:
        """A quantity of all runs at some costs: shape (runs, costs).

        NaN beyond the method's budget, and in a run that has no evaluation yet.
        """
        values = np.stack([trace.at(quantity, costs, currency) for trace in self.traces])
        limit = self.limit(currency)
        if limit is not None:
            values[:, costs > limit * (1 + 1e-9)] = np.nan
        return values

    def final(self, quantity: str) -> NDArray[np.float64]:
        """A quantity at the end of each run, shape (runs,)."""
        return np.array([trace.values[quantity][-1] for trace in self.traces])

    def limit(self, currency: str) -> float | None:
        """The budget in a currency; None if it is not limited in this one."""
        limit = self.header["budget"].get(CURRENCIES[currency].limit)
        return None if limit is None else float(limit)

    def span(self, currency: str) -> tuple[float, float] | None:
        """From the first evaluation of all runs to the least that a run spent; None if costs are not known.

        A run that ended before its budget was spent had nothing left to do, so it counts to the end of its budget.
        """
        firsts, lasts = zip(*((t.costs[currency][0], t.costs[currency][-1]) for t in self.traces), strict=True)
        limit = self.limit(currency)
        first, last = float(max(firsts)), float(min(lasts) if limit is None else limit)
        return (first, last) if 0 < first <= last else None

    @property
    def recommends(self) -> bool:
        """Whether the method makes recommendations of its own."""
        return any(trace.by_itself for trace in self.traces)


@dataclass
class Comparison:
    """Methods on one task.

    Attributes:
        key: The identity of the task.
        judge: Judges the runs.
        worlds: Names of the benchmarks that were searched.
        methods: The methods, by name.
    """

    key: TaskKey
    judge: Judge
    worlds: list[str]
    methods: list[MethodRuns] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The benchmark's name, and how many worlds of it there are."""
        if len(self.worlds) == 1:
            return self.worlds[0]
        stem = self.worlds[0].partition("~")[0]
        return f"{stem}, {len(self.worlds)} worlds" if self.key.noisy else stem

    @property
    def main(self) -> str:
        """The quantity that ranks methods."""
        return self.judge.quantities[0]

    @property
    def currency(self) -> str:
        """The currency of the runs' budgets; evaluations if they have none."""
        limited = (name for name in CURRENCIES if any(method.limit(name) is not None for method in self.methods))
        return next(limited, "evaluations")

    @property
    def currencies(self) -> list[str]:
        """The currencies in which all runs know their costs."""
        return [name for name in CURRENCIES if all(method.span(name) for method in self.methods)]

    def checkpoints(self, currency: str) -> list[float]:
        """Costs at which to look if none are given: the budgets of the runs, or the least that a method spent."""
        limits = {method.limit(currency) for method in self.methods} - {None}
        if limits:
            return sorted(limit for limit in limits if limit is not None)
        spans = [span for method in self.methods if (span := method.span(currency))]
        return [min(last for _, last in spans)] if spans else []

    def scores(self, method: MethodRuns, cost: float, currency: str = "evaluations") -> NDArray[np.float64]:
        """Normalised scores of a method's runs, shape (runs,): 1 is the best of the table, 0 its median cell.

        Of hypervolume, the part of the exact front's.
        """
        values = method.values(self.main, np.array([cost]), currency)[:, 0]
        return values / self.judge.scale if QUANTITIES[self.main].sign > 0 else 1 - values / self.judge.scale


# ---------------------------------------------------------------------------------------------------------------------
# From files


def collect(paths: Iterable[Path], processes: int = 1, progress: bool = False) -> list[Comparison]:
    """Reads and judges complete records, given as files or as folders.

    Damaged records, and records whose benchmark is not available, are reported on stderr and left out.

    Args:
        paths: Files, and folders, which are searched recursively.
        processes: Number of processes; more than one pays off from a few hundred runs on.
        progress: Show a progress bar.

    Raises:
        NoRecordsError: No record is left.
    """
    paths = list(paths)
    files = sorted({file for path in paths for file in _records_below(path)})
    reader = _Reader()
    for runs in _judged(files, processes if len(files) > _PART else 1, progress):
        for each in runs:
            reader.add(each)
    comparisons = reader.comparisons()
    if not comparisons:
        named = ", ".join(map(str, paths[:3])) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
        left_out = f"; {len(files)} were left out, as said above" if files else ""
        raise NoRecordsError(f"no complete run record (*.jsonl) in {named}{left_out}")
    return comparisons


def _records_below(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (file for file in path.rglob("*.jsonl") if file.is_file())
    elif path.is_file():
        yield path
    else:
        raise NoRecordsError(f"there is no file or folder {str(path)!r}")


class _Run(NamedTuple):
    """A record that was read and judged; ``trace`` is None without an evaluation at the fidelity."""

    key: TaskKey
    header: dict[str, Any]
    trace: Trace | None


_PART: Final = 100
"""Files that a process reads at a time."""


def _judged(files: Sequence[Path], processes: int, progress: bool) -> Iterator[list[_Run]]:
    """The runs of files in their order; what is damaged is told and left out."""
    from tqdm import tqdm

    parts = [files[start : start + _PART] for start in range(0, len(files), _PART)]
    with tqdm(total=len(files), desc="reading", unit="run", disable=None if progress else True) as bar:
        if processes == 1:
            reading = _Judges()
            results = map(reading.read, parts)
            yield from _told(results, bar.update)
            return
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        with ProcessPoolExecutor(min(processes, len(parts)), get_context("spawn")) as pool:
            yield from _told(pool.map(_read_part, parts), bar.update)


def _told(
    results: Iterable[tuple[list[_Run], dict[str, None]]], advance: Callable[[int], object]
) -> Iterator[list[_Run]]:
    told: set[str] = set()
    for runs, problems in results:
        for problem in problems:
            if problem not in told:
                print(f"left out: {problem}", file=sys.stderr)
        told.update(problems)
        advance(_PART)
        yield runs


def _read_part(files: Sequence[Path]) -> tuple[list[_Run], dict[str, None]]:
    """Reads and judges files in a process of their own, which keeps its judges."""
    global _process_judges
    if _process_judges is None:
        _process_judges = _Judges()
    return _process_judges.read(files)


_process_judges: _Judges | None = None


class _Judges:
    """Reads records and judges them, one in memory at a time."""

    def __init__(self) -> None:
        self._judges: dict[TaskKey, Judge] = {}
        self._benchmarks: dict[tuple[Any, ...], Benchmark | str] = {}
        self._keys: dict[str, TaskKey] = {}

    def read(self, files: Sequence[Path]) -> tuple[list[_Run], dict[str, None]]:
        """The runs, and what is to be told of those that are left out."""
        runs: list[_Run] = []
        problems: dict[str, None] = {}
        for file in files:
            try:
                runs.append(self._judged(RunRecord.load(file)))
            except MissingExtraError:
                raise  # the records are sound
            except (CorruptFileError, _NoBenchmarkError) as error:
                problems[str(error)] = None  # it names the file, or the benchmark of many files
            except (ECNASError, KeyError, ValueError, TypeError, IndexError, OSError) as error:
                problems[f"{file}: {type(error).__name__}: {error}"] = None
        return runs, problems

    def _judged(self, record: RunRecord) -> _Run:
        task = record.header["task"]
        for name, limit in record.header["budget"].items():
            if name != "unique" and not (isinstance(limit, int | float) and limit > 0):
                raise ValueError(f"budget must have limits above 0, got {name} {limit!r}")
        benchmark = self.benchmark(record.header)
        return _Run(self.key(task, benchmark), record.header, Trace.of(record, self.judge(task, benchmark)))

    def benchmark(self, header: Mapping[str, Any]) -> Benchmark:
        """The benchmark that a run was on, loaded once."""
        task = header["task"]
        place = task["benchmark"], task["path"], task["digest"]
        if place not in self._benchmarks:
            try:
                self._benchmarks[place] = benchmark_of(header)
            except MissingExtraError:
                raise
            except ECNASError as error:
                self._benchmarks[place] = str(error)
        found = self._benchmarks[place]
        if isinstance(found, str):
            raise _NoBenchmarkError(found)
        return found

    def key(self, task: Mapping[str, Any], benchmark: Benchmark) -> TaskKey:
        """What makes the task of a run."""
        described = json.dumps(task, sort_keys=True)
        if described not in self._keys:
            expected = benchmark.expected
            self._keys[described] = TaskKey(
                expected.digest,
                expected.space.name,
                expected.digest != benchmark.digest,
                tuple(task["objectives"]),
                json.dumps(task["scalarisation"], sort_keys=True),
                int(task["epochs"]),
                json.dumps(task["repeat"]),
            )
        return self._keys[described]

    def judge(self, task: Mapping[str, Any], benchmark: Benchmark) -> Judge:
        """What judges the runs of a task."""
        key = self.key(task, benchmark)
        if key not in self._judges:
            self._judges[key] = Judge(benchmark, task)
        return self._judges[key]


class _Reader:
    """Sorts judged runs into tasks and methods."""

    def __init__(self) -> None:
        self._judges = _Judges()
        # By task and by what makes a method; runs by world and seed, so that a copy of a run does not count twice.
        self._runs: dict[TaskKey, dict[str, dict[tuple[str, int], Trace | None]]] = {}
        self._headers: dict[tuple[TaskKey, str], dict[str, Any]] = {}
        self._worlds: dict[TaskKey, dict[str, None]] = {}

    def add(self, run: _Run) -> None:
        header = run.header
        self._worlds.setdefault(run.key, {})[str(header["task"]["benchmark"])] = None
        made_by = json.dumps([header["name"], header["method"], header["budget"]], sort_keys=True)
        self._headers.setdefault((run.key, made_by), header)
        runs = self._runs.setdefault(run.key, {}).setdefault(made_by, {})
        runs[header["task"]["digest"], int(header["seed"])] = run.trace

    def comparisons(self) -> list[Comparison]:
        result = []
        for key, methods in self._runs.items():
            found = []
            for made_by, runs in methods.items():
                traces = [trace for _, trace in sorted(runs.items()) if trace is not None]
                header = self._headers[key, made_by]
                name = str(header["name"])
                found.append(MethodRuns(name, name, header, traces, len(runs) - len(traces)))
            told_apart = tell_apart([method for method in found if method.traces])
            none_left = [method.name for method in found if not method.traces]
            for name in none_left:
                print(f"left out: {name!r} has no run with an evaluation", file=sys.stderr)
            if told_apart:
                one = told_apart[0].header
                judge = self._judges.judge(one["task"], self._judges.benchmark(one))
                result.append(Comparison(key, judge, list(self._worlds[key]), told_apart))
        return sorted(result, key=lambda each: (each.name, each.key))


def tell_apart(methods: Sequence[MethodRuns]) -> list[MethodRuns]:
    """Gives methods of one name different names, by what differs between them; sorted by name."""
    by_name: dict[str, list[MethodRuns]] = {}
    for method in methods:
        by_name.setdefault(method.plain, []).append(method)
    result = []
    for name, same in by_name.items():
        if len(same) == 1:
            result.append(replace(same[0], name=name))
            continue
        described = [_described(method) for method in same]
        differing = [
            key for key in dict.fromkeys(k for d in described for k in d) if len({d.get(key) for d in described}) > 1
        ]
        for number, (method, words) in enumerate(zip(same, described, strict=True), start=1):
            said = ", ".join(words[key] for key in differing if words.get(key))
            if not said and differing != ["origin"]:
                said = f"variant {number}"
            result.append(replace(method, name=f"{name} ({said})" if said else name))
    return sorted(result, key=lambda method: method.name)


def _described(method: MethodRuns) -> dict[str, str]:
    """Everything that tells a method from others of its name, in words, by what it is about."""
    how, budget = method.header["method"], method.header["budget"]
    units = {currency.limit: currency.unit or currency.name for currency in CURRENCIES.values()}
    return {
        "origin": method.origin,
        "class": str(how.get("class", "")),
        **{f"setting {key}": f"{key}={value}" for key, value in how.get("settings", {}).items()},
        **{f"budget {key}": f"{limit:g} {units[key]}" for key, limit in budget.items() if key in units},
        "unique": "repeats are free" if budget.get("unique") else "",
        "source": f"source {str(how.get('source', ''))[:8]}",
    }
