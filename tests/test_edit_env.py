from __future__ import annotations

import doctest

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import ecnas
import ecnas_gym
from ecnas import Budget, BudgetExhaustedError, Space
from ecnas_gym import edit_env
from ecnas_gym.editor import Edits, Placed

IDS = [f"{prefix}ECNAS-{space}-Edit-v0" for prefix in ("", "MO-") for space in ("4V", "5V", "7V")]
NUM_ACTIONS = {"4V": 13, "5V": 20, "7V": 37}


def run_episode(env, rng, **reset):
    """A random legal episode: rewards, and the last observation and info."""
    observation, info = env.reset(**reset)
    rewards, terminated = [], False
    while not terminated:
        action = rng.choice(np.flatnonzero(info["action_mask"]))
        observation, reward, terminated, truncated, info = env.step(action)
        assert not truncated
        rewards.append(reward)
    return rewards, observation, info


# --- The edits -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["4V", "5V"])
def test_every_cell_can_be_reached_and_the_mask_never_leaves_the_space(name):
    """From one placed cell on, along allowed actions alone, over all placed cells that can be reached."""
    space = Space(name)
    edits = Edits(space)
    placed = np.array([edits.place(0, np.random.default_rng(0))])
    keys = np.array([placed[0, 0] * 243 + placed[0, 1]])
    rows: set[int] = set()
    actions = np.arange(edits.stop)
    while len(placed):
        rows.update(edits.rows(placed[:, 0], placed[:, 1]).tolist())
        bits, codes = edits.apply(placed[:, :1], placed[:, 1:], actions)
        # A mask of some of them, compared with what the published definition says of the pruned cell.
        for k in range(0, len(placed), max(len(placed) // 5, 1)):
            mask = edits.mask(edit_env.Placed(*placed[k].tolist()))
            for action in np.flatnonzero(mask[:-1]):
                cell = edits.cell(edit_env.Placed(int(bits[k, action]), int(codes[k, action])))
                assert cell.num_vertices <= space.num_vertices
                assert cell.num_edges <= space.max_edges
        reached = np.stack([bits, codes], axis=-1)[edits.rows(bits, codes) >= 0]
        new = np.setdiff1d(reached[:, 0] * 243 + reached[:, 1], keys)
        keys = np.union1d(keys, new)
        placed = np.stack([new // 243, new % 243], axis=1)
    assert rows == set(range(len(space)))


@pytest.mark.parametrize("name", ["4V", "5V", "7V"])
def test_one_cell_is_edited_as_many_are(name):
    """Masks and outcomes of all placed cells of 4V, of samples of the others; of what is no cell of the space, too."""
    edits, rng = Edits(Space(name)), np.random.default_rng(0)
    codes = np.arange(0, 243, 3 ** (7 - edits.space.num_vertices))
    if name == "4V":
        placed = np.array([(bits, code) for bits in range(1 << edits.num_edges) for code in codes])
    else:
        placed = np.column_stack([rng.integers(1 << edits.num_edges, size=500), rng.choice(codes, size=500)])
    for edits_left in (0, 1):
        masks = edits.masks(placed[:, 0], placed[:, 1], np.full(len(placed), edits_left))
        for one, mask in zip(placed.tolist(), masks, strict=True):
            np.testing.assert_array_equal(edits.mask(Placed(*one), edits_left), mask)
    after = np.stack(edits.apply(placed[:, :1], placed[:, 1:], np.arange(edits.num_actions)), axis=-1)
    for one, expected in zip(placed.tolist(), after.tolist(), strict=True):
        assert [[*edits.after(Placed(*one), action)] for action in range(edits.num_actions)] == expected


@pytest.mark.parametrize("name", ["4V", "5V", "7V"])
def test_placements_are_all_the_labellings_of_the_cell(name):
    space = Space(name)
    edits = Edits(space)
    rng = np.random.default_rng(1)
    for row in [0, 1, len(space) - 1, *rng.integers(len(space), size=30).tolist()]:
        edge_bits, op_codes = edits.placements(row)
        assert (edits.rows(edge_bits, op_codes) == row).all()
        assert 1 <= len(edge_bits) <= 120
        filled = edits.fill_unconnected(edge_bits, op_codes, rng)
        assert (edits.rows(edge_bits, filled) == row).all()
    rows = rng.integers(len(space), size=500)
    np.testing.assert_array_equal(edits.rows(*edits.first_placements(rows)), rows)
    # The cell that is one edge from input to output uses no vertex: every operation is free.
    bits, codes = edits.placements(0)
    many = edits.fill_unconnected(np.repeat(bits[:1], 2000), np.repeat(codes[:1], 2000), rng)
    assert len(set(many.tolist())) == 3 ** (space.num_vertices - 2)


def test_single_edits_of_all_placements_are_the_neighbours():
    """But for new vertices, which take two edits."""
    space = Space("5V")
    edits = Edits(space)
    for row in np.random.default_rng(2).integers(100, len(space), size=20).tolist():  # cells that use all vertices
        bits, codes = edits.placements(row)
        edited = edits.apply(bits[:, None], codes[:, None], np.arange(edits.stop))
        found = set(np.unique(edits.rows(*edited)).tolist()) - {-1, row}
        assert found == {cell.row for cell in space.neighbours(space[row])}


def test_actions_do_what_the_table_says():
    env = gym.make("ECNAS-4V-Edit-v0").unwrapped
    env.reset(seed=0, options={"placed": (0b001_000, 0)})  # edge 0→3 alone; conv3x3 everywhere
    for action in (0, 5, 8):  # flip 0→1; flip 2→3; vertex 1 to maxpool3x3
        env.step(action)
    assert env.placed == (0b101_001, 2 * 81)
    _, _, _, _, info = env.step(4)  # flip 1→3: the vertex is in use now
    assert not info["action_mask"][:-1].any()  # no edit is left
    _, _, terminated, _, info = env.step(env.unwrapped.edits.stop)
    assert terminated
    assert info["cell"] == ecnas.Cell([[0, 1, 1], [0, 0, 1], [0, 0, 0]], ["maxpool3x3"])


# --- The environments ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("env_id", [i for i in IDS if not i.startswith("MO")])
def test_passes_the_checkers(env_id):
    pytest.importorskip("matplotlib", reason="the checker renders")
    check_env(gym.make(env_id).unwrapped, skip_render_check=False)
    sb3 = pytest.importorskip("stable_baselines3.common.env_checker", reason="needs stable-baselines3")
    sb3.check_env(gym.make(env_id).unwrapped)


@pytest.mark.parametrize("env_id", IDS)
def test_random_episodes(env_id):
    env = gym.make(env_id, budget=200)
    rng = np.random.default_rng(0)
    best = -np.inf
    assert env.action_space.n == NUM_ACTIONS[env_id.split("-")[-3]]
    for episode in range(50):
        rewards, observation, info = run_episode(env, rng, seed=3 if episode == 0 else None)
        assert observation in env.observation_space
        assert info["cell"] in env.unwrapped.cell_space
        assert not info["action_mask"].any()
        assert len(rewards) <= env.unwrapped.max_edits + 1
        assert info["budget"]["evaluations"] == episode + 1
        if env_id.startswith("MO"):
            assert rewards[-1].dtype == np.float64
            np.testing.assert_array_equal(rewards[-1], info["vector_reward"])
            assert not np.any(rewards[:-1])
        else:
            best = max(best, rewards[-1])
            assert type(rewards[-1]) is float
            env.reset()
            assert env.unwrapped.edits.cell(env.unwrapped.placed).row == env.unwrapped._best[2]
            assert env.unwrapped._best[1] == best


def test_reward_is_the_building_environment_s():
    env = gym.make("ECNAS-5V-Edit-v0")
    rewards = env.unwrapped.benchmark.scalar_rewards(env.unwrapped.scalarisation)
    rng = np.random.default_rng(5)
    for _ in range(20):
        seen, _, info = run_episode(env, rng)
        assert seen[-1] == pytest.approx(rewards[info["cell"].row], abs=1e-12)


def test_an_unchanged_incumbent_is_not_evaluated_again():
    env = gym.make("ECNAS-5V-Edit-v0", max_edits=2)
    _, info = env.reset(seed=0)
    assert info["action_mask"][-1]  # nothing is known of the first cell
    cell = env.step(env.unwrapped.edits.stop)[4]["cell"]
    _, info = env.reset()
    assert env.unwrapped.edits.cell(env.unwrapped.placed) == cell
    assert not info["action_mask"][-1]
    flip = np.flatnonzero(info["action_mask"][: env.unwrapped.edits.num_edges])[0]
    env.step(flip)
    _, _, _, _, info = env.step(flip)  # back again, and no edit left: the episode must be able to end
    assert np.flatnonzero(info["action_mask"]).tolist() == [env.unwrapped.edits.stop]


def test_starts_from_a_cell_of_choice():
    env = gym.make("MO-ECNAS-7V-Edit-v0")
    cell = env.unwrapped.cell_space[123_456]
    placed = set()
    for seed in range(20):
        env.reset(seed=seed, options={"cell": cell})
        assert env.unwrapped.edits.cell(env.unwrapped.placed) == cell
        placed.add(env.unwrapped.placed)
    assert len(placed) > 1
    small = gym.make("ECNAS-4V-Edit-v0")
    with pytest.raises(ecnas.OutOfDomainError):
        small.reset(options={"cell": cell})


def test_vector_episodes_start_from_the_front():
    env = gym.make("MO-ECNAS-5V-Edit-v0")
    rng = np.random.default_rng(0)
    seen = {}
    for _ in range(60):
        _, _, info = run_episode(env, rng)
        seen[info["cell"].row] = info["vector_reward"]
    rows, rewards = list(seen), np.array(list(seen.values()))
    dominated = [(rewards >= r).all(1) & (rewards > r).any(1) for r in rewards]
    front = {row for row, by in zip(rows, dominated, strict=True) if not by.any()}
    starts = set()
    for _ in range(200):
        env.reset()
        starts.add(env.unwrapped.edits.cell(env.unwrapped.placed).row)
    assert starts <= front
    # Of cells with equal rewards one is enough.
    assert len(starts) == len({tuple(seen[row]) for row in front})


def test_outside_of_the_mask_nothing_is_charged():
    budget = Budget(evaluations=1)
    env = gym.make("ECNAS-5V-Edit-v0", budget=budget)
    _, info = env.reset(seed=0)
    outside = np.flatnonzero(info["action_mask"] == 0)[0]
    _, reward, terminated, _, info = env.step(outside)
    assert terminated
    assert reward == ecnas_gym.INVALID_REWARD
    assert "invalid" in info
    assert budget.spent.evaluations == 0
    env.reset()
    env.step(env.unwrapped.edits.stop)
    env.reset()
    with pytest.raises(BudgetExhaustedError):
        env.step(0)


def test_same_seed_same_episodes():
    def play():
        env = gym.make("ECNAS-7V-Edit-v0")
        rng = np.random.default_rng(0)
        cells = [run_episode(env, rng, seed=9)[2]["cell"]]
        return cells + [run_episode(env, rng)[2]["cell"] for _ in range(20)]

    assert play() == play()


def test_a_new_seed_is_a_new_run():
    env = gym.make("ECNAS-7V-Edit-v0")
    rng = np.random.default_rng(0)
    first = [run_episode(env, rng, seed=9)[2]["cell"]]
    again = run_episode(env, np.random.default_rng(0), seed=9)[2]["cell"]
    assert first == [again]


@pytest.mark.parametrize("mode", ["ansi", "rgb_array"])
def test_renders(mode):
    if mode == "rgb_array":
        pytest.importorskip("matplotlib")
    env = gym.make("ECNAS-4V-Edit-v0", render_mode=mode)
    env.reset(seed=0)
    before = env.render()
    env.step(env.unwrapped.edits.stop)
    after = env.render()
    if mode == "ansi":
        assert before.splitlines()[-1] == "4 edits left"
        assert "validation accuracy" in after
        assert "edits left" not in after
    else:
        assert before.shape == (480, 480, 3)
        assert (before[:30] < 128).any()  # a caption above the cell


def test_max_edits_must_be_positive():
    with pytest.raises(ValueError, match="max_edits must be a whole number from 1"):
        gym.make("ECNAS-4V-Edit-v0", max_edits=0)


def test_examples_in_docstrings():
    assert doctest.testmod(edit_env).failed == 0
