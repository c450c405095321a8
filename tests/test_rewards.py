"""The default reward on every benchmark: its optimum is a known inner cell of the exact front, of full size."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import needs_official

import ecnas

# Benchmark: cells on the exact front, the place of the optimum on it (from 1), its vertices and its module hash.
EMBEDDED = {
    "surrogate-4V": (12, 10, 4, "38e55ad9ee9194f5392fcccb3e54a4c3"),
    "surrogate-5V": (28, 23, 5, "7852ee08f4b652a93c8bdab93b5d94ee"),
    "surrogate-7V": (45, 39, 7, "95f5ef91fd2e74455f68075a8e21e43d"),
}

PUBLISHED = {
    "energy_4V9E_4epochs": (15, 13, 4, "38e55ad9ee9194f5392fcccb3e54a4c3"),
    "energy_4V9E_linscale": (17, 15, 4, "38e55ad9ee9194f5392fcccb3e54a4c3"),
    "energy_5V9E_4epochs": (13, 12, 5, "508e3eeda258eecc0e7bef69785f4c05"),
    "energy_4V9E_quadrortx6000": (17, 15, 4, "38e55ad9ee9194f5392fcccb3e54a4c3"),
    "energy_4V9E_rtx3060": (16, 13, 4, "675777ecb1daff61b6917d833406cb82"),
    "energy_4V9E_rtx3090": (15, 14, 4, "66ea4e36f994d4bf11102cbef10a3cb1"),
    "energy_4V9E_titanxp": (14, 13, 4, "66ea4e36f994d4bf11102cbef10a3cb1"),
}


def check(name, front_size, place, vertices, optimum):
    benchmark = ecnas.load(name)
    front = benchmark.pareto_front()
    cell, reward = benchmark.optimum()
    assert len(front) == front_size
    assert (front.rows.tolist().index(cell.row) + 1, cell.num_vertices, cell.hash) == (place, vertices, optimum)
    assert 1 < place < front_size
    # It is the most accurate cell within the cap, or one that is a little above it and worth the fine.
    accuracy, energy = front.scores.T
    assert reward == pytest.approx(np.max(accuracy - np.clip(0.2 - energy, 0, None)))
    assert energy[place - 1] > 0.18


@pytest.mark.parametrize("name", EMBEDDED)
def test_optimum_of_the_embedded_tables(name):
    check(name, *EMBEDDED[name])


@needs_official
@pytest.mark.parametrize("name", PUBLISHED)
def test_optimum_of_the_published_files(name):
    pytest.importorskip("tensorflow")
    check(name, *PUBLISHED[name])


def test_the_default_is_the_same_everywhere(tmp_path):
    import gymnasium as gym

    import ecnas_gym  # noqa: F401
    from ecnas import runs, search
    from ecnas.runs.script import RunSettings
    from ecnas.runs.sweep import Sweep
    from ecnas.task import Task
    from ecnas_gym.agents import reinforce_many

    benchmark = ecnas.load("surrogate-4V")
    path = tmp_path / "sweep.toml"
    path.write_text('spaces = ["4V"]\nbudgets = [2]\nseeds = 1\n[[algorithm]]\nuse = "RandomSearch"\n')
    assert benchmark.scalarisation() == ecnas.SoftCap(0.2)
    for made in (
        Task.of(benchmark).scalarisation,
        RunSettings(space="4V").make_task().scalarisation,
        Sweep.load(path).task("surrogate-4V", 0).scalarisation,
        gym.make("ECNAS-4V-v0").unwrapped.scalarisation,
        gym.make("ECNAS-4V-Edit-v0").unwrapped.scalarisation,
        gym.make_vec("ECNAS-4V-v0", 2).get_attr("scalarisation")[0],
        benchmark.scalarisation(reinforce_many.Args().scalarisation),
    ):
        assert made == ecnas.SoftCap(0.2)
    described = runs.run(search.RandomSearch(), benchmark, 2).header["task"]["scalarisation"]
    assert described == {"type": "SoftCap", "least": 0.2}


def test_weights_alone_are_of_a_linear_reward_and_one_objective_is_its_score():
    from ecnas.task import Task

    benchmark = ecnas.load("surrogate-4V")
    assert Task.of(benchmark, weights=(0.8, 0.2)).scalarisation == ecnas.Linear((0.8, 0.2))
    assert Task.of(benchmark, ("val_accuracy",)).scalarisation == ecnas.Linear()
    alone = benchmark.vector_rewards(("val_accuracy",))[:, 0]
    assert (benchmark.scalar_rewards(None, ("val_accuracy",)) == alone).all()
    assert (benchmark.scalar_rewards("soft-cap", ("val_accuracy",)) == alone).all()
    with pytest.raises(ValueError, match="'soft-cap' takes no weights"):
        benchmark.scalarisation("soft-cap", weights=(1, 1))


@needs_official
def test_an_environment_on_a_published_file():
    pytest.importorskip("tensorflow")
    import gymnasium as gym

    import ecnas_gym  # noqa: F401

    env = gym.make("ECNAS-4V-v0", benchmark="energy_4V9E_rtx3060", budget=2)
    rng = np.random.default_rng(0)
    _, info = env.reset(seed=0)
    terminated = False
    while not terminated:
        _, reward, terminated, _, info = env.step(rng.choice(np.flatnonzero(info["action_mask"])))
    assert info["evaluation"].provenance == "scaled"
    assert -0.2 <= reward <= 1
