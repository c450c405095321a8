"""A preview of how a file of measurements was understood, to be checked before it is used."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ecnas.measured.columns import Column
from ecnas.measured.meters import Meters
from ecnas.measured.numbers import Mark, is_missing, read_number
from ecnas.measured.problems import listed
from ecnas.measured.sources import Source
from ecnas.space import Space
from ecnas.table import Table

_TITLES: Final[Mapping[str, str]] = {
    "val_accuracy": "validation accuracy",
    "test_accuracy": "test accuracy",
    "train_accuracy": "training accuracy",
    "energy": "energy",
    "co2": "CO2 equivalent",
    "training_time": "training time",
}
_WORDS: Final[Mapping[str, str]] = {"energy": "energy", "kwh": "energy", "acc": "val_accuracy", "co2": "co2"}
"""Parts of a column's name that suggest it was meant for metrics."""

_TABLE_UNITS: Final[Mapping[str, str]] = {"energy": "kWh", "co2": "g", "training_time": "s"}

Entry = tuple[str, str, str]
"""A column's name, its meaning and its content."""


@dataclass(frozen=True)
class Reading:
    """A table, and an account of how it was read; printing it shows a preview.

    Attributes:
        table: The metrics.
        understood: For each column: its name, its meaning and its content.
        notes: Irregular lines, and other points that a user should check.
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


def account(
    source: Source,
    columns: Sequence[Column],
    cell_columns: Sequence[Sequence[str]],
    ranges: Mapping[str, tuple[float, float, int]],
    table: Table,
    meters: Meters | None,
) -> Iterator[Entry]:
    """An entry for each column.

    Args:
        source: The lines.
        columns: What the columns mean.
        cell_columns: The columns that name the cell, in groups that do so together.
        ranges: Minimum, maximum and number of a column's metrics, by name.
        table: The resulting table.
        meters: The source of the energies.
    """
    for group in cell_columns:
        name = ", ".join(group) if len(group) <= 3 else f"{group[0]} … {group[-1]}"
        yield name, "cell", f"{len(table.space) - len(table.missing):,} different"
    meanings = {column.meaning for column in columns}
    of_cells = {name for group in cell_columns for name in group}
    for column in columns:
        if column.name in of_cells:
            continue
        present = [v for line in source.lines if not is_missing(v := line.values.get(column.name))]
        if column.is_metric:
            yield column.name, _meaning(column), _range(column, ranges)
        elif column.meaning == "epochs":
            yield column.name, "epochs", _labels(present)
        elif column.meaning == "repeat":
            yield column.name, f"repeats 0 to {table.repeats - 1}", _labels(present)
        elif column.meaning == "seed" and "repeat" not in meanings:
            yield column.name, "repeats: a cell's seeds in ascending order", _labels(present)
        elif column.meaning == "parameters":
            yield column.name, "parameters, compared with the cell's", f"{len(present):,}"
        elif column.meaning.endswith("provenance"):
            yield column.name, "provenance", ", ".join(sorted(set(map(str, present))))
        elif column.meaning == "run" and meters is not None:
            yield column.name, f"run in {meters.name}", f"{len(present):,}"
        else:
            yield column.name, "not used", ""
    if meters is not None:
        yield meters.name, "energy, CO2 and time by meter", f"{len(meters.runs):,} runs"


def remarks(source: Source, columns: Sequence[Column], rows: Sequence[int], table: Table, mark: Mark) -> Iterator[str]:
    """Notes on unused columns: parameters that differ from the cell's, names that suggest metrics."""
    for column in columns:
        if column.meaning == "parameters":
            yield from _other_parameters(source, column, rows, mark)
        elif not column.meaning:
            for word, name in _WORDS.items():
                if word in column.name.lower() and name not in table.columns:
                    unit = {"energy": "energy_kwh", "co2": "co2_g"}.get(name, name)
                    yield (
                        f"column {column.name!r} is not used; if it is the {_TITLES[name]} of the whole training, say "
                        f"so (--column {column.name!r}={unit})"
                    )
                    break


def _other_parameters(source: Source, column: Column, rows: Sequence[int], mark: Mark) -> Iterator[str]:
    counts = Space("7V").trainable_parameters
    others = [
        f"{line.where} ({line.values[column.name]}, not {counts[row]})"
        for line, row in zip(source.lines, rows, strict=True)
        if not is_missing(value := line.values.get(column.name)) and not _equals(value, counts[row], mark)
    ]
    if others:
        yield (
            f"column {column.name!r} is not used: it differs from the published number of the cell's parameters in "
            f"{listed(others, 3)}"
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
        return f"{title}{at}, {'percent' if unit == '%' else 'fraction'}"
    said = "" if column.said_unit else " (the name's usual unit)"
    return f"{title}{at}, {unit}{said}"


def _range(column: Column, ranges: Mapping[str, tuple[float, float, int]]) -> str:
    if column.name not in ranges:
        return "no metrics"
    least, most, count = ranges[column.name]
    unit = f" {_TABLE_UNITS[column.meaning]}" if column.meaning in _TABLE_UNITS else ""
    return f"{least:.4g} … {most:.4g}{unit}  ({count:,} metrics)"


def _labels(values: Sequence[Any]) -> str:
    labels = sorted({str(value).strip() for value in values}, key=_natural)
    return ", ".join(labels[:6]) + (" …" if len(labels) > 6 else "")


def _natural(text: str) -> tuple[float, str]:
    found = re.search(r"\d+", text)
    return (float(found[0]) if found else math.inf, text)
