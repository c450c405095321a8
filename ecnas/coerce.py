"""Accepted forms of arguments: the one place that converts them, or says what is wrong.

Every message gives the parameter, what is allowed, and the value as Python writes it, so that ``"108"`` differs from
108. If a name is expected, it suggests the nearest one. All entry points accept the same forms:

* whole numbers of any integer type, zero-dimensional arrays included (:func:`whole`, :func:`as_whole`,
  :func:`whole_array`); fractions, truth values and strings are refused;
* a name from a catalogue (:func:`one_of`);
* a sequence with an order, so not a set or a dictionary (:func:`ordered`);
* a benchmark, its name or its path (:func:`benchmark_of`);
* a budget, or a number of evaluations (:func:`budget_of`).

The benchmark checks what depends on it: ``check_epochs``, ``check_repeat`` and ``scalarisation``, which accepts a name
or an object. Objectives are checked by :func:`ecnas.objectives.check_objectives`, rows by ``Space.check_row`` and
``Space.check_rows``.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ecnas.errors import UnknownNameError, shown

if TYPE_CHECKING:
    from ecnas.benchmark import Benchmark
    from ecnas.budget import Budget

__all__ = ["as_whole", "benchmark_of", "budget_of", "one_of", "ordered", "shown", "whole", "whole_array"]


def as_whole(value: object) -> int | None:
    """The int of a whole number of any integer type; None for anything else, including truth values."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return int(value)
    return None


def whole(
    name: str,
    value: object,
    least: int,
    most: int | None = None,
    *,
    where: str = "",
    error: type[Exception] = ValueError,
) -> int:
    """A whole number within bounds.

    Args:
        name: The parameter, for the message.
        value: The value.
        least: Lower bound.
        most: Upper bound, if there is one.
        where: The context of the bounds, such as ``"in space 4V"``.
        error: The type of the exception.

    Raises:
        Exception: Of the type ``error``, if the value is not a whole number, or is outside the bounds.
    """
    number = as_whole(value)
    if number is None or number < least or (most is not None and number > most):
        bounds = f"from {least} to {most}" if most is not None else f"of at least {least}"
        raise error(f"{name} must be a whole number {bounds}{where and ' ' + where}, got {shown(value)}")
    return number


def whole_array(
    name: str, values: Any, least: int, most: int, *, where: str = "", error: type[Exception] = ValueError
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Whole numbers within bounds, int64 of shape (n,); the message names the position of the first that is not.

    Raises:
        Exception: Of the type ``error``.
    """
    array = np.asarray(values)
    must = f"{name} must be whole numbers from {least} to {most}{where and ' ' + where}"
    if array.ndim != 1:
        raise error(f"{must}, of shape (n,), got shape {array.shape}")
    if not array.size:
        return np.empty(0, dtype=np.int64)
    if array.dtype.kind not in "iu":
        raise error(f"{must}, got {shown(values)}")
    # Two passes without temporary arrays, instead of four with.
    if array.min() < least or array.max() > most:
        position = int(np.argmax((array < least) | (array > most)))
        raise error(f"{must}, got {array[position]} at {position}")
    return array.astype(np.int64, copy=False)


def one_of(kind: str, value: object, allowed: Iterable[str]) -> str:
    """A name from a catalogue.

    Args:
        kind: The kind of name, for the message.
        value: The value.
        allowed: The catalogue.

    Raises:
        UnknownNameError: It is not in the catalogue; the message suggests the nearest name.
    """
    if not isinstance(value, str) or value not in allowed:
        raise UnknownNameError(kind, value, allowed)
    return str(value)


def ordered(name: str, values: object, of: str, error: type[Exception] = ValueError) -> tuple[Any, ...]:
    """A sequence as a tuple.

    Args:
        name: The parameter, for the message.
        values: A list, tuple or other sequence, or a one-dimensional array.
        of: Its content, such as ``"names"``.
        error: The type of the exception.

    Raises:
        Exception: Of the type ``error``, if it has no order, such as a set, or is a single string.
    """
    if isinstance(values, (tuple, list)):
        return tuple(values)
    if hasattr(values, "__array__") and np.ndim(values) == 1:
        return tuple(np.asarray(values).tolist())
    if isinstance(values, Sequence) and not isinstance(values, (str, bytes, bytearray, memoryview)):
        return tuple(values)
    raise error(
        f"{name} must be a sequence of {of}, whose order counts, got the {type(values).__name__} {shown(values)}"
    )


def benchmark_of(benchmark: Benchmark | str | os.PathLike[str]) -> Benchmark:
    """A benchmark, or the one that has a name or path (:func:`ecnas.load`).

    Raises:
        UnknownNameError: No benchmark has this name and no file this path.
        ValueError: It is something else.
    """
    from ecnas.benchmark import Benchmark
    from ecnas.loading import load

    return benchmark if isinstance(benchmark, Benchmark) else load(benchmark)


@overload
def budget_of(budget: Budget | float) -> Budget: ...


@overload
def budget_of(budget: Budget | float | None) -> Budget | None: ...


def budget_of(budget: Budget | float | None) -> Budget | None:
    """A budget; a new one for a number of evaluations; None for None.

    Raises:
        ValueError: It is something else, or not a finite whole number above zero.
    """
    from ecnas.budget import Budget

    if budget is None or isinstance(budget, Budget):
        return budget
    with contextlib.suppress(ValueError):
        made = Budget(evaluations=budget)
        if math.isfinite(made.limits["evaluations"]):
            return made
    raise ValueError(
        f"budget must be an ecnas.Budget, a whole number of evaluations of at least 1 or None, got {shown(budget)}"
    )
