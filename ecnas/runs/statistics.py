"""Statistics over runs and tasks: aggregates with stratified bootstrap intervals, improvement, performance profiles.

Source: Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice",
https://arxiv.org/abs/2108.13264, sections 4.1 to 4.3. The data have the same form: for every method, one array of
scores per task, of shape (runs, …). A task is a stratum: bootstrap samples draw runs within it, and every run of every
task has the same weight.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Statistic = Literal["iqm", "mean"]
"""How runs become one number."""

STATISTICS: Final[dict[str, str]] = {"iqm": "interquartile mean", "mean": "mean"}
"""The statistics by name, as headings call them."""

CONFIDENCE: Final = 0.95
RESAMPLES: Final = 2000
"""Bootstrap samples of a number that is read."""


class Estimate(NamedTuple):
    """A statistic and its bootstrap interval (percentile method), of one shape."""

    centre: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def aggregate(values: NDArray[np.float64], statistic: Statistic = "iqm") -> NDArray[np.float64]:
    """A statistic over the first axis of values of shape (runs, …): NaN where a run has none.

    The interquartile mean is the mean of the middle half: floor(n/4) values are cut off at either end, as by
    ``scipy.stats.trim_mean``. That function's checks take longer than the mean itself, a page has thousands of
    bootstraps, and the table at the end of a sweep must need nothing but numpy.
    """
    if statistic == "iqm":
        runs = len(values)
        cut = runs // 4
        middle = np.partition(values, (cut, runs - cut - 1), axis=0)[cut : runs - cut]
        values = np.where(np.isnan(values).any(axis=0), np.nan, middle)
    result: NDArray[np.float64] = np.asarray(values.mean(axis=0))
    return result


def estimate(
    strata: Sequence[NDArray[np.float64]], statistic: Statistic = "iqm", resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """A statistic over the runs of all tasks, and its stratified bootstrap interval.

    Args:
        strata: For each task the values of its runs, shape (runs, …) each.
        statistic: Aggregates runs: "iqm" or "mean".
        resamples: Bootstrap samples. A band in a chart needs fewer than a number in a table.
        seed: Seed of the bootstrap.

    Returns:
        Shape (…).
    """
    centre = aggregate(np.concatenate(strata), statistic)
    shape = centre.shape
    drawn = np.full((resamples, centre.size), np.nan)
    flat = [values.reshape(len(values), -1) for values in strata]
    if statistic == "mean":
        weights = [_weights(len(values), resamples, seed + number) for number, values in enumerate(flat)]
        drawn[:] = sum(w @ v for w, v in zip(weights, flat, strict=True)) / sum(map(len, flat))
    else:
        values = np.concatenate(flat)
        counts = _counts(tuple(map(len, flat)), resamples, seed)
        for column in range(centre.size):
            if column and np.array_equal(values[:, column], values[:, column - 1]):
                drawn[:, column] = drawn[:, column - 1]  # as on a curve where no run has changed
            elif not np.isnan(centre.flat[column]):
                drawn[:, column] = _weighted_iqm(values[:, column], counts)
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    return Estimate(centre, low.reshape(shape), high.reshape(shape))


@functools.lru_cache(maxsize=64)
def _samples(runs: int, resamples: int, seed: int) -> NDArray[np.int64]:
    """Which runs the bootstrap samples hold, shape (resamples, runs)."""
    return np.random.default_rng([seed, runs]).integers(runs, size=(resamples, runs))


@functools.lru_cache(maxsize=64)
def _weights(runs: int, resamples: int, seed: int) -> NDArray[np.float64]:
    """How often each run is in the bootstrap samples, shape (resamples, runs)."""
    chosen = _samples(runs, resamples, seed) + runs * np.arange(resamples)[:, None]
    counts = np.bincount(chosen.ravel(), minlength=runs * resamples)
    return counts.reshape(resamples, runs).astype(np.float64)


@functools.lru_cache(maxsize=64)
def _counts(sizes: tuple[int, ...], resamples: int, seed: int) -> NDArray[np.unsignedinteger]:
    """How often each run of each stratum is in the bootstrap samples, shape (runs of all strata, resamples)."""
    weights = [_weights(size, resamples, seed + number) for number, size in enumerate(sizes)]
    # As few bytes as will hold their sums: a page has thousands of bootstraps.
    return np.ascontiguousarray(np.concatenate(weights, axis=1).T.astype(np.min_scalar_type(sum(sizes))))


def _weighted_iqm(values: NDArray[np.float64], counts: NDArray[np.unsignedinteger]) -> NDArray[np.float64]:
    """The interquartile means of samples that hold each value so often.

    Args:
        values: Shape (runs,).
        counts: Shape (runs, samples); every sample holds as many values as there are.

    Returns:
        Shape (samples,): what :func:`aggregate` gives, but sorted once for all samples.
    """
    runs = len(values)
    cut = runs // 4
    order = np.argsort(values, kind="stable")
    kept = counts[order]
    np.cumsum(kept, axis=0, out=kept)
    np.clip(kept, cut, runs - cut, out=kept)  # of the values up to each, so many (and those cut off) are in the middle
    kept -= kept.dtype.type(cut)
    ascending = values[order]
    steps = np.append(ascending[:-1] - ascending[1:], ascending[-1])
    total: NDArray[np.float64] = steps @ kept.astype(np.float64)
    return total / (runs - 2 * cut)


def improvement(
    first: Sequence[NDArray[np.float64]],
    second: Sequence[NDArray[np.float64]],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """The probability that a run of one method is better than one of another, ties counting half.

    The mean over tasks of the Mann–Whitney statistic (Agarwal et al. 2021, section 4.3).

    Args:
        first: For each task the scores of one method's runs, more being better; shape (runs,) each.
        second: The other method's, on the same tasks.
        resamples: Bootstrap samples.
        seed: Of the bootstrap.

    Returns:
        Numbers: 1 if every run of the first is better than every one of the second.
    """
    centres, drawn = [], []
    for number, (a, b) in enumerate(zip(first, second, strict=True)):
        better = (np.sign(a[:, None] - b[None, :]) + 1) / 2
        weights = [_weights(len(a), resamples, seed + 2 * number), _weights(len(b), resamples, seed + 2 * number + 1)]
        centres.append(better.mean())
        drawn.append(((weights[0] @ better) * weights[1]).sum(axis=1) / better.size)
    low, high = np.quantile(np.mean(drawn, axis=0), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(np.mean(centres), low, high)


def profile(
    strata: Sequence[NDArray[np.float64]], levels: NDArray[np.float64], resamples: int = 500, seed: int = 0
) -> Estimate:
    """The performance profile: the fraction of runs that score at least each level, with a bootstrap band.

    Args:
        strata: For each task the scores of its runs, more being better; shape (runs,) each.
        levels: Shape (g,).
        resamples: Bootstrap samples.
        seed: Of the bootstrap.

    Returns:
        Shape (g,).
    """
    reached = [(values[:, None] >= levels).astype(np.float64) for values in strata]
    return estimate(reached, "mean", resamples, seed)


def ranks(estimates: Mapping[str, Estimate], sign: int) -> dict[str, int]:
    """Ranks of methods: one plus the number of methods whose whole interval is better.

    Methods whose intervals overlap may share a rank. A method without a value is not ranked.

    Args:
        estimates: Of one number, by method.
        sign: 1 if more is better, −1 if less is.
    """
    ends = {
        name: sorted((sign * float(each.low), sign * float(each.high)))
        for name, each in estimates.items()
        if not np.isnan(each.centre)
    }
    return {name: 1 + sum(low > own[1] for low, _ in ends.values()) for name, own in ends.items()}


def best_apart(estimates: Mapping[str, Estimate], sign: int) -> str | None:
    """The best method, if its interval overlaps no other; otherwise None."""
    by_rank = ranks(estimates, sign)
    first = [name for name, rank in by_rank.items() if rank == 1]
    return first[0] if len(first) == 1 and len(by_rank) > 1 else None
