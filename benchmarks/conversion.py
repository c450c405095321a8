"""Time and memory for converting and opening a file of the size of the published 7V surrogate.

Writes a synthetic file with the cells, the number of rows and the length of every row of energy_7V9E_surrogate (its
figures are random), converts it in a fresh process, and opens the table in others, each of which makes queries.

    python benchmarks/conversion.py --folder /tmp/conversion --processes 4

The file is kept in the folder and reused. "Peak" is the largest resident set, as ``/usr/bin/time -v`` reports it,
of the converting process, and of the process beside it that runs tensorflow; their sum is an upper bound, since their
peaks need not coincide. Shared libraries and mapped files are counted wherever they are in use. Processor time is given
beside the seconds, since these say little on a machine that is busy with other work.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ecnas.official.catalogue import CATALOGUE
from ecnas.official.export import column_records, write_rows
from ecnas.official.messages import EVALUATION, FIGURE_FIELDS, bytes_field, double_field, varint_field
from ecnas.space import Space
from ecnas.table import Provenance, Table, columns_digest, full_columns

FIGURES = ("train_accuracy", "val_accuracy", "test_accuracy", "energy")  # four doubles make rows of the right length

CONVERT = """
import resource, sys, time
started = time.perf_counter()
from pathlib import Path
from ecnas.official import table_of_file
table_of_file(Path(sys.argv[1]))
seconds = time.perf_counter() - started
import json
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps([seconds, *(one.ru_utime + one.ru_stime for one in used), *(one.ru_maxrss for one in used)]))
"""

OPEN = """
import sys, time
import ecnas
started, cpu = time.perf_counter(), time.process_time()
benchmark = ecnas.load(sys.argv[1])
seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
import numpy as np
for row in np.random.default_rng(0).integers(len(benchmark.space), size=10_000).tolist():
    benchmark.query_row(row)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
import json
print(json.dumps([seconds, cpu, int(status["VmRSS"].split()[0]), int(status["RssAnon"].split()[0])]), flush=True)
sys.stdin.read()  # stays open until all others are
"""


def message(figures: Mapping[str, float], epochs: int, parameters: int) -> bytes:
    evaluation = b"".join(double_field(FIGURE_FIELDS[name], figures[name]) for name in FIGURES)
    return bytes_field(EVALUATION, evaluation) * 3 + varint_field(2, parameters)


def synthetic_table() -> Table:
    space, epochs = Space("7V"), (4, 12, 36, 108)
    random = np.random.default_rng(0)
    columns = full_columns({name: random.random((len(space), len(epochs), 1)) for name in FIGURES})
    provenance: dict[int, Provenance] = dict.fromkeys(epochs, "surrogate")
    return Table("synthetic", space, epochs, 1, provenance, columns, columns_digest(columns))


def run(code: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("build/conversion"), help="for the file and the cache")
    parser.add_argument("--processes", type=int, default=4, help="processes that open the table at once")
    parser.add_argument("--repeats", type=int, default=1, help="number of conversions")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    path = arguments.folder / "synthetic_7V.tfrecord"
    if not path.exists():
        started = time.perf_counter()
        table = synthetic_table()
        rows = write_rows(path, column_records(table, message), len(table.space) * len(table.epochs))
        print(f"written: {rows:,} rows in {time.perf_counter() - started:.1f} s")
    published = CATALOGUE["energy_7V9E_surrogate"].size
    print(f"file: {path.stat().st_size:,} bytes (published file: {published:,})")

    for number in range(max(arguments.repeats, 1)):
        os.environ["ECNAS_CACHE"] = str(arguments.folder / f"cache-{os.getpid()}-{number}")
        converting = run(CONVERT, str(path))
        seconds, own_cpu, beside_cpu, own, beside = json.loads(converting.communicate()[0])
        print(
            f"conversion: {seconds:.1f} s (processor time {own_cpu:.1f} s converting + {beside_cpu:.1f} s tensorflow); "
            f"peak {own / 1024:.0f} MiB converting + {beside / 1024:.0f} MiB tensorflow "
            f"= {(own + beside) / 1024:.0f} MiB at most"
        )

    processes = [run(OPEN, str(path)) for _ in range(arguments.processes)]
    results = [json.loads(process.stdout.readline()) for process in processes if process.stdout]
    for process in processes:
        process.communicate("")
    for seconds, cpu, resident, anonymous in results:
        print(
            f"open: {1000 * seconds:.1f} ms (processor time {1000 * cpu:.1f} ms); "
            f"after 10,000 queries {resident / 1024:.0f} MiB resident, of which {anonymous / 1024:.0f} MiB its own"
        )


if __name__ == "__main__":
    main()
