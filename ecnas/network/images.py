"""Labelled images to train on: CIFAR-10 in its usual forms, or your own ``.npz`` file.

Nothing is unpickled. CIFAR-10's Python version, which Keras keeps in its cache, is a pickle. Its opcodes are listed
(:mod:`pickletools`), which executes nothing, and the two relevant values are extracted.
"""

from __future__ import annotations

import hashlib
import os
import pickletools
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecnas.cost import IMAGE_CHANNELS, IMAGE_SIZE
from ecnas.errors import CorruptFileError

CIFAR10: Final = "cifar10"
BATCHES: Final = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_BATCH: Final = "test_batch"
VALIDATION_PART: Final = 5
"""If a source has no validation images, the last fifth of its training images is used: the fifth batch of CIFAR-10, as
in NAS-Bench-101."""

_PIXELS: Final = IMAGE_CHANNELS * IMAGE_SIZE**2


class Part(NamedTuple):
    """Images of one part of the data.

    Attributes:
        images: uint8, shape (n, height, width, 3).
        labels: int64, shape (n,), from 0.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Images:
    """Images to train, validate and test on.

    Attributes:
        name: Their source.
    """

    name: str
    train: Part
    validation: Part
    test: Part

    def __post_init__(self) -> None:
        shape = self.train.images.shape[1:]
        for part_name, (images, labels) in self.parts.items():
            where = f"{self.name}, {part_name} images"
            if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != IMAGE_CHANNELS:
                raise ValueError(
                    f"{where} must be uint8 of shape (n, height, width, {IMAGE_CHANNELS}), "
                    f"got {images.dtype} of shape {images.shape}"
                )
            if images.shape[1:] != shape or shape[0] != shape[1]:
                raise ValueError(f"{where} must all be square and of one size, got {images.shape[1:3]} and {shape[:2]}")
            if labels.shape != (len(images),) or not len(labels) or labels.min() < 0:
                raise ValueError(
                    f"{where} must have one label each, from 0, and there must be one at least; "
                    f"got {len(images)} images and labels of shape {labels.shape}"
                )

    @property
    def parts(self) -> dict[str, Part]:
        """The three parts by name."""
        return {"training": self.train, "validation": self.validation, "test": self.test}

    @property
    def image_size(self) -> int:
        """Height and width."""
        return int(self.train.images.shape[1])

    @cached_property
    def num_classes(self) -> int:
        """Classes, counted from the labels."""
        return 1 + max(int(part.labels.max()) for part in self.parts.values())

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all images and labels."""
        digest = hashlib.sha256()
        for images, labels in self.parts.values():
            digest.update(f"{images.shape}".encode())
            digest.update(np.ascontiguousarray(images).data)
            digest.update(np.ascontiguousarray(labels).data)
        return digest.hexdigest()

    @cached_property
    def scaling(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and standard deviation of each colour over the training images, each float32 of shape (3,)."""
        counts = np.stack(
            [np.bincount(self.train.images[..., c].ravel(), minlength=256) for c in range(IMAGE_CHANNELS)]
        )
        levels, total = np.arange(256), counts.sum(axis=1)
        mean = counts @ levels / total
        deviation = np.sqrt(counts @ levels**2 / total - mean**2)
        return mean.astype(np.float32), np.maximum(deviation, 1).astype(np.float32)

    def scaled(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Images minus the mean, divided by the standard deviation."""
        mean, deviation = self.scaling
        return (images.astype(np.float32) - mean) / deviation


def load_images(source: str | os.PathLike[str]) -> Images:
    """Loads images.

    Args:
        source: ``"cifar10"``, which is read from Keras's cache; or a folder with CIFAR-10's binary or Python version;
            or an ``.npz`` file with the arrays ``x_train y_train x_test y_test`` and optionally ``x_val y_val``.

    Raises:
        FileNotFoundError: The data are not there; the message says how to get them.
        CorruptFileError: A file is damaged.
        ValueError: The arrays are not labelled images.
    """
    if os.fspath(source) == CIFAR10:
        return _read_folder(_cached_cifar10(), CIFAR10)
    path = Path(source).expanduser()
    if path.is_dir():
        return _read_folder(_folder_of_batches(path), str(source))
    if path.suffix == ".npz":
        return _read_npz(path)
    if path.exists():
        raise ValueError(f"data must be {CIFAR10!r}, a folder of CIFAR-10 or an .npz file, got {str(source)!r}")
    raise FileNotFoundError(f"data: no file or folder {str(source)!r}; {CIFAR10!r} is the copy in Keras's cache")


def _read_npz(path: Path) -> Images:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, EOFError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise CorruptFileError(f"{path}: not a plain .npz file ({error})") from error
    missing = [name for name in ("x_train", "y_train", "x_test", "y_test") if name not in arrays]
    if missing or ("x_val" in arrays) != ("y_val" in arrays):
        raise ValueError(
            f"{path} must have x_train, y_train, x_test, y_test and may have x_val and y_val, got {list(arrays)}"
        )

    def part(name: str) -> Part:
        labels = arrays[f"y_{name}"]
        if labels.dtype.kind not in "iu":
            raise ValueError(f"{path}: y_{name} must be integers, got {labels.dtype}")
        return Part(arrays[f"x_{name}"], labels.reshape(len(labels), -1)[:, 0].astype(np.int64))

    train, test = part("train"), part("test")
    if "x_val" in arrays:
        return Images(path.name, train, part("val"), test)
    return Images(path.name, *_split(train), test)


def _split(train: Part) -> tuple[Part, Part]:
    first = len(train) - len(train) // VALIDATION_PART
    return Part(train.images[:first], train.labels[:first]), Part(train.images[first:], train.labels[first:])


def _read_folder(folder: Path, name: str) -> Images:
    batches = [_read_batch(folder, batch) for batch in BATCHES]
    train = Part(*(np.concatenate(arrays) for arrays in zip(*batches, strict=True)))
    return Images(name, *_split(train), _read_batch(folder, TEST_BATCH))


def _read_batch(folder: Path, name: str) -> Part:
    """One file of CIFAR-10: a byte for the label and 3,072 for the image, plane by plane; or the Python version's."""
    binary = folder / f"{name}.bin"
    if binary.is_file():
        data = np.fromfile(binary, dtype=np.uint8)
        if not data.size or data.size % (1 + _PIXELS):
            raise CorruptFileError(f"{binary}: must hold {1 + _PIXELS} bytes an image, has {data.size} in all")
        rows = data.reshape(-1, 1 + _PIXELS)
        labels, pixels = rows[:, 0].astype(np.int64), rows[:, 1:]
    else:
        labels, pixels = _read_pickled_batch(folder / name)
    images = pixels.reshape(-1, IMAGE_CHANNELS, IMAGE_SIZE, IMAGE_SIZE).transpose(0, 2, 3, 1)
    return Part(np.ascontiguousarray(images), labels)


def _read_pickled_batch(path: Path) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Labels and pixels of a pickled batch, from the list of its opcodes, without creating objects or running code.

    The pickle is a dictionary. Its labels are the small integers after the text ``labels``, and its pixels are the one
    text of 3,072 bytes an image.
    """
    labels: list[int] = []
    pixels = b""
    key: Any = None
    try:
        argument: Any
        for opcode, argument, _ in pickletools.genops(path.read_bytes()):
            if isinstance(argument, str | bytes) and "PUT" not in opcode.name and "GET" not in opcode.name:
                key = argument.decode("latin-1") if isinstance(argument, bytes) else argument
                if len(argument) >= _PIXELS:
                    pixels = argument.encode("latin-1") if isinstance(argument, str) else argument
            elif key == "labels" and opcode.name in ("BININT1", "BININT", "BININT2"):
                labels.append(argument)
    except (ValueError, IndexError) as error:
        raise CorruptFileError(f"{path}: not a batch of CIFAR-10 ({error})") from error
    if not labels or len(pixels) != len(labels) * _PIXELS:
        raise CorruptFileError(
            f"{path}: must be a batch of CIFAR-10, with a label and {_PIXELS} bytes an image; "
            f"found {len(labels)} labels and {len(pixels)} bytes"
        )
    return np.array(labels), np.frombuffer(pixels, dtype=np.uint8)


def _cached_cifar10() -> Path:
    """The folder of CIFAR-10's batches in Keras's cache, in this version of Keras."""
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    try:
        return _folder_of_batches(home / "datasets")
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"no CIFAR-10 in Keras's cache {home / 'datasets'}: python -c \"import keras; "
            'keras.datasets.cifar10.load_data()" fetches it, or give a folder with its binary version'
        ) from error


def _folder_of_batches(folder: Path) -> Path:
    for name in (f"{BATCHES[0]}.bin", BATCHES[0]):
        for found in (folder / name, *sorted(folder.glob(f"*/{name}")), *sorted(folder.glob(f"*/*/{name}"))):
            if found.is_file():
                return found.parent
    raise FileNotFoundError(f"{folder} has no batches of CIFAR-10: neither {BATCHES[0]}.bin nor {BATCHES[0]}")
