"""Tabular Q-learning with experience replay, as in MetaQNN.

A table holds what each action is worth in each state. As in MetaQNN the state is a summary, since no cell's full
description recurs within a few hundred cells: which decision is next, how many edges there are, and the action before.
Exploration is ε-greedy: ε falls from 1 to its least as the budget is spent.

Source: Baker et al. 2017, https://arxiv.org/abs/1611.02167: the replay after every cell, updates from the last step to
the first (their algorithm 3), γ = 1 and the ε schedule are theirs; the state and the step size are this space's.

    python agents/qlearning.py --objectives val_accuracy --budget 300 --seed 0
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from ecnas.runs import Evaluator, script
from ecnas_gym import make_env
from ecnas_gym.builder import NUM_ACTIONS, decisions

State = tuple[int, int, int]
"""Number of the decision that is next, edges so far, previous action (−1 at first)."""


@dataclass(frozen=True)
class QLearning:
    """Search with Q-learning."""

    learning_rate: float = 0.1
    """How far an update moves a value towards its target."""
    initial_value: float = 0.5
    """Value of what was never tried."""
    replayed_episodes: int = 32
    """Cells that are replayed after each evaluation."""
    explore_until: float = 0.5
    """Part of the budget during which ε falls from 1 to epsilon_min."""
    epsilon_min: float = 0.1
    """Least probability of a random action."""

    name: ClassVar[str] = "Q-learning"

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        """Searches until the budget is spent."""
        env = make_env(evaluate)
        sequence = decisions(evaluate.benchmark.space)
        q: Values = defaultdict(lambda: [self.initial_value] * NUM_ACTIONS)
        replay: list[tuple[list[Step], float]] = []

        while True:  # the budget ends this: reset raises when it is spent
            progress = evaluate.fraction_spent / self.explore_until
            epsilon = max(1.0 - (1.0 - self.epsilon_min) * progress, self.epsilon_min)
            _, info = env.reset()
            episode: list[Step] = []
            terminated, num_edges, previous = False, 0, -1
            while not terminated:
                allowed = np.flatnonzero(info["action_mask"]).tolist()
                state = len(episode), num_edges, previous
                values = q[state]
                action = one_of(allowed, rng) if rng.random() < epsilon else greedy(values, allowed, rng)
                episode.append(Step(values, allowed, action))
                _, reward, terminated, _, info = env.step(action)
                num_edges += action if sequence[len(episode) - 1].is_edge else 0
                previous = action
            replay.append((episode, float(reward)))
            learn(episode, float(reward), self.learning_rate)
            for k in rng.integers(len(replay), size=self.replayed_episodes):
                past, its_reward = replay[k]
                learn(past, its_reward, self.learning_rate)


class Step(NamedTuple):
    """One decision of an episode."""

    values: list[float]
    """Of the actions in its state: the entry of the table, which learning changes."""
    allowed: list[int]
    action: int


Values = defaultdict[State, list[float]]


def one_of(actions: list[int], rng: np.random.Generator) -> int:
    """One of the actions by lot."""
    return actions[int(rng.integers(len(actions)))]


def greedy(values: list[float], allowed: list[int], rng: np.random.Generator) -> int:
    """The allowed action of the highest value, one of them by lot where several are equal."""
    best = max([values[action] for action in allowed])
    return one_of([action for action in allowed if values[action] == best], rng)


def learn(episode: list[Step], reward: float, learning_rate: float) -> None:
    """Updates the values of an episode, last step first, so that the reward reaches the first step at once."""
    target = reward
    for values, allowed, action in reversed(episode):
        values[action] += learning_rate * (target - values[action])
        target = max([values[action] for action in allowed])  # a list, since a generator takes twice the time


if __name__ == "__main__":
    script.main(QLearning)
