"""A sweep: methods × benchmarks × budgets × seeds from one TOML file, for all searchers and controllers.

A sweep file names the output folder, the tasks and the methods::

    out = "runs/mine"
    benchmarks = ["surrogate-7V"]        # or spaces = ["5V", "7V"] for the embedded benchmarks
    budgets = [500]
    checkpoints = [150, 500]             # costs at which the table compares; the budgets by default
    currency = "evaluations"             # of budgets and checkpoints (the default); or "epochs", "energy", "time"
    seeds = 100                          # 0 to 99; or [1000, 1010] for 1000 to 1009
    objectives = ["val_accuracy"]
    scalarisation = "linear"             # and weights = [0.8, 0.2]; "soft-cap" by default
    epochs = 108                         # the benchmark's highest number by default
    repeat = "mean"                      # or "random", or the number of a training
    noise = "per seed"                   # the run with seed s searches the world "surrogate-7V~s"

    [[algorithm]]
    name = "evolution, population 20"
    use = "RegularisedEvolution"         # see ecnas.runs.method; all other keys are the method's settings
    population_size = 20

    [[algorithm]]
    use = "mine.py:Mine"                 # relative to this file

Any number of processes and machines may work on one sweep at once: each run is claimed by one of them and written
once. An existing record is reused if it belongs to exactly the same run. A record of another run is reported and kept,
unless its method is to be run again. A damaged record is set aside, and its run repeated.
"""

from __future__ import annotations

import contextlib
import re
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from ecnas.benchmark import DEFAULT_OBJECTIVES
from ecnas.budget import Budget
from ecnas.errors import BudgetExhaustedError, CorruptFileError, ECNASError
from ecnas.files import read_toml
from ecnas.loading import load
from ecnas.objectives import SCALARISATIONS
from ecnas.runs.claim import ClaimedError
from ecnas.runs.currency import CURRENCIES
from ecnas.runs.method import ManyRuns, Method, MethodError, find_method, lacking, make_method
from ecnas.runs.record import RunRecord, differences
from ecnas.runs.run import OtherRunError, Start, begun, make_header
from ecnas.task import Repeat, Task

_MOST_SEEDS = 1_000_000
_END_OF_SEEDS = 2**63

PER_SEED = "per seed"


class SweepError(ECNASError, ValueError):
    """A sweep file is invalid; the message has one line per problem."""


@dataclass(frozen=True)
class Algorithm:
    """A method with its settings: an ``[[algorithm]]`` of a sweep file."""

    name: str
    use: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Sweep:
    """The content of a sweep file; its keys are explained in the module's docstring.

    Attributes:
        folder: The folder to which paths of methods are relative.
        out: Folder for records.
        algorithms: The methods.
    """

    folder: Path
    out: Path
    algorithms: tuple[Algorithm, ...]
    benchmarks: tuple[str, ...]
    budgets: tuple[float, ...]
    seeds: tuple[int, ...]
    checkpoints: tuple[float, ...]
    currency: str = "evaluations"
    objectives: tuple[str, ...] = DEFAULT_OBJECTIVES
    scalarisation: str | None = None
    weights: tuple[float, ...] | None = None
    epochs: int | None = None
    repeat: Repeat = "mean"
    noise: str | None = None

    @classmethod
    def load(cls, path: Path, out: Path | None = None) -> Sweep:
        """Reads a sweep file and checks all of it before anything runs.

        Args:
            path: The file.
            out: Folder for records, instead of the file's ``out``.

        Raises:
            SweepError: Something is missing, unknown or of the wrong type; the message names every problem once.
        """
        try:
            data = read_toml(path)
        except FileNotFoundError:
            raise SweepError(f"there is no file {path}") from None
        except OSError as error:
            raise SweepError(f"{path} cannot be read: {error}") from error
        except CorruptFileError as error:
            raise SweepError(str(error)) from error
        sweep, wrong = _read(data, path, out)
        if sweep is not None:
            wrong += sweep._check()
        if wrong or sweep is None:
            raise SweepError("\n".join(f"{path}: {line}" for line in dict.fromkeys(wrong)))
        return sweep

    def _check(self) -> list[str]:
        """Problems of benchmarks, tasks and methods."""
        wrong = []
        for name in self.benchmarks:
            try:
                self.task(name, self.seeds[0])
            except (ECNASError, ValueError, OSError) as error:
                wrong.append(str(error))
        for algorithm in self.algorithms:
            try:
                kind = type(self.method(algorithm))
                if missing := lacking(kind):
                    extra = "search" if kind.__module__.startswith("ecnas.") else "agents"
                    raise MethodError(f"needs {', '.join(missing)} (pip install 'ecnas-gym[{extra}]')")
            except (ECNASError, ValueError) as error:
                wrong.append(f"algorithm {algorithm.name!r}: {error}")
        return wrong

    def method(self, algorithm: Algorithm) -> Method:
        """The method of an algorithm."""
        return make_method(find_method(algorithm.use, self.folder), algorithm.settings)

    def task(self, benchmark: str, seed: int) -> Task:
        """The task of the run with a seed on a benchmark."""
        world = f"{benchmark}~{seed}" if self.noise == PER_SEED else benchmark
        return Task.of(load(world), self.objectives, self.scalarisation, self.epochs, self.repeat, self.weights)

    def jobs(self) -> list[Job]:
        """All runs, seed by seed, so that partial results are balanced."""
        return [
            Job(self, algorithm, benchmark, budget, seed)
            for seed in self.seeds
            for benchmark in self.benchmarks
            for budget in self.budgets
            for algorithm in self.algorithms
        ]


class Job(NamedTuple):
    """One run of a sweep."""

    sweep: Sweep
    algorithm: Algorithm
    benchmark: str
    budget: float
    seed: int
    replace: bool = False

    @property
    def path(self) -> Path:
        """The path of its record."""
        sweep = self.sweep
        limit = f"budget-{self.budget:g}"
        if sweep.currency != "evaluations":
            limit += f"-{sweep.currency}"
        benchmark = Path(self.benchmark).stem if self.benchmark.endswith(".tfrecord") else Path(self.benchmark).name
        return sweep.out / _slug(benchmark) / _slug(self.algorithm.name) / limit / f"seed-{self.seed}" / "record.jsonl"

    def make_budget(self) -> Budget:
        """A new budget for the run."""
        return Budget(**{CURRENCIES[self.sweep.currency].limit: self.budget})  # type: ignore[arg-type]

    def header(self) -> dict[str, Any]:
        """The definition of the run."""
        method, task = self.sweep.method(self.algorithm), self.sweep.task(self.benchmark, self.seed)
        return make_header(method, task, self.make_budget(), self.seed, self.algorithm.name)

    def __str__(self) -> str:
        return f"{self.algorithm.name} on {self.benchmark}, {self.budget:g} {self.sweep.currency}, seed {self.seed}"


class Outcome(NamedTuple):
    """The result of a job.

    Attributes:
        kind: "done" (by any process), "claimed" (another process is working on it), "other" (its record belongs to
        another
            run) or "failed".
        text: The differences, or the error.
    """

    kind: Literal["done", "claimed", "other", "failed"]
    text: str = ""


def batches(jobs: Iterable[Job], most: int) -> list[list[Job]]:
    """Jobs that one process does at once, if they are of one method with :class:`ManyRuns`; otherwise single jobs.

    Batches are in the order of their first jobs.

    Args:
        jobs: Jobs.
        most: Maximum size of a batch.
    """
    made: list[list[Job]] = []
    open_batches: dict[Any, list[Job]] = {}
    can: dict[str, bool] = {}  # finding a method takes milliseconds, and a sweep has thousands of jobs
    for job in jobs:
        key = (job.algorithm.name, job.benchmark, job.budget)
        if key in open_batches and len(open_batches[key]) < most:
            open_batches[key].append(job)
            continue
        made.append([job])
        name = job.algorithm.name
        if name not in can:
            can[name] = isinstance(job.sweep.method(job.algorithm), ManyRuns)
        if can[name]:
            open_batches[key] = made[-1]
    return made


def execute(jobs: Sequence[Job]) -> list[Outcome]:
    """Does a batch of runs in the current process, except those with a record."""
    outcomes: dict[int, Outcome] = {}
    method = jobs[0].sweep.method(jobs[0].algorithm)
    starts: list[Start] = []
    try:
        with contextlib.ExitStack() as stack:
            for number, job in enumerate(jobs):
                try:
                    set_aside_damaged(job.path)
                    start = stack.enter_context(
                        begun(
                            method,
                            job.sweep.task(job.benchmark, job.seed),
                            job.make_budget(),
                            job.seed,
                            name=job.algorithm.name,
                            path=job.path,
                            replace=job.replace,
                        )
                    )
                except ClaimedError:
                    outcomes[number] = Outcome("claimed")
                except OtherRunError as error:
                    outcomes[number] = Outcome("other", str(error))
                else:
                    if isinstance(start, Start):
                        starts.append(start)
                    else:
                        outcomes[number] = Outcome("done")
            if isinstance(method, ManyRuns) and starts:
                method.run_many(*zip(*starts, strict=True))
            else:
                for start in starts:
                    with contextlib.suppress(BudgetExhaustedError):
                        method.run(*start)
    except Exception:
        failed = Outcome("failed", traceback.format_exc())
        return [outcomes.get(number, failed) for number in range(len(jobs))]
    return [outcomes.get(number, Outcome("done")) for number in range(len(jobs))]


def state(job: Job) -> Outcome | None:
    """The outcome of a job from its existing record; None if there is no complete record."""
    try:
        found = RunRecord.read_header(job.path)
    except (FileNotFoundError, CorruptFileError):
        return None
    other = differences(found, job.header())
    return Outcome("other", "; ".join(other)) if other else Outcome("done")


def set_aside_damaged(path: Path) -> str | None:
    """Renames an incomplete record, so that the run can be repeated; returns what was wrong with it."""
    try:
        RunRecord.read_header(path)
    except FileNotFoundError:
        return None
    except CorruptFileError as error:
        aside = next(
            candidate
            for number in range(1, 1_000_000)
            if not (candidate := path.with_name(f"{path.stem}.damaged-{number}")).exists()
        )
        path.rename(aside)
        return f"{error}; it is kept as {aside.name}"
    return None


def told(others: Iterable[tuple[Job, Outcome]]) -> Iterator[str]:
    """A line for each method whose records belong to other runs, with the differences."""
    by_method: dict[str, Counter[str]] = {}
    for job, outcome in others:
        by_method.setdefault(job.algorithm.name, Counter())[outcome.text] += 1
    for name, texts in by_method.items():
        text, _ = texts.most_common(1)[0]
        more = "" if len(texts) == 1 else f", and {len(texts) - 1} other differences"
        yield (
            f"{name}: {texts.total()} records are of other runs and are not reused ({text}{more}); "
            f"--rerun {name!r} replaces them, --out FOLDER keeps both"
        )


def _slug(name: str) -> str:
    """A unique name of a folder for a name."""
    slug = re.sub(r"[^\w.,()=+~ -]+", "-", name)
    return slug if slug == name and slug.strip(". ") else f"{slug}-{sha256(name.encode()).hexdigest()[:6]}"


# ---------------------------------------------------------------------------------------------------------------------
# Reading a sweep file


def _read(data: Mapping[str, Any], path: Path, out: Path | None) -> tuple[Sweep | None, list[str]]:
    """A sweep from the data of its file, if possible, and all problems."""
    reader = _Reader(data)
    names = {f.name for f in fields(Sweep)} - {"folder", "algorithms"} | {"spaces", "algorithm"}
    reader.refuse_unknown(names)
    if ("benchmarks" in data) == ("spaces" in data):
        reader.wrong.append("either 'benchmarks' or 'spaces' must be given")
    spaces = reader.texts("spaces", ())
    budgets = reader.numbers("budgets", None)
    seeds = reader.seeds()
    currency = reader.one_of("currency", CURRENCIES, "evaluations")
    weights = reader.numbers("weights", ()) or None
    noise = reader.one_of("noise", (PER_SEED,), "") or None
    algorithms = reader.algorithms()
    objectives = reader.texts("objectives", DEFAULT_OBJECTIVES)
    scalarisation = reader.one_of("scalarisation", SCALARISATIONS, "") or None
    epochs, repeat = reader.epochs(), reader.repeat()
    checkpoints = reader.numbers("checkpoints", budgets)
    place = reader.text("out", str(Path("runs") / path.stem))
    benchmarks = reader.texts("benchmarks", tuple(f"surrogate-{space}" for space in spaces))
    if reader.wrong:
        return None, reader.wrong
    sweep = Sweep(
        folder=path.resolve().parent,
        out=out or Path(place),
        algorithms=algorithms,
        benchmarks=benchmarks,
        budgets=budgets,
        seeds=seeds,
        checkpoints=checkpoints,
        currency=currency,
        objectives=objectives,
        scalarisation=scalarisation,
        weights=weights,
        epochs=epochs,
        repeat=repeat,
        noise=noise,
    )
    return sweep, []


class _Reader:
    """Reads values from a sweep file and collects their problems."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data
        self.wrong: list[str] = []

    def refuse_unknown(self, allowed: Iterable[str]) -> None:
        import difflib

        for key in set(self.data) - set(allowed):
            near = difflib.get_close_matches(key, allowed, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; allowed: {', '.join(sorted(allowed))}"
            self.wrong.append(f"unknown key {key!r}{hint}")

    def complain(self, key: str, wanted: str, value: Any) -> None:
        self.wrong.append(f"{key} must be {wanted}, got {value!r}")

    def text(self, key: str, default: str) -> str:
        value = self.data.get(key, default)
        if not isinstance(value, str) or not value.strip():
            self.complain(key, "a text", value)
            return default
        return value

    def one_of(self, key: str, allowed: Iterable[str], default: str) -> str:
        value = self.data.get(key, default)
        if value != default and value not in allowed:
            self.complain(key, f"one of {', '.join(map(repr, allowed))}", value)
            return default
        return str(value)

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        value = self.data.get(key, list(default))
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            self.complain(key, "a list of texts", value)
            return default
        if key in self.data and (not value or len(set(value)) != len(value)):
            self.complain(key, "a list of one or more different texts", value)
        return tuple(value)

    def numbers(self, key: str, default: tuple[float, ...] | None) -> tuple[float, ...]:
        """A list of positive numbers, required if there is no default."""
        if key not in self.data:
            if default is None:
                self.wrong.append(f"{key!r} is missing")
            return default or ()
        value = self.data[key]
        if (
            not isinstance(value, list)
            or not value
            or not all(isinstance(entry, int | float) and not isinstance(entry, bool) for entry in value)
            or not all(0 < entry < np.inf or (key == "weights" and entry == 0) for entry in value)
        ):
            self.complain(key, "a list of numbers above 0", value)
            return default or ()
        return tuple(value)

    def seeds(self) -> tuple[int, ...]:
        if "seeds" not in self.data:
            self.wrong.append("'seeds' is missing")
            return ()
        value = self.data["seeds"]
        ends = [0, value] if isinstance(value, int) else value
        whole = isinstance(ends, list) and all(isinstance(end, int) and not isinstance(end, bool) for end in ends)
        if isinstance(value, bool) or not whole or len(ends) != 2 or not 0 <= ends[0] < ends[1]:
            self.complain("seeds", "a whole number above 0, or [first, last + 1]", value)
            return ()
        if ends[1] > _END_OF_SEEDS or ends[1] - ends[0] > _MOST_SEEDS:
            self.complain("seeds", f"at most {_MOST_SEEDS:,} whole numbers below {_END_OF_SEEDS:,}", value)
            return ()
        return tuple(range(*ends))

    def epochs(self) -> int | None:
        value = self.data.get("epochs")
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            self.complain("epochs", "a whole number", value)
            return None
        return value

    def repeat(self) -> Repeat:
        value = self.data.get("repeat", "mean")
        if isinstance(value, bool) or not (isinstance(value, int) or value in ("mean", "random")):
            self.complain("repeat", "'mean', 'random' or the number of a training", value)
            return "mean"
        return value  # type: ignore[no-any-return]  # checked above

    def algorithms(self) -> tuple[Algorithm, ...]:
        entries = self.data.get("algorithm", [])
        if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
            self.wrong.append("there must be one or more [[algorithm]] tables")
            return ()
        algorithms = []
        for number, entry in enumerate(entries, start=1):
            use, name = entry.get("use"), entry.get("name", entry.get("use"))
            if not isinstance(use, str) or not isinstance(name, str) or not name.strip():
                self.wrong.append(f"[[algorithm]] {number} must have a text 'use' (and 'name'), got {entry!r}")
                continue
            settings = {key: value for key, value in entry.items() if key not in ("name", "use")}
            algorithms.append(Algorithm(name, use, settings))
        twice = [name for name, count in Counter(a.name for a in algorithms).items() if count > 1]
        if twice:
            self.wrong.append(f"algorithms must have different names, {', '.join(map(repr, twice))} is there twice")
        return tuple(algorithms)
