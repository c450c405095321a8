"""Random search: the baseline for one objective and for several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ecnas.runs.evaluator import Evaluator


@dataclass(frozen=True)
class RandomSearch:
    """Trains cells drawn uniformly over the *unique* cells of the space, without replacement.

    The distribution is uniform over cells, not over matrices (small cells have more matrices) and not over numbers of
    vertices and edges. The same run serves one objective and several, since the result is read from its record.
    """

    name: ClassVar[str] = "random search"

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        while True:
            evaluate(evaluate.sample(rng))
