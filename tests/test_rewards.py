"""The default reward on every benchmark: its optimum is a known inner cell of the exact front."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import needs_official

import ecnas

# Benchmark: cells on the exact front, and the module hash of the optimum.
PUBLISHED = {
    "energy_4V9E_4epochs": (15, "2f46c9d2f1cff176f34a2295c49822bc"),
    "energy_4V9E_linscale": (17, "e7f31293566724324d3ccc875f097f01"),
    "energy_5V9E_4epochs": (13, "53cee42601ad14d661bb6878031d6acb"),
    "energy_4V9E_quadrortx6000": (17, "e7f31293566724324d3ccc875f097f01"),
    "energy_4V9E_rtx3060": (16, "e7f31293566724324d3ccc875f097f01"),
    "energy_4V9E_rtx3090": (15, "e7f31293566724324d3ccc875f097f01"),
    "energy_4V9E_titanxp": (14, "3407944b22d4b1d0cccbd8e070424ce4"),
}


EMBEDDED = {
    "surrogate-4V": (12, "1af995a92568cf42af2c2668f72834ea"),
    "surrogate-5V": (28, "1af995a92568cf42af2c2668f72834ea"),
    "surrogate-7V": (45, "1af995a92568cf42af2c2668f72834ea"),
}


def check(name, front_size, optimum):
    benchmark = ecnas.load(name)
    front = benchmark.pareto_front()
    cell, reward = benchmark.optimum()
    assert len(front) == front_size
    assert cell.hash == optimum
    assert 0 < front.rows.tolist().index(cell.row) < front_size - 1
    # The knee: no point of the front lies farther from the line between its ends.
    distance = front.scores @ [1, 1] / np.sqrt(2)
    assert front.rows[np.argmax(distance)] == cell.row
    assert reward == pytest.approx(distance.max() / np.sqrt(2))


@pytest.mark.parametrize("name", EMBEDDED)
def test_optimum_of_the_embedded_tables(name):
    check(name, *EMBEDDED[name])


@needs_official
@pytest.mark.parametrize("name", PUBLISHED)
def test_optimum_of_the_published_files(name):
    pytest.importorskip("tensorflow")
    check(name, *PUBLISHED[name])


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
    assert 0 <= reward <= 1
