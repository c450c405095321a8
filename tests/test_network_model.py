"""The Keras network of a cell is the one that ecnas.cost counts."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import ecnas
from ecnas.network import build

keras = pytest.importorskip("keras", reason="networks need the extra 'network'")

CONV3, CONV1, POOL = ecnas.OPERATIONS
ROWS = [*range(0, 91, 6), *np.random.default_rng(0).choice(np.arange(91, 423_624), 24, replace=False).tolist()]


def counts(model) -> tuple[int, int]:
    """Trainable parameters and multiply-adds of a model, from its layers alone."""
    parameters = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    multiply_adds = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            multiply_adds += int(np.prod(layer.kernel.shape)) * int(np.prod(layer.output.shape[1:3]))
        elif isinstance(layer, keras.layers.Dense):
            multiply_adds += int(np.prod(layer.kernel.shape))
    return parameters, multiply_adds


@pytest.mark.parametrize("row", ROWS)
def test_counts_are_those_of_the_cell(row):
    cell = ecnas.Space("7V")[row]
    with keras.StatelessScope(initialize_variables=False):  # shapes alone: no weight is allocated
        model = build(cell)
    assert counts(model) == (cell.trainable_parameters, cell.multiply_adds)


def test_equal_cells_in_any_labelling_are_one_network():
    # 128 channels among three: the remainder goes to the first two vertices, whichever operations those have.
    edges = [[0, 1, 1, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]]
    cells = [ecnas.Cell(edges, ops) for ops in ([CONV3, CONV1, POOL], [POOL, CONV3, CONV1], [CONV1, POOL, CONV3])]
    assert {counts(build(cell)) for cell in cells} == {(cells[0].trainable_parameters, cells[0].multiply_adds)}


def test_images_become_logits():
    model = build(ecnas.Space("7V")[300_000], num_classes=7, image_size=16, channels=12)
    assert model.input_shape == (None, 16, 16, 3)
    logits = keras.ops.convert_to_numpy(model(np.random.default_rng(0).random((5, 16, 16, 3), np.float32)))
    assert logits.shape == (5, 7)
    assert np.isfinite(logits).all()
    assert np.ptp(logits) > 0


def test_the_seed_gives_the_weights():
    cell = ecnas.Space("4V")[50]
    first, again, other = (build(cell, channels=8, seed=seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    kernels = [weight for weight in first if weight.ndim == 4 and weight.shape == first[0].shape]
    assert all(not np.array_equal(kernels[0], kernel) for kernel in kernels[1:])  # layers differ from each other


def test_mixed_precision_keeps_weights_and_logits_in_float32():
    model = build(ecnas.Space("4V")[50], channels=8, dtype="mixed_bfloat16")
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    assert model.output.dtype == "float32"
    assert "bfloat16" in {layer.compute_dtype for layer in model.layers}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 1}, "num_classes must be 2 or more, got 1"),
        ({"image_size": 3}, "image_size must be 4 or more, got 3"),
        ({"channels": 2}, "channels must be at least the cell's 4 vertices, got 2"),
    ],
)
def test_sizes_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        build(ecnas.Space("4V")[90], **arguments)


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_other_backends(backend):
    pytest.importorskip(backend)
    code = """
import keras, numpy as np, ecnas
from ecnas.network import build
cell = ecnas.Space("7V")[300_000]
model = build(cell, channels=8)
logits = model(np.zeros((2, 32, 32, 3), np.float32))
print(keras.backend.backend(), tuple(logits.shape), build(ecnas.Space("4V")[3]).count_params() > 0)
"""
    environment = os.environ | {"KERAS_BACKEND": backend}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[-2] == f"{backend} (2, 10) True"


def test_the_package_imports_nothing_heavy():
    code = "import sys, ecnas.network; print({'keras', 'tensorflow', 'torch', 'codecarbon'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
