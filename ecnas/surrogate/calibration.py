"""Calibration: monotone corrections of predictions, learned on cells that the model did not see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecnas.surrogate.data import FAILED

KNOTS: Final = 24

Metrics = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """A monotone, piecewise linear correction of predictions, with a constant shift beyond the knots.

    Attributes:
        knots: Predictions, ascending; shape (k,).
        corrected: Corrected predictions, ascending; shape (k,).
    """

    knots: Metrics
    corrected: Metrics

    def __call__(self, predicted: Metrics) -> Metrics:
        inside = np.clip(predicted, self.knots[0], self.knots[-1])
        corrected: Metrics = np.interp(inside, self.knots, self.corrected) + (predicted - inside)
        return corrected


def calibrate(predicted: Metrics, measured: Metrics, trim: float = np.inf) -> Calibration:
    """Corrects predictions so that their mean residual is zero at every level.

    The network's likelihood has heavy tails, so it predicts a typical training rather than the mean of several. The two
    differ where the scatter is skewed. The correction is the mean residual of cells with similar predictions. It leaves
    out failed trainings (a loss of about 0.8 that affects one training in 160; almost no cell failed every time) and,
    optionally, outliers.

    Args:
        predicted: Predictions of cells that the model did not learn from, shape (n,).
        measured: Their measurements, shape (n,); NaN is left out.
        trim: Residuals further than this from the median are left out, in robust standard deviations of their
            neighbours.
    """
    use = np.isfinite(predicted) & np.isfinite(measured)
    use[use] = ~((measured[use] < FAILED) & (predicted[use] > 2 * FAILED))
    order = np.argsort(predicted[use], kind="stable")
    groups = [np.flatnonzero(use)[part] for part in np.array_split(order, KNOTS)]
    knots = np.array([np.median(predicted[group]) for group in groups])
    shifts = np.array([_trimmed_mean(measured[group] - predicted[group], trim) for group in groups])
    return Calibration(knots, np.maximum.accumulate(knots + shifts))


def _trimmed_mean(residuals: Metrics, trim: float) -> float:
    deviations = np.abs(residuals - np.median(residuals))
    return float(residuals[deviations <= trim * 1.4826 * np.median(deviations)].mean())
