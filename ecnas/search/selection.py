"""Selection in multi-objective searchers: survivors, parents, ranks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ecnas import pareto
from ecnas.runs.evaluator import Candidate


def score_matrix(candidates: Sequence[Candidate]) -> NDArray[np.float64]:
    """Scores of n candidates, shape (n, m)."""
    return np.array([candidate.scores for candidate in candidates])


def non_dominated(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The non-dominated candidates, the first among equals, ascending in the first objective."""
    return [candidates[position] for position in pareto.non_dominated(score_matrix(candidates)).tolist()]


def by_contribution(front: Sequence[Candidate], reference: NDArray[np.float64]) -> list[Candidate]:
    """A front by descending hypervolume contribution (ties in the given order)."""
    contributions = pareto.contributions(score_matrix(front), reference)
    return [front[position] for position in np.argsort(-contributions, kind="stable").tolist()]


def linear_ranking(size: int, pressure: float) -> NDArray[np.float64]:
    """Probabilities of linear ranking selection, the best first.

    Source: Baker 1985. With pressure η⁺ from 1 (uniform) to 2 the candidate of rank i of n, counted from 0, has
    probability (η⁺ − (2η⁺ − 2) i/(n − 1)) / n: the best η⁺/n, the worst (2 − η⁺)/n.

    Args:
        size: n, at least 1.
        pressure: η⁺.

    Returns:
        Shape (n,), summing to 1.

    Raises:
        ValueError: ``pressure`` is not from 1 to 2.
    """
    if not 1 <= pressure <= 2:
        raise ValueError(f"pressure must be from 1 to 2, got {pressure}")
    if size == 1:
        return np.ones(1)
    probabilities: NDArray[np.float64] = np.linspace(pressure, 2 - pressure, size) / size
    return probabilities
