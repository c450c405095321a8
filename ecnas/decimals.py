"""Sums of floats as the decimals that name them: ten times 0.1 is 1.

A float stands for the shortest decimal that reads as this float, which is what ``repr`` shows. Here it is found for
whole arrays by exact arithmetic, so an account of thousands of amounts per step costs almost nothing.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

EXACT: Final = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
"""Adds without rounding, whatever context the caller has set."""

_DIGITS: Final = 17  # most digits that a float needs
_LEAST, _MOST = 1e-6, 1e16  # where the power of ten that makes an integer of 17 digits is a float itself
_LEAST_DIGIT: Final = -6
_POWERS: Final = np.array([10.0**k for k in range(23)])
_SPLIT: Final = 134217729.0  # 2²⁷ + 1
_POWERS_HIGH: Final = _POWERS * _SPLIT - (_POWERS * _SPLIT - _POWERS)
_POWERS_LOW: Final = _POWERS - _POWERS_HIGH
_EXPONENT: Final = np.int64(0x7FF0_0000_0000_0000)
_FRACTION: Final = np.int64(0x000F_FFFF_FFFF_FFFF)
_LIMB: Final = 30
_LIMB_MASK: Final = (1 << _LIMB) - 1
_MOST_SHIFT: Final = 9  # an integer of a limb times so many powers of ten is an int64
_MOST_ADDED: Final = 1 << 16  # so many limbs of a list are added up as floats without rounding
_FEW: Final = 16  # below, one by one is faster
_WAITING: Final = 4096


def decimal_of(amount: float | Decimal) -> Decimal:
    """The decimal that a number stands for."""
    return Decimal(amount) if isinstance(amount, int | Decimal) else Decimal(repr(float(amount)))


class ExactSum:
    """An exact decimal sum of finite amounts from 0. It is computed on demand, so adding is cheap.

    Attributes:
        estimate: The sum up to rounding: a relative error of at most 2⁻⁵² per addition.
    """

    def __init__(self) -> None:
        self.estimate = 0.0
        self._total = Decimal(0)
        self._single: list[float] = []
        self._arrays: list[NDArray[np.float64]] = []
        self._num_waiting = 0

    def add(self, amount: float) -> None:
        """Adds a number."""
        self.estimate += amount
        self._single.append(amount)
        if len(self._single) >= _WAITING:
            self._add_up()

    def add_many(self, amounts: Amounts) -> None:
        """Adds B amounts."""
        self.estimate += amounts.estimate
        if amounts.is_quick:
            self._total = EXACT.add(self._total, amounts.total)
            return
        self._arrays.append(amounts.floats)
        self._num_waiting += len(amounts)
        if self._num_waiting >= _WAITING:
            self._add_up()

    @property
    def total(self) -> Decimal:
        """The sum."""
        if self._single or self._arrays:
            self._add_up()
        return self._total

    def _add_up(self) -> None:
        if not self._arrays and len(self._single) < _FEW:  # as when the sum is asked for after every addition
            for amount in self._single:
                self._total = EXACT.add(self._total, decimal_of(amount))
            self._single.clear()
            return
        amounts = np.concatenate([self._single, *self._arrays])
        self._single, self._arrays, self._num_waiting = [], [], 0
        for start in range(0, len(amounts), _WAITING):  # no more at once than the processor's cache holds
            self._total = EXACT.add(self._total, exact_sum(amounts[start : start + _WAITING]))


@dataclass(frozen=True)
class Amounts:
    """Finite amounts from 0.

    Attributes:
        floats: Shape (B,).
        limbs: The decimals that they stand for as integers, ``(high · 2³⁰ + low) · 10^−power``, if they come from a
            :class:`PriceList`; whole float64, shape (B, 2).
        power: As above.
    """

    floats: NDArray[np.float64]
    limbs: NDArray[np.float64] | None = None
    power: int = 0

    def __len__(self) -> int:
        return len(self.floats)

    def __getitem__(self, places: slice | NDArray[np.intp]) -> Amounts:
        return Amounts(self.floats[places], None if self.limbs is None else self.limbs[places], self.power)

    @functools.cached_property
    def estimate(self) -> float:
        """The sum up to rounding; infinite if it is too large for a float."""
        if self.is_quick:
            return float(self.total)
        with np.errstate(over="ignore"):
            return float(self.floats.sum())

    @property
    def is_quick(self) -> bool:
        """Whether the exact sum is known, or one of integers."""
        return "total" in self.__dict__ or (self.limbs is not None and len(self) <= _MOST_ADDED)

    @functools.cached_property
    def total(self) -> Decimal:
        """The sum of the decimals."""
        if self.limbs is None or len(self) > _MOST_ADDED:
            return exact_sum(self.floats)
        high, low = (int(self.limbs[:, limb].sum()) for limb in range(2))
        return EXACT.scaleb(Decimal((high << _LIMB) + low), -self.power)


class PriceList:
    """Prices of many items, in a form in which the sum of any of them is a sum of integers.

    Args:
        prices: Finite amounts from 0, shape (n,).

    Attributes:
        limbs: As in :class:`Amounts`, shape (n, 2).
        power: As in :class:`Amounts`.

    Raises:
        ValueError: Some are so much larger than others that integers in a common unit would be too large: a factor of
            1,000 is possible.
    """

    def __init__(self, prices: NDArray[np.float64]) -> None:
        powers, integers, doubtful = _scaled(np.ascontiguousarray(prices))
        for place in doubtful.tolist():
            _, digits, exponent = decimal_of(prices.item(place)).as_tuple()
            assert isinstance(exponent, int)  # a finite number
            blank = _DIGITS - len(digits)
            powers[place] = blank - exponent
            integers[place] = int("".join(map(str, digits))) * 10**blank
        self.power = int(powers.max())
        shift = np.where(integers > 0, self.power - powers, 0)
        too_far = ValueError(f"prices must be of similar sizes, got up to {prices.max()}")
        if shift.max() > _MOST_SHIFT:
            raise too_far
        factor = 10**shift
        low = (integers & _LIMB_MASK) * factor
        high = (integers >> _LIMB) * factor + (low >> _LIMB)
        if high.max() * _MOST_ADDED >= 2**53:
            raise too_far
        self.limbs = np.stack([high, low & _LIMB_MASK], axis=1).astype(np.float64)


def exact_sum(amounts: NDArray[np.float64]) -> Decimal:
    """The sum of the decimals that floats stand for; finite amounts from 0, shape (B,)."""
    total = Decimal(0)
    others = amounts
    if len(amounts) >= _FEW:
        powers, integers, doubtful = _scaled(amounts)
        others = amounts[doubtful]
        integers[doubtful] = 0
        # Two limbs, so that sums in floating point are exact: 2³⁰ · 2²³ is 2⁵³.
        high = np.bincount(powers, weights=integers >> _LIMB, minlength=1)
        low = np.bincount(powers, weights=integers & _LIMB_MASK, minlength=1)
        for power in (high + low).nonzero()[0].tolist():
            scaled = (int(high[power]) << _LIMB) + int(low[power])
            total = EXACT.add(total, EXACT.scaleb(Decimal(scaled), -power))
    for amount in others.tolist():
        total = EXACT.add(total, decimal_of(amount))
    return total


def _scaled(x: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.intp]]:
    """The shortest decimals of floats as integers: ``integer · 10^−power``.

    Args:
        x: Finite, shape (B,).

    Returns:
        Powers and integers of at most 17 digits, each of shape (B,); and the positions of what must be found by other
        means: what is outside of ``_LEAST`` to ``_MOST``, powers of two (whose neighbours are not equally far), and
        floats for which two decimals are equally near, or a short one is on the border of what is read as the float.
    """
    bits = x.view(np.int64)
    irregular = None
    if not (x.min() >= _LEAST and x.max() < _MOST and (bits & _FRACTION).all()):
        irregular = (x < _LEAST) | (x >= _MOST) | (bits & _FRACTION == 0)
        x = np.where(irregular, 0.3, x)
        bits = x.view(np.int64)
    powers = _POWER_OF_EXPONENT.take((bits >> 52) - _FIRST_EXPONENT)
    powers -= x >= _BOUNDARIES.take(powers)
    scale = _POWERS.take(powers)
    # The product x · scale, exactly: nearest + rest (Dekker 1971). It has 17 digits, so its nearest float is whole.
    nearest = x * scale
    high = x * _SPLIT
    high -= high - x
    low = x - high
    scale_high, scale_low = _POWERS_HIGH.take(powers), _POWERS_LOW.take(powers)
    rest = high * scale_high
    rest -= nearest
    high *= scale_low
    rest += high
    scale_high *= low
    rest += scale_high
    low *= scale_low
    rest += low
    # Whatever is nearer to the product than half of the float's last place is read as this float.
    scale *= (bits & _EXPONENT).view(np.float64)
    scale *= 2.0**-53
    reach = scale
    whole = nearest.astype(np.int64)
    integers = whole // 100
    integers *= 100
    whole -= integers
    beyond = rest + whole  # the last two digits, and what comes after the point
    chosen = np.rint(beyond)
    doubt = np.abs(beyond - chosen)
    doubt -= 0.5
    np.abs(doubt, out=doubt)
    for step in (10, 100):  # decimals that are shorter; with reach below 12, all shorter ones are whole hundreds
        rounded = beyond * (1 / step)
        np.rint(rounded, out=rounded)
        rounded *= step
        distance = np.abs(beyond - rounded)
        chosen = np.where(distance < reach, rounded, chosen)
        if step == 10:
            np.minimum(doubt, np.abs(distance - 5.0), out=doubt)
        distance -= reach
        np.minimum(doubt, np.abs(distance, out=distance), out=doubt)
    integers += chosen.astype(np.int64)
    if irregular is not None:
        doubt[irregular] = 0.0
    others = (doubt < 1e-6).nonzero()[0] if doubt.min() < 1e-6 else np.empty(0, dtype=np.intp)
    return powers, integers, others


def _tables() -> tuple[NDArray[np.intp], NDArray[np.float64], int]:
    """The power of ten for the least float of each binary exponent, and where the next smaller power begins."""
    first = int(np.array(_LEAST).view(np.int64)) >> 52
    last = int(np.array(_MOST).view(np.int64)) >> 52
    least = (np.arange(first, last + 1) << 52).view(np.float64)
    starts = np.array([float(f"1e{digit}") for digit in range(_LEAST_DIGIT - 1, 18)])  # exactly as they are read
    digit = np.searchsorted(starts, least, side="right") - 1 + _LEAST_DIGIT - 1
    boundaries = np.array([float(f"1e{_DIGITS - power}") for power in range(25)])
    return (_DIGITS - 1 - digit).astype(np.intp), boundaries, first


_POWER_OF_EXPONENT, _BOUNDARIES, _FIRST_EXPONENT = _tables()
