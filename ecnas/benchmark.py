"""A benchmark: a table with queries under a budget, and its exact front and optimum."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, make_dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ecnas import isomorphism, pareto
from ecnas.budget import Budget
from ecnas.cell import Cell
from ecnas.coerce import as_whole, budget_of, one_of, shown
from ecnas.encoding import batch_to_frame
from ecnas.errors import CorruptFileError, OutOfDomainError
from ecnas.files import state_of
from ecnas.objectives import (
    OBJECTIVES,
    Normalisation,
    Scalarisation,
    check_objectives,
    check_scalarisation,
    make_scalarisation,
)
from ecnas.space import Space
from ecnas.table import COLUMNS, HEADER, PROVENANCES, Provenance, Reader, Table, open_table

T = TypeVar("T")

Repeat = int | Literal["mean"] | np.random.Generator | None
"""Which of several trainings: the mean (the default), a number, or a generator that draws one."""

DEFAULT_OBJECTIVES: Final = ("val_accuracy", "energy")
DEFAULT_SCALARISATION: Final = "soft-cap"  # why: docs/rewards.md

REFERENCE_MARGIN: Final = 0.1
"""Distance of the reference point beyond the nadir, as a fraction of the distance from nadir to ideal."""

_FRONT_PART: Final = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """The metrics of a cell after training for a number of epochs. A metric that the table lacks is NaN.

    Evaluations are equal if all metrics are equal; a metric that both lack counts as equal.

    Attributes:
        val_accuracy: Validation accuracy, 0 to 1.
        test_accuracy: Test accuracy, 0 to 1. To be reported, never used in a search.
        train_accuracy: Training accuracy, 0 to 1.
        energy: Energy of the training in kWh.
        co2: CO2 equivalent of that energy in g.
        training_time: Time of the training in s.
        trainable_parameters: Exact number of trainable parameters.
        epochs: Epochs of the training.
        provenance: "measured", "scaled" (from a shorter training), "estimated" or "surrogate" (predicted); that of the
            weakest metric if they differ.
        repeat: Number of the training; None for a single training and for the mean.
    """

    val_accuracy: float
    test_accuracy: float
    train_accuracy: float
    energy: float
    co2: float
    training_time: float
    trainable_parameters: int
    epochs: int
    provenance: Provenance
    repeat: int | None = None

    def _key(self) -> tuple[object, ...]:
        values = (getattr(self, name) for name in self.__slots__)
        return tuple(None if value != value else value for value in values)  # NaN alone differs from itself

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Evaluation) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def _repr_html_(self) -> str:
        from ecnas.notebook import of_evaluation

        return of_evaluation(self)


# An instance of a frozen class takes five times as long to make; one of this class becomes one without a copy.
_Draft: Final = make_dataclass("_Draft", [(field.name, field.type) for field in fields(Evaluation)], slots=True)


class Evaluations(NamedTuple):
    """Evaluations of B cells: the fields of :class:`Evaluation` as arrays of shape (B,), and the cells' rows.

    ``repeats`` has the number of each training, −1 where :attr:`Evaluation.repeat` is None.
    """

    val_accuracy: NDArray[np.float64]
    test_accuracy: NDArray[np.float64]
    train_accuracy: NDArray[np.float64]
    energy: NDArray[np.float64]
    co2: NDArray[np.float64]
    training_time: NDArray[np.float64]
    trainable_parameters: NDArray[np.int32]
    epochs: int
    provenance: Provenance
    rows: NDArray[np.int64]
    repeats: NDArray[np.int64]


@dataclass(frozen=True, repr=False)
class Front:
    """An exact Pareto front.

    Attributes:
        rows: Rows of its cells, by ascending first objective; shape (n,).
        figures: Their objectives in natural units, shape (n, m).
        scores: Their normalised objectives (1 best, 0 worst on this front), shape (n, m).
        objectives: Names of the objectives, in the order of the columns, shape (m,).
    """

    rows: NDArray[np.int64]
    figures: NDArray[np.float64]
    scores: NDArray[np.float64]
    objectives: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        names = " and ".join(self.objectives) or f"{self.figures.shape[1]} objectives"
        return f"<Front of {len(self)} cells: {names}>"

    def _repr_html_(self) -> str:
        from ecnas.notebook import of_front

        return of_front(self)


class Benchmark:
    """Gives the metrics and the cost of training any cell of its space.

    Args:
        table: The metrics.
        front: Rows of the exact front of the default objectives at the highest epochs, if known.

    Example:
        >>> import ecnas
        >>> benchmark = ecnas.load("surrogate-5V")
        >>> evaluation = benchmark.query(benchmark.space[1000])
        >>> evaluation.epochs, evaluation.provenance
        (108, 'surrogate')
    """

    def __init__(self, table: Table, front: NDArray[np.int64] | None = None) -> None:
        self.table = table
        self._readers: dict[int, Reader] = {}  # made when first asked for: a table may have to draw its metrics
        self._provenances = table.provenance
        self._is_mixed = table.is_mixed
        self._highest = table.epochs[-1]
        self._has_one_training = table.repeats == 1
        self._num_cells = len(table.space)
        self._lacking = table.missing
        self._missing = np.array(sorted(table.missing), dtype=np.int64)
        self._parameters = table.space.trainable_parameters
        # A view of memory gives one number in half the time of an array.
        self._parameters_of = memoryview(np.asarray(self._parameters, dtype=np.int32))  # type: ignore[arg-type]
        self._caches: dict[Any, Any] = {}
        if front is not None:
            self._caches["front", DEFAULT_OBJECTIVES, table.epochs[-1]] = front

    @property
    def name(self) -> str:
        """The name under which it was loaded."""
        return self.table.name

    @property
    def space(self) -> Space:
        """The search space of its cells."""
        return self.table.space

    @property
    def epochs(self) -> tuple[int, ...]:
        """The available numbers of epochs (fidelities), ascending."""
        return self.table.epochs

    @property
    def digest(self) -> str:
        """SHA-256 that identifies the metrics."""
        return self.table.digest

    @property
    def expected(self) -> Benchmark:
        """The benchmark by which runs are judged, without luck.

        For a world it is the table without noise; for a table with repeated trainings, their means; for any other
        benchmark, itself.
        """
        if self.table.repeats == 1:
            return self
        return self._cached(("expected",), lambda: Benchmark(self.table.means()))

    def query(
        self,
        cell: Cell,
        epochs: int | None = None,
        *,
        repeat: Repeat = None,
        budget: Budget | int | None = None,
        needs: Sequence[str] = (),
    ) -> Evaluation:
        """Evaluates a cell.

        Args:
            cell: A cell of the space.
            epochs: One of :attr:`epochs`; the highest by default (108 in all published files except the 4-epoch ones).
            repeat: If the table has several trainings of the cell: "mean" of all (the default), the number of one, or a
                generator that draws one.
            budget: Charged with the cost of the training, unless the query fails. A number of evaluations is a budget
                for this call only.
            needs: Metrics that a drawn training must have.

        Raises:
            OutOfDomainError: The benchmark has no such cell, epochs or repeat; nothing is charged.
            BudgetExhaustedError: The budget does not allow the training; nothing is charged.
        """
        row = cell._row if type(cell) is Cell else -1
        if not 0 <= row < self._num_cells:
            row = self.space.row(cell)  # raises, and says why, unless the cell is of a subclass
        return self._evaluate(row, epochs, repeat, budget, needs)

    def query_row(
        self,
        row: int,
        epochs: int | None = None,
        *,
        repeat: Repeat = None,
        budget: Budget | int | None = None,
        needs: Sequence[str] = (),
    ) -> Evaluation:
        """Evaluates the cell in a row of the space, 0 ≤ row < len(space); otherwise like :meth:`query`."""
        if type(row) is not int or not 0 <= row < self._num_cells:
            row = self.space.check_row(row)
        return self._evaluate(row, epochs, repeat, budget, needs)

    def _evaluate(
        self, row: int, epochs: int | None, repeat: Repeat, budget: Budget | int | None, needs: Sequence[str]
    ) -> Evaluation:
        if epochs is None:
            epochs = self._highest
        reader = self._readers.get(epochs) if type(epochs) is int else None
        if reader is None:
            epochs = self.check_epochs(epochs)
            reader = self._readers[epochs] = self.table.reader(epochs)
        if repeat is not None:
            repeat = self._training(reader, row, epochs, repeat, needs)
        metrics = reader.first(row) if self._has_one_training else reader(row, repeat)
        # A cell without a metric of the first column may lack the training altogether.
        if (metrics[0] != metrics[0] or row in self._lacking) and not reader.trainings(row):
            raise self._no_training(row, epochs)
        provenance = self._provenances[epochs]
        if self._is_mixed:
            provenance = self._weakest(metrics, epochs, repeat, np.array([row]))
        val_accuracy, test_accuracy, train_accuracy, energy, co2, training_time = metrics
        parameters = self._parameters_of[row]
        evaluation: Evaluation = _Draft(
            val_accuracy,
            test_accuracy,
            train_accuracy,
            energy,
            co2,
            training_time,
            parameters,
            epochs,
            provenance,
            repeat,
        )
        evaluation.__class__ = Evaluation
        if budget is not None:
            account = budget_of(budget)
            account.charge(
                epochs=epochs,
                energy=energy,
                seconds=training_time,
                key=(self.table.digest, row, epochs, repeat),
            )
        return evaluation

    def _training(self, reader: Reader, row: int, epochs: int, repeat: Repeat, needs: Sequence[str]) -> int | None:
        """The number of a training that the cell has; None for the mean, and where there is only one anyway."""
        repeat = self.check_repeat(repeat)
        if repeat is None:
            return None
        there = reader.trainings(row)
        if not there:
            raise self._no_training(row, epochs)
        if isinstance(repeat, np.random.Generator):
            if needs and (complete := self.complete_trainings(needs, epochs)) is not None:
                there = np.flatnonzero(complete[row]).tolist()
                if not there:
                    raise self._no_training(row, epochs)
            repeat = there[int(repeat.integers(len(there)))]
        elif repeat not in there:
            raise OutOfDomainError(
                f"repeat must be one of {there} for cell {self.space[row].hash} at {epochs} epochs in {self.name!r}, "
                f"got {repeat}"
            )
        return repeat if self.table.repeats > 1 else None

    def complete_trainings(self, names: Sequence[str], epochs: int) -> NDArray[np.bool_] | None:
        """Which trainings of each cell have all of some metrics: bool, shape (cells, repeats); None if all do."""
        columns = [self.table.columns[name].values for name in sorted(set(names) & set(self.table.columns))]
        if self._has_one_training or all(values.dtype.kind in "iu" for values in columns):
            return None

        def compute() -> NDArray[np.bool_] | None:
            there = self.table.trainings(epochs, np.arange(self._num_cells))
            complete = there.copy()
            for name in set(names) & set(COLUMNS):
                for repeat in range(self.table.repeats):
                    complete[:, repeat] &= ~np.isnan(self.table.values(name, epochs, repeat))
            return None if np.array_equal(complete, there) else complete

        return self._cached(("complete", tuple(names), epochs), compute)

    def _no_training(self, row: int, epochs: int) -> OutOfDomainError:
        cell = self.space[row].hash
        if others := [other for other in self.epochs if self.table.trainings(other, np.array([row])).any()]:
            return OutOfDomainError(f"{self.name!r} lacks {epochs} epochs of cell {cell}; it has {others}")
        return OutOfDomainError(
            f"{self.name!r} lacks cell {cell}; it has {self._num_cells - len(self._missing)} of the "
            f"{self._num_cells} cells of space {self.space.name}"
        )

    def query_batch(
        self,
        adjacency: NDArray[Any],
        ops: NDArray[Any],
        epochs: int | None = None,
        *,
        repeat: Repeat = None,
        budget: Budget | int | None = None,
    ) -> Evaluations:
        """Evaluates B labelled cells of V vertices at once, including pruning and isomorphism.

        Args:
            adjacency: B×V×V upper-triangular matrices of the integers 0 and 1, 2 ≤ V ≤ 7; or B integers, the edge bits
                of :mod:`ecnas.encoding`.
            ops: Op codes (positions in ``ecnas.OPERATIONS``) of the inner vertices, B×(V−2). A pruned vertex needs
                one too.
            epochs: One of :attr:`epochs`; the highest by default.
            repeat: As in :meth:`query`. A generator draws once for each valid cell, in order, as single queries would.
            budget: Charged with every valid cell, in order; all or nothing.

        Returns:
            Arrays of shape (B,). A cell that :meth:`query` would refuse (no path from input to output, not in the
            space, missing in the table, or without the training) has row −1, NaN and 0 parameters.

        Raises:
            InvalidCellError: An argument has the wrong shape, type or values.
            OutOfDomainError: The benchmark has no such epochs or repeat.
            BudgetExhaustedError: The budget does not allow all of it; nothing is charged.

        Example:
            >>> import ecnas
            >>> import numpy as np
            >>> benchmark = ecnas.load("surrogate-7V")
            >>> adjacency = np.triu(np.ones((2, 3, 3), dtype=np.int8), k=1)
            >>> benchmark.query_batch(adjacency, np.array([[0], [1]])).trainable_parameters
            array([11051402,  2793866], dtype=int32)
        """
        rows = self.space.rows(*batch_to_frame(adjacency, ops))
        return self.query_rows(rows, epochs, repeat=repeat, budget=budget)

    def query_rows(
        self,
        rows: NDArray[np.integer],
        epochs: int | None = None,
        *,
        repeat: Repeat = None,
        budget: Budget | int | None = None,
        needs: Sequence[str] = (),
    ) -> Evaluations:
        """Evaluates the cells in many rows of the space, otherwise like :meth:`query_batch`.

        Args:
            rows: Integers of shape (B,), each 0 ≤ row < len(space), or −1 for "not a cell" as in :meth:`Space.rows`.
            epochs: As in :meth:`query_batch`.
            repeat: As in :meth:`query_batch`.
            budget: As in :meth:`query_batch`.
            needs: As in :meth:`query`.

        Raises:
            OutOfDomainError: The benchmark has no such row, epochs or repeat; nothing is charged.
            BudgetExhaustedError: The budget does not allow all of it; nothing is charged.
        """
        epochs = self.check_epochs(epochs)
        repeat = self.check_repeat(repeat)
        budget = budget_of(budget)
        rows = self.space.check_rows(rows, least=isomorphism.NOT_A_CELL)
        known = rows >= 0
        if len(self._missing):
            known &= ~np.isin(rows, self._missing)
        repeats: NDArray[np.int64] | None = None
        if repeat is not None:
            known, repeats = self._trainings(rows, known, epochs, repeat, needs)
        all_known = bool(known.all())
        safe = rows if all_known else np.where(known, rows, 0)
        metrics = [self.table.values(name, epochs, repeats, safe) for name in COLUMNS]
        if repeats is None and np.isnan(metrics[0]).any():  # some may lack the training altogether
            known &= ~np.isnan(metrics[0]) | self.table.trainings(epochs, safe).any(axis=1)
            all_known = bool(known.all())
        parameters = self._parameters[safe]
        if not all_known:
            unknown = ~known
            rows = np.where(known, rows, isomorphism.NOT_A_CELL)
            parameters[unknown] = 0
            for column in metrics:
                column[unknown] = np.nan
        provenance = self._provenances[epochs]
        if self._is_mixed:
            provenance = self._weakest(metrics, epochs, repeats, safe)
        if repeats is None or self.table.repeats == 1:
            repeats = np.full(len(rows), -1, dtype=np.int64)
        evaluations = Evaluations._make((*metrics, parameters, epochs, provenance, rows, repeats))
        if budget is not None:
            self.charge(evaluations, budget)
        return evaluations

    def _trainings(
        self,
        rows: NDArray[np.int64],
        known: NDArray[np.bool_],
        epochs: int,
        repeat: int | np.random.Generator,
        needs: Sequence[str],
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Which of the known rows have the training that is asked for, and its number for each, 0 where none."""
        there = self.table.trainings(epochs, np.where(known, rows, 0)) & known[:, None]
        if not isinstance(repeat, np.random.Generator):
            return there[:, repeat], np.where(there[:, repeat], repeat, 0)
        if needs and (complete := self.complete_trainings(needs, epochs)) is not None:
            there &= complete[np.where(known, rows, 0)]
        numbers = np.zeros(len(rows), dtype=np.int64)
        counts = there.sum(axis=1)
        known = counts > 0
        places = repeat.integers(counts[known])
        # A training's place among those that are there, −1 elsewhere.
        order = np.where(there, np.cumsum(there, axis=1) - 1, -1)[known]
        numbers[known] = (order == places[:, None]).argmax(axis=1)
        return known, numbers

    def charge(self, evaluations: Evaluations, budget: Budget, *, partly: bool = False) -> int:
        """Charges a budget with evaluations in order; those without a row cost nothing.

        Args:
            evaluations: B evaluations of this benchmark.
            budget: The budget.
            partly: Charge those before the first that would overspend, instead of all or none.

        Returns:
            The number of paid evaluations: B, unless ``partly``.

        Raises:
            BudgetExhaustedError: The budget does not allow all, and ``partly`` is not set; nothing is charged.
        """
        found = np.flatnonzero(evaluations.rows >= 0)
        charged = budget.charge_many(
            epochs=evaluations.epochs,
            energy=evaluations.energy[found],
            seconds=evaluations.training_time[found],
            keys=(
                (self.digest, row, evaluations.epochs, None if repeat < 0 else repeat)
                for row, repeat in zip(
                    evaluations.rows[found].tolist(), evaluations.repeats[found].tolist(), strict=True
                )
            ),
            partly=partly,
        )
        return int(found[charged]) if charged < len(found) else len(evaluations.rows)

    def check_repeat(self, repeat: Repeat) -> int | np.random.Generator | None:
        """Returns the number of a repeat, or the generator that draws one; None for "mean".

        Raises:
            OutOfDomainError: The benchmark has no such repeat.
        """
        if repeat is None or isinstance(repeat, np.random.Generator):
            return repeat
        if isinstance(repeat, str) and repeat == "mean":
            return None
        number, most = as_whole(repeat), self.table.repeats - 1
        if number is None or not 0 <= number <= most:
            numbers = f"a whole number from 0 to {most}" if most else "0"
            raise OutOfDomainError(
                f"repeat must be 'mean', {numbers} or a numpy.random.Generator in {self.name!r}, got {shown(repeat)}"
            )
        return number

    def check_epochs(self, epochs: int | None) -> int:
        """Returns the epochs, the highest for None.

        Raises:
            OutOfDomainError: The benchmark has no such epochs.
        """
        if epochs is None:
            return self.epochs[-1]
        number = as_whole(epochs)
        if number is None or number not in self.epochs:
            raise OutOfDomainError(f"epochs must be one of {list(self.epochs)} in {self.name!r}, got {shown(epochs)}")
        return number

    def values(
        self, name: str, epochs: int | None = None, rows: NDArray[np.integer] | None = None
    ) -> NDArray[np.float64]:
        """A metric of all cells of the space in row order, or of some rows.

        Args:
            name: A numeric field of :class:`Evaluation`.
            epochs: One of :attr:`epochs`; the highest by default.
            rows: Rows of the space, shape (n,), to read only these; all by default, which are kept in memory.

        Returns:
            Float64, shape (cells,) and read-only, or (n,): means over repeats, NaN where there is no metric.

        Raises:
            UnknownNameError: The metric is unknown.
            OutOfDomainError: The benchmark has no such epochs or row.
        """
        epochs = self.check_epochs(epochs)
        name = one_of("metric", name, (*COLUMNS, "trainable_parameters"))

        def compute(rows: NDArray[np.integer] | slice) -> NDArray[np.float64]:
            if name == "trainable_parameters":
                return self._parameters[rows].astype(np.float64)
            return self.table.values(name, epochs, rows=rows)

        def compute_all() -> NDArray[np.float64]:
            result = compute(slice(None))
            result[self._missing] = np.nan
            result.flags.writeable = False
            return result

        if rows is None:
            return self._cached(("values", name, epochs), compute_all)
        rows = self.space.check_rows(rows)
        result = compute(rows)
        if len(self._missing):
            result[np.isin(rows, self._missing)] = np.nan
        return result

    def lacking(self, objectives: Sequence[str] = DEFAULT_OBJECTIVES, epochs: int | None = None) -> frozenset[int]:
        """Rows of the cells that cannot be judged, since a metric of an objective is missing.

        These cells are missing, were trained for other epochs, or lack one of the metrics.
        """
        names, epochs = check_objectives(objectives), self.check_epochs(epochs)

        def compute() -> frozenset[int]:
            columns = [self.table.columns[name].values for name in names if name in self.table.columns]
            if all(values.dtype.kind in "iu" for values in columns) and len(columns) >= len(set(names) & set(COLUMNS)):
                return self.table.missing  # integers cannot say that there is nothing
            lacking = np.any([np.isnan(self.values(name, epochs)) for name in names], axis=0)
            return frozenset(np.flatnonzero(lacking).tolist())

        return self._cached(("lacking", names, epochs), compute)

    def provenance(
        self, name: str, epochs: int | None = None, rows: NDArray[np.integer] | None = None
    ) -> NDArray[np.str_]:
        """The provenance of a metric for each cell; otherwise like :meth:`values`.

        Returns:
            Words of ``ecnas.table.PROVENANCES``, shape (cells,) or (n,); empty where the metric is missing.

        Example:
            >>> import ecnas
            >>> benchmark = ecnas.load("surrogate-4V")
            >>> benchmark.provenance("energy")[:2].tolist()
            ['surrogate', 'surrogate']
        """
        if name not in COLUMNS:
            raise OutOfDomainError(f"name must be one of {list(COLUMNS)}, got {name!r}")
        epochs = self.check_epochs(epochs)
        rows = None if rows is None else self.space.check_rows(rows)
        lacking = np.isnan(self.values(name, epochs, rows))
        words = np.array(PROVENANCES)[self.table.origins(name, epochs, rows=slice(None) if rows is None else rows)]
        return np.where(lacking, "", words)

    def provenance_of(self, row: int, epochs: int, repeat: int | None = None) -> Provenance:
        """The provenance of an evaluation of a cell: that of its weakest metric.

        Raises:
            OutOfDomainError: The benchmark has no such row or epochs.
        """
        row, epochs = self.space.check_row(row), self.check_epochs(epochs)
        if not self._is_mixed:
            return self._provenances[epochs]
        rows = np.array([row])
        metrics = [self.table.values(name, epochs, repeat, rows) for name in COLUMNS]
        return self._weakest(metrics, epochs, repeat, rows)

    def _weakest(
        self,
        metrics: Sequence[Any],
        epochs: int,
        repeat: int | NDArray[np.integer] | None,
        rows: NDArray[np.integer],
    ) -> Provenance:
        """The weakest provenance of the metrics, in the order of the columns, of the cells in some rows."""
        codes = [
            int(np.where(np.isnan(column), 0, self.table.origins(name, epochs, repeat, rows)).max(initial=0))
            for name, column in zip(COLUMNS, metrics, strict=True)
        ]
        return PROVENANCES[max(codes)]

    def pareto_front(self, objectives: Sequence[str] = DEFAULT_OBJECTIVES, epochs: int | None = None) -> Front:
        """The exact Pareto front over all cells of the benchmark.

        Args:
            objectives: Names from ``ecnas.objectives.OBJECTIVES``.
            epochs: One of :attr:`epochs`; the highest by default.

        Raises:
            OutOfDomainError: The benchmark has no such epochs, or lacks an objective altogether.
        """
        names = check_objectives(objectives)
        epochs = self.check_epochs(epochs)
        normalisation = self.normalisation(names, epochs)
        rows = self._front_rows(names, epochs)
        metrics = np.stack([self.values(name, epochs, rows) for name in names], axis=1)
        return Front(rows, metrics, normalisation.scores(metrics), names)

    def normalisation(self, objectives: Sequence[str] = DEFAULT_OBJECTIVES, epochs: int | None = None) -> Normalisation:
        """Normalises objectives between the ideal and the nadir point of their exact front.

        An objective with only one value on the front, such as a single objective, is normalised between its worst and
        its best value over all cells instead.
        """
        names = check_objectives(objectives)
        epochs = self.check_epochs(epochs)

        def compute() -> Normalisation:
            rows = self._front_rows(names, epochs)
            ideal, nadir = [], []
            for name in names:
                metrics = self.values(name, epochs, rows)
                best, worst = (np.max, np.min) if OBJECTIVES[name].maximise else (np.min, np.max)
                low, high = worst(metrics), best(metrics)
                if low == high:
                    low = (np.nanmin if OBJECTIVES[name].maximise else np.nanmax)(self.values(name, epochs))
                ideal.append(float(high))
                nadir.append(float(low))
            return Normalisation(names, tuple(ideal), tuple(nadir))

        return self._cached(("normalisation", names, epochs), compute)

    def _front_rows(self, names: tuple[str, ...], epochs: int) -> NDArray[np.int64]:
        def compute() -> NDArray[np.int64]:
            front = np.empty(0, dtype=np.int64)
            # The front of all is the front of the fronts of parts: one part at a time needs little memory.
            for start in range(0, self._num_cells, _FRONT_PART):
                rows = np.append(front, np.arange(start, min(start + _FRONT_PART, self._num_cells)))
                metrics = [self.values(name, epochs, rows) for name in names]
                for column, name in zip(metrics, names, strict=True):
                    if not OBJECTIVES[name].maximise:
                        np.negative(column, out=column)
                front = rows[pareto.non_dominated(np.stack(metrics).T)]
            if not len(front):
                lacking = [name for name in names if np.isnan(self.values(name, epochs)).all()]
                what = f"no {lacking[0]}" if lacking else f"no cell with all of {', '.join(names)}"
                raise OutOfDomainError(f"{self.name!r} has {what} at {epochs} epochs")
            return front

        return self._cached(("front", names, epochs), compute)

    def scalarisation(
        self,
        scalarisation: str | Scalarisation | None = None,
        objectives: Sequence[str] = DEFAULT_OBJECTIVES,
        epochs: int | None = None,
        weights: Sequence[float] | None = None,
    ) -> Scalarisation:
        """A scalarisation by name, one of ``ecnas.objectives.SCALARISATIONS``, with this benchmark's bounds.

        The default is "soft-cap"; with only weights, or with one objective, it is "linear". An object is checked
        against the objectives and returned.

        Raises:
            UnknownNameError: The scalarisation is unknown.
            ValueError: It does not fit the objectives.
        """
        names = check_objectives(objectives)
        if scalarisation is None:
            scalarisation = "linear" if weights is not None or len(names) == 1 else DEFAULT_SCALARISATION
        if isinstance(scalarisation, str):
            return make_scalarisation(scalarisation, self.normalisation(names, epochs), weights)
        if weights is not None:
            raise ValueError(
                f"weights go with the name of a scalarisation, got {shown(weights)} and {shown(scalarisation)}"
            )
        return check_scalarisation(scalarisation, len(names))

    def scalar_rewards(
        self,
        scalarisation: str | Scalarisation | None = None,
        objectives: Sequence[str] = DEFAULT_OBJECTIVES,
        epochs: int | None = None,
    ) -> NDArray[np.float64]:
        """The scalarised reward of every cell, float64 of shape (cells,); NaN where metrics are missing."""
        names = check_objectives(objectives)
        scalarise = self.scalarisation(scalarisation, names, epochs)
        rewards = self.vector_rewards(names, epochs)
        metrics = {name: self.values(name, epochs) for name in OBJECTIVES}
        return np.where(np.isnan(rewards).any(axis=1), np.nan, scalarise(rewards, metrics))

    def vector_rewards(
        self, objectives: Sequence[str] = DEFAULT_OBJECTIVES, epochs: int | None = None
    ) -> NDArray[np.float64]:
        """The normalised objectives of every cell, from 0: float64 of shape (cells, m)."""
        names = check_objectives(objectives)
        metrics = np.stack([self.values(name, epochs) for name in names], axis=1)
        return self.normalisation(names, epochs).rewards(metrics)

    def optimum(
        self,
        scalarisation: str | Scalarisation | None = None,
        objectives: Sequence[str] = DEFAULT_OBJECTIVES,
        epochs: int | None = None,
    ) -> tuple[Cell, float]:
        """The best cell of the whole table under a scalarisation (the default one if none is given), and its reward.

        Of several equally good cells, the first one.
        """
        rewards = self.scalar_rewards(scalarisation, objectives, epochs)
        if np.isnan(rewards).all():
            raise OutOfDomainError(
                f"{self.name!r} lacks metrics that {shown(scalarisation or DEFAULT_SCALARISATION)} needs"
            )
        row = int(np.nanargmax(rewards))
        return self.space[row], float(rewards[row])

    def reference_point(
        self, objectives: Sequence[str] = DEFAULT_OBJECTIVES, epochs: int | None = None
    ) -> NDArray[np.float64]:
        """The reference point for hypervolume: a tenth of the front's extent beyond the exact nadir.

        In natural units, shape (m,). It is near the nadir, so that a gain in either objective counts, but beyond it, so
        that the extreme points of the front count too (Ishibuchi et al. 2018, https://doi.org/10.1162/evco_a_00226).
        """
        normalisation = self.normalisation(objectives, epochs)
        return np.array([normalisation.metric(name, -REFERENCE_MARGIN) for name in normalisation.names])

    def _cached(self, key: tuple[Any, ...], compute: Callable[[], T]) -> T:
        if key not in self._caches:
            self._caches[key] = compute()
        result: T = self._caches[key]
        return result

    def __repr__(self) -> str:
        return f"<Benchmark {self.name}: space {self.space.name}, epochs {list(self.epochs)}>"

    def _repr_html_(self) -> str:
        from ecnas.notebook import of_benchmark

        return of_benchmark(self)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.table.folder is None:
            return Benchmark, (self.table,)
        return _reopen, (self.table.folder, self.name, self.digest)

    def __deepcopy__(self, memo: dict[int, Any]) -> Benchmark:
        return self  # it never changes but for its caches


def _reopen(folder: Path, name: str, digest: str) -> Benchmark:
    """Unpickling maps the same folder again instead of copying the table through a pipe."""
    return _reopened(folder, name, digest, tuple(state_of(folder / HEADER)))


@functools.lru_cache(maxsize=32)
def _reopened(folder: Path, name: str, digest: str, state: tuple[int, ...]) -> Benchmark:
    table = open_table(folder)
    if table.digest != digest:
        raise CorruptFileError(f"{folder} held the table with digest {digest}, and now holds {table.digest}")
    return Benchmark(replace(table, name=name))
