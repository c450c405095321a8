"""Files of energy meters: codecarbon's ``emissions.csv`` and carbontracker's logs, one run per training.

codecarbon (https://codecarbon.io) appends one line per run: ``duration`` in s, ``emissions`` in kg, ``energy_consumed``
in kWh. If a run wrote several lines, the last one has its totals. carbontracker
(https://github.com/saintslab/carbontracker) writes ``…_carbontracker_output.log`` beside ``…_carbontracker.log``; If
it measured only some epochs, its prediction for all of them is used, as in its own parser, and marked "scaled".
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ecnas.measured.problems import MeasurementsError
from ecnas.measured.sources import Line, Source, of_csv
from ecnas.table import Provenance

_OUTPUT_SUFFIX: Final = "_carbontracker_output.log"
_EMISSIONS: Final = frozenset({"run_id", "project_name", "duration", "emissions", "energy_consumed"})
_HASH: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
_STAMP: Final = re.compile(r"_?\d+\.\d+_\d{4}-\d{2}-\d{2}T\d{6}Z$")
_CONSUMPTION: Final = re.compile(
    r"(?P<kind>Actual|Predicted) consumption for (?P<epochs>\d+) epoch\(s\):\s*"
    r"Time:\s*(?:(?P<days>\d+) days?, )?(?P<hours>\d+):(?P<minutes>\d\d):(?P<seconds>\d\d(?:\.\d+)?)\s*"
    r"Energy:\s*(?P<energy>\S+) kWh\s*CO2eq:\s*(?P<co2>\S+) g"
)
_PUE: Final = re.compile(r"multiplied by a PUE coefficient of ([0-9.]+)")


@dataclass(frozen=True)
class Run:
    """The record of one training by a meter.

    Attributes:
        name: Its name.
        aliases: Other names by which it can be found.
        metrics: "energy" (kWh), "co2" (g) and "training_time" (s).
        epochs: Epochs of the training, if the meter records them.
        provenance: "measured", or "scaled" if only some epochs were measured.
    """

    name: str
    aliases: frozenset[str]
    metrics: Mapping[str, float]
    epochs: int | None = None
    provenance: Provenance = "measured"


@dataclass(frozen=True)
class Meters:
    """The runs of one meter.

    Attributes:
        name: The file or folder.
        runs: In the meter's order.
        notes: Notes on irregularities.
    """

    name: str
    runs: tuple[Run, ...]
    notes: list[str] = field(default_factory=list)

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether a path is a file or folder of a meter."""
        path = path.expanduser()
        if path.is_dir():
            return any(path.rglob(f"*{_OUTPUT_SUFFIX}"))
        if path.name.endswith(_OUTPUT_SUFFIX):
            return True
        if path.suffix.lower() != ".csv" or not path.is_file():
            return False
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            return set(file.readline().strip().split(",")) >= _EMISSIONS

    @classmethod
    def open(cls, given: str | os.PathLike[str] | Sequence[Mapping[str, Any]]) -> Meters:
        """Reads a meter's files, or the entries of carbontracker's parser.

        Raises:
            FileNotFoundError: The path does not exist.
            MeasurementsError: It is not a file of a meter.
        """
        if not isinstance(given, (str, os.PathLike)):
            return cls("entries", *_runs_of_entries(given))
        path = Path(given).expanduser()
        if not path.exists():
            raise FileNotFoundError(f"no such file or folder: {path}")
        if not cls.recognises(path):
            raise MeasurementsError(
                f"{path} is neither codecarbon's emissions.csv (columns {', '.join(sorted(_EMISSIONS))}) nor a folder "
                f"of carbontracker's logs (*{_OUTPUT_SUFFIX})"
            )
        if path.suffix.lower() == ".csv":
            return cls(path.name, *_runs_of_emissions(path))
        logs = sorted(path.rglob(f"*{_OUTPUT_SUFFIX}")) if path.is_dir() else [path]
        return cls(path.name, *_runs_of_entries(_entry_of_log(log, path) for log in logs))

    @property
    def names(self) -> list[str]:
        """Names of the runs."""
        return [run.name for run in self.runs]

    @property
    def know_epochs(self) -> bool:
        """Whether the epochs of every training are known."""
        return all(run.epochs is not None for run in self.runs)

    def run(self, name: str) -> Run | None:
        """The run of a name, or None.

        Raises:
            LookupError: Several runs have this name.
        """
        found = [run for run in self.runs if name == run.name or name in run.aliases]
        if len(found) > 1:
            raise LookupError(
                f"{self.name} has {len(found)} runs called {name!r}; use a name that distinguishes them, such as run_id"
            )
        return found[0] if found else None

    def as_source(self) -> Source:
        """The runs as lines of measurements; the name of each must contain the module hash of its cell.

        Raises:
            MeasurementsError: A name does not.
        """
        lines = []
        for run in self.runs:
            hashes = {found for alias in (run.name, *run.aliases) for found in _HASH.findall(alias)}
            if len(hashes) != 1:
                raise MeasurementsError(
                    f"{self.name}, run {run.name!r}: its name does not contain the module hash of a cell; add it, or "
                    "pass this with energy= (--energy) and a file of measurements that names the runs in a column run"
                )
            values: dict[str, Any] = {"hash": hashes.pop(), "provenance": run.provenance}
            units = {"energy": "energy_kwh", "co2": "co2_g", "training_time": "training_time_s"}
            values |= {units[name]: metric for name, metric in run.metrics.items()}
            if run.epochs is not None:
                values["epochs"] = run.epochs
            lines.append(Line(f"run {run.name!r}", values))
        columns = dict.fromkeys(key for line in lines for key in line.values)
        return Source(self.name, tuple(columns), tuple(lines), list(self.notes))


def _runs_of_emissions(path: Path) -> tuple[tuple[Run, ...], list[str]]:
    source = of_csv(path.name, path.read_text(encoding="utf-8-sig"))
    last: dict[str, Line] = {}
    doubled = set()
    for line in source.lines:
        run_id = line.values["run_id"].strip()
        if run_id in last:
            doubled.add(run_id)
        last[run_id] = line
    notes = [*source.notes]
    if doubled:
        notes.append(f"{path.name}: {len(doubled)} runs wrote several lines, of which the last holds all")
    runs = []
    for run_id, line in last.items():
        values = {key: value.strip() for key, value in line.values.items()}
        try:
            metrics = {
                "energy": _positive(values["energy_consumed"]),
                "co2": 1e3 * float(values["emissions"]),
                "training_time": _positive(values["duration"]),
            }
        except ValueError as error:
            raise MeasurementsError(f"{path.name}, {line.where}: {error}") from error
        pue = values.get("pue", "")
        if pue not in ("", "1", "1.0"):
            notes.append(f"{path.name}, {line.where}: energies include a PUE of {pue}")
        names = [values["project_name"], run_id, values.get("experiment_id", "")]
        runs.append(Run(names[0] or run_id, frozenset(filter(None, names)), metrics))
    return tuple(runs), notes


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise ValueError(f"must be positive and finite, got {text!r}")
    return number


def _entry_of_log(path: Path, top: Path) -> dict[str, Any]:
    """The part of carbontracker's parsed entry that is needed here, from a pair of logs."""
    text = path.read_text(encoding="utf-8", errors="replace")
    standard = path.with_name(path.name.replace(_OUTPUT_SUFFIX, "_carbontracker.log"))
    said = standard.read_text(encoding="utf-8", errors="replace") if standard.exists() else ""
    entry: dict[str, Any] = {"output_filename": str(path), "early_stop": "training was interrupted" in said.lower()}
    entry["folder"] = path.parent.name if path.parent != top else ""
    for found in _CONSUMPTION.finditer(text):
        seconds = float(found["seconds"]) + 60 * int(found["minutes"]) + 3600 * int(found["hours"])
        entry["actual" if found["kind"] == "Actual" else "pred"] = {
            "epochs": int(found["epochs"]),
            "duration (s)": seconds + 86400 * int(found["days"] or 0),
            "energy (kWh)": float(found["energy"]),
            "co2eq (g)": float(found["co2"]),
        }
    if pue := _PUE.search(said):
        entry["pue"] = float(pue[1])
    return entry


def _runs_of_entries(entries: Iterable[Mapping[str, Any]]) -> tuple[tuple[Run, ...], list[str]]:
    runs, notes = [], []
    factors = set()
    for entry in entries:
        stem = Path(str(entry["output_filename"])).name.removesuffix(_OUTPUT_SUFFIX)
        actual, predicted = entry.get("actual"), entry.get("pred")
        whole = actual if actual and (not predicted or entry.get("early_stop")) else None
        if actual and predicted and actual["epochs"] == predicted["epochs"]:
            whole = actual
        used = whole or predicted
        if used is None:
            notes.append(f"{stem}: carbontracker says nothing of its energy")
            continue
        name = _STAMP.sub("", stem) or str(entry.get("folder", "")) or stem
        metrics = {
            "energy": float(used["energy (kWh)"]),
            "co2": float(used["co2eq (g)"]),
            "training_time": float(used["duration (s)"]),
        }
        if not all(0 < metrics[key] < math.inf for key in ("energy", "training_time")):
            notes.append(f"{stem}: energy and time must be positive and finite, got {metrics}; left out")
            continue
        if math.isnan(metrics["co2"]):
            del metrics["co2"]
        aliases = frozenset(filter(None, (name, stem, str(entry.get("folder", "")), *_HASH.findall(stem))))
        provenance: Provenance = "measured" if whole else "scaled"
        runs.append(Run(name, aliases, metrics, int(used["epochs"]), provenance))
        factors.add(entry.get("pue"))
    told = sorted(factor for factor in factors if factor not in (None, 1.0))
    if told:
        notes.append(f"carbontracker's energies include a PUE of {', '.join(map(str, told))}")
    return tuple(runs), notes
