"""Many independent runs of REINFORCE with a categorical policy, as one program on arrays.

The protocol of NAS-Bench-101's reinforcement learning baseline (Ying et al. 2019, https://arxiv.org/abs/1902.09635,
supplement): a table of logits per decision, step size 0.5, a moving average of rewards with decay 0.9 as the baseline,
one cell per update, until the trainings of the evaluated cells would have taken 10 million seconds; 500 times.

    python agents/reinforce_many.py --runs 500 --out runs/reinforce.npz

A run depends on its seed only, not on how many others there are: ``--runs 1 --seed 17`` is the eighteenth run of
``--runs 500 --seed 0``, to the last bit. ``agents/reinforce.py`` does the same in tensorflow, also in float32 and with
the same random numbers; docs/performance.md shows how far the two agree.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
import tyro
from ecnas_gym.agents.tabular import Drawn, draw_cells
from numpy.typing import NDArray
from tqdm import tqdm

import ecnas
from ecnas.benchmark import DEFAULT_OBJECTIVES
from ecnas.objectives import ScalarisationName
from ecnas.runs import Evaluator
from ecnas.runs.many import evaluate_rows
from ecnas.task import Task
from ecnas_gym.builder import NUM_ACTIONS, decisions
from ecnas_gym.env import INVALID_REWARD

NOISE_BLOCK = 64
"""Cells for which a run draws its random numbers at once."""


@dataclass(frozen=True)
class CategoricalREINFORCE:
    """Search with REINFORCE and a table of logits, many runs at once: ``REINFORCE`` with its defaults."""

    learning_rate: float = 0.5
    """Step size of gradient descent."""
    baseline_decay: float = 0.9
    """Decay of the baseline, a moving average of rewards."""
    log_regret: bool = False
    """Learn from −log(1.001 − reward) instead of the reward, which spreads out the best cells."""

    name: ClassVar[str] = "REINFORCE"

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        """Learns until the budget is spent."""
        self.run_many([evaluate], [rng])

    def run_many(self, evaluates: Sequence[Evaluator], rngs: Sequence[np.random.Generator]) -> None:
        """Learns until all budgets are spent."""
        evaluates, rngs = list(evaluates), list(rngs)
        task = evaluates[0].task
        shape = (len(decisions(task.benchmark.space)), NUM_ACTIONS)
        logits = np.zeros((len(rngs), *shape), dtype=np.float32)
        average, weight = np.zeros(len(rngs)), 0.0
        while evaluates:
            cells = draw_cells(task, logits, np.stack([rng.gumbel(size=shape) for rng in rngs]))
            rewards, going = evaluate_rows(evaluates, cells.rows[:, None])
            if not going.all():
                cells, rewards, logits, average = cells.some(going), rewards[going], logits[going], average[going]
                evaluates, rngs = list(compress(evaluates, going)), list(compress(rngs, going))
            learned = np.nan_to_num(rewards[:, 0], nan=INVALID_REWARD).astype(np.float32)
            if self.log_regret:
                learned = -np.log(np.float32(1.001) - np.minimum(learned, np.float32(1.0)))  # luck may exceed 1
            average = self.baseline_decay * average + (1 - self.baseline_decay) * learned.astype(np.float64)
            weight = self.baseline_decay * weight + (1 - self.baseline_decay)
            advantages = learned - (average / weight).astype(np.float32)
            logits -= np.float32(self.learning_rate) * policy_gradient(logits, cells, advantages)


@dataclass
class Args:
    """Many independent searches with REINFORCE."""

    env_id: str = "ECNAS-7V-v0"
    """Environment to search in: ECNAS-4V-v0, ECNAS-5V-v0 or ECNAS-7V-v0."""
    benchmark: str | None = None
    """Benchmark that answers; the space's embedded one by default."""
    epochs: int | None = None
    """Epochs for which each cell is trained; the benchmark's most by default."""
    objectives: tuple[str, ...] = DEFAULT_OBJECTIVES
    """What is optimised: some of val_accuracy, energy, training_time, co2, trainable_parameters."""
    scalarisation: ScalarisationName | None = None
    """How the objectives become one reward; soft-cap by default."""
    runs: int = 500
    """How many runs; run k has the seed ``seed + k``."""
    seed: int = 0
    """Seed of the first run."""
    seconds: float = 1e7
    """Most seconds of training, summed over a run's evaluations."""
    learning_rate: float = 0.5
    """Step size of gradient descent."""
    baseline_decay: float = 0.9
    """Decay of the baseline, a moving average of rewards."""
    out: Path | None = None
    """File for the evaluations (.npz); none by default."""
    progress: bool = True
    """Show a progress bar and the result."""


class Evaluations(NamedTuple):
    """The evaluations of all runs, run after run and in order; entry ``ends[k-1]`` is the first of run k.

    Attributes:
        rows: Rows of the cells in the space, int64.
        rewards: What the runs learned from, float32.
        ends: Behind the last evaluation of each run, int64 of shape (runs,).
    """

    rows: NDArray[np.int64]
    rewards: NDArray[np.float32]
    ends: NDArray[np.int64]


def search(args: Args) -> Evaluations:
    """Carries out the runs."""
    spec = gym.spec(args.env_id)
    benchmark = ecnas.load(args.benchmark or f"surrogate-{spec.kwargs['space']}")
    task = Task.of(benchmark, args.objectives, args.scalarisation, args.epochs)
    epochs, num_decisions = task.epochs, len(decisions(benchmark.space))
    reward_of_row = benchmark.scalar_rewards(task.scalarisation, task.objectives, epochs).astype(np.float32)
    seconds_of_row = benchmark.values("training_time", epochs)

    running = np.arange(args.runs)  # the runs that have not ended; all arrays below are in this order
    generators = [np.random.default_rng(args.seed + run) for run in range(args.runs)]
    logits = np.zeros((args.runs, num_decisions, NUM_ACTIONS), dtype=np.float32)
    average, weight = np.zeros(args.runs), 0.0
    spent = np.zeros(args.runs)
    history = []
    bar = tqdm(total=args.runs, desc="runs that have ended", disable=not args.progress)
    episode = 0
    while len(running):
        if episode % NOISE_BLOCK == 0:
            shape = (NOISE_BLOCK, num_decisions, NUM_ACTIONS)
            noise = np.stack([generators[run].gumbel(size=shape) for run in running])
        cells = draw_cells(task, logits, noise[:, episode % NOISE_BLOCK])
        episode += 1

        after = spent + seconds_of_row[cells.rows]
        fits = after <= args.seconds
        if not fits.all():  # the others end before the evaluation that they cannot afford
            bar.update(int(len(fits) - fits.sum()))
            running, logits, average, after = running[fits], logits[fits], average[fits], after[fits]
            cells, noise = cells.some(fits), noise[fits]
            if not len(running):
                break
        spent = after
        rewards = reward_of_row[cells.rows]
        history.append((running, cells.rows, rewards))

        average = args.baseline_decay * average + (1 - args.baseline_decay) * rewards.astype(np.float64)
        weight = args.baseline_decay * weight + (1 - args.baseline_decay)
        advantages = rewards - (average / weight).astype(np.float32)
        logits -= np.float32(args.learning_rate) * policy_gradient(logits, cells, advantages)
    bar.close()
    return _by_run(args.runs, history)


def policy_gradient(logits: NDArray[np.float32], cells: Drawn, advantages: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gradient of −advantage · log p(cell) for each run: (N, T, 3)."""
    allowed = np.where(cells.masks, logits, np.float32(-1e9))
    shifted = allowed - allowed.max(axis=2, keepdims=True)
    probabilities = np.exp(shifted)
    probabilities /= probabilities.sum(axis=2, keepdims=True)
    taken = np.arange(NUM_ACTIONS) == cells.actions[:, :, None]
    gradient: NDArray[np.float32] = (probabilities - taken) * advantages[:, None, None]
    return np.where(cells.masks, gradient, np.float32(0.0))


def _by_run(
    num_runs: int, history: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]]
) -> Evaluations:
    if not history:
        return Evaluations(np.empty(0, np.int64), np.empty(0, np.float32), np.zeros(num_runs, np.int64))
    runs, rows, rewards = (np.concatenate(column) for column in zip(*history, strict=True))
    order = np.argsort(runs, kind="stable")
    return Evaluations(rows[order], rewards[order], np.cumsum(np.bincount(runs, minlength=num_runs)))


def main(args: Args) -> Evaluations:
    """Searches, saves, and shows the outcome."""
    start = time.perf_counter()
    found = search(args)
    took = time.perf_counter() - start
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(args.out, **found._asdict(), first_seed=args.seed)
    if args.progress:
        best = [rewards.max() for rewards in np.split(found.rewards, found.ends[:-1]) if len(rewards)]
        print(f"{args.runs} runs, {len(found.rows):,} evaluations in {took:.1f} s")
        if best:
            low, median, high = np.percentile(best, [5, 50, 95])
            print(f"best reward of a run: median {median:.4f}, 5th to 95th percentile {low:.4f} to {high:.4f}")
    return found


if __name__ == "__main__":
    main(tyro.cli(Args))
