"""Numbers as people and spreadsheets write them: decimal commas, thousands, percent, and words for "nothing"."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, Literal

import numpy as np

from ecnas.measured.problems import MeasurementsError

Mark = Literal["point", "comma"]

MISSING: Final = frozenset(
    {"", "nan", "n/a", "n.a.", "#n/a", "na", "null", "none", "nil", "-", "--", "–", "—", "?", "missing"}
)
"""Words, in lower case, for a missing value."""

_GROUPING: Final = re.compile(r"(?<=\d)['’\s](?=\d{3}(?!\d))")  # \s holds non-breaking spaces as well
_USUAL: Final = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?", re.A)
"""Numbers as programs write them, by far the most frequent form."""

_FORMS: Final[dict[str, re.Pattern[str]]] = {
    "point": re.compile(r"[+-]?(\d+|[1-9]\d{0,2}(,\d{3})+)(\.\d*)?(e[+-]?\d+)?|[+-]?\.\d+(e[+-]?\d+)?", re.I | re.A),
    "comma": re.compile(r"[+-]?(\d+|[1-9]\d{0,2}(\.\d{3})+)(,\d*)?(e[+-]?\d+)?|[+-]?,\d+(e[+-]?\d+)?", re.I | re.A),
}


def is_missing(value: Any) -> bool:
    """Whether a value stands for a missing one."""
    if isinstance(value, str):
        return value.strip().lower() in MISSING
    return value is None or (isinstance(value, (float, np.floating, Decimal)) and math.isnan(value))


def decimal_mark(texts: Iterable[tuple[str, str]], source: str) -> Mark:
    """Whether a file has decimal points or decimal commas.

    "0,93" and "1.234,5" can only have decimal commas, "0.93" and "1,234.5" only decimal points. "1,234" and "1.234" are
    ambiguous. A file with only such numbers is refused, unless all of them have points, as every program writes them.

    Args:
        texts: The position of each number, and its text.
        source: Name of the file, for error messages.

    Raises:
        MeasurementsError: The file has both marks, or the mark is ambiguous.
    """
    seen: dict[str, tuple[str, str]] = {}
    unclear: tuple[str, str] | None = None
    for where, text in texts:
        number = _plain(text)
        if "," not in number and "." not in number:
            continue
        readings = {mark for mark, form in _FORMS.items() if form.fullmatch(number)}
        if len(readings) == 1:
            seen.setdefault(readings.pop(), (where, text))
        elif "," in number and readings:
            unclear = unclear or (where, text)
    if len(seen) == 2:
        (first, point), (second, comma) = seen["point"], seen["comma"]
        raise MeasurementsError(
            f"{source}: {first} has {point!r}, a decimal point, and {second} has {comma!r}, a decimal comma; "
            "write all numbers in one way"
        )
    if not seen and unclear:
        where, text = unclear
        raise MeasurementsError(
            f"{source}, {where}: {text!r} may be read with a decimal comma or with a comma between thousands; "
            'say which (decimal="comma" or "point"; --decimal on the command line)'
        )
    return "comma" if "comma" in seen else "point"


def read_number(value: Any, mark: Mark = "point") -> float:
    """The number in a value, which may be a text.

    Raises:
        ValueError: It is not a number; the message says why.
    """
    if isinstance(value, (bool, np.bool_)):
        raise ValueError(f"must be a number, got {value!r}")
    if isinstance(value, (int, float, np.integer, np.floating, Decimal)):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    if not isinstance(value, str):
        raise ValueError(f"must be a number, got {value!r:.80}")
    if mark == "point" and _USUAL.fullmatch(value):
        return float(value)
    text = _plain(value)
    if re.fullmatch(r"[+-]?(inf|infinity|∞)", text.lower()):
        return -math.inf if text.startswith("-") else math.inf
    if not _FORMS[mark].fullmatch(text):
        raise ValueError(f"must be a number, got {value!r:.80}")
    if mark == "comma":
        text = text.replace(".", "").replace(",", ".")
    return float(text.replace(",", ""))


def times(number: float, factor: Fraction) -> float:
    """A number in another unit, rounded as if written in it: 93.1% is 0.931, not 0.9309999999999999."""
    return number if factor == 1 else float(Fraction(Decimal(repr(number))) * factor)


def _plain(text: str) -> str:
    """A number's text without thousands separators (spaces, apostrophes), with an ASCII minus."""
    return _GROUPING.sub("", text.strip()).replace("−", "-")
