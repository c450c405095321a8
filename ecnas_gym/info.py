"""What a finished episode tells, in a form that frameworks can compare, collate and put into tensors."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

from ecnas.table import COLUMNS

METRICS: Final = (*COLUMNS, "trainable_parameters")
"""The numbers of an :class:`ecnas.Evaluation` that are information of their own, by the same names."""


class Info(dict[str, Any]):
    """A dictionary of numbers and arrays, and of objects that are handed out when asked for but are no items of it.

    ``info["cell"]``, ``info.get("cell")`` and ``"cell" in info`` find an object; but what goes through all items, as
    vector environments, replay buffers and conversions to tensors do, meets plain numbers alone.

    Args:
        *args: As for ``dict``.
        **kwargs: As for ``dict``.
    """

    _objects: Mapping[str, Any] = {}  # of an instance without objects; nobody writes to it

    @classmethod
    def with_objects(cls, items: Mapping[str, Any], objects: Mapping[str, Any]) -> Info:
        """The information with these items and objects; an object that is callable is made whenever it is asked for."""
        info = cls(items)
        info._objects = objects
        return info

    def __missing__(self, key: str) -> Any:
        found = self._objects[key]  # or KeyError
        return found() if callable(found) else found

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or key in self._objects

    def get(self, key: str, default: Any = None) -> Any:
        """As for ``dict``, objects included."""
        return self[key] if key in self else default  # noqa: SIM401  # which would call this method

    def copy(self) -> Info:
        """A shallow copy, objects included."""
        return Info.with_objects(self, self._objects)

    def __copy__(self) -> Info:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Info:
        return Info.with_objects(copy.deepcopy(dict(self), memo), self._objects)

    def __reduce__(self) -> tuple[Any, ...]:
        return Info.with_objects, (dict(self), {key: self[key] for key in self._objects})
