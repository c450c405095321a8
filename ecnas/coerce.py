"""What arguments may be given as: the one place that turns them into what the code works with, or says what is wrong.

Every message names the parameter, what it must be and the value as Python writes it, so that ``"108"`` is told from
108. Whole numbers may be of any integer type, zero-dimensional arrays included; a fraction, a truth value or a text is
never rounded or taken for one.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def shown(value: object, most: int = 120) -> str:
    """A value as Python writes it, cut to a length that fits into a message."""
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def as_whole(value: object) -> int | None:
    """The int of a whole number of any integer type, or None if it is none (a truth value is none)."""
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
        value: What was given.
        least: The least that is allowed.
        most: The most that is allowed, if there is a most.
        where: What the bounds belong to, such as ``"in space 4V"``.
        error: What to raise.

    Raises:
        Exception: Of the type ``error``, if the value is no whole number or outside of the bounds.
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
