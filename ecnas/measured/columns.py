"""The meaning of the columns of a file of measurements, from their names and units."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from ecnas.measured.problems import MeasurementsError
from ecnas.table import COLUMNS

_PARTS: Final[Mapping[str, str]] = {"val": "val", "valid": "val", "validation": "val", "test": "test", "train": "train",
                                    "training": "train"}  # fmt: skip
_ACCURACY: Final = {
    f"{before}{part}_{word}": f"{meaning}_accuracy"
    for part, meaning in _PARTS.items()
    for word in ("accuracy", "acc")
    for before in ("", "final_")
} | {f"{word}_{part}": f"{meaning}_accuracy" for part, meaning in _PARTS.items() for word in ("accuracy", "acc")}

_STEMS: Final[Mapping[str, Mapping[str, str]]] = {
    "accuracy": _ACCURACY,
    "energy": dict.fromkeys(
        ("energy", "total_energy", "energy_consumed", "energy_consumption", "consumption", "electricity"), "energy"
    ),
    "co2": dict.fromkeys(
        ("co2", "co2eq", "co2e", "co2_eq", "total_co2eq", "emissions", "co2_emissions", "carbon_emissions"), "co2"
    ),
    "time": dict.fromkeys(
        (
            *("training_time", "final_training_time", "train_time", "total_time", "time", "duration", "runtime"),
            *("wall_time", "wall_clock", "wall_clock_time", "elapsed"),
        ),
        "training_time",
    ),
}
"""By quantity: its names without a unit."""

_UNITS: Final[Mapping[str, Mapping[str, tuple[str, Fraction]]]] = {
    "accuracy": {
        **dict.fromkeys(("fraction", "frac"), ("fraction", Fraction(1))),
        **dict.fromkeys(("percent", "pct", "perc", "percentage"), ("%", Fraction(1, 100))),
    },
    "energy": {
        "kwh": ("kWh", Fraction(1)),
        "wh": ("Wh", Fraction(1, 1000)),
        **dict.fromkeys(("j", "joule", "joules", "ws"), ("J", Fraction(1, 3_600_000))),
        "kj": ("kJ", Fraction(1, 3_600)),
    },
    "co2": {
        **dict.fromkeys(("g", "gram", "grams", "gco2", "gco2eq"), ("g", Fraction(1))),
        **dict.fromkeys(("kg", "kgco2", "kgco2eq"), ("kg", Fraction(1000))),
    },
    "time": {
        **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), ("s", Fraction(1))),
        **dict.fromkeys(("min", "mins", "minute", "minutes"), ("min", Fraction(60))),
        **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), ("h", Fraction(3600))),
        **dict.fromkeys(("ms", "milliseconds"), ("ms", Fraction(1, 1000))),
    },
}
"""By quantity: the usual spelling of a unit, and the factor that converts it to the table's unit."""

_DEFAULT_UNITS: Final[Mapping[str, str]] = {
    **dict.fromkeys(_ACCURACY, "fraction"),
    "training_time": "s",
    "final_training_time": "s",
}
"""Names without a unit, as in NAS-Bench-101 and EC-NAS-Bench, with the units used there."""

_OTHER: Final[Mapping[str, str]] = {
    **dict.fromkeys(("adjacency", "adjacency_matrix", "adj", "adj_matrix", "matrix", "module_adjacency"), "adjacency"),
    **dict.fromkeys(("ops", "operations", "module_operations", "op_list"), "ops"),
    "edge_bits": "edge_bits",
    **dict.fromkeys(("num_vertices", "n_vertices", "vertices", "num_nodes"), "num_vertices"),
    **dict.fromkeys(("hash", "module_hash", "arch_hash", "cell_hash", "unique_hash"), "hash"),
    **dict.fromkeys(("row", "cell_row"), "row"),
    **dict.fromkeys(("cell", "arch", "architecture"), "cell"),
    **dict.fromkeys(("epochs", "epoch", "num_epochs", "n_epochs", "training_epochs", "budget"), "epochs"),
    **dict.fromkeys(("repeat", "repetition", "replicate", "replication", "rep", "trial"), "repeat"),
    **dict.fromkeys(("seed", "random_seed", "rng_seed"), "seed"),
    **dict.fromkeys(("run", "run_id", "run_name", "project_name", "experiment", "log"), "run"),
    **dict.fromkeys(
        ("params", "parameters", "num_params", "n_params", "num_parameters", "trainable_parameters"), "parameters"
    ),
    "provenance": "provenance",
    **{f"{name}_provenance": f"{name}_provenance" for name in COLUMNS},
    "ignore": "ignore",
}

_SINGLE_PIECES: Final = re.compile(r"edge_\d+(_\d+)?|op_node_\d+|op_?\d+|input_?\d+|num_edges")
"""Columns that together describe one cell: HPOBench's, NNI's, or those of ``ecnas.interchange.parameters``."""

_AT_EPOCHS: Final = re.compile(r"_(?:at_)?(?:(\d+)_?ep(?:ochs?)?|ep(?:ochs?)?_?(\d+))(?=_|$)")


@dataclass(frozen=True)
class Column:
    """A column of a file.

    Attributes:
        name: Its name in the file.
        meaning: One of ``ecnas.table.COLUMNS`` if it has metrics; "adjacency", "ops", "hash", … for other known
            columns; "piece" for one of several that describe a cell; "" for an ignored column.
        unit: The unit of its metrics.
        factor: The factor that converts its metrics to the table's unit.
        epochs: The epochs of its metrics, if its name gives them.
        said_unit: Whether the name gives the unit.
    """

    name: str
    meaning: str
    unit: str = ""
    factor: Fraction = Fraction(1)
    epochs: int | None = None
    said_unit: bool = False

    @property
    def is_metric(self) -> bool:
        """Whether it has metrics of trainings."""
        return self.meaning in COLUMNS


def understand(
    names: Sequence[str], source: str, renamed: Mapping[str, str] | None = None, percent: bool = False
) -> list[Column]:
    """The meaning of columns.

    Args:
        names: The columns' names.
        source: Name of the file, for error messages.
        renamed: New names of columns, by their names in the file; "ignore" leaves a column out.
        percent: Whether accuracies are in percent if the name of their column does not say.

    Raises:
        MeasurementsError: A name can be understood in several ways, or two columns mean the same.
    """
    renamed = dict(renamed or {})
    unknown = sorted(set(renamed) - set(names))
    if unknown:
        raise MeasurementsError(f"{source} has no column {unknown[0]!r}; it has {', '.join(map(repr, names))}")
    columns = []
    for name in names:
        column = _understand(name, renamed.get(name, name), source, percent)
        if name in renamed and not column.meaning and renamed[name] != "ignore":
            raise MeasurementsError(
                f"{source}, column {name!r}: {renamed[name]!r} is not a known meaning; use {', '.join(COLUMNS)} with a "
                "unit (val_accuracy_percent, energy_kwh, co2_g, training_time_s), adjacency, ops, hash, row, cell, "
                "epochs, repeat, seed, run or ignore"
            )
        columns.append(column)
    _refuse_doubles(columns, source)
    return columns


def _understand(name: str, called: str, source: str, percent: bool) -> Column:
    key = re.sub(r"[^a-z0-9]+", "_", called.strip().lower().replace("%", " percent ").replace("₂", "2")).strip("_")
    if _SINGLE_PIECES.fullmatch(key):
        return Column(name, "piece")
    if key in _OTHER:
        meaning = _OTHER[key]
        return Column(name, "" if meaning == "ignore" else meaning)
    epochs = None
    at = _AT_EPOCHS.search(key)
    if at:
        epochs = int(at[1] or at[2])
        key = key[: at.start()] + key[at.end() :]
    for quantity, stems in _STEMS.items():
        for unit, (spelling, factor) in _UNITS[quantity].items():
            stem = key.removesuffix(f"_{unit}")
            if stem != key and stem in stems:
                return Column(name, stems[stem], spelling, factor, epochs, said_unit=True)
            if quantity == "energy" and key == unit:
                return Column(name, "energy", spelling, factor, epochs, said_unit=True)
        if key in _DEFAULT_UNITS and key in stems:
            unit = "percent" if percent and quantity == "accuracy" else _DEFAULT_UNITS[key]
            said = percent and quantity == "accuracy"
            return Column(name, stems[key], *_UNITS[quantity][unit], epochs, said_unit=said)
        if key in stems:
            allowed = [f"{key}_{unit}" for unit in dict.fromkeys(u.lower() for u, _ in _UNITS[quantity].values())]
            raise MeasurementsError(
                f"{source}, column {name!r}: its unit is missing; call it {' or '.join(allowed)} (or say so: --column "
                f"{name!r}={allowed[0]}; columns={{{name!r}: {allowed[0]!r}}} in Python)"
            )
    if re.fullmatch(r"(final_)?(accuracy|acc|top_?1)(_(percent|pct|fraction))?", key):
        raise MeasurementsError(
            f"{source}, column {name!r}: whether this is validation, test or training accuracy is unclear; call it "
            f"val_accuracy or test_accuracy (or say so: --column {name!r}=val_accuracy; "
            f"columns={{{name!r}: 'val_accuracy'}} in Python)"
        )
    return Column(name, "")


def _refuse_doubles(columns: Sequence[Column], source: str) -> None:
    seen: dict[tuple[str, int | None], Column] = {}
    for column in columns:
        if column.meaning in ("", "piece"):
            continue
        other = seen.setdefault((column.meaning, column.epochs), column)
        if other is not column:
            raise MeasurementsError(
                f"{source}: columns {other.name!r} and {column.name!r} both mean {column.meaning}; leave one out "
                f"(--column {column.name!r}=ignore; columns={{{column.name!r}: 'ignore'}} in Python)"
            )
