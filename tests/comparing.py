"""Records of small runs for the tests of tables, charts and pages."""

from __future__ import annotations

import hashlib
import json

from ecnas import runs, search

ACCURACY = ("val_accuracy",)
BOTH = ("val_accuracy", "energy")


def record_runs(folder, benchmark="surrogate-4V", methods=None, seeds=3, budget=20, objectives=ACCURACY, **options):
    """Runs of some methods by name, each in a folder of its own; returns the folder."""
    methods = methods or {"random search": search.RandomSearch(), "local search": search.LocalSearch(num_initial=3)}
    for number, (name, method) in enumerate(methods.items()):
        for seed in range(seeds):
            path = folder / f"{number}" / f"{budget}" / f"seed-{seed}" / "record.jsonl"
            runs.run(method, benchmark, budget, seed, objectives=objectives, name=name, path=path, **options)
    return folder


def rewritten(path, change):
    """Changes the header of a record, and makes its digest right again."""
    first, *rows, end = path.read_bytes().splitlines(keepends=True)
    header = json.loads(first)
    change(header)
    first = json.dumps(header).encode() + b"\n"
    closing = json.loads(end)
    closing["sha256"] = hashlib.sha256(first + b"".join(rows)).hexdigest()
    path.write_bytes(first + b"".join(rows) + json.dumps(closing).encode() + b"\n")
