"""Epochs as the last action."""

from __future__ import annotations

import doctest

import gymnasium as gym
import numpy as np
import pytest
from conftest import synthetic_table
from gymnasium.utils.env_checker import check_env

from ecnas import Benchmark, Budget, BudgetExhaustedError, Column
from ecnas_gym import ChooseEpochs, fidelity

IDS = [f"{mo}ECNAS-{space}{kind}-v0" for mo in ("", "MO-") for space in ("4V", "7V") for kind in ("", "-Edit")]


def finish(env, rng, **reset):
    """Random legal actions until the epochs are to be chosen."""
    _, info = env.reset(**reset)
    observation = np.zeros(2)
    while not observation[-2]:
        action = rng.choice(np.flatnonzero(info["action_mask"]))
        observation, reward, terminated, _, info = env.step(action)
        assert not terminated
        assert not np.any(reward)
    return observation, info


@pytest.mark.parametrize("env_id", IDS)
def test_the_last_action_says_for_how_many_epochs(env_id):
    budget = Budget(epochs=1_000_000)
    env = ChooseEpochs(gym.make(env_id, budget=budget))
    base = env.unwrapped
    rng = np.random.default_rng(0)
    env.reset(seed=0)
    spent = 0
    for episode in range(24):
        observation, info = finish(env, rng)
        assert env.observation_space.contains(observation)
        np.testing.assert_array_equal(np.flatnonzero(info["action_mask"]), [0, 1, 2, 3])
        np.testing.assert_array_equal(env.action_masks(), info["action_mask"])
        action = episode % 4
        observation, reward, terminated, _, info = env.step(action)
        epochs = (4, 12, 36, 108)[action]
        spent += epochs
        evaluation = info["evaluation"]
        assert terminated
        assert not info["action_mask"].any()
        assert evaluation.epochs == epochs
        assert budget.spent.epochs == spent
        assert evaluation.val_accuracy == base.benchmark.query(info["cell"], epochs).val_accuracy
        usual = gym.make("MO-ECNAS-" + env_id.split("ECNAS-")[1], epochs=epochs).unwrapped
        expected = usual.benchmark.normalisation(usual.objectives, usual.epochs).rewards(
            np.array([evaluation.val_accuracy, evaluation.energy])
        )
        np.testing.assert_allclose(info["vector_reward"], expected)
        fine = max(0.0, 0.2 - expected[1])
        np.testing.assert_allclose(reward, expected if env_id.startswith("MO") else expected[0] - fine)
        assert base.epochs == 108


def test_what_is_observed_tells_all_cells_apart():
    """The last decision on a cell is not in the environment's own observation when the epochs are chosen."""
    env = ChooseEpochs(gym.make("ECNAS-4V-v0"))
    rng = np.random.default_rng(0)
    seen = {}
    for _ in range(3_000):
        observation, _ = finish(env, rng)
        info = env.step(0)[-1]
        assert seen.setdefault(observation.tobytes(), info["cell"]) == info["cell"]
    assert len(set(seen.values())) == 91


@pytest.mark.parametrize("env_id", [i for i in IDS if not i.startswith("MO")])
def test_passes_the_checker(env_id):
    with pytest.warns(UserWarning, match="has a wrapper applied"):
        check_env(ChooseEpochs(gym.make(env_id).unwrapped, min_epochs=12), skip_render_check=True)


def test_fewest_epochs():
    env = ChooseEpochs(gym.make("ECNAS-7V-v0", epochs=36), min_epochs=12)
    assert env.fidelities == (12, 36)
    assert env.action_space.n == 3
    with pytest.raises(ValueError, match="at most the environment's epochs 36"):
        ChooseEpochs(gym.make("ECNAS-7V-v0", epochs=36), min_epochs=108)
    with pytest.raises(TypeError, match="environment of ecnas_gym"):
        ChooseEpochs(gym.make("CartPole-v1"))


def test_actions_outside_the_mask_end_the_episode():
    rng = np.random.default_rng(0)
    env = ChooseEpochs(gym.make("ECNAS-7V-v0"), min_epochs=36)
    finish(env, rng)
    _, reward, terminated, _, info = env.step(2)  # there are two numbers of epochs
    assert (reward, terminated, info["invalid"]) == (-1.0, True, True)
    with pytest.raises(gym.error.ResetNeeded):
        env.step(0)
    env = ChooseEpochs(gym.make("ECNAS-7V-v0"))
    env.reset()
    _, reward, _, _, info = env.step(3)  # an operation decision has three
    assert reward == -1.0
    assert not info["action_mask"].any()
    for action in (0, 3):
        with pytest.raises(gym.error.ResetNeeded):
            env.step(action)
    with pytest.raises(ValueError, match="whole number from 0 to 3, got 4"):
        env.step(4)


def test_many_environments_share_one_budget():
    budget = Budget(epochs=2_000)
    envs = gym.make_vec("ECNAS-4V-v0", num_envs=3, vectorization_mode="sync", wrappers=[ChooseEpochs], budget=budget)
    rng = np.random.default_rng(0)

    def search():
        _, info = envs.reset(seed=0)
        while True:
            mask = info["action_mask"]
            info = envs.step((rng.random(mask.shape) * mask).argmax(axis=1))[-1]

    with pytest.raises(BudgetExhaustedError):
        search()
    assert 2_000 - 108 <= budget.spent.epochs <= 2_000


def test_a_training_that_is_too_dear_is_refused_and_not_charged():
    budget = Budget(epochs=40)
    env = ChooseEpochs(gym.make("ECNAS-4V-v0", budget=budget))
    rng = np.random.default_rng(0)
    finish(env, rng)
    with pytest.raises(BudgetExhaustedError):
        env.step(3)
    assert budget.spent.epochs == 0
    assert env.unwrapped.epochs == 108
    finish(env, rng)
    env.step(2)
    assert budget.spent.epochs == 36


@pytest.mark.parametrize("mo", ["", "MO-"])
def test_the_incumbent_is_of_the_most_epochs_and_can_be_trained_for_more(mo):
    env = ChooseEpochs(gym.make(f"{mo}ECNAS-7V-Edit-v0"))
    base = env.unwrapped
    stop = base.edits.stop
    space = base.cell_space
    env.reset(seed=0)

    def train(row, action):
        env.reset(options={"cell": space[row]})
        env.step(stop)
        return env.step(action)[-1]

    best = int(np.argmax(base.benchmark.values("val_accuracy", 12)))
    train(best, 1)
    train(100, 0)
    env.reset()
    assert base.edits.cell(base.placed) == space[best]
    train(1000, 3)
    train(best, 1)
    env.reset()
    assert base.edits.cell(base.placed) == space[1000]
    env.reset(options={"cell": space[best]})
    assert env.action_masks()[stop]  # it is known, but not at 108 epochs
    train(best, 3)
    env.reset(options={"cell": space[best]})
    assert not env.action_masks()[stop]


def test_examples_in_docstrings():
    assert doctest.testmod(fidelity, optionflags=doctest.ELLIPSIS).failed == 0


# --- Trainings that differ --------------------------------------------------------------------------------------------


def uneven_benchmark():
    """Fewer trainings at 108 epochs than at 4, of some cells fewer still, and of some trainings no energy was noted."""
    rng = np.random.default_rng(3)
    table = synthetic_table("4V")
    holes = rng.random((91, 2, 3)) * 0.01
    holes[:60, 1, 1:] = np.nan
    holes[::3, 0, 1] = np.nan
    holes[::5, 0] = np.nan
    columns = {name: Column(column.values * (1 - holes)) for name, column in table.columns.items()}
    energy = columns["energy"].values.copy()
    energy[::2, 0, 0] = np.nan
    energy[::7, 1, 0] = np.nan
    columns["energy"] = Column(energy)
    return Benchmark(synthetic_table("4V", repeats=3, columns=columns))


@pytest.mark.parametrize("env_id", [env_id for env_id in IDS if "4V" in env_id])
@pytest.mark.parametrize("repeat", [None, "mean", 0, 1, 2, "random", "generator"])
def test_every_choice_of_epochs_that_is_allowed_has_its_training(env_id, repeat):
    benchmark = uneven_benchmark()
    given = np.random.default_rng(4) if repeat == "generator" else repeat
    env = ChooseEpochs(gym.make(env_id, benchmark=benchmark, repeat=given))
    rng, seen = np.random.default_rng(0), set()
    for episode in range(300):
        finish(env, rng, seed=episode)
        allowed = np.flatnonzero(env.action_masks())
        _, reward, _, _, info = env.step(rng.choice(allowed))
        number = int(info["repeat"]) if "repeat" in info else None
        evaluation = benchmark.query_row(info["row"], int(info["epochs"]), repeat=number)
        assert info["evaluation"] == evaluation
        assert np.isfinite(reward).all()
        seen.add((int(info["row"]), int(info["epochs"]), number))
        assert number == repeat if isinstance(repeat, int) else (number is None) == (repeat in (None, "mean"))
    complete = {
        (row, epochs, number)
        for place, epochs in enumerate((4, 108))
        for row, number in np.argwhere(~np.isnan(benchmark.table.columns["energy"].values[:, place])).tolist()
    }
    if repeat in (None, "mean"):
        assert {key[:2] for key in seen} <= {key[:2] for key in complete}
    else:
        assert seen <= complete
    assert {epochs for _, epochs, _ in seen} == {4, 108}
