"""Wrappers for agents without masks and for tabular agents."""

from __future__ import annotations

import doctest

import gymnasium as gym
import numpy as np
import pytest
from conftest import synthetic_table
from gymnasium.utils.env_checker import check_env

from ecnas import Benchmark, Budget, BudgetExhaustedError
from ecnas_gym import ChooseEpochs, DiscreteState, RepairActions, TruncateWhenSpent, wrappers

IDS = [spec.id for spec in gym.registry.values() if str(spec.entry_point).startswith("ecnas_gym")]
SCALAR = [env_id for env_id in IDS if not env_id.startswith("MO-")]


def play(env, rng, seed=None):
    """An episode of any actions."""
    env.reset(seed=seed)
    while True:
        result = env.step(rng.integers(env.action_space.n))
        if result[2] or result[3]:
            return result


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("inner", [lambda env: env, ChooseEpochs])
def test_no_episode_is_invalid(env_id, inner):
    env = RepairActions(inner(gym.make(env_id, budget=Budget(evaluations=30))))
    rng = np.random.default_rng(0)
    for episode in range(30):
        info = play(env, rng, seed=0 if episode == 0 else None)[4]
        assert not info["invalid"]
        assert "row" in info
    env.reset()
    with pytest.raises(BudgetExhaustedError):
        env.step(0)


@pytest.mark.parametrize("env_id", IDS)
def test_the_nearest_action_is_taken_and_told(env_id):
    env, rng = RepairActions(gym.make(env_id)), np.random.default_rng(1)
    twin = gym.make(env_id).unwrapped
    env.reset(seed=3)
    twin.reset(seed=3)
    repaired = 0
    for _ in range(100):
        allowed, action = np.flatnonzero(twin.action_masks()), int(rng.integers(env.action_space.n))
        expected = min(allowed.tolist(), key=lambda other: (abs(other - action), other))
        *result, info = env.step(action)
        *same, _ = twin.step(expected)
        assert (info["action"], info["repaired"]) == (expected, expected != action)
        assert type(info["action"]) is np.int64
        assert (info["repaired"].dtype, info["repaired"].shape) == (bool, ())
        for mine, other in zip(result, same, strict=True):
            np.testing.assert_array_equal(mine, other)
        repaired += info["repaired"]
        if result[2]:
            env.reset()
            twin.reset()
    assert repaired > 20


def test_what_is_no_action_is_an_error_all_the_same():
    env = RepairActions(gym.make("ECNAS-4V-v0"))
    env.reset()
    for action in (3, -1, 0.5, "0", None, True):
        with pytest.raises(ValueError, match="action must be a whole number from 0 to 2"):
            env.step(action)


@pytest.mark.parametrize("wrapper", [RepairActions, DiscreteState])
def test_only_environments_of_this_package(wrapper):
    with pytest.raises(TypeError, match="environment of ecnas_gym"):
        wrapper(gym.make("CartPole-v1"))
    with pytest.raises(TypeError, match="observations of an environment of ecnas_gym"):
        DiscreteState(ChooseEpochs(gym.make("ECNAS-4V-v0")))


@pytest.mark.parametrize("wrapper", [RepairActions, DiscreteState])
@pytest.mark.parametrize("env_id", SCALAR)
def test_passes_the_checker(env_id, wrapper):
    with pytest.warns(UserWarning, match="has a wrapper applied"):
        check_env(wrapper(gym.make(env_id).unwrapped), skip_render_check=True)
    assert gym.make(wrapper(gym.make(env_id)).spec)


@pytest.mark.parametrize("lacking", [frozenset(), frozenset(range(0, 91, 2))])
def test_states_of_building_are_numbered_without_gaps(lacking):
    """All beginnings of all allowed sequences, by enumeration."""
    benchmark = Benchmark(synthetic_table("4V", missing=lacking))
    env = DiscreteState(gym.make("ECNAS-4V-v0", benchmark=benchmark))
    numbers = []

    def walk(actions):
        number, info = env.reset()
        for action in actions:
            number, _, _, _, info = env.step(action)
        assert type(number) is int
        assert number in env.observation_space
        numbers.append(number)
        for action in np.flatnonzero(info["action_mask"]).tolist():
            walk([*actions, action])

    walk([])
    assert sorted(numbers) == list(range(env.observation_space.n))


@pytest.mark.parametrize("env_id", ["ECNAS-7V-v0", "MO-ECNAS-5V-v0", "ECNAS-7V-Edit-v0", "MO-ECNAS-4V-Edit-v0"])
def test_equal_numbers_are_equal_observations(env_id):
    plain = gym.make(env_id).unwrapped
    numbered = RepairActions(DiscreteState(gym.make(env_id)))
    rng, seen = np.random.default_rng(0), {}
    for episode in range(200):
        observation, info = plain.reset(seed=episode)
        number, _ = numbered.reset(seed=episode)
        terminated = False
        while not terminated:
            assert number in numbered.observation_space
            assert seen.setdefault(number, observation.tobytes()) == observation.tobytes()
            action = rng.choice(np.flatnonzero(info["action_mask"]))
            observation, _, terminated, _, info = plain.step(action)
            number = numbered.step(action)[0]
    assert len(set(seen.values())) == len(seen)


@pytest.mark.parametrize("algorithm", ["DQN", "A2C"])
def test_stable_baselines_without_masks(algorithm):
    """As they are, they hardly ever finish a cell."""
    sb3 = pytest.importorskip("stable_baselines3")
    settings = {"DQN": {"learning_starts": 100}, "A2C": {}}[algorithm]
    finished = {}
    for wrapper in (lambda env: env, RepairActions):
        budget = Budget(evaluations=10_000)
        env = wrapper(gym.make("ECNAS-7V-v0", budget=budget))
        getattr(sb3, algorithm)("MlpPolicy", env, seed=0, device="cpu", **settings).learn(1_300)
        finished[wrapper] = budget.spent.evaluations
    assert finished[RepairActions] == 1_300 // 26
    assert finished[RepairActions] > 5 * min(finished.values())


@pytest.mark.parametrize("limit", [{"evaluations": 5}, {"energy": 0.7}])
@pytest.mark.parametrize("env_id", [env_id for env_id in IDS if "4V" in env_id])
@pytest.mark.parametrize("inner", [lambda env: env, ChooseEpochs])
def test_a_loop_that_nothing_stops_goes_on_after_the_budget(env_id, inner, limit):
    budget = Budget(**limit)
    env = TruncateWhenSpent(RepairActions(inner(gym.make(env_id, budget=budget))))
    rng, paid = np.random.default_rng(0), 0
    for _ in range(40):
        observation, reward, terminated, truncated, info = play(env, rng)
        assert observation in env.observation_space
        assert terminated != truncated
        assert truncated == info["unpaid"]
        assert not (truncated and np.any(reward))
        paid += terminated
    assert paid == budget.spent.evaluations
    assert info["unpaid"] or "energy" in limit


def test_tabular_q_learning():
    """Numbers of states index an array; what is greedy in the end is the best cell."""
    env, rng = RepairActions(DiscreteState(gym.make("ECNAS-4V-v0"))), np.random.default_rng(0)
    values = np.zeros((env.observation_space.n, env.action_space.n))
    for _ in range(3_000):
        state, _ = env.reset()
        terminated = False
        while not terminated:
            action = int(rng.integers(3))
            after, reward, terminated, _, _ = env.step(action)
            values[state, action] = reward + (not terminated) * values[after].max()  # nothing is random here
            state = after
    state, _ = env.reset()
    terminated = False
    while not terminated:
        state, reward, terminated, _, _ = env.step(int(values[state].argmax()))
    assert reward == pytest.approx(env.unwrapped.benchmark.optimum()[1])


def test_examples_in_docstrings():
    assert doctest.testmod(wrappers).failed == 0
