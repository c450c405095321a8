"""Masked PPO for many runs at once: the parameters, rollouts and updates of S runs are arrays with a first axis of S.

The algorithm and its settings are those of ``agents/ppo.py``, hence of sb3-contrib's MaskablePPO: separate policy and
value networks with two hidden layers of tanh units; orthogonal initial weights; generalised advantage estimation; the
clipped objective with an entropy bonus; advantages normalised per minibatch; Adam with gradient norm clipping. From the
same weights and episodes, both compute the same new weights (``tests/test_ppo_many.py``).

Gradients are written out, since the networks are small. A run depends on its own generator only, not on how many others
run beside it: no operation mixes the runs.

    python agents/ppo_many.py --budget 300 --seed 0

The functions from :func:`forward` to :func:`update` are pure and take arrays of numpy or JAX. JAX can compile them and
run them on an accelerator unchanged.

Sources: Schulman et al. 2017, https://arxiv.org/abs/1707.06347; Schulman et al. 2016 (advantages),
https://arxiv.org/abs/1506.02438; Huang and Ontañón 2022 (masks), https://arxiv.org/abs/2006.14171.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from ecnas.runs import Evaluator, script
from ecnas.runs.many import evaluate_rows
from ecnas_gym.builder import NUM_ACTIONS, decisions
from ecnas_gym.env import INVALID_REWARD
from ecnas_gym.observation import layout
from ecnas_gym.vector import CellVectorEnv

Array = Any
"""An array of numpy or JAX. Its shape begins with S, the number of runs."""

ADAM_DECAYS = (0.9, 0.999)
ADAM_EPSILON = 1e-5  # stable-baselines3's choice for PPO
FORBIDDEN = np.float32(-1e8)  # logit of a masked action, as in sb3-contrib
BLOCK = 8
"""How many runs are updated together: few enough for a core's cache."""


@dataclass(frozen=True)
class MaskedPPO:
    """Search with PPO under masks, many runs at once."""

    episodes_per_update: int = 8
    """Cells built between two updates of the policy."""
    update_epochs: int = 4
    """Passes over these cells in each update."""
    minibatch_episodes: int = 8
    """Size of a minibatch, in cells: a cell has as many steps as the space has decisions."""
    learning_rate: float = 3e-3
    """Step size of Adam."""
    entropy_coefficient: float = 0.02
    """Weight of the policy's mean entropy in the loss."""
    gae_lambda: float = 0.95
    """λ of generalised advantage estimation."""
    clip_range: float = 0.2
    """Clipping range ε of the probability ratio."""
    value_coefficient: float = 0.5
    """Weight of the value loss."""
    max_grad_norm: float = 0.5
    """Gradients are clipped to this norm."""
    hidden_units: int = 64
    """Units in each of the two hidden layers of the policy network and of the value network."""

    name: ClassVar[str] = "masked PPO"

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        """Learns until the budget is spent."""
        self.run_many([evaluate], [rng])

    def run_many(self, evaluates: Sequence[Evaluator], rngs: Sequence[np.random.Generator]) -> None:
        """Learns until all budgets are spent."""
        task, evaluates, rngs = evaluates[0].task, list(evaluates), list(rngs)
        space, num_episodes = task.benchmark.space, self.episodes_per_update
        num_steps = len(decisions(space))
        shape = Shape(layout(space).size, self.hidden_units)
        learner = initial(shape, rngs)
        envs = None
        while evaluates:
            if envs is None or envs.num_envs != len(evaluates) * num_episodes:
                envs = _builders(task, len(evaluates) * num_episodes)
            noise = np.stack([rng.gumbel(size=(num_steps, num_episodes, NUM_ACTIONS)) for rng in rngs], axis=1)
            rollout, rows = collect(envs, shape, learner.parameters, noise)
            rewards, going = evaluate_rows(evaluates, rows)
            rollout = rollout._replace(rewards=np.nan_to_num(rewards, nan=INVALID_REWARD).astype(np.float32))
            if not going.all():
                rollout, learner = Rollout(*(part[going] for part in rollout)), learner.part(going)
                evaluates, rngs = list(itertools.compress(evaluates, going)), list(itertools.compress(rngs, going))
            learner = self._update(shape, learner, rollout, rngs)

    def _update(self, shape: Shape, learner: Learner, rollout: Rollout, rngs: list[np.random.Generator]) -> Learner:
        """Updates runs, a few at a time."""
        parts = []
        for start in range(0, len(rngs), BLOCK):
            block = slice(start, start + BLOCK)
            orders = None
            if self.minibatch_episodes < self.episodes_per_update:  # otherwise the order makes no difference
                size = rollout.actions[0].size
                orders = np.array([[rng.permutation(size) for _ in range(self.update_epochs)] for rng in rngs[block]])
            part = Rollout(*(array[block] for array in rollout))
            parts.append(update(shape, learner.part(block), part, orders, self))
        if not parts:
            return learner
        parameters, mean, square = (
            np.concatenate(arrays) for arrays in zip(*(part[:3] for part in parts), strict=True)
        )
        return Learner(parameters, mean, square, parts[0].steps)


def _builders(task: Any, num_envs: int) -> CellVectorEnv:
    """Environments that build cells. Rewards come from the runs' evaluators instead."""
    envs = gym.make_vec(
        f"ecnas_gym:ECNAS-{task.benchmark.space.name}-v0",
        num_envs=num_envs,
        autoreset_mode="Disabled",
        benchmark=task.benchmark,
        epochs=task.epochs,
        objectives=task.objectives,
    ).unwrapped
    assert isinstance(envs, CellVectorEnv)
    return envs


class Shape(NamedTuple):
    """Sizes of the two networks, and the layout of their weights in a vector.

    Attributes:
        inputs: Numbers in an observation.
        hidden: Units of each hidden layer.
    """

    inputs: int
    hidden: int

    def layers(self, outputs: int) -> list[tuple[int, int]]:
        """Shapes of a network's weights and biases, in order."""
        widths = (self.inputs, self.hidden, self.hidden, outputs)
        return [shape for a, b in itertools.pairwise(widths) for shape in ((a, b), (1, b))]

    def split(self, vector: Array) -> tuple[list[Array], list[Array]]:
        """The policy's and the value network's weights and biases, out of a vector (S, P)."""
        weights, start = [], 0
        for a, b in self.layers(NUM_ACTIONS) + self.layers(1):
            weights.append(vector[:, start : start + a * b].reshape(-1, a, b))
            start += a * b
        return weights[:6], weights[6:]


class Learner(NamedTuple):
    """The state of S learners: parameters and Adam's moments, float32 (S, P), and Adam's number of steps."""

    parameters: Array
    mean: Array
    square: Array
    steps: int | Array

    def part(self, chosen: Any) -> Learner:
        """Some of the runs."""
        return Learner(self.parameters[chosen], self.mean[chosen], self.square[chosen], self.steps)


class Rollout(NamedTuple):
    """K episodes of T steps for each of S runs.

    Attributes:
        observations: float32, (S, K, T, n).
        masks: bool, (S, K, T, 3).
        actions: Integers, (S, K, T).
        log_probabilities: Of the actions under the policy that took them, float32, (S, K, T).
        rewards: At the end of each episode, float32, (S, K).
    """

    observations: Array
    masks: Array
    actions: Array
    log_probabilities: Array
    rewards: Array


def initial(shape: Shape, rngs: list[np.random.Generator]) -> Learner:
    """Orthogonal weights, with gain √2 for hidden layers, 0.01 for the policy's last and 1 for the value's last."""
    root = np.sqrt(2.0)
    gains = (root, root, 0.01, root, root, 1.0)
    weights = (shape.layers(NUM_ACTIONS) + shape.layers(1))[::2]
    vectors = []
    for rng in rngs:
        parts: list[NDArray[np.float64]] = []
        for (a, b), gain in zip(weights, gains, strict=True):
            q, r = np.linalg.qr(rng.standard_normal((max(a, b), min(a, b))))
            q *= np.sign(np.diag(r))
            parts += [gain * (q if a >= b else q.T).ravel(), np.zeros(b)]
        vectors.append(np.concatenate(parts).astype(np.float32))
    parameters = np.stack(vectors)
    return Learner(parameters, np.zeros_like(parameters), np.zeros_like(parameters), 0)


def forward(weights: list[Array], x: Array) -> tuple[Array, Array, Array]:
    """Both hidden layers and the outputs of S networks: x (S, B, n) to (S, B, hidden) twice and (S, B, outputs)."""
    xp = x.__array_namespace__()
    w1, b1, w2, b2, w3, b3 = weights
    first = xp.tanh(x @ w1 + b1)
    second = xp.tanh(first @ w2 + b2)
    return first, second, second @ w3 + b3


def backward(weights: list[Array], x: Array, first: Array, second: Array, to_outputs: Array) -> list[Array]:
    """Gradients in the weights and biases, from those in the outputs."""
    _, _, w2, _, w3, _ = weights
    to_second = to_outputs @ w3.mT if to_outputs.shape[2] > 1 else to_outputs * w3.mT  # the same, and faster
    to_second = to_second * (1 - second * second)
    to_first = (to_second @ w2.mT) * (1 - first * first)
    gradients = []
    for layer_input, to_layer in ((x, to_first), (first, to_second), (second, to_outputs)):
        gradients += [layer_input.mT @ to_layer, to_layer.sum(axis=1)]
    return gradients


def log_softmax(logits: Array, masks: Array) -> Array:
    """Log-probabilities of the allowed actions, along the last axis; very low where an action is not allowed."""
    xp = logits.__array_namespace__()
    allowed = xp.where(masks, logits, FORBIDDEN)
    shifted = allowed - allowed.max(axis=-1, keepdims=True)
    return shifted - xp.log(xp.exp(shifted).sum(axis=-1, keepdims=True))


def advantages(values: Array, rewards: Array, decay: float) -> Array:
    """Generalised advantages of episodes of which only the end is rewarded, undiscounted.

    Args:
        values: Of the observations, (S, K, T).
        rewards: (S, K).
        decay: λ.

    Returns:
        (S, K, T).
    """
    xp = values.__array_namespace__()
    gains = xp.concat([values[:, :, 1:], rewards[:, :, None]], axis=2) - values
    result = [gains[:, :, -1]]
    for t in reversed(range(gains.shape[2] - 1)):
        result.append(gains[:, :, t] + decay * result[-1])
    return xp.stack(result[::-1], axis=2)


def gradient(
    shape: Shape,
    parameters: Array,
    x: Array,
    masks: Array,
    actions: Array,
    old_log_probabilities: Array,
    advantage: Array,
    returns: Array,
    settings: MaskedPPO,
) -> Array:
    """The loss's gradient in the parameters, (S, P), over a minibatch of B steps; arguments as in :class:`Rollout`."""
    xp = x.__array_namespace__()
    size = np.float32(x.shape[1])
    policy, value = shape.split(parameters)

    spread = xp.std(advantage, axis=1, keepdims=True, correction=1)
    advantage = (advantage - advantage.mean(axis=1, keepdims=True)) / (spread + 1e-8)
    first, second, logits = forward(policy, x)
    log_p = log_softmax(logits, masks)
    p = xp.exp(log_p)
    taken = xp.arange(NUM_ACTIONS) == actions[:, :, None]
    ratio = xp.exp((log_p * taken).sum(axis=2) - old_log_probabilities)
    clipped = xp.clip(ratio, 1 - settings.clip_range, 1 + settings.clip_range)
    rewarded = advantage * ratio <= advantage * clipped  # otherwise the objective is flat here
    to_log_p = xp.where(rewarded, -advantage * ratio / size, 0)[:, :, None]
    entropy = -(p * log_p).sum(axis=2, keepdims=True)
    to_logits = to_log_p * (taken - p) + np.float32(settings.entropy_coefficient) / size * p * (log_p + entropy)
    gradients = backward(policy, x, first, second, to_logits)

    first, second, values = forward(value, x)
    to_values = np.float32(2 * settings.value_coefficient) / size * (values - returns[:, :, None])
    gradients += backward(value, x, first, second, to_values)
    return xp.concat([part.reshape(len(parameters), -1) for part in gradients], axis=1)


def adam(learner: Learner, gradient: Array, settings: MaskedPPO) -> Learner:
    """One step of Adam, with the norm of each run's gradient clipped."""
    xp = gradient.__array_namespace__()
    norm = xp.sqrt((gradient * gradient).sum(axis=1, keepdims=True))
    gradient = gradient * xp.clip(settings.max_grad_norm / (norm + 1e-6), None, 1)
    first, second = ADAM_DECAYS
    steps = learner.steps + 1
    mean = learner.mean + (1 - first) * (gradient - learner.mean)
    square = second * learner.square + (1 - second) * (gradient * gradient)
    scale = settings.learning_rate / (1 - first**steps)
    denominator = xp.sqrt(square) / (1 - second**steps) ** 0.5 + ADAM_EPSILON
    return Learner(learner.parameters - scale * mean / denominator, mean, square, steps)


def update(shape: Shape, learner: Learner, rollout: Rollout, orders: Array, settings: MaskedPPO) -> Learner:
    """Several passes over the episodes of all runs, in minibatches.

    Args:
        shape: Of the networks.
        learner: S runs.
        rollout: Their episodes.
        orders: For each run and pass, the order in which its K·T steps are visited, (S, passes, K·T); None for any,
            where a minibatch holds all of them.
        settings: Of PPO.
    """
    xp = rollout.observations.__array_namespace__()
    num_runs, num_episodes, num_steps = rollout.actions.shape
    total = num_episodes * num_steps
    x = rollout.observations.reshape(num_runs, total, -1)
    values = forward(shape.split(learner.parameters)[1], x)[2].reshape(num_runs, num_episodes, num_steps)
    advantage = advantages(values, rollout.rewards, settings.gae_lambda)
    steps = (
        x,
        rollout.masks.reshape(num_runs, total, NUM_ACTIONS),
        rollout.actions.reshape(num_runs, total),
        rollout.log_probabilities.reshape(num_runs, total),
        advantage.reshape(num_runs, total),
        (advantage + values).reshape(num_runs, total),
    )
    size = settings.minibatch_episodes * num_steps
    for number in range(settings.update_epochs):
        for start in range(0, total, size):
            batch = steps
            if orders is not None:
                chosen = orders[:, number, start : start + size]
                batch = tuple(
                    xp.take_along_axis(part, chosen if part.ndim == 2 else chosen[:, :, None], axis=1) for part in steps
                )
            learner = adam(learner, gradient(shape, learner.parameters, *batch, settings), settings)
    return learner


def collect(
    envs: CellVectorEnv, shape: Shape, parameters: NDArray[np.float32], noise: NDArray[np.float64]
) -> tuple[Rollout, NDArray[np.int64]]:
    """Builds K cells for each of S runs.

    Args:
        envs: S·K environments.
        shape: Of the networks.
        parameters: (S, P).
        noise: Gumbel noise, (T, S, K, 3). The largest of log-probability plus Gumbel noise is a draw.

    Returns:
        The episodes, rewards zero; and the cells' rows, (S, K), −1 for a cell that the benchmark lacks.
    """
    num_steps, num_runs, num_episodes, _ = noise.shape
    policy, _ = shape.split(parameters)
    observations = np.empty((num_runs, num_episodes, num_steps, shape.inputs), dtype=np.float32)
    masks = np.empty((num_runs, num_episodes, num_steps, NUM_ACTIONS), dtype=np.bool_)
    actions = np.empty((num_runs, num_episodes, num_steps), dtype=np.int64)
    log_probabilities = np.empty((num_runs, num_episodes, num_steps), dtype=np.float32)
    seen, info = envs.reset()
    for t, draws in enumerate(noise):
        observations[:, :, t] = x = seen.reshape(num_runs, num_episodes, -1)
        masks[:, :, t] = info["action_mask"].reshape(num_runs, num_episodes, NUM_ACTIONS)
        log_p = log_softmax(forward(policy, x)[2], masks[:, :, t])
        actions[:, :, t] = chosen = (log_p + draws).argmax(axis=2)
        log_probabilities[:, :, t] = np.take_along_axis(log_p, chosen[:, :, None], axis=2)[:, :, 0]
        seen, _, _, _, info = envs.step(chosen.ravel())
    rewards = np.zeros((num_runs, num_episodes), dtype=np.float32)
    rows = info["row"] if "row" in info else np.full(rewards.size, -1)  # of a benchmark that lacks all of them
    return Rollout(observations, masks, actions, log_probabilities, rewards), rows.reshape(rewards.shape)


if __name__ == "__main__":
    script.main(MaskedPPO)
