"""A table: the metrics of the cells of a space, read-only and memory-mapped.

On disk a table is a folder with ``table.json`` and one ``.npy`` file per column. A column has the shape (cells, epochs,
repeats) and is indexed by the row of the cell in the space; an axis along which it is constant may have length 1.
Columns may be stored as integers with a scale and an offset, and per epoch of training::

    {
      "format": "ecnas-table", "version": 1,
      "name": "energy_4V9E_linscale", "space": "4V", "digest": "e18b…",
      "epochs": [4, 12, 36, 108], "repeats": 1,
      "provenance": {"4": "measured", "12": "scaled", "36": "scaled", "108": "scaled"},
      "columns": {"energy": {"file": "energy.npy", "scale": 1.0, "offset": 0.0, "per_epoch": false}, …},
      "missing": [17], "notes": "…"
    }

If the metrics at one number of epochs differ in provenance, as in measurements with gaps filled by a surrogate,
``provenance`` names the weakest, and a column may have a second array with the provenance of each metric:
``"provenance_file": "energy.provenance.npy"``.

A metric is ``(stored · scale + offset) · (epochs if per_epoch else 1) + fixed``, where ``fixed`` is 0 by
default. Nothing is read before it is needed, so a table of any size opens in milliseconds, and its pages are shared by
all processes that use it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecnas.coerce import one_of, ordered, shown, whole, whole_array
from ecnas.errors import CorruptFileError
from ecnas.files import open_regular, replaced_folder
from ecnas.space import Space

Provenance = Literal["measured", "scaled", "estimated", "surrogate"]

PROVENANCES: Final[tuple[Provenance, ...]] = ("measured", "scaled", "estimated", "surrogate")
"""From the strongest to the weakest: metered in this training; computed from a shorter training; computed from
something else, such as a device's nominal power; predicted by a model. A combination has the weakest provenance of its
parts."""

COLUMNS: Final = ("val_accuracy", "test_accuracy", "train_accuracy", "energy", "co2", "training_time")
"""Accuracies from 0 to 1, energy in kWh, CO2 in g, training time in s; all for one training of the given epochs."""

ACCURACIES: Final = COLUMNS[:3]


def allowed_metrics(column: str) -> str:
    """The allowed metrics of a column, in words."""
    return "from 0 to 1" if column in ACCURACIES else "finite and above 0"


def impossible(column: str, metrics: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which metrics of a column are impossible (:func:`allowed_metrics`). NaN is a missing metric."""
    is_wrong: NDArray[np.bool_]
    is_wrong = (metrics < 0.0) | (metrics > 1.0) if column in ACCURACIES else (metrics <= 0.0) | (metrics == np.inf)
    return is_wrong


FORMAT: Final = "ecnas-table"
VERSION: Final = 1
HEADER: Final = "table.json"

_LONGEST_HEADER: Final = 1 << 26
_MOST_REPEATS: Final = 10_000


@dataclass(frozen=True)
class Column:
    """How a column is stored.

    Attributes:
        values: Stored numbers, shape (cells or 1, epochs or 1, repeats or 1).
        scale: A metric is ``stored · scale + offset``,
        offset: times the number of epochs
        per_epoch: if it is stored per epoch.
        provenance: Provenance of each metric, as an index into :data:`PROVENANCES`: uint8 of the shape of ``values``,
            or 1 along an axis. Without it all have the table's provenance.
        fixed: A constant added to every metric at all epochs, such as the start-up time of a training.
    """

    values: NDArray[Any]
    scale: float = 1.0
    offset: float = 0.0
    per_epoch: bool = False
    provenance: NDArray[np.uint8] | None = None
    fixed: float = 0.0

    @property
    def is_plain(self) -> bool:
        """Whether the stored metrics are the metrics."""
        return self.scale == 1.0 and self.offset == self.fixed == 0.0 and not self.per_epoch

    def decoding(self, epochs: int) -> tuple[float, float]:
        """``(factor, summand)`` that convert a stored number to a metric, at a number of epochs."""
        times = epochs if self.per_epoch else 1
        return self.scale * times, self.offset * times + self.fixed


@dataclass(frozen=True)
class Table:
    """The metrics of the cells of one space.

    Attributes:
        name: The name under which it is loaded.
        space: The space whose rows the columns follow.
        epochs: The numbers of epochs of training, ascending.
        repeats: The number of trainings of each cell.
        provenance: Provenance of the metrics at each number of epochs; the weakest if they differ. A column may give it
            for each metric.
        columns: Columns by name (:data:`COLUMNS`); missing ones are NaN.
        digest: SHA-256 of the file that the table was made from, or of its columns.
        missing: Rows of the space that the table lacks.
        notes: Notes for users, in a sentence or two.
        folder: The folder of the table, if it was opened from disk.

    Raises:
        ValueError: The parts do not fit each other, or a metric is impossible (:func:`allowed_metrics`). For a table on
            disk, :meth:`check_metrics` checks the metrics.
    """

    name: str
    space: Space
    epochs: tuple[int, ...]
    repeats: int
    provenance: Mapping[int, Provenance]
    columns: Mapping[str, Column]
    digest: str
    missing: frozenset[int] = frozenset()
    notes: str = ""
    folder: Path | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        epochs = tuple(whole("epochs", number, 1) for number in ordered("epochs", self.epochs, "whole numbers"))
        if not epochs or list(epochs) != sorted(set(epochs)):
            raise ValueError(f"epochs must be positive and strictly ascending, got {self.epochs}")
        object.__setattr__(self, "epochs", epochs)
        object.__setattr__(self, "repeats", whole("repeats", self.repeats, 1, _MOST_REPEATS))
        if set(self.provenance) != set(self.epochs):
            raise ValueError(f"provenance must name the epochs {self.epochs}, got {sorted(self.provenance)}")
        for origin in self.provenance.values():
            one_of("provenance", origin, PROVENANCES)
        full = (len(self.space), len(self.epochs), self.repeats)
        for name, column in self.columns.items():
            if name not in COLUMNS:
                raise ValueError(f"column must be one of {COLUMNS}, got {name!r}")
            if not math.isfinite(column.scale) or not math.isfinite(column.offset):
                raise ValueError(
                    f"column {name!r} must have a finite scale and offset, got {column.scale}, {column.offset}"
                )
            for array, kinds in ((column.values, "fiu"), (column.provenance, "u")):
                if array is None:
                    continue
                if array.dtype.kind not in kinds:
                    raise ValueError(f"column {name!r} must hold numbers, got dtype {array.dtype}")
                shape = array.shape
                if len(shape) != 3 or any(n not in (1, most) for n, most in zip(shape, full, strict=True)):
                    raise ValueError(f"column {name!r} must have the shape {full} (or 1 along an axis), got {shape}")
        if self.folder is None and (wrong := self._impossible_metric()):  # one that lies on disk is opened unread
            raise ValueError(wrong)

    def values(
        self,
        column: str,
        epochs: int,
        repeat: int | NDArray[np.integer] | None = None,
        rows: NDArray[np.integer] | slice = slice(None),
    ) -> NDArray[np.float64]:
        """A column's metrics of all cells, or of the cells in some rows.

        Args:
            column: One of :data:`COLUMNS`.
            epochs: One of :attr:`epochs`.
            repeat: Number of the training, for all or for each of the rows; by default the mean over the cell's
                trainings.
            rows: Rows of the space; only these are read and decoded.

        Returns:
            float64, shape (rows,); NaN where the table has no metric.
        """
        num_rows = len(range(*rows.indices(len(self.space)))) if isinstance(rows, slice) else len(rows)
        stored = self.columns.get(column)
        if stored is None:
            return np.full(num_rows, np.nan)
        cells, num_epochs, _ = stored.values.shape
        chosen = stored.values[:, self.epochs.index(epochs) if num_epochs > 1 else 0, :]
        if cells > 1:
            chosen = chosen[rows]
        runs = chosen.T if repeat is None else _one_of(chosen, repeat)[None]
        metrics: NDArray[np.float64] = runs[0].astype(np.float64)
        for run in runs[1:]:
            metrics += run
        if len(runs) > 1:
            metrics /= len(runs)
            fewer = np.isnan(metrics)
            if fewer.any():  # cells may have been trained unequally often; what is not there is no part of the mean
                metrics[fewer] = _mean_of_some(runs[:, fewer])
        factor, summand = stored.decoding(epochs)
        metrics *= factor
        metrics += summand
        return np.broadcast_to(metrics, num_rows).copy() if len(metrics) != num_rows else metrics

    def trainings(self, epochs: int, rows: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Whether each training of the cells in some rows exists: bool, shape (rows, repeats).

        A training exists if it has any metric of its own. Columns that are constant over repeats (or cells) do not
        count.
        """
        there = np.zeros((len(rows), self.repeats), np.bool_)
        for column in self._telling_columns():
            cells, num_epochs, _ = column.values.shape
            chosen = column.values[:, self.epochs.index(epochs) if num_epochs > 1 else 0, :]
            there |= ~np.isnan(chosen[rows] if cells > 1 else chosen)
        if self.missing:
            there[np.isin(rows, list(self.missing))] = False
        return there

    def _telling_columns(self) -> list[Column]:
        """The columns that tell by a metric or NaN whether a training is there."""
        columns = list(self.columns.values())
        for axis in (2, 0):
            if telling := [column for column in columns if column.values.shape[axis] > 1]:
                return telling
        return columns

    def reader(self, epochs: int) -> Reader:
        """A reader of the metrics of single cells at a number of epochs."""
        return Reader(self, epochs)

    def check_metrics(self) -> None:
        """Checks all metrics, for a table on disk from elsewhere.

        Raises:
            CorruptFileError: A metric is impossible (:func:`impossible`); the message says which.
        """
        if wrong := self._impossible_metric():
            raise CorruptFileError(f"{self.folder or self.name}: {wrong}")

    def _impossible_metric(self) -> str | None:
        """A description of the first impossible metric."""
        missing = np.array(sorted(self.missing), dtype=np.int64)
        for name, column in self.columns.items():
            for position, epochs in enumerate(self.epochs):
                stored = column.values[:, position if column.values.shape[1] > 1 else 0, :]
                factor, summand = column.decoding(epochs)
                ends = np.array([np.fmin.reduce(stored, axis=None), np.fmax.reduce(stored, axis=None)], np.float64)
                if not impossible(name, ends * factor + summand).any():
                    continue
                metrics = stored * factor + summand
                is_wrong = impossible(name, metrics)
                if len(is_wrong) > 1:
                    is_wrong[missing] = False
                if is_wrong.any():
                    row, repeat = np.argwhere(is_wrong)[0].tolist()
                    return (
                        f"{name} must be {allowed_metrics(name)}, got {metrics[row, repeat]} for row {row}, {epochs} "
                        f"epochs, repeat {repeat}"
                    )
        return None

    @property
    def is_mixed(self) -> bool:
        """Whether columns have a provenance for each metric."""
        return any(column.provenance is not None for column in self.columns.values())

    def origins(
        self,
        column: str,
        epochs: int,
        repeat: int | NDArray[np.integer] | None = None,
        rows: NDArray[np.integer] | slice = slice(None),
    ) -> NDArray[np.uint8]:
        """Provenance of a column's metrics, as indices into :data:`PROVENANCES`; otherwise like :meth:`values`.

        A mean over several trainings has the weakest provenance of its parts.
        """
        num_rows = len(range(*rows.indices(len(self.space)))) if isinstance(rows, slice) else len(rows)
        codes = self.columns[column].provenance if column in self.columns else None
        if codes is None:
            return np.full(num_rows, PROVENANCES.index(self.provenance[epochs]), dtype=np.uint8)
        cells, num_epochs, _ = codes.shape
        chosen = codes[:, self.epochs.index(epochs) if num_epochs > 1 else 0, :]
        if cells > 1:
            chosen = chosen[rows]
        weakest = chosen.max(axis=1) if repeat is None else _one_of(chosen, repeat)
        return np.broadcast_to(weakest, num_rows)

    def means(self) -> Table:
        """The table of means over the trainings of each cell."""
        columns = {}
        for name in self.columns:
            metrics = np.stack([self.values(name, epochs) for epochs in self.epochs], axis=1)
            origins = np.stack([self.origins(name, epochs) for epochs in self.epochs], axis=1)
            columns[name] = Column(metrics[..., None], provenance=origins[..., None] if self.is_mixed else None)
        digest = hashlib.sha256(f"{self.digest} means".encode()).hexdigest()
        return replace(self, repeats=1, columns=columns, digest=digest, folder=None)

    def save(self, folder: Path) -> None:
        """Writes the table atomically. An existing folder is replaced."""
        with replaced_folder(folder) as temporary:
            self.write_into(temporary)

    def write_into(self, folder: Path) -> None:
        """Writes the table's files into an existing folder."""
        columns: dict[str, dict[str, Any]] = {}
        files: dict[int, str] = {}  # columns that share an array, such as CO2 and energy, share its file
        for name, column in self.columns.items():
            file = files.setdefault(id(column.values), f"{name}.npy")
            if file == f"{name}.npy":
                np.save(folder / file, column.values, allow_pickle=False)
            columns[name] = {
                "file": file,
                "scale": float(column.scale),
                "offset": float(column.offset),
                "per_epoch": column.per_epoch,
            }
            if column.fixed:
                columns[name]["fixed"] = float(column.fixed)
            if column.provenance is not None:
                columns[name]["provenance_file"] = f"{name}.provenance.npy"
                np.save(folder / f"{name}.provenance.npy", column.provenance.astype(np.uint8), allow_pickle=False)
        header = {
            "format": FORMAT,
            "version": VERSION,
            "name": self.name,
            "space": self.space.name,
            "digest": self.digest,
            "epochs": list(self.epochs),
            "repeats": self.repeats,
            "provenance": {str(epochs): origin for epochs, origin in self.provenance.items()},
            "columns": columns,
            "missing": sorted(self.missing),
            "notes": self.notes,
        }
        (folder / HEADER).write_text(json.dumps(header, indent=1) + "\n", encoding="utf-8")


class _Place(NamedTuple):
    """Where the metrics of a column at one number of epochs lie, and what makes metrics of them.

    Attributes:
        stored: For each repeat what is stored, by row. Views of memory give a number twice as fast as arrays.
        factor: Times it,
        summand: and this added is the metric.
    """

    stored: tuple[Sequence[float], ...]
    factor: float
    summand: float


def _place(column: Column, position: int, epochs: int, num_cells: int) -> _Place:
    values = column.values
    if values.dtype.newbyteorder("=").char not in "bBhHiIlLqQfd" or not values.dtype.isnative:
        values = values.astype(np.float64)  # a view could not read it
    values = values[:, position if values.shape[1] > 1 else 0]
    values = np.broadcast_to(values, (num_cells, values.shape[1]))
    views = [memoryview(repeat) for repeat in values.T]
    return _Place(tuple(views), *column.decoding(epochs))


_NO_COLUMN: Final = Column(np.full((1, 1, 1), np.nan))


def _first_of(
    place_0: _Place, place_1: _Place, place_2: _Place, place_3: _Place, place_4: _Place, place_5: _Place
) -> Callable[[int], tuple[float, ...]]:
    """Reads the first metric of a row at six places; without a loop, which would take as long again as the reading."""
    (stored_0, *_), factor_0, summand_0 = place_0
    (stored_1, *_), factor_1, summand_1 = place_1
    (stored_2, *_), factor_2, summand_2 = place_2
    (stored_3, *_), factor_3, summand_3 = place_3
    (stored_4, *_), factor_4, summand_4 = place_4
    (stored_5, *_), factor_5, summand_5 = place_5

    def first(row: int) -> tuple[float, ...]:
        return (
            stored_0[row] * factor_0 + summand_0,
            stored_1[row] * factor_1 + summand_1,
            stored_2[row] * factor_2 + summand_2,
            stored_3[row] * factor_3 + summand_3,
            stored_4[row] * factor_4 + summand_4,
            stored_5[row] * factor_5 + summand_5,
        )

    return first


class Reader:
    """Reads the metrics of single cells at one number of epochs, in a fraction of the time of numpy's indexing.

    Args:
        table: The table.
        epochs: One of its numbers of epochs.

    Attributes:
        first: The metrics of a cell's first training in the order of :data:`COLUMNS`; where there is only one, all.
    """

    __slots__ = ("_missing", "_places", "_repeats", "_telling", "first")

    def __init__(self, table: Table, epochs: int) -> None:
        at = table.epochs.index(epochs), epochs, len(table.space)
        self._places = [_place(table.columns.get(name, _NO_COLUMN), *at) for name in COLUMNS]
        self.first = _first_of(*self._places)
        self._telling = [_place(column, *at) for column in table._telling_columns()]
        self._repeats = table.repeats
        self._missing = table.missing

    def __call__(self, row: int, repeat: int | None = None) -> tuple[float, ...]:
        """The metrics of a cell in the order of :data:`COLUMNS`: of one training, or the means of all."""
        if repeat is None and self._repeats > 1:
            return tuple([self._mean(place, row) for place in self._places])
        if not repeat:
            return self.first(row)
        return tuple(
            [
                stored[repeat if len(stored) > 1 else 0][row] * factor + summand
                for stored, factor, summand in self._places
            ]
        )

    def trainings(self, row: int) -> list[int]:
        """The numbers of the trainings that there are of a cell; as :meth:`Table.trainings`."""
        if row in self._missing:
            return []
        return [
            repeat
            for repeat in range(self._repeats)
            if any(
                (metric := stored[repeat if len(stored) > 1 else 0][row]) == metric for stored, _, _ in self._telling
            )
        ]

    def _mean(self, place: _Place, row: int) -> float:
        stored, factor, summand = place
        total, repeats = stored[0][row], len(stored)
        for more in stored[1:]:  # from the first to the last, as Table.values adds: both agree to the bit
            total += more[row]
        if total != total and repeats > 1:  # NaN: the cell has fewer trainings than others
            there = [run for one in stored if (run := one[row]) == run]
            total, repeats = sum(there, start=0.0) if there else math.nan, max(len(there), 1)
        return total / repeats * factor + summand


def open_table(folder: Path) -> Table:
    """Opens a table without reading its columns.

    Raises:
        FileNotFoundError: The folder has no table.
        CorruptFileError: The header or a column is damaged, or of another version.
    """
    path = folder / HEADER
    try:
        with open_regular(path) as file:
            text = file.read(_LONGEST_HEADER + 1)
        if len(text) > _LONGEST_HEADER:
            raise CorruptFileError(f"{path}: must have at most {_LONGEST_HEADER:,} bytes")
        header = json.loads(text)
        if (header["format"], header["version"]) != (FORMAT, VERSION):
            raise CorruptFileError(
                f"{path}: must be {FORMAT} version {VERSION}, is {shown((header['format'], header['version']))}"
            )
        columns = {}
        for name, stored in header["columns"].items():
            columns[name] = Column(
                _mapped(folder, stored["file"]),
                float(stored["scale"]),
                float(stored["offset"]),
                bool(stored["per_epoch"]),
                _mapped(folder, stored["provenance_file"]) if "provenance_file" in stored else None,
                float(stored.get("fixed", 0.0)),
            )
        space = Space(header["space"])
        missing = whole_array("missing", header["missing"], 0, len(space) - 1)
        return Table(
            name=_text(header, "name"),
            space=space,
            epochs=tuple(header["epochs"]),
            repeats=header["repeats"],
            provenance={int(epochs): origin for epochs, origin in header["provenance"].items()},
            columns=columns,
            digest=_text(header, "digest"),
            missing=frozenset(missing.tolist()),
            notes=_text(header, "notes"),
            folder=folder,
        )
    except FileNotFoundError as error:
        if error.filename == str(path):
            raise
        raise CorruptFileError(f"{folder}: the column file {error.filename} is missing") from error
    except CorruptFileError:
        raise
    except (ValueError, TypeError, LookupError, EOFError, AttributeError, RecursionError, OverflowError) as error:
        raise CorruptFileError(f"{folder}: damaged table ({type(error).__name__}: {error!s:.300})") from error


def _text(header: dict[str, Any], key: str) -> str:
    value = header[key]
    if not isinstance(value, str):
        raise ValueError(f"{key} must be a text, got {shown(value)}")
    if key == "digest" and not re.fullmatch("[0-9a-f]{64}", value):
        raise ValueError(f"digest must be 64 hexadecimal digits, got {shown(value)}")
    return value


def _mapped(folder: Path, name: str) -> NDArray[Any]:
    if Path(name).name != name:  # a table refers to nothing outside of its folder
        raise ValueError(f"file must be a name without a folder, got {shown(name)}")
    try:
        open_regular(folder / name).close()  # nothing else would end
        # A plain ndarray over the map: the memmap subclass makes every look-up several times slower.
        return np.asarray(np.load(folder / name, mmap_mode="r", allow_pickle=False))
    except (FileNotFoundError, CorruptFileError):
        raise
    except Exception as error:  # numpy reads headers by Python's own parser, whose errors are of many kinds
        raise CorruptFileError(f"{folder / name}: damaged array ({type(error).__name__}: {error!s:.300})") from error


def _one_of(chosen: NDArray[Any], repeat: int | NDArray[np.integer]) -> NDArray[Any]:
    """One training out of an array of shape (cells or 1, repeats or 1): the same for all cells, or one for each."""
    if chosen.shape[1] == 1:
        return chosen[:, 0]
    if isinstance(repeat, np.ndarray):
        return np.asarray(chosen[np.arange(len(repeat)) if len(chosen) > 1 else 0, repeat])
    return chosen[:, repeat]


def _mean_of_some(runs: NDArray[Any]) -> NDArray[np.float64]:
    """Means over the first axis of what is not NaN; NaN where nothing is."""
    there = ~np.isnan(runs)
    total = np.zeros(runs.shape[1])
    for run, here in zip(runs, there, strict=True):
        total += np.where(here, run, 0.0)
    number = there.sum(axis=0)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def columns_digest(columns: Mapping[str, Column], missing: Iterable[int] = ()) -> str:
    """SHA-256 over the columns and the missing rows, for a table that was not made from one file."""
    digest = hashlib.sha256()
    for name in sorted(columns):
        column = columns[name]
        digest.update(f"{name} {column.values.dtype.str} {column.values.shape} ".encode())
        digest.update(f"{column.scale!r} {column.offset!r} {column.per_epoch}{column.fixed or ''}".encode())
        digest.update(np.ascontiguousarray(column.values).tobytes())
    if rows := sorted(missing):
        digest.update(f"missing {rows}".encode())
    return digest.hexdigest()


def full_columns(values: Mapping[str, Sequence[Any] | NDArray[Any]]) -> dict[str, Column]:
    """Columns of plain metrics given per cell (shape (cells,)) or in full (cells, epochs, repeats)."""
    columns = {}
    for name, given in values.items():
        array = np.asarray(given)
        columns[name] = Column(array if array.ndim == 3 else array.reshape(len(array), 1, 1))
    return columns
