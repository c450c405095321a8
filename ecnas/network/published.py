"""A training as a row of the published format, with its evaluations and the energy of each device, as in EC-NAS."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ecnas.encoding import OP_WEIGHTS, OPERATIONS
from ecnas.network.meter import CPU, GPU
from ecnas.network.results import Milestone, Training
from ecnas.official.messages import (
    EPOCH,
    EVALUATION,
    FIGURE_FIELDS,
    PARAMETERS,
    POWER_USAGE,
    STARTED,
    bytes_field,
    double_field,
    varint_field,
)
from ecnas.official.rows import Row, write_row

_STOPPED = 10
_INTENSITY = 8


def row_of(training: Training) -> bytes:
    """The row of a training."""
    cell = training.cell.canonical()
    code = sum(OPERATIONS.index(op) * weight for op, weight in zip(cell.ops, OP_WEIGHTS, strict=False))
    message = message_of(training)
    return write_row(Row(cell.hash, training.recipe.epochs, cell.num_vertices, cell.edge_bits, code, message))


def message_of(training: Training) -> bytes:
    """The metrics message of a training (:mod:`ecnas.official.messages`).

    It has three evaluations: before the first epoch, in the middle, and after the last. In a training of one epoch the
    middle one is the last.
    """
    first, last = training.milestones[0], training.final
    middle = training.milestones[1]
    total = {3: training.total.seconds, 4: training.metering.energy(training.total)}
    total |= {5: training.metering.co2(training.total)}
    intensity = training.metering.carbon_intensity
    parts = [
        *(bytes_field(EVALUATION, _evaluation(one, intensity)) for one in (first, middle, last)),
        varint_field(PARAMETERS, training.cell.trainable_parameters),
        _doubles(total),
        bytes_field(6, first.started.encode()),
        bytes_field(7, last.stopped.encode()),
        _doubles({_INTENSITY: math.nan if intensity is None else intensity}),
        bytes_field(POWER_USAGE, b"".join(_power(training, kind, n) for n, kind in ((1, GPU), (2, CPU)))),
    ]
    return b"".join(parts)


def _evaluation(milestone: Milestone, intensity: float | None) -> bytes:
    figures = {field: getattr(milestone, name) for name, field in FIGURE_FIELDS.items()}
    figures |= {EPOCH: float(milestone.epoch), _INTENSITY: math.nan if intensity is None else intensity}
    times = bytes_field(STARTED, milestone.started.encode()) + bytes_field(_STOPPED, milestone.stopped.encode())
    return _doubles(figures) + times


def _doubles(figures: dict[int, float]) -> bytes:
    """Fields in order; NaN values are left out."""
    return b"".join(double_field(number, value) for number, value in sorted(figures.items()) if not math.isnan(value))


def _power(training: Training, kind: str, number: int) -> bytes:
    """Mean watts, joules and name of the devices of one kind, over the training with its evaluations."""
    names = [device.name for device in training.devices if device.kind == kind]
    if not names:
        return b""
    joules = training.total.joules.get(kind, 0.0)
    usage = _nested(1, [double_field(1, joules / training.total.seconds)]) + _nested(2, [double_field(1, joules)])
    return bytes_field(number, usage + _nested(3, [bytes_field(1, name.encode()) for name in names]))


def _nested(number: int, messages: Iterable[bytes]) -> bytes:
    return b"".join(bytes_field(number, message) for message in messages)
