"""The controllers: exact budgets, complete and repeatable records, masks, gradients, and that they learn."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import ecnas
from ecnas.runs.record import RunRecord
from ecnas_gym.builder import NUM_ACTIONS, decisions
from tests.conftest import ROOT

pytest.importorskip("stable_baselines3", reason="the controllers need ecnas-gym[agents]")
pytest.importorskip("sb3_contrib", reason="the controllers need ecnas-gym[agents]")
pytest.importorskip("tensorflow", reason="the controllers need ecnas-gym[agents]")
pytest.importorskip("tyro", reason="the controllers need ecnas-gym[agents]")

from agents import ppo, reinforce
from agents.common import Search, SearchArgs, make_budget, make_vec_env

QUIET = {"env_id": "ECNAS-4V-v0", "save": False, "progress": False}

CONTROLLERS = {
    "maskable-ppo": (ppo, {}),
    "ppo": (ppo, {"masked": False}),
    "categorical": (reinforce, {}),
    "lstm": (reinforce, {"policy": "lstm"}),
}


def search(name: str, **changes) -> Search:
    module, settings = CONTROLLERS[name]
    return module.main(module.Args(**(QUIET | settings | changes)))


def without_clock(record: RunRecord) -> list[str]:
    # As JSON, in which a figure that is missing equals itself.
    return [json.dumps({key: value for key, value in row.items() if key != "wall_clock"}) for row in record.rows]


# ---------------------------------------------------------------------------------------------------------------------
# Budgets


@pytest.mark.parametrize("name", CONTROLLERS)
def test_spends_evaluations_to_the_last(name):
    run = search(name, budget=21)  # a multiple of no batch size
    assert len(run.record) == run.budget.spent.evaluations == 21


@pytest.mark.parametrize("name", ["maskable-ppo", "categorical", "lstm"])
def test_spends_energy_as_far_as_it_goes(name):
    run = search(name, budget_kwh=5.0)
    spent = run.budget.spent
    assert spent.energy <= 5.0
    assert len(run.record) == spent.evaluations > 0
    np.testing.assert_allclose(run.record.column("energy").sum(), spent.energy, rtol=1e-12)
    # What ended the search is a cell that no longer fitted: less was left than the dearest cell costs.
    assert 5.0 - spent.energy < np.nanmax(run.benchmark.values("energy"))


@pytest.mark.parametrize(
    ("limits", "evaluations"),
    [({"budget_epochs": 1080}, 10), ({"budget_epochs": 1187}, 10), ({"epochs": 4, "budget_epochs": 1080}, 270)],
)
def test_spends_epochs(limits, evaluations):
    assert len(search("categorical", **limits).record) == evaluations


def test_spends_seconds():
    run = search("categorical", budget_seconds=40_000.0)
    assert 0 < run.record.column("training_time").sum() <= 40_000.0


def test_the_tightest_budget_ends_the_search():
    run = search("categorical", budget=7, budget_kwh=1e6)
    assert len(run.record) == 7


def test_default_budget():
    assert make_budget(SearchArgs()).limits == {"evaluations": 300}
    assert make_budget(SearchArgs(budget_kwh=2.5)).limits == {"energy": 2.5}


def test_many_environments_share_one_budget():
    with Search("test", SearchArgs(**QUIET, budget=3)) as run:
        envs = make_vec_env(run, 2)
        envs.reset()
        rng = np.random.default_rng(0)
        while True:
            masks = np.array(envs.env_method("action_masks"))
            envs.step((rng.random(masks.shape) * masks).argmax(axis=1))
    assert len(run.record) == run.budget.spent.evaluations == 3


@pytest.mark.parametrize("num_envs", [1, 2])
def test_ppo_can_edit_cells(num_envs):
    # These environments have no vectorised form.
    first, second = (
        search("maskable-ppo", env_id="ECNAS-5V-Edit-v0", num_envs=num_envs, budget=21, seed=2) for _ in range(2)
    )
    assert len(first.record) == first.budget.spent.evaluations == 21
    assert first.invalid_episodes == 0
    assert without_clock(first.record) == without_clock(second.record)


def test_too_small_a_budget_is_said(capsys, tmp_path):
    run = search("categorical", budget_kwh=1e-6, save=True, out=tmp_path)
    assert len(run.record) == 0
    assert "does not allow a single evaluation" in capsys.readouterr().out


def test_a_policy_without_masks_does_not_run_for_ever():
    # One that never finishes a cell would: here 64 steps end before the 1000 evaluations do.
    run = search("ppo", budget=1000, max_steps=64)
    assert len(run.record) < 64


# ---------------------------------------------------------------------------------------------------------------------
# Records


@pytest.mark.parametrize("name", CONTROLLERS)
def test_deterministic(name):
    first, second = (search(name, budget=40, seed=3).record for _ in range(2))
    assert without_clock(first) == without_clock(second)
    other = search(name, budget=40, seed=4).record
    assert without_clock(first) != without_clock(other)


def test_the_same_run_in_another_process(tmp_path):
    here = search("lstm", budget=12, seed=5).record
    command = [sys.executable, "-m", "agents.reinforce", "--env-id", "ECNAS-4V-v0", "--policy", "lstm"]
    command += ["--budget", "12", "--seed", "5", "--out", str(tmp_path), "--no-progress"]
    subprocess.run(command, cwd=ROOT, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True)
    there = RunRecord.load(tmp_path / "record.jsonl")
    assert without_clock(here) == without_clock(there)
    assert there.header["settings"]["policy"] == "lstm"
    assert there.header["digest"] == here.header["digest"]


def test_record_is_complete_and_says_what_the_benchmark_says(tmp_path):
    run = search("maskable-ppo", budget=20, save=True, out=tmp_path, weights=(0.8, 0.2))
    record = RunRecord.load(tmp_path / "record.jsonl")
    assert [row["index"] for row in record.rows] == list(range(20))
    rewards = run.benchmark.scalar_rewards(ecnas.Linear((0.8, 0.2)))
    for row in record.rows:
        evaluation = run.benchmark.query(run.benchmark.space[row["row"]])
        assert (row["val_accuracy"], row["energy"], row["epochs"]) == (
            evaluation.val_accuracy,
            evaluation.energy,
            evaluation.epochs,
        )
        assert row["reward"] == pytest.approx(rewards[row["row"]], abs=1e-12)
    assert record.header["settings"]["weights"] == [0.8, 0.2]
    assert not list(tmp_path.glob("*.partial"))


def test_an_error_leaves_the_record_partial(tmp_path):
    def interrupted() -> None:
        with Search("test", SearchArgs(**(QUIET | {"save": True, "out": tmp_path}), budget=3)) as run:
            run.add(run.benchmark.space[5], run.benchmark.query(run.benchmark.space[5], budget=run.budget))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path.name for path in tmp_path.iterdir()] == ["record.jsonl.partial"]


def test_a_killed_run_leaves_a_partial_record_and_starts_again(tmp_path):
    program = """
import os, pathlib, signal, sys
from agents.common import Search, SearchArgs
with Search("test", SearchArgs(env_id="ECNAS-4V-v0", budget=5, out=pathlib.Path(sys.argv[1]), progress=False)) as run:
    for row in range(3):
        run.add(run.benchmark.space[row], run.benchmark.query_row(row, budget=run.budget))
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, env=environment, check=False)
    assert killed.returncode != 0
    assert [path.name for path in tmp_path.iterdir()] == ["record.jsonl.partial"]
    assert len((tmp_path / "record.jsonl.partial").read_text().splitlines()) == 1 + 3
    search("categorical", budget=5, save=True, out=tmp_path)
    assert len(RunRecord.load(tmp_path / "record.jsonl")) == 5
    assert not list(tmp_path.glob("*.partial"))


def test_report(tmp_path, capsys):
    run = search("categorical", budget=60, save=True, progress=True, out=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "record.jsonl",
        "report.md",
        "front.csv",
        "cell.txt",
        "cell.png",
        "front.png",
        "learning.png",
    }
    shown = capsys.readouterr().out
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert text in shown
    _, optimum = run.benchmark.optimum()
    best = run.record.column("reward").max()
    assert f"| {best:.4f} | {optimum:.4f} | {optimum - best:+.4f} |" in text
    assert f"{run.record.column('energy').sum():.2f} kWh" in text
    assert f"{run.record.column('co2').sum() / 1000:.2f} kg CO2" in text
    rows = [line.split(",") for line in (tmp_path / "front.csv").read_text().splitlines()[1:]]
    exact = run.benchmark.pareto_front()
    assert sorted(int(row[1]) for row in rows if row[4] == "1") == sorted(exact.rows.tolist())
    for name in ("cell.png", "front.png", "learning.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_report_of_three_objectives(tmp_path):
    objectives = ("val_accuracy", "energy", "trainable_parameters")
    search("categorical", budget=20, save=True, out=tmp_path, objectives=objectives, scalarisation="chebyshev")
    assert "trainable parameters" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_report_of_one_objective(tmp_path):
    search("categorical", budget=20, save=True, out=tmp_path, objectives=("val_accuracy",))
    assert "Front found: 1 cells" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_unknown_names():
    with pytest.raises(ecnas.UnknownNameError, match="did you mean|Did you mean"):
        search("categorical", benchmark="surogate-4V")
    with pytest.raises(ValueError, match="env_id must name an ECNAS environment, got 'CartPole-v1'"):
        search("categorical", env_id="CartPole-v1")


# ---------------------------------------------------------------------------------------------------------------------
# Masks and gradients


@pytest.mark.parametrize("name", ["maskable-ppo", "categorical", "lstm"])
def test_masked_policies_never_leave_the_mask(name):
    run = search(name, env_id="ECNAS-7V-v0", budget=30)
    assert run.invalid_episodes == 0
    assert len(run.record) == 30


def test_without_masks_episodes_do_leave_the_mask():
    run = search("ppo", budget=30)
    assert run.invalid_episodes > 0
    assert len(run.record) == 30


def test_gradient_of_the_categorical_policy():
    """∂(−A log p)/∂logits is −A (one-hot − p) where the mask allows an action, and 0 elsewhere."""
    policy = reinforce.CategoricalPolicy(num_decisions=3)
    policy.logits.assign([[0.5, -1.0, 2.0], [0.3, -0.3, 9.0], [1.0, 2.0, 3.0]])
    actions = np.array([[2, 0, 1]], dtype=np.int32)
    masks = np.array([[[1, 1, 1], [1, 1, 0], [0, 1, 0]]], dtype=bool)
    (gradient,) = reinforce.policy_gradient(policy, actions, masks, np.array([0.7], dtype=np.float32), 0.0)
    expected = np.zeros((3, 3))
    p = np.exp([0.5, -1.0, 2.0])
    expected[0] = -0.7 * (np.array([0, 0, 1]) - p / p.sum())
    p = np.exp([0.3, -0.3])
    expected[1, :2] = -0.7 * (np.array([1, 0]) - p / p.sum())
    np.testing.assert_allclose(gradient.numpy(), expected, atol=1e-6)


def test_gradient_of_the_entropy_bonus():
    """∂H/∂logitᵢ is −pᵢ (log pᵢ + H)."""
    policy = reinforce.CategoricalPolicy(num_decisions=1)
    policy.logits.assign([[0.5, -1.0, 2.0]])
    actions, masks = np.zeros((1, 1), dtype=np.int32), np.ones((1, 1, 3), dtype=bool)
    (gradient,) = reinforce.policy_gradient(policy, actions, masks, np.zeros(1, dtype=np.float32), 0.3)
    p = np.exp([0.5, -1.0, 2.0])
    p /= p.sum()
    entropy = -(p * np.log(p)).sum()
    np.testing.assert_allclose(gradient.numpy()[0], 0.3 * p * (np.log(p) + entropy), atol=1e-6)


def test_gradient_of_the_lstm_policy():
    """Against finite differences, of the output weights and of the recurrent weights."""
    import keras

    keras.utils.set_random_seed(0)
    policy = reinforce.LSTMPolicy(num_decisions=4, hidden_units=3)
    actions = np.array([[0, 1, 1, 0], [2, 0, 1, 1]], dtype=np.int32)
    masks = np.ones((2, 4, NUM_ACTIONS), dtype=bool)
    masks[:, 1:, 2] = False
    masks[1, 2, 0] = False
    advantages = np.array([0.4, -0.9], dtype=np.float32)
    policy(actions)
    rng = np.random.default_rng(0)
    for weight in policy.trainable_variables:  # the initial output weights are too small to tell anything
        weight.assign(rng.normal(scale=0.5, size=weight.shape))

    def loss() -> float:
        log_p, entropy = reinforce.log_probability_and_entropy(policy(actions), actions, masks)
        return float(-np.mean(advantages * log_p.numpy()) - 0.2 * np.mean(entropy.numpy()))

    gradients = reinforce.policy_gradient(policy, actions, masks, advantages, 0.2)
    assert len(gradients) == len(policy.trainable_variables)
    for weight, gradient in zip(policy.trainable_variables, gradients, strict=True):
        values = weight.numpy()
        gradient = np.asarray(keras.ops.convert_to_numpy(gradient))
        place = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
        step, slopes = 1e-2, []
        for sign in (1, -1):
            moved = values.copy()
            moved[place] += sign * step
            weight.assign(moved)
            slopes.append(sign * loss() / (2 * step))
        weight.assign(values)
        assert sum(slopes) == pytest.approx(gradient[place], rel=2e-2, abs=1e-4)


def test_the_lstm_samples_from_the_policy_that_it_trains():
    """Step by step and as a whole sequence the logits are the same, and depend on earlier actions alone."""
    policy = reinforce.LSTMPolicy(num_decisions=4, hidden_units=5)
    actions = np.array([[0, 1, 1, 0], [2, 0, 1, 1]], dtype=np.int32)
    whole = policy(actions).numpy()
    state, previous = policy.begin(2), np.full(2, NUM_ACTIONS, dtype=np.int32)
    for position in range(4):
        logits, state = policy.next(position, previous, state)
        np.testing.assert_allclose(logits, whole[:, position], atol=1e-6)
        previous = actions[:, position]
    changed = actions.copy()
    changed[0, 2] = 0
    differs = np.abs(policy(changed).numpy() - whole).max(axis=2) > 0
    assert differs.tolist() == [[False, False, False, True], [False] * 4]


def test_queue_keeps_the_best_of_all_batches_once():
    queue = reinforce.Queue(2)
    masks = np.ones((3, 4, 3), dtype=bool)
    cells = np.arange(12, dtype=np.int32).reshape(3, 4)
    queue.update(reinforce.Batch(cells, masks, np.array([0.5, 0.1, 0.4], dtype=np.float32)))
    queue.update(reinforce.Batch(cells[:1], masks[:1], np.array([0.5], dtype=np.float32)))
    queue.update(reinforce.Batch(cells[:1] + 20, masks[:1], np.array([0.45], dtype=np.float32)))
    best = queue.batch()
    np.testing.assert_array_equal(best.actions, [cells[0], cells[0] + 20])
    np.testing.assert_allclose(best.rewards, [0.5, 0.45])
    assert best.masks.shape == (2, 4, 3)


def test_moving_average():
    average = reinforce.MovingAverage(0.9)
    assert average.update(2.0) == pytest.approx(2.0)  # its own baseline
    assert average.update(4.0) == pytest.approx((0.9 * 2 + 4) / 1.9)


def test_sampling_follows_the_policy():
    """Frequencies of the first decision's action are within four standard errors of the softmax."""
    with Search("test", SearchArgs(**QUIET, budget=100_000)) as run:
        num_decisions = len(decisions(run.benchmark.space))
        policy = reinforce.CategoricalPolicy(num_decisions)
        policy.logits.assign(np.tile([[1.0, 0.0, -1.0]], (num_decisions, 1)))
        envs = [run.make_env() for _ in range(20)]
        rng = np.random.default_rng(0)
        batches = [reinforce.build_cells(policy, envs, rng, num_decisions) for _ in range(50)]
    first = np.concatenate([batch.actions[:, 0] for batch in batches])
    p = np.exp([1.0, 0.0, -1.0])
    p /= p.sum()
    counts = np.bincount(first, minlength=3)
    assert np.all(np.abs(counts - 1000 * p) < 4 * np.sqrt(1000 * p * (1 - p)))
    rewards = np.concatenate([batch.rewards for batch in batches])
    np.testing.assert_allclose(rewards, run.record.column("reward"), atol=1e-6)


# ---------------------------------------------------------------------------------------------------------------------
# Learning, and the scripts as scripts


@pytest.mark.parametrize("name", ["maskable-ppo", "categorical", "lstm"])
def test_learns(name):
    """The last quarter of 200 evaluations is better than the first, and than cells drawn at random are on average."""
    late, early = [], []
    for seed in (0, 1):
        run = search(name, budget=200, seed=seed)
        rewards = run.record.column("reward")
        early.append(rewards[:50].mean())
        late.append(rewards[-50:].mean())
    chance = np.nanmean(run.benchmark.scalar_rewards(run.benchmark.scalarisation("linear")))
    assert np.mean(late) > np.mean(early) + 0.03
    assert np.mean(late) > chance + 0.05


@pytest.mark.parametrize("script", ["ppo", "reinforce"])
def test_help(script):
    shown = subprocess.run(
        [sys.executable, f"agents/{script}.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for option in ("--env-id", "--benchmark", "--budget-kwh", "--budget-epochs", "--budget-seconds", "--seed"):
        assert option in shown
