"""The vector environment has the episodes of single environments, to the last bit."""

from __future__ import annotations

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest
from conftest import synthetic_table
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import ecnas
from ecnas import Benchmark, Budget, BudgetExhaustedError
from ecnas.objectives import SCALARISATIONS
from ecnas_gym.automaton import START, automaton
from ecnas_gym.builder import CellBuilder
from ecnas_gym.vector import CellVectorEnv, MOCellVectorEnv

SPACES = {"4V": 8, "5V": 13, "7V": 26}


def legal(info, rng):
    """A uniform draw from the allowed actions; any action where none is allowed."""
    return (rng.random(info["action_mask"].shape) * (info["action_mask"] + 1e-9)).argmax(axis=1)


def assert_same_info(info, expected):
    """What the native form says is what gymnasium makes of single environments: keys, types, values."""
    keys = {key for key in info if key not in ("final_obs", "final_info")}
    assert keys == {key for key in expected if key not in ("final_obs", "final_info")}
    for key in keys:
        assert isinstance(info[key], np.ndarray)
        assert info[key].dtype == expected[key].dtype != object, key
        assert info[key].shape == expected[key].shape, key
        there = info[key if key.startswith("_") else f"_{key}"]
        assert np.array_equal(info[key][there], expected[key][there]), key
        if key.startswith("_"):
            assert np.array_equal(info[key], expected[key]), key


@pytest.mark.parametrize("wrong", [0.0, 0.03, 1.0])
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize("space", SPACES)
def test_episodes_are_those_of_single_environments(space, mode, wrong):
    """Hundreds of episodes each; actions outside of the mask end some early, so that they are not in step."""
    num_envs, rng = 32, np.random.default_rng(1)
    lacking = frozenset({30, 40, 60})
    benchmark = Benchmark(synthetic_table("4V", missing=lacking)) if space == "4V" else None
    arguments = {"scalarisation": "chebyshev", "benchmark": benchmark}
    envs = gym.make_vec(f"ECNAS-{space}-v0", num_envs=num_envs, autoreset_mode=mode, **arguments)
    single = SyncVectorEnv([lambda: gym.make(f"ECNAS-{space}-v0", **arguments)] * num_envs, autoreset_mode=mode)
    observations, info = envs.reset(seed=3)
    expected, expected_info = single.reset(seed=3)
    assert np.array_equal(observations, expected)
    num_ended = 0
    for _ in range(5 * SPACES[space]):
        assert_same_info(info, expected_info)
        assert np.array_equal(envs.unwrapped.action_masks(), info["action_mask"].astype(bool))
        actions = np.where(rng.random(num_envs) < wrong, rng.integers(3, size=num_envs), legal(info, rng))
        *results, info = envs.step(actions)
        *expected, expected_info = single.step(actions)
        for result, same in zip(results, expected, strict=True):
            assert result.dtype == same.dtype
            assert np.array_equal(result, same)
        ended = results[2]
        num_ended += ended.sum()
        if mode == AutoresetMode.SAME_STEP and ended.any():
            assert np.array_equal(info["_final_obs"], ended)
            assert np.array_equal(info["_final_info"], ended)
            for mine, theirs in zip(info["final_obs"][ended], expected_info["final_obs"][ended], strict=True):
                assert np.array_equal(mine, theirs)
            assert_same_info(info["final_info"], expected_info["final_info"])
    assert num_ended >= 4 * num_envs


@pytest.mark.parametrize("wrong", [0.0, 0.05])
@pytest.mark.parametrize("space", SPACES)
def test_vector_rewards_are_those_of_single_environments(space, wrong):
    num_envs, rng = 8, np.random.default_rng(2)
    objectives = ("val_accuracy", "energy", "trainable_parameters")
    envs = gym.make_vec(f"MO-ECNAS-{space}-v0", num_envs=num_envs, objectives=objectives)
    singles = [gym.make(f"MO-ECNAS-{space}-v0", objectives=objectives).unwrapped for _ in range(num_envs)]
    assert isinstance(envs, MOCellVectorEnv)
    assert (envs.reward_dim, envs.reward_space) == (3, singles[0].reward_space)
    assert np.array_equal(envs.pareto_front(0.9), singles[0].pareto_front(0.9))
    observations, info = envs.reset()
    started = [env.reset() for env in singles]
    ended = np.zeros(num_envs, dtype=bool)
    for _ in range(6 * SPACES[space]):
        actions = np.where(rng.random(num_envs) < wrong, rng.integers(3, size=num_envs), legal(info, rng))
        observations, rewards, terminated, truncated, info = envs.step(actions)
        assert rewards.shape == (num_envs, 3)
        assert rewards.dtype == np.float64
        assert not truncated.any()
        for number, env in enumerate(singles):
            if ended[number]:
                started[number] = env.reset()
                expected = (started[number][0], np.zeros(3), False)
            else:
                expected = env.step(actions[number])[:3]
            assert np.array_equal(observations[number], expected[0])
            assert np.array_equal(rewards[number], expected[1])
            assert terminated[number] == expected[2]
        ended = terminated


def test_rewards_of_every_cell_do_not_depend_on_the_number_of_environments():
    """One reward formula, whether it is given one cell or many."""
    env = gym.make("ECNAS-5V-v0").unwrapped
    for name in SCALARISATIONS:
        scalarisation = env.benchmark.scalarisation(name)
        rewards = env.benchmark.scalar_rewards(scalarisation)
        figures = env.benchmark.query_rows(np.arange(len(env.cell_space)))
        for row in range(0, len(rewards), 7):
            single = {key: np.float64(getattr(figures, key)[row]) for key in ecnas.OBJECTIVES}
            vector = env.benchmark.normalisation(env.objectives, env.epochs).rewards(
                np.array([single["val_accuracy"], single["energy"]])
            )
            assert float(scalarisation(vector, single)) == rewards[row]


@pytest.mark.parametrize("space", SPACES)
def test_automaton_has_the_masks_of_the_builder(space):
    tables = automaton(ecnas.Space(space))
    assert len(tables.masks) == 3 * {"4V": 37, "5V": 166, "7V": 2654}[space]
    builder, rng = CellBuilder(ecnas.Space(space)), np.random.default_rng(0)
    for _ in range(300):
        builder.reset()
        state = START
        while not builder.finished:
            allowed = [action for action in range(3) if builder.mask >> action & 1]
            assert np.flatnonzero(tables.masks[state]).tolist() == allowed
            action = rng.choice(allowed)
            builder.apply(action)
            state = tables.following[state + action]
        assert state < START


def play(envs, info, rng, steps):
    """Legal steps; the last one's results."""
    for _ in range(steps):
        result = envs.step(legal(info, rng))
        info = result[4]
    return result


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
def test_a_budget_that_ends_within_a_step_pays_for_the_first_and_truncates_the_others(mode):
    rng = np.random.default_rng(0)
    envs = gym.make_vec("ECNAS-4V-v0", num_envs=4, budget=10, scalarisation="linear", autoreset_mode=mode)
    for batch in range(2):
        _, info = envs.reset()
        assert play(envs, info, rng, 8)[2].all()
        assert envs.unwrapped.budget.spent.evaluations == 4 * (batch + 1)
    _, info = envs.reset()
    _, rewards, terminated, truncated, info = play(envs, info, rng, 8)
    assert terminated.tolist() == [True, True, False, False]
    assert truncated.tolist() == [False, False, True, True]
    assert (rewards[:2] > 0).all()
    assert (rewards[2:] == 0).all()
    final = info["final_info"] if mode == "SameStep" else info
    assert final["unpaid"].tolist() == [False, False, True, True]
    assert final["_row"].tolist() == [True, True, False, False]
    assert not final["invalid"].any()
    assert final["budget"]["evaluations"] == 10
    for _ in range(2):
        with pytest.raises(BudgetExhaustedError, match="2 finished cells were not evaluated"):
            envs.step(np.zeros(4, dtype=int))
    envs.reset()
    with pytest.raises(BudgetExhaustedError, match="no episode is left"):
        envs.step(np.zeros(4, dtype=int))
    assert envs.unwrapped.budget.spent.evaluations == 10


def test_after_a_refusal_a_reset_starts_cells_that_may_be_cheaper():
    """As after a single environment's refusal, if the budget is not spent to the last unit."""
    rng = np.random.default_rng(0)
    envs = gym.make_vec("ECNAS-4V-v0", num_envs=4, budget=Budget(energy=0.5))
    _, info = envs.reset()
    while not np.any(info.get("unpaid", False)):
        info = envs.step(legal(info, rng))[4]
    with pytest.raises(BudgetExhaustedError):
        envs.step(np.zeros(4, dtype=int))
    spent = envs.unwrapped.budget.spent
    _, info = envs.reset()
    assert (envs.step(np.zeros(4, dtype=int))[0][:, 0] == 1).all()
    assert envs.unwrapped.budget.spent == spent


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_a_budget_that_is_spent_to_the_last_unit(mode):
    rng = np.random.default_rng(0)
    envs = gym.make_vec("ECNAS-4V-v0", num_envs=4, budget=4, scalarisation="linear", autoreset_mode=mode)
    _, info = envs.reset()
    observations, rewards, terminated, truncated, info = play(envs, info, rng, 8)
    assert terminated.all()
    assert not truncated.any()
    assert (rewards > 0).all()
    assert (observations[:, -8:] == 0).all() == (mode == "NextStep")
    with pytest.raises(BudgetExhaustedError, match="no episode is left"):
        envs.step(np.zeros(4, dtype=int))


def test_episodes_that_are_under_way_go_on_after_the_last_unit():
    """As single environments do, until one of them has to start or to pay."""
    envs = gym.make_vec("ECNAS-4V-v0", num_envs=2, budget=1, autoreset_mode="Disabled")
    rng = np.random.default_rng(0)
    _, info = envs.reset()
    for _ in range(3):
        info = envs.step(legal(info, rng))[4]
    _, info = envs.reset(options={"reset_mask": np.array([False, True])})
    assert info["_action_mask"].tolist() == [False, True]
    for _ in range(5):
        _, _, terminated, _, info = envs.step(legal(info, rng))
    assert terminated.tolist() == [True, False]
    with pytest.raises(ResetNeeded, match=r"\[0\] have ended"):
        envs.step(np.zeros(2, dtype=int))
    envs.reset(options={"reset_mask": terminated})
    with pytest.raises(BudgetExhaustedError):
        envs.step(np.zeros(2, dtype=int))


@pytest.mark.parametrize("limits", [{"energy": 9.0}, {"seconds": 40_000.0}, {"evaluations": 37}])
def test_a_budget_is_charged_as_one_by_one_and_never_overspent(limits):
    """Random episodes, also invalid ones; the same evaluations in the same order fill another budget equally."""
    rng = np.random.default_rng(5)
    envs = gym.make_vec("ECNAS-5V-v0", num_envs=6, budget=Budget(**limits))
    benchmark, other = envs.unwrapped.benchmark, Budget(**limits)
    _, info = envs.reset()
    while True:
        actions = np.where(rng.random(6) < 0.03, rng.integers(3, size=6), legal(info, rng))
        try:
            info = envs.step(actions)[4]
        except BudgetExhaustedError:
            break
        for row in info.get("row", np.array([-1])).tolist():
            if row >= 0:
                benchmark.query_row(row, budget=other)
        assert envs.unwrapped.budget.spent == other.spent
    spent, limit = other.spent, next(iter(limits.values()))
    assert 0.6 * limit < getattr(spent, next(iter(limits))) <= limit


def test_one_budget_serves_single_and_vector_environments():
    budget, rng = Budget(evaluations=5), np.random.default_rng(0)
    envs = gym.make_vec("ECNAS-4V-v0", num_envs=3, budget=budget)
    env = gym.make("ECNAS-4V-v0", budget=budget)
    _, info = env.reset()
    for _ in range(8):
        info = env.step(env.action_space.sample(info["action_mask"]))[4]
    _, info = envs.reset()
    play(envs, info, rng, 8)
    assert budget.spent.evaluations == 4


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([0, 0], r"actions must be integers of shape \(3,\), got int64 of shape \(2,\)"),
        ([[0], [0], [0]], r"of shape \(3, 1\)"),
        ([0.0, 0.0, 0.0], "got float64"),
        ([0, 3, 0], "from 0 to 2, got 3"),
        ([0, -1, 0], "from 0 to 2, got -1"),
    ],
)
def test_bad_actions_change_nothing(actions, message):
    envs = gym.make_vec("ECNAS-4V-v0", num_envs=3)
    with pytest.raises(ResetNeeded):
        envs.step(np.zeros(3, dtype=int))
    envs.reset()
    twin = copy.deepcopy(envs)
    with pytest.raises(ValueError, match=message):
        envs.step(actions)
    for mine, other in zip(envs.step([1, 0, 2]), twin.step(np.array([1, 0, 2], dtype=np.uint8)), strict=True):
        assert str(mine) == str(other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_envs": 0}, "num_envs must be a whole number of at least 1, got 0"),
        ({"autoreset_mode": "sometimes"}, "sometimes"),
        ({"scalarisation": "best"}, "best"),
        ({"benchmark": "surrogate-5V"}, "answers for space 5V"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises((ValueError, KeyError), match=message):
        CellVectorEnv(**{"space": "4V"} | arguments)


@pytest.mark.parametrize("mask", [np.zeros(2, bool), np.ones(3, bool), np.ones(2, int), [True]])
def test_bad_reset_masks(mask):
    envs = gym.make_vec("ECNAS-4V-v0", num_envs=2)
    with pytest.raises(ValueError, match="reset_mask must be bool"):
        envs.reset(options={"reset_mask": mask})


@pytest.mark.parametrize("env_id", ["ECNAS-7V-v0", "MO-ECNAS-7V-v0"])
def test_what_is_handed_out_is_the_callers(env_id):
    envs, rng = gym.make_vec(env_id, num_envs=3), np.random.default_rng(0)
    twin = copy.deepcopy(envs)
    (observations, info), (expected, expected_info) = envs.reset(), twin.reset()
    for _ in range(30):
        actions = legal(expected_info, rng)
        observations[...] = 7.0
        info["action_mask"][...] = 7
        observations, *others, info = envs.step(actions)
        expected, *expected_others, expected_info = twin.step(actions)
        assert np.array_equal(observations, expected)
        assert np.array_equal(info["action_mask"], expected_info["action_mask"])
        for mine, other in zip(others, expected_others, strict=True):
            assert np.array_equal(mine, other)
            mine[...] = 1


def test_gymnasium_makes_it():
    envs = gym.make_vec("ECNAS-7V-v0", num_envs=5, vectorization_mode="vector_entry_point")
    assert type(envs) is CellVectorEnv
    assert envs.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    single = gym.make("ECNAS-7V-v0")
    assert envs.single_observation_space == single.observation_space
    assert envs.single_action_space == single.action_space
    assert envs.observation_space.shape == (5, 62)
    observations, _ = envs.reset(seed=0)
    assert observations in envs.observation_space
    assert gym.make_vec(envs.spec).num_envs == 5
    clone = pickle.loads(pickle.dumps(envs))
    actions = envs.action_space.sample()
    assert np.array_equal(envs.step(actions)[0], clone.step(actions)[0])


def test_gymnasium_wrappers_apply():
    envs = gym.make_vec("ECNAS-4V-v0", num_envs=3)
    envs = gym.wrappers.vector.DictInfoToList(gym.wrappers.vector.RecordEpisodeStatistics(envs))
    rng = np.random.default_rng(0)
    _, infos = envs.reset()
    for _ in range(8):
        actions = np.array([rng.choice(np.flatnonzero(info["action_mask"])) for info in infos])
        _, rewards, _, _, infos = envs.step(actions)
    for reward, info in zip(rewards, infos, strict=True):
        assert info["episode"]["l"] == 8
        assert info["episode"]["r"] == pytest.approx(reward)
        assert info["energy"] > 0
        assert 0 <= info["row"] < 91


def test_render():
    envs, rng = gym.make_vec("ECNAS-4V-v0", num_envs=2, render_mode="ansi"), np.random.default_rng(0)
    single = [gym.make("ECNAS-4V-v0", render_mode="ansi") for _ in range(2)]
    _, info = envs.reset()
    for env in single:
        env.reset()
    for _ in range(6):
        actions = legal(info, rng)
        info = envs.step(actions)[4]
        for env, action in zip(single, actions, strict=True):
            env.step(action)
        assert envs.render() == tuple(env.render() for env in single)
    pixels = gym.make_vec("ECNAS-4V-v0", num_envs=2, render_mode="rgb_array")
    pixels.reset()
    assert [picture.shape for picture in pixels.render()] == [(480, 480, 3)] * 2


def test_documentation_examples_run():
    import doctest

    import ecnas_gym.vector

    result = doctest.testmod(ecnas_gym.vector)
    assert result.attempted > 5
    assert not result.failed


def test_a_mode_that_there_is_not():
    with pytest.raises(ecnas.UnknownNameError, match="unknown autoreset_mode 'NextSteps'. Did you mean 'NextStep'?"):
        gym.make_vec("ECNAS-4V-v0", num_envs=2, autoreset_mode="NextSteps")
