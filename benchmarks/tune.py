"""Tunes PPO and REINFORCE with Optuna, and tests the tuned settings elsewhere.

python benchmarks/tune.py [--trials 24]

Settings are chosen on worlds of 5V with noise seeds from 1000 on. They are compared with the defaults on worlds of 7V
with noise seeds below 1000, which the study never sees. Both tasks of the leaderboards count: validation accuracy
alone, and accuracy and energy under the default reward.

A trial does all runs at once in numpy (agents/ppo_many.py, agents/reinforce_many.py), which learn as agents/ppo.py and
agents/reinforce.py do. Writes agents/tuned.toml, which ``--tuned`` reads, and the table of
docs/agents.md.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import tyro
from ecnas_gym.agents.ppo_many import MaskedPPO
from ecnas_gym.agents.reinforce_many import CategoricalREINFORCE
from numpy.typing import NDArray
from page import write_sections

import ecnas
from ecnas.files import write_text
from ecnas.runs import ManyRuns, Method
from ecnas.runs.run import Start, begun
from ecnas.task import Task

OBJECTIVES = {"accuracy": ("val_accuracy",), "accuracy and energy": ("val_accuracy", "energy")}
SPACE, FIRST_WORLD = "5V", 1000
"""Space in which settings are chosen."""
TEST_SPACE = "7V"


@dataclass
class Args:
    """A study for each method, and a comparison."""

    trials: int = 24
    """Settings that are tried for each method; the defaults are the first."""
    worlds: int = 8
    """Worlds, with one run each, in a trial."""
    budget: int = 150
    """Evaluations of a run in a trial."""
    test_worlds: int = 20
    """Worlds, with one run each, in the comparison."""
    test_budget: int = 300
    """Evaluations of a run in the comparison."""
    out: Path = Path("agents/tuned.toml")
    """Where the chosen settings go."""
    page: Path = Path("docs/agents.md")
    """Markdown file to write the table to, between marks."""


def ppo(trial: optuna.Trial) -> dict[str, Any]:
    """Settings of PPO."""
    episodes = trial.suggest_categorical("episodes_per_update", [4, 8, 16])
    return {
        "episodes_per_update": episodes,
        "minibatch_episodes": episodes,
        "update_epochs": trial.suggest_int("update_epochs", 1, 12),
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 3e-2, log=True),
        "entropy_coefficient": trial.suggest_float("entropy_coefficient", 1e-3, 0.3, log=True),
        "gae_lambda": trial.suggest_float("gae_lambda", 0.8, 1.0),
        "clip_range": trial.suggest_float("clip_range", 0.1, 0.5),
    }


def reinforce(trial: optuna.Trial) -> dict[str, Any]:
    """Settings of REINFORCE."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.05, 10.0, log=True),
        "baseline_decay": trial.suggest_float("baseline_decay", 0.5, 0.99),
        "log_regret": trial.suggest_categorical("log_regret", [False, True]),
    }


METHODS = {
    "PPO": (MaskedPPO, ppo, ("episodes_per_update", "update_epochs", "learning_rate", "entropy_coefficient",
                             "gae_lambda", "clip_range")),
    "REINFORCE": (CategoricalREINFORCE, reinforce, ("learning_rate", "baseline_decay", "log_regret")),
}  # fmt: skip
"""By class in agents/: the method that stands for it in the study, its space of settings, and their names."""


def regrets(method: Method, space: str, worlds: range, objectives: tuple[str, ...], budget: int) -> NDArray[np.float64]:
    """Expected reward regret of the recommended cell after each evaluation, one run a world: (worlds, budget)."""
    assert isinstance(method, ManyRuns)
    tasks = [Task.of(ecnas.load(f"surrogate-{space}~{world}"), objectives, repeat="random") for world in worlds]
    starts = []
    with contextlib.ExitStack() as stack:
        for task, seed in zip(tasks, worlds, strict=True):
            start = stack.enter_context(begun(method, task, budget, seed))
            assert isinstance(start, Start)
            starts.append(start)
        method.run_many(*zip(*starts, strict=True))
    task = tasks[0]
    rewards = task.benchmark.expected.scalar_rewards(task.scalarisation, task.objectives, task.epochs)
    rows = np.array([start.evaluate.record.recommended_rows() for start in starts])
    return np.asarray(np.nanmax(rewards) - rewards[rows])


def tune(name: str, args: Args) -> dict[str, Any]:
    """The settings with the lowest regret in the second half of the runs, relative to the defaults', over tasks."""
    kind, suggest, settings = METHODS[name]
    worlds = range(FIRST_WORLD, FIRST_WORLD + args.worlds)
    base: dict[str, float] = {}

    def regret(method: Method, task: str) -> float:
        return float(regrets(method, SPACE, worlds, OBJECTIVES[task], args.budget)[:, args.budget // 2 :].mean())

    def relative(trial: optuna.Trial) -> float:
        method = kind(**suggest(trial))
        return float(np.mean([regret(method, task) / base[task] for task in OBJECTIVES]))

    base.update({task: regret(kind(), task) for task in OBJECTIVES})
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    study.enqueue_trial({setting: getattr(kind(), setting) for setting in settings})
    study.optimize(relative, n_trials=args.trials)
    best: Any = study.best_trial  # a finished trial repeats what it suggested
    chosen = suggest(best)
    print(f"{name}: regret {study.best_value:.3f} of the defaults', with {chosen}", flush=True)
    return chosen


def rounded(value: Any) -> Any:
    """A setting, rounded to three significant digits."""
    return float(f"{value:.3g}") if isinstance(value, float) else value


def compare(tuned: dict[str, dict[str, Any]], args: Args) -> list[str]:
    """Lines of a table: tuned against default settings on worlds that the study did not see."""
    worlds = range(args.test_worlds)
    lines = [
        "| method | task | evaluations | regret, default | regret, tuned | tuned − default | tuned is lower |",
        "|---|---|---|---|---|---|---|",
    ]
    rng = np.random.default_rng(0)
    for name, (kind, _, _) in METHODS.items():
        for task, objectives in OBJECTIVES.items():
            default, other = (
                regrets(method, TEST_SPACE, worlds, objectives, args.test_budget)
                for method in (kind(), kind(**tuned[name]))
            )
            for evaluations in (args.test_budget // 3, args.test_budget):
                before, after = default[:, evaluations - 1], other[:, evaluations - 1]
                change = after - before
                means = rng.choice(change, (10_000, len(change))).mean(axis=1)
                low, high = np.percentile(means, [2.5, 97.5])
                lines.append(
                    f"| {name} | {task} | {evaluations} | {before.mean():.4f} | {after.mean():.4f} "
                    f"| {change.mean():+.4f} [{low:+.4f}, {high:+.4f}] | {(change < 0).sum()} of {len(change)} |"
                )
                print(lines[-1], flush=True)
    return lines


def main(args: Args) -> None:
    start = time.process_time()
    tuned = {name: {setting: rounded(value) for setting, value in tune(name, args).items()} for name in METHODS}
    sections = [
        f"[{name}]\n" + "".join(f"{key} = {str(value).lower()}\n" for key, value in settings.items())
        for name, settings in tuned.items()
    ]
    comment = (
        f"# Found by: python benchmarks/tune.py --trials {args.trials} --worlds {args.worlds} --budget {args.budget}\n"
        f"# on worlds of surrogate-{SPACE} with noise seeds from {FIRST_WORLD} on (digest "
        f"{ecnas.load(f'surrogate-{SPACE}').digest[:12]}). docs/agents.md compares them with the defaults.\n"
    )
    write_text(args.out, "\n".join([comment, *sections]))
    write_sections(args.page, {"tuned": "\n".join(compare(tuned, args))})
    print(f"{time.process_time() - start:.0f} s of CPU time")


if __name__ == "__main__":
    main(tyro.cli(Args))
