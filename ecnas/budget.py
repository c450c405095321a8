"""A budget for a search: how much may be spent on evaluations, in which currency."""

from __future__ import annotations

import math
import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ecnas.errors import BudgetExhaustedError


@dataclass(frozen=True)
class Spending:
    """What has been spent so far.

    Attributes:
        evaluations: Queries.
        epochs: Epochs that the queried networks would have been trained.
        energy: Energy that their training would have cost, in kWh.
        seconds: Time that their training would have taken.
    """

    evaluations: int = 0
    epochs: int = 0
    energy: float = 0.0
    seconds: float = 0.0


class Budget:
    """Counts what evaluations cost and refuses the one that would overspend.

    Every query is charged, a repeated cell too, since its network would be trained again. All limits hold together. The
    account is exact: amounts are added as decimals, so ten times 0.1 kWh fit into 1 kWh. One budget can serve many
    searches, environments and threads; another process gets a copy with an account of its own.

    Args:
        evaluations: Most queries.
        epochs: Most epochs of training, summed over queries.
        energy: Most energy of training in kWh, summed over queries.
        seconds: Most time of training, summed over queries.
        unique: Charge a cell that is queried again at the same number of epochs only once.

    Raises:
        ValueError: A limit is not above zero.

    Example:
        >>> budget = Budget(evaluations=2)
        >>> budget.charge(epochs=108, energy=0.3, seconds=1200.0)
        >>> budget.remaining.evaluations
        1
    """

    def __init__(
        self,
        evaluations: int | None = None,
        epochs: int | None = None,
        energy: float | None = None,
        seconds: float | None = None,
        unique: bool = False,
    ) -> None:
        limits = {"evaluations": evaluations, "epochs": epochs, "energy": energy, "seconds": seconds}
        for name, limit in limits.items():
            if limit is not None and not limit > 0:  # also refuses NaN
                raise ValueError(f"{name} must be above 0 (or None for no limit), got {limit}")
        for name in ("evaluations", "epochs"):
            limit = limits[name]
            if limit is not None and limit != math.inf and limit != int(limit):
                raise ValueError(f"{name} must be a whole number, got {limit}")
        self._limits = {name: _decimal(limit) for name, limit in limits.items() if limit is not None}
        self._spent = dict.fromkeys(limits, Decimal(0))
        self.unique = unique
        self._charged: set[Hashable] = set()
        self._lock = threading.Lock()

    def charge(self, *, epochs: int, energy: float, seconds: float, key: Hashable = None) -> None:
        """Charges one evaluation, or refuses it and charges nothing.

        Args:
            epochs: Epochs of training.
            energy: kWh; NaN (the benchmark has no such figure) is allowed where energy has no limit, and counts as 0.
            seconds: Seconds of training; NaN as for ``energy``.
            key: What makes evaluations the same, for ``unique=True``.

        Raises:
            BudgetExhaustedError: The evaluation would overspend.
            ValueError: A limited amount is NaN or an amount is negative.
        """
        with self._lock:
            self._charge(epochs, energy, seconds, key)

    def charge_many(
        self,
        *,
        epochs: int,
        energy: Sequence[float],
        seconds: Sequence[float],
        keys: Sequence[Hashable],
        partly: bool = False,
    ) -> int:
        """Charges evaluations in their order: what :meth:`charge` does one by one, at once.

        Args:
            epochs: Epochs of each training.
            energy: kWh of each.
            seconds: Seconds of each.
            keys: What makes evaluations the same.
            partly: Charge those before the first that would overspend, instead of all or none.

        Returns:
            How many were charged: all, unless ``partly``.

        Raises:
            BudgetExhaustedError: One would overspend, and ``partly`` is not set; nothing was charged.
            ValueError: A limited amount is NaN or an amount is negative; nothing was charged.
        """
        with self._lock:
            spent, charged = self._spent.copy(), self._charged.copy()
            count = 0
            try:
                for evaluation in zip(energy, seconds, keys, strict=True):
                    self._charge(epochs, *evaluation)
                    count += 1
            except (BudgetExhaustedError, ValueError) as error:
                if not (partly and isinstance(error, BudgetExhaustedError)):
                    self._spent, self._charged = spent, charged
                    raise
        return count

    def _charge(self, epochs: int, energy: float, seconds: float, key: Hashable) -> None:
        amounts = {
            "evaluations": 1,
            "epochs": self._amount("epochs", epochs),
            "energy": self._amount("energy", energy),
            "seconds": self._amount("seconds", seconds),
        }
        if self.unique and key in self._charged:
            return
        spent = self._spent
        for name, most in self._limits.items():
            if spent[name] + amounts[name] > most:
                raise BudgetExhaustedError(
                    f"budget of {most} {_UNITS[name]} exhausted: {spent[name]} spent, this evaluation would cost "
                    f"{amounts[name]}"
                )
        for name, amount in amounts.items():
            spent[name] += amount
        if self.unique:
            self._charged.add(key)

    def _amount(self, name: str, amount: float) -> Decimal | int:
        if amount >= 0:
            return amount if isinstance(amount, int) else _decimal(amount)
        if amount < 0:
            raise ValueError(f"{name} must not be negative, got {amount}")
        if name in self._limits:
            raise ValueError(f"the budget limits {name}, but this benchmark has no figure for it (NaN)")
        return 0

    @property
    def spent(self) -> Spending:
        """What has been spent."""
        with self._lock:
            spent = dict(self._spent)
        return Spending(
            int(spent["evaluations"]), int(spent["epochs"]), float(spent["energy"]), float(spent["seconds"])
        )

    @property
    def limits(self) -> dict[str, float]:
        """The limits by name; a currency without a limit is not there."""
        return {name: float(limit) for name, limit in self._limits.items()}

    @property
    def remaining(self) -> Spending:
        """What is left; infinite where there is no limit (evaluations and epochs too)."""
        with self._lock:
            left = {name: float(limit - self._spent[name]) for name, limit in self._limits.items()}
        values = {name: left.get(name, math.inf) for name in self._spent}
        for name in ("evaluations", "epochs"):
            if values[name] != math.inf:
                values[name] = int(values[name])
        return Spending(**values)  # type: ignore[arg-type]  # infinity is the one float among the counts

    @property
    def exhausted(self) -> bool:
        """Whether some limit is reached to the last unit.

        A budget in kWh or seconds seldom ends on the last unit: the evaluation that does not fit raises instead.
        """
        with self._lock:
            return any(self._spent[name] >= limit for name, limit in self._limits.items())

    def as_dict(self) -> dict[str, Any]:
        """Spending and limits as plain numbers."""
        return {**vars(self.spent), "limits": self.limits}

    def __repr__(self) -> str:
        spent = vars(self.spent)
        parts = [f"{name}={spent[name]:g}/{limit:g}" for name, limit in self.limits.items()]
        return f"Budget({', '.join(parts) or 'unlimited'})"

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            state = self.__dict__.copy()
            state["_spent"], state["_charged"] = dict(self._spent), set(self._charged)
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()


_UNITS = {"evaluations": "evaluations", "epochs": "epochs", "energy": "kWh", "seconds": "s"}


def _decimal(amount: float) -> Decimal:
    # repr() is the shortest decimal that names the float: what its author wrote, and what the files hold.
    return Decimal(amount) if isinstance(amount, int) else Decimal(repr(float(amount)))
