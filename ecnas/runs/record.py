"""The run record: what every searcher and every controller leaves behind, one line an evaluation.

A record is a JSON Lines file. Its first line says what ran: algorithm, seed, hyper-parameters, benchmark and digest,
versions. Each further line is one evaluation in the order in which they were made, with the spending up to and with
it. While a run is going on its file is called ``….jsonl.partial``; it gets its name when the run is complete. So a
killed run leaves no record that could be taken for a complete one, is started again from its seed, and never counts
twice.
"""

from __future__ import annotations

import json
import math
import platform
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
from ecnas.budget import Budget
from ecnas.cell import Cell
from ecnas.errors import CorruptFileError

FORMAT: Final = "ecnas-run"
VERSION: Final = 1

_METRICS: Final = (
    "val_accuracy",
    "test_accuracy",
    "train_accuracy",
    "energy",
    "co2",
    "training_time",
    "trainable_parameters",
)
_CUMULATIVE: Final = ("cumulative_epochs", "cumulative_energy", "cumulative_time")
NUMBERS: Final = ("index", "row", "epochs", *_METRICS, *_CUMULATIVE, "wall_clock", "reward")
"""The numeric columns of a record: :meth:`RunRecord.column` gives each as an array."""
_COUNTS: Final = ("index", "row", "epochs", "trainable_parameters", "cumulative_epochs")
"""Those of them that are whole numbers."""
_KEYS: Final = ("index", "hash", "row", "epochs", "provenance", *_METRICS, *_CUMULATIVE, "wall_clock", "reward")
"""Everything that a line on disk has, in its order."""


class RunRecord:
    """The evaluations of one run, in memory and, if it has a path, line by line on disk.

    Use it as a context manager: when the block ends without an error, the record is complete and gets its name.

    Args:
        algorithm: Name of the searcher or controller.
        benchmark: What answered the queries.
        seed: The seed that reproduces the run.
        settings: Hyper-parameters and anything else that is needed to run it again; plain JSON values.
        path: Where the record is written (``.jsonl``); kept in memory alone by default.
    """

    def __init__(
        self,
        algorithm: str,
        benchmark: Benchmark,
        seed: int,
        settings: Mapping[str, Any] | None = None,
        path: Path | None = None,
    ) -> None:
        from ecnas import __version__

        self.header: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "algorithm": algorithm,
            "benchmark": benchmark.name,
            "space": benchmark.space.name,
            "digest": benchmark.digest,
            "seed": seed,
            "code_version": __version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "settings": dict(settings or {}),
        }
        self._make_columns()
        self.path = path
        self._account = Budget()  # without limits: adds up exactly
        self._start = time.perf_counter()
        self._file: IO[str] | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _partial(path).open("w", encoding="utf-8", buffering=1)
            self._file.write(_line(self.header))

    def append(self, cell: Cell, evaluation: Evaluation, reward: float | None = None) -> None:
        """Adds an evaluation, and what the agent was rewarded with for it."""
        metrics = {name: getattr(evaluation, name) for name in _METRICS}
        self._account.charge(epochs=evaluation.epochs, energy=evaluation.energy, seconds=evaluation.training_time)
        spent = self._account.spent
        row = {
            "index": len(self),
            "hash": cell.hash,
            "row": cell.row,
            "epochs": evaluation.epochs,
            "provenance": evaluation.provenance,
            **metrics,
            **dict(zip(_CUMULATIVE, (spent.epochs, spent.energy, spent.seconds), strict=True)),
            "wall_clock": round(time.perf_counter() - self._start, 6),
            "reward": math.nan if reward is None else float(reward),
        }
        self._take(row)
        if self._file is not None:
            self._file.write(_line(row))

    def column(self, name: str) -> NDArray[np.float64]:
        """A numeric column (:data:`NUMBERS`) as float64, shape (evaluations,)."""
        return np.array(self._numbers[name])

    def row(self, index: int) -> dict[str, Any]:
        """All figures of an evaluation by name, as its line on disk has them; NaN where there is none."""
        words = {"hash": self._hashes[index], "provenance": self._provenances[index]}
        row: dict[str, Any] = {key: words[key] if key in words else self._numbers[key][index] for key in _KEYS}
        return row | {key: int(row[key]) for key in _COUNTS if not math.isnan(row[key])}

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Every :meth:`row`, in the order of the evaluations; made anew each time."""
        return [self.row(index) for index in range(len(self))]

    def __len__(self) -> int:
        return len(self._hashes)

    def _make_columns(self) -> None:
        # By column: dictionaries would take several times the memory, and a sweep has thousands of runs.
        self._numbers = {name: array("d") for name in NUMBERS}
        self._hashes: list[str] = []
        self._provenances: list[str] = []

    def _take(self, row: Mapping[str, Any]) -> None:
        for name, column in self._numbers.items():
            value = row[name]
            column.append(math.nan if value is None else value)
        self._hashes.append(row["hash"])
        self._provenances.append(sys.intern(row["provenance"]))

    def close(self, complete: bool = True) -> None:
        """Ends writing; a complete record gets its name, another stays ``.partial``."""
        if self._file is None or self.path is None:
            return
        self._file.close()
        self._file = None
        if complete:
            _partial(self.path).replace(self.path)

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
            FileNotFoundError: There is no such record.
            CorruptFileError: A line is damaged; the message says which.
        """
        record = cls.__new__(cls)
        record.path, record._file = path, None
        lines = path.read_text(encoding="utf-8").splitlines()
        try:
            number = 1
            record.header = json.loads(lines[0])
            if (record.header["format"], record.header["version"]) != (FORMAT, VERSION):
                raise ValueError(f"must be {FORMAT} version {VERSION}")
            record._make_columns()
            for number, line in enumerate(lines[1:], start=2):
                row = json.loads(line)
                if row["index"] != number - 2:
                    raise ValueError(f"index must be {number - 2}, got {row['index']}")
                record._take(row)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise CorruptFileError(f"{path}, line {number}: damaged run record ({error})") from error
        return record


def _partial(path: Path) -> Path:
    return path.with_name(path.name + ".partial")


def _line(values: Mapping[str, Any]) -> str:
    # JSON has no NaN: a figure that is missing is null.
    plain = {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in values.items()}
    return json.dumps(plain, allow_nan=False) + "\n"
