"""A method as a program: ``if __name__ == "__main__": script.main(MyMethod)``.

Its settings and those of the run become options of the command line; what came of the run is shown and saved.
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
from ecnas.errors import ECNASError
from ecnas.loading import load
from ecnas.objectives import ScalarisationName
from ecnas.runs.method import Method, make_method, tuned_settings
from ecnas.runs.record import RunRecord, identity
from ecnas.runs.run import make_header, run_task
from ecnas.task import Repeat, Task

DEFAULT_EVALUATIONS = 300
"""Budget of a run for which no budget is given."""

TUNED = "Begin with the settings of tuned.toml beside the script; settings that are given as options go before."

USER_ERROR = 2
INTERRUPTED = 130


@dataclass(frozen=True)
class RunSettings:
    """What is searched, under which budget, and where the outcome goes."""

    benchmark: str | None = None
    """Benchmark that answers: an embedded one, one's own, the stem of a published file, or a path. surrogate-7V by
    default, or the embedded one of --space."""
    space: Literal["4V", "5V", "7V"] | None = None
    """Space of the embedded benchmark that answers, if no benchmark is given."""
    epochs: int | None = None
    """Epochs for which each cell is trained; the benchmark's most by default."""
    repeat: Repeat = "mean"
    """Which training of a cell answers where there are several: their mean, the number of one, or one at random."""
    objectives: tuple[str, ...] = DEFAULT_OBJECTIVES
    """What is optimised: some of val_accuracy, energy, training_time, co2, trainable_parameters."""
    scalarisation: ScalarisationName | None = None
    """How the objectives become one reward: by default soft-cap, or linear if there are weights."""
    weights: tuple[float, ...] | None = None
    """Weight of each objective, for linear and chebyshev; equal by default."""
    budget: int | None = None
    """Most evaluations; 300 if no other budget is given. The first evaluation that a budget refuses ends the search."""
    budget_epochs: int | None = None
    """Most epochs of training, summed over evaluations."""
    budget_kwh: float | None = None
    """Most energy of training in kWh, summed over evaluations."""
    budget_seconds: float | None = None
    """Most time of training in seconds, summed over evaluations."""
    seed: int = 0
    """Seed of all randomness: the same seed gives the same run."""
    out: Path | None = None
    """Folder for the record and the report; by default one below runs/ that is this run's alone."""
    save: bool = True
    """Write the record and the report; otherwise they are only shown."""
    report: bool = True
    """Make the report; without it the record alone is saved."""
    progress: bool = True
    """Show the progress bar and the report."""
    tensorboard: Path | None = None
    """Folder for learning curves that TensorBoard shows (pip install tensorboard)."""

    def make_task(self) -> Task:
        """What is searched for."""
        if self.benchmark is not None and self.space is not None:
            raise ValueError(f"either benchmark or space must be given, got {self.benchmark!r} and {self.space!r}")
        benchmark = load(self.benchmark or f"surrogate-{self.space or '7V'}")
        return Task.of(benchmark, self.objectives, self.scalarisation, self.epochs, self.repeat, self.weights)

    def make_budget(self) -> Budget:
        """The budget that is asked for; of 300 evaluations if none is."""
        limits = (self.budget_epochs, self.budget_kwh, self.budget_seconds)
        evaluations = self.budget
        if evaluations is None and all(limit is None for limit in limits):
            evaluations = DEFAULT_EVALUATIONS
        return Budget(evaluations, *limits)


def run_method(method: Method, settings: RunSettings) -> RunRecord:
    """Carries out a run, or reads the record of the same run that is there already, and reports.

    Raises:
        OtherRunError: The folder holds another run.
    """
    task, budget = settings.make_task(), settings.make_budget()
    folder = None
    if settings.save:
        folder = settings.out or default_folder(make_header(method, task, budget, settings.seed))
    path = None if folder is None else folder / "record.jsonl"
    if path is not None and path.exists() and settings.progress:
        print(f"{path} is there already; a record of this same run is read, not made again", file=sys.stderr)
    record = run_task(
        method, task, budget, settings.seed, path=path, progress=settings.progress, tensorboard=settings.tensorboard
    )
    if settings.report and (settings.progress or folder is not None):
        from ecnas.runs import outcome  # with the extra [report] alone

        outcome.report(record, folder, settings.progress)
    return record


def default_folder(header: dict[str, Any]) -> Path:
    """``runs/BENCHMARK/METHOD/IDENTITY/seed-SEED``: runs that differ in anything never share a folder."""
    made_by = {key: value for key, value in identity(header).items() if key != "seed"}
    digest = hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()[:8]
    method, benchmark = (re.sub(r"[^\w.~-]+", "-", name) for name in (header["name"], header["task"]["benchmark"]))
    return Path("runs") / benchmark / method / digest / f"seed-{header['seed']}"


def main(kind: type[Method], argv: Sequence[str] | None = None) -> None:
    """Runs a method from the command line, with its settings and a run's as options; exits with 2 on a user's error."""
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
    """Ends the program with a line on stderr, and no traceback, where a user's error is raised within."""
    program = Path(sys.argv[0]).name
    try:
        yield
    except (ECNASError, ValueError, OSError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        sys.exit(USER_ERROR)
    except ImportError as error:
        print(f"{program}: {error} (pip install 'ecnas-gym[agents]')", file=sys.stderr)
        sys.exit(USER_ERROR)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        sys.exit(INTERRUPTED)
