"""From the measured metrics to predictions for all cells, stage by stage.

Every stage writes one file to a working folder, atomically, and is not repeated if its file exists. The name of the
file includes a digest of its inputs (settings and training data), so nothing stale is used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecnas.files import replaced_file
from ecnas.space import Space
from ecnas.surrogate.data import TARGETS, load_targets, target
from ecnas.surrogate.features import CELL_FEATURES, FLOW_FEATURES, WIDTH_FEATURES, Features, features_of
from ecnas.surrogate.graph_network import Hyperparameters

FOLDS: Final = 4
"""Every network leaves out a quarter of all cells, so each cell has at most one prediction by a network that did not
see it. The published prediction of a cell is the mean over the networks."""

TRAINED_FOLDS: Final = (0, 1)
"""Folds whose networks are trained and averaged."""

LEARNING_FRACTIONS: Final = (1 / 64, 1 / 16, 1 / 4)
"""Parts of the training cells for the learning curve, which ends with the network of fold 0 itself."""

SEED: Final = 20210615

_ERROR_SCALE: Final = tuple(
    target(f"{name}") for name in ("test_108", "val_36", "val_108", "other_val_108", "other_test_108")
)
_PERFECT: Final = 1.002

Metrics = NDArray[np.float64]


def fold_of_cells(num_cells: int) -> NDArray[np.int64]:
    """The fold that leaves each cell out. Rows are unique cells, so isomorphic cells cannot be in two folds."""
    return np.random.default_rng(SEED).integers(0, FOLDS, num_cells)


def standardise(metrics: Metrics) -> tuple[Metrics, Callable[[Metrics], Metrics]]:
    """Targets on the scale that the network learns on, and the way back.

    Accuracies after 36 and 108 epochs become −log(1.002 − accuracy), which spreads out the top: the step
    from 93% to 94% is as large as that from 86% to 88%. All targets are then centred and scaled by their median and
    median deviation.
    """
    scaled = metrics.copy()
    scaled[:, _ERROR_SCALE] = -np.log(_PERFECT - metrics[:, _ERROR_SCALE])
    centre = np.nanmedian(scaled, axis=0)
    spread = 1.4826 * np.nanmedian(np.abs(scaled - centre), axis=0)

    def back(values: Metrics) -> Metrics:
        result: Metrics = values * spread + centre
        result[:, _ERROR_SCALE] = _PERFECT - np.exp(-result[:, _ERROR_SCALE])
        return result

    standardised: Metrics = (scaled - centre) / spread
    return standardised, back


def digest_of(*parts: Any) -> str:
    """An eight-digit digest of the parts; a path stands for the content of its file."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.read_bytes() if isinstance(part, Path) else repr(part).encode())
    return digest.hexdigest()[:8]


def training_files(folder: Path) -> list[Path]:
    """The files that the models depend on."""
    training, official = folder / "training", folder / "official"
    return [
        *(
            training / name
            for name in ("nb101_test108.npz", "nb101_val.npz", "energy_7v_4epochs.csv", "measured_5v_108.csv")
        ),
        *(official / f"{name}.tfrecord" for name in ("energy_5V9E_4epochs", "energy_4V9E_linscale")),
    ]


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Writes an array atomically."""
    with replaced_file(path, "wb") as file:
        np.save(file, array, allow_pickle=False)


def network_predictions(
    folder: Path,
    work: Path,
    settings: Hyperparameters,
    processes: int = 2,
    folds: Sequence[int] = TRAINED_FOLDS,
    fraction: float = 1.0,
) -> NDArray[np.float32]:
    """Trains one network per fold, several at once with one thread each, and predicts all cells with each.

    Args:
        folder: The folder of training data.
        work: The working folder.
        settings: Hyperparameters.
        processes: How many networks to train at once.
        folds: Folds to train.
        fraction: Share of the cells outside the fold to learn from.

    Returns:
        float32, shape (folds, cells, targets), in the units of :func:`ecnas.surrogate.data.load_targets`.
    """
    digest = digest_of(settings, SEED, FOLDS, TARGETS, fraction, *training_files(folder))
    paths = [work / f"network-{fold}-{digest}.npy" for fold in folds]
    waiting = [
        (folder, path, settings, fold, fraction) for path, fold in zip(paths, folds, strict=True) if not path.exists()
    ]
    if waiting:
        work.mkdir(parents=True, exist_ok=True)
        # Processes that do not inherit this one's threads: torch must not be forked while it holds locks.
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            for future in [pool.submit(_train_fold, *arguments) for arguments in waiting]:
                future.result()
    return np.stack([np.load(path, allow_pickle=False) for path in paths])


def learning_curve(folder: Path, work: Path, settings: Hyperparameters) -> dict[int, NDArray[np.float32]]:
    """Predictions of networks of fold 0 that learn from some of the cells, by number of cells."""
    num_cells = int((fold_of_cells(len(Space("7V"))) != 0).sum())
    return {
        int(num_cells * fraction): network_predictions(folder, work, settings, 1, (0,), fraction)[0]
        for fraction in LEARNING_FRACTIONS
    }


def _train_fold(folder: Path, path: Path, settings: Hyperparameters, fold: int, fraction: float) -> None:
    import torch

    from ecnas.surrogate.graph_network import Inputs, predict, train

    torch.set_num_threads(1)
    space = Space("7V")
    metrics = load_targets(folder)
    standardised, back = standardise(metrics)
    known = ~np.isnan(metrics)
    learn = known.any(axis=1) & (fold_of_cells(len(space)) != fold)
    learn &= np.random.default_rng(SEED + 1).random(len(space)) < fraction
    repeats = np.where(space.cells.num_vertices <= 4, settings.small_cell_repeats, 1)
    weights = np.ones(len(TARGETS))
    weights[target("log_energy_4") :] = settings.auxiliary_weight
    inputs = Inputs(features_of(space.cells))
    network = train(
        inputs,
        standardised,
        np.repeat(np.arange(len(space)), repeats * learn),
        weights,
        settings,
        SEED + fold,
        lambda line: print(f"network {fold}: {line}", flush=True),
    )
    save_array(path, back(predict(network, inputs).astype(np.float64)).astype(np.float32))


ENERGY_FOLDS: Final = 5


def energy_fold_of_cells(num_measured: int) -> NDArray[np.int64]:
    """The fold that leaves each measured cell out of the energy models."""
    return np.random.default_rng(SEED).permutation(num_measured) % ENERGY_FOLDS


def energy_predictions(folder: Path, work: Path, features: Features, metrics: Metrics) -> tuple[Metrics, Metrics]:
    """Fits two Gaussian processes to the measured energies, one with more features than the other, and averages them.

    Args:
        folder: The folder of training data.
        work: The working folder.
        features: Of all cells.
        metrics: All targets, shape (cells, targets).

    Returns:
        Predicted log kWh of 4 epochs: for the n measured cells (in row order) by processes that did not see them, shape
        (n,); and for all cells by processes that learned from all measurements, shape (cells,).
    """
    energy = metrics[:, target("log_energy_4")]
    rows = np.flatnonzero(~np.isnan(energy))
    fewer = np.concatenate([features.cells, features.flow], axis=1).astype(np.float64)
    more = np.concatenate([fewer, features.widths], axis=1)
    fold = energy_fold_of_cells(len(rows))
    digest = digest_of(SEED, ENERGY_FOLDS, CELL_FEATURES, FLOW_FEATURES, WIDTH_FEATURES, *training_files(folder)[2:3])
    work.mkdir(parents=True, exist_ok=True)

    def stage(name: str, learn: NDArray[np.int64], asked: NDArray[np.int64]) -> Metrics:
        path = work / f"energy-{name}-{digest}.npy"
        if not path.exists():
            opinions = [_fit_energy(given[learn], energy[learn], given[asked]) for given in (fewer, more)]
            save_array(path, np.stack(opinions, axis=1))
            print(f"energy: {name}", flush=True)
        mean: Metrics = np.load(path, allow_pickle=False).mean(axis=1)
        return mean

    unseen = np.zeros(len(rows))
    for k in range(ENERGY_FOLDS):
        unseen[fold == k] = stage(f"fold-{k}", rows[fold != k], rows[fold == k])
    return unseen, stage("all", rows, np.arange(len(fewer)))


def _fit_energy(known: Metrics, energies: Metrics, asked: Metrics) -> Metrics:
    """Prediction of the asked cells by a Gaussian process, shape (m,)."""
    from ecnas.surrogate.gaussian_process import GaussianProcess

    return GaussianProcess(seed=SEED).fit(known, energies).predict(asked)
