"""What the controllers share: arguments, and a search with its budget, record and progress bar.

A controller's script has a few lines of this module in it::

    with Search("my-controller", args) as search:
        env = search.make_env()                  # records what it evaluates; raises when the budget is spent
        ...                                      # learn for ever
    report(search)                               # agents.report: tables and plots
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import gymnasium as gym
from tqdm import tqdm

import ecnas
import ecnas_gym  # noqa: F401  # registers the environments
from ecnas import Budget, BudgetExhaustedError, Cell, Evaluation
from ecnas.objectives import figures_of
from ecnas.runs.record import RunRecord

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

DEFAULT_EVALUATIONS = 300
"""Budget of a search for which no budget is given."""


@dataclass
class SearchArgs:
    """Arguments of every controller. A controller's own ``Args`` inherits them."""

    env_id: str = "ECNAS-7V-v0"
    """Environment to search in: ECNAS-4V-v0, ECNAS-5V-v0 or ECNAS-7V-v0."""
    benchmark: str | None = None
    """Benchmark that answers: an embedded one (the default), the stem of a published file, or a path."""
    epochs: int | None = None
    """Epochs for which each cell is trained; the benchmark's most by default."""
    objectives: tuple[str, ...] = ("val_accuracy", "energy")
    """What is optimised: some of val_accuracy, energy, training_time, co2, trainable_parameters."""
    scalarisation: Literal["linear", "chebyshev", "cap", "power"] = "linear"
    """How the objectives become one reward."""
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
    """Folder for the record and the report; runs/BENCHMARK/CONTROLLER/seed-SEED by default."""
    save: bool = True
    """Write the record and the report; otherwise they are only shown."""
    report: bool = True
    """Make the report; without it the record alone is saved."""
    progress: bool = True
    """Show the progress bar and the report."""


class Search:
    """One run of a controller: what it searches, under which budget, and what came of it.

    A context manager: when the block ends, or is ended by the budget's :class:`ecnas.BudgetExhaustedError` (which is
    how searches are meant to end, and is not passed on), the run record is complete and gets its name. Any other
    exception leaves the record ``.partial``.

    Args:
        algorithm: Name of the controller, for the record and the default folder.
        args: Arguments.

    Attributes:
        args: As given.
        benchmark: What answers.
        budget: What limits; shared by all environments of the search.
        scalarisation: Turns the objectives into the reward that the record holds.
        record: The evaluations so far.
        folder: Where the record and the report go; None if nothing is saved.
        invalid_episodes: Episodes that ended outside of the mask. They are never charged, nor recorded.
    """

    def __init__(self, algorithm: str, args: SearchArgs) -> None:
        self.args = args
        spec = gym.spec(args.env_id)
        if "space" not in spec.kwargs:
            raise ValueError(f"env_id must name an ECNAS environment, got {args.env_id!r}")
        self.benchmark = ecnas.load(args.benchmark or f"surrogate-{spec.kwargs['space']}")
        self.epochs = self.benchmark.check_epochs(args.epochs)
        self.scalarisation = self.benchmark.scalarisation(
            args.scalarisation, args.objectives, self.epochs, args.weights
        )
        self.budget = make_budget(args)
        self.folder: Path | None = None
        if args.save:
            default = Path("runs") / Path(self.benchmark.name).stem / algorithm / f"seed-{args.seed}"
            self.folder = args.out or default
        self.record = RunRecord(
            algorithm,
            self.benchmark,
            args.seed,
            settings=_plain(dataclasses.asdict(args)),
            path=None if self.folder is None else self.folder / "record.jsonl",
        )
        self.invalid_episodes = 0
        self._best = -math.inf
        # The bar counts what the budget limits first: evaluations, if they are limited at all.
        self._currency, total = next(iter(self.budget.limits.items()))
        self._bar = tqdm(
            total=total,
            desc=f"{algorithm} on {self.benchmark.name}",
            unit={"energy": "kWh", "seconds": "s"}.get(self._currency, self._currency),
            bar_format="{l_bar}{bar}| {n:.6g}/{total:g} {unit} [{elapsed}<{remaining}{postfix}]",
            disable=not args.progress,
            mininterval=0.5,
            file=sys.stderr,
        )

    def make_env(self, **kwargs: Any) -> gym.Env[Any, Any]:
        """An environment under the search's budget that records its evaluations; any number can be made.

        Args:
            **kwargs: More arguments of the environment, such as ``render_mode``.
        """
        return RecordEvaluations(gym.make(self.args.env_id, **self.env_arguments(), **kwargs), self)

    def env_arguments(self) -> dict[str, Any]:
        """The arguments of an environment that searches what this search searches, under its budget."""
        arguments = {
            "benchmark": self.benchmark,
            "epochs": self.epochs,
            "objectives": self.args.objectives,
            "budget": self.budget,
        }
        if not self.args.env_id.startswith("MO-"):
            arguments["scalarisation"] = self.scalarisation
        return arguments

    def add_final(self, info: Mapping[str, Any]) -> None:
        """Records what the information of a step says: an evaluation, an invalid episode, or nothing."""
        if "evaluation" in info:
            self.add(info["cell"], info["evaluation"])
        elif "invalid" in info:
            self.invalid_episodes += 1

    def add(self, cell: Cell, evaluation: Evaluation) -> float:
        """Records an evaluation that the budget has been charged with, moves the bar, and returns the scalar reward."""
        reward = self.reward(evaluation)
        self.record.append(cell, evaluation, reward)
        if reward > self._best:
            self._best = reward
            best = f"reward {reward:.4f}, accuracy {evaluation.val_accuracy:.4f}, {evaluation.energy:.4f} kWh"
            self._bar.set_postfix_str(f"best: {best}", refresh=False)
        if not self._bar.disable:
            self._bar.update(getattr(self.budget.spent, self._currency) - self._bar.n)
        return reward

    def reward(self, evaluation: Evaluation) -> float:
        """The scalar reward of an evaluation, as :class:`ecnas_gym.CellEnv` gives it."""
        figures = figures_of(evaluation)
        normalisation = self.benchmark.normalisation(self.args.objectives, self.epochs)
        return float(self.scalarisation(normalisation.rewards(normalisation.select(figures)), figures))

    def __enter__(self) -> Search:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        ended_by_budget = isinstance(error, BudgetExhaustedError)
        self._bar.close()
        self.record.close(complete=error is None or ended_by_budget)
        return ended_by_budget


class RecordEvaluations(gym.Wrapper[Any, Any, Any, Any]):
    """Hands every evaluation to the search, before whoever steps the environment can reset it."""

    def __init__(self, env: gym.Env[Any, Any], search: Search) -> None:
        super().__init__(env)
        self._search = search

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Steps, and records the evaluation that a finished cell brought."""
        result = self.env.step(action)
        self._search.add_final(result[4])
        return result


def make_budget(args: SearchArgs) -> Budget:
    """The budget that the arguments ask for; of 300 evaluations if they ask for none."""
    limits = (args.budget_epochs, args.budget_kwh, args.budget_seconds)
    evaluations = args.budget
    if evaluations is None and all(limit is None for limit in limits):
        evaluations = DEFAULT_EVALUATIONS
    return Budget(evaluations, *limits)


def make_vec_env(search: Search, num_envs: int) -> VecEnv:
    """Environments that step together, for stable-baselines3; they record as :meth:`Search.make_env` does.

    They share the search's budget. When it is spent, the next step raises :class:`ecnas.BudgetExhaustedError` out of
    ``learn``: by then all evaluations are recorded. Environments that edit have no vectorised form and step one after
    another; each has an incumbent of its own.
    """
    # Imported here, since other controllers do without stable-baselines3.
    from stable_baselines3.common.vec_env import DummyVecEnv, VecEnvWrapper

    from ecnas_gym.sb3 import CellVecEnv

    class RecordVecEvaluations(VecEnvWrapper):
        def reset(self) -> Any:
            return self.venv.reset()

        def step_wait(self) -> Any:
            result = self.venv.step_wait()
            for info in result[3]:
                search.add_final(info)
            return result

    if gym.spec(search.args.env_id).vector_entry_point is None:
        return DummyVecEnv([search.make_env] * num_envs)
    return RecordVecEvaluations(CellVecEnv(search.args.env_id, num_envs, **search.env_arguments()))


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as JSON values, without those that say where results go: the same run has the same header."""
    kept = {key: value for key, value in settings.items() if key not in ("out", "save", "report", "progress")}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in kept.items()}
