"""A budget for a search: limits on evaluations, epochs, energy and time."""

from __future__ import annotations

import math
import os
import threading
import weakref
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any, Final, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecnas.decimals import EXACT, Amounts, ExactSum, decimal_of
from ecnas.errors import BudgetExhaustedError, BudgetProcessError, shown

_NOTHING: Final[Mapping[str, int]] = {}
_FAR: Final = 0.99
"""Below this part of a limit, sums but for rounding will do: a trillion additions are off by a thousandth at most."""
_UNITS: Final = {"evaluations": "evaluations", "epochs": "epochs", "energy": "kWh", "seconds": "s"}


@dataclass(frozen=True)
class Spending:
    """What has been spent so far.

    Attributes:
        evaluations: Queries.
        epochs: Epochs of training of the queried networks.
        energy: Energy of their training, in kWh.
        seconds: Time of their training.
    """

    evaluations: int = 0
    epochs: int = 0
    energy: float = 0.0
    seconds: float = 0.0


class Budget:
    """Adds up the cost of evaluations, and refuses the one that would overspend.

    Every query is charged, including that of a repeated cell, since its network would be trained again. All limits
    apply. The account is exact: amounts are added as decimals, so ten times 0.1 kWh fit into 1 kWh.

    One budget can serve many searches, environments and threads of one process. A copy is the same account, and so is a
    ``copy.deepcopy``, as in tree search. A budget cannot be used in another process, which would not see what is spent
    here: pickling it raises, and so does charging it after a fork.

    Args:
        evaluations: Limit on queries.
        epochs: Limit on epochs of training, summed over queries.
        energy: Limit on the energy of training in kWh, summed over queries.
        seconds: Limit on the time of training, summed over queries.
        unique: Charge a repeated query of the same cell and epochs only once.

    Raises:
        ValueError: A limit is not a number above zero, a count is not whole, or ``unique`` is no truth value.

    Example:
        >>> budget = Budget(evaluations=2)
        >>> budget.charge(epochs=108, energy=0.3, seconds=1200.0)
        >>> budget.remaining.evaluations
        1
    """

    def __init__(
        self,
        evaluations: float | None = None,
        epochs: float | None = None,
        energy: float | None = None,
        seconds: float | None = None,
        unique: bool = False,
    ) -> None:
        limits = {"evaluations": evaluations, "epochs": epochs, "energy": energy, "seconds": seconds}
        self._limits = {name: _limit(name, limit) for name, limit in limits.items() if limit is not None}
        if not isinstance(unique, (bool, np.bool_)):
            raise ValueError(f"unique must be True or False, got {shown(unique)}")
        self.unique = bool(unique)
        self._evaluations = self._epochs = 0
        self._sums = {"energy": ExactSum(), "seconds": ExactSum()}
        self._charged: set[Hashable] = set()
        self._lock = threading.Lock()
        self._is_foreign = False
        _ALL.add(self)

    def charge(self, *, epochs: int, energy: float, seconds: float, key: Hashable = None) -> None:
        """Charges one evaluation, or refuses it and charges nothing.

        Args:
            epochs: Epochs of training.
            energy: kWh; NaN (a missing metric) is allowed if energy has no limit, and counts as 0.
            seconds: Seconds of training; NaN as for ``energy``.
            key: Identifies equal evaluations, for ``unique=True``.

        Raises:
            BudgetExhaustedError: The evaluation would overspend.
            BudgetProcessError: The budget is of another process.
            ValueError: A limited amount is NaN, or an amount is negative or infinite.
        """
        self._require_own_process()
        amounts = {"energy": self._amount("energy", energy), "seconds": self._amount("seconds", seconds)}
        if not 0 <= epochs < math.inf:
            raise ValueError(f"epochs must be a number from 0, got {epochs!r}")
        with self._lock:
            if self.unique and key in self._charged:
                return
            self._check(epochs, amounts)
            self._evaluations += 1
            self._epochs += epochs
            for name, amount in amounts.items():
                self._sums[name].add(amount)
            if self.unique:
                self._charged.add(key)

    def charge_many(
        self,
        *,
        epochs: int,
        energy: ArrayLike | Amounts,
        seconds: ArrayLike | Amounts,
        keys: Iterable[Hashable],
        partly: bool = False,
    ) -> int:
        """Charges several evaluations in order, with the same result as :meth:`charge` one by one.

        Args:
            epochs: Epochs of each training.
            energy: kWh of each, shape (B,).
            seconds: Seconds of each, shape (B,).
            keys: Identify equal evaluations, B of them; used only with ``unique=True``.
            partly: Charge those before the first that would overspend, instead of all or none.

        Returns:
            The number of charged evaluations: all, unless ``partly``.

        Raises:
            BudgetExhaustedError: One would overspend, and ``partly`` is not set; nothing was charged.
            BudgetProcessError: The budget is of another process.
            ValueError: A limited amount is NaN, or an amount is negative or infinite; nothing was charged.
        """
        self._require_own_process()
        amounts = {"energy": self._amounts("energy", energy), "seconds": self._amounts("seconds", seconds)}
        count = len(amounts["energy"])
        if len(amounts["seconds"]) != count:
            raise ValueError(f"energy and seconds must be of one length, got {count} and {len(amounts['seconds'])}")
        with self._lock:
            new: dict[Hashable, int] = {}  # the first evaluation with each key, for what is not charged yet
            places: NDArray[np.intp] | None = None
            if self.unique:
                for place, key in enumerate(keys):
                    if key not in self._charged:
                        new.setdefault(key, place)
                places = np.fromiter(new.values(), dtype=np.intp, count=len(new))
                amounts = {name: values[places] for name, values in amounts.items()}
            due = count if places is None else len(places)
            fit = self._how_many_fit(due, epochs, amounts)
            paid = count
            if fit < due:
                if not partly:
                    before = {name: values[:fit].total for name, values in amounts.items()}
                    refused = {name: values.floats.item(fit) for name, values in amounts.items()}
                    self._check(epochs, refused, {"evaluations": fit, "epochs": fit * epochs, **before})
                paid = fit if places is None else int(places[fit])
                amounts = {name: values[:fit] for name, values in amounts.items()}
            if fit:
                self._evaluations += fit
                self._epochs += fit * epochs
                for name, values in amounts.items():
                    self._sums[name].add_many(values)
                self._charged.update(list(new)[:fit])
        return paid

    def _how_many_fit(self, count: int, epochs: int, amounts: dict[str, Amounts]) -> int:
        """The number of evaluations that can be charged before one would overspend."""
        for name, most in self._limits.items():
            if name in amounts and not self._is_far(name, amounts[name].estimate):
                spent = self._sums[name].total
                if EXACT.add(spent, amounts[name].total) > most:  # at the end of a budget alone
                    for place, amount in enumerate(amounts[name].floats[:count].tolist()):
                        spent = EXACT.add(spent, decimal_of(amount))
                        if spent > most:
                            count = place
                            break
            elif name not in amounts and most.is_finite():
                each = 1 if name == "evaluations" else epochs
                left = int(most) - int(self._spent(name))
                count = min(count, left // each) if each else count
        return count

    def _is_far(self, name: str, amount: float = 0.0) -> bool:
        """Whether an amount certainly stays below a limit on energy or seconds, without exact addition."""
        return name in self._sums and self._sums[name].estimate + amount < _FAR * float(self._limits[name])

    def _check(self, epochs: int, amounts: Mapping[str, float], before: Mapping[str, Decimal | int] = _NOTHING) -> None:
        """Raises if an evaluation would overspend; ``before`` is the cost of earlier ones not yet charged."""
        for name, most in self._limits.items():
            amount = {"evaluations": 1, "epochs": epochs}.get(name)
            cost = decimal_of(amounts[name] if amount is None else amount)
            spent = EXACT.add(Decimal(self._spent(name)), Decimal(before.get(name, 0)))
            if EXACT.add(spent, cost) > most:
                raise BudgetExhaustedError(
                    f"budget of {_text(most)} {_UNITS[name]} exhausted: {_text(spent)} spent, this evaluation would "
                    f"cost {_text(cost)}"
                )

    def _spent(self, name: str) -> Decimal | int:
        if name == "evaluations":
            return self._evaluations
        return self._epochs if name == "epochs" else self._sums[name].total

    def _amount(self, name: str, amount: float) -> float:
        if 0 <= amount < math.inf:
            return amount
        if amount != amount:  # NaN
            if name in self._limits:
                raise ValueError(f"the budget limits {name}, but this benchmark has no metric for it (NaN)")
            return 0.0
        raise ValueError(f"{name} must be finite and not negative, got {amount!r}")

    def _amounts(self, name: str, values: ArrayLike | Amounts) -> Amounts:
        if isinstance(values, Amounts):
            return values
        amounts = np.array(values, dtype=np.float64)  # a copy: it is added up later
        if amounts.ndim != 1:
            raise ValueError(f"{name} must be numbers of shape (B,), got shape {amounts.shape}")
        if len(amounts) and not (amounts.min() >= 0 and amounts.max() < math.inf):  # also if one is NaN
            for amount in amounts.tolist():
                self._amount(name, amount)
            amounts[np.isnan(amounts)] = 0.0
        return Amounts(amounts)

    def require(self, epochs: int) -> None:
        """Raises unless a training of ``epochs`` may start; its energy and time are known only at its end.

        Raises:
            BudgetExhaustedError: A limit is fully spent, or fewer epochs are left.
            BudgetProcessError: The budget is of another process.
        """
        self._require_own_process()
        with self._lock:
            for name, most in self._limits.items():
                if self._is_far(name):
                    continue
                least = epochs if name == "epochs" else 1 if name == "evaluations" else 0
                spent = EXACT.add(Decimal(self._spent(name)), Decimal(least))
                if spent > most or (not least and spent == most):
                    break
            else:
                return
        raise BudgetExhaustedError(f"no episode is left: {self!r} is spent")

    @property
    def num_charges(self) -> int:
        """The number of charged evaluations: ``spent.evaluations``, without adding up the rest."""
        return self._evaluations

    @property
    def spent(self) -> Spending:
        """The amounts spent."""
        with self._lock:
            energy, seconds = (float(self._sums[name].total) for name in ("energy", "seconds"))
            return Spending(self._evaluations, self._epochs, energy, seconds)

    @property
    def limits(self) -> dict[str, float]:
        """The limits by name; currencies without a limit are absent."""
        return {name: float(limit) for name, limit in self._limits.items()}

    @property
    def remaining(self) -> Spending:
        """The amounts left; infinite without a limit (also for evaluations and epochs)."""
        values: dict[str, Any] = dict.fromkeys(_UNITS, math.inf)
        with self._lock:
            for name, limit in self._limits.items():
                if limit.is_finite():
                    left = EXACT.subtract(limit, Decimal(self._spent(name)))
                    values[name] = float(left) if name in self._sums else int(left)
        return Spending(**values)

    @property
    def exhausted(self) -> bool:
        """Whether a limit is fully spent.

        A budget in kWh or seconds rarely is: instead, the evaluation that does not fit raises.
        """
        with self._lock:
            return any(self._spent(name) >= limit for name, limit in self._limits.items())

    def as_dict(self) -> dict[str, Any]:
        """Spending and limits as plain numbers."""
        return {**vars(self.spent), "limits": self.limits}

    def __repr__(self) -> str:
        spent = vars(self.spent)
        parts = [f"{name}={spent[name]:g}/{limit:g}" for name, limit in self.limits.items()]
        return f"Budget({', '.join(parts) or 'unlimited'})"

    def __copy__(self) -> Budget:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Budget:
        return self

    def __reduce__(self) -> NoReturn:
        raise BudgetProcessError(f"cannot pickle {self!r}: {_ONE_PROCESS}")

    def _require_own_process(self) -> None:
        if self._is_foreign:
            raise BudgetProcessError(f"{self!r} was made in another process: {_ONE_PROCESS}")


_ONE_PROCESS: Final = (
    "a budget is one account in one process, and another process would spend it again. Keep its environments in one "
    "process (gym.make_vec(id, num_envs=...), SyncVectorEnv, DummyVecEnv, num_env_runners=0), or make a Budget of its "
    "own in each process, with its share of the limits"
)

_ALL: Final[weakref.WeakSet[Budget]] = weakref.WeakSet()


def _after_fork() -> None:
    for budget in _ALL:
        budget._is_foreign = True
        budget._lock = threading.Lock()  # a thread that is not here may have held it


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_after_fork)


def _text(amount: Decimal) -> str:
    return repr(float(amount)).removesuffix(".0")


def _limit(name: str, limit: Any) -> Decimal:
    if isinstance(limit, np.ndarray) and limit.ndim == 0:
        limit = limit[()]
    is_number = isinstance(limit, (Real, Decimal)) and not isinstance(limit, (bool, np.bool_))
    if not is_number or not float(limit) > 0:  # also NaN
        raise ValueError(f"{name} must be above 0 (or None for no limit), got {limit!r}")
    if name in ("evaluations", "epochs") and limit != math.inf:
        if limit != int(limit):
            raise ValueError(f"{name} must be a whole number, got {limit!r}")
        return Decimal(int(limit))
    if isinstance(limit, (Decimal, int, np.integer)):
        return Decimal(int(limit)) if isinstance(limit, np.integer) else Decimal(limit)
    return decimal_of(float(limit))
