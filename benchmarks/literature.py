"""Published comparisons on NAS-Bench-101's space, repeated on the embedded benchmark: the tables of docs/literature.md.

    python benchmarks/literature.py [SECTION …] [--seeds 200]

The sections are queries (White et al. 2021: test error after 150 queries), seconds
(Ying et al. 2019: regret against simulated time) and optimum (Wang et al. 2018: samples until the best cell); all by
default. Runs are kept in runs/literature and are not repeated. Needs the extras [agents] and [search], and optuna and
scikit-learn for two peers.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import white
from ecnas_gym.agents.mcts import TreeSearch
from ecnas_gym.agents.reinforce_many import CategoricalREINFORCE
from numpy.typing import NDArray
from page import write_sections
from peers import LaNAS, draw_by_matrix
from tqdm import tqdm

import ecnas
from ecnas import drawing, files, runs, search
from ecnas.runs import charts
from ecnas.runs.looks import looks
from ecnas.runs.run import make_header
from ecnas.task import Task

T = TypeVar("T")
ROOT: Final = Path(__file__).parents[1]
FIGURE: Final = ROOT / "docs" / "images" / "literature.png"

# ---------------------------------------------------------------------------------------------------------------------
# White et al. 2021

PEERS: Final = ("TPE (Optuna)", "Gaussian process (scikit-learn)")
RIVAL: Final = "BANANAS"
"""Best of the published table: all others are compared with it world by world."""


def queries(arguments: argparse.Namespace) -> str:
    """Test errors after 150 queries, sorted by ours."""
    seeds = dict.fromkeys(white.METHODS, arguments.seeds)
    seeds |= dict.fromkeys(PEERS, min(arguments.peer_seeds, arguments.seeds))
    found = white.picks(seeds, arguments.runs / "white", arguments.processes)
    errors = {name: np.array([pick.error for pick in picks]) for name, picks in found.items()}
    lines = [
        "| test error after 150 queries, % | settings | worlds | published | mean of three | − published "
        f"| − {RIVAL}'s | expected of the pick | expected of its own recommendation |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name in sorted(found, key=lambda name: -errors[name].mean()):
        _, expected, _, recommended = np.mean(found[name], axis=0)
        published = white.PUBLISHED.get(name)
        paired = errors[name] - errors[RIVAL][: len(errors[name])]
        cells = (
            white.SETTINGS.get(name, "ours"),
            str(len(errors[name])),
            "–" if published is None else f"{published:.3f}",
            _with_error(errors[name]),
            "–" if published is None else f"{errors[name].mean() - published:+.3f}",
            "–" if name == RIVAL else _with_error(paired, "+"),
            f"{expected:.3f}",
            f"{recommended:.3f}" if abs(recommended - expected) > 1e-9 else "–",
        )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    others = ", ".join(f"{name} {error:.3f}" for name, error in white.OTHERS.items())
    return "\n".join([*lines, "", f"Published, and not run here: {others}."])


# ---------------------------------------------------------------------------------------------------------------------
# Ying et al. 2019

SECONDS: Final = 1e7
GRID: Final = np.logspace(4, 7, 61)
"""Simulated seconds at which curves are evaluated."""
SHOWN: Final = (1e5, 1e6, 1e7)
"""The columns of the table."""
TICKS: Final = (0.4, 0.6, 0.8, 1.0, 1.4)
"""Ticks of the figure's axis."""
AT_ONCE: Final = 25
"""Trials per job, each in its own world."""


class Trainings(NamedTuple):
    """The trainings of a trial, in their order; three arrays of shape (trainings,).

    Attributes:
        rows: Rows of the cells.
        accuracies: Validation accuracies, as seen.
        seconds: Training times.
    """

    rows: NDArray[np.int64]
    accuracies: NDArray[np.float64]
    seconds: NDArray[np.float64]


class Curves(NamedTuple):
    """The results of a method's trials.

    Attributes:
        regrets: Test regrets by the world's means of three, in points, shape (trials, times).
        expected: The same by expected accuracies.
        trainings: Number of trainings in each trial, shape (trials,).
    """

    regrets: NDArray[np.float64]
    expected: NDArray[np.float64]
    trainings: NDArray[np.int64]


def random_search(tasks: Sequence[Task], seeds: Sequence[int]) -> list[Trainings]:
    """Random search as in the study: by matrix and labels, with repeated cells."""
    return [_random_trial(task, seed) for task, seed in zip(tasks, seeds, strict=True)]


def _random_trial(task: Task, seed: int) -> Trainings:
    rng, repeats = np.random.default_rng(seed).spawn(2)
    parts: list[ecnas.Evaluations] = []
    spent = 0.0
    while spent <= SECONDS:
        parts.append(task.benchmark.query_rows(draw_by_matrix(task.benchmark.space, 4096, rng), repeat=repeats))
        spent += float(parts[-1].training_time.sum())
    times = np.concatenate([part.training_time for part in parts])
    number = int(np.searchsorted(np.cumsum(times), SECONDS, side="right"))  # the next would overspend
    rows = np.concatenate([part.rows for part in parts])
    accuracies = np.concatenate([part.val_accuracy for part in parts])
    return Trainings(rows[:number], accuracies[:number], times[:number])


def reinforce(tasks: Sequence[Task], seeds: Sequence[int]) -> list[Trainings]:
    """REINFORCE with the study's settings."""
    method = CategoricalREINFORCE()
    starts = [
        _start(method, task, ecnas.Budget(seconds=SECONDS), seed) for task, seed in zip(tasks, seeds, strict=True)
    ]
    method.run_many(*map(list, zip(*starts, strict=True)))
    return [_trainings(evaluate.record) for evaluate, _ in starts]


def evolution(tasks: Sequence[Task], seeds: Sequence[int]) -> list[Trainings]:
    """Regularised evolution with the study's settings."""
    method = white.ByMatrix(search.RegularisedEvolution())
    trials = []
    for task, seed in zip(tasks, seeds, strict=True):
        evaluate, rng = _start(method, task, ecnas.Budget(seconds=SECONDS), seed)
        _until_spent(method, evaluate, rng)
        trials.append(_trainings(evaluate.record))
    return trials


STUDY: Final[Mapping[str, Callable[[Sequence[Task], Sequence[int]], list[Trainings]]]] = {
    "random search": random_search,
    "REINFORCE": reinforce,
    "regularised evolution": evolution,
}


def seconds(arguments: argparse.Namespace) -> str:
    """Mean test regret against simulated time, one training a query."""
    curves = _study(arguments)
    _draw(curves)
    header = " | ".join(f"{time:.0e} s".replace("e+0", "·10^") for time in SHOWN)
    lines = [
        f"| test regret, points | trials | {header} | expected, {header.split(' | ')[-1]} | trainings |",
        "|---|---:|" + "---:|" * (len(SHOWN) + 2),
    ]
    for name, (regrets, expected, trainings) in curves.items():
        shown = [regrets[:, int(np.argmin(np.abs(GRID - time)))] for time in SHOWN]
        cells = " | ".join(_with_error(values) for values in [*shown, expected[:, -1]])
        lines.append(f"| {name} | {len(regrets)} | {cells} | {trainings.mean():,.0f} |")
    return "\n".join(lines)


def _with_error(values: NDArray[np.float64], sign: str = "") -> str:
    """The mean and its standard error."""
    return f"{values.mean():{sign}.3f} ± {values.std(ddof=1) / len(values) ** 0.5:.3f}"


def _study(arguments: argparse.Namespace) -> dict[str, Curves]:
    """The curves of each method of the study."""
    folder, number = arguments.runs / "ying", arguments.trials
    jobs = [
        (name, first, min(AT_ONCE, number - first), folder / name)
        for first in range(0, number, AT_ONCE)
        for name in STUDY
    ]
    parts = _each(_trials, jobs, arguments.processes, "trials")
    return {
        name: Curves(*map(np.concatenate, zip(*parts[k :: len(STUDY)], strict=True))) for k, name in enumerate(STUDY)
    }


def _trials(name: str, first: int, number: int, folder: Path) -> Curves:
    """Some trials of a method, each in the world of its seed; existing ones are read."""
    path = folder / f"trials-{first}-{first + number - 1}.npz"
    if not path.exists():
        seeds = range(first, first + number)
        worlds = [ecnas.load("surrogate-7V", noise_seed=seed) for seed in seeds]
        tasks = [Task.of(world, ("val_accuracy",), repeat="random") for world in worlds]
        trials = STUDY[name](tasks, seeds)
        expected = ecnas.load("surrogate-7V").values("test_accuracy")
        found = Curves(
            np.array(
                [_curve(trial, world.values("test_accuracy")) for trial, world in zip(trials, worlds, strict=True)]
            ),
            np.array([_curve(trial, expected) for trial in trials]),
            np.array([len(trial.rows) for trial in trials]),
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replaced_file(path, "wb") as file:
            np.savez(file, **found._asdict())
    with np.load(path) as saved:
        return Curves(**saved)


def _trainings(record: runs.RunRecord) -> Trainings:
    rows, accuracies, times = (record.column(name) for name in ("row", "val_accuracy", "training_time"))
    return Trainings(rows.astype(np.int64), accuracies, times)


def _start(
    method: runs.Method,
    task: Task,
    budget: ecnas.Budget,
    seed: int,
    tick: Callable[[runs.Candidate], object] | None = None,
) -> tuple[runs.Evaluator, np.random.Generator]:
    record = runs.RunRecord(make_header(method, task, budget, seed))
    trainings = np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0])
    return runs.Evaluator(task, budget, record, trainings, tick), np.random.default_rng(seed)


def _until_spent(method: runs.Method, evaluate: runs.Evaluator, rng: np.random.Generator) -> None:
    try:
        method.run(evaluate, rng)
    except ecnas.BudgetExhaustedError:
        return


def _curve(trial: Trainings, test: NDArray[np.float64]) -> NDArray[np.float64]:
    """Test regret, in points, of the best training seen, at each of :data:`GRID`; NaN before the first."""
    is_better = np.diff(np.maximum.accumulate(trial.accuracies), prepend=-np.inf) > 0
    leads = np.maximum.accumulate(np.where(is_better, np.arange(len(trial.rows)), 0))
    at = np.searchsorted(np.cumsum(trial.seconds), GRID, side="right") - 1
    return np.where(at >= 0, 100 * (test.max() - test[trial.rows[leads[np.maximum(at, 0)]]]), np.nan)


def _draw(curves: Mapping[str, Curves]) -> None:
    with drawing.style():
        figure = drawing.new_figure(6.0, 4.2)
        ax = figure.subplots()
        shown = looks(curves)
        for name, (regrets, _, _) in curves.items():
            there = ~np.isnan(regrets).any(axis=0)
            mean = regrets[:, there].mean(axis=0)
            error = 1.96 * regrets[:, there].std(axis=0, ddof=1) / len(regrets) ** 0.5
            style = charts.line_style(shown[name])
            ax.plot(GRID[there], mean, **style, label=name)
            ax.fill_between(GRID[there], mean - error, mean + error, color=shown[name].colour, alpha=0.2, linewidth=0)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_yticks(TICKS, map(str, TICKS))
        ax.minorticks_off()
        ax.set_xlabel("simulated training time (s)")
        ax.set_ylabel("test regret (percentage points)")
        ax.legend()
        drawing.save(figure, FIGURE)


# ---------------------------------------------------------------------------------------------------------------------
# Wang et al. 2018

SEARCHERS: Final[Mapping[str, tuple[runs.Method, int]]] = {
    "regularised evolution": (search.RegularisedEvolution(), 50_000),
    "local search": (search.LocalSearch(), 50_000),
    "LaNAS": (LaNAS(), 500),
    "tree search": (TreeSearch(), 3_000),
}
"""Methods by name, and the number of samples after which a run is stopped."""


WITHIN: Final = {"5V": (0.0,), "6V": (0.0, 0.001), "7V": (0.001,)}
"""By space: how far below the best validation accuracy a cell may be to count as found."""


def _table_of(space: str) -> ecnas.Benchmark:
    """The embedded table without noise; "6V" is AlphaX's space, the cells of 7V that have at most six vertices."""
    if space != "6V":
        return ecnas.load(f"surrogate-{space}")
    whole = ecnas.load("surrogate-7V")
    larger = np.flatnonzero(whole.space.cells.num_vertices > 6)
    return ecnas.Benchmark(replace(whole.table, missing=frozenset(larger.tolist())))


def optimum(arguments: argparse.Namespace) -> str:
    """Samples until a cell of the best validation accuracy, or almost, in the table without noise."""
    lines = [
        "| space | found is a cell | method | runs | found | samples, mean | standard error | median "
        "| times fewer than random |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for space in arguments.spaces:
        values = _table_of(space).values("val_accuracy")
        histories = {name: _histories(space, name, arguments) for name in SEARCHERS}
        for within in WITHIN[space]:
            wanted = np.nanmax(values) - within
            found_is = f"within {100 * within:g} points of the best" if within else "as good as the best"
            begin = f"| {space.replace('6V', '7V, at most six vertices')} | {found_is} |"
            # The mean of the least of k numbers out of n that are drawn without replacement.
            by_chance = (np.isfinite(values).sum() + 1) / ((values >= wanted).sum() + 1)
            lines.append(f"{begin} random search, exactly | – | all | {by_chance:,.1f} | – | – | 1 |")
            lines += [
                f"{begin} {name} | {_samples_text(runs_, wanted, by_chance)} |" for name, runs_ in histories.items()
            ]
    return "\n".join(lines)


def _histories(space: str, name: str, arguments: argparse.Namespace) -> list[NDArray[np.float64]]:
    jobs = [(space, name, seed, arguments.runs / "wang" / space / name) for seed in range(arguments.tries)]
    return _each(_history, jobs, arguments.processes, f"{space} {name}")


def _history(space: str, name: str, seed: int, folder: Path) -> NDArray[np.float64]:
    """The validation accuracies of a run that ends at the best cell, or is stopped."""
    method, limit = SEARCHERS[name]
    path = folder / f"{seed}-of-{limit}.npy"
    if not path.exists():
        benchmark = _table_of(space)
        wanted = np.nanmax(benchmark.values("val_accuracy")) - min(WITHIN[space])

        def stop(candidate: runs.Candidate) -> None:
            if candidate.evaluation.val_accuracy >= wanted:
                raise ecnas.BudgetExhaustedError("the cell is found")

        task = Task.of(benchmark, ("val_accuracy",))
        evaluate, rng = _start(method, task, ecnas.Budget(limit), seed, stop)
        _until_spent(method, evaluate, rng)
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replaced_file(path, "wb") as file:
            np.save(file, evaluate.record.column("val_accuracy"))
    history: NDArray[np.float64] = np.load(path)
    return history


def _samples(history: NDArray[np.float64], wanted: float) -> float:
    """Number of evaluations until a run found a cell of some accuracy; ∞ if it did not."""
    return float(np.argmax(history >= wanted) + 1) if history.max() >= wanted else np.inf


def _samples_text(histories: Sequence[NDArray[np.float64]], wanted: float, by_chance: float) -> str:
    samples = np.array([_samples(history, wanted) for history in histories])
    made = np.minimum(samples, [len(history) for history in histories])
    found = np.isfinite(samples)
    ratio = f"{by_chance / made.mean():,.1f}"
    if found.all():
        mean = f"{made.mean():,.0f} | {made.std(ddof=1) / len(made) ** 0.5:,.0f}"
    else:
        mean, ratio = f"over {made.mean():,.0f} | –", f"under {ratio}"
    middle = np.median(samples)
    median = f"{middle:,.0f}" if np.isfinite(middle) else f"over {np.median(made):,.0f}"
    return f"{len(samples)} | {found.mean():.0%} | {mean} | {median} | {ratio}"


def _each(function: Callable[..., T], jobs: Sequence[tuple[Any, ...]], processes: int, shown: str) -> list[T]:
    """Results of a function for several arguments, in order; in this process if one is enough."""
    if processes == 1:
        return [function(*job) for job in tqdm(jobs, desc=shown)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return list(tqdm(pool.map(function, *zip(*jobs, strict=True)), total=len(jobs), desc=shown))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sections: dict[str, Callable[[Any], str]] = {
        "queries": queries,
        "seconds": seconds,
        "optimum": optimum,
    }
    parser.add_argument("sections", nargs="*", choices=[*sections, []], help="which tables; all by default")
    parser.add_argument("--seeds", type=int, default=200, help="worlds for the queries")
    parser.add_argument("--peer-seeds", type=int, default=64, help="those of them for Optuna and scikit-learn")
    parser.add_argument("--trials", type=int, default=500, help="trials of each method against time")
    parser.add_argument("--tries", type=int, default=100, help="runs of each method until the best cell")
    parser.add_argument(
        "--spaces", nargs="+", choices=WITHIN, default=list(WITHIN), help="spaces in which to search for the best cell"
    )
    parser.add_argument("--processes", type=int, default=2, help="processes at once")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "literature", help="folder of the runs")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "literature.md", help="page to write to")
    arguments = parser.parse_args()
    digest = ecnas.load("surrogate-7V").digest
    for name in arguments.sections or sections:
        text = sections[name](arguments)
        print(f"\n{name}\n\n{text}", flush=True)
        write_sections(arguments.page, {name: text, "digest": f"Of the embedded table with digest `{digest[:16]}`."})


if __name__ == "__main__":
    main()
