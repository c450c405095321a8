"""Parameters and multiply-adds of built networks against ecnas.cost: the whole 5V space and a sample of the 7V space.

python benchmarks/network_counts.py [--sample 2000] [--skip 4479]

Networks are built in Keras with shapes only. Each takes half a second on one core.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import keras
import numpy as np
import tyro
from tqdm import tqdm

import ecnas
from ecnas.network import build


@dataclass
class Args:
    """Build networks and compare their counts."""

    sample: int = 2000
    """Cells of six and seven vertices, drawn without replacement."""
    seed: int = 0
    """Seed of the sample."""
    skip: int = 0
    """Skip this many cells, to continue an interrupted run: those of 5V come first, then the sample."""


def main(args: Args) -> int:
    start, first = time.perf_counter(), len(ecnas.Space("5V"))
    space = ecnas.Space("7V")
    drawn = np.random.default_rng(args.seed).choice(np.arange(first, len(space)), args.sample, replace=False)
    rows, wrong = [*range(first), *drawn.tolist()][args.skip :], []
    for row in tqdm(rows):
        cell = space[row]
        if counts(cell) != (cell.trainable_parameters, cell.multiply_adds):
            wrong.append(row)
            tqdm.write(f"row {row} differs")
    small = sum(row < first for row in rows)
    seconds = time.perf_counter() - start
    print(f"{small:,} cells of space 5V and {len(rows) - small:,} more of space 7V in {seconds:.0f} s")
    print(f"networks whose parameters or multiply-adds differ from ecnas.cost: {len(wrong)} {wrong[:10]}")
    return bool(wrong)


def counts(cell: ecnas.Cell) -> tuple[int, int]:
    """Trainable parameters and multiply-adds, from the layers of the built network alone."""
    keras.utils.clear_session()
    with keras.StatelessScope(initialize_variables=False):
        model = build(cell)
    parameters = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    multiply_adds = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            multiply_adds += int(np.prod(layer.kernel.shape)) * int(np.prod(layer.output.shape[1:-1]))
    return parameters, multiply_adds


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Args)))
