"""The measurements that the models learn from, by row of the 7V space. They are never shipped.

A folder of training data contains

* ``training/nb101_test108.npz``: NAS-Bench-101's test accuracy after 108 epochs, one training for most cells;
* ``training/nb101_val.npz``: its validation accuracy after 4, 12, 36 and 108 epochs and the time of 108 epochs, of the
  training with the best validation accuracy at 108 epochs, out of three;
* ``training/energy_7v_4epochs.csv``: measured energy of 4 epochs;
* ``official/``: published EC-NAS-Bench files: ``energy_4V9E_linscale``, whose accuracies are NAS-Bench-101's mean of
  three trainings; and trainings from another laboratory, ``energy_5V9E_4epochs`` and ``energy_4V9E_4epochs``, the
  latter with three per cell;
* ``training/measured_5v_108.csv``: that laboratory's trainings of 350 5V cells to 108 epochs, three of each.

Sources: Ying et al. 2019, https://arxiv.org/abs/1902.09635 (Apache-2.0); Bakhtiarifard et al. 2024,
https://arxiv.org/abs/2210.06015 (MIT).
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecnas.encoding import adjacency_to_bits, ops_to_code, to_frame
from ecnas.loading import load
from ecnas.space import Space

EPOCHS: Final = (4, 12, 36, 108)

TARGETS: Final = (
    *("test_108", "val_4", "val_12", "val_36", "val_108", "log_time_108", "log_energy_4"),
    *("other_val_4", "other_train_4", "other_log_time_4", "other_log_energy_4"),
    *("other_val_108", "other_test_108", "other_log_time_108", "other_log_energy_108"),
)
"""The targets of the graph network. The last eight are from another laboratory's trainings of the 5V cells (EC-NAS);
after 108 epochs they are means of three, for 350 cells. They teach the network about small cells and are not used
otherwise."""

TEST_IMAGES: Final = 9984
"""Number of test images in NAS-Bench-101."""

BEST_OF_THREE: Final = 0.002
"""The best of three validation accuracies after 108 epochs minus their mean, in small cells: 0.0020 ± 0.0004 on average
over the 12 cells of up to four vertices for which both are known. Accuracies after fewer epochs are from the same
training, and hardly gain from the choice."""

ADVANTAGE: Final = 0.0031
"""The same for cells of five and more vertices: 0.0031 ± 0.0002 on average over 119 cells whose mean of three is
published. These cells are not in the training data."""

FAILED: Final = 0.3
"""A training that ends below this test accuracy has failed: it never left chance level, or fell back to it."""


def target(name: str) -> int:
    """The column of a target."""
    return TARGETS.index(name)


def load_targets(folder: Path) -> NDArray[np.float64]:
    """Reads the targets of the models.

    NAS-Bench-101's mean of three trainings is public for the 91 cells of the 4V space, and replaces their single
    training. Their validation accuracy after 108 epochs is raised by :data:`BEST_OF_THREE`, so that the column has the
    same meaning for all cells.

    Args:
        folder: The folder of training data.

    Returns:
        float64, shape (423,624, len(:data:`TARGETS`)); NaN where nothing was measured. Accuracies from 0 to 1,
        logarithms of seconds and of kWh.
    """
    space = Space("7V")
    metrics = np.full((len(space), len(TARGETS)), np.nan)
    with np.load(folder / "training" / "nb101_test108.npz", allow_pickle=False) as file:
        rows = _rows(space, file["num_vertices"], file["edge_bits"], file["ops"])
        metrics[rows, target("test_108")] = file["test_correct_of_9984"] / TEST_IMAGES
    with np.load(folder / "training" / "nb101_val.npz", allow_pickle=False) as file:
        rows = _rows(space, file["num_vertices"], file["edge_bits"], file["ops"])
        first = target("val_4")
        metrics[rows, first : first + len(EPOCHS)] = file["val_accuracy"]
        metrics[rows, target("log_time_108")] = np.log(file["training_time_108"])
    means = load(folder / "official" / "energy_4V9E_linscale.tfrecord")
    metrics[: len(means.space), target("test_108")] = means.values("test_accuracy", 108)
    for epochs in EPOCHS:
        advantage = BEST_OF_THREE if epochs == 108 else 0.0
        metrics[: len(means.space), target(f"val_{epochs}")] = means.values("val_accuracy", epochs) + advantage
    rows, energies = read_energies(folder / "training" / "energy_7v_4epochs.csv", space)
    metrics[rows, target("log_energy_4")] = np.log(energies)
    other = load(folder / "official" / "energy_5V9E_4epochs.tfrecord")
    columns = [other.values(name, 4) for name in ("val_accuracy", "train_accuracy", "training_time", "energy")]
    four = slice(target("other_val_4"), target("other_val_108"))
    metrics[: len(other.space), four] = np.stack([*columns[:2], *np.log(columns[2:])], axis=1)
    rows, trainings = read_repeats(folder / "training" / "measured_5v_108.csv")
    means = trainings.mean(axis=1)
    metrics[rows, target("other_val_108") :] = np.concatenate([means[:, :2], np.log(means[:, 2:])], axis=1)
    return metrics


REPEATED: Final = ("val_accuracy", "test_accuracy", "training_time", "energy_kwh")
"""Columns of :func:`read_repeats`."""


def read_repeats(path: Path) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Reads 5V cells that were trained three times, one line per training.

    Returns:
        Rows of the cells, int64 of shape (n,), ascending; and their trainings, float64 of shape (n, 3,
        len(:data:`REPEATED`)).
    """
    row_of_hash = {cell.hash: row for row, cell in enumerate(Space("5V"))}
    trainings: dict[int, list[list[float]]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            trainings.setdefault(row_of_hash[line["hash"]], []).append([float(line[name]) for name in REPEATED])
    rows = sorted(trainings)
    return np.array(rows), np.array([trainings[row] for row in rows])


def read_energies(path: Path, space: Space) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Reads measured energies from a CSV file.

    The file has the columns ``adjacency`` (the row-major V×V bits as text), ``ops`` (codes of the inner vertices,
    separated by commas: 0 conv3x3, 1 conv1x1, 2 maxpool3x3) and one whose name begins with ``energy_kwh``.

    Args:
        path: The file.
        space: The space of the cells.

    Returns:
        Rows of the cells in the space, int64 of shape (n,), and their energies in kWh, float64 of shape (n,).

    Raises:
        ValueError: A line has an invalid cell or energy; the message names the line.
    """
    rows, energies = [], []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        energy_columns = [name for name in reader.fieldnames or () if name.startswith("energy_kwh")]
        if not energy_columns or not {"adjacency", "ops"} <= set(reader.fieldnames or ()):
            raise ValueError(f"{path}: columns must be adjacency, ops and energy_kwh…, got {reader.fieldnames}")
        for line in reader:
            where = f"{path}, line {reader.line_num}"
            try:
                row = _row_of_text(space, line["adjacency"], line["ops"])
                energy = float(line[energy_columns[0]])
            except (ValueError, IndexError, TypeError) as error:
                raise ValueError(f"{where}: {error}") from error
            if row < 0 or not 0 < energy < np.inf:
                raise ValueError(f"{where}: must be a cell of space {space.name} and a positive energy, got {line}")
            rows.append(row)
            energies.append(energy)
    return np.array(rows, dtype=np.int64), np.array(energies)


def _row_of_text(space: Space, adjacency: str, ops: str) -> int:
    num_vertices = round(len(adjacency) ** 0.5)
    if num_vertices**2 != len(adjacency) or not 2 <= num_vertices <= 7 or set(adjacency) - {"0", "1"}:
        raise ValueError(f"adjacency must be V×V bits, got {adjacency!r}")
    codes = np.array([int(op) for op in ops.split(",")] if ops else [], dtype=np.int64)
    if len(codes) != num_vertices - 2 or not np.isin(codes, (0, 1, 2)).all():
        raise ValueError(f"ops must be {num_vertices - 2} codes from 0, 1 and 2, got {ops!r}")
    matrix = np.array([int(bit) for bit in adjacency]).reshape(num_vertices, num_vertices)
    if np.tril(matrix).any():
        raise ValueError(f"adjacency must be upper triangular, got {adjacency!r}")
    frame = to_frame(num_vertices, adjacency_to_bits(matrix))
    return int(space.rows(np.array([frame]), ops_to_code(codes)[None])[0])


def _rows(
    space: Space, num_vertices: NDArray[np.integer], edge_bits: NDArray[np.integer], ops: NDArray[np.integer]
) -> NDArray[np.int64]:
    frames = to_frame(num_vertices.astype(np.int64), edge_bits.astype(np.int64))
    rows = space.rows(frames, ops_to_code(ops))
    if (rows < 0).any():
        raise ValueError(f"{int((rows < 0).sum())} cells of the training data are not in space {space.name}")
    return rows
