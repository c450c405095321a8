"""Curves of a run for TensorBoard, written while it searches.

Events are written through TensorBoard's own record format and protocol buffers. Neither tensorflow nor torch is needed.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from pathlib import Path

from ecnas.errors import ECNASError
from ecnas.runs.record import RunRecord
from ecnas.task import Task


class Board:
    """Writes a run's curves. Their step is the number of evaluations.

    ======================  =======================================================================
    ``run/reward``          reward of the evaluation
    ``run/best_reward``     best reward so far
    ``run/regret``          regret of the recommended cell, by expected metrics
    ``run/val_accuracy``    of the evaluation; ``run/energy`` likewise (kWh)
    ``spent/epochs``        sum over evaluations; ``spent/energy`` (kWh) and ``spent/time`` (s) likewise
    anything else           what the method logs (:meth:`ecnas.runs.Evaluator.log`)
    ======================  =======================================================================

    Args:
        folder: Where the event file goes. TensorBoard treats each folder as one run.
        task: The task.
        record: The run's record.

    Raises:
        ECNASError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path, task: Task, record: RunRecord) -> None:
        try:
            from tensorboard.summary.writer.record_writer import RecordWriter
        except ImportError as error:
            raise ECNASError("TensorBoard is not installed (pip install tensorboard)") from error
        self._record = record
        self._expected = Task(task.benchmark.expected, task.objectives, task.scalarisation, task.epochs)
        self._optimum = task.benchmark.expected.optimum(task.scalarisation, task.objectives, task.epochs)[1]
        self._best = float("-inf")
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time():.0f}.{record.seed}.{secrets.token_hex(4)}"
        self._file = (folder / name).open("xb")
        self._writer = RecordWriter(self._file)
        self._write(file_version="brain.Event:2")

    def evaluation(self) -> None:
        """Writes what the record's last evaluation says."""
        last, step = self._record.row(len(self._record) - 1), len(self._record)
        # The method may still change its recommendation after the last evaluation, but no longer after the one before.
        self._regret(step - 1)
        if last["epochs"] == self._record.epochs:
            self._best = max(self._best, last["reward"])
        self.add(
            {
                "run/reward": last["reward"],
                "run/best_reward": self._best,
                "run/val_accuracy": last["val_accuracy"],
                "run/energy": last["energy"],
                "spent/epochs": last["cumulative_epochs"],
                "spent/energy": last["cumulative_energy"],
                "spent/time": last["cumulative_time"],
            },
            step,
        )

    def _regret(self, step: int) -> None:
        row = int(self._record.recommended_rows()[step - 1]) if step else -1
        if row >= 0:
            evaluation = self._expected.benchmark.query_row(row, self._expected.epochs)
            self.add({"run/regret": self._optimum - float(self._expected.judge(evaluation).reward)}, step)

    def add(self, values: Mapping[str, float], step: int) -> None:
        """Writes numbers by name at a step."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        scalars = [Summary.Value(tag=name, simple_value=float(value)) for name, value in values.items()]
        self._write(step=step, summary=Summary(value=scalars))
        self._file.flush()

    def _write(self, **event: object) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._writer.write(Event(wall_time=time.time(), **event).SerializeToString())

    def close(self) -> None:
        """Ends the file."""
        if len(self._record):
            self._regret(len(self._record))
        self._file.close()
