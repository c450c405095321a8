"""Baselines: the judged runs of many methods in one small file, for comparison with your own.

A baseline is an ``.npz`` archive of plain arrays, without pickle. ``header`` holds JSON in bytes: the format, the
origin of the runs, and the definition of every task and method. The traces of all runs
(:class:`ecnas.runs.analysis.Trace`) are concatenated, one array per column; ``length`` and ``seed`` have one entry per
run. Baselines that ship with the package are in ``ecnas/data/baselines`` and are known by name.
"""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecnas.errors import CorruptFileError, ECNASError
from ecnas.files import replaced_file
from ecnas.runs.analysis import QUANTITIES, Trace
from ecnas.runs.comparison import Comparison, MethodRuns, TaskKey, tell_apart
from ecnas.runs.currency import CURRENCIES

FORMAT: Final = "ecnas-baseline"
VERSION: Final = 1
MAX_POINTS: Final = 300
"""Points of a run's trace; longer ones are thinned."""

FOLDER: Final = Path(__file__).resolve().parents[1] / "data" / "baselines"


class BaselineError(ECNASError, ValueError):
    """There is no such baseline, or it has none of the runs' tasks."""


@dataclass(frozen=True)
class Baseline:
    """The content of a baseline file.

    Attributes:
        name: Its name.
        made: How its runs were made, in words.
        tasks: The methods by task.
    """

    name: str
    made: str
    tasks: Mapping[TaskKey, Sequence[MethodRuns]]


def known_baselines() -> list[str]:
    """Names of the baselines that ship with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.npz"))


def save(comparisons: Sequence[Comparison], path: Path, name: str, made: str) -> None:
    """Writes the runs of comparisons as a baseline.

    Args:
        comparisons: Tasks with their methods.
        path: The file to write (``.npz``).
        name: Its name.
        made: How the runs were made: commands, versions, caveats.
    """
    tasks, runs = [], []
    for comparison in comparisons:
        methods = []
        for method in comparison.methods:
            methods.append(
                {
                    "name": method.plain,
                    "method": method.header["method"],
                    "budget": method.header["budget"],
                    "versions": method.header["versions"],
                    "runs": len(method.traces),
                    "empty": method.empty,
                }
            )
            runs += [_thinned(trace) for trace in method.traces]
        key = comparison.key._asdict()
        tasks.append({**key, "benchmark": comparison.worlds[0], "worlds": len(comparison.worlds), "methods": methods})
    worlds = list(dict.fromkeys(trace.world for trace in runs))
    header = {"format": FORMAT, "version": VERSION, "name": name, "made": made, "worlds": worlds, "tasks": tasks}
    columns: dict[str, NDArray[Any]] = {
        "header": np.frombuffer(json.dumps(header).encode(), dtype=np.uint8),
        "length": np.array([len(trace.costs["evaluations"]) for trace in runs], dtype=np.int32),
        "seed": np.array([trace.seed for trace in runs], dtype=np.int64),
        "world": np.array([worlds.index(trace.world) for trace in runs], dtype=np.int32),
        "evaluations": np.array([trace.evaluations for trace in runs], dtype=np.int32),
        "recommended": np.array([trace.recommended for trace in runs], dtype=np.int32),
        "by_itself": np.array([trace.by_itself for trace in runs], dtype=bool),
        "front_length": np.array([len(trace.front) for trace in runs], dtype=np.int32),
        "front": np.concatenate([trace.front for trace in runs]).astype(np.int32),
    }
    for currency in CURRENCIES:
        values = np.concatenate([trace.costs[currency] for trace in runs])
        columns[f"cost_{currency}"] = values.astype(np.int32 if CURRENCIES[currency].unit == "" else np.float32)
    for quantity in dict.fromkeys(name for comparison in comparisons for name in comparison.judge.quantities):
        parts = [trace.values.get(quantity, np.full(len(trace.costs["evaluations"]), np.nan)) for trace in runs]
        columns[f"value_{quantity}"] = np.concatenate(parts).astype(np.float32)
    with replaced_file(path, "wb") as file:
        np.savez_compressed(file, **columns)  # type: ignore[arg-type]  # its stub takes them for allow_pickle


def _thinned(trace: Trace) -> Trace:
    points = len(trace.costs["evaluations"])
    if points <= MAX_POINTS:
        return trace
    kept = np.unique(np.linspace(0, points - 1, MAX_POINTS).round().astype(int))
    costs = {currency: values[kept] for currency, values in trace.costs.items()}
    return replace(trace, costs=costs, values={name: values[kept] for name, values in trace.values.items()})


def load_baseline(name_or_path: str | Path) -> Baseline:
    """Reads a baseline that ships with the package, by its name, or a file.

    Raises:
        BaselineError: There is none.
        CorruptFileError: The file is no baseline, or is damaged.
    """
    path = FOLDER / f"{name_or_path}.npz"
    if str(name_or_path) not in known_baselines():
        path = Path(name_or_path).expanduser()
        if not path.is_file():
            known = ", ".join(map(repr, known_baselines())) or "none"
            raise BaselineError(f"baseline must be one of {known}, or a file, got {str(name_or_path)!r}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            columns = {name: archive[name] for name in archive.files}
        header = json.loads(columns.pop("header").tobytes())
        if (header["format"], header["version"]) != (FORMAT, VERSION):
            raise ValueError(f"must be {FORMAT} version {VERSION}, is {header['format']} {header['version']}")
        return _decoded(header, columns)
    except (
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
        EOFError,
        OSError,
        zipfile.BadZipFile,
    ) as error:
        raise CorruptFileError(f"{path}: no baseline, or a damaged one ({error})") from error


def _decoded(header: Mapping[str, Any], columns: Mapping[str, NDArray[Any]]) -> Baseline:
    ends, front_ends = (np.concatenate(([0], np.cumsum(columns[name]))) for name in ("length", "front_length"))
    costs = {currency: columns[f"cost_{currency}"].astype(np.float64) for currency in CURRENCIES}
    values = {name: columns[f"value_{name}"].astype(np.float64) for name in QUANTITIES if f"value_{name}" in columns}
    tasks: dict[TaskKey, list[MethodRuns]] = {}
    run = 0
    for task in header["tasks"]:
        key = TaskKey(
            str(task["expected"]),
            str(task["space"]),
            bool(task["noisy"]),
            tuple(task["objectives"]),
            str(task["scalarisation"]),
            int(task["epochs"]),
            str(task["repeat"]),
        )
        for method in task["methods"]:
            traces = []
            for number in range(run, run + method["runs"]):
                part = slice(ends[number], ends[number + 1])
                traces.append(
                    Trace(
                        int(columns["seed"][number]),
                        header["worlds"][columns["world"][number]],
                        int(columns["evaluations"][number]),
                        {currency: column[part] for currency, column in costs.items()},
                        {name: column[part] for name, column in values.items()},
                        int(columns["recommended"][number]),
                        columns["front"][front_ends[number] : front_ends[number + 1]].astype(np.int64),
                        bool(columns["by_itself"][number]),
                    )
                )
            run += method["runs"]
            name = method["name"]
            tasks.setdefault(key, []).append(
                MethodRuns(name, name, method, traces, method["empty"], origin=header["name"])
            )
    return Baseline(header["name"], header["made"], tasks)


def add_baseline(comparisons: Sequence[Comparison], name_or_path: str | Path) -> list[Comparison]:
    """Adds the methods of a baseline to your own, task by task.

    Raises:
        BaselineError: There is no such baseline, or it has none of the runs' tasks.
    """
    baseline = load_baseline(name_or_path)
    matching = [comparison for comparison in comparisons if comparison.key in baseline.tasks]
    if not matching:
        reasons = "; ".join(_mismatch(comparison.key, list(baseline.tasks)) for comparison in comparisons)
        raise BaselineError(f"baseline {baseline.name!r} has runs of other tasks: {reasons}")
    for comparison in comparisons:
        if comparison.key not in baseline.tasks:
            reason = _mismatch(comparison.key, list(baseline.tasks))
            print(f"without baseline {baseline.name!r}: {comparison.name} ({reason})", file=sys.stderr)
    return [
        replace(comparison, methods=tell_apart([*comparison.methods, *baseline.tasks.get(comparison.key, [])]))
        for comparison in comparisons
    ]


def _mismatch(key: TaskKey, others: Sequence[TaskKey]) -> str:
    """How a task differs from the most similar one of a baseline."""
    differing = [[name for name in TaskKey._fields if getattr(key, name) != getattr(other, name)] for other in others]
    names = min(differing, key=len)
    other = others[differing.index(names)]
    words = {"expected": "table digest", "noisy": "noise"}
    return ", ".join(
        f"{words.get(name, name)} {_brief(getattr(key, name))}, the baseline's {_brief(getattr(other, name))}"
        for name in names
    )


def _brief(value: object) -> str:
    return value[:12] if isinstance(value, str) and len(value) == 64 else str(value)
