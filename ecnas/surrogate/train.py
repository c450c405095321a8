"""Makes the embedded table: ``python -m ecnas.surrogate.train``, or ``make surrogate``.

Reads the measurements, trains, and writes the table and its report. An interrupted run resumes after its last stage;
``--work`` names the folder of the stages.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ecnas.loading import EMBEDDED_FOLDER
from ecnas.noise import MODEL_FILE
from ecnas.space import Space
from ecnas.surrogate import noise, report
from ecnas.surrogate.data import load_targets
from ecnas.surrogate.features import features_of
from ecnas.surrogate.graph_network import Hyperparameters
from ecnas.surrogate.stages import (
    TRAINED_FOLDS,
    energy_predictions,
    learning_curve,
    network_predictions,
)
from ecnas.surrogate.tables import accuracies, calibrations, embedded_table, finish, save, unseen_predictions

ROOT = Path(__file__).parents[2]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m ecnas.surrogate.train", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of training data")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "surrogate", help="folder of the stages")
    parser.add_argument("--table", type=Path, default=EMBEDDED_FOLDER, help="folder to write the table to")
    parser.add_argument("--noise", type=Path, default=MODEL_FILE, help="file to write the noise model to")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="folder of the report")
    parser.add_argument("--processes", type=int, default=2, help="networks to train at once, one thread each")
    args: Any = parser.parse_args(arguments)
    if not (args.data / "training").is_dir():
        parser.exit(1, f"{args.data} holds no training data; name the folder with --data\n")
    started = time.monotonic()

    def note(stage: str) -> None:
        print(f"[{time.monotonic() - started:6.0f} s] {stage}", flush=True)

    note("reading")
    metrics = load_targets(args.data)
    note("networks")
    networks = network_predictions(args.data, args.work, Hyperparameters(), args.processes)
    note("energy")
    features = features_of(Space("7V").cells)
    unseen_energy, log_energy = energy_predictions(args.data, args.work, features, metrics)
    unseen = unseen_predictions(networks, TRAINED_FOLDS)
    corrections = calibrations(unseen, metrics)
    noise_model, mean_of_best = noise.fit(args.data, *accuracies(args.data, unseen, corrections), metrics)
    made = networks.mean(axis=0, dtype=np.float64)
    table = embedded_table(finish(args.data, made, corrections, mean_of_best, log_energy))
    save(table, args.table)
    noise.write(args.noise, noise_model)
    note(f"table {table.digest[:12]} in {args.table}, noise in {args.noise}")
    curve = learning_curve(args.data, args.work, Hyperparameters())
    note("report")
    unseen_finished = finish(args.data, unseen, corrections, mean_of_best, np.zeros(len(unseen)))
    report.write(
        args.docs, args.table, args.data, networks, metrics, unseen_finished, noise_model, unseen_energy, curve
    )
    note("done")


if __name__ == "__main__":
    main()
