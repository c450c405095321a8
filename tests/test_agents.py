"""The controllers: exact budgets, complete and repeatable records, masks, gradients, and that they learn."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

import ecnas
from ecnas_gym.builder import NUM_ACTIONS, decisions

pytest.importorskip("stable_baselines3", reason="the controllers need ecnas-gym[agents]")
pytest.importorskip("sb3_contrib", reason="the controllers need ecnas-gym[agents]")
pytest.importorskip("tensorflow", reason="the controllers need ecnas-gym[agents]")
pytest.importorskip("tyro", reason="the controllers need ecnas-gym[agents]")

from ecnas import runs
from ecnas.runs import RunRecord
from ecnas.runs.method import make_method, tuned_settings
from ecnas.runs.record import identity
from ecnas.runs.script import RunSettings, run_method
from ecnas.task import Task
from ecnas_gym import make_env, make_sb3_env, make_vec_env
from ecnas_gym.agents import ppo, reinforce

QUIET = {"space": "4V", "save": False, "progress": False}

CONTROLLERS = {
    "maskable-ppo": (ppo.PPO, {}),
    "ppo": (ppo.PPO, {"masked": False}),
    "categorical": (reinforce.REINFORCE, {}),
    "lstm": (reinforce.REINFORCE, {"policy": "lstm"}),
}
SETTINGS = {field.name for field in dataclasses.fields(RunSettings)}


def search(name: str, **changes) -> RunRecord:
    """A run of a controller; changes are settings of the run or of the controller."""
    kind, settings = CONTROLLERS[name]
    given = QUIET | settings | changes
    method = kind(**{key: value for key, value in given.items() if key not in SETTINGS})
    return run_method(method, RunSettings(**{key: value for key, value in given.items() if key in SETTINGS}))


def evaluator(budget: int) -> runs.Evaluator:
    """What a method is given, on the embedded 4V benchmark."""
    task = Task.of(ecnas.load("surrogate-4V"))
    spending = ecnas.Budget(budget)
    return runs.Evaluator(task, spending, RunRecord(runs.make_header(ppo.PPO(), task, spending, 0)))


def without_clock(record: RunRecord) -> list[str]:
    # As JSON, in which a figure that is missing equals itself.
    return [json.dumps({key: value for key, value in row.items() if key != "wall_clock"}) for row in record.rows]


# ---------------------------------------------------------------------------------------------------------------------
# Training workflow: saved policies, learning curves, tuned settings

POLICIES = {"maskable-ppo": "policy.zip", "ppo": "policy.zip", "categorical": "policy.npz", "lstm": "policy.npz"}


@pytest.mark.parametrize("name", POLICIES)
def test_a_saved_policy_goes_on_and_acts_greedily(name, tmp_path):
    policy, other = tmp_path / POLICIES[name], tmp_path / f"other-{POLICIES[name]}"
    saved = search(name, budget=40, save_policy=policy)
    assert without_clock(saved) == without_clock(search(name, budget=40))  # saving changes nothing
    assert identity(saved.header) == identity(search(name, budget=40).header)
    unlearned = search(name, budget=20, seed=3)
    continued = search(name, budget=20, seed=3, load_policy=policy, save_policy=other)
    assert without_clock(continued) != without_clock(unlearned)
    assert other.exists()
    greedy, again = (search(name, load_policy=policy, greedy=True, seed=seed) for seed in (0, 7))
    assert len(greedy) == len(again) <= 1  # a policy without masks may leave the mask, which is not charged
    assert greedy.column("row").tolist() == again.column("row").tolist()
    different = search(name, load_policy=other, greedy=True)
    assert identity(different.header) != identity(greedy.header)  # by the content of the file, not by its name


def test_a_policy_that_is_saved_and_loaded_learns_as_if_nothing_had_happened(tmp_path):
    """The categorical policy has no other state than its logits and its baseline."""
    policy = tmp_path / "policy.npz"
    search("categorical", budget=1, save_policy=policy)
    loaded = reinforce.CategoricalPolicy(len(decisions(ecnas.Space("4V"))))
    baseline = reinforce.MovingAverage(0.9)
    import keras

    optimiser = keras.optimizers.SGD(0.25)
    optimiser.build(loaded.variables)
    reinforce.load(policy, loaded, optimiser, baseline)
    with np.load(policy) as file:
        np.testing.assert_array_equal(loaded.logits.numpy(), file["categorical_0"])
        assert [baseline.total, baseline.weight] == file["baseline"].tolist()
    assert baseline.weight == pytest.approx(0.1)  # one update was made
    assert float(optimiser.learning_rate) == 0.25  # a setting, which a file does not change


@pytest.mark.parametrize(("name", "settings"), [("maskable-ppo", {}), ("lstm", {}), ("categorical", {})])
def test_a_policy_of_another_space_is_refused(name, settings, tmp_path):
    policy = tmp_path / POLICIES[name]
    search(name, budget=5, save_policy=policy)
    with pytest.raises(ValueError, match=r"policy\.\w+ holds no .*policy for this space"):
        search(name, budget=5, space="5V", load_policy=policy)


@pytest.mark.parametrize("name", ["maskable-ppo", "categorical"])
def test_a_file_that_is_no_policy_is_refused(name, tmp_path):
    (tmp_path / "policy").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="holds no"):
        search(name, budget=5, load_policy=tmp_path / "policy")
    with pytest.raises(FileNotFoundError):
        search(name, budget=5, load_policy=tmp_path / "none")


@pytest.mark.parametrize("name", ["maskable-ppo", "categorical"])
def test_greedy_needs_a_policy(name):
    with pytest.raises(ValueError, match="greedy needs load_policy"):
        search(name, greedy=True)


def test_a_complete_run_cannot_save_its_policy_any_more(tmp_path):
    run = {"save": True, "out": tmp_path / "run", "report": False, "budget": 3}
    search("categorical", **run)
    with pytest.raises(runs.OtherRunError, match=r"policy\.npz is not written"):
        search("categorical", **run, save_policy=tmp_path / "policy.npz")
    search("categorical", **run | {"out": tmp_path / "other"}, save_policy=tmp_path / "policy.npz")
    search("categorical", **run | {"out": tmp_path / "other"}, save_policy=tmp_path / "policy.npz")


def test_stable_baselines3_loads_the_saved_policy(tmp_path):
    from sb3_contrib import MaskablePPO

    search("maskable-ppo", budget=9, save_policy=tmp_path / "policy.zip")
    model = MaskablePPO.load(tmp_path / "policy.zip", device="cpu")
    assert model.gamma == 1.0


def test_learning_curves(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for name, own in (("maskable-ppo", "train/entropy_loss"), ("categorical", "train/entropy")):
        folder = tmp_path / name
        record = search(name, budget=20, tensorboard=folder)
        events = EventAccumulator(str(folder)).Reload()
        assert own in events.Tags()["scalars"]
        curves = {tag: events.Scalars(tag) for tag in ("run/reward", "run/best_reward", "run/regret", "spent/epochs")}
        for curve in curves.values():
            assert [point.step for point in curve] == list(range(1, 21))
        values = {tag: [point.value for point in curve] for tag, curve in curves.items()}
        rewards = record.column("reward")
        np.testing.assert_allclose(values["run/reward"], rewards, rtol=1e-6)
        np.testing.assert_allclose(values["run/best_reward"], np.maximum.accumulate(rewards), rtol=1e-6)
        np.testing.assert_allclose(values["spent/epochs"], record.column("cumulative_epochs"))
        task = Task.of(ecnas.load("surrogate-4V"), record.objectives)
        best = task.benchmark.optimum(task.scalarisation, task.objectives)[1]
        np.testing.assert_allclose(values["run/regret"], best - np.maximum.accumulate(rewards), atol=1e-6)


def test_tuned_settings(monkeypatch):
    tuned = {"PPO": {"learning_rate": 0.25}, "REINFORCE": {"learning_rate": 2.0, "baseline_decay": 0.5}}
    monkeypatch.setattr("ecnas.runs.method.read_toml", lambda path: tuned if path.name == "tuned.toml" else {})
    methods = []
    monkeypatch.setattr("ecnas.runs.script.run_method", lambda method, settings: methods.append(method))
    for words in ([], ["--tuned"], ["--tuned", "--learning-rate", "3"]):
        runs.script.main(reinforce.REINFORCE, words)
    assert methods == [
        reinforce.REINFORCE(),
        reinforce.REINFORCE(learning_rate=2.0, baseline_decay=0.5),
        reinforce.REINFORCE(learning_rate=3.0, baseline_decay=0.5),
    ]


@pytest.mark.parametrize("kind", [ppo.PPO, reinforce.REINFORCE])
def test_the_tuned_settings_are_settings(kind):
    settings = tuned_settings(kind)
    assert settings
    assert make_method(kind, settings) != kind()


# ---------------------------------------------------------------------------------------------------------------------
# Budgets


@pytest.mark.parametrize("name", CONTROLLERS)
def test_spends_evaluations_to_the_last(name):
    assert len(search(name, budget=21)) == 21  # a multiple of no batch size


@pytest.mark.parametrize("name", ["maskable-ppo", "categorical", "lstm"])
def test_spends_energy_as_far_as_it_goes(name):
    record = search(name, budget_kwh=5.0)
    spent = record.column("energy").sum()
    assert 0 < spent <= 5.0
    assert record.column("cumulative_energy")[-1] == pytest.approx(spent, rel=1e-12)
    # What ended the search is a cell that no longer fitted: less was left than the dearest cell costs.
    assert 5.0 - spent < np.nanmax(ecnas.load("surrogate-4V").values("energy"))


@pytest.mark.parametrize(
    ("limits", "evaluations"),
    [({"budget_epochs": 1080}, 10), ({"budget_epochs": 1187}, 10), ({"epochs": 4, "budget_epochs": 1080}, 270)],
)
def test_spends_epochs(limits, evaluations):
    assert len(search("categorical", **limits)) == evaluations


def test_spends_seconds():
    assert 0 < search("categorical", budget_seconds=40_000.0).column("training_time").sum() <= 40_000.0


def test_the_tightest_budget_ends_the_search():
    assert len(search("categorical", budget=7, budget_kwh=1e6)) == 7


def test_default_budget():
    assert RunSettings().make_budget().limits == {"evaluations": 300}
    assert RunSettings(budget_kwh=2.5).make_budget().limits == {"energy": 2.5}


def step_until_the_budget_ends(reset, masks, step):
    reset()
    rng = np.random.default_rng(0)
    with contextlib.suppress(ecnas.BudgetExhaustedError):
        while True:
            allowed = masks()
            step((rng.random(allowed.shape) * allowed).argmax(axis=-1))


def test_environments_of_a_run_share_its_budget_and_record_what_they_evaluate():
    evaluate = evaluator(3)
    envs = make_sb3_env(evaluate, "build", 2)
    step_until_the_budget_ends(envs.reset, lambda: np.array(envs.env_method("action_masks")), envs.step)
    assert len(evaluate.record) == evaluate.budget.spent.evaluations == 3

    evaluate = evaluator(5)
    envs = make_vec_env(evaluate, "build", 3)
    step_until_the_budget_ends(envs.reset, envs.unwrapped.action_masks, envs.step)
    assert len(evaluate.record) == evaluate.budget.spent.evaluations == 5
    for row in evaluate.record.rows:
        evaluation = evaluate.benchmark.query_row(row["row"])
        assert (row["val_accuracy"], row["energy"]) == (evaluation.val_accuracy, evaluation.energy)
        assert row["reward"] == float(evaluate.task.judge(evaluation).reward)

    with pytest.raises(ValueError, match="kind must be 'build' or 'edit', got 'change'"):
        make_env(evaluate, "change")


@pytest.mark.parametrize("num_envs", [1, 2])
def test_ppo_can_edit_cells(num_envs):
    # These environments have no vectorised form.
    first, second = (
        search("maskable-ppo", space="5V", environment="edit", num_envs=num_envs, budget=21, seed=2) for _ in range(2)
    )
    assert len(first) == 21
    assert first.invalid_episodes == 0
    assert without_clock(first) == without_clock(second)


def test_too_small_a_budget_is_said(capsys, tmp_path):
    record = search("categorical", budget_kwh=1e-6, save=True, progress=True, out=tmp_path)
    assert len(record) == 0
    assert "there is no cell at 108 epochs" in capsys.readouterr().out


def test_a_policy_without_masks_does_not_run_for_ever():
    # One that never finishes a cell would: here 64 steps end before the 1000 evaluations do.
    record = search("ppo", budget=1000, max_steps=64)
    assert len(record) < 64


# ---------------------------------------------------------------------------------------------------------------------
# Records


@pytest.mark.parametrize("name", CONTROLLERS)
def test_deterministic(name):
    first, second = (search(name, budget=40, seed=3) for _ in range(2))
    assert without_clock(first) == without_clock(second)
    other = search(name, budget=40, seed=4)
    assert without_clock(first) != without_clock(other)


def test_the_same_run_in_another_process(tmp_path):
    here = search("lstm", budget=12, seed=5)
    command = [sys.executable, "agents/reinforce.py", "--space", "4V", "--policy", "lstm"]
    command += ["--budget", "12", "--seed", "5", "--out", str(tmp_path), "--no-progress"]
    subprocess.run(command, cwd=ROOT, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True)
    there = RunRecord.load(tmp_path / "record.jsonl")
    assert without_clock(here) == without_clock(there)
    assert there.header["method"]["settings"]["policy"] == "lstm"
    assert identity(there.header) == identity(here.header)  # as a script it is the same method


def test_record_is_complete_and_says_what_the_benchmark_says(tmp_path):
    record = search("maskable-ppo", budget=20, save=True, out=tmp_path, weights=(0.8, 0.2))
    record = RunRecord.load(tmp_path / "record.jsonl")
    assert [row["index"] for row in record.rows] == list(range(20))
    rewards = ecnas.load("surrogate-4V").scalar_rewards(ecnas.Linear((0.8, 0.2)))
    for row in record.rows:
        evaluation = ecnas.load("surrogate-4V").query(ecnas.load("surrogate-4V").space[row["row"]])
        assert (row["val_accuracy"], row["energy"], row["epochs"]) == (
            evaluation.val_accuracy,
            evaluation.energy,
            evaluation.epochs,
        )
        assert row["reward"] == pytest.approx(rewards[row["row"]], abs=1e-12)
    assert record.header["task"]["scalarisation"] == {"type": "Linear", "weights": [0.8, 0.2]}
    assert not list(tmp_path.glob("*.partial"))


def test_a_run_that_is_there_is_read_and_another_never_replaces_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    first = search("categorical", budget=20, save=True, report=False)
    modified = first.path.stat().st_mtime_ns
    again = search("categorical", budget=20, save=True, report=False)
    assert without_clock(again) == without_clock(first)
    assert first.path.stat().st_mtime_ns == modified
    search("categorical", budget=10, save=True, report=False)
    search("categorical", budget=20, save=True, report=False, objectives=("val_accuracy",))
    assert len(list(tmp_path.rglob("record.jsonl"))) == 3
    with pytest.raises(runs.OtherRunError, match="holds another run"):
        search("categorical", budget=10, save=True, report=False, out=first.path.parent)
    assert first.path.stat().st_mtime_ns == modified


def test_report(tmp_path, capsys):
    record = search("categorical", budget=60, save=True, progress=True, out=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "record.jsonl",
        "report.md",
        "front.csv",
        "cell.txt",
        "cell.json",
        "cell.png",
        "front.png",
        "learning.png",
    }
    shown = capsys.readouterr().out
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert text in shown
    _, optimum = ecnas.load("surrogate-4V").optimum()
    best = record.column("reward").max()
    assert f"| {best:.4f} | {optimum:.4f} | {optimum - best:+.4f} |" in text
    assert f"{record.column('energy').sum():.2f} kWh" in text
    assert f"{record.column('co2').sum() / 1000:.2f} kg CO2" in text
    rows = [line.split(",") for line in (tmp_path / "front.csv").read_text().splitlines()[1:]]
    exact = ecnas.load("surrogate-4V").pareto_front()
    assert sorted(int(row[1]) for row in rows if row[4] == "1") == sorted(exact.rows.tolist())
    for name in ("cell.png", "front.png", "learning.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_report_of_three_objectives(tmp_path):
    objectives = ("val_accuracy", "energy", "trainable_parameters")
    search("categorical", budget=20, save=True, out=tmp_path, objectives=objectives, scalarisation="chebyshev")
    assert "trainable parameters" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_report_of_one_objective(tmp_path):
    search("categorical", budget=20, save=True, out=tmp_path, objectives=("val_accuracy",))
    assert "Front of validation accuracy and training energy: the run found" in (tmp_path / "report.md").read_text(
        encoding="utf-8"
    )


def test_unknown_names():
    with pytest.raises(ecnas.UnknownNameError, match="Did you mean 'surrogate-4V'"):
        search("categorical", space=None, benchmark="surogate-4V")
    with pytest.raises(ValueError, match="either benchmark or space must be given"):
        search("categorical", space="5V", benchmark="surrogate-4V")


# ---------------------------------------------------------------------------------------------------------------------
# Masks and gradients


@pytest.mark.parametrize("name", ["maskable-ppo", "categorical", "lstm"])
def test_masked_policies_never_leave_the_mask(name):
    record = search(name, space="7V", budget=30)
    assert record.invalid_episodes == 0
    assert len(record) == 30


def test_without_masks_episodes_do_leave_the_mask():
    record = search("ppo", budget=30)
    assert record.invalid_episodes > 0
    assert len(record) == 30


def test_gradient_of_the_categorical_policy():
    """∂(−A log p)/∂logits is −A (one-hot − p) where the mask allows an action, and 0 elsewhere."""
    policy = reinforce.CategoricalPolicy(num_decisions=3)
    policy.logits.assign([[0.5, -1.0, 2.0], [0.3, -0.3, 9.0], [1.0, 2.0, 3.0]])
    actions = np.array([[2, 0, 1]], dtype=np.int32)
    masks = np.array([[[1, 1, 1], [1, 1, 0], [0, 1, 0]]], dtype=bool)
    (gradient,), _ = reinforce.policy_gradient(policy, actions, masks, np.array([0.7], dtype=np.float32), 0.0)
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
    (gradient,), mean = reinforce.policy_gradient(policy, actions, masks, np.zeros(1, dtype=np.float32), 0.3)
    p = np.exp([0.5, -1.0, 2.0])
    p /= p.sum()
    entropy = -(p * np.log(p)).sum()
    np.testing.assert_allclose(gradient.numpy()[0], 0.3 * p * (np.log(p) + entropy), atol=1e-6)
    assert float(mean) == pytest.approx(entropy, abs=1e-6)


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
    rng = np.random.default_rng(0)
    for weight in policy.variables:  # the initial output weights are too small to tell anything
        weight.assign(rng.normal(scale=0.5, size=weight.shape))

    def loss() -> float:
        log_p, entropy = reinforce.log_probability_and_entropy(policy(actions), actions, masks)
        return float(-np.mean(advantages * log_p.numpy()) - 0.2 * np.mean(entropy.numpy()))

    gradients, _ = reinforce.policy_gradient(policy, actions, masks, advantages, 0.2)
    assert len(gradients) == len(policy.variables)
    for weight, gradient in zip(policy.variables, gradients, strict=True):
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
    evaluate = evaluator(100_000)
    num_decisions = len(decisions(evaluate.benchmark.space))
    policy = reinforce.CategoricalPolicy(num_decisions)
    policy.logits.assign(np.tile([[1.0, 0.0, -1.0]], (num_decisions, 1)))
    envs = [make_env(evaluate) for _ in range(20)]
    rng = np.random.default_rng(0)
    batches = [reinforce.build_cells(policy, envs, rng, num_decisions) for _ in range(50)]
    first = np.concatenate([batch.actions[:, 0] for batch in batches])
    p = np.exp([1.0, 0.0, -1.0])
    p /= p.sum()
    counts = np.bincount(first, minlength=3)
    assert np.all(np.abs(counts - 1000 * p) < 4 * np.sqrt(1000 * p * (1 - p)))
    rewards = np.concatenate([batch.rewards for batch in batches])
    np.testing.assert_allclose(rewards, evaluate.record.column("reward"), atol=1e-6)


# ---------------------------------------------------------------------------------------------------------------------
# Learning, and the scripts as scripts


@pytest.mark.parametrize("name", ["maskable-ppo", "categorical", "lstm"])
def test_learns(name):
    """The last quarter of 200 evaluations is better than the first, and than cells drawn at random are on average."""
    late, early = [], []
    for seed in (0, 1):
        record = search(name, budget=200, seed=seed)
        rewards = record.column("reward")
        early.append(rewards[:50].mean())
        late.append(rewards[-50:].mean())
    chance = np.nanmean(ecnas.load("surrogate-4V").scalar_rewards())
    assert np.mean(late) > np.mean(early) + 0.03
    assert np.mean(late) > chance + 0.05


@pytest.mark.parametrize(
    "script", ["ppo", "ppo_many", "reinforce", "pqt", "qlearning", "edit", "gp_edit", "mcts", "morl", "transfer"]
)
def test_help(script):
    shown = subprocess.run(
        [sys.executable, f"agents/{script}.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for option in ("--space", "--benchmark", "--budget-kwh", "--budget-epochs", "--budget-seconds", "--seed"):
        assert option in shown
