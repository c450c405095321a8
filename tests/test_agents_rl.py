"""The value-based and imitating controllers: budgets, repeatability, gradients, and that they learn."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools

import numpy as np
import pytest

import ecnas
from ecnas import Space
from ecnas.cost import network_cost
from ecnas.encoding import code_to_ops
from ecnas.runs import analysis

pytest.importorskip("tyro", reason="the controllers need ecnas-gym[agents]")

from ecnas_gym.agents.critic import GaussianProcess, Imagination, Networks, cell_features, rank_scores, standardised
from ecnas_gym.agents.tabular import Drawn, draw_cells

from ecnas.runs.run import begun, run_task
from ecnas.runs.script import RunSettings, run_method
from ecnas.task import Task
from ecnas_gym.agents import edit, gp_edit, mcts, morl, pqt, qlearning, transfer
from ecnas_gym.builder import CellBuilder
from ecnas_gym.editor import Edits

QUIET = {"space": "5V", "save": False, "progress": False, "objectives": ("val_accuracy",)}
SMALL = {"num_plans": 100, "num_fresh": 50, "num_networks": 3}
CONTROLLERS = {
    "edit": (edit.Editing, SMALL),
    "morl": (
        morl.EditingUnderPreferences,
        {"objectives": ("val_accuracy", "energy"), "num_plans": 100, "num_fresh": 50},
    ),
    "gp_edit": (gp_edit.GaussianProcessEditing, {"num_plans": 100, "num_fresh": 50}),
    "transfer": (transfer.TransferredEditing, {"num_plans": 100, "num_fresh": 50}),
    "mcts": (mcts.TreeSearch, {}),
    "uct": (mcts.TreeSearch, {"network": False, "num_imagined": 30}),
    "pqt": (pqt.PriorityQueueTraining, {}),
    "qlearning": (qlearning.QLearning, {}),
}
SETTINGS = {field.name for field in dataclasses.fields(RunSettings)}


def search(name, **changes):
    kind, settings = CONTROLLERS[name]
    given = QUIET | settings | changes
    method = kind(**{key: value for key, value in given.items() if key not in SETTINGS})
    return run_method(method, RunSettings(**{key: value for key, value in given.items() if key in SETTINGS}))


@pytest.mark.parametrize("name", CONTROLLERS)
def test_spends_the_budget_and_repeats_itself(name):
    first, second, other = (search(name, budget=40, seed=seed) for seed in (5, 5, 6))
    hashes = [[row["hash"] for row in run.rows] for run in (first, second, other)]
    assert len(hashes[0]) == 40
    assert hashes[0] == hashes[1] != hashes[2]
    assert first.invalid_episodes == 0


@pytest.mark.parametrize("name", CONTROLLERS)
def test_ends_on_a_budget_of_energy(name):
    run = search(name, budget_kwh=8.0)
    assert len(run) > 0
    assert run.column("energy").sum() <= 8.0


@pytest.mark.parametrize("name", ["edit", "gp_edit", "transfer", "mcts", "uct", "pqt"])
def test_never_pays_twice_for_a_cell(name):
    rows = search(name, budget=100).column("row")
    assert len(set(rows)) == 100


@pytest.mark.parametrize("name", ["edit", "gp_edit", "transfer", "mcts", "uct"])
def test_ends_when_all_cells_are_known(name):
    rows = search(name, budget=120, space="4V").column("row")
    assert sorted(rows) == list(range(91))


def test_the_best_go_on_to_more_epochs():
    trained = [{1: 0.1, 2: 0.7, 3: 0.9, 4: 0.8, 5: 0.2, 6: 0.3}, {3: 0.4}, {}]
    assert edit.promotion(trained, one_in=3) == (4, 1)
    trained[1][4] = 0.5
    assert edit.promotion(trained, one_in=3) is None
    trained[1][2] = 0.1
    assert edit.promotion(trained, one_in=3) == (4, 2)
    assert edit.promotion(trained[:1], one_in=3) is None


def test_halving_trains_every_cell_for_the_fewest_epochs_first():
    record = search("edit", budget_epochs=4_000, min_epochs=12)
    rows, epochs = record.column("row").astype(int), record.column("epochs")
    assert epochs.sum() <= 4_000
    by_epochs = {number: set(rows[epochs == number]) for number in (12, 36, 108)}
    assert sum(map(len, by_epochs.values())) == len(rows)  # no training is repeated
    assert by_epochs[108] < by_epochs[36] < by_epochs[12]
    assert 0.2 < len(by_epochs[36]) / len(by_epochs[12]) < 0.6
    assert record.column("val_accuracy")[epochs == 36].mean() > record.column("val_accuracy")[epochs == 12].mean()


def test_pretraining_prefers_large_cells():
    run = search("edit", budget=11, pretraining=300, updates=0)
    parameters = Space("5V").trainable_parameters
    chosen = parameters[int(run.column("row")[10])]
    assert (parameters <= chosen).mean() > 0.95


@pytest.mark.parametrize(("name", "most"), [("edit", 0.0003), ("gp_edit", 0.0003), ("mcts", 0.0003), ("pqt", 0.001)])
def test_learns(name, most):
    """Mean validation regret after 100 of 2,532 cells; random search's is 0.0020."""
    regrets = []
    for seed in range(2000, 2003):
        run = search(name, budget=100, seed=seed)
        best = ecnas.load("surrogate-5V").values("val_accuracy").max()
        regrets.append(best - run.column("val_accuracy").max())
    assert np.mean(regrets) < most


def test_one_run_covers_the_front():
    """Part of the exact front's hypervolume after 100 of 2,532 cells; random search reaches 0.87."""
    run = search("morl", budget=100, seed=2000)
    assert analysis.measure(run, ecnas.load("surrogate-5V"))["hypervolume"][-1] > 96
    front = analysis.front(run, ecnas.load("surrogate-5V"))
    assert len(front) >= 8
    assert front[:, 1].max() / front[:, 1].min() > 4  # cheap cells and accurate ones


def test_preferences_change_what_is_best():
    rewards = np.array([[1.0, 0.0], [0.7, 0.7], [0.0, 1.0]])
    chosen = [int(np.argmax(morl.utility(rewards, np.array([w, 1 - w])))) for w in (0.95, 0.5, 0.05)]
    assert chosen == [0, 1, 2]


def test_preferences_are_those_of_the_gaps():
    """Between (0.2, 0.9) and (0.9, 0.2) lies nearly all that may be gained; the ideal's distances are equal there."""
    rewards = np.array([[0.0, 1.0], [0.2, 0.9], [0.1, 0.1], [0.9, 0.2], [1.0, 0.0]])
    rng = np.random.default_rng(0)
    drawn = np.array([morl.widest_gap(rewards, rng) for _ in range(200)])
    assert drawn.sum(axis=1) == pytest.approx(1)
    assert (np.abs(drawn[:, 0] - 0.5) < 0.4).mean() > 0.9
    assert drawn[:, 0].mean() == pytest.approx(0.5, abs=0.05)
    three = morl.widest_gap(np.ones((4, 3)), rng)
    assert three.sum() == pytest.approx(1)
    assert len(three) == 3


def test_critics_learn_what_they_are_shown():
    rng = np.random.default_rng(0)
    x, rewards = rng.normal(size=(40, 3)), np.empty((0, 2))
    critics = morl.Critics(3, ("val_accuracy", "energy"))
    for k in range(40):
        rewards = np.vstack([rewards, [[0.5 + 0.1 * np.tanh(x[k, 0]), 0.5 + 0.1 * x[k, 1]]]])
        critics.add(x[k], rewards)
    assert critics.mean(x) == pytest.approx(rewards, abs=0.02)
    assert critics.draw(x, 0.0, rng) == pytest.approx(critics.mean(x))
    assert (np.diff(critics.spread(np.array([[0.5, 0.5], [0.95, 0.95], [1.0, 1.0]])), axis=0) > 0).all()


def test_replay_carries_a_reward_to_the_first_step_at_once():
    q = qlearning.defaultdict(lambda: [0.5] * 3)
    episode = [qlearning.Step(q[t, 0, -1], [0, 1], 1) for t in range(3)]
    qlearning.learn(episode, 0.9, learning_rate=0.5)
    assert q[2, 0, -1][1] == pytest.approx(0.7)
    assert q[1, 0, -1][1] == pytest.approx(0.6)
    assert q[0, 0, -1][1] == pytest.approx(0.55)
    assert q[0, 0, -1][0] == 0.5


# --- Tree search -----------------------------------------------------------------------------------------------------


def test_imagined_endings_begin_as_they_must_and_are_cells():
    task = Task.of(ecnas.load("surrogate-5V"), ("val_accuracy",))
    rng = np.random.default_rng(0)
    ((first,),) = (drawn.actions for drawn in mcts.imagine(task, [()], 1, [rng]))
    for depth in (0, 1, 5, 13):
        (endings,) = mcts.imagine(task, [tuple(first[:depth].tolist())], 200, [rng])
        assert (endings.actions[:, :depth] == first[:depth]).all()
        assert np.take_along_axis(endings.masks, endings.actions[:, :, None], axis=2).all()
        assert (endings.rows >= 0).all()
        assert (len(set(endings.rows.tolist())) > 1) == (depth < 13)


def test_imagined_decisions_are_uniform_among_the_allowed_ones():
    task = Task.of(ecnas.load("surrogate-4V"), ("val_accuracy",))
    (endings,) = mcts.imagine(task, [()], 20_000, [np.random.default_rng(0)])
    allowed = endings.masks.sum(axis=2)
    assert set(np.unique(allowed)) == {1, 2, 3}
    for decision, count in itertools.product(range(allowed.shape[1]), (2, 3)):
        here = allowed[:, decision] == count
        if not here.any():
            continue
        chosen, masks = endings.actions[here, decision], endings.masks[here, decision]
        for action in range(3):
            there = masks[:, action]
            if there.sum() > 500:
                share = np.mean(chosen[there] == action)
                assert share == pytest.approx(1 / count, abs=4 * np.sqrt(0.25 / there.sum()))


def test_the_tree_counts_every_evaluation_and_goes_where_the_bound_is_highest():
    root = mcts.Node((), [], closed=False, visits=30)
    for number, (visits, mean) in enumerate([(10, 0.5), (18, 0.6), (2, 0.4)]):
        root.children.append(mcts.Node((number,), [0, 1], closed=False, visits=visits, total=visits * mean))
    assert root.most_promising(0.0) is root.children[1]
    # By hand: 0.4 + 0.2 · sqrt(2 · ln 30 / 2) = 0.769, 0.5 + 0.2 · sqrt(2 · ln 30 / 10) = 0.665, 0.723 for the second.
    assert root.most_promising(0.2) is root.children[2]
    root.children[2].closed = True
    assert root.descend(0.2) == [root, root.children[1]]
    root.children.append(mcts.Node((3,), [0], closed=False))
    assert root.most_promising(0.0) is root.children[3]  # what was never visited comes first


def test_a_node_skips_decisions_that_are_none():
    task = Task.of(ecnas.load("surrogate-4V"), ("val_accuracy",))
    begun = (0, 0, 1, 1)  # vertex 1 has no edge into it, so none may start there
    node = mcts.Node.after(begun, *mcts.imagine(task, [begun], 1, [np.random.default_rng(0)]))
    assert node == mcts.Node((0, 0, 1, 1, 0), [0, 1], closed=False)
    begun = (*node.prefix, 1)  # vertex 2 dangles, so its edge to the output must be
    node = mcts.Node.after(begun, *mcts.imagine(task, [begun], 1, [np.random.default_rng(0)]))
    assert node == mcts.Node((0, 0, 1, 1, 0, 1, 0, 1), [], closed=True)


# --- Priority-queue training -----------------------------------------------------------------------------------------


def test_ascent_is_the_gradient():
    """Of full queues, and of one that is not."""
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((2, 8, 3))
    drawn = draw_cells(Task.of(ecnas.load("surrogate-4V")), np.repeat(logits, 4, axis=0), rng.gumbel(size=(8, 8, 3)))
    queue = pqt.Queue(
        np.array([[0.9, 0.8, 0.7, 0.6], [0.5, 0.4, -np.inf, -np.inf]]),
        drawn.actions.reshape(2, 4, 8),
        drawn.masks.reshape(2, 4, 8, 3),
    )

    def objective(x, run, size):
        total = 0.0
        for k in range(size):
            for t in range(8):
                p = np.exp(x[t]) * queue.masks[run, k, t]
                p /= p.sum()
                used = p[queue.masks[run, k, t]]
                total += np.log(p[queue.actions[run, k, t]]) - 0.3 * (used * np.log(used)).sum()
        return total / size

    gradients = pqt.ascent(logits, queue, 0.3)
    for run, size in enumerate((4, 2)):
        for index in np.ndindex(8, 3):
            step = np.zeros((8, 3))
            step[index] = 1e-5
            numeric = (objective(logits[run] + step, run, size) - objective(logits[run] - step, run, size)) / 2e-5
            assert gradients[run][index] == pytest.approx(numeric, abs=1e-6)


def test_a_queue_keeps_the_best_and_of_equals_the_older():
    queue = pqt.Queue.empty(1, 2, 1)
    for action, reward in enumerate((0.5, 0.9, np.nan, 0.9, 0.5, 1.0)):
        cell = Drawn(np.array([[action]]), np.ones((1, 1, 3), dtype=bool), np.array([0]))
        queue = queue.with_cells(cell, np.array([reward]))
    assert queue.rewards.tolist() == [[1.0, 0.9]]
    assert queue.actions.ravel().tolist() == [5, 1]


def test_draws_are_cells_of_the_environment_and_follow_the_logits():
    task, builder = Task.of(ecnas.load("surrogate-5V")), CellBuilder(Space("5V"))
    logits = np.zeros((2000, 13, 3))
    logits[:, 0, 1] = np.log(3.0)
    drawn = draw_cells(task, logits, np.random.default_rng(0).gumbel(size=logits.shape))
    assert np.mean(drawn.actions[:, 0] == 1) == pytest.approx(0.6, abs=0.04)
    for actions, masks, row in zip(drawn.actions[:200].tolist(), drawn.masks, drawn.rows, strict=False):
        builder.reset()
        for t, action in enumerate(actions):
            assert [builder.mask >> a & 1 for a in range(3)] == masks[t].tolist()
            builder.apply(action)
        assert builder.cell().row == row


@pytest.mark.parametrize(
    ("method", "space"),
    [
        (pqt.PriorityQueueTraining(), "4V"),
        (pqt.PriorityQueueTraining(), "7V"),
        (qlearning.QLearning(), "4V"),
        (qlearning.QLearning(replayed_episodes=5), "7V"),
        (edit.Editing(), "4V"),
        (edit.Editing(), "7V"),
        (edit.Editing(min_epochs=12, pretraining=5, prior_scale=0.1, cost_features=False), "7V"),
        (gp_edit.GaussianProcessEditing(), "4V"),
        (mcts.TreeSearch(), "4V"),
        (mcts.TreeSearch(num_imagined=20), "7V"),
        (mcts.TreeSearch(network=False, num_imagined=20), "7V"),
        (gp_edit.GaussianProcessEditing(num_plans=100, num_fresh=50), "7V"),
    ],
)
def test_of_many_runs_each_is_the_one_that_it_is_alone(method, space):
    budgets = {3: 40, 4: 25, 5: 70}
    task = Task.of(ecnas.load(f"surrogate-{space}"))
    alone = {seed: run_task(method, task, budget, seed) for seed, budget in budgets.items()}
    with contextlib.ExitStack() as stack:
        starts = [stack.enter_context(begun(method, task, budget, seed)) for seed, budget in budgets.items()]
        method.run_many(*zip(*starts, strict=True))
    for start, (seed, budget) in zip(starts, budgets.items(), strict=True):
        assert len(start.evaluate.record) == budget
        np.testing.assert_array_equal(start.evaluate.record.column("row"), alone[seed].column("row"))


# --- What editing agents share ---------------------------------------------------------------------------------------


def test_features_do_not_depend_on_the_labelling_and_hold_exact_costs():
    space = Space("7V")
    features = cell_features(space)
    rows = np.random.default_rng(0).integers(len(space), size=64)
    cells = space.cells
    raw = features._compute(rows)
    np.testing.assert_allclose(np.exp(raw[:, -2]), space.trainable_parameters[rows])
    for k, row in enumerate(rows[:8]):
        costs = network_cost(int(cells.num_vertices[row]), cells.edge_bits[[row]], code_to_ops(cells.op_codes[[row]]))
        assert np.exp(raw[k, -1]) == pytest.approx(costs.multiply_adds[0])
    np.testing.assert_array_equal(features(rows), features(rows[::-1])[::-1])


def test_features_of_a_cell_written_out():
    """input → conv3x3 → output, and input → output."""
    space = Space("4V")
    cell = ecnas.Cell([[0, 1, 1], [0, 0, 1], [0, 0, 0]], ["conv3x3-bn-relu"])
    raw = cell_features(space)._compute(np.array([cell.row]))[0]
    paths, joins, rest = raw[:40], raw[40:65].reshape(5, 5), raw[65:]
    assert np.flatnonzero(paths).tolist() == [0, 1]  # the path without operations, and that of one conv3x3
    assert np.argwhere(joins).tolist() == [[0, 4], [3, 0], [3, 4]]
    assert rest[:10].tolist() == [3, 3, 2, 2, 1, 0, 0, 2, 1, 1]


def test_network_learns_and_its_gradient_is_right():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((256, 4)).astype(np.float32)
    y = np.stack([np.sin(x[:, 0]), x[:, 1] * x[:, 2]], axis=1).astype(np.float32)
    networks = Networks(4, 2, 32, 3e-3, 0.3, [rng, rng])
    before = np.mean((networks.predict(np.array([1]), x[None]) - y) ** 2)
    batches = rng.integers(256, size=(600, 1, 64))
    ones = np.ones((1, 64), dtype=np.float32)
    networks.update(np.array([1]), ((x[batch], y[batch], ones) for batch in batches))
    assert np.mean((networks.predict(np.array([1]), x[None]) - y) ** 2) < 0.15 * before


def test_networks_side_by_side_are_those_that_they_are_alone():
    x = np.random.default_rng(0).standard_normal((5, 3, 16, 7)).astype(np.float32)
    y, weights = x[..., :1] * x[..., 1:2], (x[..., 2] > 0).astype(np.float32)
    together = Networks(7, 1, 8, 1e-2, 0.5, [np.random.default_rng(seed) for seed in range(4)])
    which = np.array([3, 0, 2])
    together.update(which, zip(x, y, weights, strict=True))
    for place, number in enumerate(which):
        alone = Networks(7, 1, 8, 1e-2, 0.5, [np.random.default_rng(number)])
        alone.update(np.array([0]), ((x[t, [place]], y[t, [place]], weights[t, [place]]) for t in range(5)))
        expected = alone.predict(np.array([0]), x[0, [place]])
        np.testing.assert_array_equal(together.predict(which, x[0])[place], expected[0])


def test_weights_of_zero_teach_nothing():
    networks, first = Networks(3, 1, 8, 1e-2, 0.0, [np.random.default_rng(0)]), np.array([0])
    x = np.ones((1, 4, 3), dtype=np.float32)
    before = networks.predict(first, x).copy()
    networks.update(first, [(x, np.ones((1, 4, 1), dtype=np.float32), np.zeros((1, 4), dtype=np.float32))])
    np.testing.assert_array_equal(networks.predict(first, x), before)


def test_imagined_episodes_are_what_the_environment_does():
    import gymnasium as gym

    env = gym.make("ECNAS-7V-Edit-v0", max_edits=3)
    edits = Edits(Space("7V"))
    rng = np.random.default_rng(0)
    starts, unedited = np.split(rng.integers(len(edits.space), size=(1, 50)), [40], axis=1)
    plans = Imagination(edits, 3).draw(starts, unedited, [rng]).where(0)
    assert 1 < (plans.actions[:40] >= 0).sum(axis=1).mean() <= 2
    assert not plans.actions[40:].max() >= 0
    for k in range(50):
        env.reset(options={"placed": plans.start(k)})
        for action in plans.edits(k):
            assert env.unwrapped.action_masks()[action]
            env.step(action)
        info = env.step(edits.stop)[4]
        assert info["cell"].row == plans.rows[k]


def test_rank_scores_know_ranks_alone():
    rewards = np.random.default_rng(0).random(1001)
    scores = rank_scores(rewards)
    np.testing.assert_array_equal(np.argsort(scores), np.argsort(rewards))
    np.testing.assert_array_equal(scores, rank_scores(np.exp(30 * rewards)))
    assert scores.std() == pytest.approx(1.0, abs=0.02)
    assert scores.mean() == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(standardised(rewards), standardised(30 * rewards + 1), atol=1e-5)


def matern(a, b, length):
    distances = np.sqrt(5 * np.maximum(((a[:, None] - b[None]) ** 2).sum(axis=2), 0) / length)
    return (1 + distances + distances**2 / 3) * np.exp(-distances)


def deviations(process, new):
    """Standard deviations of what a process does not know of cells, by the closed form."""
    kernel = matern(process._x, process._x, process._length) + process._noise * np.eye(len(process._x))
    to_data = matern(new, process._x, process._length)
    variance = process._targets @ np.linalg.solve(kernel, process._targets) / len(process._x)
    return np.sqrt(variance * (1 - (to_data * np.linalg.solve(kernel, to_data.T).T).sum(axis=1)))


@pytest.mark.parametrize("tempering", [1.0, 10.0])
def test_gaussian_process_is_the_textbook_s(tempering):
    """Mean and standard deviation against the closed form, with data that were added one by one."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 3))
    y = np.sin(2 * x[:, 0]) + 0.1 * rng.standard_normal(40)
    process = GaussianProcess(3, tempering)
    for n in range(1, 41):
        process.add(x[n - 1], y[:n])
    new = rng.standard_normal((5, 3))
    kernel = matern(x, x, process._length) + process._noise * np.eye(40)
    to_data = matern(new, x, process._length)
    np.testing.assert_allclose(process.mean(new), to_data @ np.linalg.solve(kernel, y), atol=1e-6)
    variance = y @ np.linalg.solve(kernel, y) / 40
    np.testing.assert_allclose(process.fitted(), process.mean(x), atol=1e-6)
    covariance = variance * (matern(new, new, process._length) - to_data @ np.linalg.solve(kernel, to_data.T))
    drawn = np.array([process.draw(new, rng) for _ in range(4000)])
    np.testing.assert_allclose(drawn.mean(axis=0), process.mean(new), atol=5 * np.sqrt(variance / 4000))
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.1 * variance)


@pytest.mark.parametrize("number", [1, 2, 30, 31])
def test_bounds_of_deviations_hold_and_single_precision_is_near(number):
    rng = np.random.default_rng(number)
    x = rng.standard_normal((number, 3))
    y = np.sin(2 * x[:, 0]) + 0.1 * rng.standard_normal(number)
    process = GaussianProcess(3)
    for n in range(1, number + 1):
        process.add(x[n - 1], y[:n])
    new = np.vstack([x, x + 0.01, rng.standard_normal((50, 3)), 10 * rng.standard_normal((5, 3))])
    mean, bound = process.bounds(new)
    np.testing.assert_array_equal(mean, process.mean(new))
    assert (bound >= deviations(process, new) - 1e-9).all()
    if number == 1:
        np.testing.assert_allclose(bound, deviations(process, new))
    exact, single = process.lookahead(new, x), process.lookahead(new.astype(np.float32), x.astype(np.float32))
    assert {part.dtype for part in single} == {np.dtype(np.float32)}
    np.testing.assert_allclose(single[0], exact[0], atol=1e-3)
    np.testing.assert_allclose(single[1], exact[1], atol=1e-2)


def test_looking_ahead_is_what_the_next_datum_does():
    """What is expected after one more datum, with the same length scale and noise."""
    rng = np.random.default_rng(3)
    x, new, others = rng.standard_normal((40, 3)), rng.standard_normal((4, 3)), rng.standard_normal((6, 3))
    y = np.sin(2 * x[:, 0]) + 0.3 * rng.standard_normal(40)
    process = GaussianProcess(3, tempering=3)
    for n in range(1, 41):
        process.add(x[n - 1], y[:n])
    expected, change = process.lookahead(new, others)
    mean, deviation = process.mean(new), deviations(process, new)
    np.testing.assert_allclose(expected[:, :-1], np.tile(process.mean(others), (4, 1)))
    np.testing.assert_allclose(expected[:, -1], mean)
    for k in range(len(new)):
        data = np.vstack([x, new[k]])
        kernel = matern(data, data, process._length) + process._noise * np.eye(41)
        seen = mean[k] + 1.5 * np.sqrt(deviation[k] ** 2 + process._noise * process._variance)
        to_data = matern(np.vstack([others, new[k]]), data, process._length)
        after = to_data @ np.linalg.solve(kernel, np.append(y, seen))
        np.testing.assert_allclose(expected[k] + 1.5 * change[k], after, atol=1e-6)


@pytest.mark.parametrize("objectives", [("val_accuracy",), ("val_accuracy", "energy")])
@pytest.mark.parametrize("with_prior", [False, True])
def test_the_cell_to_evaluate_is_the_one_after_which_the_best_is_worth_most(objectives, with_prior):
    """Against the definition: every cell, all evaluated cells as rivals, many outcomes."""
    benchmark = ecnas.load("surrogate-5V")
    task = Task.of(benchmark, objectives)
    features, rng = cell_features(benchmark.space), np.random.default_rng(0)
    prior = rng.standard_normal((len(benchmark.space), len(objectives))) if with_prior else None
    rows = rng.permutation(len(benchmark.space))
    rewards = task.judge(benchmark.query_rows(rows)).vector_reward + 0.02 * rng.standard_normal((len(rows), 1))
    critic = gp_edit.Critic(task, 0.15, True, prior, tempering=3.0)
    outcomes = np.linspace(-5, 5, 101)
    chances = np.exp(-(outcomes**2) / 2) / np.exp(-(outcomes**2) / 2).sum()
    for n in range(1, 41):
        critic.add(rows[:n], rewards[:n])
        if n % 10 == 0:
            others = rows[n : n + 100]
            x, known = features(others), features(rows[:n])
            looks = [process.lookahead(x * scales, known * scales) for process, scales in critic._learners]
            worth = []
            for k, other in enumerate(others):
                cells = np.append(rows[:n], other)
                expected = np.stack([look[0][k] for look in looks], axis=1)
                change = np.stack([look[1][k] for look in looks], axis=1)
                best = [critic._values(cells, expected + outcome * change).max() for outcome in outcomes]
                worth.append(np.dot(chances, best))
            now = critic.fitted().max()
            chosen = worth[critic.best(others)]
            assert chosen - now > 0.9 * (max(worth) - now)


def test_gaussian_process_tells_noise_from_signal():
    rng = np.random.default_rng(1)
    x = rng.uniform(-2, 2, (80, 2))
    noises = []
    for scatter in (0.01, 0.5):
        y = np.sin(2 * x[:, 0]) + scatter * rng.standard_normal(80)
        process = GaussianProcess(2)
        for n in range(1, 81):
            process.add(x[n - 1], y[:n])
        noises.append(process._noise)
        assert np.abs(process.mean(x) - np.sin(2 * x[:, 0])).mean() < 0.4 * max(scatter, 0.05)
    assert noises[0] < noises[1]


def test_tempering_multiplies_the_fitted_noise():
    rng = np.random.default_rng(2)
    x = rng.uniform(-2, 2, (40, 2))
    y = np.sin(2 * x[:, 0]) + 0.3 * rng.standard_normal(40)
    fitted, tempered = GaussianProcess(2), GaussianProcess(2, tempering=10)
    for n in range(1, 41):
        fitted.add(x[n - 1], y[:n])
        tempered.add(x[n - 1], y[:n])
        assert tempered._noise == pytest.approx(10 * fitted._noise)
        assert tempered._length == fitted._length
    assert np.square(tempered.fitted()).sum() < np.square(fitted.fitted()).sum()


def test_where_trainings_differ_the_expected_best_is_recommended_and_not_the_luckiest():
    """True test regret, mean over ten worlds of 2,532 cells: .09 points against .16 when this was written."""
    expected = ecnas.load("surrogate-5V")
    test = expected.values("test_accuracy")
    chosen, luckiest = [], []
    for seed in range(1000, 1010):
        record = search("gp_edit", space=None, benchmark=f"surrogate-5V~{seed}", repeat="random", budget=80, seed=seed)
        assert record.recommends
        rows = record.column("row").astype(int)
        chosen.append(test.max() - test[record.recommended_rows()[-1]])
        luckiest.append(test.max() - test[rows[record.column("reward").argmax()]])
    assert np.mean(chosen) < 0.8 * np.mean(luckiest)
