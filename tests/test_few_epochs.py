"""How much of the residuals at few epochs belongs to the cell (benchmarks/few_epochs.py)."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from conftest import ROOT

from ecnas.noise import Residuals

pytest.importorskip("scipy", reason="rank correlations need ecnas-gym[surrogate]")
sys.path.append(str(ROOT / "benchmarks"))

import few_epochs
from few_epochs import across_cells, across_trainings, orders, ranked, without_trend

NORMAL = Residuals(np.array([0.0, 1.0]), np.tile(np.linspace(-4, 4, 33) * 0.05, (2, 1)), np.zeros(2), np.zeros(2))


def trainings(cells, share, repeats, seed):
    """Predicted accuracies and trainings at three numbers of epochs; the cells' own parts correlate by 0.5."""
    rng = np.random.default_rng(seed)
    correlation = np.full((3, 3), 0.5) + 0.5 * np.eye(3)
    own = np.sqrt(share) * rng.multivariate_normal(np.zeros(3), correlation, size=cells)
    luck = np.sqrt(1 - share) * rng.standard_normal((cells, 3, repeats))
    predicted = np.sort(rng.uniform(0.2, 0.8, size=(cells, 3)), axis=0)
    return predicted, predicted[..., None] + 0.05 * (own[..., None] + luck)


def test_the_part_of_the_cell_is_found_again(monkeypatch):
    monkeypatch.setattr(few_epochs, "RESAMPLES", 20)
    predicted, large = trainings(20_000, 0.2, 1, 0)
    small, several = trainings(3_000, 0.6, 3, 1)
    ranks = np.stack([ranked(predicted[:, at], large[:, at, 0]) for at in range(3)], axis=1)
    residuals = np.stack([without_trend(small[:, at], several[:, at]) for at in range(3)], axis=1)
    assert across_cells(residuals) == pytest.approx(0.5, abs=0.05)
    assert across_trainings(ranks) == pytest.approx(0.1, abs=0.02)
    text = few_epochs.few_epochs(predicted, large[..., 0], small, several, [NORMAL] * 3)
    share = float(text.split("a ratio of ")[1].split(" ")[0])
    assert share == pytest.approx(0.2, abs=0.04)


def test_a_table_without_own_error_is_perfect():
    predicted = trainings(4_000, 0.0, 1, 2)[0][:, 0]
    table, perfect = orders(predicted, NORMAL, 0.0)
    assert table == pytest.approx(perfect, abs=0.005)
    table, perfect = orders(predicted, NORMAL, 0.3)
    assert perfect > table + 0.02
