"""Benchmarks of made-up figures, for tests that need no data files."""

from __future__ import annotations

import numpy as np

import ecnas
from ecnas.table import full_columns

EPOCHS = (4, 12, 36, 108)


def synthetic(space: str = "5V", seed: int = 0, noise: float = 0.002, missing: tuple[int, ...] = ()) -> ecnas.Benchmark:
    """A benchmark that resembles the real ones.

    Accuracy and log-energy rise with parameters; skips from input to output help and pooling hurts accuracy; both
    carry noise, and accuracy rises with epochs.
    """
    cells = ecnas.Space(space)
    rng = np.random.default_rng(seed)
    size = np.log(cells.trainable_parameters.astype(float))
    size = (size - size.min()) / np.ptp(size)
    arrays = cells.cells
    skip = arrays.edge_bits >> ((arrays.num_vertices - 1) * (arrays.num_vertices - 2) // 2) & 1
    pools = (arrays.ops == 2).sum(axis=1)
    final = 0.75 + 0.15 * np.sqrt(size) + 0.02 * skip - 0.02 * pools + rng.normal(0, noise, len(cells))
    energy = np.exp(np.log(0.01) + 4 * size + rng.normal(0, 10 * noise, len(cells)))
    learnt = np.array([0.6, 0.8, 0.95, 1.0])
    epochs = np.array(EPOCHS)
    accuracy = (final[:, None] * learnt)[:, :, None]
    spent = (energy[:, None] * epochs / 108)[:, :, None]
    columns = {
        "val_accuracy": accuracy,
        "test_accuracy": accuracy - 0.005 + rng.normal(0, 0.002, (len(cells), 1, 1)),
        "energy": spent,
        "training_time": spent * 1e4,
    }
    provenance = dict.fromkeys(EPOCHS, "surrogate")
    table = ecnas.Table(
        "synthetic", cells, EPOCHS, 1, provenance, full_columns(columns), f"{seed:064x}", frozenset(missing)
    )
    return ecnas.Benchmark(table)
