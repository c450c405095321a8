"""Pareto fronts of points that are maximised in every coordinate, their quality indicators and special points.

Fronts of two coordinates and knees need only numpy. The rest uses moocore (https://multi-objective.github.io/moocore),
imported on demand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecnas.errors import MissingExtraError

# Few enough that their own front is found at once, enough that they dominate nearly all of a large table.
_PILOTS = 2048


def _moocore() -> Any:
    try:
        import moocore
    except ModuleNotFoundError as error:
        raise MissingExtraError("moocore") from error
    return moocore


def non_dominated(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Which points no other point dominates.

    Of equal points the first is kept. Points with NaN are never on the front.

    Args:
        points: Shape (n, m), to be maximised.

    Returns:
        Positions of the front's points, ascending in the first coordinate.
    """
    candidates = np.flatnonzero(~np.logical_or.reduce([np.isnan(column) for column in points.T]))
    if points.shape[1] == 2:
        return _front_2d(points[:, 0], points[:, 1], candidates)
    if points.shape[1] == 1:
        return candidates[[np.argmax(points[candidates, 0])]] if len(candidates) else candidates
    moocore = _moocore()

    kept = moocore.is_nondominated(points[candidates], maximise=True, keep_weakly=False)
    front: NDArray[np.int64] = candidates[kept]
    front = front[np.argsort(points[front, 0], kind="stable")]
    return front


def ranks(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """The number of each point's front when fronts are removed one by one, from 0; equal points share a front.

    Args:
        points: Shape (n, m), to be maximised; NaN counts as the worst value of a coordinate.
    """
    worst = np.where(np.isnan(points), np.finfo(np.float64).min, points)
    fronts: NDArray[np.int64] = _moocore().pareto_rank(worst, maximise=True).astype(np.int64)
    return fronts


def _front_2d(
    first: NDArray[np.float64], second: NDArray[np.float64], candidates: NDArray[np.int64]
) -> NDArray[np.int64]:
    if len(candidates) > 4 * _PILOTS:
        # The front of some evenly spaced points rules out nearly all others without sorting them: first the point that
        # dominates the most of these, by which few are left for the rest.
        sample = candidates[:: len(candidates) // _PILOTS]
        pilots = _sweep(first, second, sample)
        dominated = (first[sample] <= first[pilots, None]) & (second[sample] < second[pilots, None])
        left_first, left_second = first[candidates], second[candidates]
        for pilot in pilots[np.argsort(-dominated.sum(axis=1), kind="stable")].tolist():
            kept = np.flatnonzero((left_first > first[pilot]) | (left_second >= second[pilot]))
            left_first, left_second, candidates = left_first[kept], left_second[kept], candidates[kept]
            if len(candidates) < _PILOTS:
                break  # sorting these costs less than ruling out more
    return _sweep(first, second, candidates)


def _sweep(first: NDArray[np.float64], second: NDArray[np.float64], candidates: NDArray[np.int64]) -> NDArray[np.int64]:
    """The front of the candidates in one pass: from the best first coordinate down, what improves the second."""
    order = candidates[np.lexsort((candidates, -second[candidates], -first[candidates]))]
    second = second[order]
    before = np.maximum.accumulate(np.concatenate(([-np.inf], second[:-1])))
    front: NDArray[np.int64] = order[second > before][::-1]
    return front


# ---------------------------------------------------------------------------------------------------------------------
# How good a set of points is


def hypervolume(points: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """The volume dominated by points, up to the reference point; 0 for no points.

    Args:
        points: Shape (n, m), to be maximised. Points that do not exceed the reference everywhere do not count.
        reference: Shape (m,).

    Returns:
        The volume, in the product of the units of the coordinates (Zitzler and Thiele 1998).
    """
    if len(points) == 0:
        return 0.0
    if points.shape[1] == 1:
        return max(float(points.max() - reference[0]), 0.0)
    moocore = _moocore()

    return float(moocore.hypervolume(points, ref=reference, maximise=True))


def contributions(points: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """The part of the hypervolume that only this point dominates, for each point.

    Args:
        points: Shape (n, m), to be maximised; dominated points contribute nothing.
        reference: Shape (m,).

    Returns:
        Shape (n,).
    """
    if points.shape[1] == 1:
        whole = hypervolume(points, reference)
        return np.array([whole - hypervolume(np.delete(points, i, axis=0), reference) for i in range(len(points))])
    moocore = _moocore()

    result: NDArray[np.float64] = moocore.hv_contributions(points, ref=reference, maximise=True)
    return result


def igd_plus(points: NDArray[np.float64], front: NDArray[np.float64]) -> float:
    """IGD+: the mean distance from the points of a front to the region that a set of points dominates; 0 is best.

    Source: Ishibuchi et al. 2015, https://doi.org/10.1007/978-3-319-15892-1_8 (inverted generational distance plus).

    Args:
        points: Shape (n, m), to be maximised.
        front: Shape (k, m), the reference front.

    Returns:
        The distance in units of the coordinates, which should be normalised; infinite for no points.
    """
    moocore = _moocore()

    return float(moocore.igd_plus(points, ref=front, maximise=True)) if len(points) else float("inf")


def additive_epsilon(points: NDArray[np.float64], front: NDArray[np.float64]) -> float:
    """By how much all points must rise in every coordinate to weakly dominate a front; 0 is best for the exact front.

    Source: Zitzler et al. 2003, https://doi.org/10.1109/TEVC.2003.810758, section IV-B.

    Args:
        points: Shape (n, m), to be maximised.
        front: Shape (k, m), the reference front.

    Returns:
        The shift in units of the coordinates, which should be normalised; infinite for no points.
    """
    moocore = _moocore()

    return float(moocore.epsilon_additive(points, ref=front, maximise=True)) if len(points) else float("inf")


def attainment_surfaces(fronts: Sequence[NDArray[np.float64]], parts: Sequence[float]) -> list[NDArray[np.float64]]:
    """Surfaces that a part of several runs attains (Fonseca and Fleming 1996; moocore computes them exactly).

    Args:
        fronts: The front of each run, shape (nᵢ, m) each with m of 2 or 3, to be maximised.
        parts: For each surface, the fraction of runs that must reach it, in (0, 1]: 1/runs gives the best surface, 0.5
            the median and 1 the worst.

    Returns:
        For each part the surface's corner points, ascending in the first coordinate, shape (kᵢ, m).

    Raises:
        ValueError: There are no runs, a run found nothing, or a part is not in (0, 1].
    """
    moocore = _moocore()

    if not fronts or not all(len(front) for front in fronts):
        raise ValueError("fronts must hold one or more runs with one or more points each")
    if not all(0 < part <= 1 for part in parts):
        raise ValueError(f"parts must be above 0 and at most 1, got {list(parts)}")
    points = -np.concatenate(fronts)  # moocore minimises here
    runs = np.repeat(np.arange(len(fronts)), [len(front) for front in fronts])
    surfaces = []
    for part in parts:
        found = -moocore.eaf(points, runs, percentiles=[100.0 * part])[:, :-1]
        surfaces.append(found[np.argsort(found[:, 0], kind="stable")])
    return surfaces


# ---------------------------------------------------------------------------------------------------------------------
# Single solutions of a front


class Solutions(NamedTuple):
    """Positions of the three solutions of a front in Table 1 of the EC-NAS paper.

    Attributes:
        r0: The least energy (best in the second coordinate).
        r1: The best accuracy (best in the first coordinate).
        knee: The point at which the front bends most.
    """

    r0: int
    r1: int
    knee: int


def bend_angles(front: NDArray[np.float64], neighbours: str = "extremes") -> NDArray[np.float64]:
    """Bend angles of a front of two coordinates at its points.

    Source: Deb and Gupta 2011, https://doi.org/10.1080/0305215X.2010.548863, section 3: the angle between the line from
    the left neighbour and the line to the right neighbour, after both coordinates are scaled to [0, 1]. Positive where
    the front bulges towards the ideal point.

    Args:
        front: Shape (n, 2), to be maximised, ascending in the first coordinate.
        neighbours: "extremes" takes the two ends of the front as neighbours of every point, so that noise in single
            points matters little; "adjacent" the points next to it.

    Returns:
        Angles in radians, shape (n,); 0 at both ends.

    Raises:
        ValueError: ``neighbours`` is neither of the two.
    """
    if neighbours not in ("extremes", "adjacent"):
        raise ValueError(f"neighbours must be 'extremes' or 'adjacent', got {neighbours!r}")
    angles = np.zeros(len(front))
    if len(front) < 3:
        return angles
    extent = np.ptp(front, axis=0)
    x, y = ((front - front.min(axis=0)) / np.where(extent > 0, extent, 1.0)).T
    left, right = (x[0], y[0]), (x[-1], y[-1])
    if neighbours == "adjacent":
        left, right = (x[:-2], y[:-2]), (x[2:], y[2:])
    inner_x, inner_y = x[1:-1], y[1:-1]
    angles[1:-1] = np.arctan2(inner_y - right[1], right[0] - inner_x) - np.arctan2(left[1] - inner_y, inner_x - left[0])
    return angles


def knee(front: NDArray[np.float64], neighbours: str = "extremes") -> int:
    """Position of the point of a front with the largest bend angle (:func:`bend_angles`).

    A front of two points has no bend; its knee is the first.
    """
    return int(np.argmax(bend_angles(front, neighbours)[1:-1])) + 1 if len(front) > 2 else 0


def solutions(front: NDArray[np.float64], neighbours: str = "extremes") -> Solutions:
    """The least-energy, best-accuracy and knee solutions of a front.

    Args:
        front: Accuracy and negated energy, shape (n, 2), to be maximised, ascending in the first coordinate.
        neighbours: As in :func:`bend_angles`.
    """
    return Solutions(int(np.argmax(front[:, 1])), int(np.argmax(front[:, 0])), knee(front, neighbours))
