"""Judging one run: every quantity at every cost.

A run chooses cells by the trainings it saw. It is judged by the *expected* metrics of those cells, so that luck is not
rewarded. So a regret may rise, and may never reach 0. Everything a run spends counts as cost, but only cells trained at
the fidelity of the search count as found: a multi-fidelity run is charged for its cheap trainings and judged by its
full ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecnas import pareto
from ecnas.benchmark import REFERENCE_MARGIN, Benchmark
from ecnas.errors import UnknownNameError
from ecnas.objectives import oriented, restored_scalarisation
from ecnas.runs.currency import CURRENCIES
from ecnas.runs.record import RunRecord


class Quantity(NamedTuple):
    """A quantity by which runs are judged.

    Attributes:
        label: Its name in headings and on axes.
        unit: Its unit; "" for none.
        meaning: Its definition, in one sentence.
        sign: 1 if more is better, −1 if less is, 0 if neither.
        decimals: Number of decimals in tables.
    """

    label: str
    unit: str
    meaning: str
    sign: int
    decimals: int

    @property
    def heading(self) -> str:
        """Its label and unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


QUANTITIES: Final = {
    "test_regret": Quantity(
        "test regret",
        "pp",
        "The best expected test accuracy of the table minus that of the recommended cell, in percentage points.",
        -1,
        3,
    ),
    "val_regret": Quantity(
        "validation regret",
        "pp",
        "The best expected validation accuracy of the table minus that of the recommended cell, in percentage points.",
        -1,
        3,
    ),
    "seen_regret": Quantity(
        "test regret of the best seen",
        "pp",
        "Test regret of the cell with the best training seen. That is the recommended cell, unless a method makes its "
        "own recommendation.",
        -1,
        3,
    ),
    "optimism": Quantity(
        "seen − expected",
        "pp",
        "Validation accuracy of the recommended cell as the run saw it, minus its expected validation accuracy, in "
        "percentage points (the winner's curse).",
        0,
        3,
    ),
    "hypervolume": Quantity(
        "hypervolume",
        "% of the exact front's",
        "Hypervolume of all trained cells, computed from expected metrics, in percent of the exact front's.",
        1,
        2,
    ),
    "seen_hypervolume": Quantity(
        "hypervolume of the front as seen",
        "% of the exact front's",
        "Hypervolume of only those cells that were on the front as the run saw it, computed from expected metrics.",
        1,
        2,
    ),
    "reward_regret": Quantity(
        "reward regret",
        "",
        "The best expected reward of the table minus that of the recommended cell.",
        -1,
        4,
    ),
}
"""All quantities by name. A task has some of them (:attr:`Judge.quantities`)."""


class Judge:
    """Judges runs of one task: by the exact optimum and front, and the expected metrics of every cell.

    Args:
        benchmark: The benchmark of the runs; they are judged by its expected metrics.
        task: The ``task`` of a run's header.

    Attributes:
        benchmark: The expected metrics.
        objectives: The objectives of the runs.
        epochs: The fidelity at which cells count.
        quantities: Names of the quantities; the first ranks methods.
    """

    def __init__(self, benchmark: Benchmark, task: Mapping[str, Any]) -> None:
        self.benchmark = benchmark.expected
        self.objectives: tuple[str, ...] = tuple(task["objectives"])
        self.epochs = int(task["epochs"])
        self._rewards = self._rewards_of(task["scalarisation"])
        self._best: dict[str, float] = {}
        self.quantities = self._quantities(noisy=self.benchmark is not benchmark)
        if len(self.objectives) > 1:
            self._reference = np.full(len(self.objectives), -REFERENCE_MARGIN)
            exact = self.benchmark.pareto_front(self.objectives, self.epochs)
            self._whole = pareto.hypervolume(exact.scores, self._reference)

    def _quantities(self, noisy: bool) -> tuple[str, ...]:
        names = ["hypervolume", "seen_hypervolume"][: 1 + noisy] if len(self.objectives) > 1 else []
        if self.objectives == ("val_accuracy",):
            names += [] if np.isnan(self._values("test_accuracy")).all() else ["test_regret", "seen_regret"]
            return (*names, "val_regret", "optimism")
        return (*names, "reward_regret") if self._rewards is not None or not names else tuple(names)

    def _rewards_of(self, scalarisation: Mapping[str, Any]) -> NDArray[np.float64] | None:
        """The expected reward of every cell; None for a user's own scalarisation, whose code is not in the record."""
        if self.objectives == ("val_accuracy",):
            return None  # its regret is the validation regret
        try:
            chosen = restored_scalarisation(scalarisation)
        except UnknownNameError:
            return None
        return self.benchmark.scalar_rewards(chosen, self.objectives, self.epochs)

    def _values(self, name: str) -> NDArray[np.float64]:
        return self.benchmark.values(name, self.epochs)

    def _regret(self, name: str, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The best of all cells' rewards or metrics less those of some rows; NaN where a row is −1."""
        values = self._rewards if name == "reward" else self._values(name)
        if values is None:
            return np.full(len(rows), np.nan)
        if name not in self._best:  # found once, since a report judges thousands of runs
            self._best[name] = float(np.nanmax(values))
        return np.where(rows >= 0, self._best[name] - values[np.maximum(rows, 0)], np.nan)

    def measure(self, record: RunRecord) -> dict[str, NDArray[np.float64]]:
        """Every quantity after each evaluation of a run, shape (evaluations,) each; NaN before there is one."""
        recommended = record.recommended_rows()
        measured: dict[str, NDArray[np.float64]] = {}
        for name in self.quantities:
            if name.endswith("hypervolume"):
                points = self._seen(record) if name == "seen_hypervolume" else self._expected(record)
                measured[name] = 100 * self._hypervolume(record, points)
            elif name == "reward_regret":
                measured[name] = self._regret("reward", recommended)
            elif name == "optimism":
                measured[name] = 100 * self._optimism(record, recommended)
            else:
                rows = best_seen_rows(record) if name == "seen_regret" else recommended
                accuracy = "val_accuracy" if name == "val_regret" else "test_accuracy"
                measured[name] = 100 * self._regret(accuracy, rows)
        return measured

    def _optimism(self, record: RunRecord, recommended: NDArray[np.int64]) -> NDArray[np.float64]:
        accuracy, reward = record.column("val_accuracy"), record.column("reward")
        best = record.best_seen()
        if record.recommends:
            # The best training so far of the cell that is recommended.
            rows, full = record.column("row").astype(np.int64), record.column("epochs") == self.epochs
            so_far: dict[int, int] = {}
            best = np.full(len(record), -1)
            for position, (row, counts, choice) in enumerate(
                zip(rows.tolist(), full.tolist(), recommended.tolist(), strict=True)
            ):
                if counts and (row not in so_far or reward[position] > reward[so_far[row]]):
                    so_far[row] = position
                best[position] = so_far.get(choice, -1)
        expected = self._values("val_accuracy")[np.maximum(recommended, 0)]
        return np.where((best >= 0) & (recommended >= 0), accuracy[np.maximum(best, 0)] - expected, np.nan)

    def _expected(self, record: RunRecord) -> NDArray[np.float64]:
        """Scores of what is expected of each evaluation's cell, (evaluations, m)."""
        rows = record.column("row").astype(np.int64)
        metrics = np.stack([self.benchmark.values(name, self.epochs, rows) for name in self.objectives], axis=1)
        return self.benchmark.normalisation(self.objectives, self.epochs).scores(metrics)

    def _seen(self, record: RunRecord) -> NDArray[np.float64]:
        """What each evaluation showed, such that more is better, (evaluations, m)."""
        return oriented(self.objectives, np.stack([record.column(name) for name in self.objectives], axis=1))

    def _archive(self, record: RunRecord, points: NDArray[np.float64]) -> list[tuple[int, list[int]]]:
        """The evaluations whose points change the front, each with all that are on the front from then on."""
        counts = (record.column("epochs") == self.epochs) & ~np.isnan(points).any(axis=1)
        on_front: list[int] = []
        changes = []
        for position in np.flatnonzero(counts).tolist():
            point = points[position]
            front = points[on_front]
            if (front >= point).all(axis=1).any():
                continue
            beaten = (front <= point).all(axis=1)
            on_front = [kept for kept, worse in zip(on_front, beaten.tolist(), strict=True) if not worse]
            on_front.append(position)
            changes.append((position, on_front))
        return changes

    def _hypervolume(self, record: RunRecord, points: NDArray[np.float64]) -> NDArray[np.float64]:
        scores = self._expected(record)
        volumes = np.zeros(len(record))
        for position, front in self._archive(record, points):
            volumes[position:] = pareto.hypervolume(scores[front], self._reference)
        return volumes / self._whole

    def front_rows(self, record: RunRecord) -> NDArray[np.int64]:
        """Rows of the trained cells that no other dominates, as expected; empty with a single objective."""
        changes = self._archive(record, self._expected(record)) if len(self.objectives) > 1 else []
        rows = record.column("row").astype(np.int64)
        return np.unique(rows[changes[-1][1]]) if changes else np.empty(0, dtype=np.int64)

    def fronts(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """What is expected of cells in the objectives, in natural units: the non-dominated of them, shape (n, m)."""
        metrics = np.stack([self.benchmark.values(name, self.epochs, rows) for name in self.objectives], axis=1)
        scores = self.benchmark.normalisation(self.objectives, self.epochs).scores(metrics)
        result: NDArray[np.float64] = metrics[pareto.non_dominated(scores)]
        return result

    @property
    def scale(self) -> float:
        """How much the first quantity loses with a cell of the middle: regret of the median cell, or 100%."""
        first = self.quantities[0]
        if first == "hypervolume":
            return 100.0
        if first == "reward_regret":
            values, unit = self._rewards, 1.0
        else:
            values, unit = self._values("test_accuracy" if first == "test_regret" else "val_accuracy"), 100.0
        if values is None:
            return float("nan")
        return unit * float(np.nanmax(values) - np.nanmedian(values))


def measure(record: RunRecord, benchmark: Benchmark) -> dict[str, NDArray[np.float64]]:
    """Every quantity of a run after each evaluation, by name (:data:`QUANTITIES`): shape (evaluations,) each.

    Example:
        >>> import ecnas
        >>> from ecnas.runs import analysis
        >>> record = ecnas.runs.run(ecnas.search.SEMOA(), "surrogate-5V", budget=50)
        >>> sorted(analysis.measure(record, ecnas.load("surrogate-5V")))
        ['hypervolume', 'reward_regret']
    """
    return Judge(benchmark, record.header["task"]).measure(record)


def front(record: RunRecord, benchmark: Benchmark) -> NDArray[np.float64]:
    """The front that a run found, by expected metrics, in natural units, ascending in the first objective: (n, m)."""
    judge = Judge(benchmark, record.header["task"])
    return judge.fronts(judge.front_rows(record))


def best_seen_rows(record: RunRecord) -> NDArray[np.int64]:
    """After each evaluation the row of the cell with the best training seen; −1 before there is one."""
    best = record.best_seen()
    return np.where(best >= 0, record.column("row").astype(np.int64)[np.maximum(best, 0)], -1)


@dataclass(frozen=True)
class Trace:
    """A judged run: its quantities at the evaluations at which one of them changes, and at the last.

    In between they are constant, so nothing is lost on any axis of cost.

    Attributes:
        seed: The run's seed.
        world: Digest of the benchmark that was searched.
        evaluations: Number of evaluations.
        costs: Cumulative cost after each of the k evaluations, by currency; shape (k,) each.
        values: The quantities, by name; shape (k,) each.
        recommended: Row of the cell recommended at the end.
        front: Rows of the non-dominated trained cells, by expected metrics; empty with a single objective.
        by_itself: Whether the method makes its own recommendations.
    """

    seed: int
    world: str
    evaluations: int
    costs: Mapping[str, NDArray[np.float64]]
    values: Mapping[str, NDArray[np.float64]]
    recommended: int
    front: NDArray[np.int64]
    by_itself: bool

    @classmethod
    def of(cls, record: RunRecord, judge: Judge) -> Trace | None:
        """Judges a run; None if it has no evaluation at the fidelity of the search.

        Raises:
            ValueError: What it spent cannot be.
        """
        if not len(record) or record.best_seen()[-1] < 0:
            return None
        spent = {currency: record.costs(currency) for currency in CURRENCIES}
        for currency, costs in spent.items():
            if np.isinf(costs).any() or (np.diff(costs, prepend=0.0) < 0).any():
                raise ValueError(f"costs must be finite and never fall, got {currency} {costs.tolist()[:3]} …")
        measured = judge.measure(record)
        kept = np.zeros(len(record), dtype=bool)
        kept[[0, -1]] = True
        for values in measured.values():
            before, after = values[:-1], values[1:]
            kept[1:] |= (before != after) & ~(np.isnan(before) & np.isnan(after))
        return cls(
            record.seed,
            str(record.header["task"]["digest"]),
            len(record),
            {currency: costs[kept] for currency, costs in spent.items()},
            {name: values[kept] for name, values in measured.items()},
            int(record.recommended_rows()[-1]),
            judge.front_rows(record),
            record.recommends,
        )

    def at(self, quantity: str, costs: NDArray[np.float64], currency: str = "evaluations") -> NDArray[np.float64]:
        """A quantity at some costs, shape (g,): NaN before the first evaluation, the last value after the end."""
        return on_grid(costs, self.costs[currency], self.values[quantity])

    def cost_to_reach(self, quantity: str, goal: float, currency: str = "evaluations") -> float:
        """What was spent when a quantity was first at least as good as a goal; infinite if it never was."""
        sign = QUANTITIES[quantity].sign
        reached = np.flatnonzero(sign * self.values[quantity] >= sign * goal)
        return float(self.costs[currency][reached[0]]) if len(reached) else float("inf")


def on_grid(grid: NDArray[np.float64], spent: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A run's values at given costs. Each holds until the next evaluation; NaN before the first.

    Args:
        grid: Costs, shape (g,).
        spent: The run's costs, ascending, shape (k,).
        values: Shape (k,).

    Returns:
        Shape (g,).
    """
    position = np.searchsorted(spent, grid, side="right") - 1
    return np.where(position >= 0, values[np.maximum(position, 0)], np.nan)


def cost_grid(first: float, last: float, currency: str, points: int = 80) -> NDArray[np.float64]:
    """Costs from ``first`` to ``last``, evenly spaced on a log scale; whole numbers where costs are."""
    grid = np.geomspace(first, last, points) if last > first else np.array([last])
    grid[[0, -1]] = first, last
    return np.unique(np.round(grid)) if CURRENCIES[currency].unit == "" else np.unique(grid)
