"""How much of an unseen cell's residual at few epochs belongs to the cell: the section "few" of realism.py.

Trainings of 4, 12 and 36 epochs are separate trainings. So if their residuals correlate, what correlates belongs to the
cell. How strongly the cells' own parts correlate between numbers of epochs is known from the 4V cells, which were
trained three times at each. The ratio of the two correlations is the part of the residuals' variance that belongs to
the cell, if it is the same at all three numbers of epochs.
"""

from __future__ import annotations

from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr

from ecnas.noise import Residuals
from ecnas.surrogate.noise import has_failed

Figures = NDArray[np.float64]

EARLY: Final = (4, 12, 36)
PAIRS: Final = tuple(combinations(range(len(EARLY)), 2))
GROUPS: Final = 60
"""Cells of like predicted accuracy, within which residuals are ranked."""
RESAMPLES: Final = 2_000
TRUTH: Final = 60
"""Trainings whose mean is taken for a cell's true accuracy."""


def few_epochs(
    predicted: Figures, measured: Figures, small: Figures, trainings: Figures, model: list[Residuals]
) -> str:
    """The tables.

    Args:
        predicted: Expected validation accuracies of unseen cells of five and more vertices, shape (cells, 3).
        measured: Their single trainings, shape (cells, 3).
        small: Expected validation accuracies of unseen 4V cells, shape (small cells, 3).
        trainings: Their trainings, shape (small cells, 3, repeats).
        model: The worlds' residuals at each number of epochs.
    """
    ranks = np.stack([ranked(predicted[:, at], measured[:, at]) for at in range(len(EARLY))], axis=1)
    residuals = np.stack([without_trend(small[:, at], trainings[:, at]) for at in range(len(EARLY))], axis=1)
    of_trainings, of_cells = across_trainings(ranks), across_cells(residuals)
    share = float(of_trainings.sum() / of_cells.sum())
    rng = np.random.default_rng(0)
    resampled = [
        across_trainings(ranks[rng.integers(len(ranks), size=len(ranks))]).sum()
        / across_cells(residuals[rng.integers(len(residuals), size=len(residuals))]).sum()
        for _ in range(RESAMPLES)
    ]
    low, high = np.percentile(resampled, [5, 95])
    lines = [
        "| epochs | residuals of single trainings, cells of five and more vertices | the cells' own parts, 4V cells |",
        "|---|---:|---:|",
        *(
            f"| {EARLY[one]} and {EARLY[other]} | {seen:.3f} | {own:.2f} |"
            for (one, other), seen, own in zip(PAIRS, of_trainings, of_cells, strict=True)
        ),
        "",
        f"{len(ranks):,} cells of five and more vertices, {len(residuals)} unseen 4V cells. The sums of the two "
        f"columns have a ratio of {share:.2f} (90% bootstrap interval {low:.2f} to {high:.2f}).",
        "",
        "| epochs | part of the cell, worlds | τ of the table | τ of a perfect table | part of the cell, by this ratio "
        "| τ of the table | τ of a perfect table |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for at, epochs in enumerate(EARLY):
        fine = ~has_failed(predicted[:, at], measured[:, at])
        common = float(model[at].common[0])
        in_worlds, at_share = (orders(predicted[fine, at], model[at], part) for part in (common, share))
        lines.append(
            f"| {epochs} | {common:.0%} | {in_worlds[0]:.3f} | {in_worlds[1]:.3f} | {share:.0%} "
            f"| {at_share[0]:.3f} | {at_share[1]:.3f} |"
        )
    return "\n".join(lines)


def ranked(predicted: Figures, measured: Figures) -> Figures:
    """Ranks of residuals from 0 to 1 within groups of cells of like predicted accuracy, shape (cells,)."""
    ranks = np.empty(len(predicted))
    for group in np.array_split(np.argsort(predicted, kind="stable"), GROUPS):
        order = np.argsort(np.argsort(measured[group] - predicted[group], kind="stable"))
        ranks[group] = (order + 0.5) / len(group)
    return ranks


def without_trend(predicted: Figures, trainings: Figures) -> Figures:
    """Residuals of trainings around a parabola in the predicted accuracy: another laboratory trained them.

    Args:
        predicted: Shape (cells,).
        trainings: Shape (cells, repeats).
    """
    trend = np.polynomial.Polynomial.fit(predicted, trainings.mean(axis=1), 2)
    residuals: Figures = trainings - trend(predicted)[:, None]
    return residuals


def across_trainings(ranks: Figures) -> Figures:
    """Spearman correlations of single trainings' residuals between numbers of epochs, shape (pairs,)."""
    return np.array([spearmanr(ranks[:, one], ranks[:, other]).statistic for one, other in PAIRS])


def across_cells(residuals: Figures) -> Figures:
    """Correlations of the cells' own parts, shape (pairs,): of means, without the variance that luck gives the means.

    Args:
        residuals: Shape (cells, numbers of epochs, repeats).
    """
    covariance = np.cov(residuals.mean(axis=2).T)
    own = np.diag(covariance) - residuals.var(axis=2, ddof=1).mean(axis=0) / residuals.shape[2]
    return np.array([covariance[one, other] / np.sqrt(own[one] * own[other]) for one, other in PAIRS])


def orders(predicted: Figures, residuals: Residuals, share: float) -> tuple[float, float]:
    """Kendall's τ of means of three with the table, and with a table that knows each cell's true accuracy.

    Args:
        predicted: Expected accuracies, shape (cells,).
        residuals: How trainings scatter.
        share: Part of the luck's variance that belongs to the cell.
    """
    rng = np.random.default_rng(0)
    cell = np.sqrt(share) * rng.standard_normal(len(predicted))

    def mean_of(number: int) -> Figures:
        lucks = (cell + np.sqrt(1 - share) * rng.standard_normal(len(predicted)) for _ in range(number))
        mean: Figures = np.mean([predicted + residuals(predicted, luck) for luck in lucks], axis=0)
        return mean

    three = mean_of(3)
    return float(kendalltau(predicted, three).statistic), float(kendalltau(mean_of(TRUTH), three).statistic)
