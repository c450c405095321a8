"""The errors of this package; each names the parameter, its value and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final


def shown(value: object, most: int = 120) -> str:
    """A value as Python writes it, shortened for a message."""
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 1]}…"


class ECNASError(Exception):
    """Base class of every error that this package raises on purpose."""


class InvalidCellError(ECNASError, ValueError):
    """The matrix or the operations do not describe a cell."""


class OutOfDomainError(ECNASError, IndexError):
    """The benchmark has no such cell, row, number of epochs, repeat or metric."""


class BudgetExhaustedError(ECNASError):
    """The query would overspend its budget; it was not made and nothing was charged."""


class BudgetProcessError(ECNASError, RuntimeError):
    """A budget cannot be used in another process, where it would be spent again."""


class UnknownNameError(ECNASError, KeyError):
    """A name that is not in the catalogue; the message suggests the nearest one."""

    def __init__(self, kind: str, name: object, allowed: Iterable[str]) -> None:
        names = sorted(allowed)
        near = _nearest(name, names) if isinstance(name, str) else None
        hint = f" Did you mean {near!r}?" if near else ""
        self.message = f"unknown {kind} {shown(name)}.{hint} Allowed: {', '.join(names)}."
        super().__init__(self.message)

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return self.message

    def __reduce__(self) -> tuple[type[Exception], tuple[str]]:
        # The constructor's arguments are gone; a message alone survives a process boundary.
        return _RestoredUnknownNameError, (self.message,)


def _nearest(name: str, names: list[str]) -> str | None:
    lower = {other.lower(): other for other in names}
    near = difflib.get_close_matches(name[:100].lower(), lower, n=1, cutoff=0.5)
    return lower[near[0]] if near else None


class _RestoredUnknownNameError(UnknownNameError):
    """An UnknownNameError that crossed a process boundary."""

    def __init__(self, message: str) -> None:
        self.message = message
        KeyError.__init__(self, message)


EXTRAS: Final = {
    "codecarbon": "network",
    "jax": "jax",
    "keras": "network",
    "matplotlib": "plots",
    "mo_gymnasium": "mo",
    "moocore": "search",
    "pandas": "search",
    "pyarrow": "measured",
    "pymoo": "search",
    "ray": "cluster",
    "scipy": "plots",
    "sklearn": "search",
    "stable_baselines3": "agents",
    "sb3_contrib": "agents",
    "tensorflow": "official",
    "torch": "surrogate",
    "tyro": "agents",
}
"""The extras that install packages which are imported on demand."""


class MissingExtraError(ECNASError, ImportError):
    """A package from an extra is not installed."""

    def __init__(self, package: str) -> None:
        super().__init__(f"this needs {package}: pip install 'ecnas-gym[{EXTRAS[package]}]'", name=package)

    def __reduce__(self) -> tuple[type[Exception], tuple[str | None]]:
        return MissingExtraError, (self.name,)


class CorruptFileError(ECNASError, OSError):
    """A file is truncated, damaged or in another format."""


class ChecksumError(CorruptFileError):
    """A file's SHA-256 differs from the published one."""
