"""Small real images that a package ships: scikit-learn's handwritten digits, as colour images of 32×32."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ecnas.network.images import Images, Part


def digit_images(train: int = 128, others: int = 64) -> Images:
    datasets = pytest.importorskip("sklearn.datasets", reason="the images are scikit-learn's")
    digits = datasets.load_digits()
    images = np.kron(digits.images, np.ones((4, 4))) * (255 / 16)
    images = np.repeat(images[..., None], 3, axis=-1).astype(np.uint8)
    ends = [0, train, train + others, train + 2 * others]
    parts = [Part(images[a:b], digits.target[a:b].astype(np.int64)) for a, b in itertools.pairwise(ends)]
    return Images("digits", *parts)


def write_digits(path, train: int = 128, others: int = 64) -> None:
    """The same as an .npz file."""
    parts = digit_images(train, others).parts
    arrays = {}
    for name, part in zip(("train", "val", "test"), parts.values(), strict=True):
        arrays |= {f"x_{name}": part.images, f"y_{name}": part.labels}
    np.savez(path, **arrays)
