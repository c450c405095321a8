"""The cost of a measurement campaign, and the cells to measure next.

Costs are predicted by the embedded surrogate, which was fitted to another machine. From five measured cells on, energy
and time are learned as in :mod:`ecnas.surrogate.energy`.

The next cells are the most informative ones: each lowers the mean variance of the predicted energies as far as one
measurement can (Cohn, Ghahramani and Jordan 1996, https://arxiv.org/abs/cs/9603104, whose criterion has a closed
form for a Gaussian process). The variance is that of the energy's Gaussian process. It does not depend on the
outcome of the measurements, so many cells can be chosen at once. docs/measure.md shows the gain.

Needs torch (``pip install 'ecnas-gym[surrogate]'``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ecnas.loading import load
from ecnas.table import Table

if TYPE_CHECKING:
    from ecnas.surrogate.energy import EnergyModel

MOST: Final = 3000
"""Maximum number of candidates for the next cells; from more, this many are drawn at random."""

PRIOR_NOISE: Final = 0.01
"""Variance of a measurement, relative to that of the energies, while nothing is measured."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Cost:
    """The predicted cost of trainings.

    Attributes:
        trainings: Their number.
        energy: kWh in total.
        seconds: Total, one training after another, without evaluations.
        source: The basis of the prediction of energy and time.
    """

    trainings: int
    energy: float
    seconds: float
    source: str


def cost(rows: Sequence[int] | NDArray[np.integer], epochs: int, measured: Table | None = None) -> Cost:
    """Predicts the cost of trainings.

    Args:
        rows: Rows of the cells in the 7V space, one per training.
        epochs: Of each training; energy and time grow in proportion.
        measured: What was measured so far on the machine in question.

    Raises:
        ImportError: There are at least five measured cells, and torch is not installed.
    """
    chosen = np.asarray(rows, dtype=np.int64)
    if not len(chosen):
        return Cost(0, 0.0, 0.0, "nothing is to be trained")
    embedded = load("surrogate-7V")
    sources, totals = [], []
    for name, machine in (("energy", "a Quadro RTX 6000"), ("training_time", "NAS-Bench-101's accelerator")):
        predicted = embedded.values(name, 4)[chosen] * epochs / 4
        known, metrics, of_epochs = _known(measured, name)
        model = _model(known, metrics, of_epochs)
        if model is not None:
            predicted = model.predict(chosen) * epochs / of_epochs
            sources.append(f"{name}: learned from {len(known)} measured cells")
        elif len(known):
            factor = float(np.median(metrics / embedded.values(name, 4)[known] * 4 / of_epochs))
            predicted = predicted * factor
            sources.append(f"{name}: {factor:.3g} × that of {machine}, from {len(known)} measured cells")
        else:
            sources.append(f"{name}: that of {machine}; nothing is measured yet")
        totals.append(float(predicted.sum()))
    return Cost(len(chosen), totals[0], totals[1], "; ".join(sources))


def next_rows(
    rows: Sequence[int] | NDArray[np.integer], number: int, measured: Table | None = None, seed: int = 0
) -> list[int]:
    """Chooses cells to measure next, so that the energies of all others are predicted best.

    Args:
        rows: Rows, in the 7V space, of the cells whose energies are wanted; the next cells are among them.
        number: How many cells to choose, at most.
        measured: What was measured so far on the machine in question.
        seed: Seed of the draw if there are more than :data:`MOST` cells.

    Returns:
        Their rows, the most informative first.

    Raises:
        ImportError: torch is not installed.
    """
    if number < 1:
        raise ValueError(f"number must be 1 or more, got {number!r}")
    known, metrics, epochs = _known(measured, "energy")
    wanted = np.unique(np.asarray(rows, dtype=np.int64))
    open_rows = np.setdiff1d(wanted, known)
    if len(wanted) > MOST:
        wanted = np.random.default_rng(seed).choice(wanted, MOST, replace=False)
        open_rows = np.setdiff1d(wanted, known)
    model = _model(known, metrics, epochs)
    if model is not None:
        covariance, noise = model.covariance(wanted), model.process.noise
    else:
        covariance, noise = _prior(wanted, known)
    allowed = np.isin(wanted, open_rows)
    chosen = most_telling(covariance, noise, min(number, int(allowed.sum())), allowed)
    return [int(row) for row in wanted[chosen]]


def most_telling(covariance: Floats, noise: float, number: int, allowed: NDArray[np.bool_]) -> list[int]:
    """Chooses measurements greedily, so that each lowers the sum of all variances as far as possible.

    Args:
        covariance: Of n quantities that are jointly normal, shape (n, n).
        noise: Variance of a measurement of one of them.
        number: How many to choose, at most as many as are allowed.
        allowed: Which can be measured, shape (n,).

    Returns:
        Indices in the order of the choice.
    """
    left, open_ = covariance.copy(), allowed.copy()
    chosen: list[int] = []
    for _ in range(number):
        gain = np.einsum("ij,ij->j", left, left) / (np.diag(left) + noise)
        best = int(np.argmax(np.where(open_, gain, -np.inf)))
        left -= np.outer(left[:, best], left[best] / (left[best, best] + noise))
        open_[best] = False
        chosen.append(best)
    return chosen


def _known(measured: Table | None, name: str) -> tuple[NDArray[np.int64], Floats, int]:
    """Rows and metrics of the measured cells, at the number of epochs that most of them have; and that number."""
    if measured is None or name not in measured.columns:
        return np.zeros(0, dtype=np.int64), np.zeros(0), 1
    by_epochs = {epochs: measured.values(name, epochs) for epochs in measured.epochs}
    epochs = max(by_epochs, key=lambda number: int(np.isfinite(by_epochs[number]).sum()))
    metrics = by_epochs[epochs]
    known = np.flatnonzero(np.isfinite(metrics) & (metrics > 0))
    return known, metrics[known], epochs


def _model(known: NDArray[np.int64], metrics: Floats, epochs: int) -> EnergyModel | None:
    from ecnas.surrogate import energy

    if len(known) < energy.LEAST:
        return None
    return energy.fit(energy.Measurements(known, metrics, epochs))


def _prior(wanted: NDArray[np.int64], known: NDArray[np.int64]) -> tuple[Floats, float]:
    """Covariance of energies before there are enough measurements to learn anything but where they were made."""
    from ecnas.surrogate.energy import features_of_rows
    from ecnas.surrogate.gaussian_process import GaussianProcess

    everyone = np.union1d(wanted, known)
    covariance = GaussianProcess().fit_nothing(features := features_of_rows(everyone)).covariance(features)
    for place in np.searchsorted(everyone, known):
        covariance -= np.outer(covariance[place], covariance[place]) / (covariance[place, place] + PRIOR_NOISE)
    places = np.searchsorted(everyone, wanted)
    return covariance[np.ix_(places, places)], PRIOR_NOISE


def hours(seconds: float) -> str:
    """A time in readable form."""
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{math.ceil(seconds / 86400)} days"
