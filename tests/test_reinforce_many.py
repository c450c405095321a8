"""Many runs of REINFORCE at once are the same runs as one by one."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tyro")
pytest.importorskip("tqdm")

from ecnas_gym.agents.reinforce_many import Args, CategoricalREINFORCE, policy_gradient, search
from ecnas_gym.agents.tabular import Drawn

from ecnas.runs.script import RunSettings, run_method
from ecnas_gym.vector import CellVectorEnv


def runs_of(args):
    found = search(args)
    return list(zip(np.split(found.rows, found.ends[:-1]), np.split(found.rewards, found.ends[:-1]), strict=True))


@pytest.mark.parametrize("env_id", ["ECNAS-4V-v0", "ECNAS-7V-v0"])
def test_a_run_does_not_depend_on_how_many_there_are(env_id):
    arguments = {"env_id": env_id, "seconds": 1e5, "progress": False}
    together = runs_of(Args(**arguments, runs=7, seed=3))
    assert len({rows.tobytes() for rows, _ in together}) == 7
    for number, (rows, rewards) in enumerate(together):
        ((rows_alone, rewards_alone),) = runs_of(Args(**arguments, runs=1, seed=3 + number))
        assert np.array_equal(rows, rows_alone)
        assert np.array_equal(rewards, rewards_alone)


def test_a_run_ends_before_the_first_evaluation_that_it_cannot_pay():
    args = Args(env_id="ECNAS-5V-v0", runs=5, seconds=2e4, progress=False)
    longer = runs_of(Args(env_id="ECNAS-5V-v0", runs=5, seconds=4e4, progress=False))
    seconds = CellVectorEnv(space="5V").benchmark.values("training_time")
    for (rows, _), (more_rows, _) in zip(runs_of(args), longer, strict=True):
        assert np.array_equal(rows, more_rows[: len(rows)])
        assert seconds[rows].sum() <= args.seconds < seconds[more_rows[: len(rows) + 1]].sum()


def test_a_budget_below_any_evaluation_gives_empty_runs():
    found = search(Args(env_id="ECNAS-4V-v0", runs=3, seconds=1e-3, progress=False))
    assert found.ends.tolist() == [0, 0, 0]
    assert len(found.rows) == len(found.rewards) == 0


def test_it_learns():
    for _, rewards in runs_of(Args(env_id="ECNAS-4V-v0", runs=8, seconds=1e6, progress=False)):
        assert rewards[-50:].mean() > rewards[:50].mean()


def test_gradient_is_that_of_finite_differences():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4, 5, 3)).astype(np.float32)
    masks = rng.random((4, 5, 3)) < 0.6
    actions = rng.integers(3, size=(4, 5))
    np.put_along_axis(masks, actions[:, :, None], True, axis=2)
    advantages = rng.normal(size=4).astype(np.float32)

    def loss(values):
        allowed = np.where(masks, values, -np.inf)
        log_p = allowed - np.log(np.exp(allowed).sum(axis=2, keepdims=True))
        return -(advantages * np.take_along_axis(log_p, actions[:, :, None], axis=2).sum(axis=(1, 2))).sum()

    gradient = policy_gradient(logits, Drawn(actions, masks, np.zeros(4, dtype=np.int64)), advantages)
    for index in np.ndindex(logits.shape):
        step = np.zeros(logits.shape)
        step[index] = 1e-5
        assert gradient[index] == pytest.approx((loss(logits + step) - loss(logits - step)) / 2e-5, abs=1e-5)


def test_a_training_that_was_luckier_than_the_best_cell_does_no_harm(recwarn):
    """Rewards are on the scale of what is expected, so those of a world may exceed 1."""
    settings = RunSettings(
        benchmark="surrogate-4V~1",
        budget=400,
        repeat="random",
        objectives=("val_accuracy",),
        save=False,
        progress=False,
    )
    record = run_method(CategoricalREINFORCE(log_regret=True), settings)
    assert record.column("reward").max() > 1.001
    assert not recwarn.list


@pytest.mark.parametrize("log_regret", [False, True])
def test_tensorflow_has_the_same_run_in_a_sweep(log_regret):
    pytest.importorskip("tensorflow")
    from ecnas_gym.agents import reinforce

    settings = RunSettings(space="5V", seed=2, budget=40, save=False, progress=False)
    theirs = run_method(reinforce.REINFORCE(log_regret=log_regret), settings)
    ours = run_method(CategoricalREINFORCE(log_regret=log_regret), settings)
    assert ours.column("row").tolist() == theirs.column("row").tolist()
    assert ours.column("reward").tolist() == theirs.column("reward").tolist()


def test_tensorflow_has_the_same_run():
    pytest.importorskip("tensorflow")
    from ecnas_gym.agents import reinforce

    theirs = run_method(
        reinforce.REINFORCE(),
        RunSettings(space="4V", seed=5, budget_seconds=1.5e4, save=False, progress=False),
    )
    ((rows, rewards),) = runs_of(Args(env_id="ECNAS-4V-v0", seed=5, progress=False, runs=1, seconds=1.5e4))
    assert len(rows) > 10
    assert theirs.column("row").astype(int).tolist() == rows.tolist()
    assert np.array_equal(theirs.column("reward").astype(np.float32), rewards)
