"""A method as a program: ``if __name__ == "__main__": script.main(MyMethod)``.

The settings of the method and of the run become command-line options. The result is shown and saved.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from ecnas.benchmark import DEFAULT_OBJECTIVES
from ecnas.budget import Budget
from ecnas.endings import ending_of
from ecnas.loading import load
from ecnas.objectives import ScalarisationName
from ecnas.runs.method import Method, make_method, tuned_settings
from ecnas.runs.record import RunRecord, identity
from ecnas.runs.run import make_header, run_task
from ecnas.task import Repeat, Task

DEFAULT_EVALUATIONS = 300
"""The default budget."""

TUNED = "Start from the settings in tuned.toml beside the script; options override them."


@dataclass(frozen=True)
class RunSettings:
    """The task, the budget, and where the result goes."""

    benchmark: str | None = None
    """Benchmark to search: an embedded one, your own, the name of a published file, or a path. By default
    surrogate-7V, or the embedded one of --space."""
    space: Literal["4V", "5V", "7V"] | None = None
    """Search the embedded benchmark of this space; instead of --benchmark."""
    epochs: int | None = None
    """Epochs of each training; by default the benchmark's highest number."""
    repeat: Repeat = "mean"
    """Which of several trainings of a cell to use: their mean, the number of one, or a random one."""
    objectives: tuple[str, ...] = DEFAULT_OBJECTIVES
    """Objectives: any of val_accuracy, energy, training_time, co2, trainable_parameters."""
    scalarisation: ScalarisationName | None = None
    """How objectives are combined into one reward; by default soft-cap, or linear if weights are given."""
    weights: tuple[float, ...] | None = None
    """Weight of each objective, for linear and chebyshev; equal by default."""
    budget: int | None = None
    """Maximum number of evaluations; 300 if no budget is given. The search ends when a budget is exhausted."""
    budget_epochs: int | None = None
    """Maximum epochs of training, summed over evaluations."""
    budget_kwh: float | None = None
    """Maximum energy of training in kWh, summed over evaluations."""
    budget_seconds: float | None = None
    """Maximum training time in seconds, summed over evaluations."""
    seed: int = 0
    """Random seed; the same seed gives the same run."""
    out: Path | None = None
    """Folder for the record and the report; by default a folder of its own below runs/."""
    save: bool = True
    """Write the record and the report."""
    report: bool = True
    """Make the report; otherwise only the record is saved."""
    progress: bool = True
    """Show the progress bar and the report."""
    tensorboard: Path | None = None
    """Folder for TensorBoard logs (pip install tensorboard)."""

    def make_task(self) -> Task:
        """The task."""
        if self.benchmark is not None and self.space is not None:
            raise ValueError(f"either benchmark or space must be given, got {self.benchmark!r} and {self.space!r}")
        benchmark = load(self.benchmark or f"surrogate-{self.space or '7V'}")
        return Task.of(benchmark, self.objectives, self.scalarisation, self.epochs, self.repeat, self.weights)

    def make_budget(self) -> Budget:
        """The budget; 300 evaluations if none is given."""
        limits = (self.budget_epochs, self.budget_kwh, self.budget_seconds)
        evaluations = self.budget
        if evaluations is None and all(limit is None for limit in limits):
            evaluations = DEFAULT_EVALUATIONS
        return Budget(evaluations, *limits)


def run_method(method: Method, settings: RunSettings) -> RunRecord:
    """Carries out a run, or reads its existing record, and reports.

    Raises:
        OtherRunError: The folder holds another run.
    """
    task, budget = settings.make_task(), settings.make_budget()
    folder = None
    if settings.save:
        folder = settings.out or default_folder(make_header(method, task, budget, settings.seed))
    path = None if folder is None else folder / "record.jsonl"
    if path is not None and path.exists() and settings.progress:
        print(f"{path} already exists; the record of this run is read instead of running it again", file=sys.stderr)
    record = run_task(
        method, task, budget, settings.seed, path=path, progress=settings.progress, tensorboard=settings.tensorboard
    )
    if settings.report and (settings.progress or folder is not None):
        from ecnas.runs import outcome  # needs the extra [report]

        outcome.report(record, folder, settings.progress)
    return record


def default_folder(header: dict[str, Any]) -> Path:
    """``runs/BENCHMARK/METHOD/IDENTITY/seed-SEED``: runs that differ in anything never share a folder."""
    made_by = {key: value for key, value in identity(header).items() if key != "seed"}
    digest = hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()[:8]
    method, benchmark = (re.sub(r"[^\w.~-]+", "-", name) for name in (header["name"], header["task"]["benchmark"]))
    return Path("runs") / benchmark / method / digest / f"seed-{header['seed']}"


def main(kind: type[Method], argv: Sequence[str] | None = None) -> None:
    """Runs a method from the command line, with its settings and a run's as options. Exits with 2 on a user error."""
    words = sys.argv[1:] if argv is None else list(argv)
    summary = (kind.__doc__ or "").strip().split("\n\n")[0]
    with user_errors():
        import tyro

        default = make_method(kind, tuned_settings(kind)) if "--tuned" in words else kind()
        arguments = dataclasses.make_dataclass(
            "Arguments",
            [
                ("method", Annotated[kind, tyro.conf.arg(name="")], field(default=default)),
                ("settings", Annotated[RunSettings, tyro.conf.arg(name="")], field(default_factory=RunSettings)),
                ("tuned", Annotated[bool, tyro.conf.arg(help=TUNED)], field(default=False)),
            ],
        )
        chosen: Any = tyro.cli(arguments, args=words, description=summary)
        run_method(chosen.method, chosen.settings)


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
    """Turns a user error raised within into one line on stderr and an exit code, without a traceback."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:
        sys.exit(ending_of(error, Path(sys.argv[0]).name))
