"""Tabular Q-learning with experience replay, as in MetaQNN.

A table holds the value of each action in each state. As in MetaQNN the state is a summary, since no full description of
a cell recurs within a few hundred cells: the next decision, the number of edges, and the previous action. Exploration
is ε-greedy: ε falls from 1 to its minimum as the budget is spent.

Source: Baker et al. 2017, https://arxiv.org/abs/1611.02167. The replay after every cell, the updates from the last step
to the first (their algorithm 3), γ = 1 and the ε schedule are theirs. The state and the step size suit this space.

    python agents/qlearning.py --objectives val_accuracy --budget 300 --seed 0
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from ecnas.encoding import to_frame
from ecnas.isomorphism import MAX_EDGES
from ecnas.runs import Evaluator, script
from ecnas.runs.many import evaluate_rows
from ecnas_gym import make_env
from ecnas_gym.automaton import START, automaton_of
from ecnas_gym.builder import NUM_ACTIONS, decisions
from ecnas_gym.env import INVALID_REWARD

State = tuple[int, int, int]
"""Index of the next decision, edges so far, previous action (−1 at first)."""


@dataclass(frozen=True)
class QLearning:
    """Search with Q-learning."""

    learning_rate: float = 0.1
    """How far an update moves a value towards its target."""
    initial_value: float = 0.5
    """Initial value of every action."""
    replayed_episodes: int = 32
    """Cells replayed after each evaluation."""
    explore_until: float = 0.5
    """Fraction of the budget over which ε falls from 1 to epsilon_min."""
    epsilon_min: float = 0.1
    """Final probability of a random action."""

    name: ClassVar[str] = "Q-learning"

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        """Searches until the budget is spent."""
        env = make_env(evaluate)
        sequence = decisions(evaluate.benchmark.space)
        q: Values = defaultdict(lambda: [self.initial_value] * NUM_ACTIONS)
        replay: list[tuple[list[Step], float]] = []

        while True:  # the budget ends this: reset raises when it is spent
            epsilon = self.epsilon(evaluate)
            lots = rng.random((len(sequence), 1 + NUM_ACTIONS)).tolist()
            _, info = env.reset()
            episode: list[Step] = []
            terminated, num_edges, previous = False, 0, -1
            while not terminated:
                explores, *lot = lots[len(episode)]
                allowed = np.flatnonzero(info["action_mask"]).tolist()
                values = q[len(episode), num_edges, previous]
                best = max([values[action] for action in allowed])
                among = [action for action in allowed if explores < epsilon or values[action] == best]
                action = max(among, key=lot.__getitem__)
                episode.append(Step(values, allowed, action))
                _, reward, terminated, _, info = env.step(action)
                num_edges += action if sequence[len(episode) - 1].is_edge else 0
                previous = action
            replay.append((episode, float(reward)))
            learn(episode, float(reward), self.learning_rate)
            for k in rng.integers(len(replay), size=self.replayed_episodes):
                past, its_reward = replay[k]
                learn(past, its_reward, self.learning_rate)

    def epsilon(self, evaluate: Evaluator) -> float:
        """Probability of a random action."""
        progress = evaluate.fraction_spent / self.explore_until
        return max(1.0 - (1.0 - self.epsilon_min) * progress, self.epsilon_min)

    def run_many(self, evaluates: Sequence[Evaluator], rngs: Sequence[np.random.Generator]) -> None:
        """Searches until all budgets are spent: what :meth:`run` does, to the last bit, for S runs at once."""
        evaluates, rngs, task = list(evaluates), list(rngs), evaluates[0].task
        space = task.benchmark.space
        sequence = decisions(space)
        repeat = task.repeat if isinstance(task.repeat, int) else None
        walk = automaton_of(task.benchmark, (task.epochs,), repeat, task.objectives)
        num_summaries = (MAX_EDGES + 1) * (NUM_ACTIONS + 1)
        q = np.full((len(rngs), NUM_ACTIONS, len(sequence) * num_summaries), self.initial_value)
        replay = Replay.empty(len(rngs), len(sequence))
        while evaluates:
            everyone = np.arange(len(rngs))
            epsilons = np.array([self.epsilon(evaluate) for evaluate in evaluates])
            lots = np.stack([rng.random((len(sequence), 1 + NUM_ACTIONS)) for rng in rngs])
            states, actions = np.empty((2, len(rngs), len(sequence)), dtype=np.int64)
            masks = np.empty((len(rngs), len(sequence), NUM_ACTIONS), dtype=np.bool_)
            node = np.full(len(rngs), START)
            edge_bits, op_codes, num_edges, previous = np.zeros((4, len(rngs)), dtype=np.int64)
            for t, decision in enumerate(sequence):
                states[:, t] = t * num_summaries + num_edges * (NUM_ACTIONS + 1) + previous
                masks[:, t] = allowed = walk.masks[node]
                values = np.where(allowed, q[everyone, :, states[:, t]], -np.inf)
                among = (lots[:, t, :1] < epsilons[:, None]) | (values == values.max(axis=1, keepdims=True))
                actions[:, t] = action = np.where(allowed & among, lots[:, t, 1:], -1.0).argmax(axis=1)
                node = walk.following[node + action]
                previous = action + 1
                if decision.is_edge:
                    edge_bits += action * decision.weight
                    num_edges += action
                else:
                    op_codes += action * decision.weight
            rows = space.rows(to_frame(space.num_vertices, edge_bits), op_codes)
            rewards, going = evaluate_rows(evaluates, rows[:, None])
            replay = replay.longer(states, actions, masks, np.nan_to_num(rewards[:, 0], nan=INVALID_REWARD))
            if not going.all():
                evaluates, rngs = list(compress(evaluates, going)), list(compress(rngs, going))
                q, replay = q[going], replay.some(going)
            if evaluates:
                number = replay.rewards.shape[1]
                again = np.stack([rng.integers(number, size=self.replayed_episodes) for rng in rngs])
                newest = np.full((len(rngs), 1), number - 1)
                learn_many(q, replay.chosen(np.hstack([newest, again])), self.learning_rate)


class Step(NamedTuple):
    """One decision of an episode."""

    values: list[float]
    """Of the actions in its state: the entry of the table, which learning changes."""
    allowed: list[int]
    action: int


Values = defaultdict[State, list[float]]


def learn(episode: list[Step], reward: float, learning_rate: float) -> None:
    """Updates the values of an episode, last step first, so that the reward reaches the first step at once."""
    target = reward
    for values, allowed, action in reversed(episode):
        values[action] += learning_rate * (target - values[action])
        target = max([values[action] for action in allowed])  # a list, since a generator takes twice the time


class Replay(NamedTuple):
    """K episodes of T decisions for each of S runs.

    Attributes:
        states: Numbers of the states, (S, K, T).
        actions: (S, K, T).
        masks: Which actions were allowed, bool (S, K, T, 3).
        rewards: (S, K).
    """

    states: NDArray[np.int64]
    actions: NDArray[np.int64]
    masks: NDArray[np.bool_]
    rewards: NDArray[np.float64]

    @classmethod
    def empty(cls, num_runs: int, num_decisions: int) -> Replay:
        """No episodes."""
        none = np.empty((num_runs, 0, num_decisions), dtype=np.int64)
        return cls(none, none, np.empty((*none.shape, NUM_ACTIONS), dtype=np.bool_), np.empty((num_runs, 0)))

    def some(self, chosen: NDArray[np.bool_]) -> Replay:
        """Of some of the runs."""
        return Replay(self.states[chosen], self.actions[chosen], self.masks[chosen], self.rewards[chosen])

    def longer(self, *of_one: NDArray[Any]) -> Replay:
        """With an episode more of each run: the same fields without the axis of episodes."""
        fields = cast(tuple[NDArray[Any], ...], self)
        return Replay(*(np.concatenate([old, new[:, None]], axis=1) for old, new in zip(fields, of_one, strict=True)))

    def chosen(self, episodes: NDArray[np.int64]) -> Replay:
        """Episodes by their numbers, (S, K)."""
        runs = np.arange(len(episodes))[:, None]
        return Replay(*(array[runs, episodes] for array in cast(tuple[NDArray[Any], ...], self)))


def learn_many(q: NDArray[np.float64], episodes: Replay, learning_rate: float) -> None:
    """What :func:`learn` does, episode by episode, in the tables of S runs at once.

    States of different decisions are different. So decision t of an episode can be learned when decision t + 1 of it
    has been, and decision t of the episode before: the diagonals of the plane of episodes and decisions, one by one.

    Args:
        q: Values, (S, 3, states), which are changed.
        episodes: K for each run.
        learning_rate: As for :func:`learn`.
    """
    num_runs, num_episodes, num_decisions = episodes.states.shape
    flat = q.reshape(-1)
    # Where each action's value is: (3, K, T, S), and the axis of runs last, so that a diagonal is gathered fast.
    start = (np.arange(num_runs) * q[0].size)[:, None, None] + episodes.states
    of_actions = (np.arange(NUM_ACTIONS)[:, None, None, None] * q.shape[2] + start).transpose(0, 2, 3, 1)
    taken = (start + episodes.actions * q.shape[2]).transpose(1, 2, 0)
    barred = np.where(episodes.masks, 0.0, -np.inf).transpose(3, 1, 2, 0)
    targets = episodes.rewards.T.copy()
    for diagonal in range(num_episodes + num_decisions - 1):
        k = np.arange(max(0, diagonal - num_decisions + 1), min(num_episodes, diagonal + 1))
        t = num_decisions - 1 - (diagonal - k)
        at, now = taken[k, t], slice(k[0], k[-1] + 1)
        values = flat[at]
        flat[at] = values + learning_rate * (targets[now] - values)
        targets[now] = (flat[of_actions[:, k, t]] + barred[:, k, t]).max(axis=0)


if __name__ == "__main__":
    script.main(QLearning)
