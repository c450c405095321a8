"""Energy-aware tabular neural architecture search: cells, spaces, tables, benchmarks, budgets.

>>> import ecnas
>>> benchmark = ecnas.load("surrogate-7V")
>>> cell, reward = benchmark.optimum()
"""

from ecnas.benchmark import Benchmark, Evaluation, Evaluations, Front
from ecnas.budget import Budget, Spending
from ecnas.cell import Cell
from ecnas.encoding import OPERATIONS
from ecnas.errors import (
    BudgetExhaustedError,
    BudgetProcessError,
    ChecksumError,
    CorruptFileError,
    ECNASError,
    InvalidCellError,
    OutOfDomainError,
    UnknownNameError,
)
from ecnas.loading import load
from ecnas.objectives import OBJECTIVES, Chebyshev, EnergyCap, Linear, PowerLaw, Scalarisation, SoftCap
from ecnas.space import SPACES, Space
from ecnas.table import Column, Table

__version__ = "0.1.0"

__all__ = [
    "OBJECTIVES",
    "OPERATIONS",
    "SPACES",
    "Benchmark",
    "Budget",
    "BudgetExhaustedError",
    "BudgetProcessError",
    "Cell",
    "Chebyshev",
    "ChecksumError",
    "Column",
    "CorruptFileError",
    "ECNASError",
    "EnergyCap",
    "Evaluation",
    "Evaluations",
    "Front",
    "InvalidCellError",
    "Linear",
    "OutOfDomainError",
    "PowerLaw",
    "Scalarisation",
    "SoftCap",
    "Space",
    "Spending",
    "Table",
    "UnknownNameError",
    "load",
]


def __dir__() -> list[str]:
    return sorted(
        [*__all__, *(name for name in ("measured", "network", "official", "runs", "search") if name in globals())]
    )
