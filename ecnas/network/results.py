"""Recipes and results of trainings, as plain data and JSON. Nothing here needs Keras."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ecnas.cell import Cell
from ecnas.cost import STEM_CHANNELS
from ecnas.network.meter import Device, Metering, Reading
from ecnas.table import PROVENANCES, Provenance

PRECISIONS: Final = ("float32", "mixed_float16", "mixed_bfloat16")


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; the defaults are NAS-Bench-101's.

    Attributes:
        epochs: Passes through the training images.
        batch_size: Images per step; the remainder at the end of an epoch is not used.
        learning_rate: Of the first step; it falls to zero along half a cosine.
        weight_decay: λ of the penalty λ/2 · Σ w² over all trainable parameters.
        channels: Channels after the stem.
        precision: Keras dtype policy.
    """

    epochs: int = 108
    batch_size: int = 256
    learning_rate: float = 0.2
    weight_decay: float = 1e-4
    channels: int = STEM_CHANNELS
    precision: str = "float32"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "channels"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)!r}")
        for name, positive in (("learning_rate", self.learning_rate > 0), ("weight_decay", self.weight_decay >= 0)):
            if not positive or not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} must be a positive number, got {getattr(self, name)!r}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {PRECISIONS}, got {self.precision!r}")

    @property
    def milestones(self) -> tuple[int, ...]:
        """Epochs after which the network is evaluated: before the first, in the middle, after the last."""
        return tuple(sorted({0, (self.epochs + 1) // 2, self.epochs}))


@dataclass(frozen=True)
class Milestone:
    """Accuracies and cost of a training after some epochs; evaluations are not counted.

    Attributes:
        epoch: Epochs so far.
        train_accuracy: From 0 to 1.
        val_accuracy: From 0 to 1.
        test_accuracy: From 0 to 1.
        training_time: s.
        energy: kWh.
        co2: g.
        started: When its epochs since the last milestone began, UTC.
        stopped: When they ended.
    """

    epoch: int
    train_accuracy: float
    val_accuracy: float
    test_accuracy: float
    training_time: float
    energy: float
    co2: float
    started: str
    stopped: str


@dataclass(frozen=True)
class Training:
    """A finished training.

    Attributes:
        cell: The trained cell.
        seed: Of the weights, the order of the images and their augmentation.
        recipe: How it was trained.
        metering: What counts as energy.
        data: Name of the images.
        data_digest: Their SHA-256.
        backend: Keras's backend.
        milestones: Evaluations, the last after all epochs.
        total: Time and energy with all evaluations.
        devices: The metered devices.
        trace: Samples of the power: seconds of training, watts of the GPU, watts of the CPU.
    """

    cell: Cell
    seed: int
    recipe: Recipe
    metering: Metering
    data: str
    data_digest: str
    backend: str
    milestones: tuple[Milestone, ...]
    total: Reading
    devices: tuple[Device, ...]
    trace: tuple[tuple[float, ...], ...] = ()

    @property
    def final(self) -> Milestone:
        """The metrics after the last epoch."""
        return self.milestones[-1]

    @property
    def provenance(self) -> Provenance:
        """Provenance of its energy: the weakest of the devices that count."""
        counted = [device.provenance for device in self.devices if device.kind in self.metering.devices]
        return max(counted, key=PROVENANCES.index, default="measured")

    def to_dict(self) -> dict[str, Any]:
        """A dictionary for JSON; :meth:`from_dict` reads it."""
        plain = {name: getattr(self, name) for name in ("seed", "data", "data_digest", "backend")}
        parts = {name: dataclasses.asdict(getattr(self, name)) for name in ("recipe", "metering", "total")}
        many = {name: [dataclasses.asdict(one) for one in getattr(self, name)] for name in ("milestones", "devices")}
        return {"cell": self.cell.to_dict(), **plain, **parts, **many, "trace": [list(row) for row in self.trace]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Training:
        """Reads the dictionary of :meth:`to_dict`."""
        metering = values["metering"] | {"devices": tuple(values["metering"]["devices"])}
        return cls(
            cell=Cell.from_dict(values["cell"]),
            recipe=Recipe(**values["recipe"]),
            metering=Metering(**metering),
            milestones=tuple(Milestone(**with_nan(one)) for one in values["milestones"]),
            total=Reading(**values["total"]),
            devices=tuple(Device(**one) for one in values["devices"]),
            trace=tuple(map(tuple, values["trace"])),
            **{name: values[name] for name in ("seed", "data", "data_digest", "backend")},
        )


def to_json(values: Mapping[str, Any]) -> str:
    """A line of JSON, with null for NaN."""
    return json.dumps(_without_nan(values), allow_nan=False)


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def with_nan(values: Mapping[str, Any]) -> dict[str, Any]:
    """Replaces null by NaN."""
    return {key: math.nan if value is None else value for key, value in values.items()}
