from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from conftest import needs_official

import ecnas
from ecnas import pareto


def brute_front(points):
    """Positions of points that no other dominates, the first of equal ones."""
    kept = []
    for i, p in enumerate(points):
        if np.isnan(p).any():
            continue
        beaten = any(
            (q >= p).all() and ((q > p).any() or j < i)
            for j, q in enumerate(points)
            if j != i and not np.isnan(q).any()
        )
        if not beaten:
            kept.append(i)
    return kept


@pytest.mark.parametrize("m", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_front_equals_brute_force(m, seed):
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 8, size=(60, m)).astype(float)
    points[rng.integers(60, size=4), 0] = np.nan
    found = pareto.non_dominated(points)
    assert sorted(found.tolist()) == brute_front(points)
    assert (np.diff(points[found, 0]) >= 0).all()


def test_large_front_equals_sorting_everything():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(50_000, 2)).round(3)
    assert pareto.non_dominated(points).tolist() == pareto._sweep(*points.T, np.arange(len(points))).tolist()


def test_hypervolume_of_known_sets():
    reference = np.zeros(2)
    assert pareto.hypervolume(np.empty((0, 2)), reference) == 0
    assert pareto.hypervolume(np.array([[1.0, 1.0]]), reference) == pytest.approx(1)
    stairs = np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]])
    assert pareto.hypervolume(stairs, reference) == pytest.approx(6)
    assert pareto.hypervolume(np.array([[3.0, -1.0]]), reference) == 0
    assert pareto.contributions(stairs, reference) == pytest.approx([1, 1, 1])


@pytest.mark.parametrize("m", [1, 2, 3])
def test_contributions_are_what_is_lost(m):
    rng = np.random.default_rng(1)
    points, reference = rng.random((12, m)), np.full(m, -0.1)
    front = points[pareto.non_dominated(points)]
    whole = pareto.hypervolume(front, reference)
    lost = [whole - pareto.hypervolume(np.delete(front, i, axis=0), reference) for i in range(len(front))]
    assert pareto.contributions(front, reference) == pytest.approx(lost)


def test_distance_indicators():
    front = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert pareto.igd_plus(front, front) == pytest.approx(0)
    assert pareto.additive_epsilon(front, front) == pytest.approx(0)
    behind = front - 0.25
    assert pareto.additive_epsilon(behind, front) == pytest.approx(0.25)
    assert pareto.igd_plus(behind, front) == pytest.approx(0.25 * np.sqrt(2))
    # Better than the front in a coordinate is not a distance: that is what the plus stands for.
    assert pareto.igd_plus(np.array([[2.0, 1.0]]), front) == pytest.approx(0)
    assert pareto.igd_plus(np.empty((0, 2)), front) == np.inf == pareto.additive_epsilon(np.empty((0, 2)), front)


def attained(point, run):
    return (run >= point).all(axis=1).any()


def test_attainment_surfaces_by_definition():
    rng = np.random.default_rng(2)
    runs = [rng.random((5, 2)).round(2) for _ in range(6)]
    parts = (1 / 6, 0.5, 1.0)
    surfaces = pareto.attainment_surfaces(runs, parts)
    for part, surface in zip(parts, surfaces, strict=True):
        assert (np.diff(surface[:, 0]) >= 0).all()
        need = round(part * 6)
        for point in itertools.product(np.linspace(0, 1, 23), repeat=2):
            count = sum(attained(np.array(point), run) for run in runs)
            assert attained(np.array(point), surface) == (count >= need)


def test_attainment_refuses_what_makes_no_sense():
    with pytest.raises(ValueError, match="one or more runs"):
        pareto.attainment_surfaces([], [0.5])
    with pytest.raises(ValueError, match="parts must be"):
        pareto.attainment_surfaces([np.ones((1, 2))], [0.0])


def test_bend_angle_of_a_right_angle():
    front = np.array([[0.0, 1.0], [1.0, 1.0 - 1e-12], [1.0 + 1e-12, 0.0]])
    assert pareto.bend_angles(front)[1] == pytest.approx(np.pi / 2, abs=1e-6)
    assert pareto.bend_angles(front)[[0, 2]].tolist() == [0, 0]


@pytest.mark.parametrize("neighbours", ["extremes", "adjacent"])
def test_knee(neighbours):
    x = np.linspace(0, 1, 21)
    y = np.where(x <= 0.7, 1 - 0.1 * x, 0.93 - 3.1 * (x - 0.7))  # bends at 0.7
    front = np.stack([x, y], axis=1)
    assert front[pareto.knee(front, neighbours), 0] == pytest.approx(0.7)
    scaled = front * [100.0, 0.001] + [5.0, -3.0]
    assert pareto.knee(scaled, neighbours) == pareto.knee(front, neighbours)


def test_knee_is_not_where_a_front_is_hollow():
    front = np.array([[0.0, 1.0], [0.2, 0.3], [0.75, 0.27], [1.0, 0.0]])  # the second is a hollow, the third a bulge
    assert pareto.knee(front, "adjacent") == 2


def test_short_fronts():
    assert pareto.solutions(np.array([[0.5, -1.0]])) == (0, 0, 0)
    assert pareto.solutions(np.array([[0.5, -1.0], [0.6, -2.0]])) == (0, 1, 0)
    with pytest.raises(ValueError, match="neighbours must be"):
        pareto.bend_angles(np.ones((3, 2)), "far")


@needs_official
def test_front_of_a_published_file():
    assert len(ecnas.load("energy_4V9E_linscale").pareto_front(epochs=108)) == 17


def test_exact_front_of_the_largest_space_is_fast():
    """423,624 cells in at most 0.3 s of one core, with the reading of the columns."""
    ecnas.load("surrogate-7V").pareto_front()  # maps the files, compiles nothing
    benchmark = ecnas.Benchmark(ecnas.load("surrogate-7V").table)  # without what the other has cached
    start = time.process_time()
    front = benchmark.pareto_front()
    assert time.process_time() - start < 0.3
    points = np.stack([benchmark.values("val_accuracy"), -benchmark.values("energy")], axis=1)
    better = (points[:, None, :] >= points[front.rows][None, :, :]).all(axis=2).sum(axis=0)
    assert (better == 1).all()  # nothing but the cell itself is as good in both
