"""The native form of editing has the episodes of single environments, step by step."""

from __future__ import annotations

import doctest

import gymnasium as gym
import numpy as np
import pytest
from conftest import synthetic_table
from gymnasium.vector import AutoresetMode

from ecnas import Benchmark, Space, pareto
from ecnas_gym import edit_vector
from ecnas_gym.edit_tables import edit_tables
from ecnas_gym.editor import Edits

IDS = [f"{prefix}ECNAS-{space}-Edit-v0" for prefix in ("", "MO-") for space in ("4V", "5V", "7V")]


def draw(mask, rng):
    return (rng.random(mask.shape) * (mask + 1e-9)).argmax(axis=-1)


def incumbents(env):
    """Rows of what an environment may start from."""
    if hasattr(env, "_front_rows"):
        return set(env._front_rows)
    return set() if env._best is None else {env._best[2]}


def incumbents_of(envs, number):
    if hasattr(envs, "_fronts"):
        return set(envs._fronts[0, : envs._front_sizes[number], number].astype(int).tolist())
    return {int(envs._best_rows[number])} - {-2}


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize("wrong", [0.0, 0.05, 1.0])
@pytest.mark.parametrize("env_id", IDS)
def test_episodes_are_those_of_single_environments(env_id, wrong, mode):
    """From the placed cells that the native form draws, which are checked by themselves."""
    num_envs, rng = 8, np.random.default_rng(0)
    lacking = frozenset(range(0, 91, 3)) if "4V" in env_id else frozenset()
    arguments = {"benchmark": Benchmark(synthetic_table("4V", missing=lacking))} if lacking else {}
    arguments |= {"max_edits": 3} | ({} if env_id.startswith("MO") else {"scalarisation": "chebyshev"})
    envs = gym.make_vec(env_id, num_envs=num_envs, autoreset_mode=mode, **arguments)
    singles = [gym.make(env_id, **arguments).unwrapped for _ in range(num_envs)]
    observations, info = envs.reset(seed=1)

    def restart(number, first=False):
        """The single environment begins where the native form has begun, at an incumbent if there is one."""
        single, placed = singles[number], [int(field[number]) for field in envs.unwrapped.placed]
        row = int(single.edits.rows(*map(np.array, placed)))
        known = incumbents(single)
        assert known == incumbents_of(envs.unwrapped, number)
        assert row in (known or set(range(len(single.cell_space))) - lacking)
        observation, told = single.reset(seed=0 if first else None, options={"placed": tuple(placed)})
        np.testing.assert_array_equal(told["action_mask"], info["action_mask"][number])
        np.testing.assert_array_equal(observation, observations[number])

    for number in range(num_envs):
        restart(number, first=True)
    ended, num_finished = np.zeros(num_envs, dtype=bool), 0
    for _ in range(60):
        actions = draw(info["action_mask"], rng)
        others = rng.integers(envs.single_action_space.n, size=num_envs)
        actions = np.where(rng.random(num_envs) < wrong, others, actions)
        observations, rewards, terminated, truncated, info = envs.step(actions)
        final = info.get("final_info", info)
        num_finished += np.count_nonzero(final.get("_row", ()))
        for number, single in enumerate(singles):
            if ended[number]:
                restart(number)
                assert not np.any(rewards[number])
                assert not terminated[number]
                continue
            observation, reward, over, cut, told = single.step(actions[number])
            np.testing.assert_array_equal(rewards[number], reward)
            assert (terminated[number], truncated[number]) == (over, cut)
            seen, of = observations[number], info
            if over and mode == AutoresetMode.SAME_STEP:
                seen, of = info["final_obs"][number], final
            np.testing.assert_array_equal(seen, observation)
            assert {key for key in told if of[f"_{key}"][number]} == set(told)
            for key, value in told.items():
                np.testing.assert_array_equal(of[key][number], value)
            if over and mode == AutoresetMode.SAME_STEP:
                restart(number)
        ended = (terminated | truncated) & (mode == AutoresetMode.NEXT_STEP)
    assert num_finished > (30 if wrong < 1 else 2)


def placed_cells(space, rng):
    """All placed cells of 4V and 5V, many of 7V, as edge bits and op codes."""
    codes = np.arange(0, 243, 3 ** (7 - space.num_vertices))
    edge_bits = np.arange(1 << (space.num_vertices * (space.num_vertices - 1) // 2))
    if space.num_vertices == 7:
        edge_bits, codes = rng.permutation(edge_bits), rng.choice(codes, size=(20_000, 1))
        edge_bits, codes = edge_bits[:20_000], codes[:, 0]
    else:
        edge_bits, codes = (values.ravel() for values in np.meshgrid(edge_bits, codes))
    there = Edits(space).rows(edge_bits, codes) >= 0
    return edge_bits[there], codes[there]


@pytest.mark.parametrize("name", ["4V", "5V", "7V"])
def test_look_ups_are_what_edits_say(name):
    """Rows and allowed actions of every placed cell, and where each action leads: all of 4V and 5V, samples of 7V."""
    space, rng = Space(name), np.random.default_rng(0)
    edits, tables = Edits(space), edit_tables(space)
    edge_bits, op_codes = placed_cells(space, rng)
    ops = np.eye(3, dtype=np.int64)[op_codes[:, None] // np.array([81, 27, 9, 3, 1][: space.num_vertices - 2]) % 3]
    words = edge_bits << tables.num_ops | ops.reshape(len(ops), -1) @ (1 << np.arange(tables.num_ops))
    np.testing.assert_array_equal(tables.split(words), (edge_bits, op_codes))
    rows, actions = tables.look(words)
    np.testing.assert_array_equal(rows, edits.rows(edge_bits, op_codes))
    masks = edits.masks(edge_bits, op_codes, np.ones_like(edge_bits))
    np.testing.assert_array_equal(actions[:, None] >> np.arange(edits.num_actions) & 1, masks)
    for action in range(edits.num_actions):
        after = words & tables.kept[action + 1] ^ tables.flipped[action + 1]
        expected = edits.apply(edge_bits, op_codes, np.array(action))
        np.testing.assert_array_equal(tables.split(after), expected)
    np.testing.assert_array_equal(words & tables.kept[0] ^ tables.flipped[0], words)


@pytest.mark.parametrize("space", ["4V", "5V", "7V"])
def test_placements_are_drawn_as_single_environments_draw_them(space):
    """All placements of a cell, unused vertices with any operation, all equally likely."""
    edits, tables = Edits(Space(space)), edit_tables(Space(space))
    rng, count = np.random.default_rng(0), 20_000
    for row in [0, 1, 3, len(edits.space) - 1, *rng.integers(len(edits.space), size=4).tolist()]:
        bits, codes = tables.split(tables.place(np.full(count, row), rng))
        assert (edits.rows(bits, codes) == row).all()
        some_bits, some_codes = edits.placements(row)
        chosen = rng.integers(len(some_bits), size=count)
        expected_bits = some_bits[chosen]
        expected_codes = edits.fill_unconnected(expected_bits, some_codes[chosen], rng)
        both = (bits * 243 + codes, expected_bits * 243 + expected_codes)
        frequency = [np.unique(placed, return_counts=True) for placed in both]
        if len(frequency[1][0]) < 300:
            np.testing.assert_array_equal(frequency[0][0], frequency[1][0])
            np.testing.assert_allclose(frequency[0][1], frequency[1][1], atol=8 * np.sqrt(count / len(frequency[1][0])))


def test_fronts_are_those_of_all_that_was_evaluated():
    rng, num_envs = np.random.default_rng(0), 6
    envs = gym.make_vec(
        "MO-ECNAS-5V-Edit-v0", num_envs=num_envs, objectives=("val_accuracy", "energy", "trainable_parameters")
    ).unwrapped
    _, info = envs.reset(seed=0)
    seen = [{} for _ in range(num_envs)]
    for _ in range(600):
        _, rewards, terminated, _, info = envs.step(draw(info["action_mask"], rng))
        for number in np.flatnonzero(terminated):
            seen[number][int(info["row"][number])] = rewards[number]
    for number, told in enumerate(seen):
        rows, rewards = np.array(list(told)), np.array(list(told.values()))
        assert incumbents_of(envs, number) <= set(rows.tolist())
        front = rewards[pareto.non_dominated(rewards)]
        size = envs._front_sizes[number]
        assert size > 4
        np.testing.assert_array_equal(np.unique(envs._fronts[1:, :size, number].T, axis=0), np.unique(front, axis=0))
        assert size == len(np.unique(front, axis=0))


@pytest.mark.parametrize("max_edits", [1, 4, 22, 23, 60])
def test_any_number_of_edits_is_observed(max_edits):
    envs = gym.make_vec("ECNAS-7V-Edit-v0", num_envs=3, max_edits=max_edits)
    single = gym.make("ECNAS-7V-Edit-v0", max_edits=max_edits).unwrapped
    observations, _ = envs.reset(seed=0)
    assert observations in envs.observation_space
    placed = tuple(int(field[1]) for field in envs.unwrapped.placed)
    np.testing.assert_array_equal(single.reset(options={"placed": placed})[0], observations[1])


def test_the_step_that_begins_an_episode_ignores_its_action():
    """Even after an episode that was only out of time, and would have allowed the action."""
    envs = gym.make_vec("ECNAS-4V-Edit-v0", num_envs=3, max_episode_steps=1)
    _, info = envs.reset(seed=0)
    truncated, info = envs.step(info["action_mask"][:, :-1].argmax(axis=1))[3:]
    assert truncated.all()
    assert info["action_mask"][:, -1].all()
    observations, rewards, terminated, truncated, _ = envs.step(np.full(3, envs.single_action_space.n - 1))
    assert not rewards.any()
    assert not (terminated | truncated).any()
    assert observations[:, -1].all()  # all edits are left


def test_a_new_seed_is_a_new_run():
    def run(envs, seed):
        rng = np.random.default_rng(0)
        _, info = envs.reset(seed=seed)
        told = []
        for _ in range(60):
            info = envs.step(draw(info["action_mask"], rng))[4]
            told += info["row"].tolist() if "row" in info else []
        return told

    envs = gym.make_vec("ECNAS-7V-Edit-v0", num_envs=4)
    assert run(envs, 1) == run(envs, 1) != run(envs, 2)
    assert run(envs, 1) == run(gym.make_vec("ECNAS-7V-Edit-v0", num_envs=4), 1)


def test_render():
    envs = gym.make_vec("ECNAS-4V-Edit-v0", num_envs=2, render_mode="ansi")
    single = gym.make("ECNAS-4V-Edit-v0", render_mode="ansi").unwrapped
    envs.reset(seed=0)
    for number, picture in enumerate(envs.render()):
        single.reset(options={"placed": tuple(int(field[number]) for field in envs.unwrapped.placed)})
        assert picture == single.render()


def test_examples_in_docstrings():
    result = doctest.testmod(edit_vector)
    assert result.attempted > 5
    assert not result.failed
