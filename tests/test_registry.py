"""What every environment of this package promises: a new id is tested at once."""

from __future__ import annotations

import copy
import importlib.util
import os
import pickle
import subprocess
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.utils.env_match import check_environments_match
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

import ecnas
import ecnas_gym
from ecnas import Budget, BudgetExhaustedError, BudgetProcessError
from ecnas_gym import ChooseEpochs

SPECS = [spec for spec in gym.registry.values() if str(spec.entry_point).startswith("ecnas_gym")]
IDS = [spec.id for spec in SPECS]
SCALAR = [env_id for env_id in IDS if not env_id.startswith("MO-")]
VECTORISED = [spec.id for spec in SPECS if spec.vector_entry_point]
SMALL = [env_id for env_id in IDS if "4V" in env_id]


def play(env, rng, seed=None, masked=True, options=None):
    """An episode; what its last step brought."""
    _, info = env.reset(seed=seed, options=options)
    while True:
        allowed = np.flatnonzero(info["action_mask"]) if masked else np.arange(env.action_space.n)
        result = env.step(rng.choice(allowed))
        info = result[4]
        if result[2] or result[3]:
            return result


def synchronous(env_id, num_envs, mode, **arguments):
    """Single environments side by side, by gymnasium; those with vector rewards by MO-Gymnasium."""
    makers = [lambda: gym.make(env_id, **arguments)] * num_envs
    if not env_id.startswith("MO-"):
        return SyncVectorEnv(makers, autoreset_mode=mode)
    if mode != AutoresetMode.NEXT_STEP:
        pytest.skip("MO-Gymnasium resets in the next step alone")
    return pytest.importorskip("mo_gymnasium").wrappers.vector.MOSyncVectorEnv(makers)


def draw(mask, rng):
    """An allowed action for each environment."""
    return (rng.random(mask.shape) * (mask + 1e-9)).argmax(axis=-1)


def test_all_are_here():
    assert len(IDS) == len(set(IDS)) == 12
    assert all(env_id.endswith("-v0") for env_id in IDS)


# --- Gymnasium's own checks, as they are ------------------------------------------------------------------------------


@pytest.mark.parametrize("env_id", SCALAR)
def test_check_env(env_id):
    check_env(gym.make(env_id, render_mode="ansi").unwrapped)


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("wrapper", [None, ChooseEpochs])
def test_equal_seeds_give_equal_episodes(env_id, wrapper):
    one, two = gym.make(env_id), gym.make(env_id)
    if wrapper is not None:
        one, two = wrapper(one), wrapper(two)
    check_environments_match(one, two, num_steps=150, seed=3)


@pytest.mark.parametrize("env_id", IDS)
def test_information_of_equal_episodes_is_equal(env_id):
    infos = [play(gym.make(env_id), np.random.default_rng(1), seed=5)[4] for _ in range(2)]
    assert data_equivalence(*infos, exact=True)
    assert infos[0]["evaluation"] == infos[1]["evaluation"]
    assert infos[0]["cell"] == infos[1]["cell"]


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("env_id", IDS)
def test_information_becomes_tensors(env_id, masked):
    torch = pytest.importorskip("torch")
    pytest.importorskip("array_api_compat")
    env = gym.wrappers.NumpyToTorch(in_scalars(env_id, budget=1_000))  # it has no form for vector rewards
    rng = np.random.default_rng(0)
    for _ in range(5):
        observation, info = env.reset(seed=0)
        ended = False
        while not ended:
            allowed = np.flatnonzero(info["action_mask"].numpy()) if masked else np.arange(env.action_space.n)
            observation, _, terminated, truncated, info = env.step(torch.tensor(rng.choice(allowed)))
            ended = terminated or truncated
        assert all(isinstance(value, torch.Tensor) for value in info.values())
    assert isinstance(observation, torch.Tensor)


def in_scalars(env_id, **arguments):
    """An environment with scalar rewards: one with vector rewards as MO-Gymnasium's own tests make it."""
    env = gym.make(env_id, **arguments)
    return pytest.importorskip("mo_gymnasium").wrappers.LinearReward(env) if env_id.startswith("MO-") else env


def assert_the_same(one, two):
    """As MO-Gymnasium's tests compare: the same types, keys and order of keys too."""
    assert type(one) is type(two)
    if isinstance(one, dict):
        assert list(one) == list(two)
        for key in one:
            assert_the_same(one[key], two[key])
    else:
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("env_id", IDS)
def test_the_environment_tests_of_gymnasium_and_mo_gymnasium(env_id):
    """The checker without any warning, a determined rollout without masks, bounds of rewards, pickling."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gym.make(env_id).reset()
        if not env_id.startswith("MO-"):
            check_env(gym.make(env_id).unwrapped, skip_render_check=True)
    if env_id.startswith("MO-"):
        with pytest.warns(UserWarning, match="has a wrapper applied"):  # MO-Gymnasium's own environments warn as well
            # LinearReward puts the same array of weights into every information, which Gymnasium 1.4 refuses.
            check_env(gym.wrappers.TransformReward(gym.make(env_id), np.sum), skip_render_check=True)
    one, two = in_scalars(env_id), in_scalars(env_id)
    for first, second in zip(one.reset(seed=0), two.reset(seed=0), strict=True):
        assert_the_same(first, second)
    one.action_space.seed(0)
    for _ in range(50):
        action = one.action_space.sample()
        results = one.step(action), two.step(action)
        assert results[0][0] in one.observation_space
        for first, second in zip(*results, strict=True):
            assert_the_same(first, second)
            assert data_equivalence(first, second, exact=True)
        if results[0][2] or results[0][3]:
            one.reset(seed=0)
            two.reset(seed=0)
    if env_id.startswith("MO-"):
        base = one.unwrapped
        base.reset()
        for _ in range(50):
            _, reward, terminated, truncated, _ = base.step(base.action_space.sample())
            assert reward in base.reward_space
            if terminated or truncated:
                base.reset()
    again = pickle.loads(pickle.dumps(one))
    action = one.action_space.sample()
    assert data_equivalence(one.reset(seed=123), again.reset(seed=123))
    assert data_equivalence(one.step(action), again.step(action))


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("env_id", IDS)
def test_all_information_has_a_data_type(env_id, masked):
    """What TorchRL asks of every item, in whatever step it first looks: at an invalid one too."""
    env, rng = gym.make(env_id, budget=1_000), np.random.default_rng(0)
    if masked:
        env = ecnas_gym.RepairActions(env)
    for _ in range(5):
        info = play(env, rng, masked=False)[4]
        assert info
        for key, value in info.items():
            assert value.dtype.kind in "bif", key


# --- Information ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("env_id", IDS)
def test_what_is_told_of_a_finished_cell(env_id):
    env = gym.make(env_id, budget=Budget(energy=1_000))
    info = play(env, np.random.default_rng(0), seed=0)[4]
    evaluation = env.unwrapped.benchmark.query_row(info["row"])
    assert info["evaluation"] == evaluation
    assert info["cell"] == env.unwrapped.cell_space[info["row"]]
    assert info["budget"]["evaluations"] == 1
    numbers = {
        "row": np.int64, "epochs": np.int64, "trainable_parameters": np.int64, "energy": np.float64, "co2": np.float64,
        "val_accuracy": np.float64, "test_accuracy": np.float64, "training_time": np.float64,
        "invalid": np.ndarray, "unpaid": np.ndarray, "action_mask": np.ndarray, "vector_reward": np.ndarray,
    }  # fmt: skip
    assert {key: type(value) for key, value in info.items()} == numbers  # the embedded benchmark lacks train_accuracy
    assert (info["invalid"].dtype, info["invalid"].shape) == (info["unpaid"].dtype, info["unpaid"].shape) == (bool, ())
    for name in ("energy", "val_accuracy", "trainable_parameters", "epochs"):
        assert info[name] == getattr(evaluation, name)
    assert not info["invalid"]
    assert not info["unpaid"]


@pytest.mark.parametrize("env_id", IDS)
def test_objects_are_found_but_are_no_items(env_id):
    env = gym.make(env_id)
    info = play(env, np.random.default_rng(0), seed=0)[4]
    for name in ("cell", "evaluation"):
        assert name in info
        assert name not in dict(info)
        assert info.get(name) == info[name]
        for other in (copy.deepcopy(info), copy.copy(info), info.copy(), ecnas_gym.info.Info(info)):
            assert (name in other) == (type(other) is type(info) and other._objects == info._objects)
    assert "budget" not in info
    assert info.get("budget") is None
    with pytest.raises(KeyError):
        info["budget"]


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize("budget", [False, True])
@pytest.mark.parametrize("env_id", VECTORISED)
def test_native_synchronous_and_single_environments_tell_the_same(env_id, budget, mode):
    arguments = {"budget": Budget(evaluations=10**6)} if budget else {}
    native = gym.make_vec(env_id, num_envs=3, autoreset_mode=mode, **arguments)
    sync = synchronous(env_id, 3, mode, **arguments)
    rng, seen = np.random.default_rng(0), {}
    for envs in (native, sync):
        _, info = envs.reset(seed=0)
        types = {}
        for step in range(60):
            action = draw(info["action_mask"], rng) if step < 40 else rng.integers(native.single_action_space.n, size=3)
            info = envs.step(action)[4]
            told = info.get("final_info", info)
            for key, value in told.items():
                if not key.startswith("_"):
                    types[key] = (value.dtype, value.shape)
        seen[envs] = types
    assert seen[native] == seen[sync]
    single = play(gym.make(env_id, **arguments), rng)[4]
    assert set(single) == set(seen[native])


# --- Actions, options, arguments --------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [np.int8(0), np.uint16(0), np.array(0), np.array(0, dtype=np.int32), 0])
@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("wrapper", [lambda env: env, ChooseEpochs])
def test_whole_numbers_of_any_type_are_actions(env_id, wrapper, action):
    env = wrapper(gym.make(env_id))
    env.reset(seed=0)
    env.step(action)


@pytest.mark.parametrize(
    "action",
    [0.0, 0.5, np.float32(1), np.nan, "0", None, True, np.True_, [0], np.array([1]), np.zeros(2, int), -1, 10**6, 1j],
)
@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("wrapper", [lambda env: env, ChooseEpochs])
def test_what_is_no_action(env_id, wrapper, action):
    env = wrapper(gym.make(env_id))
    env.reset(seed=0)
    most = env.action_space.n - 1
    with pytest.raises(ValueError, match=f"action must be a whole number from 0 to {most}, got ") as error:
        env.step(action)
    assert str(error.value).endswith(repr(action))
    assert not env.step(int(np.flatnonzero(env.unwrapped.action_masks())[0]))[3]


@pytest.mark.parametrize(
    "actions", [[0.0] * 3, [0.5, 0, 0], ["0"] * 3, [None] * 3, [True] * 3, [0, 0], [[0]] * 3, 0, [0, -1, 0], [0, 99, 0]]
)
@pytest.mark.parametrize("env_id", VECTORISED)
def test_what_are_no_actions(env_id, actions):
    envs = gym.make_vec(env_id, num_envs=3)
    envs.reset(seed=0)
    with pytest.raises(ValueError, match="actions must be"):
        envs.step(actions)


@pytest.mark.parametrize("options", [{"cel": ecnas.Space("4V")[0]}, {"reset_mask": np.ones(3, bool)}, "cell", [1]])
@pytest.mark.parametrize("env_id", IDS)
def test_options_that_nobody_reads(env_id, options):
    env = gym.make(env_id)
    with pytest.raises(ValueError, match="options must"):
        env.reset(options=options)
    env.reset(options={})
    env.reset(options=None)


@pytest.mark.parametrize("env_id", VECTORISED)
def test_options_that_no_vector_environment_reads(env_id):
    envs = gym.make_vec(env_id, num_envs=3)
    with pytest.raises(ValueError, match="'reset_mask'.*got the key 'mask'"):
        envs.reset(options={"mask": np.ones(3, bool)})


@pytest.mark.parametrize("env_id", IDS)
def test_objectives_have_an_order(env_id):
    for objectives in ({"val_accuracy", "energy"}, {"val_accuracy": 1}, "energy", None, 3):
        with pytest.raises(ValueError, match="objectives must be a sequence"):
            gym.make(env_id, objectives=objectives)


@pytest.mark.parametrize("env_id", IDS)
def test_a_picture_needs_matplotlib(env_id, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "matplotlib" else find(name, *a))
    with pytest.raises(gym.error.DependencyNotInstalled, match=r"ecnas-gym\[plots\]"):
        gym.make(env_id, render_mode="rgb_array")
    gym.make(env_id, render_mode="ansi")
    gym.make(env_id)


@pytest.mark.parametrize("env_id", IDS)
def test_specifications(env_id):
    """Also by the module's name, which alone works in processes that have not imported this package."""
    env = gym.make(f"ecnas_gym:{env_id}", epochs=36)
    spec = gym.envs.registration.EnvSpec.from_json(env.spec.to_json())
    assert gym.make(spec).unwrapped.epochs == 36
    if env_id in VECTORISED:
        assert gym.make_vec(f"ecnas_gym:{env_id}", num_envs=2).spec.to_json()


def test_a_process_that_knows_nothing_of_this_package():
    code = "import gymnasium as gym; env = gym.make('ecnas_gym:ECNAS-4V-v0'); env.reset(); env.step(0)"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- Which training answers -------------------------------------------------------------------------------------------


def repeated_benchmark():
    """Three trainings of every cell, of which one cell lacks the last."""
    from conftest import synthetic_table

    table = synthetic_table("4V")
    noise = np.random.default_rng(1).random((91, 2, 3)) * 0.01
    noise[40, :, 2] = np.nan
    columns = {name: ecnas.table.Column(column.values * (1 + noise)) for name, column in table.columns.items()}
    return ecnas.Benchmark(synthetic_table("4V", repeats=3, columns=columns, digest="0" * 64))


@pytest.mark.parametrize("env_id", SMALL)
@pytest.mark.parametrize("repeat", [None, "mean", 0, np.int64(1), "random"])
def test_the_training_that_answers(env_id, repeat):
    benchmark = repeated_benchmark()
    env = gym.make(env_id, benchmark=benchmark, repeat=repeat)
    rng, drawn = np.random.default_rng(0), set()
    for episode in range(40):
        info = play(env, rng, seed=7 if episode == 0 else None)[4]
        number = info.get("repeat")
        assert info["evaluation"] == benchmark.query(info["cell"], repeat=number)
        drawn.add(number)
    assert drawn == ({0, 1, 2} if repeat == "random" else {None if repeat in (None, "mean") else int(repeat)})


@pytest.mark.parametrize("env_id", SMALL)
def test_the_seed_of_a_reset_decides_on_random_trainings(env_id):
    benchmark = repeated_benchmark()

    def seen(seed):
        env, rng = gym.make(env_id, benchmark=benchmark, repeat="random"), np.random.default_rng(0)
        return [play(env, rng, seed=seed if n == 0 else None)[4].get("repeat") for n in range(20)]

    assert seen(1) == seen(1) != seen(2)
    env = gym.make(env_id, benchmark=benchmark, repeat=np.random.default_rng(5))
    assert play(env, np.random.default_rng(0))[4]["repeat"] in range(3)


@pytest.mark.parametrize("env_id", SMALL)
@pytest.mark.parametrize("repeat", [3, -1, 1.0, "Mean", True])
def test_no_such_training(env_id, repeat):
    with pytest.raises(ecnas.OutOfDomainError, match="repeat must be 'mean'"):
        gym.make(env_id, benchmark=repeated_benchmark(), repeat=repeat)


@pytest.mark.parametrize("env_id", [i for i in VECTORISED if "4V" in i])
@pytest.mark.parametrize("repeat", [None, 2, "random"])
def test_trainings_in_vector_environments(env_id, repeat):
    benchmark = repeated_benchmark()

    def run(seed):
        envs, rng, told = (
            gym.make_vec(env_id, num_envs=16, benchmark=benchmark, repeat=repeat),
            np.random.default_rng(0),
            [],
        )
        _, info = envs.reset(seed=seed)
        for _ in range(100):
            info = envs.step(draw(info["action_mask"], rng))[4]
            for place in np.flatnonzero(info.get("_row", [])):
                number = int(info["repeat"][place]) if "repeat" in info else None
                expected = benchmark.query_row(int(info["row"][place]), repeat=number)
                assert info["energy"][place] == expected.energy
                assert info["val_accuracy"][place] == expected.val_accuracy
                told.append(number)
        return told

    told = run(3)
    assert set(told) == ({0, 1, 2} if repeat == "random" else {repeat})
    if repeat == "random":
        assert told == run(3) != run(4)
        seeds = list(range(16))
        assert run(seeds) == run(seeds) != run(seeds[::-1])


# --- Vector rewards ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("env_id", [i for i in IDS if i.startswith("MO-")])
def test_the_reference_point_is_in_units_of_the_reward(env_id):
    moocore = pytest.importorskip("moocore")
    env = gym.make(env_id).unwrapped
    front = np.array(env.pareto_front())
    volume = moocore.hypervolume(front, ref=env.reference_point, maximise=True)
    natural = env.benchmark.reference_point(env.objectives, env.epochs)
    np.testing.assert_allclose(
        env.benchmark.normalisation(env.objectives, env.epochs).scores(natural), env.reference_point
    )
    widths = np.diff(front[:, 0], prepend=env.reference_point[0])  # a staircase: the front ascends in the first
    assert volume == pytest.approx(widths @ (front[:, 1] - env.reference_point[1]))
    assert 0.85 < volume < 1.21
    if env_id in VECTORISED:
        np.testing.assert_array_equal(gym.make_vec(env_id, num_envs=2).unwrapped.reference_point, env.reference_point)


# --- Budgets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("number", [2, np.int64(2), np.array(2), 2.0])
def test_a_number_is_a_budget_of_evaluations(env_id, number):
    env = gym.make(env_id, budget=number)
    rng = np.random.default_rng(0)
    play(env, rng)
    assert play(env, rng)[4]["budget"]["evaluations"] == 2
    env.reset()
    with pytest.raises(BudgetExhaustedError):
        env.step(0)


@pytest.mark.parametrize("env_id", SMALL)
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_many_environments_out_of_a_number_are_refused(env_id, mode):
    with pytest.raises(
        ValueError, match=r"budget must be an ecnas.Budget where gymnasium.vector.*Budget\(evaluations=10\)"
    ):
        gym.make_vec(env_id, num_envs=4, budget=10, vectorization_mode=mode)
    make = lambda: gym.make(env_id, budget=10)  # noqa: E731
    with pytest.raises(ValueError, match="budget must be an ecnas.Budget where gymnasium.vector"):
        SyncVectorEnv([make, make])


@pytest.mark.parametrize("env_id", [i for i in SMALL if i in SCALAR])
def test_many_environments_of_stable_baselines_out_of_a_number_are_refused(env_id):
    env_util = pytest.importorskip("stable_baselines3.common.env_util")
    with pytest.raises(ValueError, match="budget must be an ecnas.Budget where stable_baselines3"):
        env_util.make_vec_env(env_id, n_envs=4, env_kwargs={"budget": 10})


def evaluations_seen(step, reset, num_envs, mask_of, rng):
    """Steps until the budget ends; how many evaluations were handed out."""
    info, seen = reset(), 0
    while True:
        try:
            info, told = step(draw(mask_of(info), rng))
        except BudgetExhaustedError:
            return seen
        seen += told


@pytest.mark.parametrize(
    "limit", [{"evaluations": 40}, {"evaluations": 5}, {"evaluations": 7}, {"energy": 5.0}, {"epochs": 1000}]
)
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize("num_envs", [1, 2, 4, 5])
@pytest.mark.parametrize("env_id", SMALL)
def test_all_that_is_paid_is_seen_in_gymnasiums_vector_environment(env_id, num_envs, mode, limit):
    budget, rng = Budget(**limit), np.random.default_rng(0)
    envs = synchronous(env_id, num_envs, mode, budget=budget)

    def step(actions):
        wrong = np.where(rng.random(num_envs) < 0.05, rng.integers(envs.single_action_space.n), actions)
        info = envs.step(wrong)[4]
        told = info.get("final_info", info)
        return info, int(np.count_nonzero(told.get("_row", ())))

    seen = evaluations_seen(step, lambda: envs.reset(seed=0)[1], num_envs, lambda info: info["action_mask"], rng)
    assert seen == budget.spent.evaluations
    most = limit.get("evaluations", 1000 // 108 if "epochs" in limit else seen)
    assert seen == most


@pytest.mark.parametrize("limit", [{"evaluations": 40}, {"evaluations": 42}, {"energy": 5.0}])
@pytest.mark.parametrize("env_id", [i for i in SMALL if i in SCALAR])
def test_all_that_is_paid_is_seen_in_stable_baselines(env_id, limit):
    vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
    budget, rng = Budget(**limit), np.random.default_rng(0)
    envs = vec_env.DummyVecEnv([lambda: gym.make(env_id, budget=budget)] * 4)

    def masks(_):
        return np.stack(envs.env_method("action_masks"))

    def step(actions):
        infos = envs.step(actions)[3]
        return infos, sum("row" in info for info in infos)

    assert evaluations_seen(step, envs.reset, 4, masks, rng) == budget.spent.evaluations
    if "evaluations" in limit:
        assert budget.exhausted


@pytest.mark.parametrize("env_id", SMALL)
def test_processes_do_not_multiply_a_budget(env_id):
    budget = Budget(evaluations=10)
    with pytest.raises(BudgetProcessError, match="cannot pickle.*own in each process"):
        AsyncVectorEnv([lambda: gym.make(env_id, budget=budget)] * 2, context="spawn")
    if hasattr(os, "fork"):
        envs = AsyncVectorEnv([lambda: gym.make(env_id, budget=budget)] * 2, context="fork")
        envs.reset()
        with pytest.raises(BudgetProcessError, match="was made in another process"):
            envs.step(np.zeros(2, dtype=int))
        envs.close(terminate=True)
    assert budget.spent.evaluations == 0


def test_subprocesses_of_stable_baselines_do_not_multiply_a_budget():
    vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
    budget = Budget(evaluations=10)
    with pytest.raises(BudgetProcessError, match="cannot pickle"):
        vec_env.SubprocVecEnv([lambda: gym.make("ECNAS-4V-v0", budget=budget)] * 2)


@pytest.mark.parametrize("env_id", SMALL)
def test_choosing_epochs_ends_with_the_budget_too(env_id):
    """What is left for the fewest epochs is enough for an episode to begin."""
    env = ChooseEpochs(gym.make(env_id, budget=Budget(epochs=8)))
    rng = np.random.default_rng(0)

    def train():
        _, info = env.reset()
        observation = np.zeros(2)
        while not observation[-2]:
            observation, _, _, _, info = env.step(rng.choice(np.flatnonzero(info["action_mask"])))
        return env.step(0)

    assert train()[4]["epochs"] == 4
    assert train()[4]["budget"]["epochs"] == 8
    _, info = env.reset()
    with pytest.raises(BudgetExhaustedError):
        env.step(np.flatnonzero(info["action_mask"])[0])


# --- The native form has what gymnasium's own vector environments have ------------------------------------------------


@pytest.mark.parametrize("env_id", VECTORISED)
def test_call_get_attr_and_set_attr(env_id):
    envs = gym.make_vec(env_id, num_envs=3, render_mode="ansi").unwrapped
    envs.reset(seed=0)
    np.testing.assert_array_equal(envs.call("action_masks"), envs.action_masks())
    assert envs.call("render") == envs.render()
    assert envs.get_attr("epochs") == envs.call("epochs") == (108, 108, 108)
    assert len(envs.get_attr("objectives")) == 3
    budget = Budget(evaluations=2)
    envs.set_attr("budget", budget)
    envs.set_attr("budget", [budget] * 3)
    assert envs.get_attr("budget") == (budget,) * 3
    with pytest.raises(ValueError, match="budget must be the same for all 3"):
        envs.set_attr("budget", [budget, budget, None])
    with pytest.raises(AttributeError, match="'epochs'"):
        envs.set_attr("epochs", 4)
    with pytest.raises(AttributeError):
        envs.get_attr("nothing")
    with pytest.raises(AttributeError, match="all environments at once"):
        envs.call("step", 0)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize("env_id", VECTORISED)
def test_a_limit_on_steps(env_id, mode):
    limit = 3
    native = gym.make_vec(env_id, num_envs=5, max_episode_steps=limit, autoreset_mode=mode)
    rng = np.random.default_rng(0)
    _, info = native.reset(seed=0)
    steps, truncations = np.zeros(5, dtype=int), 0
    fresh = np.zeros(5, dtype=bool)
    for _ in range(40):
        _, _, terminated, truncated, info = native.step(draw(info["action_mask"], rng))
        steps = np.where(fresh, 0, steps + 1)
        np.testing.assert_array_equal(truncated, (steps == limit) & ~terminated)
        truncations += truncated.sum()
        ended = terminated | truncated
        fresh = ended & (mode == AutoresetMode.NEXT_STEP)
        steps[ended] = 0
    assert truncations > 10


@pytest.mark.parametrize("seed", [[1, 2, 3], (1, None, 3), np.array([1, 2, 3]), 5, None, [None] * 3])
@pytest.mark.parametrize("env_id", VECTORISED)
def test_seeds(env_id, seed):
    gym.make_vec(env_id, num_envs=3).reset(seed=seed)


@pytest.mark.parametrize("seed", [[1, 2], "1", [1, 2, -3], 0.5])
@pytest.mark.parametrize("env_id", VECTORISED)
def test_no_seeds(env_id, seed):
    with pytest.raises(ValueError, match="seed must be"):
        gym.make_vec(env_id, num_envs=3).reset(seed=seed)
