"""One's own measurements as a benchmark, and back.

>>> from ecnas import measured
>>> reading = measured.read("lab.csv")                # doctest: +SKIP
>>> print(reading)                                    # doctest: +SKIP
>>> measured.store(reading.table, "my-lab")           # doctest: +SKIP
>>> benchmark = ecnas.load("my-lab")                  # doctest: +SKIP
"""

from ecnas.measured.problems import MeasurementsError
from ecnas.measured.reading import Reading, read

__all__ = ["MeasurementsError", "Reading", "read"]
