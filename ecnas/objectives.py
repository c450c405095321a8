"""Objectives, their normalisation, and scalarisations.

All scores and rewards are maximised. An objective's score is 1 at its best and 0 at its worst value *on the exact
Pareto front* of the chosen objectives (the ideal and the nadir point), linearly for accuracies and logarithmically for
energy, time, CO2 and parameters, which span decades. With the bounds of the whole table, one failed training
(accuracy 0.1) or one outlier (a row of 4.8 kWh among 0.1 to 1 kWh) would determine the value of accuracy.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeGuard, get_args

import numpy as np
from numpy.typing import NDArray

from ecnas.coerce import one_of, ordered, shown


class Objective(NamedTuple):
    """An objective: its direction, its scale, and its label in charts."""

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
        ValueError: There are no names, a name is repeated, or they have no order, as in a set.
    """
    chosen = tuple(one_of("objective", name, OBJECTIVES) for name in ordered("objectives", names, "names"))
    if not chosen or len(set(chosen)) != len(chosen):
        raise ValueError(f"objectives must be one or more different names, got {shown(list(chosen))}")
    return chosen


def oriented(names: Sequence[str], metrics: NDArray[np.float64]) -> NDArray[np.float64]:
    """Metrics in natural units, shape (..., m), on the scale of each objective and such that more is better."""
    columns = []
    for position, name in enumerate(names):
        column = metrics[..., position]
        column = np.log(column) if OBJECTIVES[name].log else column
        columns.append(column if OBJECTIVES[name].maximise else -column)
    return _along_last_axis(columns)


def _along_last_axis(columns: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Columns of shape (...,) side by side: (..., m). Those of a single evaluation take a fraction of the time."""
    return np.stack(columns, axis=-1) if columns[0].ndim else np.array(columns)


def metrics_of(evaluation: Any) -> dict[str, NDArray[np.float64]]:
    """All objectives of an evaluation, or of a batch of them, by name: float64, zero-dimensional or of shape (B,)."""
    return {name: np.float64(getattr(evaluation, name)) for name in OBJECTIVES}


@dataclass(frozen=True)
class Normalisation:
    """Scores from 0 (worst on the exact front) to 1 (best).

    An objective with only one value has the score 1 there; a unit of score is then a unit of the objective (or of its
    logarithm).

    Attributes:
        names: The m objectives.
        ideal: Best value of each on the exact front, in natural units, shape (m,).
        nadir: Worst value of each on the exact front, in natural units, shape (m,).
    """

    names: tuple[str, ...]
    ideal: tuple[float, ...]
    nadir: tuple[float, ...]

    def scores(self, metrics: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores of metrics in natural units, shape (..., m); below 0 where worse than the nadir, never above 1."""
        low, extent, least = self._bounds
        scores: NDArray[np.float64] = (oriented(self.names, metrics) - low) / extent + least
        return scores

    @cached_property
    def _bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """On the scale of each objective: the lowest value, the extent, and the score of the lowest value."""
        low = oriented(self.names, np.array(self.nadir))
        extent = oriented(self.names, np.array(self.ideal)) - low
        is_single = extent == 0.0
        return low, np.where(is_single, 1.0, extent), np.where(is_single, 1.0, 0.0)

    def select(self, metrics: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """The objectives from metrics by name (:func:`metrics_of`): shape (..., m)."""
        return _along_last_axis([metrics[name] for name in self.names])

    def rewards(self, metrics: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores clipped at 0, so that one failed training does not outweigh everything learned so far."""
        return rewards_of(self.scores(metrics))

    def metrics(self, scores: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """The objectives in natural units by name, each of shape (...,), of scores (..., m); inverts :meth:`scores`."""
        low, extent, least = self._bounds
        columns = np.moveaxis((scores - least) * extent + low, -1, 0)
        natural = {}
        for name, column in zip(self.names, columns, strict=True):
            column = column if OBJECTIVES[name].maximise else -column
            natural[name] = np.exp(column) if OBJECTIVES[name].log else column
        return natural

    def metric(self, name: str, score: float) -> float:
        """The metric in natural units that has the given score: the inverse of :meth:`scores` for one objective."""
        position = self.names.index(name)
        low, high = self.nadir[position], self.ideal[position]
        if low == high:
            distance = 1.0 - score if OBJECTIVES[name].maximise else score - 1.0
            return low * math.exp(-distance) if OBJECTIVES[name].log else low - distance
        if OBJECTIVES[name].log:
            return math.exp(math.log(low) + score * math.log(high / low))
        return low + score * (high - low)


def rewards_of(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rewards of scores (:meth:`Normalisation.rewards`)."""
    return np.maximum(scores, 0.0)


class Scalarisation(Protocol):
    """Turns the objectives of cells into one number each, to be maximised."""

    def __call__(self, rewards: NDArray[np.float64], metrics: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Scalarises any number of cells.

        Args:
            rewards: Normalised objectives from 0, shape (..., m).
            metrics: All of :data:`OBJECTIVES` in natural units by name, each of shape (...,).

        Returns:
            Shape (...,).
        """


@dataclass(frozen=True)
class Linear:
    """Weighted mean of the normalised objectives: Σ wᵢ rᵢ / Σ wᵢ; equal weights by default."""

    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", _checked_weights(self.weights))

    def __call__(self, rewards: NDArray[np.float64], metrics: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        result: NDArray[np.float64] = rewards @ _weights(self.weights, rewards.shape[-1])
        return result


@dataclass(frozen=True)
class SoftCap:
    """The first objective, minus a penalty if another one is too low: r₁ − max(0, t − min(r₂, …, rₘ)).

    With accuracy and energy: accuracy counts in full up to a cap on energy, and cells above the cap lose in proportion
    to the logarithm of the excess. It is the ε-constraint problem of Haimes et al. 1971
    (https://doi.org/10.1109/TSMC.1971.4308298) with an exact penalty instead of the constraint, and a soft form of
    :class:`EnergyCap`.

    Args:
        least: t, the lowest score of the other objectives without a penalty, from 0 to 1.
    """

    least: float = 0.2

    def __post_init__(self) -> None:
        _check_number("least", self.least, "a number from 0 to 1", 0.0, 1.0)

    def __call__(self, rewards: NDArray[np.float64], metrics: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        worst = rewards[..., 1:].min(axis=-1, initial=1.0)
        result: NDArray[np.float64] = rewards[..., 0] - np.maximum(self.least - worst, 0.0)
        return result


@dataclass(frozen=True)
class Chebyshev:
    """Augmented weighted Chebyshev distance to the ideal point, negated: −(max wᵢ(1−rᵢ) + ρ Σ wᵢ(1−rᵢ)) / (1 + ρ).

    Unlike :class:`Linear`, it can have its optimum at any point of the front, including non-convex parts. Source:
    Steuer and Choo 1983, https://doi.org/10.1007/BF02591870; ρ keeps weakly dominated cells from being optimal.
    """

    weights: tuple[float, ...] | None = None
    rho: float = 0.05

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", _checked_weights(self.weights))
        _check_number("rho", self.rho, "a number from 0", 0.0)

    def __call__(self, rewards: NDArray[np.float64], metrics: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        distance = _weights(self.weights, rewards.shape[-1]) * (1.0 - rewards)
        result: NDArray[np.float64] = -(distance.max(axis=-1) + self.rho * distance.sum(axis=-1)) / (1 + self.rho)
        return result


@dataclass(frozen=True)
class EnergyCap:
    """Validation accuracy under a cap on energy.

    Cells within the cap score their accuracy; others score cap / energy − 1, which is below zero and
    measures the violation (the constraint rule of Deb 2000, https://doi.org/10.1016/S0045-7825(99)00389-8).

    Args:
        cap: Maximum energy of a training in kWh.
    """

    cap: float

    def __post_init__(self) -> None:
        _check_number("cap", self.cap, "above 0 kWh", _TINY)

    def __call__(self, rewards: NDArray[np.float64], metrics: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        energy = metrics["energy"]
        return np.where(energy <= self.cap, metrics["val_accuracy"], self.cap / energy - 1.0)


@dataclass(frozen=True)
class PowerLaw:
    """Accuracy × (energy / target)^exponent: MnasNet's reward with energy for latency.

    Source: Tan et al. 2019, https://arxiv.org/abs/1807.11626, equation 2 with α = β = exponent.

    Args:
        target: Energy in kWh at which the reward is the accuracy.
        exponent: Weight of energy; −0.07 as in the paper means that a cell with twice the energy must be about 5% more
            accurate.
    """

    target: float
    exponent: float = -0.07

    def __post_init__(self) -> None:
        _check_number("target", self.target, "above 0 kWh", _TINY)
        _check_number("exponent", self.exponent, "a number not above 0", -_LARGE, 0.0)

    def __call__(self, rewards: NDArray[np.float64], metrics: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        # Not **, which has other last digits for a single number than for an array.
        relative_energy: NDArray[np.float64] = np.power(metrics["energy"] / self.target, self.exponent)
        return metrics["val_accuracy"] * relative_energy


ScalarisationName = Literal["soft-cap", "linear", "chebyshev", "cap", "power"]
SCALARISATIONS: Final[tuple[str, ...]] = get_args(ScalarisationName)
"""The scalarisations of :func:`make_scalarisation`, by name."""


def make_scalarisation(
    name: str, normalisation: Normalisation, weights: Sequence[float] | None = None
) -> Scalarisation:
    """A scalarisation by name, with the cap or target in the middle of the front's energies (geometric mean).

    Args:
        name: One of :data:`SCALARISATIONS`.
        normalisation: The objectives and their bounds.
        weights: For "linear" and "chebyshev": one weight per objective; equal by default.

    Raises:
        UnknownNameError: The scalarisation is unknown.
        ValueError: The weights do not fit, or "cap" and "power" lack the objective energy.
    """
    name = one_of("scalarisation", name, SCALARISATIONS)
    chosen = _checked_weights(weights)
    if name in ("linear", "chebyshev"):
        if chosen is not None and len(chosen) != len(normalisation.names):
            raise ValueError(f"weights must be one number for each of {normalisation.names}, got {shown(weights)}")
        return Linear(chosen) if name == "linear" else Chebyshev(chosen)
    if chosen is not None:
        raise ValueError(f"scalarisation {name!r} takes no weights, got {shown(weights)}")
    if name == "soft-cap":
        return SoftCap()
    if "energy" not in normalisation.names:
        raise ValueError(f"scalarisation {name!r} needs the objective 'energy', got {normalisation.names}")
    middle = normalisation.metric("energy", 0.5)
    return EnergyCap(middle) if name == "cap" else PowerLaw(middle)


def describe_scalarisation(scalarisation: Scalarisation) -> dict[str, Any]:
    """A scalarisation as plain JSON values; :func:`restored_scalarisation` recreates those of this package."""
    if type(scalarisation) in _CLASSES.values():
        fields = dataclasses.asdict(scalarisation)  # type: ignore[call-overload]  # ours are dataclasses
        return {"type": type(scalarisation).__name__} | {
            name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()
        }
    return {"type": f"{type(scalarisation).__module__}.{type(scalarisation).__qualname__}", "repr": repr(scalarisation)}


def restored_scalarisation(description: Mapping[str, Any]) -> Scalarisation:
    """Recreates a scalarisation from :func:`describe_scalarisation`.

    Raises:
        UnknownNameError: It is a user's own, which cannot be recreated from its description.
    """
    arguments = {name: tuple(value) if isinstance(value, list) else value for name, value in description.items()}
    kind = one_of("scalarisation", arguments.pop("type"), _CLASSES)
    made: Scalarisation = _CLASSES[kind](**arguments)
    return made


_CLASSES: Final[dict[str, Any]] = {kind.__name__: kind for kind in (SoftCap, Linear, Chebyshev, EnergyCap, PowerLaw)}


def check_scalarisation(scalarisation: Scalarisation, num_objectives: int) -> Scalarisation:
    """Returns a scalarisation after trying it on this number of objectives.

    Raises:
        ValueError: It is not a scalarisation, its weights do not fit, or its result has another shape.
    """
    allowed = f"one of {list(SCALARISATIONS)} or an object such as ecnas.Linear((0.8, 0.2))"
    if not callable(scalarisation) or isinstance(scalarisation, type):
        raise ValueError(f"scalarisation must be {allowed}, got {shown(scalarisation)}")
    rewards = scalarisation(np.zeros((1, num_objectives)), {name: np.ones(1) for name in OBJECTIVES})
    if np.shape(rewards) != (1,):
        raise ValueError(
            f"scalarisation must return one number a cell, but {shown(scalarisation)} returned the shape "
            f"{np.shape(rewards)} for (1, {num_objectives}) rewards"
        )
    return scalarisation


_TINY: Final = float(np.nextafter(0.0, 1.0))
_LARGE: Final = float(np.finfo(np.float64).max)


def _check_number(name: str, value: object, allowed: str, least: float, most: float = _LARGE) -> None:
    if not _is_number(value) or not least <= value <= most:  # NaN fails every comparison
        raise ValueError(f"{name} must be {allowed}, got {shown(value)}")


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _checked_weights(weights: Sequence[float] | None) -> tuple[float, ...] | None:
    if weights is None:
        return None
    chosen = ordered("weights", weights, "numbers")
    if not all(_is_number(w) and 0 <= w < math.inf for w in chosen) or not sum(chosen) > 0:
        raise ValueError(f"weights must be numbers from 0, not all 0, got {shown(weights)}")
    return tuple(float(w) for w in chosen)


def _weights(weights: tuple[float, ...] | None, num_objectives: int) -> NDArray[Any]:
    if weights is None:
        return np.full(num_objectives, 1.0 / num_objectives)
    if len(weights) != num_objectives:
        raise ValueError(f"weights must be {num_objectives} numbers, one an objective, got {shown(weights)}")
    return np.array(weights) / sum(weights)
