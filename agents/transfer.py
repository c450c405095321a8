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
from typing import Any, ClassVar, Final

# Before the import: matrices of this size are faster on one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from ecnas_gym.agents.critic import Networks, cell_features
from ecnas_gym.agents.gp_edit import Critic, GaussianProcessEditing
from numpy.typing import NDArray

from ecnas import Space, load
from ecnas.benchmark import Benchmark
from ecnas.files import replaced_file, sha256_of
from ecnas.objectives import oriented
from ecnas.runs import script
from ecnas.runs.run import run_task
from ecnas.task import Repeat, Task

COMMON: Final = Space("7V")
"""Features are standardised over this space. The cells of 4V and of 5V are its first rows."""

HIDDEN: Final = 64
"""Units in each of a network's two hidden layers."""

CHUNK: Final = 1 << 13
"""How many cells' values are computed at once."""


@dataclass(frozen=True)
class TransferredEditing(GaussianProcessEditing):  # type: ignore[misc]  # mypy knows agents by another name
    """Search by editing cells, with values that were learned in other worlds."""

    pretrained: Path | None = None
    """Values of cells that "pretrain" has saved (.npz); none, to learn from scratch."""
    fine_tune: bool = True
    """Learn from the run's evaluations where these values are wrong; otherwise the policy is fixed."""

    name: ClassVar[str] = "editing, transferred"

    def __post_init__(self) -> None:
        if not self.fine_tune and self.pretrained is None:
            raise ValueError("fine_tune must be true without pretrained: there is nothing else to act on")

    @property
    def recommends(self) -> bool:
        """Whether the critic recommends; a fixed policy leaves it to the best cell seen."""
        return self.smooth_choice and self.fine_tune

    def make_critic(self, task: Task) -> Critic:
        """What learns values in a run, or only knows them."""
        kind = Critic if self.fine_tune else FixedCritic
        return kind(task, self.least_quantile, self.relevance, self._prior(task), self.tempering)

    def _prior(self, task: Task) -> NDArray[np.float64] | None:
        if self.pretrained is None:
            return None
        return values_of_space(self.pretrained, sha256_of(self.pretrained), task.benchmark.space, task.objectives)


class FixedCritic(Critic):  # type: ignore[misc]
    """Values as they were learned elsewhere. Of the run it knows the scale of the objectives alone."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._learners: list[Any] = []

    def add(self, rows: NDArray[np.int64], rewards: NDArray[np.float64]) -> None:
        """Takes the cells and vector rewards of all so far, shapes (n,) and (n, m)."""
        self._standardised(rows, rewards)

    def fitted(self) -> NDArray[np.float64]:
        """What the cells that were added are worth, shape (n,)."""
        worth: NDArray[np.float64] = self._values(self._rows, np.zeros(()))
        return worth

    def best(self, rows: NDArray[np.int64]) -> int:
        """Which cell is worth most: (B,) to an index. Nothing is to be learned."""
        return int(np.argmax(self._values(rows, np.zeros(()))))


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
    seen = oriented(task.objectives, np.stack([record.column(name) for name in task.objectives], axis=1))
    kept = np.maximum(seen, np.quantile(seen, searcher.least_quantile, axis=0))  # as the critic does
    return record.column("row").astype(np.int64), (kept - kept.mean(axis=0)) / (kept.std(axis=0) + 1e-9)


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
