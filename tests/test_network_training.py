"""Cells are really trained, on small images, and a training that is stopped goes on as if nothing had been."""

from __future__ import annotations

import dataclasses
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from digits import digit_images, write_digits

import ecnas

pytest.importorskip("keras", reason="training needs the extra 'network'")
pytest.importorskip("tensorflow", reason="training is tested on TensorFlow")

from ecnas.network import training
from ecnas.network.images import Images, Part
from ecnas.network.meter import Clock, Device, Metering, NoSensorError, Reading
from ecnas.network.results import Recipe, Training, to_json
from ecnas.network.training import TrainingFailedError, augmented, train

SMALL = Recipe(epochs=2, batch_size=32, channels=4)
CELL = ecnas.Space("4V")[2]
METERING = Metering(carbon_intensity=100.0)


@pytest.fixture(scope="module")
def images():
    return digit_images()


class Scripted(Clock):
    """A meter that always shows ten joules of the GPU and one of the CPU more than before."""

    devices = (Device("gpu", "card", "measured", "counter"), Device("cpu", "chip", "estimated", "nominal power"))

    def __enter__(self):
        self.readings = 0
        return super().__enter__()

    def read(self):
        self.readings += 1
        return Reading(float(self.readings), {"gpu": 10.0 * self.readings, "cpu": 1.0 * self.readings})

    def take_trace(self):
        return [[float(self.readings), 10.0, 1.0]]


def weights(folder):
    import keras

    return keras.saving.load_model(folder / training.MODEL).get_weights()


@pytest.fixture(scope="module")
def uninterrupted(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, train(CELL, images, SMALL, seed=3, folder=folder, meter=Scripted(METERING))


def test_figures(uninterrupted, images):
    folder, result = uninterrupted
    assert [one.epoch for one in result.milestones] == [0, 1, 2]
    for one in result.milestones:
        assert 0 <= one.train_accuracy <= 1
        assert (one.val_accuracy * 64) % 1 == pytest.approx(0, abs=1e-4)  # of 64 images
    assert [one.energy for one in result.milestones] == pytest.approx([n * 11 / 3.6e6 for n in (1, 2, 3)])
    assert result.total.joules["gpu"] > 30  # evaluations count in the total
    assert result.provenance == "estimated"
    assert dataclasses.replace(result, metering=Metering(devices=("gpu",))).provenance == "measured"
    assert result.data_digest == images.digest
    assert not (folder / training.CHECKPOINT).exists()


def test_a_stopped_training_goes_on_to_the_same_weights(uninterrupted, images, tmp_path, monkeypatch):
    whole, result = uninterrupted
    epochs = []
    train_epoch = training._train_epoch

    def killed_in_the_second(model, data, recipe, seed, epoch, bar):
        if epoch == 1:
            raise KeyboardInterrupt
        train_epoch(model, data, recipe, seed, epoch, bar)

    monkeypatch.setattr(training, "_train_epoch", killed_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        train(CELL, images, SMALL, seed=3, folder=tmp_path, meter=Scripted(METERING))
    assert (tmp_path / training.CHECKPOINT).exists()

    def counted(model, data, recipe, seed, epoch, bar):
        epochs.append(epoch)
        train_epoch(model, data, recipe, seed, epoch, bar)

    monkeypatch.setattr(training, "_train_epoch", counted)
    resumed = train(CELL, images, SMALL, seed=3, folder=tmp_path, meter=Scripted(METERING))
    assert epochs == [1]
    for ours, theirs in zip(weights(tmp_path), weights(whole), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    figures, again = (
        [dataclasses.replace(one, started="", stopped="") for one in each.milestones] for each in (result, resumed)
    )
    assert again == figures

    assert train(CELL, images, SMALL, seed=3, folder=tmp_path, meter=Scripted(METERING)).final == resumed.final
    assert epochs == [1]  # a finished training is not repeated


def test_a_folder_holds_one_training(uninterrupted, images):
    folder, _ = uninterrupted
    with pytest.raises(ValueError, match=r"is of another training: seed is 3 there and 4 here"):
        train(CELL, images, SMALL, seed=4, folder=folder)
    with pytest.raises(ValueError, match="recipe is"):
        train(CELL, images, dataclasses.replace(SMALL, learning_rate=0.1), seed=3, folder=folder)
    with pytest.raises(ValueError, match="cell is"):
        train(ecnas.Space("4V")[3], images, SMALL, seed=3, folder=folder)


def test_json(uninterrupted):
    import json

    _, result = uninterrupted
    stored = json.loads(to_json(result.to_dict()))
    again = Training.from_dict(stored)
    assert again.cell == result.cell
    assert to_json(again.to_dict()) == to_json(result.to_dict())


def test_a_damaged_checkpoint_is_named(images, tmp_path):
    (tmp_path / training.CHECKPOINT).write_bytes(os.urandom(300))
    with pytest.raises(ecnas.CorruptFileError, match=r"checkpoint\.npz: damaged"):
        train(CELL, images, SMALL, folder=tmp_path)


def test_a_card_that_cannot_be_read_is_not_left_out(images, monkeypatch):
    class WithoutCard(Scripted):
        devices = (Scripted.devices[1],)

    monkeypatch.setattr(training, "_trains_on_gpu", lambda: True)
    with pytest.raises(NoSensorError, match="a graphics card that codecarbon cannot read"):
        train(CELL, images, SMALL, meter=WithoutCard())


def test_it_learns(monkeypatch):
    # Averages of batch statistics over hundreds of steps would need more steps than a test should take.
    monkeypatch.setattr("ecnas.network.model.BATCH_NORM_MOMENTUM", 0.9)
    rng = np.random.default_rng(0)
    colours = np.array([[230, 30, 30], [30, 230, 30], [30, 30, 230], [230, 230, 30]])

    def coloured(number):
        labels = rng.integers(0, 4, number)
        noise = rng.integers(-30, 26, (number, 8, 8, 3))
        return Part((colours[labels][:, None, None] + noise).astype(np.uint8), labels)

    images = Images("coloured", coloured(512), coloured(128), coloured(128))
    result = train(ecnas.Space("4V")[0], images, Recipe(epochs=5, batch_size=16, channels=8, learning_rate=0.05))
    assert [one.epoch for one in result.milestones] == [0, 3, 5]
    assert result.final.val_accuracy > 0.9  # chance is 0.25
    assert math.isnan(result.final.energy)  # nothing was metered


def test_a_loss_that_is_not_finite(images):
    with pytest.raises(TrainingFailedError, match="in epoch 1"):
        train(CELL, images, dataclasses.replace(SMALL, learning_rate=1e30))


def test_the_penalty_is_that_of_the_recipe(images):
    import keras

    model = training._compiled(CELL, images, SMALL, 0, 4)
    squares = sum(float((keras.ops.convert_to_numpy(v) ** 2).sum()) for v in model.trainable_variables)
    assert float(sum(model.losses)) == pytest.approx(SMALL.weight_decay / 2 * squares, rel=1e-4)
    velocities = [v for v in model.optimizer.variables if v.path.endswith("velocity")]
    assert len(velocities) == len(model.trainable_variables)
    assert all(float(keras.ops.min(v)) == float(keras.ops.max(v)) == 1 for v in velocities)


def test_the_learning_rate_falls_along_a_cosine(images):
    model = training._compiled(CELL, images, SMALL, 0, 4)
    schedule = model.optimizer._learning_rate
    rates = [float(schedule(step)) for step in (0, 4, 8)]
    assert rates == pytest.approx([0.2, 0.1, 0.0], abs=1e-6)


def test_augmentation_moves_by_up_to_four_pixels_and_mirrors():
    image = np.zeros((500, 32, 32, 3), np.uint8)
    image[:, 10, 20] = (1, 2, 3)
    moved = augmented(image, np.random.default_rng(0))
    assert moved.shape == image.shape
    assert moved.dtype == np.uint8
    found = np.argwhere(moved[..., 0] == 1)
    assert len(found) == 500
    assert set(found[:, 1]) == set(range(6, 15))
    assert set(found[:, 2]) == set(range(16, 25)) | set(range(31 - 24, 31 - 15))
    assert all((moved[n, y, x] == (1, 2, 3)).all() for n, y, x in found)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs must be 1 or more, got 0"),
        ({"learning_rate": -1.0}, "learning_rate must be a positive number, got -1.0"),
        ({"weight_decay": math.nan}, "weight_decay must be a positive number, got nan"),
        ({"precision": "float8"}, "precision must be one of .* got 'float8'"),
    ],
)
def test_recipes_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**settings)


def test_a_batch_must_fit(images):
    with pytest.raises(ValueError, match="batch_size must be at most the 128 training images, got 256"):
        train(CELL, images, Recipe(epochs=1))


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_other_backends(backend, tmp_path):
    pytest.importorskip(backend)
    write_digits(tmp_path / "digits.npz", 32, 16)
    code = """
import ecnas
from pathlib import Path
from ecnas.network.images import load_images
from ecnas.network.results import Recipe
from ecnas.network.training import train
arguments = ecnas.Space("4V")[0], load_images("digits.npz"), Recipe(epochs=1, batch_size=16, channels=2)
result = train(*arguments, folder=Path("here"))
assert train(*arguments, folder=Path("here")).final.val_accuracy == result.final.val_accuracy
print(result.backend, [one.epoch for one in result.milestones], 0 <= result.final.val_accuracy <= 1)
"""
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-2] == f"{backend} [0, 1] True"
