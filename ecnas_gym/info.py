"""The information on a finished episode, in a form that frameworks can compare, collate and convert to tensors."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from ecnas import Benchmark, Evaluation
from ecnas.table import COLUMNS

METRICS: Final = (*COLUMNS, "trainable_parameters")
"""The numbers of an :class:`ecnas.Evaluation` that become items of the information, under the same names."""


def told(value: Any) -> Any:
    """A number as an item of information: it has a dtype, which TorchRL needs, and can be compared and collated.

    A flag becomes a zero-dimensional array, since Gymnasium's vector environments and tensor wrappers do not accept
    numpy's bool as a number. An array is returned unchanged.
    """
    if type(value) is float:
        return np.float64(value)
    if isinstance(value, bool | np.bool_):
        return np.array(value)
    return np.asarray(value)[()]  # float64 or int64, which are numbers to everybody


def evaluations_of(info: Mapping[str, Any], benchmark: Benchmark, epochs: int) -> dict[int, Evaluation]:
    """The evaluations in a native vector environment's information, by the number of the environment."""
    if "row" not in info:
        return {}
    metrics = info["evaluation"]
    found = {}
    for number in np.flatnonzero(info["_row"]).tolist():
        own = {name: values[number].item() for name, values in metrics.items()}
        own["trainable_parameters"] = int(own["trainable_parameters"])
        repeat = int(info["repeat"][number]) if "repeat" in info and info["_repeat"][number] else None
        provenance = benchmark.provenance_of(int(info["row"][number]), epochs, repeat)
        found[number] = Evaluation(**own, epochs=epochs, provenance=provenance, repeat=repeat)
    return found


class Info(dict[str, Any]):
    """A dictionary of numbers and arrays. It also has objects, which are available by key but are not items.

    ``info["cell"]``, ``info.get("cell")`` and ``"cell" in info`` find an object. Code that iterates over all items,
    such as vector environments, replay buffers and conversions to tensors, sees only plain numbers.

    Args:
        *args: As for ``dict``.
        **kwargs: As for ``dict``.
    """

    _objects: Mapping[str, Any] = {}  # of an instance without objects; nobody writes to it

    @classmethod
    def with_objects(cls, items: Mapping[str, Any], objects: Mapping[str, Any]) -> Info:
        """The information with these items and objects; a callable object is called on access."""
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


class DeferredInfo(Info):
    """Information whose deferred items are all computed when one of them is first accessed.

    Otherwise it behaves like a dictionary that already has them.
    """

    _later: Callable[[], Mapping[str, Any]] | None = None

    @classmethod
    def with_items(cls, items: Mapping[str, Any], objects: Mapping[str, Any], later: Callable[[], Any]) -> DeferredInfo:
        """The information with some items, some objects, and the items that ``later`` will compute."""
        info = cls(items)
        info._objects, info._later = objects, later
        return info

    def _complete(self) -> None:
        later, self._later = self._later, None
        if later is not None:
            for key, value in later().items():
                dict.setdefault(self, key, value)

    def __missing__(self, key: str) -> Any:
        if self._later is not None and key not in self._objects:
            self._complete()
            return self[key]
        return super().__missing__(key)

    def __contains__(self, key: object) -> bool:
        if not dict.__contains__(self, key) and key not in self._objects:
            self._complete()
        return super().__contains__(key)

    def __iter__(self) -> Any:
        self._complete()
        return super().__iter__()

    def __len__(self) -> int:
        self._complete()
        return super().__len__()

    def __eq__(self, other: object) -> bool:
        self._complete()
        return super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]  # as of any dictionary

    def __repr__(self) -> str:
        self._complete()
        return super().__repr__()

    def keys(self) -> Any:
        """As for ``dict``."""
        self._complete()
        return super().keys()

    def values(self) -> Any:
        """As for ``dict``."""
        self._complete()
        return super().values()

    def items(self) -> Any:
        """As for ``dict``."""
        self._complete()
        return super().items()

    def pop(self, *args: Any) -> Any:
        """As for ``dict``."""
        self._complete()
        return super().pop(*args)

    def setdefault(self, *args: Any) -> Any:
        """As for ``dict``."""
        self._complete()
        return super().setdefault(*args)
