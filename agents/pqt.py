"""Priority-queue training: the policy imitates the best cells so far.

The policy is a table of logits per decision, as in NAS-Bench-101's REINFORCE baseline. Instead of weighing each cell by
its reward, which uses it once and forgets it, every update raises the likelihood of the best cells of the whole run.
That needs no baseline and no scale of rewards, and no cell's evaluation is wasted.

Source: Abolafia et al. 2018, https://arxiv.org/abs/1801.03526, without its policy gradient term.

    python agents/pqt.py --objectives val_accuracy --budget 300 --seed 0
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ecnas.runs import Evaluator, script
from ecnas_gym import make_env
from ecnas_gym.builder import NUM_ACTIONS, CellBuilder, decisions


@dataclass(frozen=True)
class PriorityQueueTraining:
    """Search with priority-queue training."""

    queue_size: int = 5
    """Best cells that the policy imitates."""
    learning_rate: float = 1.0
    """Step size of gradient ascent on the mean log-likelihood of the queue's cells."""
    entropy_coefficient: float = 0.05
    """What a nat of the policy's entropy, summed over decisions, is worth in log-likelihood."""
    num_random: int = 10
    """Cells that are built before the first update."""
    avoid_known: bool = True
    """Draw again where the policy's cell was evaluated before, in this or in another guise (isomorphic cells)."""

    name: ClassVar[str] = "priority queue"

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        """Searches until the budget is spent."""
        env = make_env(evaluate)
        builder = CellBuilder(evaluate.benchmark.space)
        logits = np.zeros((len(decisions(evaluate.benchmark.space)), NUM_ACTIONS))
        queue: list[tuple[float, int, list[int], np.ndarray]] = []  # reward, −index, actions, masks; best first
        tried: set[int] = set()

        while True:  # the budget ends this: the environment raises at the first cell that it does not allow
            actions, masks = draw(logits, builder, rng)
            for _ in range(100):
                if not self.avoid_known or builder.cell().row not in tried:
                    break
                actions, masks = draw(logits, builder, rng)
            env.reset()
            for action in actions:
                _, reward, _, _, info = env.step(action)
            if "cell" not in info:  # the benchmark lacks it; nothing was charged
                tried.add(builder.cell().row)
                continue
            if info["cell"].row not in tried:  # an equal cell in another guise takes one place in the queue
                queue.append((float(reward), -len(tried), actions, masks))
                queue = sorted(queue, key=lambda entry: entry[:2], reverse=True)[: self.queue_size]
            tried.add(info["cell"].row)
            if len(tried) >= self.num_random:
                best = np.array([entry[2] for entry in queue])
                best_masks = np.array([entry[3] for entry in queue])
                logits += self.learning_rate * ascent(logits, best, best_masks, self.entropy_coefficient)


def draw(logits: NDArray[np.float64], builder: CellBuilder, rng: np.random.Generator) -> tuple[list[int], np.ndarray]:
    """Draws a cell into the builder: actions, and the masks under which they were drawn, bool (T, 3)."""
    builder.reset()
    noisy = logits + rng.gumbel(size=logits.shape)  # its largest entry is a draw from the softmax
    masks = np.zeros(logits.shape, dtype=bool)
    actions = []
    for position in range(len(logits)):
        allowed = [action for action in range(NUM_ACTIONS) if builder.mask >> action & 1]
        masks[position, allowed] = True
        actions.append(max(allowed, key=lambda action: noisy[position, action]))
        builder.apply(actions[-1])
    return actions, masks


def ascent(
    logits: NDArray[np.float64], actions: NDArray[np.int64], masks: NDArray[np.bool_], entropy_coefficient: float
) -> NDArray[np.float64]:
    """Gradient, in the logits, of mean log-likelihood + coefficient · mean entropy: actions (K, T), masks (K, T, 3)."""
    exponentials = np.where(masks, np.exp(logits - logits.max(axis=1, keepdims=True)), 0.0)
    p = exponentials / exponentials.sum(axis=2, keepdims=True)  # (K, T, 3): masks differ from cell to cell
    log_p = np.log(np.maximum(p, 1e-12))
    likelihood = (np.arange(NUM_ACTIONS) == actions[:, :, None]) - p
    entropy = -(p * log_p).sum(axis=2, keepdims=True)
    gradient: NDArray[np.float64] = (likelihood - entropy_coefficient * p * (log_p + entropy)).mean(axis=0)
    return gradient


if __name__ == "__main__":
    script.main(PriorityQueueTraining)
