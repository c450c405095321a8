"""The graph network that predicts all targets at once, and its training.

Information flows along the edges of the cell in both directions for a few rounds; every round combines a vertex's
state with the sums over its predecessors and its successors and with the state of the whole cell. All cells share one
frame of seven vertices, so a batch is one dense product.

Measurements scatter: trainings differ, and some fail. So the network predicts a location and a scale for every target,
and maximises the likelihood of Student's t distribution with three degrees of freedom. Because of its heavy tails, a
failed training hardly moves the location.

Needs torch (``pip install 'ecnas-gym[surrogate]'``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ecnas.surrogate.features import ABSENT, Features

DEGREES_OF_FREEDOM: Final = 3.0


@dataclass(frozen=True)
class Hyperparameters:
    """Hyperparameters of the network and its training.

    Attributes:
        width: Features per vertex.
        hidden: Width of the hidden layers.
        rounds: Rounds of message passing.
        passes: Passes through all cells.
        small_cell_repeats: Repetitions, in each pass, of the cells of at most four vertices, which few others resemble
            and whose accuracies are means of three trainings.
        batch_size: Cells per step.
        learning_rate: Peak of the one-cycle schedule.
        weight_decay: Of AdamW.
        auxiliary_weight: Weight in the loss of targets that only support the others.
    """

    width: int = 64
    hidden: int = 128
    rounds: int = 4
    passes: float = 12.0
    small_cell_repeats: int = 8
    batch_size: int = 1024
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    auxiliary_weight: float = 0.3


class Round(nn.Module):
    """One round of message passing."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.local = nn.Linear(3 * width, hidden)
        self.context = nn.Linear(2 * width, hidden)
        self.update = nn.Linear(hidden, width)

    def forward(self, states: Tensor, edges: Tensor, present: Tensor) -> Tensor:
        normed = self.norm(states)
        messages = torch.cat([normed, edges.transpose(1, 2) @ normed, edges @ normed], dim=-1)
        mean = (normed * present).sum(dim=1) / present.sum(dim=1)
        context = self.context(torch.cat([normed[:, -1], mean], dim=-1))
        update = self.update(nn.functional.silu(self.local(messages) + context[:, None]))
        mixed: Tensor = states + update * present
        return mixed


class GraphNetwork(nn.Module):
    """Location and log scale of every (standardised) target of a cell."""

    def __init__(self, vertex_features: int, cell_features: int, targets: int, settings: Hyperparameters) -> None:
        super().__init__()
        width, hidden = settings.width, settings.hidden
        self.embed = nn.Linear(vertex_features, width)
        self.rounds = nn.ModuleList(Round(width, hidden) for _ in range(settings.rounds))
        self.norm = nn.LayerNorm(3 * width)
        self.read = nn.Sequential(
            nn.Linear(3 * width + cell_features, 2 * hidden), nn.SiLU(), nn.Linear(2 * hidden, hidden), nn.SiLU()
        )
        self.heads = nn.Linear(hidden, 2 * targets)
        nn.init.zeros_(self.heads.weight)

    def forward(self, edges: Tensor, present: Tensor, vertices: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Predicts a batch of B cells.

        Args:
            edges: Shape (B, 7, 7).
            present: 1 where there is a vertex, shape (B, 7, 1).
            vertices: Standardised features, shape (B, 7, F).
            cells: Standardised features, shape (B, G).

        Returns:
            Location and log scale, each of shape (B, targets).
        """
        states = self.embed(vertices) * present
        for message_round in self.rounds:
            states = message_round(states, edges, present)
        summary = torch.cat([states[:, -1], (states * present).sum(dim=1) / 3, states[:, 0]], dim=-1)
        location, log_scale = self.heads(self.read(torch.cat([self.norm(summary), cells], dim=-1))).chunk(2, dim=-1)
        return location, log_scale.clamp(-5.0, 3.0)


class Inputs:
    """Features of all cells as tensors, standardised over the space."""

    def __init__(self, features: Features) -> None:
        present = features.kinds != ABSENT
        flat = features.vertices[present]
        self.vertices = torch.zeros(features.vertices.shape, dtype=torch.float16)
        self.vertices[torch.from_numpy(present)] = torch.from_numpy(
            ((flat - flat.mean(axis=0)) / (flat.std(axis=0) + 1e-3)).astype(np.float16)
        )
        cells = features.cells
        self.cells = torch.from_numpy((cells - cells.mean(axis=0)) / (cells.std(axis=0) + 1e-6)).float()
        self.present = torch.from_numpy(present).float()[..., None]
        self.edges = torch.from_numpy(features.adjacency)

    def __len__(self) -> int:
        return len(self.cells)

    def batch(self, rows: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Inputs of :class:`GraphNetwork` for some rows."""
        return self.edges[rows].float(), self.present[rows], self.vertices[rows].float(), self.cells[rows]


def train(
    inputs: Inputs,
    targets: NDArray[np.float64],
    rows: NDArray[np.int64],
    weights: NDArray[np.float64],
    settings: Hyperparameters,
    seed: int,
    report: Callable[[str], None] = print,
    network: GraphNetwork | None = None,
) -> GraphNetwork:
    """Trains a network.

    Args:
        inputs: Features of N cells.
        targets: Standardised targets, shape (N, T); NaN where there is none.
        rows: Cells to learn from; some may occur more than once.
        weights: Weight of each target in the loss, shape (T,).
        settings: Hyperparameters.
        seed: Seed of weights and order.
        report: Called with lines of progress.
        network: A network to continue with, instead of a new one.
    """
    torch.manual_seed(seed)
    order = _order(rows, settings, np.random.default_rng(seed))
    metrics = torch.from_numpy(np.nan_to_num(targets)).float()
    known = torch.from_numpy(~np.isnan(targets)).float()
    target_weights = torch.from_numpy(weights).float()
    if network is None:
        network = GraphNetwork(inputs.vertices.shape[-1], inputs.cells.shape[-1], targets.shape[1], settings)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, betas=(0.9, 0.98)
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=len(order) + 1, pct_start=0.08, final_div_factor=1e3
    )
    started, smooth = time.monotonic(), 0.0
    for step, batch in enumerate(order):
        location, log_scale = network(*inputs.batch(batch))
        residual = (metrics[batch] - location) * torch.exp(-log_scale)
        loss: Any = _student_loss(residual, log_scale, known[batch]) @ target_weights
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 200 == 0:
            smooth = loss.item() if step == 0 else 0.7 * smooth + 0.3 * loss.item()
            report(f"step {step} of {len(order)}, loss {smooth:.3f}, {time.monotonic() - started:.0f} s")
    return network


def predict(network: GraphNetwork, inputs: Inputs, batch_size: int = 8192) -> NDArray[np.float32]:
    """Predicted location of all cells, float32 of shape (N, T)."""
    starts = range(0, len(inputs), batch_size)
    with torch.no_grad():
        parts = [network(*inputs.batch(slice(start, start + batch_size)))[0].numpy() for start in starts]
    return np.concatenate(parts)


def _order(rows: NDArray[np.int64], settings: Hyperparameters, rng: np.random.Generator) -> list[Tensor]:
    """Batches of the whole training: pass after pass, each in a fresh order."""
    size = settings.batch_size
    total = int(settings.passes * len(rows)) // size
    passes = [rng.permutation(rows) for _ in range(int(np.ceil(settings.passes)))]
    order = torch.from_numpy(np.concatenate(passes))
    return [order[step * size : (step + 1) * size] for step in range(total)]


def _student_loss(residual: Tensor, log_scale: Tensor, known: Tensor) -> Tensor:
    """Mean negative log likelihood of each target over the cells that have it, damped for targets with few of them."""
    exponent = (DEGREES_OF_FREEDOM + 1) / 2
    loss = log_scale + exponent * torch.log1p(residual**2 / DEGREES_OF_FREEDOM)
    return (loss * known).sum(dim=0) / (known.sum(dim=0) + 8.0)
