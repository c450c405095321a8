"""What is wrong with a file of measurements, all of it at once, each by line and column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ecnas.errors import ECNASError

SHOWN: Final = 10


class MeasurementsError(ECNASError, ValueError):
    """Measurements that cannot be read, or not without guessing; the message names lines and columns."""


class Problems:
    """Collects what is wrong, so that a user sees all of it and not the first thing only.

    Args:
        source: What is read, such as a file's name.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self._found: list[str] = []

    def add(self, text: str) -> None:
        """Notes a problem."""
        self._found.append(text)

    def check(self) -> None:
        """Raises what was found so far.

        Raises:
            MeasurementsError: There is something.
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
    """Texts with commas between, and how many more there are."""
    return ", ".join(texts[:most]) + (f" and {len(texts) - most:,} more" if len(texts) > most else "")
