"""Noisy trainings: seeded draws around the expected metrics of the embedded table.

Repeated trainings of a cell differ, and some fail. A *world*, ``ecnas.load("surrogate-7V~7")``, is the embedded table
as it might have been measured: three trainings of every cell at each number of epochs, drawn from a model fitted to
real trainings (:mod:`ecnas.surrogate.noise`, docs/surrogate.md). The expected metrics remain available as
``benchmark.expected``.

An accuracy is the expected accuracy plus a residual. The residual has a normal variate, its luck, which is mapped to an
accuracy by measured quantiles at this expected accuracy; this keeps skew and tails. Luck has two parts: one is shared
by all trainings of a cell, since the table does not know everything about it, and one belongs to the training.
Validation and test accuracy of a training share most of it. After 108 epochs a training may also have failed, and a few
cells always fail. Accuracies are multiples of 1/10,000, one image. Time and energy scatter jointly around their
expected values.

A draw depends only on the table's digest, the world's seed, the row of the cell, the epochs and the repeat. The rows of
a smaller space are the first rows of a larger one, so a cell has the same trainings in "4V", "5V" and "7V".
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecnas.benchmark import DEFAULT_OBJECTIVES, Benchmark
from ecnas.errors import CorruptFileError
from ecnas.objectives import Normalisation
from ecnas.table import Column, Reader, Table

REPEATS: Final = 3
"""Trainings of each cell at each number of epochs, as in NAS-Bench-101."""

IMAGES: Final = 10_000
"""Images on which an accuracy is measured."""

LUCKS: Final = np.linspace(-4.0, 4.0, 33)
"""The standard normal variates at which :class:`Residuals` are tabulated."""

PART: Final = 1 << 15
"""Cells drawn at once: few enough that the intermediate arrays stay in the processor's cache."""

MODEL_FILE: Final = Path(__file__).parent / "data" / "noise.json"

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Residuals:
    """Scatter of accuracies around the expected accuracy, by the expected accuracy.

    Attributes:
        levels: Expected accuracies, ascending; shape (k,).
        quantiles: Accuracy − expected at each value of the luck in :data:`LUCKS`; shape (k, 33). Each row has mean 0
            over the luck. Values are interpolated between levels and lucks, and constant beyond them.
        common: Share of the luck's variance that all trainings of a cell have in common, shape (k,).
        together: Correlation of the rest of the luck between validation and test accuracy of a training, shape (k,).
    """

    levels: Array
    quantiles: Array
    common: Array
    together: Array

    def __call__(self, expected: Array, luck: Array) -> Array:
        """The residuals of accuracies, shape (n,), from the expected accuracies and the luck."""
        return interpolate(self.quantiles, *places(self.levels, expected), luck)


@dataclass(frozen=True)
class Failures:
    """Trainings that never leave chance level, or fall back to it.

    Attributes:
        levels: Expected validation accuracies, ascending; shape (k,).
        probability: Probability that a training fails, shape (k,); linear between levels, constant beyond them.
        always: Share of it that is due to cells which fail in every training.
        least_vertices: Cells with fewer vertices do not fail.
        accuracies: Quantiles of the accuracy of failed trainings at even steps from 0 to 1; shape (q,).
    """

    levels: Array
    probability: Array
    always: float
    least_vertices: int
    accuracies: Array

    def risk(self, val: Array, num_vertices: NDArray[np.integer]) -> Array:
        """Probability that a training of each cell fails, by expected validation accuracy and vertices; all (n,)."""
        risk = np.interp(val, self.levels, self.probability)
        risk[num_vertices < self.least_vertices] = 0.0
        return risk

    def draw(self, risk: Array, cell: _Draws, training: _Draws) -> tuple[NDArray[np.bool_], Array]:
        """Whether trainings fail, given their risks (n,): bool (n,); and the accuracies of those that do."""
        always = self.always * risk
        failed = (cell.uniform("failure") < always) | (training.uniform("failure") < (risk - always) / (1 - always))
        steps = np.linspace(0.0, 1.0, len(self.accuracies))
        return failed, np.interp(training.uniform("failed")[failed], steps, self.accuracies)


@dataclass(frozen=True)
class NoiseModel:
    """The parameters of the draws, apart from the table and the seed.

    Attributes:
        val_accuracy: Residuals of the validation accuracy by number of epochs; below 108 epochs they also serve for the
            test accuracy.
        test_accuracy: Residuals of the test accuracy after 108 epochs, by expected test accuracy.
        failures: Failed trainings, where they can be identified: after 36 and 108 epochs.
        time: Standard deviation of the logarithm of training times.
        energy: Standard deviation of the logarithm of energies.
        cost_together: Correlation of the two.
        digest: SHA-256 of the file it was read from.
    """

    val_accuracy: dict[int, Residuals]
    test_accuracy: Residuals
    failures: dict[int, Failures]
    time: float
    energy: float
    cost_together: float
    digest: str = field(default="", compare=False)

    def draw(self, expected: Table, world: str, epochs: int) -> dict[str, Column]:
        """Draws the trainings of all cells of a table at one number of epochs.

        Args:
            expected: The table without noise.
            world: Names the world; draws depend on it, the row, the epochs and the repeat.
            epochs: One of the table's numbers of epochs.

        Returns:
            Columns of shape (cells, 1, :data:`REPEATS`).
        """
        number = len(expected.space)
        accuracies = np.empty((2, number, 1, REPEATS), np.uint16)
        costs = np.empty((2, number, 1, REPEATS), np.float32)
        for start in range(0, number, PART):
            rows = slice(start, min(start + PART, number))
            self._draw_part(expected, world, epochs, rows, accuracies[:, rows, 0], costs[:, rows, 0])
        return {
            "val_accuracy": Column(accuracies[0], scale=1 / IMAGES),
            "test_accuracy": Column(accuracies[1], scale=1 / IMAGES),
            "training_time": Column(costs[0]),
            "energy": Column(costs[1]),
            "co2": Column(costs[1], scale=expected.columns["co2"].scale / expected.columns["energy"].scale),
        }

    def _draw_part(
        self,
        expected: Table,
        world: str,
        epochs: int,
        rows: slice,
        accuracies: NDArray[np.uint16],
        costs: NDArray[np.float32],
    ) -> None:
        """Draws the trainings of the cells in some rows, into arrays (2, cells, :data:`REPEATS`)."""
        val, test, time, energy = (
            expected.values(name, epochs, rows=rows)
            for name in ("val_accuracy", "test_accuracy", "training_time", "energy")
        )
        failures = self.failures.get(epochs)
        if failures:
            risk = failures.risk(val, expected.space.cells.num_vertices[rows])
        val_scatter = _Scatter(self.val_accuracy[epochs], val)
        test_scatter = _Scatter(self.test_accuracy, test) if epochs == expected.epochs[-1] else val_scatter
        cell = _Draws(f"{world} {epochs}", rows)
        common, _ = cell.normal("accuracy")
        for repeat in range(REPEATS):
            training = _Draws(f"{world} {epochs} {repeat}", rows)
            luck, other = training.normal("accuracy")
            metrics = [
                val + val_scatter(common, luck),
                test + test_scatter(common, correlated(luck, other, val_scatter.together)),
            ]
            if failures:
                failed, accuracy = failures.draw(risk, cell, training)
                for metric in metrics:
                    metric[failed] = accuracy
            for stored, metric in zip(accuracies, metrics, strict=True):
                stored[:, repeat] = np.rint(np.clip(metric, 0.0, 1.0) * IMAGES)
            luck, other = training.normal("cost")
            costs[0, :, repeat] = time * lognormal(self.time, luck)
            costs[1, :, repeat] = energy * lognormal(self.energy, correlated(luck, other, self.cost_together))


def correlated(one: Array, other: Array, correlation: Array | float) -> Array:
    """Standard normal variates correlated with ``one``, made from it and from independent ones."""
    mixed: Array = correlation * one + np.sqrt(1 - np.square(correlation)) * other
    return mixed


def lognormal(deviation: float, luck: Array) -> Array:
    """Factors of mean 1 whose logarithm has a standard deviation."""
    factors: Array = np.exp(deviation * luck - deviation**2 / 2)
    return factors


class _Scatter:
    """Residuals of the cells whose expected accuracies are known."""

    def __init__(self, residuals: Residuals, expected: Array) -> None:
        self._level, self._upper = places(residuals.levels, expected)
        self._quantiles = residuals.quantiles
        common = np.interp(expected, residuals.levels, residuals.common)
        self._shared, self._own = np.sqrt(common), np.sqrt(1 - common)
        self.together = np.interp(expected, residuals.levels, residuals.together)

    def __call__(self, common: Array, luck: Array) -> Array:
        return interpolate(self._quantiles, self._level, self._upper, self._shared * common + self._own * luck)


def places(grid: Array, values: Array) -> tuple[NDArray[np.intp], Array]:
    """Positions of values in an ascending grid: the index of the point below, and the part of the way to the next."""
    below = np.clip(np.searchsorted(grid, values, side="right") - 1, 0, len(grid) - 2)
    part: Array = np.clip((values - grid[below]) / (grid[below + 1] - grid[below]), 0.0, 1.0)
    return below, part


def interpolate(quantiles: Array, level: NDArray[np.intp], upper: Array, luck: Array) -> Array:
    """The residuals at places among the levels and at lucks, all of shape (n,)."""
    steps = (np.clip(luck, LUCKS[0], LUCKS[-1]) - LUCKS[0]) / (LUCKS[1] - LUCKS[0])
    left = np.minimum(steps.astype(np.intp), len(LUCKS) - 2)
    right = steps - left
    at = level * len(LUCKS) + left
    flat = quantiles.ravel()
    low: Array = flat.take(at)
    low += right * (flat.take(at + 1) - low)
    at += len(LUCKS)
    high = flat.take(at)
    high += right * (flat.take(at + 1) - high)
    low += upper * (high - low)
    return low


def split_mix(start: int, number: int, skipped: int = 0) -> NDArray[np.uint64]:
    """Outputs of the generator SplitMix64 after some that are skipped: uint64 of shape (number,).

    Its state is a counter, so any output can be computed without the others (Steele, Lea and Flood 2014,
    https://doi.org/10.1145/2660193.2660195, figure 15).
    """
    bits = np.arange(skipped + 1, skipped + number + 1, dtype=np.uint64)
    bits *= np.uint64(0x9E3779B97F4A7C15)
    bits += np.uint64(start)
    bits ^= bits >> np.uint64(30)
    bits *= np.uint64(0xBF58476D1CE4E5B9)
    bits ^= bits >> np.uint64(27)
    bits *= np.uint64(0x94D049BB133111EB)
    bits ^= bits >> np.uint64(31)
    return bits


class _Draws:
    """Random numbers for the n cells in some rows; each depends on a key, its purpose and its row."""

    def __init__(self, key: str, rows: slice) -> None:
        self._key, self._first, self._number = key, rows.start, rows.stop - rows.start

    def uniform(self, purpose: str) -> Array:
        """Uniform over [0, 1), shape (n,)."""
        start = hashlib.blake2b(f"{self._key} {purpose}".encode(), digest_size=8).digest()
        uniform: Array = (
            split_mix(int.from_bytes(start, "little"), self._number, self._first) >> np.uint64(11)
        ) * 2.0**-53
        return uniform

    def normal(self, purpose: str) -> tuple[Array, Array]:
        """Two independent standard normal variates per row, each of shape (n,), after Box and Muller (1958)."""
        radius = np.sqrt(-2.0 * np.log1p(-self.uniform(f"{purpose} radius")))
        angle = 2.0 * np.pi * self.uniform(f"{purpose} angle")
        return radius * np.cos(angle), radius * np.sin(angle)


class NoisyTable(Table):
    """A world: three trainings of every cell, drawn when a number of epochs is first queried.

    Its ``columns`` are those of the table without noise.

    Args:
        expected: The table without noise.
        seed: Seed of the world, 0 or more.
        model: The noise.
    """

    def __init__(self, expected: Table, seed: int, model: NoiseModel) -> None:
        world = f"{expected.digest} {model.digest} {seed}"
        given = {entry.name: getattr(expected, entry.name) for entry in fields(expected)}
        given |= {
            "name": f"{expected.name}~{seed}",
            "repeats": REPEATS,
            "digest": hashlib.sha256(world.encode()).hexdigest(),
            "notes": f"World {seed}: trainings drawn around {expected.name}. {expected.notes}",
            "folder": None,
        }
        super().__init__(**given)

        @functools.cache
        def drawn(epochs: int) -> Table:
            return replace(
                expected,
                epochs=(epochs,),
                repeats=REPEATS,
                provenance={epochs: expected.provenance[epochs]},
                columns=model.draw(expected, world, epochs),
                folder=None,
            )

        object.__setattr__(self, "drawn", drawn)

    drawn: Callable[[int], Table]
    """The trainings at one of :attr:`epochs`, as a table of its own."""

    def values(
        self,
        column: str,
        epochs: int,
        repeat: int | NDArray[np.integer] | None = None,
        rows: NDArray[np.integer] | slice = slice(None),
    ) -> Array:
        """As :meth:`Table.values`, of the trainings."""
        return self.drawn(epochs).values(column, epochs, repeat, rows)

    def reader(self, epochs: int) -> Reader:
        """As :meth:`Table.reader`, of the trainings."""
        return self.drawn(epochs).reader(epochs)

    def _impossible_metric(self) -> str | None:
        return None  # its columns are another table's, and trainings are looked at when they are drawn

    def write_into(self, folder: Path) -> None:
        """As :meth:`Table.write_into`, of the trainings; at all epochs."""
        tables = [self.drawn(epochs).columns for epochs in self.epochs]
        columns = {
            name: replace(column, values=np.concatenate([table[name].values for table in tables], axis=1))
            for name, column in tables[0].items()
        }
        Table(**{entry.name: getattr(self, entry.name) for entry in fields(Table)} | {"columns": columns}).write_into(
            folder
        )


class NoisyBenchmark(Benchmark):
    """A world: an embedded benchmark with noisy trainings.

    Args:
        expected: The benchmark without noise.
        seed: Seed of the world, 0 or more.
    """

    def __init__(self, expected: Benchmark, seed: int) -> None:
        super().__init__(NoisyTable(expected.table, seed, noise_model()))
        self._expected, self.noise_seed = expected, seed

    @property
    def expected(self) -> Benchmark:
        """The benchmark without noise, by which runs are judged."""
        return self._expected

    def normalisation(self, objectives: Sequence[str] = DEFAULT_OBJECTIVES, epochs: int | None = None) -> Normalisation:
        """That of the benchmark without noise, so that the rewards of all worlds have the same scale."""
        return self._expected.normalisation(objectives, epochs)

    def __reduce__(self) -> tuple[Any, ...]:
        return noisy, (self._expected, self.noise_seed)


@functools.lru_cache(maxsize=16)  # a world that has been searched takes some 20 MB
def noisy(expected: Benchmark, seed: int) -> NoisyBenchmark:
    """The world of a seed; a repeated request returns the same object."""
    return NoisyBenchmark(expected, seed)


@functools.cache
def noise_model(path: Path = MODEL_FILE) -> NoiseModel:
    """Reads the embedded model.

    Raises:
        CorruptFileError: The file is damaged.
    """
    content = path.read_bytes()
    try:
        stored = json.loads(content)
        return NoiseModel(
            val_accuracy={int(epochs): _residuals(part) for epochs, part in stored["val_accuracy"].items()},
            test_accuracy=_residuals(stored["test_accuracy"]),
            failures={
                int(epochs): Failures(**{name: _array(value) for name, value in part.items()})
                for epochs, part in stored["failures"].items()
            },
            time=stored["time"],
            energy=stored["energy"],
            cost_together=stored["cost_together"],
            digest=hashlib.sha256(content).hexdigest(),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CorruptFileError(f"{path}: damaged noise model ({type(error).__name__}: {error})") from error


def _residuals(stored: dict[str, Any]) -> Residuals:
    return Residuals(**{name: np.array(value) for name, value in stored.items()})


def _array(value: Any) -> Any:
    return np.array(value) if isinstance(value, list) else value
