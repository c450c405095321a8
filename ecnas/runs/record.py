"""The run record of every run of every method: a file with one line per evaluation.

A record is a JSON Lines file::

    {"format": "ecnas-run", "version": 2, "name": …, "method": {…}, "task": {…}, "budget": {…}, "seed": 0, …}
    {"index": 0, "hash": …, "row": …, "epochs": 108, "val_accuracy": …, …, "reward": …}      one line per evaluation
    {"recommend": 20411}                                             the method's own choice, from here on
    {"end": true, "evaluations": 500, …, "sha256": "…"}              of all lines before, and of the mark itself

The header contains everything that defines the run: two runs are the same if and only if their :func:`identity` is
equal. During a run the file is called ``….jsonl.partial``; it gets its name when the run is complete. The end mark
distinguishes a complete record from a truncated or damaged one.
"""

from __future__ import annotations

import hashlib
import json
import math
import operator
import sys
import time
from array import array
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from ecnas.benchmark import Benchmark, Evaluation
from ecnas.cell import Cell
from ecnas.decimals import ExactSum
from ecnas.errors import CorruptFileError, ECNASError
from ecnas.files import write_text
from ecnas.runs.currency import currency_of
from ecnas.space import Space

FORMAT: Final = "ecnas-run"
VERSION: Final = 2

_METRICS: Final = (
    "val_accuracy",
    "test_accuracy",
    "train_accuracy",
    "energy",
    "co2",
    "training_time",
    "trainable_parameters",
)
_metrics_of = operator.attrgetter(*_METRICS)
_CUMULATIVE: Final = ("cumulative_epochs", "cumulative_energy", "cumulative_time")
NUMBERS: Final = ("index", "row", "epochs", *_METRICS, *_CUMULATIVE, "wall_clock", "reward")
"""The numeric columns of a record: :meth:`RunRecord.column` gives each as an array."""
_COUNTS: Final = ("index", "row", "epochs", "trainable_parameters", "cumulative_epochs")
"""The integer columns."""
_KEYS: Final = ("index", "hash", "row", "epochs", "provenance", *_METRICS, *_CUMULATIVE, "wall_clock", "reward")
"""The keys of an evaluation's line on disk, in order."""

_HEADER: Final = {"name": str, "method": dict, "task": dict, "budget": dict, "seed": int, "versions": dict}
"""The keys that a header must have."""

_IDENTITY: Final[dict[str, tuple[str, ...]]] = {
    "method": ("class", "source", "settings"),
    "task": ("digest", "space", "objectives", "scalarisation", "epochs", "repeat"),
}
"""The parts of these entries of a header that define a run; names and paths may differ."""


def identity(header: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a header that defines the run: two runs are the same if it is equal."""
    parts = {entry: {key: header[entry].get(key) for key in keys} for entry, keys in _IDENTITY.items()}
    return {**parts, "budget": header["budget"], "seed": header["seed"], "versions": header["versions"]}


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """The differences between two runs, from their headers, in a few words each; none if they are the same run."""
    words = []
    for name, old, new in _leaves(identity(found), identity(wanted)):
        if name == "method.source":
            words.append("source changed")
        else:
            words.append(f"{name.removeprefix('method.settings.').removeprefix('task.')} {old!r} → {new!r}")
    return words


def _leaves(old: Any, new: Any, name: str = "") -> list[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = dict.fromkeys([*old, *new])
        return [leaf for key in keys for leaf in _leaves(old.get(key), new.get(key), f"{name}.{key}".lstrip("."))]
    return [] if old == new else [(name, old, new)]


class RunRecord:
    """The evaluations of one run, in memory and, if it has a path, line by line on disk.

    Use it as a context manager: if the block ends without an error, the record is complete and gets its name.

    Args:
        header: The definition of the run (:func:`ecnas.runs.make_header`): plain JSON values.
        path: File for the record (``.jsonl``); by default it is only kept in memory.

    Attributes:
        header: As above.
        path: As above.
        invalid_episodes: Number of episodes that ended with a forbidden action. They are not charged.
    """

    def __init__(self, header: Mapping[str, Any], path: Path | None = None) -> None:
        started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.header: dict[str, Any] = {"format": FORMAT, "version": VERSION, **header, "started": started}
        self.path = path
        self.invalid_episodes = 0
        self._make_columns()
        self._epochs, self._energy, self._seconds = 0, ExactSum(), ExactSum()
        self._start = time.perf_counter()
        self._file: IO[bytes] | None = None
        self._hash = hashlib.sha256()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _partial(path).open("wb", buffering=0)
            self._write(self.header)

    @property
    def name(self) -> str:
        """Name of the method in tables, plots and pages."""
        return str(self.header["name"])

    @property
    def seed(self) -> int:
        """The seed that reproduces the run."""
        return int(self.header["seed"])

    @property
    def objectives(self) -> tuple[str, ...]:
        """The objectives."""
        return tuple(self.header["task"]["objectives"])

    @property
    def epochs(self) -> int:
        """The fidelity of the search: the epochs at which cells are compared."""
        return int(self.header["task"]["epochs"])

    def append(self, cell: Cell, evaluation: Evaluation, reward: float) -> None:
        """Adds an evaluation and its reward."""
        self._epochs += evaluation.epochs
        row = {
            "index": len(self),
            "hash": cell.hash,
            "row": cell.row,
            "epochs": evaluation.epochs,
            "provenance": evaluation.provenance,
            **dict(zip(_METRICS, _metrics_of(evaluation), strict=True)),
            "cumulative_epochs": self._epochs,
            "cumulative_energy": _added(self._energy, evaluation.energy),
            "cumulative_time": _added(self._seconds, evaluation.training_time),
            "wall_clock": round(time.perf_counter() - self._start, 6),
            "reward": float(reward),
        }
        self._take(row)
        self._write(row)

    def recommend(self, row: int) -> None:
        """Notes the row of the cell that the method recommends from the last evaluation on."""
        self._take_recommendation(row)
        self._write({"recommend": row})

    def column(self, name: str) -> NDArray[np.float64]:
        """A numeric column (:data:`NUMBERS`) as float64, shape (evaluations,)."""
        return np.array(self._numbers[name])

    def costs(self, currency: str = "evaluations") -> NDArray[np.float64]:
        """Cumulative cost after each evaluation, shape (evaluations,)."""
        column = currency_of(currency).column
        return np.arange(1.0, len(self) + 1) if column is None else self.column(column)

    def best_seen(self) -> NDArray[np.int64]:
        """Index of the best evaluation so far, by reward at the fidelity, after each evaluation; −1 for none."""
        seen = np.where(self.column("epochs") == self.epochs, self.column("reward"), -np.inf)
        best = np.maximum.accumulate(seen)
        improves = seen > np.concatenate(([-np.inf], best[:-1]))
        indices: NDArray[np.int64] = np.maximum.accumulate(np.where(improves, np.arange(len(seen)), -1))
        return indices

    def recommended_rows(self) -> NDArray[np.int64]:
        """Row of the recommended cell after each evaluation; −1 for none.

        The method's own recommendation if it makes one, otherwise :meth:`best_seen`.
        """
        best = self.best_seen()
        rows = np.where(best >= 0, self.column("row").astype(np.int64)[np.maximum(best, 0)], -1)
        own = np.array(self._recommended, dtype=np.int64)
        return np.where(own >= 0, own, rows)

    @property
    def recommends(self) -> bool:
        """Whether the method makes its own recommendations."""
        return any(row >= 0 for row in self._recommended)

    def row(self, index: int) -> dict[str, Any]:
        """All metrics of an evaluation by name, as in its line on disk; NaN for missing ones."""
        words = {"hash": self._hashes[index], "provenance": self._provenances[index]}
        row: dict[str, Any] = {key: words[key] if key in words else self._numbers[key][index] for key in _KEYS}
        return row | {key: int(row[key]) for key in _COUNTS if not math.isnan(row[key])}

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Every :meth:`row`, in the order of the evaluations; made anew each time."""
        return [self.row(index) for index in range(len(self))]

    def __len__(self) -> int:
        return len(self._hashes)

    def __repr__(self) -> str:
        task = self.header["task"]
        return f"<RunRecord {self.name} on {task['benchmark']}, seed {self.seed}: {len(self)} evaluations>"

    def _repr_html_(self) -> str:
        from ecnas.notebook import of_record

        return of_record(self)

    def _make_columns(self) -> None:
        # By column: dictionaries would take several times the memory, and a sweep has thousands of runs.
        self._numbers = {name: array("d") for name in NUMBERS}
        self._hashes: list[str] = []
        self._provenances: list[str] = []
        self._recommended = array("q")
        self._choice = -1

    def _take(self, row: Mapping[str, Any]) -> None:
        for name, column in self._numbers.items():
            value = row[name]
            column.append(math.nan if value is None else value)
        self._hashes.append(row["hash"])
        self._provenances.append(sys.intern(row["provenance"]))
        self._recommended.append(self._choice)

    def _take_all(self, rows: list[dict[str, Any]]) -> None:
        """Fills an empty record; by column, since a sweep's report reads millions of evaluations."""
        evaluations = [row for row in rows if "recommend" not in row]
        for name in NUMBERS:
            values = [row[name] for row in evaluations]
            self._numbers[name] = array("d", [math.nan if value is None else value for value in values])
            if np.isinf(self._numbers[name]).any():
                raise ValueError(f"{name} must be finite")
            if name in _COUNTS and not set(map(type, values)) <= {int}:
                raise ValueError(f"{name} must be a whole number")
        if self._numbers["index"].tolist() != list(range(len(evaluations))):
            raise ValueError("index must count the evaluations from 0")
        self._hashes = [row["hash"] for row in evaluations]
        self._provenances = [sys.intern(row["provenance"]) for row in evaluations]
        self._recommended = array("q", [-1]) * len(evaluations)
        if len(evaluations) == len(rows):
            return
        position = 0
        for row in rows:
            if "recommend" not in row:
                position += 1
            else:
                # From the evaluation before on, until another is recommended.
                start = max(position - 1, 0)
                self._recommended[start:] = array("q", [row["recommend"]]) * (len(evaluations) - start)

    def _take_recommendation(self, row: int) -> None:
        self._choice = row
        if self._recommended:
            self._recommended[-1] = row

    def _write(self, values: Mapping[str, Any]) -> None:
        if self._file is not None:
            line = _line(values)
            self._hash.update(line)
            self._file.write(line)

    def close(self, complete: bool = True) -> None:
        """Closes the file. A complete record gets its end mark and its name, an incomplete one stays ``.partial``.

        The recommended cell is written beside a complete record (:func:`cell_path`).
        """
        if self._file is None or self.path is None:
            return
        if complete:
            chosen = self._chosen_cells()
            end = {"end": True, "evaluations": len(self), "invalid_episodes": self.invalid_episodes, **chosen}
            self._hash.update(_line(end))
            self._file.write(_line({**end, "sha256": self._hash.hexdigest()}))
            if chosen:
                write_text(cell_path(self.path), json.dumps(chosen["recommended"], indent=1) + "\n")
        self._file.close()
        self._file = None
        if complete:
            _partial(self.path).replace(self.path)

    def _chosen_cells(self) -> dict[str, Any]:
        """The best and the recommended cell, as matrix and operations."""
        best = int(self.best_seen()[-1]) if len(self) else -1
        if best < 0:
            return {}
        space = Space(self.header["task"]["space"])
        rows = {"best": int(self.column("row")[best]), "recommended": int(self.recommended_rows()[-1])}
        return {key: {"row": row, "hash": space[row].hash, **_drawn(space[row])} for key, row in rows.items()}

    def __enter__(self) -> RunRecord:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(complete=kind is None)

    @classmethod
    def load(cls, path: Path) -> RunRecord:
        """Reads a complete record.

        Raises:
            FileNotFoundError: The record does not exist.
            CorruptFileError: It is truncated, damaged or in another format; the message says where.
        """
        lines, header, end = _checked(path)
        record = cls.__new__(cls)
        record.path, record._file, record.header = path, None, header
        record._make_columns()
        try:
            record.invalid_episodes = int(end["invalid_episodes"])
            record._take_all(_parsed(lines, path))
            if len(record) != end["evaluations"]:
                raise ValueError(f"{end['evaluations']} evaluations were made, {len(record)} are there")
        except (ValueError, KeyError, IndexError, TypeError, OverflowError, RecursionError) as error:
            raise CorruptFileError(f"{path}: damaged run record ({type(error).__name__}: {error})") from error
        return record

    @staticmethod
    def read_header(path: Path) -> dict[str, Any]:
        """The header of a record that is whole; its evaluations are checked by their digest and not read.

        Raises:
            FileNotFoundError: There is no such record.
            CorruptFileError: It is cut, damaged or of another format.
        """
        return _checked(path)[1]


def cell_path(record: Path) -> Path:
    """Path of the recommended cell: ``cell.json`` beside ``record.jsonl``, otherwise named like the record."""
    return record.with_name("cell.json") if record.stem == "record" else record.with_suffix(".cell.json")


def benchmark_of(header: Mapping[str, Any]) -> Benchmark:
    """The benchmark of a run: by its name, or by the path of its table.

    Raises:
        ECNASError: It is not available, or its metrics are not those of the run.
    """
    from ecnas.loading import load

    task = header["task"]
    others = []
    for place in (task["benchmark"], task["path"]):
        if place is None:
            continue
        try:
            benchmark = load(place)
        except (ECNASError, OSError, ValueError) as error:
            others.append(str(error))
            continue
        if benchmark.digest == task["digest"]:
            return benchmark
        others.append(f"{place} has other metrics (digest {benchmark.digest[:12]})")
    wanted = f"{task['benchmark']!r} (digest {task['digest'][:12]})"
    raise ECNASError(f"the benchmark {wanted} of the run is not there: {'; '.join(others)}")


def _checked(path: Path) -> tuple[list[bytes], dict[str, Any], dict[str, Any]]:
    """The lines of the evaluations, the header and the end mark of a whole record."""
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    try:
        header = json.loads(lines[0])
        if (header["format"], header["version"]) != (FORMAT, VERSION):
            raise CorruptFileError(
                f"{path}: must be {FORMAT} version {VERSION}, is {header['format']} {header['version']}"
            )
        for entry, kind in _HEADER.items():
            if not isinstance(header[entry], kind):
                raise ValueError(f"{entry} must be of type {kind.__name__}, got {header[entry]!r}")
        end = json.loads(lines[-1])
        if end.get("end") is not True or not lines[-1].endswith(b"\n"):
            raise CorruptFileError(f"{path}: the end mark is missing: the record was cut after line {len(lines)}")
        given = end.pop("sha256")
        digest = hashlib.sha256(memoryview(content)[: len(content) - len(lines[-1])])
        of_lines = digest.hexdigest()  # of the lines alone, as the first records of this version have it
        digest.update(_line(end))
        if given not in (of_lines, digest.hexdigest()):
            raise CorruptFileError(f"{path}: damaged run record (its lines do not have the digest of its end mark)")
    except CorruptFileError:
        raise
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise CorruptFileError(f"{path}: damaged run record ({type(error).__name__}: {error})") from error
    return lines[1:-1], header, end


def _parsed(lines: list[bytes], path: Path) -> list[dict[str, Any]]:
    """Lines of JSON objects, all at once, which is several times as fast as one by one.

    Raises:
        CorruptFileError: A line is not a JSON object; the message says which.
    """
    try:
        rows: list[dict[str, Any]] = json.loads(b"[" + b",".join(lines) + b"]")
        if len(rows) == len(lines):
            return rows
    except ValueError:
        pass
    for number, line in enumerate(lines, start=2):
        try:
            json.loads(line)
        except ValueError as error:
            raise CorruptFileError(f"{path}, line {number}: damaged run record ({error})") from error
    raise CorruptFileError(f"{path}: damaged run record (a line holds more than one value)")


def _added(total: ExactSum, amount: float) -> float:
    """Adds an amount, unless it is NaN, and returns the sum."""
    if amount == amount:
        total.add(amount)
    return float(total.total)


def _drawn(cell: Cell) -> dict[str, Any]:
    return {"adjacency": cell.adjacency.tolist(), "ops": list(cell.ops)}


def _partial(path: Path) -> Path:
    return path.with_name(path.name + ".partial")


_encode = json.JSONEncoder(allow_nan=False).encode


def _line(values: Mapping[str, Any]) -> bytes:
    # JSON has no NaN: a metric that is missing is null.
    plain = {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in values.items()}
    return _encode(plain).encode() + b"\n"
