"""Learning to search across worlds: editing with values of cells that were learned elsewhere.

In each episode the agent edits one of its best cells, or takes a fresh one, and has the result evaluated. An edit is
worth what the cell is worth that it leads to (an *afterstate*). So a value function of cells is a policy for edits, and
features of cells do not depend on the number of vertices: what was learned in one space can be used in another.

Networks learn values beforehand, from searches in other worlds (``pretrain``). In a new world the policy either stays
as it is, or is *fine-tuned*: a Gaussian process learns from the run's own evaluations where the networks are wrong.
Without pre-trained values it learns everything, as in agents/gp_edit.py.

Sources: an editor that is trained once by Q-learning and then searches, Cassimon et al. 2024,
https://arxiv.org/abs/2410.01431; learning to search over many environments, Gomez Robles and Vanschoren 2019,
https://arxiv.org/abs/1911.03769. Two things are simpler here. The outcome of an edit is known and rewards come at the
end of an episode, so Q-learning's value of an edit is that of its afterstate, without bootstrapping. And what RL²
learns to keep in its recurrent state, the evaluations of the run, a Gaussian process keeps.

    python agents/transfer.py pretrain --benchmarks surrogate-5V --out values-5V.npz
    python agents/transfer.py --pretrained values-5V.npz --benchmark surrogate-7V~7 --repeat random \
        --objectives val_accuracy --budget 50
"""

from __future__ import annotations

import functools
import os
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

# Before the import: matrices of this size are faster on one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from ecnas_gym.agents.critic import RELEVANCE, GaussianProcess, Imagination, Networks, cell_features
from ecnas_gym.agents.gp_edit import GaussianProcessEditing
from numpy.typing import NDArray

from ecnas import Space, load
from ecnas.benchmark import Benchmark
from ecnas.files import replaced_file, sha256_of
from ecnas.objectives import oriented
from ecnas.runs import Evaluator, script
from ecnas.runs.run import run_task
from ecnas.task import Repeat, Task
from ecnas_gym import make_env
from ecnas_gym.editor import Edits

COMMON: Final = Space("7V")
"""Features are standardised over this space. The cells of 4V and of 5V are its first rows."""

HIDDEN: Final = 64
"""Units in each of a network's two hidden layers."""

SLOPE_WEIGHT: Final = 10.0
"""So many standard deviations of pre-trained values, squared and summed over a run's evaluations, weigh as much as the
belief that they hold in the new world as they are."""

CHUNK: Final = 1 << 13
"""How many cells' values are computed at once."""


@dataclass(frozen=True)
class TransferredEditing:
    """Search by editing cells, with values that were learned in other worlds."""

    pretrained: Path | None = None
    """Values of cells that "pretrain" has saved (.npz); none, to learn from scratch."""
    fine_tune: bool = True
    """Learn from the run's evaluations where these values are wrong; otherwise the policy is fixed."""
    num_random: int = 10
    """Random cells at the start, which tell the scale of rewards."""
    num_starts: int = 20
    """How many of the best cells so far, by expected reward, may be edited."""
    num_plans: int = 500
    """Imagined edit sequences; the one of the highest value is carried out."""
    num_fresh: int = 200
    """Random cells that compete with them, so that the search can move to a better region."""
    max_edits: int = 3
    """Most edits of an episode."""
    least_quantile: float = 0.15
    """Rewards are clipped from below at this quantile of all so far: how bad a cell is says nothing about the best."""

    name: ClassVar[str] = "editing, transferred"

    def __post_init__(self) -> None:
        if not self.fine_tune and self.pretrained is None:
            raise ValueError("fine_tune must be true without pretrained: there is nothing else to act on")

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        """Searches until the budget is spent."""
        env = make_env(evaluate, "edit", vector_reward=True, max_edits=self.max_edits)
        env.reset(seed=int(rng.integers(2**31)))
        space = evaluate.benchmark.space
        edits = Edits(space)
        imagination = Imagination(edits, self.max_edits)
        critic = Critic(self, evaluate.task)
        tried = np.zeros(len(space), dtype=bool)
        tried[list(evaluate.missing)] = True

        while True:  # the budget ends this: the environment raises at the first cell that it does not allow
            learned = len(critic.rows) >= self.num_random
            starts = critic.rows[:0]
            if learned:
                expected = critic.values(critic.rows)
                if self.fine_tune:
                    evaluate.recommend(space[int(critic.rows[np.argmax(expected)])])
                best = critic.rows[np.argsort(-expected, kind="stable")[: self.num_starts]]
                starts = rng.choice(best, size=self.num_plans)
            plans = imagination.draw_untried(starts, self.num_fresh, tried, rng)
            if not len(plans.rows):
                break
            chosen = 0
            if learned:
                cells, plan_of = np.unique(plans.rows, return_index=True)
                chosen = int(plan_of[np.argmax(critic.values(cells, abs(rng.standard_normal())))])

            env.reset(options={"placed": plans.start(chosen)})
            for action in plans.edits(chosen):
                env.step(action)
            _, reward, _, _, info = env.step(edits.stop)
            tried[int(info["row"])] = True
            critic.add(int(info["row"]), np.asarray(reward))


class Critic:
    """What cells are worth: pre-trained values, and a Gaussian process an objective for what is left.

    The pre-trained values may have another scale in a new world, so they count by a *slope*: the ridge regression of
    what the run has seen on them, towards 1. If they tell nothing there, it goes to 0.

    Args:
        how: The settings.
        task: Objectives and scalarisation.

    Attributes:
        rows: The cells that were evaluated, shape (n,).
        slope: How much the pre-trained values count, shape (m,): 1 for a fixed policy.
    """

    def __init__(self, how: TransferredEditing, task: Task) -> None:
        self._how, self._task = how, task
        space, names = task.benchmark.space, task.objectives
        self._features = cell_features(space)
        size = self._features.size
        self._processes = [GaussianProcess(size) for _ in names] if how.fine_tune else []
        self._scales = [RELEVANCE if name == "val_accuracy" else np.ones(size) for name in names]
        self._prior = np.zeros((len(space), len(names)))
        if how.pretrained is not None:
            self._prior = values_of_space(how.pretrained, sha256_of(how.pretrained), space, names)
        self.rows = np.empty(0, dtype=np.int64)
        self.slope = np.ones(len(names))
        self._rewards = np.empty((0, len(names)))

    def add(self, row: int, reward: NDArray[np.float64]) -> None:
        """Learns from an evaluation: a cell and its vector reward, shape (m,)."""
        self.rows, self._rewards = np.append(self.rows, row), np.vstack([self._rewards, reward])
        targets, self._centre, self._spread = standardised(self._rewards, self._how.least_quantile)
        prior = self._prior[self.rows]
        self._middle = prior.mean(axis=0)
        prior = prior - self._middle
        if self._how.fine_tune:
            agreement, weight = (prior * targets).sum(axis=0), np.square(prior).sum(axis=0)
            self.slope = (agreement + SLOPE_WEIGHT) / (weight + SLOPE_WEIGHT)
        rest = targets - self.slope * prior
        for process, scales, column in zip(self._processes, self._scales, rest.T, strict=self._how.fine_tune):
            process.add(scales * self._features(self.rows[-1:])[0], column)

    def values(self, rows: NDArray[np.int64], optimism: float = 0.0) -> NDArray[np.float64]:
        """What cells are worth, with objectives that are some standard deviations better: shape (B,) to (B,)."""
        expected = self.slope * (self._prior[rows] - self._middle)
        for number, process in enumerate(self._processes):
            mean, deviation = process.predict(self._scales[number] * self._features(rows))
            expected[:, number] += mean + optimism * deviation
        rewards, task = self._centre + self._spread * expected, self._task
        normalisation = task.benchmark.normalisation(task.objectives, task.epochs)
        return task.scalarisation(rewards, normalisation.metrics(rewards))


def standardised(
    rewards: NDArray[np.float64], least_quantile: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Rewards of a run, shape (n, m), standardised by objective, with their means and standard deviations (m,).

    Below a quantile all count alike: how bad a cell is says nothing about the best.
    """
    kept = np.maximum(rewards, np.quantile(rewards, least_quantile, axis=0))
    centre, spread = kept.mean(axis=0), kept.std(axis=0) + 1e-9
    return (kept - centre) / spread, centre, spread


# ----------------------------------------------------------------------------------------------------------------------
# Values that were learned elsewhere.


@dataclass(frozen=True)
class Values:
    """Networks that predict standardised objectives of cells from their features, and where they learned to.

    Attributes:
        objectives: What they predict.
        weights: Of each network, shape (networks, weights).
        worlds: Names of the benchmarks that were searched.
    """

    objectives: tuple[str, ...]
    weights: NDArray[np.float32]
    worlds: tuple[str, ...]

    def __call__(self, space: Space) -> NDArray[np.float64]:
        """Means over the networks for all cells of a space, shape (cells, m); more is better."""
        networks = make_networks(len(self.weights), len(self.objectives), np.random.default_rng(0))
        networks.weights = self.weights
        everyone, features = np.arange(len(self.weights)), cell_features(COMMON)
        parts = []
        for start in range(0, len(space), CHUNK):
            x = features(np.arange(start, min(start + CHUNK, len(space))))
            parts.append(networks.predict(everyone, np.broadcast_to(x, (len(everyone), *x.shape))).mean(axis=0))
        return np.concatenate(parts).astype(np.float64)

    def save(self, path: Path) -> None:
        """Writes them as .npz, without pickle."""
        with replaced_file(path, "wb") as file:
            np.savez(file, objectives=np.array(self.objectives), weights=self.weights, worlds=np.array(self.worlds))

    @classmethod
    def load(cls, path: Path) -> Values:
        """Reads what :meth:`save` has written.

        Raises:
            ValueError: The file holds something else.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                objectives, weights, worlds = (file[name] for name in ("objectives", "weights", "worlds"))
            values = cls(tuple(objectives.tolist()), weights, tuple(worlds.tolist()))
            make_networks(len(weights), len(values.objectives), np.random.default_rng(0)).weights = weights
        except (EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} holds no values that agents/transfer.py has learned: {error}") from error
        return values


@functools.lru_cache(maxsize=4)
def values_of_space(path: Path, digest: str, space: Space, objectives: tuple[str, ...]) -> NDArray[np.float64]:
    """What a file says of all cells of a space, shape (cells, m); the digest of the file tells changes."""
    values = Values.load(path)
    lacking = [name for name in objectives if name not in values.objectives]
    if lacking:
        raise ValueError(f"{path} holds values of {', '.join(values.objectives)}, not of {', '.join(lacking)}")
    return values(space)[:, [values.objectives.index(name) for name in objectives]]


def make_networks(number: int, outputs: int, rng: np.random.Generator) -> Networks:
    """Untrained networks."""
    return Networks(cell_features(COMMON).size, outputs, HIDDEN, 3e-3, 0.0, [rng] * number)


# ----------------------------------------------------------------------------------------------------------------------
# Learning them.


@dataclass(frozen=True)
class Pretraining:
    """Learn values of cells from searches in other worlds, and save them."""

    out: Path
    """Where to save them (.npz)."""
    benchmarks: tuple[str, ...] = ("surrogate-5V",)
    """What is searched."""
    searches: int = 24
    """Searches in each benchmark, from scratch."""
    noise: bool = True
    """Every search has a world of its own: the benchmark under the noise seed of the search."""
    first_seed: int = 1000
    """Seed of the first search."""
    objectives: tuple[str, ...] = ("val_accuracy",)
    """What the searches optimise, and what is learned."""
    epochs: int | None = None
    """Epochs for which each cell is trained; the benchmark's most by default."""
    repeat: Repeat = "random"
    """Which training of a cell answers where there are several."""
    budget: int = 200
    """Evaluations of a search. The first half of the cells is random."""
    networks: int = 5
    """Networks, whose predictions are averaged."""
    updates: int = 3000
    """Updates of each network."""
    batch_size: int = 64
    """Evaluations in an update."""
    seed: int = 0
    """Seed of the networks."""


def pretrain(how: Pretraining) -> Values:
    """Carries out the searches, learns from all their evaluations, and saves what was learned."""
    from tqdm.auto import tqdm

    seeds = range(how.first_seed, how.first_seed + how.searches)
    worlds = [(f"{name}~{seed}" if how.noise else name, seed) for name in how.benchmarks for seed in seeds]
    rows, targets = [], []
    for name, seed in tqdm(worlds, desc="searching", unit=" worlds"):
        task = Task.of(load(name), how.objectives, epochs=how.epochs, repeat=how.repeat)
        found = search(task, how.budget, seed)
        rows.append(found[0])
        targets.append(found[1])
    features, learned = cell_features(COMMON)(np.concatenate(rows)), np.concatenate(targets).astype(np.float32)
    rng = np.random.default_rng(how.seed)
    networks = make_networks(how.networks, len(how.objectives), rng)

    def minibatches() -> Iterable[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]]:
        ones = np.ones((how.networks, how.batch_size), dtype=np.float32)
        for _ in tqdm(range(how.updates), desc="learning", unit=" updates"):
            batch = rng.integers(len(learned), size=(how.networks, how.batch_size))
            yield features[batch], learned[batch], ones

    networks.update(np.arange(how.networks), minibatches())
    values = Values(how.objectives, networks.weights, tuple(dict.fromkeys(name for name, _ in worlds)))
    values.save(how.out)
    return values


def search(task: Task, budget: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """A search from scratch, half of it random: the cells, shape (n,), and their standardised objectives, (n, m)."""
    searcher = GaussianProcessEditing(num_random=min(budget, _present(task.benchmark)) // 2)
    record = run_task(searcher, task, budget, seed)
    metrics = np.stack([record.column(name) for name in task.objectives], axis=1)
    targets, _, _ = standardised(oriented(task.objectives, metrics), searcher.least_quantile)
    return record.column("row").astype(np.int64), targets


def _present(benchmark: Benchmark) -> int:
    return len(benchmark.space) - len(benchmark.table.missing)


def main() -> None:
    """Pre-trains if that is the first word of the command line; otherwise searches."""
    if sys.argv[1:2] != ["pretrain"]:
        script.main(TransferredEditing)
        return
    with script.user_errors():
        import tyro

        how = tyro.cli(Pretraining, args=sys.argv[2:])
        values = pretrain(how)
        print(f"{how.out}: values of {', '.join(values.objectives)}, from {len(values.worlds)} worlds")


if __name__ == "__main__":
    main()
