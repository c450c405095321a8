"""Bayesian optimisation with qNEHVI, as BoTorch implements it, to stand beside the methods of this package.

It needs BoTorch, which no extra of this package installs:

    pip install botorch
    ecnas sweep benchmarks/peers_front.toml

A Gaussian process an objective, on the features of cells that agents/critic.py has, with the kernel of the critics
there: BoTorch's own has a length scale a feature, and takes ten times as long to fit. Batches are chosen one cell after
another among random cells and mutations of the cells on the front that the processes expect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from ecnas_gym.agents.critic import cell_features
from numpy.typing import NDArray

from ecnas import pareto
from ecnas.runs import Evaluator
from ecnas.search.variation import mutations


@dataclass(frozen=True)
class QNEHVI:
    """Noisy expected hypervolume improvement of batches, in its logarithmic form.

    Sources: Daulton et al. 2021, https://arxiv.org/abs/2105.08195; Ament et al. 2023, https://arxiv.org/abs/2310.20708.
    """

    num_initial: int = 10
    """Random cells to begin with."""
    batch_size: int = 10
    """Cells that are trained between two fits of the models."""
    num_mutations: int = 200
    """Candidates that are mutations of cells on the front."""
    num_random: int = 50
    """Candidates that are random cells."""
    expected_edges: float = 1.0
    """Mean number of flipped edges of a mutation."""
    expected_ops: float = 1.0
    """Mean number of changed operations of a mutation."""
    num_samples: int = 32
    """Quasi-Monte-Carlo samples of the posterior."""

    name: ClassVar[str] = "qNEHVI (BoTorch)"

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        """Searches until the budget is spent."""
        import torch

        torch.manual_seed(int(rng.integers(2**31)))
        space = evaluate.benchmark.space
        rows = [evaluate.sample(rng).row for _ in range(self.num_initial)]
        scores = [evaluate(space[row]).scores for row in rows]
        while True:
            # What a failed training scores would flatten all else.
            targets = np.maximum(np.array(scores), 0.0)
            for row in self._choose(np.array(rows), targets, evaluate, rng):
                rows.append(row)
                scores.append(evaluate(space[row]).scores)

    def _choose(
        self, rows: NDArray[np.int64], scores: NDArray[np.float64], evaluate: Evaluator, rng: np.random.Generator
    ) -> list[int]:
        """The cells of the next batch."""
        import torch
        from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import ModelListGP, SingleTaskGP
        from botorch.models.transforms import Standardize
        from botorch.optim import optimize_acqf_discrete
        from botorch.sampling import SobolQMCNormalSampler
        from gpytorch.kernels import MaternKernel, ScaleKernel
        from gpytorch.mlls import SumMarginalLogLikelihood

        features = cell_features(evaluate.benchmark.space)

        def inputs(of: NDArray[np.int64]) -> Any:
            return torch.as_tensor(features(of), dtype=torch.float64)

        x, y = inputs(rows), torch.as_tensor(scores)
        model = ModelListGP(
            *(
                SingleTaskGP(
                    x, column[:, None], covar_module=ScaleKernel(MaternKernel(2.5)), outcome_transform=Standardize(1)
                )
                for column in y.T
            )
        )
        fit_gpytorch_mll(SumMarginalLogLikelihood(model.likelihood, model))
        with torch.no_grad():
            expected = model.posterior(x).mean.numpy()
        parents = rows[pareto.non_dominated(expected)]
        candidates = self._candidates(parents, evaluate, rng)
        gain = qLogNoisyExpectedHypervolumeImprovement(
            model,
            ref_point=evaluate.reference.tolist(),
            X_baseline=x,
            sampler=SobolQMCNormalSampler(torch.Size([self.num_samples]), seed=int(rng.integers(2**31))),
            prune_baseline=True,
        )
        chosen, _ = optimize_acqf_discrete(gain, self.batch_size, inputs(candidates), max_batch_size=len(candidates))
        # Equal features are not always equal cells; the first that has them will do.
        distances = torch.cdist(chosen, inputs(candidates))
        return [int(candidates[position]) for position in distances.argmin(dim=1).tolist()]

    def _candidates(
        self, parents: NDArray[np.int64], evaluate: Evaluator, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Cells that were not trained yet."""
        space = evaluate.benchmark.space
        drawn = rng.choice(parents, size=2 * self.num_mutations)
        near = mutations(space, drawn, rng, self.expected_edges, self.expected_ops)
        mutated = [row for row in dict.fromkeys(near.tolist()) if row >= 0 and evaluate.is_new(space[row])]
        fresh = [evaluate.sample(rng).row for _ in range(self.num_random)]
        return np.array(list(dict.fromkeys([*mutated[: self.num_mutations], *fresh])), dtype=np.int64)
