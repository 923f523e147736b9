"""The training loop: any Keras 3 backend, resumable after every epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from fer_edge.errors import FerEdgeError
from fer_edge.preprocess import PixelCoding
from fer_edge_train import zoo
from fer_edge_train.checkpoints import Checkpoints, RunState
from fer_edge_train.datasets import FaceSet
from fer_edge_train.metrics import accuracy
from fer_edge_train.recipe import PIXEL_MEAN, PIXEL_STD, Recipe
from fer_edge_train.schedules import OneCycle

__all__ = [
    "DivergedError",
    "Progress",
    "TrainingResult",
    "export_model",
    "fastest_data_format",
    "network_input",
    "predict_logits",
    "steps_per_epoch",
    "train",
    "training_coding",
]

Floats = npt.NDArray[np.float32]


class DivergedError(FerEdgeError, ArithmeticError):
    """The training loss left the finite numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """A trained network and how it came about.

    Attributes:
        model: channels-last keras.Model of Keras' own layers, without optimizer.
        curve: one dictionary for each epoch: train_loss, train_top1, val_top1 (where held out), seconds.
        ms_per_image: mean time of a training step divided by its images, over the epochs of this process.
    """

    model: Any
    curve: list[dict[str, float]]
    ms_per_image: float | None


class Progress:
    """What a training run reports to; the base class keeps silent."""

    def start(self, n_epochs: int, steps_per_epoch: int, epochs_done: int) -> None:
        """Announce the run."""

    def step(self, epoch: int, step: int) -> None:
        """Report that `step` steps of `epoch` (both from 0) are done."""

    def epoch(self, epoch: int, figures: dict[str, float]) -> None:
        """Report the figures of a finished epoch."""


def training_coding() -> PixelCoding:
    """Return the coding of pixels that every network of the zoo is trained with."""
    return PixelCoding(mean=PIXEL_MEAN, std=PIXEL_STD)


def fastest_data_format() -> str:
    """Return Keras' data format that trains fastest on the backend in use (torch: channels first)."""
    return "channels_first" if keras.backend.backend() == "torch" else "channels_last"


def network_input(images: npt.NDArray[np.uint8], data_format: str) -> Floats:
    """Return float32 input for uint8 (n, h, w, c) in the given data format."""
    encoded = training_coding().encode(images)
    return encoded if data_format == "channels_last" else np.ascontiguousarray(encoded.transpose(0, 3, 1, 2))


class _Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """One epoch's shuffled, augmented batches: a function of seed and epoch alone, so a resumed run sees the same."""

    def __init__(
        self,
        faces: FaceSet,
        targets: Floats,
        *,
        recipe: Recipe,
        epoch: int,
        data_format: str,
    ) -> None:
        super().__init__(workers=1, use_multiprocessing=False, max_queue_size=4)
        self._faces, self._targets = faces, targets
        self._recipe, self._epoch, self._data_format = recipe, epoch, data_format
        self._order = np.random.default_rng([recipe.seed, epoch]).permutation(len(faces))

    def __len__(self) -> int:
        return steps_per_epoch(len(self._faces), self._recipe.batch_size)

    def __getitem__(self, index: int) -> tuple[Floats, Floats]:
        size = self._recipe.batch_size
        members = self._order[index * size : (index + 1) * size]
        rng = np.random.default_rng([self._recipe.seed, self._epoch, index])
        images = self._recipe.augmentation.apply(self._faces.images[members], rng)
        return network_input(images, self._data_format), self._targets[members]


def steps_per_epoch(n_images: int, batch_size: int) -> int:
    """Return how many steps see each image once; a rest smaller than half a batch waits for the next shuffle."""
    return max(round(n_images / batch_size), 1)


def train(
    recipe: Recipe,
    faces: FaceSet,
    targets: npt.NDArray[np.float64],
    validation: FaceSet | None,
    checkpoints: Checkpoints,
    progress: Progress,
    initial_weights: Sequence[npt.NDArray[np.float32]] | None = None,
) -> TrainingResult:
    """Train a network, or continue the run whose state `checkpoints` holds.

    Args:
        recipe: how; must equal the recipe of a run that is continued (the caller checks).
        faces: training images.
        targets: (n, n_classes), each row a distribution over the labels.
        validation: held-out images watched after each epoch; never trained on.
        checkpoints: where the state is kept.
        progress: told of each step and epoch.
        initial_weights: of a network of the same shapes, as `get_weights` gives them; None draws random ones.

    Raises:
        DivergedError: the loss is not a finite number any more; that epoch is not kept.
        InputError: the state in `checkpoints` cannot be read.
        OutputError: a checkpoint cannot be written.
    """
    keras.utils.set_random_seed(recipe.seed)
    data_format = fastest_data_format()
    n_steps = steps_per_epoch(len(faces), recipe.batch_size)
    targets_f32 = targets.astype(np.float32)

    state = checkpoints.load_state()
    if state is None:
        model = zoo.build(recipe.architecture, recipe.input_shape_hwc, len(faces.labels), data_format=data_format)
        if initial_weights is not None:
            model.set_weights(initial_weights)
        model.compile(
            optimizer=_optimizer(recipe, n_steps),
            loss=keras.losses.CategoricalCrossentropy(from_logits=True),
            metrics=[keras.metrics.CategoricalAccuracy(name="top1")],
        )
        state = RunState(epochs_done=0, recipe=recipe.to_json(), data_digest=faces.digest(), curve=[])
    else:
        model = checkpoints.load_model(state)

    progress.start(recipe.epochs, n_steps, state.epochs_done)
    train_seconds, first_epoch = 0.0, state.epochs_done
    for epoch in range(first_epoch, recipe.epochs):
        batches = _Batches(faces, targets_f32, recipe=recipe, epoch=epoch, data_format=data_format)
        started = time.perf_counter()
        history = model.fit(
            batches,
            epochs=epoch + 1,
            initial_epoch=epoch,
            verbose=0,
            shuffle=False,
            callbacks=[_StepReporter(progress, epoch)],
        )
        seconds = time.perf_counter() - started
        train_seconds += seconds
        figures = {
            "train_loss": float(history.history["loss"][0]),
            "train_top1": float(history.history["top1"][0]),
            "seconds": round(seconds, 2),
        }
        if not math.isfinite(figures["train_loss"]):
            raise DivergedError(
                f"the training loss became {figures['train_loss']} in epoch {epoch + 1}, expected a finite number; "
                f"give a --peak-rate below {recipe.peak_rate:g} and --restart"
            )
        if validation is not None and len(validation):
            predicted = predict_logits(model, validation.images, data_format).argmax(axis=1)
            figures["val_top1"] = accuracy(predicted, validation.label_indices).top1
        state = RunState(
            epochs_done=epoch + 1,
            recipe=state.recipe,
            data_digest=state.data_digest,
            curve=[*state.curve, figures],
        )
        checkpoints.save(model, state)
        progress.epoch(epoch, figures)

    n_images = (recipe.epochs - first_epoch) * min(n_steps * recipe.batch_size, len(faces))
    return TrainingResult(
        model=export_model(model, recipe, len(faces.labels)),
        curve=state.curve,
        ms_per_image=1000.0 * train_seconds / n_images if n_images else None,
    )


def _optimizer(recipe: Recipe, steps_per_epoch: int) -> Any:
    schedule = OneCycle(recipe.peak_rate, steps_per_epoch * recipe.epochs)
    if recipe.optimizer == "adamw":
        return keras.optimizers.AdamW(schedule, weight_decay=recipe.weight_decay)
    return keras.optimizers.SGD(
        schedule, momentum=recipe.momentum, nesterov=True, weight_decay=recipe.weight_decay or None
    )


def export_model(model: Any, recipe: Recipe, n_classes: int) -> Any:
    """Return the trained weights in a channels-last network of Keras' own layers, whatever format it was trained in.

    Kernels and moments have the same shapes in both formats, so the weights are copied as they are.
    """
    exported = zoo.build(recipe.architecture, recipe.input_shape_hwc, n_classes, data_format="channels_last")
    exported.set_weights(model.get_weights())
    return exported


def predict_logits(model: Any, images: npt.NDArray[np.uint8], data_format: str = "channels_last") -> Floats:
    """Return float32 logits (n, n_classes) for uint8 images (n, h, w, c)."""
    batch = 256
    parts = [
        np.asarray(model.predict_on_batch(network_input(images[i : i + batch], data_format)))
        for i in range(0, len(images), batch)
    ]
    return np.concatenate(parts).astype(np.float32)


class _StepReporter(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(self, progress: Progress, epoch: int) -> None:
        super().__init__()
        self._progress, self._epoch = progress, epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras names it
        self._progress.step(self._epoch, batch + 1)
