"""Priority-queue training: the policy imitates the best cells so far.

The policy is a table of logits per decision, as in NAS-Bench-101's REINFORCE baseline. REINFORCE weights each cell by
its reward, uses it once and forgets it. Here every update raises the likelihood of the best cells of the whole run.
That needs neither a baseline nor a scale of rewards, and no evaluation is wasted.

Source: Abolafia et al. 2018, https://arxiv.org/abs/1801.03526, without its policy gradient term.

    python agents/pqt.py --objectives val_accuracy --budget 300 --seed 0
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import ClassVar, NamedTuple

import numpy as np
from ecnas_gym.agents.tabular import Drawn, draw_cells
from numpy.typing import NDArray

from ecnas.runs import Evaluator, script
from ecnas.runs.many import evaluate_rows
from ecnas.task import Task
from ecnas_gym.builder import NUM_ACTIONS, decisions


@dataclass(frozen=True)
class PriorityQueueTraining:
    """Search with priority-queue training."""

    queue_size: int = 5
    """How many of the best cells the policy imitates."""
    learning_rate: float = 1.0
    """Step size of gradient ascent on the mean log-likelihood of the queue's cells."""
    entropy_coefficient: float = 0.05
    """Bonus per nat of the policy's entropy, summed over decisions, relative to the log-likelihood."""
    num_random: int = 10
    """Cells built before the first update."""
    avoid_known: bool = True
    """Draw again if the policy's cell, or an isomorphic one, was evaluated before."""

    name: ClassVar[str] = "priority queue"

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        """Searches until the budget is spent."""
        self.run_many([evaluate], [rng])

    def run_many(self, evaluates: Sequence[Evaluator], rngs: Sequence[np.random.Generator]) -> None:
        """Searches until all budgets are spent."""
        task = evaluates[0].task
        num_decisions = len(decisions(task.benchmark.space))
        runs = [Search(evaluate, rng, set()) for evaluate, rng in zip(evaluates, rngs, strict=True)]
        logits = np.zeros((len(runs), num_decisions, NUM_ACTIONS))
        queue = Queue.empty(len(runs), self.queue_size, num_decisions)
        while runs:
            cells = self._draw(task, logits, runs)
            rewards, going = evaluate_rows([run.evaluate for run in runs], cells.rows[:, None])
            if not going.all():
                runs, logits, queue = list(compress(runs, going)), logits[going], queue.some(going)
                cells, rewards = cells.some(going), rewards[going]
            paid = ~np.isnan(rewards[:, 0])
            for number, (run, row) in enumerate(zip(runs, cells.rows.tolist(), strict=True)):
                if row in run.tried:  # isomorphic cells take one place in the queue
                    rewards[number] = np.nan
                run.tried.add(row)
            queue = queue.with_cells(cells, rewards[:, 0])
            learn = paid & np.array([len(run.tried) >= self.num_random for run in runs], dtype=np.bool_)
            if learn.any():
                logits[learn] += self.learning_rate * ascent(logits[learn], queue.some(learn), self.entropy_coefficient)

    def _draw(self, task: Task, logits: NDArray[np.float64], runs: list[Search]) -> Drawn:
        """A cell of each policy. A tried one is replaced by the first untried one of up to a hundred more draws."""
        shape = logits.shape[1:]
        cells = draw_cells(task, logits, np.stack([run.rng.gumbel(size=shape) for run in runs]))
        known = [number for number, run in enumerate(runs) if cells.rows[number] in run.tried]
        for size in REDRAWS if self.avoid_known else ():
            if not known:
                break
            noise = np.concatenate([runs[number].rng.gumbel(size=(size, *shape)) for number in known])
            more = draw_cells(task, np.repeat(logits[known], size, axis=0), noise)
            still = []
            for place, number in enumerate(known):
                tried = runs[number].tried
                rows = more.rows[place * size : (place + 1) * size].tolist()
                chosen = next((k for k, row in enumerate(rows) if row not in tried), size - 1)
                for ours, theirs in zip(cells, more, strict=True):
                    ours[number] = theirs[place * size + chosen]
                if rows[chosen] in tried:
                    still.append(number)
            known = still
        return cells


REDRAWS = (4, 16, 80)
"""How many cells a policy draws at a time while all of them are known: a hundred in total."""


class Search(NamedTuple):
    """One of the runs, and the rows of the cells it has tried."""

    evaluate: Evaluator
    rng: np.random.Generator
    tried: set[int]


class Queue(NamedTuple):
    """The best cells so far of each of S runs, best first and the older first among equals. −∞ marks a free place.

    Attributes:
        rewards: (S, Q).
        actions: (S, Q, T).
        masks: The masks under which they were drawn, bool (S, Q, T, 3).
    """

    rewards: NDArray[np.float64]
    actions: NDArray[np.intp]
    masks: NDArray[np.bool_]

    @classmethod
    def empty(cls, num_runs: int, size: int, num_decisions: int) -> Queue:
        """Empty queues."""
        actions = np.zeros((num_runs, size, num_decisions), dtype=np.intp)
        return cls(np.full((num_runs, size), -np.inf), actions, np.ones((*actions.shape, NUM_ACTIONS), dtype=np.bool_))

    def some(self, chosen: NDArray[np.bool_]) -> Queue:
        """The queues of some of the runs."""
        return Queue(self.rewards[chosen], self.actions[chosen], self.masks[chosen])

    def with_cells(self, cells: Drawn, rewards: NDArray[np.float64]) -> Queue:
        """The queues after one more cell each, if it is good enough. A reward (S,) of NaN keeps a cell out."""
        new = np.where(np.isnan(rewards), -np.inf, rewards)
        every = np.concatenate([self.rewards, new[:, None]], axis=1)
        order = np.argsort(-every, axis=1, kind="stable")[:, : self.rewards.shape[1]]
        runs = np.arange(len(new))[:, None]
        return Queue(
            every[runs, order],
            np.concatenate([self.actions, cells.actions[:, None]], axis=1)[runs, order],
            np.concatenate([self.masks, cells.masks[:, None]], axis=1)[runs, order],
        )


def ascent(logits: NDArray[np.float64], queue: Queue, entropy_coefficient: float) -> NDArray[np.float64]:
    """Gradients, in the logits (S, T, 3), of mean log-likelihood + coefficient · mean entropy of the queues' cells."""
    exponentials = np.where(queue.masks, np.exp(logits - logits.max(axis=2, keepdims=True))[:, None], 0.0)
    p = exponentials / exponentials.sum(axis=3, keepdims=True)  # (S, Q, T, 3): masks differ from cell to cell
    log_p = np.log(np.maximum(p, 1e-12))
    likelihood = (np.arange(NUM_ACTIONS) == queue.actions[..., None]) - p
    entropy = -(p * log_p).sum(axis=3, keepdims=True)
    there = (queue.rewards > -np.inf)[:, :, None, None]
    gradients = (likelihood - entropy_coefficient * p * (log_p + entropy)) * there
    total: NDArray[np.float64] = gradients.sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    return total


if __name__ == "__main__":
    script.main(PriorityQueueTraining)
