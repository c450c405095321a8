"""From lines of measurements to a table, with an account of what was understood."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from tqdm import tqdm

from ecnas.measured.cells import rows_of_cells
from ecnas.measured.columns import Column, understand
from ecnas.measured.figures import Training, table_of
from ecnas.measured.meters import Meters, Run
from ecnas.measured.numbers import Mark, decimal_mark, is_missing, read_number, times
from ecnas.measured.problems import MeasurementsError, Problems
from ecnas.measured.sources import Line, Source, open_source
from ecnas.space import Space
from ecnas.table import COLUMNS, PROVENANCES, Provenance, Table

_MOST_EPOCHS: Final = 1_000_000

_TITLES: Final[Mapping[str, str]] = {
    "val_accuracy": "validation accuracy",
    "test_accuracy": "test accuracy",
    "train_accuracy": "training accuracy",
    "energy": "energy",
    "co2": "CO2 equivalent",
    "training_time": "training time",
}
_WORDS: Final[Mapping[str, str]] = {"energy": "energy", "kwh": "energy", "acc": "val_accuracy", "co2": "co2"}
"""What a column's name may hold that was meant for figures."""

_TABLE_UNITS: Final[Mapping[str, str]] = {"energy": "kWh", "co2": "g", "training_time": "s"}


@dataclass(frozen=True)
class Reading:
    """A table, and how it was read; printed, it is a preview.

    Attributes:
        table: The figures.
        understood: For each column: its name, what it means, and what is in it.
        notes: Odd lines, and whatever else a user should look at.
    """

    table: Table
    understood: tuple[tuple[str, str, str], ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        table = self.table
        cells = len(table.space) - len(table.missing)
        origins = ", ".join(dict.fromkeys(table.provenance.values()))
        heads = [
            f"{table.name}: {cells:,} of the {len(table.space):,} cells of space {table.space.name}; "
            f"epochs {', '.join(map(str, table.epochs))}; "
            + (f"up to {table.repeats} repeats" if table.repeats > 1 else "1 repeat")
            + f"; {origins}"
        ]
        widths = [max((len(entry[i]) for entry in self.understood), default=0) for i in (0, 1)]
        body = [
            f"  {name:<{widths[0]}}  {meaning:<{widths[1]}}  {content}".rstrip()
            for name, meaning, content in self.understood
        ]
        return "\n".join([*heads, *body, *(f"note: {note}" for note in self.notes), f"digest {table.digest}"])


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
        epochs: Epochs of all trainings, where no column says it.
        columns: What columns mean whose names do not say it: ``{"acc": "val_accuracy", "row": "ignore"}``.
        percent: Accuracies whose column does not say it are in per cent.
        decimal: "point" or "comma", where the numbers do not show it.
        space: "4V", "5V" or "7V"; the smallest that holds all cells by default.
        provenance: Where figures come from for which no column says it.
        energy: The energy meter's files: codecarbon's ``emissions.csv``, a folder of carbontracker's logs, or what its
            ``parser.parse_all_logs`` returns. A run is found by the column ``run``, else by the cell's module hash in
            its name.
        notes: What a user of the table must know.

    Returns:
        The table and its preview. A figure that is not there is NaN; a cell without any is missing.

    Raises:
        MeasurementsError: Something is wrong or ambiguous; the message names all lines and columns of it.
        UnknownNameError: There is no such space.
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
            raise MeasurementsError(f"{source} holds a meter's own figures; give energy= for measurements without them")
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
        self.figures = [column for column in columns if column.is_figure]
        self.named = {
            column.meaning: column for column in columns if not column.is_figure and column.meaning != "piece"
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
        runs = self._runs(rows)
        labelled: dict[tuple[int, int, int], tuple[Line, Training]] = {}
        silent = []
        every = zip(self.source.lines, rows, runs, strict=True)
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
            self.notes.append(f"no figures in {_listed(silent)}")
        repeats = self._repeats(list(labelled))
        trainings = [replace(training, repeat=repeats[key]) for key, (_, training) in labelled.items()]
        table = table_of(trainings, name, space, notes)
        self._check_parameters(rows)
        self._mention_unused(table)
        return Reading(table, tuple(self._account(table, cell_columns)), tuple(self.notes))

    def _check_space(self, space: Space, rows: Sequence[int]) -> None:
        for line, row in zip(self.source.lines, rows, strict=True):
            if row >= len(space):
                cell = Space("7V")[row]
                self.problems.add(
                    f"{line.where}: the cell has {cell.num_vertices} vertices and {cell.num_edges} edges; space "
                    f"{space.name} allows at most {space.num_vertices} vertices and {space.max_edges} edges"
                )

    def _epochs(self, epochs: int | None) -> int | None:
        lacking = "epochs" not in self.named and any(column.epochs is None for column in self.figures)
        if epochs is None:
            by_meter = self.meters is not None and not self.figures and self.meters.know_epochs
            if lacking or (not self.figures and "epochs" not in self.named and not by_meter):
                raise MeasurementsError(
                    f"{self.source.name} has no column that says for how many epochs the cells were trained; add a "
                    "column epochs, or say it for all (epochs=108; --epochs 108 on the command line)"
                )
            return None
        if "epochs" in self.named:
            raise MeasurementsError(
                f"{self.source.name} has the column {self.named['epochs'].name!r}; epochs for all ({epochs}) cannot be "
                "said as well"
            )
        if not 1 <= epochs <= _MOST_EPOCHS:
            raise ValueError(f"epochs must be from 1 to {_MOST_EPOCHS}, got {epochs!r}")
        return epochs

    def _texts(self) -> Iterable[tuple[str, str]]:
        for line in self.source.lines:
            for column in self.figures:
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
        """The number that tells the trainings of a cell apart."""
        column = self.named.get("repeat")
        if column is not None:
            value = line.values.get(column.name)
            if isinstance(value, str) and (found := re.fullmatch(r"\s*[A-Za-z]+[\s_#-]*(\d+)\s*", value)):
                line = Line(line.where, {column.name: int(found[1])})
            return self._whole(line, column, 0, 2**63) or 0
        column = self.named.get("seed")
        return (self._whole(line, column, 0, 2**63) or 0) if column is not None else 0

    def _repeats(self, keys: Sequence[tuple[int, int, int]]) -> dict[tuple[int, int, int], int]:
        """The repeat of each training, from 0: repeats in the order of their numbers, a cell's seeds in theirs."""
        by_cell = "repeat" not in self.named
        labels: dict[int, set[int]] = {}
        for row, _, label in keys:
            labels.setdefault(row if by_cell else 0, set()).add(label)
        order = {group: {label: i for i, label in enumerate(sorted(found))} for group, found in labels.items()}
        return {key: order[key[0] if by_cell else 0][key[2]] for key in keys}

    def _trainings(self, line: Line, row: int, run: Run | None) -> list[Training]:
        """The trainings of a line: one, or one for each number of epochs that columns are for."""
        origins = self._origins(line)
        by_epochs: dict[int, dict[str, float]] = {}
        line_epochs = self._line_epochs(line, run)
        for column in self.figures:
            value = line.values.get(column.name)
            if is_missing(value):
                continue
            figure = self._figure(line, column, value)
            if figure is not None and (number := column.epochs or line_epochs) is not None:
                by_epochs.setdefault(number, {})[column.meaning] = figure
        if run is not None and line_epochs is not None:
            into = by_epochs.setdefault(line_epochs, {})
            for name, figure in run.figures.items():
                if name not in into:
                    into[name] = figure
                    origins[name] = run.provenance
        return [
            Training(row, number, 0, figures, {name: origins.get(name, origins[""]) for name in figures})
            for number, figures in by_epochs.items()
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

    def _figure(self, line: Line, column: Column, value: Any) -> float | None:
        """A figure in the table's unit; None where it is a problem."""
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
        figure = times(number, factor)
        least, most, count = self.ranges.get(column.name, (figure, figure, 0))
        self.ranges[column.name] = min(least, figure), max(most, figure), count + 1
        return figure

    def _refuse_double(self, first: Line, second: Line, training: Training) -> None:
        told = "repeat" in self.named or "seed" in self.named
        hint = "" if told else "; if they are repeats, number them in a column repeat"
        self.problems.add(
            f"{second.where}: the same cell and epochs{' and repeat' if told else ''} as {first.where} "
            f"({Space('7V')[training.row].hash}, {training.epochs} epochs; isomorphic cells are the same cell){hint}"
        )

    def _runs(self, rows: Sequence[int]) -> list[Run | None]:
        """The meter's run of each line."""
        if self.meters is None:
            return [None] * len(rows)
        column = self.named.get("run")
        for figure in self.figures:
            if figure.meaning == "energy":
                raise MeasurementsError(
                    f"{self.source.name} has energies in column {figure.name!r} already; leave out one or the other"
                )
        names = [
            str(line.values.get(column.name, "")).strip()
            if column is not None
            else Space("7V")[row].hash
            if row >= 0
            else ""
            for line, row in zip(self.source.lines, rows, strict=True)
        ]
        repeated = [name for name, number in Counter(names).items() if number > 1 and name]
        if repeated:
            which = f"column {column.name!r}" if column is not None else "the cells' hashes (there is no column run)"
            self.problems.add(f"{which}: {repeated[0]!r} is on several lines, but a run has one energy")
        runs: list[Run | None] = []
        lacking = []
        for line, name in zip(self.source.lines, names, strict=True):
            try:
                run = self.meters.run(name) if name else None
            except LookupError as error:
                self.problems.add(f"{line.where}: {error.args[0]}")
                run = None
            if run is None:
                lacking.append(f"{line.where} ({name!r})")
            runs.append(run)
        self.problems.check()
        used = {id(run) for run in runs if run is not None}
        if not used:
            raise MeasurementsError(
                f"{self.meters.name} has no run of any line of {self.source.name}: it has "
                f"{_listed([*map(repr, self.meters.names)], 3)}; the lines ask for {_listed([*map(repr, names)], 3)}"
            )
        if lacking:
            self.notes.append(f"{self.meters.name} has no energy for {_listed(lacking)}")
        spare = [run.name for run in self.meters.runs if id(run) not in used]
        if spare:
            self.notes.append(f"{self.meters.name} has runs of no line: {_listed(spare)}")
        self.notes += self.meters.notes
        return runs

    def _check_parameters(self, rows: Sequence[int]) -> None:
        column = self.named.get("parameters")
        if column is None:
            return
        counts = Space("7V").trainable_parameters
        others = [
            f"{line.where} ({line.values[column.name]}, not {counts[row]})"
            for line, row in zip(self.source.lines, rows, strict=True)
            if not is_missing(line.values.get(column.name))
            and not _equals(line.values[column.name], counts[row], self.mark)
        ]
        if others:
            self.notes.append(
                f"column {column.name!r} is not used: it differs from the published number of the cell's parameters in "
                f"{_listed(others, 3)}"
            )

    def _mention_unused(self, table: Table) -> None:
        """Columns that may have been meant as figures, of which there are none otherwise."""
        for column in self.columns:
            for word, name in _WORDS.items():
                if not column.meaning and name not in table.columns and word in column.name.lower():
                    unit = {"energy": "energy_kwh", "co2": "co2_g"}.get(name, name)
                    self.notes.append(
                        f"column {column.name!r} is not used; if it is the {_TITLES[name]} of the whole training, say "
                        f"so (--column {column.name!r}={unit})"
                    )
                    break

    def _range(self, column: Column) -> str:
        if column.name not in self.ranges:
            return "no figures"
        least, most, count = self.ranges[column.name]
        unit = f" {_TABLE_UNITS[column.meaning]}" if column.meaning in _TABLE_UNITS else ""
        return f"{least:.4g} … {most:.4g}{unit}  ({count:,} figures)"

    def _account(self, table: Table, cell_columns: Sequence[str]) -> Iterable[tuple[str, str, str]]:
        for name in cell_columns:
            yield name, "cell", f"{len(table.space) - len(table.missing):,} different"
        of_cells = {part for name in cell_columns for part in name.split(", ")}
        pieces = any(" … " in name for name in cell_columns)
        for column in self.columns:
            if column.name in of_cells or (pieces and column.meaning == "piece"):
                continue
            content = [line.values.get(column.name) for line in self.source.lines]
            present = [value for value in content if not is_missing(value)]
            if column.is_figure:
                yield column.name, _meaning(column), self._range(column)
            elif column.meaning in ("epochs", "repeat") or (column.meaning == "seed" and "repeat" not in self.named):
                labels = sorted({str(value).strip() for value in present}, key=_natural)
                title = {"epochs": "epochs", "repeat": f"repeats 0 to {table.repeats - 1}"}.get(
                    column.meaning, "repeats: a cell's seeds in ascending order"
                )
                yield column.name, title, ", ".join(labels[:6]) + (" …" if len(labels) > 6 else "")
            elif column.meaning == "parameters":
                yield column.name, "parameters, compared with the cell's", f"{len(present):,}"
            elif column.meaning.endswith("provenance"):
                yield column.name, "provenance", ", ".join(sorted(set(map(str, present))))
            elif column.meaning == "run" and self.meters is not None:
                yield column.name, f"run in {self.meters.name}", f"{len(present):,}"
            else:
                yield column.name, "not used", ""
        if self.meters is not None:
            yield self.meters.name, "energy, CO2 and time by meter", f"{len(self.meters.runs):,} runs"
        if self.epochs is not None:
            yield "(said)", "epochs", str(self.epochs)
        if self.mark == "comma":
            yield "(numbers)", "decimal comma", ""


def _check_accuracy(number: float, factor: Fraction, percent: bool) -> None:
    if not math.isfinite(number) or not 0 <= number * factor <= 1:
        hint = ""
        if factor == 1 and 1 < number <= 100:
            hint = "; if it is in per cent, say so: a column called …_accuracy_percent (or --percent; percent=True)"
        raise ValueError(f"must be from 0 to {1 / factor}, got {number:g}{hint}")
    if percent and 0 < number <= 1:
        raise ValueError(
            f"{number:g} would be {number:g} % here; if it is a fraction, write {100 * number:g}, or call the column "
            "…_accuracy"
        )


def _equals(value: Any, count: int, mark: Mark) -> bool:
    try:
        return read_number(value, mark) == count
    except ValueError:
        return False


def _meaning(column: Column) -> str:
    title, unit = _TITLES[column.meaning], column.unit
    at = f" after {column.epochs} epochs" if column.epochs is not None else ""
    if column.meaning.endswith("accuracy"):
        return f"{title}{at}, {'per cent' if unit == '%' else 'fraction'}"
    said = "" if column.said_unit else " (the name's usual unit)"
    return f"{title}{at}, {unit}{said}"


def _natural(text: str) -> tuple[float, str]:
    found = re.search(r"\d+", text)
    return (float(found[0]) if found else math.inf, text)


def _listed(texts: Sequence[str], most: int = 6) -> str:
    return ", ".join(texts[:most]) + (f" and {len(texts) - most:,} more" if len(texts) > most else "")
