"""Fits the noise of the embedded worlds (:mod:`ecnas.noise`) to real trainings.

The data:

* one training of each of 417,472 cells: test accuracy after 108 epochs;
* the best of three trainings of 29,559 cells: validation accuracy after 108 epochs, and after 4, 12 and 36 epochs of
  these trainings; since they were not chosen by these, they count as single trainings;
* three trainings of each of the 91 4V cells at all numbers of epochs and of 350 5V cells at 108 epochs, from another
  laboratory: they show how much of the scatter is between trainings, and how much validation and test accuracy share.

The residual of a training is its measurement minus the prediction by a model that did not see the cell. It has two
parts: the luck of the training, and what the table does not know about the cell. Quantiles by level of accuracy are
used unchanged. The part shared by all trainings of a cell is estimated in two ways. After 4, 12 and 36 epochs it is the
variance of the residuals minus the variance between three trainings. After 108 epochs it follows from the correlation
between the best of three validation accuracies and the test accuracy of one training, which is the same training a
third of the time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecnas.files import write_text
from ecnas.loading import load
from ecnas.noise import LUCKS, REPEATS, Residuals
from ecnas.surrogate.calibration import Calibration
from ecnas.surrogate.data import ADVANTAGE, EPOCHS, FAILED, read_repeats, target

Metrics = NDArray[np.float64]

PARTS: Final = (0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97, 1)
"""Groups of cells by rank of their predicted accuracy; the residuals of a group are pooled."""

SHARED: Final = (0.0, 0.85, 0.92, 0.93, 1.0)
"""Range of accuracies after 108 epochs from which the shared part is estimated."""

RISKS: Final = (0.0, 0.80, 0.84, 0.86, 0.87, 0.88, 0.89, 0.90, 0.91)
"""Predicted accuracies between which failures are counted; there are none above the last."""

LEAST_VERTICES: Final = 6
"""None of 960 cells of up to five vertices failed."""

MOST_COMMON: Final = 0.3
"""Upper limit of the cell's part in the residuals after 4 to 36 epochs: the small cells that were trained several times
scatter less than others."""

MOST_ADVANTAGE: Final = 0.01
"""Upper limit of the advantage of the best of three: the worst cells scatter far more than others."""

NORMAL: Final = np.random.default_rng(0).standard_normal((200_000, REPEATS + 1))


def fit(
    folder: Path, val_accuracy: Metrics, test_accuracy: Metrics, metrics: Metrics
) -> tuple[dict[str, Any], Calibration]:
    """Fits the noise model.

    Args:
        folder: The folder of training data.
        val_accuracy: Calibrated predictions of cells that the model did not learn from, shape (cells, 4), after 4, 12,
            36 and 108 epochs; those after 108 of the best of three trainings. NaN where there is none.
        test_accuracy: The same of the test accuracy of one training.
        metrics: Measurements, shape (cells, targets).

    Returns:
        The model that :func:`ecnas.noise.noise_model` reads; and the mean validation accuracy after 108 epochs as a
        function of that of the best of three.
    """
    metrics = metrics.copy()
    four = load(folder / "official" / "energy_4V9E_4epochs.tfrecord").table
    metrics[: len(four.space)] = np.nan  # means of three
    repeats = {
        epochs: np.stack(
            [
                [four.values(name, epochs, repeat) for repeat in range(REPEATS)]
                for name in ("val_accuracy", "test_accuracy")
            ]
        ).transpose(2, 1, 0)
        for epochs in EPOCHS
    }  # (cells, trainings, val and test)
    _, five = read_repeats(folder / "training" / "measured_5v_108.csv")
    test = scatter(test_accuracy[:, -1], metrics[:, target("test_108")])
    val = {}
    for position, epochs in enumerate(EPOCHS[:-1]):
        residuals = scatter(val_accuracy[:, position], metrics[:, target(f"val_{epochs}")])
        number = len(residuals["levels"])
        val[epochs] = residuals | {
            "common": np.full(number, within(residuals, repeats[epochs][..., 0])),
            "together": np.full(number, correlation(repeats[epochs])),
        }
    best = val_accuracy[:, -1]
    trainings = np.concatenate([five[..., :2], repeats[108]])
    shared = common_at_108(best, test_accuracy[:, -1], metrics, trainings)
    test |= {name: np.interp(test["levels"], shared["levels"], shared[name]) for name in ("common", "together")}
    of_best = best_of_three(best, test_accuracy[:, -1], metrics, test, shared)
    above = np.minimum(advantage(of_best), MOST_ADVANTAGE)
    known = np.isfinite(best) & np.isfinite(metrics[:, target("val_108")])
    above *= ADVANTAGE / np.interp(best[known], of_best["levels"], above).mean()
    mean_of_best = Calibration(of_best["levels"], of_best["levels"] - above)
    val[108] = of_best | {"levels": mean_of_best.corrected}
    costs = np.log(five[..., 2:] / five[..., 2:].mean(axis=1, keepdims=True)).reshape(-1, 2)
    deviations = np.sqrt(np.square(costs).mean(axis=0) * REPEATS / (REPEATS - 1))
    model: dict[str, Any] = _plain(
        {
            "val_accuracy": val,
            "test_accuracy": test,
            "failures": {
                36: failures(val_accuracy[:, 2], metrics[:, target("val_36")], metrics[:, target("val_108")]),
                108: failures(mean_of_best(best), metrics[:, target("test_108")], metrics[:, target("val_108")]),
            },
            "time": deviations[0],
            "energy": deviations[1],
            "cost_together": np.corrcoef(costs.T)[0, 1],
        }
    )
    return model, mean_of_best


def scatter(predicted: Metrics, measured: Metrics) -> dict[str, Metrics]:
    """Levels and quantiles of the residuals of trainings that did not fail."""
    use = np.flatnonzero(np.isfinite(predicted) & np.isfinite(measured) & ~has_failed(predicted, measured))
    use = use[np.argsort(predicted[use], kind="stable")]
    bounds = (np.array(PARTS) * len(use)).astype(int)
    groups = [use[start:end] for start, end in pairwise(bounds)]
    return {
        "levels": np.array([np.median(predicted[group]) for group in groups]),
        "quantiles": np.stack([centred(at_lucks(measured[group] - predicted[group])) for group in groups]),
    }


def has_failed(predicted: Metrics, measured: Metrics) -> NDArray[np.bool_]:
    """Trainings at chance level of cells that should be well above."""
    failed: NDArray[np.bool_] = (measured < FAILED) & (predicted > 2 * FAILED)
    return failed


def at_lucks(residuals: Metrics) -> Metrics:
    """Quantiles of a sample at the lucks of the model."""
    from scipy.special import ndtr

    quantiles: Metrics = np.quantile(residuals, ndtr(LUCKS))
    return quantiles


def centred(quantiles: Metrics) -> Metrics:
    """The same, with mean 0 over standard normal luck."""
    return quantiles - float(np.interp(NORMAL[:, 0], LUCKS, quantiles).mean())


def variance(quantiles: Metrics) -> float:
    """Variance over standard normal luck."""
    return float(np.interp(NORMAL[:, 0], LUCKS, quantiles).var())


def correlation(trainings: Metrics) -> float:
    """Correlation of validation and test accuracy among trainings of a cell; shape (cells, trainings, 2)."""
    luck = trainings - trainings.mean(axis=1, keepdims=True)
    return float(np.corrcoef(luck.reshape(-1, 2).T)[0, 1])


def within(residuals: dict[str, Metrics], trainings: Metrics) -> float:
    """Share of the residuals' variance that is not between trainings, at the levels of cells trained several times."""
    levels = trainings.mean(axis=1)
    variances = np.array([variance(quantiles) for quantiles in residuals["quantiles"]])
    total = np.interp(levels, residuals["levels"], variances).mean()
    return float(np.clip(1 - trainings.var(axis=1, ddof=1).mean() / total, 0.0, MOST_COMMON))


def common_at_108(
    predicted: Metrics, predicted_test: Metrics, metrics: Metrics, trainings: Metrics
) -> dict[str, Metrics]:
    """The shared parts after 108 epochs: between trainings of a cell, and between accuracies of a training.

    With a common part c of the luck's variance and a correlation r of the rest between the two accuracies, the best of
    three validation accuracies and the test accuracy of one of the three correlate by (c + (1 − c) r / 3) / √(c + (1 −
    c) v), where v = 0.5595 is the variance of the largest of three standard normal variates.
    """
    best, single = metrics[:, target("val_108")], metrics[:, target("test_108")]
    fine = ~has_failed(predicted, best) & ~has_failed(predicted_test, single)
    levels, common, together = [], [], []
    means = trainings[..., 0].mean(axis=1)
    for low, high in pairwise(SHARED):
        chosen = fine & (predicted >= low) & (predicted < high) & np.isfinite(best) & np.isfinite(single)
        seen = robust_correlation((best - predicted)[chosen], (single - predicted_test)[chosen])
        luck = correlation(trainings[(means >= low) & (means < high)])
        share = np.linspace(0.01, 0.6, 600)
        expected = (share + (1 - share) * luck / REPEATS) / np.sqrt(share + (1 - share) * 0.5595)
        levels.append(np.median(predicted[chosen]))
        common.append(share[np.argmin(np.abs(expected - seen))])
        together.append(luck)
    return {"levels": np.array(levels), "common": np.array(common), "together": np.array(together)}


def robust_correlation(one: Metrics, other: Metrics) -> float:
    """Pearson's correlation of normal variates, from Spearman's."""
    from scipy.stats import spearmanr

    return float(2 * np.sin(np.pi / 6 * spearmanr(one, other).statistic))


def best_of_three(
    predicted: Metrics, predicted_test: Metrics, metrics: Metrics, test: dict[str, Metrics], shared: dict[str, Metrics]
) -> dict[str, Metrics]:
    """The scatter of a single validation accuracy, inferred from the best of three.

    It has the shape of the test accuracy's scatter at the same cells, with a width for which the best of three has the
    measured interquartile range.
    """
    best = metrics[:, target("val_108")]
    known = np.where(np.isfinite(best), predicted, np.nan)
    residuals = scatter(known, best)
    form = Residuals(test["levels"], test["quantiles"], test["common"], test["together"])
    bounds = np.nanquantile(known[~has_failed(predicted, best)], PARTS)
    quantiles, common = [], np.interp(residuals["levels"], shared["levels"], shared["common"])
    for position, (low, high) in enumerate(pairwise(bounds)):
        group = (known >= low) & (known <= high) & ~has_failed(predicted, best)
        single = form(np.full(len(LUCKS), np.median(predicted_test[group])), LUCKS)
        largest = np.interp(_three(common[position]).max(axis=1), LUCKS, single)
        quantiles.append(centred(single * spread((best - predicted)[group]) / spread(largest)))
    return {
        "levels": residuals["levels"],
        "quantiles": np.stack(quantiles),
        "common": common,
        "together": np.interp(residuals["levels"], shared["levels"], shared["together"]),
    }


def spread(values: Metrics) -> float:
    """Interquartile range."""
    low, high = np.quantile(values, [0.25, 0.75])
    return float(high - low)


def advantage(val_108: dict[str, Metrics]) -> Metrics:
    """Mean excess of the best of three validation accuracies over their mean, at each level.

    For normal trainings it is 0.846 standard deviations. Here the standard deviation comes from the interquartile
    range, since the calibrated accuracies exclude outliers too.
    """
    widths = np.array([spread(np.interp(NORMAL[:, 0], LUCKS, row)) for row in val_108["quantiles"]]) / 1.349
    above: Metrics = 0.8463 * widths * np.sqrt(1 - val_108["common"])
    return above


def _three(common: float) -> Metrics:
    """Lucks of three trainings of cells, shape (cells, 3)."""
    lucks: Metrics = np.sqrt(common) * NORMAL[:, -1:] + np.sqrt(1 - common) * NORMAL[:, :-1]
    return lucks


def failures(predicted: Metrics, measured: Metrics, best: Metrics) -> dict[str, Any]:
    """The failures by predicted validation accuracy; see :class:`ecnas.noise.Failures`."""
    use = np.isfinite(predicted) & np.isfinite(measured)
    failed = has_failed(predicted, measured)
    levels, probability = [], []
    for low, high in pairwise(RISKS):
        chosen = use & (predicted >= low) & (predicted < high)
        levels.append(predicted[chosen].mean())
        probability.append(failed[chosen].mean())
    three = failed & np.isfinite(best)
    return {
        "levels": np.array([*levels, RISKS[-1]]),
        "probability": np.array([*probability, 0.0]),
        "always": (best[three] < FAILED).mean(),
        "least_vertices": LEAST_VERTICES,
        "accuracies": np.quantile(measured[failed], np.linspace(0, 1, 41)),
    }


def write(path: Path, model: dict[str, Any]) -> None:
    """Writes the model's file."""
    write_text(path, json.dumps(model, indent=1) + "\n")


def _plain(value: Any) -> Any:
    """Numbers of six decimals in plain lists and dictionaries."""
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, np.ndarray | Sequence):
        return [_plain(part) for part in value]
    return value if isinstance(value, int) else round(float(value), 6)
