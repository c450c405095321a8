"""Of a benchmark that lacks cells, masks lead to those that are there, to all of them, and to no others."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from conftest import needs_official, synthetic_table
from gymnasium.vector import SyncVectorEnv

import ecnas
from ecnas import Benchmark, OutOfDomainError, Space
from ecnas_gym import ChooseEpochs
from ecnas_gym.automaton import FINISHED, INVALID, START, automaton, automaton_of, guises
from ecnas_gym.domain import present_cells
from ecnas_gym.editor import Placed

NUM_EPISODES = {"4V": 135, "5V": 4_266, "7V": 3_362_877}


def partial_benchmark(space, count, seed=0):
    """A benchmark of some cells."""
    size = len(Space(space))
    rows = np.random.default_rng(seed).choice(size, count, replace=False)
    return Benchmark(synthetic_table(space, missing=frozenset(range(size)) - set(rows.tolist()))), set(rows.tolist())


def sequences(tables):
    """All sequences of allowed decisions."""
    waiting, complete = [(START, ())], []
    while waiting:
        state, actions = waiting.pop()
        allowed = np.flatnonzero(tables.masks[state])
        assert (len(allowed) > 0) == (state != FINISHED)  # no dead ends
        for action in allowed.tolist():
            following = int(tables.following[state + action])
            assert following != INVALID
            (complete if following == FINISHED else waiting).append((following, (*actions, action)))
    return [actions for _, actions in complete]


def built(env, actions):
    env.reset()
    for action in actions:
        assert env.action_masks()[action]
        result = env.step(action)
    assert result[2]
    assert not result[4]["invalid"]
    return result[4]["row"]


@pytest.mark.parametrize("count", [1, 3, 40, 60, 88, 90])
def test_all_episodes_of_4v(count):
    """Proof by enumeration; what is allowed on a full benchmark is forbidden only where nothing else is left."""
    benchmark, rows = partial_benchmark("4V", count)
    env = gym.make("ECNAS-4V-v0", benchmark=benchmark).unwrapped
    found = sequences(automaton_of(benchmark, (108,)))
    assert {built(env, actions) for actions in found} == rows
    full = gym.make("ECNAS-4V-v0").unwrapped
    expected = {actions for actions in sequences(automaton(Space("4V"))) if built(full, actions) in rows}
    assert set(found) == expected
    assert len(found) == len(expected)


@pytest.mark.parametrize("count", [1, 60, 1_200, 1_300, 2_500, 2_531])
def test_all_episodes_of_5v(count):
    benchmark, rows = partial_benchmark("5V", count)
    env = gym.make("ECNAS-5V-v0", benchmark=benchmark).unwrapped
    found = sequences(automaton_of(benchmark, (108,)))
    some = found if len(found) < 500 else found[:: len(found) // 500]
    assert {built(env, actions) for actions in some} <= rows
    assert len(found) == len(guises(Space("5V"), np.array(sorted(rows))))


@pytest.mark.parametrize("space", ["4V", "5V"])
def test_guises_are_all_legal_episodes(space):
    assert len(guises(Space(space), np.arange(len(Space(space))))) == NUM_EPISODES[space]
    complete = {sum(a * 3**k for k, a in enumerate(reversed(s))) for s in sequences(automaton(Space(space)))}
    assert complete == set(guises(Space(space), np.arange(len(Space(space)))).tolist())


def test_a_few_cells_of_7v():
    benchmark, rows = partial_benchmark("7V", 60)
    env = gym.make("ECNAS-7V-v0", benchmark=benchmark).unwrapped
    found = sequences(automaton_of(benchmark, (108,)))
    assert {built(env, actions) for actions in found} == rows
    assert len(found) == len(guises(Space("7V"), np.array(sorted(rows))))


def test_most_cells_of_7v():
    """No dead ends in any state, and samples of what is there and what is not."""
    lacking = np.random.default_rng(1).choice(423_624, 3_000, replace=False)
    benchmark = Benchmark(synthetic_table("7V", missing=frozenset(lacking.tolist())))
    tables = automaton_of(benchmark, (108,))
    states = np.arange(START, len(tables.following), 3)
    reached = np.zeros(len(tables.following), dtype=bool)
    reached[START] = True
    for _ in range(26):
        for action in range(3):
            here = states[reached[states] & (tables.masks[states, action] > 0)]
            reached[tables.following[here + action]] = True
    alive = states[reached[states]]
    assert (tables.masks[alive].sum(axis=1) > 0).all()
    assert not reached[INVALID]
    present = np.setdiff1d(np.arange(423_624), lacking)

    def ends(sequence):
        state = START
        for digit in np.base_repr(sequence, 3).zfill(26):
            state = int(tables.following[state + int(digit)])
            if state == INVALID:
                return False
        return state == FINISHED

    rng = np.random.default_rng(2)
    for rows, expected in ((lacking, False), (present, True)):
        for sequence in rng.choice(guises(Space("7V"), rng.choice(rows, 40)), 300).tolist():
            assert ends(sequence) == expected


@pytest.mark.parametrize("count", [1, 30, 85])
@pytest.mark.parametrize("env_id", ["ECNAS-4V-v0", "MO-ECNAS-4V-v0", "ECNAS-4V-Edit-v0", "MO-ECNAS-4V-Edit-v0"])
def test_every_masked_episode_is_evaluated(env_id, count):
    benchmark, rows = partial_benchmark("4V", count)
    rng, seen = np.random.default_rng(0), set()
    env = gym.make(env_id, benchmark=benchmark, budget=400)
    for episode in range(400):
        _, info = env.reset(seed=episode if "Edit" in env_id else None)
        terminated = False
        while not terminated:
            assert info["action_mask"].any()
            _, _, terminated, _, info = env.step(rng.choice(np.flatnonzero(info["action_mask"])))
        assert info["row"] in rows
        seen.add(info["row"])
    assert len(seen) > 0.5 * len(rows)


def test_the_vector_environment_has_the_same_masks():
    benchmark, rows = partial_benchmark("5V", 60)
    envs = gym.make_vec("ECNAS-5V-v0", num_envs=8, benchmark=benchmark)
    singles = SyncVectorEnv([lambda: gym.make("ECNAS-5V-v0", benchmark=benchmark)] * 8)
    rng, seen = np.random.default_rng(0), set()
    (_, info), _ = envs.reset(), singles.reset()
    for _ in range(14 * 20):
        actions = (rng.random((8, 3)) * (info["action_mask"] + 1e-9)).argmax(axis=1)
        *results, info = envs.step(actions)
        *expected, expected_info = singles.step(actions)
        for result, same in zip(results, expected, strict=True):
            np.testing.assert_array_equal(result, same)
        np.testing.assert_array_equal(info["action_mask"], expected_info["action_mask"])
        seen.update(info["row"].tolist() if "row" in info else [])
    assert seen <= rows


@pytest.mark.parametrize("space", ["4V", "5V", "7V"])
def test_full_benchmarks_keep_the_masks_of_the_space(space):
    benchmark = ecnas.load(f"surrogate-{space}")
    assert present_cells(benchmark, (108,)) is None
    assert automaton_of(benchmark, (108,)) is automaton(Space(space))
    assert present_cells(Benchmark(synthetic_table("4V")), (4,)) is None


@needs_official
def test_a_published_file_that_lacks_three_cells():
    env = gym.make("ECNAS-4V-v0", benchmark="energy_4V9E_rtx3060").unwrapped
    found = sequences(env._builder.tables)
    assert len({built(env, actions) for actions in found}) == 88


def test_a_benchmark_without_cells():
    benchmark = Benchmark(synthetic_table("4V", missing=frozenset(range(91))))
    with pytest.raises(OutOfDomainError, match="has no cell at 108 epochs"):
        present_cells(benchmark, (108,))


# --- Editing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 5, 45])
@pytest.mark.parametrize("max_edits", [1, 2, 4])
def test_edits_have_no_dead_ends(count, max_edits):
    """From every placement of every cell that is there, along all allowed actions."""
    benchmark, rows = partial_benchmark("4V", count)
    env = gym.make("ECNAS-4V-Edit-v0", benchmark=benchmark).unwrapped
    edits, present = env.edits, env._present
    waiting = {(Placed(*placed), max_edits) for row in rows for placed in np.transpose(edits.placements(row)).tolist()}
    seen, stops = set(waiting), set()
    while waiting:
        placed, left = waiting.pop()
        mask = edits.mask(placed, left, present)
        row = int(edits.rows(np.array(placed.edge_bits), np.array(placed.op_code)))
        assert mask.any()
        assert mask[edits.stop] == present[row]
        if mask[edits.stop]:
            stops.add(row)
        for action in np.flatnonzero(mask[:-1]):
            assert left > 0
            after = Placed(*map(int, edits.apply(*map(np.array, (*placed, action)))))
            if (after, left - 1) not in seen:
                seen.add((after, left - 1))
                waiting.add((after, left - 1))
    assert stops == rows


def test_episodes_start_at_cells_that_are_there():
    benchmark, rows = partial_benchmark("4V", 20)
    env = gym.make("ECNAS-4V-Edit-v0", benchmark=benchmark).unwrapped
    starts = set()
    for seed in range(300):
        env.reset(seed=seed)
        starts.add(env._row())
    assert starts == rows
    lacking = next(row for row in range(91) if row not in rows)
    for options in ({"cell": env.cell_space[lacking]}, {"placed": env.edits.place(lacking, np.random.default_rng(0))}):
        with pytest.raises(OutOfDomainError, match="lacks cell"):
            env.reset(options=options)


@pytest.mark.parametrize("placed", [(1,), "ab", 5, (1.5, 0), (1 << 6, 0), (8, 243), (8, 1), None])
def test_what_is_no_placed_cell(placed):
    env = gym.make("ECNAS-4V-Edit-v0").unwrapped
    with pytest.raises(ValueError, match="placed must be|edge_bits must be|op_code must"):
        env.reset(options={"placed": placed})
    with pytest.raises(ValueError, match=r"options\['cell'\] must be an ecnas.Cell"):
        env.reset(options={"cell": 5})
    with pytest.raises(ValueError, match="got both"):
        env.reset(options={"cell": env.cell_space[0], "placed": (8, 0)})


# --- Epochs -----------------------------------------------------------------------------------------------------------


def benchmark_of_few_epochs():
    """Cells of which some were trained for 4 epochs alone, some for 108 alone, some for both and some for none."""
    table = synthetic_table("4V")
    kind = np.arange(91) % 4
    holes = np.zeros((91, 2, 1))
    holes[(kind == 1) | (kind == 3), 0] = np.nan
    holes[(kind == 2) | (kind == 3), 1] = np.nan
    columns = {name: ecnas.table.Column(column.values + holes) for name, column in table.columns.items()}
    return Benchmark(synthetic_table("4V", columns=columns, digest="1" * 64)), kind


@pytest.mark.parametrize("env_id", ["ECNAS-4V-v0", "ECNAS-4V-Edit-v0"])
def test_cells_that_lack_epochs(env_id):
    benchmark, kind = benchmark_of_few_epochs()
    rng, seen = np.random.default_rng(0), set()
    env = ChooseEpochs(gym.make(env_id, benchmark=benchmark))
    for episode in range(600):
        _, info = env.reset(seed=episode)
        terminated = False
        while not terminated:
            _, _, terminated, _, info = env.step(rng.choice(np.flatnonzero(info["action_mask"])))
        assert not info["invalid"]
        seen.add((info["row"], info["epochs"]))
    there = {(row, epochs) for row in range(91) for epochs in (4, 108) if kind[row] in (0, 2 if epochs == 4 else 1)}
    assert seen <= there
    assert {(kind[row], epochs) for row, epochs in seen} == {(0, 4), (0, 108), (1, 108), (2, 4)}
    for epochs, other in ((4, 1), (108, 2)):
        alone = gym.make(env_id, benchmark=benchmark, epochs=epochs).unwrapped
        assert not alone._present[kind == other].any()
