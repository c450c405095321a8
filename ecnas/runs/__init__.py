"""Runs: the contract of a method, single runs, sweeps, and the analysis of their records.

>>> from ecnas import runs, search
>>> record = runs.run(search.RegularisedEvolution(), "surrogate-5V", budget=200, seed=0)
"""

from ecnas.runs.claim import ClaimedError
from ecnas.runs.evaluator import Candidate, Evaluator
from ecnas.runs.method import OUTPUT, ManyRuns, Method, MethodError, find_method, make_method
from ecnas.runs.record import RunRecord, benchmark_of
from ecnas.runs.run import OtherRunError, make_header, run, run_task

__all__ = [
    "OUTPUT",
    "Candidate",
    "ClaimedError",
    "Evaluator",
    "ManyRuns",
    "Method",
    "MethodError",
    "OtherRunError",
    "RunRecord",
    "benchmark_of",
    "find_method",
    "make_header",
    "make_method",
    "run",
    "run_task",
]


def __dir__() -> list[str]:
    return sorted(__all__)
