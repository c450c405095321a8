"""Energy of a new machine: learn from the cells measured on it, and predict every cell of a space.

Energies of different machines are not proportional, but they rank cells in much the same order. So a line is fitted to
the logarithms of the measured and the embedded energies, by the Theil–Sen estimator, which tolerates a quarter of wrong
measurements. A Gaussian process learns from the residuals how this machine differs. Five measured cells are enough for
the line, a few dozen for the rest.

    >>> import ecnas
    >>> from ecnas.surrogate import energy
    >>> measured = energy.measurements(ecnas.load("energy_4V9E_rtx3090"))        # doctest: +SKIP
    >>> table = energy.fit(measured).table("5V", name="rtx3090-5V")              # doctest: +SKIP
    >>> benchmark = ecnas.Benchmark(table)                                       # doctest: +SKIP

On the command line, ``python -m ecnas.surrogate.energy cells.csv --output folder`` does the same for a CSV file of
cells and kWh; ``ecnas.load("folder")`` then opens the table. Fitting needs ``pip install 'ecnas-gym[surrogate]'``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecnas.benchmark import Benchmark
from ecnas.loading import load
from ecnas.space import Space, SpaceArrays
from ecnas.surrogate.data import read_energies
from ecnas.surrogate.features import features_of
from ecnas.table import Column, Table, columns_digest

if TYPE_CHECKING:
    from ecnas.surrogate.gaussian_process import GaussianProcess

FEW: Final = 300
"""With at most this many measurements, one shared length scale is used."""

LEAST: Final = 5
"""Minimum number of measurements."""

OUTLYING: Final = 5.0
"""Measurements with a larger residual from the line, in robust standard deviations, count as wrong."""


class Measurements(NamedTuple):
    """Measured energies.

    Attributes:
        rows: Rows of the cells in the 7V space, int64 of shape (n,).
        energies: kWh of one training, float64 of shape (n,).
        epochs: Epochs of each training.
    """

    rows: NDArray[np.int64]
    energies: NDArray[np.float64]
    epochs: int


@dataclass(frozen=True)
class EnergyModel:
    """A fitted model. Make one with :func:`fit`."""

    slope: float
    intercept: float
    process: GaussianProcess
    epochs: int

    def predict(self, rows: NDArray[np.integer]) -> NDArray[np.float64]:
        """Predicted kWh of :attr:`epochs` epochs for rows of the 7V space: shape (m,)."""
        embedded, features = _embedded(rows), features_of_rows(rows)
        return np.exp(self.intercept + self.slope * embedded + self.process.predict(features))

    def covariance(self, rows: NDArray[np.integer]) -> NDArray[np.float64]:
        """Covariance of the logarithms of energies, given the measurements: rows of the 7V space to shape (m, m)."""
        return self.process.covariance(features_of_rows(rows))

    def table(
        self, space: str = "7V", name: str = "fitted-energy", epochs: Sequence[int] = (4, 12, 36, 108), co2: float = 0.0
    ) -> Table:
        """A table of a space with this machine's energy, scaled linearly to the epochs, and the embedded accuracies.

        Args:
            space: "4V", "5V" or "7V".
            name: Name of the table.
            epochs: Numbers of epochs, from those of the embedded table.
            co2: CO2 intensity of the machine's electricity in g/kWh; without it the table has no CO2.

        Returns:
            A table without training times, which cannot be inferred from energies.
        """
        embedded = load(f"surrogate-{space}")
        rows = np.arange(len(embedded.space))
        energy = (self.predict(rows) / self.epochs).reshape(-1, 1, 1)
        columns = {"energy": Column(energy, per_epoch=True)}
        if co2:
            columns["co2"] = Column(energy, scale=co2, per_epoch=True)
        for accuracy in ("val_accuracy", "test_accuracy"):
            values = np.stack([embedded.values(accuracy, number) for number in epochs], axis=1)
            columns[accuracy] = Column(values[..., None])
        return Table(
            name=name,
            space=embedded.space,
            epochs=tuple(epochs),
            repeats=1,
            provenance=dict.fromkeys(epochs, "surrogate"),
            columns=columns,
            digest=columns_digest(columns),
            notes=f"Energy predicted from cells measured for {self.epochs} epochs and scaled linearly; accuracies of "
            "the embedded surrogate. Not to be compared with the energy of another table.",
        )


def measurements(source: Benchmark | Path, epochs: int = 4) -> Measurements:
    """Reads measurements.

    Args:
        source: A benchmark whose energies are measured, such as a published hardware file, or a CSV file with the
            columns of :func:`ecnas.surrogate.data.read_energies`.
        epochs: Epochs of the measured trainings.

    Returns:
        The measurements; cells without one are left out.
    """
    if isinstance(source, Path):
        return Measurements(*read_energies(source, Space("7V")), epochs)
    energies = source.values("energy", epochs)  # the rows of every space are the first of the 7V space
    rows = np.flatnonzero(np.isfinite(energies))
    return Measurements(rows, energies[rows], epochs)


def fit(measured: Measurements, seed: int = 0) -> EnergyModel:
    """Learns the energy of a machine.

    Args:
        measured: At least five cells; a few dozen different ones are better.
        seed: Seed of the subsets used to fit many measurements.

    Raises:
        ValueError: There are too few measurements.
    """
    from ecnas.surrogate.gaussian_process import GaussianProcess

    number = len(measured.rows)
    if number < LEAST:
        raise ValueError(f"measured must have at least {LEAST} cells, got {number}")
    embedded, energies = _embedded(measured.rows), np.log(measured.energies)
    slope, intercept = _theil_sen(embedded, energies, np.random.default_rng(seed))
    residuals = energies - intercept - slope * embedded
    good = np.abs(residuals) <= OUTLYING * 1.4826 * np.median(np.abs(residuals)) + 1e-9
    process = GaussianProcess(one_length=number <= FEW, seed=seed)
    process.fit(features_of_rows(measured.rows[good]), residuals[good])
    return EnergyModel(slope, intercept, process, measured.epochs)


def _theil_sen(x: NDArray[np.float64], y: NDArray[np.float64], rng: np.random.Generator) -> tuple[float, float]:
    """Slope and intercept as medians, over up to 100,000 pairs of points whose x differ."""
    pairs = rng.integers(0, len(x), (100_000, 2)) if len(x) > FEW else np.argwhere(np.tri(len(x), k=-1))
    dx, dy = (values[pairs[:, 0]] - values[pairs[:, 1]] for values in (x, y))
    apart = np.abs(dx) > 0.05
    slope = float(np.median(dy[apart] / dx[apart])) if apart.any() else 1.0
    return slope, float(np.median(y - slope * x))


def _embedded(rows: NDArray[np.integer]) -> NDArray[np.float64]:
    """Logarithm of the embedded energy of 4 epochs."""
    logarithms: NDArray[np.float64] = np.log(load("surrogate-7V").values("energy", 4)[rows])
    return logarithms


def features_of_rows(rows: NDArray[np.integer]) -> NDArray[np.float64]:
    """The features of the process for rows of the 7V space: shape (m, features)."""
    features = features_of(SpaceArrays(*(array[rows] for array in Space("7V").cells)))
    return np.column_stack([_embedded(rows), features.cells]).astype(np.float64)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m ecnas.surrogate.energy", description="Fits a machine's energy.")
    parser.add_argument("source", help="a CSV file, or a benchmark by name or path")
    parser.add_argument("--space", default="7V", choices=("4V", "5V", "7V"))
    parser.add_argument("--epochs", type=int, default=4, help="epochs of the measured trainings")
    parser.add_argument("--co2", type=float, default=0.0, help="CO2 intensity in g/kWh; 0 for none")
    parser.add_argument("--output", type=Path, required=True, help="folder of the table, which ecnas.load opens")
    args: Any = parser.parse_args(arguments)
    source = Path(args.source) if args.source.endswith(".csv") else load(args.source)
    model = fit(measurements(source, args.epochs))
    model.table(args.space, name=args.output.name, co2=args.co2).save(args.output)
    print(f"{args.output}: {len(Space(args.space)):,} cells of space {args.space}")


if __name__ == "__main__":
    main()
