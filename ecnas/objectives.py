"""What is optimised: objectives, their normalisation, and scalarisations.

All scores and rewards are maximised. An objective's score is 1 at its best and 0 at its worst value *on the exact
Pareto front* of the chosen objectives (the ideal and the nadir point), linearly for accuracies and logarithmically for
energy, time, CO2 and parameters, which span decades. The bounds of the whole table would let one failed training
(accuracy 0.1) or one outlier (a 4.8 kWh row among 0.1 to 1 kWh) decide how much a percent of accuracy is worth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ecnas.errors import UnknownNameError


class Objective(NamedTuple):
    """One thing to optimise: its direction, its scale, and how plots name it."""

    label: str
    unit: str
    maximise: bool
    log: bool


OBJECTIVES: Final = {
    "val_accuracy": Objective("validation accuracy", "", maximise=True, log=False),
    "energy": Objective("training energy", "kWh", maximise=False, log=True),
    "training_time": Objective("training time", "s", maximise=False, log=True),
    "co2": Objective("training CO2", "g", maximise=False, log=True),
    "trainable_parameters": Objective("trainable parameters", "", maximise=False, log=True),
}
"""The objectives by name. Test accuracy is not among them: a search must not see it."""


def check_objectives(names: Sequence[str]) -> tuple[str, ...]:
    """Returns the names as a tuple.

    Raises:
        UnknownNameError: A name is not in :data:`OBJECTIVES`.
        ValueError: There is no name, or one twice.
    """
    if isinstance(names, str):
        raise ValueError(f"objectives must be a sequence of names, got the string {names!r}")
    for name in names:
        if name not in OBJECTIVES:
            raise UnknownNameError("objective", name, OBJECTIVES)
    if not names or len(set(names)) != len(names):
        raise ValueError(f"objectives must be one or more different names, got {list(names)}")
    return tuple(names)


def oriented(names: Sequence[str], figures: NDArray[np.float64]) -> NDArray[np.float64]:
    """Figures in natural units, shape (..., m), on the scale of each objective and such that more is better."""
    columns = []
    for position, name in enumerate(names):
        column = figures[..., position]
        column = np.log(column) if OBJECTIVES[name].log else column
        columns.append(column if OBJECTIVES[name].maximise else -column)
    return np.stack(columns, axis=-1)


def figures_of(evaluation: Any) -> dict[str, NDArray[np.float64]]:
    """All objectives of an evaluation, or of a batch of them, by name: float64, zero-dimensional or of shape (B,)."""
    return {name: np.float64(getattr(evaluation, name)) for name in OBJECTIVES}


@dataclass(frozen=True)
class Normalisation:
    """Scores from 0 (worst on the exact front) to 1 (best).

    Attributes:
        names: The m objectives.
        ideal: Best value of each on the exact front, in natural units, shape (m,).
        nadir: Worst value of each on the exact front, in natural units, shape (m,).
    """

    names: tuple[str, ...]
    ideal: tuple[float, ...]
    nadir: tuple[float, ...]

    def scores(self, figures: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores of figures in natural units, shape (..., m); below 0 where worse than the nadir, never above 1."""
        low, extent = self._low_and_extent
        scores: NDArray[np.float64] = (oriented(self.names, figures) - low) / extent
        return scores

    @cached_property
    def _low_and_extent(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        low = oriented(self.names, np.array(self.nadir))
        return low, oriented(self.names, np.array(self.ideal)) - low

    def select(self, figures: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """The objectives out of figures by name (:func:`figures_of`): shape (..., m)."""
        return np.stack([figures[name] for name in self.names], axis=-1)

    def rewards(self, figures: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores clipped to [0, 1], so that one failed training does not outweigh all that an agent has learned."""
        return np.clip(self.scores(figures), 0.0, 1.0)

    def figure(self, name: str, score: float) -> float:
        """The figure in natural units that has the given score: the inverse of :meth:`scores` for one objective."""
        position = self.names.index(name)
        low, high = self.nadir[position], self.ideal[position]
        if OBJECTIVES[name].log:
            return math.exp(math.log(low) + score * math.log(high / low))
        return low + score * (high - low)


class Scalarisation(Protocol):
    """Turns the objectives of cells into one number each, to be maximised."""

    def __call__(self, rewards: NDArray[np.float64], figures: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Scalarises any number of cells.

        Args:
            rewards: Normalised objectives in [0, 1], shape (..., m).
            figures: All of :data:`OBJECTIVES` in natural units by name, each of shape (...,).

        Returns:
            Shape (...,).
        """


@dataclass(frozen=True)
class Linear:
    """Weighted mean of the normalised objectives: Σ wᵢ rᵢ / Σ wᵢ; equal weights by default."""

    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        _check_weights(self.weights)

    def __call__(self, rewards: NDArray[np.float64], figures: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        result: NDArray[np.float64] = rewards @ _weights(self.weights, rewards.shape[-1])
        return result


@dataclass(frozen=True)
class Chebyshev:
    """Augmented weighted Chebyshev distance to the ideal point, negated: −(max wᵢ(1−rᵢ) + ρ Σ wᵢ(1−rᵢ)) / (1 + ρ).

    Unlike :class:`Linear` it has an optimum at every point of the front for some weights, in its hollows too. Source:
    Steuer and Choo 1983, https://doi.org/10.1007/BF02591870; ρ keeps weakly dominated cells from being optimal.
    """

    weights: tuple[float, ...] | None = None
    rho: float = 0.05

    def __post_init__(self) -> None:
        _check_weights(self.weights)
        if not 0 <= self.rho < math.inf:
            raise ValueError(f"rho must be a number from 0, got {self.rho}")

    def __call__(self, rewards: NDArray[np.float64], figures: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        distance = _weights(self.weights, rewards.shape[-1]) * (1.0 - rewards)
        result: NDArray[np.float64] = -(distance.max(axis=-1) + self.rho * distance.sum(axis=-1)) / (1 + self.rho)
        return result


@dataclass(frozen=True)
class EnergyCap:
    """Validation accuracy under a cap on energy.

    Cells within the cap score their accuracy; others cap / energy − 1, which is below zero and tells how far off they
    are (the constraint rule of Deb 2000, https://doi.org/10.1016/S0045-7825(99)00389-8).

    Args:
        cap: Most energy of a training in kWh.
    """

    cap: float

    def __post_init__(self) -> None:
        if not 0 < self.cap < math.inf:
            raise ValueError(f"cap must be above 0 kWh, got {self.cap}")

    def __call__(self, rewards: NDArray[np.float64], figures: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        energy = figures["energy"]
        return np.where(energy <= self.cap, figures["val_accuracy"], self.cap / energy - 1.0)


@dataclass(frozen=True)
class PowerLaw:
    """Accuracy × (energy / target)^exponent: MnasNet's reward with energy for latency.

    Source: Tan et al. 2019, https://arxiv.org/abs/1807.11626, equation 2 with α = β = exponent.

    Args:
        target: Energy in kWh at which the reward is the accuracy.
        exponent: What energy is worth; −0.07 as in the paper means that a cell of twice the energy must be about 5 %
            more accurate.
    """

    target: float
    exponent: float = -0.07

    def __post_init__(self) -> None:
        if not 0 < self.target < math.inf:
            raise ValueError(f"target must be above 0 kWh, got {self.target}")
        if not -math.inf < self.exponent <= 0:
            raise ValueError(f"exponent must be a number not above 0, got {self.exponent}")

    def __call__(self, rewards: NDArray[np.float64], figures: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        # Not **, which has other last digits for a single number than for an array.
        relative_energy: NDArray[np.float64] = np.power(figures["energy"] / self.target, self.exponent)
        return figures["val_accuracy"] * relative_energy


SCALARISATIONS: Final = ("linear", "chebyshev", "cap", "power")
"""Scalarisations that :func:`make_scalarisation` makes by name."""


def make_scalarisation(
    name: str, normalisation: Normalisation, weights: Sequence[float] | None = None
) -> Scalarisation:
    """A scalarisation by name, with the cap or target in the middle of the front's energies (geometric mean).

    Args:
        name: One of :data:`SCALARISATIONS`.
        normalisation: The objectives and their bounds.
        weights: For "linear" and "chebyshev": one weight an objective; equal by default.

    Raises:
        UnknownNameError: There is no such scalarisation.
        ValueError: The weights do not fit, or "cap" and "power" lack the objective energy.
    """
    if weights is not None and len(weights) != len(normalisation.names):
        raise ValueError(f"weights must be one number for each of {normalisation.names}, got {weights}")
    if name in ("linear", "chebyshev"):
        chosen = None if weights is None else tuple(float(w) for w in weights)
        return Linear(chosen) if name == "linear" else Chebyshev(chosen)
    if name in ("cap", "power"):
        if weights is not None:
            raise ValueError(f"scalarisation {name!r} takes no weights, got {weights}")
        if "energy" not in normalisation.names:
            raise ValueError(f"scalarisation {name!r} needs the objective 'energy', got {normalisation.names}")
        middle = normalisation.figure("energy", 0.5)
        return EnergyCap(middle) if name == "cap" else PowerLaw(middle)
    raise UnknownNameError("scalarisation", name, SCALARISATIONS)


def _check_weights(weights: tuple[float, ...] | None) -> None:
    if weights is None:
        return
    if not all(0 <= w < math.inf for w in weights) or not sum(weights) > 0:  # NaN fails every comparison
        raise ValueError(f"weights must be numbers from 0, not all 0, got {weights}")


def _weights(weights: tuple[float, ...] | None, num_objectives: int) -> NDArray[Any]:
    if weights is None:
        return np.full(num_objectives, 1.0 / num_objectives)
    if len(weights) != num_objectives:
        raise ValueError(f"weights must be {num_objectives} numbers, one an objective, got {weights}")
    return np.array(weights) / sum(weights)
