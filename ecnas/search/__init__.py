"""Searchers that are not reinforcement learning, behind one small interface.

A searcher is a frozen dataclass of its hyperparameters. :func:`run` spends a budget with it and returns the same kind
of :class:`~ecnas.runs.record.RunRecord` as a reinforcement learning controller.

>>> import ecnas
>>> from ecnas import search
>>> record = search.run(search.RegularisedEvolution(), ecnas.load("surrogate-5V"), budget=200, seed=0)
"""

from ecnas.runs import run
from ecnas.search.bananas import BANANAS
from ecnas.search.local_search import LocalSearch
from ecnas.search.msehvi import MSEHVI
from ecnas.search.nsga2 import NSGA2
from ecnas.search.random_search import RandomSearch
from ecnas.search.regularised_evolution import RegularisedEvolution
from ecnas.search.semoa import SEMOA
from ecnas.search.shemoa import SHEMOA

__all__ = [
    "BANANAS",
    "MSEHVI",
    "NSGA2",
    "SEMOA",
    "SHEMOA",
    "LocalSearch",
    "RandomSearch",
    "RegularisedEvolution",
    "run",
]


def __dir__() -> list[str]:
    return sorted(__all__)
