"""What all tests share: where the real files are, and a benchmark that needs none."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import ecnas
from ecnas.table import Column, columns_digest

PACKAGES = (
    "ecnas",
    "ecnas.explorer",
    "ecnas.measured",
    "ecnas.network",
    "ecnas.official",
    "ecnas.runs",
    "ecnas.search",
    "ecnas_gym",
)
"""Those that are public."""
ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("ECNAS_TEST_DATA", ROOT.parent / "shared" / "data"))

needs_official = pytest.mark.skipif(
    not (DATA / "official").is_dir(), reason=f"the published files are not in {DATA / 'official'}"
)
needs_training = pytest.mark.skipif(
    not (DATA / "training").is_dir(), reason=f"the training data are not in {DATA / 'training'}"
)


@pytest.fixture(scope="session", autouse=True)
def official_source(tmp_path_factory):
    """Published files come from the data folder, and conversions go to a folder that vanishes."""
    patch = pytest.MonkeyPatch()
    patch.setenv("ECNAS_CACHE", str(tmp_path_factory.mktemp("cache")))
    patch.setenv("ECNAS_SOURCE", str(DATA / "official"))
    patch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    yield
    patch.undo()


def synthetic_table(space_name: str, seed: int = 0, **changes) -> ecnas.Table:
    """A table of made-up figures: accuracy and energy grow with the parameters, with noise."""
    space = ecnas.Space(space_name)
    rng = np.random.default_rng(seed)
    size = np.log(space.trainable_parameters / space.trainable_parameters.min()).reshape(-1, 1, 1)
    epochs = np.array([4, 108]).reshape(1, 2, 1)
    energy = 2e-3 * np.exp(0.4 * size + 0.1 * rng.standard_normal(size.shape)) * epochs
    val = 0.95 - 0.3 * np.exp(-size) - 0.8 / (epochs + 4) - 0.03 * rng.random(size.shape)
    figures = {
        "val_accuracy": val,
        "test_accuracy": val - 0.005,
        "train_accuracy": np.minimum(val + 0.04, 1.0),
        "energy": energy,
        "co2": energy * 400,
        "training_time": energy * 9000,
    }
    columns = {name: Column(values) for name, values in figures.items()}
    arguments = {
        "name": f"synthetic-{space_name}",
        "space": space,
        "epochs": (4, 108),
        "repeats": 1,
        "provenance": {4: "measured", 108: "measured"},
        "columns": columns,
    }
    arguments |= changes
    arguments.setdefault("digest", columns_digest(arguments["columns"], arguments.get("missing", ())))
    return ecnas.Table(**arguments)


@pytest.fixture(scope="session")
def synthetic_4v() -> ecnas.Benchmark:
    return ecnas.Benchmark(synthetic_table("4V"))


@pytest.fixture(scope="session")
def synthetic_5v() -> ecnas.Benchmark:
    return ecnas.Benchmark(synthetic_table("5V"))
