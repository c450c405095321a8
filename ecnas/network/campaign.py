"""A measurement campaign: cells are trained and metered one after another, and become a benchmark.

Its folder contains

* ``campaign.json``: the settings shared by all its trainings;
* ``measurements.jsonl``: one line per finished training, never changed once written. ``ecnas import`` reads it like any
  other file of measurements; its key ``training`` has all details, including samples of the power;
* ``trainings/``: checkpoints of unfinished trainings;
* ``stored.txt``: the digests of the benchmarks made from it, to recognise them as its own.

A killed campaign resumes where it stopped: finished trainings are not repeated, and an unfinished one continues after
its last epoch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ecnas.cell import Cell
from ecnas.errors import CorruptFileError, ECNASError
from ecnas.files import write_text
from ecnas.measured.metrics import Training as Metrics
from ecnas.measured.metrics import table_of
from ecnas.measured.store import folder_of, is_name, store
from ecnas.network.images import Images, load_images
from ecnas.network.meter import Metering
from ecnas.network.published import row_of
from ecnas.network.results import Recipe, Training, to_json
from ecnas.network.workers import Job, Outcome, carry_out
from ecnas.table import Provenance, Table, open_table

FORMAT: Final = "ecnas-campaign"
VERSION: Final = 1

SETTINGS: Final = "campaign.json"
MEASUREMENTS: Final = "measurements.jsonl"
TRAININGS: Final = "trainings"
STORED: Final = "stored.txt"


class CampaignError(ECNASError, ValueError):
    """The folder has a different campaign, or another process is measuring into it."""


@dataclass(frozen=True)
class Key:
    """The key of a training in a campaign: row of the cell, epochs, and repeat from 0."""

    row: int
    epochs: int
    repeat: int

    def __str__(self) -> str:
        return f"{self.row}-e{self.epochs}-r{self.repeat}"


class Campaign:
    """A campaign in a folder.

    Args:
        folder: Its folder; created when the first training is finished.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def name(self) -> str:
        """The name of the folder, which is also that of the table."""
        return self.folder.resolve().name

    def trainings(self) -> dict[Key, Training]:
        """All finished trainings, in the order in which they finished.

        Raises:
            CorruptFileError: A line is damaged; the message says which. An incomplete last line, left by a killed
                process, is ignored.
        """
        found = {}
        for number, line in enumerate(self._lines(), start=1):
            try:
                values = json.loads(line)
                training = Training.from_dict(values["training"])
                key = Key(training.cell.row, training.recipe.epochs, int(values["repeat"]))
            except (ValueError, KeyError, TypeError) as error:
                raise CorruptFileError(
                    f"{self.folder / MEASUREMENTS}, line {number}: damaged measurement ({error})"
                ) from error
            found[key] = training
        return found

    def missing(self, cells: Sequence[Cell], epochs: int, repeats: int) -> list[tuple[Cell, int]]:
        """Measurements still to be made, as pairs of a cell and a repeat: every cell once before any cell twice."""
        done = self.trainings()
        pairs = [(cell, repeat) for repeat in range(repeats) for cell in cells]
        return [(cell, repeat) for cell, repeat in pairs if Key(cell.row, epochs, repeat) not in done]

    def measure(
        self,
        cells: Sequence[Cell],
        data: str,
        recipe: Recipe,
        metering: Metering,
        *,
        repeats: int = 1,
        seed: int = 0,
        devices: Sequence[str | None] = (None,),
        on_end: Callable[[Outcome], object] | None = None,
    ) -> list[Outcome]:
        """Trains and meters the cells that the campaign lacks.

        Args:
            cells: Cells of space 7V.
            data: Images to train on (:func:`ecnas.network.images.load_images`).
            recipe: How to train, including the epochs.
            metering: What counts as energy. Several devices share the processor's equally.
            repeats: Trainings of each cell.
            seed: Seed of each cell's first training; further trainings use the next numbers.
            devices: Graphics cards, one worker each (:func:`ecnas.network.workers.visible_devices`).
            on_end: Called with each finished training, once it is on disk.

        Returns:
            The trainings that failed. The next call tries them again.

        Raises:
            CampaignError: The folder has a campaign with other settings, or another process is measuring into it.
        """
        for cell in cells:
            if cell.row < 0:
                raise CampaignError(f"cells must be in space 7V, which allows 9 edges, got one of {cell.num_edges}")
        metering = dataclasses.replace(metering, cpu_share=metering.cpu_share / len(devices))
        with self._claimed():
            self._begin(load_images(data), recipe, metering, seed)
            self._mend()
            for key in self.trainings():  # a process that was killed just after it had noted one
                shutil.rmtree(self.folder / TRAININGS / str(key), ignore_errors=True)
            jobs = [
                Job(cell, repeat, seed + repeat, recipe, data, metering, self._checkpoints(cell, recipe, repeat))
                for cell, repeat in self.missing(cells, recipe.epochs, repeats)
            ]
            failed = []
            for outcome in carry_out(jobs, devices):
                if outcome.training is None:
                    failed.append(outcome)
                else:
                    self._append(outcome.job, outcome.training)
                    shutil.rmtree(outcome.job.folder, ignore_errors=True)
                if on_end is not None:
                    on_end(outcome)
            return failed

    def table(self, space: str | None = None) -> Table:
        """The campaign's metrics.

        Args:
            space: "4V", "5V" or "7V"; the smallest that holds all cells by default.

        Raises:
            MeasurementsError: There is no finished training.
        """
        trainings = self.trainings()
        metrics = [_metrics(key, training) for key, training in trainings.items()]
        return table_of(metrics, self.name, space, _notes(list(trainings.values())))

    def store(self) -> Table:
        """Stores the campaign as a benchmark under its name, replacing an earlier version of itself.

        Raises:
            MeasurementsError: There is no finished training.
            ValueError: The name is invalid, or belongs to another benchmark.
        """
        self.check_name()
        table = self.table()
        with (self.folder / STORED).open("a", encoding="utf-8") as file:
            file.write(f"{table.digest}\n")
        store(table, self.name, replace=True)
        return table

    def check_name(self) -> None:
        """Checks that the campaign's name is free for a benchmark, before days of training.

        Raises:
            ValueError: The name is invalid, or belongs to another benchmark.
        """
        if not is_name(self.name):
            raise ValueError(f"the campaign's name must be letters, digits and ._+-, got {self.name!r}")
        folder = folder_of(self.name)
        if not (folder / "table.json").exists():
            return
        path = self.folder / STORED
        own = path.read_text(encoding="utf-8").split() if path.exists() else []
        if open_table(folder).digest not in own:
            raise ValueError(f"a benchmark {self.name!r} of other measurements already exists; choose another name")

    def records(self) -> Iterator[bytes]:
        """The rows of all trainings in the published format, by cell, epochs and repeat."""
        trainings = self.trainings()
        for key in sorted(trainings, key=lambda key: (key.row, key.epochs, key.repeat)):
            yield row_of(trainings[key])

    def _checkpoints(self, cell: Cell, recipe: Recipe, repeat: int) -> Path:
        return self.folder / TRAININGS / str(Key(cell.row, recipe.epochs, repeat))

    def _begin(self, images: Images, recipe: Recipe, metering: Metering, seed: int) -> None:
        """Writes the settings of a new campaign, or compares those of an existing one."""
        from ecnas import __version__

        # Numbers of epochs may differ within a campaign, and so may what is counted, which each training notes.
        common = {key: value for key, value in dataclasses.asdict(recipe).items() if key != "epochs"}
        settings = {"recipe": common, "data_digest": images.digest, "seed": seed, "backend": _backend()}
        path = self.folder / SETTINGS
        if path.exists():
            try:
                known = json.loads(path.read_text(encoding="utf-8"))
                stored = {name: known[name] for name in settings}
            except (ValueError, KeyError, TypeError) as error:
                raise CorruptFileError(f"{path}: damaged ({error})") from error
            for name, value in settings.items():
                if stored[name] != value:
                    raise CampaignError(
                        f"{self.folder} is a campaign with another {name}: {stored[name]!r} there, {value!r} here; "
                        "choose another folder"
                    )
            return
        about = {"format": FORMAT, "version": VERSION, "code_version": __version__, "data": images.name}
        about |= {"started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        metering_values = dataclasses.asdict(metering)
        write_text(path, json.dumps({**about, **settings, "metering": metering_values}, indent=1) + "\n")

    def _lines(self) -> list[bytes]:
        """The complete lines of the file of measurements."""
        try:
            content = (self.folder / MEASUREMENTS).read_bytes()
        except FileNotFoundError:
            return []
        return content.split(b"\n")[:-1]

    def _mend(self) -> None:
        """Removes an incomplete last line left by a killed process."""
        path = self.folder / MEASUREMENTS
        if path.exists():
            os.truncate(path, sum(len(line) + 1 for line in self._lines()))

    def _append(self, job: Job, training: Training) -> None:
        line = to_json(_line(job, training)).encode() + b"\n"
        new = not (self.folder / MEASUREMENTS).exists()
        with (self.folder / MEASUREMENTS).open("ab", buffering=0) as file:
            file.write(line)
            os.fsync(file.fileno())
        if new:
            with _directory(self.folder) as handle:
                os.fsync(handle)

    @contextlib.contextmanager
    def _claimed(self) -> Iterator[None]:
        from filelock import FileLock, Timeout

        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise CampaignError(f"another process is measuring into {self.folder}") from None
        try:
            yield
        finally:
            lock.release()


@contextlib.contextmanager
def _directory(folder: Path) -> Iterator[int]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        yield handle
    finally:
        os.close(handle)


def _backend() -> str:
    import keras

    name: str = keras.backend.backend()
    return name


def _metrics(key: Key, training: Training) -> Metrics:
    final = training.final
    names = ("val_accuracy", "test_accuracy", "train_accuracy", "energy", "co2", "training_time")
    metrics = {name: value for name in names if (value := getattr(final, name)) == value}  # x ≠ x for NaN alone
    metered: dict[str, Provenance] = {name: training.provenance for name in ("energy", "co2") if name in metrics}
    return Metrics(key.row, key.epochs, key.repeat, metrics, metered)


def _line(job: Job, training: Training) -> dict[str, Any]:
    final, provenance = training.final, training.provenance
    return {
        **training.cell.canonical().to_dict(),
        "epochs": training.recipe.epochs,
        "repeat": job.repeat,
        "val_accuracy": final.val_accuracy,
        "test_accuracy": final.test_accuracy,
        "train_accuracy": final.train_accuracy,
        "energy_kwh": final.energy,
        "co2_g": final.co2,
        "training_time_s": final.training_time,
        "energy_provenance": provenance,
        "co2_provenance": provenance,
        "training": training.to_dict(),
    }


def _notes(trainings: Sequence[Training]) -> str:
    """Notes for users of the table: the devices it was measured on, and what its energies include."""
    devices = dict.fromkeys(
        f"{device.name} ({device.provenance}: {device.source})"
        for training in trainings
        for device in training.devices
        if device.kind in training.metering.devices
    )
    data = dict.fromkeys(training.data for training in trainings)
    pue = dict.fromkeys(f"{training.metering.pue:g}" for training in trainings)
    idle = dict.fromkeys(f"{training.metering.idle_power:g}" for training in trainings)
    return (
        f"Trained on {', '.join(data)}. Energy of {'; '.join(devices) or 'no device'}, "
        f"less {', '.join(idle)} W of idle power, times {', '.join(pue)} (PUE); evaluations are not counted."
    )
