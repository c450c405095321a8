"""Mutations of many cells at once are those of one by one, draw by draw."""

from __future__ import annotations

import numpy as np
import pytest

from ecnas import Space
from ecnas.search.variation import mutations


class Draws:
    """A generator of which the first draw is given; there is no second."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = [values]

    def random(self, size: int) -> np.ndarray:
        (values,) = self.values
        assert len(values) == size
        self.values = []
        return values


class Table:
    """A generator that draws a table once."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def random(self, size: tuple[int, int]) -> np.ndarray:
        assert self.values.shape == size
        return self.values


@pytest.mark.parametrize("expected", [(1.0, 1.0), (0.5, 0.0), (3.0, 2.0)])
@pytest.mark.parametrize("name", ["4V", "5V", "7V"])
def test_each_is_the_first_draw_of_mutate(name, expected):
    space = Space(name)
    rng = np.random.default_rng(0)
    num_inner, num_pairs = space.num_vertices - 2, space.num_vertices * (space.num_vertices - 1) // 2
    rows = np.concatenate([np.arange(1, 91), rng.integers(1, len(space), size=400)])
    draws = rng.random((len(rows), num_pairs + 3 * num_inner))
    found = mutations(space, rows, Table(draws), *expected)
    one_by_one = []
    for row, values in zip(rows.tolist(), draws, strict=True):
        try:
            one_by_one.append(space.mutate(space[row], Draws(values), *expected).row)
        except ValueError:  # mutate would draw again
            one_by_one.append(-1)
    assert found.tolist() == one_by_one
    assert 0.1 < (found >= 0).mean() < 1
