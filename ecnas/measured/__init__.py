"""One's own measurements as a benchmark, and back.

>>> from ecnas import measured
>>> reading = measured.read("lab.csv")                # doctest: +SKIP
>>> print(reading)                                    # doctest: +SKIP
>>> measured.store(reading.table, "my-lab")           # doctest: +SKIP
>>> benchmark = ecnas.load("my-lab")                  # doctest: +SKIP
"""

from ecnas.measured.fill import Filled, fill
from ecnas.measured.preview import Reading
from ecnas.measured.problems import MeasurementsError
from ecnas.measured.reading import read
from ecnas.measured.store import store, stored_names
from ecnas.measured.writing import export

__all__ = ["Filled", "MeasurementsError", "Reading", "export", "fill", "read", "store", "stored_names"]


def __dir__() -> list[str]:
    return sorted(__all__)
