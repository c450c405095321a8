"""The errors of this package; each names the parameter, its value and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ECNASError(Exception):
    """Base class of every error that this package raises on purpose."""


class InvalidCellError(ECNASError, ValueError):
    """The matrix or the operations do not describe a cell."""


class OutOfDomainError(ECNASError, IndexError):
    """The benchmark holds no such cell, row, number of epochs, repeat or figure."""


class BudgetExhaustedError(ECNASError):
    """The query would overspend its budget; it was not made and nothing was charged."""


class BudgetProcessError(ECNASError, RuntimeError):
    """A budget was to be used in another process than the one it was made in, where it would be spent again."""


class UnknownNameError(ECNASError, KeyError):
    """A name that is not in the catalogue; the message suggests the nearest one."""

    def __init__(self, kind: str, name: object, allowed: Iterable[str]) -> None:
        names = sorted(allowed)
        near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        self.message = f"unknown {kind} {name!r}.{hint} Allowed: {', '.join(names)}."
        super().__init__(self.message)

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return self.message

    def __reduce__(self) -> tuple[type[Exception], tuple[str]]:
        # The constructor's arguments are gone; a message alone survives a process boundary.
        return _RestoredUnknownNameError, (self.message,)


class _RestoredUnknownNameError(UnknownNameError):
    """What an UnknownNameError becomes after it crossed a process boundary."""

    def __init__(self, message: str) -> None:
        self.message = message
        KeyError.__init__(self, message)


class CorruptFileError(ECNASError, OSError):
    """A file's bytes are not what they should be: truncated, damaged or of another format."""


class ChecksumError(CorruptFileError):
    """A file's SHA-256 differs from the published one."""
