"""From lines of measurements to a table, with an account of what was understood."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from ecnas.measured.cells import rows_of_cells
from ecnas.measured.columns import Column, understand
from ecnas.measured.joining import runs_of_lines
from ecnas.measured.meters import Meters, Run
from ecnas.measured.metrics import Training, table_of
from ecnas.measured.numbers import Mark, decimal_mark, is_missing, read_number, times
from ecnas.measured.preview import Reading, account, remarks
from ecnas.measured.problems import MeasurementsError, Problems, listed
from ecnas.measured.sources import Line, Source, open_source
from ecnas.space import Space
from ecnas.table import COLUMNS, PROVENANCES, Provenance

_MOST_EPOCHS: Final = 1_000_000


def read(
    source: str | os.PathLike[str] | Iterable[Mapping[str, Any]],
    *,
    name: str | None = None,
    epochs: int | None = None,
    columns: Mapping[str, str] | None = None,
    percent: bool = False,
    decimal: Mark | None = None,
    space: str | None = None,
    provenance: Provenance = "measured",
    energy: str | os.PathLike[str] | Sequence[Mapping[str, Any]] | None = None,
    notes: str = "",
) -> Reading:
    """Reads measurements: one line for each training of a cell.

    Args:
        source: A CSV, JSON Lines or Parquet file, codecarbon's ``emissions.csv`` or carbontracker's logs; or rows, as
            mappings from columns to values. Columns are found by usual names with units: a cell (``adjacency`` and
            ``ops``, ``hash``, ``row``, ``cell``, …), ``epochs``, ``repeat`` or ``seed``, ``val_accuracy`` (0 to 1),
            ``val_accuracy_percent``, ``energy_kwh``, ``co2_g``, ``training_time_s``, …
        name: The table's name; the file's stem by default.
        epochs: Epochs of all trainings, if no column gives them.
        columns: Meanings of columns that their names do not give: ``{"acc": "val_accuracy", "row": "ignore"}``.
        percent: Whether accuracies are in percent if the name of their column does not say.
        decimal: "point" or "comma", if the numbers are ambiguous.
        space: "4V", "5V" or "7V"; the smallest that holds all cells by default.
        provenance: Provenance of metrics if no column gives it.
        energy: The energy meter's files: codecarbon's ``emissions.csv``, a folder of carbontracker's logs, or what its
            ``parser.parse_all_logs`` returns. A run is found by the column ``run``, or else by the cell's module hash
            in its name.
        notes: Notes for users of the table.

    Returns:
        The table and its preview. A missing metric is NaN; a cell without any metric is missing.

    Raises:
        MeasurementsError: The file is wrong or ambiguous; the message names all lines and columns concerned.
        UnknownNameError: The space is unknown.
        FileNotFoundError: There is no such file.

    Example:
        >>> from ecnas import measured
        >>> rows = [{"row": 7, "epochs": 4, "val_accuracy": 0.81, "energy_wh": 3.2}]
        >>> table = measured.read(rows, name="my-lab").table
        >>> table.epochs, len(table.missing), float(table.values("energy", 4)[7])
        ((4,), 90, 0.0032)
    """
    if provenance not in PROVENANCES:
        raise ValueError(f"provenance must be one of {PROVENANCES}, got {provenance!r}")
    meters = Meters.open(energy) if energy is not None else None
    if isinstance(source, (str, os.PathLike)) and Meters.recognises(Path(source)):
        if meters:
            raise MeasurementsError(f"{source} holds a meter's own metrics; give energy= for measurements without them")
        opened = Meters.open(source).as_source()
    else:
        opened = open_source(source)
    understood = understand(opened.columns, opened.name, columns, percent)
    return _Reader(opened, understood, epochs, decimal, provenance, meters).read(
        name or Path(opened.name).stem, space, notes
    )


class _Reader:
    """Reads the lines of one source."""

    def __init__(
        self,
        source: Source,
        columns: Sequence[Column],
        epochs: int | None,
        decimal: Mark | None,
        provenance: Provenance,
        meters: Meters | None,
    ) -> None:
        self.source = source
        self.columns = columns
        self.metrics = [column for column in columns if column.is_metric]
        self.named = {
            column.meaning: column for column in columns if not column.is_metric and column.meaning != "piece"
        }
        self.provenance = provenance
        self.meters = meters
        self.notes = list(source.notes)
        self.problems = Problems(source.name)
        self.epochs = self._epochs(epochs)
        self.mark = decimal or decimal_mark(self._texts(), source.name)
        self.ranges: dict[str, tuple[float, float, int]] = {}

    def read(self, name: str, space: str | None, notes: str) -> Reading:
        rows, cell_columns = rows_of_cells(self.source, self.columns, self.problems)
        if space is not None:
            self._check_space(Space(space), rows)
        runs: list[Run | None] = [None] * len(rows)
        if self.meters is not None:
            runs, odd = runs_of_lines(self.source, self.columns, rows, self.meters, self.problems)
            self.notes += odd
        labelled: dict[tuple[int, int, int], tuple[Line, Training]] = {}
        silent = []
        every = zip(self.source.lines, rows, runs, strict=True)
        from tqdm import tqdm  # not needed to open a table

        for line, row, run in tqdm(every, self.source.name, len(rows), unit=" lines", disable=None, delay=1):
            label = self._label(line)
            trainings = self._trainings(line, row, run)
            if not trainings:
                silent.append(line.where)
            for training in trainings:
                key = row, training.epochs, label
                if row >= 0 and key in labelled:
                    self._refuse_double(labelled[key][0], line, training)
                labelled.setdefault(key, (line, training))
        self.problems.check()
        if silent:
            self.notes.append(f"no metrics in {listed(silent)}")
        repeats = self._repeats(list(labelled))
        trainings = [replace(training, repeat=repeats[key]) for key, (_, training) in labelled.items()]
        table = table_of(trainings, name, space, notes)
        self.notes += remarks(self.source, self.columns, rows, table, self.mark)
        entries = [*account(self.source, self.columns, cell_columns, self.ranges, table, self.meters)]
        if self.epochs is not None:
            entries.append(("(said)", "epochs", str(self.epochs)))
        if self.mark == "comma":
            entries.append(("(numbers)", "decimal comma", ""))
        return Reading(table, tuple(entries), tuple(self.notes))

    def _check_space(self, space: Space, rows: Sequence[int]) -> None:
        for line, row in zip(self.source.lines, rows, strict=True):
            if row >= len(space):
                cell = Space("7V")[row]
                self.problems.add(
                    f"{line.where}: the cell has {cell.num_vertices} vertices and {cell.num_edges} edges; space "
                    f"{space.name} allows at most {space.num_vertices} vertices and {space.max_edges} edges"
                )

    def _epochs(self, epochs: int | None) -> int | None:
        lacking = "epochs" not in self.named and any(column.epochs is None for column in self.metrics)
        if epochs is None:
            by_meter = self.meters is not None and not self.metrics and self.meters.know_epochs
            if lacking or (not self.metrics and "epochs" not in self.named and not by_meter):
                raise MeasurementsError(
                    f"{self.source.name} has no column with the number of epochs; add a column epochs, or give "
                    "one number for all (epochs=108; --epochs 108 on the command line)"
                )
            return None
        if "epochs" in self.named:
            raise MeasurementsError(
                f"{self.source.name} has the column {self.named['epochs'].name!r}; epochs for all ({epochs}) cannot be "
                "given as well"
            )
        if not 1 <= epochs <= _MOST_EPOCHS:
            raise ValueError(f"epochs must be from 1 to {_MOST_EPOCHS}, got {epochs!r}")
        return epochs

    def _texts(self) -> Iterable[tuple[str, str]]:
        for line in self.source.lines:
            for column in self.metrics:
                value = line.values.get(column.name)
                if isinstance(value, str) and not is_missing(value):
                    yield f"{line.where}, column {column.name!r}", value.strip().removesuffix("%")

    def _whole(self, line: Line, column: Column, least: int, most: int) -> int | None:
        value = line.values.get(column.name)
        try:
            number = read_number(value, self.mark)
            if not (math.isfinite(number) and number.is_integer() and least <= number <= most):
                raise ValueError
        except ValueError:
            self.problems.add(
                f"{line.where}, column {column.name!r}: must be a whole number from {least} to {most}, "
                f"got {value!r:.80}"
            )
            return None
        return int(number)

    def _label(self, line: Line) -> int:
        """The number that distinguishes the trainings of a cell."""
        column = self.named.get("repeat")
        if column is not None:
            value = line.values.get(column.name)
            if isinstance(value, str) and (found := re.fullmatch(r"\s*[A-Za-z]+[\s_#-]*(\d+)\s*", value)):
                line = Line(line.where, {column.name: int(found[1])})
            return self._whole(line, column, 0, 2**63) or 0
        column = self.named.get("seed")
        return (self._whole(line, column, 0, 2**63) or 0) if column is not None else 0

    def _repeats(self, keys: Sequence[tuple[int, int, int]]) -> dict[tuple[int, int, int], int]:
        """The repeat of each training, from 0, in the order of the given numbers or, for each cell, of its seeds."""
        by_cell = "repeat" not in self.named
        labels: dict[int, set[int]] = {}
        for row, _, label in keys:
            labels.setdefault(row if by_cell else 0, set()).add(label)
        order = {group: {label: i for i, label in enumerate(sorted(found))} for group, found in labels.items()}
        return {key: order[key[0] if by_cell else 0][key[2]] for key in keys}

    def _trainings(self, line: Line, row: int, run: Run | None) -> list[Training]:
        """The trainings of a line: one, or one for each number of epochs in the names of columns."""
        origins = self._origins(line)
        by_epochs: dict[int, dict[str, float]] = {}
        line_epochs = self._line_epochs(line, run)
        for column in self.metrics:
            value = line.values.get(column.name)
            if is_missing(value):
                continue
            metric = self._metric(line, column, value)
            if metric is not None and (number := column.epochs or line_epochs) is not None:
                by_epochs.setdefault(number, {})[column.meaning] = metric
        if run is not None and line_epochs is not None:
            into = by_epochs.setdefault(line_epochs, {})
            for name, metric in run.metrics.items():
                if name not in into:
                    into[name] = metric
                    origins[name] = run.provenance
        return [
            Training(row, number, 0, metrics, {name: origins.get(name, origins[""]) for name in metrics})
            for number, metrics in by_epochs.items()
        ]

    def _line_epochs(self, line: Line, run: Run | None) -> int | None:
        if self.epochs is not None:
            return self.epochs
        if "epochs" in self.named:
            return self._whole(line, self.named["epochs"], 1, _MOST_EPOCHS)
        return run.epochs if run is not None else None

    def _origins(self, line: Line) -> dict[str, Provenance]:
        """Provenance by column, and by "" for all others."""
        origins: dict[str, Provenance] = {"": self.provenance}
        for target in ("", *COLUMNS):
            column = self.named.get(f"{target}_provenance" if target else "provenance")
            value = line.values.get(column.name) if column is not None else None
            if column is None or is_missing(value):
                continue
            word = str(value).strip().lower()
            if word not in PROVENANCES:
                self.problems.add(
                    f"{line.where}, column {column.name!r}: must be one of {', '.join(PROVENANCES)}, got {value!r:.80}"
                )
                continue
            origins[target] = PROVENANCES[PROVENANCES.index(word)]
        return origins

    def _metric(self, line: Line, column: Column, value: Any) -> float | None:
        """A metric in the table's unit; None if it has a problem."""
        is_accuracy = column.meaning.endswith("accuracy")
        factor, percent = column.factor, column.unit == "%"
        try:
            if is_accuracy and isinstance(value, str) and value.strip().endswith("%"):
                factor, percent = Fraction(1, 100), False
                number = read_number(value.strip().removesuffix("%"), self.mark)
            else:
                number = read_number(value, self.mark)
            if is_accuracy:
                _check_accuracy(number, factor, percent)
            elif not math.isfinite(number) or number < 0 or (number == 0 and column.meaning != "co2"):
                raise ValueError(f"must be positive and finite, got {value!r}")
        except ValueError as error:
            self.problems.add(f"{line.where}, column {column.name!r}: {error}")
            return None
        metric = times(number, factor)
        least, most, count = self.ranges.get(column.name, (metric, metric, 0))
        self.ranges[column.name] = min(least, metric), max(most, metric), count + 1
        return metric

    def _refuse_double(self, first: Line, second: Line, training: Training) -> None:
        told = "repeat" in self.named or "seed" in self.named
        hint = "" if told else "; if they are repeats, number them in a column repeat"
        self.problems.add(
            f"{second.where}: the same cell and epochs{' and repeat' if told else ''} as {first.where} "
            f"({Space('7V')[training.row].hash}, {training.epochs} epochs; isomorphic cells are the same cell){hint}"
        )


def _check_accuracy(number: float, factor: Fraction, percent: bool) -> None:
    if not math.isfinite(number) or not 0 <= number * factor <= 1:
        hint = ""
        if factor == 1 and 1 < number <= 100:
            hint = "; if it is in percent, call the column …_accuracy_percent (or use --percent; percent=True)"
        raise ValueError(f"must be from 0 to {1 / factor}, got {number:g}{hint}")
    if percent and 0 < number <= 1:
        raise ValueError(
            f"{number:g} would be {number:g}% here; if it is a fraction, write {100 * number:g}, or call the column "
            "…_accuracy"
        )
