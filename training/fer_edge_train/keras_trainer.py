"""Training steps by Keras, on whichever backend it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from fer_edge.classifier import softmax
from fer_edge_train.batches import Batch, Batches, BatchSource, Prefetched, training_coding
from fer_edge_train.datasets import FaceSet
from fer_edge_train.trainer import FOCAL_FLOOR, Arrays, Floats, StepFigures, TrainerSetup, averaging_share

__all__ = ["KerasTrainer", "predict_logits"]

_EVALUATION_BATCH = 256


def predict_logits(model: Any, images: npt.NDArray[np.uint8]) -> Floats:
    """Return float32 logits (n, n_classes) for uint8 images (n, h, w, c)."""
    coding = training_coding()
    parts = [
        np.asarray(keras.ops.convert_to_numpy(model.predict_on_batch(coding.encode(images[i : i + _EVALUATION_BATCH]))))
        for i in range(0, len(images), _EVALUATION_BATCH)
    ]
    return np.concatenate(parts).astype(np.float32)


class KerasTrainer:
    """Trains a Keras model with `train_on_batch`; see `Trainer` for the methods."""

    def __init__(self, setup: TrainerSetup) -> None:
        """Compile the model, or a copy of it that computes in bfloat16."""
        self._recipe, self._kept = setup.recipe, setup.model
        self._model = _copy_in(setup.model, setup.recipe.compute_dtype)
        self._teachers = list(setup.teachers)
        optimizer = _optimizer(setup)
        optimizer.exclude_from_weight_decay(
            var_list=[variable for variable in self._model.trainable_variables if len(variable.shape) < 2]
        )
        self._model.compile(
            optimizer=optimizer,
            loss=_loss(setup),
            metrics=[keras.metrics.CategoricalAccuracy(name="top1")],
        )
        optimizer.build(self._model.trainable_variables)
        self._averaged = setup.model.get_weights() if setup.recipe.average_decay else None
        self._loss_sum, self._right, self._n_images = 0.0, 0.0, 0

    def begin_epoch(self, seed: int, view: int | None) -> None:
        """Set the state of dropout; teachers answer anew, whatever the view."""
        del view
        keras.utils.set_random_seed(seed)

    def batches(self, faces: FaceSet, targets: Floats, weights: Floats, epoch: int) -> BatchSource:
        """Return batches made by a thread beside the steps."""
        return Prefetched(Batches(faces, targets, weights, self._recipe, epoch))

    def step(self, batch: Batch, rate: float, number: int) -> None:
        """Do one optimizer step; rate and number as in `Trainer`."""
        targets = batch.targets
        if self._teachers:
            targets = targets + self._recipe.teacher_share * self._teachers_probs(batch.images)
        self._model.optimizer.learning_rate = rate
        self._model.reset_metrics()
        logs = self._model.train_on_batch(batch.images, targets, sample_weight=batch.weights, return_dict=True)
        n = len(targets)
        self._loss_sum += n * float(logs["loss"])
        self._right += n * float(logs["top1"])
        self._n_images += n
        if self._averaged is not None:
            share = averaging_share(self._recipe.average_decay, number)
            for kept, trained in zip(self._averaged, self._model.get_weights(), strict=True):
                kept += share * (trained - kept)

    def _teachers_probs(self, images: Floats) -> Floats:
        logits = [
            np.asarray(keras.ops.convert_to_numpy(teacher.predict_on_batch(images))) for teacher in self._teachers
        ]
        mean: Floats = np.mean([softmax(each) for each in logits], axis=0)
        return mean

    def figures(self) -> StepFigures:
        """Return the means over the steps since the last call."""
        n = max(self._n_images, 1)
        found = StepFigures(self._loss_sum / n, self._right / n)
        self._loss_sum, self._right, self._n_images = 0.0, 0.0, 0
        return found

    def kept_weights(self) -> list[Floats]:
        """Return the kept weights in Keras' order."""
        weights: list[Floats] = self._model.get_weights() if self._averaged is None else self._averaged
        return [weight.copy() for weight in weights]

    def logits(self, images: npt.NDArray[np.uint8]) -> Floats:
        """Return float32 logits (n, classes) of the kept weights for uint8 (n, h, w, c)."""
        self._kept.set_weights(self.kept_weights())
        return predict_logits(self._kept, images)

    def state(self) -> Arrays:
        """Return weights, averages and optimizer."""
        arrays = {f"network/{i}": _numpy(variable) for i, variable in enumerate(self._model.variables)}
        arrays |= {f"optimizer/{i}": _numpy(variable) for i, variable in enumerate(self._model.optimizer.variables)}
        return arrays | {f"averaged/{i}": weight for i, weight in enumerate(self._averaged or [])}

    def restore(self, arrays: Arrays) -> None:
        """Take back a state; KeyError or ValueError where it is of another network."""
        for prefix, variables in (("network", self._model.variables), ("optimizer", self._model.optimizer.variables)):
            for i, variable in enumerate(variables):
                value = arrays[f"{prefix}/{i}"]
                if tuple(variable.shape) != value.shape:
                    raise ValueError(f"expected an array of {tuple(variable.shape)}, found {value.shape}")
                variable.assign(value)
        if self._averaged is not None:
            self._averaged = [arrays[f"averaged/{i}"] for i in range(len(self._averaged))]


def _copy_in(model: Any, compute_dtype: str) -> Any:
    """Return the model, or one of the same layers and weights that computes in bfloat16."""

    def with_policy(layer: Any) -> Any:
        config = layer.get_config()
        config["dtype"] = "mixed_bfloat16"
        return layer.__class__.from_config(config)

    if compute_dtype == "float32":
        copy = keras.models.clone_model(model)
    else:
        copy = keras.models.clone_model(model, clone_function=with_policy, recursive=True)
    copy.set_weights(model.get_weights())
    return copy


def _optimizer(setup: TrainerSetup) -> Any:
    recipe = setup.recipe
    decay = recipe.weight_decay or None
    if recipe.optimizer == "adamw":
        return keras.optimizers.AdamW(recipe.peak_rate, weight_decay=recipe.weight_decay)
    return keras.optimizers.SGD(recipe.peak_rate, momentum=recipe.momentum, nesterov=True, weight_decay=decay)


def _loss(setup: TrainerSetup) -> Callable[[Any, Any], Any]:
    ops = keras.ops
    gamma = setup.recipe.focal_gamma

    def loss(targets: Any, logits: Any) -> Any:
        log_probs = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
        parts = ops.cast(targets, "float32") * log_probs
        if gamma:
            parts = parts * ops.maximum(1.0 - ops.exp(log_probs), FOCAL_FLOOR) ** gamma
        return -ops.sum(parts, axis=-1)

    return loss


def _numpy(variable: Any) -> npt.NDArray[Any]:
    return np.array(keras.ops.convert_to_numpy(variable))
