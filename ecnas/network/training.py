"""Trains and meters the network of a cell by NAS-Bench-101's recipe, resumable after every epoch.

The recipe is that of Ying et al. 2019 (https://arxiv.org/abs/1902.09635, table 1 of the supplement, and the reference
implementation where the paper is silent): RMSProp with ε = 1, cosine decay of the learning rate, L2 weight decay on all
trainable parameters, images padded by four pixels, cropped and flipped.

Importing this module imports Keras.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ecnas.cell import Cell
from ecnas.errors import CorruptFileError, ECNASError
from ecnas.files import replaced_file, write_text
from ecnas.network.images import Images, Part
from ecnas.network.meter import GPU, Clock, Metering, NoSensorError, Reading
from ecnas.network.model import build
from ecnas.network.results import Milestone, Recipe, Training, to_json, with_nan

MOMENTUM: Final = 0.9
SQUARES_DECAY: Final = 0.9
EPSILON: Final = 1.0
PADDING: Final = 4
MOST_TRAINING_IMAGES: Final = 10_000
"""Images, the first of the training set, on which training accuracy is measured, without augmentation."""

FINISHED: Final = "training.json"
CHECKPOINT: Final = "checkpoint.npz"
MODEL: Final = "model.keras"


class TrainingFailedError(ECNASError):
    """The loss became infinite or undefined."""


def train(
    cell: Cell,
    images: Images,
    recipe: Recipe,
    *,
    seed: int = 0,
    folder: Path | None = None,
    meter: Clock | None = None,
    keep_model: bool = True,
    progress: bool = True,
) -> Training:
    """Trains the network of a cell.

    With a folder the training can be interrupted. It resumes after its last whole epoch, with the same result as
    without the interruption (to the last bit on a CPU). A finished training is not repeated. The folder then has
    ``training.json`` and the trained ``model.keras``, which ``keras.saving.load_model`` reads.

    Args:
        cell: The cell.
        images: The images to train on.
        recipe: How to train.
        seed: Of the weights, the order of the images and their augmentation.
        folder: Folder for checkpoints and results; by default everything stays in memory.
        meter: The energy meter, which is started and stopped here; by default only time is measured.
        keep_model: Whether to save the trained model in the folder.
        progress: Whether to show a progress bar, on a terminal.

    Raises:
        ValueError: The folder has another training, or there are fewer training images than in a batch.
        CorruptFileError: The checkpoint is damaged.
        TrainingFailedError: The loss became infinite or undefined.
        NoSensorError: The meter cannot read the devices that count.
    """
    meter = meter or Clock()
    steps = len(images.train) // recipe.batch_size
    if not steps:
        raise ValueError(f"batch_size must be at most the {len(images.train)} training images, got {recipe.batch_size}")
    identity = {
        "cell": cell.canonical().to_dict(),
        "recipe": dataclasses.asdict(recipe),
        "seed": seed,
        "data_digest": images.digest,
        "backend": keras.backend.backend(),
    }
    if folder is not None and (done := _finished(folder, identity)):
        return done
    keras.utils.clear_session()
    model = _compiled(cell, images, recipe, seed, steps)
    state = _State() if folder is None else _load_checkpoint(folder / CHECKPOINT, identity, model)
    bar = tqdm(
        total=steps * recipe.epochs, initial=steps * state.epoch, unit="step", disable=None if progress else True,
        desc=f"{cell.hash[:8]} seed {seed}", leave=False,
    )  # fmt: skip
    with bar, meter:
        _check_meter(meter)
        sets = _evaluation_sets(images)
        saved = Reading()
        while not state.is_complete(recipe):
            before, started = meter.read(), _now()
            if state.milestones:  # the first evaluation is before any training
                _train_epoch(model, images, recipe, seed, state.epoch, bar)
                state.epoch += 1
            after = meter.read()
            state.spent += after - before
            state.started = state.started or started
            if state.epoch in recipe.milestones:
                state.milestones.append(_milestone(model, sets, recipe, state, meter.settings))
                state.started = ""
            offset = state.total.seconds - saved.seconds
            state.trace += [[round(offset + second, 2), *watts] for second, *watts in meter.take_trace()]
            now = meter.read()
            state.total, saved = state.total + (now - saved), now
            if folder is not None:
                _save_checkpoint(folder / CHECKPOINT, identity, model, state)
    training = Training(
        cell=cell,
        seed=seed,
        recipe=recipe,
        metering=meter.settings,
        data=images.name,
        data_digest=images.digest,
        backend=keras.backend.backend(),
        milestones=tuple(state.milestones),
        total=state.total,
        devices=meter.devices,
        trace=tuple(map(tuple, state.trace)),
    )
    if folder is not None:
        if keep_model:
            _save_model(folder, model)
        _save_finished(folder, identity, training)
    return training


@dataclass
class _State:
    """The progress of a training."""

    epoch: int = 0
    spent: Reading = field(default_factory=Reading)  # on training
    total: Reading = field(default_factory=Reading)  # on training and evaluating
    started: str = ""
    milestones: list[Milestone] = field(default_factory=list)
    trace: list[list[float]] = field(default_factory=list)

    def is_complete(self, recipe: Recipe) -> bool:
        return bool(self.milestones) and self.milestones[-1].epoch == recipe.epochs


def _compiled(cell: Cell, images: Images, recipe: Recipe, seed: int, steps: int) -> keras.Model:
    model = build(
        cell, images.num_classes, images.image_size, channels=recipe.channels, dtype=recipe.precision, seed=seed
    )
    for variable in model.trainable_variables:
        variable.regularizer = keras.regularizers.L2(recipe.weight_decay / 2)
    schedule = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps * recipe.epochs)
    rmsprop = keras.optimizers.RMSprop(schedule, rho=SQUARES_DECAY, momentum=MOMENTUM, epsilon=EPSILON)
    optimizer = keras.optimizers.LossScaleOptimizer(rmsprop) if recipe.precision == "mixed_float16" else rmsprop
    optimizer.build(model.trainable_variables)
    for variable in rmsprop.variables:
        if variable.path.endswith("velocity"):  # mean squares of gradients: TensorFlow 1 let them begin at one
            variable.assign(np.ones(variable.shape))
    model.compile(
        optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=keras.backend.backend() == "jax",  # elsewhere compiling would take longer than a short training
    )
    return model


class _Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """The batches of one epoch, which depend only on the seed and the epoch."""

    def __init__(self, images: Images, recipe: Recipe, seed: int, epoch: int) -> None:
        super().__init__()
        self._images, self._batch_size, self._source = images, recipe.batch_size, (seed, epoch)
        self._order = np.random.default_rng(self._source).permutation(len(images.train))

    def __len__(self) -> int:
        return len(self._order) // self._batch_size

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        chosen = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        rng = np.random.default_rng((*self._source, index))
        return self._images.scaled(augmented(self._images.train.images[chosen], rng)), self._images.train.labels[chosen]


def augmented(images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Images padded with black, cropped to their size at a random place, and flipped with probability one half."""
    number, size = images.shape[:2]
    padded = np.pad(images, ((0, 0), (PADDING, PADDING), (PADDING, PADDING), (0, 0)))
    crops = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    tops, lefts = rng.integers(0, 2 * PADDING + 1, (2, number))
    chosen: NDArray[np.uint8] = crops[np.arange(number), tops, lefts].transpose(0, 2, 3, 1)
    mirrored = rng.random(number) < 0.5
    chosen[mirrored] = chosen[mirrored, :, ::-1]
    return chosen


def _train_epoch(model: keras.Model, images: Images, recipe: Recipe, seed: int, epoch: int, bar: tqdm[Any]) -> None:
    step = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: bar.update())
    history = model.fit(
        _Batches(images, recipe, seed, epoch), initial_epoch=epoch, epochs=epoch + 1, shuffle=False, verbose=0,
        callbacks=[step],
    )  # fmt: skip
    loss = history.history["loss"][0]
    bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
    if not math.isfinite(loss):
        raise TrainingFailedError(f"the loss was {loss} in epoch {epoch + 1}")


def _check_meter(meter: Clock) -> None:
    """Refuses to train on a card whose energy counts but cannot be read."""
    kinds = {device.kind for device in meter.devices}
    if kinds and GPU in meter.settings.devices and GPU not in kinds and _trains_on_gpu():
        raise NoSensorError(
            "devices: the network trains on a graphics card that codecarbon cannot read; ('cpu',) would count the "
            "processor alone"
        )


def _trains_on_gpu() -> bool:
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow

        return bool(tensorflow.config.list_physical_devices("GPU"))
    if backend == "torch":
        import torch

        return bool(torch.cuda.is_available())
    import jax

    return bool(jax.default_backend() == "gpu")


def _evaluation_sets(images: Images) -> list[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    first = Part(images.train.images[:MOST_TRAINING_IMAGES], images.train.labels[:MOST_TRAINING_IMAGES])
    return [(images.scaled(part.images), part.labels) for part in (first, images.validation, images.test)]


def _milestone(model: keras.Model, sets: Any, recipe: Recipe, state: _State, metering: Metering) -> Milestone:
    stopped = _now()
    train_accuracy, val_accuracy, test_accuracy = (
        float(model.evaluate(x, y, batch_size=recipe.batch_size, verbose=0, return_dict=True)["accuracy"])
        for x, y in sets
    )
    return Milestone(
        state.epoch,
        train_accuracy,
        val_accuracy,
        test_accuracy,
        training_time=state.spent.seconds,
        energy=metering.energy(state.spent),
        co2=metering.co2(state.spent),
        started=state.started,
        stopped=stopped,
    )


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())


def _variables(model: keras.Model) -> Iterator[tuple[str, Any]]:
    for kind, variables in (("weight", model.weights), ("optimizer", model.optimizer.variables)):
        yield from ((f"{kind}_{number}", variable) for number, variable in enumerate(variables))


def _save_checkpoint(path: Path, identity: Mapping[str, Any], model: keras.Model, state: _State) -> None:
    values = {name: keras.ops.convert_to_numpy(variable) for name, variable in _variables(model)}
    description = to_json({"identity": identity, "state": dataclasses.asdict(state)})
    with replaced_file(path, "wb") as file:
        np.savez(file, state=np.frombuffer(description.encode(), dtype=np.uint8), **values)


def _load_checkpoint(path: Path, identity: Mapping[str, Any], model: keras.Model) -> _State:
    """Restores a model from its checkpoint; without one, training starts at the beginning."""
    if not path.exists():
        return _State()
    try:
        with np.load(path, allow_pickle=False) as file:
            description = json.loads(file["state"].tobytes())
            values = {name: file[name] for name in file.files}
        stored, stored_identity = description["state"], description["identity"]
    except (KeyError, EOFError, OSError, ValueError) as error:
        raise CorruptFileError(f"{path}: damaged checkpoint ({error}); delete it to train anew") from error
    _expect_same(path, stored_identity, identity)
    for name, variable in _variables(model):
        variable.assign(values[name])
    stored["milestones"] = [Milestone(**with_nan(one)) for one in stored["milestones"]]
    return _State(**stored | {name: Reading(**stored[name]) for name in ("spent", "total")})


def _finished(folder: Path, identity: Mapping[str, Any]) -> Training | None:
    path = folder / FINISHED
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        _expect_same(path, stored["identity"], identity)
        return Training.from_dict(stored["training"])
    except FileNotFoundError:
        return None
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise CorruptFileError(f"{path}: damaged ({error}); delete it to train anew") from error


def _save_model(folder: Path, model: keras.Model) -> None:
    temporary = folder / f".{MODEL}"  # Keras insists on the suffix
    model.save(temporary)
    temporary.replace(folder / MODEL)


def _save_finished(folder: Path, identity: Mapping[str, Any], training: Training) -> None:
    write_text(folder / FINISHED, to_json({"identity": identity, "training": training.to_dict()}) + "\n")
    with contextlib.suppress(FileNotFoundError):
        (folder / CHECKPOINT).unlink()


def _expect_same(path: Path, stored: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    for name, value in json.loads(to_json(identity)).items():
        if stored.get(name) != value:
            raise ValueError(
                f"{path} is of another training: {name} is {stored.get(name)!r} there and {value!r} here; "
                "choose another folder"
            )
