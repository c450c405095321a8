"""The composition of the published energies: joules of the devices, and the factor by which EC-NAS multiplied them.

python benchmarks/published_power.py FILE.tfrecord …

Prints the table of docs/measure.md on published energies.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ecnas.network.meter import JOULES_PER_KWH
from ecnas.official.messages import POWER_USAGE, Field, double_at, fields_of
from ecnas.official.records import read_blocks
from ecnas.official.rows import Row, read_row

TOTAL_ENERGY, JOULES = 4, 2
GPU, CPU = 1, 2
EPOCHS = 4


def main(paths: list[Path]) -> None:
    print("| file | rows | published total over joules: lowest, median, highest | processor's part of the joules |")
    print("|---|---:|---|---:|")
    for path in paths:
        drawn = np.array(list(map(figures, records(path))))
        factor = drawn[:, 0] * JOULES_PER_KWH / drawn[:, 1:].sum(axis=1)
        low, middle, high = np.percentile(factor, [0, 50, 100])
        part = np.median(drawn[:, 2] / drawn[:, 1:].sum(axis=1))
        print(f"| {path.stem} | {len(drawn):,} | {low:.4f}, {middle:.4f}, {high:.4f} | {100 * part:.0f}% |")


def records(path: Path) -> Iterator[Row]:
    """The rows of trainings of four epochs, all of which were metered; longer ones may be scaled."""
    for block in read_blocks(path):
        for start, length in zip(block.starts.tolist(), block.lengths.tolist(), strict=True):
            if (row := read_row(block.content[start : start + length].tobytes())).epochs == EPOCHS:
                yield row


def figures(row: Row) -> tuple[float, float, float]:
    """Energy (kWh) of a whole training with its evaluations, and joules of its graphics cards and its processors."""
    message = row.message
    fields = list(fields_of(message))
    energy = next(double_at(message, field.start) for field in fields if field.number == TOTAL_ENERGY)
    usage = next(field for field in fields if field.number == POWER_USAGE)
    return energy, sum(doubles(message, usage, GPU)), sum(doubles(message, usage, CPU))


def doubles(message: bytes, usage: Field, kind: int) -> list[float]:
    return [
        double_at(message, inner.start)
        for device in fields_of(message, usage.start, usage.end)
        if device.number == kind
        for listed in fields_of(message, device.start, device.end)
        if listed.number == JOULES
        for inner in fields_of(message, listed.start, listed.end)
    ]


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
