"""Random search: the baseline for one objective and for several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ecnas.runs.evaluator import Evaluator


@dataclass(frozen=True)
class RandomSearch:
    """Trains cells drawn uniformly over the *unique* cells of the space, without replacement.

    Uniform over cells, not over matrices (small cells have more of those) nor over numbers of vertices and edges. The
    same run serves one objective and several: what was found is read off its record.
    """

    name: ClassVar[str] = "random search"

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        while True:
            evaluate(evaluate.sample(rng))
