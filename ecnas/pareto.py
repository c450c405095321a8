"""Pareto fronts of points that are maximised in every coordinate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Few enough that their own front is found at once, enough that they dominate nearly all of a large table.
_PILOTS = 2048


def non_dominated(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Which points no other point dominates.

    Of points that are equal in all coordinates the first stays. Points with NaN are never on the front.

    Args:
        points: Shape (n, m), to be maximised.

    Returns:
        Positions of the front's points, ascending in the first coordinate.
    """
    candidates = np.flatnonzero(~np.isnan(points).any(axis=1))
    if points.shape[1] == 2:
        return _front_2d(points, candidates)
    if points.shape[1] == 1:
        return candidates[[np.argmax(points[candidates, 0])]] if len(candidates) else candidates
    import moocore

    kept = moocore.is_nondominated(points[candidates], maximise=True, keep_weakly=False)
    front: NDArray[np.int64] = candidates[kept]
    front = front[np.argsort(points[front, 0], kind="stable")]
    return front


def _front_2d(points: NDArray[np.float64], candidates: NDArray[np.int64]) -> NDArray[np.int64]:
    if len(candidates) > 4 * _PILOTS:
        # Each point of the front of some evenly spaced points rules out many others without sorting them; the first
        # ones, from the middle of that front, nearly all.
        pilots = _sweep(points, candidates[:: len(candidates) // _PILOTS])
        first, second = points[candidates].T
        for pilot in pilots[np.argsort(np.abs(np.arange(len(pilots)) - len(pilots) // 2))]:
            kept = (first > points[pilot, 0]) | (second >= points[pilot, 1])
            first, second, candidates = first[kept], second[kept], candidates[kept]
    return _sweep(points, candidates)


def _sweep(points: NDArray[np.float64], candidates: NDArray[np.int64]) -> NDArray[np.int64]:
    """The front of the candidates in one pass: from the best first coordinate down, what improves the second."""
    order = candidates[np.lexsort((candidates, -points[candidates, 1], -points[candidates, 0]))]
    second = points[order, 1]
    before = np.maximum.accumulate(np.concatenate(([-np.inf], second[:-1])))
    front: NDArray[np.int64] = order[second > before][::-1]
    return front
