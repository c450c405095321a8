"""Masked PPO for many runs at once: against sb3-contrib's, and each run for itself."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from conftest import synthetic_table

sb3_contrib = pytest.importorskip("sb3_contrib")
torch = pytest.importorskip("torch")

import ecnas  # noqa: E402
from ecnas.runs.run import begun, run_task  # noqa: E402
from ecnas.task import Task  # noqa: E402
from ecnas_gym.agents import ppo_many  # noqa: E402
from ecnas_gym.sb3 import CellVecEnv  # noqa: E402

STEPS = 8  # decisions of an episode in 4V


def published_parameters(model) -> np.ndarray:
    """The weights of sb3-contrib's policy, in the order of :class:`agents.ppo_many.Shape`."""
    extractor = model.policy.mlp_extractor
    vectors = []
    for network, last in (
        (extractor.policy_net, model.policy.action_net),
        (extractor.value_net, model.policy.value_net),
    ):
        for layer in (network[0], network[2], last):
            vectors += [layer.weight.detach().numpy().T.ravel(), layer.bias.detach().numpy()]
    return np.concatenate(vectors).copy()[None]


def by_episode(steps: np.ndarray) -> np.ndarray:
    """What sb3-contrib's buffer holds, (n_steps, envs, …), as (1, episodes, T, …)."""
    steps = np.asarray(steps).swapaxes(0, 1)
    return steps.reshape(1, -1, STEPS, *steps.shape[2:]).copy()


@pytest.mark.parametrize("minibatch_episodes", [8, 2])
@pytest.mark.parametrize("seed", [0, 1])
def test_updates_are_those_of_sb3_contrib(seed, minibatch_episodes, monkeypatch):
    """Three rollouts of sb3-contrib's, and what the two make of each."""
    torch.set_num_threads(1)
    envs = CellVecEnv("ECNAS-4V-v0", num_envs=4)
    model = sb3_contrib.MaskablePPO(
        "MlpPolicy",
        envs,
        learning_rate=3e-3,
        n_steps=2 * STEPS,
        batch_size=minibatch_episodes * STEPS,
        n_epochs=4,
        gamma=1.0,
        gae_lambda=0.95,
        clip_range=0.2,
        ent_coef=0.02,
        vf_coef=0.5,
        policy_kwargs={"net_arch": [64, 64]},
        seed=seed,
        device="cpu",
    )
    orders, permutation = [], np.random.permutation
    monkeypatch.setattr(np.random, "permutation", lambda size: orders.append(permutation(size)) or orders[-1])
    seen = []
    train = model.train

    def watched_train() -> None:
        buffer = model.rollout_buffer
        rollout = {
            name: by_episode(getattr(buffer, name))
            for name in ("observations", "actions", "log_probs", "action_masks", "values", "advantages", "rewards")
        }
        before = published_parameters(model)
        orders.clear()
        train()
        seen.append((before, rollout, np.array([orders]), published_parameters(model)))

    model.train = watched_train
    model.learn(total_timesteps=3 * 8 * STEPS)
    assert len(seen) == 3

    shape = ppo_many.Shape(envs.observation_space.shape[0], 64)
    learner = ppo_many.Learner(seen[0][0], np.zeros_like(seen[0][0]), np.zeros_like(seen[0][0]), 0)
    settings = ppo_many.MaskedPPO(minibatch_episodes=minibatch_episodes)
    for before, found, visited, after in seen:
        np.testing.assert_allclose(learner.parameters, before, atol=1e-5)
        rollout = ppo_many.Rollout(
            found["observations"],
            found["action_masks"].reshape(1, 8, STEPS, 3).astype(bool),
            found["actions"].reshape(1, 8, STEPS).astype(np.int64),
            found["log_probs"],
            found["rewards"][:, :, -1],
        )
        x = rollout.observations.reshape(1, 8 * STEPS, -1)
        policy, value = shape.split(before)
        log_p = ppo_many.log_softmax(ppo_many.forward(policy, x)[2], rollout.masks.reshape(1, 8 * STEPS, 3))
        log_p = np.take_along_axis(log_p, rollout.actions.reshape(1, -1, 1), axis=2)
        np.testing.assert_allclose(log_p.ravel(), found["log_probs"].ravel(), atol=1e-6)
        values = ppo_many.forward(value, x)[2]
        np.testing.assert_allclose(values.ravel(), found["values"].ravel(), atol=1e-6)
        advantages = ppo_many.advantages(found["values"], rollout.rewards, 0.95)
        np.testing.assert_allclose(advantages, found["advantages"], atol=1e-6)
        learner = ppo_many.update(shape, learner, rollout, None if minibatch_episodes == 8 else visited, settings)
        assert np.abs(after - before).max() > 1e-3
        np.testing.assert_allclose(learner.parameters, after, atol=1e-5)


def test_a_run_does_not_depend_on_the_others():
    """Not to the last bit, and not when others end before it."""
    method = ppo_many.MaskedPPO(minibatch_episodes=4)
    budgets = {3: 120, 4: 60, 5: 99}
    task = Task.of(ecnas.load("surrogate-7V"))
    alone = {seed: run_task(method, task, budget, seed) for seed, budget in budgets.items()}
    with contextlib.ExitStack() as stack:
        starts = [stack.enter_context(begun(method, task, budget, seed)) for seed, budget in budgets.items()]
        method.run_many(*zip(*starts, strict=True))
    for seed, start in zip(budgets, starts, strict=True):
        record = start.evaluate.record
        assert len(record) == budgets[seed]
        for column in ("row", "reward"):
            np.testing.assert_array_equal(record.column(column), alone[seed].column(column))


def test_it_learns():
    record = run_task(ppo_many.MaskedPPO(), Task.of(ecnas.load("surrogate-5V")), 800, 0)
    rewards = record.column("reward")
    assert rewards[-100:].mean() > rewards[:100].mean() + 0.1


def test_cells_that_the_benchmark_lacks_are_invalid():
    """The budget counts what the benchmark has; the others are rewarded as invalid."""
    space = ecnas.Space("4V")
    benchmark = ecnas.Benchmark(synthetic_table("4V", missing=frozenset(range(2, len(space), 3))))
    record = run_task(ppo_many.MaskedPPO(), Task.of(benchmark), 40, 0)
    assert len(record) == 40
    assert not set(record.column("row").astype(int)) & set(range(2, len(space), 3))


@pytest.mark.parametrize("minibatches", [False, True])
def test_compiled_by_jax_an_update_is_the_same(minibatches):
    jax = pytest.importorskip("jax")
    method = ppo_many.MaskedPPO(minibatch_episodes=4 if minibatches else 8, update_epochs=2)
    shape, rng = ppo_many.Shape(20, 16), np.random.default_rng(0)
    learner = ppo_many.initial(shape, [np.random.default_rng(seed) for seed in range(3)])
    masks = rng.random((3, 8, STEPS, 3)) < 0.6
    masks[..., 0] = True
    rollout = ppo_many.Rollout(
        rng.integers(-1, 2, size=(3, 8, STEPS, 20)).astype(np.float32),
        masks,
        (rng.random(masks.shape) * masks).argmax(axis=-1),
        np.log(rng.uniform(0.2, 0.6, size=(3, 8, STEPS))).astype(np.float32),
        rng.random((3, 8)).astype(np.float32),
    )
    orders = np.array([[rng.permutation(8 * STEPS) for _ in range(2)] for _ in range(3)]) if minibatches else None
    expected = ppo_many.update(shape, learner, rollout, orders, method)
    found = jax.jit(lambda *arrays: ppo_many.update(shape, *arrays, method))(learner, rollout, orders)
    assert int(found.steps) == expected.steps == (4 if minibatches else 2)
    for ours, theirs in zip(found[:3], expected[:3], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
