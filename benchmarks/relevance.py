"""The most informative features of a cell: the length scales in agents/critic.py, found on the 5V space.

The features of ``agents/critic.py`` fall into nine groups. Each group gets its own length scale, by the marginal
likelihood of a Gaussian process with noise (Rasmussen and Williams 2006, section 5.1: automatic relevance
determination), on 700 random cells of ``surrogate-5V`` with noise of the size of one training.

    python benchmarks/relevance.py          # about a minute; needs torch
"""

from __future__ import annotations

import numpy as np
import torch
from ecnas_gym.agents.critic import RELEVANCE, cell_features

import ecnas

GROUPS = (
    *("paths without operations", "paths of one", "paths of two", "paths of three", "pairs of operations", "counts"),
    *("number and length of paths", "3x3 convolutions on a path", "parameters and multiply-adds"),
)
SIZES = (1, 3, 9, 27, 25, 7, 2, 1, 2)
CELLS, SCATTER, QUANTILE, STEPS = 700, 0.003, 0.3, 300


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    benchmark = ecnas.load("surrogate-5V")
    rows = rng.choice(len(benchmark.space), size=CELLS, replace=False)
    accuracy = benchmark.values("val_accuracy")[rows]
    # Bad cells count alike, as in agents/gp_edit.py.
    accuracy = np.maximum(accuracy, np.quantile(accuracy, QUANTILE)) + SCATTER * rng.standard_normal(CELLS)
    targets = torch.tensor((accuracy - accuracy.mean()) / accuracy.std())
    # Standardised over the 7V space, where the controller uses them.
    features = torch.tensor(cell_features(ecnas.Space("7V")).table[rows].astype(np.float64))
    group = torch.repeat_interleave(torch.arange(len(SIZES)), torch.tensor(SIZES))

    def loss(scales: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """The negative log marginal likelihood with the best variance of the signal, without its constant."""
        scaled = features * torch.exp(scales)[group]
        distances = torch.cdist(scaled, scaled, compute_mode="donot_use_mm_for_euclid_dist") + 1e-9
        far = distances * 5**0.5
        kernel = (1 + far + far**2 / 3) * torch.exp(-far) + torch.exp(noise) * torch.eye(CELLS, dtype=torch.float64)
        factor = torch.linalg.cholesky(kernel)
        fit = targets @ torch.cholesky_solve(targets[:, None], factor)[:, 0] / CELLS
        return 0.5 * CELLS * torch.log(fit) + torch.log(factor.diagonal()).sum()

    def fitted(num_scales: int, start: float, steps: int, step: float) -> tuple[torch.Tensor, float]:
        scales = torch.full((num_scales,), start, dtype=torch.float64, requires_grad=True)
        noise = torch.tensor(-3.0, dtype=torch.float64, requires_grad=True)
        optimiser = torch.optim.Adam([scales, noise], step)
        for _ in range(steps):
            optimiser.zero_grad()
            value = loss(scales.expand(len(SIZES)), noise)
            value.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        return scales.detach(), value.item()

    common, alike = fitted(1, -2.5, STEPS // 3, 0.1)
    scales, apart = fitted(len(SIZES), common.item(), STEPS, 0.05)
    print(f"log marginal likelihood: {-alike:.0f} with one length scale, {-apart:.0f} with {len(SIZES)}")
    used = RELEVANCE[np.cumsum(SIZES) - 1]
    for name, scale, kept in zip(GROUPS, torch.exp(scales).tolist(), used.tolist(), strict=True):
        print(f"{name:30s} {scale:.3f}  (agents/critic.py: {kept:.3f})")


if __name__ == "__main__":
    main()
