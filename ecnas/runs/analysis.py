"""From run records to what can be compared: anytime regret, hypervolume and fronts, with intervals over runs.

Whatever a run spends shows on the axis of cost, but only evaluations at one fidelity count as found, so that a
multi-fidelity run is charged for its cheap trainings and judged by its full ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecnas import pareto
from ecnas.benchmark import DEFAULT_OBJECTIVES, REFERENCE_MARGIN, Benchmark
from ecnas.objectives import check_objectives
from ecnas.runs.record import RunRecord

# ---------------------------------------------------------------------------------------------------------------------
# One run


def found(
    record: RunRecord,
    objectives: Sequence[str] = DEFAULT_OBJECTIVES,
    epochs: int | None = None,
) -> NDArray[np.float64]:
    """Figures of all evaluations at one fidelity, in natural units and in order: shape (n, m).

    Args:
        record: The run.
        objectives: Names of figures of the record.
        epochs: The fidelity; the run's highest by default.
    """
    chosen = _at_fidelity(record, epochs)
    return np.stack([record.column(name)[chosen] for name in objectives], axis=1)


def front(
    record: RunRecord,
    benchmark: Benchmark,
    objectives: Sequence[str] = DEFAULT_OBJECTIVES,
    epochs: int | None = None,
) -> NDArray[np.float64]:
    """The front of what a run found at one fidelity, in natural units, ascending in the first objective: (n, m)."""
    figures = found(record, objectives, epochs)
    scores = benchmark.normalisation(objectives, _fidelity(record, epochs)).scores(figures)
    result: NDArray[np.float64] = figures[pareto.non_dominated(scores)]
    return result


def regret(
    record: RunRecord,
    benchmark: Benchmark,
    select_by: str = "val_accuracy",
    report: str = "test_accuracy",
    optimum: float | None = None,
    epochs: int | None = None,
) -> NDArray[np.float64]:
    """How far the incumbent is from the best cell of the table, after each evaluation.

    The incumbent is the cell that is best so far by the figure that the search sees, and is judged by one that it does
    not see. So the regret may rise, and may never reach 0.

    Args:
        record: The run.
        benchmark: What the run was on.
        select_by: Column of the record that picks the incumbent: "val_accuracy" or "reward".
        report: Column of the record that judges it: an accuracy, or "reward".
        optimum: The best possible value of ``report``; needed for "reward" (:meth:`Benchmark.optimum`), otherwise the
            best of the table.
        epochs: The fidelity at which cells count; the run's highest by default.

    Returns:
        Shape (evaluations,), in units of ``report``; NaN before the first evaluation at the fidelity.

    Raises:
        ValueError: ``optimum`` is missing.
    """
    if optimum is None:
        if report == "reward":
            raise ValueError("optimum must be given to report the regret in reward")
        optimum = float(np.nanmax(benchmark.values(report, _fidelity(record, epochs))))
    seen = np.where(_at_fidelity(record, epochs), record.column(select_by), -np.inf)
    best = np.maximum.accumulate(seen)
    improves = seen > np.concatenate(([-np.inf], best[:-1]))
    incumbent = np.maximum.accumulate(np.where(improves, np.arange(len(seen)), -1))
    judged = record.column(report)[np.maximum(incumbent, 0)]
    return np.where(incumbent >= 0, optimum - judged, np.nan)


def hypervolume(
    record: RunRecord,
    benchmark: Benchmark,
    objectives: Sequence[str] = DEFAULT_OBJECTIVES,
    epochs: int | None = None,
) -> NDArray[np.float64]:
    """The hypervolume of all that a run found so far, as a part of that of the exact front.

    Measured on normalised objectives (energies on a log scale) from :meth:`Benchmark.reference_point`.

    Args:
        record: The run.
        benchmark: What the run was on.
        objectives: Names out of ``ecnas.objectives.OBJECTIVES``.
        epochs: The fidelity at which cells count; the run's highest by default.

    Returns:
        Shape (evaluations,), from 0 to 1.
    """
    names = check_objectives(objectives)
    epochs = _fidelity(record, epochs)
    reference = np.full(len(names), -REFERENCE_MARGIN)
    whole = pareto.hypervolume(benchmark.pareto_front(names, epochs).scores, reference)
    figures = np.stack([record.column(name) for name in names], axis=1)
    scores = benchmark.normalisation(names, epochs).scores(figures)
    volumes = np.zeros(len(record))
    volume, best = 0.0, np.empty((0, len(names)))
    for position, (counts, score) in enumerate(zip(_at_fidelity(record, epochs), scores, strict=True)):
        if counts and (score > reference).all() and not (best >= score).all(axis=1).any():
            best = np.vstack([best[~(best <= score).all(axis=1)], score])
            volume = pareto.hypervolume(best, reference)
        volumes[position] = volume
    return volumes / whole


def _fidelity(record: RunRecord, epochs: int | None) -> int:
    return record.epochs if epochs is None else epochs


def _at_fidelity(record: RunRecord, epochs: int | None) -> NDArray[np.bool_]:
    result: NDArray[np.bool_] = record.column("epochs") == _fidelity(record, epochs)
    return result


# ---------------------------------------------------------------------------------------------------------------------
# Many runs


class Curve(NamedTuple):
    """A quantity against cost, over many runs.

    Attributes:
        grid: Costs, shape (g,).
        centre: Interquartile mean over runs, shape (g,).
        low: Lower end of its confidence interval, shape (g,).
        high: Upper end of its confidence interval, shape (g,).
    """

    grid: NDArray[np.float64]
    centre: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def interquartile_mean(values: NDArray[np.float64], axis: int = 0) -> NDArray[np.float64]:
    """Mean of the middle half of the values: floor(n/4) are cut off at either end.

    Source: Agarwal et al. 2021, https://arxiv.org/abs/2108.13264, section 4.2; as in their library rliable.
    """
    n = values.shape[axis]
    cut = n // 4
    # Sorting is twice as fast along memory, and bootstraps sort thousands of times.
    ordered = np.sort(np.ascontiguousarray(np.moveaxis(values, axis, -1)))
    result: NDArray[np.float64] = ordered[..., cut : n - cut].mean(axis=-1)
    return result


def interval(
    strata: Sequence[NDArray[np.float64]],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]] = interquartile_mean,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """A statistic over runs and its stratified bootstrap confidence interval (percentile method).

    Runs are drawn with replacement within each stratum, as rliable does: a stratum is a task, of which all have the
    same weight a run.

    Args:
        strata: For each task the values of its runs, shape (runs, …) each.
        statistic: Of values over the first axis.
        confidence: Probability that the interval holds.
        resamples: Bootstrap samples.
        seed: Of the bootstrap.

    Returns:
        The statistic and the two ends of the interval, shape (…) each.
    """
    rng = np.random.default_rng(seed)
    centre = statistic(np.concatenate(strata))
    drawn = np.stack(
        [
            statistic(np.concatenate([values[rng.integers(len(values), size=len(values))] for values in strata]))
            for _ in range(resamples)
        ]
    )
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return centre, low, high


def on_grid(grid: NDArray[np.float64], spent: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A run's values at given costs: each holds until the next evaluation, the last for ever; NaN before the first.

    Args:
        grid: Costs, shape (g,).
        spent: The run's costs, ascending, shape (evaluations,).
        values: Shape (evaluations,).

    Returns:
        Shape (g,).
    """
    position = np.searchsorted(spent, grid, side="right") - 1
    return np.where(position >= 0, values[np.maximum(position, 0)], np.nan)


def common_grid(records: Sequence[RunRecord], axis: str = "evaluations", points: int = 100) -> NDArray[np.float64]:
    """Costs, evenly spaced on a log scale, from the first evaluation of all runs to the least that a run spent."""
    first = max(float(record.costs(axis)[0]) for record in records)
    last = min(float(record.costs(axis)[-1]) for record in records)
    grid = np.geomspace(first, last, points)
    return np.unique(np.round(grid)) if axis in ("evaluations", "epochs") else grid


def curve(
    records: Sequence[RunRecord],
    quantity: Callable[[RunRecord], NDArray[np.float64]],
    axis: str = "evaluations",
    grid: NDArray[np.float64] | None = None,
    confidence: float = 0.95,
    resamples: int = 500,
) -> Curve:
    """A quantity against cost: interquartile mean and confidence interval over runs.

    Args:
        records: Runs of one method on one benchmark that differ in their seed.
        quantity: From a record to one value an evaluation, such as ``lambda r: regret(r, benchmark)``.
        axis: What cost is.
        grid: Costs; :func:`common_grid` by default. Give the same grid to methods that are to be compared.
        confidence: Of the interval.
        resamples: Bootstrap samples; a band that is looked at needs fewer than a number that is read.

    Returns:
        The curve; NaN where some run has no value yet.
    """
    chosen = common_grid(records, axis) if grid is None else grid
    values = np.stack([on_grid(chosen, record.costs(axis), quantity(record)) for record in records])
    return Curve(chosen, *interval([values], confidence=confidence, resamples=resamples))
