"""All problems of a file of measurements at once, each with its line and column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ecnas.errors import ECNASError

SHOWN: Final = 10


class MeasurementsError(ECNASError, ValueError):
    """Measurements that cannot be read without guessing; the message names lines and columns."""


class Problems:
    """Collects problems, so that a user sees all of them and not only the first.

    Args:
        source: Name of the file.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self._found: list[str] = []

    def add(self, text: str) -> None:
        """Notes a problem."""
        self._found.append(text)

    def check(self) -> None:
        """Raises an error if there are problems.

        Raises:
            MeasurementsError: There are problems.
        """
        if not self._found:
            return
        if len(self._found) == 1:
            raise MeasurementsError(f"{self.source}, {self._found[0]}")
        shown = [f"\n  {text}" for text in self._found[:SHOWN]]
        more = len(self._found) - SHOWN
        if more > 0:
            shown.append(f"\n  … and {more:,} more")
        raise MeasurementsError(f"{self.source}: {len(self._found):,} problems{''.join(shown)}")


def listed(texts: Sequence[str], most: int = 6) -> str:
    """Texts separated by commas, and the number of those left out."""
    return ", ".join(texts[:most]) + (f" and {len(texts) - most:,} more" if len(texts) > most else "")
