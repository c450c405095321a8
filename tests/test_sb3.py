"""The adapter gives stable-baselines3 what it would make of single environments itself."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from ecnas import Budget, BudgetExhaustedError

pytest.importorskip("stable_baselines3")
pytest.importorskip("sb3_contrib")

import torch
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnvWrapper, VecMonitor

from ecnas_gym import TruncateWhenSpent
from ecnas_gym.sb3 import CellVecEnv, StopWhenSpent

torch.set_num_threads(1)  # faster for small networks


@pytest.mark.parametrize("wrong", [0.0, 0.1])
def test_it_is_the_vector_environment_of_stable_baselines(wrong):
    num_envs, rng = 6, np.random.default_rng(0)
    envs = CellVecEnv("ECNAS-5V-v0", num_envs, budget=10_000)
    budget = Budget(evaluations=10_000)
    expected = DummyVecEnv([lambda: gym.make("ECNAS-5V-v0", budget=budget)] * num_envs)
    assert envs.observation_space == expected.observation_space
    assert envs.action_space == expected.action_space
    assert is_masking_supported(envs)
    assert np.array_equal(envs.reset(), expected.reset())
    num_finished = num_invalid = 0
    for _ in range(150):
        masks = get_action_masks(envs)
        assert np.array_equal(masks, np.stack([env.unwrapped.action_masks() for env in expected.envs]))
        actions = (rng.random((num_envs, 3)) * masks).argmax(axis=1)
        actions = np.where(rng.random(num_envs) < wrong, rng.integers(3, size=num_envs), actions)
        *results, infos = envs.step(actions)
        *expected_results, expected_infos = expected.step(actions)
        for result, same in zip(results, expected_results, strict=True):
            assert result.dtype == same.dtype
            assert np.array_equal(result, same)
        for info, same in zip(infos, expected_infos, strict=True):
            assert info["TimeLimit.truncated"] == same["TimeLimit.truncated"]
            assert set(info) == set(same) - {"action_mask"}
            for key in ("cell", "evaluation"):
                assert info.get(key) == same.get(key)
            for key in set(info) - {"terminal_observation"}:
                assert type(info[key]) is type(same[key]), key
                assert np.array_equal(info[key], same[key]), key
            if "terminal_observation" in same:
                assert np.array_equal(info["terminal_observation"], same["terminal_observation"])
            if "cell" in same:
                num_finished += 1
            num_invalid += info.get("invalid", False)
    assert num_finished > 20
    assert (num_invalid > 20) == (wrong > 0)


def test_masks_of_some_environments():
    envs = CellVecEnv("ECNAS-4V-v0", 3)
    envs.reset()
    envs.step(np.zeros(3, dtype=int))
    assert [mask.tolist() for mask in envs.env_method("action_masks", indices=[0, 2])] == [[True, True, False]] * 2
    assert envs.env_method("action_masks", indices=1)[0].dtype == bool


class Collect(VecEnvWrapper):
    """Keeps what every step brought."""

    def __init__(self, venv):
        super().__init__(venv)
        self.evaluations = []

    def reset(self):
        return self.venv.reset()

    def step_wait(self):
        result = self.venv.step_wait()
        self.evaluations += [info["evaluation"] for info in result[3] if "evaluation" in info]
        return result


def test_learning_ends_with_the_budget_and_nothing_that_was_paid_is_lost():
    envs = Collect(CellVecEnv("ECNAS-4V-v0", 4, budget=30))
    model = MaskablePPO("MlpPolicy", VecMonitor(envs), n_steps=16, batch_size=64, n_epochs=1, seed=0, device="cpu")
    with pytest.raises(BudgetExhaustedError, match="2 finished cells were not evaluated"):
        model.learn(10_000)
    assert len(envs.evaluations) == envs.get_attr("budget")[0].spent.evaluations == 30
    assert len(model.ep_info_buffer) >= 28


@pytest.mark.parametrize("limit", [{"evaluations": 40}, {"evaluations": 30}, {"energy": 3.0}, {"epochs": 1_100}])
@pytest.mark.parametrize("native", [True, False])
def test_a_callback_ends_learning_without_an_error(limit, native):
    budget = Budget(**limit)
    if native:
        envs = Collect(CellVecEnv("ECNAS-4V-v0", 4, budget=budget))
    else:
        envs = Collect(DummyVecEnv([lambda: TruncateWhenSpent(gym.make("ECNAS-4V-v0", budget=budget))] * 4))
    model = MaskablePPO("MlpPolicy", envs, n_steps=16, batch_size=64, n_epochs=1, seed=0, device="cpu")
    model.learn(10_000, callback=StopWhenSpent())
    assert len(envs.evaluations) == budget.spent.evaluations
    assert model.num_timesteps < 1_000
    if "evaluations" in limit:
        assert budget.exhausted


def test_an_episode_that_the_budget_does_not_allow_ends_truncated():
    envs = CellVecEnv("ECNAS-4V-v0", 3, budget=2, scalarisation="linear")
    envs.reset()
    for _ in range(8):
        masks = np.stack(envs.env_method("action_masks"))
        observations, rewards, ended, infos = envs.step(masks.argmax(axis=1))
    assert ended.all()
    assert (rewards[:2] > 0).all()
    assert rewards[2] == 0
    assert [info["TimeLimit.truncated"] for info in infos] == [False, False, True]
    assert [info.get("unpaid", False) for info in infos] == [False, False, True]
    assert (infos[2]["terminal_observation"][-8:] == 0).all()
    assert np.array_equal(observations[2], envs.reset()[2])
    assert "evaluation" not in infos[2]


@pytest.mark.parametrize("algorithm", [PPO, MaskablePPO])
def test_the_same_seed_gives_the_same_run_as_single_environments(algorithm):
    weights = []
    for envs in (CellVecEnv("ECNAS-4V-v0", 4), DummyVecEnv([lambda: gym.make("ECNAS-4V-v0")] * 4)):
        model = algorithm("MlpPolicy", envs, n_steps=16, batch_size=32, n_epochs=2, seed=1, device="cpu")
        model.learn(256)
        weights.append([value.detach().numpy().copy() for value in model.policy.parameters()])
    for mine, theirs in zip(*weights, strict=True):
        assert np.array_equal(mine, theirs)


def test_what_it_refuses():
    with pytest.raises(ValueError, match="scalar rewards, got 'MO-ECNAS-4V-v0'"):
        CellVecEnv("MO-ECNAS-4V-v0", 2)
    envs = CellVecEnv("ECNAS-4V-v0", 2)
    with pytest.raises(AttributeError, match="cannot set 'budget'"):
        envs.set_attr("budget", None)
    with pytest.raises(AttributeError, match="got 'render'"):
        envs.env_method("render")
    assert not envs.has_attr("no_such_thing")
    assert envs.env_is_wrapped(gym.Wrapper) == [False, False]


def test_pixels():
    envs = CellVecEnv("ECNAS-4V-v0", 2, render_mode="rgb_array")
    envs.reset()
    assert [image.shape for image in envs.get_images()] == [(480, 480, 3)] * 2
