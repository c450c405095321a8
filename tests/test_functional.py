"""The functional environment is the environment, state by state."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from conftest import synthetic_table

import ecnas
import ecnas_gym  # noqa: F401  # registers the environments
from ecnas_gym import CellEnv
from ecnas_gym.builder import decisions
from ecnas_gym.functional import BuildState, FuncCellEnv

EPISODE_OF_4V = (0, 1, 0, 0, 0, 0, 1, 0)
KWARGS = {"objectives": ("val_accuracy", "training_time"), "scalarisation": "chebyshev"}


@pytest.mark.parametrize(("space", "num_states", "num_cells"), [("4V", 352, 91), ("5V", 11134, 2532)])
def test_every_state(space, num_states, num_cells):
    """All states that are not final, each with all three actions, allowed or not."""
    env, func = CellEnv(space, **KWARGS), FuncCellEnv(space, **KWARGS)
    waiting, visited, rows = [((), func.initial(None))], 0, set()
    while waiting:
        history, state = waiting.pop()
        visited += 1
        for action in range(3):
            observation, info = env.reset()
            for earlier in history:
                observation, _, _, _, info = env.step(earlier)
            if action == 0:
                assert_looks(func, state, observation, info)
            observation, reward, terminated, _, info = env.step(action)
            after = func.transition(state, action, None)
            assert_looks(func, after, observation, info)
            assert func.terminal(after, None) == terminated
            assert func.reward(state, action, after, None) == reward
            found = func.transition_info(state, action, after)
            assert found["row"] == (info["cell"].row if "cell" in info else -1)
            if "cell" in info:
                np.testing.assert_array_equal(found["vector_reward"], info["vector_reward"])
                rows.add(info["cell"].row)
            else:
                assert np.isnan(found["vector_reward"]).all()
            if not terminated:
                waiting.append(((*history, action), after))
    assert visited == num_states
    assert rows == set(range(num_cells))


def assert_looks(func: FuncCellEnv, state: BuildState, observation: np.ndarray, info: dict) -> None:
    found = func.observation(state, None)
    assert found.dtype == observation.dtype
    assert found.tobytes() == observation.tobytes()
    assert func.state_info(state)["action_mask"].tolist() == info["action_mask"].astype(bool).tolist()


def drawn(masks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Allowed actions, and now and then any."""
    actions = (rng.random(masks.shape) * masks).argmax(axis=1)
    return np.where(rng.random(len(masks)) < 0.01, rng.integers(3, size=len(masks)), actions)


def test_episodes_of_7v():
    num_envs = 3000
    envs = gym.make_vec("ECNAS-7V-v0", num_envs=num_envs, autoreset_mode="Disabled", **KWARGS).unwrapped
    func = FuncCellEnv("7V", **KWARGS)
    observations, info = envs.reset()
    state = func.transition(func.initial(None), np.full(num_envs, 7), None)
    assert func.terminal(state, None).all()  # 7 is no action
    state = BuildState(*(np.full(num_envs, field) for field in func.initial(None)))
    rng = np.random.default_rng(0)
    rows = np.full(num_envs, -1)
    running = np.ones(num_envs, dtype=bool)
    for _ in decisions(envs.cell_space):
        np.testing.assert_array_equal(func.observation(state, None)[running], observations[running])
        np.testing.assert_array_equal(func.action_mask(state)[running], envs.action_masks()[running])
        actions = drawn(envs.action_masks(), rng)
        after = func.transition(state, actions, None)
        observations, rewards, terminated, _, info = envs.step(actions)
        np.testing.assert_array_equal(func.terminal(after, None)[running], terminated[running])
        np.testing.assert_array_equal(func.reward(state, actions, after, None)[running], rewards[running])
        if "row" in info:
            rows = np.where(running & info["_row"], info["row"], rows)
            np.testing.assert_array_equal(func.row(after)[running], rows[running])
        state = after
        running &= ~terminated
        if terminated.any() and running.any():  # only so that the others can go on
            observations, _ = envs.reset(options={"reset_mask": terminated})
    assert not running.any()
    assert (rows >= 0).sum() > num_envs / 2


def test_final_states_stay():
    func = FuncCellEnv("4V")
    state = func.initial(None)
    for action in EPISODE_OF_4V:
        state = func.transition(state, action, None)
    assert func.row(state) >= 0
    after = func.transition(state, 1, None)
    assert after == state
    assert func.reward(state, 1, after, None) == 0.0


def test_a_benchmark_that_lacks_cells():
    """Masks lead to those that are there."""
    benchmark = ecnas.Benchmark(synthetic_table("4V", missing=frozenset(range(1, 91, 2))))
    env, func = CellEnv("4V", benchmark), FuncCellEnv("4V", benchmark=benchmark)
    rng = np.random.default_rng(0)
    for _ in range(60):
        observation, info = env.reset()
        state = func.initial(None)
        terminated = False
        while not terminated:
            assert_looks(func, state, observation, info)
            action = int(rng.choice(np.flatnonzero(info["action_mask"])))
            observation, reward, terminated, _, info = env.step(action)
            before, state = state, func.transition(state, action, None)
            assert func.reward(before, action, state, None) == reward
        assert func.row(state) % 2 == 0


@pytest.mark.parametrize("repeat", ["mean", 1])
def test_a_world(repeat):
    env = CellEnv("5V", "surrogate-5V~3", repeat=repeat)
    func = FuncCellEnv("5V", benchmark="surrogate-5V~3", repeat=repeat)
    rng = np.random.default_rng(0)
    for _ in range(20):
        _, info = env.reset()
        state, terminated = func.initial(None), False
        while not terminated:
            action = int(rng.choice(np.flatnonzero(info["action_mask"])))
            _, reward, terminated, _, info = env.step(action)
            before, state = state, func.transition(state, action, None)
        assert func.reward(before, action, state, None) == reward


@pytest.mark.parametrize("arrays", ["numpy", "jax.numpy"])
def test_trainings_drawn_at_random(arrays):
    """Each of a cell's three is drawn as often as another."""
    xp = pytest.importorskip(arrays)
    kwargs = {"benchmark": "surrogate-4V~3", "objectives": ("val_accuracy",)}
    func = FuncCellEnv("4V", xp=xp, repeat="random", **kwargs)
    expected = set()
    for repeat in range(3):
        env = CellEnv("4V", repeat=repeat, **kwargs)
        env.reset()
        expected.add(np.float32([env.step(action)[1] for action in EPISODE_OF_4V][-1]).item())
    state = func.initial(None)
    for action in EPISODE_OF_4V[:-1]:
        state = func.transition(state, action, None)
    states = BuildState(*(xp.full(3000, field) for field in state))
    rng = np.random.default_rng(0) if xp is np else pytest.importorskip("jax").random.key(0)
    actions = xp.full(3000, EPISODE_OF_4V[-1])
    rewards = np.float32(func.reward(states, actions, func.transition(states, actions, None), rng))
    found, counts = np.unique(rewards, return_counts=True)
    assert set(found.tolist()) == expected
    assert counts.min() > 900


def test_what_needs_a_memory_is_refused():
    with pytest.raises(ValueError, match="budget must not be given"):
        FuncCellEnv("4V", budget=10)


def test_compiled_steps_of_7v():
    jax = pytest.importorskip("jax")
    func, peer = FuncCellEnv("7V", xp=jax.numpy, **KWARGS), FuncCellEnv("7V", **KWARGS)

    @jax.jit
    def step(states, actions, tables):
        def step_one(state, action):
            after = func.transition(state, action, None, tables)
            reward = func.reward(state, action, after, None, tables)
            return after, func.observation(after, None, tables), func.action_mask(after, tables), reward

        return jax.vmap(step_one)(states, actions)

    num_envs, rng = 2000, np.random.default_rng(1)
    state = BuildState(*(np.full(num_envs, field) for field in peer.initial(None)))
    for _ in decisions(func.cell_space):
        actions = drawn(peer.action_mask(state), rng)
        expected = peer.transition(state, actions, None)
        after, observations, masks, rewards = step(state, actions, func.default_params)
        for ours, theirs in zip(after, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(observations, peer.observation(expected, None))
        np.testing.assert_array_equal(masks, peer.action_mask(expected))
        np.testing.assert_array_equal(rewards, peer.reward(state, actions, expected, None).astype(np.float32))
        state = expected
    assert peer.terminal(state, None).all()
    assert (peer.row(state) >= 0).sum() > num_envs / 2


def test_gymnasiums_vector_environment():
    jax = pytest.importorskip("jax")
    from gymnasium.envs.functional_jax_env import FunctionalJaxVectorEnv

    envs = FunctionalJaxVectorEnv(FuncCellEnv("4V", xp=jax.numpy), num_envs=5)
    observations, _ = envs.reset(seed=0)
    assert observations.shape == (5, 20)
    for action in EPISODE_OF_4V[:-1]:
        _, rewards, terminated, _, _ = envs.step(np.full(5, action))
        assert not terminated.any()
        assert not rewards.any()
    _, rewards, terminated, _, _ = envs.step(np.full(5, EPISODE_OF_4V[-1]))
    assert terminated.all()
    peer = CellEnv("4V")
    peer.reset()
    reward = [peer.step(action)[1] for action in EPISODE_OF_4V][-1]
    np.testing.assert_array_equal(rewards, np.full(5, reward, dtype=np.float32))


@pytest.mark.parametrize(
    "action", [0.5, 1.0, True, "1", None, [0], np.float32(1), np.array([0.0, 1.0]), np.True_], ids=repr
)
def test_what_is_no_action(action):
    """Out of the action space counts as outside of the mask; a fraction is never rounded."""
    env = FuncCellEnv("4V")
    with pytest.raises(ValueError, match="action must be of an integer type, got "):
        env.transition(env.initial(), action)


def test_whole_numbers_of_any_type_are_actions():
    env = FuncCellEnv("4V")
    for kind in (int, np.int8, np.uint64, np.array):
        assert env.transition(env.initial(), kind(1)) == env.transition(env.initial(), 1)
