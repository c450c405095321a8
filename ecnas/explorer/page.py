"""The explorer's page: a benchmark, and runs on it, as one self-contained HTML file."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecnas.benchmark import Benchmark
from ecnas.errors import ECNASError, OutOfDomainError
from ecnas.explorer.packing import cell_keys, pack, quantise
from ecnas.pareto import non_dominated
from ecnas.runs.looks import looks
from ecnas.runs.record import RunRecord, benchmark_of
from ecnas.table import COLUMNS, PROVENANCES

WEB: Final = Path(__file__).parent / "web"
SCRIPTS: Final = ("regl.min.js", "cells.js", "scatter.js", "explorer.js")

LABELS: Final = {
    "val_accuracy": ("validation accuracy", ""),
    "test_accuracy": ("test accuracy", ""),
    "train_accuracy": ("training accuracy", ""),
    "energy": ("training energy", "kWh"),
    "co2": ("training CO₂", "g"),
    "training_time": ("training time", "s"),
    "trainable_parameters": ("parameters", ""),
}
"""The name and unit of each metric on the page."""


def render(
    benchmark: Benchmark,
    epochs: int | None = None,
    runs: Sequence[RunRecord] = (),
    title: str | None = None,
) -> str:
    """The page as HTML.

    Args:
        benchmark: The benchmark whose cells are shown.
        epochs: Epochs of training; the highest by default.
        runs: Runs on this benchmark or on a world of it, laid over the cells.
        title: The heading; by default it has the benchmark's name.

    Raises:
        OutOfDomainError: The benchmark has no such epochs, or no accuracy at them.
        ECNASError: A run was on another benchmark.
    """
    epochs = benchmark.check_epochs(epochs)
    if title is None:
        title = f"{benchmark.name}: every cell at {epochs} epochs"
    data, about = _pack(benchmark, epochs, runs)
    about["title"] = title
    page = (WEB / "page.html").read_text(encoding="utf-8")
    parts = {
        "title": html.escape(title),
        "style": (WEB / "style.css").read_text(encoding="utf-8"),
        # "<" would let a text end the script that it stands in
        "about": json.dumps(about, allow_nan=False).replace("<", "\\u003c"),
        "data": data,
        "scripts": "\n".join(f"<script>{(WEB / name).read_text(encoding='utf-8')}</script>" for name in SCRIPTS),
    }
    before, *pieces = page.split("{{")
    filled = (parts[name] + after for name, after in (piece.split("}}", 1) for piece in pieces))
    return before + "".join(filled)


def load_runs(paths: Sequence[Path]) -> list[RunRecord]:
    """All complete records in folders, or in the given files.

    Raises:
        ECNASError: There is none, or one is damaged.
    """
    found = sorted({path for folder in paths for path in _records_below(folder)})
    if not found:
        raise ECNASError(f"no complete run record (*.jsonl) in {', '.join(map(str, paths))}")
    return [record for record in map(RunRecord.load, found) if len(record)]


def _records_below(path: Path) -> Iterator[Path]:
    return path.rglob("*.jsonl") if path.is_dir() else iter([path])


def _pack(benchmark: Benchmark, epochs: int, runs: Sequence[RunRecord]) -> tuple[str, dict[str, Any]]:
    """All arrays, packed, and the information that the page needs about them."""
    values = {name: benchmark.values(name, epochs) for name in COLUMNS}
    values = {name: column for name, column in values.items() if np.isfinite(column).any()}
    accuracies = [name for name in values if name.endswith("_accuracy")]
    if not accuracies:
        raise OutOfDomainError(f"{benchmark.name!r} has no accuracy at {epochs} epochs")
    costs = ["trainable_parameters", *(name for name in values if name not in accuracies)]
    values["trainable_parameters"] = benchmark.values("trainable_parameters", epochs)
    arrays: dict[str, NDArray[Any]] = {
        "cells": cell_keys(benchmark.space),
        "trainable_parameters": benchmark.space.trainable_parameters.astype(np.uint32),
    }
    metrics = []
    for name, (label, unit) in LABELS.items():
        if name not in values:
            continue
        log = name in costs and bool(np.nanmin(values[name]) > 0)
        quantised = quantise(values[name], log)
        if name != "trainable_parameters":
            arrays[name] = quantised.codes
        metrics.append(
            {
                "name": name,
                "label": label,
                "unit": unit,
                "low": quantised.low,
                "high": quantised.high,
                "log": log,
                "accuracy": name in accuracies,
            }
        )
        if benchmark.table.is_mixed and name in COLUMNS:
            arrays[f"origin {name}"] = np.ascontiguousarray(benchmark.table.origins(name, epochs))
    for accuracy in accuracies:
        for cost in costs:
            front = non_dominated(np.stack([values[accuracy], -values[cost]], axis=1))
            arrays[f"front {accuracy} {cost}"] = front.astype(np.int32)
    described = _describe_runs(benchmark, runs)
    if runs:
        arrays["run rows"] = np.concatenate([run.column("row") for run in runs]).astype(np.int32)
        arrays["run choices"] = np.concatenate([run.recommended_rows() for run in runs]).astype(np.int32)
    data, index = pack(arrays)
    about = {
        "benchmark": benchmark.name,
        "space": benchmark.space.name,
        "epochs": epochs,
        "metrics": metrics,
        "provenances": PROVENANCES,
        "provenance": benchmark.table.provenance[epochs],
        "runs": described,
        "methods": [
            {"name": name, "colour": look.colour, "dash": [2 * length for length in look.dashes]}
            for name, look in looks(run["name"] for run in described).items()
        ],
        "index": index,
    }
    return data, about


def _describe_runs(benchmark: Benchmark, runs: Sequence[RunRecord]) -> list[dict[str, Any]]:
    own = benchmark.expected.digest
    answered: dict[str, str] = {}
    described = []
    for run in runs:
        task = run.header["task"]
        if task["digest"] not in answered:
            answered[task["digest"]] = benchmark_of(run.header).expected.digest
        # The embedded spaces are the beginnings of one table: runs of a smaller one lie on a larger one, too.
        if answered[task["digest"]] != own or run.column("row").max() >= len(benchmark.space):
            raise ECNASError(f"a run was on {task['benchmark']!r}, not on {benchmark.name!r}: {run.path or run!r}")
        described.append({"name": run.name, "seed": run.seed, "evaluations": len(run)})
    return described
