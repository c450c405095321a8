"""What the controllers share: arguments, a search with its budget, record and progress bar, and the report at its end.

A controller's script has four lines of this module in it::

    with Search("my-controller", args) as search:
        env = search.make_env()                  # records what it evaluates; raises when the budget is spent
        ...                                      # learn for ever
    search.report()
"""

from __future__ import annotations

import csv
import dataclasses
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

import ecnas
import ecnas_gym  # noqa: F401  # registers the environments
from ecnas import Budget, BudgetExhaustedError, Cell, Evaluation, pareto
from ecnas.benchmark import REFERENCE_MARGIN
from ecnas.objectives import OBJECTIVES, figures_of, oriented
from ecnas.record import RunRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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

    def report(self) -> None:
        """Shows what came of the search and, unless nothing is saved, writes it beside the record.

        ``report.md`` has the tables, ``front.csv`` the front found and the exact one, ``cell.png`` and ``cell.txt`` the
        best cell, ``front.png`` and ``learning.png`` the plots.
        """
        if not self.args.report or (self.folder is None and not self.args.progress):
            return
        if not len(self.record):
            print(f"{self.budget!r} does not allow a single evaluation")
            return
        outcome = Outcome.of(self)
        text = outcome.as_markdown(self)
        if self.args.progress:
            print(text)
        if self.folder is None:
            return
        (self.folder / "report.md").write_text(text, encoding="utf-8")
        (self.folder / "cell.txt").write_text(f"{outcome.best_cell}\n", encoding="utf-8")
        outcome.write_fronts(self, self.folder / "front.csv")
        outcome.draw(self, self.folder)
        if self.args.progress:
            print(f"Record, tables and plots are in {self.folder}/")


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
    ``learn``: by then all evaluations are recorded.
    """
    # Imported here, since other controllers do without stable-baselines3.
    from stable_baselines3.common.vec_env import VecEnvWrapper

    from ecnas_gym.sb3 import CellVecEnv

    class RecordVecEvaluations(VecEnvWrapper):
        def reset(self) -> Any:
            return self.venv.reset()

        def step_wait(self) -> Any:
            result = self.venv.step_wait()
            for info in result[3]:
                search.add_final(info)
            return result

    return RecordVecEvaluations(CellVecEnv(search.args.env_id, num_envs, **search.env_arguments()))


@dataclass(frozen=True)
class Outcome:
    """What a search found, beside what there was to find.

    Attributes:
        best: Number of the evaluation with the highest reward, the first of equals.
        best_cell: Its cell.
        optimum: The best evaluation of the whole benchmark under the same reward; its cell and reward.
        front: Table rows of the cells found that no other cell found dominates, by ascending first objective.
        exact: Table rows of the exact front, likewise.
        hypervolume: Of the front found, as a part of the exact front's, in normalised objectives.
    """

    best: int
    best_cell: Cell
    optimum_cell: Cell
    optimum: Evaluation
    optimum_reward: float
    front: NDArray[np.int64]
    exact: NDArray[np.int64]
    hypervolume: float

    @classmethod
    def of(cls, search: Search) -> Outcome:
        """Compares a search with the exact figures of its benchmark."""
        benchmark, record, names = search.benchmark, search.record, search.args.objectives
        best = int(np.argmax(record.column("reward")))
        optimum_cell, optimum_reward = benchmark.optimum(search.scalarisation, names, search.epochs)
        found = np.unique(record.column("row").astype(np.int64))
        front = found[pareto.non_dominated(oriented(names, _figures(search, found)))]
        exact = benchmark.pareto_front(names, search.epochs)
        scores = benchmark.normalisation(names, search.epochs).scores(_figures(search, front))
        reference = np.full(len(names), -REFERENCE_MARGIN)
        return cls(
            best,
            benchmark.space[record.rows[best]["row"]],
            optimum_cell,
            benchmark.query(optimum_cell, search.epochs),
            optimum_reward,
            front,
            exact.rows,
            pareto.hypervolume(scores, reference) / pareto.hypervolume(exact.scores, reference),
        )

    def as_markdown(self, search: Search) -> str:
        """The report's tables."""
        record, args = search.record, search.args
        best = record.rows[self.best]
        unique = len(set(record.column("row").tolist()))
        budget = ", ".join(f"{spent_text} of {limit:g}" for spent_text, limit in _spent_and_limits(search.budget))
        provenance = ", ".join(sorted({row["provenance"] for row in record.rows}))
        lines = [
            f"# {record.header['algorithm']} on {search.benchmark.name}, seed {args.seed}",
            "",
            f"{len(record)} evaluations of {unique} different cells at {search.epochs} epochs ({provenance} figures); "
            f"budget spent: {budget}.",
            "",
            "| | best cell found | optimum of the reward | optimum − found |",
            "|---|---|---|---|",
            _compared("reward (the difference is the regret)", best["reward"], self.optimum_reward),
            _compared("validation accuracy", best["val_accuracy"], self.optimum.val_accuracy),
            _compared("test accuracy (never rewarded)", best["test_accuracy"], self.optimum.test_accuracy),
            _compared("energy of its training (kWh)", best["energy"], self.optimum.energy),
            f"| trainable parameters | {best['trainable_parameters']:,} | {self.optimum.trainable_parameters:,} | |",
            f"| found at evaluation | {self.best + 1} | | |",
            f"| hash | {best['hash']} | {self.optimum_cell.hash} | |",
            "",
            "```",
            str(self.best_cell),
            "```",
            "",
            f"Front found: {len(self.front)} cells, {len(np.intersect1d(self.front, self.exact))} of them among the "
            f"{len(self.exact)} of the exact front; {100 * self.hypervolume:.2f} % of its hypervolume.",
            "",
            "| " + " | ".join(_label(name) for name in args.objectives) + " | reward | on the exact front |",
            "|---" * (len(args.objectives) + 2) + "|",
        ]
        rewards = search.benchmark.scalar_rewards(search.scalarisation, args.objectives, search.epochs)
        for row, figures in zip(self.front.tolist(), _figures(search, self.front), strict=True):
            cells = [f"{figure:.5g}" for figure in figures] + [f"{rewards[row]:.4f}"]
            lines.append("| " + " | ".join(cells) + f" | {'yes' if row in self.exact else 'no'} |")
        # The sums are NaN where the benchmark lacks a figure, which must not pass for no cost.
        kwh, co2, hours = (record.column(name).sum() / unit for name, unit in _COSTS)
        lines += [
            "",
            f"Had every network been trained, the search would have cost {_known(kwh)} kWh, {_known(co2)} kg CO2 and "
            f"{_known(hours)} hours of training.",
        ]
        if search.invalid_episodes:
            lines += ["", f"{search.invalid_episodes} episodes left the mask; they cost nothing."]
        return "\n".join(lines) + "\n"

    def write_fronts(self, search: Search, path: Path) -> None:
        """Writes the cells of both fronts with what the benchmark says of them."""
        columns = [*dict.fromkeys([*search.args.objectives, "val_accuracy", "test_accuracy", "energy"])]
        rewards = search.benchmark.scalar_rewards(search.scalarisation, search.args.objectives, search.epochs)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["hash", "row", "found", "on_found_front", "on_exact_front", "reward", *columns])
            evaluated = set(search.record.column("row").astype(int).tolist())
            for row in np.union1d(self.front, self.exact).tolist():
                figures = [search.benchmark.values(name, search.epochs)[row] for name in columns]
                on = [int(row in evaluated), int(row in self.front), int(row in self.exact)]
                writer.writerow([search.benchmark.space[row].hash, row, *on, float(rewards[row]), *map(float, figures)])

    def draw(self, search: Search, folder: Path) -> None:
        """Draws ``cell.png``, ``front.png`` and ``learning.png``."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        best = search.record.rows[self.best]
        title = f"reward {best['reward']:.4f}, accuracy {best['val_accuracy']:.4f}, {best['energy']:.4f} kWh"
        plots = {
            "cell": ((3.6, 0.75 * self.best_cell.num_vertices + 0.8), self.best_cell.draw, title),
            "front": ((6.4, 4.4), partial(self.draw_front, search), None),
            "learning": ((6.4, 4.0), partial(self.draw_learning, search), None),
        }
        for name, (size, draw, heading) in plots.items():
            # A figure of its own, without pyplot: no display is opened and no global state is left behind.
            figure = Figure(figsize=size, layout="constrained", dpi=150)
            FigureCanvasAgg(figure)
            axes = figure.subplots()
            draw(axes)
            if heading:
                axes.set_title(heading, fontsize=8)
            figure.savefig(folder / f"{name}.png")

    def draw_front(self, search: Search, ax: Axes) -> None:
        """All evaluations, the front found and the exact front, in the first two objectives."""
        from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

        from ecnas import plots

        names = search.args.objectives[:2] if len(search.args.objectives) > 1 else (*search.args.objectives, "energy")
        rows = search.record.column("row").astype(np.int64)

        def points(rows: NDArray[np.int64]) -> NDArray[np.float64]:
            return np.stack([search.benchmark.values(name, search.epochs)[rows] for name in names], axis=1)

        # Energy, or whatever the second objective is, lies on the horizontal axis.
        y, x = points(rows).T
        dots = ax.scatter(x, y, c=np.arange(len(rows)), s=14, cmap="viridis", alpha=0.7, linewidths=0, zorder=2)
        ax.figure.colorbar(dots, ax=ax, label="evaluation")
        y, x = points(self.exact).T
        # A staircase: between two cells of the front the cheaper one is the best there is.
        ax.step(x, y, ".-", where="post", color=plots.BLACK, markersize=4, linewidth=1, label="exact front", zorder=3)
        y, x = points(self.front).T
        ax.plot(x, y, "o", mfc="none", color=plots.VERMILLION, markersize=7, label="front found", zorder=4)
        y, x = points(np.array([search.benchmark.space.row(self.optimum_cell)])).T
        ax.plot(x, y, "*", color=plots.BLUE, markersize=13, label="optimum of the reward", zorder=5)
        y, x = points(np.array([self.best_cell.row])).T
        ax.plot(x, y, "D", mfc="none", color=plots.BLUE, markersize=11, label="best found", zorder=5)
        for name, axis in ((names[1], "x"), (names[0], "y")):
            getattr(ax, f"set_{axis}label")(_label(name))
            if OBJECTIVES[name].log:
                getattr(ax, f"set_{axis}scale")("log")
                ticks = getattr(ax, f"{axis}axis")
                ticks.set_major_locator(LogLocator(subs=(1, 2, 5)))
                ticks.set_major_formatter(FuncFormatter(lambda figure, _: f"{figure:g}"))
                ticks.set_minor_formatter(NullFormatter())
        exact = points(self.exact)[:, 0]
        if names[0] == "val_accuracy" and len(self.exact) > 1:
            # A failed training at accuracy 0.1 would squeeze all else into a line.
            margin = 0.6 * float(np.ptp(exact))
            ax.set_ylim(float(exact.min()) - margin, float(exact.max()) + 0.15 * margin)
            hidden = int((points(rows)[:, 0] < exact.min() - margin).sum())
            if hidden:
                ax.set_title(f"{hidden} evaluations lie below", fontsize=8, loc="right")
        ax.legend(fontsize=8)

    def draw_learning(self, search: Search, ax: Axes) -> None:
        """Reward of each evaluation, their running mean, and the best so far against the optimum."""
        from ecnas import plots

        rewards = search.record.column("reward")
        index = np.arange(1, len(rewards) + 1)
        ax.plot(index, rewards, ".", color=plots.SKY, markersize=4, label="evaluation")
        window = max(1, len(rewards) // 20)
        if window > 1:
            mean = np.convolve(rewards, np.full(window, 1 / window), mode="valid")
            ax.plot(index[window - 1 :], mean, color=plots.BLUE, label=f"mean of the last {window}")
        ax.step(index, np.maximum.accumulate(rewards), where="post", color=plots.VERMILLION, label="best so far")
        ax.axhline(self.optimum_reward, color=plots.BLACK, linestyle="--", linewidth=1, label="optimum")
        ax.set(xlabel="evaluations", ylabel="reward")
        ax.legend(fontsize=8, loc="lower right")


_COSTS = (("energy", 1), ("co2", 1000), ("training_time", 3600))
"""What a search would have cost, and by what its sum is divided to be in kWh, kg and hours."""


def _known(figure: float) -> str:
    return "an unknown number of" if math.isnan(figure) else f"{figure:.2f}"


def _figures(search: Search, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """The objectives of table rows in natural units, shape (rows, objectives)."""
    return np.stack([search.benchmark.values(name, search.epochs)[rows] for name in search.args.objectives], axis=1)


def _label(name: str) -> str:
    objective = OBJECTIVES[name]
    return f"{objective.label} ({objective.unit})" if objective.unit else objective.label


def _compared(name: str, found: float, best: float) -> str:
    return f"| {name} | {found:.4f} | {best:.4f} | {best - found:+.4f} |"


def _spent_and_limits(budget: Budget) -> list[tuple[str, float]]:
    units = {"energy": "kWh", "seconds": "s"}
    spent = budget.spent
    return [(f"{getattr(spent, n):g} {units.get(n, n)}", limit) for n, limit in budget.limits.items()]


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as JSON values, without those that say where results go: the same run has the same header."""
    kept = {key: value for key, value in settings.items() if key not in ("out", "save", "report", "progress")}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in kept.items()}
